"""Whatever a model raises, wherever: its prediction fails with that, and nothing else does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.models import ASYNC, SYNC, WAITING
from support.serving import Server

GENERATOR = (
    WAITING
    + """
import textwrap
from typing import Any, Iterator
from cog import BaseRunner

class Runner(BaseRunner):
    def run(self, code: str) -> Iterator[Any]:
        names = {**globals(), "self": self}
        exec("def act():\\n" + textwrap.indent(textwrap.dedent(code), "    "), names)
        return names["act"]()
"""
)
ASYNC_GENERATOR = (
    WAITING
    + """
import textwrap
from typing import Any, AsyncIterator
from cog import BaseRunner

class Runner(BaseRunner):
    async def run(self, code: str) -> AsyncIterator[Any]:
        names = {**globals(), "self": self}
        exec("async def act():\\n" + textwrap.indent(textwrap.dedent(code), "    "), names)
        chunks = names["act"]()
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            await chunks.aclose()
"""
)
SOURCES = {"sync": SYNC, "generator": GENERATOR, "async": ASYNC, "async generator": ASYNC_GENERATOR}
FINE = {"sync": "print('p'); out = 42", "async": "print('p'); return 42"}
_servers: dict[str, Server] = {}


@pytest.fixture(scope="module")
def servers(serve_once: Any) -> Iterator[dict[str, Server]]:
    yield _servers
    _servers.clear()


class Unharmed:
    """A model of one kind; afterwards its next prediction is right, in the same worker, and our log has no error."""

    def __init__(self, server: Server, kind: str) -> None:
        self.server = server
        self.kind = kind
        self._worker = server.workers()
        self._line = len(server.lines)

    def need(self, version: tuple[int, int], what: str) -> None:
        """Skip the test when the model's Python is older than `version`."""
        code = "[*sys.version_info[:2]]"
        code = (
            f"out = {code}"
            if self.kind == "sync"
            else f"{'return' if self.kind == 'async' else 'yield'} {code}"
        )
        output = self.server.predict({"code": f"import sys; {code}"}).json()["output"]
        if tuple(output[0] if "generator" in self.kind else output) < version:
            pytest.skip(f"{what} came with Python {version[0]}.{version[1]}")

    def failed(self, code: str, error: str) -> Any:
        answer = self.server.predict({"code": code})
        prediction = answer.json()
        assert (answer.status, prediction["status"]) == (200, "failed"), prediction
        assert prediction["error"].startswith(error), prediction["error"][:500]
        return prediction

    def check(self) -> None:
        answer = self.server.predict({"code": FINE.get(self.kind, "print('p'); yield 42")}).json()
        output = 42 if self.kind in FINE else [42]
        assert (answer["status"], answer["output"], answer["logs"]) == ("succeeded", output, "p\n"), answer
        assert self.server.workers() == self._worker
        told = [
            line for line in self.server.lines[self._line :] if line["level"] in ("WARN", "WARNING", "ERROR")
        ]
        assert told == []


@pytest.fixture
def model(request: pytest.FixtureRequest, servers: dict[str, Server], serve_once: Any) -> Iterator[Unharmed]:
    kind = request.param
    if kind not in servers:
        servers[kind] = serve_once(SOURCES[kind])
    unharmed = Unharmed(servers[kind], kind)
    yield unharmed
    unharmed.check()


def every(*kinds: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("model", kinds or list(SOURCES), indirect=True)


STRANGE = "class Strange(Exception):\n    def __str__(self): {}\nraise Strange()"
RAISED = {
    "exit": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "recursion": ("def f(): f()\nf()", "RecursionError"),
    "an impossible size": ("'x' * 2**60", "MemoryError"),
    "generator exit": ("raise GeneratorExit", "GeneratorExit"),
    "a cancel of its own": ("import cog; raise cog.CancelationException('mine')", "CancelationException: mine"),
    "asyncio's cancel": ("import asyncio; raise asyncio.CancelledError", "CancelledError"),
    "asyncio's timeout": ("import asyncio; raise asyncio.TimeoutError('cancelled')", "TimeoutError: cancelled"),
    "9 MB": ("raise ValueError('x' * 9_000_000)", "ValueError: xxx"),
    "9 MB from __str__": (STRANGE.format("return 'y' * 9_000_000"), "Strange: yyy"),
    "__str__ raises": (STRANGE.format("raise ValueError"), "Strange: (its text cannot be had: ValueError"),
    "__str__ exits": (STRANGE.format("raise SystemExit(4)"), "Strange: (its text cannot be had: SystemExit"),
    "__str__ is no text": (STRANGE.format("return 5"), "Strange: (its text cannot be had: TypeError"),
    "a lone surrogate": ("raise ValueError('a\\ud800b')", "ValueError: a\ufffdb"),
    "no module": ("E = type('E', (Exception,), {'__module__': None}); raise E('x')", "E: x"),
    "a circle of causes": ("a, b = ValueError('a'), ValueError('b')\na.__cause__, b.__cause__ = b, a\nraise a", "ValueError: a"),
    "5,000 causes": (
        "last = None\nfor n in range(5000):\n    e = ValueError(str(n)); e.__cause__ = last; last = e\nraise last",
        "ValueError: 4999",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", RAISED)
@every()
def test_what_it_raises_fails_that_prediction(model: Unharmed, what: str) -> None:
    code, error = RAISED[what]
    if "generator" in model.kind:
        code = "yield 'chunk'\n" + code
    prediction = model.failed("print('before')\n" + code, error)
    assert len(prediction["error"]) < 70_000
    assert prediction["logs"].startswith("before\n")
    assert prediction["logs"].count("cog/worker") == 0
    assert prediction["output"] == (["chunk"] if "generator" in model.kind else None)


@every()
def test_a_deep_group_of_exceptions(model: Unharmed) -> None:
    model.need((3, 11), "ExceptionGroup")
    code = "e = ValueError('innermost')\nfor n in range(1500): e = ExceptionGroup('g', [e])\nraise e"
    model.failed(
        code if "generator" not in model.kind else f"yield 1\n{code}", "ExceptionGroup: g (1 sub-exception)"
    )


STOPS = {
    "sync": ("raise StopIteration(5)", "StopIteration: 5"),
    "generator": ("yield 1\nraise StopIteration", "RuntimeError: generator raised StopIteration"),
    "async": ("raise StopIteration", "RuntimeError: coroutine raised StopIteration"),
    "async generator": (
        "yield 1\nraise StopAsyncIteration",
        "RuntimeError: async generator raised StopAsyncIteration",
    ),
}


@every()
def test_a_stop_iteration_is_not_the_end_of_a_stream(model: Unharmed) -> None:
    model.failed(*STOPS[model.kind])


@every("sync")
def test_a_stack_of_a_million_frames_is_told_quickly(model: Unharmed) -> None:
    model.need((3, 11), "Python calls without a C stack")
    code = (
        "import sys\nsys.setrecursionlimit(300_000)\ndef f(): return f()\n"
        "try:\n    f()\nfinally:\n    sys.setrecursionlimit(1000)"
    )
    prediction = model.failed(code, "RecursionError")
    assert len(prediction["logs"]) < 100_000


@every("sync")
def test_a_memory_limit_of_its_own(model: Unharmed) -> None:
    code = (
        "import resource\nold = resource.getrlimit(resource.RLIMIT_AS)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**29, old[1]))\n"
        "try:\n    bytearray(2**30)\nfinally:\n    resource.setrlimit(resource.RLIMIT_AS, old)"
    )
    model.failed(code, "MemoryError")


@every("generator", "async generator")
def test_a_chunk_that_is_no_json_ends_the_generator_in_its_own_prediction(model: Unharmed) -> None:
    code = "try:\n    yield 1\n    yield float('nan')\nfinally:\n    print('cleaned up')"
    prediction = model.failed(code, "OutputError: output is NaN")
    assert prediction["output"] == [1]
    assert prediction["logs"].startswith("cleaned up\n")


@every("generator")
def test_a_generator_that_ignores_its_end(model: Unharmed) -> None:
    code = "while True:\n    try:\n        yield object()\n    except GeneratorExit:\n        print('no')"
    prediction = model.failed(code, "OutputError: output is an object of class object")
    assert prediction["logs"].startswith("no\n")
    assert "generator ignored GeneratorExit" in prediction["logs"]


@every("generator", "async generator")
def test_a_generator_that_yields_while_it_fails(model: Unharmed) -> None:
    code = "try:\n    yield 1\n    raise ValueError('x')\nfinally:\n    yield 2"
    assert model.failed(code, "ValueError: x")["output"] == [1, 2]


CHILDREN = {
    "awaited": ("await asyncio.create_task(child())", None),
    "gathered": ("await asyncio.gather(child(), asyncio.sleep(10))", None),
    "forgotten": ("t = asyncio.create_task(child()); await asyncio.wait([t]); return 1", 1),
    "a callback": (
        "asyncio.get_running_loop().call_soon(sys.exit, 3); await asyncio.sleep(0.01); return 1",
        1,
    ),
    "in a thread": ("return await asyncio.to_thread(lambda: 1)", 1),
    "in a plain thread": (
        "t = threading.Thread(target=sys.exit, args=(3,)); t.start(); t.join(); return 1",
        1,
    ),
}


@pytest.mark.parametrize("raised", ["sys.exit(3)", "raise KeyboardInterrupt"])
@pytest.mark.parametrize("how", CHILDREN)
@every("async")
def test_a_child_that_exits_ends_nobody_else(model: Unharmed, how: str, raised: str) -> None:
    code, output = CHILDREN[how]
    code = f"import asyncio, sys, threading\nasync def child(): {raised}\n{code}"
    if output is None:
        prediction = model.failed(code, "SystemExit: 3" if "exit" in raised else "KeyboardInterrupt")
        assert "base_events" not in prediction["logs"]
    else:
        assert model.server.predict({"code": code}).json()["output"] == output


@every("async")
def test_a_model_that_stops_the_loop_or_cancels_everything(model: Unharmed) -> None:
    stop = "asyncio.get_running_loop().stop(); await asyncio.sleep(0.01); return 1"
    assert model.server.predict({"code": stop}).json()["output"] == 1
    model.failed("[t.cancel() for t in asyncio.all_tasks()]; await asyncio.sleep(5)", "CancelledError")


@every("async")
def test_a_task_factory_that_fails_is_named(model: Unharmed) -> None:
    code = """
        loop = asyncio.get_running_loop()
        async def repair():
            await held("repair")
            loop.set_task_factory(None)
            mark("repaired")
        self.repair = asyncio.create_task(repair())
        loop.set_task_factory(lambda *a, **k: 1 / 0)
    """
    assert model.server.predict({"code": code}).json()["status"] == "succeeded"
    model.failed("return 2", "ZeroDivisionError: division by zero")
    (model.server.folder / "repair").touch()
    model.server.wait_file("repaired")


@every("async")
def test_eager_tasks(model: Unharmed) -> None:
    model.need((3, 12), "eager tasks")
    code = "asyncio.get_running_loop().set_task_factory({})"
    model.server.predict({"code": code.format("asyncio.eager_task_factory")})
    assert model.server.predict({"code": "return 1"}).json()["output"] == 1
    assert model.server.predict({"code": "await asyncio.sleep(0.01); return 2"}).json()["output"] == 2
    model.failed("await asyncio.sleep(0); raise ValueError('x')", "ValueError: x")
    model.server.predict({"code": code.format("None")})
