"""`make soak`: load and kills for minutes, then the figures.

PYTHONPATH=tests python -m soak.run [--seconds 600] [--warm-up 60] [--every 1]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from soak.campaign import campaign, complaints
from soak.report import report


def main() -> int:
    """Run it; the exit code is 1 when anything was not as it must be."""
    parser = argparse.ArgumentParser(prog="soak")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long after the warm-up")
    parser.add_argument(
        "--warm-up", type=float, default=60.0, help="seconds of the same load before anything is measured"
    )
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two kills on one server")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sites = asyncio.run(
            campaign(Path(folder), options.seconds, options.warm_up, options.every, options.seed)
        )
    print(report(sites, options.seconds + options.warm_up))
    found = [one for site in sites for one in complaints(site)]
    print("\n" + (f"{len(found)} complaints:" if found else "Nothing was lost, wrong or left behind."))
    print(*found[:50], sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
