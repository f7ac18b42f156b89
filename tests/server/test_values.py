"""What a model gets and gives: defaults, optional inputs, numbers, and the words for what is wrong with them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.serving import Response, Server
from support.steps import body, model

INPUTS = """
    from typing import Any, List, Optional, Union
    from cog import BaseRunner, Input, Path, Secret

    def shown(value):
        if isinstance(value, Secret):
            return ["Secret", value.get_secret_value()]
        if isinstance(value, Path):
            return ["Path", str(value), value.read_text()]
        return [type(value).__name__, value]

    class Runner(BaseRunner):
        def run(
            self,
            needed: str = Input(),
            number: int = 1,
            ratio: float = 0.5,
            bare: int = None,
            declared: str = Input(default=None),
            optional: Optional[int] = None,
            either: Union[str, int, None] = None,
            limited: int = Input(default=3, ge=1, le=10),
            choice: str = Input(default="a", choices=["a", "b"]),
            numbers: List[int] = Input(default=[]),
            secret: Secret = Input(default="hush"),
            key: Secret = None,
            data: Path = Input(default="data:text/plain,ready"),
            local: Path = Input(default="own.txt"),
            values: Any = ["default"],
        ) -> Any:
            given = dict(locals())
            del given["self"]
            got = {name: shown(value) for name, value in given.items()}
            got["values"] = [type(values).__name__, list(values)] if isinstance(values, list) else got["values"]
            if isinstance(values, list):
                values.append("mine")
            return got
"""


@pytest.fixture(scope="module")
def server(serve_once: Any) -> Server:
    started: Server = serve_once(model("sync"))
    return started


@pytest.fixture(scope="module")
def inputs(serve_once: Any) -> Server:
    started: Server = serve_once(INPUTS)
    (started.folder / "own.txt").write_text("mine")
    return started


def given(server: Server, **values: object) -> Any:
    """What the model got."""
    answer = server.predict({"needed": "x", **values})
    assert (answer.status, answer.json()["status"]) == (200, "succeeded"), answer.body
    return answer.json()["output"]


def problems(answer: Response) -> list[tuple[list[Any], str, str]]:
    assert answer.status == 422, answer.body
    return [(problem["loc"], problem["msg"], problem["type"]) for problem in answer.json()["detail"]]


# Defaults and optional inputs


def test_defaults_arrive_as_what_they_are_declared(inputs: Server) -> None:
    got = given(inputs)
    assert got["number"] == ["int", 1]
    assert got["ratio"] == ["float", 0.5]
    assert got["numbers"] == ["list", []]
    assert got["secret"] == ["Secret", "hush"]
    assert got["data"][0] == "Path"
    assert got["data"][2] == "ready"
    assert got["local"] == ["Path", "own.txt", "mine"]


def test_a_default_is_new_for_each_run(inputs: Server) -> None:
    assert [given(inputs)["values"] for _ in range(2)] == [["list", ["default"]]] * 2
    assert given(inputs, values=[])["values"] == ["list", []]


@pytest.mark.parametrize("name", ["bare", "declared", "optional", "either", "key"])
def test_a_default_of_none_makes_an_input_optional_and_nullable(inputs: Server, name: str) -> None:
    assert given(inputs)[name] == ["NoneType", None]
    assert given(inputs, **{name: None})[name] == ["NoneType", None]


def test_an_input_without_default_is_required(inputs: Server) -> None:
    assert problems(inputs.predict({})) == [
        (["body", "input", "needed"], "Field required", "value_error.missing")
    ]


def test_null_is_refused_where_nothing_allows_it(inputs: Server) -> None:
    found = problems(inputs.predict({"needed": None, "number": None}))
    assert [(loc, msg) for loc, msg, _ in found] == [
        (["body", "input", "needed"], 'null is not of type "string"'),
        (["body", "input", "number"], 'null is not of type "integer"'),
    ]


# Numbers


@pytest.mark.parametrize(("text", "value"), [("2.0", 2), ("-0.0", 0), ("1e3", 1000), (str(2**70), 2**70)])
def test_whole_numbers_arrive_as_int(inputs: Server, text: str, value: int) -> None:
    raw = b'{"input":{"needed":"x","number":%s}}' % text.encode()
    answer = inputs.call("POST", "/predictions", body=raw)
    assert answer.status == 200, answer.body
    assert answer.json()["output"]["number"] == ["int", value]


@pytest.mark.parametrize(
    ("text", "shown"), [("1.5", "1.5"), ("true", "true"), ('"2"', '"2"'), ("[1]", "[1]")]
)
def test_other_values_are_no_int(inputs: Server, text: str, shown: str) -> None:
    raw = b'{"input":{"needed":"x","number":%s}}' % text.encode()
    found = problems(inputs.call("POST", "/predictions", body=raw))
    assert found == [(["body", "input", "number"], f'{shown} is not of type "integer"', "value_error")]


def test_an_int_is_a_float_where_one_is_wanted(inputs: Server) -> None:
    assert given(inputs, ratio=2)["ratio"] == ["float", 2.0]


@pytest.mark.parametrize("value", [2**63, -(2**64), 10**4000 + 7])
def test_integers_go_in_and_out_exactly(server: Server, value: int) -> None:
    raw = json.dumps(
        {"input": {"code": f"return [{value}, {{'n': -{value}}}]" if value > 0 else f"return [{value}]"}}
    )
    answer = server.call("POST", "/predictions", body=raw.encode())
    assert answer.json()["output"][0] == value


def test_an_integer_of_4300_digits_arrives_and_a_longer_one_is_named(inputs: Server) -> None:
    def sent(digits: int) -> Response:
        raw = b'{"input":{"needed":"x","values":%s}}' % (b"7" * digits)
        return inputs.call("POST", "/predictions", body=raw)

    assert sent(4300).json()["output"]["values"] == ["int", int("7" * 4300)]
    assert "4,300" in sent(4301).json()["error"]
    assert sent(4301).status in (400, 422)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("float('nan')", "output is NaN"),
        ("{'scores': [1.0, 2.0, 3.0, float('nan')]}", "output.scores[3] is NaN"),
        ("[{'a b': float('inf')}]", "output[0]['a b'] is infinite"),
        ("(0, -float('inf'))", "output[1] is infinite"),
    ],
)
def test_nan_in_an_output_fails_and_is_named(server: Server, value: str, place: str) -> None:
    answer = server.predict(body(f"return {value}"))
    shown = answer.json()
    assert (answer.status, shown["status"], shown["output"]) == (200, "failed", None)
    assert place in shown["error"]
    assert server.predict(body("return 1")).json()["output"] == 1


def test_the_order_of_keys_is_kept_both_ways(inputs: Server) -> None:
    value = {"z": 1, "a": {"y": 1, "b": 2}, "m": 3}
    got = given(inputs, values=value)["values"][1]
    assert json.dumps(got) == json.dumps(value)


# What is wrong


def test_every_wrong_input_is_named_at_once(inputs: Server) -> None:
    sent = {
        "number": "one",
        "limited": 11,
        "choice": "z",
        "numbers": [1, "two", 3, None],
        "either": [],
        "local": "/etc/hostname",
    }
    answer = inputs.predict(sent)
    found = {".".join(map(str, loc[2:])): (msg, type_) for loc, msg, type_ in problems(answer)}
    assert set(found) == {
        "needed",
        "number",
        "limited",
        "choice",
        "numbers.1",
        "numbers.3",
        "either",
        "local",
    }
    assert found["needed"] == ("Field required", "value_error.missing")
    assert found["number"] == ('"one" is not of type "integer"', "value_error")
    assert found["limited"] == ("11 is greater than the maximum of 10", "value_error")
    assert found["choice"] == ('"z" is not one of ["a","b"]', "value_error")
    assert found["numbers.1"] == ('"two" is not of type "integer"', "value_error")
    assert ["body", "input", "numbers", 1] in [loc for loc, _, _ in problems(answer)]
    for name in found:
        assert name.partition(".")[0] in answer.json()["error"]
    assert list(answer.json()) == ["error", "status", "detail"]


@pytest.mark.parametrize("secret", [5171819, ["sesame51"], {"value": "sesame51"}, 51.71819])
def test_the_value_of_a_wrong_secret_is_never_told(inputs: Server, secret: object) -> None:
    answer = inputs.predict({"needed": "x", "key": secret})
    assert [loc for loc, _, _ in problems(answer)] == [["body", "input", "key"]]
    for text in ("5171819", "sesame51", "51.71819"):
        assert text not in answer.body.decode()
        assert text not in inputs.log


@pytest.mark.parametrize("wrong", ["/etc/hostname", "", "file:///etc/hostname", "ftp://h/x", "own.txt", 5])
def test_only_urls_are_files(inputs: Server, wrong: object) -> None:
    found = problems(inputs.predict({"needed": "x", "data": wrong}))
    assert [loc for loc, _, _ in found] == [["body", "input", "data"]]


def test_validation_needs_no_schema_file(inputs: Server) -> None:
    assert not (inputs.folder / ".cog").exists()
    assert problems(inputs.predict({"needed": 5}))
