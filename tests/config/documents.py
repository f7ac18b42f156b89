"""cog.yaml files made from the table of keys, for the tests of parser and schema."""

from __future__ import annotations

from typing import Any

import yaml

from cog.config.document import Mapping, Node, Scalar
from cog.config.keys import CHILDREN, KEYS, Key

BY_PATH = {key.path: key for key in KEYS}


def example(key: Key) -> Any:
    """A value that `key` takes: its example, or the smallest that its required keys make."""
    if key.example:
        return yaml.safe_load(key.example)
    inner = required(key.path)
    return [inner] if key.kind.startswith("list") else inner


def required(path: str) -> dict[str, Any]:
    """What has to stand in the place `path`."""
    return {name: example(key) for name, key in CHILDREN[path].items() if key.required}


def around(key: Key, value: Any) -> dict[str, Any]:
    """A whole file that says `value` for `key`, and what must be said beside it. A value of `...` leaves the key out."""
    inner = required(key.parent)
    inner.pop(key.name, None)
    if value is not ...:
        inner[key.name] = value
    while key.parent:
        key = BY_PATH[key.parent]
        inner = {
            **required(key.parent),
            key.name: [inner] if "list of" in key.kind and key.kind != "list of texts" else inner,
        }
    return {**inner, "model": "me/model"} if "weights" in inner else inner


def plain(node: Node | None) -> Any:
    """What a tree says, as JSON has it: what an editor that reads YAML as we do hands to its schema."""
    if node is None:
        return None
    if isinstance(node, Scalar):
        match node.kind:
            case "null":
                return None
            case "bool":
                return node.truth
            case "int":
                return int(node.text)
            case "float":
                return float(node.text.replace(".inf", "inf").replace(".nan", "nan"))
            case "str":
                return node.text
    if isinstance(node, Mapping):
        return {key.text: plain(value) for key, value in node.entries}
    return [plain(item) for item in node.items]
