"""From what was typed to the input of a prediction."""

from __future__ import annotations

import base64
import functools
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cog.client.inputs import build, check, from_json, live_properties, parse_items, unread
from cog.errors import InputError, UsageError
from cog.schema.openapi import document
from support.sources import ODD, PLAIN, both

Schema: TypeAlias = dict[str, object]
TEXT: Schema = {"type": "string"}
INT: Schema = {"type": "integer"}
FLOAT: Schema = {"type": "number"}
BOOL: Schema = {"type": "boolean"}
FILE: Schema = {"type": "string", "format": "uri"}
SECRET: Schema = {"type": "string", "format": "password", "x-cog-secret": True}
OBJECT: Schema = {"type": "object"}
CHOICE: Schema = {"type": "string", "enum": ["plain", "bold"]}
NULL: Schema = {"nullable": True}
DATE: Schema = {"type": "string", "format": "date"}
PAIR: Schema = {
    "type": "array", "items": {"anyOf": [TEXT, INT]}, "minItems": 2, "maxItems": 2, "x-cog-items": [TEXT, INT],
}  # fmt: skip


def several(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def either(*schemas: Schema) -> Schema:
    return {"anyOf": list(schemas)}


def one(text: str | list[str], schema: Schema, **more: Any) -> object:
    texts = [text] if isinstance(text, str) else text
    return build({"x": texts}, {"x": schema}, complete=True, **more)["x"]


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        act()
    return str(caught.value)


@pytest.mark.parametrize(
    ("items", "given_"),
    [
        (["a=1", "b=x=y", "a=2"], {"a": ["1", "2"], "b": ["x=y"]}),
        (['a="two words"', 'b="', 'c=""', 'd="x'], {"a": ["two words"], "b": ['"'], "c": [""], "d": ['"x']}),
        ([" a =x", "b="], {"a": ["x"], "b": [""]}),
        ([], {}),
    ],
)
def test_items(items: list[str], given_: dict[str, list[str]]) -> None:
    assert parse_items(items) == given_


def test_items_without_a_name_or_a_value() -> None:
    text = refusal(lambda: parse_items(["prompt", "=x", "a=1"]))
    assert text.splitlines()[1:] == [
        "  - -i prompt: write NAME=VALUE, for example -i prompt=hello",
        "  - -i =x: write NAME=VALUE, for example -i prompt=hello",
    ]
    assert isinstance(InputError(["x"]), UsageError)


@pytest.mark.parametrize(
    ("text", "schema", "value"),
    [
        ("a b", TEXT, "a b"),
        ("", TEXT, ""),
        ("5", TEXT, "5"),
        ("null", TEXT | NULL, "null"),
        ("@@me", TEXT, "@me"),
        ("5", INT, 5),
        ("+5", INT, 5),
        ("2147483648", INT, 2147483648),
        (str(10**300 + 1), INT, 10**300 + 1),
        ("2.0", INT, 2),
        ("1e3", INT, 1000),
        ("null", INT | NULL, None),
        ("0.1", FLOAT, 0.1),
        ("16777217.5", FLOAT, 16777217.5),
        (".5", FLOAT, 0.5),
        ("1e-300", FLOAT, 1e-300),
        ("7", FLOAT, 7),
        ("true", BOOL, True),
        ("False", BOOL, False),
        ("bold", CHOICE, "bold"),
        ("2", {"type": "integer", "enum": [1, 2]}, 2),
        ("1", {"enum": ["a", 1]}, 1),
        ("null", CHOICE | NULL, None),
        ('{"a": [1, 2]}', OBJECT, {"a": [1, 2]}),
        ("[1, 2]", several(INT), [1, 2]),
        ("1", several(INT), [1]),
        (["1", "2"], several(INT), [1, 2]),
        ("[]", several(TEXT), []),
        ("[draft] x", several(TEXT), ["[draft] x"]),
        ("[1]", several(several(INT)), [[1]]),
        ("[[1], []]", several(several(INT)), [[1], []]),
        ("https://x/y.png", FILE, "https://x/y.png"),
        ("DATA:,x", FILE, "DATA:,x"),
        ("null", FILE | NULL, None),
        ("5", either(TEXT, INT), 5),
        ("x", either(TEXT, INT), "x"),
        ("null", either(TEXT, INT) | NULL, "null"),
        ("null", either(INT, FLOAT) | NULL, None),
        ("true", either(BOOL, TEXT), True),
        ('{"a":1}', either(TEXT, OBJECT), {"a": 1}),
        (["1", "2"], either(TEXT, several(INT)), [1, 2]),
        ("5", {}, 5),
        ("x", {}, "x"),
        ('"x"', {}, '"x"'),
        ('{"a": null}', {}, {"a": None}),
        ("NaN", {}, "NaN"),
        ("1e999", {}, "1e999"),
        (["1", "x"], {}, [1, "x"]),
        ("s3cret", SECRET, "s3cret"),
        ("2026-01-31", DATE, "2026-01-31"),
        ("null", DATE | NULL, None),
        ("2026-01-31", either(TEXT, DATE), "2026-01-31"),
        ("9.95", {"type": "string", "format": "decimal"}, "9.95"),
        ("anything", {"type": "string", "format": "of another server"}, "anything"),
        ("true", {"enum": [True, "auto"]}, True),
        ("auto", {"enum": [True, "auto"]}, "auto"),
        ("0.5", {"enum": [0.5, 1], "type": "number"}, 0.5),
        ("1", {"enum": ["1", 1]}, "1"),
        ("text", either(FILE, TEXT), "text"),
        ("https://x/y.png", either(TEXT, FILE), "https://x/y.png"),
        ("5", either(FILE, INT), 5),
        (["5", "5"], PAIR, ["5", 5]),
        ('["5", 5]', PAIR, ["5", 5]),
        (["1", "2"], several(DATE | {"format": "x"}), ["1", "2"]),
        ('{"a": {"b": "https://x"}}', OBJECT, {"a": {"b": "https://x"}}),
    ],
)
def test_what_a_text_means(text: str | list[str], schema: Schema, value: object) -> None:
    made = one(text, schema)
    assert made == value
    assert type(made) is type(value)


@pytest.mark.parametrize(
    ("text", "schema", "message"),
    [
        ("abc", INT, '-i x=abc: "abc" is no whole number'),
        ("1.5", INT, "-i x=1.5: 1.5 is no whole number"),
        ("1_000", INT, '-i x=1_000: "1_000" is no whole number'),
        ("", INT, '-i x=: "" is no whole number'),
        ("null", INT, '-i x=null: "null" is no whole number'),
        ("nan", FLOAT, '-i x=nan: "nan" is no number'),
        ("inf", FLOAT, '-i x=inf: "inf" is no number'),
        ("1e999", FLOAT, "-i x=1e999: 1e999 is out of range: numbers go up to about 1.8e308"),
        ("yes", BOOL, '-i x=yes: "yes" is neither true nor false'),
        ("blod", CHOICE, '-i x=blod: "blod" is not one of: plain, bold. Did you mean bold?'),
        ("0", INT | {"minimum": 1}, "-i x=0: 0 is less than the minimum of 1"),
        ("9.5", FLOAT | {"maximum": 9}, "-i x=9.5: 9.5 is greater than the maximum of 9"),
        ("a", TEXT | {"minLength": 2}, '-i x=a: "a" is shorter than 2 characters'),
        ("abc", TEXT | {"maxLength": 1}, '-i x=abc: "abc" is longer than 1 character'),
        ("a", TEXT | {"pattern": "^b"}, '-i x=a: "a" does not match "^b"'),
        ("[1, true]", several(INT), "-i x=[1, true]: item 2: true is no whole number"),
        (["1", "y"], several(INT), '-i x=...: item 2: "y" is no whole number'),
        ("[1", several(INT), "-i x=[1: it is no JSON array: expecting ',' delimiter at column 3"),
        (["1", "2"], INT, "-i x=...: it was given 2 times, but takes one value: whole number"),
        ("[1]", OBJECT, "-i x=[1]: [1] is no JSON object"),
        ("{a}", OBJECT, '-i x={a}: it is no JSON object such as {"a": 1}: expecting property name enclosed in double quotes'),
        ("x", either(INT, BOOL), '-i x=x: "x" is not a whole number or true or false'),
        ("photo.jpg", FILE, "-i x=photo.jpg: a file is wanted: write -i x=@FILE, or a URL that begins with https:// or data:"),
        ("@", TEXT, "-i x=@: no file is named behind the @. Write @FILE, or @@ for a text that begins with @"),
        ("9" * 5000, INT, f"-i x={'9' * 40}...: a number of 5,000 digits is too long: Python reads at most 4,300"),
        ("tomorrow", DATE, '-i x=tomorrow: "tomorrow" is no date such as 2026-01-31'),
        ("2026-02-30", either(DATE, INT), '-i x=2026-02-30: "2026-02-30" is not a date or whole number'),
        ("True", {"enum": ["auto"]}, '-i x=True: "True" is not one of: auto'),
        ("5", PAIR, "-i x=5: 1 items are too few: at least 2 are wanted"),
        (["a", "b"], PAIR, '-i x=...: item 2: "b" is no whole number'),
        (["a", "1", "c"], PAIR, "-i x=...: 3 items are too many: at most 2 are wanted"),
        ("photo.jpg", either(FILE, INT), "-i x=photo.jpg: a file is wanted"),
        ("a\udcffb", TEXT, r"-i x=a\udcffb: it holds bytes that are not UTF-8. Send them as a file: @FILE"),
    ],
)  # fmt: skip
def test_what_does_not_fit(text: str | list[str], schema: Schema, message: str) -> None:
    assert refusal(lambda: one(text, schema)).startswith(message)


def test_everything_that_is_wrong_is_named_at_once() -> None:
    properties: dict[str, Any] = {"prompt": TEXT, "image": FILE, "steps": INT, "style": CHOICE}
    text = refusal(
        lambda: build(
            parse_items(["stpes=3", "style=x", "nothing_like_it=1"]),
            properties,
            ["prompt", "image"],
            complete=True,
        )
    )
    assert text.splitlines() == [
        "the input does not fit the model:",
        "  - -i stpes: the model has no such input. Did you mean steps? Its inputs: prompt, image, steps, style",
        '  - -i style=x: "x" is not one of: plain, bold',
        "  - -i nothing_like_it: the model has no such input. Its inputs: prompt, image, steps, style",
        "  - prompt: Field required; write -i prompt=TEXT",
        "  - image: Field required; write -i image=@FILE",
    ]


def test_names_that_may_be_there_pass() -> None:
    assert build({"a": ["1"]}, {}, complete=False) == {"a": 1}
    assert "has no inputs" in refusal(lambda: build({"a": ["1"]}, {}, complete=True))


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    for texts in (["hunter2", "hunter2"], [f"@{tmp_path}/hunter2"], ["hunter2\udcff"]):
        text = refusal(functools.partial(build, {"key": texts}, {"key": SECRET}, complete=True))
        assert "hunter2" not in text.replace(str(tmp_path / "hunter2"), "")
    assert "hunter2" not in refusal(lambda: check({"key": ["hunter2"]}, {"key": SECRET}, complete=True))


def test_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photo.PNG").write_bytes(b"\x89PNG")
    (tmp_path / "settings.json").write_text('{"a": 1}')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    url = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
    for schema in (FILE, TEXT, {}, FILE | NULL, either(TEXT, INT)):
        for name in ("@photo.PNG", "@~/photo.PNG", f"@{tmp_path}/photo.PNG"):
            assert one(name, schema) == url
    assert one(["@photo.PNG", "https://x"], several(FILE)) == [url, "https://x"]
    assert one('["@photo.PNG", "https://x"]', several(FILE)) == [url, "https://x"]
    assert one("@settings.json", OBJECT) == {"a": 1}
    path = str(tmp_path / "photo.PNG")
    assert one("@photo.PNG", FILE, files_as="path") == path
    assert one(["@photo.PNG"], several(FILE), files_as="path") == [path]
    assert one("@photo.PNG", TEXT, files_as="path") == url  # a text is the content, wherever the model runs
    assert one("photo.PNG", TEXT) == "photo.PNG"


def test_a_file_within_something(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hi")
    path, url = f"{tmp_path}/a.txt", "data:text/plain;base64,aGk="
    photo = OBJECT | {"properties": {"image": FILE, "more": several(FILE), "note": TEXT}}
    text = json.dumps({"image": f"@{path}", "more": [f"@{path}"], "note": "@kept", "other": "@kept"})
    expected = {"image": url, "more": [url], "note": "@kept", "other": "@kept"}
    assert one(text, photo) == expected
    assert one(f"[{text}]", several(photo)) == [expected]
    # To a server on this machine a path is enough, but not where it could as well be a text.
    assert one(f"@{path}", either(FILE, INT), files_as="path") == path
    assert one(f"@{path}", either(FILE, TEXT), files_as="path") == url
    assert one(f"@{path}", either(TEXT, FILE)) == url


def test_a_file_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    assert "to send the file, write -i x=@photo.jpg" in refusal(lambda: one("photo.jpg", FILE))
    assert f"there is no file {tmp_path}/foto.jpg" in refusal(lambda: one("@foto.jpg", FILE))
    assert f"there is no file {tmp_path}/photo.jpg/x" in refusal(lambda: one("@photo.jpg/x", TEXT))
    assert f"{tmp_path}/folder is a folder" in refusal(lambda: one("@folder", FILE, files_as="path"))
    assert "there is no file" in refusal(lambda: one("@a\0b", FILE))
    assert "to send the file" in refusal(lambda: one("photo.jpg", FILE, files_as="path"))


def test_a_file_is_not_read_for_a_check(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x")
    for schema in (
        FILE,
        TEXT | {"minLength": 5, "maxLength": 6, "pattern": "^q"},
        CHOICE,
        {},
        several(FILE),
        either(TEXT, INT),
    ):
        one(f"@{tmp_path}/big", schema, read_file=unread)
    assert "there is no file" in refusal(lambda: one(f"@{tmp_path}/bag", FILE, read_file=unread))


def test_the_media_type_and_the_bytes_of_a_pipe(tmp_path: Path) -> None:
    import os
    import threading

    pipe = tmp_path / "pipe.txt"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"hello",))
    writer.start()
    assert one(f"@{pipe}", FILE, files_as="path") == "data:text/plain;base64,aGVsbG8="
    writer.join()


@given(st.integers())
def test_integers_survive(number: int) -> None:
    for schema in (INT, FLOAT, {}, either(TEXT, INT)):
        assert one(str(number), schema) == number
        assert one([str(number), "1"], several(schema)) == [number, 1]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_survive(number: float) -> None:
    for schema in (FLOAT, {}, either(TEXT, FLOAT)):
        made = one(repr(number), schema)
        assert isinstance(made, float)
        assert math.copysign(1, made) == math.copysign(1, number)
        assert made == number


_SCHEMAS: Any = st.recursive(
    st.sampled_from([TEXT, INT, FLOAT, BOOL, FILE, SECRET, OBJECT, CHOICE, {}, {"enum": [1, "1", None]}, {"type": 5},
                     {"type": "string", "pattern": "("}, {"minimum": "x"}, {"anyOf": 3}, {"enum": None}, several(INT)]),
    lambda inner: st.one_of(
        inner.map(several), st.lists(inner, max_size=3).map(lambda many: {"anyOf": many}),
        inner.map(lambda schema: {**schema, "nullable": True}),
    ),
    max_leaves=4,
)  # fmt: skip
_ANY_TEXT = st.one_of(
    st.text(),
    st.text(st.characters()),
    st.sampled_from(["@", "@/", "@~", "@.", "@\0", "@@", "[", "{", "[[[1", '{"a":1}', "[1,2]", "null", "true", "1e999", "-0.0",
                     "[" * 100_000, "9" * 5000, "[1e999]", '"', "data:,x", "~x", "\udcff", "@\udcff"]),
)  # fmt: skip


@given(st.lists(_ANY_TEXT, max_size=4), _SCHEMAS, st.booleans(), st.sampled_from(["path", "data_url"]))
def test_nothing_but_an_input_error(texts: list[str], schema: Schema, complete: bool, how: Any) -> None:
    try:
        items = parse_items([f"x={text}" for text in texts] + texts[:1])
        json.dumps(build(items, {"x": schema}, ["y"], complete=complete, files_as=how), allow_nan=False)
    except InputError as error:
        str(error).encode()


@given(st.dictionaries(st.text(max_size=3), _ANY_TEXT, max_size=3), _SCHEMAS)
def test_nothing_but_an_input_error_for_json(values: dict[str, str], schema: Schema) -> None:
    for text in (json.dumps(values), "".join(values.values())):
        try:
            made = from_json(text, io.StringIO(text))
            check(made, dict.fromkeys(values, schema), ["y"], complete=True)
        except InputError as error:
            str(error).encode()


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=_ANY_TEXT, how=st.sampled_from(["path", "data_url"]))
@pytest.mark.parametrize("name", [*PLAIN, *ODD])
def test_what_the_source_refuses_the_model_refuses(name: str, text: str, how: Any, tmp_path: Path) -> None:
    outline, signature = _known(name, tmp_path)
    properties, required = live_properties(document(signature))
    for parameter in [*properties, *outline.properties, "nothing"]:
        for items in ({parameter: [text]}, {parameter: [text, text]}):
            try:
                build(
                    items, outline.properties, (), complete=outline.complete, read_file=unread, files_as=how
                )
            except InputError:
                with pytest.raises(InputError):
                    build(items, properties, (), complete=True, files_as=how)
    assert set(outline.required) <= set(required)


_read: dict[str, Any] = {}


def _known(name: str, folder: Path) -> Any:
    if name not in _read:
        _read[name] = both(folder, {**PLAIN, **ODD}[name])
    return _read[name]


def test_json_in_every_place(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text(
        '\ufeff{"a": 1, "big": 123456789012345678901234567890}', encoding="utf-8"
    )
    expected = {"a": 1, "big": 123456789012345678901234567890}
    assert from_json(f"@{tmp_path}/in.json", io.StringIO()) == expected
    assert from_json(json.dumps(expected), io.StringIO()) == expected
    for text in ("-", "@-"):
        assert from_json(text, io.StringIO('{"a": "é"}')) == {"a": "é"}
        assert from_json(text, io.BytesIO('{"a": "é"}'.encode())) == {"a": "é"}


def test_json_names_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hi")
    path = f"{tmp_path}/a.txt"
    text = json.dumps({"file": f"@{path}", "text": "@@x", "deep": {"not": "@this"}})
    url = "data:text/plain;base64,aGk="
    assert from_json(text, io.StringIO()) == {"file": url, "text": "@x", "deep": {"not": "@this"}}
    made = from_json(text, io.StringIO(), properties={"file": FILE}, files_as="path")
    assert made["file"] == path
    check(made, {"file": FILE, "text": TEXT, "deep": OBJECT}, complete=True, files_as="path")
    missing = refusal(lambda: from_json('{"a": "@nope", "b": "@"}', io.StringIO()))
    assert f"a: there is no file {Path.cwd()}/nope" in missing
    assert "b: no file is named" in missing


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"a": 1,\n "b" 2}',
            "--json: this is no JSON: line 2, column 6: expecting ':' delimiter\n     \"b\" 2}\n         ^",
        ),
        ('{"a": NaN}', "--json: this is no JSON: NaN is no JSON."),
        ('{"a": 1e999}', "--json: this is no JSON: 1e999 is out of range"),
        ("[1]", '--json: this is no JSON object. Write the inputs by name, for example {"prompt": "hello"}.'),
        ("", "--json: this is no JSON: line 1, column 1: expecting value"),
        ("@nothing.json", "--json @nothing.json: there is no file /"),
        ("@", "--json @: no file is named"),
    ],
)
def test_what_is_no_json(text: str, message: str) -> None:
    assert refusal(lambda: from_json(text, io.StringIO())).startswith(message)


def test_a_json_file_without_its_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert "write --json @in.json" in refusal(lambda: from_json("in.json", io.StringIO()))
    (tmp_path / "in.json").write_bytes(b"\xff")
    assert "is not UTF-8" in refusal(lambda: from_json("@in.json", io.StringIO()))


def test_json_is_checked_as_well() -> None:
    properties: dict[str, Any] = {
        "n": INT | {"minimum": 1},
        "file": FILE,
        "maybe": TEXT | NULL,
        "any": {},
        "list": several(INT),
        "c": CHOICE,
    }
    check(
        {"n": 2.0, "file": "https://x", "maybe": None, "any": None, "list": [1], "c": "bold"},
        properties,
        complete=True,
    )
    text = refusal(
        lambda: check(
            {"n": 0, "file": "a.png", "list": [1, "x"], "c": None, "q": 1},
            properties,
            ["maybe"],
            complete=True,
        )
    )
    assert text.splitlines()[1:] == [
        "  - n: 0 is less than the minimum of 1",
        '  - file: "a.png" is no http, https or data URL; to send a file, write "@a.png"',
        '  - list: item 2: "x" is no whole number',
        "  - c: null is not one of: plain, bold",
        "  - q: the model has no such input. Its inputs: n, file, maybe, any, list, c",
        "  - maybe: Field required",
    ]


def test_the_document_of_an_older_cog() -> None:
    worked = json.loads((Path(__file__).parents[1] / "schema" / "worked_example.json").read_text())
    properties, required = live_properties(worked)
    assert list(properties)[:3] == ["prompt", "steps", "style"]
    assert required == ("prompt",)
    made = build(
        parse_items(["prompt=x", "style=bold", "extra=5", "seed=null", "tags=a", "tags=b"]),
        properties,
        required,
        complete=True,
    )
    assert made == {"prompt": "x", "style": "bold", "extra": 5, "seed": None, "tags": ["a", "b"]}


def test_other_documents() -> None:
    schemas = {
        "Input": {
            "properties": {
                "b": {"anyOf": [{"type": "integer"}, {"type": "null"}], "x-order": 1},
                "a": {"type": ["string", "null"], "x-order": 0},
                "c": {"oneOf": [{"type": "integer"}, {"$ref": "#/components/schemas/Loop"}], "x-order": 2},
                "d": {"type": "array", "items": {"$ref": "#/components/schemas/E"}, "x-order": 3},
            }
        },
        "Loop": {"allOf": [{"$ref": "#/components/schemas/Loop"}]},
        "E": {"enum": [1, 2], "type": "integer"},
    }
    properties, required = live_properties({"components": {"schemas": schemas}})
    assert required == ()
    assert list(properties) == ["a", "b", "c", "d"]
    made = build(parse_items(["a=x", "b=null", "c=5", "d=1", "d=2"]), properties, complete=True)
    assert made == {"a": "x", "b": None, "c": 5, "d": [1, 2]}


@given(st.recursive(st.none() | st.booleans() | st.text(max_size=3) | st.integers(), lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["components", "schemas", "Input", "properties", "allOf", "anyOf", "type", "$ref", "x-order",
                                       "required", "items", "a"]), inner, max_size=4), max_leaves=12))  # fmt: skip
def test_any_document(found: object) -> None:
    for made in (
        found,
        {"components": {"schemas": found}},
        {"components": {"schemas": {"Input": {"properties": {"a": found}}}}},
    ):
        live_properties(made)
