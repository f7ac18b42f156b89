"""Imports the model in its own environment, in a process of its own, and tells what came of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from cog.doctor.findings import Finding, Place
from cog.doctor.patient import Patient
from cog.environment.environment import Environment

DEADLINE: Final = 300.0  # seconds for an import, as much as a setup gets
_LAST_LINES: Final = 15
_NO_PACKAGE: Final = "The model cannot be imported. Add the package to its requirements, or correct the name."
_WHY: Final = {
    "LoadError": "The model cannot be found. Correct the reference in cog.yaml, or the file.",
    "SignatureError": "No request could be checked, so the model cannot be served. Correct what is named.",
    "import": "The model cannot be imported. Correct the line that is shown last, or what it rests on.",
}


def inspect(patient: Patient, environment: Environment, variables: Mapping[str, str]) -> Iterator[Finding]:
    """python-import and python-signature: the model can be imported, and requests for it can be checked."""
    if patient.reference is None:
        yield Finding("python-import", "note", "not looked at, since cog.yaml names no model")
        return
    with tempfile.TemporaryDirectory(prefix="cog-doctor-") as temporary:
        answer = Path(temporary) / "answer"
        ended, written = _run(patient, environment, variables, answer)
        outcome = json.loads(answer.read_text()) if answer.exists() else None
    source = Place(patient.folder / patient.reference.partition(":")[0])
    if outcome is None:
        advice = "Whatever happens while it is imported ends its process. The last lines that it wrote stand below."
        yield Finding(
            "python-import", "error", f"the model cannot be imported: {ended}", source, advice, written
        )
    elif outcome["kind"] == "ok":
        yield Finding("python-import", "ok", "the model can be imported")
        yield Finding("python-signature", "ok", f"its signature is right: {outcome['text']}")
    else:
        yield from _told(outcome, source)


def _told(outcome: dict[str, str], source: Place) -> Iterator[Finding]:
    kind = outcome["kind"]
    check = "python-signature" if kind == "SignatureError" else "python-import"
    if check == "python-signature":
        yield Finding("python-import", "ok", "the model can be imported")
    first, *more = outcome["text"].splitlines() or [""]
    detail = "\n".join([*more, *outcome.get("detail", "").rstrip().splitlines()])
    advice = _NO_PACKAGE if first.startswith("ModuleNotFoundError:") else _WHY[kind]
    yield Finding(check, "error", first, source, advice, detail)


def _run(
    patient: Patient, environment: Environment, variables: Mapping[str, str], answer: Path
) -> tuple[str, str]:
    """Run the probe to its end; gives how it ended and the last lines that it wrote."""
    program = (Path(__file__).parent / "probe.py").read_text(encoding="utf-8")
    written = answer.with_name("written")  # a file: who holds a pipe open could make us wait for ever
    with written.open("wb") as output:
        process = subprocess.Popen(
            [
                str(environment.python),
                "-c",
                program,
                str(answer),
                patient.reference or "",
                str(patient.folder),
                "train" if patient.train else "run",
            ],
            cwd=patient.folder,
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        code = process.wait(DEADLINE)
        ended = (
            f"its process was ended by signal {-code}"
            if code < 0
            else f"its process ended with exit code {code}"
        )
    except subprocess.TimeoutExpired:
        ended = f"it takes longer than {DEADLINE:g} s"
    finally:  # also after Ctrl-C: what was started ends too
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    lines = written.read_bytes().decode("utf-8", "replace").splitlines()
    return ended, "\n".join(lines[-_LAST_LINES:])
