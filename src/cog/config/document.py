"""A YAML text as a tree whose every node knows its place. Nothing in it is executed, and its size is bounded.

Built from the parser's events rather than from its objects: so tags are only words, nesting costs no stack,
and a name that is used often (`*name`) counts as often as it is used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import yaml

# Far more than any cog.yaml needs, far less than what hurts.
MAX_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 32
MAX_NODES: Final = 5_000

ScalarKind: TypeAlias = Literal["null", "bool", "int", "float", "str"]

_CORE: Final = "tag:yaml.org,2002:"
_NULL: Final = re.compile(r"|~|null|Null|NULL")
_TRUE: Final = re.compile(r"true|yes|on", re.IGNORECASE)
_FALSE: Final = re.compile(r"false|no|off", re.IGNORECASE)
_INT: Final = re.compile(r"[-+]?[0-9]+", re.ASCII)
_FLOAT: Final = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII
)
# Where YAML sees the end of a line.
LINE: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")

# What usually helps, by the parser's own words.
_ADVICE: Final = {
    "'\\t' that cannot start": "Indent with spaces, not with tabs",
    "mapping values are not allowed": "Begin each key on a line of its own, and put a text that holds a colon in quotes",
    "could not find expected ':'": "Write NAME: VALUE, and see whether a quote is missing in the lines before",
    "unknown escape character": "Put the text in single quotes, or write each backslash twice",
    "expected ',' or ']'": "Put commas between the entries of a list and ] at its end",
    "expected ',' or '}'": "Put commas between the keys and } at their end",
    "unexpected end of stream": "A quote or bracket is not closed",
    "expected <block end>": "Indent the line as far as those that it belongs to",
}
_ELSE: Final = "See whether a quote, a bracket or the indentation is wrong here or in the line before"

_ODD: Final = re.compile("[\\x00\\ud800-\\udfff]")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the text, at a line and column that count from 1, `width` characters wide."""

    line: int
    column: int
    text: str
    width: int = 1


class Unreadable(Exception):
    """The text is no YAML that could be gone through; `problem` says where and why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.text)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value as it was written, and what YAML takes it for. `width` is 1 where it takes several lines."""

    text: str
    kind: ScalarKind
    line: int
    column: int
    width: int = 1

    @property
    def truth(self) -> bool:
        """The value of a `bool`."""
        return _TRUE.fullmatch(self.text) is not None


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: tuple[Node, ...]
    line: int
    column: int
    size: int = 1


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys with values, in the order in which they were written."""

    entries: tuple[tuple[Scalar, Node], ...]
    line: int
    column: int
    size: int = 1


Node: TypeAlias = Scalar | Sequence | Mapping


@dataclass(slots=True)
class _Frame:
    """A list or mapping that has not ended yet."""

    event: yaml.events.CollectionStartEvent
    children: list[Node] = field(default_factory=list)
    size: int = 1


def read(data: bytes) -> tuple[Node | None, list[Problem]]:
    """The tree (None for an empty text), and what is wrong with it though it could be read.

    Raises:
        Unreadable: it is not UTF-8, not YAML, too big, or more than one document.
    """
    if len(data) > MAX_BYTES:
        raise _unreadable(
            0,
            0,
            f"it is larger than {MAX_BYTES // 1024} KiB, far more than a cog.yaml needs. Is this the right file?",
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        raise _unreadable(*_position(before), "it is not UTF-8 text. Save it as UTF-8") from None
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        endless = "end of stream" in (error.problem or "")  # then it is of interest where that began
        mark = (error.context_mark if endless else None) or error.problem_mark or error.context_mark
        what = ", ".join(part for part in (error.context, error.problem) if part)
        line, column = (mark.line, mark.column) if mark else (0, 0)
        raise _unreadable(line, column, f"{what}. {_advice(what)}") from None
    except yaml.reader.ReaderError as error:
        what = f"the character {chr(error.character)!r} is not allowed in YAML. Remove it"
        raise _unreadable(*_position(text[: error.position]), what) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # The parser lets some faults through as Python's own, such as an escape beyond Unicode.
        raise _unreadable(builder.line, 0, str(error)) from None
    return builder.root, builder.problems


def _advice(fault: str) -> str:
    """What to do about a fault in the words of the YAML parser."""
    return next((advice for words, advice in _ADVICE.items() if words in fault), _ELSE)


def _unreadable(line: int, column: int, text: str) -> Unreadable:
    return Unreadable(Problem(line + 1, column + 1, text))


def _place(event: yaml.events.Event) -> tuple[int, int]:
    mark = event.start_mark
    return (1, 1) if mark is None else (mark.line + 1, mark.column + 1)


def _width(event: yaml.events.Event) -> int:
    start, end = event.start_mark, event.end_mark
    if start is None or end is None or start.line != end.line:
        return 1
    return max(1, end.column - start.column)


def _position(before: str) -> tuple[int, int]:
    lines = LINE.split(before)
    return len(lines) - 1, len(lines[-1])


class _Builder:
    """Puts the tree together, event by event."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self.line = 0
        self._documents = 0
        self._frames: list[_Frame] = []
        self._names: dict[str, Node | None] = {}

    def take(self, event: yaml.events.Event) -> None:
        """The next event."""
        self.line = _place(event)[0] - 1
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise self._refuse(event, "it holds more than one document. Remove all from `---` on")
            case yaml.AliasEvent(anchor=name):
                self._add(self._named(event, str(name)))
            case yaml.ScalarEvent():
                self._keep(event, self._scalar(event))
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                self._open(event)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self._close()
            case _:
                return

    def _refuse(self, event: yaml.events.Event, text: str) -> Unreadable:
        return Unreadable(Problem(*_place(event), text))

    def _open(self, event: yaml.events.CollectionStartEvent) -> None:
        if len(self._frames) >= MAX_DEPTH:
            raise self._refuse(event, f"it is nested more than {MAX_DEPTH} deep")
        if event.tag not in (None, "!", f"{_CORE}seq", f"{_CORE}map"):
            self._tag(event, event.tag)
        if event.anchor is not None:
            self._names[event.anchor] = None  # known, but not complete
        self._frames.append(_Frame(event))

    def _close(self) -> None:
        frame = self._frames.pop()
        line, column = _place(frame.event)
        node: Node
        if isinstance(frame.event, yaml.SequenceStartEvent):
            node = Sequence(tuple(frame.children), line, column, frame.size)
        else:
            pairs = zip(frame.children[::2], frame.children[1::2], strict=True)
            node = Mapping(tuple(self._entries(list(pairs))), line, column, frame.size)
        self._keep(frame.event, node)

    def _keep(self, event: yaml.events.NodeEvent, node: Node) -> None:
        if event.anchor is not None:
            self._names[event.anchor] = node
        self._add(node)

    def _add(self, node: Node) -> None:
        if not self._frames:
            self.root = node
            return
        frame = self._frames[-1]
        frame.children.append(node)
        frame.size += 1 if isinstance(node, Scalar) else node.size
        if frame.size > MAX_NODES:
            raise self._refuse(frame.event, f"it holds more than {MAX_NODES} values, aliases filled in")

    def _named(self, event: yaml.events.Event, name: str) -> Node:
        if name not in self._names:
            raise self._refuse(
                event, f"`*{name[:100]}` refers to `&{name[:100]}`, which does not come before it"
            )
        node = self._names[name]
        if node is None:
            raise self._refuse(event, f"`*{name[:100]}` stands within `&{name[:100]}` itself")
        return node

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        text = str(event.value)
        if _ODD.search(text) is not None:
            raise self._refuse(event, "it holds a NUL or half of a surrogate pair. Remove the escape")
        kind = _kind(text) if event.tag is None and event.implicit[0] else "str"
        if event.tag not in (None, "!", f"{_CORE}str"):
            kind = _kind(text)
            if event.tag != f"{_CORE}{kind}":
                self._tag(event, event.tag)
        return Scalar(text, kind, *_place(event), _width(event))

    def _tag(self, event: yaml.events.Event, tag: object) -> None:
        shown = str(tag).replace(_CORE, "!!")[:100]
        self._problem(*_place(event), f"the tag {shown} cannot be used here. Remove it", len(shown))

    def _problem(self, line: int, column: int, text: str, width: int = 1) -> None:
        self.problems.append(Problem(line, column, text, width))

    def _entries(self, pairs: list[tuple[Node, Node]]) -> list[tuple[Scalar, Node]]:
        own: dict[str, tuple[Scalar, Node]] = {}
        merged: dict[str, tuple[Scalar, Node]] = {}
        for key, value in pairs:
            if not isinstance(key, Scalar):
                self._problem(key.line, key.column, "a key must be a single word. Write NAME: VALUE")
            elif key.text == "<<":
                self._merge(value, merged)
            elif key.text in own:
                first = own[key.text][0].line
                text = f'the key "{key.text[:100]}" was already given in line {first}. Remove one'
                self._problem(key.line, key.column, text, key.width)
            else:
                own[key.text] = (key, value)
        return [*own.values(), *(entry for name, entry in merged.items() if name not in own)]

    def _merge(self, value: Node, into: dict[str, tuple[Scalar, Node]]) -> None:
        for source in value.items if isinstance(value, Sequence) else (value,):
            if not isinstance(source, Mapping):
                self._problem(source.line, source.column, "`<<` takes a mapping, or a list of mappings")
                continue
            for key, inner in source.entries:
                into.setdefault(key.text, (key, inner))


def _kind(text: str) -> ScalarKind:
    if _NULL.fullmatch(text):
        return "null"
    if _TRUE.fullmatch(text) or _FALSE.fullmatch(text):
        return "bool"
    if _INT.fullmatch(text):
        return "int"
    return "float" if _FLOAT.fullmatch(text) else "str"
