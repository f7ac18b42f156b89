"""--predict-timeout: what takes the model too long is stopped, and has failed."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

import pytest

from support.canceling import cancel, works
from support.serving import Server, until
from support.steps import alive, body, fresh, let_go, model

LIMIT = 0.6
ERROR = (
    "TimeoutError: the prediction took longer than --predict-timeout 0.6 seconds, so it was stopped. Ask for less work at a "
    "time, or allow more with --predict-timeout (COG_PREDICT_TIMEOUT)"
)
FLAGS = ("--predict-timeout", str(LIMIT), "--cancel-grace", "0.4")
FOREVER = "while True: time.sleep(0.01)"
DEAF = """
while True:
    try:
        time.sleep(20)
    except BaseException:
        pass
"""


@pytest.fixture(scope="module")
def plain(serve_once: Any) -> Server:
    server: Server = serve_once(model("sync"), *FLAGS, "--max-queue", "5")
    return server


def test_what_takes_too_long_fails_and_its_logs_are_kept(plain: Server) -> None:
    before = plain.workers()
    started = time.monotonic()
    answer = plain.predict(body(f"print('so far')\n{FOREVER}"))
    assert LIMIT <= time.monotonic() - started < LIMIT + 2
    ended = answer.json()
    assert (answer.status, ended["status"], ended["error"]) == (200, "failed", ERROR)
    assert ended["logs"] == "so far\n"
    assert ended["metrics"]["predict_time"] >= LIMIT - 0.1
    assert plain.workers() == before  # it listened, as to a cancel
    works(plain)


def test_the_model_may_clean_up(plain: Server) -> None:
    name = fresh()
    code = f"try:\n  {FOREVER}\nexcept CancelationException:\n  reach($name)\n  raise"
    assert plain.predict(body(code, name=name)).json()["error"] == ERROR
    assert (plain.folder / name).exists()


def test_what_is_deaf_is_killed_after_the_grace_and_has_failed_all_the_same(plain: Server) -> None:
    (before,) = plain.workers()
    started = time.monotonic()
    ended = plain.predict(body(f"print('so far')\n{DEAF}")).json()
    assert time.monotonic() - started >= LIMIT + 0.4
    assert (ended["status"], ended["error"], ended["logs"]) == ("failed", ERROR, "so far\n")
    until(lambda: alive(before), lambda there: not there)
    plain.wait_health("READY")
    works(plain)


def test_the_time_in_the_queue_does_not_count(plain: Server) -> None:
    long = plain.start_async(body(FOREVER))
    waiting = plain.start_async(body("time.sleep(0.3)\nreturn 'done'"))
    assert plain.wait_for(long)["error"] == ERROR
    ended = plain.wait_for(waiting)
    assert (ended["status"], ended["output"]) == ("succeeded", "done")
    assert ended["metrics"]["queue_time"] + ended["metrics"]["predict_time"] > LIMIT


def test_a_cancel_before_it_is_a_cancel(plain: Server) -> None:
    name = fresh()
    running = plain.start_async(body(f"reach($name)\n{DEAF}", name=name))
    plain.wait_file(name)
    cancel(plain, running)
    ended = plain.wait_for(running)  # by force, which is later than the limit
    assert (ended["status"], ended["error"]) == ("canceled", None)
    plain.wait_health("READY")


@contextmanager
def slow_source(seconds: float) -> Iterator[str]:
    """The address of a file that takes so long to arrive."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"o")
            self.wfile.flush()
            threading.Event().wait(seconds)
            self.wfile.write(b"k")

        def log_message(self, *arguments: object) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as source:
        thread = threading.Thread(target=source.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{source.server_address[1]}/file"
        source.shutdown()
        thread.join()


def test_downloads_do_not_count(serve: Any) -> None:
    text = """
        import time
        from cog import BaseRunner, Path

        class Runner(BaseRunner):
            def run(self, file: Path) -> str:
                time.sleep(0.3)
                return file.read_text()
    """
    server: Server = serve(text, *FLAGS)
    with slow_source(LIMIT) as url:
        ended = server.predict({"file": url}).json()
    assert (ended["status"], ended["output"]) == ("succeeded", "ok")
    assert ended["metrics"]["download_time"] >= LIMIT


def test_what_was_yielded_is_kept(serve: Any) -> None:
    server: Server = serve(model("generator"), *FLAGS)
    ended = server.predict(body(f"yield 1\nyield 2\n{FOREVER}")).json()
    assert (ended["status"], ended["error"], ended["output"]) == ("failed", ERROR, [1, 2])
    ended = server.predict(body("yield 3")).json()
    assert (ended["status"], ended["output"]) == ("succeeded", [3])


def test_of_several_at_once_only_the_long_one_fails(serve: Any) -> None:
    server: Server = serve(model("async"), "--predict-timeout", "2", env={"COG_MAX_CONCURRENCY": "3"})
    gate = fresh()
    long = server.start_async(body("while True: await asyncio.sleep(0.01)"))
    assert server.predict(body("return 1")).json()["output"] == 1
    # Its time begins when that of the long one is nearly over.
    until(lambda: server.get(f"/predictions/{long}").json(), lambda it: age(it) > 1.5)
    other = server.start_async(body("await async_gate($gate)\nreturn 'done'", gate=gate))
    assert "took longer than --predict-timeout 2 seconds" in server.wait_for(long)["error"]
    assert server.get(f"/predictions/{other}").json()["status"] == "processing"
    let_go(server, gate)
    assert server.wait_for(other)["output"] == "done"


def age(prediction: Any) -> float:
    started = datetime.fromisoformat(prediction["started_at"].replace("Z", "+00:00"))
    return (datetime.now(timezone.utc) - started).total_seconds()


def test_a_deaf_async_one_fails_and_the_others_finish(serve: Any) -> None:
    server: Server = serve(
        model("async"), "--cancel-grace", "0.3", env={"COG_MAX_CONCURRENCY": "2", "COG_PREDICT_TIMEOUT": "3"}
    )
    (before,) = server.workers()
    deaf = server.start_async(
        body("while True:\n  try: await asyncio.sleep(20)\n  except BaseException: pass")
    )
    until(lambda: server.get(f"/predictions/{deaf}").json(), lambda it: age(it) > 2.0)
    gate = fresh()
    other = server.start_async(body("await async_gate($gate)\nreturn os.getpid()", gate=gate))
    ended = server.wait_for(deaf)
    assert (ended["status"], "--predict-timeout 3 seconds" in ended["error"]) == ("failed", True)
    let_go(server, gate)
    assert server.wait_for(other)["output"] == before
    until(lambda: alive(before), lambda there: not there)


def test_a_frozen_worker_ends_with_the_time_of_its_prediction(serve: Any) -> None:
    server: Server = serve(model("sync"), "--predict-timeout", "7")
    (before,) = server.workers()
    ended = server.start_async(body("print('so far')\nos.kill(os.getpid(), signal.SIGSTOP)"))
    server.wait_log("is frozen: it has not answered for 5 seconds")
    done = server.wait_for(ended, timeout=5)
    assert (done["status"], done["logs"]) == ("failed", "so far\n")
    assert done["error"].startswith(
        "TimeoutError: the prediction took longer than --predict-timeout 7 seconds"
    )
    until(lambda: alive(before), lambda there: not there)
    server.wait_health("READY")
    works(server)


def test_a_training_may_take_longer(serve: Any) -> None:
    text = """
        import time

        def train(n: int = 1) -> str:
            time.sleep(1)
            return "trained"

        def run(n: int = 1) -> str:
            time.sleep(1)
            return "never"
    """
    server: Server = serve(text, *FLAGS, config='run: "run.py:run"\ntrain: "run.py:train"\n')
    answer = server.call("POST", "/trainings", {"input": {}})
    assert (answer.json()["status"], answer.json()["output"]) == ("succeeded", "trained")
    assert server.predict().json()["error"] == ERROR


def test_of_a_batch_all_fail_that_have_not_ended(serve: Any) -> None:
    text = """
        import time
        from cog import BaseRunner, batch

        class Runner(BaseRunner):
            @batch(max_size=2, max_wait=5)
            def run(self, n: list[int]) -> list[int]:
                if -1 in n:
                    time.sleep(20)
                return n
    """
    server: Server = serve(text, *FLAGS)
    pair = [server.start_async({"n": n}) for n in (-1, 1)]
    assert [server.wait_for(one)["error"] for one in pair] == [ERROR, ERROR]
    pair = [server.start_async({"n": n}) for n in (2, 3)]
    assert [server.wait_for(one)["output"] for one in pair] == [2, 3]
