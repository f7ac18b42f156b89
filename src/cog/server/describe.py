"""`python -m cog.server.describe`: what the model of this folder accepts, as JSON on stdout. It is not set up.

The answer is an object: `openapi_schema` and `pip_freeze`, or `error`, `kind` and `traceback` of what is wrong with the model.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from cog import bundle, settings
from cog.errors import CogError
from cog.schema import openapi
from cog.schema.task import PREDICT, TRAIN, Task
from cog.server.source import Source, locate
from cog.settings import Settings
from cog.signature import wire
from cog.signature.facts import Signature


def main() -> int:
    """Print it; gives the exit code: 0, or 1 when something is wrong with the model."""
    try:
        chosen = settings.read([], os.environ)
        found = describe(chosen, locate(chosen, Path.cwd()))
    except CogError as error:
        found = {"error": str(error), "kind": type(error).__name__, "traceback": ""}
    sys.stdout.write(json.dumps(found))
    return 1 if "error" in found else 0


def describe(chosen: Settings, source: Source) -> dict[str, Any]:
    """The document that a server of this model has at /openapi.json, and the packages that it runs with."""
    asked: dict[Task, Signature] = {}
    packages: list[str] = []
    wanted = [(PREDICT, source.reference), *([] if source.train is None else [(TRAIN, source.train)])]
    with tempfile.TemporaryDirectory(prefix="cog-describe-") as temporary:
        bundle.build(Path(temporary))
        for task, reference in wanted:
            told = _survey(chosen, source, reference, Path(temporary), train=task is TRAIN)
            if "error" in told:
                return told
            asked[task], packages = wire.load(told["signature"]), told["packages"]
    return {"openapi_schema": openapi.combined(asked), "pip_freeze": "\n".join(packages)}


def _survey(chosen: Settings, source: Source, reference: str, kit: Path, *, train: bool) -> dict[str, Any]:
    """What the model's Python finds. All that it prints goes to stderr: stdout is for the answer."""
    answer = kit / "answer"
    program = str(kit / "cog" / "worker" / "survey.py")
    command = [chosen.worker_python or sys.executable, program, str(answer), reference, str(source.folder)]
    most = chosen.max_concurrency or source.max_concurrency
    if train:
        command.append("--train")
    elif most is not None:
        command += ["--max-concurrency", str(most)]
    answer.unlink(missing_ok=True)
    done = subprocess.run(
        command, cwd=source.folder, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False
    )
    if not answer.exists():
        code = done.returncode
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return {
            "error": f"{reference} cannot be imported: its process ended with {how}",
            "kind": "model",
            "traceback": "",
        }
    told: dict[str, Any] = json.loads(answer.read_text())
    return told


if __name__ == "__main__":
    sys.exit(main())
