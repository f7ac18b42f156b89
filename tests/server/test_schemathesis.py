"""A program that makes requests out of the OpenAPI document finds no answer that the document does not know."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.serving import Server, serving, write_model

pytest.importorskip("schemathesis")  # one of what `make test-slow` installs
pytestmark = pytest.mark.slow

# No Secret and no failure: the document is the contract's, in which the input of an answer is that of a request, where
# a secret is written only, and which does not say that an output can be null.
PLAIN = """
from typing import Any, Literal, Optional
from cog import BaseModel, BaseRunner, Input

class Out(BaseModel):
    text: str
    count: Optional[int]

class Runner(BaseRunner):
    def run(
        self,
        prompt: str = Input(description="Text", min_length=1, max_length=50),
        steps: int = Input(default=20, ge=1, le=50),
        style: str = Input(default="plain", choices=["plain", "bold"]),
        scale: float = Input(default=1.0, ge=0, le=1e6),
        seed: Optional[int] = Input(default=None),
        extra: str | int = "x",
        tags: list[str] = [],
        size: Literal["s", "m"] = "s",
        options: dict = {},
        flag: bool = False,
        thing: Any = None,
        word: str = Input(default="abc", regex="^[a-z]{1,8}$"),
    ) -> Out:
        return Out(text=prompt * 2, count=seed)
"""
STREAMING = """
from collections.abc import AsyncIterator
from typing import Any
from cog import BaseRunner, Input, streaming

class Runner(BaseRunner):
    @streaming
    async def run(self, parts: list[int] = [1], thing: Any = None) -> AsyncIterator[int]:
        for part in parts:
            yield part
"""
# What it would also ask, and why it is not asked: by the contract's document a request has no required fields, so `{}`
# is valid and yet refused where the model has inputs that must be sent; and some invalid ones are taken: an id that is
# null is none, and the id of a prediction that has succeeded is answered with it whatever else is said.
CONFIG = """
[checks]
positive_data_acceptance.enabled = false
negative_data_rejection.enabled = false
"""


@pytest.fixture(params=[PLAIN, STREAMING], ids=["plain", "streaming"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    # The webhooks that are made up lead to the hosts of strangers: a proxy that is not there keeps them in.
    away = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    with serving(write_model(tmp_path, request.param), "--threads", "2", env=away) as found:
        yield found


def test_no_answer_is_outside_the_document(server: Server, tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json"]
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", "60"]
    command += ["--seed", "1", "--no-color"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Tested: 9" in done.stdout
    assert server.health()["status"] in ("READY", "BUSY")
    assert not [line for line in server.lines if line["level"] == "ERROR"]
