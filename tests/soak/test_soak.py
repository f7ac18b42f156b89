"""A minute of `make soak`: mixed load on three servers, a kill on each of them every second."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from soak.campaign import campaign, complaints
from soak.report import report


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_minute_of_load_and_kills(tmp_path: Path) -> None:
    sites = asyncio.run(campaign(tmp_path, seconds=60, warm_up=30))
    print(report(sites, 90))
    assert [one for site in sites for one in complaints(site)] == []
    assert all(site.kills > 10 for site in sites)
