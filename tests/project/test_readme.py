"""The tutorial of the README, executed as it stands."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

from support.serving import serving

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()
BLOCKS = re.findall(r"```(bash|json)\n(.*?)```", README, re.DOTALL)
SERVE = "python -m cog.server.http"
# What differs from run to run.
VOLATILE = ("id", "predict_time", "created_at", "started_at", "completed_at")


def steady(value: Any) -> Any:
    """`value` without what differs from run to run."""
    if isinstance(value, dict):
        return {name: "..." if name in VOLATILE else steady(inner) for name, inner in value.items()}
    return value


def bash(script: str) -> str:
    return subprocess.run(
        ["bash", "-euc", script], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    scripts = [text for kind, text in BLOCKS if kind == "bash"]
    start = next(index for index, text in enumerate(scripts) if text.startswith(SERVE))
    for script in scripts[:start]:
        bash(script.replace("/tmp/my-model", str(tmp_path / "my-model")))
    flags = shlex.split(scripts[start].removeprefix(SERVE))
    answers: list[Any] = []
    shown = 0
    with serving(tmp_path / "my-model", *flags) as server:
        after = [block for block in BLOCKS if block[1] != scripts[start]][start:]
        for kind, text in after:
            if kind == "json":
                assert steady(answers[-1]) == steady(json.loads(text))
                shown += 1
                continue
            lines = text.replace("http://localhost:5000", server.url).splitlines()
            answers.extend(json.loads(bash(line)) for line in lines)
    assert shown == 2
    health, sync, wrong, put, got, _ = answers
    assert health["status"] in ("READY", "BUSY")
    assert sync["output"] == "hello Ada hello Ada"
    assert len(wrong["detail"]) == 2
    assert put["id"] == got["id"] == "my-first"
    assert put["status"] == "processing"
