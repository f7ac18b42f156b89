from __future__ import annotations

import copy
import io
import os
import pathlib
import pickle
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cog import File, Path, Secret, URLFile, URLPath


class Handler(BaseHTTPRequestHandler):
    hits: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.hits.append(self.path)
        body = b"one\ntwo\n"
        self.send_response(404 if "missing" in self.path else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[str]:
    Handler.hits = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join(10)
    server.server_close()


def test_a_path_is_a_path_and_stays_one(tmp_path: pathlib.Path) -> None:
    path = Path(tmp_path) / "a" / "b.txt"
    assert isinstance(path, Path)
    assert isinstance(path, pathlib.Path)
    for other in (path.parent, path.with_suffix(".png"), path.resolve(), Path("x").absolute(), Path.cwd()):
        assert type(other) is Path
    path.parent.mkdir()
    path.write_text("x")
    assert [type(found) for found in path.parent.iterdir()] == [Path]
    assert path.read_text() == "x"
    assert pickle.loads(pickle.dumps(path)) == path
    assert copy.deepcopy(path) == path
    assert path == pathlib.Path(str(path))
    assert path in {pathlib.Path(str(path))}
    assert os.fspath(path) == str(path)
    assert Path("a", "b") == Path("a/b")


def test_validate_knows_urls_from_paths() -> None:
    assert type(Path.validate("/a/b")) is Path
    assert type(Path.validate(pathlib.Path("/a"))) is Path
    found = Path.validate("HTTPS://host/dir/img%20one.png?x=1")
    assert isinstance(found, URLPath)
    assert found.filename == "img one.png"
    assert str(found) == "HTTPS://host/dir/img%20one.png?x=1"
    assert Path.validate(found) is found
    assert isinstance(Path.validate("data:image/png;base64,AA=="), URLPath)


def test_a_url_path_downloads_once(web: str) -> None:
    path = URLPath(source=f"{web}/dir/a.txt", filename="a.txt")
    local = path.convert()
    assert type(local) is Path
    assert local.name.endswith("a.txt")
    assert local.read_bytes() == b"one\ntwo\n"
    assert path.convert() is local
    assert Handler.hits == ["/dir/a.txt"]
    path.unlink()
    assert not local.exists()
    path.unlink(missing_ok=True)


def test_a_url_path_from_data_or_an_open_file() -> None:
    path = Path.validate("data:text/plain;base64,aGk=")
    assert isinstance(path, URLPath)
    assert path.convert().suffix == ".txt"
    assert path.convert().read_text() == "hi"
    path.unlink()
    given = URLPath(source="https://unused.invalid/x", filename="x.bin", fileobj=io.BytesIO(b"123"))
    assert given.convert().read_bytes() == b"123"
    given.unlink()


def test_a_url_path_is_a_value() -> None:
    path = URLPath(source="https://host/dir/a.txt", filename="a.txt")
    again = pickle.loads(pickle.dumps(path))
    assert again == path
    assert hash(again) == hash(path)
    assert path != URLPath(source="https://host/dir/b.txt", filename="a.txt")
    assert repr(path) == "URLPath('https://host/dir/a.txt')"
    assert path.suffix == ".txt"
    derived: object = path.parent
    assert type(derived) is Path


def test_a_failed_download_leaves_nothing(
    web: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = URLPath(source=f"{web}/missing", filename="a.txt")
    with pytest.raises(OSError, match="404") as caught:
        path.convert()
    caught.value.close()  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://h/a/b.png", "b.png"),
        ("http://h/", "file"),
        ("http://h", "file"),
        ("http://h/..", "file"),
        ("http://h/%2e%2e%2fpasswd", "passwd"),
        ("http://h/a%00b", "a_b"),
        ("data:image/png;base64,AA==", "file.png"),
        ("data:,x", "file.txt"),
        ("data:nothing/known,x", "file"),
    ],
)
def test_names_of_downloads(url: str, name: str) -> None:
    found = Path.validate(url)
    assert isinstance(found, URLPath)
    assert found.filename == name


def test_long_names_are_cut() -> None:
    found = Path.validate("http://h/" + "é" * 300 + ".png")
    assert isinstance(found, URLPath)
    assert len(found.filename.encode()) <= 200
    assert found.filename.endswith(".png")


def test_a_file_from_data() -> None:
    opened = File.validate("data:text/plain,a%20b")
    assert isinstance(opened, io.BytesIO)
    assert opened.read() == b"a b"
    assert File.validate(opened) is opened
    for wrong in ("/etc/hostname", "file:///x", 5):
        with pytest.raises(ValueError, match="URL"):
            File.validate(wrong)
    for damaged in ("data:;base64,???", "data:no comma", "data:;base64,A"):
        with pytest.raises(ValueError, match="data URL"):
            File.validate(damaged)


def test_a_url_file_is_lazy(web: str) -> None:
    with URLFile(f"{web}/dir/a.txt") as opened:
        assert opened.name == "a.txt"
        assert opened.readable()
        assert opened.seekable()
        assert Handler.hits == []
        assert opened.readline() == b"one\n"
        assert opened.tell() == 4
        assert list(opened) == [b"two\n"]
        opened.seek(0)
        assert opened.read() == b"one\ntwo\n"
        assert Handler.hits == ["/dir/a.txt"]
    with pytest.raises(ValueError, match="closed"):
        opened.read()
    again = pickle.loads(pickle.dumps(URLFile("http://h/b.txt", "other.txt")))
    assert (again.url, again.name) == ("http://h/b.txt", "other.txt")
    assert isinstance(File.validate(f"{web}/x"), URLFile)


def test_a_url_file_can_be_saved(web: str, tmp_path: pathlib.Path) -> None:
    with URLFile(f"{web}/a") as opened:
        opened.save(tmp_path / "saved")
    assert (tmp_path / "saved").read_bytes() == b"one\ntwo\n"


def test_a_secret_hides() -> None:
    secret = Secret("topsecret")
    assert str(secret) == "**********"
    assert repr(secret) == "Secret(**********)"
    assert f"{secret}" == "**********"
    assert secret.get_secret_value() == "topsecret"
    assert secret == Secret("topsecret")
    assert hash(secret) == hash(Secret("topsecret"))
    assert str(Secret(None)) == ""
    with pytest.raises(AttributeError):
        secret.secret_value = "x"  # type: ignore[misc]
    assert Secret.validate("a") == Secret.validate(Secret("a"))
    with pytest.raises(TypeError):
        Secret.validate(5)


def test_pydantic_takes_them() -> None:
    pydantic = pytest.importorskip("pydantic")
    model = pydantic.create_model("M", path=(Path, ...), secret=(Secret, ...))
    made = model(path="/a", secret="x")
    assert type(made.path) is Path
    assert made.secret == Secret("x")
    assert type(made.model_dump()["path"]) is Path
