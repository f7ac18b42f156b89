"""What `cog bench` does: find or start servers of the model, have each measured, say what came of it."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from cog.bench import plan
from cog.bench.advice import Advice
from cog.bench.machine import processors
from cog.bench.plan import Setup
from cog.bench.report import page
from cog.bench.results import Results
from cog.cli import interruption, runtime
from cog.cli.main import Session
from cog.cli.order import Order
from cog.cli.performance import checked, look, numbers, reference, told
from cog.cli.printing import ServerLog, Tail
from cog.cli.project import Project, open_environment, open_project
from cog.cli.request import Request
from cog.cli.screen import Screen
from cog.cli.sweep import Sweep, Wishes
from cog.client.connection import Connection
from cog.client.model import RemoteModel
from cog.client.target import locate, writing
from cog.environment.environment import Environment
from cog.errors import CogError, UsageError
from cog.outline import reading
from cog.outline.facts import Outline

_FLAGS: Final = ("--max-body", "4GiB", "--drain-timeout", "0")
_BATCH: Final = "cog.batch"
_DEFAULT_BATCH: Final = 8  # max_size of @batch, where it is not given
_WIDTH: Final = 100  # of the recommendations, where a terminal is not narrower


def perform(wishes: Wishes, order: Order, session: Session) -> int:
    """Carry it out; gives the exit code: 0, or that of an interrupt.

    Raises:
        CogError: why it could not be done, or not to its end; what was measured until then is in the report.
    """
    order.check()
    if order.url is not None and (wishes.threads or wishes.batches):
        raise UsageError(
            "--threads and --batch-size say how a model is started here, but --url names one that runs already"
        )
    report = locate(order.output, "bench").path((), ".html")
    sweep = Sweep(wishes, session.screen, order.url or "", url=order.url is not None)
    with interruption.terminable():
        try:
            if order.url is None:
                _measure_here(sweep, order, session)
            else:
                _measure_there(sweep, order, order.url)
        except KeyboardInterrupt as interrupt:
            session.screen.say("Interrupted" if sweep.steps else "Canceled")
            _conclude(sweep, report, interrupted=True)
            return interruption.exit_code(interrupt)
        except CogError:
            _conclude(sweep, report, interrupted=True)
            raise
        _conclude(sweep, report, interrupted=False)
    return 0


def _measure_there(sweep: Sweep, order: Order, url: str) -> None:
    """Measure the server at `url`."""
    request = Request.read(order, {}, train=False)
    model = RemoteModel(Connection(url))
    sweep.load(model, Setup(), request, lambda: None, None)


def _measure_here(sweep: Sweep, order: Order, session: Session) -> None:
    """Start a server of the model of this folder for each setup, and measure it."""
    project = open_project(order.file, session.screen)
    sweep.name = reference(project)
    request = checked(order, {}, project, sweep.name, train=False)
    version = None if order.no_env else project.config.build.python_version
    outline = reading.read(project.folder, sweep.name, python=numbers(version))
    sweep.style = None if outline.asynchronous is None else "async" if outline.asynchronous else "sync"
    sweep.batched = _BATCH in outline.marks
    sweep.setups = plan.setups(sweep.wishes.threads, _batches(sweep, outline))
    environment = open_environment(project, no_env=order.no_env, screen=session.screen)
    variables = _variables(sweep, order, session, project, environment)
    copies = (1 if project.config.build.gpu else processors()) if sweep.style == "sync" else None
    for setup in sweep.setups:
        with _served(project, setup, variables, sweep) as server:
            model = RemoteModel(Connection("localhost", server.socket))
            sweep.load(model, setup, request, lambda: look(server), setup.threads or copies)
            model.connection.close()


def _batches(sweep: Sweep, outline: Outline) -> tuple[int, ...]:
    """The sizes of batches to compare.

    Raises:
        UsageError: the model does not take such.
    """
    wanted = sweep.wishes.batches
    if not sweep.batched:
        if wanted and outline.asynchronous is not None:
            raise UsageError("--batch-size: the model takes no batches. `@batch` on its run() makes it do so")
        return wanted
    most = outline.marks[_BATCH].get("max_size", _DEFAULT_BATCH)
    if not isinstance(most, int):  # what it is only running it would tell
        return wanted
    if wanted and wanted[-1] > most:
        raise UsageError(
            f"--batch-size {wanted[-1]}: the model takes {most} at most. Raise max_size of its @batch first"
        )
    return wanted or plan.batch_sizes(most)


def _variables(
    sweep: Sweep, order: Order, session: Session, project: Project, environment: Environment
) -> dict[str, str]:
    """What the servers find in their environment. Nobody who waits is refused, unless that is what was asked for."""
    queue = max(sweep.wishes.concurrency or (plan.MOST,))
    return {
        **runtime.variables(project, environment, order.env),
        "LOG_FORMAT": "console",
        "COG_LOG_LEVEL": "debug" if session.debug else "off",
        "COG_MAX_QUEUE": str(queue),
        **project.variables(order.env),
        **order.gpu_variables(),
    }


@contextmanager
def _served(
    project: Project, setup: Setup, variables: dict[str, str], sweep: Sweep
) -> Iterator[runtime.Runtime]:
    """A server of one setup. What it prints is kept, and shown when it ends by itself or nothing could be measured."""
    workers = () if setup.threads is None else ("--workers", str(setup.threads))
    tail, before = Tail(), len(sweep.steps)
    chosen = {} if setup.batch is None else {"COG_MAX_BATCH_SIZE": str(setup.batch)}
    with runtime.private() as server:
        flags = ("--config", str(project.path), *_FLAGS, *workers)
        server.order(project.folder, {**variables, **chosen}, flags)
        try:
            with ServerLog(server.log, tail).shown(), told(server):
                yield server
                server.end()
        except CogError:
            if server.ended is not None or len(sweep.steps) == before:
                sweep.screen.write(tail.text)
            raise


def _conclude(sweep: Sweep, report: Path, *, interrupted: bool) -> None:
    """Say what was found, and write the report. Nothing, where nothing was measured."""
    if not sweep.steps:
        return
    results = sweep.results(interrupted=interrupted)
    with writing(report) as file:
        file.write(page(results).encode("utf-8", "backslashreplace"))
    if sweep.wishes.as_json:
        import json

        click.echo(json.dumps({**results.document(), "report": str(report)}, ensure_ascii=False))
    else:
        _tell(results, sweep.screen)
    sweep.screen.succeed(f"Report written to {report}")


def _tell(results: Results, screen: Screen) -> None:
    """The recommendations, on stdout: they are the result."""
    for title, kinds in (("Recommended", ("load", "setting")), ("Beware", ("caution",))):
        chosen = [each for each in results.advice if each.kind in kinds]
        if chosen:
            click.echo(
                f"\n{screen.style(title, 'bold')}"
            )  # which click leaves out where there is no terminal
        for each in chosen:
            click.echo(_told(each, screen))
    click.echo()


def _told(advice: Advice, screen: Screen) -> str:
    width = min(_WIDTH, shutil.get_terminal_size((_WIDTH, 24)).columns)
    reason = textwrap.wrap(advice.reason, width, initial_indent="      ", subsequent_indent="      ")
    style = "warning" if advice.kind == "caution" else "success"
    return "\n".join([f"  {screen.style(advice.setting, style)}", *reason])
