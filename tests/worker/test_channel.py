"""Nothing that a model does to its descriptors, streams, signals, children or outputs touches the channel."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.models import ASYNC, SYNC
from support.serving import Server


@pytest.fixture(scope="module")
def plain(serve_once: Any) -> Server:
    server: Server = serve_once(SYNC)
    return server


@pytest.fixture(scope="module")
def concurrent(serve_once: Any) -> Server:
    server: Server = serve_once(ASYNC)
    return server


def ran(server: Server, code: str, status: str = "succeeded", **given: Any) -> Any:
    prediction = server.predict({"code": code, **given}).json()
    assert prediction["status"] == status, prediction
    return prediction


def check_next(server: Server) -> None:
    """The next prediction is right, and so are its logs."""
    asynchronous = "async def run" in (server.folder / "run.py").read_text()
    prediction = ran(server, f"print('next')\n{'return' if asynchronous else 'out ='} 40 + 2")
    assert (prediction["output"], prediction["logs"], prediction["error"]) == (42, "next\n", None)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import sys; out = [sys.stdin.read(), sys.stdin.readline(), list(sys.stdin)]", ["", "", []]),
        ("import os; out = len(os.read(0, 5))", 0),
        ("import subprocess; out = subprocess.run(['cat'], capture_output=True).stdout.decode()", ""),
        ("import os; os.closerange(3, 120); out = 'closed'", "closed"),
        (
            "import os\nnull = os.open('/dev/null', os.O_RDWR)\n[os.dup2(null, fd) for fd in (0, 1, 2)]\nprint('seen')\nout = null > 2",
            True,
        ),
        ("import io, sys; sys.stdin = io.StringIO('typed'); out = sys.stdin.read()", "typed"),
        ("import sys; out = sys.stdin.read()", ""),
        ("import sys; del sys.stdin, sys.stdout, sys.stderr; out = 1", 1),
        ("import os, socket; s = socket.socketpair(); s[0].close(); s[1].close(); out = 1", 1),
    ],
)
def test_descriptors_and_streams(plain: Server, code: str, expected: Any) -> None:
    assert ran(plain, code)["output"] == expected
    check_next(plain)


@pytest.mark.parametrize("which", ["plain", "concurrent"])
def test_a_failure_without_stderr_is_told(request: pytest.FixtureRequest, which: str) -> None:
    server: Server = request.getfixturevalue(which)
    prediction = ran(server, "import sys; sys.stdout = sys.stderr = None; raise ValueError('told')", "failed")
    assert prediction["error"] == "ValueError: told"
    assert prediction["logs"].endswith("ValueError: told\n")
    check_next(server)


def test_a_model_has_its_own_signal_handlers(plain: Server) -> None:
    code = """
import os, signal, threading
got = []
names = ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGPIPE", "SIGCHLD", "SIGQUIT"]
old = {name: signal.signal(getattr(signal, name), lambda number, _: got.append(signal.Signals(number).name)) for name in names}
for name in names:
    os.kill(os.getpid(), getattr(signal, name))
signal.setitimer(signal.ITIMER_REAL, 0.01)
end = time.monotonic() + 10
while got.count("SIGALRM") < 2 and time.monotonic() < end:
    time.sleep(0.001)
out = got[:len(names)] == names, got.count("SIGALRM")
"""
    assert ran(plain, code)["output"] == [True, 2]
    check_next(plain)
    prediction = plain.start_async(
        {"code": "mark('handlers-stay'); hold('never')"}
    )  # and a cancel still arrives
    plain.wait_file("handlers-stay")
    plain.call("POST", f"/predictions/{prediction}/cancel")
    assert plain.wait_for(prediction)["status"] == "canceled"
    check_next(plain)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("out = {'scores': [1, 2, 3, float('nan')]}", "OutputError: output.scores[3] is NaN"),
        ("out = float('-inf')", "OutputError: output is infinite"),
        ("out = 1\nfor _ in range(200_000): out = [out]", "OutputError: output is nested too deeply"),
        ("out = []; out.append(out)", "OutputError: output[0] refers to a value that it is part of"),
        ("out = {(1, 2): 3}", "OutputError: output has the key (1, 2)"),
        ("out = lambda: 1", "OutputError: output"),
        ("raise ValueError('a\\ud800b')", "ValueError: a\ufffdb"),
        ("class E(Exception):\n    def __str__(self): raise TypeError('no text')\nraise E", "E: (its text cannot be had"),
        ("from cog import CancelationException\nraise CancelationException", "CancelationException"),
        ("v = 1\nfor _ in range(5_000): v = [v]\nself.record_metric('deep', v)", "ValueError: metric 'deep' is nested too deeply"),
        ("self.record_metric('bad', float('nan'))", "ValueError: metric 'bad' is nan"),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_fails_that_prediction_alone(plain: Server, code: str, error: str) -> None:
    assert ran(plain, code, "failed")["error"].startswith(error)
    check_next(plain)


def test_a_9_mb_exception_is_cut(plain: Server) -> None:
    prediction = ran(plain, "raise ValueError('x' * 9_000_000)", "failed")
    assert prediction["error"].startswith("ValueError: " + "x" * 65_536 + "...")
    assert prediction["error"].endswith("(9,000,000 characters in all)")
    assert len(prediction["logs"]) < 200_000
    check_next(plain)


@pytest.mark.parametrize(
    ("code", "check"),
    [
        ("out = 'y' * 30_000_000", lambda output: output == "y" * 30_000_000),
        ("out = {'a\\ud800': '\\udfff'}", lambda output: output == {"a\ufffd": "\ufffd"}),
        ("out = [2**70, -2**200, 0.1, 1e300]", lambda output: output == [2**70, -(2**200), 0.1, 1e300]),
        ("out = {'z': 1, 'a': 2, 3: 'x', None: 4}", lambda output: list(output) == ["z", "a", "3", "null"]),
        ("out = '\\x00\\x01\\u2028</script>'", lambda output: output == "\x00\x01\u2028</script>"),
    ],
    ids=["30 MB", "surrogates", "integers", "keys", "controls"],
)
def test_outputs_of_any_size_and_content(plain: Server, code: str, check: Any) -> None:
    assert check(ran(plain, code)["output"])
    check_next(plain)


def test_a_deep_input_comes_back_deeper(plain: Server) -> None:
    deep: Any = 1
    for _ in range(120):
        deep = [deep]
    assert ran(plain, "out = {'a': {'b': d}}", d={"x": deep})["output"] == {"a": {"b": {"x": deep}}}
    output = ran(plain, "out = d\nfor _ in range(500): out = [out]", d={"x": deep})["output"]
    for _ in range(500):
        (output,) = output
    assert output == {"x": deep}
    check_next(plain)


def test_integers_beyond_64_bits_go_in_and_out(plain: Server) -> None:
    given = {"n": 2**70, "m": -(2**100), "s": "\ufffd"}
    assert ran(plain, "out = [d, type(d['n']).__name__]", d=given)["output"] == [given, "int"]
    prediction = ran(plain, "self.record_metric('big', 2**70)")
    assert prediction["metrics"]["big"] == 2**70


def test_big_and_deep_metrics(plain: Server) -> None:
    prediction = ran(
        plain,
        "self.record_metric('big', '\\x01' * 9_000_000)\nv = 1\nfor _ in range(130): v = [v]\nself.record_metric('deep', v)",
    )
    assert prediction["metrics"]["big"] == "\x01" * 9_000_000
    assert json.dumps(prediction["metrics"]["deep"]) == "[" * 130 + "1" + "]" * 130
    check_next(plain)


def test_a_message_that_the_server_cannot_take_in_fails_that_prediction_alone(serve: Any) -> None:
    """What no code of ours sends: the model writes it into the worker's channel itself."""
    concurrent: Server = serve(ASYNC)
    other = concurrent.start_async({"code": "mark('beside'); await held('beside-go'); return 'lived'"})
    concurrent.wait_file("beside")
    code = """
import gc
from cog.worker.channel import Channel
from cog.worker.messages import Measured, Printed
(channel,) = [found for found in gc.get_objects() if type(found) is Channel]
deep = 1
for _ in range(700): deep = [deep]
message = Measured(2, "deep", deep, "replace").pack()
channel._sock.sendall(message + Printed(1, "stdout", b"along with it").pack())
await asyncio.sleep(20)
"""
    shown = ran(concurrent, code, "failed")
    assert shown["error"].startswith("RecursionError: ")
    concurrent.wait_log("by a fault of the server")
    (concurrent.folder / "beside-go").touch()
    assert concurrent.wait_for(other)["output"] == "lived"
    assert concurrent.get(f"/predictions/{other}").json()["logs"] == "along with it"
    check_next(concurrent)


def test_an_exit_of_the_process_is_told_and_repaired(plain: Server) -> None:
    before = plain.workers()
    prediction = ran(plain, "print('last words'); import os; os._exit(3)", "failed")
    assert prediction["error"].startswith("WorkerDied: the worker process ended with exit code 3")
    assert prediction["logs"] == "last words\n"
    plain.wait_health("READY")
    assert plain.workers() != before
    check_next(plain)


def test_closing_every_descriptor_is_told_and_repaired(plain: Server) -> None:
    prediction = ran(plain, "import os; os.closerange(3, 100_000)", "failed")
    assert prediction["error"].startswith("WorkerDied: ")
    assert "Model code that closes descriptors it did not open" in prediction["logs"]
    plain.wait_health("READY")
    check_next(plain)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import sys; sys.exit(4)", "SystemExit: 4"),
        (
            "async def child(): raise KeyboardInterrupt\nawait asyncio.create_task(child())",
            "KeyboardInterrupt",
        ),
        ("import sys; await asyncio.gather(asyncio.to_thread(sys.exit, 5))", "SystemExit: 5"),
        (
            "raise ValueError('operation was cancelled by user')",
            "ValueError: operation was cancelled by user",
        ),
        ("raise asyncio.CancelledError('cancelled')", "CancelledError: cancelled"),
        ("asyncio.current_task().cancel(); await asyncio.sleep(10)", "CancelledError"),
        ("await asyncio.wait_for(asyncio.sleep(10), 0.001)", "TimeoutError"),
        ("return float('nan')", "OutputError: output is NaN"),
    ],
)
def test_others_on_the_loop_go_on(concurrent: Server, code: str, error: str) -> None:
    name = f"other-{abs(hash(code))}"
    other = concurrent.start_async(
        {"code": f"mark('{name}'); await held('{name}-go'); print('lived'); return 'lived'"}
    )
    concurrent.wait_file(name)
    assert ran(concurrent, code, "failed")["error"].startswith(error)
    (concurrent.folder / f"{name}-go").touch()
    survivor = concurrent.wait_for(other)
    assert (survivor["status"], survivor["output"], survivor["logs"]) == ("succeeded", "lived", "lived\n")
    check_next(concurrent)


def test_a_model_that_stops_its_loop_does_not_stop_ours(concurrent: Server) -> None:
    assert (
        ran(concurrent, "asyncio.get_running_loop().stop(); await asyncio.sleep(0.001); return 1")["output"]
        == 1
    )
    check_next(concurrent)
