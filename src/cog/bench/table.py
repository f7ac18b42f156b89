"""The table that grows while a model is measured, line by line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cog.bench.figures import Latency, Step, Tally
from cog.bench.plan import Setup
from cog.bench.words import number, span

_INDENT = "  "  # where a terminal shows that a line is being measured


@dataclass(frozen=True, slots=True)
class Table:
    """With columns for what differs between the servers that are measured."""

    threads: bool
    batches: bool

    @classmethod
    def of(cls, setups: Sequence[Setup]) -> Table:
        """The one for these servers."""
        return cls(len({each.threads for each in setups}) > 1, len({each.batch for each in setups}) > 1)

    @property
    def head(self) -> str:
        """The names of the columns."""
        return self._line("threads", "batch", ("at a time", "answers/s", "p50", "p90", "p99"))

    def row(self, step: Step) -> str:
        """A step that was measured; what was not answered stands at its end."""
        line = self._of(step.setup, step.concurrency, step.throughput, step.latency)
        counts = {"refused": step.refused, "failed": step.failed}
        beside = [f"{count:,} {what}" for what, count in counts.items() if count]
        return f"{line}  {', '.join(beside)}".rstrip()

    def begun(self, setup: Setup, concurrency: int, tally: Tally, began: float) -> str:
        """A step that is being measured, without its indent."""
        newest = tally.latencies[-2000:]
        return self._of(setup, concurrency, tally.throughput(began), Latency.of(newest))[len(_INDENT) :]

    def _of(self, setup: Setup, concurrency: int, throughput: float, latency: Latency | None) -> str:
        times = [span(each) for each in (latency.p50, latency.p90, latency.p99)] if latency else ["-"] * 3
        cells = (f"{concurrency:,}", number(throughput), *times)
        return self._line(str(setup.threads or ""), str(setup.batch or ""), cells)

    def _line(self, threads: str, batch: str, cells: Sequence[str]) -> str:
        first = [f"{threads:>7}"] if self.threads else []
        first += [f"{batch:>5}"] if self.batches else []
        return _INDENT + "  ".join([*first, *(f"{cell:>9}" for cell in cells)])
