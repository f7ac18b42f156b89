"""What is fuzzed: each target takes any bytes, allows only the errors that are documented, and checks what must hold."""

from __future__ import annotations

import base64
import binascii
import json
import re
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from cog.config.document import LINE, Unreadable, read
from cog.config.parse import load
from cog.errors import ConfigError, InvalidRequest, Problem, ProtocolError, RequestError
from cog.files.data_url import DataUrlError, encode, header, parse, shorten
from cog.prediction.request import WEBHOOK_EVENTS, valid_id
from cog.schema.validate import LARGE, Validator
from cog.server.wire import read_envelope
from cog.signature.facts import Default, Parameter, Result, Signature
from cog.signature.kinds import (
    Anything,
    Array,
    Boolean,
    Choice,
    File,
    Integer,
    Mapping,
    Nullable,
    Number,
    SecretText,
    Text,
    Union,
)
from cog.signature.rules import check_input
from cog.worker.frames import Frame, FrameReader
from cog.worker.messages import read_down, read_up

SIGNATURE = Signature(
    (
        Parameter("t", Text(), min_length=1, max_length=9, regex="[a-z]"),
        Parameter("i", Integer(), Default(20), ge=1, le=50),
        Parameter("n", Number(), Default(1.0), ge=0),
        Parameter("c", Text(), Default("a"), choices=("a", "b")),
        Parameter("o", Nullable(Integer()), Default(None)),
        Parameter("p", Nullable(File()), Default(None)),
        Parameter("u", Union((Text(), Integer())), Default("x")),
        Parameter("b", Array(Boolean()), Default([])),
        Parameter("l", Array(Anything()), Default([])),
        Parameter("d", Mapping(), Default({})),
        Parameter("m", Nullable(Mapping()), Default(None)),
        Parameter("v", Mapping(Number()), Default({})),
        Parameter("s", Nullable(SecretText()), Default(None)),
        Parameter("k", Choice(("a", 1)), Default(1)),
        Parameter("a", Nullable(Anything()), Default(None)),
    ),
    Result(Text()),
)
VALIDATOR = Validator(SIGNATURE)
PAD = b" " * LARGE  # makes a large input of a small one, which is read in another way


def body(data: bytes) -> None:
    """A request's body, and the input within it."""
    try:
        envelope = read_envelope({"headers": []}, data)
    except RequestError as error:
        check_refusal(data, error)
        return
    if data:
        whole = json.loads(data.decode(), parse_int=len)
        assert depth_of(whole) <= 127
        assert whole.get("id") == envelope.id
        assert envelope.id is None or valid_id(envelope.id)
        assert whole.get("context", {}) == envelope.context
        assert set(whole.get("webhook_events_filter", [])) <= set(WEBHOOK_EVENTS)
    small, large = verdict(bytes(envelope.input)), verdict(PAD + bytes(envelope.input))
    if not (
        isinstance(small, str) or isinstance(large, str)
    ):  # one says of the JSON what the other has not read
        assert small == large, (small, large)


def check_refusal(data: bytes, error: RequestError) -> None:
    """Of what is no JSON that is said first; of what is JSON, the places that are wrong."""
    if not isinstance(error, InvalidRequest):
        assert error.status == 400
        return
    assert error.problems
    assert all(problem.loc[0] == "body" and problem.msg for problem in error.problems), error.problems
    json.loads(data.decode(), parse_int=len)


def verdict(raw: bytes) -> object:
    """What is wrong with an input: problems, or a text for what cannot be read at all."""
    fast = False
    problems: tuple[Problem, ...] = ()
    try:
        fast = VALIDATOR.check(raw)
    except InvalidRequest as error:
        problems = error.problems
    if len(problems) == 1 and "JSON" in problems[0].msg:
        return problems[0].msg
    value = json.loads(raw)
    assert check_input(SIGNATURE, value) == list(problems)
    if problems:
        return problems
    assert not fast or set(value) <= {parameter.name for parameter in SIGNATURE.parameters}
    return ()


def depth_of(value: Any) -> int:
    """How deep the lists and objects of `value` are nested."""
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        item, depth = waiting.pop()
        if isinstance(item, list | dict):
            deepest = max(deepest, depth)
            waiting += [(inner, depth + 1) for inner in (item.values() if isinstance(item, dict) else item)]
    return deepest


def data_url(data: bytes) -> None:
    """A data URL: what is decoded is what the standard library makes of it, and goes round."""
    try:
        text = data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    assert len(shorten(text)) < 5000
    try:
        found = parse(text)
    except DataUrlError:
        return
    assert parse(encode(found.content, found.media_type).decode()) == found
    told = header(text)
    assert told.media_type == found.media_type
    assert found.media_type == found.media_type.lower()
    content = text.partition(",")[2]
    if not told.base64:
        assert found.content == unquote_to_bytes(content.encode())
        return
    letters = unquote_to_bytes(content).translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    try:
        assert found.content == base64.b64decode(letters + b"=" * (-len(letters) % 4), validate=True)
    except binascii.Error as error:
        raise AssertionError("what the standard library refuses was accepted") from error


_PLACE = re.compile(r"^(?:.*?)cog\.yaml:(\d+):(\d+): ", re.MULTILINE)
_FOLDER = tempfile.TemporaryDirectory()


def config(data: bytes) -> None:
    """A cog.yaml: every error names a place within the text."""
    try:
        _, problems = read(data)
    except Unreadable as error:
        problems = [error.problem]
    for problem in problems:
        within(data, problem.line, problem.column)
    path = Path(_FOLDER.name) / "cog.yaml"
    path.write_bytes(data)
    try:
        load(path)
    except ConfigError as error:
        line, column = map(int, _PLACE.findall(str(error))[0])
        within(data, line, column)


def within(data: bytes, line: int, column: int) -> None:
    """Fail when `data` has no such place; one may point behind the last letter of a line, and behind the last line."""
    lines = LINE.split(data.decode("utf-8-sig", "replace"))
    assert 1 <= line <= len(lines) + 1, (line, len(lines))
    length = len(lines[line - 1]) if line <= len(lines) else 0
    assert 1 <= column <= length + 2, (line, column, length)


def frames(data: bytes) -> None:
    """The channel: the first byte says where the stream is cut, which must not matter."""
    step, stream = (data[0] % 61) + 1, data[1:]
    whole, pieces = fed([stream]), fed([stream[at : at + step] for at in range(0, len(stream), step)])
    if whole is None or pieces is None:
        assert whole is pieces, "only one of them is no stream of frames"
        return
    assert whole == pieces
    for frame in whole:
        for reader in (read_up, read_down):
            try:
                reader(frame)
            except ProtocolError:
                continue


def fed(parts: list[bytes]) -> list[Frame] | None:
    """The frames of a stream that comes in `parts`; None when it is none."""
    reader = FrameReader()
    found: list[Frame] = []
    try:
        for part in parts:
            found += reader.feed(part)
    except ProtocolError:
        return None
    rest = sum(map(len, parts)) - sum(8 + sum(size) for size in sizes(b"".join(parts)))
    assert reader.empty == (rest == 0)
    return found


def sizes(stream: bytes) -> list[tuple[int, int]]:
    """The lengths of the complete frames of a stream."""
    found: list[tuple[int, int]] = []
    at = 0
    while at + 8 <= len(stream):
        head, payload = struct.unpack_from("!II", stream, at)
        if at + 8 + head + payload > len(stream):
            break
        found.append((head, payload))
        at += 8 + head + payload
    return found


TARGETS: dict[str, Callable[[bytes], None]] = {
    "body": body,
    "data_url": data_url,
    "config": config,
    "frames": lambda data: frames(data) if data else None,
}
