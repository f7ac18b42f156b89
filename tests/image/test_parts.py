"""The smaller parts of an image: its kit, packages, labels, name, certificates, what an engine prints of it."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cog.config.model import Build, Config
from cog.config.parse import load
from cog.errors import ConfigError, UsageError
from cog.image import authority, dockerfile, kit, labels, layers, names, packages
from cog.image.progress import Progress
from cog.image.steps import From, Run, Start, Step, Unpack, Variables
from cog.version import __version__

STEPS: tuple[Step, ...] = (
    From("tools", "Tools", "tools"),
    Run(("install",), "Installs"),
    From("base", "The base"),
    Variables((("A", "b"),), "Variables"),
    Run(("one", "two"), "What is long"),
    Start("/src", 5000, ("/sbin/tini", "--"), ("python",), "Starts"),
    Unpack("source.tar", "The model"),
)


@pytest.fixture(scope="module")
def made() -> kit.Kit:
    return kit.make({})


def wheel(made: kit.Kit, name: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(made.files[name]))


def test_the_kit_is_the_same_each_time(made: kit.Kit) -> None:
    again = kit.make({})
    assert again.files == made.files
    assert again.digest == made.digest


SERVER, SDK = kit.server_wheel(__version__), kit.sdk_wheel(__version__)


@pytest.mark.parametrize("name", [SERVER, SDK])
def test_a_wheel_records_what_it_holds(made: kit.Kit, name: str) -> None:
    with wheel(made, name) as archive:
        (place,) = (each for each in archive.namelist() if each.endswith(".dist-info/RECORD"))
        record = {row[0]: row[1] for row in csv.reader(io.StringIO(archive.read(place).decode()))}
        assert sorted(record) == sorted(archive.namelist())
        for file, told in record.items():
            digest = (
                base64.urlsafe_b64encode(hashlib.sha256(archive.read(file)).digest()).rstrip(b"=").decode()
            )
            assert told in ("", f"sha256={digest}"), file


def test_the_server_comes_without_the_command_line(made: kit.Kit) -> None:
    with wheel(made, SERVER) as archive:
        rooms = {name.split("/")[1] for name in archive.namelist()}
        metadata = archive.read(
            next(name for name in archive.namelist() if name.endswith("METADATA"))
        ).decode()
    assert {"server", "worker", "sdk", "config", "service"} <= rooms
    assert rooms.isdisjoint(
        {"bench", "cli", "client", "doctor", "environment", "image", "outline", "__pycache__"}
    )
    needed = [line.partition(": ")[2] for line in metadata.splitlines() if line.startswith("Requires-Dist")]
    assert any(line.startswith("aiohttp") for line in needed)
    assert not [line for line in needed if line.startswith(("click", "uv>", "pytest"))]
    pins = made.files[kit.CONSTRAINTS].decode().split()
    assert any(line.startswith("multidict==") for line in pins)  # what aiohttp needs


def test_the_sdk_imports_alone_and_hands_over(made: kit.Kit, tmp_path: Path) -> None:
    with wheel(made, SDK) as archive:
        archive.extractall(tmp_path)
        assert not [name for name in archive.namelist() if "/service/" in name]
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import cog; print(cog.BaseRunner.__module__); "
    )
    program += "import runpy; runpy.run_module('cog.server.http', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == "cog.sdk.runner\n"
    assert done.returncode == 1
    assert (
        "the server's environment, /opt/cog/server/bin/python, cannot be started: No such file" in done.stderr
    )


def test_packages_bring_every_file_that_they_lead_to(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(
        "-r sub/more.txt\n./wheels/a-1-py3-none-any.whl\n./package\ncog==0.9\n"
    )
    for name in (
        "sub/more.txt",
        "wheels/a-1-py3-none-any.whl",
        "package/pyproject.toml",
        "package/__pycache__/x.pyc",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("numpy\n" if name.endswith(".txt") else "x")
    found = packages.read(Build(python_requirements="requirements.txt"), tmp_path)
    assert sorted(found.files) == [
        "package/pyproject.toml",
        "requirements.txt",
        "sub/more.txt",
        "wheels/a-1-py3-none-any.whl",
    ]
    assert found.dropped == ("cog==0.9",)
    assert "numpy" in found.lines
    (tmp_path / "sub/more.txt").write_text("numpy==2\n")
    assert packages.read(Build(python_requirements="requirements.txt"), tmp_path).digest != found.digest


@pytest.mark.parametrize(
    ("lines", "told"),
    [("-e ./package", "editable"), ("../outside.txt.whl", "outside"), ("-r ../more.txt", "lies outside of")],
)
def test_packages_that_no_image_can_have(tmp_path: Path, lines: str, told: str) -> None:
    folder = tmp_path / "model"
    (folder / "package").mkdir(parents=True)
    (tmp_path / "outside.txt.whl").write_text("x")
    (tmp_path / "more.txt").write_text("x")
    (folder / "requirements.txt").write_text(f"{lines}\n")
    with pytest.raises(UsageError, match=told):
        packages.read(Build(python_requirements="requirements.txt"), folder)


def test_nothing_to_install(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("# nothing\ncog\n")
    assert packages.read(Build(python_requirements="requirements.txt"), tmp_path).name is None
    assert packages.read(Build(), tmp_path).name is None
    assert packages.read(Build(python_packages=("numpy==2",)), tmp_path).files == {
        "packages.txt": b"numpy==2\n"
    }


def test_labels(tmp_path: Path) -> None:
    (tmp_path / "cog.yaml").write_text(
        'build:\n  python_version: 3.10\n  gpu: yes\n  system_packages: [a]\nrun: "run.py:Runner"\nconcurrency: {max: 1}\n'
    )
    found = labels.make(tmp_path / "cog.yaml", labels.Description({"openapi": "3.0.2"}, "a==1\nb==2"))
    assert json.loads(found["run.cog.config"]) == {
        "build": {"python_version": "3.10", "gpu": True, "system_packages": ["a"]},
        "run": "run.py:Runner",
        "concurrency": {"max": 1},
    }
    assert json.loads(found["run.cog.openapi_schema"]) == {"openapi": "3.0.2"}
    assert found["run.cog.pip_freeze"] == "a==1\nb==2"
    assert found["run.cog.has_init"] == "true"
    assert "org.opencontainers.image.revision" not in found
    assert labels.too_long({**found, "big": "x" * 131072}) == ["big"]
    assert "run.cog.openapi_schema" not in labels.make(tmp_path / "cog.yaml", labels.Description(None))


def test_the_commit_is_a_label(tmp_path: Path) -> None:
    (tmp_path / "cog.yaml").write_text("{}")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for words in (
        ["init", "-q"],
        ["commit", "-q", "--allow-empty", "-m", "one"],
        ["tag", "-a", "v1", "-m", "v1"],
    ):
        subprocess.run([*git, *words], check=True)
    revision = subprocess.run(
        [*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    found = labels.make(tmp_path / "cog.yaml", labels.Description(None))
    assert found["org.opencontainers.image.revision"] == revision
    assert found["org.opencontainers.image.version"] == "v1"


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("hello", "cog-hello"),
        ("My Model (2)!", "cog-my-model-2"),
        ("my_model", "cog-mymodel"),  # [compat]
        ("a" * 60, "cog-" + "a" * 26),
        ("----", "cog-model"),
        ("模型", "cog-model"),
    ],
)
def test_a_name_made_of_the_folders(tmp_path: Path, folder: str, name: str) -> None:
    (tmp_path / folder).mkdir()
    assert names.of(Config(), tmp_path / folder, None) == name


@given(
    st.text(min_size=1, max_size=40).filter(
        lambda text: text not in (".", "..") and "/" not in text and "\0" not in text
    )
)
def test_every_folder_gives_a_name(text: str) -> None:
    name = names.generated(Path("/models") / text)
    assert names.of(Config(image=name), Path("/"), None) == name
    assert len(name) <= names.LONGEST


def test_what_is_asked_for_goes_before() -> None:
    assert names.of(Config(image="a/b"), Path("/x"), "c:1") == "c:1"
    assert names.of(Config(model="example.com:5000/a/b"), Path("/x"), None) == "example.com:5000/a/b"
    with pytest.raises(UsageError, match="'A b' is no name of an image"):
        names.of(Config(), Path("/x"), "A b")


PEM = "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n"


def test_certificates_come_in_every_form(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_text(PEM)
    (tmp_path / "b.crt").write_text(PEM)
    (tmp_path / "c.txt").write_text("other")
    forms = {str(tmp_path / "a.pem"): 1, str(tmp_path): 2, PEM: 1, base64.b64encode(PEM.encode()).decode(): 1}
    for form, count in forms.items():
        found = authority.certificates({"COG_CA_CERT": form})
        assert found is not None
        assert found.count("BEGIN CERTIFICATE") == count
    assert authority.certificates({}) is None
    assert authority.bundle(PEM).startswith(PEM)
    for wrong in (str(tmp_path / "c.txt"), str(tmp_path / "none.pem")):
        with pytest.raises(UsageError, match="COG_CA_CERT"):
            authority.certificates({"COG_CA_CERT": wrong})


@pytest.mark.parametrize("value", ["two\nlines", "carriage\rreturn", "x" * 70_000])
def test_a_variable_that_no_dockerfile_can_hold(value: str) -> None:
    with pytest.raises(ConfigError, match="environment: NAME"):
        dockerfile.text((Variables((("NAME", value),), "why"),))


def test_the_step_is_known_by_what_an_engine_prints() -> None:
    known = Progress(STEPS)
    assert known.begun("STEP 3/9: RUN one &&     two") == "What is long"
    assert known.begun("[2/2] STEP 3/9: RUN one && two") == "What is long"
    assert known.begun("#8 [stage-1 2/4] RUN one &&     two") == "What is long"
    assert known.begun("#9 [4/4] ADD source.tar /") == "The model"
    assert known.begun("STEP 2/9: RUN install") == "install"
    assert known.begun("STEP 1/9: FROM base") is None
    assert known.begun("Collecting RUN one && two") is None


def test_layers_are_what_their_steps_are_for() -> None:
    rows = [(100, "base one"), (200, "base two"), (0, '/bin/sh -c #(nop) ENV A="b"'), (30, "/bin/sh -c one && two"),
            (0, "WORKDIR /src"), (0, "EXPOSE"), (0, "ENTRYPOINT"), (0, "CMD"), (4, "ADD file:x in /"), (5, "ADD file:y in /"), (0, "LABEL")]  # fmt: skip
    found = layers.attribute(rows, STEPS)
    assert [(layer.size, layer.why) for layer in found] == [
        (300, "The base"),
        (30, "What is long"),
        (4, "The model"),
        (5, "What the model accepts, for servers that look for it in a file"),
    ]


@pytest.mark.parametrize(
    ("text", "count", "shown"),
    [
        ("41.5 MB", 41_500_000, "41.5 MB"),
        ("1.54kB", 1_540, "1.5 kB"),
        ("0 B", 0, "0 B"),
        ("412MB", 412_000_000, "412 MB"),
        ("5.1GB", 5_100_000_000, "5.1 GB"),
    ],
)
def test_sizes_as_engines_and_people_write_them(text: str, count: int, shown: str) -> None:
    assert layers.size(text) == count
    assert layers.shown(count) == shown


def test_the_keys_of_an_image(tmp_path: Path) -> None:
    path = tmp_path / "cog.yaml"
    path.write_text("build: {base_image: 'example.com/a:1', user: 1000}\n")
    build = load(path).build
    assert (build.base_image, build.user) == ("example.com/a:1", "1000")
    path.write_text("build:\n  base_image: 'a b'\n  user: 'A B'\n")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert 'invalid build.base_image "a b"' in str(caught.value)
    assert 'invalid build.user "A B"' in str(caught.value)
