"""The page at /docs in a real browser: it shows the inputs, runs the model, trusts nothing that it puts out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from support.browser import Page, browser, tab
from support.serving import Server

pytestmark = pytest.mark.slow
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

Serve = Callable[..., Server]

MANY = """
    from typing import Optional
    from cog import BaseRunner, Input, Path, Secret

    EVIL = "<img src=x onerror='window.caught = true'>"

    class Runner(BaseRunner):
        def run(
            self,
            text: str = Input(description=EVIL, max_length=20),
            count: int = Input(default=2, ge=1, le=10),
            style: str = Input(default="plain", choices=["plain", "bold"]),
            fast: bool = True,
            seed: Optional[int] = None,
            key: Optional[Secret] = None,
            photo: Optional[Path] = Input(default=None, accept="image/*"),
            tags: list[str] = [],
        ) -> dict:
            print(EVIL)
            return {"text": text + EVIL, "seed": seed, "style": style, "key": key and key.get_secret_value()}
"""
SLOW = """
    import time
    from cog import BaseRunner

    class Runner(BaseRunner):
        def run(self) -> str:
            print("started")
            while True:
                time.sleep(0.01)
"""


@pytest.fixture(scope="module")
def steered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with browser(tmp_path_factory.mktemp("browser")) as address:
        yield address


def visit(steered: str, server: Server, act: Callable[[Page], Awaitable[None]]) -> None:
    """Open the page, wait for its form, `act`; the browser must not have complained by then."""

    async def run() -> None:
        async with tab(steered, f"{server.url}/docs") as page:
            await page.wait("document.getElementById('form') && !document.getElementById('form').hidden")
            await act(page)
            assert page.complaints == []

    asyncio.run(run())


def test_shows_every_kind_of_input_and_runs_the_model(serve: Serve, steered: str) -> None:
    async def act(page: Page) -> None:
        kinds = await page.evaluate(
            "Object.fromEntries([...document.querySelectorAll('[id^=field-]:is(input, select, textarea)')]"
            ".map(e => [e.id.slice(6), e.type]))"
        )
        assert kinds == {
            "text": "textarea", "count": "text", "style": "select-one", "fast": "checkbox", "seed": "text",
            "key": "password", "photo": "text", "tags": "textarea",
        }  # fmt: skip
        big = "123456789012345678901234567890"
        values = {"text": "it's <b>", "style": "1", "seed": big, "key": "hidden"}
        for name, value in values.items():
            await page.evaluate(f"document.getElementById('field-{name}').value = {value!r}")
        await page.evaluate(
            "document.getElementById('field-text').dispatchEvent(new Event('input', {bubbles: true}))"
        )
        curl = await page.evaluate("document.getElementById('curl').textContent")
        assert big in curl
        assert "hidden" not in curl
        await page.evaluate("document.getElementById('run').click()")
        await page.wait("document.getElementById('status').textContent === 'succeeded'")
        output = await page.evaluate("document.getElementById('output').innerText")
        # What came from the model stands there as text, and a secret arrived.
        for part in (
            "it's <b><img src=x onerror='window.caught = true'>",
            '"style": "bold"',
            '"key": "hidden"',
        ):
            assert part in output
        assert await page.evaluate("window.caught") is None
        assert "onerror" in await page.evaluate("document.getElementById('logs').innerText")

    visit(steered, serve(MANY), act)


def test_puts_each_mistake_beside_its_field(serve: Serve, steered: str) -> None:
    async def act(page: Page) -> None:
        await page.evaluate("document.getElementById('field-count').value = '11'")
        await page.evaluate("document.getElementById('run').click()")
        await page.wait("document.getElementById('field-count-error').textContent !== ''")
        assert (
            await page.evaluate("document.getElementById('field-text-error').textContent") == "Field required"
        )
        assert "maximum of 10" in await page.evaluate(
            "document.getElementById('field-count-error').textContent"
        )
        assert await page.evaluate("document.activeElement.id") == "field-text"
        await page.evaluate("document.getElementById('field-tags').value = '[1'")
        await page.evaluate("document.getElementById('run').click()")
        assert "not JSON" in await page.evaluate("document.getElementById('field-tags-error').textContent")

    visit(steered, serve(MANY), act)


def test_sends_a_file_and_shows_an_image(serve: Serve, steered: str) -> None:
    async def act(page: Page) -> None:
        await page.choose_files("input[type=file]", EXAMPLES / "blur" / "photo.jpg")
        await page.wait("document.querySelector('.files li')")
        await page.evaluate("document.getElementById('run').click()")
        await page.wait("document.querySelector('#output img')?.naturalWidth === 480")

    visit(steered, serve(EXAMPLES / "blur"), act)


def test_writes_the_parts_of_a_text_as_one(serve: Serve, steered: str) -> None:
    async def act(page: Page) -> None:
        await page.evaluate("document.getElementById('field-prompt').value = 'sea very'")
        await page.evaluate("document.getElementById('field-length').value = '2'")
        await page.evaluate("document.getElementById('run').click()")
        await page.wait("document.getElementById('status').textContent === 'succeeded'")
        assert await page.evaluate("document.querySelector('#output pre').textContent") == " high,"

    visit(steered, serve(EXAMPLES / "stream"), act)


def test_shows_logs_while_it_runs_and_cancels(serve: Serve, steered: str) -> None:
    async def act(page: Page) -> None:
        await page.evaluate("document.getElementById('run').click()")
        await page.wait("document.getElementById('logs').textContent.includes('started')")
        assert await page.evaluate("document.getElementById('status').textContent") == "processing"
        await page.evaluate("document.getElementById('cancel').click()")
        await page.wait("document.getElementById('status').textContent === 'canceled'")
        await page.wait("!document.getElementById('run').disabled")

    visit(steered, serve(SLOW), act)


def test_trains_where_that_is_what_is_served(serve: Serve, steered: str) -> None:
    async def act(page: Page) -> None:
        await page.evaluate("document.getElementById('field-steps').value = '3'")
        await page.evaluate("document.getElementById('run').click()")
        await page.wait("document.getElementById('status').textContent === 'succeeded'")
        assert "trained 3" in await page.evaluate("document.getElementById('output').innerText")
        assert "/trainings" in await page.evaluate("document.getElementById('curl').textContent")

    source = "def train(steps: int = 2) -> str:\n    return f'trained {steps}'\n"
    visit(steered, serve(source, "--x-mode", "train", config='train: "run.py:train"\n'), act)
