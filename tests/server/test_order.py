"""In which order one connection serves, whatever the order in which its loop tells what has happened."""

from __future__ import annotations

import asyncio
from typing import Any

from cog.server.connection import Connection
from cog.server.traffic import Traffic
from cog.server.wire import Answer, Receive, Scope, Send
from support.sockets import get


class Wire(asyncio.Transport):
    """What a connection writes, kept."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """Nothing: the test says what comes."""

    def resume_reading(self) -> None:
        """Nothing."""


async def turns(count: int = 5) -> None:
    """Let the loop do what it has to."""
    for _ in range(count):
        await asyncio.sleep(0)


def test_one_at_a_time_also_when_the_client_takes_a_large_answer_right_after_it_was_written() -> None:
    """libuv may tell that there is room again in the very turn in which the answer was complete, before what waits is begun."""

    async def main() -> None:
        begun: list[str] = []
        gates = {name: asyncio.Event() for name in ("/a", "/b", "/c")}

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            begun.append(scope["path"])
            await gates[scope["path"]].wait()
            await Answer(200, scope["path"].encode()).send(send)

        wire = Wire()
        loop = asyncio.get_running_loop()
        traffic = Traffic(app, lambda _: False, client_timeout=20, keep_alive=20, most=10)
        connection = Connection(traffic, loop)
        connection.connection_made(wire)
        connection.data_received(b"".join(map(get, gates)))
        await turns()
        connection.pause_writing()
        first = connection.running
        gates["/a"].set()
        while connection.running is first:
            await asyncio.sleep(0)
        connection.resume_writing()  # nothing was begun since the answer was complete
        await turns()
        assert begun == ["/a", "/b"]
        gates["/c"].set()
        await turns()
        assert wire.written.count(b"HTTP/1.1 200 OK") == 1
        gates["/b"].set()
        await turns()
        answers = [part.partition(b"\r\n\r\n")[2] for part in wire.written.split(b"HTTP/1.1 200 OK\r\n")[1:]]
        assert answers == [b"/a", b"/b", b"/c"]
        connection.connection_lost(None)

    asyncio.run(asyncio.wait_for(main(), 20))
