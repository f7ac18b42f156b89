"""How long `cog build` takes after an edit, and what the image adds to its base.

    python -m benchmarks.images [--rounds 10]

With the engine that `cog` finds (`COG_ENGINE`, `COG_BUILD_ARGS` and the others are for it). The model is `examples/hello`,
in a folder of its own; one build before the first that counts fills the caches. Each round edits run.py.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EXAMPLE = Path(__file__).parents[1] / "examples" / "hello"
COG = (sys.executable, "-m", "cog.cli.main")
IMAGE = "cog-benchmark"


def built(folder: Path, *flags: str) -> tuple[float, str]:
    """Seconds of a build, which must succeed, and what it printed."""
    began = time.perf_counter()
    command = [*COG, "build", "--tag", IMAGE, "--progress", "quiet", *flags]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return time.perf_counter() - began, done.stdout


def main() -> int:
    """Measure, and print a line a figure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=10)
    rounds: int = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "hello"
        shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".cog", "__pycache__"))
        _, layers = built(folder, "--explain")
        times = []
        for number in range(rounds):
            with (folder / "run.py").open("a") as file:
                file.write(f"# edit {number}\n")
            times.append(built(folder)[0])
    print(layers, end="")
    median, most = statistics.median(times), max(times)
    print(f"after an edit of run.py: median {median:.2f} s, at most {most:.2f} s, of {rounds} builds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
