"""Fuzz one target: `python -m fuzz.run TARGET [SECONDS]` with tests/ on the path.

It stops at the first input that breaks the target, and keeps that in tests/fuzz/corpus, where the quick tests find it from
then on.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"


def main(target: str, seconds: int) -> None:
    """Never returns: the fuzzer ends the process."""
    import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]  # no stubs, or not there

    with atheris.instrument_imports(include=["cog"]):
        from fuzz.targets import TARGETS
    with tempfile.TemporaryDirectory() as found:  # what it finds on its way is not kept
        atheris.Setup(
            [
                "fuzz", found, str(CORPUS / target), f"-max_total_time={seconds}", "-max_len=4096", "-timeout=20",
                "-rss_limit_mb=4096", "-verbosity=1", "-print_final_stats=1",
                f"-artifact_prefix={CORPUS / target}/",
            ],
            TARGETS[target],
        )  # fmt: skip
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 600)
