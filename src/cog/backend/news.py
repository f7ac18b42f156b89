"""What an operator reads in the log of the workers of one model."""

from __future__ import annotations

import logging
from typing import Final

from cog.backend.owner import Fate
from cog.backend.protocol import SetupReport, State
from cog.backend.worker import Worker

log = logging.getLogger("cog.backend")

SILENT: Final = (
    "it has not answered for 5 seconds. Either it was stopped (SIGSTOP, a debugger), or C code in the model holds Python's "
    "interpreter lock (GIL). It gets no new predictions until it answers; cancelling its prediction ends it"
)


class News:
    """Tells what happens. While `aside` the model is one that nobody uses yet: what becomes of its setup is not told as
    the state of the server, but by who tries it.
    """

    def __init__(self, *, aside: bool) -> None:
        self.aside = aside

    def loading(self, reference: str) -> None:
        """The first worker is started."""
        if not self.aside:
            log.info("loading %s", reference)

    def divided(self, gpus: tuple[str, ...]) -> None:
        """Each worker gets one of these GPUs."""
        if not self.aside:
            log.info(
                "each worker gets one GPU; --gpus none lets every worker see all",
                extra={"fields": {"gpus": ",".join(gpus)}},
            )

    def state(self, state: State, cause: str | None, setup: SetupReport | None) -> None:
        """The model is in another state; `cause` is why it cannot run, `setup` tells how long the latest one took."""
        if self.aside:
            return
        fields: dict[str, object] = {"state": state.value}
        if cause is not None:
            fields["cause"] = cause
        if state is State.READY and setup is not None and setup.completed_at is not None:
            fields["seconds"] = round(setup.completed_at - setup.started_at, 2)
        log.info("the model is %s", state.value, extra={"fields": fields, "told": ("state",)})

    def setup_failed(self, index: int, cause: str) -> None:
        """A worker cannot be set up."""
        if not self.aside:
            log.error("setup of a worker failed", extra={"fields": {"worker": index, "cause": cause}})

    def replaced(self, index: int, fate: Fate, pause: float) -> None:
        """A worker has ended; another takes its place after `pause` seconds."""
        log.log(
            logging.INFO if fate.expected else logging.ERROR,
            "a worker ended and is replaced",
            extra={"fields": {"worker": index, "cause": fate.cause, "seconds": pause}},
        )

    def renewing(self, index: int, why: str) -> None:
        """A worker is to be replaced; it serves until the next one is ready."""
        log.info(
            "worker %d is being replaced, and serves until the next one is ready",
            index,
            extra={"fields": {"why": why}},
        )

    def draining(self, index: int, why: str, refusal: str) -> None:
        """A worker is to be replaced, and there cannot be two."""
        log.info(
            "worker %d takes no more predictions; the next one starts when it has ended: both at once do not fit",
            index,
            extra={"fields": {"why": why, "memory": refusal}},
        )

    def renewed(self, index: int, why: str, seconds: float) -> None:
        """A worker was replaced."""
        log.info(
            "worker %d was replaced", index, extra={"fields": {"why": why, "seconds": round(seconds, 2)}}
        )

    def not_renewed(self, index: int, why: str, cause: str, pause: float) -> None:
        """The worker that was to replace another one cannot be set up."""
        log.error(
            "worker %d cannot be replaced, and serves on: the setup of the next one failed",
            index,
            extra={"fields": {"why": why, "cause": cause, "seconds": pause}},
        )

    def large_from_the_start(self, index: int, size: int, limit: int) -> None:
        """A worker is over --max-worker-memory when its setup ends."""
        log.warning(
            "worker %d takes %.0f MiB as soon as it is set up, more than the %.0f MiB of --max-worker-memory: it is not "
            "replaced for its memory, since the next one would be as large. Allow more",
            index,
            size / 2**20,
            limit / 2**20,
        )

    def given_up(self, index: int, tries: int, cause: str) -> None:
        """A further worker could not be set up in so many tries."""
        log.error("worker %d is given up after %d failed setups: %s", index, tries, cause)

    def too_large(self, index: int, why: str) -> None:
        """A worker is ended since there is not enough memory for all of them."""
        log.warning("worker %d is given up: %s", index, why)

    def hangs(self, worker: Worker) -> None:
        """A worker was killed in vain."""
        log.error(
            "worker %d (process %d) was killed but does not end: it hangs inside the system, in a driver or on a "
            "network file system",
            worker.index,
            worker.pid,
        )

    def froze(self, worker: Worker, frozen: bool) -> None:
        """A worker does not answer any more, or it answers again."""
        fields = {"worker": worker.index, "pid": worker.pid, "predictions": worker.busy}
        if frozen:
            log.warning("worker %d is frozen: %s", worker.index, SILENT, extra={"fields": fields})
        else:
            log.info("worker %d answers again", worker.index, extra={"fields": fields})

    def grown(self, count: int, wanted: int, why: str) -> None:
        """There are as many workers as there will be."""
        log.log(
            logging.INFO if wanted > 1 else logging.DEBUG,
            "%d of %d workers",
            count,
            wanted,
            extra={"fields": {"workers": count, "why": why}, "told": ("workers",)},
        )

    def threads_ignored(self) -> None:
        """--threads was given for an async model."""
        log.warning(
            "--threads has no effect on an async model: its slots come from COG_MAX_CONCURRENCY, concurrency.max in cog.yaml "
            "or @concurrent(max=N); --workers says how many processes have so many each"
        )

    def workers_ignored(self, workers: int, threads: int) -> None:
        """--threads and --workers were given for a sync model, and they differ."""
        log.warning(
            "--workers %d has no effect: for a plain `def run` it is the same as --threads, which is given and says %d. "
            "Leave one of them out",
            workers,
            threads,
        )
