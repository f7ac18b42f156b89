"""Which versions belong together, as `data/` has it from those who make them."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

_FOLDER: Final = Path(__file__).parent / "data"

Version: TypeAlias = tuple[int, ...]


def version(text: str) -> Version:
    """`12.4.1` as (12, 4, 1)."""
    return tuple(int(part) for part in text.split("."))


@dataclass(frozen=True, slots=True)
class Torch:
    """A release of torch. `versions` are its own and those of torchvision and torchaudio that belong to it, by name;
    `cuda` the versions that it has wheels for, of which those for `pypi` are on PyPI, and the others on PyTorch's index."""

    versions: dict[str, str]
    cuda: tuple[str, ...]
    pypi: str | None


@dataclass(frozen=True, slots=True)
class Tensorflow:
    """A minor version of TensorFlow, and the CUDA and cuDNN that it was built with."""

    minor: str
    cuda: str
    cudnn: str


@dataclass(frozen=True, slots=True)
class Tag:
    """An image of NVIDIA with CUDA and cuDNN; of the latter the major version."""

    image: str
    cuda: str
    cudnn: str


@functools.cache
def torch() -> tuple[Torch, ...]:
    """Every known release, the newest first."""
    return tuple(map(_release, _read("torch")["releases"]))


def _release(row: dict[str, Any]) -> Torch:
    names = ("torch", "torchvision", "torchaudio")
    pypi: str | None = row["pypi"]
    cuda = {*row["others"], *([] if pypi is None else [pypi])}
    return Torch({name: row[name] for name in names if name in row}, tuple(sorted(cuda, key=version)), pypi)


def torch_index(cuda: str | None) -> str:
    """Where the wheels of torch for this CUDA are; without one those for the CPU."""
    return f"{_read('torch')['index']}{variant(cuda)}"


def variant(cuda: str | None) -> str:
    """How PyTorch calls its wheels for this CUDA: `cu128`; `cpu` without one."""
    return "cpu" if cuda is None else "cu" + "".join(cuda.split(".")[:2])


@functools.cache
def tensorflow() -> tuple[Tensorflow, ...]:
    """Every known minor version, the newest first."""
    return tuple(
        Tensorflow(row["tensorflow"], row["cuda"], row["cudnn"]) for row in _read("tensorflow")["releases"]
    )


@functools.cache
def tags() -> tuple[Tag, ...]:
    """Every known image with CUDA, the newest first."""
    table = _read("cuda")
    return tuple(
        Tag(f"{table['repository']}:{row['tag']}", row["cuda"], row["cudnn"]) for row in table["tags"]
    )


def default_cuda() -> str:
    """The CUDA of a model that asks for a GPU and says nothing more."""
    return str(_read("cuda")["default"])


@functools.cache
def _read(name: str) -> dict[str, Any]:
    table: dict[str, Any] = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return table
