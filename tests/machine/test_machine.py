"""Random steps against a real server: no slot, answer, process, file or webhook is lost, whatever comes after what."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis.stateful import run_state_machine_as_test

from machine.machine import Machine
from machine.subject import ASYNC, KEEP, SYNC, Subject, subject
from support.receiving import receiving

KINDS = {"sync": (SYNC, 2, ("--threads", "2")), "async": (ASYNC, 4, ())}


@contextlib.contextmanager
def machine_of(kind: str, root: Path) -> Iterator[type[Machine]]:
    """A machine whose server lives on from one example to the next, until one of them ends it."""
    source, slots, flags = KINDS[kind]
    numbers = itertools.count()
    current: list[Subject] = []

    with receiving() as receiver, contextlib.ExitStack() as stack:

        def begin() -> Subject:
            if not current:
                folder = root / str(next(numbers))
                current.append(stack.enter_context(subject(folder, source, "--keep", str(KEEP), *flags)))
            return current[0]

        def end() -> None:
            current.clear()
            stack.close()

        members = {"begin": staticmethod(begin), "end": staticmethod(end), "receiver": receiver}
        yield type("Driven", (Machine,), {**members, "slots": slots})


def drive(machine: type[Machine], examples: int, steps: int, *, always_the_same: bool) -> None:
    # Steps are not made fewer after a failure: each try takes seconds, and the log of the first says it all.
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            derandomize=always_the_same,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.normal,
        ),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_random_steps(kind: str, tmp_path: Path) -> None:
    with machine_of(kind, tmp_path) as machine:
        drive(machine, 6, 25, always_the_same=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
def test_many_random_steps(kind: str, tmp_path: Path) -> None:
    with machine_of(kind, tmp_path) as machine:
        machine.most_deaths = 4 if kind == "async" else 2
        machine.freezes_left = 5
        drive(machine, 40, 40, always_the_same=False)
