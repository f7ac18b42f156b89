"""Answers of HTTP/1.1 out of bytes, and what each says of its prediction. No I/O."""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

import msgspec

_HEAD_END: Final = b"\r\n\r\n"
_LONGEST_HEAD: Final = 65_536
_LONGEST_TEXT: Final = 200
_REFUSALS: Final = (409, 429, 503)  # every place is taken; nothing was started


class Answer(NamedTuple):
    """A whole answer. After one that `closes` the connection is of no use."""

    status: int
    body: bytes
    closes: bool


class Reader:
    """Takes the bytes of a connection in pieces of any size; there is one request at a time on it."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._head = bytearray()
        self._body: list[bytes] = []
        self._status = 0
        self._closes = False
        self._left: int | None = None  # bytes of the body; None: until the end of the connection
        self._chunks: _Chunks | None = None
        self._in_body = False

    def feed(self, piece: bytes) -> Answer | None:
        """The answer that `piece` completes.

        Raises:
            ValueError: this is not HTTP/1.1.
        """
        if self._in_body:
            return self._take(piece)
        self._head += piece
        end = self._head.find(_HEAD_END)
        if end < 0:
            if len(self._head) > _LONGEST_HEAD:
                raise ValueError("the head of an answer does not end")
            return None
        head, rest = bytes(self._head[:end]), bytes(self._head[end + len(_HEAD_END) :])
        self._head.clear()
        self._begin(head)
        if self._status < 200:  # such as 100 Continue: the answer is still to come
            self._in_body = False
            return self.feed(rest) if rest else None
        return self._take(rest)

    def end(self) -> Answer | None:
        """The answer that the end of the connection completes, if there is one."""
        if self._in_body and self._left is None and self._chunks is None:
            return self._whole()
        return None

    def _begin(self, head: bytes) -> None:
        first, *lines = head.split(b"\r\n")
        version, _, rest = first.partition(b" ")
        if not version.startswith(b"HTTP/1."):
            raise ValueError(f"an answer begins with {first[:40]!r}")
        self._status = int(rest[:3])
        self._closes = version == b"HTTP/1.0"
        self._left, self._chunks, self._body, self._in_body = None, None, [], True
        for line in lines:
            name, _, value = line.partition(b":")
            match name.lower():
                case b"content-length":
                    self._left = int(value)
                case b"transfer-encoding" if b"chunked" in value.lower():
                    self._chunks = _Chunks()
                case b"connection":
                    self._closes = value.strip().lower() == b"close" or (
                        self._closes and value.strip().lower() != b"keep-alive"
                    )
                case _:
                    pass
        if self._chunks is not None:
            self._left = None
        elif self._left is None:
            self._closes = True
        if self._status in (204, 304):
            self._left, self._chunks = 0, None

    def _take(self, piece: bytes) -> Answer | None:
        if self._chunks is not None:
            self._body += self._chunks.feed(piece)
            return self._whole() if self._chunks.ended else None
        self._body.append(piece)
        if self._left is None:
            return None
        self._left -= len(piece)
        if self._left < 0:
            raise ValueError("an answer is longer than it says")
        return self._whole() if self._left == 0 else None

    def _whole(self) -> Answer:
        self._in_body = False
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body = []
        return Answer(self._status, body, self._closes)


class _Chunks:
    """A body in chunks (RFC 9112, 7.1); trailers are dropped."""

    def __init__(self) -> None:
        self.ended = False
        self._rest = bytearray()
        self._left = 0  # bytes of a chunk that are to come, its line end included
        self._last = False  # the chunk of no bytes has come

    def feed(self, piece: bytes) -> list[bytes]:
        """The content in `piece`."""
        self._rest += piece
        found: list[bytes] = []
        while not self.ended and self._step(found):
            pass
        return found

    def _step(self, found: list[bytes]) -> bool:
        if self._left:
            taken = min(self._left, len(self._rest))
            content = bytes(self._rest[: max(0, min(taken, self._left - 2))])
            del self._rest[:taken]
            self._left -= taken
            if content:
                found.append(content)
            return taken > 0
        line, end, _ = self._rest.partition(b"\r\n")
        if not end:
            return False
        del self._rest[: len(line) + 2]
        if self._last:
            self.ended = not line
        else:
            size = int(line.partition(b";")[0], 16)
            self._left, self._last = (size + 2 if size else 0), size == 0
        return True


class Kind(Enum):
    """What became of a request."""

    ANSWERED = "answered"
    REFUSED = "refused"
    FAILED = "failed"


class Outcome(NamedTuple):
    """`text` says why it failed, `model_time` how long the model took, in seconds, `together` how many predictions there
    were in its batch; both where that is told."""

    kind: Kind
    text: str = ""
    model_time: float | None = None
    together: int | None = None


class _Metrics(msgspec.Struct):
    predict_time: float | None = None
    batch_size: int | None = None


class _Prediction(msgspec.Struct):
    status: str | None = None
    error: str | None = None
    metrics: _Metrics | None = None


class _Refusal(msgspec.Struct):
    error: str


_PREDICTIONS: Final = msgspec.json.Decoder(_Prediction)
_REFUSED: Final = msgspec.json.Decoder(_Refusal)


def judge(answer: Answer) -> Outcome:
    """What became of the prediction: only one that has succeeded is answered."""
    if answer.status in _REFUSALS:
        return Outcome(Kind.REFUSED, _error(answer))
    if answer.status != 200:
        return Outcome(Kind.FAILED, _error(answer))
    try:
        prediction = _PREDICTIONS.decode(answer.body)
    except msgspec.MsgspecError:
        return Outcome(Kind.FAILED, "the answer is no prediction")
    if prediction.status != "succeeded":
        return Outcome(Kind.FAILED, (prediction.error or f"it is {prediction.status}")[:_LONGEST_TEXT])
    found = prediction.metrics or _Metrics()
    return Outcome(Kind.ANSWERED, "", found.predict_time, found.batch_size)


def _error(answer: Answer) -> str:
    try:
        text = _REFUSED.decode(answer.body).error
    except msgspec.MsgspecError:
        text = " ".join(answer.body[:_LONGEST_TEXT].decode("utf-8", "replace").split())
    return f"{answer.status}: {text}"[:_LONGEST_TEXT]
