"""The report: one page of HTML that needs nothing else, neither scripts nor the network."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from html import escape
from importlib import resources
from itertools import groupby
from typing import Final

from cog.bench import scale
from cog.bench.advice import Advice, best_setup, knee
from cog.bench.figures import Step
from cog.bench.plot import COLOURS, Line, Plot, Point
from cog.bench.results import Results
from cog.bench.words import number, plural, rate, size, span

_CODE: Final = re.compile(r"`([^`]+)`")  # of a text that is escaped
_STYLES: Final = {"sync": "def run", "async": "async def run"}


def page(results: Results) -> str:
    """The whole document."""
    css = resources.files("cog.bench").joinpath("report.css").read_text(encoding="utf-8")
    name = escape(results.subject.name)
    return "\n".join([
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        # Whatever a model's error contains, this page loads and runs nothing.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{name}: cog bench</title>",
        f"<style>\n{css}</style>",
        "</head>",
        "<body>",
        f"<h1>{name}</h1>",
        f'<p class="soft">{escape(_about(results))}</p>',
        *_facts(results),
        *_advice(results.advice),
        *_plots(results),
        *_table(results),
        *_footer(results),
        "</body>",
        "</html>",
        "",
    ])  # fmt: skip


def _about(results: Results) -> str:
    subject = results.subject
    facts = (
        [] if subject.style is None else [_STYLES[subject.style] + (" in batches" if subject.batched else "")]
    )
    facts += [f"requests of {size(subject.input_bytes)}", subject.machine]
    facts.append(plural(subject.processors, "processor"))
    facts.append(results.taken_at.replace("T", " ").replace("+00:00", " UTC"))
    text = ", ".join(facts)
    return f"{text}. Ended early: what was measured until then" if results.interrupted else text


def _facts(results: Results) -> Iterator[str]:
    """The figures that most people look for."""
    own = _own(results)
    found = knee(own)
    if found is None or found.latency is None:
        yield '<p class="card">No request was answered.</p>'
        return
    cells = [
        (rate(found.throughput), "answers"),
        (span(found.latency.p50), "half of them within (p50)"),
        (span(found.latency.p99), "99 of 100 within (p99)"),
        (f"{found.concurrency:,}", "requests at a time"),
    ]
    if found.model_time is not None:
        cells.append((span(found.model_time), "of these in the model, on average"))
    yield '<div class="facts">'
    for figure, text in cells:
        yield f'<div class="card"><b class="number">{escape(figure)}</b><span class="soft">{text}</span></div>'
    yield "</div>"


def _advice(advice: Sequence[Advice]) -> Iterator[str]:
    yield '<h2>Recommended settings</h2>\n<div class="advice">'
    for each in advice:
        tag = "code" if each.kind == "setting" else "strong"
        reason = _CODE.sub(r"<code>\1</code>", escape(each.reason))
        yield f'<div class="card {each.kind}"><{tag}>{escape(each.setting)}</{tag}><span>{reason}</span></div>'
    yield "</div>"


def _plots(results: Results) -> Iterator[str]:
    answered = [step for step in results.steps if step.latency is not None]
    if not answered:
        return
    found = knee(_own(results))
    mark = None if found is None else (float(found.concurrency), f"recommended: {found.concurrency:,}")
    x = scale.doublings([step.concurrency for step in answered])
    throughput = list(_throughput(answered))
    latency = list(_latency(answered))
    reached = scale.from_zero([point.y for line in throughput for point in line.points])
    times = scale.decades([point.y for line in latency for point in line.points])
    yield '<h2>Measured</h2>\n<div class="plots">'
    yield from _figure(
        "Throughput, answers a second", Plot("Throughput", throughput, x, reached, number, mark)
    )
    yield from _figure("Latency", Plot("Latency", latency, x, times, span, mark))
    yield "</div>"


def _figure(title: str, plot: Plot) -> Iterator[str]:
    yield f'<div class="card"><h2>{title}</h2>\n{plot.svg()}\n<ul class="legend">'
    for line in plot.lines:
        drawn = f'<line class="line d{line.dash}" x1="0" x2="26" y1="4" y2="4"/>'
        key = f'<svg class="plot" viewBox="0 0 26 8" aria-hidden="true">{drawn}</svg>'
        yield f'<li class="c{line.colour % COLOURS}">{key}<span>{escape(line.name)}</span></li>'
    yield "</ul></div>"


def _throughput(steps: Sequence[Step]) -> Iterator[Line]:
    for colour, (name, own) in enumerate(_by_setup(steps)):
        points = (Point(step.concurrency, step.throughput, _told(step)) for step in own)
        yield Line(name, tuple(points), colour)


def _latency(steps: Sequence[Step]) -> Iterator[Line]:
    """All three for one server; for several two of each, or nobody could read it."""
    grouped = _by_setup(steps)
    several = len(grouped) > 1
    for colour, (server, own) in enumerate(grouped):
        for index, which in enumerate(("p50", "p99") if several else ("p50", "p90", "p99")):
            points = (Point(step.concurrency, getattr(step.latency, which), _told(step)) for step in own)
            name = f"{server}, {which}" if several else which
            yield Line(name, tuple(points), colour if several else index, index if several else 0)


def _by_setup(steps: Sequence[Step]) -> list[tuple[str, list[Step]]]:
    """The steps of each server, and what tells it from the others."""
    grouped = [(setup, list(own)) for setup, own in groupby(steps, key=lambda step: step.setup)]
    same_threads = len({setup.threads for setup, _ in grouped}) == 1
    same_batches = len({setup.batch for setup, _ in grouped}) == 1
    named = []
    for setup, own in grouped:
        words = [] if setup.threads is None or same_threads else [plural(setup.threads, "process")]
        words += [] if setup.batch is None or same_batches else [f"batches of {setup.batch}"]
        named.append((", ".join(words) or "answers", own))
    return named


def _told(step: Step) -> str:
    assert step.latency is not None
    found = step.latency
    return (
        f"{plural(step.concurrency, 'request')} at a time: {rate(step.throughput)}, "
        f"p50 {span(found.p50)}, p90 {span(found.p90)}, p99 {span(found.p99)}"
    )


def _table(results: Results) -> Iterator[str]:
    """Every step; the recommended one stands out. A column in which nothing would stand is left out."""
    found = knee(_own(results))
    columns = [
        (head, texts)
        for head, word in _COLUMNS.items()
        if any(texts := [word(step) for step in results.steps])
    ]
    yield '<div class="card wide below"><table>'
    yield "<tr>" + "".join(f"<th>{head}</th>" for head, _ in columns) + "</tr>"
    for index, step in enumerate(results.steps):
        cells = "".join(
            f"<td{_bad(head, texts[index])}>{texts[index] or '-'}</td>" for head, texts in columns
        )
        kind = ' class="knee"' if step is found else ""
        yield f"<tr{kind}>{cells}</tr>"
    yield "</table></div>"


def _bad(head: str, text: str) -> str:
    return ' class="bad"' if head in ("refused", "failed") and text else ""


def _time(which: str) -> Callable[[Step], str]:
    return lambda step: "" if step.latency is None else span(getattr(step.latency, which))


_COLUMNS: Final[dict[str, Callable[[Step], str]]] = {
    "processes": lambda step: str(step.setup.threads or ""),
    "batches of": lambda step: str(step.setup.batch or ""),
    "at a time": lambda step: f"{step.concurrency:,}",
    "answers/s": lambda step: number(step.throughput),
    "p50": _time("p50"),
    "p90": _time("p90"),
    "p99": _time("p99"),
    "longest": _time("longest"),
    "in a batch": lambda step: "" if step.together is None else number(step.together),
    "in the model": lambda step: "" if step.model_time is None else span(step.model_time),
    "answers": lambda step: f"{step.answers:,}",
    "refused": lambda step: f"{step.refused:,}" if step.refused else "",
    "failed": lambda step: f"{step.failed:,}" if step.failed else "",
}


def _footer(results: Results) -> Iterator[str]:
    longest = max((step.seconds for step in results.steps), default=0.0)
    where = "this machine" if results.subject.url else "this machine, beside the model"
    yield (
        f"<footer><p>Each line of the table is a step of up to {span(longest)}, after a moment that does not count: so "
        "many clients each sent their next request as soon as the last one was answered. Only successful answers are "
        "throughput. p90 is the time that nine of ten answers did not exceed, queue included. The clients ran on "
        f"{where}.</p><p>cog {escape(results.subject.version)}</p></footer>"
    )


def _own(results: Results) -> list[Step]:
    """The steps of the recommended server."""
    setup = best_setup(results.steps)
    return [step for step in results.steps if step.setup == setup]
