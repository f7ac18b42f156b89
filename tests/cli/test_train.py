"""`cog train`: the training function of cog.yaml, by a server in train mode."""

from __future__ import annotations

import json
from pathlib import Path

from support.cogs import cog
from support.serving import write_model

TRAIN = """
from cog import BaseModel, Path

class Weights(BaseModel):
    weights: Path
    steps: int

def train(text: str, steps: int = 2) -> Weights:
    made = Path("made.tar")
    made.write_text(text * steps)
    return Weights(weights=made, steps=steps)
"""


def test_it_runs_the_training_function(tmp_path: Path) -> None:
    write_model(tmp_path, "import nothing_of_that_name", 'run: "run.py:Runner"\ntrain: "train.py:train"\n')
    (tmp_path / "train.py").write_text(TRAIN)
    result = cog(tmp_path, "train", "--no-env", "-i", "text=ab")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == {"weights": "weights.weights.tar", "steps": 2}
    assert (tmp_path / "weights.weights.tar").read_text() == "abab"
    assert 'deprecated command "train"' in result.stderr
    assert "text=TEXT" in cog(tmp_path, "train", "--help").stdout


def test_without_a_training_function_it_says_what_to_write(tmp_path: Path) -> None:
    write_model(tmp_path, "")
    result = cog(tmp_path, "train", "--no-env")
    assert result.returncode == 1
    assert 'Write `train: "train.py:train"`' in result.stderr
