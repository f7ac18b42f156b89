"""Fills the place of an environment: a Python, and the packages that the model asks for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from cog.environment import interpreters, requirements, settings, uv
from cog.environment.recipe import Recipe
from cog.errors import EnvironmentFailed

# A package of our own name is dropped whoever asks for it, or it would lie where the SDK belongs.
_OVERRIDES: Final = "".join(f'{name} ; sys_platform == "never"\n' for name in requirements.OURS)


def fill(wanted: Recipe, report: Callable[[str], None], lock: int) -> None:
    """A new virtual environment with the model's packages.

    Raises:
        EnvironmentFailed: it cannot be made; a part of it may be there.
    """
    environ = settings.variables(os.environ)
    held = (lock,)
    python = interpreters.take(wanted.python, report, held)
    report(f"Python {wanted.python} is {python}")
    place = wanted.place
    # Relative, so that uv tells what is wrong with a folder whose name is no UTF-8: in an argument it shows its usage.
    near = str(place.relative_to(wanted.folder))
    prompt = wanted.folder.name.encode("utf-8", "replace").decode() or "model"
    arguments = ["venv", "--quiet", "--no-project", f"--prompt={prompt}", "--python", str(python), near]
    made = uv.call(arguments, wanted.folder, environ, None, held)
    if made.code != 0:
        raise EnvironmentFailed(f"{python} cannot make an environment. What uv says:\n\n{made.message}")
    if (listed := _listed(wanted)) is not None:
        install = ["pip", "install", "--python", str(place / "bin" / "python"), *_flags(wanted, environ)]
        report("resolving")
        installed = uv.call([*install, "-r", listed], wanted.folder, environ, report, held)
        if installed.code != 0:
            raise EnvironmentFailed(_refused(wanted, installed.message))


def _listed(wanted: Recipe) -> str | None:
    """The file that lists the packages, as uv finds it in the model's folder. None when there are none."""
    if wanted.requirements is not None or not wanted.packages:
        return wanted.requirements
    file = wanted.place / "packages.txt"
    file.write_text("".join(f"{package}\n" for package in wanted.packages))
    return str(file)


def _flags(wanted: Recipe, environ: Mapping[str, str]) -> Sequence[str]:
    overrides = wanted.place / "overrides.txt"
    overrides.write_text(_OVERRIDES)
    theirs = environ.get("UV_OVERRIDE", "").split()  # a flag takes the place of the variable
    files = [str(overrides), *theirs]
    # uv keeps what it has built of a folder, and looks again only when the folder's pyproject.toml has changed. There is
    # nothing to reinstall, but unlike --refresh this works without a network too.
    return [*(f"--override={file}" for file in files), *(["--reinstall"] if wanted.rebuilds else [])]


def _refused(wanted: Recipe, message: str) -> str:
    where = wanted.requirements if wanted.requirements is not None else "build.python_packages of cog.yaml"
    return (
        f"The packages that {where} names cannot be installed for Python {wanted.python}. Correct it there; a version that "
        f"cannot be found, or another Python than the package is made for, is the usual cause. What uv says:\n\n{message}"
    )
