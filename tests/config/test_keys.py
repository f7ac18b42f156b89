"""The table of keys, the parser and the JSON Schema say the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator  # type: ignore[import-untyped]

from cog.config import schema
from cog.config.document import read
from cog.config.keys import CHILDREN, KEYS, Key
from cog.config.model import Config
from cog.config.parse import load
from cog.errors import ConfigError
from config.documents import around, example, plain

SCHEMA = Draft7Validator(schema.document())
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def parsed(folder: Path, text: str) -> Config | None:
    """What the parser makes of a file; None where it refuses it."""
    path = folder / "cog.yaml"
    path.write_text(text, encoding="utf-8")
    try:
        return load(path, check_files=False)
    except ConfigError:
        return None


def allowed(text: str) -> bool:
    """The verdict of the schema."""
    root, _ = read(text.encode())
    return bool(SCHEMA.is_valid(plain(root)))


def test_the_schema_is_one() -> None:
    Draft7Validator.check_schema(schema.document())
    assert json.loads(schema.text()) == schema.document()


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.path)
def test_each_key_is_read_and_its_example_is_right(key: Key, tmp_path: Path) -> None:
    text = json.dumps(around(key, example(key)))
    config = parsed(tmp_path, text)
    assert config is not None
    assert allowed(text)
    without = json.dumps(around(key, ...))
    if key.required:
        assert parsed(tmp_path, without) is None
        assert not allowed(without)
    elif key.example:
        assert config != parsed(tmp_path, without)
    if key.instead is not None:
        assert f'deprecated field "{key.path}": use "{key.instead}" instead' in config.warnings
    else:
        assert not [text for text in config.warnings if f'"{key.path}"' in text]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.path)
def test_null_is_as_good_as_none(key: Key, tmp_path: Path) -> None:
    text = json.dumps(around(key, None))
    assert (parsed(tmp_path, text) is not None) == allowed(text) == (not key.required)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.path)
@pytest.mark.parametrize(
    "value", [{"odd": 1}, [["a"]], [{}, 5], 5.5, -1, True, "", " ", "\\", "a\rb"], ids=repr
)
def test_what_the_schema_refuses_the_parser_refuses(key: Key, value: Any, tmp_path: Path) -> None:
    text = json.dumps(around(key, value))
    assert allowed(text) or parsed(tmp_path, text) is None


# What only the parser sees: other keys, things given twice, fine points of versions.
BEYOND = (
    'build: {python_version: "3.10"}\nconcurrency: {max: 2}',
    'build: {sdk_version: "0.15.9"}',
    'build: {cudnn: "8", cuda: "13.0"}',
    "environment: [A=1, A=2]",
    "model: m\nweights: [{name: a, target: /a, source: {uri: b}}, {name: a, target: /b, source: {uri: b}}]",
    "model: m\nweights: [{name: a, target: /a, source: {uri: s3://b}}]",
    'run: "a.py:not-a-name"',
)
BOTH = (
    "fast: true", "tests: []", "run: 5", "run: [a]", "run: x", "run: a.py:x y", "run: a.py:X\npredict: a.py:X",
    "image: a\nmodel: b", "model: me/x:latest", "model: me/x@sha256:1", "[1]", "text", "5",
    "build: {python_version: '3'}", "build: {python_version: 3.9.1}", "build: {python_version: '2.7'}",
    "build: {python_version: 3.0}", "build: {cuda: '10.2'}", "build: {cuda: 10}", "build: {cudnn: 7}", "build: {cudnn: x}",
    "build: {sdk_version: new}", "build: {gpu: maybe}", "build: {gpu: 1}", "build: {python_packages: torch}",
    "build: {python_requirements: x, python_packages: [a]}", 'build: {run: ["a\\nb"]}', "build: {run: [{mounts: []}]}",
    "build: {run: make}", "build: {run: [{command: a, mounts: [{type: bind, id: a, target: /a}]}]}",
    "build: {run: [{command: a, mounts: [{type: secret}]}]}", "environment: [A]", "environment: [1A=1]", "environment: {A: b}",
    *(f"environment: [{name}=1]" for name in ("PATH", "PYTHONPATH", "HF_ENDPOINT", "CUDA_HOME", "R8_X", "OTEL_X")),
    "concurrency: {max: 0}", "concurrency: {max: 100000000}", "concurrency: {max: two}", "concurrency: 4",
    "weights: [{name: a, target: /a, source: {uri: b}}]", "model: m\nweights: [{name: A, target: /a, source: {uri: b}}]",
    "model: m\nweights: [{name: a, target: /, source: {uri: b}}]", "model: m\nweights: [{name: a, target: /a, source: {}}]",
    "model: m\nweights: [{name: a, target: /a/../b, source: {uri: b}}]", "model: m\nweights: [{name: a, target: /a, source: []}]",
    "model: m\nweights: [{name: a, target: /a, source: {uri: b, include: ['!c']}}]", "model: m\nweights: [null]",
    "observability: {traces: {trace_header_format: x}}", "observability: {logs: true}", "observability: {traces: [a]}",
)  # fmt: skip
FINE = (
    "", "~", "build:\n", "build: {python_version: 3.10, cuda: 12.4, cudnn: 9, gpu: yes}", "build: {python_version: 3.13.1}",
    "build: {python_version: 3.100}", "build: {sdk_version: 0.100}", "build: {sdk_version: prerelease}",
    "build: {sdk_version: v1!0.16.1rc2}", "build: {run: [make, {command: make}, |\n make\n]}".replace("|\n make\n", "'x'"),
    "build:\n  run:\n    - |\n      make all\n", "run: run.py", "run: src/my run.py:Runner", "run: null\npredict: a.py:A",
    "image: null\nmodel: me/x", "model: localhost:5000/me/x", "environment: [A=, B=x y, _9='q', PATHS=1, NVIDIA=1]",
    "environment: []\nweights: []", "model: m\nweights: [{name: a, target: //a, source: [{uri: ./b}, {uri: HF://c}]}]",
    "model: m\nweights: [{name: a-b.c, target: /a/..b, source: {uri: b, exclude: ['*', a!]}}]",
    "observability: {traces: {sampler_arg: 0.5, enabled: off, trace_header_format: null}}", "concurrency: {max: 1}",
)  # fmt: skip


@pytest.mark.parametrize("text", BOTH)
def test_both_refuse(text: str, tmp_path: Path) -> None:
    assert parsed(tmp_path, text) is None
    assert not allowed(text)


@pytest.mark.parametrize("text", BEYOND)
def test_the_parser_alone_refuses(text: str, tmp_path: Path) -> None:
    assert parsed(tmp_path, text) is None
    assert allowed(text)


@pytest.mark.parametrize("text", FINE)
def test_both_accept(text: str, tmp_path: Path) -> None:
    assert parsed(tmp_path, text) is not None
    assert allowed(text)


def test_the_examples_keep_to_the_schema() -> None:
    found = sorted(EXAMPLES.glob("*/cog.yaml"))
    assert len(found) >= 5
    for path in found:
        assert allowed(path.read_text(encoding="utf-8")), path


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 10**12), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8),
    st.sampled_from(["3.10", "12.4", "a.py:B", "A=b", "/a", "0.16.0", "hf://x", "*.bin", "\n", "a\n", "\x85", "\u2028"]),
    st.lists(st.one_of(st.none(), st.integers(), st.text(max_size=4)), max_size=2), st.just({}),
)  # fmt: skip


def values(path: str) -> st.SearchStrategy[dict[str, Any]]:
    """Mappings for the place `path`: mostly as they should be."""
    known = {name: one(key) for name, key in CHILDREN[path].items()}
    needed = {name: known.pop(name) for name in [*known] if CHILDREN[path][name].required}
    return st.fixed_dictionaries(needed, optional=known)


def one(key: Key) -> st.SearchStrategy[Any]:
    """Values of one key."""
    right: st.SearchStrategy[Any] = st.just(example(key))
    if key.path in CHILDREN:
        inner = values(key.path)
        right = st.lists(inner, max_size=2) if "list of" in key.kind else inner
    return st.integers(0, 30).flatmap(lambda number: ODD if number == 0 else right)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for all examples of a property."""
    return tmp_path_factory.mktemp("said")


@settings(deadline=None, max_examples=120)
@given(values(""))
def test_what_the_parser_accepts_the_schema_accepts(folder: Path, said: dict[str, Any]) -> None:
    text = json.dumps(said, ensure_ascii=False)
    accepted = parsed(folder, text) is not None
    event(f"the parser {'accepts' if accepted else 'refuses'} it")
    if accepted:
        assert allowed(text)
