"""A client that is generated from /openapi.json by a program that knows nothing of us."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from support.serving import DEADLINE

pytest.importorskip("openapi_python_client")  # one of what `make test-slow` installs
pytestmark = pytest.mark.slow

SOURCE = """
    from typing import Literal, Optional, Union
    from cog import BaseModel, BaseRunner, Input, Path, Secret

    class Result(BaseModel):
        text: str
        count: int
        file: Optional[Path] = None

    class Runner(BaseRunner):
        def run(
            self,
            prompt: str = Input(description="Text", min_length=1),
            times: int = Input(default=2, ge=1, le=9),
            style: str = Input(default="plain", choices=["plain", "loud"]),
            seed: Optional[int] = None,
            photo: Optional[Path] = None,
            extra: Union[str, int] = "x",
            key: Optional[Secret] = None,
            tags: list[str] = [],
        ) -> Result:
            return Result(text=(prompt.upper() if style == "loud" else prompt) * times, count=len(tags))
"""
# What somebody writes with the client.
USE = """
    import importlib, pkgutil, sys
    sys.path.insert(0, ".")
    import made
    for module in pkgutil.walk_packages(made.__path__, "made."):
        importlib.import_module(module.name)

    from made import Client
    from made.api.default import cancel_predictions_prediction_id_cancel_post as cancel
    from made.api.default import get_predictions_prediction_id_get as get
    from made.api.default import healthcheck_health_check_get as health
    from made.api.default import list_predictions_get as list_all
    from made.api.default import predict_idempotent_predictions_prediction_id_put as put
    from made.api.default import predict_predictions_post as predict
    from made.models import HTTPValidationError, Input, PredictionRequest, PredictionResponse, Style

    with Client(base_url=sys.argv[1]) as client:
        body = PredictionRequest(input_=Input(prompt="ab", style=Style.LOUD, tags=["t"]))
        answer = predict.sync_detailed(client=client, body=body)
        assert answer.status_code == 200, answer
        done = answer.parsed
        assert isinstance(done, PredictionResponse), done
        assert (done.status, done.output.text, done.output.count) == ("succeeded", "ABAB", 1), done
        assert done.input_.prompt == "ab" and done.completed_at >= done.created_at

        wrong = predict.sync(client=client, body=PredictionRequest(input_=Input(prompt="", times=10)))
        assert isinstance(wrong, HTTPValidationError), wrong
        assert [problem.loc[-1] for problem in wrong.detail] == ["prompt", "times"], wrong

        begun = put.sync_detailed(
            "mine", client=client, body=PredictionRequest(input_=Input(prompt="a")), prefer="respond-async, wait=20"
        )
        assert begun.status_code == 200 and begun.parsed.id == "mine", begun
        assert get.sync("mine", client=client).output.text == "aa"
        assert [each.id for each in list_all.sync(client=client).results] == ["mine", done.id]
        assert cancel.sync_detailed("mine", client=client).status_code == 404
        assert health.sync_detailed(client=client).status_code == 200
    print("as it should be")
"""


def test_a_generated_client_works(serve: Any, tmp_path: Path) -> None:
    server = serve(SOURCE)
    # So that it finds the ruff beside it, by which it lays out what it writes.
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    generated = subprocess.run(
        [sys.executable, "-m", "openapi_python_client", "generate", "--url", f"{server.url}/openapi.json",
         "--output-path", "made", "--meta", "none", "--fail-on-warning"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=DEADLINE,
    )  # fmt: skip
    assert generated.returncode == 0, generated.stdout + generated.stderr
    used = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(USE), server.url],
        cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE,
    )  # fmt: skip
    assert (used.returncode, used.stdout) == (0, "as it should be\n"), used.stdout + used.stderr
