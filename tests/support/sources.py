"""Sources of models for what reads them without running them, and the facts of the same models when they are run."""

from __future__ import annotations

import shutil
import sys
import textwrap
import warnings
from pathlib import Path

from cog.outline.facts import Outline
from cog.outline.reading import read as outline_of
from cog.signature.facts import Signature
from cog.signature.inspect import read
from cog.signature.load import load

# Everything about these can be known from the source.
PLAIN = {
    "every type": """
        from typing import Any, Dict, List, Literal, Optional, Union
        from cog import BaseRunner, File, Input, Path, Secret
        class Runner(BaseRunner):
            def run(self, a: str, b: int, c: float, d: bool, e: Path, f: File, g: Secret, h: Any, i: dict, j: Dict[str, int],
                    k: list[str], l: List[Path], m: Optional[int], n: str | None, o: Union[int, str], p: Literal["x", "y"],
                    q: Literal["x", 1, None], r: list, s: Optional[list[int]] = None, t: int | str | None = 3) -> str: ...
    """,
    "types that JSON has no form for": """
        import datetime, enum, uuid
        from collections.abc import Iterable, Sequence
        from datetime import date
        from decimal import Decimal
        from typing import FrozenSet, Literal, Optional, Tuple, Union
        from cog import BaseRunner, Path, Secret
        @enum.unique
        class Mode(str, enum.Enum):
            "How."
            FAST = "fast"
            SLOW = "slow"
            def told(self): return self.value
        class Size(enum.IntEnum):
            SMALL = 1
            LARGE = 1 << 4
        class Runner(BaseRunner):
            def run(self, a: date, b: datetime.datetime, c: datetime.time, d: Optional[datetime.timedelta], e: Decimal,
                    f: uuid.UUID, g: bytes, h: tuple[int, str], i: Tuple[float, ...], j: set[int], k: FrozenSet[str],
                    l: Sequence[list[int]], m: Iterable[Optional[int]], n: Mode, o: list[Size], p: Optional[Mode],
                    q: Literal[True, "x"], r: Union[Path, str], s: Secret | int | None, t: "list[Mode | int]",
                    u: tuple = (), v: set = None, w: date | str = "x", x: tuple[()] = ()) -> str: ...
    """,
    "every rule": r"""
        from cog import BaseRunner, Input, Path, Secret
        SIZES = [256, 512, 1 << 10]
        STYLES = {"plain": 1, "bold": 2}
        NAMES = ["a"] + ["b", *("c", "d")]
        LOW: int = -2 ** 3
        class Runner(BaseRunner):
            LEVELS = ("low", "high")
            SHARED = Input(default="high", choices=LEVELS, description="shared")
            def run(
                self,
                prompt: str = Input(description="Text \u00e9\n to go on", min_length=1, max_length=10 * 5, regex=r"^\w+$"),
                steps: int = Input(default=20, ge=LOW, le=50, deprecated=True),
                size: int = Input(256, choices=SIZES),
                style: str = Input(default="plain", choices=list(STYLES.keys())),
                name: str = Input(default="a", choices=NAMES),
                level: str = SHARED,
                scale: float = Input(default=-0.5, ge=-1, le=1e3),
                several: list[int] = Input(default=[1], ge=0, le=9),
                seed: int = Input(default=None, ge=0),
                none: str = None,
                picks: list[str] = Input(default=["low"], choices=LEVELS),
                photo: Path = Input(default=None, accept="image/*"),
                key: Secret = "hidden",
                maybe: str | None = Input(default="x", choices=["x", "y"]),
                must: int = Input(..., description="needed"),
                flag: bool = False,
                tup: list[int] = (1, 2),
                first: int = SIZES[0],
            ) -> list[Path]: ...
    """,
    "other names": """
        from __future__ import annotations
        import cog, typing as t
        from typing import *
        from cog import Input as Field, Path as P
        import pathlib
        Tags = list[str]
        Maybe = t.Optional["Tags"]
        class Runner(cog.BaseRunner):
            def run(self, a: P, b: cog.Path, c: t.List[int], d: Maybe, e: "int", f: pathlib.Path, g: Optional[str] = Field(default="x"),
                    h: cog.Secret = cog.Input(default=None)) -> t.Iterator[str]: ...
    """,
    "inherited": """
        from cog import BaseRunner, Input, streaming, concurrent
        import functools
        def timed(function):
            @functools.wraps(function)
            def inner(*args, **kwargs): return function(*args, **kwargs)
            return inner
        class Base(BaseRunner):
            TOP = 3
            @timed
            def run(self, n: int = Input(default=TOP, le=9)) -> str: ...
        class Middle(Base):
            def setup(self): ...
        class Runner(Middle):
            pass
    """,
    "predict": """
        from cog import BasePredictor
        class Predictor(BasePredictor):
            @staticmethod
            def predict(s: str, n: int = 1) -> str: ...
    """,
    "async": """
        from cog import AsyncConcatenateIterator, concurrent, streaming
        class Runner:
            @streaming
            @concurrent(max=4)
            async def run(self, prompt: str) -> AsyncConcatenateIterator[str]:
                yield prompt
    """,
    "opaque": """
        from typing import Annotated
        from cog import BaseRunner, Opaque
        class Runner(BaseRunner):
            def run(self, a: Annotated[list[dict], Opaque], b: Annotated[dict, Opaque()], c: Annotated[int, "meters"]) -> str: ...
    """,
    "no inputs": "class Runner:\n    def run(self) -> str: ...\n",
}

# Here something may be other than it looks. The text says what a hasty reader would get wrong.
ODD = {
    "enumerations that are not what they look like": """
        import enum
        from cog import BaseRunner
        class Auto(enum.Enum):
            A = enum.auto()
        class Text(str, enum.Enum):
            A = 1
        class Whole(enum.IntEnum):
            A = True
        class Less(enum.Enum):
            _ignore_ = ["B"]
            A = "a"
            B = "b"
        class Own(enum.Enum):
            def __new__(cls, value):
                made = object.__new__(cls)
                made._value_ = value * 2
                return made
            A = "a"
        class Runner(BaseRunner):
            def run(self, a: Auto, b: Text, c: Whole, d: Less, e: Own) -> str: ...
    """,
    "a builtin is another": "str = int\nclass Runner:\n    def run(self, a: str) -> int: ...\n",
    "a builtin is another later": "class Runner:\n    def run(self, a: str) -> str: ...\nstr = int\n",
    "Path is a text": "Path = str\nclass Runner:\n    def run(self, a: Path) -> str: ...\n",
    "choices grow": """
        from cog import Input
        STYLES = ["a"]
        STYLES.append("b")
        LIMITS = {"le": 3}
        LIMITS["le"] = 30
        def fill(many): many += ["c", "d"]
        MORE = ["a"]
        fill(MORE)
        ALIAS = MORE
        ALIAS.append("q")
        class Runner:
            def run(self, a: str = Input(default="a", choices=STYLES), b: int = Input(default=1, le=LIMITS["le"]),
                    c: str = Input(default="a", choices=MORE), d: str = Input(default="a", choices=ALIAS)) -> str: ...
    """,
    "a constant twice": """
        from cog import Input
        TOP = 3
        if TOP: TOP = 30
        LOW = 5
        LOW -= 100
        for NUMBER in (1, 2): pass
        def reset():
            global DEEP
            DEEP = 50
        DEEP = 5
        reset()
        class Runner:
            def run(self, a: int = Input(default=1, le=TOP, ge=LOW), b: int = Input(default=1, le=NUMBER),
                    c: int = Input(default=1, le=DEEP)) -> str: ...
    """,
    "a default that is unknown": """
        import os
        from cog import Input
        def text() -> str: return None
        LATER = os.environ.get("NOBODY_SETS_THIS")
        class Runner:
            def run(self, a: str = text(), b: int = Input(default=LATER), c: int = Input(**{"default": None}),
                    d: str = Input(*[None])) -> str: ...
    """,
    "a parameter of another file": """
        import types
        given = types.SimpleNamespace()
        import cog
        given.field = cog.Input(default="b", choices=["a", "b"])
        class Runner:
            def run(self, a: str = given.field) -> str: ...
    """,
    "a type that is not known": """
        from typing import Annotated, Optional, Union
        import cog, sys
        from cog import Opaque
        hidden = type("hidden", (), {"Text": str, "Maybe": Optional[str], "Many": list[int], "mark": Opaque, "Either": Union[int, str]})
        Text, Maybe, Many, mark = hidden.Text, hidden.Maybe, hidden.Many, hidden.mark
        Either = hidden.Either
        class Runner:
            def run(self, k: Optional[Either], a: Text, b: Maybe, c: list[Text], d: Optional[Many], e: Union[int, Text], f: Union[str, Maybe],
                    g: Annotated[Many, Opaque], h: Annotated[int, mark], i: "hidden.Text", j: dict[str, Many]) -> str: ...
    """,
    "a decorator that takes other inputs": """
        def other(function):
            def inner(self, a: str, more: int = 1) -> str: return function(self, 1)
            return inner
        class Runner:
            @other
            def run(self, a: int) -> str: ...
    """,
    "a decorator that lies": """
        import functools, inspect
        def lying(function):
            @functools.wraps(function)
            def inner(self, **kwargs): ...
            inner.__signature__ = inspect.signature(lambda self, b: 0)
            inner.__signature__ = inner.__signature__.replace(parameters=[
                inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD),
                inspect.Parameter("b", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=str)])
            return inner
        class Runner:
            @lying
            def run(self, a: int) -> str: ...
    """,
    "a class decorator": """
        def swap(cls):
            def run(self, b: str) -> str: ...
            cls.run = run
            return cls
        @swap
        class Runner:
            def run(self, a: int) -> str: ...
    """,
    "run is replaced": """
        class Runner:
            def run(self, a: int) -> str: ...
        def run(self, b: str) -> str: ...
        Runner.run = run
    """,
    "run is replaced by setattr": """
        class Runner:
            def run(self, a: int) -> str: ...
        def run(self, b: str) -> str: ...
        setattr(Runner, "run", run)
    """,
    "a base class is changed": """
        class Base:
            def run(self, a: int) -> str: ...
        class Runner(Base): ...
        def run(self, b: str) -> str: ...
        Base.run = run
    """,
    "two runs": """
        import sys
        class Runner:
            if sys.version_info > (3, 99):
                def run(self, a: int) -> str: ...
            else:
                def run(self, b: str) -> str: ...
    """,
    "two classes": """
        try:
            import nothing_of_this_name
            class Runner:
                def run(self, a: int) -> str: ...
        except ImportError:
            class Runner:
                def run(self, b: str) -> str: ...
    """,
    "the last of two": """
        class Runner:
            def run(self, a: int) -> str: ...
        class Runner:
            def run(self, b: int) -> str: ...
            def run(self, c: int) -> str: ...
    """,
    "a metaclass": """
        def run(self, b: str) -> str: ...
        class Meta(type):
            def __new__(cls, name, bases, space): return super().__new__(cls, name, bases, {**space, "run": run})
        class Runner(metaclass=Meta):
            def run(self, a: int) -> str: ...
    """,
    "made by a call": "Runner = type('Runner', (), {'run': lambda self: 1})\n",
    "names of globals()": """
        globals()["str"] = int
        class Runner:
            def run(self, a: str) -> int: ...
    """,
    "class names": """
        class Runner:
            list = dict
            Top = str
            def run(self, a: list, b: Top, c: "list") -> int: ...
    """,
    "class constants": """
        from cog import Input
        TOP = 3
        class Runner:
            LOW = 1
            LOW = 0
            def run(self, a: int = Input(default=1, le=TOP, ge=LOW)) -> int: ...
            TOP = 1
    """,
    "a diamond": """
        class A:
            def run(self, a: int) -> str: ...
        class B(A): ...
        class C(A):
            def run(self, b: str) -> str: ...
        class Runner(B, C): ...
    """,
    "a TypedDict and an alias of itself": """
        from typing import TypedDict, Union
        class Point(TypedDict):
            x: int
        class Runner:
            def run(self, a: Point, b: list[Point], c: Point | None = None) -> str: ...
    """,
    "a function": "def go(a: int, b: str = 'x') -> str: ...\n",
    "a partial": """
        import functools
        def whole(a: int, b: str) -> str: ...
        go = functools.partial(whole, b="x")
    """,
}


def reference(source: str) -> str:
    """What such a source is named by in cog.yaml, behind the file."""
    return next((f":{name}" for name in ("Runner", "Predictor") if f"{name}" in source), ":go")


def both(folder: Path, source: str) -> tuple[Outline, Signature]:
    """What is read from the source of a model, and what the model itself says."""
    name = "run.py" + reference(source)
    (folder / "run.py").write_text(textwrap.dedent(source), encoding="utf-8")
    # Python takes a compiled file for right when the source has the same size, and was written within the same second.
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    path, modules = list(sys.path), set(sys.modules)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return outline_of(folder, name), read(load(name, folder)).signature
    finally:
        sys.path[:] = path
        for added in set(sys.modules) - modules:
            del sys.modules[added]
