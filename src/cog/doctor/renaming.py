"""The method that was called predict() and is called run() now."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cog.doctor.edits import Fix
from cog.doctor.findings import Finding, Place
from cog.doctor.patient import Patient
from cog.doctor.target import Target, locate

_CHECK: Final = "predict-to-run-migration"
_MOST_FILES: Final = 500  # of a project, that are searched for somebody who calls predict()
_MOST_BYTES: Final = 1024 * 1024  # of one of them
# Folders in which no code of the project lies.
_PASSED_OVER: Final = frozenset(
    (".git", ".cog", ".venv", "venv", "node_modules", "__pycache__", "site-packages")
)


def method(patient: Patient) -> Iterator[Finding]:
    """predict-to-run-migration: the method is called run()."""
    target = locate(patient)
    if target is None or target.method != "predict" or target.function is None:
        return
    safe = _called_by_nobody(patient, target)
    edits = (
        target.source.word(target.function, r"(?:async[ \t]+)?def[ \t]+(predict)\b", "run") if safe else ()
    )
    advice = "predict() is the old name: it still works, with a note whenever the model is loaded. Rename it to run()"
    if not target.source.data:
        advice += ". The doctor leaves that to you: it changes files in UTF-8 only"
    elif not safe:
        advice += ", and those who call it. The doctor leaves that to you: other code seems to use the name"
    yield Finding(
        _CHECK,
        "warning",
        f"{target.title}() is deprecated: rename it to run()",
        Place(target.source.path, target.function.lineno),
        f"{advice}.",
        fix=Fix(f"{target.title}() is now run()", target.source.path, edits) if edits else None,
    )


def _called_by_nobody(patient: Patient, target: Target) -> bool:
    """False when the name may be used somewhere: in the class, beside it, or by another file of the project."""
    source, found = target.source, target.found
    if not isinstance(found, ast.ClassDef) or target.function not in found.body or not source.data:
        return False
    if any(
        isinstance(node, ast.Attribute) and node.attr == "predict" and _may_be_ours(node)
        for node in source.walk()
    ):
        return False
    others = [node for node in source.walk() if isinstance(node, ast.ClassDef) and node is not found]
    if any(_derives(node, found.name) for node in others):
        return False
    name = re.compile(rf"\b{re.escape(found.name)}\b".encode())
    call = re.compile(rb"\.predict\b")
    files = _files(patient.folder)
    if files is None:
        return False
    try:
        texts = [path.read_bytes() for path in files if path != source.path]
    except OSError:  # who knows what it says
        return False
    return not any(name.search(text) and call.search(text) for text in texts)


def _may_be_ours(node: ast.Attribute) -> bool:
    """`self.predict`, `super().predict`, `model.predict`; not `self.model.predict`, which is somebody else's."""
    return not (isinstance(node.value, ast.Attribute) and isinstance(node.ctx, ast.Load))


def _derives(node: ast.ClassDef, name: str) -> bool:
    return any(isinstance(base, ast.Name) and base.id == name for base in node.bases)


def _files(folder: Path) -> list[Path] | None:
    """The Python files of a project; None when there are too many or too large ones to be searched."""
    found: list[Path] = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _PASSED_OVER]
        found += [Path(place, name) for name in files if name.endswith(".py")]
        if len(found) > _MOST_FILES:
            return None
    regular = [path for path in found if path.is_file()]
    return regular if all(path.stat().st_size <= _MOST_BYTES for path in regular) else None
