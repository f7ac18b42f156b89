"""What the model imports from cog under names that are old or never were."""

from __future__ import annotations

import ast
import difflib
import importlib
from collections.abc import Iterator
from pathlib import PurePath
from typing import Final

import cog
from cog.bundle import PARTS
from cog.doctor.edits import Edit, Fix
from cog.doctor.findings import Finding, Place
from cog.doctor.patient import Patient
from cog.doctor.source import Source, bound, imports, qualified

_CHECK: Final = "python-deprecated-imports"
_MODULES: Final = frozenset(PurePath(part).stem for part in PARTS) - {"__init__", "py"}
# Places whose names are all in cog itself now.
_PLACES: Final = ("exceptions", "input", "predictor", "types")
_OLD: Final = {
    "ExperimentalFeatureWarning": "Nothing warns with it any more. Remove it, and the filter that names it.",
    "emit_metric": "Call self.record_metric(name, value) in its place.",
    "BasePredictor": "Derive the model from BaseRunner.",
    "File": "Use Path: it is a file on disk that any library can open.",
}


def deprecated(patient: Patient) -> Iterator[Finding]:
    """python-deprecated-imports: what is imported from cog is there, and will go on to be."""
    source = patient.source
    if source is None or source.tree is None:
        yield Finding(_CHECK, "note", "not looked at, since the model's file cannot be read")
        return
    for node in source.walk():
        if isinstance(node, ast.ImportFrom) and not node.level and node.module is not None:
            package, _, rest = node.module.partition(".")
            if package == "cog" and rest and rest.partition(".")[0] not in _MODULES:
                yield _no_module(source, node, node.module)
            elif package == "cog" and rest in _PLACES:
                yield from _moved(source, node, rest)
            if package == "cog" and (not rest or rest in _PLACES):
                yield from _names(source, node)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                package, _, rest = alias.name.partition(".")
                if package == "cog" and rest and rest.partition(".")[0] not in _MODULES:
                    yield _no_module(source, node, alias.name)


def _no_module(source: Source, node: ast.ImportFrom | ast.Import, module: str) -> Finding:
    """An import of a module that cog does not have; what it is asked for may stand in cog itself."""
    advice, fix = _from_cog(source, node, module)
    return Finding(
        _CHECK,
        "error",
        f"there is no module {module}",
        Place(source.path, node.lineno),
        f"The model cannot be imported. {advice}",
        fix=fix,
    )


def _moved(source: Source, node: ast.ImportFrom, place: str) -> Iterator[Finding]:
    """An import from where names once stood, which goes on to work; not for a name that is deprecated itself, or that
    was never there."""
    known = importlib.import_module(f"cog.{place}").__all__
    for alias in node.names:
        if alias.name not in (*known, *_OLD, "*"):
            text = f"cog.{place} has nothing called {alias.name}"
            advice = f"The model cannot be imported. It has {', '.join(known)}."
            yield Finding(_CHECK, "error", text, Place(source.path, alias.lineno), advice)
    if all(alias.name in known for alias in node.names):
        advice, fix = _from_cog(source, node, f"cog.{place}")
        text = f"cog.{place} is an old place"
        yield Finding(_CHECK, "warning", text, Place(source.path, node.lineno), advice, fix=fix)


def _from_cog(source: Source, node: ast.ImportFrom | ast.Import, module: str) -> tuple[str, Fix | None]:
    """What to write in the place of an import from `module`, and what writes it."""
    names = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
    if not names or not all(name in cog.__all__ for name in names):
        return "What a model needs is in cog itself: `import cog`.", None
    listed = ", ".join(names)
    edits = source.word(node, rf"from[ \t]+({module})\b", "cog")
    fix = Fix(f"{listed}: now from cog", source.path, edits) if edits else None
    return f"Write: from cog import {listed}", fix


def _names(source: Source, node: ast.ImportFrom) -> Iterator[Finding]:
    for alias in node.names:
        place = Place(source.path, alias.lineno)
        if alias.name in _OLD:
            text = f"cog.{alias.name} is deprecated"
            fix = _mended(source, node, alias)
            yield Finding(_CHECK, "warning", text, place, _OLD[alias.name], fix=fix)
        elif node.module == "cog" and alias.name not in (*cog.__all__, *_MODULES, "*"):
            near = difflib.get_close_matches(alias.name, cog.__all__, n=1)
            advice = f"Did you mean {near[0]}?" if near else f"It has {', '.join(sorted(cog.__all__[1:]))}."
            text = f"cog has nothing called {alias.name}"
            yield Finding(_CHECK, "error", text, place, f"The model cannot be imported. {advice}")


def _mended(source: Source, node: ast.ImportFrom, alias: ast.alias) -> Fix | None:
    edits: tuple[Edit, ...] = ()
    if alias.name == "ExperimentalFeatureWarning":
        edits, text = (
            _without_warning(source, node, alias),
            "ExperimentalFeatureWarning is no longer imported",
        )
    elif alias.name == "BasePredictor":
        edits, text = _base_renamed(source, alias), "BasePredictor is now BaseRunner"
    else:
        return None
    return Fix(text, source.path, edits) if edits else None


def _base_renamed(source: Source, alias: ast.alias) -> tuple[Edit, ...]:
    """BasePredictor everywhere under its new name, unless that is taken or something names it in a text."""
    first = source.word(alias, r"(BasePredictor)\b", "BaseRunner")
    if alias.asname is not None:
        return first
    uses = [node for node in source.walk() if isinstance(node, ast.Name) and node.id == "BasePredictor"]
    quoted = any(isinstance(node, ast.Constant) and node.value == "BasePredictor" for node in source.walk())
    if quoted or "BaseRunner" in bound(source.body) or any(not isinstance(use.ctx, ast.Load) for use in uses):
        return ()
    return (*first, *(edit for use in uses for edit in source.word(use, r"(BasePredictor)\b", "BaseRunner")))


def _without_warning(source: Source, node: ast.ImportFrom, alias: ast.alias) -> tuple[Edit, ...]:
    """Takes the import out, and the filters that name it; nothing when it is used for more than these."""
    name = alias.asname or alias.name
    uses = [each for each in source.walk() if isinstance(each, ast.Name) and each.id == name]
    filters = [statement for statement in source.body if _is_filter(statement, imports(source), name)]
    inside = [each for statement in filters for each in ast.walk(statement)]
    if any(use not in inside for use in uses) or not source.data:
        return ()
    lines = [source.whole_lines(statement) for statement in filters]
    taken = _alias_removal(source, node, alias)
    if taken is None or None in lines:
        return ()
    return (taken, *(source.removal(*place) for place in lines if place is not None))


def _is_filter(statement: ast.stmt, known: dict[str, str], name: str) -> bool:
    """`warnings.filterwarnings("ignore", category=NAME)`, and the like."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    if not isinstance(call, ast.Call):
        return False
    called = qualified(call.func, known) in ("warnings.filterwarnings", "warnings.simplefilter")
    return called and any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(call))


def _alias_removal(source: Source, node: ast.ImportFrom, alias: ast.alias) -> Edit | None:
    index = node.names.index(alias)
    if len(node.names) == 1:
        lines = source.whole_lines(node)
        return None if lines is None else source.removal(*lines)
    if index + 1 < len(node.names):
        return source.removal(source.start(alias), source.start(node.names[index + 1]))
    return source.removal(source.end(node.names[index - 1]), source.end(alias))
