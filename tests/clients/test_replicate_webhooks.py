"""Webhooks of predictions made by the `replicate` client: what it expects to read there, and its own check of their signature."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from replicate.prediction import Prediction
from replicate.webhook import Webhooks, WebhookSigningSecret

from support.hosted import RETURNS, YIELDS, client_of
from support.receiving import Incoming, Receiver, receiving
from support.serving import Server

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


@pytest.fixture(scope="module")
def yields(serve_once: Any) -> Server:
    server: Server = serve_once(YIELDS, env={"COG_THROTTLE_RESPONSE_INTERVAL": "0"})
    return server


def hook_of(receiver: Receiver, events: list[str]) -> dict[str, Any]:
    return {"webhook": f"{receiver.url}/hook?mine=1", "webhook_events_filter": events}


def ended(got: list[Incoming]) -> bool:
    return any(incoming.json()["status"] == "succeeded" for incoming in got)


@pytest.mark.parametrize(
    "more", [{"version": "v"}, {"model": "anybody/anything"}, {"deployment": "some/deployment"}]
)
def test_a_webhook_is_the_prediction_as_the_client_gets_it(yields: Server, more: dict[str, Any]) -> None:
    with receiving() as hook, client_of(yields) as client:
        made = client.predictions.create(
            input={"code": "yield 'a'\nyield 'b'"}, **hook_of(hook, ["completed"]), **more
        )
        got = hook.wait_until(ended)
        shown = yields.get(f"/v1/predictions/{made.id}").json()
        assert [incoming.json() for incoming in got] == [shown]
        assert shown["urls"]["get"] == f"{yields.url}/v1/predictions/{made.id}"
        prediction = Prediction(**got[0].json())
        prediction._client = client
        assert (prediction.status, prediction.output) == ("succeeded", ["a", "b"])
        assert prediction.version == made.version
        prediction.reload()
        assert prediction.output == ["a", "b"]


def test_what_comes_before_the_end_has_the_same_form(yields: Server) -> None:
    with receiving() as hook, client_of(yields) as client:
        made = client.predictions.create(
            version="v", input={"code": "yield 'a'"}, **hook_of(hook, ["start", "output", "completed"])
        )
        seen = [incoming.json() for incoming in hook.wait_until(ended)]
    assert len(seen) >= 2
    assert {one["status"] for one in seen} == {"processing", "succeeded"}
    for one in seen:
        assert (one["id"], one["version"], one["urls"]) == (made.id, made.version, made.urls)


def test_where_a_proxy_stands_the_addresses_are_those_that_it_says(yields: Server) -> None:
    with receiving() as hook:
        answer = yields.call(
            "POST",
            "/v1/predictions",
            {"version": "v", "input": {"code": "yield 1"}, **hook_of(hook, ["completed"])},
            headers={"x-forwarded-host": "api.example.com", "x-forwarded-proto": "https"},
        ).json()
        (told,) = hook.wait_until(ended)
    own = f"https://api.example.com/v1/predictions/{answer['id']}"
    assert told.json()["urls"] == answer["urls"]
    assert told.json()["urls"]["get"] == own


def test_a_prediction_at_our_own_address_tells_in_our_own_form(yields: Server) -> None:
    with receiving() as hook:
        shown = yields.predict({"code": "yield 1"}, fields=hook_of(hook, ["completed"])).json()
        (told,) = hook.wait_until(ended)
    assert told.json() == shown
    assert "urls" not in shown


def test_the_client_accepts_the_signature(serve: Any) -> None:
    server: Server = serve(RETURNS, env={"WEBHOOK_SIGNING_SECRET": SECRET})
    with receiving() as hook, client_of(server) as client:
        client.predictions.create(version="v", input={"code": "return 1"}, **hook_of(hook, ["completed"]))
        (told,) = hook.wait_until(ended)
    secret = WebhookSigningSecret(key=SECRET)
    Webhooks.validate(headers=dict(told.headers), body=told.body.decode(), secret=secret, tolerance=60)
    other = json.dumps({**told.json(), "output": 2})
    with pytest.raises(ValueError, match=r"(?i)signature"):
        Webhooks.validate(headers=dict(told.headers), body=other, secret=secret)
