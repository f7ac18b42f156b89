"""`cog doctor`: looks over the project, tells what is wrong, and mends what it can."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cog.cli.project import Project, file_option, no_env_option
from cog.cli.screen import Screen
from cog.config.parse import locate
from cog.errors import ConfigError, EnvironmentFailed, UsageError

if TYPE_CHECKING:
    from cog.cli.main import Session
    from cog.doctor.findings import Finding
    from cog.doctor.patient import Patient

_SIGNS: Final = {
    "ok": ("✔", "success"),
    "note": ("•", "dim"),
    "warning": ("⚠", "warning"),
    "error": ("✘", "error"),
}
_MOST_ROUNDS: Final = 10  # of mending: each does all that does not touch what another changes


@click.command()
@file_option
@no_env_option
@click.option("--fix", is_flag=True, help="Mend what can be mended without changing what the model does.")
@click.option(
    "--deep", is_flag=True, help="Make the model's environment, import the model in it, check its signature."
)
@click.pass_obj
def command(session: Session, file: str | None, no_env: bool, fix: bool, deep: bool) -> int:
    """Look over the project: cog.yaml, the model's code, this machine.

    Each check says what is right or wrong and what to do. Nothing of the model is run, unless --deep is given.
    The exit code is 1 if an error is left; warnings alone give 0.
    """
    path = locate(file)
    from cog.doctor.patient import examine
    from cog.doctor.round import GROUPS, look

    report = Report(session.screen, path.parent)
    try:
        if fix:
            _mend(path, report)
        patient = examine(path)
    except OSError as error:
        raise UsageError(
            f"{error.filename or path}: {error.strerror}. Look at the permissions of the file."
        ) from None
    for title, checks in GROUPS.items():
        report.title(title)
        # Whether the environment is there already is of no matter when it is about to be made.
        report.tell(look(patient, [check for check in checks if not (deep and check.name == "env-ready")]))
    if deep:
        report.title("Model")
        report.tell(_deep(patient, session.screen, no_env=no_env))
    return report.end(fixing=fix)


@dataclass(slots=True)
class Report:
    """What is written: findings under titles, each on a line, and a count at the end."""

    screen: Screen
    folder: Path
    errors: int = 0
    warnings: int = 0
    fixable: set[str] = field(default_factory=set)

    def title(self, text: str) -> None:
        """Begin a group."""
        self.screen.say(self.screen.style(text, "bold"))

    def tell(self, findings: Iterable[Finding]) -> None:
        """Write each finding as soon as it is there."""
        for finding in findings:
            self._line(finding)
            self.errors += finding.level == "error"
            self.warnings += finding.level == "warning"

    def mended(self, text: str, path: Path) -> None:
        """Something was mended."""
        self.screen.succeed(f"mended {self._shown(path)}: {text}")

    def end(self, *, fixing: bool) -> int:
        """The count; gives the exit code."""
        if not self.errors and not self.warnings:
            self.screen.succeed("Nothing is wrong.")
            return 0
        counted = [f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in self._counts() if count]
        text = f"{' and '.join(counted)}."
        if self.fixable and not fixing:
            text += f" `cog doctor --fix` mends {len(self.fixable)} of them."
        if self.errors:
            self.screen.fail(text)
        else:
            self.screen.warn(text)
        return 1 if self.errors else 0

    def _counts(self) -> tuple[tuple[int, str], ...]:
        return ((self.errors, "error"), (self.warnings, "warning"))

    def _line(self, finding: Finding) -> None:
        screen = self.screen
        sign, style = _SIGNS[finding.level]
        start = screen.style(sign, style) if screen.lively else f"{finding.level}:"
        where = finding.where
        place = ""
        if where is not None:
            place = f"{self._shown(where.path)}{'' if where.line is None else f':{where.line}'}: "
        screen.say(f"  {start} {place}{finding.text} {screen.style(f'[{finding.check}]', 'dim')}")
        for line in [*finding.detail.splitlines(), *filter(None, [finding.advice])]:
            screen.say(f"      {line}")
        if finding.fix is not None:
            self.fixable.add(f"{finding.check} {place}{finding.text}")

    def _shown(self, path: Path) -> str:
        return str(path.relative_to(self.folder)) if path.is_relative_to(self.folder) else str(path)


def _mend(path: Path, report: Report) -> None:
    """Mend until nothing is left that can be: one change may make way for another."""
    from cog.doctor.edits import mend
    from cog.doctor.patient import examine
    from cog.doctor.round import fixable

    for _ in range(_MOST_ROUNDS):
        done = mend([finding.fix for finding in fixable(examine(path)) if finding.fix is not None])
        for text, place in dict.fromkeys((fix.text, fix.path) for fix in done):
            report.mended(text, place)
        if not done:
            return


def _deep(patient: Patient, screen: Screen, *, no_env: bool) -> Iterator[Finding]:
    """Make the environment, and import the model in it."""
    from cog.cli.project import open_environment
    from cog.doctor.findings import Finding
    from cog.doctor.inspection import inspect

    if patient.config is None:
        yield Finding("env-make", "note", "not made, since cog.yaml has errors")
        return
    project = Project(patient.config, patient.path)
    try:
        environment = open_environment(project, no_env=no_env, screen=screen)
    except (EnvironmentFailed, ConfigError) as error:
        first, *more = str(error).splitlines() or [""]
        yield Finding("env-make", "error", first, detail="\n".join(more))
        return
    yield Finding(
        "env-make", "ok", "the model's environment can be made" if not no_env else "cog's own Python is used"
    )
    with screen.working("Importing the model"):
        found = list(
            inspect(patient, environment, environment.variables({**os.environ, **project.variables()}))
        )
    yield from found
