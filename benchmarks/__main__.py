"""How fast this server is beside others, and what it reaches of its goals.

    python -m benchmarks [--quick] [--only async,latency] [--contestants ours,mosec] [--write]

Every contestant gets an environment of its own, made by uv in `.venv-bench` when it is first needed. They take turns in
rounds; medians and their ratios are printed. A run of all rows, or `--write`, puts table and plot into
docs/performance.md. Needs `wrk` (Debian's package of that name). Quick: below 3 minutes; all: below 25.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final, TypeVar

from benchmarks.contestants import ALL
from benchmarks.document import replaced
from benchmarks.environments import ROOT
from benchmarks.load import FULL, QUICK, Effort
from benchmarks.measuring import Result, Results, measure
from benchmarks.report import missed, table, verdicts
from benchmarks.rows import ROWS

DOCUMENT: Final = ROOT / "docs" / "performance.md"
PLOT: Final = ROOT / "docs" / "performance.svg"
KEPT: Final = ROOT / "benchmarks" / "results" / "latest.json"
TITLES: Final = {each.key: each.title for each in ALL}
PART: Final = """\
{machine}; medians of up to {rounds} measurements of {seconds} s; {date}.

![Medians of all contestants, row by row]({plot})

{table}

Goals that are not reached:

{missed}
"""

Named = TypeVar("Named")


def main() -> None:
    """Measure, print, write."""
    options = arguments()
    if shutil.which("wrk") is None:
        sys.exit(
            "wrk, which makes most of the load, is not installed. It is a package of that name: apt-get install wrk"
        )
    rows = chosen({row.key: row for row in ROWS}, options.only, "row")
    contestants = chosen({each.key: each for each in ALL}, options.contestants, "contestant")
    effort = QUICK if options.quick else FULL
    writes = options.write or not (options.quick or options.only or options.contestants)
    if writes and importlib.util.find_spec("matplotlib") is None:  # better now than at the end
        sys.exit(
            "matplotlib, which draws the plot, is not installed. `make bench` does it, or: pip install -e .[bench]"
        )
    begun = time.monotonic()

    def tell(what: str) -> None:
        print(f"{time.monotonic() - begun:6.0f} s  {what}", file=sys.stderr, flush=True)

    results = measure(rows, contestants, effort, tell)
    tell("done")
    print(table(rows, results, TITLES), missed(verdicts(rows, results), TITLES), sep="\n\n")
    if writes:
        write(merged(results), effort)
    failures = [each.failure for row in results.values() for each in row.values() if each.failure]
    if failures:
        sys.exit("\n".join(failures))


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="one short round: to see that all works, not for figures"
    )
    parser.add_argument(
        "--only", help=f"some rows, with commas between: {', '.join(row.key for row in ROWS)}"
    )
    parser.add_argument("--contestants", help=f"some contestants: {', '.join(TITLES)}")
    parser.add_argument(
        "--write",
        action="store_true",
        help="put the figures into the document, beside those of the rows not measured",
    )
    return parser.parse_args()


def chosen(all: Mapping[str, Named], keys: str | None, what: str) -> Sequence[Named]:
    """Those with these keys, in their own order.

    Raises:
        SystemExit: there is none of that key.
    """
    wanted = all.keys() if keys is None else {key.strip() for key in keys.split(",")}
    unknown = sorted(wanted - all.keys())
    if unknown:
        sys.exit(f"There is no {what} {', '.join(unknown)}. There are: {', '.join(all)}")
    return [each for key, each in all.items() if key in wanted]


def merged(results: Results) -> Results:
    """The new figures beside the kept ones of other rows. Rows are kept or replaced as a whole: a ratio is of one run."""
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    old = {key: {name: Result(**each) for name, each in row.items()} for key, row in kept.items()}
    found = {**old, **results}
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(
        json.dumps(
            {key: {n: asdict(each) for n, each in row.items()} for key, row in found.items()}, indent=1
        )
    )
    return found


def write(results: Results, effort: Effort) -> None:
    """Table and plot into the documents."""
    from benchmarks.plot import draw  # matplotlib is slow to import, and only needed here

    part = PART.format(
        machine=f"{os.cpu_count()} cores ({processor()}), Python {platform.python_version()}",
        rounds=max((each.rounds for row in results.values() for each in row.values()), default=0),
        seconds=effort.seconds,
        date=datetime.date.today().isoformat(),
        plot=PLOT.name,
        table=table(ROWS, results, TITLES),
        missed=missed(verdicts(ROWS, results), TITLES),
    )
    DOCUMENT.write_text(replaced(DOCUMENT.read_text(), part))
    draw(ROWS, results, TITLES, PLOT)


def processor() -> str:
    """The name of the processor, as Linux tells it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


if __name__ == "__main__":
    main()
