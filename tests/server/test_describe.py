"""`python -m cog.server.describe`: what a model accepts, without setting it up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.serving import CLEARED, write_model

MODEL = """
import sys
from cog import BaseRunner
print("printed while it is imported")

class Runner(BaseRunner):
    def setup(self):
        raise RuntimeError("nobody is to set it up")
    def run(self, x: int = 1) -> str:
        return ""

def train(steps: int) -> str:
    return ""
"""


def described(folder: Path) -> tuple[int, Any]:
    environ = {name: value for name, value in os.environ.items() if name not in CLEARED}
    done = subprocess.run(
        [sys.executable, "-I", "-m", "cog.server.describe"],
        cwd=folder,
        env={**environ, "COG_WORKER_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


def test_the_document_and_the_packages(tmp_path: Path) -> None:
    folder = write_model(tmp_path, MODEL, "run: run.py:Runner\ntrain: run.py:train\n")
    code, told = described(folder)
    assert code == 0
    document = told["openapi_schema"]
    assert document["components"]["schemas"]["Input"]["properties"]["x"]["default"] == 1
    assert {"/predictions", "/trainings"} <= set(document["paths"])
    freeze = told["pip_freeze"].splitlines()
    assert any(line.startswith("pytest==") for line in freeze)
    assert not [line for line in freeze if line.startswith(("cog=", "cog @"))]
    assert freeze == sorted(freeze)


@pytest.mark.parametrize(
    ("source", "config", "kind", "text"),
    [
        ("def run(x): ...", "run: run.py:run\n", "SignatureError", "has no type annotation"),
        (
            "import nothing_of_this_name",
            "run: run.py:run\n",
            "model",
            "No module named 'nothing_of_this_name'",
        ),
        ("import os; os._exit(3)", "run: run.py:run\n", "model", "its process ended with exit code 3"),
        ("", "run: run.py:run\n", "LoadError", "run"),
        ("", "build: {gpu: true}\n", "PredictorNotSet", "there is no model to serve"),
    ],
)
def test_what_is_wrong_with_a_model(tmp_path: Path, source: str, config: str, kind: str, text: str) -> None:
    code, told = described(write_model(tmp_path, source, config))
    assert (code, told["kind"]) == (1, kind)
    assert text in told["error"]
    assert ("Traceback" in told["traceback"]) is ("nothing_of_this_name" in source)
