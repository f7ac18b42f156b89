"""`cog bench`: what it measures, shows, writes and recommends, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from conftest import Serve
from support.cogs import cog, started
from support.serving import Server, until, write_model

MODEL = """
import os, time
from cog import BaseRunner, Path


class Runner(BaseRunner):
    def setup(self) -> None:
        self.runs = 0

    def run(self, text: str, seconds: float = 0, fail_from: int = 1000000, hold_from: int = 1000000, file: Path = None) -> str:
        self.runs += 1
        print("run number", self.runs)
        time.sleep(seconds)
        if self.runs > fail_from:
            raise ValueError("bad thing")
        while self.runs > hold_from:
            time.sleep(0.01)
        return text if file is None else file.read_text()
"""

ASYNC = """
import asyncio
from cog import BaseRunner, concurrent


class Runner(BaseRunner):
    @concurrent(max=4)
    async def run(self, seconds: float = 0.02) -> float:
        await asyncio.sleep(seconds)
        return seconds
"""

ONE = ("--no-env", "--threads", "1", "-i", "text=hello")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("bench") / "model", MODEL)


def measured(folder: Path, *arguments: str) -> dict[str, Any]:
    """The results of a benchmark, as JSON."""
    done = cog(folder, "bench", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_person_sees_a_table_then_settings_and_gets_a_report(folder: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    done = cog(folder, "bench", *ONE, "--requests", "20", "--concurrency", "2,1", "-o", str(report))
    assert (done.returncode, done.stderr) == (0, f"Report written to {report}\n")
    head, first, second, empty, title, *_ = done.stdout.splitlines()
    assert head.split() == ["at", "a", "time", "answers/s", "p50", "p90", "p99"]
    assert [first.split()[0], second.split()[0]] == ["1", "2"]
    assert "were refused" not in done.stdout  # who waits stands in the queue
    assert (empty, title) == ("", "Recommended")
    assert re.search(r"^  --max-queue \d+$", done.stdout, re.MULTILINE)
    page = report.read_text()
    assert page.startswith("<!doctype html>")
    assert "run.py:Runner" in page
    assert page.count("<tr") == 3


def test_results_as_json_have_the_same_and_more(folder: Path, tmp_path: Path) -> None:
    done = cog(
        folder, "bench", *ONE, "--requests", "20", "--concurrency", "1", "-o", f"{tmp_path}/", "--json"
    )
    document = json.loads(done.stdout)
    assert "answers/s" in done.stderr
    assert document["report"] == str(tmp_path / "bench.html")
    assert Path(document["report"]).exists()
    assert document["model"]["style"] == "sync"
    (step,) = document["steps"]
    assert (step["threads"], step["slots"], step["concurrency"], step["answers"], step["failed"]) == (
        1,
        1,
        1,
        20,
        0,
    )
    assert 0 < step["latency"]["p50"] <= step["latency"]["p99"]


def test_the_figures_are_those_of_the_model(folder: Path, tmp_path: Path) -> None:
    """One process, 30 ms each: never more than 33 a second, and four clients wait four times as long as one."""
    found = measured(
        folder, *ONE, "-i", "seconds=0.03", "--requests", "24", "--concurrency", "1,4", "-o", f"{tmp_path}/"
    )
    one, four = found["steps"]
    for step in (one, four):
        assert 0 < step["throughput"] <= 1 / 0.03
        assert step["model_time"] >= 0.03
    assert one["latency"]["p50"] >= 0.03
    assert four["latency"]["p50"] >= 3 * 0.03


def test_without_words_it_doubles_until_throughput_grows_no_more(folder: Path, tmp_path: Path) -> None:
    found = measured(folder, *ONE, "-i", "seconds=0.03", "--duration", "0.4", "-o", f"{tmp_path}/")
    tried = [step["concurrency"] for step in found["steps"]]
    assert tried[:3] == [1, 2, 4]
    assert tried == [2**power for power in range(len(tried))]
    assert len(tried) < 9
    assert all(step["seconds"] >= 0.4 for step in found["steps"])


def test_several_numbers_of_processes_are_compared(folder: Path, tmp_path: Path) -> None:
    found = measured(
        folder, "--no-env", "-i", "text=a", "-i", "seconds=0.05", "--threads", "2,1", "--requests", "24",
        "--concurrency", "4", "-o", f"{tmp_path}/",
    )  # fmt: skip
    one, two = found["steps"]
    assert [(step["threads"], step["slots"]) for step in (one, two)] == [(1, 1), (2, 2)]
    assert two["throughput"] > 1.3 * one["throughput"]
    assert "--threads 2" in [each["setting"] for each in found["recommendations"]]


def test_an_async_model_is_told_how_many_at_a_time(tmp_path: Path) -> None:
    write_model(tmp_path, ASYNC)
    found = measured(tmp_path, "--no-env", "--requests", "40", "--concurrency", "1,4,8")
    assert found["model"]["style"] == "async"
    assert [step["slots"] for step in found["steps"]] == [4, 4, 4]
    assert "@concurrent(max=4)" in [each["setting"] for each in found["recommendations"]]
    assert (tmp_path / "bench.html").exists()


def test_inputs_are_those_of_cog_run(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("from a file")
    (tmp_path / "in.json").write_text('{"text": "a", "file": "@in.txt"}')
    common = (
        "--no-env",
        "--threads",
        "1",
        "--requests",
        "3",
        "--concurrency",
        "1",
        "-f",
        str(folder / "cog.yaml"),
    )
    given = cog(tmp_path, "bench", *common, "-i", "text=a", "-i", "file=@in.txt", "--json")
    assert given.returncode == 0, given.stderr
    as_json = cog(tmp_path, "bench", *common, "--json", "@in.json")
    assert as_json.returncode == 0, as_json.stderr
    assert (
        json.loads(as_json.stdout)["model"]["input_bytes"]
        == json.loads(given.stdout)["model"]["input_bytes"]
        > 40
    )


def test_an_error_of_the_first_prediction_ends_it_with_what_the_model_says(
    folder: Path, tmp_path: Path
) -> None:
    done = cog(folder, "bench", *ONE, "-i", "fail_from=0", "-o", f"{tmp_path}/")
    assert (done.returncode, done.stdout) == (1, "")
    assert "run number 1\nTraceback" in done.stderr
    assert done.stderr.endswith("error: Prediction failed: ValueError: bad thing\n")
    assert not list(tmp_path.iterdir())


def test_a_wrong_input_ends_it_before_anything_is_loaded(folder: Path) -> None:
    done = cog(folder, "bench", "--no-env", "-i", "txt=a")
    assert done.returncode == 1
    assert "Did you mean text?" in done.stderr
    assert "run number" not in done.stderr


def test_failures_are_counted_apart(folder: Path, tmp_path: Path) -> None:
    """Two predictions to look, ten that are answered; what comes then fails."""
    found = measured(
        folder, *ONE, "-i", "fail_from=12", "--requests", "15", "--concurrency", "1", "-o", f"{tmp_path}/"
    )
    (step,) = found["steps"]
    assert (step["answers"], step["failed"]) == (10, 5)
    assert step["failures"] == [{"error": "ValueError: bad thing", "count": 5}]
    (caution,) = (each for each in found["recommendations"] if each["kind"] == "caution")
    assert "ValueError: bad thing" in caution["reason"]


def test_no_answer_at_all_ends_it_and_the_report_has_what_was_before(folder: Path, tmp_path: Path) -> None:
    done = cog(
        folder,
        "bench",
        *ONE,
        "-i",
        "fail_from=12",
        "--requests",
        "10",
        "--concurrency",
        "1,2",
        "-o",
        f"{tmp_path}/",
    )
    assert done.returncode == 1
    assert (
        "With 2 at a time none of 10 requests was answered; most of them: ValueError: bad thing"
        in done.stderr
    )
    assert (tmp_path / "bench.html").read_text().count("<tr") == 3


def test_a_setup_that_fails_shows_what_it_printed(tmp_path: Path) -> None:
    source = MODEL.replace("self.runs = 0", 'print("loading"); raise OSError("no weights")')
    done = cog(write_model(tmp_path, source), "bench", *ONE)
    assert done.returncode == 1
    assert done.stderr.count("loading\n") == 1
    assert done.stderr.endswith("error: Model setup failed: OSError: no weights\n")


def test_a_model_that_dies_is_told_and_goes_on(folder: Path, tmp_path: Path) -> None:
    """The server starts another worker; what was lost has failed."""
    source = MODEL.replace("time.sleep(seconds)", "self.runs == 9 and os._exit(3)")
    found = measured(write_model(tmp_path, source), *ONE, "--requests", "20", "--concurrency", "1")
    (step,) = found["steps"]
    assert step["failed"] >= 1
    assert step["answers"] + step["failed"] + step["refused"] == 20
    assert "exit code 3" in step["failures"][0]["error"]


@pytest.fixture(scope="module")
def server(serve_once: Serve) -> Server:
    return serve_once(MODEL)


def test_a_server_that_runs_and_what_it_refuses(server: Server, tmp_path: Path) -> None:
    """Without a queue all but one of four clients are refused, and none of that is throughput."""
    found = measured(
        tmp_path,
        "--url",
        server.url,
        "-i",
        "text=a",
        "-i",
        "seconds=0.03",
        "--requests",
        "60",
        "--concurrency",
        "4",
    )
    (step,) = found["steps"]
    assert step["slots"] == 1
    assert step["refused"] > 0
    assert step["answers"] + step["refused"] == 60
    assert step["throughput"] <= 1 / 0.03
    assert found["model"]["name"] == server.url
    assert any("were refused" in each["setting"] for each in found["recommendations"])


def test_a_server_that_goes_away_ends_it_and_the_report_has_what_was_before(
    serve: Serve, tmp_path: Path
) -> None:
    """Two predictions to look and ten of the first step; the next one is the server's last."""
    server = serve(MODEL.replace("time.sleep(seconds)", "self.runs > 12 and os.kill(os.getppid(), 9)"))
    arguments = ("--url", server.url, "-i", "text=a", "--requests", "10", "--concurrency", "1,2")
    done = cog(tmp_path, "bench", *arguments)
    assert done.returncode == 1
    assert "With 2 at a time none of 10 requests was answered; most of them: " in done.stderr
    assert "Connection refused" in done.stderr
    assert (tmp_path / "bench.html").read_text().count("<tr") == 3


def test_ctrl_c_ends_early_with_what_was_measured_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    """Ten of the first step are answered after two to look; those of the second one never are."""
    arguments = (*ONE, "-i", "hold_from=12", "--requests", "10", "--concurrency", "1,2", "-o", f"{tmp_path}/")
    with started(folder, "bench", *arguments) as command:
        command.wait_written("          1 ", on="out")
        command.signal(signal.SIGINT)
        assert command.wait() == 130
    written = bytes(command.err).decode()
    assert written == f"Interrupted\nReport written to {tmp_path}/bench.html\n"
    page = (tmp_path / "bench.html").read_text()
    assert page.count("<tr") == 2
    assert "Ended early" in page


def test_sigterm_before_anything_was_measured_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    with started(folder, "bench", *ONE, "-i", "hold_from=0", "-o", f"{tmp_path}/") as command:
        until(
            command.descendants, lambda lines: any("--data" in line for line in lines)
        )  # its worker is there
        command.signal(signal.SIGTERM)
        assert command.wait() == 143
    assert bytes(command.err).decode() == "Canceled\n"
    assert not list(tmp_path.iterdir())


def test_on_a_terminal_the_table_is_alive(folder: Path, tmp_path: Path) -> None:
    arguments = (*ONE, "-i", "seconds=0.02", "--requests", "40", "--concurrency", "1,2", "-o", f"{tmp_path}/")
    with started(folder, "bench", *arguments, env={"TERM": "xterm"}, terminal=True) as command:
        assert command.wait() == 0
    written = bytes(command.out).decode()
    assert re.search(r"[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] +2 +[\d.]+ +[\d.]+ ms", written)
    plain = re.sub(r"[^\r\n]*\r\x1b\[2K", "", written).replace("\r\n", "\n")
    rows = [line.split()[0] for line in plain.splitlines() if re.match(r" +\d+  +[\d.]+", line)]
    assert rows == ["1", "2"]


def test_a_plain_terminal_stays_plain(folder: Path, tmp_path: Path) -> None:
    arguments = (*ONE, "--requests", "10", "--concurrency", "1", "-o", f"{tmp_path}/")
    with started(
        folder, "bench", *arguments, env={"TERM": "xterm", "NO_COLOR": "1"}, terminal=True
    ) as command:
        assert command.wait() == 0
    assert b"\x1b" not in bytes(command.out)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--concurrency", "1,x"), "write numbers from 1 to 4,096, such as 1,2,4"),
        (("--concurrency", "0"), "write numbers from 1 to 4,096"),
        (("--threads", "5000"), "write numbers from 1 to 4,096"),
        (("--batch-size", "4"), "the model takes no batches"),
        (("--duration", "0"), "--duration"),
        (("--url", "http://127.0.0.1:1", "--threads", "2"), "--url names one that runs already"),
        (("--url", "http://127.0.0.1:1", "--no-env"), "--url names one that runs already"),
        (("--url", "http://127.0.0.1:1"), "No answer from http://127.0.0.1:1"),
        (("-o", "nowhere/report.html"), "there is no folder nowhere"),
        (("--json", "{}"), "-i and --json exclude each other"),
    ],
)
def test_what_cannot_be_done_is_told(folder: Path, arguments: tuple[str, ...], told: str) -> None:
    no_env = () if "--url" in arguments else ("--no-env",)
    done = cog(folder, "bench", "-i", "text=a", *no_env, *arguments)
    assert done.returncode == 1
    assert told in done.stderr
    assert done.stdout == ""
    assert not (folder / "bench.html").exists()


def test_a_setup_that_takes_too_long(tmp_path: Path) -> None:
    source = MODEL.replace("self.runs = 0", "time.sleep(60)")
    done = cog(write_model(tmp_path, source), "bench", *ONE, "--setup-timeout", "0.5")
    assert done.returncode == 1
    assert "the model was not set up within 0.5 seconds" in done.stderr


def test_several_processes_of_an_async_model(tmp_path: Path) -> None:
    arguments = (
        "--no-env",
        "--workers",
        "1,2",
        "--requests",
        "60",
        "--concurrency",
        "8",
        "-o",
        f"{tmp_path}/",
    )
    one, two = measured(write_model(tmp_path / "model", ASYNC), *arguments)["steps"]
    assert [(step["threads"], step["slots"]) for step in (one, two)] == [(1, 4), (2, 8)]
    assert two["latency"]["p50"] < one["latency"]["p50"]  # nobody waits


BATCHED = """
import time
from cog import BaseRunner, batch


class Runner(BaseRunner):
    @batch(max_size=8)
    def run(self, text: list[str]) -> list[str]:
        time.sleep(0.05)
        return [one.upper() for one in text]
"""


def test_sizes_of_batches_are_compared(tmp_path: Path) -> None:
    """A call takes as long for eight as for one."""
    write_model(tmp_path, BATCHED)
    found = measured(tmp_path, *ONE, "--batch-size", "1,8", "--requests", "48", "--concurrency", "8")
    assert (found["model"]["style"], found["model"]["batched"]) == ("sync", True)
    alone, together = found["steps"]
    assert [step["batch_size"] for step in (alone, together)] == [1, 8]
    assert alone["together"] == 1
    assert 4 < together["together"] <= 8
    assert together["throughput"] > 3 * alone["throughput"]
    assert any(
        each["setting"].startswith("@batch(max_size=8, max_wait=0.00") for each in found["recommendations"]
    )


def test_batches_are_compared_up_to_what_the_model_takes(tmp_path: Path) -> None:
    write_model(tmp_path, BATCHED)
    found = measured(tmp_path, *ONE, "--requests", "8", "--concurrency", "2")
    assert [step["batch_size"] for step in found["steps"]] == [1, 2, 4, 8]
    done = cog(tmp_path, "bench", *ONE, "--batch-size", "8,16")
    assert done.returncode == 1
    assert "--batch-size 16: the model takes 8 at most" in done.stderr


def test_the_help_lists_the_inputs(folder: Path) -> None:
    done = cog(folder, "bench", "--help")
    assert done.returncode == 0
    for text in ("Inputs of run.py:Runner", "hold_from", "--concurrency N,N"):
        assert text in done.stdout


def test_the_model_runs_in_an_environment_of_its_own_with_its_variables_and_gpus(tmp_path: Path) -> None:
    source = 'import os, sys\nfrom cog import BaseRunner\n\nclass Runner(BaseRunner):\n    def run(self) -> str:\n        assert ".cog" in sys.prefix and os.environ["A"] + os.environ["CUDA_VISIBLE_DEVICES"] == "13"\n        return ""\n'
    found = measured(
        write_model(tmp_path, source),
        "-e",
        "A=1",
        "--gpus",
        "device=3",
        "--requests",
        "3",
        "--concurrency",
        "1",
    )
    assert found["steps"][0]["answers"] == 3
    assert os.path.isdir(tmp_path / ".cog")
