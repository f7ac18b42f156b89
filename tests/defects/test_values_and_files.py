"""Inputs arrive as they were declared, outputs leave as they were made, and no file stays behind."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from support.receiving import Incoming, Reply, receiving
from support.serving import Server, until

Served = Callable[..., Server]


def files_below(folder: Path) -> set[str]:
    return {str(Path(root, name)) for root, _, names in os.walk(folder) for name in names}


OUTPUTS = """
import io, pathlib
from typing import Any
from cog import BaseRunner, Path

class Runner(BaseRunner):
    def run(self, kind: str) -> Any:
        if kind == "file":
            pathlib.Path("out.bin").write_bytes(b"x" * 1000)
            return [Path("out.bin")]
        if kind == "large":
            return "x" * 7_000_000
        return io.BytesIO(b"y" * 1000)
"""


def test_j6_nothing_of_a_prediction_stays_on_the_disk(served: Served, tmp_path: Path) -> None:
    home = tmp_path / "temporary"
    home.mkdir()
    server = served(OUTPUTS, env={"TMPDIR": str(home)})

    def run_all() -> None:
        for kind in ("file", "large", "handle"):
            for _ in range(3):
                status = server.predict({"kind": kind}).json()["status"]
                assert status == "succeeded" or kind == "handle"

    def known() -> set[str]:
        return {name for root, folders, names in os.walk(home) for name in folders + names}

    run_all()
    before = known()
    run_all()
    until(lambda: len(known()), lambda count: count <= len(before), timeout=5)
    assert not [name for name in files_below(home) if os.lstat(name).st_size > 5_000_000]


ECHO = """
from typing import Any
from cog import BaseRunner

class Runner(BaseRunner):
    def run(self, s: str = "default") -> str:
        return s
"""


def test_j14_a_body_without_a_type_is_read(served: Served) -> None:
    server = served(ECHO)
    connection = json.dumps({"input": {"s": "q"}}).encode()
    answer = server.call("POST", "/predictions", body=connection)
    assert (answer.status, answer.json()["output"]) == (200, "q")
    assert server.call("POST", "/predictions", ["q"]).status == 422


TYPED = """
import pathlib
from typing import Any, List
from cog import BaseRunner, Input, Path, Secret

def kind(value):
    if isinstance(value, list):
        return [kind(item) for item in value]
    return "Path" if isinstance(value, pathlib.Path) else type(value).__name__

class Runner(BaseRunner):
    def run(
        self,
        p: Path = Path(__file__),
        s: Secret = Secret("default"),
        ps: List[Path] = Input(default=[]),
        plain: pathlib.Path = Input(default=None),
        secrets: List[Secret] = Input(default=[]),
    ) -> Any:
        return [kind(p), s.get_secret_value(), kind(ps), kind(plain), kind(secrets)]
"""


def test_j20_declared_types_are_what_the_model_gets(served: Served) -> None:
    server = served(TYPED)
    assert server.predict({}).json()["output"][:2] == ["Path", "default"]
    with receiving(lambda _: Reply(body=b"content")) as web:
        url = f"{web.url}/a.txt"
        given = {
            "p": url.replace("http:", "HTTP:"),
            "ps": [url, "data:text/plain,x"],
            "plain": url,
            "secrets": ["a"],
        }
        answer = server.predict(given).json()
        assert answer["output"] == ["Path", "default", ["Path", "Path"], "Path", ["Secret"]]
    for wrong in ("/etc/hostname", "", "file:///etc/hostname"):
        assert server.predict({"p": wrong}).status == 422


JSON = {"content-type": "application/json"}

NUMBERS = """
from typing import Any
from cog import BaseRunner

class Runner(BaseRunner):
    def run(self, n: int) -> Any:
        return [type(n).__name__, n, 2 ** 70]
"""


def test_j21_numbers_stay_what_they_are(served: Served) -> None:
    server = served(NUMBERS)
    answer = server.call("POST", "/predictions", body=b'{"input": {"n": 2.0}}', headers=JSON)
    assert answer.json()["output"][:2] == ["int", 2]
    assert b'["int",2,1180591620717411303424]' in answer.body
    for number in (2**70, -(2**80), 10**300):
        assert server.predict({"n": number}).json()["output"] == ["int", number, 2**70]
    assert server.predict({"n": 1.5}).status == 422


SCORES = """
from typing import Any
from cog import BaseRunner

class Runner(BaseRunner):
    def run(self, text: str) -> Any:
        return {"scores": [1.0, 2.0, 3.0, float(text)]}
"""


@pytest.mark.parametrize(("text", "shown"), [("nan", "NaN"), ("inf", "infinite"), ("-inf", "infinite")])
def test_j22_a_number_that_json_lacks_is_named_with_its_place(
    served_once: Served, text: str, shown: str
) -> None:
    server = served_once(SCORES)
    answer = server.predict({"text": text}).json()
    assert answer["status"] == "failed"
    assert f"output.scores[3] is {shown}" in answer["error"]


FETCHING = """
from typing import List
from cog import BaseRunner, Path

class Runner(BaseRunner):
    def run(self, files: List[Path]) -> List[str]:
        return [file.read_text() for file in files]
"""


def test_j25_failed_downloads_leave_nothing_and_passing_ones_are_tried_again(
    served: Served, tmp_path: Path
) -> None:
    home = tmp_path / "temporary"
    home.mkdir()
    tries: list[str] = []

    def answer(incoming: Incoming) -> Reply:
        if "missing" in incoming.target:
            return Reply(404)
        tries.append(incoming.target)
        return Reply(503) if "shaky" in incoming.target and len(tries) == 1 else Reply(body=b"content")

    with receiving(answer) as web:
        server = served(FETCHING, env={"TMPDIR": str(home)})
        assert server.predict({"files": [f"{web.url}/shaky"]}).json()["output"] == ["content"]
        before = len(files_below(home))
        for _ in range(3):
            files = [f"{web.url}/good", f"{web.url}/missing", f"{web.url}/good2"]
            assert server.predict({"files": files}).json()["status"] == "failed"
        until(lambda: len(files_below(home)), lambda count: count <= before, timeout=5)


TEXT_FILES = """
import io
from cog import BaseRunner, File

class Runner(BaseRunner):
    def run(self, kind: str) -> File:
        if kind == "string":
            return io.StringIO("text")
        with open("text.txt", "w") as file:
            file.write("text")
        return open("text.txt")
"""


@pytest.mark.filterwarnings("ignore")
def test_j27_text_files_are_outputs(served: Served) -> None:
    server = served(TEXT_FILES)
    for kind in ("string", "file"):
        answer = server.predict({"kind": kind}).json()
        assert answer["status"] == "succeeded", answer
        assert answer["output"].endswith(";base64,dGV4dA==")
