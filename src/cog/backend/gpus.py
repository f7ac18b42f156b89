"""Which GPUs there are, and which worker gets which. Only files are read for that: no driver is loaded."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cog.errors import SettingError

CUDA: Final = "CUDA_VISIBLE_DEVICES"
HIP: Final = "HIP_VISIBLE_DEVICES"  # AMD's; it is looked at before CUDA's, which ROCm knows as well
ROCR: Final = "ROCR_VISIBLE_DEVICES"  # the same one layer below: what it leaves is numbered anew
_SMI: Final = 10.0  # seconds for nvidia-smi, which starts the driver where nothing else has


@dataclass(frozen=True, slots=True)
class Gpus:
    """GPUs that are divided among the workers, each by the name that `variables` take; none: every worker sees all."""

    names: tuple[str, ...] = ()
    variables: tuple[str, ...] = (CUDA,)

    def environment(self, index: int) -> dict[str, str]:
        """What the worker `index` has in its environment. More workers than GPUs share them, in turn."""
        if not self.names:
            return {}
        return dict.fromkeys(self.variables, self.names[index % len(self.names)])

    def together(self) -> Gpus:
        """All of them for each worker."""
        return Gpus((",".join(self.names),), self.variables) if self.names else self


def choose(asked: Sequence[str] | None, environ: Mapping[str, str], root: Path = Path("/")) -> Gpus:
    """The GPUs to divide: those that were `asked` for, "all" of them, or, for None, all when there are several.

    A number counts what this process sees: where CUDA_VISIBLE_DEVICES is "2,3", 0 is GPU 2. `root` is where the
    system's files are.

    Raises:
        SettingError: what was asked for is not there.
    """
    seen, amd = _seen(environ, root)
    variables = (CUDA, HIP) if amd else (CUDA,)
    if asked is None:
        return Gpus(seen, variables) if seen is not None and len(seen) > 1 else Gpus()
    if tuple(asked) == ("all",):
        if not seen:
            raise SettingError(f"--gpus all: {_none(environ)}")
        return Gpus(seen, variables)
    return Gpus(tuple(_find(name, seen, environ) for name in asked), variables)


def _find(name: str, seen: tuple[str, ...] | None, environ: Mapping[str, str]) -> str:
    if seen is None:
        return name  # they cannot be counted: the model will tell
    if name.isdecimal():
        if int(name) < len(seen):
            return seen[int(name)]
        if not seen:
            raise SettingError(f"--gpus {name}: {_none(environ)}")
        numbers = "0" if len(seen) == 1 else f"0 to {len(seen) - 1}"
        what = f" (of {CUDA}={environ[CUDA]})" if CUDA in environ else ""
        raise SettingError(
            f"--gpus {name}: there is no such GPU. Those that this server sees are {numbers}{what}."
        )
    if CUDA not in environ or any(other.startswith(name) or name.startswith(other) for other in seen):
        return name
    raise SettingError(
        f"--gpus {name}: it is not among {CUDA}={environ[CUDA]}, which is all that this server sees."
    )


def _none(environ: Mapping[str, str]) -> str:
    if CUDA in environ:
        return f"{CUDA} is {environ[CUDA]!r}, which hides every GPU. Unset it, or leave --gpus out."
    return (
        "no GPU was found. A container sees them when it is started with `--gpus all` (docker) and the NVIDIA Container "
        "Toolkit is installed; `nvidia-smi -L` lists them. Name them (--gpus 0,1) if there are some, or leave --gpus out."
    )


def _seen(environ: Mapping[str, str], root: Path) -> tuple[tuple[str, ...] | None, bool]:
    """The GPUs that this process sees, None when they cannot be counted, and whether they are AMD's."""
    outer = next((environ[name] for name in (HIP, CUDA) if name in environ), None)
    amd = _amd(environ, root)
    is_amd = HIP in environ or ROCR in environ or bool(amd)
    if outer is not None:
        return _entries(outer), is_amd
    return (_numbers(amd), True) if amd else (_nvidia(environ, root), is_amd)


def _entries(text: str) -> tuple[str, ...]:
    """The devices that such a variable names: CUDA takes them up to the first that is none."""
    found: list[str] = []
    for word in map(str.strip, text.split(",")):
        if not word or word.startswith("-") or word == "NoDevFiles":
            break
        found.append(word)
    return tuple(found)


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))


def _nvidia(environ: Mapping[str, str], root: Path) -> tuple[str, ...] | None:
    # A container may be shown all GPUs by the one and only its own by the other.
    listed = len(_names(root / "proc/driver/nvidia/gpus"))
    devices = len([name for name in _names(root / "dev") if re.fullmatch(r"nvidia[0-9]+", name)])
    count = min(listed, devices) if listed and devices else listed or devices
    split = any(root.glob("proc/driver/nvidia/capabilities/gpu*/mig/gi*")) if count else False
    if count and not split:
        return _numbers(count)
    # Parts of a GPU (MIG) have names only; under WSL none of the files is there.
    return _listed(environ) or (_numbers(count) if count else None)


def _listed(environ: Mapping[str, str]) -> tuple[str, ...]:
    """What `nvidia-smi -L` lists: a GPU by its number, or its parts by their names, where it is divided into such."""
    try:
        shown = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=_SMI, check=True, env=dict(environ)
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    found: list[str] = []
    number = ""
    for line in shown.stdout.splitlines():
        if (gpu := re.match(r"GPU (\d+):", line)) is not None:
            number = gpu[1]
            found.append(number)
        elif (part := re.search(r"\(UUID: (MIG-[^)]+)\)", line)) is not None:
            if found and found[-1] == number:
                found.pop()  # which is no device itself any more
            found.append(part[1])
    return tuple(found)


def _amd(environ: Mapping[str, str], root: Path) -> int:
    """How many GPUs ROCm would number; a processor is a node as well, with the number 0."""
    if ROCR in environ:
        return len(_entries(environ[ROCR]))
    nodes = root / "sys/class/kfd/kfd/topology/nodes"
    count = sum(_text(nodes / name / "gpu_id") not in ("", "0") for name in _names(nodes))
    given = sum(name.startswith("renderD") for name in _names(root / "dev/dri"))
    return min(count, given) if given else count


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
