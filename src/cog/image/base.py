"""Which image a model's image begins with, and why that one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from cog.config.model import Build
from cog.image import frameworks, tables

CudaBase: TypeAlias = Literal["auto", "true", "false"]


@dataclass(frozen=True, slots=True)
class Base:
    """An image to begin with. `python` says whether it has a Python, else one is brought in. `cuda` is the CUDA that the
    model's packages are chosen for, None for the CPU. `why` says how all this was chosen, in one sentence."""

    image: str
    python: Literal["there", "brought"]
    why: str
    cuda: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A CUDA and a cuDNN (its major version, None: whichever), and who asks for them."""

    cuda: str
    cudnn: str | None
    why: str
    warnings: tuple[str, ...] = ()


def choose(build: Build, python: str, lines: Sequence[str], *, cuda_base: CudaBase = "auto") -> Base:
    """The base for a model that needs `build`, this Python, and the packages of `lines`.

    `cuda_base` says whether NVIDIA's images are used: when the model asks for a GPU (auto), always, or never.
    """
    wanted = _cuda(build, lines) if build.gpu else None
    cuda, warnings = (None, ()) if wanted is None else (wanted.cuda, wanted.warnings)
    if build.base_image is not None:
        return Base(build.base_image, "there", "cog.yaml names it", cuda, warnings)
    if cuda_base == "false" or (cuda_base == "auto" and wanted is None):
        why = f"Python {python}, as Docker's official image has it"
        return Base(f"docker.io/library/python:{python}-slim", "there", why, cuda, warnings)
    wanted = wanted or _cuda(build, lines)
    tag = _tag(wanted)
    told = f"CUDA {tag.cuda} with cuDNN {tag.cudnn}: {wanted.why}"
    if tables.version(tag.cuda)[:2] != tables.version(wanted.cuda)[:2]:
        asked = f"CUDA {wanted.cuda} with cuDNN {wanted.cudnn or tag.cudnn}"
        warnings = (*wanted.warnings, f"there is no image of {asked}: the nearest one, {tag.cuda}, is taken")
    return Base(tag.image, "brought", told, wanted.cuda, warnings)


def _cuda(build: Build, lines: Sequence[str]) -> _Wanted:
    """The CUDA of a model: what cog.yaml says, else what TensorFlow or torch needs, else the usual one."""
    cudnn = None if build.cudnn is None else build.cudnn.partition(".")[0]
    flow, torch = frameworks.tensorflow(lines), frameworks.torch(lines)
    if build.cuda is not None:
        return _Wanted(build.cuda, cudnn, "cog.yaml asks for it", _against(build.cuda, flow, torch))
    if flow is not None:
        return _Wanted(flow.cuda, cudnn or flow.cudnn, f"TensorFlow {flow.minor} was built with it")
    if torch is not None:
        newest = max(torch.cuda, key=tables.version)
        return _Wanted(newest, cudnn, f"the newest that torch {torch.versions['torch']} has wheels for")
    why = "neither cog.yaml nor a known version of torch or TensorFlow says which"
    return _Wanted(tables.default_cuda(), cudnn, why)


def _against(cuda: str, flow: tables.Tensorflow | None, torch: tables.Torch | None) -> tuple[str, ...]:
    """Warnings of a CUDA in cog.yaml that the frameworks were not made for."""
    wanted = tables.version(cuda)[:2]
    if flow is not None and tables.version(flow.cuda)[:2] != wanted:
        return (
            f"build.cuda is {cuda}, but TensorFlow {flow.minor} was built with CUDA {flow.cuda}: it may find no GPU",
        )
    if torch is not None and all(tables.version(each) != wanted for each in torch.cuda):
        known = " and ".join(torch.cuda)
        text = f"build.cuda is {cuda}, but torch {torch.versions['torch']} has wheels for CUDA {known}: it may find no GPU"
        return (text,)
    return ()


def _tag(wanted: _Wanted) -> tables.Tag:
    """The image with this CUDA and cuDNN. Where there is none the nearest of the same major version, which runs what was
    made for any minor version of it (NVIDIA's minor version compatibility)."""
    number = tables.version(wanted.cuda)
    fitting = [tag for tag in tables.tags() if wanted.cudnn in (None, tag.cudnn)] or list(tables.tags())

    def far(tag: tables.Tag) -> tuple[bool, int, bool]:
        have = tables.version(tag.cuda)
        apart = abs((have[0] - number[0]) * 1000 + have[1] - number[1])
        return have[0] != number[0], apart, have[1] > number[1]

    return min(fitting, key=far)
