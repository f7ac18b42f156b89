"""The components of the OpenAPI document: the model's own, and those that are the same for every model."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final, cast

from cog.schema.task import Task
from cog.signature.choices import enumeration
from cog.signature.facts import Parameter, Result, Signature
from cog.signature.formats import is_standard
from cog.signature.kinds import Formatted, innermost, title
from cog.signature.scalars import JSON, Schema

# What OpenAPI allows as the name of a component; a Python name may hold more.
_COMPONENT: Final = re.compile(r"[A-Za-z0-9._\-]+")

# As the contract lists them; a test holds them against the table of states.
_STATES: Final = ("starting", "processing", "succeeded", "canceled", "failed")
_WEBHOOK_EVENTS: Final = ("start", "output", "logs", "completed")


def components(asked: Mapping[Task, Signature]) -> dict[str, Schema]:
    """Every component, in the order of the contract; those of one task after those of the other."""
    taken = frozenset(name for task in asked for name in (*_own(task), *_fixed(task)))
    found: dict[str, Schema] = {}
    for task, signature in asked.items():
        found |= _of_task(signature, task, taken, found)
    return found


def _of_task(
    signature: Signature, task: Task, taken: frozenset[str], others: Mapping[str, Schema]
) -> dict[str, Schema]:
    """The components of one task."""
    enums = _enums(signature, taken, others)
    input_name, output_name = _own(task)
    own = {
        input_name: _input(signature.parameters, frozenset(enums)),
        output_name: _output(signature.result),
    }
    return own | enums | _fixed(task)


def _enums(signature: Signature, taken: frozenset[str], others: Mapping[str, Schema]) -> dict[str, Schema]:
    """The choices that are components. A name that cannot be one, for its letters, as one of ours, or because it has other
    choices in another task, has its choices written in place."""
    found: dict[str, Schema] = {}
    for parameter in signature.parameters:
        name = parameter.name
        if parameter.choices is None or name in taken or not _COMPONENT.fullmatch(name):
            continue
        enum = _enum(name, parameter.choices)
        if others.get(name, enum) == enum:
            found[name] = enum
    return found


def _own(task: Task) -> tuple[str, str]:
    """The names of the components that say what goes in and what comes out."""
    return f"{task.prefix}Input", f"{task.prefix}Output"


def _fixed(task: Task) -> dict[str, Schema]:
    """The components that are the same for every model."""
    return _envelopes(task) | _errors() | _lists(task)


def reference(name: str) -> Schema:
    """A reference to the component `name`."""
    return {"$ref": f"#/components/schemas/{name}"}


def _enum(name: str, values: tuple[str | int, ...]) -> Schema:
    return enumeration(values) | {"description": "An enumeration.", "title": name}


def _input(parameters: tuple[Parameter, ...], enums: frozenset[str]) -> Schema:
    schema: Schema = {"title": "Input", "type": "object"}
    if required := [parameter.name for parameter in parameters if parameter.required]:
        schema["required"] = list(required)
    schema["properties"] = {
        parameter.name: _property(parameter, order, enums) for order, parameter in enumerate(parameters)
    }
    return schema


def _property(parameter: Parameter, order: int, enums: frozenset[str]) -> Schema:
    schema = _limited(parameter, parameter.kind.json_schema(), enums)
    if "allOf" not in schema:
        schema["title"] = title(parameter.name)
    schema["x-order"] = order
    if parameter.default is not None and _presentable(parameter):
        schema["default"] = parameter.default.value
    if parameter.description is not None:
        schema["description"] = parameter.description
    if parameter.deprecated:
        schema["deprecated"] = True
    if parameter.accept is not None:
        schema["x-cog-accept"] = parameter.accept
    return schema


def _limited(parameter: Parameter, schema: Schema, enums: frozenset[str]) -> Schema:
    """`schema` with the limits and choices of `parameter`, which for a list are those of its items."""
    if schema.get("type") == "array":
        return schema | {"items": _limited(parameter, cast("Schema", schema["items"]), enums)}
    limits: dict[str, float | str | None] = {
        "minimum": parameter.ge,
        "maximum": parameter.le,
        "minLength": parameter.min_length,
        "maxLength": parameter.max_length,
        "pattern": parameter.regex,
    }
    schema |= {name: value for name, value in limits.items() if value is not None}
    if parameter.choices is None:
        return schema
    if parameter.name not in enums:
        return schema | enumeration(parameter.choices)
    schema.pop("type", None)
    return schema | {"allOf": [reference(parameter.name)]}


def _presentable(parameter: Parameter) -> bool:
    """False for a default that must not be published (a secret), that JSON cannot spell (an infinity), or that is a time of
    Python's only (without an offset)."""
    value = None if parameter.default is None else parameter.default.value
    if parameter.kind.secret and value is not None:
        return False
    single = innermost(parameter.kind)
    if isinstance(single, Formatted):
        texts = value if isinstance(value, list) else [value]
        if not all(is_standard(single.format, text) for text in texts if isinstance(text, str)):
            return False
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:  # the answer that was asked for
        return False
    return True


def _output(result: Result) -> Schema:
    schema = result.kind.json_schema()
    if result.iterator:
        schema = {"items": schema, "type": "array", "x-cog-array-type": "iterator"}
    if result.concatenate:
        schema["x-cog-array-display"] = "concatenate"
    return schema | {"title": "Output"}


def _envelopes(task: Task) -> dict[str, Schema]:
    request: dict[str, JSON] = {
        "id": _text("Id"),
        "input": reference(f"{task.prefix}Input"),
        "webhook": _text("Webhook") | {"format": "uri", "nullable": True},
        "webhook_events_filter": {
            "items": enumeration(_WEBHOOK_EVENTS),
            "title": "Webhook Events Filter",
            "type": "array",
        },
        "context": {"additionalProperties": {"type": "string"}, "title": "Context", "type": "object"},
    }
    response: dict[str, JSON] = {
        "id": _text("Id"),
        "input": reference(f"{task.prefix}Input"),
        "output": reference(f"{task.prefix}Output"),
        "version": _text("Version"),
        **_times(),
        "status": _text("Status"),
        "error": _text("Error") | {"nullable": True},
        "logs": _text("Logs"),
        "metrics": {"title": "Metrics", "type": "object"},
    }
    return {
        f"{task.envelope}Request": _object(f"{task.envelope}Request", request),
        f"{task.envelope}Response": _object(f"{task.envelope}Response", response),
        "Status": _enum("Status", _STATES),
    }


def _errors() -> dict[str, Schema]:
    detail: Schema = {"items": reference("ValidationError"), "title": "Detail", "type": "array"}
    steps: list[JSON] = [{"type": "string"}, {"type": "integer"}]
    problem: dict[str, JSON] = {
        "loc": {"items": {"anyOf": steps}, "title": "Location", "type": "array"},
        "msg": _text("Message"),
        "type": _text("Error Type"),
    }
    error: dict[str, JSON] = {
        "error": _text("Error"),
        "status": {"enum": ["failed"], "title": "Status", "type": "string"},
        "id": _text("Id"),
        "detail": detail,
    }
    return {
        "HTTPValidationError": _object("HTTPValidationError", {"detail": detail}),
        "ValidationError": _object("ValidationError", problem, required=("loc", "msg", "type")),
        "ErrorResponse": _object("ErrorResponse", error, required=("error", "status")),
    }


def _lists(task: Task) -> dict[str, Schema]:
    summary: dict[str, JSON] = {
        "id": _text("Id"),
        "error": _text("Error") | {"nullable": True},
        "status": reference("Status"),
        "metrics": {"title": "Metrics", "type": "object"},
        **_times(),
    }
    page: dict[str, JSON] = {
        "previous": _text("Previous") | {"nullable": True},
        "next": _text("Next") | {"nullable": True},
        "results": {"items": reference(f"{task.envelope}Summary"), "title": "Results", "type": "array"},
    }
    return {
        f"{task.envelope}Summary": _object(f"{task.envelope}Summary", summary),
        f"{task.envelope}List": _object(
            f"{task.envelope}List", page, required=("previous", "next", "results")
        ),
    }


def _times() -> dict[str, JSON]:
    created = _text("Created At") | {"format": "date-time"}
    started = _text("Started At") | {"format": "date-time", "nullable": True}
    completed = _text("Completed At") | {"format": "date-time", "nullable": True}
    return {"created_at": created, "started_at": started, "completed_at": completed}


def _text(name: str) -> Schema:
    return {"title": name, "type": "string"}


def _object(name: str, properties: dict[str, JSON], *, required: tuple[str, ...] = ()) -> Schema:
    schema: Schema = {"title": name, "type": "object", "properties": properties}
    return schema | {"required": list(required)} if required else schema
