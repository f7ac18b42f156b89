"""What the doctor looks at: the cog.yaml, as far as it can be read, and the Python file that it names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cog.config import document
from cog.config.document import Mapping, Node, Scalar
from cog.config.model import Config
from cog.config.parse import content, load
from cog.doctor.source import Source, read
from cog.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Patient:
    """A project. `config` is None, and `fault` says why, when its cog.yaml cannot be followed.

    `tree` is None when the file cannot be read at all. `reference` is what it names as the model, also when
    something else in it is wrong. `source` is the file of that, where there is one. `train`: it names no model that is
    run, so that is its training function.
    """

    path: Path
    data: bytes
    config: Config | None
    fault: str
    tree: Node | None
    reference: str | None
    source: Source | None
    train: bool = False

    @property
    def folder(self) -> Path:
        """The folder of the model."""
        return self.path.parent

    @property
    def name(self) -> str:
        """The class or function that is named, empty when only a file is."""
        file, colon, name = (self.reference or "").rpartition(":")
        return name if colon and file else ""


def examine(path: Path) -> Patient:
    """Read the project of the configuration at `path`, which has to be there.

    Raises:
        OSError: it cannot be read.
    """
    data = content(path)
    config, fault = None, ""
    try:
        config = load(path)
    except ConfigError as error:
        fault = str(error)
    try:
        tree, _ = document.read(data)
    except document.Unreadable:
        tree = None
    reference, train = _reference(tree, "run", "predict"), False
    if reference is None:
        reference = _reference(tree, "train")
        train = reference is not None
    file = None if reference is None else path.parent / reference.partition(":")[0]
    source = read(file) if file is not None and file.is_file() else None
    return Patient(path, data, config, fault, tree, reference, source, train)


def entry(tree: Node | None, *path: str) -> tuple[Scalar, Node] | None:
    """The key and the value at a path of keys, such as `build`, `run`."""
    found: tuple[Scalar, Node] | None = None
    for name in path:
        inside = tree if isinstance(tree, Mapping) else None
        found = next((pair for pair in inside.entries if pair[0].text == name), None) if inside else None
        tree = None if found is None else found[1]
    return found


def _reference(tree: Node | None, *keys: str) -> str | None:
    for key in keys:
        found = entry(tree, key)
        if found is not None and isinstance(found[1], Scalar) and found[1].kind == "str":
            return found[1].text
    return None
