"""Checks of cog.yaml."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeAlias

from cog.config import document
from cog.config.document import LINE, Mapping, Node, Scalar
from cog.doctor.edits import Edit, Fix, edited, fitting
from cog.doctor.findings import Finding, Place
from cog.doctor.patient import Patient, entry

_BOM: Final = b"\xef\xbb\xbf"
_DEPRECATED: Final = re.compile(r'deprecated field "(?P<old>[^"]+)": use "(?P<new>[^"]+)" instead')
_PLACE: Final = re.compile(r"(?P<path>\S.*?):(?P<line>\d+):\d+: (?P<text>.*)")
_ADVICE: Final = {
    "build.python_packages": "Write the packages into a file requirements.txt, one a line, and name it: "
    "`python_requirements: requirements.txt`.",
    "build.pre_install": "Move its commands to the end of `build.run`.",
    "concurrency.max": "Decorate the method: `@cog.concurrent(max=N)`. Then model and number cannot come apart.",
}

Shape: TypeAlias = "tuple[object, ...]"


def parse(patient: Patient) -> Iterator[Finding]:
    """config-parse: cog.yaml is YAML that can be gone through."""
    if patient.tree is not None or not patient.fault:
        return
    advice = "Nothing works without it. Correct this place; often a tab, a colon or a quote is at fault."
    yield from _problems(patient, "config-parse", advice)


def schema(patient: Patient) -> Iterator[Finding]:
    """config-schema: its keys and values are known and fit together."""
    if patient.tree is None and patient.fault:
        yield Finding("config-schema", "note", "not looked at, since cog.yaml cannot be read")
    elif patient.fault:
        yield from _problems(
            patient, "config-schema", "No command works on this folder until it is corrected."
        )


def migration(patient: Patient) -> Iterator[Finding]:
    """predict-to-run-migration: the model stands under `run`, not under its old name."""
    old = entry(patient.tree, "predict")
    if old is None or entry(patient.tree, "run") is not None:
        return
    yield Finding(
        "predict-to-run-migration",
        "warning",
        'deprecated field "predict": use "run" instead',
        Place(patient.path, old[0].line),
        "The old name still works, but every command warns of it. Write `run:` in its place.",
        fix=_renamed(patient, ("predict",), "run"),
    )


def deprecated_fields(patient: Patient) -> Iterator[Finding]:
    """config-deprecated-fields: no other key is on its way out."""
    if patient.config is None:
        yield Finding("config-deprecated-fields", "note", "not looked at, since cog.yaml has errors")
        return
    for text in patient.config.warnings:
        match = _DEPRECATED.search(text)
        if match is None or match["old"] == "predict":
            continue
        path = tuple(match["old"].split("."))
        found = entry(patient.tree, *path)
        movable = match["old"] == "build.pre_install" and entry(patient.tree, "build", "run") is None
        yield Finding(
            "config-deprecated-fields",
            "warning",
            text,
            Place(patient.path, None if found is None else found[0].line),
            _ADVICE.get(match["old"], f"It works for now. Write {match['new']} in its place."),
            fix=_renamed(patient, path, "run") if movable else None,
        )


def _problems(patient: Patient, check: str, advice: str) -> Iterator[Finding]:
    """What the parser says, problem by problem; the lines that show the place are its detail. The last has the advice."""
    found: list[Finding] = []
    for line in patient.fault.splitlines():
        match = _PLACE.fullmatch(line)
        if match is not None:
            place = Place(Path(match["path"]), int(match["line"]))
            found.append(Finding(check, "error", match["text"], place))
        elif found:
            found[-1] = replace(found[-1], detail=f"{found[-1].detail}\n{line}".strip("\n"))
        else:
            found.append(Finding(check, "error", line, Place(patient.path)))
    yield from found[:-1]
    yield replace(found[-1], advice=advice)


def _renamed(patient: Patient, path: tuple[str, ...], new: str) -> Fix | None:
    """What renames the key at `path`; None unless the file then says the same under the new name."""
    found = entry(patient.tree, *path)
    if found is None:
        return None
    key, begin = found[0], _offset(patient.data, found[0])
    old = key.text.encode()
    if patient.data[begin : begin + 1] in (b'"', b"'"):
        begin += 1
    edit = Edit(begin, old, new.encode())
    if not fitting(patient.data, [edit]):
        return None
    try:
        tree, problems = document.read(edited(patient.data, [edit]))
    except document.Unreadable:
        return None
    if problems or _shape(tree) != _shape(patient.tree, path, new):
        return None
    return Fix(f"{path[-1]}: is now {new}:", patient.path, (edit,))


def _offset(data: bytes, node: Scalar) -> int:
    """The byte at which a node begins, whose line and column count characters from 1."""
    text = data.decode("utf-8-sig")
    starts = [0, *(match.end() for match in LINE.finditer(text))]
    before = text[: starts[node.line - 1] + node.column - 1]
    return len(before.encode()) + (len(_BOM) if data.startswith(_BOM) else 0)


def _shape(node: Node | None, rename: tuple[str, ...] = (), new: str = "") -> Shape:
    """What a tree says, without the places; with the key at the path `rename` called `new`."""
    if node is None:
        return ()
    if isinstance(node, Scalar):
        return (node.kind, node.text)
    if not isinstance(node, Mapping):
        return ("list", *(_shape(item) for item in node.items))
    pairs = []
    for key, value in node.entries:
        mine = key.text == rename[0] if rename else False
        name = new if mine and len(rename) == 1 else key.text
        pairs.append((name, _shape(value, rename[1:] if mine else (), new)))
    return ("keys", *pairs)
