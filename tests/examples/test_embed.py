"""`examples/embed`: a real model with real weights, through `cog run` and `cog serve`, in its own environment."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command import environment, free_port
from support.serving import request, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "embed"
COG = (sys.executable, "-m", "cog.cli.main")


def variables() -> dict[str, str]:
    found = environment()
    if (
        "PIP_FIND_LINKS" in found
    ):  # where the build of torch without CUDA may lie; uv has a variable of its own
        found.setdefault("UV_FIND_LINKS", found["PIP_FIND_LINKS"])
    return found


def run(folder: Path, *arguments: str) -> list[float]:
    command = [*COG, "run", *arguments]
    result = subprocess.run(
        command, cwd=folder, env=variables(), capture_output=True, text=True, timeout=800, check=False
    )
    assert result.returncode == 0, result.stderr
    vector = json.loads(result.stdout)
    assert isinstance(vector, list)
    return vector


def likeness(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the example; its environment takes more than a gigabyte, so it goes when the tests are over."""
    folder = tmp_path_factory.mktemp("embed")
    for path in EXAMPLE.glob("*.*"):
        shutil.copy(path, folder)
    yield folder
    shutil.rmtree(folder / ".cog", ignore_errors=True)


def test_cog_run_embeds_a_text(folder: Path) -> None:
    vector = run(folder, "-i", "text=A cat sits on the mat")
    assert len(vector) == 384
    assert likeness(vector, vector) == pytest.approx(1, abs=1e-4)


def test_cog_serve_gives_texts_of_one_meaning_one_direction(folder: Path) -> None:
    port = free_port()
    command = [*COG, "serve", "-p", str(port)]
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=variables(), stderr=log, stdout=log)
    try:
        url = f"http://127.0.0.1:{port}"

        def ready() -> bool:
            assert process.poll() is None, (folder / "serve.log").read_text()
            try:
                return request(f"{url}/ready").status == 200
            except OSError:  # the environment of the model is looked at before the server is there
                return False

        until(ready, bool, 300)

        def embed(text: str) -> list[float]:
            answer = request(f"{url}/predictions", "POST", json_body={"input": {"text": text}}).json()
            assert answer["status"] == "succeeded", answer
            return list(answer["output"])

        cat, kitten, tax = map(
            embed, ("a small cat is asleep", "the kitten naps", "the income tax was raised")
        )
        assert likeness(cat, kitten) > 0.5 > 0.3 > likeness(cat, tax)
        # What one command says the other says too.
        assert likeness(run(folder, "-i", "text=the kitten naps"), kitten) == pytest.approx(1, abs=1e-4)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
