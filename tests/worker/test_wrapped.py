"""What the worker puts in the place of Python's own functions cannot be told from them; large inputs are read quickly."""

from __future__ import annotations

import gc
import json
import os
from pathlib import Path
from typing import Any

import pytest

from cog.worker.model import Model
from support.canceling import cancel
from support.serving import Server, until, write_model
from support.steps import body, fresh, let_go, model


@pytest.fixture(scope="module")
def sync(serve_once: Any) -> Server:
    started: Server = serve_once(model("sync"))
    return started


def ran(server: Server, text: str, **names: object) -> Any:
    prediction = server.predict(body(text, **names)).json()
    assert prediction["status"] == "succeeded", prediction
    return prediction["output"]


def test_a_pool_of_fresh_processes_that_ignores_interrupts(sync: Server) -> None:
    """The usual way to write one: `signal.signal` itself is sent to the processes, by its name."""
    code = """
        import multiprocessing
        spawn = multiprocessing.get_context("spawn")
        with spawn.Pool(1, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)) as pool:
            return pool.map(abs, [-1, -2])
    """
    assert ran(sync, code) == [1, 2]


def test_functions_are_called_and_named_as_before(sync: Server) -> None:
    code = """
        import concurrent.futures, pickle
        ours = [signal.signal, signal.getsignal, threading.Thread.start, concurrent.futures.ThreadPoolExecutor.submit]
        same = [pickle.loads(pickle.dumps(one)) is one for one in ours]
        before = signal.signal(signalnum=signal.SIGUSR1, handler=print)
        back = signal.signal(signal.SIGUSR1, signal.getsignal(signal.SIGUSR1)) is print
        signal.signal(signal.SIGUSR1, before)
        told = []
        def aside():
            try:
                signal.signal(signal.SIGUSR1, print)
            except ValueError as error:
                told.append(str(error))
        thread = threading.Thread(target=aside)
        thread.start()
        thread.join()
        try:
            thread.start()
        except RuntimeError as error:
            told.append(str(error))
        return [same, back, told]
    """
    told = [
        "signal only works in main thread of the main interpreter",
        "threads can only be started once",
    ]
    assert ran(sync, code) == [[True] * 4, True, told]


def test_a_thread_that_has_ended_is_freed_at_once(sync: Server) -> None:
    code = """
        import gc, weakref
        class Own(threading.Thread):
            __slots__ = ()
            def start(self):
                super().start()
                return "started"
            def run(self):
                print("in a thread")
        gc.disable()
        try:
            thread = Own()
            seen, said = weakref.ref(thread), thread.start()
            thread.join()
            del thread
            deadline = time.monotonic() + DEADLINE
            while seen() is not None and time.monotonic() < deadline:  # its last steps come after join()
                time.sleep(0.001)
            return [said, seen() is None]
        finally:
            gc.enable()
    """
    prediction = sync.predict(body(code)).json()
    assert (prediction["output"], prediction["logs"]) == (["started", True], "in a thread\n")


@pytest.mark.parametrize("awake", [True, False])
def test_a_large_input_is_read_without_the_collector(tmp_path: Path, awake: bool) -> None:
    """76 MiB of short lists took 9 s with it and 2 without; meanwhile nobody could tell the worker from a frozen one."""
    source = "from typing import Any\n\ndef run(x: Any) -> int:\n    return len(x)\n"
    loaded = Model.load("run.py:run", write_model(tmp_path, source), None)
    payload = json.dumps({"x": [[1]] * 500_000}).encode()
    seen: list[str] = []

    def note(phase: str, _: dict[str, int]) -> None:
        seen.append(phase)

    (gc.enable if awake else gc.disable)()
    gc.callbacks.append(note)
    try:
        arguments = loaded.arguments(payload)
        while_reading = seen[:]
        assert gc.isenabled() is awake
    finally:
        gc.callbacks.remove(note)
        gc.enable()
    assert while_reading == []
    assert loaded.run(**arguments) == 500_000


def test_a_run_that_was_written_off_leaves_no_files(serve: Any, tmp_path: Path) -> None:
    """It goes on beside others, and makes its folder again after its prediction has ended and was cleared away."""
    config = 'run: "run.py:Runner"\nconcurrency:\n  max: 2\n'
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    server: Server = serve(
        model("async"), "--cancel-grace", "0.2", config=config, env={"TMPDIR": str(temporary)}
    )
    deaf, other = fresh(), fresh()
    code = """
        from cog import Path
        (FOLDER / "made.txt").write_text("x")
        while True:
            try:
                await async_gate($name)
                break
            except asyncio.CancelledError:
                pass
        return Path(FOLDER / "made.txt")
    """
    beside = server.start_async(body("await async_gate($name)\nreturn 1", name=other))
    server.wait_file(other)
    running = server.start_async(body(code, name=deaf))
    server.wait_file(deaf)

    def folders() -> list[str]:
        (own,) = temporary.glob("cog-run-*")
        return sorted(set(os.listdir(own)) - {"sdk"})

    assert cancel(server, running).status == 200
    assert server.wait_for(running)["status"] == "canceled"
    let_go(server, deaf)
    until(folders, bool)  # there it is again
    worker = server.workers()
    let_go(server, other)
    assert server.wait_for(beside)["output"] == 1
    server.wait_health("READY")
    until(folders, lambda left: not left, 5)
    assert server.workers() != worker
