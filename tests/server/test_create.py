"""Creating predictions: synchronous, asynchronous, under an id, and what the answers look like."""

from __future__ import annotations

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import Any

import pytest

from support.serving import Response, Server
from support.steps import body, fresh, let_go, model

BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
ASYNC = {"prefer": "respond-async"}
KEYS = [
    "id",
    "input",
    "output",
    "logs",
    "error",
    "status",
    "metrics",
    "created_at",
    "started_at",
    "completed_at",
]

FILES = """
    from cog import BaseRunner, Path, Secret

    class Runner(BaseRunner):
        def run(self, text: str = "", secret: Secret = None, file: Path = None, files: list[Path] = None) -> str:
            return f"{text} {secret.get_secret_value() if secret else ''}".strip()
"""


@pytest.fixture(scope="module")
def server(serve_once: Any) -> Server:
    started: Server = serve_once(model("sync"))
    return started


@pytest.fixture(scope="module")
def files(serve_once: Any) -> Server:
    started: Server = serve_once(FILES)
    return started


def put(server: Server, prediction_id: str, json_body: Any, **more: Any) -> Response:
    return server.call("PUT", f"/predictions/{prediction_id}", json_body, **more)


def moment(text: str) -> float:
    assert text.endswith("Z")
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc).timestamp()


def time_of(prediction_id: str) -> float:
    """Seconds since the epoch in a server-made id: a UUIDv7 (RFC 9562) in base32."""
    assert len(prediction_id) == 26
    number = 0
    for letter in prediction_id:
        number = number << 5 | BASE32.index(letter)
    uuid = number >> 2
    assert (uuid >> 76) & 0xF == 7
    assert (uuid >> 62) & 0b11 == 0b10
    return (uuid >> 80) / 1000


# Modes


def test_a_post_is_synchronous(server: Server) -> None:
    before = time.time()
    answer = server.predict(body("print('hi'); return {'b': 1, 'a': [0, '', False, None]}"))
    after = time.time()
    shown = answer.json()
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert "preference-applied" not in answer.headers
    assert "server" not in answer.headers
    assert list(shown) == KEYS
    assert list(shown["output"]) == ["b", "a"]
    assert shown["output"] == {"b": 1, "a": [0, "", False, None]}
    assert (shown["status"], shown["logs"], shown["error"]) == ("succeeded", "hi\n", None)
    assert list(shown["metrics"]) == ["predict_time"]
    assert 0 < shown["metrics"]["predict_time"] < after - before
    times = [moment(shown[name]) for name in ("created_at", "started_at", "completed_at")]
    assert before - 0.001 <= times[0] <= times[1] <= times[2] <= after + 0.001


@pytest.mark.parametrize("value", [None, 0, "", False, [], {}])
def test_an_output_that_is_empty_is_an_output(server: Server, value: object) -> None:
    shown = server.predict(body("return $value", value=value)).json()
    assert shown["status"] == "succeeded"
    assert shown["output"] == value
    assert type(shown["output"]) is type(value)


def test_a_put_is_synchronous_and_takes_the_id_of_the_path(server: Server) -> None:
    answer = put(server, "my-own_id.1", {"input": body("return 7")})
    assert (answer.status, answer.json()["id"], answer.json()["output"]) == (200, "my-own_id.1", 7)


def test_respond_async_answers_at_once_with_processing(server: Server) -> None:
    gate = fresh()
    answer = server.predict(body("gate($gate)\nreturn 1", gate=gate), headers=ASYNC)
    shown = answer.json()
    assert answer.status == 202
    assert answer.headers["preference-applied"] == "respond-async"
    assert list(shown) == KEYS
    assert shown["status"] == "processing"
    assert shown["started_at"] is not None
    assert (shown["output"], shown["error"], shown["completed_at"], shown["logs"], shown["metrics"]) == (
        None, None, None, "", {},
    )  # fmt: skip
    let_go(server, gate)
    assert server.wait_for(shown["id"])["output"] == 1


def test_it_is_starting_only_while_it_waits_for_its_files(files: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/a.txt"
        shown = files.predict({"text": "x", "file": url}, headers=ASYNC).json()
        assert (shown["status"], shown["started_at"]) == ("starting", None)
        listener.settimeout(10)
        connection, _ = listener.accept()
        with connection:
            assert files.get(f"/predictions/{shown['id']}").json()["status"] == "starting"
            assert connection.recv(65536).startswith(b"GET /a.txt ")
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi")
            ended = files.wait_for(shown["id"])
    assert ended["status"] == "succeeded"
    assert ended["metrics"]["download_time"] > 0
    assert ended["metrics"]["predict_time"] < ended["metrics"]["download_time"]


def test_prefer_wait_answers_200_when_it_ends_in_time(server: Server) -> None:
    answer = server.predict(body("return 3"), headers={"prefer": "respond-async, wait=20"})
    assert (answer.status, answer.json()["status"], answer.json()["output"]) == (200, "succeeded", 3)
    assert answer.headers["preference-applied"] == "respond-async, wait=20"


def test_prefer_wait_answers_202_when_it_does_not(server: Server) -> None:
    gate = fresh()
    before = time.monotonic()
    answer = server.predict(body("gate($gate)", gate=gate), headers={"prefer": 'Wait="1", RESPOND-ASYNC'})
    assert 0.9 < time.monotonic() - before < 10
    assert (answer.status, answer.json()["status"]) == (202, "processing")
    assert answer.headers["preference-applied"] == "respond-async, wait=1"
    let_go(server, gate)
    assert server.wait_for(answer.json()["id"])["status"] == "succeeded"


@pytest.mark.parametrize("prefer", ["handling=lenient", "wait=5", "respond-asynchronously", ""])
def test_other_preferences_leave_it_synchronous(server: Server, prefer: str) -> None:
    answer = server.predict(body("return 1"), headers={"prefer": prefer})
    assert (answer.status, answer.json()["output"]) == (200, 1)


def test_sync_runs_always_have_the_main_thread(server: Server) -> None:
    code = "return [threading.current_thread() is threading.main_thread(), threading.get_native_id()]"
    seen = [server.predict(body(code)).json()["output"] for _ in range(12)]
    assert all(main for main, _ in seen)
    assert len({thread for _, thread in seen}) == 1


# Ids


def test_ids_made_by_the_server_are_uuid7_and_hold_their_time(server: Server) -> None:
    made = []
    for _ in range(5):
        shown = server.predict().json()
        assert abs(time_of(shown["id"]) - moment(shown["created_at"])) < 0.05
        made.append(shown["id"])
    assert len(set(made)) == 5
    assert sorted(made, key=time_of) == made


@pytest.mark.parametrize("good", ["a", "A-Za-z0-9._~:@=+,-", "...", "x" * 256])
def test_ids_that_a_client_may_choose(server: Server, good: str) -> None:
    assert server.predict(fields={"id": good}).json()["id"] == good
    assert put(server, good.replace("+", "%2B"), {"id": good}).json()["id"] == good


@pytest.mark.parametrize("bad", ["", ".", "..", "a/b", "../../x", "a b", "ä", "x" * 257, "a\n", "a\u0000"])
def test_other_ids_are_422(server: Server, bad: str) -> None:
    answer = server.predict(fields={"id": bad})
    assert answer.status == 422
    assert [problem["loc"] for problem in answer.json()["detail"]] == [["body", "id"]]
    assert "1 to 256" in answer.json()["error"]


@pytest.mark.parametrize("path", ["a%2Fb", "..%2F..%2Fx", "%20", "x" * 257, "%00", "."])
def test_other_ids_in_the_path_are_422(server: Server, path: str) -> None:
    answer = put(server, path, {})
    assert answer.status == 422
    assert [problem["loc"] for problem in answer.json()["detail"]] == [["path", "prediction_id"]]
    assert "id" not in answer.json()


def test_the_ids_of_path_and_body_must_agree(server: Server) -> None:
    answer = put(server, "one", {"id": "two"})
    assert answer.status == 422
    assert answer.json()["detail"] == [
        {
            "loc": ["body", "id"],
            "msg": "prediction ID must match the ID supplied in the URL",
            "type": "value_error",
        }
    ]


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_the_id_of_a_running_prediction_attaches_to_it(server: Server, method: str) -> None:
    gate, name = fresh(), fresh()
    first = body("print('so far')\ngate($gate)\nreturn 'first'", gate=gate)
    assert put(server, name, {"input": first}, headers=ASYNC).status == 202
    server.wait_file(gate)
    path = f"/predictions/{name}" if method == "PUT" else "/predictions"
    for headers in ({}, ASYNC):
        answer = server.call(
            method, path, {"id": name, "input": {"code": "return 'second'"}}, headers=headers
        )
        shown = answer.json()
        assert answer.status == 202
        assert (shown["id"], shown["status"], shown["input"]) == (name, "processing", first)
        assert (shown["logs"], shown["output"]) == ("so far\n", None)
    let_go(server, gate)
    assert server.wait_for(name)["output"] == "first"


def counting(server: Server, name: str, then: str) -> dict[str, Any]:
    """Input that writes a byte into the file `name` for each run."""
    return body(f"with open(FOLDER / $name, 'a') as file: file.write('x')\n{then}", name=name)


def runs(server: Server, name: str) -> int:
    return (server.folder / name).stat().st_size


def test_a_put_of_an_id_that_succeeded_gives_its_result_and_runs_nothing(server: Server) -> None:
    name = fresh()
    first = put(server, name, {"input": counting(server, name, "return 'done'")})
    again = put(server, name, {"input": {"code": "return 'other'"}})
    later = put(server, name, {}, headers=ASYNC)
    assert (first.status, again.status, later.status) == (200, 200, 200)
    assert first.json() == again.json() == later.json()
    assert runs(server, name) == 1


@pytest.mark.parametrize("then", ["raise ValueError('no')", "raise CancelationException"])
def test_a_put_of_an_id_that_failed_runs_again(server: Server, then: str) -> None:
    name = fresh()
    assert put(server, name, {"input": counting(server, name, then)}).json()["status"] == "failed"
    assert put(server, name, {"input": counting(server, name, "return 2")}).json()["output"] == 2
    assert runs(server, name) == 2


def test_a_put_of_an_id_that_was_canceled_runs_again(server: Server) -> None:
    gate, name = fresh(), fresh()
    put(server, name, {"input": counting(server, name, f"gate({gate!r})")}, headers=ASYNC)
    server.wait_file(gate)
    assert server.call("POST", f"/predictions/{name}/cancel").status == 200
    assert server.wait_for(name)["status"] == "canceled"
    assert put(server, name, {"input": counting(server, name, "return 2")}).json()["output"] == 2
    assert runs(server, name) == 2


def test_a_post_of_an_id_that_has_ended_runs_again(server: Server) -> None:
    name = fresh()
    for expected in (1, 2):
        shown = server.predict(counting(server, name, f"return {expected}"), fields={"id": name}).json()
        assert (shown["output"], runs(server, name)) == (expected, expected)
    assert server.get(f"/predictions/{name}").json()["output"] == 2


# Capacity


def test_busy_is_409_with_retry_after(server: Server) -> None:
    gate = fresh()
    running = server.start_async(body("gate($gate)", gate=gate))
    answer = server.predict()
    assert answer.status == 409
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["status"] == "failed"
    assert "busy" in answer.json()["error"]
    assert "id" not in answer.json()
    let_go(server, gate)
    server.wait_for(running)
    assert server.predict().status == 200


def test_of_many_at_once_exactly_one_runs(server: Server) -> None:
    gate = fresh()
    barrier = threading.Barrier(8)

    def ask(_: int) -> int:
        barrier.wait(10)
        return server.predict(body("gate($gate)", gate=gate), headers=ASYNC).status

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(ask, range(8)))
    assert statuses == [202] + [409] * 7
    let_go(server, gate)


# What is shown of an input


def test_secrets_are_masked(files: Server) -> None:
    answer = files.predict({"text": "t", "secret": "sesame", "unknown": 1})
    assert answer.json()["output"] == "t sesame"
    assert answer.json()["input"] == {"text": "t", "secret": "**********"}
    kept = files.get(f"/predictions/{answer.json()['id']}")
    assert kept.json()["input"]["secret"] == "**********"


def test_a_long_data_url_is_cut_to_its_type_and_size(files: Server) -> None:
    long = "data:image/png;base64," + "A" * 8000
    short = "data:text/plain;base64,aGk="
    shown = files.predict({"file": long, "files": [short, long], "text": "x" * 5000}).json()
    assert shown["status"] == "succeeded"
    assert shown["input"]["files"][0] == short
    assert shown["input"]["text"] == "x" * 5000
    for cut in (shown["input"]["file"], shown["input"]["files"][1]):
        assert len(cut) < 100
        assert cut.startswith("data:image/png;base64,")
        assert "5.9 KiB" in cut


def test_the_order_of_an_input_is_kept(server: Server, files: Server) -> None:
    raw = b'{"input": {"text": "a", "secret": null, "file": null}}'
    shown = json.loads(files.call("POST", "/predictions", body=raw).body)
    assert list(shown["input"]) == ["text", "secret", "file"]
