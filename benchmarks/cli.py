"""How long the command line takes by itself: `cog --help`, and what `cog run` adds to a model.

    python benchmarks/cli.py [--rounds 10]

The model does nothing. Beside `cog run` the same model runs in a bare Python (import it, setup(), run(), print), in
turns, so that a machine that becomes slower meets both; the difference of the medians is what cog adds. One round
before the first that counts fills the caches of compiled code. With `uv` the model's own environment is used too.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

MODEL = """
from cog import BaseRunner

class Runner(BaseRunner):
    def setup(self) -> None:
        self.greeting = "hello"

    def run(self, name: str = "world") -> str:
        return f"{self.greeting} {name}"
"""
BARE = "import run; model = run.Runner(); model.setup(); print(model.run(name='you'))"
COG = (sys.executable, "-m", "cog.cli.main")


def took(command: Sequence[str], folder: Path) -> float:
    """Seconds from the start of a command to its end, which must be a good one."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {result.returncode}:\n{result.stderr}")
    return seconds


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    run = (*COG, "run", "-i", "name=you")
    commands = {
        "cog --help": (*COG, "--help"),
        "the model in a bare Python": (sys.executable, "-c", BARE),
        "cog run --no-env": (*run, "--no-env"),
        "cog run, environment ready": run,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "run.py").write_text(MODEL)
        (folder / "cog.yaml").write_text('run: "run.py:Runner"\n')
        times: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(rounds + 1):
            for title, command in commands.items():
                seconds = took(command, folder)
                if number:
                    times[title].append(seconds)
    bare = statistics.median(times["the model in a bare Python"])
    print("| | median | fastest | added |\n|---|---|---|---|")
    for title, all_seconds in times.items():
        median = statistics.median(all_seconds)
        added = f"{1000 * (median - bare):.0f} ms" if title.startswith("cog run") else ""
        print(f"| {title} | {1000 * median:.0f} ms | {1000 * min(all_seconds):.0f} ms | {added} |")


if __name__ == "__main__":
    main()
