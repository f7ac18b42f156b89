"""From one parameter in the source of `run()` to what is certain of it."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
from collections.abc import Iterator
from typing import Any, Final

from cog.outline.annotations import Meaning, meaning
from cog.outline.facts import Parameter
from cog.outline.literals import value
from cog.outline.names import Function, Module, Scope, Unknown
from cog.sdk.field import FieldInfo
from cog.signature import facts
from cog.signature.choices import enumeration
from cog.signature.kinds import Anything, Kind, Nullable, innermost
from cog.signature.parameters import declared
from cog.signature.problems import MASK, printable
from cog.signature.scalars import Schema

_FIELDS: Final = frozenset(field.name for field in dataclasses.fields(FieldInfo)) - {"required"}
_NO_DEFAULT: Final = inspect.Parameter.empty
_SHOWN: Final = 60  # characters of a default


@dataclasses.dataclass(frozen=True)
class Given:
    """What stands behind the `=` of a parameter. `value` is as Python has it, without what is not known;
    `certain` is False when the default itself is not; `text` is its source, None where it has none."""

    value: object
    certain: bool
    text: str | None


def parameters(
    function: Function,
    skip: int,
    module: Module,
    inner: Scope,
    *,
    trusted: bool,
    same: frozenset[str] | None = None,
) -> tuple[Parameter, ...]:
    """The inputs of a function in the body of the class `inner`, without the first `skip` parameters.

    Where something may have changed the function (not `trusted`), nothing is said of what they accept. With `same` the
    function takes batches (`@batch`), and those that are not named there are lists of what one prediction sends.
    """
    listed = list(_listed(function.args))[skip:]
    made = (
        _parameter(arg if same is None or arg.arg in same else _item(arg), default, module, inner)
        for arg, default in listed
    )
    return tuple(made) if trusted else tuple(map(_doubted, made))


def _listed(args: ast.arguments) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    positional = [*args.posonlyargs, *args.args]
    first = len(positional) - len(args.defaults)
    for index, arg in enumerate(positional):
        yield arg, args.defaults[index - first] if index >= first else None
    yield from zip(args.kwonlyargs, args.kw_defaults, strict=True)


def _item(arg: ast.arg) -> ast.arg:
    """The same parameter for one prediction of a batch. What is no list is for the model to refuse."""
    annotation = arg.annotation
    if not isinstance(annotation, ast.Subscript) or not isinstance(
        annotation.value, ast.Name | ast.Attribute
    ):
        return ast.arg(arg.arg, None)
    name = annotation.value.id if isinstance(annotation.value, ast.Name) else annotation.value.attr
    return ast.arg(arg.arg, annotation.slice if name in ("list", "List", "Sequence") else None)


def _doubted(parameter: Parameter) -> Parameter:
    return dataclasses.replace(parameter, schema={}, required=None)


def _parameter(arg: ast.arg, default: ast.expr | None, module: Module, inner: Scope) -> Parameter:
    meant = meaning(arg.annotation, module, inner)
    given = _given(default, module, inner)
    annotation = "" if arg.annotation is None else ast.unparse(arg.annotation)
    try:
        found = declared(arg.arg, meant.kind, given.value)
    except (TypeError, ValueError, AttributeError, RecursionError):  # the model will be refused for it
        return Parameter(arg.arg, annotation)
    parameter = found.parameter
    return Parameter(
        name=arg.arg,
        annotation=annotation,
        schema=_schema(parameter, _widened(parameter.kind, given), faulty=bool(found.faults)),
        required=_required(parameter, meant, given),
        default=_shown(parameter, given),
        description=parameter.description,
        deprecated=parameter.deprecated,
        accept=parameter.accept if isinstance(parameter.accept, str) else None,
    )


def _given(node: ast.expr | None, module: Module, inner: Scope) -> Given:
    if node is None:
        return Given(_NO_DEFAULT, True, None)
    source, where = node, inner
    if isinstance(node, ast.Name):  # steps: int = STEPS, where that is an Input(...) itself
        try:
            found = module.find(node.id, inner).node
        except Unknown:
            found = None
        source, where = (found, inner) if isinstance(found, ast.Call) else (node, inner)
    if isinstance(source, ast.Call) and _is_input(source, module, where):
        return _input(source, module, where)
    try:
        return Given(value(node, module, inner), True, ast.unparse(node))
    except Unknown:
        return Given(_NO_DEFAULT, False, ast.unparse(node))


def _is_input(call: ast.Call, module: Module, inner: Scope) -> bool:
    try:
        return module.origin(call.func, inner) == "cog.Input"
    except Unknown:
        return False


def _input(call: ast.Call, module: Module, inner: Scope) -> Given:
    given = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg is not None}
    if call.args:
        given["default"] = call.args[0]
    hidden = len(given) < len(call.keywords) or any(isinstance(arg, ast.Starred) for arg in call.args)
    known: dict[str, Any] = {}
    for name in _FIELDS.intersection(given):
        try:
            known[name] = value(given[name], module, inner)
        except Unknown:
            pass
    certain = "default" in known or ("default" not in given and not hidden)
    default = known.pop("default", ...)
    required = default is ...
    text = ast.unparse(given["default"]) if "default" in given else None
    return Given(FieldInfo(default=None if required else default, required=required, **known), certain, text)


def _widened(kind: Kind, given: Given) -> Kind:
    """A default that is not known may be None, and then null is accepted."""
    return kind if given.certain or isinstance(kind, (Nullable, Anything)) else Nullable(kind)


def _required(parameter: facts.Parameter, meant: Meaning, given: Given) -> bool | None:
    if not given.certain:
        return None
    info = given.value
    bare = info is _NO_DEFAULT or (isinstance(info, FieldInfo) and info.required)
    return None if bare and not meant.certain else parameter.required  # an unknown type may be an Optional


def _schema(parameter: facts.Parameter, kind: Kind, *, faulty: bool) -> Schema:
    """The schema as in the OpenAPI document, with choices in their place. Rules that the model will be refused for
    (`faulty`), or that stand beside an unknown type, are left out."""
    schema = kind.json_schema()
    if faulty or isinstance(innermost(kind), Anything):
        return schema
    return _limited(parameter, schema)


def _limited(parameter: facts.Parameter, schema: Any) -> Schema:
    if schema.get("type") == "array":
        return {**schema, "items": _limited(parameter, schema["items"])}
    limits: dict[str, Any] = {
        "minimum": parameter.ge,
        "maximum": parameter.le,
        "minLength": parameter.min_length,
        "maxLength": parameter.max_length,
        "pattern": parameter.regex,
    }
    choices = {} if parameter.choices is None else enumeration(parameter.choices)
    return {**schema, **{name: limit for name, limit in limits.items() if limit is not None}, **choices}


def _shown(parameter: facts.Parameter, given: Given) -> str | None:
    """The default for people."""
    text = given.text
    if parameter.default is not None:
        if parameter.default.value is None:
            return None
        text = json.dumps(parameter.default.value, ensure_ascii=False)
        if isinstance(parameter.default.value, str) and parameter.default.value.strip():
            text = parameter.default.value
    if text is None or (parameter.required and given.certain):
        return None
    if parameter.kind.secret:
        return MASK
    text = printable(" ".join(text.split()))
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
