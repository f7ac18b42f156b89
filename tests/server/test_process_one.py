"""A server that is process 1 of a container, where nobody else waits for those who lost their parent."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from support.other import free_port
from support.serving import children, request, until, write_model

MODEL = """
import subprocess
from cog import BaseRunner

class Runner(BaseRunner):
    def run(self, die: bool = False) -> int:
        for _ in range(5):
            subprocess.run(["sh", "-c", "sleep 0.01 & exit 0"])
        if die:
            import os
            os._exit(1)
        return 1
"""


def can_unshare() -> bool:
    if shutil.which("unshare") is None:
        return False
    return (
        subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"], capture_output=True).returncode
        == 0
    )


def zombies_of(parent: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, its_parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state == "Z" and int(its_parent) == parent:
            found.append(int(path.parent.name))
    return found


@pytest.mark.skipif(not can_unshare(), reason="a namespace of processes cannot be made here")
def test_process_1_waits_for_everybody_and_hands_on_signals(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "cog.server.http", "--host", "127.0.0.1", "--threads", "1"]
    process = subprocess.Popen(
        ["unshare", "--pid", "--fork", "--mount-proc", *command],
        cwd=write_model(tmp_path / "model", MODEL),
        env={**os.environ, "PORT": str(port), "LOG_FORMAT": "json", "TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    log: list[str] = []
    reader = threading.Thread(target=lambda: log.extend(line.decode() for line in process.stderr or ()))
    reader.start()
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: any("the model is READY" in line for line in tuple(log)), bool)
        (first,) = children(process.pid)
        for die in (False, True):
            request(f"{url}/predictions", "POST", json_body={"input": {"die": die}})
        until(lambda: request(f"{url}/ready").status, lambda status: status == 200)
        until(lambda: zombies_of(first), lambda left: not left, 5)
        os.kill(first, 15)
        assert process.wait(20) == 0
    finally:
        for pid in children(process.pid):
            os.kill(pid, 9)  # everything in the namespace ends with its process 1
        process.kill()
        process.wait()
        reader.join()
        process.stderr.close()
    messages = [json.loads(line)["fields"]["message"] for line in log]
    assert "the server has ended" in messages
