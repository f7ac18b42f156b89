"""All checks, in the order in which they are told."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from cog.doctor import annotations as types
from cog.doctor import configuration, image, imports, machine, outputs, renaming, surroundings, target
from cog.doctor.findings import Finding
from cog.doctor.patient import Patient


class Check(NamedTuple):
    """One check: what is said when it finds nothing, and the function that looks."""

    name: str
    right: str
    look: Callable[[Patient], Iterable[Finding]]


CONFIG: Final = (
    Check("config-parse", "cog.yaml can be read", configuration.parse),
    Check("config-schema", "its keys and values are right", configuration.schema),
    Check(
        "predict-to-run-migration", "nothing is named under the old name predict:", configuration.migration
    ),
    Check("config-deprecated-fields", "no key of it is deprecated", configuration.deprecated_fields),
    Check("config-predict-ref", "the model that it names is there", target.reference),
)
PYTHON: Final = (
    Check("predict-to-run-migration", "no method has the old name predict()", renaming.method),
    Check("python-missing-type-annotations", "inputs and output have types", types.missing),
    Check("python-pydantic-basemodel", "outputs need no pydantic", outputs.pydantic),
    Check("python-deprecated-imports", "nothing imported from cog is deprecated", imports.deprecated),
)
ENVIRONMENT: Final = (
    Check("env-python-version", "its Python is here", surroundings.python),
    Check("env-ready", "its environment is ready", surroundings.ready),
    Check("env-limits", "it needs nothing that only an image can have", surroundings.limits),
    Check("env-gpu-compat", "its GPU is here", lambda patient: machine.gpu(patient, os.environ)),
    Check("env-docker", "a container engine is here", lambda patient: machine.engine(os.environ)),
    Check("image-base", "an image can begin with what it asks for", image.begins_with),
    Check("env-port", "the port of `cog serve` is free", lambda patient: machine.port()),
    Check("env-disk", "the disk has room", machine.disk),
    Check("env-memory", "there is memory", lambda patient: machine.memory()),
)
GROUPS: Final = {"Config": CONFIG, "Python": PYTHON, "Environment": ENVIRONMENT}


def look(patient: Patient, checks: Sequence[Check]) -> Iterator[Finding]:
    """What the checks find; a check that finds nothing says what is right."""
    for check in checks:
        found = list(check.look(patient))
        yield from found or [Finding(check.name, "ok", check.right)]


def fixable(patient: Patient) -> list[Finding]:
    """The findings of all checks of the files that the doctor can mend."""
    return [finding for finding in look(patient, (*CONFIG, *PYTHON)) if finding.fix is not None]
