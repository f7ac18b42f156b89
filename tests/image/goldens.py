"""Configurations as people write them, and the Dockerfile that each gives: `golden/NAME/` holds both.

`PYTHONPATH=tests python -m image.goldens` writes the Dockerfiles again, to be looked over before they are kept.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cog.config.parse import load
from cog.image import base, dockerfile, packages
from cog.image.plan import Facts, plan, python_of

FOLDER = Path(__file__).parent / "golden"
WISHES = "wishes.json"  # what the command line said, and what lies in the folder


def cases() -> list[str]:
    """The names of all."""
    return sorted(path.name for path in FOLDER.iterdir() if path.is_dir())


def made(name: str) -> str:
    """The Dockerfile of one."""
    folder = FOLDER / name
    wishes: dict[str, Any] = {}
    if (folder / WISHES).exists():
        wishes = json.loads((folder / WISHES).read_text())
    config = load(folder / "cog.yaml")
    python = python_of(config.build, "3.12")
    asked = packages.read(config.build, folder)
    chosen = base.choose(config.build, python, asked.lines, cuda_base=wishes.pop("cuda_base", "auto"))
    fitted = packages.fit(asked, chosen.cuda)
    facts: dict[str, Any] = {
        "base": chosen,
        "python": python,
        "kit": "kit-0123456789ab",
        "uv": "0.9.7",
        "uv_lent": True,
        "packages": None if fitted.name is None else f"packages-{fitted.digest}",
        "requirements": fitted.name,
        "indexed": bool(fitted.notes),
    }
    return dockerfile.text(plan(config, Facts(**{**facts, **wishes})))


if __name__ == "__main__":
    for case in cases():
        (FOLDER / case / "Dockerfile").write_text(made(case))
