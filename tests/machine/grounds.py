"""What all random steps stand on: what is known of the server, what must hold after each step, and the end."""

from __future__ import annotations

import functools
import itertools
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar, cast

from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from machine.knowledge import DATA_URL, TERMINAL, Known
from machine.subject import Client, Subject, until_settled, zombies
from machine.subject import descriptors as count_descriptors
from support.receiving import Receiver
from support.serving import Response, Server, until

_tokens = itertools.count(1)

Step = TypeVar("Step", bound=Callable[..., None])


def only_when(able: Callable[[Any], Any]) -> Callable[[Step], Step]:
    """The step does nothing otherwise. (With `precondition`, hypothesis demands that the same choices always lead to
    the same steps; but where a race is legal, a real server may be in another state the next time.)"""

    def wrap(step: Step) -> Step:
        @functools.wraps(step)
        def taken(self: Grounds, **more: Any) -> None:
            if able(self):
                step(self, **more)

        return cast("Step", taken)

    return wrap


class Grounds(RuleBasedStateMachine):
    """Between two steps everything is settled: what runs waits at its gate, and what was ended has ended.

    `degraded` means that a worker died and its successor may not be there yet: then a refusal is right, too.
    """

    # Filled in by the test. A server outlives the examples; `begin` and `end` make it a new one.
    begin: Callable[[], Subject]
    end: Callable[[], None]
    receiver: Receiver
    slots: int
    # Since all slots were there. After 5 a server is DEFUNCT; an additional worker is given up after 3 in its setup.
    most_deaths: int = 2
    freezes_left: int = 0  # each takes seconds

    def __init__(self) -> None:
        super().__init__()
        self.active: list[Known] = []
        self.ended: list[Known] = []
        self.runs: dict[str, int] = {}  # how often each id with a webhook was run
        self.deaths = 0
        self.degraded = True  # a new server is ready with its first worker
        self.restarts = 0
        self.threads = ThreadPoolExecutor(16)

    @property
    def subject(self) -> Subject:
        return self.begin()

    @property
    def server(self) -> Server:
        return self.subject.server

    @initialize()
    def start(self) -> None:
        """Every example begins with all slots free."""
        self.recover()

    @rule()
    @only_when(lambda self: self.degraded)
    def recover(self) -> None:
        """Every slot is there again: as many predictions as there are slots run at the same time."""
        fillers: list[Known] = []
        deadline = time.monotonic() + 20
        while len(self.active) + len(fillers) < self.slots:
            filler = Known(new_token(), "return", False)
            refusal = self._begin(filler, "async")
            if refusal is None:
                fillers.append(filler)
            else:
                self._may_refuse_yet(refusal, deadline)
        for filler in fillers:
            self._release(filler)
            self._check_end(filler, frozenset({"succeeded"}))
        self.degraded = False
        if fillers:
            self.deaths = 0

    @staticmethod
    def _may_refuse_yet(refusal: Response, deadline: float) -> None:
        assert refusal.status in (409, 503), refusal
        assert time.monotonic() < deadline, f"slots are lost: {refusal}"
        threading.Event().wait(0.01)  # the server says that it has to be asked again

    @invariant()
    def what_runs_is_known(self) -> None:
        for known in self.active:
            shown = self.server.get(f"/predictions/{known.token}").json()
            assert (shown["id"], shown["status"]) == (known.token, "processing"), shown
            assert known.answer is None or not known.answer.done()

    @invariant()
    def health_is_right(self) -> None:
        status = self.server.health()["status"]
        right = {"BUSY" if len(self.active) == self.slots else "READY"}
        assert status in (right | ({"STARTING", "READY", "BUSY"} if self.degraded else set()))

    @invariant()
    def a_free_slot_is_free(self) -> None:
        """A prediction runs at once when a slot is free, and is refused at once when none is."""
        token = new_token()
        answer = self.server.call("POST", "/predictions", {"id": token, "input": {"token": token}})
        room = len(self.active) < self.slots
        if answer.status != 200:
            self._may_refuse(answer, room)
            return
        assert room, "more predictions run than there are slots"
        result = answer.json()
        assert (result["status"], result["output"]["token"], result["logs"]) == (
            "succeeded",
            token,
            f"{token} begins\n{token} ends\n",
        )

    @invariant()
    def nothing_is_left(self) -> None:
        files = sum(1 for known in self.active if known.with_file)
        until_settled(self.subject.folders, files, "folders of predictions")

    def teardown(self) -> None:
        """Let everything end; then the server is as it was when it was new."""
        raised = sys.exc_info()[1]
        failing = (
            raised if isinstance(raised, Exception) else None
        )  # others are how hypothesis ends an example
        try:
            if failing is None:
                self._settle()
        except Exception as error:
            failing = error
            raise
        finally:
            for known in self.active:
                if known.client is not None:
                    known.client.hang_up()
            self.threads.shutdown()
            if failing is not None:
                self._report(failing)

    def _report(self, failing: Exception) -> None:
        """Show the failure itself: hypothesis runs the steps again, and tells only of that if it goes well."""
        traceback.print_exception(failing)
        print(*self.server.log.splitlines()[-20:], sep="\n")
        self.server.process.kill()
        self.server.process.wait()
        self.end()

    def _settle(self) -> None:
        for known in tuple(self.active):
            if known.ending == "die":
                self.server.call("POST", f"/predictions/{known.token}/cancel")
                self._ends(known, frozenset({"canceled"}))
            else:
                self._release(known)
                self._ends(known, known.by_itself())
        self.recover()
        for known in self.ended:
            if time.monotonic() - known.ended_at < 5:
                assert self.server.get(f"/predictions/{known.token}").json() == known.result
        self._check_hooks()
        self.nothing_is_left()
        until_settled(lambda: len(zombies(self.server)), 0, "zombies")
        if not self.subject.descriptors:
            self.subject.measure()
        # The connections on which webhooks were sent may be kept for the next ones.
        allowed = self.subject.descriptors + 6
        until_settled(lambda: count_descriptors(self.server), allowed, "open descriptors")
        # Measured over many runs: up to 12 MB more than when it was new. tests/soak looks at memory more closely.
        until_settled(self.subject.unexplained, self.subject.memory + 40_000_000, "bytes of memory")
        for path in self.server.folder.glob("t*.*"):
            path.unlink()

    def _check_hooks(self) -> None:
        """Each run that asked for it sent one webhook of its end, no more. (The same one may come again, when its answer
        was lost: receivers know it by its id.)"""
        wanted = {token: count for token, count in self.runs.items() if count}
        ids: dict[str, set[str]] = {}
        for incoming in self.receiver.wait_for(sum(wanted.values())):
            result = incoming.json()
            assert result["status"] in TERMINAL, result
            ids.setdefault(result["id"], set()).add(incoming.headers["webhook-id"])
        told = {token: len(each) for token, each in ids.items()}
        assert told == wanted, (
            f"{told} and not {wanted}: {[incoming.json() for incoming in self.receiver.got]}"
        )
        self.receiver.got.clear()
        self.runs.clear()

    def _begin(self, known: Known, how: str) -> Response | None:
        """Start a prediction with a gate and wait until it stands there; gives the refusal if there is one."""
        body: dict[str, Any] = {"id": known.token, "input": self._input(known)}
        if known.hooked:
            body |= {"webhook": self.receiver.url, "webhook_events_filter": ["completed"]}
        path, method = ("/predictions", "POST") if how != "put" else (f"/predictions/{known.token}", "PUT")
        if how == "async":
            answer = self.server.call(method, path, body, headers={"prefer": "respond-async"})
            if answer.status != 202:
                return answer
            assert answer.json()["status"] in ("starting", "processing")
        else:
            known.client = Client(self.server.url, method, path, body)
            known.answer = self.threads.submit(known.client.read)
        began = self.server.folder / f"{known.token}.began"
        until(lambda: began.exists() or (known.answer is not None and known.answer.done()), bool)
        if not began.exists():
            assert known.answer is not None
            refusal = known.answer.result()
            assert refusal is not None, "a connection was closed without an answer"
            assert refusal.status != 200, refusal
            return refusal
        known.pid = int(began.read_text())
        self.runs[known.token] = self.runs.get(known.token, 0) + known.hooked
        return None

    @staticmethod
    def _input(known: Known) -> dict[str, Any]:
        told = {"token": known.token, "gate": True, "ending": known.ending}
        return told | ({"file": DATA_URL} if known.with_file else {})

    def _may_refuse(self, answer: Response, room: bool) -> None:
        if not room:
            assert answer.status == 409 or self.degraded, answer
        assert not room or self.degraded, f"refused although a slot is free: {answer}"
        assert answer.status in (409, 503), answer
        assert "retry-after" in answer.headers
        assert answer.json()["status"] == "failed"

    def _picked(self, pick: int) -> Known:
        return self.active[pick % len(self.active)]

    def _worker(self, pick: int) -> int:
        workers = until(self.server.workers, bool)
        return int(workers[pick % len(workers)])

    def _release(self, known: Known) -> None:
        (self.server.folder / f"{known.token}.go").touch()

    def _ends(self, known: Known, ways: frozenset[str]) -> None:
        self._check_end(known, ways)
        self.active.remove(known)
        self.ended.append(known)

    def _check_end(self, known: Known, ways: frozenset[str]) -> None:
        known.result = self.server.wait_for(known.token)
        known.ended_at = time.monotonic()
        known.check(known.result, ways)
        if known.answer is not None:
            done, _ = wait([known.answer], 10)
            assert done, f"{known.token} has ended, and its client waits"
            answer = known.answer.result()
            if answer is None:
                assert known.left, f"{known.token}: a connection was closed without an answer"
            else:
                assert (answer.status, answer.json()) == (200, known.result)

    def _died(self, pid: int, ways: frozenset[str]) -> None:
        for known in [known for known in self.active if known.pid == pid]:
            self._ends(known, ways)
        until(lambda: os.path.exists(f"/proc/{pid}"), lambda there: not there)
        self.deaths += 1
        self.degraded = True


def new_token() -> str:
    return f"t{next(_tokens)}"
