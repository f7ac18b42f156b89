"""curl, as people type it: a stream without buffers, and a file that is sent ahead."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.hosted import YIELDS
from support.serving import DEADLINE, Server
from support.steps import body, fresh, let_go

CURL = shutil.which("curl")


@pytest.fixture(scope="module")
def server(serve_once: Any) -> Server:
    if CURL is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("there is no curl")
    made: Server = serve_once(YIELDS)
    return made


def curl(*arguments: str | Path) -> str:
    return subprocess.run(
        ["curl", "-sS", *arguments], check=True, capture_output=True, text=True, timeout=DEADLINE
    ).stdout


def test_a_stream_is_read_as_it_comes(server: Server) -> None:
    name = fresh()
    sent = json.dumps({"input": body("yield 'a'\ngate($name)\nyield 'b'", name=name)})
    command = ["curl", "-sSN", f"{server.url}/predictions", "-H", "Accept: text/event-stream", "--json", sent]
    # --json asks for JSON too: of two that are liked the same it is the events.
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        seen = [process.stdout.readline() for _ in range(7)]
        let_go(server, name)
        seen += process.stdout.readlines()
        assert process.wait(DEADLINE) == 0
    events = [line.removeprefix("event: ").strip() for line in seen if line.startswith("event: ")]
    assert events == ["start", "output", "output", "completed"]
    assert '"chunk":"a"' in "".join(seen[:7])


def test_the_other_stream_is_read_as_it_comes(server: Server) -> None:
    name = fresh()
    sent = json.dumps({"input": body("yield 'a'\ngate($name)\nyield 'b'", name=name)})
    created = json.loads(curl("--json", sent, f"{server.url}/v1/predictions"))
    with subprocess.Popen(
        ["curl", "-sSN", created["urls"]["stream"]], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert next(line for line in lines if line.startswith("data: ")) == "data: a\n"
        let_go(server, name)
        assert [line for line in lines if line.startswith("data: ")] == ["data: b\n", "data: {}\n"]
        assert process.wait(DEADLINE) == 0


def test_a_form_is_a_file(server: Server, tmp_path: Path) -> None:
    (tmp_path / 'a "b".txt').write_text("abc")
    path = str(tmp_path / 'a "b".txt').replace('"', r"\"")
    form = ["-F", f'content=@"{path}"', "-F", 'metadata={"of": "me"};type=application/json']
    file = json.loads(curl(*form, f"{server.url}/v1/files"))
    assert (file["name"], file["size"], file["content_type"]) == ('a "b".txt', 3, "text/plain")
    assert file["metadata"] == {"of": "me"}
    assert json.loads(curl(file["urls"]["get"])) == file
    assert curl("-X", "DELETE", file["urls"]["get"]) == ""
