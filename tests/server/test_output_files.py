"""Output files over HTTP: as data URLs, and uploaded."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.receiving import Gate, Incoming, Receiver, Reply, receiving
from support.serving import Server, until

MODEL = """
    import enum, io, os, time
    from typing import Any
    from cog import BaseModel, BaseRunner, Input, Path

    KINDS = {kinds}

    def write(name, content=b"x"):
        path = Path(os.getcwd()) / "made" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    class Part(BaseModel):
        label: str
        file: Path

    def path(): return write("out.txt", b"hello")
    def plain(): import pathlib; return pathlib.Path(write("plain.json", b"{{}}"))
    def relative(): write("near.txt", b"near"); return Path("made/near.txt")
    def elsewhere():
        result = write("chdir.txt", b"found")
        os.chdir("/")
        return result
    def many(): return [write("1.txt", b"1"), "text", write("2.png", b"2"), None, 5]
    def single(): return [write("only.txt", b"1")]
    def mapping(): return {{"a": write("a.txt", b"a"), "deep": {{"b": [write("b.txt", b"b")]}}}}
    def model(): return Part(label="l", file=write("part.txt", b"part"))
    def nested(): return [[write("n.txt", b"n")], (write("m.txt", b"m"),)]
    def string_io(): return io.StringIO("grüße")
    def bytes_io():
        result = io.BytesIO(b"bytes")
        result.seek(3)
        return result
    def open_binary(): return open(write("open.png", b"png"), "rb")
    def open_text(): return open(write("open.md", b"# md"))
    def open_nested(): return {{"f": [io.StringIO("nested"), open(write("o.csv", b"1,2"), "rb")]}}
    def empty(): return write("empty.txt", b"")
    def unknown(): return write("noext", b"?")
    def large(): return write("large.bin", bytes(range(256)) * 20_000)
    def missing(): return Path("/nowhere/at/all.png")
    def missing_in_list(): return [write("fine.txt"), Path("gone.txt")]
    def missing_in_dict(): return {{"x": Path("gone.txt")}}
    def folder(): return Path(os.getcwd())
    def closed():
        file = open(write("closed.txt"), "rb")
        file.close()
        return file
    def kinds(): return [write("k/" + kind) for kind in KINDS]
    def slow_first(): return [write("slow.txt", b"slow"), write("fast.txt", b"fast"), "str"]
    def equal(): return [write("1/same.txt", b"1"), write("2/same.txt", b"2"), write("same-2.txt", b"3")]
    def odd(): return [write("a #1? b%c.txt", b"odd"), write("é.png", b"e")]
    def located(): return [write("relative.txt"), write("absolute.txt"), write("moved.txt", b"moved")]
    def refused(): return [write("fine.txt"), write("refused.txt")]
    def no_text(): return write(os.fsdecode(b"refused-\\xff.txt"))
    def held(): return write("held.txt")
    def quick(): return "quick"

    class Runner(BaseRunner):
        def run(self, case: str) -> Any:
            print("making", case)
            return globals()[case]()
"""

STREAM = """
    import os
    from typing import Iterator
    from cog import BaseRunner, Path

    class Runner(BaseRunner):
        def run(self, case: str) -> Iterator[Path]:
            for number in range(8):
                path = Path("frame.txt")
                path.write_text(str(number))
                yield path
                if case == "unlink":
                    path.unlink()
                if case == "missing" and number == 2:
                    yield Path("gone.txt")
"""

TYPES = {
    "a.png": "image/png", "a.jpg": "image/jpeg", "a.JPG": "image/jpeg", "a.webp": "image/webp",
    "a.gif": "image/gif", "a.avif": "image/avif", "a.svg": "image/svg+xml", "a.txt": "text/plain",
    "a.json": "application/json", "a.mp4": "video/mp4", "a.wav": "audio/wav", "a.mp3": "audio/mpeg",
    "a.m4a": "audio/m4a", "a.ogg": "audio/ogg", "a.flac": "audio/flac", "a.csv": "text/csv",
    "a.pdf": "application/pdf", "a.zip": "application/zip", "a.tar.gz": "application/gzip",
    "a.tar": "application/x-tar", "a.html": "text/html", "a.md": "text/markdown", "a.py": "text/plain",
    "a.glb": "model/gltf-binary", "a.xyz123": "application/octet-stream",
    "noext": "application/octet-stream",
}  # fmt: skip


def data(content: bytes, kind: str = "text/plain") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def succeeded(server: Server, case: str) -> Any:
    prediction = server.predict({"case": case}).json()
    assert prediction["status"] == "succeeded", prediction
    return prediction["output"]


def failed(server: Server, case: str) -> str:
    answer = server.predict({"case": case})
    assert answer.status == 200
    prediction = answer.json()
    assert prediction["status"] == "failed", prediction
    return str(prediction["error"])


def source() -> str:
    return MODEL.format(kinds=list(TYPES))


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tmp")


@pytest.fixture(scope="module")
def inline(serve_once: Callable[..., Server], temporary: Path) -> Server:
    """A server without --upload-url."""
    return serve_once(source(), env={"TMPDIR": str(temporary)})


@pytest.fixture(scope="module")
def stream(serve_once: Callable[..., Server]) -> Server:
    return serve_once(STREAM)


@pytest.mark.parametrize(
    ("case", "output"),
    [
        ("path", data(b"hello")),
        ("plain", data(b"{}", "application/json")),
        ("relative", data(b"near")),
        ("many", [data(b"1"), "text", data(b"2", "image/png"), None, 5]),
        ("single", [data(b"1")]),
        ("mapping", {"a": data(b"a"), "deep": {"b": [data(b"b")]}}),
        ("model", {"label": "l", "file": data(b"part")}),
        ("nested", [[data(b"n")], [data(b"m")]]),
        ("string_io", data("grüße".encode())),
        ("bytes_io", data(b"bytes", "application/octet-stream")),
        ("open_binary", data(b"png", "image/png")),
        ("open_text", data(b"# md", "text/markdown")),
        ("open_nested", {"f": [data(b"nested"), data(b"1,2", "text/csv")]}),
        ("empty", "data:text/plain;base64,"),
        ("unknown", data(b"?", "application/octet-stream")),
        ("large", data(bytes(range(256)) * 20_000, "application/octet-stream")),
        ("elsewhere", data(b"found")),
    ],
)
def test_files_come_as_data_urls_wherever_they_stand(
    serve_once: Any, inline: Server, case: str, output: Any
) -> None:
    """J5, J19 and J27 among them."""
    if case == "elsewhere":  # changes the working directory of the worker
        inline = serve_once(source())
    assert succeeded(inline, case) == output


def test_media_types_follow_from_the_extension(inline: Server) -> None:
    assert succeeded(inline, "kinds") == [data(b"x", kind) for kind in TYPES.values()]


@pytest.mark.parametrize(
    ("case", "cause"),
    [
        ("missing", "the file /nowhere/at/all.png, which does not exist"),
        ("missing_in_list", "the file gone.txt, which does not exist"),
        ("missing_in_dict", "the file gone.txt, which does not exist"),
        ("folder", "which is a folder"),
        ("closed", "already closed"),
    ],
)
def test_what_cannot_be_read_fails_the_prediction(inline: Server, case: str, cause: str) -> None:
    """J5: never a null, a shorter list, or an empty file. The logs say no more than that: no frame is the model's."""
    prediction = inline.predict({"case": case}).json()
    error = prediction["error"]
    assert (prediction["status"], prediction["output"]) == ("failed", None)
    assert error.startswith("OutputError: ")
    assert cause in error
    assert prediction["logs"].splitlines() == [f"making {case}", f"cog.errors.{error}"]
    assert succeeded(inline, "quick") == "quick"


def test_the_models_own_file_stays_and_the_servers_copy_goes(inline: Server, temporary: Path) -> None:
    assert succeeded(inline, "path") == data(b"hello")
    assert (inline.folder / "made/out.txt").read_bytes() == b"hello"
    failed(inline, "missing_in_list")
    (own,) = os.listdir(temporary)
    until(lambda: os.listdir(temporary / own), lambda names: names == ["sdk"])


@pytest.mark.parametrize("case", ["overwrite", "unlink"])
def test_each_yield_is_kept_as_it_was(stream: Server, case: str) -> None:
    """J5: one file that is written again and again, or removed after each yield."""
    assert succeeded(stream, case) == [data(str(number).encode()) for number in range(8)]


def test_what_was_yielded_before_a_failure_is_kept(stream: Server) -> None:
    prediction = stream.predict({"case": "missing"}).json()
    assert prediction["status"] == "failed"
    assert "gone.txt, which does not exist" in prediction["error"]
    assert prediction["output"] == [data(b"0"), data(b"1"), data(b"2")]


# --upload-url


class Bucket:
    """Where files are uploaded to; it answers by the name of a file."""

    def __init__(self) -> None:
        self.slow = Gate()
        self.held = Gate()

    def __call__(self, incoming: Incoming) -> Reply:
        name = incoming.path.rpartition("/")[2]
        if name == "slow.txt":
            self.slow.wait()
        elif name == "held.txt":
            self.held.wait()
        elif name == "fast.txt":
            self.slow.open()
        elif name == "relative.txt":
            return Reply(201, headers={"location": "/files/7.txt?token=s3cret"})
        elif name == "absolute.txt":
            return Reply(201, headers={"location": "https://cdn.example.com/8.txt?token=s3cret"})
        elif name == "moved.txt" and incoming.path.startswith("/up/"):
            return Reply(307, headers={"location": f"/elsewhere/{name}?token=s3cret"})
        elif name.startswith("refused"):
            return Reply(403, b"no such bucket")
        return Reply()


@pytest.fixture(scope="module")
def bucket() -> Iterator[tuple[Bucket, Receiver]]:
    answer = Bucket()
    with receiving(answer) as receiver:
        yield answer, receiver


@pytest.fixture(scope="module")
def receiver(bucket: tuple[Bucket, Receiver]) -> Receiver:
    return bucket[1]


@pytest.fixture
def got(receiver: Receiver) -> Iterator[list[Incoming]]:
    """What this test uploads."""
    receiver.got.clear()
    yield receiver.got
    receiver.got.clear()


@pytest.fixture(scope="module")
def server(serve_once: Callable[..., Server], receiver: Receiver) -> Server:
    return serve_once(source(), "--upload-url", f"{receiver.url}/up?sig=s3cret")


def test_the_upload(server: Server, receiver: Receiver, got: list[Incoming]) -> None:
    answer = server.call("PUT", "/predictions/my-own:id", {"input": {"case": "path"}})
    prediction = answer.json()
    assert prediction["output"] == f"{receiver.url}/up/out.txt"
    assert prediction["metrics"]["upload_time"] > 0
    (upload,) = got
    assert (upload.method, upload.target, upload.body) == ("PUT", "/up/out.txt?sig=s3cret", b"hello")
    assert upload.headers["content-type"] == "text/plain"
    assert upload.headers["content-length"] == "5"
    assert upload.headers["x-prediction-id"] == "my-own:id"
    assert "authorization" not in upload.headers


def test_the_order_is_the_models_not_the_networks(
    server: Server, receiver: Receiver, got: list[Incoming]
) -> None:
    """J4: the first PUT is answered after the second has come."""
    at = f"{receiver.url}/up"
    assert succeeded(server, "slow_first") == [f"{at}/slow.txt", f"{at}/fast.txt", "str"]
    assert {(upload.path, upload.body) for upload in got} == {
        ("/up/slow.txt", b"slow"),
        ("/up/fast.txt", b"fast"),
    }


def test_equal_names_do_not_overwrite_each_other(
    server: Server, receiver: Receiver, got: list[Incoming]
) -> None:
    """J19."""
    urls = succeeded(server, "equal")
    bodies = {receiver.url + upload.path: upload.body for upload in got}
    assert len(set(urls)) == 3
    assert [bodies[url] for url in urls] == [b"1", b"2", b"3"]


def test_names_are_escaped(server: Server, receiver: Receiver, got: list[Incoming]) -> None:
    """J19."""
    at = f"{receiver.url}/up"
    assert succeeded(server, "odd") == [f"{at}/a%20%231%3F%20b%25c.txt", f"{at}/%C3%A9.png"]
    assert sorted(upload.target for upload in got) == [
        "/up/%C3%A9.png?sig=s3cret",
        "/up/a%20%231%3F%20b%25c.txt?sig=s3cret",
    ]


def test_the_location_is_made_absolute_and_loses_its_query(
    server: Server, receiver: Receiver, got: list[Incoming]
) -> None:
    assert succeeded(server, "located") == [
        f"{receiver.url}/files/7.txt",
        "https://cdn.example.com/8.txt",
        f"{receiver.url}/elsewhere/moved.txt",
    ]
    (moved,) = [upload for upload in got if upload.path == "/elsewhere/moved.txt"]
    assert (moved.method, moved.body) == ("PUT", b"moved")


@pytest.mark.parametrize(
    ("case", "names"),
    [
        ("mapping", {"a": "a.txt", "deep": {"b": ["b.txt"]}}),
        ("model", {"label": "l", "file": "part.txt"}),
        ("nested", [["n.txt"], ["m.txt"]]),
        ("open_binary", "open.png"),
        ("string_io", "output.txt"),
        ("empty", "empty.txt"),
    ],
)
def test_files_are_uploaded_wherever_they_stand(
    server: Server, receiver: Receiver, got: list[Incoming], case: str, names: Any
) -> None:
    """J19."""

    def placed(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: item if name == "label" else placed(item) for name, item in value.items()}
        if isinstance(value, list):
            return [placed(item) for item in value]
        return f"{receiver.url}/up/{value}"

    assert succeeded(server, case) == placed(names)
    assert all(upload.method == "PUT" for upload in got)


def test_a_failed_upload_fails_the_prediction(server: Server, got: list[Incoming]) -> None:
    error = failed(server, "refused")
    assert error.startswith("UploadError: the output file refused.txt could not be uploaded: ")
    assert "403 Forbidden" in error
    assert "s3cret" not in error
    assert len([upload for upload in got if upload.path == "/up/refused.txt"]) == 1


def test_a_name_that_is_no_text_is_told_as_well_as_it_can_be(server: Server) -> None:
    """Twice: a client whose head is known is answered in another way, and must be answered too."""
    for _ in range(3):
        error = failed(server, "no_text")
        assert error.startswith("UploadError: the output file refused-?.txt could not be uploaded: "), error


def test_the_model_is_free_while_files_are_uploaded(
    server: Server, bucket: tuple[Bucket, Receiver], got: list[Incoming]
) -> None:
    held = server.start_async({"case": "held"})
    bucket[1].wait_until(lambda came: any(upload.path == "/up/held.txt" for upload in came))
    assert server.health()["status"] == "READY"
    assert succeeded(server, "quick") == "quick"
    assert server.get(f"/predictions/{held}").json()["status"] == "processing"
    bucket[0].held.open()
    prediction = server.wait_for(held)
    assert prediction["output"] == f"{bucket[1].url}/up/held.txt"
    assert prediction["metrics"]["upload_time"] > prediction["metrics"]["predict_time"]


def test_an_upload_can_be_cancelled(serve: Callable[..., Server], tmp_path: Path) -> None:
    gate = Gate()

    def answer(_: Incoming) -> Reply:
        gate.wait()
        return Reply()

    with receiving(answer) as receiver:
        server = serve(source(), "--upload-url", receiver.url, env={"TMPDIR": str(tmp_path)})
        started = server.start_async({"case": "path"})
        receiver.wait_for(1)
        assert server.call("POST", f"/predictions/{started}/cancel").status == 200
        prediction = server.wait_for(started, timeout=5)
        gate.open()
        assert prediction["status"] == "canceled"
        assert prediction["output"] is None
        (own,) = (name for name in os.listdir(tmp_path) if name.startswith("cog-run-"))
        until(lambda: os.listdir(tmp_path / own), lambda names: names == ["sdk"])


def test_nothing_of_the_upload_urls_query_is_shown(server: Server, got: list[Incoming]) -> None:
    succeeded(server, "path")
    failed(server, "refused")
    assert "s3cret" not in server.log
    assert b"s3cret" not in server.get("/predictions").body
