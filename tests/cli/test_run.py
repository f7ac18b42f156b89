"""`cog run` with a server of its own: results, prints, errors, exit codes. In the Python of the tests (--no-env)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from support.cogs import cog
from support.serving import write_model

MODEL = """
import os
import sys
from typing import Any
from cog import BaseRunner, Input, Path, current_scope

open("imported", "w").close()


class Runner(BaseRunner):
    def setup(self) -> None:
        print("setting up")
        if os.environ.get("BROKEN"):
            raise RuntimeError("no gpu")

    def run(
        self,
        code: str = Input(description="Python to run"),
        image: Path = Input(description="A picture", default=None),
        steps: int = Input(description="How many", default=3, ge=1, le=5),
    ) -> Any:
        names: dict[str, Any] = {"image": image, "os": os, "sys": sys, "steps": steps, "current_scope": current_scope, "Path": Path}
        exec(code, names)
        return names.get("out")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model", MODEL, 'run: "run.py:Runner"\nenvironment: ["FROM_FILE=1"]\n')


def test_a_text_goes_to_stdout_as_it_is_and_everything_else_to_stderr(folder: Path) -> None:
    code = "print('from', 'out', end=''); print(' é'); out = 'naïve ' + str(steps)"
    result = cog(folder, "run", "--no-env", "-i", f"code={code}", "-i", "steps=5")
    assert (result.returncode, result.stdout) == (0, "naïve 5")
    assert result.stderr == "setting up\nfrom out é\n"


def test_a_model_error_shows_the_frames_of_the_model_and_one_line(folder: Path) -> None:
    result = cog(folder, "run", "--no-env", "-i", "code=out = 1\nraise ValueError('bad thing')")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.count("Traceback (most recent call last):") == 1
    assert "/cog/" not in result.stderr
    assert result.stderr.endswith("ValueError: bad thing\nerror: Prediction failed: ValueError: bad thing\n")


def test_a_failed_setup_is_told_once(folder: Path) -> None:
    result = cog(folder, "run", "--no-env", "-i", "code=1", "-e", "BROKEN=1")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.count("Traceback") == 1
    assert result.stderr.endswith("RuntimeError: no gpu\nerror: Model setup failed: RuntimeError: no gpu\n")


def test_a_worker_that_dies_is_told(folder: Path) -> None:
    result = cog(folder, "run", "--no-env", "-i", "code=os._exit(3)")
    assert (result.returncode, result.stdout) == (1, "")
    assert "error: Prediction failed: WorkerDied" in result.stderr
    assert "exit code 3" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["-i", "cod=1"],
            ["-i cod: the model has no such input. Did you mean code?", "code: Field required"],
        ),
        (
            ["-i", "code=1", "-i", "steps=9", "-i", "image=@nothing.png"],
            ["steps=9", "there is no file", "nothing.png"],
        ),
        (["--json", '{"code": "1", "steps": null}'], ["steps"]),
        (["-i", "code=1", "-o", "no/such/out.png"], ["there is no folder no/such"]),
    ],
)
def test_what_is_wrong_is_told_before_the_model_is_loaded(
    folder: Path, arguments: list[str], told: list[str]
) -> None:
    result = cog(folder, "run", "--no-env", *arguments)
    assert (result.returncode, result.stdout) == (1, "")
    assert [text for text in told if text not in result.stderr] == []
    assert "Traceback" not in result.stderr
    assert not (folder / "imported").exists()


def test_a_file_goes_in_by_its_name_and_comes_out_as_a_file(folder: Path) -> None:
    """The model gets a link: what it does to its input does not happen to the file of the person."""
    (folder / "photo of me.txt").write_text("me")
    code = "out = Path('made.txt'); out.write_text(image.name + image.read_text()); os.remove(image)"
    result = cog(
        folder, "run", "--no-env", "-i", f"code={code}", "-i", "image=@photo of me.txt", "-o", "big.bin"
    )
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    assert (folder / "big.bin").read_text() == "photo of me.txtme"
    assert (folder / "photo of me.txt").read_text() == "me"
    assert result.stderr.endswith("Written output to big.bin\n")


def test_variables_token_and_gpus_reach_the_model(folder: Path) -> None:
    code = (
        "out = [os.environ[n] for n in ('FROM_FILE', 'GIVEN', 'CUDA_VISIBLE_DEVICES')], current_scope().context, "
        "'COG_SETUP_TIMEOUT' in os.environ"
    )
    options = ("-e", "GIVEN=a=b", "--gpus", "2", "--use-replicate-token", "-i", f"code={code}")
    result = cog(folder, "run", "--no-env", *options, env={"REPLICATE_API_TOKEN": "r8_secret"})
    assert json.loads(result.stdout) == [["1", "a=b", "0,1"], {"replicate_api_token": "r8_secret"}, False]


def test_json_in_is_the_whole_response_out(folder: Path) -> None:
    given = json.dumps({"code": "out = {'ä': 10**30, 'f': Path('cog.yaml')}", "image": "@run.py"})
    result = cog(folder, "run", "--no-env", "--json", "-", stdin=given.encode())
    response = json.loads(result.stdout)
    assert list(response) == ["status", "output", "error", "metrics"]
    assert response["output"] == {"ä": 10**30, "f": "output.f.yaml"}
    assert "ä" in result.stdout
    assert (folder / "output.f.yaml").read_text() == (folder / "cog.yaml").read_text()


def test_json_of_a_failure_is_still_the_result(folder: Path) -> None:
    result = cog(folder, "run", "--no-env", "--json", '{"code": "1/0"}', "-o", "answer.json")
    assert (result.returncode, result.stdout) == (1, "")
    response = json.loads((folder / "answer.json").read_text())
    assert (response["status"], response["error"]) == ("failed", "ZeroDivisionError: division by zero")
    assert "error: Prediction failed: ZeroDivisionError" in result.stderr


def test_no_output_is_a_warning(folder: Path) -> None:
    result = cog(folder, "predict", "--no-env", "-i", "code=pass")
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr == (
        'warning: deprecated command "predict": use "run" instead\nsetting up\nwarning: No output generated\n'
    )


def test_a_setup_that_takes_too_long(folder: Path) -> None:
    slow = MODEL.replace('print("setting up")', "import time; time.sleep(60)")
    write_model(folder, slow)
    result = cog(folder, "run", "--no-env", "-i", "code=1", "--setup-timeout", "0.5")
    assert result.returncode == 1
    assert result.stderr.startswith("error: Timed out: the model was not set up within 0.5 seconds.")


def test_the_help_lists_the_inputs_of_the_model_and_runs_nothing_of_it(folder: Path, tmp_path: Path) -> None:
    result = cog(folder, "run", "--help")
    assert result.returncode == 0
    for text in (
        "Inputs of run.py:Runner",
        "code=TEXT",
        "Python to run",
        "image=@FILE",
        "default: 3",
        "--setup-timeout",
    ):
        assert text in result.stdout
    assert not (folder / "imported").exists()
    assert "Inputs of" not in cog(tmp_path, "run", "--help").stdout
    assert "code=TEXT" in cog(tmp_path, "run", "-f", str(folder / "cog.yaml"), "--help").stdout
    (folder / "run.py").write_text("def broken(:\n")
    broken = cog(folder, "run", "--help")
    assert broken.returncode == 0
    assert "They cannot be told" in broken.stdout


def test_debug_shows_the_log_of_the_server(folder: Path) -> None:
    result = cog(folder, "--debug", "run", "--no-env", "-i", "code=out='x'")
    assert "the model is READY" in result.stderr
    assert result.stdout == "x"


def test_from_a_folder_below_files_are_where_the_person_is(folder: Path) -> None:
    below = folder / "data"
    below.mkdir()
    (below / "in.txt").write_text("here")
    code = "out = Path('made.txt'); out.write_text(image.read_text() + os.getcwd())"
    result = cog(below, "run", "--no-env", "-i", f"code={code}", "-i", "image=@in.txt")
    assert result.returncode == 0, result.stderr
    assert (below / "output.txt").read_text() == f"here{os.path.realpath(folder)}"
