"""Every type of an input and of an output, over HTTP, with annotations as values and as text."""

from __future__ import annotations

from typing import Any

import pytest

from support.serving import Server

INPUTS = """
from typing import Any, Dict, List, Literal, Optional, Union
import pathlib
from cog import BaseRunner, File, Input, Path, Secret

class Runner(BaseRunner):
    def run(
        self,
        text: str = "t",
        whole: int = 1,
        number: float = 1.0,
        flag: bool = False,
        path: Optional[Path] = None,
        plain_path: Optional[pathlib.Path] = None,
        file: Optional[File] = None,
        key: Optional[Secret] = None,
        texts: list[str] = [],
        paths: List[Path] = [],
        maybe: Optional[int] = 3,
        either: Union[str, int, None] = None,
        things: dict = {},
        typed: Dict[str, int] = {},
        anything: Any = None,
        chosen: str = Input(default="a", choices=["a", "b"]),
        literal: Literal["x", 2] = "x",
    ) -> dict:
        values = {k: v for k, v in locals().items() if k != "self"}
        for name in ("path", "plain_path"):
            if values[name] is not None:
                values[name] = [type(values[name]).__name__, values[name].read_text()]
        if file is not None:
            values["file"] = ["file", file.read().decode()]
        if key is not None:
            values["key"] = len(key.get_secret_value())
        values["paths"] = [p.read_text() for p in paths]
        return {k: [type(v).__name__, v] for k, v in values.items()}
"""

HI = "data:text/plain;base64,aGk="
CASES: list[tuple[str, Any, list[Any]]] = [
    ("text", "é\u0000", ["str", "é\u0000"]),
    ("whole", 2.0, ["int", 2]),
    ("whole", 2**70, ["int", 2**70]),
    ("number", 3, ["float", 3.0]),
    ("flag", True, ["bool", True]),
    ("path", HI, ["list", ["Path", "hi"]]),
    ("plain_path", HI, ["list", ["Path", "hi"]]),
    ("file", HI, ["list", ["file", "hi"]]),
    ("key", "word", ["int", 4]),
    ("key", None, ["NoneType", None]),
    ("texts", ["a", "b"], ["list", ["a", "b"]]),
    ("paths", [HI, "data:,yo"], ["list", ["hi", "yo"]]),
    ("maybe", None, ["NoneType", None]),
    ("either", 5, ["int", 5]),
    ("either", "s", ["str", "s"]),
    ("things", {"z": [1], "a": {"b": None}}, ["dict", {"z": [1], "a": {"b": None}}]),
    ("typed", {"n": 4.0}, ["dict", {"n": 4}]),
    ("anything", [{"deep": [1, 2.5, None]}], ["list", [{"deep": [1, 2.5, None]}]]),
    ("chosen", "b", ["str", "b"]),
    ("literal", 2, ["int", 2]),
]
REFUSED: list[tuple[str, Any]] = [
    ("text", 5), ("whole", 1.5), ("whole", True), ("whole", "2"), ("number", "1"), ("flag", 1), ("path", "/etc/hostname"),
    ("plain_path", ""), ("file", "file:///x"), ("key", 5), ("texts", "a"), ("texts", [1]), ("paths", [HI, "x"]),
    ("maybe", "3"), ("either", 1.5), ("things", []),  ("chosen", "c"), ("literal", "2"),
    ("text", None),
]  # fmt: skip


@pytest.fixture(scope="module", params=["", "from __future__ import annotations\n"], ids=["values", "text"])
def server(request: pytest.FixtureRequest, serve_once: Any) -> Server:
    served: Server = serve_once(request.param + INPUTS)
    return served


@pytest.mark.parametrize(
    ("name", "value", "seen"), CASES, ids=[f"{name}-{n}" for n, (name, *_) in enumerate(CASES)]
)
def test_an_input_arrives_as_declared(server: Server, name: str, value: Any, seen: list[Any]) -> None:
    answer = server.predict({name: value}).json()
    assert answer["status"] == "succeeded", answer
    assert answer["output"][name] == seen


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_a_wrong_input_is_refused_and_named(server: Server, name: str, value: Any) -> None:
    answer = server.predict({name: value})
    assert answer.status == 422
    assert answer.json()["detail"][0]["loc"][:3] == ["body", "input", name]


def test_all_wrong_inputs_at_once(server: Server) -> None:
    answer = server.predict({"text": 1, "whole": "x", "texts": ["a", 2]})
    assert [problem["loc"] for problem in answer.json()["detail"]] == [
        ["body", "input", "text"],
        ["body", "input", "whole"],
        ["body", "input", "texts", 1],
    ]


OUTPUTS: dict[str, tuple[str, Any]] = {
    "cog model": (
        "class Out(cog.BaseModel):\n    a: int\n    b: Optional[str]\ndef run() -> Out:\n    return Out(a=1, b=None)\n",
        {"a": 1, "b": None},
    ),
    "pydantic": (
        "import pydantic\nclass Out(pydantic.BaseModel):\n    a: int\n    b: list[str] = ['x']\ndef run() -> Out:\n    return Out(a=1)\n",
        {"a": 1, "b": ["x"]},
    ),
    "dataclass": (
        "import dataclasses\n@dataclasses.dataclass\nclass Out:\n    a: int\n    p: cog.Path\n"
        "def run() -> Out:\n    open('f.txt', 'w').write('hi')\n    return Out(1, cog.Path('f.txt'))\n",
        {"a": 1, "p": HI},
    ),
    "list of records": (
        "class Out(cog.BaseModel):\n    a: int\ndef run() -> List[Out]:\n    return [Out(a=1), Out(a=2)]\n", [{"a": 1}, {"a": 2}],
    ),
    "any": ("def run() -> Any:\n    return {'k': (1, {2}, None)}\n", {"k": [1, [2], None]}),
    "none": ("def run() -> Any:\n    return None\n", None),
    "dict": ("def run() -> Dict[str, float]:\n    return {'z': 1.5, 'a': 2}\n", {"z": 1.5, "a": 2}),
}  # fmt: skip


@pytest.mark.parametrize("what", OUTPUTS)
def test_an_output_arrives_as_json(serve: Any, what: str) -> None:
    source, expected = OUTPUTS[what]
    server: Server = serve(
        "import cog\nfrom typing import Any, Dict, List, Optional\n" + source, config='run: "run.py:run"\n'
    )
    answer = server.predict().json()
    assert (answer["status"], answer["output"]) == ("succeeded", expected), answer
    assert server.get("/openapi.json").status == 200
