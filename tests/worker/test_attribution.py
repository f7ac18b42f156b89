"""Logs, figures and the context belong to the run that the code was started from, by whatever way it runs beside it."""

from __future__ import annotations

from typing import Any

import pytest

from support.models import ASYNC, SYNC
from support.serving import Server, until

HEAD = """
import asyncio, contextvars, multiprocessing.pool, threading
from concurrent.futures import ThreadPoolExecutor
from cog import current_scope

WAYS = {}


def way(test):
    WAYS[test.__name__] = test
    return test


def tell(who):
    scope = current_scope()
    print("told by", who, flush=True)
    scope.record_metric("told." + who, scope.context["who"])


def join(thread):
    thread.start()
    thread.join(20)


class Speaker(threading.Thread):
    def run(self):
        tell("subclass")


POOL = ThreadPoolExecutor(1)
IDLE = POOL.submit(threading.get_ident).result()  # its thread was there before any run


@way
def thread():
    join(threading.Thread(target=tell, args=("thread",)))

@way
def subclass():
    join(Speaker())

@way
def timer():
    join(threading.Timer(0, tell, ("timer",)))

@way
def nested():
    join(threading.Thread(target=lambda: join(threading.Thread(target=tell, args=("nested",)))))

@way
def pool():
    POOL.submit(tell, "pool").result(20)

@way
def mapped():
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(tell, ["mapped"]))

@way
def context():
    contextvars.copy_context().run(tell, "context")

@way
def own_pool():
    with multiprocessing.pool.ThreadPool(1) as pool:
        pool.apply(tell, ("own_pool",))
"""

LOOP = """
@way
async def task():
    async def within(): tell("task")
    await asyncio.create_task(within())

@way
async def gathered():
    async def within(): tell("gathered")
    await asyncio.gather(within())

@way
async def aside():
    await asyncio.to_thread(tell, "aside")

@way
async def executor():
    await asyncio.get_running_loop().run_in_executor(None, tell, "executor")

@way
async def own_executor():
    await asyncio.get_running_loop().run_in_executor(POOL, tell, "own_executor")

@way
async def soon():
    done = asyncio.Event()
    asyncio.get_running_loop().call_soon(lambda: (tell("soon"), done.set()))
    await done.wait()

@way
async def later():
    done = asyncio.Event()
    asyncio.get_running_loop().call_later(0.001, lambda: (tell("later"), done.set()))
    await done.wait()

@way
async def from_thread():
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    def act():
        loop.call_soon_threadsafe(lambda: (tell("from_thread"), done.set()))
    await asyncio.to_thread(act)
    await done.wait()

@way
async def sent_back():
    loop = asyncio.get_running_loop()
    async def within(): tell("sent_back")
    thread = threading.Thread(target=lambda: asyncio.run_coroutine_threadsafe(within(), loop).result(20))
    thread.start()
    await asyncio.to_thread(thread.join)

@way
async def called_back():
    task = asyncio.create_task(asyncio.sleep(0))
    task.add_done_callback(lambda _: tell("called_back"))
    await task
    await asyncio.sleep(0)

@way
async def generated():
    async def chunks():
        try:
            yield tell("generated")
        finally:
            tell("closed")
    async for _ in chunks():
        pass
"""

EVERY_WAY = """
for name, act in WAYS.items():
    result = act()
    if asyncio.iscoroutine(result):
        await result
    for _ in range(2):
        await asyncio.sleep(0)  # the other run has its turn
mark("did-" + current_scope().context["who"])
await held("all-did")
"""


@pytest.fixture(scope="module")
def plain(serve_once: Any) -> Server:
    server: Server = serve_once(HEAD + SYNC)
    return server


@pytest.fixture(scope="module")
def asynchronous(serve_once: Any) -> Server:
    server: Server = serve_once(HEAD + LOOP + ASYNC)
    return server


def names(source: str) -> set[str]:
    found = source.split("@way\n")[1:]
    return {each.split("def ")[1].split("(")[0] for each in found}


def test_every_way_from_an_async_model(asynchronous: Server) -> None:
    """Three at once, each in all ways: nobody gets a line or a figure of another."""
    running = {
        who: asynchronous.start_async({"code": EVERY_WAY}, context={"who": who}) for who in ("x", "y", "z")
    }
    for who in running:
        asynchronous.wait_file(f"did-{who}")
    (asynchronous.folder / "all-did").touch()
    expected = names(HEAD + LOOP) | {"closed"}
    for who, prediction_id in running.items():
        ended = asynchronous.wait_for(prediction_id, "succeeded")
        assert ended["metrics"].pop("told") == dict.fromkeys(expected, who)
        assert sorted(ended["logs"].splitlines()) == sorted(f"told by {way}" for way in expected)


def test_every_way_from_a_plain_model(plain: Server) -> None:
    code = "for act in WAYS.values(): act()"
    for who in ("first", "second"):
        ended = plain.predict({"code": code}, fields={"context": {"who": who}}).json()
        assert ended["status"] == "succeeded", ended
        assert ended["metrics"].pop("told") == dict.fromkeys(names(HEAD), who)
        assert sorted(ended["logs"].splitlines()) == sorted(f"told by {way}" for way in names(HEAD))


def test_a_loop_in_a_plain_model(plain: Server) -> None:
    code = """
async def within():
    await asyncio.to_thread(tell, "aside")
    await asyncio.get_running_loop().run_in_executor(None, tell, "executor")
    tell("loop")
asyncio.run(within())
"""
    ended = plain.predict({"code": code}, fields={"context": {"who": "me"}}).json()
    assert ended["metrics"].pop("told") == {"aside": "me", "executor": "me", "loop": "me"}


LATE = """
def late():
    hold($name)
    current_scope().record_metric("late", 1)
    print("too late", $name)
    mark($name + "-did")
threading.Thread(target=late).start()
"""


@pytest.mark.parametrize("kind", ["plain", "asynchronous"])
def test_what_a_thread_does_after_its_run_is_of_no_other(kind: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(kind)
    first = server.predict({"code": LATE.replace("$name", "'go-late'")}).json()
    hold = "await held" if kind == "asynchronous" else "hold"
    second = server.start_async({"code": f"mark('is-there'); {hold}('go-late-did'); print('mine')"})
    server.wait_file("is-there")
    (server.folder / "go-late").touch()
    ended = server.wait_for(second, "succeeded")
    assert (ended["logs"], set(ended["metrics"])) == ("mine\n", {"predict_time"})
    server.wait_log("too late go-late")
    assert server.get(f"/predictions/{first['id']}").json() == first


def test_threads_that_were_there_before_tell_nobody_of_an_async_model(serve: Any) -> None:
    """A thread of the model's own that takes work from a queue: Python says nothing of where that came from."""
    source = """
import queue, threading
from cog import BaseRunner, current_scope

class Runner(BaseRunner):
    async def setup(self) -> None:
        self.work, self.done = queue.Queue(), queue.Queue()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            context = self.work.get()
            print("from the queue", flush=True)
            if context is None:
                self.done.put(dict(current_scope().context))
            else:
                context.run(print, "in its context", flush=True)
                self.done.put(context.run(lambda: dict(current_scope().context)))

    async def run(self, hand_over: bool) -> dict:
        import contextvars
        self.work.put(contextvars.copy_context() if hand_over else None)
        return self.done.get(timeout=20)
"""
    server = serve(source)
    answer = server.predict({"hand_over": False}, fields={"context": {"who": "me"}}).json()
    assert (answer["output"], answer["logs"]) == ({}, "")
    answer = server.predict({"hand_over": True}, fields={"context": {"who": "me"}}).json()
    assert (answer["output"], answer["logs"]) == ({"who": "me"}, "in its context\n")
    until(lambda: server.messages().count("from the queue"), lambda count: count == 2)
