"""Run in the model's own Python, as text: imports the model and reads its signature, as a worker will.

It is never imported here. What it uses of cog is what every model's environment has.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path

import cog
from cog.errors import LoadError, SignatureError
from cog.signature.inspect import read
from cog.signature.load import METHODS, TRAINING, load


def main(answer: str, reference: str, folder: str, kind: str) -> None:
    """Import `reference` from `folder`, a model to `run` or to `train`, and write what came of it into the file `answer`."""
    sys.argv = [str(Path(folder) / reference.partition(":")[0])]
    try:
        names = TRAINING if kind == "train" else METHODS
        entry = read(load(reference, Path(folder), names), names)
    except (LoadError, SignatureError) as error:
        outcome = {"kind": type(error).__name__, "text": str(error)}
    except BaseException as error:  # noqa: BLE001  whatever ends the model's own import, sys.exit() included, is told
        outcome = {"kind": "import", "text": _summary(error), "detail": _traceback(error)}
    else:
        count = len(entry.signature.parameters)
        outcome = {"kind": "ok", "text": f"{count} input{'' if count == 1 else 's'}"}
    Path(answer).write_text(json.dumps(outcome))
    sys.stdout.flush()
    os._exit(0)  # threads that the model has started must not keep this process


def _summary(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def _traceback(error: BaseException) -> str:
    """The traceback from the model's first line on."""
    ours = (os.path.dirname(os.path.abspath(cog.__file__ or "")) + os.sep, "<frozen importlib", "<string>")
    shown = traceback.TracebackException.from_exception(error)
    shown.stack[:] = [frame for frame in shown.stack if not frame.filename.startswith(ours)]
    return "".join(shown.format())


if __name__ == "__main__":
    main(*sys.argv[1:])
