"""The commands that run images, and the registry."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from containers.ground import DEBIAN, Ground
from project.stories import DOCS, blocks, story
from support.cogs import COG
from support.command import free_port
from support.receiving import Incoming, Reply, receiving
from support.serving import request, until, write_model

pytestmark = [pytest.mark.slow, pytest.mark.containers, pytest.mark.timeout(300)]

MODEL = """
import os, time
from cog import BaseRunner, Path
from pathlib import Path as File

class Runner(BaseRunner):
    def setup(self):
        print("setting up")
        if "BROKEN" in os.environ:
            raise ValueError("no weights")

    def run(self, name: str = "you", file: Path = None, sleep: float = 0) -> str:
        print(f"greeting {name}")
        time.sleep(sleep)
        text = file.read_text() if file is not None else ""
        return f"{os.environ.get('GREETING', 'hello')} {name}{text}"
"""
WRITER = """
from cog import BaseRunner, Path
from pathlib import Path as File

class Runner(BaseRunner):
    def run(self) -> Path:
        File("/tmp/out.txt").write_text("from the container")
        return Path("/tmp/out.txt")
"""
CONFIG = f"build: {{base_image: '{DEBIAN}', python_version: '3.11'}}\nrun: run.py:Runner\n"


@pytest.fixture(scope="module")
def model(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, built as `cog-test-greet`."""
    folder = write_model(tmp_path_factory.mktemp("models") / "greet", MODEL, CONFIG)
    (folder / "file.txt").write_text("!")
    ground.build(folder, "cog-test-greet")
    return folder


@contextlib.contextmanager
def started(ground: Ground, folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A `cog` that runs, in a session of its own as on a terminal."""
    process = subprocess.Popen(
        [*COG, *arguments],
        cwd=folder,
        env=ground.environ,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_an_image_is_run_once(ground: Ground, model: Path, tmp_path: Path) -> None:
    done = ground.cog(
        tmp_path,
        "run",
        "cog-test-greet",
        "-i",
        "name=Ada",
        "-i",
        f"file=@{model / 'file.txt'}",
        "-e",
        "GREETING=hi",
    )
    assert (done.returncode, done.stdout.strip()) == (0, "hi Ada!"), done.stderr
    assert [line for line in done.stderr.splitlines() if "ing" in line][:2] == ["setting up", "greeting Ada"]
    wrong = ground.cog(tmp_path, "run", "cog-test-greet", "-i", "nmae=Ada")
    assert wrong.returncode == 1
    assert "Did you mean name?" in wrong.stderr
    none = ground.cog(tmp_path, "run", "localhost/no-image-of-this-name", "-i", "name=Ada")
    assert none.returncode == 1
    assert "The container ended unexpectedly" in none.stderr
    assert "There is no image of this name here: `cog build -t NAME` makes one" in none.stderr
    gpus = ground.cog(tmp_path, "run", "cog-test-greet", "--gpus", "all")
    assert gpus.returncode == 1
    assert "install NVIDIA's container toolkit" in gpus.stderr
    broken = ground.cog(tmp_path, "run", "cog-test-greet", "-e", "BROKEN=1")
    assert broken.returncode == 1
    assert broken.stderr.count("setting up") == 1
    assert "Model setup failed: ValueError: no weights" in broken.stderr
    assert ground.containers() == []


def test_the_source_is_mounted_with_docker(ground: Ground, model: Path) -> None:
    before = (model / "run.py").read_text()
    (model / "run.py").write_text(before.replace("'hello'", "'good day'"))
    try:
        done = ground.cog(model, "run", "--docker", "-i", "name=Ada")
    finally:
        (model / "run.py").write_text(before)
    assert (done.returncode, done.stdout.strip()) == (0, "good day Ada"), done.stderr
    told = ground.cog(
        model, "exec", "--docker", "-e", "A=b", "sh", "-c", "echo $A; pwd; cat file.txt; exit 3"
    )
    assert (told.returncode, told.stdout) == (3, "b\n/src\n!"), told.stderr
    assert ground.containers() == []


def test_it_is_served_with_docker_until_ctrl_c(ground: Ground, model: Path) -> None:
    port = free_port()
    with started(ground, model, "serve", "--docker", "-p", str(port)) as process:
        until(lambda: _ready(port, process), lambda ready: ready, timeout=120)
        answer = request(f"http://127.0.0.1:{port}/predictions", "POST", json_body={"input": {"name": "Ada"}})
        assert answer.json()["output"] == "hello Ada"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert ground.containers() == []


def test_a_container_delivers_files_to_this_machine(ground: Ground, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "writer", WRITER, CONFIG)
    port = free_port()
    with receiving(host="0.0.0.0") as receiver:
        url = f"http://host.docker.internal:{receiver.url.rpartition(':')[2]}/files/"
        flags = ("serve", "--docker", "-p", str(port), "--upload-url", url)
        with started(ground, folder, *flags) as process:
            until(lambda: _ready(port, process), lambda ready: ready, timeout=120)
            answer = request(f"http://127.0.0.1:{port}/predictions", "POST", json_body={"input": {}})
            assert answer.json()["output"] == f"{url}out.txt", answer.json()
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
        assert [(got.method, got.target, got.body) for got in receiver.got] == [
            ("PUT", "/files/out.txt", b"from the container")
        ]
    assert ground.containers() == []


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_no_container_is_left(ground: Ground, model: Path, number: signal.Signals, code: int) -> None:
    with started(ground, model, "run", "cog-test-greet", "-i", "sleep=600") as process:
        until(ground.containers, lambda names: any(name.startswith("cog-run-") for name in names))
        assert process.stderr is not None
        os.set_blocking(process.stderr.fileno(), True)
        assert b"setting up" in process.stderr.readline()
        assert b"greeting you" in process.stderr.readline()
        process.send_signal(number)
        assert process.wait(40) == code
    until(ground.containers, lambda names: names == [], timeout=40)


def _ready(port: int, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None
    try:
        return request(f"http://127.0.0.1:{port}/ready", timeout=5).status == 200
    except OSError:
        return False


def test_the_page_does_what_it_says(ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docker").write_text('#!/bin/sh\nexec podman "$@"\n')
    (tmp_path / "docker").chmod(0o755)
    for name, value in {**ground.environ, "PATH": f"{tmp_path}:{ground.environ['PATH']}"}.items():
        monkeypatch.setenv(name, value)
    try:
        with story(tmp_path / "my-model") as reader:
            reader.ports = {"5000": 5000, "5001": free_port()}  # in the container it is always the same one
            reader.play(blocks(DOCS / "containers.md"))
    finally:
        ground.call("podman", "rm", "--force", "--ignore", "my-model")
    assert ground.containers() == []


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry on this machine that knows one user."""
    program = shutil.which("docker-registry")
    if program is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no docker-registry here: install the package")
    folder, port = tmp_path_factory.mktemp("registry"), free_port()
    (folder / "config.yml").write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\nauth: {{htpasswd: {{realm: test, path: {folder}/users}}}}\n"
    )
    # The bcrypt of "word", as htpasswd writes it.
    (folder / "users").write_text("ada:$2b$12$O8BxqoHq8pKO9IOXWE3W9esjsvTxTQbYaYb3SHww9/8rP6.z7/.he\n")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(folder / "config.yml")], stdout=log, stderr=log)
    try:
        until(lambda: _listens(port), lambda listens: listens)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    try:
        return request(f"http://127.0.0.1:{port}/v2/").status in (200, 401)
    except OSError:
        return False


def test_it_is_pushed_pulled_and_run(ground: Ground, model: Path, registry: str) -> None:
    name = f"{registry}/me/greet:1"
    stranger = ground.cog(model, "push", name)
    assert stranger.returncode == 1
    assert f"`cog login {registry}` tells it who you are" in stranger.stderr
    wrong = _login(ground, model, registry, "other")
    assert wrong.returncode == 1
    assert "refuses the login" in wrong.stderr
    assert _login(ground, model, registry, "word").returncode == 0
    done = ground.cog(model, "push", name)
    assert done.returncode == 0, done.stderr
    assert f"Pushed {name}" in done.stderr
    tree = done.stderr[done.stderr.index(f"{registry}/me/greet\n└── 1\n") :]
    digest = ground.call(
        "skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{name}"
    ).strip()
    assert digest in tree
    assert "  The model\n" in tree
    layers, pushed = ground.layers(name), ground.labels(name)["run.cog.push_id"]
    assert f"run.cog.push_id {pushed}\n" in tree
    replicates = {"COG_REGISTRY_HOST": registry, "COG_REGISTRY_API": "https://api.example.com"}
    again = ground.cog(model, "push", name, "--engine", "podman", **replicates)
    assert again.returncode == 0, again.stderr
    assert again.stderr.endswith("\nhttps://replicate.com/me/greet\n")
    assert digest not in again.stderr
    assert ground.layers(name) == layers
    assert ground.labels(name)["run.cog.push_id"] not in (pushed, "")
    ground.call("podman", "untag", name)
    ground.call("podman", "pull", "--tls-verify=false", name)
    ran = ground.cog(model, "run", name, "-i", "name=Ada")
    assert (ran.returncode, ran.stdout.strip()) == (0, "hello Ada"), ran.stderr
    assert ground.labels(name)["run.cog.has_init"] == "true"


def test_a_token_tells_who_one_is(ground: Ground, model: Path, registry: str) -> None:
    """The registry of this machine in the place of Replicate's, and a server of this test in that of its API."""

    def told(incoming: Incoming) -> Reply:
        known = incoming.headers["authorization"] == "Bearer word"
        return Reply(200, b'{"type": "user", "username": "ada"}') if known else Reply(401)

    ground.call("podman", "logout", "--all")
    with receiving(told) as api:
        extra = {"COG_REGISTRY_HOST": registry, "COG_REGISTRY_API": api.url}
        stranger = _cog(ground, model, "other\n", ("login", "--token-stdin"), extra)
        assert stranger.returncode == 1
        assert "Replicate does not know this token" in stranger.stderr
        done = _cog(ground, model, "word\n", ("login", "--token-stdin"), extra)
    assert (done.returncode, done.stderr) == (
        0,
        f"asking {api.url} whose the token is\nLogged in to {registry} as ada\n",
    )
    ground.call("podman", "tag", "cog-test-greet", f"{registry}/ada/greet")
    ground.call("podman", "push", "--tls-verify=false", f"{registry}/ada/greet")


def _login(ground: Ground, folder: Path, registry: str, password: str) -> subprocess.CompletedProcess[str]:
    return _cog(
        ground, folder, f"{password}\n", ("login", registry, "--username", "ada", "--token-stdin"), {}
    )


def _cog(
    ground: Ground, folder: Path, given: str, words: tuple[str, ...], extra: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """`cog` with something on stdin."""
    return subprocess.run(
        [*COG, *words],
        cwd=folder, env={**ground.environ, **extra}, input=given, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
