"""From a cog.yaml to a `Config`, or to everything that is wrong with it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Final

from cog.config import rules
from cog.config.document import MAX_BYTES, Node, Scalar, Sequence, Unreadable, read
from cog.config.excerpt import excerpt
from cog.config.model import (
    Build,
    Concurrency,
    Config,
    Mount,
    Step,
    Traces,
    Variable,
    Weight,
    WeightSource,
)
from cog.config.reader import Group, Reader
from cog.config.requirements import unusable
from cog.errors import ConfigDoesNotExist, ConfigError

NAME: Final = "cog.yaml"
MAX_PARENTS: Final = 100


def find(start: Path) -> Path | None:
    """The cog.yaml of the folder `start`, or of the nearest of its up to 100 parents that has one."""
    folder = start.absolute()
    for candidate in (folder, *tuple(folder.parents)[:MAX_PARENTS]):
        if os.path.isfile(candidate / NAME):
            return candidate / NAME
    return None


def locate(file: str | None) -> Path:
    """The configuration that a person means: `file`, or the one of this folder.

    Raises:
        ConfigDoesNotExist: there is none.
    """
    if file is None:
        path = find(Path.cwd())
        if path is None:
            raise ConfigDoesNotExist(
                f"There is no {NAME} in {Path.cwd()} or in a folder above it. Go to the folder of a model, or write one "
                "with `cog init`."
            )
        return path
    path = Path(file).absolute()
    if path.is_dir():
        raise ConfigDoesNotExist(f"{path} is a folder. Name the file in it: {path / NAME}")
    if not path.exists():
        raise ConfigDoesNotExist(_missing(path))
    return path


def _missing(path: Path) -> str:
    return f"There is no {path}. Create it, or go to the folder of the model."


def content(path: Path) -> bytes:
    """What the file holds, or so much of it that `read` refuses it for its size.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:  # which need not end: it may be a device
        return file.read(MAX_BYTES + 1)


def load(path: Path, *, check_files: bool = True) -> Config:
    """Read the cog.yaml at `path`.

    `check_files` says that the files it names must be there: so it is where an image is built,
    while a running image no longer needs them.

    Raises:
        ConfigDoesNotExist: there is no such file.
        ConfigError: it cannot be followed; every problem is named with its line and column.
    """
    try:
        data = content(path)
    except FileNotFoundError:
        raise ConfigDoesNotExist(_missing(path)) from None
    except OSError as error:
        raise ConfigError(f"failed to parse {path}: it cannot be read: {error.strerror}") from None
    try:
        root, problems = read(data)
    except Unreadable as error:
        found = error.problem
        text = f"failed to parse {path.name}: {found.text}"
        raise ConfigError(excerpt(path, data, [replace(found, text=text)])) from None
    parser = _Parser(path, check_files=check_files)
    config = parser.config(root)
    told = [excerpt(path, data, [*problems, *parser.reader.problems])]
    if check_files and config.build.python_requirements is not None:
        told.append(unusable(path.parent, config.build.python_requirements))
    if any(told):
        raise ConfigError("\n".join(filter(None, told)))
    return config


class _Parser:
    """Goes through the tree once, key by key."""

    def __init__(self, path: Path, *, check_files: bool) -> None:
        self.reader = Reader()
        self._path = path
        self._check_files = check_files

    def config(self, root: Node | None) -> Config:
        """The whole file."""
        top = self.reader.group(root, "", None)
        run, old = top.text("run"), top.text("predict")
        build = self._build(top.group("build"))
        return Config(
            path=self._path,
            run=run if run is not None else old,
            train=top.text("train"),
            image=top.text("image"),
            model=top.text("model"),
            build=build,
            concurrency=self._concurrency(top.group("concurrency"), build.python_version),
            environment=self._environment(top),
            weights=self._weights(top),
            traces=self._traces(top.group("observability").group("traces")),
            warnings=tuple(self.reader.warnings),
        )

    def _build(self, build: Group) -> Build:
        found = Build(
            python_version=build.text("python_version"),
            gpu=build.flag("gpu") or False,
            cuda=build.text("cuda"),
            cudnn=build.text("cudnn"),
            python_requirements=build.text("python_requirements"),
            python_packages=build.texts("python_packages"),
            system_packages=build.texts("system_packages"),
            run=tuple(self._step(build, node, field) for node, field in build.items("run")),
            pre_install=build.texts("pre_install"),
            sdk_version=build.text("sdk_version"),
            base_image=build.text("base_image"),
            user=build.text("user"),
        )
        if found.cudnn is not None and (why := rules.cudnn_fits(found.cudnn, found.cuda)) is not None:
            build.invalid("cudnn", found.cudnn, why)
        name = found.python_requirements
        if name is not None and self._check_files and not os.path.isfile(self._path.parent / name):
            why = "there is no such file beside cog.yaml. Create it or correct the name"
            build.invalid("python_requirements", name, why)
        return found

    def _step(self, build: Group, node: Node, field: str) -> Step:
        if isinstance(node, Scalar):
            return Step(build.element_text("run", node, field) or "")
        step = build.element("run", node, field)
        mounts = [
            Mount(id=mount.text("id") or "", target=mount.text("target") or "", type=mount.text("type") or "")
            for mount in step.elements("mounts")
        ]
        return Step(step.text("command") or "", tuple(mounts))

    def _concurrency(self, found: Group, python: str | None) -> Concurrency:
        maximum = found.count("max")
        if maximum is not None and (why := rules.concurrency(maximum, python)) is not None:
            found.invalid("max", str(maximum), why)
        return Concurrency(maximum, found.count("default_target"))

    def _environment(self, top: Group) -> tuple[Variable, ...]:
        known: dict[str, Variable] = {}
        for node, field, text in top.entries("environment"):
            name, _, value = text.partition("=")
            if name in known:
                self.reader.invalid(node, field, text, f"{name} was already given. Remove one of them")
            known[name] = Variable(name, value)
        return tuple(known.values())

    def _weights(self, top: Group) -> tuple[Weight, ...]:
        weights: list[Weight] = []
        for found in top.elements("weights"):
            weight = self._weight(found)
            for other in weights:
                if weight.name == other.name != "":
                    found.invalid("name", weight.name, "two weights have this name. Change one")
                    break
                if _overlap(weight.target, other.target):
                    why = f'it overlaps with the target of "{other.name}", {other.target}. Choose another'
                    found.invalid("target", weight.target, why)
                    break
            weights.append(weight)
        if weights and "model" not in top:
            text = 'schema error in "model": it is missing, and weights need it. Add model: REPOSITORY'
            self.reader.problem(top.node("weights"), text)
        return tuple(weights)

    def _weight(self, found: Group) -> Weight:
        several = "source" in found and isinstance(found.node("source"), Sequence)
        sources = (
            found.elements("source") if several else [found.group("source")] if "source" in found else []
        )
        if several and not sources:
            text = f'schema error in "{found.field}.source": it is empty. Write where the weights come from'
            self.reader.problem(found.node("source"), text)
        return Weight(
            name=found.text("name") or "",
            target=found.text("target") or "",
            sources=tuple(
                WeightSource(source.text("uri") or "", source.texts("include"), source.texts("exclude"))
                for source in sources
            ),
        )

    def _traces(self, found: Group) -> Traces:
        return Traces(
            enabled=found.flag("enabled"),
            sampler=found.text("sampler"),
            sampler_arg=found.text("sampler_arg"),
            trace_header=found.text("trace_header"),
            trace_header_format=found.text("trace_header_format"),
        )


def _overlap(one: str, other: str) -> bool:
    """True when two absolute folders are the same, or one lies in the other."""
    first, second = [part for part in one.split("/") if part], [part for part in other.split("/") if part]
    shorter = min(len(first), len(second))
    return shorter > 0 and first[:shorter] == second[:shorter]
