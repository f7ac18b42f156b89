"""A container engine for tests: storage of its own, bases made here, and `cog` run against it. Nothing is pulled.

What takes long to make is kept from run to run, in the user's cache.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from support.cogs import COG, surroundings
from support.command import free_port
from support.serving import Response, request, until

TOOLS = ("buildah", "podman", "runc", "mmdebstrap")
CACHE = Path(os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))) / "cog-tests"
DEADLINE = 240.0
DEBIAN = "localhost/python:3.11-slim"  # Debian 12, whose own Python is 3.11
OFFICIAL = "docker.io/library/python:3.12-slim"  # the name that cog takes for Python 3.12; here it is Debian with a 3.12

# Works as root in a container too: no control groups are made, and no limits that are higher than one's own.
_CONTAINERS = """
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[containers]
default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]
"""
_STORAGE = '[storage]\ndriver = "overlay"\ngraphroot = "{0}/images"\nrunroot = "{0}/run"\n'
_LIBRARIES = "libbz2-1.0 libcrypt1 libffi8 liblzma5 libncursesw6 libnsl2 libreadline8 libsqlite3-0 libssl3 libtirpc3 libuuid1"
_DOCKERFILE = f"""
FROM {DEBIAN}
ADD python.tar /usr/local/
RUN ldconfig && ln -sf python3.12 /usr/local/bin/python3 && ln -sf python3 /usr/local/bin/python \
    && python -m ensurepip && ln -sf pip3 /usr/local/bin/pip
"""


def needed() -> None:
    """Skip, or fail where everything has to be there, when a tool is missing."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing or os.geteuid() != 0:
        what = f"not here: {', '.join(missing)}" if missing else "bases are made by root"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(what)


@dataclass(frozen=True)
class Ground:
    """The engine, and where its files are."""

    place: Path

    @cached_property
    def environ(self) -> dict[str, str]:
        """The environment of a command that uses it."""
        trusted = os.environ.get("SSL_CERT_FILE")
        return surroundings(
            {
                "CONTAINERS_CONF": str(self.place / "containers.conf"),
                "CONTAINERS_STORAGE_CONF": str(self.place / "storage.conf"),
                "REGISTRY_AUTH_FILE": str(self.place / "auth.json"),
                "BUILDAH_ISOLATION": "chroot",
                "COG_ENGINE": "buildah",
                "COG_BUILD_ARGS": "--network host",
                **({"COG_CA_CERT": trusted} if trusted else {}),
            }
        )

    def call(self, *command: str, check: bool = True, timeout: float = DEADLINE) -> str:
        """What a program of the engine prints."""
        done = subprocess.run(
            command,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )
        assert not check or done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def cog(self, folder: Path, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """`cog` to its end."""
        return subprocess.run(
            [*COG, *arguments],
            cwd=folder,
            env={**self.environ, **extra},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    def build(self, folder: Path, tag: str, *flags: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """`cog build`, which has to succeed."""
        done = self.cog(folder, "build", "-t", tag, *flags, **extra)
        assert done.returncode == 0, done.stderr
        return done

    def layers(self, image: str) -> list[str]:
        """The digests of an image's layers, the oldest first."""
        found: list[str] = json.loads(self.call("podman", "image", "inspect", image))[0]["RootFS"]["Layers"]
        return found

    def labels(self, image: str) -> dict[str, str]:
        """The labels of an image."""
        found: dict[str, str] = json.loads(self.call("podman", "image", "inspect", image))[0]["Config"][
            "Labels"
        ]
        return found

    def size(self, image: str) -> int:
        """The bytes of an image."""
        found: int = json.loads(self.call("podman", "image", "inspect", image))[0]["Size"]
        return found

    def containers(self) -> list[str]:
        """The names of all containers that there are."""
        return self.call("podman", "ps", "--all", "--format", "{{.Names}}").split()

    @contextlib.contextmanager
    def running(self, image: str, *flags: str, timeout: float = 60) -> Iterator[Running]:
        """A container of `image`, as a person starts one, once its model is ready, which may take `timeout` seconds."""
        port, name = free_port(), f"test-{secrets.token_hex(4)}"
        self.call(
            "podman", "run", "--detach", "--name", name, "--publish", f"127.0.0.1:{port}:5000", *flags, image
        )
        running = Running(self, name, f"http://127.0.0.1:{port}")
        try:
            until(running.status, lambda status: status == "READY", timeout)
            yield running
        except BaseException:
            print(self.call("podman", "logs", name, check=False))
            raise
        finally:
            self.call("podman", "rm", "--force", "--time", "5", name, check=False)


@dataclass(frozen=True)
class Running:
    """A container that serves."""

    ground: Ground
    name: str
    url: str

    def status(self) -> str:
        """What its health check says; empty while nobody answers."""
        try:
            return str(request(f"{self.url}/health-check", timeout=5).json()["status"])
        except OSError:
            return ""

    def predict(self, **given: Any) -> Any:
        """The output of a prediction, which has to succeed."""
        answer: Response = request(f"{self.url}/predictions", "POST", json_body={"input": given})
        found = answer.json()
        assert found.get("status") == "succeeded", found
        return found["output"]

    def shell(self, text: str) -> str:
        """What a command line in the container prints."""
        return self.ground.call("podman", "exec", self.name, "sh", "-c", text)


def prepare() -> Ground:
    """The engine with its bases, made where they are missing."""
    ground = Ground(CACHE / "containers")
    ground.place.mkdir(parents=True, exist_ok=True)
    (ground.place / "containers.conf").write_text(_CONTAINERS)
    (ground.place / "auth.json").write_text("{}")
    (ground.place / "storage.conf").write_text(_STORAGE.format(ground.place))
    known = ground.call("podman", "images", "--format", "{{.Repository}}:{{.Tag}}").split()
    if DEBIAN not in known:
        _debian(ground)
    if OFFICIAL not in known:
        _official(ground)
    return ground


def _debian(ground: Ground) -> None:
    rootfs = ground.place / "rootfs.tar"
    packages = ",".join(
        ["python3,python3-venv,python3-pip,python-is-python3,ca-certificates", *_LIBRARIES.split()]
    )
    ground.call("mmdebstrap", "--variant=minbase", f"--include={packages}", "bookworm", str(rootfs))
    ground.call("podman", "import", str(rootfs), DEBIAN)
    ground.call("podman", "tag", DEBIAN, "docker.io/library/python:3.11-slim")
    rootfs.unlink()


def _official(ground: Ground) -> None:
    """Debian with a Python 3.12 of this machine below /usr/local, where Docker's image has its own."""
    from cog.environment.interpreters import find

    python = find("3.12")
    if python is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            "no Python 3.12 here: install one with pyenv or uv"
        )
    asked = subprocess.run(
        [python, "-c", "import sys; print(sys.base_prefix)"], capture_output=True, text=True, check=True
    )
    home = Path(asked.stdout.strip())
    assert home != Path("/usr"), (
        "a Python 3.12 of pyenv's or uv's is needed: one of the system cannot be moved"
    )
    context = ground.place / "official"
    context.mkdir(exist_ok=True)
    with tarfile.open(context / "python.tar", "w") as archive:
        for part in ("bin/python3.12", "lib", "include/python3.12"):
            archive.add(home / part, part, filter=_needed)
    (context / "Dockerfile").write_text(_DOCKERFILE)
    ground.call("buildah", "bud", "--network", "host", "--tag", OFFICIAL, str(context))
    shutil.rmtree(context)


def _needed(found: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Without what no image has: tests, the archive for embedding, packages of others."""
    parts = set(Path(found.name).parts)
    left = {"test", "__pycache__", "site-packages", "tkinter", "idlelib", "EXTERNALLY-MANAGED"}
    return None if parts & left or found.name.endswith(".a") else found
