"""What a server takes before anybody asks: time and memory."""

from __future__ import annotations

from benchmarks.contestant import Server
from benchmarks.load import Effort, Outcome
from benchmarks.processes import all_mebibytes, all_processor_seconds, marked
from benchmarks.works import Work


def start(server: Server, work: Work, effort: Effort) -> Outcome:
    """Seconds from the start of the process to READY."""
    return Outcome(server.started, remark=f"processor {all_processor_seconds(server.mark):.2f} s")


def memory(server: Server, work: Work, effort: Effort) -> Outcome:
    """MiB of all its processes, after an answer; what two of them share counts twice."""
    return Outcome(all_mebibytes(server.mark), remark=f"{len(marked(server.mark))} processes")
