"""Checks of where the model will run on this machine: its Python, its environment, what cannot be had here."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from cog.doctor.findings import Finding, Place
from cog.doctor.patient import Patient, entry
from cog.errors import EnvironmentFailed


def python(patient: Patient) -> Iterator[Finding]:
    """env-python-version: the Python that cog.yaml asks for is on this machine."""
    check = "env-python-version"
    if patient.config is None:
        yield Finding(check, "note", "not looked at, since cog.yaml has errors")
        return
    asked = patient.config.build.python_version
    running = platform.python_version()
    if asked is None:
        text = f"cog.yaml names no Python: the model gets {running}, which runs cog"
        advice = f'Name one, and the model has the same everywhere: `python_version: "{_minor(running)}"` under `build:`.'
        yield Finding(check, "note", text, Place(patient.path), advice)
        return
    from cog.environment.interpreters import find

    try:
        found = find(asked)
    except EnvironmentFailed as error:
        yield Finding(
            check, "error", str(error), advice="Environments are made with uv. `pip install uv` brings it."
        )
        return
    key = entry(patient.tree, "build", "python_version")
    if found is not None:
        yield Finding(check, "ok", f"Python {asked}: {found}")
    else:
        yield Finding(
            check,
            "warning",
            f"Python {asked} is not on this machine",
            Place(patient.path, None if key is None else key[0].line),
            "uv will try to download it when the model's environment is made. Where it cannot, install it "
            f"(`uv python install {asked}`, `pyenv install {asked}`), or ask for {_minor(running)}, which runs cog.",
        )


def ready(patient: Patient) -> Iterator[Finding]:
    """env-ready: the model's environment is made already."""
    if patient.config is None:
        yield Finding("env-ready", "note", "not looked at, since cog.yaml has errors")
        return
    from cog.environment.make import existing

    try:
        found = existing(patient.config, patient.folder)
    except (EnvironmentFailed, OSError) as error:
        yield Finding("env-ready", "error", f"the model's environment cannot be made: {error}")
        return
    if found is None:
        text = "the model's environment is not made yet"
        advice = "The first `cog run` or `cog serve` makes it. `cog doctor --deep` does so now, and imports the model."
        yield Finding("env-ready", "note", text, advice=advice)
    else:
        yield Finding("env-ready", "ok", "the model's environment is ready")


def limits(patient: Patient) -> Iterator[Finding]:
    """env-limits: nothing is asked for that only an image can have."""
    if patient.config is None:
        return
    from cog.environment.limits import missing

    text = missing(patient.config)
    if text is not None:
        yield Finding("env-limits", "warning", text)


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
