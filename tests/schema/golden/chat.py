from typing import AsyncIterator

from cog import BaseRunner, Input, concurrent, streaming


class Runner(BaseRunner):
    async def setup(self) -> None:
        self.ready = True

    @concurrent(max=8)
    @streaming
    async def run(self, messages: list[dict], temperature: float = Input(default=0.7, ge=0, le=2)) -> AsyncIterator[dict]:
        yield {"role": "assistant", "content": "hello"}
