"""A browser's `fetch`: a stream is read as it comes, and given up."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from support.browser import browser, tab
from support.steps import body, fresh, let_go
from support.streams import SYNC

pytestmark = pytest.mark.slow

READ = """
    window.text = ""; window.over = null; window.control = new AbortController();
    (async () => {
        const answer = await fetch(%s, {...%s, signal: control.signal});
        for (const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader(); ;) {
            const {done, value} = await reader.read();
            if (done) { window.over = "done"; return; }
            window.text += value;
        }
    })().catch(error => window.over = error.name);
    undefined  // nobody waits for the end here
"""


def asks(code: str, name: str, **headers: str) -> str:
    sent = {"method": "POST", "headers": {"content-type": "application/json", **headers}}
    return json.dumps({**sent, "body": json.dumps({"input": body(code, name=name)})})


def test_fetch_reads_as_it_comes_and_gives_up(serve: Any, tmp_path: Path) -> None:
    server, first, second = serve(SYNC), fresh(), fresh()
    events = {"accept": "text/event-stream"}

    async def look() -> None:
        with browser(tmp_path / "profile") as address:
            async with tab(address, f"{server.url}/docs") as page:
                await page.wait("document.readyState == 'complete'")
                code = "yield 'ä'\ngate($name)\nyield 'b'"
                await page.evaluate(READ % ('"/predictions"', asks(code, first, **events)))
                await page.wait("""text.includes('"chunk":"ä"')""")
                assert not await page.evaluate("""text.includes('"chunk":"b"')""")
                let_go(server, first)
                await page.wait("over == 'done'")
                assert await page.evaluate("text.match(/^event: .*/gm).length") == 4
                # Whoever created it by a stream and gives that up cancels it.
                code = "yield 'ä'\nreach($name)\ntime.sleep(60)"
                await page.evaluate(READ % ('"/predictions"', asks(code, second, **events)))
                await page.wait("""text.includes('"chunk":"ä"')""")
                await page.evaluate("control.abort()")
                await page.wait("over == 'AbortError'")
                # The other stream, by its address.
                newest = server.get("/predictions").json()["results"][0]["id"]
                server.wait_for(newest, "canceled")
                await page.evaluate(READ % (f'"/v1/predictions/{newest}/stream"', "{}"))
                await page.wait("over == 'done'")
                assert await page.evaluate("text.match(/^data: .*/gm)") == [
                    "data: ä",
                    'data: {"reason":"canceled"}',
                ]

    asyncio.run(look())
