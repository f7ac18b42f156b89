from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cog.errors import LoadError
from cog.signature import load as module
from cog.signature.load import load

GOOD = "class Runner:\n    def run(self, a: str) -> str:\n        return a\n"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(module, "_noted", set())
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(folder: Path, text: str, name: str = "run.py") -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder


def test_a_class_by_name_and_by_default(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    found = load("run.py:Runner", tmp_path)
    assert isinstance(found, type)
    assert found.__name__ == "Runner"
    assert sys.modules["run"].Runner is found
    assert found.__module__ == "run"
    assert load("run.py", tmp_path).__name__ == "Runner"


def test_a_function(tmp_path: Path) -> None:
    write(tmp_path, "def go(a: int) -> int:\n    return a + 1\n", "deep/fn.py")
    assert load("deep/fn.py:go", tmp_path)(1) == 2


def test_the_folder_is_importable(tmp_path: Path) -> None:
    write(tmp_path, "VALUE = 7\n", "beside_it.py")
    write(tmp_path, "from beside_it import VALUE\n" + GOOD)
    load("run.py:Runner", tmp_path)
    load("run.py:Runner", tmp_path)
    assert sys.path.count(str(tmp_path)) == 1
    assert sys.modules["run"].VALUE == 7


def test_a_module_of_python_is_not_replaced(tmp_path: Path) -> None:
    import json

    write(tmp_path, GOOD, "json.py")
    found = load("json.py:Runner", tmp_path)
    assert sys.modules["json"] is json
    assert sys.modules[found.__module__].Runner is found


def test_another_file_of_the_same_name_replaces_the_module(tmp_path: Path) -> None:
    first = load("run.py", write(tmp_path / "a", GOOD))
    second = load("run.py", write(tmp_path / "b", GOOD))
    assert first is not second
    assert sys.modules["run"].Runner is second


@pytest.mark.parametrize(
    ("reference", "source", "words"),
    [
        ("rum.py:Runner", GOOD, "Did you mean run.py"),
        ("run.py:Runer", GOOD, "Did you mean Runner"),
        ("run.py:Quite", GOOD, "It defines Runner"),
        ("run.py:Any", "x = 1\n", "Define it there"),
        ("run.py", "class Model:\n    def run(self): ...\n", "run.py:Model"),
        ("run.py:x", "x = 1\n", "x in run.py is an int"),
        ("run.py:os", "import os\n", "is a module"),
        (
            "run.py:A",
            "class A:\n    def run(self): ...\n    def predict(self): ...\n",
            "either run() or predict(), not both",
        ),
        ("run.py:A", "class A: pass\n", "run or predict method not found: A"),
        ("run.py:A", "import cog\nclass A(cog.BaseRunner): pass\n", "run or predict method not found: A"),
    ],
)
def test_what_cannot_be_loaded(tmp_path: Path, reference: str, source: str, words: str) -> None:
    write(tmp_path, source)
    with pytest.raises(LoadError) as caught:
        load(reference, tmp_path)
    assert words in str(caught.value)


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="does not exist"):
        load("run.py:Runner", tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("source", "error"),
    [("def (:\n", SyntaxError), ("1 / 0\n", ZeroDivisionError), ("raise SystemExit(3)\n", SystemExit)],
)
def test_the_models_own_errors_rise_as_they_are(
    tmp_path: Path, source: str, error: type[BaseException]
) -> None:
    write(tmp_path, source)
    with pytest.raises(error):
        load("run.py:Runner", tmp_path)
    assert "run" not in sys.modules


def test_deprecated_forms_are_noted_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(
        tmp_path,
        "import cog\nclass Predictor(cog.BasePredictor):\n    def predict(self, a: str) -> str: ...\n",
    )
    assert load("run.py", tmp_path).__name__ == "Predictor"
    load("run.py", tmp_path)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["DeprecationWarning"] * 3
    assert "Predictor.predict() is deprecated" in lines[1]


def test_runner_wins_over_predictor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, GOOD + "class Predictor(Runner): pass\n")
    with pytest.warns(UserWarning, match="both Runner and Predictor"):
        assert load("run.py", tmp_path).__name__ == "Runner"
    assert capsys.readouterr().err == ""


def test_an_inherited_run_counts(tmp_path: Path) -> None:
    write(
        tmp_path,
        "import cog\nclass Base(cog.BaseRunner):\n    def run(self): ...\nclass Runner(Base): pass\n",
    )
    assert load("run.py", tmp_path).__name__ == "Runner"
