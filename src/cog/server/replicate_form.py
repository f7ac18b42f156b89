"""How our records stand at the addresses of Replicate's HTTP API: its words around ours, nothing parsed."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

from starlette.responses import Response

from cog.errors import AtCapacity, CogError, InvalidRequest
from cog.files.shelf import Filed
from cog.prediction.events import Status
from cog.prediction.record import Prediction, timestamp
from cog.server.wire import Scope, error_answer, header, to_json

# What this server's model is called there. A request may name any: there is only this one.
OWNER: Final = "cog"
NAME: Final = "model"

_PROTOCOLS: Final = ("http", "https")
_HOST: Final = re.compile(r"[A-Za-z0-9._\-]+(?::\d{1,5})?|\[[0-9A-Fa-f:.]+\](?::\d{1,5})?")
_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9._~\-]+)+")


def base_url(scope: Scope) -> str:
    """Where the client has found this server, by what the request says: `Host`, or what a proxy has put into
    `X-Forwarded-Host`, `-Proto` and `-Prefix`. They are believed, since nobody but who has sent them gets these addresses."""
    protocol = _forwarded(scope, b"x-forwarded-proto")
    host = _forwarded(scope, b"x-forwarded-host") or header(scope, b"host") or ""
    prefix = _forwarded(scope, b"x-forwarded-prefix").rstrip("/")
    if _HOST.fullmatch(host) is None:
        name, port = scope.get("server") or ("localhost", 80)
        host = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
    return (
        (protocol if protocol in _PROTOCOLS else "http")
        + f"://{host}"
        + (prefix if _PREFIX.fullmatch(prefix) is not None else "")
    )


def _forwarded(scope: Scope, name: bytes) -> str:
    """What the proxy nearest to the client says."""
    return (header(scope, name) or "").partition(",")[0].strip()


def members(prediction_id: str, version: str, base: str) -> bytes:
    """What a prediction has there before what it has everywhere: an object without its last brace."""
    own = f"{base}/v1/predictions/{prediction_id}"
    head = {
        "model": f"{OWNER}/{NAME}",
        "version": version,
        "source": "api",
        "data_removed": False,
        "urls": {"get": own, "cancel": f"{own}/cancel", "stream": f"{own}/stream", "web": f"{base}/docs"},
    }
    return to_json(head)[:-1]


def prediction(body: bytes, prediction_id: str, version: str, base: str) -> bytes:
    """A prediction: `body` is how clients of ours see it."""
    return members(prediction_id, version, base) + b"," + body[1:]


def begun(prediction: Prediction) -> bytes:
    """A prediction that has not ended, as its creation is answered: `starting`, whatever it has done already.

    The client takes any other status for its end when it has waited, and leaves out what an answer has of the output
    when it goes on to ask for more.
    """
    return (
        b'{"id":"%b","input":%b,"output":null,"logs":"","error":null,"status":"%b","metrics":{},"created_at":%b'
        b',"started_at":null,"completed_at":null}'
        % (
            prediction.id.encode(),
            prediction.input,
            Status.STARTING.value.encode(),
            timestamp(prediction.created_at).encode(),
        )
    )


def page(results: list[bytes], address: str, newer: str | None, older: str | None) -> bytes:
    """A page of a list; `newer` and `older` are the cursors of those beside it."""
    urls = (None if cursor is None else f"{address}?cursor={cursor}" for cursor in (newer, older))
    return b'{"previous":%b,"next":%b,"results":[%b]}' % (*map(to_json, urls), b",".join(results))


def version(version_id: str, created_at: str, document: bytes) -> bytes:
    """A version of the model; `created_at` is JSON text."""
    # A client takes every list for one that is yielded where the Cog is older than 0.3.9. This is the one whose
    # documents ours are like (shared by clients, docs/compatibility.md).
    return b'{"id":%b,"created_at":%b,"cog_version":"0.23.1","openapi_schema":%b}' % (
        to_json(version_id), created_at.encode(), document,
    )  # fmt: skip


def model(owner: str, name: str, latest: bytes, base: str) -> bytes:
    """The model, under the name that it was asked for by; `latest` is its version, or null."""
    shown = {
        "url": f"{base}/docs",
        "owner": owner,
        "name": name,
        "description": None,
        "visibility": "private",
        "github_url": None,
        "paper_url": None,
        "license_url": None,
        "run_count": 0,
        "cover_image_url": None,
        "default_example": None,
    }
    return to_json(shown)[:-1] + b',"latest_version":' + latest + b"}"


def file(filed: Filed, base: str) -> bytes:
    """A file that was sent ahead. Its address is its name in an input."""
    shown = {
        "id": filed.id,
        "name": filed.name,
        "content_type": filed.media_type,
        "size": filed.size,
        "etag": filed.sha256,
        "checksums": {"sha256": filed.sha256},
        "created_at": timestamp(filed.created_at).strip('"'),
        "expires_at": timestamp(filed.expires_at).strip('"'),
        "urls": {"get": f"{base}/v1/files/{filed.id}"},
    }
    return to_json(shown)[:-1] + b',"metadata":' + filed.metadata + b"}"


def problem(error: CogError) -> Response:
    """An error as RFC 9457 has it, with every wrong field. Too many at a time are 429 there, which clients know."""
    status = HTTPStatus.TOO_MANY_REQUESTS if isinstance(error, AtCapacity) else HTTPStatus(error.status)
    shown: dict[str, object] = {"title": status.phrase, "status": int(status), "detail": str(error)}
    if isinstance(error, InvalidRequest):
        shown["title"] = "Input validation failed"
        shown["invalid_fields"] = [
            {"type": wrong.type, "field": ".".join(map(str, wrong.loc[1:])), "description": wrong.msg}
            for wrong in error.problems
        ]
    answer = error_answer(error, close=error.status == 413)
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    return Response(to_json(shown), status, headers, media_type="application/problem+json")
