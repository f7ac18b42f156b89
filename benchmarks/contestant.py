"""What stands between a contestant and a load: a server that is ready, and how it is spoken to."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from benchmarks.works import Work


class Speech(Enum):
    """How an input and an output are written. COG: `{"input": ...}`, `{"output": ..., "status": ...}`; BARE: the input's
    fields, the output itself; ECHO: what came goes back."""

    COG = "cog"
    BARE = "bare"
    ECHO = "echo"


@dataclass(frozen=True)
class Server:
    """A server that answers. `path` is where predictions are made, `pid` the process that was started, `mark` what all
    its processes bear (see processes.py), `started` the seconds from its start until it was ready."""

    port: int
    pid: int
    mark: str
    path: str
    speech: Speech
    started: float = 0.0

    def body(self, input: object, **fields: object) -> bytes:
        """A request for one prediction; `fields` are what only a COG knows, such as its webhook."""
        said = {"input": input, **fields} if self.speech is Speech.COG else input
        return json.dumps(said, separators=(",", ":")).encode()

    def output(self, answer: bytes) -> object:
        """What the model gave.

        Raises:
            ValueError: the answer is none.
        """
        said = json.loads(answer)
        if self.speech is not Speech.COG:
            return said
        if not isinstance(said, dict) or said.get("status") != "succeeded":
            raise ValueError(f"not a prediction that succeeded: {answer[:300]!r}")
        return said["output"]


class Contestant(Protocol):
    """A server that is compared. `key` is its short name for the command line, `title` its name and version for people."""

    @property
    def key(self) -> str: ...

    @property
    def title(self) -> str: ...

    def start(self, work: Work) -> AbstractContextManager[Server]:
        """Serve this work with one copy of the model. Gives the server when it has given right answers."""
        ...
