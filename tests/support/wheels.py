"""A wheel of this project, as a build tool makes it, of the files that are tested."""

from __future__ import annotations

import importlib.metadata
import re
import zipfile
from pathlib import Path

import cog

PACKAGE = Path(cog.__file__).parent


def write_wheel(folder: Path, version: str, more_requirements: tuple[str, ...] = ()) -> Path:
    """One of `version`, which also says so when it is imported."""
    metadata = str(importlib.metadata.metadata("cog"))
    about = re.sub(r"(?m)^Version: .*$", f"Version: {version}", metadata)
    about = about.replace(
        "\n\n", "".join(f"\nRequires-Dist: {line}" for line in more_requirements) + "\n\n", 1
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"cog-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(PACKAGE.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                content = file.read_bytes()
                if file == PACKAGE / "version.py":
                    content = content.replace(cog.__version__.encode(), version.encode())
                archive.writestr(f"cog/{file.relative_to(PACKAGE).as_posix()}", content)
        archive.writestr(f"cog-{version}.dist-info/METADATA", about)
    return path
