"""What a started server says of itself: GET /openapi.json, GET / and GET /docs."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator, validate

from cog.version import __version__
from support.serving import Server

EXAMPLE = Path(__file__).resolve().parents[1] / "schema" / "worked_example.json"

# The model of the worked example.
WORKED = """
    from typing import Iterator, Optional, Union
    from cog import BaseRunner, Input, Path, Secret, streaming

    class Runner(BaseRunner):
        @streaming
        def run(
            self,
            prompt: str = Input(description="Text to continue", min_length=1),
            steps: int = Input(default=20, ge=1, le=50),
            style: str = Input(default="plain", choices=["plain", "bold"]),
            seed: Optional[int] = None,
            photo: Optional[Path] = Input(default=None, accept="image/*"),
            extra: Union[str, int] = "x",
            key: Optional[Secret] = None,
            tags: list[str] = [],
        ) -> Iterator[str]:
            yield prompt
"""

EVERY = """
    import os, time
    from typing import Annotated, Any, Literal, Optional, Union
    from cog import BaseModel, BaseRunner, File, Input, Opaque, Path, Secret

    class Point(BaseModel):
        x: float
        y: float = 0.0

    class Result(BaseModel):
        name: str
        files: list[Path]
        where: Optional[Point]

    class Runner(BaseRunner):
        def setup(self):
            open("waiting", "w").close()
            deadline = time.monotonic() + 20
            while not os.path.exists("go") and time.monotonic() < deadline:
                time.sleep(0.005)

        def run(
            self,
            text: str,
            number: float = Input(description="A number", ge=-1.5, le=2),
            count: int = Input(default=3, choices=[1, 2, 3]),
            flag: bool = False,
            pattern: str = Input(default="abc", regex="^a", max_length=5),
            path: Path = Input(default=None, accept="image/*"),
            file: File = None,
            key: Secret = Input(default=None, deprecated=True),
            literal: Literal["a", "b"] = "a",
            either: Union[int, str] = 1,
            anything: Any = None,
            mapping: dict = {"a": 1},
            numbers: dict[str, int] = {},
            texts: list[str] = Input(default=["x"], min_length=1),
            paths: list[Path] = [],
            secrets: list[Secret] = [],
            maybe: Optional[list[int]] = None,
            native: os.PathLike = None,
            opaque: Annotated[Point, Opaque] = None,
        ) -> Result:
            return Result(name=text, files=[], where=None)
"""


@pytest.fixture(scope="module")
def worked(serve_once: Callable[..., Server]) -> Server:
    return serve_once(WORKED)


def document_of(server: Server) -> Any:
    answer = server.get("/openapi.json")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def test_the_worked_example_is_told_as_clients_know_it(worked: Server) -> None:
    golden = json.loads(EXAMPLE.read_text())
    document = document_of(worked)
    validate(document, cls=OpenAPIV30SpecValidator)
    assert document["openapi"] == golden["openapi"]
    assert document["info"] == {"title": "Cog", "version": __version__}
    known = document["components"]["schemas"]
    for name in ("Input", "Output", "style", "Status", "HTTPValidationError", "ValidationError"):
        assert known[name] == golden["components"]["schemas"][name]
    # Clients show inputs in this order.
    assert list(known["Input"]["properties"]) == list(golden["components"]["schemas"]["Input"]["properties"])
    for path, methods in golden["paths"].items():
        for method, operation in methods.items():
            told = document["paths"][path][method]
            assert told["operationId"] == operation["operationId"]
            assert told.get("x-cog-streaming") == operation.get("x-cog-streaming")


def test_what_the_server_answers_is_what_it_says_that_it_answers(worked: Server) -> None:
    document = document_of(worked)
    answers = [
        ("PredictionResponse", worked.predict({"prompt": "a"}), 200),
        ("ErrorResponse", worked.predict({}), 422),
        ("ErrorResponse", worked.get("/predictions/nobody"), 404),
        ("PredictionList", worked.get("/predictions"), 200),
    ]
    for name, answer, status in answers:
        assert answer.status == status
        schema = {**document, "$ref": f"#/components/schemas/{name}"}
        jsonschema.validate(answer.json(), _plain(schema))
        assert set(answer.json()) <= set(document["components"]["schemas"][name]["properties"])


def _plain(schema: Any) -> Any:
    """A schema of OpenAPI 3.0 in the terms of JSON Schema: `nullable` is the one word that it has not."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {name: _plain(item) for name, item in schema.items()}
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") is True else plain


def test_every_type_of_input_and_503_before_it_is_known(serve: Callable[..., Server]) -> None:
    server = serve(EVERY, ready=None)
    early = server.get("/openapi.json")
    assert early.status == 503
    assert early.json()["status"] == "failed"
    assert "has not been set up yet" in early.json()["error"]
    assert early.headers["retry-after"] == "1"
    server.wait_file("waiting")
    assert server.get("/openapi.json").status == 503
    (server.folder / "go").write_text("")
    server.wait_log("the model is READY")

    document = document_of(server)
    validate(document, cls=OpenAPIV30SpecValidator)
    schemas = document["components"]["schemas"]
    fields = schemas["Input"]["properties"]
    assert [field["x-order"] for field in fields.values()] == list(range(len(fields)))
    assert schemas["Input"]["required"] == ["text", "number"]
    assert {name: {k: v for k, v in field.items() if k != "x-order"} for name, field in fields.items()} == {
        "text": {"title": "Text", "type": "string"},
        "number": {
            "title": "Number", "type": "number", "description": "A number", "minimum": -1.5, "maximum": 2,
        },
        "count": {"allOf": [{"$ref": "#/components/schemas/count"}], "default": 3},
        "flag": {"title": "Flag", "type": "boolean", "default": False},
        "pattern": {
            "title": "Pattern", "type": "string", "default": "abc", "pattern": "^a", "maxLength": 5,
        },
        "path": {
            "title": "Path", "type": "string", "format": "uri", "nullable": True, "default": None,
            "x-cog-accept": "image/*",
        },
        "file": {"title": "File", "type": "string", "format": "uri", "nullable": True, "default": None},
        "key": {
            "title": "Key", "type": "string", "format": "password", "writeOnly": True, "x-cog-secret": True,
            "nullable": True, "default": None, "deprecated": True,
        },
        "literal": {"title": "Literal", "type": "string", "enum": ["a", "b"], "default": "a"},
        "either": {"title": "Either", "anyOf": [{"type": "integer"}, {"type": "string"}], "default": 1},
        "anything": {"title": "Anything", "default": None},
        "mapping": {"title": "Mapping", "type": "object", "default": {"a": 1}},
        "numbers": {"title": "Numbers", "type": "object", "default": {}},
        "texts": {
            "title": "Texts", "type": "array", "items": {"type": "string", "minLength": 1}, "default": ["x"],
        },
        "paths": {
            "title": "Paths", "type": "array", "items": {"type": "string", "format": "uri"}, "default": [],
        },
        "secrets": {  # nothing of a default that could be secret is told
            "title": "Secrets", "type": "array",
            "items": {"type": "string", "format": "password", "writeOnly": True, "x-cog-secret": True},
        },
        "maybe": {
            "title": "Maybe", "type": "array", "items": {"type": "integer"}, "nullable": True,
            "default": None,
        },
        "native": {"title": "Native", "type": "string", "format": "uri", "nullable": True, "default": None},
        "opaque": {"title": "Opaque", "type": "object", "nullable": True, "default": None},
    }  # fmt: skip
    assert schemas["count"] == {
        "title": "count", "type": "integer", "description": "An enumeration.", "enum": [1, 2, 3],
    }  # fmt: skip
    output = schemas["Output"]["properties"]
    assert list(output) == ["name", "files", "where"]
    assert output["files"]["items"] == {"type": "string", "format": "uri"}
    assert output["where"]["nullable"] is True
    assert server.predict({"text": "t", "number": 1}).json()["output"] == {
        "name": "t", "files": [], "where": None,
    }  # fmt: skip


def test_discovery(worked: Server) -> None:
    told = worked.get("/").json()
    assert told == {
        "cog_version": __version__,
        "docs_url": "/docs",
        "openapi_url": "/openapi.json",
        "shutdown_url": "/shutdown",
        "healthcheck_url": "/health-check",
        "predictions_url": "/predictions",
        "predictions_idempotent_url": "/predictions/{prediction_id}",
        "predictions_cancel_url": "/predictions/{prediction_id}/cancel",
    }
    document = document_of(worked)
    for name, path in told.items():
        if name.startswith(("healthcheck", "predictions")):
            assert path in document["paths"]
        if "{" not in path and name not in ("cog_version", "shutdown_url"):
            assert worked.get(path).status == 200


class Page(HTMLParser):
    """What a page loads and runs."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.inline: dict[str, list[str]] = {"script": [], "style": []}
        self.attributes: list[tuple[str, str, str]] = []
        self._within: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._within = tag if tag in self.inline else None
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        self._within = None

    def handle_data(self, data: str) -> None:
        if self._within is not None:
            self.inline[self._within].append(data)


def test_the_page_runs_only_what_its_policy_names_and_loads_nothing(worked: Server) -> None:
    answer = worked.get("/docs")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    text = answer.body.decode()
    page = Page(text)
    parts = answer.headers["content-security-policy"].split("; ")
    policy = {name: sources for name, _, sources in (part.partition(" ") for part in parts)}
    for tag, contents in page.inline.items():
        hashes = {
            base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() for content in contents
        }
        assert len(contents) == 1
        assert policy[f"{tag}-src"] == " ".join(f"'sha256-{digest}'" for digest in hashes)
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    for tag, name, value in page.attributes:
        # The policy forbids both, so they would not work.
        assert name != "style", tag
        assert not name.startswith("on"), tag
        if name in ("src", "href", "action", "poster"):
            assert re.fullmatch(r"data:,|[a-z.-]+", value), (tag, value)
    outside = re.findall(r"https?://[^\s\"'`<)]+|url\([^)]*\)|@import", text)
    assert [found for found in outside if found != "https://…"] == []
