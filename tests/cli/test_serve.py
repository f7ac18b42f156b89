"""`cog serve` as a person uses it."""

from __future__ import annotations

import http.client
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.command import Running
from support.serving import DEADLINE, Response, children, request, until, write_model
from support.steps import alive
from support.typed import surroundings, typed

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

MODEL = """
    import os, time
    from cog import BaseRunner

    class Runner(BaseRunner):
        def setup(self):
            print("reading the weights")

        def run(self, name: str = "", wait: bool = False) -> str:
            print("at work for", name)
            if wait:
                time.sleep(20)
            return os.environ.get(name, "nothing") if name else "VERSION"
"""


class Served(Running):
    """`cog serve` that runs."""

    url: str = ""
    terminal: int = -1

    def press(self, keys: bytes) -> None:
        os.write(self.terminal, keys)

    def ask(self, path: str, **body: Any) -> Response:
        return request(self.url + path, "POST" if body else "GET", json_body=body or None)

    def predict(self, **input: Any) -> Any:
        """The output, once the model is ready."""
        answer = until(lambda: self.ask("/predictions", input=input), lambda answer: answer.status != 503)
        assert answer.status == 200, answer
        return answer.json()["output"]


# What a terminal sends for Ctrl-C.
CTRL_C = b"\x03"


@contextmanager
def served(
    folder: Path, *words: str, env: Mapping[str, str] | None = None, terminal: bool = False
) -> Iterator[Served]:
    """`cog serve -p 0 WORDS` in `folder`. A test that leaves it running has it told to end: exit code 0."""
    ours, theirs = pty.openpty() if terminal else os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "cog.cli.main", "serve", "-p", "0", *words],
        cwd=folder,
        env=surroundings(env),
        stdin=theirs if terminal else subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        start_new_session=terminal,
        preexec_fn=_own_terminal if terminal else None,
    )
    os.close(theirs)
    server = Served(process)
    server.terminal = ours
    reader = threading.Thread(target=server.read, args=(ours,))
    reader.start()
    try:
        server.url = re.findall(r"listening on (http://[^\s\x1b\"]+)", server.wait_written("docs"))[0]
        workers = children(process.pid)
        yield server
        if process.poll() is None:
            process.terminate()
            assert process.wait(DEADLINE) == 0, server.written
        until(lambda: [pid for pid in workers if alive(pid)], lambda left: not left)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        reader.join(DEADLINE)
        os.close(ours)


def _own_terminal() -> None:
    """Make stdin the terminal that Ctrl-C comes from."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model", MODEL)


def test_a_person_sees_what_is_served_where_and_what_becomes_of_each_prediction(folder: Path) -> None:
    with served(folder, "--no-env") as server:
        assert server.predict(name="ada") == "nothing"
        written = server.wait_written("succeeded in")
    rest = iter(written.splitlines())
    for wanted in (
        r"loading run\.py:Runner",
        rf"listening on {server.url} docs={server.url}/docs",
        r"reading the weights",
        r"the model is READY seconds=[\d.]+",
        r"at work for ada",
        r"succeeded in [\d.]+ ms id=\w+",
    ):
        assert any(re.fullmatch(rf"([\d:]{{8}} INFO    )?{wanted}", line) for line in rest), (wanted, written)
    assert "\x1b" not in written


def test_ctrl_c_ends_it_in_order(folder: Path) -> None:
    with served(folder, "--no-env", terminal=True) as server:
        server.wait_written("READY")
        server.press(CTRL_C)
        assert server.process.wait(DEADLINE) == 0
        written = server.wait_written("the server has ended")
    assert "\x1b[32mINFO" in written
    assert re.search("\\^C\r[^\r\n]*SIGINT: the server finishes what is running", written)
    assert "Traceback" not in written


def test_a_second_ctrl_c_ends_it_at_once(folder: Path) -> None:
    with served(folder, "--no-color", "--no-env", terminal=True) as server:
        server.wait_written("READY")
        answer = threading.Thread(target=_ask_in_vain, args=(server,))
        answer.start()
        server.wait_written("at work for")
        server.press(CTRL_C)
        server.wait_written("finishes what is running")
        server.press(CTRL_C)
        assert server.process.wait(DEADLINE) == 130
        assert "\x1b" not in server.wait_written("SIGINT again: the server ends at once")
        answer.join(DEADLINE)


def _ask_in_vain(server: Served) -> None:
    with pytest.raises((OSError, http.client.HTTPException)):
        server.ask("/predictions", input={"wait": True})


def test_ctrl_c_in_the_first_moment_shows_no_traceback(folder: Path) -> None:
    """The command has just turned into the server, which is still importing its modules."""
    with subprocess.Popen(
        [sys.executable, "-m", "cog.cli.main", "serve", "-p", "0", "--no-env"],
        cwd=folder,
        env=surroundings(),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        words = Path(f"/proc/{process.pid}/cmdline")
        until(words.read_bytes, lambda seen: b"cog.server.http" in seen or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        _, written = process.communicate(timeout=DEADLINE)
    assert b"Traceback" not in written
    assert b"listening on" not in written
    assert process.returncode == 0


def test_reload_serves_what_was_edited(folder: Path) -> None:
    with served(folder, "--reload", "--no-env") as server:
        assert server.predict() == "VERSION"
        run = folder / "run.py"
        run.write_text(run.read_text().replace("VERSION", "another"))
        server.wait_written("run.py changed: loading the model anew")
        server.wait_written("the changed model is READY")
        assert server.predict() == "another"
        server.process.terminate()
        assert server.process.wait(DEADLINE) == 0
        assert "SIGTERM: the server finishes" in server.wait_written("the server has ended")


def test_a_subfolder_of_the_model_will_do_and_variables_reach_it(folder: Path) -> None:
    config = 'run: "run.py:Runner"\nenvironment:\n  - FROM_CONFIG=one\n  - PORT=two\n'
    (folder / "cog.yaml").write_text(config)
    (folder / "deep" / "er").mkdir(parents=True)
    with served(
        folder / "deep" / "er", "-e", "GIVEN=three", "-e", "KNOWN", "--no-env", env={"KNOWN": "four"}
    ) as server:
        found = [server.predict(name=name) for name in ("FROM_CONFIG", "PORT", "GIVEN", "KNOWN")]
    assert found == ["one", "two", "three", "four"]


def test_threads_uploads_and_another_file(folder: Path) -> None:
    (folder / "other.yaml").write_text('run: "run.py:Runner"\n')
    (folder / "cog.yaml").write_text('run: "none.py:Runner"\n')
    with served(
        folder.parent,
        "-f",
        "model/other.yaml",
        "--threads",
        "2",
        "--upload-url",
        "http://127.0.0.1:9/",
        "--no-env",
    ) as server:
        server.wait_written("2 of 2 workers")
        assert server.predict() == "VERSION"


def test_what_the_server_can_be_told_of_many_at_a_time_is_handed_on(folder: Path) -> None:
    (folder / "run.py").write_text(
        """
from cog import BaseRunner, batch

class Runner(BaseRunner):
    @batch(max_size=8, max_wait=60)
    async def run(self, name: list[str]) -> list[str]:
        return name
"""
    )
    with served(
        folder, "--workers", "2", "--gpus", "none", "--max-queue", "3", "--queue-timeout", "60", "--max-batch-size", "1",
        "--max-batch-wait", "0.01", "--predict-timeout", "60", "--busy-poll", "0.001", "--max-predictions-per-worker", "100", "--max-worker-memory", "4GiB", "--no-env",
    ) as server:  # fmt: skip
        server.wait_written("2 of 2 workers")
        assert server.predict(name="x") == "x"  # at once: a batch of 1 is full


def test_names_of_the_standard_library_may_be_in_the_models_folder(folder: Path) -> None:
    for name in ("logging", "queue", "secrets", "asyncio"):
        (folder / f"{name}.py").write_text("raise RuntimeError('the model has one of its own')\n")
    with served(folder, "--no-env") as server:
        assert server.ask("/health-check").status == 200


def test_the_log_can_be_for_machines(folder: Path) -> None:
    with served(folder, "--no-env", env={"LOG_FORMAT": "json", "COG_LOG_PREDICTIONS": "false"}) as server:
        assert server.predict() == "VERSION"
    lines = [json.loads(line) for line in server.written.splitlines()]
    assert "cog.predictions" not in [line["target"] for line in lines]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_port_that_is_taken_is_told_at_once_with_another_one(folder: Path, host: str) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        ended = typed("serve", "-p", str(port), "--host", host, folder=folder)
    assert (ended.code, ended.out) == (1, "")
    found = re.fullmatch(
        rf"error: cannot listen on {host} port {port}: another program uses it\. End that, or take another port: "
        r"`cog serve -p (\d+)`",
        ended.said,
    )
    assert found is not None, ended.err
    assert port < int(found[1]) < port + 20
    assert not (folder / ".cog").exists()  # nothing was made before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--host", "192.0.2.1"), "--host takes an address of this machine"),
        (("--host", "nowhere.invalid"), "--host takes an address of this machine"),
        (("-p", "65536"), "'-p' / '--port': 65536 is not in the range"),
        (("--threads", "0"), "'--threads': 0 is not in the range"),
        (("--max-queue", "many"), "'--max-queue': it must be a whole number from 0"),
        (("--queue-timeout", "soon"), "'--queue-timeout': it must be a number of seconds"),
        (("--upload-url", "elsewhere"), "it must be an absolute http:// or https:// URL"),
        (("-e", "1X=2"), "write NAME=VALUE"),
        (("--playground",), "No such option"),
    ],
)
def test_wrong_words_are_told(folder: Path, words: tuple[str, ...], told: str) -> None:
    ended = typed("serve", *words, folder=folder)
    assert (ended.code, ended.out) == (1, "")
    assert ended.said.startswith("error: ")
    assert told in ended.said
    assert not (folder / ".cog").exists()


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    ended = typed("serve", folder=tmp_path)
    assert ended.code == 1
    assert "cog init" in ended.said
    (tmp_path / "cog.yaml").write_text("build:\n  gpu: false\n")
    ended = typed("serve", folder=tmp_path)
    assert ended.code == 1
    assert 'Write `run: "run.py:Runner"` into it' in ended.said


def test_a_warning_of_the_configuration_is_said_once(folder: Path) -> None:
    (folder / "cog.yaml").write_text('predict: "run.py:Runner"\n')
    with served(folder, "--no-env") as server:
        assert server.predict() == "VERSION"
    assert server.written.count("deprecated") == 1, server.written


def test_the_model_runs_in_an_environment_of_its_own(folder: Path) -> None:
    run = folder / "run.py"
    run.write_text("import sys\n" + run.read_text().replace('"VERSION"', "sys.prefix"))
    with served(folder) as server:
        prefix = Path(server.predict())
    assert folder / ".cog" in prefix.parents


def test_the_hello_example() -> None:
    with served(EXAMPLES / "hello", "--no-env") as server:
        assert server.predict(text="Ada") == "hello Ada"
        assert server.ask("/docs").status == 200


@pytest.mark.slow
def test_the_stream_example() -> None:
    with served(EXAMPLES / "stream", "--no-env") as server:
        inputs = until(lambda: server.ask("/openapi.json"), lambda answer: answer.status == 200).json()
        assert inputs["components"]["schemas"]["Input"]["properties"]
        assert isinstance(server.predict(), str | list)
