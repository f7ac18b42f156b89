"""Every shape that a model can have, over HTTP."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from support.serving import DEADLINE

TOP = """
import asyncio, threading
from typing import AsyncIterator, Iterator
from cog import (AsyncConcatenateIterator, BasePredictor, BaseRunner, ConcatenateIterator, Input, current_scope, concurrent)
"""

# Source, reference in cog.yaml, input, output.
SHAPES: dict[str, tuple[str, str, Any, Any]] = {
    "runner": (
        "class Runner(BaseRunner):\n    def setup(self):\n        self.n = 1\n    def run(self, x: int) -> int:\n        return x + self.n",
        "run.py:Runner", {"x": 1}, 2,
    ),
    "predictor": (
        "class Predictor(BasePredictor):\n    def predict(self, x: int) -> int:\n        return x + 1",
        "run.py:Predictor", {"x": 1}, 2,
    ),
    "no base": ("class Model:\n    def run(self, x: int = 5) -> int:\n        return x", "run.py:Model", {}, 5),
    "no name": ("class Runner:\n    def predict(self, x: int = 5) -> int:\n        return x", "run.py", {}, 5),
    "function": ("def run(text: str = Input(default='a')) -> str:\n    return text * 2", "run.py:run", {"text": "b"}, "bb"),
    "async function": ("async def go(text: str) -> str:\n    await asyncio.sleep(0)\n    return text", "run.py:go", {"text": "b"}, "b"),
    "generator": (
        "class Runner:\n    def run(self, n: int) -> Iterator[int]:\n        yield from range(n)", "run.py:Runner", {"n": 3}, [0, 1, 2],
    ),
    "generator of nothing": (
        "class Runner:\n    def run(self) -> Iterator[int]:\n        return iter(())", "run.py:Runner", {}, [],
    ),
    "concatenate": (
        "class Runner:\n    def run(self) -> ConcatenateIterator[str]:\n        yield 'a'\n        yield 'b'",
        "run.py:Runner", {}, ["a", "b"],
    ),
    "async": (
        "class Runner:\n    async def setup(self):\n        self.loop = asyncio.get_running_loop()\n"
        "    async def run(self) -> bool:\n        return asyncio.get_running_loop() is self.loop",
        "run.py:Runner", {}, True,
    ),
    "async generator": (
        "class Runner:\n    async def run(self, n: int) -> AsyncIterator[int]:\n        for i in range(n):\n            yield i",
        "run.py:Runner", {"n": 3}, [0, 1, 2],
    ),
    "async concatenate": (
        "class Runner:\n    async def run(self) -> AsyncConcatenateIterator[str]:\n        yield 'a'", "run.py:Runner", {}, ["a"],
    ),
    "async setup, sync run": (
        "class Runner:\n    async def setup(self):\n        await asyncio.sleep(0)\n        self.n = 7\n"
        "    def run(self) -> int:\n        return self.n",
        "run.py:Runner", {}, 7,
    ),
    "weights": (
        "class Runner(BaseRunner):\n    def setup(self, weights: str):\n        self.w = weights\n    def run(self) -> str:\n        return self.w",
        "run.py:Runner", {}, "some/where",
    ),
    "main thread": (
        "class Runner:\n    def run(self) -> bool:\n        return threading.current_thread() is threading.main_thread()",
        "run.py:Runner", {}, True,
    ),
    "context": (
        "class Runner(BaseRunner):\n    def run(self) -> dict:\n        return dict(current_scope().context)", "run.py:Runner", {}, {"who": "me"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("future", [False, True], ids=["", "annotations"])
@pytest.mark.parametrize("shape", SHAPES)
def test_shape(serve: Any, shape: str, future: bool) -> None:
    source, reference, given, expected = SHAPES[shape]
    head = "from __future__ import annotations\n" if future else ""
    server = serve(head + TOP + source, config=f'run: "{reference}"\n', env={"COG_WEIGHTS": "some/where"})
    for _ in range(2):
        answer = server.predict(given, fields={"context": {"who": "me"}}).json()
        assert (answer["status"], answer["output"]) == ("succeeded", expected), answer


def test_the_old_key_predict(serve: Any) -> None:
    source = TOP + "class Predictor(BasePredictor):\n    def predict(self) -> str:\n        return 'old'"
    server = serve(source, config='predict: "run.py:Predictor"\n')
    assert server.predict().json()["output"] == "old"
    server.wait_log('deprecated field \\"predict\\": use \\"run\\" instead')


MEETING = """
import asyncio, os
from cog import BaseRunner, concurrent

class Runner(BaseRunner):
    def setup(self):
        self.here = 0
        self.full = asyncio.Event()

    DECORATOR
    async def run(self, n: int) -> int:
        if n == 99:
            await asyncio.Event().wait()
        self.here += 1
        if self.here == n:
            self.full.set()
        await asyncio.wait_for(self.full.wait(), 20)
        return os.getpid()
"""


@pytest.mark.parametrize(
    ("decorator", "config", "variable", "slots"),
    [
        ("@concurrent(max=3)", "", {}, 3),
        ("@concurrent(max=3)", "concurrency:\n  max: 4\n", {}, 4),
        ("@concurrent(max=3)", "concurrency:\n  max: 4\n", {"COG_MAX_CONCURRENCY": "2"}, 2),
    ],
)
def test_slots_of_an_async_model(
    serve: Any, decorator: str, config: str, variable: dict[str, str], slots: int
) -> None:
    """So many meet in one process, and one more finds no place."""
    text = f'run: "run.py:Runner"\nbuild:\n  python_version: "3.11"\n{config}'
    server = serve(MEETING.replace("DECORATOR", decorator), config=text, env=variable)
    ids = [server.start_async({"n": slots}) for _ in range(slots - 1)]
    assert server.health()["status"] == "READY"
    answers: list[Any] = []
    last = threading.Thread(target=lambda: answers.append(server.predict({"n": slots}).json()))
    last.start()
    last.join(DEADLINE)
    pids = {server.wait_for(each)["output"] for each in ids} | {answers[0]["output"]}
    assert pids == set(server.workers())
    blocked = [server.start_async({"n": 99}) for _ in range(slots)]
    assert server.health()["status"] == "BUSY"
    refused = server.predict({"n": 99})
    assert (refused.status, refused.headers["retry-after"]) == (409, "1")
    for each in blocked:
        assert server.call("POST", f"/predictions/{each}/cancel").status == 200
        server.wait_for(each, "canceled")


IN_CONFIG = 'run: "run.py:Runner"\nbuild:\n  python_version: "3.11"\nconcurrency:\n  max: 4\n'


@pytest.mark.parametrize(
    ("config", "variable"),
    [(None, {"COG_MAX_CONCURRENCY": "2"}), (IN_CONFIG, {})],
    ids=["variable", "config"],
)
def test_concurrency_needs_an_async_model(serve: Any, config: str | None, variable: dict[str, str]) -> None:
    source = "class Runner:\n    def run(self) -> int:\n        return 1\n"
    server = serve(source, config=config, env=variable, ready="the model is SETUP_FAILED")
    setup = server.health()["setup"]
    assert setup["status"] == "failed"
    assert "an async run() or predict() is required" in setup["logs"]


def test_the_variable_wins_over_the_number_in_the_config(serve: Any) -> None:
    source = "class Runner:\n    def run(self) -> int:\n        return 1\n"
    server = serve(source, config=IN_CONFIG, env={"COG_MAX_CONCURRENCY": "1"})
    assert server.predict().json()["output"] == 1


WRONG = {
    "no annotation": ("def run(self, x) -> int: ...", ['parameter "x"', "annotation"]),
    "unsupported": ("def run(self, x: complex) -> int: ...", ['parameter "x"', "complex"]),
    "default out of bounds": (
        "def run(self, x: int = Input(default=9, le=5)) -> int: ...",
        ['parameter "x"', "9", "5"],
    ),
    "two at once": ("def run(self, x, y: complex) -> int: ...", ['parameter "x"', 'parameter "y"']),
    "star args": ("def run(self, *names: str) -> int: ...", ["names"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_signature_fails_setup_and_says_what_to_write(serve: Any, case: str) -> None:
    method, said = WRONG[case]
    server = serve(f"from cog import Input\nclass Runner:\n    {method}\n", ready="the model is SETUP_FAILED")
    health = server.health()
    assert health["status"] == "SETUP_FAILED"
    logs = health["setup"]["logs"]
    assert "run.py:3" in logs
    for text in said:
        assert text in logs, logs
    refused = server.predict()
    assert refused.status == 503
    assert "setup failed" in refused.json()["error"]
