"""Checks of the image that would be made of the model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cog.doctor.findings import Finding, Place
from cog.doctor.patient import Patient, entry
from cog.environment.environment import running
from cog.errors import UsageError
from cog.image import base, packages
from cog.image.plan import python_of

_CHECK: Final = "image-base"


def begins_with(patient: Patient) -> Iterator[Finding]:
    """image-base: what the image of the model begins with, and why that."""
    if patient.config is None:
        yield Finding(_CHECK, "note", "not looked at, since cog.yaml has errors")
        return
    build = patient.config.build
    try:
        asked = packages.read(build, patient.folder)
    except UsageError as error:
        yield Finding(_CHECK, "warning", f"no image can be made: {error}", Place(patient.path))
        return
    chosen = base.choose(build, python_of(build, running()), asked.lines)
    key = entry(patient.tree, "build", "cuda") or entry(patient.tree, "build", "gpu")
    place = Place(patient.path, None if key is None else key[0].line)
    for warning in chosen.warnings:
        yield Finding(
            _CHECK, "warning", warning, place, "`cog build` says the same, and builds it all the same."
        )
    yield Finding(_CHECK, "ok", f"an image begins with {chosen.image} ({chosen.why})")
