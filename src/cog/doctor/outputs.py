"""Outputs that are pydantic models where cog.BaseModel does the same without that dependency."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from cog.doctor.edits import Fix
from cog.doctor.findings import Finding, Place
from cog.doctor.patient import Patient
from cog.doctor.source import Source, definitions, qualified
from cog.doctor.target import Target, locate

_CHECK: Final = "python-pydantic-basemodel"
_PYDANTIC: Final = frozenset(("pydantic.BaseModel", "pydantic.v1.BaseModel"))
# What pydantic gives its models and cog.BaseModel does not: whoever uses one of these needs pydantic.
_METHODS: Final = frozenset(
    (
        "construct", "copy", "dict", "from_orm", "json", "model_construct", "model_copy", "model_dump", "model_dump_json",
        "model_fields", "model_validate", "model_validate_json", "parse_obj", "parse_raw", "schema", "__fields__",
    )
)  # fmt: skip


def pydantic(patient: Patient) -> Iterator[Finding]:
    """python-pydantic-basemodel: outputs derive from cog.BaseModel."""
    target = locate(patient)
    if target is None or target.function is None:
        yield Finding(_CHECK, "note", "not looked at, since the model's run() was not found in its file")
        return
    for found in _models(target):
        yield Finding(
            _CHECK,
            "warning",
            f"the output {found.name} derives from pydantic's BaseModel",
            Place(target.source.path, found.lineno),
            "It works, as long as pydantic is among the model's requirements. cog.BaseModel does the same without: "
            "from cog import BaseModel",
            fix=_mended(target.source, target.known),
        )


def _models(target: Target) -> list[ast.ClassDef]:
    """The pydantic classes of this file that the output is made of."""
    inside = definitions(target.source.body)
    returned = None if target.function is None else target.function.returns
    waiting, seen = ([] if returned is None else [returned]), list[ast.ClassDef]()
    while waiting:
        for name in _names(waiting.pop()):
            found = inside.get(name)
            if isinstance(found, ast.ClassDef) and found not in seen:
                seen.append(found)
                waiting += [each.annotation for each in found.body if isinstance(each, ast.AnnAssign)]
                waiting += found.bases
    return [found for found in seen if _is_pydantic(found, target.known)]


def _names(annotation: ast.expr) -> Iterator[str]:
    """The names in an annotation, those in a quoted one too."""
    for node in ast.walk(annotation):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _is_pydantic(found: ast.ClassDef, known: dict[str, str]) -> bool:
    return any(qualified(base, known) in _PYDANTIC for base in found.bases)


def _mended(source: Source, known: dict[str, str]) -> Fix | None:
    """Takes BaseModel from cog, where every class of the file that uses it is plain: names, types, simple defaults."""
    lines = [
        node
        for node in source.body
        if isinstance(node, ast.ImportFrom) and node.module in ("pydantic", "pydantic.v1")
    ]
    if len(lines) != 1 or [alias.name for alias in lines[0].names] != ["BaseModel"]:
        return None
    users = [node for node in source.walk() if isinstance(node, ast.ClassDef) and _is_pydantic(node, known)]
    name = lines[0].names[0].asname or "BaseModel"
    uses = [node for node in source.walk() if isinstance(node, ast.Name) and node.id == name]
    plain = all(_is_plain(node) for node in users) and len(uses) == len(users)
    others = [value for key, value in known.items() if key != name and value.partition(".")[0] == "pydantic"]
    called = any(isinstance(node, ast.Attribute) and node.attr in _METHODS for node in source.walk())
    if not plain or others or called:
        return None
    edits = source.word(lines[0], r"from[ \t]+(pydantic(?:\.v1)?)\b", "cog")
    return Fix("BaseModel: now from cog", source.path, edits) if edits else None


def _is_plain(found: ast.ClassDef) -> bool:
    """True for a class that means the same as a dataclass: one base, annotated members, defaults that cannot change and
    stand last."""
    if len(found.bases) != 1 or found.keywords or found.decorator_list:
        return False
    defaulted = False
    for each in found.body:
        if isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant):
            continue  # its docstring
        if (
            not isinstance(each, ast.AnnAssign)
            or not isinstance(each.target, ast.Name)
            or each.target.id.startswith("_")
        ):
            return False
        if each.value is None and defaulted:
            return False
        if each.value is not None and not _is_simple(each.value):
            return False
        defaulted = defaulted or each.value is not None
    return True


def _is_simple(value: ast.expr) -> bool:
    negative = isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.USub)
    return isinstance(value.operand if negative and isinstance(value, ast.UnaryOp) else value, ast.Constant)
