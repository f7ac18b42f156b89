"""@batch: several predictions in one call of the model, each with its own end, logs and figures."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from support.models import WAITING
from support.serving import Server, until

HEAD = "from cog import BaseRunner, Input, Path, batch, concurrent, current_batch, current_scope, streaming\n"

# Each request says what becomes of it; `call.N` is made by the N-th call, with what it was called for.
MODEL = (
    HEAD
    + WAITING
    + """
import itertools, json, sys

calls = itertools.count()


class Runner(BaseRunner):
    @batch(max_size=4, max_wait=0.25, same=("kind",))
    def run(
        self, act: list[str], n: list[int] = Input(default=1, ge=0), file: list[Path] = None, kind: str = "plain"
    ) -> list[str]:
        number = next(calls)
        mark(f"call.{number}", json.dumps([act, n, kind]))
        print("to all")
        os.system("echo from below")
        results = []
        for one, scope, path in zip(act, current_batch(), file):
            word, _, rest = one.partition(" ")
            with scope:
                print("of", one)
                current_scope().record_metric("mine", one)
            if word == "hold":
                hold(rest)
                results.append(one)
            elif word == "raise":
                results.append(ValueError(rest))
            elif word == "object":
                results.append(object())
            elif word == "exit":
                os._exit(3)
            elif word == "boom":
                raise RuntimeError("boom")
            elif word == "short":
                return results
            elif word == "text":
                return "text"
            elif word == "context":
                results.append(json.dumps([scope.context, current_scope().context]))
            elif word == "read":
                results.append(path.read_text())
            else:
                results.append(one)
        current_scope().record_metric("size", len(act))
        return results
"""
)

_names = itertools.count()


def fresh() -> str:
    return f"b{next(_names)}"


@pytest.fixture(scope="module")
def server(serve_once: Any) -> Server:
    started: Server = serve_once(MODEL)
    return started


def together(server: Server, *acts: str | dict[str, Any], **more: Any) -> list[Any]:
    """The predictions of requests that are sent at the same time."""
    inputs = [{"act": act} if isinstance(act, str) else act for act in acts]
    with ThreadPoolExecutor(len(inputs)) as pool:
        return [answer.json() for answer in pool.map(lambda one: server.predict(one, **more), inputs)]


def begin(server: Server, act: str, **more: Any) -> str:
    name = fresh()
    answer = server.predict({"act": act, **more}, fields={"id": name}, headers={"prefer": "respond-async"})
    assert answer.status == 202, answer
    return name


def shown(server: Server, name: str) -> Any:
    return server.get(f"/predictions/{name}").json()


def test_a_batch_is_one_call_with_each_its_own_answer(server: Server) -> None:
    answers = together(server, "a", {"act": "b", "n": 3}, "c", "d")
    assert [answer["output"] for answer in answers] == ["a", "b", "c", "d"]
    assert [answer["metrics"]["batch_size"] for answer in answers] == [4] * 4
    assert [answer["metrics"]["size"] for answer in answers] == [4] * 4
    assert [answer["metrics"]["mine"] for answer in answers] == ["a", "b", "c", "d"]
    assert len({answer["metrics"]["predict_time"] for answer in answers}) <= 4
    for answer in answers:
        assert answer["input"]["act"] == answer["output"]
        lines = answer["logs"].splitlines()
        assert lines.count("[batch of 4] to all") == 1
        assert lines.count("[batch of 4] from below") == 1
        assert [line for line in lines if line.startswith("of ")] == [f"of {answer['output']}"]
    last = max(server.folder.glob("call.*[0-9]"), key=lambda path: int(path.suffix[1:]))
    acts, numbers, kind = json.loads(last.read_text())
    assert dict(zip(acts, numbers, strict=True)) == {"a": 1, "b": 3, "c": 1, "d": 1}
    assert kind == "plain"


def test_one_alone_has_no_marks_and_waits_no_longer_than_it_must(server: Server) -> None:
    (answer,) = together(server, "alone")
    assert answer["logs"].splitlines()[0] == "to all"
    assert answer["metrics"]["batch_size"] == 1
    assert 0.24 < answer["metrics"]["queue_time"] < 5


def test_one_that_fails_fails_alone(server: Server) -> None:
    good, raised, wrong, other = together(server, "good", "raise bad word", "object", "other")
    assert (good["status"], good["output"], good["error"]) == ("succeeded", "good", None)
    assert (other["status"], other["output"]) == ("succeeded", "other")
    assert (raised["status"], raised["output"], raised["error"]) == ("failed", None, "ValueError: bad word")
    assert "ValueError: bad word" in raised["logs"]
    assert "bad word" not in good["logs"]
    assert wrong["error"].startswith("OutputError: ")
    assert {answer["metrics"]["batch_size"] for answer in (good, raised, wrong, other)} == {4}


def test_an_exception_of_the_call_fails_them_all(server: Server) -> None:
    answers = together(server, "a", "boom", "b", "c")
    assert {answer["error"] for answer in answers} == {"RuntimeError: boom"}
    assert all("[batch of 4] RuntimeError: boom" in answer["logs"] for answer in answers)


@pytest.mark.parametrize(
    ("act", "said"),
    [("short", "items for the 4 predictions of this call"), ("text", "gave a str where a list is expected")],
)
def test_a_wrong_list_fails_the_batch_and_says_so(server: Server, act: str, said: str) -> None:
    answers = together(server, "a", act, "b", "c")
    assert all(said in answer["error"] for answer in answers), answers
    assert together(server, "after")[0]["output"] == "after"


def test_others_kinds_are_other_batches(server: Server) -> None:
    answers = together(
        server, *({"act": f"{kind}{index}", "kind": kind} for index in range(2) for kind in ("x", "y"))
    )
    assert [answer["metrics"]["batch_size"] for answer in answers] == [2] * 4
    default, same = together(server, "d", {"act": "s", "kind": "plain"})
    assert default["metrics"]["batch_size"] == same["metrics"]["batch_size"] == 2


def test_a_wrong_input_is_refused_before_it_is_in_a_batch(server: Server) -> None:
    answer = server.predict({"act": ["a"]})
    assert (answer.status, answer.json()["detail"][0]["loc"]) == (422, ["body", "input", "act"])
    assert server.predict({"act": "a", "n": -1}).status == 422


def test_the_document_is_that_of_single_predictions(server: Server) -> None:
    schemas = server.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["Input"]["properties"]["act"]["type"] == "string"
    assert schemas["Output"] == {"title": "Output", "type": "string"}


def test_each_has_its_own_context_and_files(server: Server) -> None:
    def ask(index: int) -> Any:
        fields = {"context": {"who": str(index), "all": "x"}}
        return server.predict({"act": "context"}, fields=fields).json()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(4)))
    assert [json.loads(answer["output"]) for answer in answers] == [
        [{"who": str(index), "all": "x"}, {"all": "x"}] for index in range(4)
    ]
    texts = together(server, *({"act": "read", "file": f"data:text/plain,{word}"} for word in ("one", "two")))
    assert [answer["output"] for answer in texts] == ["one", "two"]
    assert {answer["metrics"]["batch_size"] for answer in texts} == {2}


def test_a_cancel_and_a_hang_up_disturb_nobody(server: Server) -> None:
    gate = fresh()
    names = [begin(server, act) for act in (f"hold {gate}", "a", "b")]
    left = fresh()
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
    connection.request(
        "PUT", f"/predictions/{left}", '{"input":{"act":"c"}}', {"content-type": "application/json"}
    )
    for name in (*names, left):
        until(partial(shown, server, name), lambda prediction: prediction.get("status") == "processing")
    assert server.call("POST", f"/predictions/{names[1]}/cancel").status == 200
    assert server.wait_for(names[1])["status"] == "canceled"
    assert connection.sock is not None
    connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()
    assert server.wait_for(left)["status"] == "canceled"
    assert [shown(server, names[index])["status"] for index in (0, 2)] == ["processing"] * 2
    worker = server.workers()
    (server.folder / gate).touch()
    ends = [server.wait_for(names[index]) for index in (0, 2)]
    assert [end["output"] for end in ends] == [f"hold {gate}", "b"]
    assert [end["metrics"]["batch_size"] for end in ends] == [4, 4]
    assert server.workers() == worker


def test_the_model_is_interrupted_when_nobody_is_left(server: Server) -> None:
    names = [begin(server, act) for act in ("hold never", "a")]
    for name in names:
        server.wait_for(name, "processing")
    for name in names:
        server.call("POST", f"/predictions/{name}/cancel")
    assert [server.wait_for(name, timeout=8)["status"] for name in names] == ["canceled"] * 2
    assert together(server, "after")[0]["output"] == "after"


def test_a_worker_that_dies_fails_its_batch_alone(server: Server) -> None:
    gate = fresh()
    first = [begin(server, act) for act in ("a", f"hold {gate}", "exit", "b")]
    for name in first:
        server.wait_for(name, "processing")
    waiting = [begin(server, f"w{index}") for index in range(3)]
    (server.folder / gate).touch()
    ends = [server.wait_for(name) for name in first]
    assert {(end["status"], end["error"].partition(":")[0]) for end in ends} == {("failed", "WorkerDied")}
    assert [server.wait_for(name)["output"] for name in waiting] == ["w0", "w1", "w2"]


def test_one_batch_runs_and_one_gathers_then_it_is_409(serve: Any) -> None:
    server: Server = serve(MODEL)
    names = [begin(server, act) for act in ("hold go", *"abc")]
    server.wait_file("call.0")
    names += [begin(server, act) for act in "defg"]
    assert server.health()["status"] == "BUSY"
    answer = server.predict({"act": "h"})
    assert (answer.status, answer.headers["retry-after"]) == (409, "1")
    (server.folder / "go").touch()
    assert [server.wait_for(name)["metrics"]["batch_size"] for name in names] == [4] * 8


def test_an_operator_may_lower_the_size_and_change_the_wait(serve: Any) -> None:
    server: Server = serve(MODEL, "--max-batch-size", "2", env={"COG_MAX_BATCH_WAIT": "30"})
    began = time.monotonic()
    answers = together(server, "a", "b", "c", "d")
    assert {answer["metrics"]["batch_size"] for answer in answers} == {2}
    assert time.monotonic() - began < 25


ASYNC = (
    HEAD
    + WAITING
    + """
import asyncio


class Runner(BaseRunner):
    @concurrent(max=2)
    @batch(max_size=2, max_wait=0.2)
    async def run(self, act: list[str]) -> list[str]:
        for one, scope in zip(act, current_batch()):
            word, _, rest = one.partition(" ")
            with scope:
                print("of", one)
                await asyncio.sleep(0)
            if word == "hold":
                await held(rest)
        print("to all")
        return [ValueError("no") if one == "raise" else one for one in act]
"""
)


def test_an_async_model_takes_several_batches(serve: Any) -> None:
    server: Server = serve(ASYNC)
    names = [begin(server, act) for act in ("hold go", "a", "hold go", "b")]
    for name in names:
        server.wait_for(name, "processing")
    names += [begin(server, act) for act in ("raise", "c")]
    (server.folder / "go").touch()
    ends = [server.wait_for(name) for name in names]
    assert [end["output"] for end in ends] == ["hold go", "a", "hold go", "b", None, "c"]
    assert ends[4]["error"] == "ValueError: no"
    for end, act in zip(ends, ["hold go", "a", "hold go", "b", "raise", "c"], strict=True):
        lines = end["logs"].splitlines()
        assert [line for line in lines if line.startswith("of")] == [f"of {act}"]
        assert "[batch of 2] to all" in lines


def test_an_async_batch_ends_when_all_have_left(serve: Any) -> None:
    server: Server = serve(ASYNC)
    names = [begin(server, act) for act in ("hold never", "a")]
    for name in names:
        server.wait_for(name, "processing")
    for name in names:
        server.call("POST", f"/predictions/{name}/cancel")
    assert [server.wait_for(name, timeout=8)["status"] for name in names] == ["canceled"] * 2
    assert together(server, "a", "b")[1]["output"] == "b"


STREAM = (
    HEAD
    + WAITING
    + """
from typing import Iterator


class Runner(BaseRunner):
    @streaming
    @batch(max_size=3, max_wait=0.25)
    def run(self, text: list[str], n: list[int] = Input(default=3)) -> Iterator[list[str]]:
        for step in range(max(n)):
            yield [
                StopIteration() if step >= limit else ValueError(word) if word == f"fail{step}" else
                None if word == "odd" and step % 2 == 0 else f"{word}{step}"
                for word, limit in zip(text, n)
            ]
        print("done")
"""
)


@pytest.fixture(scope="module")
def streaming(serve_once: Any) -> Server:
    started: Server = serve_once(STREAM)
    return started


def test_lists_that_are_yielded_are_chunks_of_each(streaming: Server) -> None:
    with ThreadPoolExecutor(3) as pool:
        inputs = [{"text": "a", "n": 2}, {"text": "odd", "n": 4}, {"text": "fail1"}]
        first, odd, failed = (answer.json() for answer in pool.map(streaming.predict, inputs))
    assert (first["status"], first["output"]) == ("succeeded", ["a0", "a1"])
    assert (odd["status"], odd["output"]) == ("succeeded", ["odd1", "odd3"])
    assert (failed["status"], failed["output"], failed["error"]) == (
        "failed",
        ["fail10"],
        "ValueError: fail1",
    )
    assert "[batch of 3] done" in odd["logs"]
    assert "done" not in first["logs"]


def test_the_generator_is_closed_when_all_have_ended(streaming: Server) -> None:
    with ThreadPoolExecutor(2) as pool:
        inputs = [{"text": "fail0", "n": 9}, {"text": "fail0", "n": 9}]
        answers = [answer.json() for answer in pool.map(streaming.predict, inputs)]
    assert {answer["error"] for answer in answers} == {"ValueError: fail0"}
    assert all("done" not in answer["logs"] for answer in answers)


def test_each_streams_as_events(streaming: Server) -> None:
    def read(word: str) -> str:
        connection = http.client.HTTPConnection(streaming.url.removeprefix("http://"))
        connection.request(
            "POST", "/predictions", json.dumps({"input": {"text": word}}),
            {"content-type": "application/json", "accept": "text/event-stream"},
        )  # fmt: skip
        text = connection.getresponse().read().decode()
        connection.close()
        return text

    with ThreadPoolExecutor(3) as pool:
        texts = list(pool.map(read, "xyz"))
    for word, text in zip("xyz", texts, strict=True):
        assert text.count("event: output") == 3
        assert all(f"{word}{step}" in text for step in range(3))
        assert '"status":"succeeded"' in text


def test_at_shutdown_nobody_waits_for_company(serve: Any) -> None:
    server: Server = serve(MODEL, "--max-batch-wait", "60")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(server.predict, {"act": "alone"})
        until(lambda: server.get("/predictions").json()["results"], bool)
        began = time.monotonic()
        assert server.stop() == 0
        assert answer.result().json()["output"] == "alone"
    assert time.monotonic() - began < 20


LEAVING = (
    HEAD
    + """
import asyncio


class Endless:
    \"\"\"An iterator that ends its output within somebody's scope, and is no generator that could be closed.\"\"\"

    def __init__(self, text):
        self.text, self.scope = text, current_batch()[0]

    def __iter__(self):
        return self

    def __next__(self):
        self.scope.__enter__()
        return [StopIteration() for _ in self.text]


from typing import Iterator


class Runner(BaseRunner):
    @batch(max_size=2, max_wait=0.05)
    def run(self, text: list[str]) -> Iterator[list[str]]:
        print("of", text)
        return Endless(text)
"""
)


def test_a_scope_that_is_never_left_ends_with_its_call(serve: Any) -> None:
    server: Server = serve(LEAVING)
    for word in ("one", "two"):
        answer = server.predict({"text": word}).json()
        assert (answer["status"], answer["logs"]) == ("succeeded", f"of ['{word}']\n")


GATHERING = (
    HEAD
    + """
import asyncio


class Runner(BaseRunner):
    @batch(max_size=2, max_wait=0.3)
    async def run(self, text: list[str]) -> list[str]:
        async def work(one, scope, step):
            with scope:
                await asyncio.sleep(0)
                print(one, step)
                await asyncio.sleep(0.001)
                scope.record_metric(f"step{step}", one)

        await asyncio.gather(*(work(one, scope, step) for step in range(3) for one, scope in zip(text, current_batch())))
        print("together")
        return text
"""
)


def test_several_tasks_may_be_in_the_scope_of_one(serve: Any) -> None:
    server: Server = serve(GATHERING)
    with ThreadPoolExecutor(2) as pool:
        answers = [answer.json() for answer in pool.map(lambda word: server.predict({"text": word}), "xy")]
    for word, answer in zip("xy", answers, strict=True):
        assert sorted(answer["logs"].splitlines()) == [
            "[batch of 2] together",
            *(f"{word} {step}" for step in range(3)),
        ]
        assert [answer["metrics"][f"step{step}"] for step in range(3)] == [word] * 3


REFUSING = (
    HEAD
    + """
from dataclasses import dataclass


@dataclass
class Even:
    n: int

    def __post_init__(self):
        if self.n % 2:
            raise ValueError("odd")


class Runner(BaseRunner):
    @batch(max_size=2, max_wait=0.2)
    def run(self, number: list[Even]) -> list[int]:
        return [one.n for one in number]
"""
)


def test_an_input_that_the_models_own_class_refuses_fails_alone(serve: Any) -> None:
    server: Server = serve(REFUSING)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda n: server.predict({"number": {"n": n}}).json(), (2, 3)))
        assert answers[0]["output"] == 2
        assert (answers[1]["status"], "odd" in answers[1]["error"]) == ("failed", True)
        answers = list(pool.map(lambda n: server.predict({"number": {"n": n}}).json(), (1, 3)))
    assert [answer["status"] for answer in answers] == ["failed"] * 2


def test_a_frozen_batch_is_killed_with_its_last_cancel(serve: Any) -> None:
    server: Server = serve(MODEL)
    names = [begin(server, act) for act in ("hold never", "a")]
    for name in names:
        server.wait_for(name, "processing")
    (worker,) = server.workers()
    os.kill(worker, signal.SIGSTOP)
    server.wait_health("UNHEALTHY", timeout=15)
    for name in names:
        server.call("POST", f"/predictions/{name}/cancel")
    assert [server.wait_for(name)["status"] for name in names] == ["canceled"] * 2
    server.wait_health("READY", timeout=20)
    assert together(server, "after")[0]["output"] == "after"


PLAIN = (
    "from cog import BaseRunner\n"
    + WAITING
    + """

class Runner(BaseRunner):
    def run(self, act: str) -> str:
        word, _, rest = act.partition(" ")
        if word == "hold":
            hold(rest)
        return "plain " + act
"""
)


def test_what_waits_while_the_model_learns_to_take_batches_runs_as_it_was_meant(serve: Any) -> None:
    server: Server = serve(PLAIN, "--reload", "--max-queue", "4")
    names = [begin(server, act) for act in ("hold go", "a", "b")]
    server.wait_for(names[0], "processing")
    (server.folder / "run.py").write_text(MODEL)
    server.wait_log("the changed model is READY")
    assert together(server, "c", "d")[1]["metrics"]["batch_size"] == 2
    (server.folder / "go").touch()
    assert [server.wait_for(name)["output"] for name in names] == ["plain hold go", "plain a", "plain b"]


ENDING_FIRST = (
    HEAD
    + """
import os
from typing import Iterator

class Runner(BaseRunner):
    @batch(max_size=2, max_wait=60)
    def run(self, act: list[str]) -> Iterator[list[str]]:
        yield [StopIteration(), "b"]
        os._exit(3)
"""
)


def test_the_end_of_one_member_does_not_count_as_the_end_of_a_call(serve: Any) -> None:
    server: Server = serve(ENDING_FIRST)
    for _ in range(2):
        server.wait_health("READY")
        ended = sorted(answer["status"] for answer in together(server, "a", "b"))
        assert ended == ["failed", "succeeded"]
    server.wait_health("READY")
    pauses = [
        line["fields"]["seconds"] for line in server.lines if "is replaced" in line["fields"]["message"]
    ]
    assert pauses == [0, 0.5]  # it has died twice without a normal end
