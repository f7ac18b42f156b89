"""How the model's setup went, as far as it has come."""

from __future__ import annotations

import time

from cog.backend.protocol import SetupReport
from cog.prediction.logs import LogText


class SetupJournal:
    """Notes one setup after the other; the latest is what is told."""

    def __init__(self) -> None:
        self._report: SetupReport | None = None
        self._logs = LogText()

    def begin(self) -> None:
        """A worker is started."""
        self._logs = LogText()
        self._report = SetupReport(time.time())

    def printed(self, text: str) -> None:
        """It has printed `text`."""
        self._logs.append(text)

    def succeeded(self) -> None:
        """It is done."""
        self._end("succeeded")

    def failed(self, cause: str) -> None:
        """It is over, unless it was before. The cause stands in the logs, which a traceback may have said already."""
        if self._report is not None and self._report.completed_at is None:
            if cause not in str(self._logs):
                self._logs.append(f"{cause}\n")
            self._end("failed")

    def _end(self, status: str) -> None:
        assert self._report is not None
        self._report = self._report._replace(completed_at=time.time(), status=status, logs=str(self._logs))

    @property
    def report(self) -> SetupReport | None:
        """The latest; None before the first."""
        report = self._report
        if report is not None and report.completed_at is None:
            report = report._replace(logs=str(self._logs))
        return report
