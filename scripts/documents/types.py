"""The page of types, made from the rules of `cog.signature`: each row is computed by checking, decoding and encoding."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, cast

from cog.signature.encode import encode
from cog.signature.inputs import input_kind
from cog.signature.kinds import File, Kind
from cog.signature.outputs import output_kind

_PAGE: Final = """\
# Types

What the parameters of `run()` and what it returns can be. A value that does not have the form in the second column is refused
with 422 before the model is asked; the model gets what the third says. A default is converted in the same way, whether it is
written as the value itself or as its JSON. What the model returns is written as the fourth column says, whatever the annotation.

The tables use these classes:

```python title="Some types of a model"
{classes}
```

{tables}
## Which member of a union

The first that fits, in the order written; but

- a text is a file when it is an http(s) or data URL: of `Path | str`, anything else is a `str`. A local path, which
  `--allow-local-files` allows, is a file only where no other member takes texts;
- `str` and `dict` come after what is more particular, and `Any` last: of `str | date`, `2026-01-31` is a date;
- of several classes that fit, the one that knows most of the names sent is taken.

## Classes

A BaseModel, a dataclass, a pydantic model (of version 2 or 1), a TypedDict or a NamedTuple is checked member by member, however
deep; files in it are fetched and secrets hidden as anywhere else. Members without a default are required, except those that
may be None. Names that the class does not know are dropped; pydantic decides by itself what becomes of them (`extra`), and a
TypedDict keeps them. A class that contains itself is described once: within itself it is an object of any shape.

What the class itself says to a value (a validator of pydantic's, a `__post_init__`) comes when the prediction runs: it fails with
`InputRefused: input order: Order does not take it: ...`.

Of `dict[str, V]` as an input, `V` is not checked, but in a member of a class it is. As an output it is described.

## What else can be returned

| the model returns | the client gets |
| --- | --- |
| an image of Pillow | a PNG file, like a `cog.Path` |
| a numpy array, a torch tensor, wherever it lies | an array of numbers; one without dimensions is a number |
| a number of numpy | a number |
| an open file, `io.BytesIO`, `io.StringIO` | a file, like a `cog.Path` |
| any iterator, range, `deque`, `array` | an array |
| any mapping | an object; keys become text |
| an object with `model_dump()` or `dict()` | what that returns |
| something that yields | see [outputs in parts](sdk.md#outputs) |

They stand anywhere in an output: in lists, dicts and classes, and among what is yielded. NaN, infinities and integers of more
than 4,300 digits fail the prediction; its error names the place (`output.scores[3] is NaN`). numpy, torch and Pillow are never
imported by cog: a model that uses them has loaded them.

`Annotated[T, Opaque]` is for a type of which clients need not know more than that it is an object (or a list of objects): nothing
is described or checked, and as an input the model gets the dict.

## Types of your own

A `cog.coder.Coder` says how the values of a type that cog has no rule for go through JSON:

```python title="run.py"
from datetime import date
from enum import Enum

from cog import BaseRunner
from cog.coder import Coder


class Color:
    def __init__(self, red: int, green: int, blue: int) -> None:
        self.parts = (red, green, blue)


@Coder.register
class ColorCoder(Coder):
    @staticmethod
    def factory(tpe: type) -> Coder | None:
        return ColorCoder() if tpe is Color else None

    def encode(self, value: Color) -> dict:
        return {{"hex": "#%02x%02x%02x" % value.parts}}

    def decode(self, value: dict) -> Color:
        return Color(*bytes.fromhex(value["hex"].lstrip("#")))


class Mix(Enum):
    LIGHTER = 255
    DARKER = 0


class Runner(BaseRunner):
    def run(self, color: Color, mix: Mix, on: date = date(2026, 1, 31)) -> Color:
        print(f"mixed on a {{on:%A}}")
        return Color(*((part + mix.value) // 2 for part in color.parts))
```

```yaml title="cog.yaml"
run: "run.py:Runner"
```

```bash
cog run -i color='{{"hex": "#204060"}}' -i mix=255 -i on=2026-02-01
```

```json title="Output"
{{
  "hex": "#8f9faf"
}}
```

To clients it is an object that is not described further. What `decode` raises is told to them like what a class says to a value.
`Coder.lookup(Color)` is the coder that is used. Of several that have one for a type the last registered is.
"""
_CLASSES: Final = """\
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, Optional, TypedDict
from uuid import UUID

from cog import BaseModel, File, Opaque, Path, Secret


class Mode(Enum):
    FAST = "fast"
    SLOW = "slow"


class Size(NamedTuple):
    width: int
    unit: str = "px"


class Box(BaseModel):
    width: float
    label: Optional[str]


@dataclass
class Point:
    x: int
    y: int = 0


class Hint(TypedDict, total=False):
    at: Point
"""


class _Row(NamedTuple):
    """An annotation as a model has it, and a value that a client may send for it."""

    annotation: str
    sent: Any


_TABLES: Final[dict[str, tuple[_Row, ...]]] = {
    "Text, numbers, anything": (
        _Row("str", "cat"), _Row("int", 2.0), _Row("float", 2), _Row("bool", True), _Row("Any", [1, None]),
        _Row("Optional[int]", None), _Row("Decimal", "9.50"), _Row("UUID", "12345678-1234-5678-1234-567812345678"),
    ),
    "Choices": (
        _Row('Literal["a", 2, True]', 2), _Row("Mode", "fast"), _Row("Optional[Mode]", None),
    ),
    "Dates and times": (
        _Row("date", "2026-01-31"), _Row("datetime", "2026-01-31T12:30:00Z"), _Row("time", "12:30:00"),
        _Row("timedelta", "P1DT1H30M"),
    ),
    "Files and secrets": (
        _Row("Path", "https://example.com/cat.png"), _Row("File", "https://example.com/cat.png"),
        _Row("bytes", "data:text/plain;base64,aGk="), _Row("Secret", "hunter2"),
    ),
    "Lists": (
        _Row("list[int]", [1, 2]), _Row("list[list[float]]", [[1], []]), _Row("list[Optional[str]]", ["a", None]),
        _Row("Sequence[date]", ["2026-01-31"]), _Row("tuple[int, str]", [1, "a"]), _Row("tuple[float, ...]", [1, 2]),
        _Row("Size", [3, "cm"]), _Row("set[str]", ["a", "a"]), _Row("frozenset[int]", [1, 1]),
    ),
    "Objects": (
        _Row("dict", {"a": [1]}), _Row("Mapping[str, int]", {"a": 1}), _Row("Box", {"width": 3}), _Row("Point", {"x": 1}),
        _Row("Hint", {"at": {"x": 1}}), _Row("Annotated[Point, Opaque]", {"x": "?"}),
    ),
    "One or another": (
        _Row("int | str", "a"), _Row("Path | str", "a cat"), _Row("date | Mode | None", "fast"),
        _Row("list[Point | int]", [1, {"x": 2}]),
    ),
}  # fmt: skip
_GIVEN: Final = {
    "path": "a `Path` to the file on its disk",
    "file": "the file, opened for reading",
    "bytes": "`b'hi'`",
}
_PUT: Final = {"path": "the file, as a data URL or where it was uploaded", "file": "the same"}


def page() -> str:
    """The whole page."""
    names: dict[str, Any] = {"__name__": "model"}
    exec(compile(_CLASSES, "model", "exec", dont_inherit=True), names)  # the classes that the page shows
    return _PAGE.format(classes=_CLASSES.rstrip(), tables="\n".join(_tables(names)))


def _tables(names: dict[str, Any]) -> Iterator[str]:
    for title, rows in _TABLES.items():
        head = [
            "| type | a client sends | the model gets | it comes out as | JSON Schema |",
            "| --- | --- | --- | --- | --- |",
        ]
        yield (
            "\n".join([f"## {title}\n", *head, *(_line(row, eval(row.annotation, names)) for row in rows)])
            + "\n"
        )


def _line(row: _Row, annotation: Any) -> str:
    taken, put = input_kind(annotation), output_kind(annotation)
    if any(taken.check(row.sent, ())):
        raise AssertionError(f"{row.sent!r} is no {row.annotation}")
    schema = taken.json_schema()
    described = _code(schema)
    if put.json_schema() != schema:
        described += f"; as an output {_code(put.json_schema())}"
    cells = (f"`{row.annotation}`", _code(row.sent), *_values(taken, row.sent), described)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _values(kind: Kind, sent: Any) -> tuple[str, str]:
    """What the model gets, and how that is written when it comes out."""
    if isinstance(kind, File):
        return _GIVEN[kind.style], _PUT.get(kind.style, _code("data:application/octet-stream;base64,aGk="))
    made = kind.decode(kind.map(sent, lambda _, leaf: leaf, marked=True))
    return f"`{made!r}`", _code(json.loads(encode(made, _no_file)))


def _no_file(value: object) -> str:
    raise AssertionError(f"{value!r} came out as a file")


def _code(value: object) -> str:
    return f"`{json.dumps(cast('Any', value), ensure_ascii=False)}`"
