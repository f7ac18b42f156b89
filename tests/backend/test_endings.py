"""What every backend owes beyond a plain run: slots of async models, deaf models, setups that fail, its own end."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from cog import bundle
from cog.backend.local import LocalBackend
from cog.backend.owner import Spec
from cog.backend.pool import Pool
from cog.backend.protocol import Backend, Order, Run, State
from cog.errors import NotReady
from cog.prediction.events import Done, Event, Log, Metric, Source, Started, Status
from support.models import ASYNC, DEAF, SYNC, WAITING
from support.serving import until, write_model

DEADLINE = 20.0


@dataclass(frozen=True)
class Options:
    """What a test may ask of a backend, whatever it is; times are in seconds."""

    slots: int = 1
    cancel_grace: float = 10.0
    setup_timeout: float | None = None


Make: TypeAlias = Callable[[Path, Path, Options], Backend]


def local(model: Path, scratch: Path, options: Options) -> Backend:
    kit = scratch / "kit"
    bundle.build(kit)
    command = (sys.executable, "-u", str(kit))
    spec = Spec(command, "run.py:Runner", str(model), dict(os.environ), cancel_grace=options.cancel_grace)
    return LocalBackend(spec, Pool(wanted=options.slots, setup_timeout=options.setup_timeout))


pytestmark = pytest.mark.parametrize("make", [local])


class House:
    """A backend, what it tells, and the runs that were given to it."""

    def __init__(self, backend: Backend, model: Path) -> None:
        self.backend = backend
        self.model = model
        self.printed_texts: list[tuple[str, Source, bool]] = []
        self._news = asyncio.Event()

    def changed(self) -> None:
        self._news.set()

    def printed(self, text: str, source: Source, worker: int, setup: bool) -> None:
        self.printed_texts.append((text, source, setup))
        self._news.set()

    async def until(self, reached: Callable[[], bool]) -> None:
        """Return once `reached`, which is asked at each news."""

        async def wait() -> None:
            while not reached():
                self._news.clear()
                await self._news.wait()

        await asyncio.wait_for(wait(), DEADLINE)

    async def become(self, state: State) -> None:
        await self.until(lambda: self.backend.standing.state is state)

    async def file(self, name: str) -> str:
        """The text of a file that the model makes; looking is all that can be done."""
        path = self.model / name
        await asyncio.to_thread(until, path.exists, bool, DEADLINE)
        return path.read_text()

    def run(self, code: str) -> Given:
        return Given(self, code)


class Given:
    """A run that was given to a backend, with its events; nothing may come after Done."""

    def __init__(self, house: House, code: str) -> None:
        self.events: list[Event] = []
        self.free_at_done = -1
        self._house = house
        self._ended = asyncio.Event()
        payload = json.dumps({"code": code}).encode()
        order = Order(payload, str(house.model / "files"), {"who": "me"})
        self.run: Run = house.backend.run(order, self._take)

    def _take(self, event: Event) -> None:
        assert not self._ended.is_set(), f"{event} came after the end"
        self.events.append(event)
        if isinstance(event, Done):
            self.free_at_done = self._house.backend.free
            self._ended.set()

    async def done(self) -> Done:
        await asyncio.wait_for(self._ended.wait(), DEADLINE)
        last = self.events[-1]
        assert isinstance(self.events[0], Started)
        assert isinstance(last, Done)
        return last

    @property
    def logs(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Log))


@asynccontextmanager
async def living(make: Make, folder: Path, source: str, **options: Any) -> AsyncIterator[House]:
    """A backend that was started; stopped at the end, which must leave no process that has the model's folder open."""
    model = write_model(folder / "model", source)
    house = House(make(model, folder, Options(**options)), model)
    assert house.backend.standing.state is State.STARTING
    assert (house.backend.signature, house.backend.slots, house.backend.free) == (None, 0, 0)
    await house.backend.start(house)
    try:
        yield house
    finally:
        await asyncio.wait_for(house.backend.stop(), 8)
    # They are dead; the system may still be taking them apart.
    await asyncio.to_thread(until, lambda: processes_in(model), lambda left: not left, 2)


def processes_in(folder: Path) -> list[int]:
    """The processes whose working directory is `folder`."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if os.readlink(link) == str(folder):
                found.append(int(link.parent.name))
        except OSError:  # it has just ended, or is none of ours
            continue
    return found


def act(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 60))


def test_it_stands_as_its_model_does(make: Make, tmp_path: Path) -> None:
    async def story() -> None:
        source = SYNC.replace("class Runner", "print('loading', flush=True)\nhold('load')\n\n\nclass Runner")
        async with living(make, tmp_path, source) as house:
            await house.until(lambda: bool(house.printed_texts))
            setup = house.backend.standing.setup
            assert setup is not None
            assert (setup.status, setup.completed_at, setup.logs) == ("starting", None, "loading\n")
            with pytest.raises(NotReady):
                house.run("out = 1")
            (house.model / "load").touch()
            await house.become(State.READY)
            standing = house.backend.standing
            assert standing.setup is not None
            assert (standing.setup.status, standing.setup.logs, standing.cause) == (
                "succeeded",
                "loading\n",
                None,
            )
            assert standing.setup.completed_at is not None
            assert standing.setup.completed_at >= standing.setup.started_at
            assert (house.backend.slots, house.backend.free) == (1, 1)
            signature = house.backend.signature
            assert signature is not None
            assert [parameter.name for parameter in signature.parameters] == ["code", "d"]
            assert ("loading\n", "stdout", True) in house.printed_texts

    act(story())


def test_a_slot_is_taken_at_once_and_free_at_done(make: Make, tmp_path: Path) -> None:
    async def story() -> None:
        async with living(make, tmp_path, SYNC) as house:
            await house.become(State.READY)
            for number in range(3):
                given = house.run(f"print('p'); self.record_metric('m', {number}); out = {number}")
                assert house.backend.free == 0
                with pytest.raises(NotReady):
                    house.run("out = 1")
                done = await given.done()
                assert (done.status, done.payload, given.free_at_done) == (
                    Status.SUCCEEDED,
                    b"%d" % number,
                    1,
                )
                assert [type(event) for event in given.events] == [Started, Log, Metric, Done]
                assert given.events[2] == Metric("m", number, "replace")

    act(story())


def test_an_output_file_is_there_when_its_event_comes(make: Make, tmp_path: Path) -> None:
    code = "from cog import Path\nPath('made.txt').write_text('content'); out = [Path('made.txt')]"

    async def story() -> None:
        async with living(make, tmp_path, SYNC) as house:
            await house.become(State.READY)
            done = await house.run(code).done()
            (file,) = done.files
            assert file.name == "made.txt"
            assert Path(file.path).parent == house.model / "files"
            assert Path(file.path).read_text() == "content"
            assert done.payload == b'["' + file.mark.encode() + b'"]'

    act(story())


def test_the_context_reaches_the_model(make: Make, tmp_path: Path) -> None:
    async def story() -> None:
        async with living(make, tmp_path, SYNC) as house:
            await house.become(State.READY)
            assert (await house.run("out = dict(self.scope.context)").done()).payload == b'{"who":"me"}'

    act(story())


def test_an_async_model_has_all_its_slots_at_once(make: Make, tmp_path: Path) -> None:
    async def story() -> None:
        async with living(make, tmp_path, ASYNC) as house:
            await house.become(State.READY)
            assert (house.backend.slots, house.backend.free) == (8, 8)
            runs = [
                house.run(f"print({n}); mark('in-{n}'); await held('out-{n}'); return {n}") for n in range(8)
            ]
            assert house.backend.free == 0
            for number in range(8):
                await house.file(f"in-{number}")
            for number in (3, 0, 7, 1, 2, 4, 5, 6):
                (house.model / f"out-{number}").touch()
                done = await runs[number].done()
                assert (done.payload, runs[number].logs) == (b"%d" % number, f"{number}\n")
            assert house.backend.free == 8

    act(story())


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (SYNC, "mark('in')\ntry: hold('never')\nfinally: print('cleaned up')"),
        (ASYNC, "mark('in')\ntry: await held('never')\nfinally: print('cleaned up')"),
    ],
    ids=["plain", "async"],
)
def test_a_cancel_lets_the_model_clean_up_and_hits_no_other(
    make: Make, tmp_path: Path, source: str, code: str
) -> None:
    last = "out = 'fine'" if source is SYNC else "return 'fine'"

    async def story() -> None:
        async with living(make, tmp_path, source) as house:
            await house.become(State.READY)
            slots = house.backend.slots
            given = house.run(code)
            await house.file("in")
            given.run.cancel()
            given.run.cancel()
            done = await given.done()
            assert (done.status, done.payload, done.error) == (Status.CANCELED, None, None)
            assert given.logs == "cleaned up\n"
            given.run.cancel()  # it has ended
            await house.until(lambda: house.backend.free == slots)
            assert (await house.run(last).done()).payload == b'"fine"'
            assert house.backend.standing.state is State.READY

    act(story())


def test_a_plain_model_that_is_deaf_to_a_cancel_is_replaced(make: Make, tmp_path: Path) -> None:
    async def story() -> None:
        async with living(make, tmp_path, SYNC, cancel_grace=0.2) as house:
            await house.become(State.READY)
            given = house.run(DEAF)
            deaf = int(await house.file("begun"))
            given.run.cancel()
            assert (await given.done()).status is Status.CANCELED
            await house.until(lambda: house.backend.free == 1)
            done = await house.run("out = os.getpid()").done()
            assert done.payload is not None
            assert int(done.payload) != deaf
            assert deaf not in processes_in(house.model)

    act(story())


def test_an_async_model_that_is_deaf_serves_its_others_first(make: Make, tmp_path: Path) -> None:
    deaf = (
        "mark('deaf')\nwhile not os.path.exists('give-up'):\n"
        "    try: await asyncio.sleep(0.01)\n    except asyncio.CancelledError: pass"
    )

    async def story() -> None:
        async with living(make, tmp_path, ASYNC, cancel_grace=0.2) as house:
            await house.become(State.READY)
            other = house.run("await held('finish'); return os.getpid()")
            given = house.run(deaf)
            await house.file("deaf")
            given.run.cancel()
            assert (await given.done()).status is Status.CANCELED
            assert house.backend.free == 0  # it takes no new work
            (house.model / "finish").touch()
            old = (await other.done()).payload
            await house.until(lambda: house.backend.free == 8)
            new = (await house.run("return os.getpid()").done()).payload
            assert None not in (old, new)
            assert old != new

    act(story())


def test_a_death_ends_every_run_of_that_worker_once(make: Make, tmp_path: Path) -> None:
    async def story() -> None:
        async with living(make, tmp_path, ASYNC) as house:
            await house.become(State.READY)
            others = [house.run("print('waits'); await held('never')") for _ in range(2)]
            killer = house.run("print('kills'); await held('kill'); os.kill(os.getpid(), 11)")
            canceled = house.run(
                "mark('in')\nwhile True:\n    try: await held('never')\n    except asyncio.CancelledError: mark('refused')"
            )
            await house.file("in")
            canceled.run.cancel()
            await house.file("refused")
            (house.model / "kill").touch()
            for given in (*others, killer):
                done = await given.done()
                assert done.status is Status.FAILED
                assert done.error is not None
                assert done.error.startswith("WorkerDied: the worker process was killed by SIGSEGV")
                assert done.predict_time is None
            assert (await canceled.done()).status is Status.CANCELED
            assert killer.logs.startswith("kills\n")
            assert [given.logs for given in others] == ["waits\n"] * 2
            await house.become(State.READY)
            assert (await house.run("return 1").done()).payload == b"1"

    act(story())


@pytest.mark.parametrize(
    ("setup", "cause", "logs"),
    [
        ("print('before'); raise RuntimeError('no gpu')", "RuntimeError: no gpu", ["before\n", "in setup", "RuntimeError: no gpu\n"]),
        ("print('before'); os._exit(3)", "exit code 3", ["before\n", "exit code 3"]),
        ("import sys; sys.exit('enough')", "SystemExit: enough", ["SystemExit: enough"]),
        ("print('before'); hold('never')", "COG_SETUP_TIMEOUT", ["before\n", "COG_SETUP_TIMEOUT"]),
    ],
    ids=["raises", "dies", "exits", "hangs"],
)  # fmt: skip
def test_a_setup_that_fails(make: Make, tmp_path: Path, setup: str, cause: str, logs: list[str]) -> None:
    source = (
        WAITING
        + f"class Runner:\n    def setup(self):\n        {setup}\n    def run(self) -> str: return ''\n"
    )
    timeout = 1.0 if "never" in setup else None

    async def story() -> None:
        async with living(make, tmp_path, source, setup_timeout=timeout) as house:
            await house.become(State.SETUP_FAILED)
            standing = house.backend.standing
            assert standing.setup is not None
            assert standing.cause is not None
            assert cause in standing.cause
            assert standing.setup.status == "failed"
            assert standing.setup.completed_at is not None
            at = -1
            for text in logs:  # in this order
                assert standing.setup.logs.find(text) > at, standing.setup.logs
                at = standing.setup.logs.find(text)
            assert (house.backend.slots, house.backend.free) == (0, 0)
            with pytest.raises(NotReady):
                house.run("")
            await asyncio.to_thread(until, lambda: processes_in(house.model), lambda left: not left, 5)
            assert house.backend.standing.state is State.SETUP_FAILED

    act(story())


def test_a_model_that_broke_meanwhile_is_starting_again_and_says_why(make: Make, tmp_path: Path) -> None:
    async def story() -> None:
        async with living(make, tmp_path, SYNC) as house:
            await house.become(State.READY)
            (house.model / "run.py").write_text("print('trying')\nraise RuntimeError('broken meanwhile')\n")
            await house.run("os._exit(1)").done()
            await house.until(lambda: house.backend.standing.state is State.STARTING)
            assert "exit code 1" in str(house.backend.standing.cause)
            assert house.backend.slots == 0
            await house.until(lambda: "RuntimeError: broken meanwhile" in str(house.backend.standing.cause))
            standing = house.backend.standing
            assert standing.state is State.STARTING  # it was ready once: this is no SETUP_FAILED
            assert standing.setup is not None
            assert (standing.setup.status, standing.setup.logs[:7]) == ("failed", "trying\n")
            (house.model / "run.py").write_text(SYNC)
            await house.become(State.READY)
            assert (await house.run("out = 2").done()).payload == b"2"

    act(story())


def test_the_models_own_health(make: Make, tmp_path: Path) -> None:
    source = SYNC + (
        "\n    def healthcheck(self) -> bool:\n"
        "        if os.path.exists('raises'): raise RuntimeError('hc bad')\n"
        "        return not os.path.exists('sick')\n"
    )

    async def story() -> None:
        async with living(make, tmp_path, source) as house:
            assert await house.backend.check_health() is None  # nobody can be asked yet
            await house.become(State.READY)
            assert await house.backend.check_health() is None
            busy = house.run("hold('go')")
            (house.model / "sick").touch()
            text = "Healthcheck failed: user-defined healthcheck returned False"
            assert await house.backend.check_health() == text
            (house.model / "raises").touch()
            assert await house.backend.check_health() == "Healthcheck failed: RuntimeError: hc bad"
            (house.model / "go").touch()
            assert (await busy.done()).status is Status.SUCCEEDED

    act(story())


def test_what_belongs_to_no_run_is_told_to_the_watcher(make: Make, tmp_path: Path) -> None:
    script = "while [ ! -e later ]; do sleep 0.01; done; echo late >&2"

    async def story() -> None:
        async with living(make, tmp_path, SYNC) as house:
            await house.become(State.READY)
            given = house.run(f"import subprocess; subprocess.Popen(['sh', '-c', {script!r}]); print('mine')")
            await given.done()
            assert given.logs == "mine\n"
            (house.model / "later").touch()
            await house.until(lambda: ("late\n", "stderr", False) in house.printed_texts)

    act(story())


def test_stop_leaves_nothing_behind(make: Make, tmp_path: Path) -> None:
    """Not in setup, not while a run is in flight, and none of the processes that the model has started."""
    child = "import subprocess; subprocess.Popen(['sleep', '600'])\n"
    codes = {
        "setup": None,
        "idle": None,
        "busy": child + "mark('in'); hold('never')",
        "deaf": "import ctypes; mark('in'); ctypes.PyDLL(None).sleep(600)",
    }

    async def stop(moment: str) -> None:
        begin = f"{child}mark('begun')\n{'hold(chr(120))' if moment == 'setup' else ''}\n\nclass Runner"
        (tmp_path / moment).mkdir()
        async with living(make, tmp_path / moment, SYNC.replace("class Runner", begin)) as house:
            await house.file("begun")
            if moment != "setup":
                await house.become(State.READY)
            code = codes[moment]
            given = None if code is None else house.run(code)
            if given is not None:
                await house.file("in")
            assert len(processes_in(house.model)) >= 2
        if given is not None:
            done = await given.done()
            assert done.status is Status.FAILED
            assert done.error is not None
            assert done.error.startswith("WorkerDied: ")

    async def story() -> None:
        await asyncio.gather(*map(stop, codes))

    act(story())
