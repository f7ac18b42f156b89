"""What a started server writes to stderr: JSON lines, text on a terminal, and never a secret."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.command import free_port, running
from support.receiving import Incoming, Receiver, Reply, receiving
from support.serving import Response, Server, request, until, write_model

MODEL = r"""
    import os, subprocess, sys, warnings
    from cog import BaseRunner, Path, Secret

    class Runner(BaseRunner):
        def setup(self):
            print("loading")
            print("from stderr", file=sys.stderr)

        def run(self, text: str = "", key: Secret = None, image: Path = None, keep: bool = True) -> str:
            print("python", text)
            print("two\nlines", file=sys.stderr)
            os.write(1, b"descriptor \xff\n")
            subprocess.run(["echo", "a program"], check=True)
            print('{"looks": "like json"} \x1b[31mred\u2028\x00', end="")
            if not keep:
                raise ValueError(f"no {key}")
            return str(key)
"""

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
SECRETS = ("s3cret-key", "t0ken-of-the-operator", "s1gnature")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model", MODEL)


@pytest.fixture(scope="module")
def server(serve_once: Callable[..., Server]) -> Server:
    return serve_once(MODEL)


def printed(server: Server, prediction_id: str, last: str) -> list[tuple[str, str]]:
    """Source and text of what a prediction printed, by the log, once the text `last` is among it."""

    def found() -> list[tuple[str, str]]:
        return [
            (line["fields"]["source"], line["fields"]["message"])
            for line in tuple(server.lines)
            if line["target"] == "cog.prediction" and line["fields"].get("prediction_id") == prediction_id
        ]

    seen: list[tuple[str, str]] = until(found, lambda lines: last in [text for _, text in lines])
    return seen


LAST = '{"looks": "like json"} \x1b[31mred\u2028\x00'


def test_every_line_is_one_json_object_of_the_known_form(server: Server) -> None:
    assert server.predict({"text": "größe"}).status == 200
    prediction = server.predict({"keep": False}).json()
    printed(server, prediction["id"], "ValueError: no None")
    assert len(server.log.split("\n")) == len(server.lines) > 15
    for line in server.lines:
        assert list(line) == ["timestamp", "level", "fields", "target"]
        assert STAMP.fullmatch(line["timestamp"])
        assert line["level"] in ("DEBUG", "INFO", "WARNING", "ERROR")
        assert isinstance(line["fields"]["message"], str)
        assert line["target"].startswith("cog.")
    stamps = [line["timestamp"] for line in server.lines]
    assert stamps == sorted(stamps)


def test_what_a_model_prints_is_there_line_by_line_with_its_prediction(server: Server) -> None:
    prediction = server.predict({"text": "größe"}).json()
    found = printed(server, prediction["id"], LAST)
    assert sorted(found) == sorted(
        [
            ("stdout", "python größe"),
            ("stderr", "two"),
            ("stderr", "lines"),
            ("stdout", "descriptor \ufffd"),
            ("stdout", "a program"),
            ("stdout", LAST),
        ]
    )
    assert [text for source, text in found if source == "stderr"] == ["two", "lines"]


def test_what_setup_prints_is_told_apart(server: Server) -> None:
    lines = [line for line in server.lines if line["target"] == "cog.setup"]
    assert [(line["fields"]["source"], line["fields"]["message"]) for line in lines] == [
        ("stdout", "loading"),
        ("stderr", "from stderr"),
    ]
    assert all("prediction_id" not in line["fields"] for line in lines)


def test_the_traceback_of_a_failure_is_in_the_log(server: Server) -> None:
    prediction = server.predict({"keep": False}).json()
    texts = [text for _, text in printed(server, prediction["id"], "ValueError: no None")]
    assert "Traceback (most recent call last):" in texts
    assert any("run.py" in text and "in run" in text for text in texts)


def test_at_level_error_only_the_models_prints_are_left(folder: Path) -> None:
    """J18."""
    port = free_port()
    environment = {"PORT": str(port), "COG_LOG_LEVEL": "error"}
    with running(folder, "--host", "127.0.0.1", env=environment) as server:
        server.wait_written("from stderr")
        answer = _predict(f"http://127.0.0.1:{port}", {"text": "quiet"})
        assert answer.json()["status"] == "succeeded"
        written = server.wait_written("python quiet")
    lines = [json.loads(line) for line in server.written.removesuffix("\n").split("\n")]
    assert {line["target"] for line in lines} == {"cog.setup", "cog.prediction"}
    assert "loading" in written


def test_at_level_debug_there_is_more(folder: Path) -> None:
    with running(folder, env={"COG_LOG_LEVEL": "warning"}) as server:
        server.wait_written("from stderr")
    assert "listening on" not in server.written
    with running(folder, env={"COG_LOG_LEVEL": "INFO"}) as server:
        server.wait_written("listening on")


def _predict(url: str, given: dict[str, Any]) -> Response:
    """POST /predictions once the model is ready."""
    ask = lambda: request(f"{url}/predictions", "POST", json_body={"input": given})  # noqa: E731
    return until(ask, lambda answer: answer.status != 503)  # type: ignore[no-any-return]


@pytest.mark.parametrize("coloured", [True, False])
def test_a_terminal_gets_text_for_people(folder: Path, coloured: bool) -> None:
    environment = {"TERM": "xterm"} if coloured else {"TERM": "xterm", "NO_COLOR": "1"}
    with running(folder, "--host", "127.0.0.1", env=environment, terminal=True) as server:
        (url,) = re.findall(r"listening on (http://127\.0\.0\.1:\d+)", server.wait_written("READY"))
        answer = _predict(url, {"text": "shown"})
        assert answer.json()["status"] == "succeeded"
        server.wait_written("python shown")
    lines = server.written.replace("\r\n", "\n").split("\n")
    assert not [line for line in lines if line.startswith('{"timestamp"')]
    # What the model prints stands there as it is; the server's own lines have the time and the level.
    assert "loading" in lines
    assert "python shown" in lines
    (listening,) = [line for line in lines if "listening on" in line]
    if coloured:
        assert "\x1b[32mINFO   \x1b[0m" in listening
        listening = re.sub(r"\x1b\[\d+m", "", listening)
    assert re.match(rf"\d\d:\d\d:\d\d INFO    listening on {url}", listening)
    own = "".join(line for line in lines if re.search(r" (INFO|WARNING) ", line))
    assert coloured or "\x1b" not in own


def test_the_format_can_be_chosen(folder: Path) -> None:
    with running(folder, env={"LOG_FORMAT": "json", "TERM": "xterm"}, terminal=True) as server:
        server.wait_written("READY")
    for line in server.written.replace("\r\n", "\n").splitlines():
        assert list(json.loads(line)) == ["timestamp", "level", "fields", "target"]
    with running(folder, env={"LOG_FORMAT": "console"}) as server:
        server.wait_written("READY")
    assert "\x1b" not in server.written
    assert re.match(r"\d\d:\d\d:\d\d INFO    \S", server.written.splitlines()[0])


def answers(incoming: Incoming) -> Reply:
    """A receiver in trouble: what fails is what gets logged."""
    return Reply(404 if incoming.path.endswith("gone.png") else 403 if incoming.method == "PUT" else 410)


@pytest.fixture(scope="module")
def troubled() -> Iterator[Receiver]:
    with receiving(answers) as receiver:
        yield receiver


def test_secrets_are_in_no_log_and_no_answer(serve: Callable[..., Server], troubled: Receiver) -> None:
    environment = {"WEBHOOK_AUTH_TOKEN": "t0ken-of-the-operator", "COG_LOG_LEVEL": "debug"}
    source = """
        from cog import BaseRunner, Input, Path, Secret

        class Runner(BaseRunner):
            def run(
                self, key: Secret = Input(default="s3cret-key-preset"), length: int = 1, image: Path = None
            ) -> Path:
                print(key, repr(key), f"{key}", [key], {"k": key})
                path = Path("out.txt")
                path.write_text("x")
                if length == 2:
                    raise ValueError(key)
                return path
    """
    server = serve(source, "--upload-url", f"{troubled.url}/up?sig=s1gnature", env=environment)
    hook = f"{troubled.url}/hook?sig=s1gnature"
    answers_: list[Response] = [
        server.get("/openapi.json"),
        server.predict({"key": "s3cret-key"}, fields={"webhook": hook}),  # the upload fails, and the webhook
        server.predict({"key": "s3cret-key", "length": 2}, fields={"webhook": hook}),
        server.predict({"key": 5, "length": "s"}),
        server.predict({"key": ["s3cret-key"]}),
        server.predict({"length": {"key": "s3cret-key"}, "key": {"s3cret-key": 1}}, fields={"id": "x"}),
        server.predict({"key": "s3cret-key"}, fields={"webhook": "ftp://s3cret-key@h/?sig=s1gnature"}),
    ]
    given = {"key": "s3cret-key", "image": f"{troubled.url}/gone.png?sig=s1gnature"}
    failed = server.predict(given).json()
    assert failed["error"].startswith(f"DownloadError: {troubled.url}/gone.png could not be downloaded")
    assert failed["input"].pop("image") == given["image"]  # what the client sent itself, and nobody else sees
    assert "s1gnature" not in json.dumps(failed)
    assert [answer.status for answer in answers_] == [200, 200, 200, 422, 422, 422, 422]
    server.wait_log("A webhook was not delivered")
    shown = [answer.body.decode() for answer in answers_[:5]] + [answers_[6].body.decode()]
    shown += [one.body.decode() for one in troubled.got if one.method == "POST"]
    shown += [server.get("/predictions").body.decode(), server.get("/health-check").body.decode()]
    assert server.stop() == 0
    shown.append(server.log)
    for text in shown:
        for secret in SECRETS:
            assert secret not in text
    # The masks are there, so the prints were.
    assert "********** Secret(**********) ********** [Secret(**********)]" in server.log


def test_a_secret_in_the_wrong_place_of_a_refused_request_is_not_shown_back(
    server: Server,
) -> None:
    answer = server.predict({"key": {"s3cret-key": 1}})
    assert answer.status == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "input", "key"]
    assert "s3cret-key" not in answer.body.decode()
    assert "s3cret-key" not in server.log
