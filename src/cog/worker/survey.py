"""Reads what a model accepts without setting it up, in the model's own Python, for those who only want to know that.

`python KIT/cog/worker/survey.py ANSWER REFERENCE FOLDER [--train] [--max-concurrency N]` writes a JSON object into the file
ANSWER: `signature` and `packages`, or `error`, `kind` and `traceback`. The model may print what it likes.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # In the place of this folder, whose names are ours alone. Links are not followed: they lead to the server's packages.
    sys.path[0] = str(Path(os.path.abspath(__file__)).parents[2])

from cog.errors import CogError
from cog.signature import wire
from cog.worker import failures
from cog.worker.model import Model


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="cog.worker.survey")
    parser.add_argument("answer", type=Path)
    parser.add_argument("reference")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--max-concurrency", type=int)
    options = parser.parse_args()
    told = survey(options.reference, options.folder, options.max_concurrency, train=options.train)
    options.answer.write_text(json.dumps(told))


def survey(reference: str, folder: Path, max_concurrency: int | None, *, train: bool) -> dict[str, Any]:
    """What is found, or what went wrong."""
    sys.argv = [str(folder / reference.partition(":")[0])]
    try:
        model = Model.load(reference, folder, max_concurrency, train=train, survey=True)
    except BaseException as error:  # noqa: BLE001  whatever ends the model's own import, sys.exit() included, is told
        told = {"error": failures.summary(error), "kind": "model"}
        if isinstance(error, CogError):
            return {**told, "kind": type(error).__name__, "traceback": ""}
        return {**told, "traceback": failures.model_traceback(error)}
    return {"signature": wire.dump(model.signature), "packages": sorted(_packages())}


def _packages() -> Iterator[str]:
    """Every installed package as `pip freeze` writes it, but cog itself."""
    for package in importlib.metadata.distributions():
        metadata: Any = package.metadata  # None stands for what a broken package does not say
        name = metadata["Name"]
        if name is None or name.lower() == "cog":
            continue
        url = _origin(package)
        yield f"{name}=={package.version}" if url is None else f"{name} @ {url}"


def _origin(package: importlib.metadata.Distribution) -> str | None:
    """Where a package is from that is from no index (PEP 610)."""
    try:
        origin = json.loads(package.read_text("direct_url.json") or "{}")
    except ValueError:
        return None
    url, version = origin.get("url"), origin.get("vcs_info", {})
    if url is None:
        return None
    return f"{version['vcs']}+{url}@{version['commit_id']}" if version else str(url)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # threads that the model's import has started must not hold up the end
