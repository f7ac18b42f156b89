"""Reading a model's source: from a reference such as `run.py:Runner` to its outline. Nothing is imported or run.

An outline never claims more than the model itself would: an input that it refuses, the model refuses too. What the
source alone does not decide is left open (`Outline.complete`, `Parameter.schema`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from cog.errors import OutlineError
from cog.outline import marks
from cog.outline.facts import Outline
from cog.outline.literals import value
from cog.outline.names import Binding, Function, Module, Scope, Unknown
from cog.outline.parameters import parameters
from cog.outline.source import parse

# What a model is called where nobody says otherwise; the first counts.
METHODS: Final[tuple[str, ...]] = ("run", "predict")
TRAINING: Final[tuple[str, ...]] = ("train",)
CLASSES: Final[tuple[str, ...]] = ("Runner", "Predictor")

# Classes that bring no run() of their own, and decorators that leave the parameters as they are.
_BASES: Final = frozenset(
    {"cog.BaseRunner", "cog.BasePredictor", "builtins.object", "abc.ABC", "typing.Protocol"}
)
_DECORATORS: Final = frozenset({
    "cog.batch", "cog.streaming", "cog.concurrent", "builtins.staticmethod", "builtins.classmethod", "typing.override",
    "typing_extensions.override", "typing.final", "typing_extensions.final", "functools.cache", "functools.lru_cache",
    "abc.abstractmethod", "dataclasses.dataclass",
})  # fmt: skip
_DECORATING: Final = ("torch.",)  # whole packages of such: no_grad, inference_mode, autocast, compile


class _Found(NamedTuple):
    """A function, the class body that it stands in, and whether nothing may have taken its place."""

    function: Function
    owner: ast.ClassDef | None
    trusted: bool


def read(
    folder: Path, reference: str, *, train: bool = False, python: tuple[int, int] | None = None
) -> Outline:
    """The outline of the model that `reference` names: `run.py:Runner`, or `run.py` for its Runner (or Predictor). With
    `train` it is one that is trained: `train.py` stands for its `train`.

    `python` is the version of Python that the model runs with, None for this one: a syntax error counts only when
    both are the same.

    Raises:
        OutlineError: no such file, not Python, or nothing of that name in it.
    """
    file, colon, name = reference.rpartition(":")
    if not colon or name.endswith(".py"):
        file, name = reference, ""
    path = folder / file
    if not path.is_file():
        raise OutlineError(_no_file(reference, path, folder))
    tree = parse(path, file, python)
    if tree is None:
        return Outline(name)
    module = Module(tree)
    name = name or (TRAINING[0] if train else _default_name(module, file))
    try:
        binding = module.scope.last(name)
    except Unknown:
        return Outline(name)
    if binding is None and not module.secretive:
        raise OutlineError(_no_name(module, file, name))
    return _outline(name, None if binding is None else binding.node, module, TRAINING if train else METHODS)


def _outline(name: str, node: ast.AST | None, module: Module, methods: tuple[str, ...]) -> Outline:
    found: _Found | None = None
    try:
        if isinstance(node, ast.ClassDef):
            found = _method(node, module, methods)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found = _Found(node, None, trusted=_kept(node, module))
    except Unknown:
        pass
    doc = (
        ast.get_docstring(node)
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        else None
    )
    if found is None:
        return Outline(name, doc)
    function, owner, trusted = found
    inner = Scope() if owner is None else Scope.of(owner.body, until=function.lineno)
    skip = 0 if owner is None or _is_static(function) else 1
    variadic = function.args.vararg is not None or function.args.kwarg is not None
    return Outline(
        name,
        ast.get_docstring(function) or doc,
        parameters(function, skip, module, inner, trusted=trusted, same=_batched(function, module, inner)),
        None if function.returns is None else ast.unparse(function.returns),
        complete=trusted and not variadic,
        asynchronous=isinstance(function, ast.AsyncFunctionDef),
        marks=marks.read(function, module),
    )


def _method(cls: ast.ClassDef, module: Module, methods: tuple[str, ...]) -> _Found | None:
    """The first of the methods that a class has, its own or one that it inherits within this file."""
    for wanted in methods:
        found = _inherited(cls, wanted, module, frozenset())
        if found is not None:
            return found
    return None


def _inherited(cls: ast.ClassDef, wanted: str, module: Module, seen: frozenset[str]) -> _Found | None:
    """The method `wanted` of a class; None when there is none; raises Unknown when the source does not tell."""
    if cls.name in seen:
        raise Unknown
    trusted = _kept(cls, module) and not cls.keywords
    own = Scope.of(cls.body).last(wanted)
    if own is not None:
        if not isinstance(own.node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            raise Unknown
        return _Found(own.node, cls, trusted and _kept(own.node, module, Scope.of(cls.body)))
    found = [
        each
        for base in cls.bases
        if (each := _from_base(base, wanted, module, seen | {cls.name})) is not None
    ]
    if len(found) > 1:  # which one comes first is for Python to say
        raise Unknown
    return found[0]._replace(trusted=found[0].trusted and trusted) if found else None


def _from_base(base: ast.expr, wanted: str, module: Module, seen: frozenset[str]) -> _Found | None:
    if isinstance(base, ast.Name):
        binding: Binding = module.find(base.id)
        if isinstance(binding.node, ast.ClassDef):
            return _inherited(binding.node, wanted, module, seen)
    if module.origin(base) in _BASES:
        return None
    raise Unknown


def _kept(node: Function | ast.ClassDef, module: Module, inner: Scope | None = None) -> bool:
    """Whether what is defined here stays as it is: no decorator, and nothing else in the file, may change it."""
    if node.name in module.changed:
        return False
    return all(_is_harmless(decorator, module, inner) for decorator in node.decorator_list)


def _is_harmless(decorator: ast.expr, module: Module, inner: Scope | None) -> bool:
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    try:
        if isinstance(target, ast.Name):
            node = module.find(target.id, inner).node
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                return _wraps(node, module)
        origin = module.origin(target, inner)
    except Unknown:
        return False
    return origin in _DECORATORS or origin.startswith(_DECORATING)


def _batched(function: Function, module: Module, inner: Scope) -> frozenset[str] | None:
    """The names that `@batch(same=...)` gives, whose parameters are no lists; None for a function without that."""
    for decorator in function.decorator_list:
        call = decorator if isinstance(decorator, ast.Call) else None
        try:
            if module.origin(decorator if call is None else call.func, inner) != "cog.batch":
                continue
            given = [] if call is None else [key.value for key in call.keywords if key.arg == "same"]
            return frozenset(map(str, value(given[0], module, inner))) if given else frozenset()
        except Unknown:
            continue
    return None


def _wraps(decorator: Function, module: Module) -> bool:
    """Whether a decorator of this file says by functools.wraps that it hands on the parameters of what it wraps."""
    names = {node.arg for node in ast.walk(decorator) if isinstance(node, ast.arg)}
    says = False
    for node in ast.walk(decorator):
        if isinstance(node, ast.Attribute) and node.attr in ("__signature__", "__wrapped__"):
            return False
        if isinstance(node, ast.Call) and [arg.id for arg in node.args if isinstance(arg, ast.Name)][:1]:
            first = node.args[0]
            says = says or (
                isinstance(first, ast.Name)
                and first.id in names
                and _is(node.func, "functools.wraps", module)
            )
    return says


def _is(node: ast.expr, origin: str, module: Module) -> bool:
    try:
        return module.origin(node) == origin
    except Unknown:
        return False


def _is_static(function: Function) -> bool:
    return any(
        isinstance(decorator, ast.Name) and decorator.id == "staticmethod"
        for decorator in function.decorator_list
    )


def _default_name(module: Module, file: str) -> str:
    for name in CLASSES:
        if name in module.scope.bindings:
            return name
    if module.secretive:
        return CLASSES[0]
    example = next(iter(_models(module)), CLASSES[0])
    raise OutlineError(
        f"{file} has no class called Runner, and the reference names no other. Write the name behind a colon, for "
        f"example {file}:{example}."
    )


def _models(module: Module) -> Iterable[str]:
    """The classes of the file that look like models."""
    for name, bindings in module.scope.bindings.items():
        node = bindings[-1].node
        if isinstance(node, ast.ClassDef) and any(
            method in Scope.of(node.body).bindings for method in METHODS
        ):
            yield name


def _no_file(reference: str, path: Path, folder: Path) -> str:
    text = f"{path} does not exist, but {reference!r} names it."
    near = (
        _near(path.name, (found.name for found in folder.glob("*.py") if found.is_file()))
        if folder.is_dir()
        else ""
    )
    return text + (near or " Check the path: it is taken relative to the folder of cog.yaml.")


def _no_name(module: Module, file: str, name: str) -> str:
    bound = {key: found[-1].node for key, found in module.scope.bindings.items() if not key.startswith("_")}
    models = [
        key
        for key, node in bound.items()
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    near = _near(name, models)
    if not near and models:
        near = f" It defines {', '.join(sorted(models)[:10])}."
    return f"{file} has nothing called {name}.{near or ' Define it there: a class with a run() method.'}"


def _near(wanted: str, names: Iterable[str]) -> str:
    import difflib  # here: it takes milliseconds, and only a mistake needs it

    found = difflib.get_close_matches(wanted, list(names), n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(found)}?" if found else ""
