"""The kinds of values that a model can accept and return, all in one place. What every kind does is said in `scalars.Kind`;
each family has a file of its own.

| file | kinds |
|---|---|
| `scalars` | JSON's own: text, numbers, booleans, null, anything |
| `choices` | `Literal`, `Enum` |
| `formats` | dates, times, durations, `Decimal`, `UUID` |
| `leaves` | files, `bytes`, secrets |
| `containers` | dicts, lists, tuples, sets, unions |
| `objects` | BaseModel, dataclasses, pydantic models, TypedDict, what a `Coder` knows |
"""

from __future__ import annotations

from cog.signature.choices import Choice
from cog.signature.containers import Array, Mapping, Nullable, Tuple, Union, innermost
from cog.signature.formats import Formatted
from cog.signature.leaves import File, SecretText
from cog.signature.objects import Coded, Member, Record, Wrapped, title
from cog.signature.scalars import Anything, Boolean, Integer, Kind, Null, Number, Text

__all__ = [
    "Anything", "Array", "Boolean", "Choice", "Coded", "File", "Formatted", "Integer", "Kind", "Mapping", "Member", "Null",
    "Nullable", "Number", "Record", "SecretText", "Text", "Tuple", "Union", "Wrapped", "innermost", "title",
]  # fmt: skip
