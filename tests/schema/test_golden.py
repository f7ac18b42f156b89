"""Models as people write them, and the document that each must have: the rules of names, order, defaults, limits."""

from __future__ import annotations

import json

import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator, validate

from schema.goldens import FOLDER, made, models, shown

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # some are old models


@pytest.mark.parametrize("name", models())
def test_the_document_is_the_one_that_was_looked_over(name: str) -> None:
    wanted = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    found = shown(name)
    assert found == wanted
    assert json.dumps(found) == json.dumps(wanted), "the order of names is another"


@pytest.mark.parametrize("name", models())
def test_the_document_is_valid(name: str) -> None:
    validate(made(name), cls=OpenAPIV30SpecValidator)
