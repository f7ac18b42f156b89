"""A browser's own clients of event streams: `EventSource`, which comes back by itself, and `fetch`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from support.browser import browser, tab
from support.steps import body, fresh, let_go
from support.streams import SYNC

pytestmark = pytest.mark.slow

LISTEN = """
    window.seen = [];
    window.source = new EventSource("/predictions/%s");
    for (const name of ["start", "log", "output", "completed"])
        source.addEventListener(name, event => seen.push([name, JSON.parse(event.data), event.lastEventId]));
"""
FETCH = """
    (async () => {
        const answer = await fetch("/predictions", {
            method: "POST",
            headers: {"Content-Type": "application/json", "Accept": "text/event-stream"},
            body: JSON.stringify({input: {code: "yield 'ä'\\nyield 'b'"}}),
        });
        let text = "";
        for (const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader(); ;) {
            const {done, value} = await reader.read();
            if (done) return text;
            text += value;
        }
    })()
"""


def test_a_browser_listens_and_comes_back_no_more(serve: Any, tmp_path: Path) -> None:
    server, name = serve(SYNC), fresh()
    prediction_id = server.start_async(body("print('x')\nyield 'a'\ngate($name)\nyield 'b'", name=name))

    async def look() -> tuple[list[Any], str]:
        with browser(tmp_path / "profile") as address:
            async with tab(address, f"{server.url}/docs") as page:
                await page.wait("document.readyState == 'complete'")
                await page.evaluate(LISTEN % prediction_id)
                await page.wait("seen.length == 3")
                let_go(server, name)
                await page.wait(
                    "source.readyState == 2"
                )  # closed for good: it was told 204 when it came back
                return await page.evaluate("seen"), await page.evaluate(FETCH)

    seen, text = asyncio.run(look())
    assert [event[0] for event in seen] == ["start", "log", "output", "output", "completed"]
    assert [event[1].get("chunk") for event in seen] == [None, None, "a", "b", None]
    assert seen[-1][2].endswith("-end")
    assert text.count("event: output\n") == 2
    assert '"chunk":"ä"' in text
