"""Checks of what the model says of its inputs and its output."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from cog.doctor.findings import Finding, Place
from cog.doctor.patient import Patient
from cog.doctor.target import Target, locate

_CHECK: Final = "python-missing-type-annotations"


def missing(patient: Patient) -> Iterator[Finding]:
    """python-missing-type-annotations: every input has a type, and so has the output."""
    target = locate(patient)
    if target is None or target.function is None:
        yield Finding(_CHECK, "note", "not looked at, since the model's run() was not found in its file")
        return
    for parameter in _inputs(target):
        if parameter.annotation is None:
            yield Finding(
                _CHECK,
                "error",
                f'parameter "{parameter.arg}" of {target.title} has no type annotation',
                Place(target.source.path, parameter.lineno),
                "Without it no request could be checked, so the model cannot be served. Write one, for example: "
                f"{parameter.arg}: str",
            )
    if target.function.returns is None:
        yield Finding(
            _CHECK,
            "warning",
            f"{target.title} does not say what it returns",
            Place(target.source.path, target.function.lineno),
            "Clients then read of an output of any kind, and files in it may not be delivered. "
            "Write it, for example: -> str",
        )


def _inputs(target: Target) -> list[ast.arg]:
    """The parameters but self, which every method has unless it is static."""
    if target.function is None:
        return []
    arguments = target.function.args
    listed = [*arguments.posonlyargs, *arguments.args]
    static = any(
        isinstance(each, ast.Name) and each.id == "staticmethod" for each in target.function.decorator_list
    )
    return [*(listed[1:] if target.method and not static else listed), *arguments.kwonlyargs]
