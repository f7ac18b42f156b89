"""`cog init`: what it writes runs as it is, and what was there is kept."""

from __future__ import annotations

import base64
import functools
import math
import re
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from cog.cli.init import TEMPLATES, origin
from cog.config.parse import load
from cog.environment.uv import binary
from conftest import Serve
from support.serving import Server
from support.typed import Typed, called, typed

ROOT = Path(__file__).resolve().parents[2]
FILES = {"cog.yaml", "run.py", "requirements.txt", ".dockerignore", ".github/workflows/push.yaml"}


def written(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Typed]]:
    """The folder of a template, made once by `cog init mine`, and what that said."""

    @functools.cache
    def make(name: str) -> tuple[Path, Typed]:
        folder = tmp_path_factory.mktemp(name)
        return folder / "mine", typed("init", "--template", name, "mine", folder=folder)

    return make


Make = Callable[[str], tuple[Path, Typed]]


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_written_whole(name: str, project: Make) -> None:
    folder, done = project(name)
    assert (done.code, done.out) == (0, "")
    files = FILES | set(TEMPLATES[name].more)
    assert files <= written(folder)
    assert {line for line in done.err.splitlines() if line.startswith("created ")} == {
        f"created mine/{file}" for file in files
    }
    config = load(folder / "cog.yaml")
    assert config.run == "run.py:Runner"
    assert config.build.python_version == f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert config.build.python_requirements == "requirements.txt"
    assert not config.warnings
    assert done.err.endswith(f"Next: cd mine && {TEMPLATES[name].command}\n")


@pytest.mark.parametrize("name", ["image", "embedding"])
def test_the_doctor_finds_nothing_wrong_with_a_template(name: str, project: Make) -> None:
    folder, _ = project(name)
    done = typed("doctor", "--deep", "--no-env", folder=folder)
    assert done.code == 0
    assert "[python-signature]" in done.err
    mine = [line for line in done.err.splitlines() if "[env-" not in line]
    assert not [line for line in mine if line.startswith(("  warning:", "  error:"))], done.err


def greeting(server: Server) -> None:
    assert server.predict({"text": "Ada", "times": 2}).json()["output"] == "hello Ada hello Ada"
    assert server.predict({"text": "Ada", "times": 0}).status == 422


def picture(server: Server) -> None:
    from io import BytesIO

    from PIL import Image

    original = (server.folder / "photo.png").read_bytes()
    sent = f"data:image/png;base64,{base64.b64encode(original).decode()}"
    answer = server.predict({"image": sent, "scale": 2})
    assert answer.status == 200, answer
    scaled = Image.open(BytesIO(base64.b64decode(answer.json()["output"].partition(",")[2])))
    assert scaled.size == tuple(2 * side for side in Image.open(BytesIO(original)).size)
    assert server.predict({"image": sent, "scale": 0}).json()["status"] == "succeeded"


def words(server: Server) -> None:
    first, again = (server.predict({"prompt": "a question", "length": 9, "seed": 7}).json() for _ in range(2))
    assert first["output"] == again["output"]
    assert len(first["output"]) == 10
    assert first["output"][0] == "a question"
    odd = server.predict({"prompt": "   unheard-of  ", "length": 3}).json()
    assert odd["status"] == "succeeded", odd
    assert server.predict({"prompt": "", "length": 3}).json()["status"] == "succeeded"


def vectors(server: Server) -> None:
    texts = ["a red apple", "a green apple", "nine dull lawyers", ""]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda text: server.predict({"text": text}).json(), texts))
    apple, other, lawyers, nothing = (answer["output"] for answer in answers)
    assert len(apple) == len(other) == len(lawyers) == len(nothing) == 256
    assert math.hypot(*apple) == pytest.approx(1, abs=1e-4)

    def alike(one: list[float], two: list[float]) -> float:
        return sum(a * b for a, b in zip(one, two, strict=True))

    assert alike(apple, other) > 0.4 > alike(apple, lawyers)
    assert {answer["metrics"]["batch_size"] for answer in answers} <= {1, 2, 3, 4}
    plain = server.predict({"text": "aa", "normalize": False}).json()["output"]
    assert all(number == int(number) for number in plain)


@pytest.mark.parametrize(
    ("name", "check"), [("plain", greeting), ("image", picture), ("stream", words), ("embedding", vectors)]
)
def test_a_template_runs_as_it_is(
    name: str, check: Callable[[Server], None], project: Make, serve: Serve
) -> None:
    check(serve(project(name)[0]))


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_command_that_is_shown_runs(name: str, project: Make) -> None:
    folder, said = project(name)
    shown = said.err.splitlines()[-1].removeprefix("Next: cd mine && ")
    assert shown.startswith("cog run ")
    done = typed(*shlex.split(shown)[1:], "--no-env", folder=folder)
    assert done.code == 0, done
    if name == "image":
        assert (folder / "output.png").read_bytes().startswith(b"\x89PNG")
    else:
        assert done.out.strip()


@pytest.mark.slow
def test_a_template_runs_in_an_environment_of_its_own(tmp_path: Path) -> None:
    typed("init", "--template", "image", folder=tmp_path)
    done = typed(*shlex.split(TEMPLATES["image"].command)[1:], folder=tmp_path)
    assert done.code == 0, done
    assert (tmp_path / "output.png").read_bytes().startswith(b"\x89PNG")


def test_files_that_exist_are_kept_with_a_note_each(tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text("mine\n")
    (tmp_path / ".dockerignore").symlink_to("nowhere")
    done = called("init", folder=tmp_path)
    assert done.code == 0
    assert (tmp_path / "run.py").read_text() == "mine\n"
    assert not (tmp_path / "nowhere").exists()
    assert "warning: kept run.py: it exists already\n" in done.err
    assert "warning: kept .dockerignore: it exists already\n" in done.err
    assert "created cog.yaml\n" in done.err
    # The inputs of a model that was there are not known.
    assert done.err.endswith("Next: cog run --help\n")

    before = {file: (tmp_path / file).read_bytes() for file in written(tmp_path)}
    again = called("init", "--template", "stream", folder=tmp_path)
    assert again.code == 0
    assert again.err.count("it exists already") == len(FILES)
    assert {file: (tmp_path / file).read_bytes() for file in written(tmp_path)} == before


def test_the_list_goes_to_stdout(tmp_path: Path) -> None:
    done = called("init", "--list", folder=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert [line.split()[0] for line in done.out.splitlines()] == list(TEMPLATES)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["a file", "a file/below", "a file/below/it"])
def test_a_file_in_the_way_is_told(target: str, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("")
    done = called("init", target, folder=tmp_path)
    assert (done.code, done.out) == (1, "")
    assert "Choose another FOLDER" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(("name", "shown"), [("it's mine", "it's mine"), ("-x", "./-x")])
def test_an_odd_folder_is_quoted_for_the_shell(name: str, shown: str, tmp_path: Path) -> None:
    done = called("init", "--", name, folder=tmp_path)
    where, _, _ = done.err.splitlines()[-1].removeprefix("Next: ").partition(" && ")
    assert shlex.split(where) == ["cd", shown]
    assert (tmp_path / name / "cog.yaml").is_file()


def test_no_name_is_no_folder(tmp_path: Path) -> None:
    done = called("init", "", folder=tmp_path)
    assert (done.code, done.err) == (
        1,
        "error: FOLDER is empty. Name a folder, or leave it out for this one.\n",
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_workflow_runs_the_model(name: str, project: Make) -> None:
    folder, _ = project(name)
    document: Any = yaml.safe_load((folder / ".github/workflows/push.yaml").read_text())
    steps = document["jobs"]["model"]["steps"]
    assert steps[1]["with"]["python-version"] == f"{sys.version_info[0]}.{sys.version_info[1]}"
    install, *others = [step["run"] for step in steps if "run" in step]
    assert others == ["cog doctor --deep", TEMPLATES[name].command]
    assert re.fullmatch(r"\$\{\{ vars\.COG \|\| '[^']*' \}\}", document["env"]["COG"])
    # The name cog is that of somebody else's package: nothing is installed unless it is said from where.
    shell = ["sh", "-ec", f'pip() {{ echo pip "$@"; }}\n{install}']
    for said, code, told in (
        ("", 1, "::error::Where is Cog to come from?"),
        ("git+https://x/y", 0, "pip install git+"),
    ):
        done = subprocess.run(shell, env={"COG": said}, capture_output=True, text=True, check=False)
        assert done.returncode == code
        assert done.stdout.startswith(told)


COMMIT = "1f" * 20


@pytest.mark.parametrize(
    ("record", "found"),
    [
        (
            f'{{"url": "https://x.org/a/cog", "vcs_info": {{"vcs": "git", "commit_id": "{COMMIT}"}}}}',
            f"git+https://x.org/a/cog@{COMMIT}",
        ),
        (
            f'{{"url": "ssh://git@x.org/cog.git", "vcs_info": {{"vcs": "git", "requested_revision": "v1", "commit_id": "{COMMIT}"}}}}',
            f"git+ssh://git@x.org/cog.git@{COMMIT}",
        ),
        ('{"url": "https://x.org/cog-1.0.whl", "archive_info": {}}', "https://x.org/cog-1.0.whl"),
        ('{"url": "file:///home/ada/cog", "dir_info": {"editable": true}}', ""),
        ('{"url": "https://x.org/it\'s.whl", "archive_info": {}}', ""),
        ('{"url": "https://x.org/cog", "vcs_info": {"vcs": "git"}}', ""),
        ("", ""),
        ("[]", ""),
        ("{", ""),
    ],
)
def test_the_workflow_takes_cog_from_where_this_one_came(record: str, found: str) -> None:
    assert origin(record) == found


@pytest.mark.slow
def test_the_wheel_holds_every_template(tmp_path: Path) -> None:
    command = [binary(), "build", "--wheel", "--out-dir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=110)
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    source = ROOT / "src"
    templates = source / "cog" / "cli" / "templates"
    files = [path for path in templates.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert len(files) > 10
    assert {str(path.relative_to(source)) for path in files} <= packed
    assert "cog/doctor/probe.py" in packed
