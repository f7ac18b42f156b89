"""How models are run: which thread, which loop, what comes out while they run, their health, their weights."""

from __future__ import annotations

from typing import Any

import pytest

from support.models import WAITING
from support.serving import Server, until

SYNC = (
    WAITING
    + """
import signal, sqlite3, threading
from typing import Iterator
from cog import BaseRunner, Path

class Runner(BaseRunner):
    def setup(self, weights: Path = None) -> None:
        self.thread = threading.get_ident()
        self.base = sqlite3.connect(":memory:")  # bound to its thread
        self.local = threading.local()
        self.local.count = 0
        self.weights = weights

    def healthcheck(self) -> bool:
        if os.path.exists("raises"):
            raise RuntimeError("hc bad")
        return not os.path.exists("sick")

    def run(self, gate: str = "") -> Iterator[list]:
        self.local.count += 1
        self.base.execute("select 1")
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # only the main thread may
        same = threading.get_ident() == self.thread and threading.current_thread() is threading.main_thread()
        yield [same, os.getpid(), self.local.count, type(self.weights).__name__]
        if gate:
            hold(gate)
        yield ["end"]
"""
)

ASYNC = (
    WAITING
    + """
from typing import AsyncIterator
from cog import BaseRunner, concurrent

class Runner(BaseRunner):
    async def setup(self, weights: str) -> None:
        self.loop = asyncio.get_running_loop()
        self.weights = weights
        self.queue = asyncio.Queue()
        self.pump = asyncio.create_task(self.serve())

    async def serve(self) -> None:
        while True:
            number, answer = await self.queue.get()
            answer.set_result(number * 2)

    async def healthcheck(self) -> bool:
        await asyncio.sleep(0)
        return asyncio.get_running_loop() is self.loop and not os.path.exists("sick")

    @concurrent(max=2)
    async def run(self, number: int, gate: str = "") -> AsyncIterator[object]:
        yield asyncio.get_running_loop() is self.loop
        answer = self.loop.create_future()
        await self.queue.put((number, answer))
        yield await asyncio.wait_for(answer, 10)
        if gate:
            await held(gate)
        yield self.weights
"""
)


@pytest.fixture(scope="module")
def plain(serve_once: Any) -> Server:
    server: Server = serve_once(SYNC)
    return server


@pytest.fixture(scope="module")
def asynchronous(serve_once: Any) -> Server:
    server: Server = serve_once(ASYNC, env={"COG_WEIGHTS": "https://example.test/weights"})
    return server


def test_every_run_of_a_plain_model_is_in_the_thread_of_its_setup(plain: Server) -> None:
    (worker,) = plain.workers()
    outputs = [plain.predict().json()["output"][0] for _ in range(12)]
    first = outputs[0][2]
    assert outputs == [[True, worker, first + n, "NoneType"] for n in range(12)]


def test_what_was_begun_in_setup_serves_the_runs_of_an_async_model(asynchronous: Server) -> None:
    for number in (1, 21):
        output = asynchronous.predict({"number": number}).json()["output"]
        assert output == [True, number * 2, "https://example.test/weights"]


@pytest.mark.parametrize(
    ("which", "given", "count"),
    [("plain", {}, 1), ("asynchronous", {"number": 3}, 2)],
    ids=["plain", "async"],
)
def test_chunks_are_seen_while_the_model_runs(
    request: pytest.FixtureRequest, which: str, given: dict[str, Any], count: int
) -> None:
    server: Server = request.getfixturevalue(which)
    running = server.start_async({**given, "gate": "chunks"})
    seen = until(
        lambda: server.get(f"/predictions/{running}").json(),
        lambda shown: shown["output"] is not None and len(shown["output"]) == count,
    )
    assert seen["status"] == "processing"
    (server.folder / "chunks").touch()
    ended = server.wait_for(running)
    assert ended["output"][:count] == seen["output"]
    assert len(ended["output"]) == count + 1


def test_the_health_check_of_a_plain_model_answers_while_it_runs(plain: Server) -> None:
    running = plain.start_async({"gate": "healthy"})
    assert plain.health()["status"] == "BUSY"
    (plain.folder / "sick").touch()
    health = plain.wait_health("UNHEALTHY")
    assert health["user_healthcheck_error"] == "Healthcheck failed: user-defined healthcheck returned False"
    (plain.folder / "raises").touch()
    health = until(plain.health, lambda health: "hc bad" in health.get("user_healthcheck_error", ""))
    assert health["user_healthcheck_error"] == "Healthcheck failed: RuntimeError: hc bad"
    for name in ("healthy", "raises", "sick"):
        path = plain.folder / name
        path.touch() if name == "healthy" else path.unlink()
    assert plain.wait_for(running)["status"] == "succeeded"
    assert "user_healthcheck_error" not in plain.wait_health("READY")


def test_the_health_check_of_an_async_model_runs_on_its_loop(asynchronous: Server) -> None:
    asynchronous.wait_health("READY")
    (asynchronous.folder / "sick").touch()
    asynchronous.wait_health("UNHEALTHY")
    assert asynchronous.predict({"number": 4}).json()["status"] == "succeeded"  # it is advice only
    (asynchronous.folder / "sick").unlink()
    asynchronous.wait_health("READY")


def test_the_document_says_how_an_output_streams(serve: Any, plain: Server) -> None:
    output = plain.get("/openapi.json").json()["components"]["schemas"]["Output"]
    assert (output["type"], output["x-cog-array-type"]) == ("array", "iterator")
    assert "x-cog-array-display" not in output
    source = "from cog import ConcatenateIterator\ndef run() -> ConcatenateIterator[str]:\n    yield 'a'\n"
    output = (
        serve(source, config='run: "run.py:run"\n')
        .get("/openapi.json")
        .json()["components"]["schemas"]["Output"]
    )
    assert (output["x-cog-array-type"], output["x-cog-array-display"]) == ("iterator", "concatenate")


def test_old_names_are_noted_in_the_setup_logs(serve: Any) -> None:
    source = "from cog import BasePredictor\nclass Predictor(BasePredictor):\n    def predict(self) -> str:\n        return 'old'\n"
    server = serve(source, config="{}\n", env={"COG_PREDICT_TYPE_STUB": "run.py:Predictor"})
    assert server.predict().json()["output"] == "old"
    logs = server.health()["setup"]["logs"]
    assert "Predictor.predict() is deprecated: rename it to run()" in logs
    assert "BasePredictor is deprecated: derive Predictor from BaseRunner" in logs
