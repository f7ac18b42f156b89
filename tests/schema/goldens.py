"""The models of `golden/` and the documents that were looked over by a person: `golden/hello.py`, `golden/hello.json`.

After a change that is meant: `PYTHONPATH=src:tests python -m schema.goldens` writes the documents again; read the
difference before it is committed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cog.schema.openapi import document
from cog.signature.inspect import read
from cog.signature.load import load

FOLDER = Path(__file__).with_name("golden")
# What every document says alike is kept in one of them only.
WHOLE = "hello"


def models() -> list[str]:
    return [path.stem for path in sorted(FOLDER.glob("*.py"))]


def made(name: str) -> dict[str, Any]:
    """The document of the model in `golden/NAME.py`, as JSON carries it."""
    reference = "function.py:predict" if name == "function" else f"{name}.py"
    written: dict[str, Any] = json.loads(
        json.dumps(document(read(load(reference, FOLDER)).signature, version="0"))
    )
    return written


def shown(name: str) -> dict[str, Any]:
    """What of the document is the model's own; all of it for one."""
    whole = made(name)
    if name == WHOLE:
        return whole
    same = made(WHOLE)
    schemas = whole["components"]["schemas"]
    own = {key: value for key, value in schemas.items() if same["components"]["schemas"].get(key) != value}
    paths = {path: value for path, value in whole["paths"].items() if same["paths"].get(path) != value}
    streams = [
        f"{method} {path}"
        for path, operations in paths.items()
        for method, operation in operations.items()
        if operation.get("x-cog-streaming")
    ]
    return {"streams": streams, "schemas": own}


if __name__ == "__main__":
    for name in models():
        (FOLDER / f"{name}.json").write_text(json.dumps(shown(name), indent=1, ensure_ascii=False) + "\n")
