"""`cog doctor` as a person types it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support.serving import until, write_model
from support.typed import Typed, called, typed

CONFIG = f"build:\n  python_version: '{sys.version_info[0]}.{sys.version_info[1]}'\nrun: run.py:Runner\n"
MODEL = """
from cog import BaseRunner

class Runner(BaseRunner):
    def run(self, text: str) -> str:
        return text
"""
OLD = """
# Of 2022.
from cog.predictor import BasePredictor

class Predictor(BasePredictor):
    def predict(self, text: str) -> str:  # the one
        return text
"""


def line(done: Typed, check: str) -> str:
    """The one line of a check."""
    (found,) = [each for each in done.err.splitlines() if each.endswith(f"[{check}]")]
    return found.strip()


def deep(folder: Path, *words: str) -> Typed:
    return called("doctor", "--deep", "--no-env", *words, folder=folder)


def test_a_project_in_order(tmp_path: Path) -> None:
    write_model(tmp_path, MODEL, CONFIG)
    done = typed("doctor", folder=tmp_path)
    assert (done.code, done.out) == (0, "")
    titles = [each for each in done.err.splitlines()[:-1] if not each.startswith(" ")]
    assert titles == ["Config", "Python", "Environment"]
    assert line(done, "config-parse") == "ok: cog.yaml can be read [config-parse]"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["cog.yaml", "run.py"]


def test_errors_exit_with_1_and_warnings_alone_with_0(tmp_path: Path) -> None:
    write_model(tmp_path, OLD, "predict: run.py:Predictor\n")
    (tmp_path / "run.py").write_text(OLD.replace("cog.predictor", "cog"))
    warned = typed("doctor", folder=tmp_path)
    assert warned.code == 0
    assert 'warning: cog.yaml:1: deprecated field "predict": use "run" instead' in warned.err
    assert "`cog doctor --fix` mends 3 of them." in warned.err

    (tmp_path / "run.py").write_text(OLD.replace("cog.predictor", "cog.prediktor"))
    wrong = typed("doctor", folder=tmp_path)
    assert wrong.code == 1
    assert "  error: run.py:3: there is no module cog.prediktor [python-deprecated-imports]\n" in wrong.err
    assert wrong.err.splitlines()[-1].startswith("error: 1 error and ")


def test_fix_mends_all_that_it_can_and_says_what(tmp_path: Path) -> None:
    write_model(tmp_path, OLD, "# mine\npredict:  run.py:Predictor # old\n")
    done = called("doctor", "--fix", folder=tmp_path)
    assert done.code == 0, done
    assert (tmp_path / "cog.yaml").read_text() == "# mine\nrun:  run.py:Predictor # old\n"
    after = (
        OLD.replace("cog.predictor", "cog")
        .replace("BasePredictor", "BaseRunner")
        .replace("def predict", "def run")
    )
    assert (tmp_path / "run.py").read_text() == after
    assert "mended cog.yaml: predict: is now run:\n" in done.err
    assert "mended run.py: BasePredictor is now BaseRunner\n" in done.err
    assert "mended run.py: Predictor.predict() is now run()\n" in done.err
    assert "warning: run.py" not in done.err
    assert "--fix" not in done.err

    again = called("doctor", "--fix", folder=tmp_path)
    assert again.code == 0
    assert "mended" not in again.err
    assert (tmp_path / "run.py").read_text() == after
    assert deep(tmp_path).code == 0


def test_what_is_left_after_a_fix_counts(tmp_path: Path) -> None:
    write_model(tmp_path, OLD.replace("text: str", "text"), "predict: run.py:Predictor\n")
    done = called("doctor", "--fix", folder=tmp_path)
    assert done.code == 1
    assert "mended cog.yaml" in done.err
    assert 'error: run.py:6: parameter "text" of Predictor.run has no type annotation' in done.err


@pytest.mark.parametrize(
    "config",
    ["run: [", "", "build: 3\nrun: 4", "run: ../../run.py:Runner"],
)
def test_nothing_that_is_broken_brings_it_down(config: str, tmp_path: Path) -> None:
    write_model(tmp_path, "def (\x00", config)
    done = called("doctor", "--fix", folder=tmp_path)
    assert done.code == 1
    assert "cog itself failed" not in done.err
    assert "Environment" in done.err
    assert (tmp_path / "cog.yaml").read_text() == config


def test_another_file_than_cog_yaml(tmp_path: Path) -> None:
    write_model(tmp_path, MODEL, CONFIG)
    (tmp_path / "other.yaml").write_text("predict: run.py:Runner\n")
    missing = called("doctor", "--fix", "-f", "nowhere.yaml", folder=tmp_path)
    assert (missing.code, missing.err) == (
        1,
        f"error: There is no {tmp_path}/nowhere.yaml. Create it, or go to the folder of the model.\n",
    )
    done = called("doctor", "--fix", "-f", "other.yaml", folder=tmp_path)
    assert done.code == 0
    assert "mended other.yaml" in done.err
    assert (tmp_path / "cog.yaml").read_text() == CONFIG


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    write_model(tmp_path, MODEL, CONFIG)
    (tmp_path / "cog.yaml").unlink()
    (tmp_path / "cog.yaml").symlink_to(
        "/proc/self/mem"
    )  # a file that cannot be read, in a folder that takes none
    done = called("doctor", "--fix", folder=tmp_path)
    assert done.code == 1
    assert "Look at the permissions of the file." in done.err


def test_from_a_folder_below(tmp_path: Path) -> None:
    write_model(tmp_path, MODEL, CONFIG)
    (tmp_path / "deep" / "down").mkdir(parents=True)
    assert called("doctor", folder=tmp_path / "deep" / "down").code == 0


def test_deep_imports_the_model_and_reads_its_signature(tmp_path: Path) -> None:
    write_model(tmp_path, MODEL + "\nprint('noise')\nimport threading, time\n", CONFIG)
    done = deep(tmp_path)
    assert done.code == 0
    assert line(done, "python-import") == "ok: the model can be imported [python-import]"
    assert line(done, "python-signature") == "ok: its signature is right: 1 input [python-signature]"
    assert "noise" not in done.err


def test_a_model_that_only_trains(tmp_path: Path) -> None:
    write_model(
        tmp_path, "def train(steps: int = 3) -> str:\n    return str(steps)\n", 'train: "run.py:train"\n'
    )
    done = deep(tmp_path)
    assert done.code == 0, done.err
    assert line(done, "python-signature") == "ok: its signature is right: 1 input [python-signature]"
    assert line(done, "config-predict-ref").startswith("ok: ")


def test_deep_shows_the_models_own_traceback(tmp_path: Path) -> None:
    source = MODEL + "\ndef load():\n    import no_such_package_at_all\n\nload()\n"
    write_model(tmp_path, source, CONFIG)
    done = deep(tmp_path)
    assert done.code == 1
    assert "error: run.py: ModuleNotFoundError: No module named 'no_such_package_at_all'" in done.err
    assert f'File "{tmp_path}/run.py", line 9, in load' in done.err
    assert "Add the package to its requirements" in done.err
    assert "signature/load.py" not in done.err
    assert "importlib" not in done.err


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
        ("import os\nprint('last words', flush=True)\nos._exit(5)\n", "its process ended with exit code 5"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", "its process was ended by signal 9"),
        ("x = (\n", "SyntaxError: '(' was never closed"),
        ("x = nothing\n", "Correct the line that is shown last"),
    ],
)
def test_deep_survives_whatever_the_model_does(source: str, text: str, tmp_path: Path) -> None:
    write_model(tmp_path, source, CONFIG)
    done = deep(tmp_path)
    assert done.code == 1
    assert text in done.err
    assert ("last words" in source) == ("last words" in done.err)
    assert "Traceback" not in done.err or "run.py" in done.err


def test_deep_names_every_fault_of_the_signature(tmp_path: Path) -> None:
    source = MODEL.replace("text: str", "text: memoryview, other: complex, *more: int")
    write_model(tmp_path, source, CONFIG)
    done = deep(tmp_path)
    assert done.code == 1
    for name in ("text", "other", "more"):
        assert f'parameter "{name}" of Runner.run' in done.err
    assert "ok: the model can be imported" in done.err


def test_deep_leaves_no_process_behind(tmp_path: Path) -> None:
    source = (
        MODEL
        + "\nimport subprocess\nchild = subprocess.Popen(['sleep', '600'])\nopen('pid', 'w').write(str(child.pid))\n"
    )
    write_model(tmp_path, source, CONFIG)
    assert deep(tmp_path).code == 0
    stat = Path(f"/proc/{(tmp_path / 'pid').read_text()}/stat")

    def state() -> str:
        try:
            return stat.read_text().rpartition(")")[2].split()[0]
        except OSError:
            return ""

    until(state, lambda found: found in ("", "Z"))  # it was killed, and dies in its own time


def test_deep_makes_the_environment(tmp_path: Path) -> None:
    write_model(tmp_path, MODEL + "\nimport sys\nassert '.cog' in sys.prefix, sys.prefix\n", CONFIG)
    before = typed("doctor", folder=tmp_path)
    assert line(before, "env-ready").startswith("note: the model's environment is not made yet")
    done = typed("doctor", "--deep", folder=tmp_path)
    assert done.code == 0, done
    assert line(done, "env-make") == "ok: the model's environment can be made [env-make]"
    assert line(done, "python-import").startswith("ok")
    assert line(typed("doctor", folder=tmp_path), "env-ready").startswith(
        "ok: the model's environment is ready"
    )


def test_deep_shows_why_the_environment_cannot_be_made(tmp_path: Path) -> None:
    write_model(tmp_path, MODEL, CONFIG.replace("build:", "build:\n  python_requirements: requirements.txt"))
    (tmp_path / "requirements.txt").write_text("./nowhere-1.0-py3-none-any.whl\n")
    done = called("doctor", "--deep", folder=tmp_path)
    assert done.code == 1
    assert "nowhere-1.0" in done.err
    assert "Traceback" not in done.err


def test_a_terminal_gets_signs(tmp_path: Path) -> None:
    write_model(tmp_path, MODEL, "predict: run.py:Runner\n")
    done = typed("doctor", folder=tmp_path, terminal=True)
    assert done.code == 0
    assert "\x1b[33m⚠\x1b[0m cog.yaml:1: deprecated field" in done.err
    assert "\x1b[32m✔\x1b[0m cog.yaml can be read" in done.err
