"""HTTP with one server, over the standard library alone: the command line must start quickly."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

from cog.errors import ServerUnreachable, UsageError

TIMEOUT: Final = 30.0  # seconds without a byte, where an answer is due at once
_LONGEST_EXCERPT: Final = 200
_LABEL: Final = 63  # characters between two dots of a name (RFC 1035)
_SAFE: Final = "/%:@!$&'()*+,;=~"  # in a path, with what is escaped already


class Answer(NamedTuple):
    """What a server answered."""

    status: int
    media_type: str
    body: bytes

    def json(self) -> Any:
        """The body as JSON; None when it is none."""
        try:
            return json.loads(self.body)
        except ValueError:  # malformed JSON, or not UTF-8
            return None

    def error(self) -> str:
        """What a refusal says of itself."""
        document = self.json()
        if isinstance(document, dict) and isinstance(document.get("error"), str):
            return str(document["error"])
        text = " ".join(self.body[: 4 * _LONGEST_EXCERPT].decode("utf-8", "replace").split())
        return text[:_LONGEST_EXCERPT] or "it does not say why"


class Address(NamedTuple):
    """Where a server is: `prefix` goes before every path; with `socket` connections go to the one that lies there."""

    host: str
    port: int | None
    secure: bool
    prefix: str
    socket: str | None


class _LocalConnection(HTTPConnection):
    """HTTP over a socket that lies in a folder."""

    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Connection:
    """Talks to the server at one URL; a path in it goes before every path that is asked for."""

    def __init__(self, url: str, path: str | None = None) -> None:
        """`url` may lack its `http://`. With `path` it is only what the server is called; connections go to the socket
        that lies there.

        Raises:
            UsageError: it is not the URL of a server.
        """
        whole = url if "://" in url else f"http://{url}"
        try:
            parts = urlsplit(whole)
            self._port = parts.port
            self._host = _host(parts.hostname or "")
        except ValueError as error:
            raise UsageError(f"--url {url}: {error}. Write it as http://127.0.0.1:8393") from error
        if (
            parts.scheme not in ("http", "https")
            or parts.username is not None
            or parts.query
            or parts.fragment
        ):
            raise UsageError(
                f"--url {url}: write it as http://127.0.0.1:8393, with http or https, without user or password, and "
                "without anything behind the path"
            )
        self.url = whole.rstrip("/")
        self._secure = parts.scheme == "https"
        self._prefix = quote(parts.path.rstrip("/"), safe=_SAFE, errors="surrogateescape")
        self._path = path
        self._kept: HTTPConnection | None = None

    @property
    def address(self) -> Address:
        """Where it leads, for whoever connects by other means."""
        return Address(self._host, self._port, self._secure, self._prefix, self._path)

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = TIMEOUT,
    ) -> Answer:
        """One request and its whole answer, whatever the status. `timeout` is in seconds without a byte, None: for ever.

        Raises:
            ServerUnreachable: there is no answer, or it leads elsewhere.
        """
        reused = self._kept is not None
        connection, self._kept = self._kept or self._open(timeout), None
        try:
            response = self._ask(connection, method, path, body, headers, timeout)
            answer = Answer(response.status, _media_type(response), response.read())
        except (OSError, HTTPException) as error:
            connection.close()
            if reused and not isinstance(error, TimeoutError):  # the server had closed it meanwhile
                return self.call(method, path, body, headers, timeout)
            raise self._unreachable(error) from error
        except BaseException:  # Ctrl-C: the rest of the answer would be taken for the next one
            connection.close()
            raise
        if response.will_close:
            connection.close()
        else:
            self._kept = connection
        return answer

    def stream(self, path: str, headers: Mapping[str, str], timeout: float) -> HTTPResponse:
        """The beginning of an answer that goes on; the caller closes it.

        Raises:
            ServerUnreachable: as `call()`.
        """
        connection = self._open(timeout)
        try:
            return self._ask(connection, "GET", path, None, {**headers, "Connection": "close"}, timeout)
        except (OSError, HTTPException) as error:
            connection.close()
            raise self._unreachable(error) from error
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Hang up. Another call connects again."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _open(self, timeout: float | None) -> HTTPConnection:
        if self._path is not None:
            return _LocalConnection(self._path, timeout)
        if self._secure:
            return HTTPSConnection(self._host, self._port, timeout=timeout)
        return HTTPConnection(self._host, self._port, timeout=timeout)

    def _ask(
        self,
        connection: HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str] | None,
        timeout: float | None,
    ) -> HTTPResponse:
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        sent = {"Accept": "application/json", **(headers or {})}
        if body is not None:
            sent["Content-Type"] = "application/json"
        try:
            connection.request(method, self._prefix + path, body, sent)
        except (BrokenPipeError, ConnectionResetError):
            with contextlib.suppress(
                OSError
            ):  # a body that is refused before it was sent whole has an answer too
                return connection.getresponse()
            raise
        response = connection.getresponse()
        if 300 <= response.status < 400:
            location = response.getheader("Location", "nowhere")
            raise ServerUnreachable(
                f"{self.url} answers {path} with a redirect ({response.status}) to {location}. If that is the server "
                "you mean, give its address with --url."
            )
        return response

    def _unreachable(self, error: Exception) -> ServerUnreachable:
        if isinstance(error, TimeoutError):
            cause = "it does not answer in time"
        elif isinstance(error, OSError):
            cause = error.strerror or str(error) or type(error).__name__
        else:
            cause = f"what it answers is not HTTP ({type(error).__name__}: {error})"
        return ServerUnreachable(
            f"No answer from {self.url}: {cause}. Is the server running, and is this its address?"
        )


def _host(name: str) -> str:
    """Raises:
    ValueError: no server can be called this.
    """
    if not name or not name.isprintable() or " " in name:
        raise ValueError("it names no server")
    try:
        found = name if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError:
        raise ValueError(f"no server can be called {name}") from None
    if not all(0 < len(label) <= _LABEL for label in found.removesuffix(".").split(".")):
        raise ValueError(f"no server can be called {name}")
    return found


def _media_type(response: HTTPResponse) -> str:
    return response.getheader("Content-Type", "").partition(";")[0].strip().lower()
