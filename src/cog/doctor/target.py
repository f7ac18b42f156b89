"""The class or function that cog.yaml names, found in its file without importing it."""

from __future__ import annotations

import ast
import difflib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cog.doctor.findings import Finding, Place
from cog.doctor.patient import Patient
from cog.doctor.source import Definition, Fault, Function, Source, bound, definitions, imports, qualified
from cog.outline.reading import CLASSES, METHODS, TRAINING

_CHECK: Final = "config-predict-ref"


@dataclass(frozen=True, slots=True)
class Target:
    """A model as its file shows it. `found` is its class or function; `function` what makes a prediction, where that
    stands in the same file. `method` is the name of it in the class, empty for a function."""

    source: Source
    found: Definition
    known: dict[str, str]
    function: Function | None = None
    method: str = ""

    @property
    def title(self) -> str:
        """`Runner.run`, or the function's name."""
        return f"{self.found.name}.{self.method}" if self.method else self.found.name


@dataclass(frozen=True, slots=True)
class Methods:
    """Which of the methods that do the work a class has, each with its function (None: it is not a plain `def`). `open`
    means that it may have more, from where this cannot be seen."""

    own: dict[str, Function | None]
    open: bool


def locate(patient: Patient) -> Target | None:
    """The model, None when it is not plainly there."""
    source = patient.source
    found = None if source is None else definitions(source.body).get(_name(patient, source))
    if source is None or found is None:
        return None
    known = imports(source)
    if not isinstance(found, ast.ClassDef):
        return Target(source, found, known, found)
    methods = _methods(found, source, known, _wanted(patient))
    name = next((name for name in _wanted(patient) if name in methods.own), "")
    return Target(source, found, known, methods.own.get(name), name)


def reference(patient: Patient) -> Iterator[Finding]:
    """config-predict-ref: the model that cog.yaml names is there, and has run(); where it only trains, that is there."""
    source = patient.source
    if patient.reference is None:
        text = "cog.yaml names no model"
        advice = (
            "Say where it is, for example: `run: run.py:Runner`. `cog init` writes a model to begin with."
        )
        if patient.tree is None and patient.fault:
            yield Finding(_CHECK, "note", "not looked at, since cog.yaml cannot be read")
        else:
            yield Finding(_CHECK, "error", text, Place(patient.path), advice)
    elif source is None:
        yield _no_file(patient, patient.reference)
    elif source.fault is not None:
        yield _unreadable(patient, source, source.fault)
    else:
        yield from _definition(patient, source)


def _definition(patient: Patient, source: Source) -> Iterator[Finding]:
    name = _name(patient, source)
    names = bound(source.body)
    found = definitions(source.body).get(name)
    if found is None:
        if name in names or "*" in names or "__getattr__" in names or _writes_globals(source):
            text = f"{name} is made where it cannot be seen without importing {source.path.name}"
            yield Finding(_CHECK, "note", text, Place(source.path), "`cog doctor --deep` imports it.")
        else:
            yield _no_name(source, name)
    elif isinstance(found, ast.ClassDef):
        yield from _class(source, found, _wanted(patient))


def _class(source: Source, found: ast.ClassDef, wanted: tuple[str, ...]) -> Iterator[Finding]:
    methods = _methods(found, source, imports(source), wanted)
    place = Place(source.path, found.lineno)
    if len(methods.own) > 1:
        text = f"{found.name} must define either run() or predict(), not both"
        yield Finding(
            _CHECK, "error", text, place, "No prediction can be made. Keep run(); predict() is its old name."
        )
    elif not methods.own and methods.open:
        text = f"{wanted[0]}() of {found.name} comes from where it cannot be seen without importing {source.path.name}"
        yield Finding(_CHECK, "note", text, place, "`cog doctor --deep` imports it.")
    elif not methods.own:
        text = f"{' or '.join(wanted)} method not found: {found.name}"
        advice = "Define the method that makes one prediction, for example: def run(self, prompt: str) -> str"
        if wanted == TRAINING:
            advice = "Define the method that trains, for example: def train(self, data: Path) -> Path"
        yield Finding(_CHECK, "error", text, place, advice)


def _methods(
    found: ast.ClassDef,
    source: Source,
    known: dict[str, str],
    wanted: tuple[str, ...],
    seen: tuple[str, ...] = (),
) -> Methods:
    inside = definitions(found.body)
    own = {name: _function(inside.get(name)) for name in wanted if name in bound(found.body)}
    more = bool(found.decorator_list or found.keywords or "__getattr__" in inside)
    for base in found.bases:
        parent = definitions(source.body).get(base.id) if isinstance(base, ast.Name) else None
        if isinstance(parent, ast.ClassDef) and parent.name not in (*seen, found.name):
            above = _methods(parent, source, known, wanted, (*seen, found.name))
            own, more = {**above.own, **own}, more or above.open
        elif not (isinstance(base, ast.Name) and base.id == "object"):
            more = more or not qualified(base, known).startswith("cog.")  # those of cog have neither
    return Methods(own, more)


def _function(found: Definition | None) -> Function | None:
    return None if isinstance(found, ast.ClassDef) else found


def _name(patient: Patient, source: Source) -> str:
    """The name behind the colon, else the one that is taken without: Runner, or Predictor; train for a training."""
    usual = TRAINING if patient.train else CLASSES
    names = bound(source.body)
    return patient.name or next((name for name in usual if name in names), usual[0])


def _wanted(patient: Patient) -> tuple[str, ...]:
    """The names of the method that does the work of a class."""
    return TRAINING if patient.train else METHODS


def _writes_globals(source: Source) -> bool:
    return any(
        isinstance(node, ast.Name) and node.id in ("globals", "exec", "setattr") for node in source.walk()
    )


def _no_file(patient: Patient, wanted: str) -> Finding:
    path = patient.folder / wanted.partition(":")[0]
    names = sorted(found.name for found in patient.folder.glob("*.py") if found.is_file())
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.5)
    advice = f"Did you mean {near[0]}?" if near else "Create it, or correct the name in cog.yaml."
    text = f"{wanted.partition(':')[0]} does not exist, but cog.yaml names it as the model"
    return Finding(_CHECK, "error", text, Place(patient.path), advice)


def _no_name(source: Source, name: str) -> Finding:
    names = sorted(each for each in definitions(source.body) if not each.startswith("_"))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    advice = "Define it there: a class with a run() method."
    if near:
        advice = f"Did you mean {near[0]}?"
    elif names:
        advice = f"It defines {', '.join(names[:10])}. Name one of them in cog.yaml, or define {name}."
    return Finding(
        _CHECK, "error", f"{source.path.name} has nothing called {name}", Place(source.path), advice
    )


def _unreadable(patient: Patient, source: Source, fault: Fault) -> Finding:
    """A file that this Python cannot read; a newer one, which the model may ask for, perhaps can."""
    asked = None if patient.config is None else patient.config.build.python_version
    newer = asked is not None and tuple(map(int, asked.split(".")[:2])) > sys.version_info[:2]
    text = f"{source.path.name} cannot be read as Python: {fault.text}"
    advice = "The model cannot be imported. Correct this line, or the one before it."
    if newer:
        running = ".".join(map(str, sys.version_info[:2]))
        advice = (
            f"That is what Python {running} says, which runs cog; the model's {asked} may see it otherwise: "
            "`cog doctor --deep` asks that one."
        )
    place = Place(source.path, fault.line)
    return Finding(_CHECK, "warning" if newer else "error", text, place, advice, fault.excerpt)
