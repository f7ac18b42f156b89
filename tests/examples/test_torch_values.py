"""Tensors of torch as outputs, in the environment that `examples/embed` asks for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.command import environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "embed"
MODEL = """
import torch


def run(deep: bool = False) -> dict[str, torch.Tensor | list[torch.Tensor]]:
    weights = torch.nn.Parameter(torch.tensor([1.5, -2.0]))
    return {
        "whole": torch.arange(4).reshape(2, 2),
        "learnt": weights * 2,
        "short": torch.tensor([0.5, 1.0], dtype=torch.bfloat16),
        "half": torch.tensor([0.25], dtype=torch.float16),
        "true": torch.tensor([True, False]),
        "single": torch.tensor(7),
        "sparse": torch.eye(2).to_sparse(),
        "quantized": torch.quantize_per_tensor(torch.tensor([1.0]), 0.5, 0, torch.qint8),
        "several": [weights.sum(), torch.zeros(0)],
    }
"""
EXPECTED = {
    "whole": [[0, 1], [2, 3]], "learnt": [3.0, -4.0], "short": [0.5, 1.0], "half": [0.25], "true": [True, False],
    "single": 7, "sparse": [[1.0, 0.0], [0.0, 1.0]], "quantized": [1.0], "several": [-0.5, []],
}  # fmt: skip


def test_a_tensor_is_a_list(tmp_path: Path) -> None:
    shutil.copy(EXAMPLE / "requirements.txt", tmp_path)
    (tmp_path / "cog.yaml").write_text(
        (EXAMPLE / "cog.yaml").read_text().replace("run.py:Runner", "run.py:run"), encoding="utf-8"
    )
    (tmp_path / "run.py").write_text(MODEL, encoding="utf-8")
    variables = environment()
    if "PIP_FIND_LINKS" in os.environ:  # where the build of torch without CUDA may lie
        variables.setdefault("UV_FIND_LINKS", os.environ["PIP_FIND_LINKS"])
    try:
        result = subprocess.run(
            [sys.executable, "-m", "cog.cli.main", "run"],
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            text=True,
            timeout=800,
            check=False,
        )
    finally:
        shutil.rmtree(tmp_path / ".cog", ignore_errors=True)  # more than a gigabyte
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == EXPECTED
