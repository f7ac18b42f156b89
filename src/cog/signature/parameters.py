"""From one parameter of `run()` to a `Parameter`, and everything that is wrong with how it is declared."""

from __future__ import annotations

import inspect
import math
import os
import re
from collections.abc import Iterator
from enum import Enum
from typing import Any, Final, NamedTuple

from cog.sdk.field import FieldInfo
from cog.sdk.types import Path
from cog.signature.facts import Default, Parameter
from cog.signature.kinds import Anything, File, Integer, Kind, Nullable, Number, Text, Union, innermost
from cog.signature.rules import check_parameter


class Opaque(NamedTuple):
    """A default that has no JSON form: an object made by the model's code."""

    value: object


class Declared(NamedTuple):
    """A parameter as read: its facts, the default behind `opaque_default`, and what is wrong."""

    parameter: Parameter
    opaque: object
    faults: tuple[str, ...]


_NO_DEFAULT: Final = inspect.Parameter.empty


def declared(name: str, kind: Kind, default: object) -> Declared:
    """The parameter `name`, whose annotation was understood as `kind`; `default` is what Python has for it:
    a value, an `Input(...)`, or `inspect.Parameter.empty`."""
    info = (
        default
        if isinstance(default, FieldInfo)
        else FieldInfo(default=default, required=default is _NO_DEFAULT)
    )
    if info.required and isinstance(kind, Nullable) and not isinstance(kind.inner, Union):
        info = FieldInfo(**{**vars(info), "default": None, "required": False})
    if not info.required and info.default is None and not isinstance(kind, (Nullable, Anything)):
        kind = Nullable(kind)
    known: Default | Opaque | None = None if info.required else _default(info.default, kind)
    choices, faults = _choices(info)
    parameter = Parameter(
        name=name,
        kind=kind,
        default=known if isinstance(known, Default) else None,
        opaque_default=isinstance(known, Opaque),
        description=None if info.description is None else str(info.description),
        ge=info.ge,
        le=info.le,
        min_length=info.min_length,
        max_length=info.max_length,
        regex=info.regex,
        choices=choices,
        deprecated=bool(info.deprecated),
        accept=info.accept,
    )
    faults += list(_faults(parameter))
    if not faults:  # a default can only be held against rules that make sense themselves
        faults += list(_broken(parameter))
    return Declared(parameter, known.value if isinstance(known, Opaque) else None, tuple(faults))


def _default(value: object, kind: Kind) -> Default | Opaque:
    if isinstance(innermost(kind), File) and isinstance(value, os.PathLike):
        return Opaque(Path(value))
    try:
        return Default(kind.encode(value))
    except (TypeError, ValueError, RecursionError):  # no JSON form: the model's own object, passed as it is
        return Opaque(value)


def _choices(info: FieldInfo) -> tuple[tuple[str | int, ...] | None, list[str]]:
    if info.choices is None:
        return None, []
    if isinstance(info.choices, str):
        return None, [
            f"has choices={info.choices!r}, which is one text. Write a list: choices=[{info.choices!r}]"
        ]
    given: Any = info.choices  # annotated, but the model's author may have written anything
    listed: list[Any] = [value.value if isinstance(value, Enum) else value for value in given]
    wrong = [value for value in listed if not isinstance(value, (str, int)) or isinstance(value, bool)]
    if wrong:
        return None, [
            f"has the choice {wrong[0]!r}. Choices are strings or integers; write for example choices=[1, 2]"
        ]
    if not listed:
        return None, [
            "has an empty list of choices, so that no value could be sent. Leave choices out or fill it"
        ]
    twice = [value for index, value in enumerate(listed) if value in listed[:index]]
    faults = [f"has the choice {twice[0]!r} twice. List each choice once"] if twice else []
    return tuple(listed), faults


def _faults(parameter: Parameter) -> Iterator[str]:
    single = innermost(parameter.kind)
    yield from _number_faults(parameter, single)
    yield from _text_faults(parameter, single)
    if parameter.choices is not None and not isinstance(single, (Text, Integer)):
        yield "has choices, which only str and int can have. Annotate it so, or leave choices out"
    elif parameter.choices is not None:
        yield from _choice_faults(parameter, single)
    if parameter.accept is not None and not isinstance(single, File):
        yield "has accept=..., which only files can have. Annotate it as cog.Path, or leave accept out"


def _number_faults(parameter: Parameter, single: Kind) -> Iterator[str]:
    limits = {"ge": parameter.ge, "le": parameter.le}
    given = {name: value for name, value in limits.items() if value is not None}
    if given and not isinstance(single, (Integer, Number)):
        yield f"has {' and '.join(given)}, which limit numbers. Annotate it int or float, or leave them out"
        return
    for name, value in given.items():
        if not _is_number(value):
            yield f"has {name}={value!r}, which is no number. Write for example {name}=10"
            return
    if len(given) == 2 and given["ge"] > given["le"]:
        yield f"has ge={given['ge']} above le={given['le']}, so that no value fits. Exchange them"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _text_faults(parameter: Parameter, single: Kind) -> Iterator[str]:
    limits = {
        "min_length": parameter.min_length,
        "max_length": parameter.max_length,
        "regex": parameter.regex,
    }
    given: dict[str, Any] = {name: value for name, value in limits.items() if value is not None}
    if given and not isinstance(single, Text):
        yield f"has {' and '.join(given)}, which limit text. Annotate it as str, or leave them out"
        return
    regex = given.pop("regex", None)
    if regex is not None:
        yield from _regex_faults(regex)
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            yield f"has {name}={value!r}. Write a number of characters, 0 or more, for example {name}=10"
            return
    if len(given) == 2 and given["min_length"] > given["max_length"]:
        yield "has min_length above max_length, so that no text fits. Exchange them"


def _regex_faults(regex: object) -> Iterator[str]:
    if not isinstance(regex, str):
        yield f"has regex={regex!r}. Write the expression as a str, for example regex=r'^[a-z]+$'"
        return
    try:
        re.compile(regex)
    except (re.error, OverflowError, RecursionError) as error:
        yield f"has the regex {regex!r}, which Python cannot compile ({error}). Correct the expression"


def _choice_faults(parameter: Parameter, single: Kind) -> Iterator[str]:
    wanted, name = (str, "str") if isinstance(single, Text) else (int, "int")
    for choice in parameter.choices or ():
        if not isinstance(choice, wanted):
            yield f"is {name}, but has the choice {choice!r}. Write choices of the type {name}"
            return


def _broken(parameter: Parameter) -> Iterator[str]:
    """Choices and a default that break the parameter's own rules."""
    bare = Parameter(
        **{
            name: getattr(parameter, name)
            for name in ("name", "ge", "le", "min_length", "max_length", "regex")
        },
        kind=innermost(parameter.kind),
    )
    for choice in parameter.choices or ():
        for problem in check_parameter(bare, choice, ()):
            yield f"has the choice {choice!r} that breaks its own rules: {problem.msg}. Change one of them"
            return
    value = None if parameter.default is None else parameter.default.value
    if value is None:
        return
    for problem in check_parameter(parameter, value, (), local_files=True):
        where = ""
        if problem.loc:
            where = f" ({'item' if isinstance(problem.loc[0], int) else 'member'} {problem.loc[0]})"
        yield f"has a default{where} that breaks its own rules: {problem.msg}. Change the default or the rule"
        return
