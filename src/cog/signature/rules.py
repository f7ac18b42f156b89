"""The complete check of an input: every rule for every value, and each one that is broken is named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

from cog.errors import Problem
from cog.signature.choices import chosen, not_chosen
from cog.signature.facts import Parameter, Signature
from cog.signature.kinds import Array, Kind, Nullable, Number
from cog.signature.problems import Place, missing, shown, wrong, wrong_type

# Enough to mend a request by, while a list of millions of wrong items cannot fill the memory.
LIMIT: Final = 1000

_AT: Final[Place] = ("body", "input")


def check_input(signature: Signature, value: object, *, local_files: bool = False) -> list[Problem]:
    """Everything that is wrong with `value` as the input of a model.

    Names that the model lacks are no problem. With `local_files` a file may be any path instead of a
    URL. At most `LIMIT` problems are listed; a further one then says so.
    """
    problems = list(islice(_problems(signature, value, local_files=local_files), LIMIT + 1))
    if len(problems) > LIMIT:
        problems[LIMIT] = Problem(_AT, f"more is wrong: only the first {LIMIT:,} problems are listed")
    return problems


def _problems(signature: Signature, value: object, *, local_files: bool) -> Iterator[Problem]:
    if not isinstance(value, dict):
        secret = any(parameter.kind.secret for parameter in signature.parameters)
        yield wrong_type(value, _AT, "object", hidden=secret)
        return
    for parameter in signature.parameters:
        at = (*_AT, parameter.name)
        if parameter.name in value:
            yield from check_parameter(parameter, value[parameter.name], at, local_files=local_files)
        elif parameter.required:
            yield missing(at)


def check_parameter(
    parameter: Parameter, value: object, at: Place, *, local_files: bool = False
) -> Iterator[Problem]:
    """Everything that is wrong with `value` for `parameter`: its kind first, then its choices and limits.

    The choices and limits of a list are those of its items. A null that is accepted has no further rules.
    """
    return _check(parameter, parameter.kind, value, at, local_files=local_files)


def _check(
    parameter: Parameter, kind: Kind, value: object, at: Place, *, local_files: bool
) -> Iterator[Problem]:
    if isinstance(kind, Nullable):
        if value is None:
            return
        kind = kind.inner
    if isinstance(kind, Array) and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _check(parameter, kind.items, item, (*at, index), local_files=local_files)
        return
    fits = True
    for problem in kind.check(value, at, local_files=local_files):
        fits = False
        yield problem
    if fits:  # the length of what should have been a number would only confuse
        for complaint in _limits(parameter, kind, value):
            yield wrong(value, at, complaint, hidden=kind.secret)
        if parameter.choices is not None and chosen(parameter.choices, value) is None:
            yield not_chosen(parameter.choices, value, at, hidden=kind.secret)


def _limits(parameter: Parameter, kind: Kind, value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield from _text_limits(parameter, value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value) if isinstance(kind, Number) else value  # what the model will see
        if parameter.ge is not None and number < parameter.ge:
            yield f"is less than the minimum of {shown(parameter.ge)}"
        if parameter.le is not None and number > parameter.le:
            yield f"is greater than the maximum of {shown(parameter.le)}"


def _text_limits(parameter: Parameter, value: str) -> Iterator[str]:
    if parameter.min_length is not None and len(value) < parameter.min_length:
        yield f"is shorter than {_characters(parameter.min_length)}"
    if parameter.max_length is not None and len(value) > parameter.max_length:
        yield f"is longer than {_characters(parameter.max_length)}"
    if parameter.regex is not None and re.search(parameter.regex, value) is None:
        yield f'does not match "{parameter.regex}"'


def _characters(count: int) -> str:
    return f"{count} character{'' if count == 1 else 's'}"
