"""Takes values out of the tree of a document, and collects what is wrong with them."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from cog.config.document import Mapping, Node, Problem, Scalar, Sequence

Rule: TypeAlias = Callable[[str], str | None]

_NAMES: Final = {
    "null": "nothing",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
}


class Reader:
    """Every method returns what it found, or a harmless value and adds to `problems`.

    `field` is the path to a value, such as `build.run[2].command`, as it stands in messages. A value of null
    is as good as none.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[str] = []

    def problem(self, node: Node, text: str) -> None:
        """Note what is wrong at `node`."""
        self.problems.append(Problem(node.line, node.column, text))

    def invalid(self, node: Node, field: str, value: str, why: str) -> None:
        """Note that a value of the right type cannot be used."""
        shown = value if len(value) <= 100 else f"{value[:100]}..."
        self.problem(node, f"invalid {field} {_quoted(shown)}: {why}")

    def mapping(self, node: Node | None, field: str, keys: tuple[str, ...]) -> dict[str, Node]:
        """The values of a mapping that knows only `keys`."""
        if node is None or _is_null(node):
            return {}
        if not isinstance(node, Mapping):
            self._mismatch(node, field, "keys with values")
            return {}
        for key, _ in node.entries:
            if key.text not in keys:
                path = f"{field}.{key.text}" if field else key.text
                self.problem(key, f"schema error in {_quoted(path[:200])}: {_unknown(key.text, keys)}")
        return {key.text: value for key, value in node.entries if key.text in keys and not _is_null(value)}

    def items(self, node: Node | None, field: str) -> Iterator[tuple[Node, str]]:
        """The entries of a list, each with its own field."""
        if node is None or _is_null(node):
            return
        if not isinstance(node, Sequence):
            self._mismatch(node, field, "a list")
            return
        for number, item in enumerate(node.items):
            yield item, f"{field}[{number}]"

    def text(
        self, node: Node | None, field: str, rule: Rule | None = None, *, number: bool = False
    ) -> str | None:
        """A text that keeps `rule`. With `number` a number will do, such as 12.4, taken as it is written."""
        if node is None:
            return None
        if not isinstance(node, Scalar) or not (
            node.kind == "str" or (number and node.kind in ("int", "float"))
        ):
            quoted = f". Put it in quotes: {_quoted(node.text[:100])}" if isinstance(node, Scalar) else ""
            self._mismatch(node, field, "a text", quoted)
            return None
        if rule is not None and (why := rule(node.text)) is not None:
            self.invalid(node, field, node.text, why)
            return None
        return node.text

    def texts(self, node: Node | None, field: str, rule: Rule) -> tuple[str, ...]:
        """A list of texts that all keep `rule`."""
        found = [self.text(item, place, rule) for item, place in self.items(node, field)]
        return tuple(text for text in found if text is not None)

    def flag(self, node: Node | None, field: str) -> bool | None:
        """True or false."""
        if node is None:
            return None
        if not isinstance(node, Scalar) or node.kind != "bool":
            self._mismatch(node, field, "true or false")
            return None
        return node.truth

    def count(self, node: Node | None, field: str) -> int | None:
        """A whole number from 1 on."""
        if node is None:
            return None
        if not isinstance(node, Scalar) or node.kind != "int":
            self._mismatch(node, field, "a whole number")
            return None
        number = int(node.text) if len(node.text) < 10 else 0
        if number < 1:
            self.invalid(node, field, node.text, "write a whole number from 1 to 99999999")
            return None
        return number

    def deprecated(self, field: str, instead: str) -> None:
        """Warn of a key that still works."""
        self.warnings.append(f'deprecated field "{field}": use "{instead}" instead')

    def _mismatch(self, node: Node, field: str, wanted: str, advice: str = "") -> None:
        if isinstance(node, Scalar):
            found = f"{_NAMES[node.kind]} ({node.text[:100]!r})"
        else:
            found = "a list" if isinstance(node, Sequence) else "keys with values"
        where = field or "the whole file"
        self.problem(node, f'schema error in "{where}": expected {wanted}, found {found}{advice}')


# A text in quotes, on one line whatever it holds.
_quoted: Final = json.JSONEncoder(ensure_ascii=False).encode


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.kind == "null"


def _unknown(key: str, keys: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(key[:100].lower(), keys, n=1)
    advice = f'Did you mean "{near[0]}"?' if near else f"The keys here are {', '.join(sorted(keys))}."
    return f"unknown key. {advice}"
