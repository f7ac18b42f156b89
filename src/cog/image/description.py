"""Asks the model in an image what it accepts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from cog.errors import ImageFailed, UsageError
from cog.image import calls, names
from cog.image.engine import Engine, RunOrder
from cog.image.labels import Description
from cog.image.plan import SERVER

_ASK: Final = (f"{SERVER}/bin/python", "-I", "-m", "cog.server.describe")


def from_file(path: str) -> Description:
    """What was written down before.

    Raises:
        UsageError: it is no OpenAPI document.
    """
    try:
        found: Any = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"--openapi-schema {path} cannot be read: {error}") from None
    if not isinstance(found, dict) or "openapi" not in found:
        raise UsageError(
            f"--openapi-schema {path} is no OpenAPI document. A server of the model has it at /openapi.json"
        )
    return Description(found)


def from_image(engine: Engine, image: str, *, gpu: bool, warn: Callable[[str], None]) -> Description:
    """What the model in `image` says. One that asks for a GPU may need it for its import: then a warning is enough.

    Raises:
        ImageFailed: it cannot be imported, or no request for it could be checked.
    """
    # env: no name of a variable is given, the image's own count; the model's Python is the one called `python` there.
    order = RunOrder(
        image, names.passing("describe"), ("/usr/bin/env", "COG_WORKER_PYTHON=python", *_ASK), network=False
    )
    done = calls.answer(engine.run(order))
    try:
        told: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        said = done.stderr.strip() or done.stdout.strip()
        raise ImageFailed(
            f"the model in the image cannot be asked what it accepts: no container starts.\n{said}"
        ) from None
    if "error" not in told:
        return Description(told["openapi_schema"], told["pip_freeze"])
    text = "\n".join(filter(None, [told["traceback"].rstrip(), told["error"]]))
    if told["kind"] != "model" or not gpu:
        raise ImageFailed(f"the image is built, but its model cannot be served:\n{text}")
    warn(
        "the image has no schema: its model cannot be imported here, perhaps since there is no GPU. With "
        f"`--openapi-schema FILE` it gets one that you give. {told['error']}"
    )
    return Description(None)
