"""What to set, and why, from the figures of a sweep. Nothing is recommended that was not measured."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from cog.bench.figures import Step
from cog.bench.plan import GROWTH, Setup
from cog.bench.subject import Subject
from cog.bench.words import number, plural, rate, span, times

ENOUGH: Final = (
    1 - GROWTH
)  # of the best throughput: to get the rest costs more latency or memory than it is worth
_WAIT: Final = 1.0  # seconds that a request may stand in the queue, where predictions are quick
_LONGEST_QUEUE: Final = 1000
_GATHERING: Final = 0.1  # of the time of one prediction: what a lone request may wait for others
_WAITS: Final = (0.001, 0.05)  # seconds between which max_wait is sensible
_BUSY_GENERATOR: Final = 0.8  # of a processor: above it the clients are what is measured
_NICE: Final = (5.0, 2.0, 1.0)


@dataclass(frozen=True, slots=True)
class Advice:
    """`setting` is what to write, such as `--threads 2`; `reason` says why, with the figures. A `load` says how much to send,
    a `caution` what to know of the figures."""

    kind: Literal["setting", "load", "caution"]
    setting: str
    reason: str


def knee(steps: Sequence[Step]) -> Step | None:
    """The step with the fewest requests at a time that reaches `ENOUGH` of the best throughput, and in which nothing was
    refused if there is one; None without answers."""
    best = max((step.throughput for step in steps), default=0.0)
    enough = [step for step in steps if step.throughput >= best * ENOUGH and step.answers]
    return min(enough, key=lambda step: (step.refused > 0, step.concurrency), default=None)


def best_setup(steps: Sequence[Step]) -> Setup | None:
    """The smallest setup that reaches `ENOUGH` of the best throughput of all; None without answers."""
    peaks = _peaks(steps)
    best = max((step.throughput for step in peaks.values()), default=0.0)
    enough = [setup for setup, step in peaks.items() if step.throughput >= best * ENOUGH]
    return min(enough, key=lambda setup: (setup.threads or 0, setup.batch or 0), default=None)


def recommend(subject: Subject, steps: Sequence[Step]) -> tuple[Advice, ...]:
    """What to set for this model on this machine."""
    setup = best_setup(steps)
    own = [step for step in steps if step.setup == setup]
    found = knee(own)
    if setup is None or found is None:
        return tuple(_cautions(steps))
    return (
        _load(own, found),
        *_threads(subject, steps, setup, found),
        *_concurrent(subject, own, found),
        *_batch(subject, steps, own, setup),
        _queue(found),
        *_cautions(steps),
    )


def _peaks(steps: Sequence[Step]) -> Mapping[Setup, Step]:
    """The best step of each setup that has answered at all."""
    peaks: dict[Setup, Step] = {}
    for step in steps:
        if step.answers and (step.setup not in peaks or step.throughput > peaks[step.setup].throughput):
            peaks[step.setup] = step
    return peaks


def _load(own: Sequence[Step], found: Step) -> Advice:
    assert found.latency is not None
    latency = found.latency
    text = f"{rate(found.throughput)}, half of the answers within {span(latency.p50)}, 99 of 100 within {span(latency.p99)}"
    beyond = [step for step in own if step.concurrency > found.concurrency and step.latency is not None]
    if beyond:
        more = max(beyond, key=lambda step: step.throughput)
        assert more.latency is not None
        text += f"; with {more.concurrency}: {rate(more.throughput)}, half of them within {span(more.latency.p50)}"
    elif _grew(own):
        text += "; throughput still grew there: measure with more (`--concurrency`)"
    return Advice("load", f"{plural(found.concurrency, 'request')} at a time", text)


def _grew(own: Sequence[Step]) -> bool:
    """Whether the last step brought more than all before it."""
    before = max((step.throughput for step in own[:-1]), default=0.0)
    return before > 0 and own[-1].throughput > before * (1 + GROWTH)


def _threads(subject: Subject, steps: Sequence[Step], setup: Setup, found: Step) -> Iterator[Advice]:
    """How many processes."""
    if setup.threads is None:
        return
    flag = "--workers" if subject.style == "async" else "--threads"
    peaks = {
        each.threads: step
        for each, step in _peaks(steps).items()
        if each.threads is not None and each.batch == setup.batch
    }
    others = [count for count in peaks if count != setup.threads]
    if not others:
        reason = (
            f"the only number that was measured, {rate(found.throughput)}; `{flag} 1,2,4` compares several"
        )
    else:
        reason = f"{rate(peaks[setup.threads].throughput)}"
        fewer = max((count for count in others if count < setup.threads), default=None)
        more = min((count for count in others if count > setup.threads), default=None)
        if fewer is not None:
            reason += f", {_compared(peaks[setup.threads], peaks[fewer])} {fewer} does"
        if more is not None:
            reason += f"; {more} bring {rate(peaks[more].throughput)} and take more memory"
    yield Advice("setting", f"{flag} {setup.threads}", reason)


def _compared(one: Step, other: Step) -> str:
    ratio = one.throughput / other.throughput if other.throughput else 1.0
    return f"{times(ratio)} what"


def _concurrent(subject: Subject, own: Sequence[Step], found: Step) -> Iterator[Advice]:
    """How many predictions at a time, for an `async def run`; of one with batches they are not requests."""
    if subject.style != "async" or subject.batched or found.slots is None:
        return
    processes = found.setup.threads or 1
    has, each = max(1, found.slots // processes), math.ceil(found.concurrency / processes)
    if each < has:
        reason = (
            f"more than {found.concurrency} at a time bring no more; the model takes {has} now, "
            "which only makes each of them slower"
        )
        yield Advice("setting", f"@concurrent(max={each})", reason)
        return
    before = max((step.throughput for step in own if step.concurrency < found.slots), default=0.0)
    at = max((step.throughput for step in own if step.concurrency >= found.slots), default=0.0)
    reason = f"what the model has now, and what it fills: {rate(at)}"
    if before and at > before * (1 + GROWTH):
        reason += f"; throughput grew until there, so try more: `cog bench -e COG_MAX_CONCURRENCY={has * 2}`"
    yield Advice("setting", f"@concurrent(max={has})", reason)


def _batch(subject: Subject, steps: Sequence[Step], own: Sequence[Step], setup: Setup) -> Iterator[Advice]:
    """How many in a batch, and how long to wait for them."""
    if not subject.batched:
        return
    one = min(own, key=lambda step: step.concurrency).model_time or subject.first
    wait = nice(min(max(one * _GATHERING, _WAITS[0]), _WAITS[1]))
    gathering = (
        f"a tenth of what a call with one takes ({span(one)}): so much later a lone request is answered; under load a "
        "batch gathers while the one before runs"
    )
    peaks = {
        each.batch: step
        for each, step in _peaks(steps).items()
        if each.batch is not None and each.threads == setup.threads
    }
    if setup.batch is None or setup.batch not in peaks:
        yield Advice("setting", f"@batch(max_wait={wait:g})", gathering)
        return
    best = peaks[setup.batch]
    compared = [
        f"{size}: {rate(step.throughput)}" for size, step in sorted(peaks.items()) if size != setup.batch
    ]
    reason = rate(best.throughput) + (f" ({', '.join(compared)})" if compared else "")
    if best.together is not None:
        reason += f", with {number(best.together)} in a call on average"
    smaller = max((step.throughput for size, step in peaks.items() if size < setup.batch), default=0.0)
    if setup.batch == max(peaks) and smaller and best.throughput > smaller * (1 + GROWTH):
        reason += "; throughput grew until there, so try a larger max_size if there is memory for it"
    setting = f"@batch(max_size={setup.batch}, max_wait={wait:g})"
    yield Advice("setting", setting, f"max_size: {reason}; max_wait: {gathering}")


def _queue(found: Step) -> Advice:
    """How many may wait: what is worked off in a second, or in the time of a few predictions of a slow model."""
    assert found.latency is not None
    slots = (found.slots or found.concurrency) * (found.setup.batch or 1)
    wait = max(_WAIT, 2 * found.latency.p50)
    length = int(min(max(nice(found.throughput * wait), slots, 1), _LONGEST_QUEUE))
    return Advice(
        "setting",
        f"--max-queue {length}",
        f"at {rate(found.throughput)} so many are worked off in about {span(length / found.throughput)}; who comes when it is "
        "full is refused at once (409), and can ask another server",
    )


def _cautions(steps: Sequence[Step]) -> Iterator[Advice]:
    """What to know of the figures."""
    failed = sum(step.failed for step in steps)
    if failed:
        reasons: Counter[str] = Counter()
        for step in steps:
            reasons.update(dict(step.failures))
        text = f"not counted as throughput. The most usual reason: {reasons.most_common(1)[0][0]}"
        yield Advice("caution", f"{failed:,} of {_all(steps):,} requests failed", text)
    refused = [step for step in steps if step.refused]
    if refused:
        least = min(step.concurrency for step in refused)
        yield Advice(
            "caution",
            f"{sum(step.refused for step in refused):,} of {_all(steps):,} requests were refused",
            f"every place was taken, with {plural(least, 'request')} at a time and more; they are not counted as throughput",
        )
    busiest = max(steps, key=lambda step: step.generator, default=None)
    if busiest is not None and busiest.generator > _BUSY_GENERATOR:
        yield Advice(
            "caution",
            f"The load took {busiest.generator:.0%} of a processor",
            "the clients of cog bench are what limits the quickest steps, not the server; `wrk` or several machines load more",
        )


def _all(steps: Sequence[Step]) -> int:
    return sum(step.answers + step.refused + step.failed for step in steps)


def nice(value: float) -> float:
    """The largest of 1, 2, 5, 10, 20, 50... (or 0.5, 0.2...) that is not above `value`, which is above 0."""
    power = 1.0
    while power > value:
        power /= 10
    while power * 10 <= value:
        power *= 10
    return next(round(step * power, 12) for step in (*_NICE, 0.0) if step * power <= value)
