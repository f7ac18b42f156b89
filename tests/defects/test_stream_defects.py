"""J3, J10 and J33: event streams."""

from __future__ import annotations

import json
from collections.abc import Callable

from support.serving import Server
from support.sockets import post, raw
from support.streams import chunks, streaming, told

# The reference streams only what a file in the model's folder says that it streams; it is read after setup().
SCHEMA = {
    "openapi": "3.0.2",
    "info": {"title": "Cog", "version": "0.1.0"},
    "paths": {"/predictions": {"post": {"x-cog-streaming": True}}},
    "components": {
        "schemas": {
            "Input": {
                "type": "object",
                "title": "Input",
                "properties": {"name": {"type": "string", "default": "", "x-order": 0}},
            },
            "Output": {"type": "array", "items": {"type": "string"}, "x-cog-array-type": "iterator"},
        }
    },
}
HEAD = f"""
import asyncio, os, time
from typing import AsyncIterator, Iterator
from cog import BaseRunner, streaming

class Runner(BaseRunner):
    def setup(self):
        os.makedirs(".cog", exist_ok=True)
        with open(".cog/openapi_schema.json", "w") as file:
            file.write({json.dumps(json.dumps(SCHEMA))})
        while os.path.exists("wait"):
            time.sleep(0.005)
"""
ASYNC = (
    HEAD.replace("    def setup", "    async def setup")
    + """
    @streaming
    async def run(self, name: str = "") -> AsyncIterator[str]:
        yield "a"
        end = time.monotonic() + 12
        while not os.path.exists(name) and time.monotonic() < end:
            await asyncio.sleep(0.005)
        yield "b"
"""
)
FLOODING = (
    HEAD
    + """
    @streaming
    def run(self, name: str = "") -> Iterator[str]:
        for _ in range(20_000):
            print("x" * 600)
        print("all is printed")
        end = time.monotonic() + 15
        while not os.path.exists(name) and time.monotonic() < end:
            time.sleep(0.005)
        end = time.monotonic() + 0.5  # in which a cancel would come
        while time.monotonic() < end:
            time.sleep(0.005)
        yield "a"
        open("ended", "w").close()
"""
)


def test_j3_an_async_generator_streams(served: Callable[..., Server]) -> None:
    server = served(ASYNC)
    with streaming(server, body={"input": {"name": "go"}}, timeout=10) as stream:
        assert next(stream).name == "start"
        assert next(stream).data == {"chunk": "a", "index": 0}  # the model waits for this test
        (server.folder / "go").touch()
        assert chunks(told(stream)) == ["b"]


def test_j10_a_reader_who_does_not_keep_up_cancels_nothing(served: Callable[..., Server]) -> None:
    server = served(FLOODING)
    with raw(server, receive=65536) as slow:
        slow.send(post({"name": "go"}, "Accept: text/event-stream"))
        server.wait_log("all is printed")
        seen = b""
        while b"all is printed" not in seen and not seen.endswith(b"\r\n0\r\n\r\n"):
            seen = seen[-100:] + slow.socket.recv(1 << 20)  # caught up, or told that it has missed something
        (server.folder / "go").touch()
        server.wait_file("ended", 10)


def test_j33_what_is_being_set_up_is_not_ready(served: Callable[..., Server]) -> None:
    server = served(HEAD.replace("    def setup(self):", "    def setup(self):\n        open('wait', 'w').close()") + """
    @streaming
    def run(self, name: str = "") -> Iterator[str]:
        yield "a"
""", ready=None)  # fmt: skip
    server.wait_file("wait")
    with streaming(server, body={"input": {}}) as stream:
        assert stream.status == 503
    (server.folder / "wait").unlink()
    server.wait_health("READY")
    with streaming(server, body={"input": {}}) as stream:
        assert chunks(told(stream)) == ["a"]
