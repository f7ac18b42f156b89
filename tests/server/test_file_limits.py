"""Limits over HTTP: how many files, how long they may take, how large an output may be; and what a limit costs."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from support.receiving import Gate, Incoming, Reply, receiving
from support.serving import Server, until

MODEL = """
    import os, sys, time
    from typing import Any, Optional
    from cog import BaseRunner, File, Path, current_scope

    KEPT = []

    def made(name, size):
        path = Path(os.getcwd()) / name
        with open(path, "wb") as file:
            file.truncate(size)
        return path

    class Runner(BaseRunner):
        def run(
            self, many: list[Path] = [], more: Optional[list[Path]] = None, one: Optional[Path] = None,
            file: File = "data:,preset", code: str = "",
        ) -> Any:
            if code:
                space = {"made": made, "Path": Path, "KEPT": KEPT, "file": file, "scope": current_scope()}
                exec(code, space)
                return space.get("out")
            return [len(many), len(more or [])]
"""

STREAM = """
    from collections.abc import Iterator
    from typing import Any
    from cog import BaseRunner, Path

    class Runner(BaseRunner):
        def run(self, sizes: list[int] = [], tiny: bool = False, files: bool = False) -> Iterator[Any]:
            while tiny:
                yield 1
            for number, size in enumerate(sizes):
                if files:
                    path = Path(f"f{number}.bin")
                    path.write_bytes(bytes(size))
                    yield path
                else:
                    yield "x" * size
            open("ran-through", "w").close()
"""


def data(content: bytes) -> str:
    return f"data:text/plain;base64,{base64.b64encode(content).decode()}"


@pytest.fixture(scope="module")
def server(serve_once: Callable[..., Server]) -> Server:
    return serve_once(MODEL, "--max-files", "3", "--max-output", "1MiB")


def failed(server: Server, given: Any) -> Any:
    prediction = server.predict(given).json()
    assert prediction["status"] == "failed", prediction
    assert server.predict({}).json()["output"] == [0, 0]
    return prediction


def test_as_many_files_as_allowed(server: Server) -> None:
    assert server.predict({"many": ["data:,a", "data:,b"]}).json()["output"] == [2, 0]


@pytest.mark.parametrize(
    "given",
    [
        {"many": ["data:,x"] * 4},
        {"many": ["http://127.0.0.1:1/x"] * 4},
        {"many": ["data:,x"] * 2, "more": ["data:,x"] * 2},
        {"many": ["data:,x"] * 3},  # the default of `file` is one as well
        {"many": ["data:;base64,!"] * 200_000},
    ],
)
def test_more_files_than_allowed_are_refused_before_any_is_fetched(server: Server, given: Any) -> None:
    answer = server.predict(given)
    assert answer.status == 422
    (problem,) = answer.json()["detail"]
    assert problem["loc"] == ["body", "input"]
    assert "more than 3 files, which is what --max-files allows" in problem["msg"]


def test_the_number_is_told_beside_what_else_is_wrong(server: Server) -> None:
    answer = server.predict({"many": ["data:,x"] * 4, "code": 5})
    assert {tuple(problem["loc"]) for problem in answer.json()["detail"]} == {
        ("body", "input"),
        ("body", "input", "code"),
    }


def test_a_list_with_a_wrong_data_url_and_a_wrong_type_names_both(server: Server) -> None:
    given = {
        "many": ["data:;base64,!", 7, "data:,%zz"],
        "more": ["data:nothing", None],
    }
    answer = server.predict(given)
    assert answer.status == 422
    found = {".".join(map(str, problem["loc"][2:])): problem["msg"] for problem in answer.json()["detail"]}
    assert set(found) == {"many.0", "many.1", "many.2", "more.0", "more.1"}
    assert "two hexadecimal digits" in found["many.2"]


@pytest.mark.parametrize(
    "url", ["http://[bad", "http://user:s3cret@ex\u2100mple.com/x", "http://host:s3cret/"]
)
def test_a_malformed_url_fails_its_prediction_and_costs_no_place(server: Server, url: str) -> None:
    """A URL that Python cannot take apart left its prediction in `starting`, and its place taken, for ever."""
    error = failed(server, {"one": url})["error"]
    assert error.startswith("DownloadError: ")
    assert "cannot be read as a URL" in error
    assert "s3cret" not in error + server.log


def test_a_context_that_no_frame_could_carry_is_refused(server: Server) -> None:
    """It killed the worker."""
    answer = server.predict({}, fields={"context": {"a": "é" * 1_100_000}})
    assert answer.status == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "context"]
    assert server.predict({}, fields={"context": {"a": "a" * 1_000_000}}).json()["status"] == "succeeded"


def test_a_download_that_takes_too_long(serve: Callable[..., Server]) -> None:
    gate = Gate()

    def held(_: Incoming) -> Reply:
        gate.wait()
        return Reply()

    server = serve(MODEL, "--download-timeout", "0.3")
    with receiving(held) as source:
        try:
            error = failed(server, {"one": f"{source.url}/x?k=s3cret"})["error"]
        finally:
            gate.open()
    assert "within the 0.3 s that --download-timeout allows" in error
    assert "s3cret" not in error


# Outputs


def test_an_output_over_the_limit_fails(server: Server) -> None:
    prediction = failed(server, {"code": "out = 'x' * 1_100_000"})
    assert "OutputError: " in prediction["error"]
    assert "--max-output" in prediction["error"]
    assert prediction["output"] is None


def test_data_urls_count_as_output(server: Server) -> None:
    prediction = failed(server, {"code": "out = made('large.bin', 900_000)"})
    assert "larger as data URLs than --max-output allows" in prediction["error"]
    assert server.predict({"code": "out = made('small.bin', 600_000)"}).json()["status"] == "succeeded"


@pytest.mark.parametrize("files", [False, True])
def test_a_stream_over_the_limit_is_stopped_and_keeps_what_came_before(
    serve: Callable[..., Server], files: bool
) -> None:
    server = serve(STREAM, "--max-output", "1MiB")
    size = 300_000 if files else 400_000
    prediction = server.predict({"sizes": [size] * 10_000, "files": files}).json()
    assert prediction["status"] == "failed"
    assert "--max-output" in prediction["error"]
    assert len(prediction["output"]) == 2
    assert not (server.folder / "ran-through").exists()
    assert server.predict({"sizes": [1]}).json()["output"] == (["x"])


def test_a_stream_of_tiny_chunks_is_bounded_too(serve: Callable[..., Server]) -> None:
    server = serve(STREAM, "--max-output", "1MiB")
    prediction = server.predict({"tiny": True}).json()
    assert "--max-output" in prediction["error"]
    assert 10_000 < len(prediction["output"]) < 20_000
    after = server.predict({"sizes": [1]}).json()
    assert after["status"] == "succeeded", after


# What a model leaves open, and what it records


def test_a_file_that_was_opened_for_a_run_is_closed_after_it(server: Server) -> None:
    assert (
        server.predict({"code": "KEPT[:] = [file]; out = file.read().decode()"}).json()["output"] == "preset"
    )
    assert server.predict({"code": "out = KEPT[0].closed"}).json()["output"] is True
    taken_apart = server.predict({"code": "KEPT[:] = [file.detach()]"}).json()
    assert taken_apart["status"] == "succeeded"


def test_a_file_that_was_opened_may_be_the_output(server: Server) -> None:
    assert (
        server.predict({"code": "out = file", "file": data(b"back")})
        .json()["output"]
        .endswith(base64.b64encode(b"back").decode())
    )


def test_a_metric_that_is_far_too_large_is_the_models_error(server: Server) -> None:
    prediction = failed(server, {"code": "scope.record_metric('x', 'a' * 100_000_000)"})
    assert "100,000,002 characters" in prediction["error"]


def test_more_metrics_than_are_kept_are_dropped_with_a_note(server: Server) -> None:
    code = "for n in range(6): scope.record_metric(f'm{n}', 'a' * 4_000_000)\nout = 'done'"
    prediction = server.predict({"code": code}).json()
    assert prediction["output"] == "done"
    assert sorted(name for name in prediction["metrics"] if name.startswith("m")) == ["m0", "m1", "m2", "m3"]
    assert "the metrics of this prediction are over 16 MiB" in prediction["logs"]
    code = "for n in range(20): scope.record_metric('same', 'a' * 4_000_000)"
    prediction = server.predict({"code": code}).json()
    assert prediction["logs"] == ""
    assert len(prediction["metrics"]["same"]) == 4_000_000


# Memory


def high_water(server: Server) -> int:
    """Most memory of the server process since `reset`, in bytes."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) * 1024


def reset(server: Server) -> int:
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")
    return high_water(server)


class Counting(BaseHTTPRequestHandler):
    """Takes an upload, and serves a large download, without keeping either."""

    def do_PUT(self) -> None:
        left = int(self.headers["content-length"])
        while left:
            left -= len(self.rfile.read(min(left, 1 << 20)))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", str(200 << 20))
        self.end_headers()
        for _ in range(200):
            self.wfile.write(bytes(1 << 20))

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def counting() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Counting) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{http.server_address[1]}"
        http.shutdown()
        thread.join()


@pytest.mark.slow
def test_large_files_go_through_the_server_in_pieces(serve: Callable[..., Server], counting: str) -> None:
    server = serve(MODEL, "--upload-url", counting)
    before = reset(server)
    assert server.predict({"one": f"{counting}/200.bin"}).json()["status"] == "succeeded"
    prediction = server.predict({"code": "out = made('large.bin', 200 << 20)"}).json()
    assert prediction["output"] == f"{counting}/large.bin"
    assert high_water(server) - before < 60 << 20


@pytest.mark.slow
def test_a_flood_of_prints_is_bounded(serve: Callable[..., Server]) -> None:
    server = serve(MODEL)
    before = reset(server)
    code = "import sys\nfor _ in range(40_000): sys.stdout.write('x' * 999 + '\\n')"
    logs = server.predict({"code": code}).json()["logs"]
    assert high_water(server) - before < 200 << 20
    assert "characters of logs were cut here ...]" in logs
    assert 16 * 1024 * 1024 < len(logs) < 16 * 1024 * 1024 + 100


def test_prints_while_an_upload_is_held_do_not_wait_for_it(serve: Callable[..., Server]) -> None:
    gate = Gate()

    def held(_: Incoming) -> Reply:
        gate.wait()
        return Reply()

    with receiving(held) as receiver:
        server = serve(
            """
            from collections.abc import Iterator
            from cog import BaseRunner, Path

            class Runner(BaseRunner):
                def run(self) -> Iterator[Path]:
                    Path("a.txt").write_text("a")
                    yield Path("a.txt")
                    print("after the first")
                    yield Path("a.txt")
                    open("through", "w").close()
            """,
            "--upload-url",
            receiver.url,
        )
        try:
            started = server.start_async()
            server.wait_file("through")
            seen = until(
                lambda: server.get(f"/predictions/{started}").json(),
                lambda it: "after the first" in it["logs"],
            )
            assert seen["output"] in (None, [])
        finally:
            gate.open()
        assert server.wait_for(started)["output"] == [f"{receiver.url}/a.txt", f"{receiver.url}/a-2.txt"]


def test_a_failed_upload_keeps_what_was_delivered_before(serve: Callable[..., Server]) -> None:
    def answer(incoming: Incoming) -> Reply:
        return Reply(403 if "f2" in incoming.path else 200)

    with receiving(answer) as receiver:
        server = serve(STREAM, "--upload-url", receiver.url)
        prediction = server.predict({"sizes": [1] * 200, "files": True}).json()
        assert prediction["status"] == "failed"
        assert "f2.bin could not be uploaded: the server answered 403 Forbidden" in prediction["error"]
        assert prediction["output"] == [f"{receiver.url}/f0.bin", f"{receiver.url}/f1.bin"]
        uploads = len(receiver.got)
        assert server.predict({"sizes": [1]}).json()["status"] == "succeeded"
        assert len(receiver.got) == uploads  # what came after the failure was not uploaded
