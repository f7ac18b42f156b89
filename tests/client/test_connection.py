"""What stands behind --url, and who is asked then."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from cog.client.connection import Connection
from cog.errors import ServerUnreachable, UsageError


@pytest.mark.parametrize(
    "url",
    [
        "", " ", "http://", "http://a b", "http://a..b", f"http://{'a' * 64}.org", "http://127.0.0.1:99999",
        "http://127.0.0.1:x", "http://[::1", "file:///x", "http://u:p@h", "http://h?x=1", "http://h/#f",
        "http://a\udcff",
    ],
)  # fmt: skip
def test_no_address_of_a_server(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        Connection(url)
    assert "http://127.0.0.1:8393" in str(refused.value)


class Echo(http.server.BaseHTTPRequestHandler):
    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.seen.append(f"{self.headers['Host'].partition(':')[0]} {self.path}")
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("", "/ready"),
        ("/", "/ready"),
        ("/a/b/", "/a/b/ready"),
        ("/a b", "/a%20b/ready"),
        ("/\u00fc%20\udcff", "/%C3%BC%20%FF/ready"),
    ],
)
def test_the_path_of_a_server(port: int, path: str, asked: str) -> None:
    connection = Connection(f"localhost:{port}{path}")
    assert connection.call("GET", "/ready").status == 204
    connection.close()
    assert Echo.seen[-1] == f"localhost {asked}"


def test_a_socket_that_nobody_listens_on(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
        for name in ("s", "gone"):
            with pytest.raises(ServerUnreachable):
                Connection("localhost", str(tmp_path / name)).call("GET", "/ready")
