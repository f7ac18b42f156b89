"""The `replicate` client: files that it sends ahead, in inputs and outputs. The server fetches nothing from private addresses,
its own included, so what works here does not go over the network."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from replicate.exceptions import ModelError, ReplicateError

from support.hosted import RETURNS, async_client_of, client_of
from support.serving import Server

REF = "anybody/anything"
LOOK = "return [[each.name, each.read_bytes().hex()] for each in [file, *files] if each]"


@pytest.fixture(scope="module")
def server(serve_once: Any) -> Server:
    made: Server = serve_once(RETURNS, "--max-body", "1MiB", env={"COG_URL_POLICY": "public"})
    return made


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    with client_of(server) as made:
        yield made


def named(name: str, content: bytes) -> io.BytesIO:
    file = io.BytesIO(content)
    file.name = name
    return file


def test_files_of_an_input_are_sent_ahead(client: Any, tmp_path: Path) -> None:
    content = os.urandom(300_000)
    (tmp_path / "some photo.png").write_bytes(content)
    given = {
        "code": LOOK,
        "file": tmp_path / "some photo.png",
        "files": [named("ä.txt", b"1"), named("b", b"")],
    }
    assert client.run(REF, input=given) == [["some photo.png", content.hex()], ["ä.txt", "31"], ["b", ""]]
    with open(tmp_path / "some photo.png", "rb") as file:
        assert client.run(REF, input={"code": LOOK, "file": file}) == [["some photo.png", content.hex()]]


def test_files_of_an_input_may_be_in_it(client: Any) -> None:
    given = {"code": LOOK, "file": named("a.txt", b"abc")}
    assert client.run(REF, input=given, file_encoding_strategy="base64") == [["file.txt", "616263"]]


def test_a_name_leads_nowhere_else(client: Any, server: Server) -> None:
    for name, shown in [
        ("../../x.txt", "x.txt"),
        ("..", "file"),
        ("a\\b.txt", "b.txt"),
        ("x" * 300 + ".png", None),
    ]:
        file = client.files.create(named("a", b"1"), filename=name)
        ((seen, content),) = client.run(REF, input={"code": LOOK, "file": file.urls["get"]})
        assert content == "31"
        assert seen == shown or (shown is None and seen.endswith(".png") and len(seen) <= 200)


def test_the_model_changes_only_its_own_copy(client: Any) -> None:
    file = client.files.create(named("a.txt", b"abc"))
    code = "file.write_text('changed')\nreturn file.read_text()"
    assert client.run(REF, input={"code": code, "file": file.urls["get"]}) == "changed"
    assert client.run(REF, input={"code": LOOK, "file": file.urls["get"]}) == [["a.txt", "616263"]]


def test_output_files_can_be_read(client: Any) -> None:
    made = "(FOLDER / 'out.png').write_bytes(b'abc')\n"
    assert client.run(REF, input={"code": made + "return Path(FOLDER / 'out.png')"}).read() == b"abc"
    found = client.run(REF, input={"code": made + "return {'a': [Path(FOLDER / 'out.png')] * 2, 'b': 1}"})
    assert ([file.read() for file in found["a"]], found["b"]) == ([b"abc"] * 2, 1)
    found = client.run(REF, input={"code": made + "return Path(FOLDER / 'out.png')"}, use_file_output=False)
    assert found == "data:image/png;base64,YWJj"


def test_an_output_file_may_be_an_input(client: Any) -> None:
    text = client.run(
        REF,
        input={"code": "(FOLDER / 'o.txt').write_text('abc')\nreturn Path(FOLDER / 'o.txt')"},
        use_file_output=False,
    )
    assert client.run(REF, input={"code": LOOK, "file": text}) == [["file.txt", "616263"]]


def test_a_file_from_its_creation_to_its_end(client: Any, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"abc")
    file = client.files.create(tmp_path / "a.png", metadata={"of": "me"})
    assert (file.name, file.content_type, file.size, file.metadata) == ("a.png", "image/png", 3, {"of": "me"})
    assert file.checksums == {"sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}
    assert file.created_at < file.expires_at
    other = client.files.create(named("b", b""), filename="c.bin", content_type="application/x-thing")
    assert (other.name, other.content_type, other.size) == ("c.bin", "application/x-thing", 0)
    assert client.files.get(file.id) == file
    assert client.files.list()[:2] == [other, file]
    assert client.files.delete(file.id)
    for gone in (client.files.get, client.files.delete):
        with pytest.raises(ReplicateError, match="no file with this id is kept"):
            gone(file.id)
    with pytest.raises(ModelError, match=f"/v1/files/{file.id} could not be downloaded"):
        client.run(REF, input={"code": LOOK, "file": file.urls["get"]})


def test_the_async_client(server: Server) -> None:
    async def play() -> None:
        async with async_client_of(server) as client:
            found = await client.async_run(REF, input={"code": LOOK, "file": named("a.txt", b"abc")})
            assert found == [["a.txt", "616263"]]
            file = await client.files.async_create(named("b.txt", b"1"))
            assert await client.files.async_get(file.id) == file
            assert file in await client.files.async_list()
            assert await client.files.async_delete(file.id)

    asyncio.run(play())


FORM = {"content-type": "multipart/form-data; boundary=b"}
HEAD = b'--b\r\nContent-Disposition: form-data; name="content"; filename="a"\r\n\r\n'


@pytest.mark.parametrize(
    ("headers", "sent", "status", "told"),
    [
        ({"content-type": "application/json"}, b"{}", 415, "multipart/form-data"),
        (
            FORM,
            b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n--b--',
            422,
            "content: Field required",
        ),
        (FORM, HEAD + b"1\r\n" + HEAD + b"2\r\n--b--", 422, "content: is there twice"),
        (FORM, HEAD + b"1", 400, "ends before its last boundary"),
        (FORM, HEAD + b"1" * (1 << 20) + b"\r\n--b--", 413, "larger than 1,048,576 bytes"),
        (
            FORM,
            HEAD + b'1\r\n--b\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n[]\r\n--b--',
            422,
            "metadata: must be the JSON text of an object",
        ),
    ],
)
def test_what_is_refused_leaves_nothing(
    client: Any, server: Server, headers: dict[str, str], sent: bytes, status: int, told: str
) -> None:
    before = client.files.list()
    answer = server.call("POST", "/v1/files", body=sent, headers=headers)
    assert (answer.status, answer.json()["status"]) == (status, status)
    assert told in answer.json()["detail"]
    assert client.files.list() == before
