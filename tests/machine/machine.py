"""The steps: what clients, models and the system may do to a server, in any order."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import rule

from machine.grounds import Grounds, new_token, only_when
from machine.knowledge import TERMINAL, Known
from machine.subject import Client

PICK: Final = st.integers(0, 7)
ENDINGS: Final = st.sampled_from(["return", "return", "file", "fail", "die"])
HOWS: Final = st.sampled_from(["sync", "async", "put"])
BAD: Final = st.sampled_from(
    [
        ({"input": {}}, 422),
        ({"input": {"token": 1, "gate": "yes"}}, 422),
        ({"input": {"token": "t", "file": "/etc/hostname"}}, 422),
        ({"input": {"token": "t", "file": "data:text/plain;base64,%%%"}}, 422),
        ({"input": {"token": "t"}, "id": "a/b"}, 422),
        ({"input": {"token": "t"}, "id": "x" * 300}, 422),
        ({"input": {"token": "t"}, "webhook": "http://169.254.169.254/"}, 422),
        ([], 422),
    ]
)


class Machine(Grounds):
    """Between two steps everything is settled: what runs waits at its gate, and what was ended has ended."""

    # Creating

    @rule(how=HOWS, ending=ENDINGS, with_file=st.booleans(), hooked=st.booleans())
    def create(self, how: str, ending: str, with_file: bool, hooked: bool) -> None:
        known = Known(new_token(), ending, with_file, hooked=hooked)
        room = len(self.active) < self.slots
        refusal = self._begin(known, how)
        if refusal is None:
            assert room
            self.active.append(known)
        else:
            self._may_refuse(refusal, room)

    @rule(pick=PICK, post=st.booleans())
    @only_when(lambda self: self.active)
    def send_again(self, pick: int, post: bool) -> None:
        """The id of what runs: nothing new is made, whatever the body says."""
        known = self._picked(pick)
        body = {"id": known.token, "input": {"token": "another"}}
        path = "/predictions" if post else f"/predictions/{known.token}"
        answer = self.server.call("POST" if post else "PUT", path, body)
        assert answer.status == 202, answer
        assert (answer.json()["id"], answer.json()["status"]) == (known.token, "processing")

    @rule(pick=PICK)
    @only_when(lambda self: self.ended)
    def put_an_ended_one(self, pick: int) -> None:
        """What succeeded is shown again, what did not is run again."""
        known = self.ended[-1 - pick % len(self.ended)]
        if known.result["status"] != "succeeded":
            (self.server.folder / f"{known.token}.began").unlink()
            (self.server.folder / f"{known.token}.go").unlink(missing_ok=True)
            again = Known(known.token, known.ending, known.with_file, hooked=known.hooked)
            room = len(self.active) < self.slots
            refusal = self._begin(again, "put")
            if refusal is None:
                assert room
                self.active.append(again)
                self.ended.remove(known)
            else:
                self._may_refuse(refusal, room)
                (self.server.folder / f"{known.token}.began").touch()
        elif time.monotonic() - known.ended_at < 5:
            answer = self.server.call("PUT", f"/predictions/{known.token}", {"input": self._input(known)})
            assert (answer.status, answer.json()) == (200, known.result)

    @rule(bad=BAD)
    def bad_input(self, bad: tuple[Any, int]) -> None:
        """Refused for what it is, also when no slot is free; it takes none."""
        body, status = bad
        answer = self.server.call("POST", "/predictions", body)
        assert answer.status == status or (self.degraded and answer.status == 503), answer
        assert answer.json()["status"] == "failed"

    # Ending

    @rule(pick=PICK)
    @only_when(lambda self: self.active)
    def finish(self, pick: int) -> None:
        known = self._picked(pick)
        if known.ending == "die":
            if self.deaths >= self.most_deaths:
                return
            self._release(known)
            self._died(known.pid, frozenset({"died"}))
        else:
            self._release(known)
            self._ends(known, known.by_itself())

    @rule(pick=PICK)
    @only_when(lambda self: self.active)
    def cancel(self, pick: int) -> None:
        known = self._picked(pick)
        answer = self.server.call("POST", f"/predictions/{known.token}/cancel")
        assert (answer.status, answer.json()) == (200, {})
        self._ends(known, frozenset({"canceled"}))

    @rule(pick=PICK)
    @only_when(lambda self: any(known.ending != "die" for known in self.active))
    def cancel_at_its_end(self, pick: int) -> None:
        """Either may be first."""
        able = [known for known in self.active if known.ending != "die"]
        known = able[pick % len(able)]
        self._release(known)
        answer = self.server.call("POST", f"/predictions/{known.token}/cancel")
        assert answer.status in (200, 404)
        if answer.status == 404:
            self._ends(known, known.by_itself())
        else:
            self._ends(known, known.by_itself() | {"canceled"})

    @rule(pick=PICK)
    def cancel_what_does_not_run(self, pick: int) -> None:
        gone = self.ended[pick % len(self.ended)].token if self.ended else "never-was"
        assert self.server.call("POST", f"/predictions/{gone}/cancel").status == 404

    @rule(pick=PICK, release=st.booleans())
    @only_when(lambda self: any(known.client is not None for known in self.active))
    def hang_up(self, pick: int, release: bool) -> None:
        """A client that goes away cancels what it waits for; `release`: just when it would have got it."""
        waited = [known for known in self.active if known.client is not None]
        known = waited[pick % len(waited)]
        release = release and known.ending != "die"
        if release:
            self._release(known)
        assert known.client is not None
        known.left = True
        known.client.hang_up()
        self._ends(known, frozenset({"canceled"}) | (known.by_itself() if release else frozenset()))

    # Deaths

    @rule(pick=PICK)
    @only_when(lambda self: self.deaths < self.most_deaths)
    def kill(self, pick: int) -> None:
        pid = self._worker(pick)
        os.kill(pid, signal.SIGKILL)
        self._died(pid, frozenset({"died"}))

    @rule(pick=PICK, cancel=st.booleans())
    @only_when(lambda self: self.deaths < self.most_deaths)
    def kill_at_an_end(self, pick: int, cancel: bool) -> None:
        """A worker dies just when its predictions end or are cancelled."""
        pid = self._worker(pick)
        touched = [known for known in self.active if known.pid == pid]
        for known in touched[:2]:
            if cancel:
                self.server.call("POST", f"/predictions/{known.token}/cancel")
            else:
                self._release(known)
        with contextlib.suppress(ProcessLookupError):  # one of them may have ended it itself
            os.kill(pid, signal.SIGKILL)
        for known in touched[2:]:
            self._ends(known, frozenset({"died"}))
        ways = frozenset({"died", "canceled"}) if cancel else frozenset({"died", "succeeded", "failed"})
        self._died(pid, ways)

    @rule(pick=PICK, cancel=st.booleans())
    def pause_a_worker(self, pick: int, cancel: bool) -> None:
        """A worker stands still for a moment: nothing is lost, and the server answers meanwhile."""
        pid = self._worker(pick)
        if b"--data" not in Path(f"/proc/{pid}/cmdline").read_bytes():
            return  # between fork and exec the server itself waits for it: nobody stops a process just there
        stuck = [known for known in self.active if known.pid == pid]
        started: list[Known] = []
        os.kill(pid, signal.SIGSTOP)
        try:
            for _ in range(0 if self.degraded else self.slots - len(self.active)):
                known = Known(new_token(), "return", False)
                body = {"id": known.token, "input": {"token": known.token}}
                answer = self.server.call("POST", "/predictions", body, headers={"prefer": "respond-async"})
                assert answer.status == 202, answer
                started.append(known)
            if cancel and stuck:
                assert self.server.call("POST", f"/predictions/{stuck[0].token}/cancel").status == 200
            self.server.health()
        finally:
            os.kill(pid, signal.SIGCONT)
        if cancel and stuck:
            self._ends(stuck[0], frozenset({"canceled"}))
        for known in started:
            self._check_end(known, frozenset({"succeeded"}))

    @rule(pick=PICK, cancel=st.booleans())
    @only_when(lambda self: self.freezes_left > 0 and not self.degraded)
    def freeze_a_worker(self, pick: int, cancel: bool) -> None:
        """A worker stands still for so long that it counts as frozen. The others go on; a cancel is the end of it."""
        type(self).freezes_left -= 1
        pid = self._worker(pick)
        stuck = [known for known in self.active if known.pid == pid]
        alone = len(self.server.workers()) == 1
        room = not alone and len(self.active) - len(stuck) < self.slots - 1
        self.server.take_lines()
        os.kill(pid, signal.SIGSTOP)
        try:
            self.server.wait_log("is frozen", 15)
            right = "UNHEALTHY" if alone else "READY" if room else "BUSY"
            assert self.server.health()["status"] == right
            answer = self.server.predict({"token": new_token()})
            assert answer.status == (200 if room else 409), answer
            if cancel and stuck:
                assert self.server.call("POST", f"/predictions/{stuck[0].token}/cancel").status == 200
                self._ends(stuck[0], frozenset({"canceled"}))
                self._died(pid, frozenset({"died"}))
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self.degraded = True  # until it has answered again
        self.recover()

    # Reading

    @rule(leave=st.booleans())
    @only_when(lambda self: len(self.active) < self.slots and not self.degraded)
    def read_slowly(self, leave: bool) -> None:
        """A client that does not take its answer holds no slot."""
        token, size = new_token(), 1_500_000
        body = {"id": token, "input": {"token": token, "size": size}}
        client = Client(self.server.url, "POST", "/predictions", body, receive_buffer=4096)
        client.read_some(10)
        self.subject.keeps(size)
        assert self.server.get(f"/predictions/{token}").json()["status"] == "succeeded"
        self.a_free_slot_is_free()
        if leave:
            client.close()
        else:
            answer = client.read()
            assert answer is not None
            assert answer.json()["output"]["filler"] == "x" * size

    @rule()
    def list_all(self) -> None:
        """Every id stands in the list once, and what runs is known to run."""
        seen: list[dict[str, Any]] = []
        path: str | None = "/predictions"
        while path is not None:
            answer = self.server.get(path)
            if answer.status == 404:  # what the next page begins with is not kept any more
                assert path != "/predictions"
                return
            page = answer.json()
            seen += page["results"]
            path = None if page["next"] is None else page["next"].removeprefix(self.server.url)
        ids = [one["id"] for one in seen]
        assert len(ids) == len(set(ids))
        running = {one["id"] for one in seen if one["status"] not in TERMINAL}
        assert running == {known.token for known in self.active}
        kept = {known.token for known in self.ended if time.monotonic() - known.ended_at < 5}
        assert kept <= set(ids)

    @rule()
    @only_when(lambda self: self.restarts == 0 and len(self.ended) >= 3)
    def restart(self) -> None:
        """The server is told to end, finishes what runs, and says nothing of it afterwards."""
        for known in self.active:
            if known.ending == "die":
                self.server.call("POST", f"/predictions/{known.token}/cancel")
            self._release(known)
        process = self.server.process
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, self.server.log
        for known in self.active:
            if known.answer is not None:
                answer = known.answer.result(10)
                assert answer is not None, "the end of the server lost an answer"
                known.check(answer.json(), known.by_itself() | {"canceled"})
        self._check_hooks()
        self.active.clear()
        self.ended.clear()
        self.end()
        # The new one is ready with its first worker.
        self.deaths, self.degraded, self.restarts = 0, True, self.restarts + 1
