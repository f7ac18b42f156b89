"""Another server of the same contract, for tests that show what it gets wrong: `COG_OTHER_PYTHON` names its Python."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from support.serving import CLEARED, Server, until


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _health(server: Server) -> str:
    try:
        return str(server.health()["status"])
    except OSError:
        return "not listening"


@contextlib.contextmanager
def serving_other(
    python: str, folder: Path, *flags: str, env: Mapping[str, str] | None = None, ready: str | None = "READY"
) -> Iterator[Server]:
    """The other server, serving the model in `folder`. It is killed at the end, whatever state it is in."""
    port = free_port()
    environment = {k: v for k, v in os.environ.items() if k not in CLEARED}
    environment |= {"PORT": str(port), "LOG_FORMAT": "json", "COG_PREDICT_TYPE_STUB": "run.py:Runner"}
    environment |= {"PATH": f"{Path(python).parent}:{environment['PATH']}", **(env or {})}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        environment.setdefault("TMPDIR", temporary)
        process = subprocess.Popen(
            [python, "-m", "cog.server.http", "--host", "127.0.0.1", *flags],
            cwd=folder,
            env=environment,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        server = Server(process, folder, url=f"http://127.0.0.1:{port}")
        reader = threading.Thread(target=server.read_log, daemon=True)
        reader.start()
        try:
            until(lambda: _health(server), lambda status: status != "not listening")
            if ready is not None:
                until(lambda: _health(server), lambda status: status != "STARTING")
            yield server
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            for pid in server.workers():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
            process.wait()
            reader.join(5)
            assert process.stderr is not None
            process.stderr.close()
