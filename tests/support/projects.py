"""Folders of models with packages of their own making, and `cog` run in them as a process. No network is needed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from support.serving import DEADLINE, until

COG = (sys.executable, "-m", "cog.cli.main")
# What would make uv or cog behave otherwise than on a plain machine.
_CLEARED = ("COG_", "UV_", "PIP_", "NO_COLOR", "VIRTUAL_ENV", "CONDA_PREFIX", "FORCE_COLOR")

# A package whose making waits until the file `go` is there, and tells of itself in `begun`.
_PATIENT = """
import os, time, zipfile

def build_wheel(folder, config=None, metadata=None):
    with open("begun", "a") as file:
        file.write(f"{os.getppid()}\\n")
    deadline = time.monotonic() + 60
    while not os.path.exists("go") and time.monotonic() < deadline:
        time.sleep(0.01)
    name = "patient-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.write("content.py", "patient.py")
        wheel.writestr("patient-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: patient\\nVersion: 1.0\\n")
        wheel.writestr("patient-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("patient-1.0.dist-info/RECORD", "")
    return name
"""


def make_wheel(
    folder: Path, name: str, version: str = "1.0", requires: Sequence[str] = (), source: str = ""
) -> Path:
    """A package with one module, `name`, which holds `source` and VERSION."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    about = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {each}\n" for each in requires)
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}/__init__.py", f"VERSION = {version!r}\n{source}")
        wheel.writestr(f"{about}/METADATA", metadata)
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    return path


def make_patient_package(folder: Path, value: int = 1) -> Path:
    """The folder of a package that is made only when `go` lies in it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "maker"\nbackend-path = ["."]\n'
        '[project]\nname = "patient"\nversion = "1.0"\n'
    )
    (folder / "maker.py").write_text(_PATIENT)
    (folder / "content.py").write_text(f"VALUE = {value}\n")
    return folder


def make_project(folder: Path, config: str = "", requirements: str | None = None) -> Path:
    """A model's folder. `config` are further lines of cog.yaml; `build:` is written here when there are requirements."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.py").write_text(
        "from cog import BaseRunner\n\n\nclass Runner(BaseRunner):\n    def run(self) -> int:\n        return 1\n"
    )
    head = 'run: "run.py:Runner"\n'
    if requirements is not None:
        (folder / "requirements.txt").write_text(requirements)
        head += "build:\n  python_requirements: requirements.txt\n"
    (folder / "cog.yaml").write_text(head + config)
    return folder


def variables(cache: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a plain machine without a network. uv keeps its cache in `cache`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_CLEARED)}
    return {
        **kept,
        "UV_OFFLINE": "1",
        "UV_CACHE_DIR": str(cache),
        "PIP_CONFIG_FILE": os.devnull,
        **(extra or {}),
    }


@dataclass
class Command:
    """A `cog` that runs, and what it has written so far."""

    process: subprocess.Popen[str]
    written: list[str] = field(default_factory=list)

    def read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.written.append(line)

    def wait_written(self, text: str) -> None:
        """Return when `text` was written to stderr."""
        until(lambda: "".join(self.written), lambda written: text in written)

    def wait(self) -> int:
        return self.process.wait(DEADLINE)


@dataclass(frozen=True)
class Shell:
    """Runs `cog` in the environment of a plain machine."""

    environ: Mapping[str, str]

    def cog(self, folder: Path, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(
            [*COG, *arguments],
            cwd=folder,
            env={**self.environ, **extra},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=2 * DEADLINE,
            check=False,
        )

    def python(self, folder: Path, source: str, *flags: str, **extra: str) -> str:
        """What `cog exec python -c source` prints; it has to succeed."""
        done = self.cog(folder, "exec", *flags, "python", "-c", source, **extra)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    @contextmanager
    def start(self, folder: Path, *arguments: str, **extra: str) -> Iterator[Command]:
        """Start it in a process group of its own; killed at the end if it still runs."""
        process = subprocess.Popen(
            [*COG, *arguments],
            cwd=folder,
            env={**self.environ, **extra},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        command = Command(process)
        reader = threading.Thread(target=command.read, daemon=True)
        reader.start()
        try:
            yield command
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            reader.join(DEADLINE)
            assert process.stdin is not None
            assert process.stderr is not None
            process.stdin.close()
            process.stderr.close()
