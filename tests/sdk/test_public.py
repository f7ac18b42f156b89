from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any, get_args, get_origin

import pytest

import cog
from cog import BasePredictor, BaseRunner, CancelationException, FieldInfo, Input, concurrent, streaming

NAMES = [
    "__version__",
    "BaseRunner",
    "BasePredictor",
    "BaseModel",
    "Opaque",
    "Input",
    "FieldInfo",
    "Path",
    "Secret",
    "File",
    "URLFile",
    "URLPath",
    "ConcatenateIterator",
    "AsyncConcatenateIterator",
    "CancelationException",
    "current_scope",
    "current_batch",
    "batch",
    "streaming",
    "concurrent",
    "ExperimentalFeatureWarning",
    "emit_metric",
]


def run(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)


def test_the_public_names() -> None:
    assert sorted(cog.__all__) == sorted(NAMES)
    for name in NAMES:
        assert getattr(cog, name) is not None
    with pytest.raises(AttributeError, match="nothing_such"):
        cog.nothing_such  # noqa: B018


def test_deprecated_names_are_noted_once_and_only_when_used() -> None:
    assert run("import cog").stderr == ""
    result = run("from cog import emit_metric\nimport cog\ncog.emit_metric('a', 1)\ncog.emit_metric('a', 1)")
    assert result.stderr.count("deprecated") == 1
    assert result.stderr.startswith("DeprecationWarning: ")
    result = run("from cog import ExperimentalFeatureWarning as w; print(issubclass(w, FutureWarning))")
    assert result.stdout == "True\n"


def test_import_loads_nothing_slow() -> None:
    loaded = run("import sys, cog; print(*sys.modules)").stdout.split()
    assert not {"asyncio", "http.client", "ssl", "json", "tempfile", "cog.settings"} & set(loaded)


def test_input_keeps_what_it_is_told() -> None:
    info: Any = Input(5, description="d", ge=1, le=9, choices=[1, 5], deprecated=True)
    assert info == FieldInfo(default=5, description="d", ge=1, le=9, choices=[1, 5], deprecated=True)
    assert Input().required
    assert Input().default is None
    assert Input(...).required
    assert not Input(None).required
    with pytest.raises(AttributeError):
        info.ge = 2
    with pytest.raises(TypeError, match="default_factory"):
        Input(default_factory=list)


def test_decorators_return_the_function() -> None:
    def plain() -> None: ...

    async def late() -> None: ...

    async def agen() -> AsyncIterator[int]:
        yield 1

    assert streaming(plain) is plain
    assert streaming()(plain) is plain
    assert plain.__cog_streaming__ is True  # type: ignore[attr-defined]
    assert concurrent(late, max=3) is late
    assert concurrent(max=4)(agen) is agen
    assert (late.__cog_concurrent_max__, agen.__cog_concurrent_max__) == (3, 4)  # type: ignore[attr-defined]
    assert concurrent(plain) is plain
    wrongs: list[Any] = [True, 1.5, "2"]
    for wrong in wrongs:
        with pytest.raises(TypeError, match="int"):
            concurrent(max=wrong)
    with pytest.raises(ValueError, match="at least 1"):
        concurrent(max=0)
    with pytest.raises(TypeError, match="async def plain"):
        concurrent(plain, max=2)


def test_run_and_predict_stand_in_for_each_other() -> None:
    class New(BaseRunner):
        def run(self, a: int) -> int:
            return a + 1

    class Old(BasePredictor):
        def predict(self, a: int) -> int:
            return a + 2

    assert Old().run(1) == 3
    with pytest.warns(DeprecationWarning, match="run"):
        assert New().predict(1) == 2
    with pytest.raises(NotImplementedError, match="BaseRunner"):
        BaseRunner().run()
    BaseRunner().setup()
    BaseRunner().setup(weights="x")


def test_a_cancelation_is_no_exception() -> None:
    assert not issubclass(CancelationException, Exception)
    assert issubclass(CancelationException, BaseException)


def test_markers() -> None:
    alias: Any = cog.ConcatenateIterator[str]
    assert (get_origin(alias), get_args(alias)) == (cog.ConcatenateIterator, (str,))
    assert get_origin(cog.AsyncConcatenateIterator[str]) is cog.AsyncConcatenateIterator


def test_the_scope_of_tasks_is_their_own() -> None:
    from cog.sdk.scope import Scope, active

    async def one(name: str) -> str:
        active.set(Scope({"name": name}, lambda *_: None))
        await asyncio.sleep(0)
        return cog.current_scope().context["name"]

    async def both() -> list[str]:
        return list(await asyncio.gather(one("a"), one("b")))

    assert asyncio.run(both()) == ["a", "b"]


def test_batch_marks_and_returns_the_function() -> None:
    def run(text: list[str]) -> list[str]:
        return text

    def rule(function: Any) -> Any:
        return function.__cog_batch__

    assert cog.batch(run) is run
    assert rule(run) == (8, 0.005, ())
    assert cog.batch(max_size=2, max_wait=1, same=["a"])(run) is run
    assert rule(run) == (2, 1.0, ("a",))
    assert run(["a"]) == ["a"]


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"max_size": 0}, ValueError, "max_size must be at least 1"),
        ({"max_size": True}, TypeError, "takes an int"),
        ({"max_size": "8"}, TypeError, "takes an int"),
        ({"max_wait": -1}, ValueError, "no time to wait"),
        ({"max_wait": float("nan")}, ValueError, "no time to wait"),
        ({"max_wait": "1"}, TypeError, "takes seconds"),
        ({"same": "steps"}, TypeError, "names of parameters"),
        ({"same": [1]}, TypeError, "names of parameters"),
        ({"same": None}, TypeError, "names of parameters"),
    ],
)
def test_batch_says_what_is_wrong_where_it_stands(given: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        cog.batch(**given)


def test_without_a_batch_the_current_one_is_the_current_scope() -> None:
    assert cog.current_batch() == [cog.current_scope()]
