"""What is said of a file that an input names: the way to write a text that begins with @ only where a text is taken."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from cog.cli.given import Given
from cog.client.input_files import Files, Wrong
from cog.client.input_values import value
from cog.client.inputs import from_json
from cog.errors import InputError
from support.serving import write_model

HINT = "a text that begins with @ is written @@"
TEXT: dict[str, Any] = {"type": "string"}
FILE: dict[str, Any] = {"type": "string", "format": "uri"}


@pytest.mark.parametrize(
    ("schema", "hinted"),
    [
        (TEXT, True),
        ({}, True),
        ({"anyOf": [FILE, TEXT]}, True),
        (FILE, False),
        (FILE | {"nullable": True}, False),
        ({"type": "array", "items": FILE}, False),
        ({"anyOf": [FILE, {"type": "integer"}]}, False),
        ({"type": "object"}, False),
    ],
)
@pytest.mark.parametrize("text", ["@nope", "@"])
def test_of_an_input(tmp_path: Path, schema: dict[str, Any], text: str, hinted: bool) -> None:
    with pytest.raises(Wrong) as wrong:
        value("x", [f"@{tmp_path}/nope" if text == "@nope" else text], schema, Files())
    assert ("@@" in str(wrong.value)) is hinted, wrong.value
    assert ("there is no file" if text == "@nope" else "no file is named") in str(wrong.value)


@pytest.mark.parametrize("text", ["@/no/such", "@"])
def test_of_json_itself(text: str) -> None:
    with pytest.raises(InputError) as wrong:
        from_json(text, io.StringIO())
    assert "@@" not in str(wrong.value)


@pytest.mark.parametrize(
    ("found", "wrong"), [("/tmp", False), ("https://x/y", False), ("in.txt", True), ('"in".txt', True)]
)
def test_a_path_in_json_is_not_taken_for_one_of_the_models_folder(
    tmp_path: Path, found: str, wrong: bool
) -> None:
    """A model runs in its own folder; whoever asks it may be in another one."""
    source = "from cog import BaseRunner, Path\nclass Runner(BaseRunner):\n    def run(self, image: Path, images: list[Path]) -> str: ...\n"
    folder = write_model(tmp_path, source)
    given = Given({}, json.dumps({"image": found, "images": ["/tmp", found]}), b"")
    if not wrong:
        given.check(folder, "run.py:Runner", None)
        return
    with pytest.raises(InputError) as refused:
        given.check(folder, "run.py:Runner", None)
    told = str(refused.value)
    assert (
        f'image: {json.dumps(found)} is no http, https or data URL; to send a file, write "@{found}"' in told
    )
    assert (
        f"images: {json.dumps(found)} is no http, https or data URL; to send a file, write its absolute"
        in told
    )


def test_of_what_stands_in_json(tmp_path: Path) -> None:
    source = "from cog import BaseRunner, Path\nclass Runner(BaseRunner):\n    def run(self, image: Path, text: str) -> str: ...\n"
    folder = write_model(tmp_path, source)
    given = Given({}, json.dumps({"image": "@/no/such", "text": "@/no/such"}), b"")
    with pytest.raises(InputError) as wrong:
        given.check(folder, "run.py:Runner", None)
    assert [HINT in line for line in str(wrong.value).splitlines() if "there is no file" in line] == [
        False,
        True,
    ]
