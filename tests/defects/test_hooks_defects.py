"""J9 and J30: what the reference gets wrong about webhooks, shown not to exist here by real servers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from support.receiving import Gate, Incoming, Receiver, Reply, receiving
from support.serving import DEADLINE, Server, until

GATED = """
    import asyncio
    from pathlib import Path
    from cog import BaseRunner

    class Runner(BaseRunner):
        async def run(self, number: int = 0, gate: str = "") -> int:
            while gate and not Path(gate).exists():
                await asyncio.sleep(0.01)
            return number
"""

DEAF = """
    import time
    from cog import BaseRunner, CancelationException

    class Runner(BaseRunner):
        def run(self) -> int:
            while True:
                try:
                    time.sleep(60)
                except CancelationException:
                    pass
"""

END = {"webhook_events_filter": ["completed"]}


def many(count: int) -> dict[str, str]:
    return {"COG_MAX_CONCURRENCY": str(count)}


def ends(got: list[Incoming]) -> dict[str, str]:
    """What was told of each prediction's end."""
    bodies = [one.json() for one in got]
    ended = ("succeeded", "failed", "canceled")
    return {body["id"]: body["status"] for body in bodies if body["status"] in ended}


def told(got: list[Incoming], ids: set[str]) -> bool:
    return ids <= set(ends(got))


# J9: whatever was accepted is told before the server ends.


@pytest.mark.parametrize("how", ["SIGTERM", "POST /shutdown"])
def test_j9_the_ends_of_50_running_predictions_are_told(served: Callable[..., Server], how: str) -> None:
    server = served(GATED, env=many(50))
    with receiving() as hook:
        ids = {server.start_async({"gate": "open"}, webhook=hook.url, **END) for _ in range(50)}
        if how == "SIGTERM":
            server.process.terminate()
        else:
            server.call("POST", "/shutdown")
        until(lambda: server.predict({}).status, lambda status: status == 503)
        (server.folder / "open").touch()
        assert server.process.wait(DEADLINE) == 0, server.log
        assert ends(hook.got) == dict.fromkeys(ids, "succeeded")


def test_j9_what_runs_when_the_end_comes_is_told(served: Callable[..., Server]) -> None:
    server = served(GATED)
    with receiving() as hook:
        id = server.start_async({"gate": "open"}, webhook=hook.url, **END)
        server.process.terminate()
        threading.Timer(0.5, (server.folder / "open").touch).start()  # while the server waits for it
        assert server.process.wait(DEADLINE) == 0, server.log
        assert ends(hook.got) == {id: "succeeded"}


def test_j9_what_the_drain_cancels_is_told(serve: Callable[..., Server]) -> None:
    server = serve(GATED, "--drain-timeout", "0.3", env=many(10))
    with receiving() as hook:
        ids = {server.start_async({"gate": "never"}, webhook=hook.url, **END) for _ in range(10)}
        server.process.terminate()
        assert server.process.wait(DEADLINE) == 0, server.log
        assert ends(hook.got) == dict.fromkeys(ids, "canceled")


def test_j9_what_is_deaf_to_the_drain_is_told(serve: Callable[..., Server]) -> None:
    server = serve(DEAF, "--drain-timeout", "0.2", "--cancel-grace", "0.3")
    with receiving() as hook:
        id = server.start_async({}, webhook=hook.url, **END)
        server.wait_for(id, "processing")
        server.process.terminate()
        assert server.process.wait(DEADLINE) == 0, server.log
        assert ends(hook.got) == {id: "canceled"}


def test_j9_what_waits_for_its_next_try_and_in_the_queue_is_told(serve: Callable[..., Server]) -> None:
    """100 ends: each was refused or is held up when the server is told to end."""
    back = threading.Event()

    def answer(_: Incoming) -> Reply:
        return Reply(200) if back.is_set() else Reply(503, headers={"retry-after": "100"})

    server = serve(GATED, env=many(50))
    with receiving(answer) as hook:
        ids = {
            server.predict({"number": n}, fields={"webhook": hook.url, **END}).json()["id"]
            for n in range(100)
        }
        hook.wait_until(lambda got: told(got, ids))
        back.set()
        count = len(hook.got)
        server.process.terminate()
        assert server.process.wait(DEADLINE) == 0, server.log
        assert set(ends(hook.got[count:])) == ids
        assert "not delivered" not in server.log
        assert "given up" not in server.log


def test_j9_what_cannot_be_told_is_named(serve: Callable[..., Server]) -> None:
    """Nobody listens there any more; the server ends within its time all the same."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/"
        server = serve(GATED, env=many(50))
        ids = {server.start_async({"number": n}, webhook=url, **END) for n in range(30)}
        for id in ids:
            server.wait_for(id)
        begin = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begin < 10
    named = [line["fields"] for line in server.lines if line["level"] == "ERROR"]
    found = {id for fields in named for id in fields.get("prediction_ids", [fields.get("prediction_id")])}
    assert found == ids


# J30: a redirect is a failure, a URL that cannot be used is refused at once.


def test_j30_where_a_redirect_leads_nothing_is_sent(served: Callable[..., Server]) -> None:
    def answer(incoming: Incoming) -> Reply:
        return Reply(200) if incoming.path == "/moved" else Reply(302, headers={"location": "/moved"})

    with receiving(answer) as hook:
        server = served(GATED)
        server.predict({}, fields={"webhook": f"{hook.url}/hook", **END})
        hook.wait_for(1)
        server.process.terminate()
        server.process.wait(DEADLINE)
        assert [(one.method, one.path) for one in hook.got] == [("POST", "/hook")]


def test_j30_no_url_is_422(served: Callable[..., Server]) -> None:
    assert served(GATED).predict({}, fields={"webhook": "not a url"}).status == 422


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_j30_a_redirect_is_not_followed_and_does_not_count(serve_shared: Server, status: int) -> None:
    def answer(incoming: Incoming) -> Reply:
        return Reply(200) if incoming.path == "/moved" else Reply(status, headers={"location": "/moved"})

    with receiving(answer) as hook:
        serve_shared.predict({}, fields={"webhook": f"{hook.url}/{status}", **END})
        serve_shared.wait_log(f"the receiver answered {status}")
        # The next one to the same receiver comes behind whatever would have been made of the first.
        serve_shared.predict({}, fields={"webhook": f"{hook.url}/last", **END})
        got = hook.wait_until(lambda got: got[-1:] != [] and got[-1].path == "/last")
        assert [(one.method, one.path) for one in got] == [("POST", f"/{status}"), ("POST", "/last")]


@pytest.mark.parametrize(
    "url",
    ["not a url", "http//x", "", "ftp://example.com/", "http://", "http://[::1", "http://x:99999/", "//x/y"],
)
def test_j30_what_is_no_url_is_refused_and_runs_nothing(serve_shared: Server, url: str) -> None:
    before = len(serve_shared.get("/predictions").json()["results"])
    answer = serve_shared.predict({}, fields={"webhook": url})
    assert answer.status == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "webhook"]
    assert len(serve_shared.get("/predictions").json()["results"]) == before


def test_a_name_is_judged_again_by_its_address_at_delivery(serve: Callable[..., Server]) -> None:
    """The name passes at submit; where it leads is known when it is resolved."""
    name = socket.gethostname()
    try:
        address = socket.gethostbyname(name)
    except OSError:
        pytest.skip("the name of this machine has no address")
    if not address.startswith(("127.", "10.", "192.168.", "172.")):
        pytest.skip("the name of this machine has a public address")
    server = serve(GATED, env={"COG_URL_POLICY": "public"})
    with receiving() as hook:
        port = hook.url.rpartition(":")[2]
        assert server.predict({}, fields={"webhook": f"http://{name}:{port}/"}).status == 200
        server.wait_log("only those are allowed here")
        server.stop()
        assert hook.got == []
    refused = [line for line in server.lines if line["level"] == "ERROR"]
    assert [line["fields"]["tries"] for line in refused] == [1]


def test_a_signed_webhook_of_a_server_and_its_secret(serve: Callable[..., Server]) -> None:
    """Each key signs; the model does not see them, nor do the log and the document."""
    keys = [os.urandom(24), os.urandom(64)]
    secrets = ["whsec_" + base64.b64encode(key).decode() for key in keys]
    server = serve(
        """
        import os
        from cog import BaseRunner

        class Runner(BaseRunner):
            def run(self) -> str:
                return repr(dict(os.environ))
        """,
        env={
            "WEBHOOK_SIGNING_SECRET": " ".join(secrets),
            "WEBHOOK_AUTH_TOKEN": "t0ken",
            "COG_LOG_LEVEL": "debug",
        },
    )
    with receiving(lambda _: Reply(410)) as hook:
        answer = server.predict({}, fields={"webhook": hook.url, **END})
        (one,) = hook.wait_for(1)
        server.wait_log("the receiver answered 410")
    signed = f"{one.headers['webhook-id']}.{one.headers['webhook-timestamp']}.".encode() + one.body
    assert one.headers["webhook-signature"] == " ".join(
        "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in keys
    )
    for text in (answer.body.decode(), one.body.decode(), server.log):
        for secret in (*secrets, "t0ken", "WEBHOOK_"):
            assert secret.removeprefix("whsec_") not in text


def test_a_secret_that_cannot_be_used_is_not_shown(serve: Callable[..., Server], tmp_path: Any) -> None:
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "cog.server.http"],
        env={**os.environ, "WEBHOOK_SIGNING_SECRET": "whsec_c2hvcnQ="},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 1
    assert "WEBHOOK_SIGNING_SECRET" in done.stderr
    assert "c2hvcnQ" not in done.stderr


@pytest.mark.slow
def test_1000_webhooks_to_a_receiver_that_hangs_harm_nobody(serve: Callable[..., Server]) -> None:
    server = serve(GATED, env=many(64))
    gate = Gate()

    def hang(_: Incoming) -> Reply:
        gate.wait()
        return Reply()

    with receiving(hang) as hung, receiving() as fine:
        calm = [delivery(server, fine) for _ in range(20)]
        before = memory(server)
        for _ in range(1000):
            assert server.predict({}, fields={"webhook": hung.url, **END}).status == 200
        during = [delivery(server, fine) for _ in range(20)]
        assert len(hung.wait_for(16)) == 16
        assert len(os.listdir(f"/proc/{server.process.pid}/fd")) < 150
        assert memory(server) - before < 32 * 1024 * 1024
        assert sorted(during)[10] < 5 * sorted(calm)[10] + 0.05
        assert server.health()["status"] == "READY"
        gate.open()
        assert len(ends(hung.wait_for(1000))) == 1000


def delivery(server: Server, hook: Receiver) -> float:
    """Seconds from a request to its webhook."""
    count = len(hook.got)
    begin = time.monotonic()
    server.predict({}, fields={"webhook": hook.url, **END})
    return hook.wait_for(count + 1)[-1].at - begin


def memory(server: Server) -> int:
    """Bytes of the server process that are in memory."""
    with open(f"/proc/{server.process.pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module")
def serve_shared(serve_once: Callable[..., Server]) -> Server:
    return serve_once(GATED, env=many(4))
