"""What decides whether an environment is another one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cog.config.parse import load
from cog.environment import recipe, requirements, settings
from cog.environment.limits import missing
from support.projects import make_patient_package, make_project, make_wheel

REQUIREMENTS = """\
six==1.0  # a comment
-r more/others.txt
--constraint=bounds.txt
./wheels/tiny-1.0-py3-none-any.whl
named @ file:./wheels/named-1.0-py3-none-any.whl ; python_version > "3"
./own[extra]
-e ./edited
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("tiny", "named"):
        make_wheel(tmp_path / "wheels", name)
    make_patient_package(tmp_path / "own")
    make_patient_package(tmp_path / "edited")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "others.txt").write_text("-r third.txt\n")
    (tmp_path / "more" / "third.txt").write_text("seven\n")
    (tmp_path / "bounds.txt").write_text("six<2\n")
    return make_project(tmp_path, requirements=REQUIREMENTS)


# Without the files of whoever runs the tests.
UNSET = {"PIP_CONFIG_FILE": os.devnull}


def key(folder: Path, **environ: str) -> str:
    return recipe.read(load(folder / "cog.yaml"), folder, {**UNSET, **environ}).key


def write(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    "change",
    [
        write("requirements.txt", REQUIREMENTS + "eight\n"),
        write("more/others.txt", "-r third.txt\nnine\n"),
        write("more/third.txt", "seven==7\n"),
        write("bounds.txt", "six<3\n"),
        write("own/content.py", "VALUE = 100\n"),
        write("own/new.py", ""),
        write("edited/pyproject.toml", '[project]\nname = "patient"\nversion = "2.0"\n'),
        lambda folder: make_wheel(folder / "wheels", "tiny", source="CHANGED = 1\n"),
        lambda folder: make_wheel(folder / "wheels", "named", source="CHANGED = 1\n"),
        write("cog.yaml", 'build:\n  python_version: "3.98"\n  python_requirements: requirements.txt\n'),
        write("cog.yaml", "build:\n  python_packages: [six]\n"),
    ],
)
def test_a_change_of_what_is_installed_counts(project: Path, change: Callable[[Path], object]) -> None:
    before = key(project)
    assert key(project) == before
    change(project)
    assert key(project) != before


@pytest.mark.parametrize(
    "change",
    [
        write("run.py", "x = 1\n"),
        write("own/weights.bin", "x"),
        write("edited/content.py", "VALUE = 100\n"),
        write(
            "cog.yaml",
            "environment: [A=1]\nbuild:\n  gpu: true\n  system_packages: [ffmpeg]\n  python_requirements: requirements.txt\n",
        ),
    ],
)
def test_any_other_change_does_not(project: Path, change: Callable[[Path], object]) -> None:
    before = key(project)
    change(project)
    assert key(project) == before


def test_what_uv_is_told_counts_but_not_a_password(project: Path) -> None:
    plain = key(project)
    index = key(project, UV_INDEX="https://a:b@example.com/simple")
    assert index != plain
    assert key(project, UV_INDEX="https://c:d@example.com/simple") == index
    assert key(project, PIP_EXTRA_INDEX_URL="https://example.com/simple") != plain
    assert key(project, UV_HTTP_TIMEOUT="3", HOME="/x") == plain


def test_files_that_name_each_other_end(tmp_path: Path) -> None:
    folder = make_project(tmp_path, requirements="-r b.txt\n-r https://example.com/c.txt\n")
    (folder / "b.txt").write_text("-r requirements.txt\n-r missing.txt\n")
    found = requirements.sources(load(folder / "cog.yaml").build, folder, {})
    assert [each.path.name for each in found] == ["requirements.txt", "b.txt", "missing.txt"]


def test_variables_in_paths(tmp_path: Path) -> None:
    make_wheel(tmp_path / "shop", "tiny")
    folder = make_project(tmp_path / "model", requirements="${SHOP}/tiny-1.0-py3-none-any.whl\n")
    found = requirements.sources(load(folder / "cog.yaml").build, folder, {"SHOP": str(tmp_path / "shop")})
    assert found[1].path == tmp_path / "shop" / "tiny-1.0-py3-none-any.whl"


@pytest.mark.parametrize(
    "line",
    [
        "cog",
        "Cog >= 1",
        "cog[a]==2",
        "coglet~=0.1",
        "cog; sys_platform=='linux'",
        "cog @ file:///x/cog.whl",
        "git+https://x/y#egg=cog",
        "dist/cog-0.9-py3-none-any.whl",
    ],
)
def test_lines_that_ask_for_us(line: str) -> None:
    assert requirements.is_ours(line)


@pytest.mark.parametrize(
    "line",
    ["cogs", "cog-client==1", "cog_x", "cog.extra", "./cog", "-r cog.txt", "recog", "wheels/cog-client.whl"],
)
def test_lines_that_do_not(line: str) -> None:
    assert not requirements.is_ours(line)


def test_settings_of_pip_where_uv_has_none(tmp_path: Path) -> None:
    given = {
        **UNSET,
        "PIP_INDEX_URL": "https://i",
        "PIP_EXTRA_INDEX_URL": "https://a https://b",
        "PIP_FIND_LINKS": f"/no/such {tmp_path} https://c/",
        "PIP_TRUSTED_HOST": "h",
        "PIP_CERT": "/c",
        "VIRTUAL_ENV": "/v",
        "UV_PYTHON": "3.9",
        "UV_LINK_MODE": "copy",
    }
    found = settings.variables(given)
    assert found["UV_DEFAULT_INDEX"] == "https://i"
    assert found["UV_INDEX"] == "https://a https://b"
    assert found["UV_FIND_LINKS"] == f"{tmp_path},https://c/"
    assert (found["UV_INSECURE_HOST"], found["SSL_CERT_FILE"], found["UV_LINK_MODE"]) == ("h", "/c", "copy")
    assert "VIRTUAL_ENV" not in found
    assert "UV_PYTHON" not in found
    own = settings.variables(
        {**given, "UV_INDEX_URL": "https://own", "UV_INDEX": "", "UV_EXTRA_INDEX_URL": "https://e"}
    )
    assert "UV_DEFAULT_INDEX" not in own
    assert own["UV_INDEX"] == ""


def write_pip(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pip.conf").write_text(text)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a user whose machine has a configuration of pip for all."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "site"))
    write_pip(
        tmp_path / "xdg" / "pip", "[global]\nindex-url = https://machine/simple\ntrusted-host = a\n  b\n"
    )
    return {"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path / "xdg")}


def test_files_of_pip_where_uv_has_nothing(tmp_path: Path, machine: dict[str, str]) -> None:
    (tmp_path / "shop").mkdir()
    found = settings.variables(machine)
    assert (found["UV_DEFAULT_INDEX"], found["UV_INSECURE_HOST"]) == ("https://machine/simple", "a b")
    write_pip(
        tmp_path / ".config" / "pip",
        f"[install]\nindex_url = https://user/simple\nfind-links = /no/such\n  {tmp_path}/shop\n"
        "[global]\nindex-url = https://less/simple\nextra-index-url = https://e/%(x)s\nno-index = no\ntimeout = 5\n",
    )
    found = settings.variables(machine)
    assert found["UV_DEFAULT_INDEX"] == "https://user/simple"
    assert found["UV_FIND_LINKS"] == f"{tmp_path}/shop"
    assert (found["UV_INDEX"], found["UV_NO_INDEX"]) == ("https://e/%(x)s", "false")
    write_pip(tmp_path / "site", "[global]\nindex-url = https://site/simple\nno-index = on\n")
    found = settings.variables(machine)
    assert (found["UV_DEFAULT_INDEX"], found["UV_NO_INDEX"]) == ("https://site/simple", "true")
    assert "UV_INDEX" not in settings.variables({**machine, "XDG_CONFIG_HOME": str(tmp_path / "elsewhere")})


def test_what_goes_before_a_file_of_pip(tmp_path: Path, machine: dict[str, str]) -> None:
    write_pip(tmp_path / ".config" / "pip", "[global]\nextra-index-url = https://user/simple\n")
    own = tmp_path / "own.conf"
    own.write_text("[global]\nindex-url = https://own/simple\n")
    found = settings.variables({**machine, "PIP_CONFIG_FILE": str(own)})
    assert found["UV_DEFAULT_INDEX"] == "https://own/simple"
    assert "UV_INDEX" not in found  # pip leaves out the user's then
    found = settings.variables({**machine, "PIP_INDEX_URL": "https://said/simple"})
    assert (found["UV_DEFAULT_INDEX"], found["UV_INDEX"]) == ("https://said/simple", "https://user/simple")
    found = settings.variables({**machine, "UV_INDEX_URL": "https://uv/simple"})
    assert (found.get("UV_DEFAULT_INDEX"), found["UV_INDEX_URL"]) == (None, "https://uv/simple")
    assert settings.variables({**machine, **UNSET}) == {**machine, **UNSET}
    uv = tmp_path / ".config" / "uv" / "uv.toml"
    uv.parent.mkdir()
    uv.touch()
    assert settings.variables(machine) == machine
    for elsewhere in (
        {"XDG_CONFIG_HOME": "/no/such"},
        {"XDG_CONFIG_HOME": "/no/such", "UV_CONFIG_FILE": "/no"},
    ):
        assert "UV_DEFAULT_INDEX" in settings.variables({**machine, **elsewhere})
    chosen = {"XDG_CONFIG_HOME": "/no/such", "UV_CONFIG_FILE": str(uv)}
    assert "UV_DEFAULT_INDEX" not in settings.variables({**machine, **chosen})


@pytest.mark.parametrize(
    "content", [b"[global\n", b"index-url = x\n", b"[global]\nindex-url = \xff\n", b"\0"]
)
def test_a_file_of_pip_that_cannot_be_read(tmp_path: Path, machine: dict[str, str], content: bytes) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "pip.conf").write_bytes(content)
    assert settings.variables(machine)["UV_DEFAULT_INDEX"] == "https://machine/simple"


def test_folders_of_packages_are_those_of_this_folder(
    tmp_path: Path, machine: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """uv runs in the model's."""
    (tmp_path / "shop").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    found = settings.variables({**machine, "PIP_FIND_LINKS": "shop ~/shop"})
    assert found["UV_FIND_LINKS"] == f"{tmp_path}/shop,{tmp_path}/shop"


def test_one_warning_names_what_only_an_image_has(tmp_path: Path) -> None:
    config = """\
build:
  system_packages: [ffmpeg, libgl1]
  run: [pip install ninja, {command: make}, "true", "false"]
  pre_install: [late]
"""
    warning = missing(load(make_project(tmp_path, config) / "cog.yaml"))
    assert warning is not None
    for text in (
        "ffmpeg, libgl1",
        "`pip install ninja`",
        "`make`",
        "2 more",
        "build.run",
        "build.system_packages",
    ):
        assert text in warning
    assert "\n" not in warning
    assert missing(load(make_project(tmp_path) / "cog.yaml")) is None
