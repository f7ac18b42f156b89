"""From a cog.yaml to a `Config`, or to everything that is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from cog.config import rules
from cog.config.document import LINE, Node, Problem, Scalar, Sequence, Unreadable, read
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
from cog.config.reader import Reader
from cog.errors import ConfigDoesNotExist, ConfigError

NAME: Final = "cog.yaml"
MAX_PARENTS: Final = 100

_TOP: Final = (
    "run", "predict", "train", "image", "model", "concurrency", "environment", "weights", "observability",
    "build",
)  # fmt: skip
_BUILD: Final = (
    "python_version", "gpu", "cuda", "cudnn", "python_requirements", "python_packages", "system_packages",
    "run", "pre_install", "sdk_version",
)  # fmt: skip
_TRACES: Final = ("enabled", "sampler", "sampler_arg", "trace_header", "trace_header_format")


def find(start: Path) -> Path | None:
    """The cog.yaml of the folder `start`, or of the nearest of its up to 100 parents that has one."""
    folder = start.absolute()
    for candidate in (folder, *tuple(folder.parents)[:MAX_PARENTS]):
        if os.path.isfile(candidate / NAME):
            return candidate / NAME
    return None


def load(path: Path, *, check_files: bool = True) -> Config:
    """Read the cog.yaml at `path`.

    `check_files` says that the files it names must be there: so it is where an image is built,
    while a running image no longer needs them.

    Raises:
        ConfigDoesNotExist: there is no such file.
        ConfigError: it cannot be followed; every problem is named with its line and column.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        text = f"There is no {path}. Create it, or go to the folder of the model."
        raise ConfigDoesNotExist(text) from None
    except OSError as error:
        raise ConfigError(f"failed to parse {path}: it cannot be read: {error.strerror}") from None
    try:
        root, problems = read(data)
    except Unreadable as error:
        found = error.problem
        text = f"failed to parse {path.name}: {found.text}"
        raise _error(path, data, [Problem(found.line, found.column, text)]) from None
    parser = _Parser(path, check_files=check_files)
    config = parser.config(root)
    if problems := [*problems, *parser.reader.problems]:
        raise _error(path, data, problems)
    return config


def _error(path: Path, data: bytes, problems: Iterable[Problem]) -> ConfigError:
    """Each problem with its place, below it the line as it was written."""
    lines = LINE.split(data.decode("utf-8-sig", "replace"))
    shown = []
    for problem in sorted(problems, key=lambda one: (one.line, one.column)):
        shown.append(f"{path}:{problem.line}:{problem.column}: {problem.text}")
        if problem.line <= len(lines) and (line := lines[problem.line - 1].strip()[:120]):
            shown.append(f"    {line}")
    return ConfigError("\n".join(shown))


class _Parser:
    """Goes through the tree once, key by key."""

    def __init__(self, path: Path, *, check_files: bool) -> None:
        self.reader = Reader()
        self._path = path
        self._check_files = check_files

    def config(self, root: Node | None) -> Config:
        """The whole file."""
        reader = self.reader
        top = reader.mapping(root, "", _TOP)
        self._exclude(top, "", "run", "predict", "predict is the old name of run")
        self._exclude(top, "", "image", "model", "each names where the image goes")
        if "predict" in top:
            reader.deprecated("predict", "run")
        run = reader.text(top.get("run"), "run", rules.reference)
        old = reader.text(top.get("predict"), "predict", rules.reference)
        build = self._build(top.get("build"))
        return Config(
            path=self._path,
            run=run if run is not None else old,
            train=reader.text(top.get("train"), "train", rules.reference),
            image=reader.text(top.get("image"), "image", rules.filled),
            model=reader.text(top.get("model"), "model", rules.repository),
            build=build,
            concurrency=self._concurrency(top.get("concurrency"), build.python_version),
            environment=self._environment(top.get("environment")),
            weights=self._weights(top),
            traces=self._traces(top.get("observability")),
            warnings=tuple(reader.warnings),
        )

    def _exclude(self, found: dict[str, Node], prefix: str, one: str, other: str, why: str) -> None:
        if one in found and other in found:
            text = f'schema error in "{prefix}{other}": it cannot stand beside "{prefix}{one}": {why}'
            self.reader.problem(found[other], f"{text}. Remove one of them")

    def _build(self, node: Node | None) -> Build:
        reader = self.reader
        found = reader.mapping(node, "build", _BUILD)
        self._exclude(
            found, "build.", "python_requirements", "python_packages", "list all packages in one place"
        )
        for old, new in (("python_packages", "python_requirements"), ("pre_install", "run")):
            if old in found:
                reader.deprecated(f"build.{old}", f"build.{new}")

        def version(key: str, rule: Callable[[str], str | None]) -> str | None:
            return reader.text(found.get(key), f"build.{key}", rule, number=True)

        return Build(
            python_version=version("python_version", rules.python_version),
            gpu=reader.flag(found.get("gpu"), "build.gpu") or False,
            cuda=version("cuda", rules.cuda),
            cudnn=version("cudnn", rules.cudnn),
            python_requirements=self._requirements(found.get("python_requirements")),
            python_packages=reader.texts(found.get("python_packages"), "build.python_packages", rules.filled),
            system_packages=reader.texts(found.get("system_packages"), "build.system_packages", rules.filled),
            run=tuple(self._step(item, field) for item, field in reader.items(found.get("run"), "build.run")),
            pre_install=reader.texts(found.get("pre_install"), "build.pre_install", rules.command),
            sdk_version=version("sdk_version", rules.sdk_version),
        )

    def _requirements(self, node: Node | None) -> str | None:
        field = "build.python_requirements"
        text = self.reader.text(node, field, rules.filled)
        if node is None or text is None:
            return None
        if self._check_files and not os.path.isfile(self._path.parent / text):
            self.reader.invalid(
                node, field, text, "there is no such file beside cog.yaml. Create it or correct the name"
            )
        return text

    def _step(self, node: Node, field: str) -> Step:
        reader = self.reader
        if isinstance(node, Scalar):
            return Step(reader.text(node, field, rules.command) or "")
        found = reader.mapping(node, field, ("command", "mounts"))
        if "command" not in found:
            reader.problem(node, f'schema error in "{field}.command": it is missing. Write the command')
        command = reader.text(found.get("command"), f"{field}.command", rules.command)
        mounts = [
            self._mount(item, place) for item, place in reader.items(found.get("mounts"), f"{field}.mounts")
        ]
        return Step(command or "", tuple(mounts))

    def _mount(self, node: Node, field: str) -> Mount:
        reader = self.reader
        found = reader.mapping(node, field, ("type", "id", "target"))
        texts: dict[str, str] = {}
        for key in ("type", "id", "target"):
            if key not in found:
                reader.problem(
                    node, f'schema error in "{field}.{key}": it is missing. A mount has type, id and target'
                )
            texts[key] = reader.text(found.get(key), f"{field}.{key}", rules.filled) or ""
        if texts["type"] not in ("", "secret"):
            reader.invalid(found["type"], f"{field}.type", texts["type"], 'the only type is "secret"')
        return Mount(id=texts["id"], target=texts["target"])

    def _concurrency(self, node: Node | None, python: str | None) -> Concurrency:
        found = self.reader.mapping(node, "concurrency", ("max", "default_target"))
        maximum = self.reader.count(found.get("max"), "concurrency.max")
        if maximum is not None:
            self.reader.deprecated("concurrency.max", "@cog.concurrent(max=N)")
            if (why := rules.concurrency(maximum, python)) is not None:
                self.reader.invalid(found["max"], "concurrency.max", str(maximum), why)
        target = self.reader.count(found.get("default_target"), "concurrency.default_target")
        return Concurrency(maximum, target)

    def _environment(self, node: Node | None) -> tuple[Variable, ...]:
        known: dict[str, Variable] = {}
        for item, field in self.reader.items(node, "environment"):
            text = self.reader.text(item, field, rules.variable)
            if text is None:
                continue
            name, _, value = text.partition("=")
            if name in known:
                self.reader.invalid(item, field, text, f"{name} was already given. Remove one of them")
            known[name] = Variable(name, value)
        return tuple(known.values())

    def _weights(self, top: dict[str, Node]) -> tuple[Weight, ...]:
        reader = self.reader
        weights: list[Weight] = []
        for node, field in reader.items(top.get("weights"), "weights"):
            weight = self._weight(node, field)
            for other in weights:
                if weight.name == other.name != "":
                    why = "two weights have this name. Change one"
                    reader.invalid(node, f"{field}.name", weight.name, why)
                    break
                if _overlap(weight.target, other.target):
                    why = f'it overlaps with the target of "{other.name}", {other.target}. Choose another'
                    reader.invalid(node, f"{field}.target", weight.target, why)
                    break
            weights.append(weight)
        if weights and "model" not in top:
            reader.problem(
                top["weights"],
                'schema error in "model": it is missing, and weights need it. Add model: REPOSITORY',
            )
        return tuple(weights)

    def _weight(self, node: Node, field: str) -> Weight:
        reader = self.reader
        found = reader.mapping(node, field, ("name", "target", "source"))
        for key in ("name", "target", "source"):
            if key not in found:
                reader.problem(
                    node,
                    f'schema error in "{field}.{key}": it is missing. Weights have name, target and source',
                )
        source = found.get("source")
        places = list(reader.items(source, f"{field}.source")) if isinstance(source, Sequence) else []
        if source is not None and not isinstance(source, Sequence):
            places = [(source, f"{field}.source")]
        return Weight(
            name=reader.text(found.get("name"), f"{field}.name", rules.weight_name) or "",
            target=reader.text(found.get("target"), f"{field}.target", rules.weight_target) or "",
            sources=tuple(self._source(item, place) for item, place in places),
        )

    def _source(self, node: Node, field: str) -> WeightSource:
        reader = self.reader
        found = reader.mapping(node, field, ("uri", "include", "exclude"))
        if "uri" not in found:
            reader.problem(
                node, f'schema error in "{field}.uri": it is missing. Write where the weights come from'
            )
        return WeightSource(
            uri=reader.text(found.get("uri"), f"{field}.uri", rules.source_uri) or "",
            include=reader.texts(found.get("include"), f"{field}.include", rules.pattern),
            exclude=reader.texts(found.get("exclude"), f"{field}.exclude", rules.pattern),
        )

    def _traces(self, node: Node | None) -> Traces:
        reader = self.reader
        outer = reader.mapping(node, "observability", ("traces",))
        field = "observability.traces"
        found = reader.mapping(outer.get("traces"), field, _TRACES)
        texts = {
            key: reader.text(found.get(key), f"{field}.{key}", number=key == "sampler_arg")
            for key in _TRACES[1:]
        }
        form = texts["trace_header_format"]
        if form is not None and form not in ("w3c", "jaeger"):
            reader.invalid(
                found["trace_header_format"], f"{field}.trace_header_format", form, "write w3c or jaeger"
            )
        return Traces(enabled=reader.flag(found.get("enabled"), f"{field}.enabled"), **texts)


def _overlap(one: str, other: str) -> bool:
    """True when two absolute folders are the same, or one lies in the other."""
    first, second = [part for part in one.split("/") if part], [part for part in other.split("/") if part]
    shorter = min(len(first), len(second))
    return shorter > 0 and first[:shorter] == second[:shorter]
