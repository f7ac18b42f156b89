"""`--log-predictions`: one line for each prediction, when it has ended."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.command import running
from support.serving import Server, request, until, write_model

MODEL = """
    import time
    from cog import BaseRunner, Path

    class Runner(BaseRunner):
        def run(self, act: str = "", image: Path = None) -> str:
            if act == "fail":
                raise ValueError("bad\\nthing")
            if act == "wait":
                time.sleep(20)
            return act
"""


@pytest.fixture(scope="module")
def server(serve_once: Callable[..., Server]) -> Server:
    return serve_once(MODEL, "--log-predictions")


def line_of(server: Server, prediction_id: str) -> dict[str, Any]:
    def found() -> list[dict[str, Any]]:
        return [line for line in tuple(server.lines) if line["fields"].get("id") == prediction_id]

    (line,) = until(found, bool)
    assert line["target"] == "cog.predictions"
    return dict(line["fields"], level=line["level"])


def test_a_success(server: Server) -> None:
    prediction = server.predict().json()
    line = line_of(server, prediction["id"])
    assert re.fullmatch(r"succeeded in [\d.e-]+ ms", line.pop("message"))
    assert line.pop("predict_time") == pytest.approx(prediction["metrics"]["predict_time"], abs=1e-6)
    assert line == {"id": prediction["id"], "status": "succeeded", "level": "INFO"}


def test_a_failure_has_the_first_line_of_its_cause(server: Server) -> None:
    prediction = server.predict({"act": "fail"}).json()
    line = line_of(server, prediction["id"])
    assert re.fullmatch(r"failed after [\d.e-]+ ms: ValueError: bad", line["message"])
    assert (line["level"], line["status"], line["error"]) == ("WARNING", "failed", "ValueError: bad")


def test_a_cancel(server: Server) -> None:
    running_one = server.start_async({"act": "wait"})
    server.wait_for(running_one, "processing")
    server.call("POST", f"/predictions/{running_one}/cancel")
    server.wait_for(running_one)
    line = line_of(server, running_one)
    assert line["message"].startswith("canceled after ")
    assert (line["level"], line["status"]) == ("INFO", "canceled")


def test_one_that_the_model_never_saw_has_no_time(server: Server) -> None:
    prediction = server.predict({"image": "http://127.0.0.1:9/none.png"}).json()
    line = line_of(server, prediction["id"])
    assert line["message"].startswith("failed: DownloadError: ")
    assert "predict_time" not in line


def test_without_the_option_there_is_none(serve: Callable[..., Server]) -> None:
    server = serve(MODEL)
    assert server.predict().status == 200
    server.stop()
    assert not [line for line in server.lines if line["target"] == "cog.predictions"]


def test_for_people_the_line_is_short(tmp_path: Path) -> None:
    environment = {"LOG_FORMAT": "console", "COG_LOG_PREDICTIONS": "true"}
    with running(write_model(tmp_path, MODEL), "--host", "127.0.0.1", env=environment) as server:
        (url,) = re.findall(r"listening on (\S+)", server.wait_written("READY"))
        prediction = request(f"{url}/predictions", "POST", json_body={"input": {}}).json()
        server.wait_written(prediction["id"])
    assert re.search(rf"^[\d:]+ INFO    succeeded in \S+ ms id={prediction['id']}$", server.written, re.M)
