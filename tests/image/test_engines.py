"""How each engine is called, and which one is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from cog.errors import EngineMissing, UsageError
from cog.image import advice, choice
from cog.image.buildah import Buildah
from cog.image.docker import Docker
from cog.image.engine import BuildOrder, Engine, Extra, RunOrder, is_local
from cog.image.podman import Podman, devices

EXTRA = Extra(("--log-level", "error"), ("--network", "host"), ("--ulimit", "nofile=1024"))
BUILD = BuildOrder(
    Path("/context"),
    Path("/Dockerfile"),
    "name:1",
    {"a.b": '{"x": "y z"}'},
    ("id=token,src=/file",),
    no_cache=True,
)
RUN = RunOrder(
    "image",
    "cog-1",
    ("python", "-V"),
    ("NAME",),
    ("127.0.0.1:1:5000",),
    ((Path("/here"), "/src"),),
    (("host.docker.internal", "host-gateway"),),
    "all",
    tty=True,
    network=False,
)


def put(folder: Path, name: str, text: str = "exit 0") -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("engine", "begin"),
    [
        (Docker(EXTRA), ["docker", "--log-level", "error", "buildx", "build", "--load"]),
        (Podman(EXTRA), ["podman", "--log-level", "error", "build", "--layers=true"]),
        (Buildah(EXTRA), ["buildah", "bud", "--layers=true"]),
    ],
)
def test_a_build(engine: Engine, begin: list[str]) -> None:
    command = engine.build(BUILD)
    assert command[: len(begin)] == begin
    assert command[-3:] == ["--network", "host", "/context"]
    for words in (
        ["--platform", "linux/amd64"],
        ["--file", "/Dockerfile", "--tag", "name:1"],
        ["--secret", "id=token,src=/file"],
        ["--label", 'a.b={"x": "y z"}'],
        ["--no-cache"],
    ):
        at = command.index(words[0])
        assert command[at : at + len(words)] == words


@pytest.mark.parametrize(
    ("engine", "program"), [(Docker(EXTRA), "docker"), (Podman(EXTRA), "podman"), (Buildah(EXTRA), "podman")]
)
def test_a_container(engine: Engine, program: str) -> None:
    gpus = ["--gpus", "all"] if program == "docker" else ["--device", "nvidia.com/gpu=all"]
    assert engine.run(RUN) == [
        program, "--log-level", "error", "run", "--rm", "--name", "cog-1", "--shm-size", "6g", "--env", "NAME",
        "--publish", "127.0.0.1:1:5000", "--volume", "/here:/src", "--add-host", "host.docker.internal:host-gateway", "--interactive", "--tty", "--network", "none",
        *gpus, "--ulimit", "nofile=1024", "image", "python", "-V",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("gpus", "names"),
    [("all", ["all"]), ("2", ["0", "1"]), ("device=0,2", ["0", "2"]), ('"device=1"', ["1"]), (None, [])],
)
def test_podman_names_gpus_in_its_own_way(gpus: str | None, names: list[str]) -> None:
    assert devices(gpus) == [word for name in names for word in ("--device", f"nvidia.com/gpu={name}")]


@pytest.mark.parametrize(
    ("image", "local"),
    [
        ("localhost:5000/a", True), ("127.0.0.1:5000/a/b:1", True), ("localhost/a", True), ("[::1]:5000/a", True),
        ("example.com/a", False), ("localhost.example.com/a", False), ("a", False), ("localhost", False),
    ],
)  # fmt: skip
def test_a_registry_of_this_machine_needs_no_certificate(image: str, local: bool) -> None:
    assert is_local(image) is local
    file = Path("/digest")
    assert ("--tls-verify=false" in Podman().push(image, file)) is local
    assert ("--tls-verify=false" in Buildah().push(image, file)) is local
    assert "--tls-verify=false" not in Docker().push(image, file)


def test_the_first_that_works_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    put(tmp_path, "docker", 'echo "Cannot connect to the daemon" >&2; exit 1')
    put(tmp_path, "podman")
    assert choice.find(None, {}).name == "podman"
    assert choice.find(None, {"COG_ENGINE": ""}).name == "podman"
    put(tmp_path, "docker")
    assert choice.find(None, {}).name == "docker"
    assert choice.find(None, {"COG_ENGINE": "podman"}).name == "podman"
    put(tmp_path, "buildah")
    assert choice.find("buildah", {"COG_ENGINE": "podman"}).name == "buildah"


def test_without_one_it_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    put(tmp_path, "docker", 'echo "Cannot connect to the daemon. Is it running?" >&2; exit 1')
    put(tmp_path, "buildah")
    with pytest.raises(EngineMissing) as caught:
        choice.find(None, {})
    text = str(caught.value)
    assert "its daemon cannot be reached: Cannot connect to the daemon. Is it running?" in text
    assert "podman is not installed" in text
    assert "buildah is installed, but podman is not" in text
    assert "Install Docker" in text
    assert "Without an engine `cog run` and `cog serve` run the model of this folder" in text
    with pytest.raises(EngineMissing, match="podman cannot be used"):
        choice.find("podman", {})


def test_words_of_ones_own_are_parted_as_a_shell_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    put(tmp_path, "podman")
    given = {
        "COG_ENGINE_ARGS": "--runtime 'my runc'",
        "COG_RUN_ARGS": "--ulimit a=1",
        "COG_BUILD_ARGS": "--network host",
    }
    found = choice.find(None, given)
    assert found.run(RunOrder("i", "n"))[:4] == ["podman", "--runtime", "my runc", "run"]
    assert found.run(RunOrder("i", "n"))[-3:] == ["--ulimit", "a=1", "i"]
    assert found.build(BUILD)[-3:] == ["--network", "host", "/context"]
    with pytest.raises(UsageError, match="COG_RUN_ARGS cannot be parted into words"):
        choice.find(None, {"COG_RUN_ARGS": "'open"})
    with pytest.raises(UsageError, match="COG_ENGINE lxc: there is no such engine"):
        choice.find(None, {"COG_ENGINE": "lxc"})


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("/bin/sh: 1: git: not found", "add `git` to build.system_packages"),
        ("error: command '/usr/bin/gcc' failed", "add `build-essential`"),
        ("invalid peer certificate: UnknownIssuer", "set COG_CA_CERT"),
        ("E: Unable to locate package ffmpge", "build.system_packages names a package"),
        ("write /x: no space left on device", "The disk is full"),
        ("setting up CDI devices: unresolvable CDI devices nvidia.com/gpu=all", "`nvidia-ctk cdi generate`"),
        ('could not select device driver "" with capabilities: [[gpu]]', "leave --gpus out"),
    ],
)
def test_a_failed_build_is_explained(said: str, told: str) -> None:
    text = advice.told(f"STEP 3\n{said}", "podman")
    assert text.startswith("podman cannot build the image:")
    assert said in text
    assert told in text
    assert advice.told("something else", "docker").endswith("something else")
