"""Which configuration a server reads, where it listens, and what its surroundings tell it: flags and variables at work."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.command import free_port, running
from support.mounts import can_mount, under
from support.receiving import Receiver, Reply, receiving
from support.serving import DEADLINE, Server, request, write_model

MODEL = """
from cog import BaseRunner, Path

class Runner(BaseRunner):
    def run(self, file: Path = None) -> str:
        return "NAME" if file is None else file.read_text()
"""


@pytest.fixture(scope="module")
def web() -> Iterator[Receiver]:
    with receiving(lambda _: Reply(body=b"content")) as receiver:
        yield receiver


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(serve_once: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory, port: int) -> Server:
    """Started in a folder whose cog.yaml names another model."""
    root = tmp_path_factory.mktemp("models")
    write_model(root / "there", MODEL.replace("NAME", "of other.yaml"))
    (root / "there" / "other.yaml").write_text('run: "run.py:Runner"\n')
    here = write_model(root / "here", MODEL.replace("NAME", "of cog.yaml"))
    flags = ("--config", "../there/other.yaml", "--port", str(port))
    return serve_once(here, *flags, env={"COG_USER_AGENT": "mine/1"})


def test_config_names_the_model_and_its_folder(server: Server) -> None:
    assert server.predict().json()["output"] == "of other.yaml"


def test_port_wins_over_its_variable(server: Server, port: int) -> None:
    assert server.url == f"http://127.0.0.1:{port}"  # PORT is 0


def test_the_user_agent_is_sent_with_downloads_and_webhooks(server: Server, web: Receiver) -> None:
    fields = {"webhook": f"{web.url}/hook", "webhook_events_filter": ["completed"]}
    assert server.predict({"file": f"{web.url}/file"}, fields=fields).json()["output"] == "content"
    got = web.wait_for(2)
    assert [(one.path, one.headers["user-agent"]) for one in got] == [
        ("/file", "mine/1"),
        ("/hook", "mine/1"),
    ]


def test_no_config_reads_no_cog_yaml(serve: Callable[..., Server], tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", MODEL, config="this: is: no: yaml\n")
    server = serve(folder, "--no-config", env={"COG_PREDICT_TYPE_STUB": "run.py:Runner"})
    assert server.predict().json()["output"] == "NAME"


@pytest.mark.skipif(not can_mount(), reason="this user may not mount a folder of its own")
def test_in_a_pod_a_file_says_that_the_model_is_ready(tmp_path: Path) -> None:
    variable = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    folder = write_model(tmp_path / "model", MODEL)
    with running(folder, "--host", "127.0.0.1", env=variable, before=under("/run")) as server:
        written = server.wait_written("the model is READY")
        (port,) = re.findall(r"listening on http://127\.0\.0\.1:(\d+)", written)
        file = Path(f"/proc/{server.process.pid}/root/run/cog/ready")
        assert not file.exists()
        assert request(f"http://127.0.0.1:{port}/health-check").json()["status"] == "READY"
        assert file.exists()


def test_elsewhere_it_is_not_written(server: Server) -> None:
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        pytest.skip("these tests run in a pod themselves")
    assert server.health()["status"] == "READY"
    assert not Path("/var/run/cog/ready").exists()


GPU = """
import os
from cog.backend import growth, machine
from cog.backend.pool import Pool

assert not machine.uses_gpu(os.getpid())
with open("/dev/nvidia0"):
    print(machine.uses_gpu(os.getpid()), *growth.wanted(Pool(), os.getpid(), is_async=False), sep="|")
    print(*growth.wanted(Pool(2), os.getpid(), is_async=False), sep="|")
"""


@pytest.mark.skipif(not can_mount(), reason="this user may not mount a folder of its own")
def test_a_worker_that_has_opened_a_gpu_is_the_only_one() -> None:
    """The device is a file here: what counts is its name."""
    done = subprocess.run(
        [*under("/dev", "touch /dev/nvidia0"), sys.executable, "-c", GPU],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.stdout == "True|1|the model has opened a GPU; --threads overrules this\n2|--threads\n", (
        done.stderr
    )
