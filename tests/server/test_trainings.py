"""Trainings beside predictions, and alone: the same as predictions in everything, but for the worker that runs them."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator, validate

from support.models import WAITING
from support.receiving import receiving
from support.serving import Server, until, write_model
from support.streams import EVENTS, chunks, streaming, told

RUN = """
import os
from cog import BaseRunner, Input

class Runner(BaseRunner):
    def run(self, style: str = Input(default="plain", choices=["plain", "bold"])) -> int:
        return os.getpid()
"""
# The input `act` is run; what is asked for in the file `loading` is run while the source is imported.
TRAIN = (
    "from typing import Any, Optional\nfrom cog import BaseModel, Input, Path, current_scope\n"
    + WAITING
    + """
print("train.py is imported")
with open("imports", "a") as file:
    file.write("x")
if os.path.exists("loading"):
    exec(open("loading").read())

class Weights(BaseModel):
    weights: Path
    steps: int

def train(
    act: str = "",
    data: Optional[Path] = None,
    steps: int = Input(default=2, ge=1),
    style: str = Input(default="slow", choices=["slow", "fast"]),
) -> Weights:
    exec(act, globals())
    made = Path("weights.txt")
    made.write_text((data.read_text() if data else "ab") * steps)
    current_scope().record_metric("pid", os.getpid())
    return Weights(weights=made, steps=steps)
"""
)
CONFIG = 'run: "run.py:Runner"\ntrain: "train.py:train"\n'
READY = "the model is READY"


def project(folder: Path, train: str = TRAIN, config: str = CONFIG) -> Path:
    write_model(folder, RUN, config)
    (folder / "train.py").write_text(train)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, serve_once: Any) -> Server:
    made: Server = serve_once(project(tmp_path_factory.mktemp("both")))
    return made


def train(server: Server, input: Any = None, **more: Any) -> Any:
    """POST /trainings to its end; gives the training."""
    fields = more.pop("fields", {})
    return server.call(
        "POST", "/trainings", {"input": {} if input is None else input, **fields}, **more
    ).json()


def begin(server: Server, input: Any = None, **fields: Any) -> str:
    """Start a training; gives its id."""
    headers = {"prefer": "respond-async"}
    answer = server.call(
        "POST", "/trainings", {"input": {} if input is None else input, **fields}, headers=headers
    )
    assert answer.status == 202, answer
    return str(answer.json()["id"])


def see(server: Server, training_id: str) -> Any:
    return server.get(f"/trainings/{training_id}").json()


def ended(server: Server, training_id: str) -> Any:
    return until(
        lambda: see(server, training_id), lambda shown: shown["status"] in ("succeeded", "failed", "canceled")
    )


def alone(server: Server) -> bool:
    """Whether the worker of the predictions is the only one."""
    return len(server.workers()) == 1


@contextlib.contextmanager
def running(server: Server, name: str, **fields: Any) -> Iterator[str]:
    """A training that has begun, and goes on until the block ends; gives its id."""
    act = f"mark('{name}.begun'); hold('{name}.go')"
    training_id = begin(server, {"act": act}, **fields)
    server.wait_file(f"{name}.begun")
    try:
        yield training_id
    finally:
        (server.folder / f"{name}.go").touch()
        ended(server, training_id)


# In the order in which they stand: the first looks at a server that nobody has asked for a training.


def test_who_never_trains_pays_nothing(server: Server) -> None:
    assert server.predict().status == 200
    assert server.get("/").json()["trainings_url"] == "/trainings"
    assert not (server.folder / "imports").exists()
    assert alone(server)


def test_a_training_has_a_worker_of_its_own_that_ends_with_it(server: Server) -> None:
    first, second = train(server), train(server, {"steps": 3})
    for shown, steps in ((first, 2), (second, 3)):
        assert (shown["status"], shown["error"]) == ("succeeded", None), shown
        assert shown["output"]["steps"] == steps
        assert shown["logs"] == "train.py is imported\n"  # what its worker printed while it was set up
    assert first["output"]["weights"] == "data:text/plain;base64,YWJhYg=="
    predicting = server.predict().json()["output"]
    assert len({first["metrics"]["pid"], second["metrics"]["pid"], predicting}) == 3
    until(lambda: alone(server), bool)
    assert server.health()["status"] == "READY"


def test_the_document_describes_both(server: Server) -> None:
    document = server.get("/openapi.json").json()
    validate(document, cls=OpenAPIV30SpecValidator)
    for noun in ("prediction", "training"):
        one = f"/{noun}s/{{{noun}_id}}"
        assert {f"/{noun}s", one, f"{one}/cancel"} <= set(document["paths"])
    create = document["paths"]["/trainings"]["post"]
    assert (create["operationId"], create["summary"]) == ("train_trainings_post", "Train")
    assert create["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/TrainingRequest")
    cancel = document["paths"]["/trainings/{training_id}/cancel"]["post"]
    assert cancel["operationId"] == "cancel_trainings__training_id__cancel_post"
    schemas = document["components"]["schemas"]
    assert list(schemas["TrainingInput"]["properties"]) == ["act", "data", "steps", "style"]
    assert schemas["TrainingOutput"]["title"] == "Output"
    assert schemas["TrainingResponse"]["properties"]["output"]["$ref"].endswith("/TrainingOutput")
    # Both have an input of this name: the component is that of the predictions.
    assert schemas["style"]["enum"] == ["plain", "bold"]
    assert schemas["TrainingInput"]["properties"]["style"]["enum"] == ["slow", "fast"]


def test_discovery_names_both(server: Server) -> None:
    found = server.get("/").json()
    assert found["predictions_cancel_url"] == "/predictions/{prediction_id}/cancel"
    assert found["trainings_idempotent_url"] == "/trainings/{training_id}"
    assert found["trainings_cancel_url"] == "/trainings/{training_id}/cancel"


def test_wrong_input_is_refused_with_its_place(server: Server) -> None:
    answer = server.call("POST", "/trainings", {"input": {"steps": 0, "style": "bold"}})
    assert answer.status == 422
    assert [problem["loc"] for problem in answer.json()["detail"]] == [
        ["body", "input", "steps"], ["body", "input", "style"]
    ]  # fmt: skip
    answer = server.call("PUT", "/trainings/a", {"id": "b"})
    assert answer.json()["detail"] == [
        {
            "loc": ["body", "id"],
            "msg": "training ID must match the ID supplied in the URL",
            "type": "value_error",
        }
    ]
    assert server.call("PUT", "/trainings/a%20b", {}).json()["detail"][0]["loc"] == ["path", "training_id"]


def test_ids_are_those_of_trainings(server: Server) -> None:
    with running(server, "ids", id="same") as training_id:
        assert server.call("PUT", "/trainings/same", {}).status == 202
        assert server.get("/predictions/same").status == 404
        predicted = server.call("PUT", "/predictions/same", {}).json()
        assert predicted["status"] == "succeeded"
        assert see(server, training_id)["status"] == "processing"
        assert server.call("POST", "/predictions/same/cancel").status == 404
    kept = server.call("PUT", "/trainings/same", {})
    assert (kept.status, kept.json()["output"]["steps"]) == (200, 2)
    listed = server.get("/trainings").json()["results"]
    assert listed[0]["id"] == "same"
    assert server.get("/predictions").json()["results"][0]["id"] == "same"
    assert "no training with this id" in see(server, "nothing")["error"]


def test_one_at_a_time_while_predictions_go_on(server: Server) -> None:
    with running(server, "busy"):
        answer = server.call("POST", "/trainings", {})
        assert (answer.status, answer.headers["retry-after"]) == (409, "1")
        assert "a training is running" in answer.json()["error"]
        assert server.predict().status == 200
        assert server.health()["status"] == "READY"
    assert train(server)["status"] == "succeeded"  # at once: it waits for the last worker to be gone


def test_files_come_and_webhooks_go(server: Server) -> None:
    with receiving() as receiver:
        data = {"data": "data:text/plain;base64,eHk=", "steps": 1}
        begin(server, data, webhook=f"{receiver.url}/hook", webhook_events_filter=["start", "completed"])
        got = receiver.wait_for(2)
    assert [one.json()["status"] for one in got] == ["processing", "succeeded"]
    assert got[1].json()["output"]["weights"] == "data:text/plain;base64,eHk="


def test_a_cancel_reaches_the_function(server: Server) -> None:
    with running(server, "cancel") as training_id:
        assert server.call("POST", f"/trainings/{training_id}/cancel").status == 200
        shown = ended(server, training_id)
    assert (shown["status"], shown["error"]) == ("canceled", None)
    assert server.call("POST", f"/trainings/{training_id}/cancel").status == 404


def test_a_cancel_while_the_worker_is_set_up_ends_it_at_once(server: Server) -> None:
    loading = server.folder / "loading"
    loading.write_text("mark('import.begun'); hold('never', 60)")
    try:
        training_id = begin(server)
        server.wait_file("import.begun")
        assert see(server, training_id)["status"] == "processing"
        server.call("POST", f"/trainings/{training_id}/cancel")
        assert ended(server, training_id)["status"] == "canceled"
        until(lambda: alone(server), bool)
    finally:
        loading.unlink()


@pytest.mark.parametrize(
    ("act", "error"),
    [
        ("raise ValueError('bad data')", "ValueError: bad data"),
        ("os._exit(3)", "WorkerDied: the worker process ended with exit code 3"),
    ],
)
def test_what_goes_wrong_is_the_trainings_alone(server: Server, act: str, error: str) -> None:
    shown = train(server, {"act": act})
    assert shown["status"] == "failed"
    assert shown["error"].startswith(error)
    assert shown["logs"].startswith("train.py is imported\n")
    assert server.predict().status == 200
    until(lambda: alone(server), bool)


def test_a_setup_that_fails_fails_its_training(server: Server) -> None:
    loading = server.folder / "loading"
    loading.write_text("raise OSError('no such disk')")
    try:
        shown = train(server)
    finally:
        loading.unlink()
    assert (shown["status"], shown["error"]) == ("failed", "OSError: no such disk")
    assert "Traceback" in shown["logs"]
    assert train(server)["status"] == "succeeded"


def test_events_can_be_read_but_not_asked_for_at_once(server: Server) -> None:
    answer = server.call("POST", "/trainings", {}, headers=EVENTS)
    assert answer.status == 406
    assert answer.json()["error"].startswith("Training endpoints do not support streaming responses")
    with (
        running(server, "events") as training_id,
        streaming(server, "GET", f"/trainings/{training_id}") as stream,
    ):
        (server.folder / "events.go").touch()
        names = [event.name for event in told(stream)]
    assert names[0] == "start"
    assert names[-1] == "completed"


def test_it_takes_the_methods_that_predictions_take(server: Server) -> None:
    for path in ("/trainings", "/trainings/x", "/trainings/x/cancel"):
        answer = server.call("DELETE", path)
        like = server.call("DELETE", path.replace("training", "prediction"))
        assert (answer.status, answer.headers["allow"]) == (405, like.headers["allow"])


# What needs a server of its own.


def test_a_training_that_runs_is_finished_before_the_server_ends(serve: Any, tmp_path: Path) -> None:
    server: Server = serve(project(tmp_path / "model"))
    act = "mark('begun'); hold('go')"
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(train, server, {"act": act})
        server.wait_file("begun")
        server.process.send_signal(signal.SIGTERM)
        server.wait_log("SIGTERM")
        refused = server.call("POST", "/trainings", {})
        assert (refused.status, "takes no new trainings" in refused.json()["error"]) == (503, True)
        (server.folder / "go").touch()
        assert answer.result(20)["status"] == "succeeded"
    assert server.process.wait(20) == 0


@pytest.mark.slow
def test_a_second_signal_ends_a_training_at_once(serve: Any, tmp_path: Path) -> None:
    server: Server = serve(project(tmp_path / "model"))
    begin(server, {"act": "mark('begun'); hold('never', 60)"})
    server.wait_file("begun")
    workers = server.workers()
    assert len(workers) == 2
    server.process.send_signal(signal.SIGTERM)
    server.wait_log("SIGTERM")
    assert server.stop() == 128 + signal.SIGTERM
    until(lambda: [pid for pid in workers if Path(f"/proc/{pid}").exists()], lambda left: not left)


def test_a_broken_training_function_leaves_the_predictions_alone(serve: Any, tmp_path: Path) -> None:
    server: Server = serve(project(tmp_path / "model", "import nothing_of_that_name\n"))
    answer = server.call("POST", "/trainings", {})
    assert answer.status == 503
    error = answer.json()["error"]
    assert error.startswith("the training function cannot be loaded")
    assert "No module named 'nothing_of_that_name'" in error
    document = server.get("/openapi.json").json()
    assert "/trainings" not in document["paths"]
    assert server.predict().status == 200
    assert server.health()["status"] == "READY"
    assert alone(server)
    assert [line["level"] for line in server.lines if "cannot be loaded" in line["fields"]["message"]] == [
        "ERROR"
    ]


@pytest.mark.slow
def test_a_changed_training_function_is_read_anew_with_reload(serve: Any, tmp_path: Path) -> None:
    """In cog.yaml it is named by its file alone."""
    source = "async def train(a: int) -> int:\n    return a\n"
    folder = project(tmp_path / "model", source, CONFIG.replace("train.py:train", "train.py"))
    server: Server = serve(folder, "--reload")
    assert train(server, {"a": 1})["output"] == 1
    (folder / "train.py").write_text("def train(b: str) -> str:\n    return b + b\n")
    server.wait_log("train.py changed")
    shown = until(lambda: train(server, {"b": "x"}), lambda shown: "output" in shown)
    assert shown["output"] == "xx"
    assert "b" in server.get("/openapi.json").json()["components"]["schemas"]["TrainingInput"]["properties"]


CLASS = """
from cog import BaseRunner, streaming
from typing import Iterator

class Trainer(BaseRunner):
    def __init__(self):
        open("made", "a").close()

    def setup(self):
        print("set up")
        self.base = 10

    @streaming
    def train(self, n: int = 2) -> Iterator[int]:
        for i in range(n):
            yield self.base + i
"""


def test_a_class_with_train_is_set_up_for_each_training(serve: Any, tmp_path: Path) -> None:
    """The variable names it; the signature is read without an instance. It streams when it says so."""
    folder = project(tmp_path / "model", CLASS, 'run: "run.py:Runner"\n')
    server: Server = serve(folder, env={"COG_TRAIN_TYPE_STUB": "train.py:Trainer"})
    schemas = server.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["TrainingOutput"]["x-cog-array-type"] == "iterator"
    assert not (folder / "made").exists()
    shown = train(server)
    assert (shown["output"], shown["logs"]) == ([10, 11], "set up\n")
    with streaming(server, "POST", "/trainings", {"input": {"n": 1}}) as stream:
        assert chunks(told(stream)) == [10]


def test_in_train_mode_trainings_are_all_that_is_served(serve: Any, tmp_path: Path) -> None:
    folder = project(tmp_path / "model", CLASS, CONFIG.replace("train.py:train", "train.py:Trainer"))
    # What COG_MAX_CONCURRENCY says is said of predictions.
    server: Server = serve(folder, "--x-mode", "train", env={"COG_MAX_CONCURRENCY": "4"})
    found = server.get("/").json()
    assert found["trainings_url"] == "/trainings"
    assert "predictions_url" not in found
    document = server.get("/openapi.json").json()
    validate(document, cls=OpenAPIV30SpecValidator)
    assert not [path for path in document["paths"] if path.startswith("/predictions")]
    assert "Input" not in document["components"]["schemas"]
    assert server.predict().status == 404
    assert server.get("/predictions").status == 404
    assert server.health()["setup"]["logs"] == "set up\n"
    assert train(server)["output"] == [10, 11]
    assert json.loads(server.get("/trainings").body)["results"][0]["status"] == "succeeded"
