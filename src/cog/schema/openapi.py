"""The OpenAPI document of a model, in the version (3.0.2) and the form that clients of Cog rely on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from cog.schema.components import components, reference
from cog.schema.task import PREDICT, Task
from cog.signature.facts import Signature
from cog.signature.kinds import title
from cog.signature.scalars import JSON, Schema
from cog.version import __version__

# Why a request for a run is refused; the body names the reason.
_REFUSED: Final[dict[int, str]] = {
    400: "The request cannot be read",
    406: "The model does not stream its output",
    409: "Every place is taken: nothing was started, the same request may be sent again",
    413: "The request is too large",
    415: "The request is not JSON",
    429: "Too many clients read the events already",
    503: "The model is not ready, or the server is about to end",
}


def document(signature: Signature, *, version: str | None = None) -> Schema:
    """The document for one model that predicts. `version` stands in `info`; default: that of this distribution."""
    return combined({PREDICT: signature}, version=version)


def combined(asked: Mapping[Task, Signature], *, version: str | None = None) -> Schema:
    """The document for a model that can be asked for all of these."""
    info: Schema = {"title": "Cog", "version": __version__ if version is None else version}
    paths: dict[str, JSON] = {
        "/": {"get": _answering("root__get", "Root")},
        "/health-check": {"get": _answering("healthcheck_health_check_get", "Healthcheck")},
        **{
            path: found
            for task, signature in asked.items()
            for path, found in _task_paths(task, signature).items()
        },
        "/ready": {"get": _probe("ready", "Ready", "The model is not ready: it gets no requests")},
        "/live": {"get": _probe("live", "Live", "The model cannot be run any more: start a new server")},
    }
    schemas = cast("dict[str, JSON]", components(asked))
    return {"openapi": "3.0.2", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _task_paths(task: Task, signature: Signature) -> dict[str, JSON]:
    one = f"{task.path}/{{{task.id_name}}}"
    return {
        task.path: {"post": _create(task, signature), "get": _list(task)},
        f"{one}/cancel": {"post": _cancel(task)},
        one: {"put": _create_with_id(task, signature), "get": _get(task, signature)},
    }


def _create(task: Task, signature: Signature) -> Schema:
    result = reference(f"{task.envelope}Response")
    prefer: Schema = {"name": "Prefer", "in": "header", "required": False}
    prefer["description"] = "`respond-async` answers at once; `respond-async, wait=5` within five seconds"
    prefer["schema"] = {"title": "Prefer", "type": "string"}
    responses: dict[str, JSON] = {
        "200": _result(task, signature),
        "202": _response("Accepted: it goes on without this connection", result),
        "422": _response("Validation Error", reference("HTTPValidationError")),
    }
    responses |= {str(status): _error(why) for status, why in _REFUSED.items()}
    operation: Schema = {
        "operationId": f"{task.verb}_{task.noun}s_post",
        "summary": task.verb.capitalize(),
        "description": task.description,
        "parameters": [prefer],
        "requestBody": {"content": _json(reference(f"{task.envelope}Request"))},
        "responses": dict(sorted(responses.items())),
    }
    if signature.streaming:
        operation["x-cog-streaming"] = True
    return operation


def _create_with_id(task: Task, signature: Signature) -> Schema:
    operation = _create(task, signature)
    operation["operationId"] = f"{task.verb}_idempotent_{task.noun}s__{task.id_name}__put"
    operation["summary"] = f"{task.verb.capitalize()} Idempotent"
    operation["description"] = (
        f"{task.description}, once: one with this id that runs or has succeeded is shown"
    )
    operation["parameters"] = [_id(task), *cast("list[JSON]", operation["parameters"])]
    return operation


def _cancel(task: Task) -> Schema:
    operation = _answering(f"cancel_{task.noun}s__{task.id_name}__cancel_post", "Cancel")
    operation["parameters"] = [_id(task)]
    responses = cast("dict[str, JSON]", operation["responses"])
    responses["404"] = _error(f"No {task.noun} with this id runs")
    responses["422"] = _response("Validation Error", reference("HTTPValidationError"))
    return operation


def _list(task: Task) -> Schema:
    operation = _answering(f"list_{task.noun}s_get", "List", reference(f"{task.envelope}List"))
    operation["description"] = f"The {task.noun}s that are still kept, newest first"
    return operation


def _get(task: Task, signature: Signature) -> Schema:
    last_id: Schema = {"name": "Last-Event-ID", "in": "header", "required": False}
    last_id["description"] = "Of a stream: the id of the last event that was had"
    last_id["schema"] = {"title": "Last-Event-ID", "type": "string"}
    return {
        "operationId": f"get_{task.noun}s__{task.id_name}__get",
        "summary": "Get",
        "description": f"A {task.noun} that runs or is still kept, as it stands",
        "parameters": [_id(task), last_id],
        "responses": {
            "200": _result(task, signature, of_any_model=True),
            "204": {"description": "There is nothing after the event that Last-Event-ID names"},
            "404": _error(f"No {task.noun} with this id is known, or it was forgotten"),
            "429": _error(_REFUSED[429]),
        },
    }


def _probe(name: str, summary: str, refusal: str) -> Schema:
    operation = _answering(f"{name}_{name}_get", summary)
    cast("dict[str, JSON]", operation["responses"])["503"] = _response(refusal, {})
    return operation


def _answering(operation_id: str, summary: str, schema: Schema | None = None) -> Schema:
    answer = _response("Successful Response", {} if schema is None else schema)
    return {"operationId": operation_id, "summary": summary, "responses": {"200": answer}}


def _id(task: Task) -> Schema:
    schema: Schema = {"title": title(task.id_name), "type": "string"}
    return {"name": task.id_name, "in": "path", "required": True, "schema": schema}


def _result(task: Task, signature: Signature, *, of_any_model: bool = False) -> Schema:
    """The prediction, or its events: those of one that there is are told of any model."""
    content = _json(reference(f"{task.envelope}Response"))
    if signature.streaming or of_any_model:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    return {"description": "Successful Response", "content": content}


def _error(why: str) -> Schema:
    return _response(why, reference("ErrorResponse"))


def _response(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": _json(schema)}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}
