"""Inputs that become values of Python's or of the model's own: what is accepted, what the model gets, what it refuses."""

# ruff: noqa: UP007, UP045  (models write their types in every way)
from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import json
import pathlib
import re
import sys
import types
import uuid
from collections.abc import Callable
from typing import Annotated, Any, Generic, Literal, NamedTuple, Optional, TypedDict, TypeVar, Union

import jsonschema  # type: ignore[import-untyped]
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cog
from cog.errors import InputRefused
from cog.sdk.coder import Coder
from cog.signature.encode import encode
from cog.signature.facts import Default
from cog.signature.inputs import input_kind
from cog.signature.inspect import read
from cog.signature.kinds import Coded, Kind, Mapping
from cog.signature.outputs import output_kind


class Mode(enum.Enum):
    FAST = "fast"
    SLOW = "slow"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Scale(enum.Enum):
    HALF = 0.5
    ALL = 1
    YES = True  # an alias of ALL: they are equal


class Pair(NamedTuple):
    x: int
    mode: Mode = Mode.FAST


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: float = 0.5
    when: Optional[datetime.date] = None


@dataclasses.dataclass
class Shape:
    corners: list[Point]
    label: Optional[str]
    sizes: dict[str, Point] = dataclasses.field(default_factory=dict)
    count: int = dataclasses.field(init=False, default=0)

    def __post_init__(self) -> None:
        if len(self.corners) > 3:
            raise ValueError("too many corners")
        self.count = len(self.corners)


class Box(cog.BaseModel):
    width: int
    note: Optional[str]


class Hint(TypedDict, total=False):
    at: Point
    name: str


class Card(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    holder: str = pydantic.Field(min_length=2)
    number: int = pydantic.Field(alias="cardNumber")
    url: Optional[pydantic.HttpUrl] = None
    mode: Mode = Mode.FAST
    box: Optional[Point] = None
    pin: pydantic.SecretStr = pydantic.SecretStr("")


class Words(pydantic.RootModel[list[str]]):
    pass


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]


T = TypeVar("T")


class Holder(pydantic.BaseModel, Generic[T]):
    held: T


def made(annotation: object, value: object) -> Any:
    kind = input_kind(annotation)
    assert [problem.msg for problem in kind.check(value, ())] == []
    return kind.decode(kind.map(value, lambda _, leaf: leaf, marked=True))


def refused(annotation: object, value: object) -> list[tuple[tuple[str | int, ...], str]]:
    return [(problem.loc, problem.msg) for problem in input_kind(annotation).check(value, ())]


CASES: list[tuple[Any, object, object]] = [
    (list[list[int]], [[1], [], [2.0]], [[1], [], [2]]),
    (Optional[list[int]], None, None),
    (list[Optional[Level]], [1, None], [Level.LOW, None]),
    (Literal[True, "auto"], True, True),
    (Mode, "slow", Mode.SLOW),
    (Scale, 0.5, Scale.HALF),
    (Scale, 1.0, Scale.ALL),
    (Literal[Mode.FAST], "fast", Mode.FAST),
    (tuple[int, str], [2.0, "a"], (2, "a")),
    (tuple[()], [], ()),
    (tuple[float, ...], [1, 2], (1.0, 2.0)),
    (set[int], [1, 2, 2.0, 1], {1, 2}),
    (frozenset[tuple[int, Any]], [[1, "a"], [1, "a"]], frozenset({(1, "a")})),
    (set[Point], [{"x": 1}, {"x": 1}], {Point(1)}),
    (collections.abc.Sequence[datetime.date], ["2026-01-31"], [datetime.date(2026, 1, 31)]),
    (Pair, [1], Pair(1)),
    (Pair, [1, "slow"], Pair(1, Mode.SLOW)),
    (Point, {"x": 1.0, "y": 2, "other": 3}, Point(1, 2.0)),
    (Point, {"x": 1, "when": "2026-01-31"}, Point(1, when=datetime.date(2026, 1, 31))),
    (Shape, {"corners": [{"x": 1}]}, Shape([Point(1)], None)),
    (Shape, {"corners": [], "label": "a", "sizes": {"s": {"x": 1}}}, Shape([], "a", {"s": Point(1)})),
    (Box, {"width": 3}, Box(width=3, note=None)),
    (Hint, {"at": {"x": 1}, "more": [1]}, {"at": Point(1), "more": [1]}),
    (dict[str, Point], {"a": {"x": "not looked into"}}, {"a": {"x": "not looked into"}}),
    (Card, {"holder": "Ada", "cardNumber": 5}, Card(holder="Ada", cardNumber=5)),
    (Card, {"holder": "Ada", "cardNumber": 5, "mode": "slow", "box": {"x": 1}, "url": "https://a.b/"},
     Card(holder="Ada", cardNumber=5, mode=Mode.SLOW, box=Point(1), url=pydantic.HttpUrl("https://a.b/"))),
    (Words, ["a"], Words(["a"])),
    (Holder[int], {"held": 5}, Holder[int](held=5)),
    (Union[Cat, Dog], {"kind": "dog"}, Dog(kind="dog")),
    (Union[Point, Box], {"x": 1}, Point(1)),
    (Union[Box, Shape, dict], {"width": 1}, Box(width=1, note=None)),
    (Union[dict, Point], {"x": 1}, Point(1)),  # what is more particular comes first
    (Union[dict, Point], {"z": 1}, {"z": 1}),
    (Union[str, datetime.date], "2026-01-31", datetime.date(2026, 1, 31)),
    (Union[str, datetime.date], "soon", "soon"),
    (Union[Any, int], 2.0, 2),
    (Union[str, Mode, None], "fast", Mode.FAST),
    (Union[cog.Path, int], 5, 5),
    (Union[str, list[cog.Path]], "text", "text"),
    (Annotated[Point, cog.Opaque], {"x": "y"}, {"x": "y"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("annotation", "value", "expected"), CASES, ids=[f"{c[0]}-{n}" for n, c in enumerate(CASES)]
)
def test_what_the_model_gets(annotation: object, value: object, expected: object) -> None:
    found = made(annotation, value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    "annotation", [Point, Box, Pair, Mode, tuple[int, Point], Union[Point, Mode], Words, Cat]
)
def test_an_output_has_the_form_of_the_input(annotation: Any) -> None:
    sent: dict[Any, object] = {
        Point: {"x": 1, "y": 0.5, "when": None}, Box: {"width": 1, "note": "a"}, Pair: [1, "slow"], Mode: "fast",
        Words: ["a", "b"], Cat: {"kind": "cat", "lives": 3},
        tuple[int, Point]: [1, {"x": 2, "y": 1.5, "when": "2026-01-31"}],
        Union[Point, Mode]: "slow",
    }  # fmt: skip
    value = made(annotation, sent[annotation])
    assert json.loads(encode(value, lambda file: "file")) == sent[annotation]
    assert input_kind(annotation).encode(value) == sent[annotation]
    assert list(output_kind(annotation).check(sent[annotation], ())) == []


@pytest.mark.parametrize(
    ("annotation", "value", "places"),
    [
        (list[list[int]], [[1], ["a"]], [(1, 0)]),
        (tuple[int, str], [1], [()]),
        (tuple[int, str], ["a", 1, 2], [(), (0,), (1,)]),
        (Pair, [1, "fast", 3], [()]),
        (set[int], ["a"], [(0,)]),
        (set, [[1]], [(0,)]),
        (Mode, "FAST", [()]),
        (Level, True, [()]),
        (Literal[True], 1, [()]),
        (Point, {"y": "a"}, [("x",), ("y",)]),
        (Shape, {"corners": [{}], "sizes": {"a": 1}}, [("corners", 0, "x"), ("sizes", "a")]),
        (Hint, {"at": 5}, [("at",)]),
        (Card, {"holder": 1}, [("holder",), ("cardNumber",)]),
        (Union[Cat, Dog], {"kind": "cow"}, [()]),
        (bytes, "no URL", [()]),
        (Union[cog.Path, int], "no URL", [()]),
    ],
)
def test_what_is_refused_and_where(
    annotation: Any, value: object, places: list[tuple[str | int, ...]]
) -> None:
    assert [at for at, _ in refused(annotation, value)] == places


def test_pydantic_one() -> None:
    if sys.version_info >= (3, 14):
        pytest.skip("pydantic 1 does not run here")
    import pydantic.v1

    class Old(pydantic.v1.BaseModel):
        a: int
        b: str = pydantic.v1.Field("x", alias="bee")

    assert made(Old, {"a": 2.0, "bee": "y"}) == Old(a=2, bee="y")
    assert refused(Old, {"bee": 5}) == [(("a",), "Field required"), (("bee",), '5 is not of type "string"')]


def test_either_name_of_a_member() -> None:
    class Named(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(populate_by_name=True)
        number: int = pydantic.Field(alias="no")
        other: int = pydantic.Field(1, validation_alias=pydantic.AliasChoices("o", "oh"))

    assert made(Named, {"no": 1}) == made(Named, {"number": 1})
    assert made(Named, {"no": 1, "oh": 5}).other == 5


def test_a_tree_holds_trees() -> None:
    kind = input_kind(Tree)
    found = made(Tree, {"value": 1, "children": [{"value": 2}]})
    assert found.children[0].value == 2  # pydantic makes of the inner objects what they are
    assert kind.json_schema()["properties"]["children"]["items"] == {"type": "object"}  # type: ignore[index, call-overload]


class Tree(pydantic.BaseModel):
    value: int
    children: list[Tree] = []


def entry(run: Callable[..., object]) -> Any:
    return read(run)


def test_a_class_that_says_no_is_named() -> None:
    def run(shape: Shape) -> None: ...

    run.__annotations__["shape"] = Shape
    with pytest.raises(InputRefused) as caught:
        entry(run).arguments({"shape": {"corners": [{"x": 1}] * 4}})
    assert str(caught.value) == "input shape: Shape does not take it: ValueError: too many corners"
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_secret_is_not_told_when_a_class_says_no() -> None:
    def run(card: Card) -> None: ...

    with pytest.raises(InputRefused, match="holder") as caught:
        entry(run).arguments({"card": {"holder": "A", "cardNumber": 1, "pin": "hunter2"}})
    assert "hunter2" not in str(caught.value)
    value = entry(run).arguments({"card": {"holder": "Ada", "cardNumber": 1, "pin": "hunter2"}})["card"]
    assert value.pin.get_secret_value() == "hunter2"


def test_files_and_texts_beside_each_other(tmp_path: pathlib.Path) -> None:
    kind = input_kind(Union[cog.Path, str, list[Union[cog.Path, dict]]])  # type: ignore[type-arg]
    file = tmp_path / "a.txt"

    def fetch(_: Kind, leaf: object) -> str:
        return str(file)

    assert kind.decode(kind.map("https://a/b", fetch, marked=True)) == cog.Path(file)
    assert kind.decode(kind.map(str(file), fetch, marked=True)) == str(
        file
    )  # a text that looks like what was fetched
    assert kind.decode(kind.map([0, "data:,x"], fetch, marked=True)) is not None
    assert kind.decode(kind.map(["data:,x", {"file": "/etc/passwd"}], fetch, marked=True)) == [
        cog.Path(file),
        {"file": "/etc/passwd"},
    ]
    assert list(kind.check("no URL", (), local_files=True)) == []


def test_a_local_path_where_nothing_else_takes_a_text() -> None:
    kind = input_kind(Union[cog.Path, int])
    assert list(kind.check("/a/b", ())) != []
    assert list(kind.check("/a/b", (), local_files=True)) == []
    assert kind.decode(kind.map("/a/b", lambda _, leaf: leaf, marked=True)) == cog.Path("/a/b")


def test_bytes_are_the_content_of_a_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").write_bytes(b"\x00\xff")
    assert input_kind(list[bytes]).decode([str(tmp_path / "a")]) == [b"\x00\xff"]


def test_defaults_are_converted_like_inputs() -> None:
    def run(
        day: datetime.date = datetime.date(2026, 1, 31),
        price: decimal.Decimal = decimal.Decimal("9.50"),
        mode: Mode = Mode.SLOW,
        named: Mode = "fast",  # type: ignore[assignment]
        point: Point = Point(1),
        shape: Shape = {"corners": [{"x": 1}]},  # type: ignore[assignment]  # noqa: B006
        tags: set[str] = {"b", "a"},  # noqa: B006
        size: tuple[int, int] = (3, 4),
        ident: Optional[uuid.UUID] = None,
        content: bytes = b"ab",
        either: Union[cog.Path, str] = "https://a/b",
        card: Card = Card(holder="Ada", cardNumber=1),  # noqa: B008
    ) -> None: ...

    found = entry(run)
    defaults = {p.name: None if p.default is None else p.default.value for p in found.signature.parameters}
    assert defaults == {
        "day": "2026-01-31", "price": "9.50", "mode": "slow", "named": "fast", "point": {"x": 1, "y": 0.5, "when": None},
        "shape": {"corners": [{"x": 1}]}, "tags": ["a", "b"], "size": [3, 4], "ident": None, "content": None,
        "either": "https://a/b", "card": None,
    }  # fmt: skip
    values = found.arguments({})
    assert values == {
        "day": datetime.date(2026, 1, 31), "price": decimal.Decimal("9.50"), "mode": Mode.SLOW, "named": Mode.FAST,
        "point": Point(1), "shape": Shape([Point(1)], None), "tags": {"a", "b"}, "size": (3, 4), "ident": None,
        "content": b"ab", "either": cog.Path("https://a/b"), "card": Card(holder="Ada", cardNumber=1),
    }  # fmt: skip
    assert values["shape"] is not found.arguments({})["shape"]
    assert found.signature.parameters[8].default == Default(None)


class Vector:
    def __init__(self, *parts: float) -> None:
        self.parts = parts

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vector) and other.parts == self.parts

    __hash__ = None  # type: ignore[assignment]

    def dict(self) -> object:
        raise AssertionError("the coder knows better")


@pytest.fixture
def coder(monkeypatch: pytest.MonkeyPatch) -> type[Coder]:
    monkeypatch.setattr(Coder, "_registered", [])

    @Coder.register
    class VectorCoder(Coder):
        @staticmethod
        def factory(tpe: type) -> Coder | None:
            return VectorCoder() if tpe in (Vector, Point, str) else None

        def encode(self, value: Any) -> dict[str, object]:
            return {"parts": list(value.parts)}

        def decode(self, value: dict[str, Any]) -> object:
            if "parts" not in value:
                raise ValueError("no parts")
            return Vector(*value["parts"])

    return VectorCoder


def test_a_coder_makes_inputs_and_outputs(coder: type[Coder]) -> None:
    kind = input_kind(list[Vector])
    assert kind.json_schema() == {"type": "array", "items": {"title": "Vector", "type": "object"}}
    assert kind.decode([{"parts": [1, 2]}]) == [Vector(1, 2)]
    assert output_kind(Optional[Vector]).json_schema() == {
        "title": "Vector",
        "type": "object",
        "nullable": True,
    }
    assert encode({"a": [Vector(1)]}, lambda file: "") == b'{"a":[{"parts":[1]}]}'
    assert refused(Vector, 5) == [((), '5 is not of type "object"')]

    def run(vector: Vector = Vector(1)) -> None: ...  # noqa: B008

    found = entry(run)
    assert found.arguments({"vector": {"parts": [3]}}) == {"vector": Vector(3)}
    assert found.arguments({}) == {"vector": Vector(1)}
    with pytest.raises(InputRefused, match=r"^input vector: Vector does not take it: ValueError: no parts$"):
        found.arguments({"vector": {}})


def test_a_coder_does_not_change_what_has_a_rule(coder: type[Coder]) -> None:
    assert coder.lookup(Point) is not None
    assert made(Point, {"x": 1}) == Point(1)
    assert not isinstance(input_kind(str), Coded)
    assert encode(Point(1), lambda file: "") == b'{"x":1,"y":0.5,"when":null}'


def test_the_last_registered_coder_is_asked_first(coder: type[Coder]) -> None:
    class Second(coder):  # type: ignore[misc, valid-type]
        @staticmethod
        def factory(tpe: type) -> Coder | None:
            return Second() if tpe is Vector else None

    assert Coder.register(Second) is Second
    Coder.register(Second)
    assert isinstance(Coder.lookup(Vector), Second)
    assert isinstance(Coder.lookup(str), coder)
    assert Coder.lookup(int) is None
    with pytest.raises(TypeError, match="derived from Coder"):
        Coder.register(Vector)  # type: ignore[type-var]


def test_a_coder_that_is_not_finished() -> None:
    with pytest.raises(NotImplementedError, match="needs a"):
        Coder.factory(int)
    with pytest.raises(NotImplementedError, match="needs a"):
        Coder().encode(1)
    with pytest.raises(NotImplementedError, match="needs a"):
        Coder().decode({})


WHOLE = st.integers()
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
PLACE = st.fixed_dictionaries({"x": WHOLE}, optional={"y": NUMBER, "when": st.none() | st.dates().map(str)})
SINGLE: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (str, st.text()), (int, WHOLE), (float, NUMBER), (bool, st.booleans()), (Any, st.none() | st.text() | WHOLE),
    (Mode, st.sampled_from(["fast", "slow"])), (Level, st.sampled_from([1, 2, 2.0])), (Scale, st.sampled_from([0.5, 1])),
    (datetime.date, st.dates().map(str)), (datetime.timedelta, st.sampled_from(["PT1S", "-P2DT3H", "P1W"])),
    (decimal.Decimal, st.decimals(allow_nan=False, allow_infinity=False).map(str)), (uuid.UUID, st.uuids().map(str)),
    (Point, PLACE), (Box, st.fixed_dictionaries({"width": WHOLE}, optional={"note": st.none() | st.text(), "more": WHOLE})),
    (Hint, st.fixed_dictionaries({}, optional={"at": PLACE, "other": WHOLE})),
    (Pair, st.tuples(WHOLE, st.just("slow")).map(list)), (Cat, st.just({"kind": "cat", "lives": 2})),
    (dict, st.dictionaries(st.text(), WHOLE)), (set, st.lists(st.text() | WHOLE)),
]  # fmt: skip
Typed = tuple[Any, st.SearchStrategy[Any]]


def either(typed: list[Typed]) -> Typed:
    return Union[tuple(annotation for annotation, _ in typed)], st.one_of([values for _, values in typed])


TYPED: st.SearchStrategy[Typed] = st.recursive(
    st.sampled_from(SINGLE),
    lambda inner: st.one_of(
        inner.map(lambda each: (types.GenericAlias(list, each[0]), st.lists(each[1], max_size=3))),
        inner.map(lambda each: (types.GenericAlias(tuple, (each[0], ...)), st.lists(each[1], max_size=3))),
        inner.map(lambda each: (Optional.__getitem__(each[0]), st.none() | each[1])),
        st.lists(inner, max_size=3).map(
            lambda several: (
                types.GenericAlias(tuple, tuple(each[0] for each in several)),
                st.tuples(*(each[1] for each in several)).map(list),
            )
        ),
        st.lists(inner, min_size=2, max_size=3).map(either),
    ),
    max_leaves=4,
)


@given(st.data(), TYPED)
def test_what_is_accepted_can_be_made_and_comes_back(data: st.DataObject, typed: Typed) -> None:
    annotation, values = typed
    kind = input_kind(annotation)
    value = data.draw(values)
    assert [problem.msg for problem in kind.check(value, ())] == []
    found = kind.decode(kind.map(value, lambda _, leaf: leaf, marked=True))
    again = kind.encode(found)
    assert list(kind.check(again, ())) == []
    assert kind.decode(json.loads(json.dumps(again))) == found
    schema = kind.json_schema()
    jsonschema.Draft4Validator.check_schema(schema)
    assert not {"const", "prefixItems"} & set(re.findall(r"\w+", repr(schema)))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | WHOLE
    | NUMBER
    | st.sampled_from(["a", "fast", "2026-01-31", "9.5", "PT1S", "cat"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "kind", "width", "at"]), inner)
    ),
    max_leaves=6,
)


@given(TYPED, JSON)
def test_any_value_is_refused_or_made(typed: Typed, value: object) -> None:
    kind = input_kind(typed[0])
    problems = list(kind.check(value, ("body",)))
    assert all(problem.loc[0] == "body" and problem.msg for problem in problems)
    if not problems:
        kind.decode(value)


def test_a_typed_dict_of_what_nothing_is_known_of() -> None:
    odd: Any = TypedDict("odd", {"a": decimal.Context})
    assert input_kind(odd).json_schema()["properties"] == {"a": {"title": "A"}}
    assert input_kind(collections.abc.Mapping[str, int]) == Mapping(None)
