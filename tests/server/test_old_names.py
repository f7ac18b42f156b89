"""A model as it was written for earlier versions: old names, old places, and what it is told of them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import cog
from support.serving import Server

# Every name at every place where one once stood, or stands.
OLD = """
    import os, subprocess, warnings
    import cog
    from cog import BasePredictor, ExperimentalFeatureWarning, emit_metric
    from cog.errors import CogError, ConfigDoesNotExist, PredictorNotSet
    from cog.exceptions import CancelationException
    from cog.input import FieldInfo, Input
    from cog.mode import Mode
    from cog.suppress_output import suppress_output
    from cog.types import (
        AsyncConcatenateIterator, ConcatenateIterator, File, Path, Secret, URLFile, URLPath
    )
    from cog.types import ExperimentalFeatureWarning as Same

    warnings.filterwarnings("ignore", category=ExperimentalFeatureWarning)
    assert Same is ExperimentalFeatureWarning and issubclass(Same, FutureWarning)
    assert issubclass(ConfigDoesNotExist, CogError) and issubclass(PredictorNotSet, CogError)
    assert cog.types.Path is cog.Path is Path
    assert cog.input.Input is cog.Input is Input
    assert cog.predictor.BasePredictor is cog.BasePredictor
    assert cog.exceptions.CancelationException is cog.CancelationException is CancelationException
    assert (Mode.PREDICT.value, Mode("train")) == ("predict", Mode.TRAIN)

    def talk(word):
        print("printed", word)
        os.write(1, f"written {word}\\n".encode())
        subprocess.run(["echo", "child", word], check=True)

    class Predictor(BasePredictor):
        def setup(self):
            self.ready = True

        def predict(self, text: str = Input(description="A text"), file: Path = None) -> Path:
            assert self.ready
            emit_metric("length", len(text))
            talk("before")
            with suppress_output():
                talk("inside")
                try:
                    with suppress_output():
                        raise ValueError
                except ValueError:
                    talk("still inside")
            talk("after")
            made = Path("made.txt")
            made.write_text(text if file is None else text + file.read_text())
            return made
    """


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory, serve_once: Any) -> Server:
    folder: Path = tmp_path_factory.mktemp("old")
    (folder / "predict.py").write_text(dedent(OLD))
    (folder / "cog.yaml").write_text('predict: "predict.py"\n')
    server: Server = serve_once(folder)
    return server


def test_an_old_model_runs(old: Server) -> None:
    shown = old.predict({"text": "abc", "file": "data:text/plain;base64,ZGVm"}).json()
    assert (shown["status"], shown["output"]) == ("succeeded", "data:text/plain;base64,YWJjZGVm"), shown
    assert shown["metrics"]["length"] == 3


def test_output_is_suppressed_where_the_model_says_so(old: Server) -> None:
    logs = old.predict({"text": "a"}).json()["logs"]
    for word in ("before", "after"):
        for way in ("printed", "written", "child"):
            assert f"{way} {word}\n" in logs
    assert "inside" not in logs
    assert "inside" not in old.log


@pytest.mark.parametrize(
    "text",
    [
        "cog.ExperimentalFeatureWarning is deprecated",
        "cog.emit_metric is deprecated; call self.record_metric(name, value)",
        "predict.py was named without a class, and has a Predictor",
        "Predictor.predict() is deprecated: rename it to run().",
        "BasePredictor is deprecated: derive Predictor from BaseRunner.",
    ],
)
def test_what_is_deprecated_is_said_once_on_stderr(old: Server, text: str) -> None:
    assert old.predict({"text": "a"}).status == 200
    old.wait_log(text)
    assert old.log.count(text) == 1


def test_the_old_key_is_noted(old: Server) -> None:
    assert old.messages().count('deprecated field "predict": use "run" instead') == 1


def test_coder_is_where_it_always_was() -> None:
    from cog.coder import Coder
    from cog.sdk import coder

    assert cog.coder.Coder is Coder is coder.Coder
