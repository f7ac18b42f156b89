"""What goes wrong between us and another server."""

from __future__ import annotations

from cog.errors import CogError


class NetError(CogError):
    """A request got no usable answer; the text says why in plain words and names no URL.

    `retryable` is False where the same request would fail the same way again; `retry_after` is the wait in
    seconds that the other server asked for, None when it did not.
    """

    def __init__(self, message: str, *, retryable: bool = True, retry_after: int | None = None) -> None:
        """By default another try is worth it."""
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after


class UrlRefused(NetError):
    """The URL, or a redirect of it, leads where the policy does not allow us to go. Never retried."""

    def __init__(self, message: str) -> None:
        """`message` says what is wrong with the URL."""
        super().__init__(message, retryable=False)
