"""What becomes of an output, by the schema of the model and the value itself."""

from __future__ import annotations

import http.server
import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cog import BaseModel, ConcatenateIterator
from cog import Path as CogPath
from cog.client import interface as interfaces
from cog.client.interface import Interface
from cog.client.outputs import Delivery, Teller
from cog.client.target import locate
from cog.errors import UnsavedOutput, UsageError
from cog.schema.openapi import document
from cog.signature import inspect as signatures

PNG = "data:image/png;base64,AAEC"
TEXT = {"type": "string"}
FILE = {"type": "string", "format": "uri"}
STREAM = {"type": "array", "x-cog-array-type": "iterator"}
WORDS = STREAM | {"items": TEXT, "x-cog-array-display": "concatenate"}


class Shown:
    """What was written, saved and warned of."""

    def __init__(self) -> None:
        self.text = ""
        self.saved: list[str] = []
        self.warned: list[str] = []

    def write(self, text: str) -> None:
        self.text += text


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def delivery(
    schema: Mapping[str, Any], out: str | None = None, *, whole: bool = False
) -> tuple[Delivery, Shown]:
    shown = Shown()
    teller = Teller(lambda path: shown.saved.append(str(path)), shown.warned.append)
    interface = Interface("prediction", schema, {}, polls=True)
    return Delivery(interface, locate(out), shown, teller, whole=whole), shown


def deliver(schema: Mapping[str, Any], output: object, out: str | None = None) -> Shown:
    made, shown = delivery(schema, out)
    made.finish(output)
    return shown


def test_a_text_is_written_as_it_is() -> None:
    assert deliver(TEXT, "a\n ü").text == "a\n ü"
    assert deliver({}, "anything").text == "anything"
    assert deliver(TEXT, PNG).text == PNG  # the model says that it is text


def test_words_are_joined_and_written_as_they_come() -> None:
    made, shown = delivery(WORDS)
    made.take(0, "a")
    assert shown.text == "a"
    made.take(1, "b")
    made.take(1, "b")  # told again
    made.finish(["a", "b", "c"])
    assert shown.text == "abc"


@given(st.lists(st.text()), st.integers(0, 5))
def test_whatever_part_came_before_the_end_the_text_is_whole_once(words: list[str], before: int) -> None:
    made, shown = delivery(WORDS)
    for position, word in enumerate(words[:before]):
        made.take(position, word)
    made.finish(words)
    assert shown.text == "".join(words)


def test_a_stream_of_other_values_is_one_json_array() -> None:
    made, shown = delivery(STREAM | {"items": TEXT})
    made.take(0, "a")
    made.finish(["a", "b"])
    assert json.loads(shown.text) == ["a", "b"]


def test_json_keeps_order_letters_and_numbers() -> None:
    value = {"z": 10**40, "a": "ü", "f": 0.1, "n": None, "e": []}
    shown = deliver({"type": "object"}, value)
    assert json.loads(shown.text) == value
    assert list(json.loads(shown.text)) == list(value)
    assert '  "a": "ü",\n' in shown.text
    assert shown.text.endswith("}\n")
    assert deliver({"type": "integer"}, 0).text == "0\n"
    assert deliver({"type": "boolean"}, False).text == "false\n"
    assert deliver({"type": "array", "items": TEXT}, []).text == "[]\n"


def test_nothing_is_a_warning() -> None:
    shown = deliver({"nullable": True, **TEXT}, None)
    assert (shown.text, shown.warned) == ("", ["No output generated"])


@pytest.mark.parametrize(
    ("out", "saved"),
    [
        (None, "output.png"), ("x", "x.png"), ("x.jpg", "x.jpg"), ("v1.5", "v1.5.png"), (".x", ".x.png"), ("x.", "x..png"),
        ("there", "there/output.png"), ("there/", "there/output.png"), ("there/y.tar.gz", "there/y.tar.gz"),
    ],
)  # fmt: skip
def test_a_file_goes_where_it_was_asked_for(here: Path, out: str | None, saved: str) -> None:
    (here / "there").mkdir()
    shown = deliver(FILE, PNG, out)
    assert (shown.text, shown.saved) == ("", [saved])
    assert (here / saved).read_bytes() == b"\0\1\2"
    assert not [name for name in os.listdir(here) if name.endswith(".part")]


def test_several_files_are_numbered(here: Path) -> None:
    made, shown = delivery(STREAM | {"items": FILE}, "x.webp")
    made.take(0, PNG)
    assert shown.saved == ["x.0.webp"]
    made.finish([PNG, PNG])
    assert shown.saved == ["x.0.webp", "x.1.webp"]
    assert deliver({"type": "array", "items": FILE}, ["data:text/plain,a%20b"]).saved == ["output.0.txt"]
    assert (here / "output.0.txt").read_text() == "a b"
    assert deliver({}, [PNG, PNG]).saved == ["output.0.png", "output.1.png"]


def test_files_within_json_are_replaced_by_their_paths() -> None:
    model = {
        "type": "object",
        "properties": {"image": FILE, "text": TEXT, "more": {"type": "array", "items": FILE}},
    }
    shown = deliver(model, {"image": PNG, "text": PNG, "more": [PNG]})
    assert json.loads(shown.text) == {"image": "output.image.png", "text": PNG, "more": ["output.more.0.png"]}
    shown = deliver({"type": "object"}, {"../a b": {"c": PNG}, "link": "https://x.test/a.png"})
    assert json.loads(shown.text) == {"../a b": {"c": "output..._a_b.c.png"}, "link": "https://x.test/a.png"}


def test_a_text_or_json_can_go_into_a_file_too(here: Path) -> None:
    assert deliver(TEXT, "ü", "a.md").saved == ["a.md"]
    assert (here / "a.md").read_bytes() == "ü".encode()
    assert deliver({}, [1], "a").saved == ["a"]
    (here / "there").mkdir()
    assert deliver(WORDS, ["a", "b"], "there").saved == ["there/output.txt"]
    assert (here / "there/output.txt").read_text() == "ab"


@pytest.mark.parametrize(
    ("out", "saved", "warned"),
    [
        (None, ["output.png"], []),
        ("r.json", ["r.png", "r.json"], []),
        ("there", ["there/output.png", "there/output.json"], []),
        ("r.png", ["r.output.png", "r.png"], ["-o r.png gets JSON, but is not called .json"]),
    ],
)
def test_a_whole_response(here: Path, out: str | None, saved: list[str], warned: list[str]) -> None:
    (here / "there").mkdir()
    made, shown = delivery(FILE, out, whole=True)
    made.respond({"id": "x", "status": "succeeded", "output": PNG, "logs": "", "metrics": {"a": 1}})
    text = shown.text if out is None else (here / saved[-1]).read_text()
    assert json.loads(text) == {"status": "succeeded", "output": saved[0], "error": None, "metrics": {"a": 1}}
    assert (shown.saved, shown.warned) == (saved, warned)


def test_an_older_file_is_replaced_whole_and_a_link_is_followed(here: Path) -> None:
    (here / "real.png").write_bytes(b"x" * 100)
    (here / "output.png").symlink_to("real.png")
    deliver(FILE, PNG)
    assert (here / "real.png").read_bytes() == b"\0\1\2"
    assert (here / "output.png").is_symlink()


def test_new_files_are_as_the_umask_says(here: Path) -> None:
    before = os.umask(0o027)
    try:
        deliver(FILE, PNG)
    finally:
        os.umask(before)
    assert (here / "output.png").stat().st_mode & 0o777 == 0o640


def test_a_device_is_written_to() -> None:
    assert deliver(TEXT, "x", "/dev/null").saved == ["/dev/null"]
    assert Path("/dev/null").is_char_device()


def test_what_cannot_be_written_is_told(here: Path) -> None:
    (here / "output.png").mkdir()
    with pytest.raises(UnsavedOutput, match=r"output\.png cannot be written: Is a directory"):
        deliver(FILE, PNG)
    with pytest.raises(UsageError, match="there is no folder no"):
        locate("no/x.png")
    with pytest.raises(UsageError, match="there is no folder no"):
        locate("no/")


class Pictures(BaseModel):
    """An output with a file in it."""

    image: CogPath
    label: str


def words() -> ConcatenateIterator[str]:
    raise NotImplementedError


def pictures() -> Iterator[CogPath]:
    raise NotImplementedError


def picture() -> CogPath | None:
    raise NotImplementedError


def labelled() -> Pictures:
    raise NotImplementedError


@pytest.mark.parametrize(
    ("model", "output", "text", "saved"),
    [
        (words, ["a", "b"], "ab", []),
        (pictures, [PNG, PNG], "", ["output.0.png", "output.1.png"]),
        (picture, PNG, "", ["output.png"]),
        (
            labelled, {"image": PNG, "label": "cat"},
            '{\n  "image": "output.image.png",\n  "label": "cat"\n}\n', ["output.image.png"],
        ),
    ],
)  # fmt: skip
def test_what_our_own_documents_say(model: Any, output: object, text: str, saved: list[str]) -> None:
    interface = interfaces.read(document(signatures.read(model).signature))
    shown = Shown()
    Delivery(
        interface,
        locate(None),
        shown,
        Teller(lambda path: shown.saved.append(str(path)), shown.warned.append),
    ).finish(output)
    assert (shown.text, shown.saved) == (text, saved)
    assert interface.polls


class Files(http.server.BaseHTTPRequestHandler):
    """Serves outputs as an upload server does."""

    headers_of: ClassVar[dict[str, tuple[str, int]]] = {
        "/a/x.tar.gz?sig=1": ("text/plain", 4), "/plain": ("image/webp", 4), "/v.1": ("audio/mpeg", 4), "/short": ("image/png", 9),
    }  # fmt: skip

    def do_GET(self) -> None:
        if self.path not in self.headers_of:
            self.send_error(404)
            return
        media_type, length = self.headers_of[self.path]
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(b"body")

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def uploads() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("path", "saved"), [("/a/x.tar.gz?sig=1", "output.gz"), ("/plain", "output.webp"), ("/v.1", "output.mp3")]
)
def test_an_uploaded_file_is_fetched(here: Path, uploads: str, path: str, saved: str) -> None:
    assert deliver(FILE, uploads + path).saved == [saved]
    assert (here / saved).read_bytes() == b"body"


@pytest.mark.parametrize(("path", "told"), [("/gone", "404"), ("/short", "broke off after 4 of 9 bytes")])
def test_an_upload_that_cannot_be_fetched_leaves_nothing(
    here: Path, uploads: str, path: str, told: str
) -> None:
    with pytest.raises(UnsavedOutput, match=told):
        deliver(FILE, uploads + path)
    assert os.listdir(here) == []
