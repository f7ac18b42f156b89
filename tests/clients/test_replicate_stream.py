"""The `replicate` client: streams, as they come and when they are over."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from support.hosted import RETURNS, YIELDS, client_of
from support.serving import Server, request
from support.steps import body, fresh, let_go
from support.streams import streaming

REF = "anybody/anything"


@pytest.fixture(scope="module")
def server(serve_once: Any) -> Server:
    made: Server = serve_once(YIELDS)
    return made


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    with client_of(server) as made:
        yield made


def seen(events: Any) -> list[tuple[str, str]]:
    return [(event.event.value, event.data) for event in events]


@contextlib.contextmanager
def begun(client: Any, server: Server, code: str) -> Iterator[tuple[Any, str]]:
    """A prediction that has come to `gate($name)` in its code."""
    name = fresh()
    prediction = client.predictions.create(version="any", input=body(code, name=name))
    server.wait_file(name)
    try:
        yield prediction, name
    finally:
        let_go(server, name)
        prediction.wait()


def test_chunks_come_as_they_are_yielded(client: Any, server: Server) -> None:
    name = fresh()
    code = (
        "print('one')\nyield 'a'\ncurrent_scope().record_metric('m', 1)\ngate($name)\nyield 'b'\nprint('two')"
    )
    stream = client.stream(REF, input=body(code, name=name))
    first = [next(stream) for _ in range(2)]
    let_go(server, name)
    assert seen([*first, *stream]) == [
        ("logs", "one\n"), ("output", "a"), ("output", "b"), ("logs", "two\n"), ("done", "{}"),
    ]  # fmt: skip


TEXTS = ["", " ", "\n", "a\n\nb\n", "ä😀", '"quoted" \\ {}', ": no comment", "event: x", "\t", " leading"]


def test_texts_arrive_as_they_are_and_all_else_as_json(client: Any) -> None:
    values = [*TEXTS, 1, 2.5, None, {"a": [1]}]
    code = f"for value in {values!r}: yield value"
    chunks = [data for name, data in seen(client.stream(REF, input={"code": code})) if name == "output"]
    assert chunks == [*TEXTS, "1", "2.5", "null", '{"a":[1]}']


def test_every_end_of_a_line_is_a_line(client: Any) -> None:
    stream = client.stream(REF, input={"code": "yield 'a\\r\\nb\\rc\\nd'"})
    assert seen(stream)[0] == ("output", "a\nb\nc\nd")


def test_a_file_can_be_read(client: Any) -> None:
    code = "from cog import Path\n(FOLDER / 'o.png').write_bytes(b'abc')\nyield Path(FOLDER / 'o.png')"
    event, done = client.stream(REF, input={"code": code})
    assert event.data.read() == b"abc"
    assert str(done) == ""


def test_an_error_is_raised(client: Any) -> None:
    stream = client.stream(REF, input={"code": "yield 'a'\nraise ValueError('bad\\nthing')"})
    outputs: list[str] = []
    with pytest.raises(RuntimeError, match=r"^ValueError: bad\nthing$"):
        outputs.extend(filter(None, map(str, stream)))
    assert outputs == ["a"]


def test_a_canceled_one_ends(client: Any) -> None:
    stream = client.stream(REF, input={"code": "yield 'a'\ntime.sleep(60)"})
    assert str(next(stream)) == "a"
    client.predictions.list()[0].cancel()
    assert seen(stream) == [("done", '{"reason":"canceled"}')]


def test_who_comes_late_is_told_everything(client: Any, server: Server) -> None:
    with begun(client, server, "yield 'a'\nprint('x')\ngate($name)\nyield 'b'") as (prediction, name):
        stream = prediction.stream()
        first = [next(stream) for _ in range(2)]
        let_go(server, name)
        assert seen([*first, *stream]) == [("output", "a"), ("logs", "x\n"), ("output", "b"), ("done", "{}")]
    assert seen(prediction.stream()) == [("logs", "x\n"), ("output", "a"), ("output", "b"), ("done", "{}")]
    # What has failed, or was canceled, is told as such after its end as well.
    failed = client.predictions.create("v", {"code": "yield 'a'\nraise ValueError"}, wait=True)
    with pytest.raises(RuntimeError, match=r"^ValueError$"):
        list(failed.stream())


def test_what_is_not_held_any_more_is_told_from_the_record(client: Any, server: Server) -> None:
    """Far more events than are held for our own readers, who are told that they have missed some."""
    code = "print('x')\nfor number in range(3000): yield number\nprint('y')\ngate($name)\nyield 'end'"
    with begun(client, server, code) as (prediction, name):
        with streaming(server, "GET", f"/predictions/{prediction.id}") as ours:
            assert next(ours).name == "error"
        stream = prediction.stream()
        first = [next(stream) for _ in range(3002)]
        let_go(server, name)
        told = seen([*first, *stream])
    assert [data for name, data in told if name == "output"] == [*map(str, range(3000)), "end"]
    assert "".join(data for name, data in told if name == "logs") == "x\ny\n"
    assert told[-1] == ("done", "{}")
    # Whoever comes back goes on behind what they have had, also in the middle of that.
    again = request(prediction.urls["stream"], headers={"last-event-id": first[1000].id}).body.decode()
    assert again.count("event: output\n") == 3001 - sum(
        event.event.value == "output" for event in first[:1001]
    )


@pytest.mark.parametrize("had", range(5))
def test_who_comes_back_is_told_what_is_missing(client: Any, server: Server, had: int) -> None:
    with begun(client, server, "print('x')\nyield 'a'\nyield 'b'\ngate($name)\nyield 'c'") as (
        prediction,
        name,
    ):
        stream = prediction.stream()
        every = [next(stream) for _ in range(3)]
        let_go(server, name)
        every += stream
    again = request(prediction.urls["stream"], headers={"last-event-id": every[had].id})
    if had == 4:
        assert (again.status, again.body) == (204, b"")
    else:
        assert again.body.decode().count("event: ") == 4 - had


def test_both_kinds_of_readers_at_a_time(client: Any, server: Server) -> None:
    with (
        begun(client, server, "yield 'a'\ngate($name)\nyield 'b'") as (prediction, name),
        streaming(server, "GET", f"/predictions/{prediction.id}") as ours,
    ):
        assert [next(ours).name for _ in range(2)] == ["start", "output"]
        stream = prediction.stream()
        assert str(next(stream)) == "a"
        let_go(server, name)
        assert seen(stream) == [("output", "b"), ("done", "{}")]
        assert [event.name for event in ours] == ["output", "completed"]


def test_a_model_that_does_not_stream_has_one_chunk(serve_once: Any) -> None:
    server = serve_once(RETURNS)
    with client_of(server) as client:
        assert seen(client.stream(REF, input={"code": "return 'a b'"})) == [("output", "a b"), ("done", "{}")]
        name = fresh()
        stream = client.stream(REF, input=body("print('x')\ngate($name)\nreturn [1]", name=name))
        first = next(stream)
        let_go(server, name)
        assert seen([first, *stream]) == [("logs", "x\n"), ("output", "[1]"), ("done", "{}")]
        newest = client.predictions.list()[0]
    head = server.call("HEAD", f"/v1/predictions/{newest.id}/stream")
    assert (head.status, head.body) == (200, b"")
