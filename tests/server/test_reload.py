"""`--reload`: what is served follows the source, and nobody who asks meanwhile notices more than that."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.receiving import Gate, Incoming, Reply, receiving
from support.serving import Server, serving, until, write_model
from support.steps import alive

Serve = Callable[..., Server]

HEAD = """
import os, time
from cog import BaseRunner, Path, concurrent

def hold(name):
    end = time.monotonic() + 20
    while not os.path.exists(name) and time.monotonic() < end:
        time.sleep(0.005)
"""
SYNC = f"""{HEAD}
class Runner(BaseRunner):
    def setup(self):
        PREPARE

    def run(self, wait: str = "") -> str:
        if wait:
            open(wait + ".begun", "w").close()
            hold(wait)
        return "VERSION"
"""
ASYNC = f"""{HEAD}
class Runner(BaseRunner):
    def setup(self):
        PREPARE

    @concurrent(max=8)
    async def run(self) -> str:
        return "VERSION"
"""
FILES = f"""{HEAD}
class Runner(BaseRunner):
    def run(self, image: Path = None, number: KIND = 0) -> str:
        return f"VERSION {{number!r}} " + (image.read_text() if image else "")
"""


def sync(version: object, prepare: str = "pass") -> str:
    return SYNC.replace("VERSION", str(version)).replace("PREPARE", prepare)


def write(server: Server, text: str, name: str = "run.py") -> None:
    """As most editors do: a new file is put in the place of the old one."""
    part = server.folder / f"{name}.part"
    part.write_text(text)
    os.replace(part, server.folder / name)


def output(server: Server, **input: Any) -> Any:
    answer = server.predict(input)
    assert answer.status == 200, answer
    return answer.json()["output"]


def becomes(server: Server, version: object) -> None:
    until(lambda: output(server), lambda seen: seen == str(version))


def has_workers(server: Server, count: int = 1) -> None:
    until(server.workers, lambda pids: len(pids) == count)


def test_an_edit_is_served_by_a_new_worker_and_the_old_one_ends(serve: Serve) -> None:
    server = serve(sync(1), "--reload")
    (old,) = server.workers()
    write(server, sync(2))
    server.wait_log("run.py changed: loading the model anew")
    server.wait_log("the changed model is READY")
    assert output(server) == "2"
    has_workers(server)
    assert server.workers() != [old]
    os.kill(server.workers()[0], signal.SIGKILL)
    server.wait_log("a worker ended and is replaced")
    server.wait_health("READY")
    write(server, sync(3))
    becomes(server, 3)
    assert not any("others than before" in message for message in server.messages())


def test_what_runs_ends_or_is_canceled_on_the_old_worker_while_the_new_one_serves(serve: Serve) -> None:
    server = serve(sync(1), "--reload", "--threads", "2", ready="2 of 2 workers")
    canceled, running = (server.start_async({"wait": name}) for name in ("never", "go"))
    server.wait_file("never.begun")
    server.wait_file("go.begun")
    write(server, sync(2))
    server.wait_log("the changed model is READY")
    assert [output(server) for _ in range(3)] == ["2"] * 3
    assert len(server.workers()) == 4
    assert server.call("POST", f"/predictions/{canceled}/cancel").status == 200
    (server.folder / "go").touch()
    ended = server.wait_for(running)
    assert (ended["status"], ended["output"]) == ("succeeded", "1")
    assert server.wait_for(canceled)["status"] == "canceled"
    has_workers(server, 2)
    assert output(server) == "2"


BROKEN = [
    ("def (", "SyntaxError"),
    (sync(2, "raise ValueError('no weights')"), "ValueError: no weights"),
    (sync(2, "os._exit(3)"), "exit code 3"),
    (sync(2).replace("-> str", "-> 5"), "SignatureError"),
    (sync(2).replace("class Runner", "class Other"), "has nothing called Runner"),
]


def test_what_cannot_be_set_up_leaves_the_old_one_in_place(serve: Serve) -> None:
    server = serve(sync(1), "--reload")
    (old,) = server.workers()
    before = server.health()["setup"]
    for tries, (text, cause) in enumerate(BROKEN, start=1):
        write(server, text)
        assert cause in failures(server, tries)[-1]
        assert output(server) == "1"
        health = server.health()
        assert (health["status"], health["setup"]) == ("READY", before)
    (server.folder / "run.py").unlink()
    failures(server, len(BROKEN) + 1)
    until(server.workers, lambda pids: pids == [old])
    assert not any("SETUP_FAILED" in message for message in server.messages())
    (server.folder / "run.py").write_text(sync(3))
    becomes(server, 3)


def failures(server: Server, count: int) -> list[str]:
    """What was said of versions that could not be set up, once it is said of so many."""

    def found() -> list[str]:
        return [text for text in server.messages() if "so the one before it is still served" in text]

    seen: list[str] = until(found, lambda texts: len(texts) == count)
    return seen


def test_inputs_are_those_of_the_new_model_at_once(serve: Serve) -> None:
    server = serve(sync(1), "--reload")
    write(server, sync(2).replace('wait: str = ""', "number: int").replace("if wait", "if False"))
    server.wait_log("its inputs or its output are others than before")
    refused = server.predict({})
    assert refused.status == 422
    assert refused.json()["detail"][0]["loc"] == ["body", "input", "number"]
    assert output(server, number=1) == "2"
    inputs = server.get("/openapi.json").json()["components"]["schemas"]["Input"]
    assert list(inputs["properties"]) == ["number"]


@contextmanager
def slow_file() -> Iterator[tuple[str, Gate, Callable[[], object]]]:
    """The URL of a file that comes when the gate is opened, and what waits until it was asked for."""
    gate = Gate()

    def give(_: Incoming) -> Reply:
        gate.wait()
        return Reply(200, b"the file")

    with receiving(give) as receiver:
        try:
            yield f"{receiver.url}/image.png", gate, lambda: receiver.wait_for(1)
        finally:
            gate.open()


def test_what_still_waits_for_its_files_runs_on_the_model_it_was_checked_for(serve: Serve) -> None:
    def version(number: int, kind: str) -> str:
        return FILES.replace("VERSION", str(number)).replace("KIND", kind)

    server = serve(version(1, "int"), "--reload", "--threads", "2", ready="2 of 2 workers")
    with slow_file() as (url, gate, asked):
        waiting, canceled = (server.start_async({"image": url, "number": 5}) for _ in range(2))
        asked()
        write(server, version(2, "str").replace("= 0", "= 'none'"))
        server.wait_log("its inputs or its output are others than before")
        assert len(server.workers()) == 4
        server.call("POST", f"/predictions/{canceled}/cancel")
        server.wait_for(canceled)
        assert output(server, number="five") == "2 'five' "
        assert len(server.workers()) == 4
        gate.open()
        ended = server.wait_for(waiting)
        assert (ended["status"], ended["output"]) == ("succeeded", "1 5 the file")
        has_workers(server, 2)


def test_a_canceled_download_holds_the_old_worker_no_longer(serve: Serve) -> None:
    server = serve(FILES.replace("KIND", "int"), "--reload")
    with slow_file() as (url, _, asked):
        waiting = server.start_async({"image": url})
        asked()
        write(server, FILES.replace("KIND", "float"))
        server.wait_log("its inputs or its output are others than before")
        assert len(server.workers()) == 2
        assert server.call("POST", f"/predictions/{waiting}/cancel").status == 200
        has_workers(server)


def test_a_failed_first_setup_is_tried_again_with_each_edit(serve: Serve) -> None:
    failing = sync(1, "raise ValueError('first')")
    server = serve(failing, "--reload", ready="the model is SETUP_FAILED")
    write(server, failing.replace("first", "second"))
    until(server.health, lambda health: "second" in health.get("setup", {}).get("logs", ""))
    server.wait_health("SETUP_FAILED")
    assert server.predict().status == 503
    write(server, sync(2))
    server.wait_log("the model is READY")
    assert output(server) == "2"
    has_workers(server)


def test_only_the_newest_of_several_edits_is_served(serve: Serve) -> None:
    """Those between are never ready, so a wait for one of them would be for ever."""
    server = serve(sync(1), "--reload")
    for version in range(2, 4):
        write(server, sync(version, f"open('{version}.loads', 'w').close(); hold('never')"))
        server.wait_file(f"{version}.loads")
        assert output(server) == "1"
    write(server, sync(4))
    server.wait_log("the changed model is READY")
    assert output(server) == "4"
    has_workers(server)


def test_an_edit_while_the_first_model_loads_begins_anew(serve: Serve) -> None:
    server = serve(sync(1, "open('loads', 'w').close(); hold('never')"), "--reload", ready=None)
    server.wait_file("loads")
    write(server, sync(2))
    server.wait_log("the model is READY")
    assert output(server) == "2"
    has_workers(server)


def test_equal_sizes_within_one_second_are_told_apart(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python itself takes the compiled form of the first for the second."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)  # where it is set there is no compiled form
    server = serve(
        sync("{part.NAME}").replace('return "', 'return f"') + "\nimport part\n", "--reload", ready=None
    )
    part = server.folder / "part.py"
    for number, name in enumerate("ab"):
        part.write_text(f"NAME = '{name}'\n")
        os.utime(part, ns=(0, 1_700_000_000_000_000_000 + number))
        server.wait_health("READY")
        becomes(server, name)
    run = server.folder / "run.py"
    for number, name in enumerate("cd"):
        run.write_text(sync(name))
        os.utime(run, ns=(0, 1_700_000_000_000_000_000 + number))
        becomes(server, name)
    assert not list(server.folder.rglob("*.pyc"))


def test_a_changed_configuration_is_told_to_need_a_new_start(serve: Serve) -> None:
    server = serve(
        sync(1), "--reload", config='run: "run.py:Runner"\nbuild:\n  python_requirements: needed.txt\n'
    )
    write(server, 'run: "other.py:Runner"\n', "cog.yaml")
    server.wait_log("cog.yaml has changed, which counts once the server is started again")
    write(server, "numpy\n", "needed.txt")
    server.wait_log("needed.txt has changed, which counts once the server is started again")
    assert not any("loading the model anew" in message for message in server.messages())
    assert output(server) == "1"


def test_the_server_ends_in_order_with_two_versions_at_work(serve: Serve) -> None:
    """What `serving` looks for at the end: exit code 0, no worker left."""
    server = serve(sync(1), "--reload", "--drain-timeout", "0", "--cancel-grace", "1")
    server.start_async({"wait": "never"})
    server.wait_file("never.begun")
    write(server, sync(2))
    server.wait_log("the changed model is READY")
    write(server, sync(3, "open('loads', 'w').close(); hold('never')"))
    server.wait_file("loads")
    assert len(server.workers()) == 3


def test_a_second_signal_ends_every_version_at_once(tmp_path: Path) -> None:
    with serving(write_model(tmp_path, sync(1)), "--reload", "--threads", "1") as server:
        server.start_async({"wait": "never"})
        server.wait_file("never.begun")
        write(server, sync(2, "open('loads', 'w').close(); hold('never')"))
        server.wait_file("loads")
        workers = server.workers()
        assert len(workers) == 2
        server.process.send_signal(signal.SIGINT)
        server.wait_log("finishes what is running")
        assert server.stop(signal.SIGINT) == 130
        until(lambda: [pid for pid in workers if alive(pid)], lambda left: not left)


# Constant load


def posts(server: Server, ended: threading.Event, seen: list[int]) -> None:
    """One client, who posts again and again and notes which version answers."""
    while not ended.is_set():
        answer = server.predict()
        assert answer.status == 200, answer
        prediction = answer.json()
        assert prediction["status"] == "succeeded", prediction
        if not seen or seen[-1] != int(prediction["output"]):
            seen.append(int(prediction["output"]))


def see(version: int, lists: list[list[int]], running: list[Future[None]]) -> None:
    """Wait until this version has answered every client, or one of them has failed."""
    until(
        lambda: all(seen[-1:] == [version] for seen in lists),
        lambda there: there or any(client.done() for client in running),
    )


def edit_under_load(server: Server, text: str, clients: int, edits: int) -> None:
    ended = threading.Event()
    lists: list[list[int]] = [[] for _ in range(clients)]
    with ThreadPoolExecutor(clients) as pool:
        running: list[Future[None]] = [pool.submit(posts, server, ended, seen) for seen in lists]
        try:
            for version in range(2, edits + 2):
                write(server, text.replace("VERSION", str(version)))
                if version % 4 == 1:  # the others may be overtaken
                    see(version, lists, running)
        finally:
            ended.set()
        for client in running:
            client.result()
    for seen in lists:
        assert seen == sorted(seen)
        assert seen[-1] == edits + 1


@pytest.mark.parametrize(
    ("text", "threads", "clients", "edits"),
    [(ASYNC, "1", 4, 20), pytest.param(SYNC, "2", 2, 20, marks=pytest.mark.slow)],
    ids=["async", "sync"],
)
@pytest.mark.slow
def test_under_load_every_answer_is_right_and_no_client_goes_back_in_time(
    serve: Serve, text: str, threads: str, clients: int, edits: int
) -> None:
    text = text.replace("PREPARE", "pass")
    server = serve(text.replace("VERSION", "1"), "--reload", "--threads", threads, ready=None)
    server.wait_health("READY")
    if threads != "1":
        server.wait_log(f"{threads} of {threads} workers")
    edit_under_load(server, text, clients, edits)
    has_workers(server, int(threads))
    assert not any("ended and is replaced" in message for message in server.messages())
