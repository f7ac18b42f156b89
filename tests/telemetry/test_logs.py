"""What reaches stderr, as JSON lines and as text for people."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import re
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from cog.telemetry import logs
from cog.telemetry.logs import configure, model_output

LOG = logging.getLogger("cog.service")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("cog")
    before = (root.handlers[:], root.level, ours.level, logs._output)
    yield
    root.handlers[:], level, own, logs._output = before
    root.setLevel(level)
    ours.setLevel(own)
    logging.captureWarnings(False)


def printed(text: str, **given: Any) -> None:
    known: dict[str, Any] = {"source": "stdout", "prediction_id": "p1", "worker": 0, "setup": False}
    model_output(text, **known | given)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_is_one_json_object_of_the_known_form() -> None:
    stream = io.StringIO()
    configure("info", "json", stream)
    LOG.info(
        "Prediction %s ended", "p1", extra={"fields": {"predict_time": 0.5, "message": "other", "ü": None}}
    )
    (line,) = lines(stream)
    assert list(line) == ["timestamp", "level", "fields", "target"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["timestamp"])
    assert line["level"] == "INFO"
    assert line["fields"] == {"message": "Prediction p1 ended", "predict_time": 0.5, "ü": None}
    assert line["target"] == "cog.service"


def test_exceptions_and_odd_values_stay_json() -> None:
    stream = io.StringIO()
    configure("info", "json", stream)
    loop: list[Any] = []
    loop.append(loop)
    try:
        raise ValueError("bad\nthing")
    except ValueError:
        LOG.exception("It failed", extra={"fields": {"nan": float("nan"), "loop": loop, "set": {1}, 5: (1,)}})
    logs._output.record(logging.LogRecord("cog", logging.INFO, "", 1, "%d apples", ("many",), None))
    failed, wrong = lines(stream)
    assert failed["fields"]["exception"].endswith("ValueError: bad\nthing\n")
    assert failed["fields"]["exception"].startswith("Traceback")
    assert failed["fields"]["nan"] == "nan"
    assert failed["fields"]["set"] == "{1}"
    assert failed["fields"]["5"] == [1]
    assert "'%d apples' cannot be put together with ('many',)" in wrong["fields"]["message"]


def test_the_level_holds_for_us_and_libraries_speak_from_warning_on() -> None:
    stream = io.StringIO()
    configure("debug", "json", stream)
    configure("debug", "json", stream)  # twice does not write twice
    LOG.debug("a")
    logging.getLogger("aiohttp.access").info("b")
    logging.getLogger("aiohttp.access").warning("c")
    assert [line["fields"]["message"] for line in lines(stream)] == ["a", "c"]
    configure("error", "json", stream)
    LOG.warning("d")
    logging.getLogger("aiohttp.access").warning("e")
    LOG.error("f")
    assert [line["fields"]["message"] for line in lines(stream)] == ["a", "c", "f"]


def test_what_a_model_prints_appears_at_any_level() -> None:
    """J18."""
    stream = io.StringIO()
    configure("error", "json", stream)
    printed("one\ntwo\n\nthree")
    printed("four\n", source="stderr", prediction_id=None, setup=True)
    printed("five\n", prediction_id=None, worker=3)
    printed("six\n", prediction_id=None, worker=None)
    printed("")
    found = lines(stream)
    assert [line["fields"]["message"] for line in found] == ["one", "two", "", "three", "four", "five", "six"]
    assert found[0]["fields"] == {"message": "one", "source": "stdout", "prediction_id": "p1", "worker": 0}
    assert found[0]["level"] == "INFO"
    assert [line["target"] for line in found[3:]] == [
        "cog.prediction",
        "cog.setup",
        "cog.worker",
        "cog.worker",
    ]
    assert found[4]["fields"] == {"message": "four", "source": "stderr", "worker": 0}
    assert found[6]["fields"] == {"message": "six", "source": "stdout"}


def test_one_call_is_one_write_and_a_flood_is_quick() -> None:
    writes: list[str] = []

    class Counting(io.StringIO):
        def write(self, text: str) -> int:
            writes.append(text)
            return len(text)

    configure("info", "json", Counting())
    printed("x\n" * 50_000)
    assert len(writes) == 1
    assert writes[0].count("\n") == 50_000


def test_text_for_people() -> None:
    stream = io.StringIO()
    configure("info", "console", stream)
    LOG.warning(
        "Model\x1b[2J is\nready", extra={"fields": {"n": 2, "path": "/a b", "id": "p\x9b1", "ok": "x-1"}}
    )
    text = stream.getvalue()
    assert re.fullmatch(
        r'\d\d:\d\d:\d\d WARNING Model\\x1b\[2J is\n    ready n=2 path="/a b" id="p\\x9b1" ok=x-1\n', text
    )


def test_nobody_writes_on_a_line_that_is_not_finished() -> None:
    stream = io.StringIO()
    configure("info", "console", stream)
    printed("10 %")
    printed("\r20 %")
    printed("B", prediction_id="p2")
    LOG.info("Hello")
    printed("done\n")
    LOG.info("Bye")
    text = re.sub(r"\d\d:\d\d:\d\d INFO {4}", "> ", stream.getvalue())
    assert text == "10 %\r20 %\nB\n> Hello\ndone\n> Bye\n"


def test_what_the_message_tells_already_is_a_field_in_json_only() -> None:
    told = {"fields": {"state": "READY", "seconds": 0.5}, "told": ("state",)}
    text, objects = io.StringIO(), io.StringIO()
    configure("info", "console", text)
    LOG.info("it is READY", extra=told)
    configure("info", "json", objects)
    LOG.info("it is READY", extra=told)
    assert text.getvalue().endswith("INFO    it is READY seconds=0.5\n")
    assert lines(objects)[0]["fields"] == {"message": "it is READY", "state": "READY", "seconds": 0.5}


@pytest.mark.parametrize(
    ("variable", "value", "coloured"),
    [("NO_COLOR", "", True), ("NO_COLOR", "1", False), ("COG_NO_COLOR", "1", False)],
)
def test_colour_only_on_a_terminal(
    variable: str, value: str, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv("TERM", "xterm")
    master, slave = pty.openpty()
    with open(slave, "w") as terminal:
        configure("info", "auto", terminal)
        LOG.error("No")
        text = os.read(master, 1000).decode()
    os.close(master)
    assert "ERROR" in text
    assert ("\x1b[" in text) is coloured


def test_lone_surrogates_and_any_encoding_stay_json() -> None:
    reading, writing = os.pipe()
    with open(writing, "w", encoding="ascii") as stream:
        configure("info", "json", stream)
        printed("ü \udc80\n")
    with open(reading, encoding="utf-8") as file:
        assert json.loads(file.read())["fields"]["message"] == "ü \udc80"


def test_a_closed_or_missing_stderr_is_no_error() -> None:
    reading, writing = os.pipe()
    stream = open(writing, "w")  # noqa: SIM115 - it is closed before the end on purpose
    configure("info", "json", stream)
    os.close(reading)
    printed("nobody reads\n")
    LOG.error("nobody reads")
    stream.close()
    printed("closed\n")
    LOG.error("closed")
    configure("info", "auto", stream)
    configure("info", "json", None)
    printed("none\n")
    LOG.error("none")


def test_a_process_whose_reader_is_gone_ends_as_it_would() -> None:
    code = (
        "import sys; from cog.telemetry.logs import configure, model_output\n"
        "configure('info', 'json', sys.stderr); sys.stdin.read()\n"
        "model_output('x\\n' * 100000, source='stdout', prediction_id=None, worker=None, setup=False)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr is not None
    process.stderr.close()
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(20) == 0


def test_a_full_pipe_that_does_not_block_drops_lines_but_never_halves_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logs, "PATIENCE", 0.01)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    os.set_blocking(reading, False)
    with open(writing, "w") as stream, open(reading, "rb", buffering=0) as reader:
        configure("info", "json", stream)
        printed("y" * 200_000)
        printed("dropped\n")
        got = reader.read(1_000_000) or b""
        printed("again\n")
        got += reader.read(1_000_000) or b""
    last = got.decode().splitlines()[-1]
    assert json.loads(last)["fields"]["message"] == "again"
    assert b"dropped" not in got


def test_lines_of_many_threads_stay_whole(tmp_path: Any) -> None:
    path = tmp_path / "log"
    with open(path, "w") as stream:
        configure("info", "json", stream)
        threads = [threading.Thread(target=_talk, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = [json.loads(line)["fields"]["message"] for line in path.read_text().splitlines()]
    assert sorted(found) == sorted(f"{number} {turn}" * 50 for number in range(8) for turn in range(50))


def _talk(number: int) -> None:
    for turn in range(50):
        (LOG.info if number % 2 else printed)(f"{number} {turn}" * 50)


def test_warnings_of_python_are_lines_too() -> None:
    stream = io.StringIO()
    configure("info", "json", stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("Old way", DeprecationWarning, stacklevel=1)
    (line,) = lines(stream)
    assert line["target"] == "py.warnings"
    assert "DeprecationWarning: Old way" in line["fields"]["message"]
