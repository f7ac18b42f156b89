"""The end of a server that is busy with requests: each gets a whole answer, or its connection is refused."""

from __future__ import annotations

import collections
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from support.ending import ended, port_of
from support.serving import DEADLINE, Server, until

MODELS = {
    "sync": """
        import time
        from cog import BaseRunner

        class Runner(BaseRunner):
            def run(self, token: str = "", pause: float = 0.0) -> str:
                time.sleep(pause)
                return token
    """,
    "async": """
        import asyncio
        from cog import BaseRunner, concurrent

        class Runner(BaseRunner):
            @concurrent(max=32)
            async def run(self, token: str = "", pause: float = 0.0) -> str:
                await asyncio.sleep(pause)
                return token
    """,
}

LOAD = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"input":{"token":"t"}}'
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT requests=%d connect=%d read=%d write=%d timeout=%d\\n",
    summary.requests, e.connect, e.read, e.write, e.timeout))
end
"""


class Client(threading.Thread):
    """Sends one request after another on a connection that is kept as long as the server lets it, until it is refused."""

    def __init__(self, port: int, number: int) -> None:
        super().__init__(daemon=True)
        self._port, self._number = port, number
        self.kinds: collections.Counter[str] = collections.Counter()
        self.start()

    def run(self) -> None:
        connection: http.client.HTTPConnection | None = None
        for turn in range(1_000_000):
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=DEADLINE)
                try:
                    connection.connect()
                except ConnectionRefusedError:
                    self.kinds["refused"] += 1
                    return
            kind, keep = self._ask(connection, f"{self._number}-{turn}")
            self.kinds[kind] += 1
            if not keep:
                connection.close()
                connection = None

    def _ask(self, connection: http.client.HTTPConnection, token: str) -> tuple[str, bool]:
        body = json.dumps({"input": {"token": token, "pause": 0.001 * (len(token) % 4)}})
        try:
            connection.request("POST", "/predictions", body, {"content-type": "application/json"})
            answer = connection.getresponse()
            shown = json.loads(answer.read())
        except Exception as error:
            return f"broken: {error!r}", False
        if answer.status == 200:
            kind = (
                "right" if (shown["status"], shown["output"]) == ("succeeded", token) else f"wrong: {shown}"
            )
        else:
            kind = str(answer.status) if shown["status"] == "failed" else f"wrong: {shown}"
        return kind, answer.getheader("connection") != "close"


@pytest.mark.parametrize("kind", MODELS)
def test_clients_see_whole_answers_and_refused_connections_only(serve: Any, kind: str) -> None:
    server: Server = serve(MODELS[kind])
    pids = server.workers()
    clients = [Client(port_of(server), number) for number in range(16)]
    until(lambda: sum(client.kinds["right"] for client in clients), lambda right: right > 200)
    server.process.send_signal(signal.SIGTERM)
    for client in clients:
        client.join(DEADLINE)
    seen: collections.Counter[str] = sum((client.kinds for client in clients), collections.Counter())
    assert set(seen) <= {"right", "409", "503", "refused"}, seen
    assert seen["refused"] == 16
    ended(server, pids)


def hold_one(server: Server) -> None:
    """A prediction that keeps the server draining for a while."""
    prefer = {"prefer": "respond-async"}
    until(
        lambda: server.predict({"pause": 0.5}, headers=prefer).status,
        lambda status: status == 202,  # at last: the others want the slots too
    )


@pytest.mark.parametrize(
    "drains", [pytest.param(False, marks=pytest.mark.slow), True], ids=["idle", "draining"]
)
@pytest.mark.parametrize("kind", MODELS)
def test_wrk_counts_no_broken_connection(serve: Any, tmp_path: Path, kind: str, drains: bool) -> None:
    program = shutil.which("wrk")
    if program is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no wrk here: install the package wrk")
    script = tmp_path / "load.lua"
    script.write_text(LOAD)
    server: Server = serve(MODELS[kind])
    pids = server.workers()
    wrk = subprocess.Popen(
        [program, "-t2", "-c32", "-d3s", "-s", str(script), f"{server.url}/predictions"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        until(lambda: len(server.get("/predictions").json()["results"]), lambda count: count >= 10)
        if drains:
            hold_one(server)
        server.process.send_signal(signal.SIGTERM)
        said, _ = wrk.communicate(timeout=DEADLINE)
    finally:
        wrk.kill()
        wrk.wait()
    counts = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", said)}
    assert counts["requests"] > 10, said
    # A connection that is refused counts as one that cannot be written to; one that is cut, as one that cannot be read.
    assert (counts["read"], counts["timeout"]) == (0, 0), said
    ended(server, pids)
