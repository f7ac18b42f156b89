"""Large data URLs over HTTP: what they cost, and that they mean what small ones mean, wherever they stand."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.ending import processes_in
from support.serving import Server

MODEL = """
    import hashlib
    from typing import Any, Optional, Union
    from cog import BaseRunner, Path, Secret

    def seen(value):
        if isinstance(value, Path):
            return ["file", value.suffix, hashlib.sha256(value.read_bytes()).hexdigest()]
        if isinstance(value, dict):
            return {name: seen(item) for name, item in value.items()}
        return [seen(item) for item in value] if isinstance(value, list) else value and value[-20:]

    class Runner(BaseRunner):
        def run(
            self, one: Optional[Path] = None, many: list[Path] = [], text: str = "", either: Union[int, Path, None] = None,
            any: Any = None, secret: Secret = None,
        ) -> Any:
            given = {"one": one, "many": many, "text": text, "either": either, "any": any}
            return seen({name: value for name, value in given.items() if value}) | (
                {"secret": secret.get_secret_value()[-20:]} if secret else {}
            )
"""

ECHO = """
    from cog import BaseRunner, Path

    class Runner(BaseRunner):
        def run(self, file: Path) -> Path:
            return file
"""

CONTENT = os.urandom(200_000)
LETTERS = base64.b64encode(CONTENT).decode()
URL = f"data:image/png;base64,{LETTERS}"
SEEN = "data:image/png;base64,... (195.3 KiB)"


@pytest.fixture(scope="module")
def server(serve_once: Callable[..., Server]) -> Server:
    return serve_once(MODEL)


@pytest.fixture(scope="module")
def file(server: Server) -> Any:
    """What the model says of the file."""
    return server.predict({"one": URL}).json()["output"]["one"]


def test_a_file_is_shown_short(server: Server, file: Any) -> None:
    assert file[:2] == ["file", ".png"]
    answer = server.predict({"one": URL, "many": [URL, "data:,x", URL], "text": "x" * 5000}).json()
    assert answer["status"] == "succeeded", answer
    assert answer["output"]["one"] == file
    assert [item[1] for item in answer["output"]["many"]] == [".png", ".txt", ".png"]
    assert answer["input"] == {"one": SEEN, "many": [SEEN, "data:,x", SEEN], "text": "x" * 5000}


@pytest.mark.parametrize("name", ["text", "any"])
def test_what_is_no_file_stays_as_it_is(server: Server, file: Any, name: str) -> None:
    answer = server.predict({name: URL, "one": URL}).json()
    assert answer["output"] == {"one": file, name: URL[-20:]}
    assert answer["input"] == {"one": SEEN, name: SEEN}


def test_a_secret_stays_as_it_is(server: Server) -> None:
    answer = server.predict({"secret": URL}).json()
    assert (answer["output"], answer["input"]) == ({"secret": URL[-20:]}, {"secret": "**********"})


def test_a_file_of_a_union(server: Server, file: Any) -> None:
    answer = server.predict({"either": URL, "any": {"deep": [URL]}}).json()
    assert answer["output"] == {"either": file, "any": {"deep": [URL[-20:]]}}


def test_the_last_of_two_of_the_same_name_counts(server: Server, file: Any) -> None:
    for first, last in ((URL, "data:,x"), ("data:,x", URL)):
        body = f'{{"input":{{"one":{json.dumps(first)},"one":{json.dumps(last)}}}}}'.encode()
        answer = server.call("POST", "/predictions", body=body, headers={"content-type": "application/json"})
        assert (answer.json()["output"]["one"] == file) is (last == URL)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (URL[:-9] + "!" + URL[-8:], f"'!' at position {len(LETTERS) - 9}"),
        (URL + "=", "padding"),
        (URL.replace("image/png", "image png"), "media type"),
    ],
)
def test_what_is_wrong_is_told_of_what_was_sent(server: Server, url: str, says: str) -> None:
    answer = server.predict({"one": url, "many": [URL, 7]})
    assert answer.status == 422
    told = {tuple(problem["loc"]): problem["msg"] for problem in answer.json()["detail"]}
    assert set(told) == {("body", "input", "one"), ("body", "input", "many", 1)}
    assert says in told["body", "input", "one"]


def test_other_fields_are_read_from_what_was_sent(server: Server) -> None:
    answer = server.predict({"one": URL}, fields={"id": 5, "webhook": URL})
    assert {tuple(problem["loc"]) for problem in answer.json()["detail"]} == {("body", "id")}
    answer = server.predict({"one": URL}, fields={"webhook": URL})
    assert {tuple(problem["loc"]) for problem in answer.json()["detail"]} == {("body", "webhook")}
    body = b'{"input":{"one":"%b"},}' % URL.encode()
    answer = server.call("POST", "/predictions", body=body, headers={"content-type": "application/json"})
    assert answer.status == 400
    assert f"byte {len(body) - 1}" in answer.json()["error"]


def memory(pid: int, field: str) -> int:
    found = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read as Linux tells it")
def test_what_32_mib_in_and_out_take(serve: Callable[..., Server]) -> None:
    """The body of the request is four thirds of the file, and so is that of the answer; each may be there twice for a moment,
    or beside the file, and no more."""
    server = serve(ECHO)
    for _ in range(3):
        server.predict({"file": "data:,small"})
    pids = processes_in(server.folder)
    assert server.process.pid in pids
    assert len(pids) >= 2  # a worker
    idle = {pid: memory(pid, "VmRSS") for pid in pids}
    content = os.urandom(32 << 20)
    url = f"data:application/octet-stream;base64,{base64.b64encode(content).decode()}"
    answer = server.predict({"file": url})
    taken = {pid: memory(pid, "VmHWM") - idle[pid] for pid in pids}
    assert answer.json()["output"] == url
    assert taken[server.process.pid] < 4 * len(content)
    assert sum(taken.values()) < 4 * len(content)
