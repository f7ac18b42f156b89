"""Serves one of the examples and says what to try, until Ctrl-C. Usage: serve_example.py NAME

The port is PORT, 5000 by default. Exit status: that of the server, 0 after Ctrl-C.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
START_TIMEOUT: Final = 60.0  # seconds; the slowest example is ready within 3
TRY_FILE: Final = "try.sh"  # in the example's folder: what to type once it is served


def state(port: int) -> str:
    """The server's health status, "DOWN" as long as nothing listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health-check", timeout=5) as response:
            status: str = json.load(response)["status"]
            return status
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return "DOWN"


def await_ready(server: subprocess.Popen[bytes], port: int) -> bool:
    """True once the model can be asked; False when it never will, and the server's log says why."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and server.poll() is None:
        status = state(port)
        if status in ("READY", "BUSY"):
            return True
        if status in ("SETUP_FAILED", "DEFUNCT"):
            return False
        time.sleep(0.1)
    return False


@contextmanager
def own_foreground() -> Iterator[None]:
    """Take Ctrl-C of the terminal for this process alone.

    Without it make gets the signal too, and reports an orderly end as an error.
    """
    terminal = sys.stdin.fileno() if sys.stdin.isatty() else None
    if terminal is None or os.tcgetpgrp(terminal) != os.getpgrp() or os.getpgrp() == os.getpid():
        yield  # no terminal, in the background, or started from the shell itself
        return
    before = os.getpgrp()
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)  # nobody would wake this group up again
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # who asks for the foreground from outside of it is stopped
    os.setpgrp()
    os.tcsetpgrp(terminal, os.getpgrp())
    try:
        yield
    finally:
        os.tcsetpgrp(terminal, before)


def announce(name: str, port: int) -> None:
    """Print what to type next."""
    script = (ROOT / "examples" / name / TRY_FILE).read_text(encoding="utf-8")
    lines = [line for line in script.splitlines() if line and not line.startswith("#")]
    print(f"\nREADY. In another terminal, in {ROOT}:\n", flush=True)
    print("\n".join(lines).replace("${PORT:-5000}", str(port)), flush=True)
    print(f"\nOr open http://127.0.0.1:{port}/docs in a browser. Ctrl-C ends the server.\n", flush=True)


def serve(name: str, port: int) -> int:
    """Run the server until it ends; return its exit status."""
    command = [sys.executable, "-m", "cog.server.http"]
    environment = {**os.environ, "PORT": str(port)}
    # In a session of its own it gets every signal once, from here: a second one would mean "at once".
    with subprocess.Popen(
        command, cwd=ROOT / "examples" / name, env=environment, start_new_session=True
    ) as server:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, _frame: server.send_signal(number))
        if await_ready(server, port):
            announce(name, port)
        return server.wait()


def main() -> int:
    """Serve the example that the command line names."""
    examples = sorted(path.parent.name for path in ROOT.glob("examples/*/cog.yaml"))
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    if name not in examples:
        print(f"usage: serve_example.py {{{','.join(examples)}}}", file=sys.stderr)
        return 2
    with own_foreground():
        return serve(name, int(os.environ.get("PORT", "5000")))


if __name__ == "__main__":
    sys.exit(main())
