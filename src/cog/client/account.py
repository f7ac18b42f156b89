"""Whose a token of Replicate's is, by Replicate's public HTTP API."""

from __future__ import annotations

import json
import re
from email.message import Message
from http.client import HTTPException
from typing import IO, Any, Final
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from cog.errors import ServerUnreachable, UsageError
from cog.version import __version__

TOKENS: Final = "https://replicate.com/account/api-tokens"  # where a person gets one
API: Final = "https://api.replicate.com"
_PATIENCE: Final = 30.0  # seconds without a byte
_LONGEST: Final = 65536  # bytes of an answer
_TOKEN: Final = re.compile(r"[!-~]+", re.ASCII)


class _Staying(HTTPRedirectHandler):
    """Follows nothing: a token is for the one who was asked."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> Request | None:
        return None


def username(token: str, base: str = API) -> str:
    """The name of the account that `token` belongs to, by the API at `base`.

    Raises:
        UsageError: it belongs to nobody, or would cross a network that can read it.
        ServerUnreachable: Replicate does not say.
    """
    unknown = UsageError(f"Replicate does not know this token. Was all of it copied? Get one at {TOKENS}")
    if not _TOKEN.fullmatch(token):  # nor does a header take it
        raise unknown
    base = base.rstrip("/")
    parts = urlsplit(base)
    if parts.scheme != "https" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise UsageError(f"{base} is not https: a token would cross the network for everybody to read")
    headers = {"Authorization": f"Bearer {token}", "User-Agent": f"cog/{__version__}"}
    try:
        request = Request(f"{base}/v1/account", headers=headers)
        with build_opener(_Staying).open(request, timeout=_PATIENCE) as answer:
            found: Any = json.loads(answer.read(_LONGEST))
    except HTTPError as error:
        error.close()
        raise unknown if error.code == 401 else _silent(base, f"status {error.code}") from None
    except (OSError, HTTPException, ValueError) as error:
        raise _silent(base, str(error)) from None
    name = found.get("username") if isinstance(found, dict) else None
    if not isinstance(name, str) or not name:
        raise _silent(base, "an answer without a username")
    return name


def _silent(base: str, why: str) -> ServerUnreachable:
    return ServerUnreachable(
        f"{base} does not say whose the token is: {why}. Give the name of your account with --username"
    )
