"""The command: its options, its exit codes, what it says."""

from __future__ import annotations

import os
import pty
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from cog.settings import OPTIONS
from support.serving import CLEARED, Server, request, write_model

HELLO = "class Runner:\n    def run(self, text: str = 'x') -> str:\n        return text\n"


def cog(folder: Path, *flags: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    environment = (
        {k: v for k, v in os.environ.items() if k not in CLEARED} | {"LOG_FORMAT": "json"} | dict(env or {})
    )
    return subprocess.run(
        [sys.executable, "-m", "cog.server.http", *flags],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_help_names_every_option_with_its_variable_and_default(tmp_path: Path) -> None:
    shown = cog(tmp_path, "--help")
    assert shown.returncode == 0
    text = " ".join(shown.stdout.split())
    for option in OPTIONS:
        for word in (option.flag, option.variable, option.default):
            assert word is None or word in text, word


def test_version(tmp_path: Path) -> None:
    shown = cog(tmp_path, "--version")
    assert (shown.returncode, bool(re.fullmatch(r"cog \d+\.\d+\.\d+\n", shown.stdout))) == (0, True)


@pytest.mark.parametrize(
    ("flags", "env", "config", "code", "said"),
    [
        ((), {}, None, 1, "there is no model to serve"),
        ((), {"PORT": "many"}, 'run: "run.py:Runner"', 1, "PORT"),
        (("--host", "no.such.host.invalid"), {}, 'run: "run.py:Runner"', 1, "no.such.host.invalid"),
        ((), {}, 'run: "run.py:Runner"\nbild: {}\n', 1, 'cog.yaml:2:1'),
        (("--x-mode", "train"), {}, 'run: "run.py:Runner"', 1, "train"),
        (("--nonsense",), {}, 'run: "run.py:Runner"', 2, "--nonsense"),
        (("--threads", "0"), {}, 'run: "run.py:Runner"', 2, "--threads"),
    ],
)  # fmt: skip
def test_exit_codes(
    tmp_path: Path, flags: tuple[str, ...], env: dict[str, str], config: str | None, code: int, said: str
) -> None:
    if config is not None:
        write_model(tmp_path, HELLO, config)
    ended = cog(tmp_path, *flags, env={"PORT": "0", **env})
    assert ended.returncode == code, ended.stderr
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_taken_port(tmp_path: Path) -> None:
    write_model(tmp_path, HELLO)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        ended = cog(tmp_path, "--host", "127.0.0.1", env={"PORT": str(sock.getsockname()[1])})
    assert ended.returncode == 1
    assert "Another program may use the port" in ended.stderr


def test_environment_variables_alone_are_enough(serve: Any, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "bare", HELLO)
    (folder / "cog.yaml").unlink()
    server = serve(folder, env={"COG_PREDICT_TYPE_STUB": "run.py:Runner"})
    assert server.predict({"text": "hi"}).json()["output"] == "hi"


def test_the_variable_overrules_cog_yaml(serve: Any) -> None:
    source = HELLO + "def other(text: str) -> str:\n    return text + '!'\n"
    server = serve(source, env={"COG_PREDICT_TYPE_STUB": "run.py:other"})
    assert server.predict({"text": "hi"}).json()["output"] == "hi!"


def on_a_terminal(folder: Path, env: Mapping[str, str]) -> str:
    """What a person sees until the model is ready and Ctrl-C was pressed."""
    ours, theirs = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k not in (*CLEARED, "NO_COLOR")} | {
        "PORT": "0",
        "TERM": "xterm",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "cog.server.http", "--threads", "1", "--host", "127.0.0.1"],
        cwd=folder, env=environment | dict(env), stderr=theirs, stdin=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    try:
        while b"workers" not in seen:
            seen += os.read(ours, 4096)
        process.send_signal(2)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return seen.decode()


def test_a_terminal_gets_readable_lines(tmp_path: Path) -> None:
    write_model(tmp_path, HELLO)
    coloured = on_a_terminal(tmp_path, {})
    assert "\x1b[" in coloured
    plain = on_a_terminal(tmp_path, {"NO_COLOR": "1"})
    assert "\x1b[" not in plain
    assert re.search(r"^\d\d:\d\d:\d\d INFO +listening on http://127\.0\.0\.1:\d+", plain)


def test_every_line_of_the_log_is_json(serve: Any) -> None:
    server: Server = serve(
        "class Runner:\n    def run(self) -> int:\n        print('a\\nb')\n        raise ValueError('x')\n"
    )
    server.predict()
    server.wait_log("ValueError: x")
    assert len(server.lines) == len(server.log.splitlines())
    for line in server.lines:
        assert list(line) == ["timestamp", "level", "fields", "target"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["timestamp"])
        assert line["target"].startswith("cog.")


TYPES = """
from typing import Any, Literal, Optional
from cog import BaseModel, BaseRunner, File, Input, Path, Secret

class Result(BaseModel):
    name: str
    file: Optional[Path]

class Runner(BaseRunner):
    def run(self, a: str, b: int = Input(ge=1, le=9), c: float = 1.5, d: bool = False, e: Optional[Path] = None,
            f: Optional[Secret] = None, g: list[str] = [], h: Optional[int] = None, i: dict = {}, j: Any = None,
            k: Literal["x", "y"] = "x", l: str = Input(default="m", choices=["m", "n"]), m: Optional[File] = None) -> Result:
        return Result(name=a, file=None)
"""


def test_the_openapi_document_is_valid_and_says_what_is_accepted(serve: Any) -> None:
    server: Server = serve(TYPES)
    document = server.get("/openapi.json").json()
    validate(document)
    inputs = document["components"]["schemas"]["Input"]
    assert inputs["required"] == ["a", "b"]
    assert list(inputs["properties"]) == list("abcdefghijklm")
    assert inputs["properties"]["b"] == {
        "title": "B",
        "type": "integer",
        "minimum": 1,
        "maximum": 9,
        "x-order": 1,
    }
    assert server.predict({"a": "n", "b": 3}).json()["output"] == {"name": "n", "file": None}


def test_no_document_before_the_model_is_known(serve: Any) -> None:
    server: Server = serve("import does_not_exist\n", ready="the model is SETUP_FAILED")
    answer = server.get("/openapi.json")
    assert answer.status == 503
    assert answer.json()["error"].startswith("OpenAPI schema not available")
    assert "ModuleNotFoundError: No module named 'does_not_exist'" in server.health()["setup"]["logs"]


def test_discovery_and_docs(serve: Any) -> None:
    server: Server = serve(HELLO)
    found = server.get("/").json()
    assert found["predictions_idempotent_url"] == "/predictions/{prediction_id}"
    page = server.get(found["docs_url"])
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "script-src 'sha256-" in page.headers["content-security-policy"]
    assert not re.search(rb"(src|href)=\"(https?:)?//", page.body)
    assert request(server.url + "/nothing").json()["status"] == "failed"
