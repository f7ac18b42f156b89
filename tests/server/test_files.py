"""Input files over HTTP: how they reach the model, what is refused, and that nothing of them is left."""

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
    import os
    import time
    from typing import Optional
    from cog import BaseRunner, File, Path

    def seen(path):
        if path is None:
            return None
        facts = path.stat()
        return {
            "type": type(path).__name__, "name": path.name, "content": path.read_bytes().decode("latin-1"),
            "mode": oct(facts.st_mode & 0o777),
        }

    class Runner(BaseRunner):
        def run(
            self,
            one: Path = "data:text/plain,preset",
            many: list[Path] = [],
            maybe: Optional[Path] = None,
            file: File = None,
            then: str = "",
        ) -> dict:
            result = {
                "one": seen(one), "many": [seen(path) for path in many], "maybe": seen(maybe),
                "file": None,
            }
            if file is not None:
                result["file"] = [file.name.rpartition("/")[2], file.read().decode("latin-1")]
            if then == "fail":
                raise ValueError("as told")
            if then == "wait":
                open("waiting", "w").close()
                deadline = time.monotonic() + 20
                while time.monotonic() < deadline:
                    time.sleep(0.01)
            return result
"""

LONG = "n" * 300
GATE = Gate()


def files(incoming: Incoming) -> Reply:
    """What the tests download: the answer depends on the path."""
    match incoming.path.rpartition("/")[2]:
        case "gone.png":
            return Reply(404, b"no")
        case "forbidden.bin":
            return Reply(403, b"no")
        case "to-metadata":
            return Reply(302, headers={"location": "http://169.254.169.254/latest/meta-data/"})
        case "to-file":
            return Reply(302, headers={"location": "file:///etc/hostname"})
        case "moved.txt":
            return Reply(302, headers={"location": "/there/target.dat?sig=x"})
        case "held.txt":
            GATE.wait()
        case _:
            pass
    return Reply(200, f"at {incoming.target}".encode())


@pytest.fixture(scope="module")
def source() -> Iterator[Receiver]:
    with receiving(files) as receiver:
        yield receiver


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tmp")


@pytest.fixture(scope="module")
def server(serve_once: Callable[..., Server], temporary: Path) -> Server:
    return serve_once(MODEL, env={"TMPDIR": str(temporary)})


def left(temporary: Path) -> list[str]:
    """What lies in the server's folder for temporary files: its own folder, and in it its copy of the SDK."""
    (own,) = os.listdir(temporary)
    return sorted(name for name in os.listdir(temporary / own) if name != "sdk")


def ended(answer: Any, status: str) -> Any:
    assert answer.status == 200, answer
    prediction = answer.json()
    assert prediction["status"] == status, prediction
    return prediction


def data(content: bytes, kind: str = "text/plain") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def test_a_url_becomes_a_file_with_its_name_and_content(server: Server, source: Receiver) -> None:
    before = len(source.got)
    prediction = ended(server.predict({"one": f"{source.url}/a/cat.png?sig=1"}), "succeeded")
    assert prediction["output"]["one"] == {
        "type": "Path", "name": "cat.png", "content": "at /a/cat.png?sig=1", "mode": "0o600",
    }  # fmt: skip
    assert prediction["metrics"]["download_time"] > 0
    assert prediction["input"] == {"one": f"{source.url}/a/cat.png?sig=1"}
    (request,) = source.got[before:]
    assert request.method == "GET"
    assert request.headers["user-agent"].startswith("cog/")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/a/b%20c.png", "b c.png"),
        ("/a+b.tar.gz", "a b.tar.gz"),
        ("/%2Fetc%2Fpasswd", "_etc_passwd"),
        ("/a/%2E%2E", "file"),
        ("/", "file"),
        ("/%C3%BC.jpg", "ü.jpg"),
        (f"/{LONG}.jpeg", f"{'n' * 194}~.jpeg"),
    ],
)
def test_names_come_from_the_url(server: Server, source: Receiver, path: str, name: str) -> None:
    assert ended(server.predict({"one": source.url + path}), "succeeded")["output"]["one"]["name"] == name


@pytest.mark.parametrize(
    ("url", "name", "content"),
    [
        (data(b"hi"), "file.txt", "hi"),
        (data(b"\x89PNG\xff", "image/png"), "file.png", "\x89PNG\xff"),
        (data(b"x", "image/jpeg"), "file.jpg", "x"),
        (data(b"x", "application/octet-stream"), "file.bin", "x"),
        (data(b"x", "application/x-nobody-knows"), "file", "x"),
        ("data:,a%20b+c", "file.txt", "a b+c"),
        ("DATA:text/plain;charset=utf-8;base64,aGk", "file.txt", "hi"),
        ("data:text/plain;base64,_-8=", "file.txt", "\xff\xef"),
        (data(b""), "file.txt", ""),
    ],
)
def test_a_data_url_becomes_a_file(server: Server, url: str, name: str, content: str) -> None:
    one = ended(server.predict({"one": url}), "succeeded")["output"]["one"]
    assert one == {"type": "Path", "name": name, "content": content, "mode": "0o600"}


def test_a_list_may_mix_kinds_and_equal_names_and_keeps_its_order(server: Server, source: Receiver) -> None:
    """J20."""
    urls = [
        f"{source.url}/1/same.txt",
        data(b"inline"),
        f"{source.url}/2/same.txt",
        f"HTTP{source.url[4:]}/3",
    ]
    many = ended(server.predict({"many": urls}), "succeeded")["output"]["many"]
    assert [(one["type"], one["name"], one["content"]) for one in many] == [
        ("Path", "same.txt", "at /1/same.txt"),
        ("Path", "file.txt", "inline"),
        ("Path", "same.txt", "at /2/same.txt"),
        ("Path", "3", "at /3"),
    ]


def test_optional_paths_and_files(server: Server, source: Receiver) -> None:
    output = ended(server.predict({"maybe": None}), "succeeded")["output"]
    assert output["maybe"] is None
    assert output["one"]["content"] == "preset"  # a default goes the way of an input
    given = {"maybe": f"{source.url}/m.txt", "file": f"{source.url}/f.txt"}
    output = ended(server.predict(given), "succeeded")["output"]
    assert output["maybe"]["content"] == "at /m.txt"
    assert output["file"] == ["f.txt", "at /f.txt"]
    assert ended(server.predict({"file": data(b"inline")}), "succeeded")["output"]["file"][1] == "inline"


def test_a_default_may_be_an_http_url(serve: Callable[..., Server], source: Receiver) -> None:
    """J20."""
    server = serve(f"""
        from cog import BaseRunner, Input, Path

        class Runner(BaseRunner):
            def run(self, weights: Path = Input(default="{source.url}/weights.bin?sig=q")) -> str:
                return f"{{type(weights).__name__}} {{weights.name}} {{weights.read_text()}}"
    """)
    prediction = ended(server.predict(), "succeeded")
    assert prediction["output"] == "Path weights.bin at /weights.bin?sig=q"
    assert prediction["input"] == {}


@pytest.mark.parametrize(
    ("path", "cause"),
    [("/gone.png", "404 Not Found"), ("/forbidden.bin", "403 Forbidden")],
)
def test_a_failed_download_fails_the_prediction_without_showing_the_query(
    server: Server, source: Receiver, path: str, cause: str
) -> None:
    sent = {"one": f"{source.url}{path}?sig=s3cret", "many": [f"{source.url}/fine.txt"]}
    prediction = ended(server.predict(sent), "failed")
    assert prediction["error"].startswith(f"DownloadError: {source.url}{path} could not be downloaded: ")
    assert cause in prediction["error"]
    assert prediction["output"] is None
    assert prediction["started_at"] is None
    assert "s3cret" not in prediction["error"] + prediction["logs"]


def test_a_server_that_is_not_there(server: Server) -> None:
    with receiving() as gone:
        url = gone.url
    # Nobody listens: four tries take longer than a client here wants to wait, so it is cancelled meanwhile.
    started = server.start_async({"one": f"{url}/x.bin?sig=s3cret"})
    server.wait_log("another try")
    assert server.call("POST", f"/predictions/{started}/cancel").status == 200
    assert server.wait_for(started)["status"] == "canceled"
    assert "s3cret" not in server.log


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://169.254.169.254/latest/meta-data/?k=s3cret", "169.254.169.254 is a link-local address"),
        ("http://[fe80::1]/x", "fe80::1 is a link-local address"),
        ("http://[::ffff:169.254.169.254]/x", "169.254.169.254 is a link-local address"),
        ("http://100.100.100.200/x", "100.100.100.200 is a cloud metadata address"),
        ("http://metadata.google.internal/x", "metadata.google.internal is a cloud metadata service"),
        ("http://2852039166/x", "neither a name nor an address in its usual form"),
        ("{source}/to-metadata?k=s3cret", "169.254.169.254 is a link-local address"),
        ("{source}/to-file", "it redirects to a place that is not permitted"),
    ],
)
def test_places_that_are_never_downloaded_from(server: Server, source: Receiver, url: str, why: str) -> None:
    prediction = ended(server.predict({"one": url.replace("{source}", source.url)}), "failed")
    assert prediction["error"].startswith("DownloadError: ")
    assert why in prediction["error"]
    assert "s3cret" not in prediction["error"]


def test_a_redirect_is_followed_and_the_name_is_that_of_the_first_url(
    server: Server, source: Receiver
) -> None:
    one = ended(server.predict({"one": f"{source.url}/moved.txt"}), "succeeded")["output"]["one"]
    assert (one["name"], one["content"]) == ("moved.txt", "at /there/target.dat?sig=x")


def test_only_public_addresses_when_the_operator_says_so(
    serve: Callable[..., Server], source: Receiver
) -> None:
    before = len(source.got)
    server = serve(MODEL, env={"COG_URL_POLICY": "public"})
    prediction = ended(server.predict({"one": f"{source.url}/x.txt"}), "failed")
    assert "127.0.0.1 is not a public address" in prediction["error"]
    refused = server.predict({}, fields={"webhook": f"{source.url}/hook"})
    assert refused.status == 422
    assert refused.json()["detail"][0]["loc"] == ["body", "webhook"]
    assert source.got[before:] == []


@pytest.mark.parametrize(
    ("given", "loc", "said"),
    [
        ({"one": "data:text/plain;base64,a*b="}, ["one"], "'*' at position 1"),
        ({"one": "data:nothing"}, ["one"], "no comma"),
        ({"many": [data(b"x"), "data:;base64,abc=="]}, ["many", 1], "padding"),
        ({"one": "/etc/hostname"}, ["one"], "http"),
        ({"one": ""}, ["one"], "http"),
        ({"one": "file:///etc/hostname"}, ["one"], "http"),
        ({"one": "ftp://127.0.0.1/x"}, ["one"], "http"),
        ({"one": 5}, ["one"], 'not of type "string"'),
        ({"one": None}, ["one"], "null"),
        ({"many": [data(b"x"), "cat.png"]}, ["many", 1], "http"),
        ({"many": data(b"x")}, ["many"], 'not of type "array"'),
        ({"maybe": "run.py"}, ["maybe"], "http"),
        ({"file": "run.py"}, ["file"], "http"),
    ],
)
def test_anything_else_for_a_file_is_refused(
    server: Server, given: dict[str, object], loc: list[str | int], said: str
) -> None:
    """J20: no text ever reaches the model in the place of a file."""
    answer = server.predict(given)
    assert answer.status == 422, answer
    (problem,) = answer.json()["detail"]
    assert problem["loc"] == ["body", "input", *loc]
    assert said in problem["msg"]


def test_every_wrong_field_is_named_at_once(server: Server) -> None:
    answer = server.predict(
        {"one": "data:bad", "many": [data(b"x"), 7], "maybe": "y", "file": "data:;base64,!"}
    )
    assert answer.status == 422
    found = {".".join(map(str, problem["loc"])) for problem in answer.json()["detail"]}
    assert found == {"body.input.one", "body.input.many.1", "body.input.maybe", "body.input.file"}


def test_every_wrong_data_url_of_a_list_is_named(server: Server) -> None:
    answer = server.predict({"many": ["data:;base64,!", data(b"x"), "data:;base64,!", "data:"]})
    assert [problem["loc"] for problem in answer.json()["detail"]] == [
        ["body", "input", "many", index] for index in (0, 2, 3)
    ]


def test_local_files_only_where_they_are_allowed(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve(MODEL, "--allow-local-files")
    local = tmp_path / "own.txt"
    local.write_text("mine")
    prediction = ended(server.predict({"one": str(local), "many": [data(b"inline")]}), "succeeded")
    assert (prediction["output"]["one"]["name"], prediction["output"]["one"]["content"]) == (
        "own.txt",
        "mine",
    )
    assert prediction["output"]["one"]["type"] == "Path"
    assert prediction["output"]["many"][0]["content"] == "inline"
    assert local.read_text() == "mine"


def test_a_large_data_url_is_cut_in_what_clients_see(server: Server) -> None:
    prediction = ended(server.predict({"one": data(b"x" * 2_000_000, "image/png")}), "succeeded")
    assert prediction["input"] == {"one": "data:image/png;base64,... (1.9 MiB)"}
    assert prediction["output"]["one"]["content"] == "x" * 2_000_000


def test_a_file_that_is_too_large(serve: Callable[..., Server], source: Receiver) -> None:
    server = serve(MODEL, "--max-download", "10")
    prediction = ended(server.predict({"one": f"{source.url}/more-than-ten.txt"}), "failed")
    assert "larger than the 10 bytes that --max-download allows" in prediction["error"]


@pytest.mark.parametrize(("then", "status"), [("", "succeeded"), ("fail", "failed")])
def test_nothing_is_left_after_the_end(
    server: Server, source: Receiver, temporary: Path, then: str, status: str
) -> None:
    given = {"one": f"{source.url}/x.txt", "many": [data(b"y"), f"{source.url}/z.txt"], "then": then}
    prediction = ended(server.predict(given), status)
    if status == "failed":
        assert prediction["error"] == "ValueError: as told"
    until(lambda: left(temporary), lambda names: names == [])


def test_nothing_is_left_after_a_failed_download(server: Server, source: Receiver, temporary: Path) -> None:
    """J25: not of the ones that succeeded either."""
    ended(server.predict({"many": [f"{source.url}/a.txt", data(b"y"), f"{source.url}/gone.png"]}), "failed")
    until(lambda: left(temporary), lambda names: names == [])


def test_nothing_is_left_after_a_cancel_while_the_model_runs(
    server: Server, source: Receiver, temporary: Path
) -> None:
    started = server.start_async({"one": f"{source.url}/x.txt", "then": "wait"})
    server.wait_file("waiting")
    assert left(temporary) != []
    server.call("POST", f"/predictions/{started}/cancel")
    assert server.wait_for(started)["status"] == "canceled"
    until(lambda: left(temporary), lambda names: names == [])


def test_a_download_holds_its_place_and_ends_at_once_when_cancelled(
    server: Server, source: Receiver, temporary: Path
) -> None:
    """J25: cancel does not wait for the download."""
    try:
        started = server.start_async({"one": f"{source.url}/held.txt"})
        source.wait_until(lambda got: any(one.path == "/held.txt" for one in got))
        assert server.get(f"/predictions/{started}").json()["status"] == "starting"
        server.call("POST", f"/predictions/{started}/cancel")
        prediction = server.wait_for(started, timeout=5)
        assert prediction["status"] == "canceled"
        assert prediction["started_at"] is None
        until(lambda: left(temporary), lambda names: names == [])
        assert server.predict({}).status == 200
    finally:
        GATE.open()
