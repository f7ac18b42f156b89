"""The Dockerfile of each of `golden/`, as it was looked over."""

from __future__ import annotations

import re

import pytest

from image.goldens import FOLDER, cases, made


@pytest.mark.parametrize("name", cases())
def test_the_dockerfile_is_the_one_that_was_looked_over(name: str) -> None:
    assert made(name) == (FOLDER / name / "Dockerfile").read_text()


@pytest.mark.parametrize("name", cases())
def test_what_changes_most_comes_last(name: str) -> None:
    """After each of these lines everything is made anew when it changes."""
    found = made(name)
    order = [
        "apt-get install",
        "uv venv",
        "The model's packages",
        "`run` of cog.yaml",
        "CMD",
        "ADD weights.tar",
        "ADD source.tar",
    ]
    places = [found.index(words) for words in order if words in found]
    assert places == sorted(places)
    assert len(places) >= 3


def test_there_is_one_for_whatever_can_be_asked_for() -> None:
    texts = "".join((FOLDER / name / "cog.yaml").read_text() for name in cases())
    for key in (
        "gpu",
        "cuda",
        "python_requirements",
        "python_packages",
        "system_packages",
        "run",
        "pre_install",
        "base_image",
    ):
        assert re.search(rf"^  {key}:", texts, re.MULTILINE), key
    assert len(cases()) >= 12
