"""Requests and answers, by `wrk`: as many connections as told, each of which asks again after its answer."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from benchmarks.contestant import Server
from benchmarks.load import Effort, Outcome
from benchmarks.processes import all_processor_seconds
from benchmarks.works import Work

# The status of every answer is counted. An answer that never came (wrk: connect, read, write, timeout) is a failed one.
SCRIPT: Final = """
local bodies = { %s }
local threads, turn = {}, 0
codes = {}
function setup(thread) table.insert(threads, thread) end
function init(args)
  wrk.headers["Content-Type"] = "application/json"
  for i, body in ipairs(bodies) do bodies[i] = wrk.format("POST", nil, nil, body) end
end
function request()
  turn = turn %% #bodies + 1
  return bodies[turn]
end
function response(status) codes[status] = (codes[status] or 0) + 1 end
function done(summary, latency, requests)
  for _, thread in ipairs(threads) do
    for status, count in pairs(thread:get("codes")) do io.write(string.format("STATUS %%d %%d\\n", status, count)) end
  end
  local e = summary.errors
  io.write(string.format("RESULT %%d %%d %%d %%d\\n", summary.duration, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


class Counted(NamedTuple):
    """What wrk has seen. Times of answers in microseconds, those of refusals among them."""

    seconds: float
    good: int
    bad: int
    p50: int
    p99: int

    @property
    def refused(self) -> float:
        """The share of requests that were not answered with 200."""
        return self.bad / max(1, self.good + self.bad)


def wrk(server: Server, bodies: Sequence[bytes], connections: int, seconds: int) -> Counted:
    """Load the server for a while; it gets the bodies in turns."""
    if not seconds:
        return Counted(0, 0, 0, 0, 0)
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        # A JSON text in ASCII is also one of Lua, but for `\\u` and `\\/`, which no input here needs.
        script.write(SCRIPT % ", ".join(json.dumps(body.decode()) for body in bodies))
        script.flush()
        url = f"http://127.0.0.1:{server.port}{server.path}"
        shown = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", script.name, url],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    return counted(shown)


def counted(shown: str) -> Counted:
    """What the script has written.

    Raises:
        ValueError: nothing of it is there.
    """
    result = re.search(r"^RESULT (\d+) (\d+) (\d+) (\d+)$", shown, re.MULTILINE)
    if result is None:
        raise ValueError(f"wrk wrote no result, but {shown[-500:]!r}")
    duration, lost, p50, p99 = map(int, result.groups())
    codes = {
        int(status): int(count) for status, count in re.findall(r"^STATUS (\d+) (\d+)$", shown, re.MULTILINE)
    }
    good = codes.pop(200, 0)
    return Counted(duration / 1e6, good, lost + sum(codes.values()), p50, p99)


def bodies(server: Server, work: Work) -> list[bytes]:
    return [server.body(input) for input in work.inputs]


@dataclass(frozen=True)
class Throughput:
    """Successful answers per second. `factor` is how many times longer it takes than other measurements."""

    connections: int
    factor: int = 1

    def __call__(self, server: Server, work: Work, effort: Effort) -> Outcome:
        wrk(server, bodies(server, work), self.connections, effort.warm)
        before = all_processor_seconds(server.mark)
        found = wrk(server, bodies(server, work), self.connections, self.factor * effort.seconds)
        computed = (all_processor_seconds(server.mark) - before) / max(1, found.good)
        remark = f"p99 {found.p99 / 1000:.1f} ms, processor {computed * 1e6:,.0f} µs each"
        return Outcome(found.good / found.seconds, found.refused, remark)


@dataclass(frozen=True)
class Latency:
    """Milliseconds from a request to its answer, the median; all have to be good ones."""

    connections: int = 1

    def __call__(self, server: Server, work: Work, effort: Effort) -> Outcome:
        wrk(server, bodies(server, work), self.connections, effort.warm)
        found = wrk(server, bodies(server, work), self.connections, effort.seconds)
        if found.bad:
            raise ValueError(
                f"{found.bad} of {found.good + found.bad} requests were refused: their times mean nothing"
            )
        return Outcome(found.p50 / 1000, remark=f"p99 {found.p99 / 1000:.2f} ms")
