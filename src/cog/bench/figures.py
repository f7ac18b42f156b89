"""What was measured, as figures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from cog.bench.answers import Kind, Outcome
from cog.bench.plan import Setup


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from a request to the end of its answer. `p90`: nine of ten took no longer."""

    p50: float
    p90: float
    p99: float
    mean: float
    longest: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Latency | None:
        """Those of `seconds`; None when there are none."""
        if not seconds:
            return None
        ordered = sorted(seconds)
        p50, p90, p99 = (percentile(ordered, share) for share in (0.5, 0.9, 0.99))
        return cls(p50, p90, p99, math.fsum(ordered) / len(ordered), ordered[-1])


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of them do not exceed (nearest rank); `ordered` is not empty."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the sweep: `concurrency` clients that each sent their next request when the last was answered.

    `slots` is how many predictions the server runs at once (None: it does not tell), `seconds` how long it was measured,
    `throughput` successful answers a second, `model_time` the mean time of the model itself, `together` the mean of how
    many predictions it had in a batch (None: it has no batches), `generator` the share of a processor that the clients
    took. What was refused or has failed is only counted; `failures` are the reasons.
    """

    setup: Setup
    concurrency: int
    slots: int | None
    seconds: float
    answers: int
    refused: int
    failed: int
    throughput: float
    latency: Latency | None
    model_time: float | None
    together: float | None
    generator: float
    failures: tuple[tuple[str, int], ...] = ()


@dataclass(slots=True)
class Tally:
    """Counts the outcomes of one step as they come."""

    latencies: list[float] = field(default_factory=list)
    model_times: list[float] = field(default_factory=list)
    together: list[int] = field(default_factory=list)
    refused: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    last: float = 0.0  # when the newest successful answer came

    @property
    def count(self) -> int:
        """All outcomes."""
        return len(self.latencies) + self.refused + self.failures.total()

    def take(self, outcome: Outcome, latency: float, now: float) -> None:
        """Count one."""
        match outcome.kind:
            case Kind.ANSWERED:
                self.latencies.append(latency)
                self.last = now
                if outcome.model_time is not None:
                    self.model_times.append(outcome.model_time)
                if outcome.together is not None:
                    self.together.append(outcome.together)
            case Kind.REFUSED:
                self.refused += 1
            case Kind.FAILED:
                self.failures[outcome.text] += 1

    def throughput(self, began: float) -> float:
        """Successful answers a second from `began` to the last of them: what comes after it is a part of a next one."""
        passed = self.last - began
        return len(self.latencies) / passed if self.latencies and passed > 0 else 0.0

    def step(
        self, setup: Setup, concurrency: int, slots: int | None, span: tuple[float, float], generator: float
    ) -> Step:
        """The figures of a step that was measured within `span`, two times of one clock."""
        began, ended = span
        return Step(
            setup=setup,
            concurrency=concurrency,
            slots=slots,
            seconds=ended - began,
            answers=len(self.latencies),
            refused=self.refused,
            failed=self.failures.total(),
            throughput=self.throughput(began),
            latency=Latency.of(self.latencies),
            model_time=_mean(self.model_times),
            together=_mean(self.together),
            generator=generator,
            failures=tuple(self.failures.most_common(5)),
        )


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
