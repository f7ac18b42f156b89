"""The models and the client of tests/clients: `replicate` from the package registry, pointed at a server of ours."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

from replicate.client import Client

from support.serving import Server
from support.steps import model
from support.streams import SYNC

_HEAD = model("generator").partition("class Runner")[0]
# Returns what the code says, which knows the files of the input.
RETURNS = (
    _HEAD
    + """
from cog import Input, Path

class Runner(BaseRunner):
    def run(self, code: str = "return None", file: Path = Input(default=None), files: list[Path] = []) -> Any:
        globals().update(file=file, files=files, Path=Path)
        return made("def", code)()
"""
)
# Yields what the code yields.
YIELDS = SYNC


@contextlib.contextmanager
def client_of(server: Server, base: str = "") -> Iterator[Client]:
    """A client as anybody makes it."""
    client = Client(api_token="anything", base_url=server.url + base)
    client.poll_interval = 0.02
    try:
        yield client
    finally:
        client._client.close()


@contextlib.asynccontextmanager
async def async_client_of(server: Server) -> AsyncIterator[Client]:
    """The same, for a test that awaits."""
    client = Client(api_token="anything", base_url=server.url)
    client.poll_interval = 0.02
    try:
        yield client
    finally:
        await client._async_client.aclose()
