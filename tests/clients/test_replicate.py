"""The `replicate` client from the package registry, unchanged, against a server of ours: predictions and the model."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
from collections.abc import Iterator
from typing import Any

import pytest
from replicate.exceptions import ModelError, ReplicateError
from replicate.pagination import paginate

from support.hosted import RETURNS, YIELDS, async_client_of, client_of
from support.serving import Server, until
from support.steps import body, fresh, let_go

REF = "anybody/anything"
VERSION = f"{REF}:5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa"


@pytest.fixture(scope="module")
def returns(serve_once: Any) -> Server:
    server: Server = serve_once(RETURNS)
    return server


@pytest.fixture(scope="module")
def yields(serve_once: Any) -> Server:
    server: Server = serve_once(YIELDS)
    return server


@pytest.fixture
def client(returns: Server) -> Iterator[Any]:
    with client_of(returns) as made:
        yield made


@pytest.fixture
def reader(yields: Server) -> Iterator[Any]:
    with client_of(yields) as made:
        yield made


@contextlib.contextmanager
def begun(client: Any, server: Server, code: str) -> Iterator[tuple[Any, str]]:
    """A prediction that has come to `gate($name)` in its code; it is let go at the end."""
    name = fresh()
    prediction = client.predictions.create(version="any", input=body(code, name=name))
    server.wait_file(name)
    try:
        yield prediction, name
    finally:
        let_go(server, name)
        prediction.wait()


# run


@pytest.mark.parametrize("value", ["text", 3, 2.5, True, None, {"a": [1, None]}, [1, "b"], []])
@pytest.mark.parametrize("ref", [REF, VERSION])
def test_run_gives_what_the_model_returns(client: Any, ref: str, value: object) -> None:
    assert client.run(ref, input={"code": f"return {value!r}"}) == value


def test_run_gives_the_chunks_of_a_model_that_yields(reader: Any) -> None:
    code = {"code": "yield 'a'\nyield 'b'"}
    assert reader.run(REF, input=code) == ["a", "b"]
    found = reader.run(VERSION, input=code)
    assert iter(found) is found  # the version's document says that the model yields
    assert list(found) == ["a", "b"]
    assert list(reader.run(VERSION, input=code, wait=False)) == ["a", "b"]


def test_run_goes_on_to_ask_when_its_wait_is_over(reader: Any, yields: Server) -> None:
    name = fresh()
    found = reader.run(VERSION, input=body("yield 'a'\ngate($name)\nyield 'b'", name=name), wait=1)
    let_go(yields, name)
    assert list(found) == ["a", "b"]


def test_run_raises_what_the_model_raises(client: Any) -> None:
    with pytest.raises(ModelError, match=r"^ValueError: bad thing$") as raised:
        client.run(REF, input={"code": "print('so far')\nraise ValueError('bad thing')"})
    assert str(raised.value.prediction.logs).startswith("so far\nTraceback")


# Predictions


def test_a_prediction_from_its_creation_to_its_end(client: Any, returns: Server) -> None:
    with begun(client, returns, "print('a')\ngate($name)\nreturn 'b'") as (prediction, name):
        assert (prediction.status, prediction.output, prediction.logs) == ("starting", None, "")
        assert prediction.input == body("print('a')\ngate($name)\nreturn 'b'", name=name)
        prediction.reload()
        assert (prediction.status, prediction.completed_at) == ("processing", None)
        let_go(returns, name)
        prediction.wait()
    assert (prediction.status, prediction.output, prediction.logs) == ("succeeded", "b", "a\n")
    assert prediction.error is None
    assert prediction.metrics["predict_time"] > 0
    assert prediction.created_at <= prediction.started_at <= prediction.completed_at
    assert prediction == client.predictions.get(prediction.id)
    ours = returns.get(f"/predictions/{prediction.id}").json()
    assert {name: getattr(prediction, name) for name in ours} == ours


@pytest.mark.parametrize(
    "more", [{"version": "v"}, {"model": REF}, {"model": ("a", "b")}, {"deployment": "some/deployment"}]
)
def test_every_way_to_create_one(client: Any, more: dict[str, Any]) -> None:
    prediction = client.predictions.create(input={"code": "return 1"}, **more)
    prediction.wait()
    assert prediction.output == 1


@pytest.mark.parametrize("wait", [True, 30])
def test_who_waits_gets_the_end_with_the_creation(client: Any, wait: bool | int) -> None:
    prediction = client.predictions.create("v", {"code": "return 1"}, wait=wait)
    assert (prediction.status, prediction.output) == ("succeeded", 1)


def test_cancel(client: Any, returns: Server) -> None:
    name = fresh()
    prediction = client.predictions.create(version="v", input=body("reach($name)\ntime.sleep(60)", name=name))
    returns.wait_file(name)
    prediction.cancel()
    assert prediction.status == "canceled"
    prediction.reload()
    assert (prediction.status, prediction.output) == ("canceled", None)
    prediction.cancel()  # it has ended
    assert prediction.status == "canceled"


def test_who_goes_away_while_it_waits_cancels_nothing(client: Any, returns: Server) -> None:
    name = fresh()
    connection = http.client.HTTPConnection(returns.url.removeprefix("http://"))
    sent = f'{{"input":{{"code":"gate({name!r})\\nreturn 7"}}}}'
    connection.request(
        "POST", "/v1/predictions", sent, {"prefer": "wait", "content-type": "application/json"}
    )
    returns.wait_file(name)
    connection.close()
    newest = client.predictions.list()[0]
    let_go(returns, name)
    newest.wait()
    assert (newest.status, newest.output) == ("succeeded", 7)


def test_list_and_its_pages(client: Any) -> None:
    made = [client.predictions.create("v", {"code": "return 1"}, wait=True).id for _ in range(101)]
    pages = []
    for page in paginate(client.predictions.list):
        pages.append(page)
        if len(pages) == 2:
            break
    assert [prediction.id for page in pages for prediction in page][:101] == made[::-1]
    assert {prediction.status for prediction in pages[0]} == {"succeeded"}
    assert [found.id for found in client.predictions.list(pages[1].previous)] == made[:0:-1]
    assert pages[0].previous is None


# What is refused


def refused(call: Any) -> dict[str, Any]:
    """What the client says of an error."""
    with pytest.raises(ReplicateError) as raised:
        call()
    shown: dict[str, Any] = raised.value.to_dict()
    return shown


def test_errors_say_what_is_wrong(client: Any, returns: Server) -> None:
    assert refused(lambda: client.run(REF, input={"code": 3, "files": "x"})) == {
        "title": "Input validation failed",
        "status": 422,
        "detail": 'input.code: 3 is not of type "string"; input.files: "x" is not of type "array"',
    }
    assert refused(lambda: client.predictions.get("none")) == {
        "title": "Not Found",
        "status": 404,
        "detail": "no prediction with this id is running or kept. Ended ones are kept for --keep seconds",
    }
    with begun(client, returns, "gate($name)"):
        assert refused(lambda: client.run(REF, input={}))["status"] == 429
    assert refused(lambda: client.collections.list())["detail"].startswith(
        "there is nothing at /v1/collections"
    )


def test_errors_have_the_form_of_a_problem(returns: Server) -> None:
    wrong = returns.call("POST", "/v1/predictions", {"input": {"code": 3}})
    assert (wrong.status, wrong.headers["content-type"]) == (422, "application/problem+json")
    assert wrong.json()["invalid_fields"] == [
        {"type": "value_error", "field": "input.code", "description": '3 is not of type "string"'}
    ]
    method = returns.call("PATCH", "/v1/predictions")
    assert (method.status, method.headers["allow"]) == (405, "GET, HEAD, POST")
    assert method.json()["title"] == "Method Not Allowed"
    for path in ("/v1/predictions/none", "/v1/predictions/none/stream", "/v1/files/none"):
        assert returns.get(path).status == returns.get(path).json()["status"] == 404
    assert returns.call("POST", "/v1/predictions/none/cancel").status == 404
    assert returns.call("POST", "/v1/predictions", body=b"{").status == 400


def test_a_model_that_is_not_ready_is_said_to_be_so(serve: Any) -> None:
    server = serve("class Runner:\n def setup(self): 1 / 0\n def run(self) -> int: return 1", ready=None)
    until(server.health, lambda health: health["status"] == "SETUP_FAILED")
    with client_of(server) as client:
        assert client.models.get(REF).latest_version is None
        told = refused(lambda: client.run(REF, input={}))
    assert told["status"] == 503
    assert "ZeroDivisionError" in told["detail"]


# The model


def test_the_model_and_its_one_version(reader: Any, yields: Server) -> None:
    model = reader.models.get(REF)
    assert (model.owner, model.name, model.id) == ("anybody", "anything", REF)
    (only,) = model.versions.list()
    assert only == model.latest_version == model.versions.get("any") == model.versions.get(only.id)
    assert len(only.id) == 64
    assert only.openapi_schema == yields.get("/openapi.json").json()
    assert reader.predictions.create(version=only, input={"code": "yield 1"}, wait=True).version == only.id
    assert list(reader.run(only, input={"code": "yield 1"})) == [1]
    assert reader.run(model, input={"code": "yield 1"}) == [1]
    model.reload()
    assert reader.accounts.current().username == "cog"


def test_a_list_that_is_not_yielded_is_a_list(client: Any) -> None:
    assert client.run(VERSION, input={"code": "return [1, 2]"}) == [1, 2]


# Where things are


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        ({"host": "example.org:81"}, "http://example.org:81"),
        ({"host": "[::1]:81"}, "http://[::1]:81"),
        (
            {"host": "inner", "x-forwarded-proto": "https", "x-forwarded-host": "example.org"},
            "https://example.org",
        ),
        ({"host": "inner", "x-forwarded-proto": "https, http", "x-forwarded-host": "a.b, c"}, "https://a.b"),
        ({"host": "inner", "x-forwarded-prefix": "/models/blur/"}, "http://inner/models/blur"),
        ({"host": "inner", "x-forwarded-proto": "javascript", "x-forwarded-prefix": '/"'}, "http://inner"),
        ({"host": "inner", "x-forwarded-host": "a b"}, None),
        ({"host": 'a"b'}, None),
    ],
)
def test_addresses_are_those_by_which_the_client_came(
    returns: Server, headers: dict[str, str], base: str | None
) -> None:
    created = returns.call("POST", "/v1/predictions", {"input": {}}, headers={**headers, "prefer": "wait"})
    assert created.status == 201
    own = f"{base or returns.url}/v1/predictions/{created.json()['id']}"
    assert created.json()["urls"] == {
        "get": own, "cancel": f"{own}/cancel", "stream": f"{own}/stream", "web": f"{base or returns.url}/docs",
    }  # fmt: skip


# asyncio


def test_the_async_client(returns: Server, yields: Server) -> None:
    async def play() -> None:
        async with async_client_of(returns) as client:
            assert await client.async_run(REF, input={"code": "return 1"}) == 1
            prediction = await client.predictions.async_create("v", {"code": "return 2"})
            await prediction.async_wait()
            assert prediction.output == 2
            name = fresh()
            waiting = await client.predictions.async_create(
                "v", body("reach($name)\ntime.sleep(60)", name=name)
            )
            await asyncio.to_thread(returns.wait_file, name)
            await waiting.async_cancel()
            assert waiting.status == "canceled"
            assert waiting.id in [found.id for found in (await client.predictions.async_list()).results]
            assert (await client.models.async_get(REF)).latest_version is not None
        async with async_client_of(yields) as client:
            found = await client.async_run(VERSION, input={"code": "yield 'a'\nyield 'b'"})
            assert [chunk async for chunk in found] == ["a", "b"]
            events = await client.async_stream(REF, input={"code": "yield 'a'\nyield 'b'"})
            assert [str(event) async for event in events] == ["a", "b", ""]

    asyncio.run(play())
