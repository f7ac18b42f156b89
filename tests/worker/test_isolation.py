"""The worker needs nothing but the standard library and its own folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cog import bundle
from cog.worker.frames import FrameReader
from cog.worker.messages import (
    AskHealth,
    Cancel,
    Ended,
    Healthy,
    Load,
    Printed,
    Ready,
    Start,
    TooLate,
    Up,
    read_up,
)
from support.serving import write_model

MODEL = """
    import sys, time
    from pathlib import Path
    from cog import BaseRunner

    class Runner(BaseRunner):
        def healthcheck(self) -> bool:
            return True

        def run(self, act: str) -> str:
            if act == "modules":
                folders = {str(Path(m.__file__).resolve()) for m in sys.modules.values() if getattr(m, "__file__", None)}
                return "\\n".join(sorted(f for f in folders if "site-packages" in f))
            if act == "wait":
                Path("waiting").touch()
                while True:
                    time.sleep(0.01)
            print("acting")
            return act.upper()
"""


class Talk:
    """A worker started by hand, and both ends of its sockets."""

    def __init__(self, python: str, folder: Path, model: Path) -> None:
        self.data, data = socket.socketpair()
        self.control, control = socket.socketpair()
        self.process = subprocess.Popen(
            [
                python,
                "-I",
                "-S",
                str(folder),
                "--data",
                str(data.fileno()),
                "--control",
                str(control.fileno()),
            ],
            pass_fds=(data.fileno(), control.fileno()),
            stdin=subprocess.DEVNULL,
            cwd=model,
            start_new_session=True,
        )
        data.close()
        control.close()
        for sock in (self.data, self.control):
            sock.settimeout(20)
        self._readers = {self.data: FrameReader(), self.control: FrameReader()}
        self._waiting: dict[socket.socket, list[Up]] = {self.data: [], self.control: []}

    def hear(self, sock: socket.socket) -> Up:
        while not self._waiting[sock]:
            received = sock.recv(65536)
            assert received, "the worker is gone"
            self._waiting[sock] += map(read_up, self._readers[sock].feed(received))
        return self._waiting[sock].pop(0)

    def close(self) -> int:
        self.data.close()
        try:
            return self.process.wait(10)
        finally:
            self.control.close()


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[Talk]:
    folder = tmp_path / "kit"
    folder.mkdir()
    bundle.build(folder)
    model = write_model(tmp_path / "model", MODEL)
    talk = Talk(sys.executable, folder, model)
    yield talk
    talk.process.kill()
    talk.process.wait()
    talk.data.close()
    talk.control.close()


def test_a_worker_in_an_empty_python_speaks_the_whole_protocol(talk: Talk, tmp_path: Path) -> None:
    model = tmp_path / "model"
    talk.data.sendall(Load("run.py:Runner", str(model), None).pack())
    ready = talk.hear(talk.data)
    assert isinstance(ready, Ready)
    assert ready.signature["healthcheck"] is True

    talk.data.sendall(Start(1, str(tmp_path / "out"), {}, b'{"act":"shout"}').pack())
    assert talk.hear(talk.data) == Printed(1, "stdout", b"acting\n")
    done = talk.hear(talk.data)
    assert isinstance(done, Ended)
    assert (done.run, done.status, done.payload, done.canceled) == (1, "succeeded", b'"SHOUT"', False)

    talk.data.sendall(Start(2, str(tmp_path / "out"), {}, b'{"act":"modules"}').pack())
    done = talk.hear(talk.data)
    assert isinstance(done, Ended)
    assert done.payload == b'""', done.payload  # nothing from any site-packages

    talk.control.sendall(Cancel(1).pack() + AskHealth(7).pack())
    assert talk.hear(talk.control) == TooLate(1)
    assert talk.hear(talk.control) == Healthy(7, True, None)

    talk.control.sendall(Cancel(3).pack() + AskHealth(8).pack())  # before the run itself has come
    assert talk.hear(talk.control) == Healthy(8, True, None)
    talk.data.sendall(Start(3, str(tmp_path / "out"), {}, b'{"act":"wait"}').pack())
    done = talk.hear(talk.data)
    assert isinstance(done, Ended)
    assert (done.status, done.canceled, done.payload) == ("canceled", True, None)
    assert talk.close() == 0


def test_a_worker_ends_with_its_server(talk: Talk, tmp_path: Path) -> None:
    talk.data.sendall(Load("run.py:Runner", str(tmp_path / "model"), None).pack())
    assert isinstance(talk.hear(talk.data), Ready)
    talk.data.sendall(Start(1, str(tmp_path / "out"), {}, b'{"act":"wait"}').pack())
    talk.control.close()  # what a server that is killed leaves
    assert talk.process.wait(5) == -9


def interpreters() -> list[str]:
    found = [shutil.which(f"python3.{minor}") for minor in (10, 12, 13)]
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found += [
        str(path) for minor in (10, 12, 13) for path in sorted(versions.glob(f"3.{minor}.*/bin/python"))
    ]
    working = {}
    for path in filter(None, found):
        shown = subprocess.run(
            [path, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, text=True
        )
        if shown.returncode == 0:
            working[shown.stdout.strip()] = path
    return list(working.values())


OTHER = """
    import sys
    from dataclasses import dataclass
    from typing import Iterator, Optional
    from cog import BaseRunner, Input, Path

    class Runner(BaseRunner):
        def setup(self):
            self.loaded = sorted(name for name in ("msgspec", "uvloop", "starlette", "aiohttp") if name in sys.modules)

        def run(self, name: str = Input(min_length=1), photo: Optional[Path] = None, n: int = 2) -> Iterator[str]:
            for _ in range(n):
                yield f"{sys.version_info[0]}.{sys.version_info[1]} {name} {self.loaded} {sys.prefix != sys.base_prefix}"
"""


@pytest.mark.local_only("runs the model in Pythons of this machine")
@pytest.mark.parametrize("python", interpreters())
def test_a_model_in_another_empty_environment(serve: Any, tmp_path: Path, python: str) -> None:
    environment = tmp_path / "environment"
    subprocess.run([python, "-m", "venv", "--without-pip", str(environment)], check=True)
    worker = environment / "bin" / "python"
    version = subprocess.run(
        [worker, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    server = serve(OTHER, env={"COG_WORKER_PYTHON": str(worker)})
    answer = server.predict({"name": "bob", "photo": "data:text/plain;base64,aGk="}).json()
    assert answer["status"] == "succeeded", answer
    assert answer["output"] == [f"{version} bob [] True"] * 2
