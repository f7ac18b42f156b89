"""What every backend can do. The service knows nothing else of where and how the model runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple, Protocol, TypeAlias

from cog.prediction.events import Event, Source
from cog.signature.facts import Signature

# Takes the events of one run, in order: Started, then any of Log, Output and Metric, then exactly one Done.
Sink: TypeAlias = Callable[[Event], None]


class State(str, Enum):
    """Whether the model can run. What clients see in `/health-check` is made from this and from the slots."""

    STARTING = "STARTING"
    READY = "READY"
    SETUP_FAILED = "SETUP_FAILED"
    DEFUNCT = "DEFUNCT"


class SetupReport(NamedTuple):
    """How the model's (latest) setup went. Times are in seconds since the epoch; `status` is Cog's word for it."""

    started_at: float
    completed_at: float | None = None
    status: str = "starting"
    logs: str = ""


class Standing(NamedTuple):
    """The backend's state; `cause` is one line that says why it is not READY."""

    state: State
    setup: SetupReport | None = None
    cause: str | None = None


class Member(NamedTuple):
    """One prediction of a batch: its folder, its context, and who takes the events that are its own."""

    folder: str
    context: Mapping[str, str]
    sink: Sink


class Order(NamedTuple):
    """One run of the model: the one thing that goes down.

    `payload` is the input as JSON text, its files replaced by local paths; `folder` is where output files are
    secured (made when first needed, removed by who gave the order); `model` is what the input was checked against.

    With `members` it is a batch, which takes one slot: `payload` is the list of their inputs. The sink of a member gets
    any of Log, Output and Metric, and a Done when its end is known before that of the run; the sink of the run gets what
    concerns all, and its Done is the end of every member that has none.
    """

    payload: bytes
    folder: str
    context: Mapping[str, str] = MappingProxyType({})
    model: Signature | None = None
    members: tuple[Member, ...] = ()


class Run(Protocol):
    """A run that was accepted."""

    def cancel(self) -> None:
        """Ask for its end. It ends with one Done as always; calling this again, or too late, changes nothing."""


class Watcher(Protocol):
    """Who is told what does not belong to one run. Must return at once and must not raise."""

    def changed(self) -> None:
        """The standing or the number of free slots may be another."""

    def printed(self, text: str, source: Source, worker: int, setup: bool) -> None:
        """Text that belongs to no run: printed in setup, between runs, or by a process that nobody can tell."""


class Backend(Protocol):
    """Runs the model. All methods are called on the event loop's thread."""

    @property
    def signature(self) -> Signature | None:
        """What the model accepts; None until it was ready once."""

    @property
    def state(self) -> State:
        """Whether it can run anything."""

    @property
    def standing(self) -> Standing:
        """The state, and how it came to it."""

    @property
    def trouble(self) -> str | None:
        """Why nothing can be started although the state is READY; None when it can, as soon as a slot is free."""

    @property
    def slots(self) -> int:
        """How many runs there can be at once: those that are, where no other can be started for now."""

    @property
    def free(self) -> int:
        """How many more there can be now."""

    @property
    def room(self) -> int:
        """How many orders it takes now: also where no slot is free, when it takes some ahead. Those begin, and tell so, when
        one is."""

    async def start(self, watcher: Watcher) -> None:
        """Begin to set the model up; returns before that is done."""

    def run(self, order: Order, sink: Sink) -> Run:
        """Start a run; `room` must be over 0.

        Raises:
            NotReady: there is no free slot.
        """

    async def check_health(self) -> str | None:
        """What the model's own health check finds wrong; None when nothing is, or when it has no such check."""

    async def stop(self) -> None:
        """End every worker and all it started, within seconds, whatever state it is in."""
