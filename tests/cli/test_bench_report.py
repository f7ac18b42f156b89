"""The report of `cog bench` in a real browser: it shows what it says, in light and dark, on wide and narrow windows."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from support.browser import Page, browser, tab
from support.cogs import cog
from support.serving import write_model

pytestmark = pytest.mark.slow

MODEL = """
import time
from cog import BaseRunner


class Runner(BaseRunner):
    def run(self, text: str = "<i>") -> str:
        time.sleep(0.01)
        return text
"""
WIDE, NARROW = 1280, 360
# What sticks out of the page to the right; a table may be wider than its card, which scrolls.
OUTSIDE = """
    [...document.querySelectorAll("body *")]
        .filter(each => !each.closest("table, svg") && each.getBoundingClientRect().right > innerWidth + 1)
        .map(each => each.outerHTML.slice(0, 80))
"""
TEXTS = """
    [...document.querySelectorAll("svg.plot[role] text")].map(each => {
        const box = each.getBoundingClientRect(), plot = each.closest("svg").getBoundingClientRect();
        return [each.textContent, box.left >= plot.left - 1 && box.right <= plot.right + 1 && box.bottom <= plot.bottom + 1];
    })
"""


async def look(page: Page, width: int, scheme: str) -> dict[str, Any]:
    """What a person sees of the report."""
    await page.command(
        "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
    )
    await page.command(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
    )
    await page.wait("document.readyState == 'complete'")
    return {
        "background": await page.evaluate("getComputedStyle(document.body).backgroundColor"),
        "line": await page.evaluate("getComputedStyle(document.querySelector('.line')).stroke"),
        "outside": await page.evaluate(OUTSIDE),
        "texts": await page.evaluate(TEXTS),
        "requests": await page.evaluate("performance.getEntriesByType('resource').length"),
    }


def test_the_report_in_a_browser(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", MODEL)
    done = cog(
        folder, "bench", "--no-env", "--threads", "1,2", "--requests", "20", "--concurrency", "1,2,4,8"
    )
    assert done.returncode == 0, done.stderr

    async def all_of_it() -> tuple[list[dict[str, Any]], list[str]]:
        with browser(tmp_path / "profile") as address:
            async with tab(address, (folder / "bench.html").as_uri()) as page:
                found = [
                    await look(page, width, scheme)
                    for scheme in ("light", "dark")
                    for width in (WIDE, NARROW)
                ]
                return found, page.complaints

    seen, complaints = asyncio.run(all_of_it())
    assert complaints == []
    for each in seen:
        assert each["outside"] == []
        assert each["requests"] == 0
        assert [text for text, inside in each["texts"] if not inside] == []
        assert {"1", "2", "4", "8", "requests at a time"} <= {text for text, _ in each["texts"]}
    light, dark = seen[0], seen[2]
    assert light["background"] != dark["background"]
    assert light["line"] != dark["line"]
