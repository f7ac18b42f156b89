"""Writes what PyPI says of torch and TensorFlow into the tables that choose an image's CUDA: `src/cog/image/data`.

`python -m scripts.cuda_versions`, after a release of one of them. Wheels on PyPI require NVIDIA's packages in exact versions, and
these have the version of CUDA or cuDNN that they are a part of; uv resolves them. What PyPI does not know stays as it is:
`others`, the wheels that PyTorch has on its own index, and releases from before the wheels said what they need.
"""

from __future__ import annotations

import atexit
import functools
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

DATA: Final = Path(__file__).parents[1] / "src" / "cog" / "image" / "data"
PYTHONS: Final = ("3.12", "3.11", "3.10")  # the first that a release has wheels for
COMPANIONS: Final = ("torchvision", "torchaudio")
# Named by TensorFlow 2.14, and on no registry any more that could be resolved; it is no part of CUDA.
LEFT_OUT: Final = 'tensorrt ; sys_platform == "never"\n'

_RUNTIME: Final = re.compile(r"nvidia-cuda-runtime(?:-cu\d+)?")
_CUDNN: Final = re.compile(r"nvidia-cudnn-cu\d+")


def main() -> int:
    """Write both tables."""
    with ThreadPoolExecutor(8) as pool:
        _write("torch", torch(_read("torch"), pool))
        _write("tensorflow", tensorflow(_read("tensorflow"), pool))
    return 0


def torch(table: dict[str, Any], pool: ThreadPoolExecutor) -> dict[str, Any]:
    """The table of torch: every release, what belongs to it, and the CUDA of its wheels."""
    known = {row["torch"]: row for row in table["releases"]}
    names = sorted({*released("torch"), *known}, key=_number, reverse=True)
    found = dict(zip(names, pool.map(lambda name: resolved(f"torch=={name}"), names), strict=True))
    beside = {name: companions(name, pool) for name in COMPANIONS}
    rows = []
    for name in names:
        old = known.get(name, {})
        row: dict[str, Any] = {"torch": name}
        row |= {each: its for each in COMPANIONS if (its := beside[each].get(name, old.get(each)))}
        row["pypi"] = cuda(found[name]) or old.get("pypi")
        row["others"] = old.get("others", [])
        rows.append(row)
    return {**table, "releases": rows}


def companions(name: str, pool: ThreadPoolExecutor) -> dict[str, str]:
    """The newest release of `name` that belongs to each release of torch: the one that requires exactly that."""
    versions = sorted(released(name), key=_number)
    found = [each.get("torch") for each in pool.map(lambda version: resolved(f"{name}=={version}"), versions)]
    newest = max(filter(None, found), key=_number)
    pairs = zip(versions, found, strict=True)
    # Those that take any torch resolve to its newest one, but take an older one, too.
    return {
        torch: version
        for version, torch in pairs
        if torch is not None and not (torch == newest and resolved(f"{name}=={version}", f"torch<{newest}"))
    }


def tensorflow(table: dict[str, Any], pool: ThreadPoolExecutor) -> dict[str, Any]:
    """The table of TensorFlow: each minor version, with a CUDA and cuDNN that its last release takes."""
    known = {row["tensorflow"]: row for row in table["releases"]}
    newest = {".".join(name.split(".")[:2]): name for name in sorted(released("tensorflow"), key=_number)}
    minors = sorted({*newest, *known}, key=_number, reverse=True)
    rows = pool.map(lambda minor: _built_with(minor, newest.get(minor), known.get(minor)), minors)
    return {**table, "releases": [row for row in rows if row is not None]}


def _built_with(minor: str, name: str | None, known: dict[str, str] | None) -> dict[str, str] | None:
    """What TensorFlow says in its documentation, unless its wheels refuse that; else what these take."""
    wheel = f"tensorflow[and-cuda]=={name}"
    if name is None or not cuda(resolved(wheel)):
        return known
    if known is not None:
        major = known["cuda"].partition(".")[0]
        parts = (
            f"nvidia-cuda-runtime-cu{major}=={known['cuda']}.*",
            f"nvidia-cudnn-cu{major}=={known['cudnn']}.*",
        )
        if resolved(wheel, *parts):
            return known
    found = resolved(wheel)
    return {"tensorflow": minor, "cuda": str(cuda(found)), "cudnn": str(cudnn(found))}


def released(name: str) -> list[str]:
    """The releases of a package that this Python could install, as pip lists them."""
    command = [sys.executable, "-m", "pip", "index", "versions", name]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    versions = re.findall(r"[0-9][\w.+]*", listed.partition("Available versions:")[2].splitlines()[0])
    return [version for version in versions if re.fullmatch(r"\d+\.\d+\.\d+", version)]


@functools.cache
def resolved(*requirements: str) -> Mapping[str, str]:
    """The version of every package that comes with `requirements` on Linux; nothing when they cannot be had together."""
    overrides = _overrides()
    for python in PYTHONS:
        done = subprocess.run(
            [
                sys.executable, "-m", "uv", "pip", "compile", "-", "--no-header", "--no-annotate", "--no-build",
                "--no-python-downloads",
                "--python-platform", "x86_64-unknown-linux-gnu", "--python-version", python, "--overrides", overrides,
            ],
            input="\n".join(requirements), capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        if done.returncode == 0:
            return dict(line.split("==") for line in done.stdout.splitlines() if "==" in line)
    return {}


@functools.cache
def _overrides() -> str:
    with tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False) as file:
        file.write(LEFT_OUT)
    atexit.register(Path(file.name).unlink)
    return file.name


def cuda(packages: Mapping[str, str]) -> str | None:
    """The CUDA that is among these packages, as major and minor version."""
    return next(
        (".".join(its.split(".")[:2]) for name, its in packages.items() if _RUNTIME.fullmatch(name)), None
    )


def cudnn(packages: Mapping[str, str]) -> str | None:
    """The major version of the cuDNN that is among these packages."""
    return next((its.partition(".")[0] for name, its in packages.items() if _CUDNN.fullmatch(name)), None)


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _read(name: str) -> dict[str, Any]:
    table: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text())
    return table


def _write(name: str, table: Mapping[str, Any]) -> None:
    """One release a line: so a change of one is seen as a change of one."""
    head = [f"  {json.dumps(key)}: {json.dumps(value)}," for key, value in table.items() if key != "releases"]
    rows = ",\n".join(f"    {json.dumps(row)}" for row in table["releases"])
    text = "\n".join(["{", *head, '  "releases": [', rows, "  ]", "}", ""])
    (DATA / f"{name}.json").write_text(text)


if __name__ == "__main__":
    sys.exit(main())
