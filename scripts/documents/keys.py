"""The page of cog.yaml, made from the table of keys."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cog.config.keys import CHILDREN, EXCLUSIONS, Key
from cog.config.parse import load
from cog.errors import ConfigError

_PAGE: Final = """\
# cog.yaml

What a model is and what it needs around it. All keys are optional: an empty cog.yaml is right. It is looked for in this
folder and in up to 100 above it; `-f` names another file.

```yaml title="cog.yaml"
run: "run.py:Runner"
build:
  python_version: "3.12"
  python_requirements: requirements.txt
environment:
  - GREETING=hello
```

## Completion and checks in an editor

[cog.schema.json](cog.schema.json) is a JSON Schema of the file, made from the same table as this page. With it an editor
completes keys, explains them and marks what is wrong. Put the schema beside cog.yaml (or anywhere, and name its path or
URL), and begin cog.yaml with:

```yaml
# yaml-language-server: $schema=./cog.schema.json
```

VS Code (with the YAML extension), Neovim, Helix, Zed and others understand this line; in PyCharm choose the file under
*JSON Schema Mappings*. The schema never marks what `cog` accepts. `cog` checks more, such as names given twice.

## Keys

{keys}
Besides: {exclusions}

## What is wrong is told at once

Every command names all problems of the file together, each with its line, its column and what to write instead:

```text title="Messages"
{problems}
```

Scripts may rely on these texts: `schema error in "FIELD": ...`, `invalid FIELD "VALUE": ...`,
`failed to parse FILE: ...`, and the warning `deprecated field "FIELD": use "OTHER" instead`.

Nothing in the file is ever executed; tags (`!!python/...`) are refused. At most 256 KiB, 32 levels and 5,000 values are
read.
"""
_FAULTY: Final = """\
run: run.py:Runner
build:
  pyton_version: "3.12"
  gpu: maybe
  cuda: 10.2
environment:
  - PATH=/opt/bin
"""


def page() -> str:
    """The whole page."""
    pairs = [
        f"`{rule.one}` and `{rule.other}` exclude each other"
        for rule in EXCLUSIONS
        if not any(key.instead for key in _pair(rule.parent, rule.one, rule.other))
    ]
    return _PAGE.format(
        keys="\n".join(_tables("")),
        exclusions="; ".join(pairs) + ", and so do a key and its old name.",
        problems=_problems(),
    )


def _pair(parent: str, *names: str) -> list[Key]:
    return [CHILDREN[parent][name] for name in names]


def _tables(parent: str) -> Iterator[str]:
    """A table for the place `parent`, then those of the places in it."""
    keys = CHILDREN[parent].values()
    heading = f"### {parent}\n\n" if parent else ""
    rows = [f"| `{key.name}` | {_takes(key)} | {_meaning(key)} |" for key in keys]
    yield heading + "\n".join(["| key | takes | |", "| --- | --- | --- |", *rows]) + "\n"
    for key in keys:
        if key.path in CHILDREN:
            yield from _tables(key.path)


def _takes(key: Key) -> str:
    if key.path not in CHILDREN:
        return key.kind
    return key.kind.replace("keys", f"[keys](#{key.path.replace('.', '')})")


def _meaning(key: Key) -> str:
    parts = [f"**Deprecated**: use `{key.instead}` instead." if key.instead is not None else ""]
    parts.append("Required." if key.required else "")
    parts += [key.help, key.rule.words if key.rule is not None else ""]
    parts.append(f"Default: {key.default}." if key.default else "")
    parts.append(f"For example `{key.example}`." if key.example else "")
    return " ".join(filter(None, parts)).replace("|", "\\|")


def _problems() -> str:
    """What the parser says to a file with faults."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cog.yaml"
        path.write_text(_FAULTY, encoding="utf-8")
        try:
            load(path)
        except ConfigError as error:
            return str(error).replace(folder, "/home/ada/model")
    raise AssertionError("a faulty cog.yaml was accepted")
