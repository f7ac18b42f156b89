"""What a campaign found, as Markdown."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence

from soak.campaign import Site

OUTCOMES = ("right", "refused, as it must be", "worker died", "409", "503", "not accepted", "WRONG")


def _share(values: Sequence[float], part: float) -> float:
    """The value that this part of them does not exceed."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def report(sites: Sequence[Site], seconds: float) -> str:
    """Two tables: requests by kind and outcome, and how the servers fared."""
    sums: Counter[tuple[str, str]] = sum((site.load.tally.outcomes for site in sites), Counter())
    kinds = list(dict.fromkeys(kind for kind, _ in sums))
    lines = ["| request | " + " | ".join(OUTCOMES) + " |", "|---|" + "---:|" * len(OUTCOMES)]
    for kind in (*sorted(kinds), "**all**"):
        row = [
            sum(n for (k, o), n in sums.items() if o == outcome and kind in (k, "**all**"))
            for outcome in OUTCOMES
        ]
        lines.append(f"| {kind} | " + " | ".join(f"{n:,}" for n in row) + " |")
    lines += [
        "",
        f"{seconds:g} s of load:",
        "",
        "| server | " + " | ".join(s.kind.name for s in sites) + " |",
    ]
    lines.append("|---|" + "---:|" * len(sites))
    for name, values in _figures(sites).items():
        lines.append(f"| {name} | " + " | ".join(values) + " |")
    return "\n".join(lines)


def _figures(sites: Sequence[Site]) -> dict[str, list[str]]:
    figures: dict[str, list[str]] = {}
    for site in sites:
        tally, before, after = site.load.tally, site.before, site.after
        assert before is not None
        assert after is not None
        recoveries = tally.recoveries or [0.0]
        for name, value in {
            "requests": f"{sum(tally.outcomes.values()):,}",
            "workers killed": f"{site.kills:,}",
            "workers replaced": f"{site.ends:,}",
            "next right answer after a kill, median / slowest": f"{statistics.median(recoveries):.2f} / {max(recoveries):.2f} s",
            "plain request, p50 / p99": f"{_share(tally.latencies, 0.5) * 1e3:.1f} / {_share(tally.latencies, 0.99) * 1e3:.1f} ms",
            "resident memory, start / end": f"{before.memory / 1e6:.1f} / {after.memory / 1e6:.1f} MB",
            "open descriptors, start / end": f"{before.descriptors} / {after.descriptors}",
            "left on disk": str(after.folders),
            "wrong, lost or answered twice": str(len(tally.wrong) + len(site.wrong)),
        }.items():
            figures.setdefault(name, []).append(value)
    return figures
