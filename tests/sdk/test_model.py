from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Optional

import pytest

from cog import BaseModel

if TYPE_CHECKING:
    from decimal import Decimal


class Out(BaseModel):
    first: Optional[str]  # noqa: UP045
    second: int
    third: str | None
    fourth: list[int] = dataclasses.field(default_factory=list)


def test_it_is_a_dataclass() -> None:
    made = Out("a", 1, None)
    assert dataclasses.is_dataclass(made)
    assert made == Out(first="a", second=1, third=None, fourth=[])
    assert repr(made).endswith("Out(first='a', second=1, third=None, fourth=[])")
    assert dataclasses.replace(made, second=2).second == 2


def test_optional_members_may_be_left_out() -> None:
    make: Any = Out
    assert make(second=1) == Out(None, 1, None)
    assert make("x", 2).third is None
    with pytest.raises(TypeError, match="second"):
        make("x")
    with pytest.raises(TypeError, match="extra"):
        make(second=1, extra=2)


def test_inheritance_and_frozen() -> None:
    class Base(BaseModel, frozen=True):
        a: int | None

    class Child(Base):  # type: ignore[misc]  # mypy does not know that frozen is inherited
        b: str

    make: Any = Child
    made = make(b="x")
    assert (made.a, made.b) == (None, "x")
    assert hash(made) == hash(make(b="x"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.b = "y"


def test_an_own_init_is_kept() -> None:
    class Own(BaseModel):
        a: int

        def __init__(self, text: str) -> None:
            self.a = int(text)

    assert Own("5").a == 5

    class Without(BaseModel, init=False):
        a: int = 3

    assert Without().a == 3


def test_slots_are_no_trouble() -> None:
    class Slotted(BaseModel, slots=True):
        a: int

    assert Slotted(1).a == 1


def test_a_name_for_type_checkers_only() -> None:
    class Price(BaseModel):
        amount: Decimal
        note: str | None

    make: Any = Price
    assert make(1, None).note is None
    with pytest.raises(TypeError, match="note"):
        make(1)


def test_what_cannot_be_mixed() -> None:
    @dataclasses.dataclass
    class Data:
        a: int

    with pytest.raises(TypeError, match="dataclass Data"):

        class Mixed(BaseModel, Data):
            pass

    class Plain:
        pass

    with pytest.raises(TypeError, match="first base"):

        class Late(Plain, BaseModel):
            pass

    with pytest.raises(ValueError, match="auto_dataclass=False"):

        class Off(Out, auto_dataclass=False):
            pass

    class Bare(BaseModel, auto_dataclass=False):
        a: int = 1

    assert not dataclasses.is_dataclass(Bare)

    class Again(Bare):
        b: int = 2

    assert dataclasses.is_dataclass(Again)
