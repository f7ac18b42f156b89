"""Images that are really built, run as containers, and asked over the published port."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from containers.ground import DEBIAN, OFFICIAL, Ground, Running
from support.serving import request, write_model
from support.wheels import write_wheel

pytestmark = [pytest.mark.slow, pytest.mark.containers, pytest.mark.timeout(300)]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

# What a model can be asked to say of where it runs.
TELLING = """
import os, sys, importlib.metadata
from cog import BaseRunner

def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""

class Runner(BaseRunner):
    def run(self, packages: str = "", variables: str = "", files: str = "") -> str:
        import json
        found = {"python": "%d.%d" % sys.version_info[:2], "executable": sys.executable, "user": os.getuid(), "folder": os.getcwd()}
        found["packages"] = {name: version(name) for name in packages.split()}
        found["variables"] = {name: os.environ.get(name) for name in variables.split()}
        found["files"] = {name: open(name).read() for name in files.split()}
        return json.dumps(found)
"""


def copied(name: str, target: Path) -> Path:
    shutil.copytree(EXAMPLES / name, target, ignore=shutil.ignore_patterns(".cog", "__pycache__"))
    return target


@pytest.fixture(scope="module")
def hello(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest example, built as `cog-test-hello`."""
    folder = copied("hello", tmp_path_factory.mktemp("images") / "hello")
    ground.build(folder, "cog-test-hello")
    return folder


@pytest.fixture(scope="module")
def served(ground: Ground, hello: Path) -> Iterator[Running]:
    """A container of it."""
    with ground.running("cog-test-hello") as running:
        yield running


def test_it_answers_over_the_published_port(served: Running) -> None:
    assert served.predict(text="Ada") == "hello Ada"
    assert request(f"{served.url}/predictions", "POST", json_body={"input": {}}).status == 422


def test_server_and_model_each_have_their_own_environment(served: Running) -> None:
    lines = served.shell("for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; echo; done").splitlines()
    assert any(line.startswith("/opt/cog/server/bin/python -I -m cog.server.http") for line in lines)
    assert any(line.startswith("/usr/local/bin/python -u ") for line in lines)
    assert served.shell("cat /proc/1/comm").strip() == "tini"
    assert "No module named 'aiohttp'" in served.shell("python -c 'import cog; import aiohttp' 2>&1 || true")


def test_what_only_the_build_needs_is_not_there(served: Running) -> None:
    assert served.shell("find /run/cog /root/.cache -type f") == ""  # places of mounts stay, empty
    assert served.shell("ls -A /opt/cog").split() == ["server"]
    assert set(served.shell("ls -A /src").split()) - {"__pycache__"} == {".cog", "cog.yaml", "run.py"}
    assert served.shell("find / -xdev -name 'cog_ca_*' 2>/dev/null") == ""


def test_labels_say_what_it_is(ground: Ground, hello: Path, served: Running) -> None:
    labels = ground.labels("cog-test-hello")
    live = request(f"{served.url}/openapi.json").json()
    assert json.loads(labels["run.cog.openapi_schema"]) == live
    assert json.loads(served.shell("cat /src/.cog/openapi_schema.json")) == live
    assert json.loads(labels["run.cog.config"]) == {
        "build": {"python_version": "3.12"},
        "run": "run.py:Runner",
    }
    assert labels["run.cog.has_init"] == "true"
    assert [line.partition("==")[0] for line in labels["run.cog.pip_freeze"].splitlines()] == ["pip"]


def test_it_adds_little_to_its_base(ground: Ground, hello: Path) -> None:
    assert ground.size("cog-test-hello") - ground.size(OFFICIAL) < 60_000_000


def test_an_edit_changes_the_last_layer_alone(ground: Ground, hello: Path) -> None:
    before = ground.layers("cog-test-hello")
    (hello / "run.py").write_text((hello / "run.py").read_text().replace('"hello"', '"good day"'))
    done = ground.build(hello, "cog-test-hello-2", "--explain")
    after = ground.layers("cog-test-hello-2")
    # The last is the schema, which is the same; the one before it is the model.
    assert [at for at in range(len(before)) if before[at] != after[at]] == [len(before) - 2]
    weighed = {line[11:] for line in done.stdout.splitlines()}
    assert {"The model", "in all", "The base: Python 3.12, as Docker's official image has it"} <= weighed
    with ground.running("cog-test-hello-2") as running:
        assert running.predict(text="Ada") == "good day Ada"


def test_a_stop_ends_it_in_order(ground: Ground, hello: Path) -> None:
    with ground.running("cog-test-hello") as running:
        ground.call("podman", "stop", "--time", "20", running.name)
        told = ground.call("podman", "inspect", running.name, "--format", "{{.State.ExitCode}}")
        assert told.strip() in ("0", "143")  # tini passes the server's own code on


def test_the_same_files_give_the_same_layers(ground: Ground, tmp_path: Path) -> None:
    """Made again without any cache, in another folder, of files with other times; weights are below the code."""
    layers: list[list[str]] = []
    for place in ("one", "other"):
        folder = write_model(
            tmp_path / place,
            TELLING,
            f"build: {{base_image: '{DEBIAN}', python_version: '3.11'}}\nrun: run.py\n",
        )
        (folder / "weights").mkdir()
        (folder / "weights" / "w.bin").write_bytes(b"w" * 1000)
        (folder / "large.bin").write_bytes(b"l" * 10_000_001)
        ground.build(folder, f"cog-test-{place}", *(["--no-cache"] if layers else []))
        layers.append(ground.layers(f"cog-test-{place}")[-3:])
    assert layers[0] == layers[1]
    folder = tmp_path / "one"
    (folder / "run.py").write_text(TELLING + "\n# edited\n")
    ground.build(folder, "cog-test-edited")
    edited = ground.layers("cog-test-edited")[-3:]
    assert [edited[0] == layers[0][0], edited[1] == layers[0][1], edited[2] == layers[0][2]] == [
        True,
        False,
        True,
    ]
    with ground.running("cog-test-edited") as running:
        assert (
            running.shell("stat -c '%U %a %Y' /src/weights/w.bin /src/large.bin /src/run.py").splitlines()
            == ["root 644 315619200"] * 3
        )


def test_old_pins_beside_a_new_server(ground: Ground, tmp_path: Path) -> None:
    """A model whose packages no server of today could live with, and much else that a cog.yaml can say."""
    folder = write_model(
        tmp_path / "old",
        TELLING,
        f"""
build:
  base_image: {DEBIAN}
  python_version: "3.11"
  python_requirements: requirements.txt
  system_packages: [hello]
  user: "1234:1234"
  run:
    - command: tr a-z A-Z </run/token >/made && chmod 644 /made
      mounts: [{{type: secret, id: token, target: /run/token}}]
    - pip install --break-system-packages --quiet --no-deps --no-index ./none || echo "ends with a backslash" >>/made \\
environment:
  - QUOTES=say "hi" and 'ho'
  - DOLLAR=$HOME and ${{PATH}}
  - BACKSLASH=C:\\temp\\
  - HASH=# a  b
  - EMPTY=
run: run.py:Runner
""",
    )
    (folder / "requirements.txt").write_text(
        "pydantic==1.10.13\nstarlette==0.27.0\ntyping_extensions==4.7.1\ncog==0.9.0\n"
    )
    (folder / "token").write_text("secret")
    (folder / ".dockerignore").write_text("token\nrequirements.txt\n")
    refused = ground.cog(folder, "build", "-t", "cog-test-old")
    assert refused.returncode == 1
    assert "build.run of" in refused.stderr
    assert "--secret id=token,src=FILE" in refused.stderr
    done = ground.build(folder, "cog-test-old", "--secret", "id=token,src=token")
    assert "the requirement 'cog==0.9.0' is dropped" in done.stderr
    freeze = ground.labels("cog-test-old")["run.cog.pip_freeze"].splitlines()
    assert {"pydantic==1.10.13", "starlette==0.27.0", "typing_extensions==4.7.1"} <= set(freeze)
    with ground.running("cog-test-old") as running:
        found = json.loads(
            running.predict(
                packages="pydantic starlette uvloop cog",
                variables="QUOTES DOLLAR BACKSLASH HASH EMPTY",
                files="/made",
            )
        )
        assert found["packages"] | {"cog": ""} == {
            "pydantic": "1.10.13",
            "starlette": "0.27.0",
            "uvloop": "",
            "cog": "",
        }
        assert found["packages"]["cog"] != "0.9.0"
        assert (found["user"], found["folder"], found["python"]) == (1234, "/src", "3.11")
        assert found["files"] == {"/made": "SECRETends with a backslash\n"}
        assert found["variables"] == {
            "QUOTES": "say \"hi\" and 'ho'",
            "DOLLAR": "$HOME and ${PATH}",
            "BACKSLASH": "C:\\temp\\",
            "HASH": "# a  b",
            "EMPTY": "",
        }
        assert running.shell("ls -A /src | tr '\\n' ' '").split() == [
            ".cog",
            ".dockerignore",
            "cog.yaml",
            "run.py",
        ]
        assert running.shell("hello -g hi").strip() == "hi"


def test_the_server_may_run_in_another_python_than_the_model(ground: Ground, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "other", TELLING, 'build: {python_version: "3.12"}\nrun: run.py:Runner\n')
    ground.build(folder, "cog-test-other", COG_SERVER_PYTHON="/usr/bin/python3")
    with ground.running("cog-test-other") as running:
        assert json.loads(running.predict())["python"] == "3.12"
        assert (
            running.shell("/opt/cog/server/bin/python -c 'import sys; print(sys.version_info[1])'").strip()
            == "11"
        )


@pytest.mark.parametrize("name", ["blur", "stream", "summarize"])
def test_examples(ground: Ground, tmp_path: Path, name: str) -> None:
    """All but `embed`, whose torch is gigabytes."""
    folder = copied(name, tmp_path / name)
    ground.build(folder, f"cog-test-{name}")
    photo = (
        "data:image/jpeg;base64," + base64.b64encode((EXAMPLES / "blur" / "photo.jpg").read_bytes()).decode()
    )
    text = "Ada wrote a program. The program was for a machine. The machine was never built."
    given = {"blur": {"image": photo}, "stream": {"prompt": "weather"}, "summarize": {"text": text}}
    with ground.running(f"cog-test-{name}") as running:
        found = running.predict(**given[name])
        assert found
        assert name != "blur" or found.startswith("data:image/")


def test_a_wheel_of_ones_own_is_in_both_environments(ground: Ground, tmp_path: Path) -> None:
    folder = write_model(
        tmp_path / "own",
        "import cog\ndef run() -> str:\n    return cog.__version__\n",
        f"build: {{base_image: '{DEBIAN}', python_version: '3.11'}}\nrun: run.py:run\n",
    )
    ground.build(
        folder, "cog-test-own-wheel", COG_SDK_WHEEL=str(write_wheel(tmp_path / "dist", "9.8.7+mine"))
    )
    with ground.running("cog-test-own-wheel") as running:
        assert running.predict() == "9.8.7+mine"
        server = "/opt/cog/server/bin/python -I -c 'import cog.server.http, cog; print(cog.__version__)'"
        assert running.shell(server).strip() == "9.8.7+mine"
