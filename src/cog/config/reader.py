"""Takes values out of the tree of a document as the table of keys says, and collects what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from collections.abc import Mapping as Map
from typing import Final

from cog.config import document
from cog.config.document import Node, Problem, Scalar, Sequence
from cog.config.keys import CHILDREN, EXCLUSIONS, Key, Rule

# Far more than anybody means, and it fits in any integer.
MAX_COUNT: Final = 99_999_999

_NAMES: Final = {
    "null": "nothing",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
}


class Reader:
    """Collects `problems`, and `warnings` of deprecated keys, while its groups are read."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[str] = []

    def problem(self, node: Node, text: str) -> None:
        """Note what is wrong at `node`."""
        width = node.width if isinstance(node, Scalar) else 1
        self.problems.append(Problem(node.line, node.column, text, width))

    def invalid(self, node: Node, field: str, value: str, why: str) -> None:
        """Note that a value of the right type cannot be used."""
        shown = value if len(value) <= 100 else f"{value[:100]}..."
        self.problem(node, f"invalid {field} {_quoted(shown)}: {why}")

    def mismatch(self, node: Node, field: str, wanted: str, key: Key | None) -> None:
        """Note that a value has the wrong type; `key` is what it belongs to, None for the whole file."""
        if isinstance(node, Scalar):
            found = f"{_NAMES[node.kind]} ({node.text[:100]!r})"
        else:
            found = "a list" if isinstance(node, Sequence) else "keys with values"
        advice = f". For example: {key.name}: {key.example}" if key is not None and key.example else ""
        if wanted == "a text" and isinstance(node, Scalar) and node.kind != "null":
            advice = f". Put it in quotes: {_quoted(node.text[:100])}"
        self.problem(
            node, f'schema error in "{field or "the whole file"}": expected {wanted}, found {found}{advice}'
        )

    def group(self, node: Node | None, field: str, key: Key | None) -> Group:
        """The mapping at `node`, which belongs to `key` (None: the whole file).

        Unknown, missing, deprecated keys of it, and those that exclude each other, are noted.
        """
        path = "" if key is None else key.path
        known = CHILDREN[path]
        if node is None or _is_null(node):
            found = {}
        elif isinstance(node, document.Mapping):
            found = dict(self._known(node, field, known))
        else:
            self.mismatch(node, field, "keys with values", key)
            return Group(self, field, known, {})
        if node is not None:
            self._missing(node, field, known, found)
        for name in found:
            if (instead := known[name].instead) is not None:
                self.warnings.append(f'deprecated field "{known[name].path}": use "{instead}" instead')
        self._exclude(path, found)
        return Group(self, field, known, found)

    def _known(self, node: document.Mapping, field: str, known: Map[str, Key]) -> Iterator[tuple[str, Node]]:
        for key, value in node.entries:
            if key.text in known:
                if not _is_null(value):
                    yield key.text, value
                continue
            path = _join(field, key.text)
            self.problem(key, f"schema error in {_quoted(path[:200])}: {_unknown(key.text, known)}")

    def _missing(self, node: Node, field: str, known: Map[str, Key], found: Map[str, Node]) -> None:
        for name, key in known.items():
            if key.required and name not in found:
                text = f'schema error in "{_join(field, name)}": it is missing. For example: {name}: {key.example}'
                self.problem(node, text)

    def _exclude(self, path: str, found: Map[str, Node]) -> None:
        for rule in EXCLUSIONS:
            if rule.parent == path and rule.one in found and rule.other in found:
                one, other = _join(path, rule.one), _join(path, rule.other)
                text = f'schema error in "{other}": it cannot stand beside "{one}": {rule.why}. Remove one of them'
                self.problem(found[rule.other], text)


class Group:
    """The values of one mapping. Every method gives what it found, or a harmless value and notes a problem.

    `field` is the path to it, such as `build.run[2]`, as it stands in messages.
    """

    def __init__(self, reader: Reader, field: str, known: Map[str, Key], found: dict[str, Node]) -> None:
        self.field = field
        self._reader = reader
        self._known = known
        self._found = found

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def node(self, name: str) -> Node:
        """The node of a key that is there."""
        return self._found[name]

    def invalid(self, name: str, value: str, why: str) -> None:
        """Note that the value of a key that is there cannot be used."""
        self._reader.invalid(self._found[name], _join(self.field, name), value, why)

    def text(self, name: str) -> str | None:
        """A text that keeps the rule of its key. A number, where one will do, is taken as it is written: 3.10."""
        node = self._found.get(name)
        return None if node is None else self._text(node, _join(self.field, name), self._known[name])

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts that all keep the rule of their key."""
        found = [self._text(node, field, self._known[name]) for node, field in self.items(name)]
        return tuple(text for text in found if text is not None)

    def entries(self, name: str) -> Iterator[tuple[Node, str, str]]:
        """The texts of a list that keep the rule of their key, each with its node and its field."""
        for node, field in self.items(name):
            if (text := self._text(node, field, self._known[name])) is not None:
                yield node, field, text

    def items(self, name: str) -> Iterator[tuple[Node, str]]:
        """The entries of a list, each with its own field."""
        node, field = self._found.get(name), _join(self.field, name)
        if node is None:
            return
        if not isinstance(node, Sequence):
            self._reader.mismatch(node, field, "a list", self._known[name])
            return
        for number, item in enumerate(node.items):
            yield item, f"{field}[{number}]"

    def flag(self, name: str) -> bool | None:
        """True or false."""
        node = self._found.get(name)
        if node is None or (isinstance(node, Scalar) and node.kind == "bool"):
            return None if node is None else node.truth
        self._reader.mismatch(node, _join(self.field, name), "true or false", self._known[name])
        return None

    def count(self, name: str) -> int | None:
        """A whole number from 1 on."""
        node = self._found.get(name)
        if node is None:
            return None
        if not isinstance(node, Scalar) or node.kind != "int":
            self._reader.mismatch(node, _join(self.field, name), "a whole number", self._known[name])
            return None
        number = int(node.text) if len(node.text) < 10 else 0
        if not 1 <= number <= MAX_COUNT:
            self.invalid(name, node.text, f"write a whole number from 1 to {MAX_COUNT}")
            return None
        return number

    def group(self, name: str) -> Group:
        """The mapping of a key."""
        return self._reader.group(self._found.get(name), _join(self.field, name), self._known[name])

    def element(self, name: str, node: Node, field: str) -> Group:
        """The mapping at `node`, an entry of the list `name`."""
        return self._reader.group(node, field, self._known[name])

    def element_text(self, name: str, node: Node, field: str) -> str | None:
        """The text at `node`, an entry of the list `name`."""
        return self._text(node, field, self._known[name])

    def elements(self, name: str) -> list[Group]:
        """The mappings of a list of them."""
        return [self.element(name, node, field) for node, field in self.items(name)]

    def _text(self, node: Node, field: str, key: Key) -> str | None:
        kinds = ("str", "int", "float") if key.kind == "text or number" else ("str",)
        if not isinstance(node, Scalar) or node.kind not in kinds:
            self._reader.mismatch(node, field, "a text", key)
            return None
        return node.text if self._keeps(key.rule, node, field) else None

    def _keeps(self, rule: Rule | None, node: Scalar, field: str) -> bool:
        why = None if rule is None else rule.check(node.text)
        if why is not None:
            self._reader.invalid(node, field, node.text, why)
        return why is None


# A text in quotes, on one line whatever it holds.
_quoted: Final = json.JSONEncoder(ensure_ascii=False).encode


def _join(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.kind == "null"


def _unknown(name: str, known: Map[str, Key]) -> str:
    import difflib  # only who mistypes waits for it

    near = difflib.get_close_matches(name[:100].lower(), known, n=1)
    advice = f'Did you mean "{near[0]}"?' if near else f"The keys here are {', '.join(sorted(known))}."
    return f"unknown key. {advice}"
