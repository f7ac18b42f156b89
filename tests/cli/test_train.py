"""`cog train`: the training function of cog.yaml, by a server in train mode, or any that offers trainings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cogs import cog
from support.serving import Server, serving, write_model

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


TRAINER = """
from cog import Input

class Base:
    def setup(self):
        self.word = "trained"

class Trainer(Base):
    def train(self, n: int = Input(description="How many"), kind: str = Input(default="a", choices=["a", "b"])) -> str:
        print("step", n)
        if n > 2:
            raise ValueError("too many")
        return self.word * n

    def run(self, other: str) -> str:
        return other
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A class that has both methods: `cog train` looks at train() alone."""
    made = tmp_path_factory.mktemp("trainer")
    return write_model(made, TRAINER, 'run: "run.py:Trainer"\ntrain: "run.py:Trainer"\n')


def test_a_class_is_set_up_and_its_train_is_called(folder: Path) -> None:
    result = cog(folder, "train", "--no-env", "-i", "n=2")
    assert (result.returncode, result.stdout) == (0, "trainedtrained"), result.stderr
    assert "step 2\n" in result.stderr
    result = cog(folder, "train", "--no-env", "-i", "n=3")
    assert result.returncode == 1
    assert "Training failed: ValueError: too many" in result.stderr
    result = cog(folder, "train", "--no-env", "-i", "other=x")
    assert "kind, n" in result.stderr or "n, kind" in result.stderr
    assert "How many" in cog(folder, "train", "--help").stdout


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with serving(folder, "--threads", "1") as made:
        yield made


def test_a_server_that_predicts_trains_too(server: Server, tmp_path: Path) -> None:
    result = cog(tmp_path, "train", "--url", server.url, "-i", "n=1")
    assert (result.returncode, result.stdout) == (0, "trained"), result.stderr
    assert "step 1\n" in result.stderr
    assert [one["status"] for one in server.get("/trainings").json()["results"]] == ["succeeded"]
    assert server.get("/predictions").json()["results"] == []


def test_what_a_server_does_not_offer_is_said(tmp_path: Path) -> None:
    write_model(tmp_path, "def run() -> int:\n    return 1\n", 'run: "run.py:run"\n')
    with serving(tmp_path, "--threads", "1") as server:
        result = cog(tmp_path, "train", "--url", server.url)
        assert (result.returncode, server.get("/predictions").json()["results"]) == (1, [])
        assert "The server offers no trainings" in result.stderr
    with serving(tmp_path, "--x-mode", "train", env={"COG_TRAIN_TYPE_STUB": "run.py:run"}) as server:
        result = cog(tmp_path, "run", "--url", server.url)
        assert result.returncode == 1
        assert "The server makes no predictions" in result.stderr
