"""What is known of a model, as frozen values. The worker reads it off the model's code and sends it to the server,
which builds the validator and the OpenAPI document from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from cog.signature.kinds import Kind
from cog.signature.scalars import JSON


@dataclass(frozen=True, slots=True)
class Default:
    """The value of a parameter that is not sent. `value` is its JSON form."""

    value: JSON


@dataclass(frozen=True, slots=True)
class Parameter:
    """One input of the model.

    `kind` is `Nullable` when null is accepted. `default` is None when there is none: then the parameter is required.
    A default that has no JSON form (an object made by the model's code) is `opaque_default`: nothing to show,
    nothing to send.
    """

    name: str
    kind: Kind
    default: Default | None = None
    opaque_default: bool = False
    description: str | None = None
    ge: float | None = None
    le: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    regex: str | None = None
    choices: tuple[str | int, ...] | None = None
    deprecated: bool = False
    accept: str | None = None

    @property
    def required(self) -> bool:
        """True when a request without this parameter is refused."""
        return self.default is None and not self.opaque_default


@dataclass(frozen=True, slots=True)
class Result:
    """What the model returns. `iterator`: it yields values of `kind`; `concatenate`: which are parts of one text."""

    kind: Kind
    iterator: bool = False
    concatenate: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """How predictions share a call of the model (`@batch`): up to `max_size` of them, the first of which waits `max_wait`
    seconds for others; with equal values in the parameters named in `same`, which are passed once and not as lists."""

    max_size: int
    max_wait: float
    same: tuple[str, ...] = ()


CallStyle: TypeAlias = Literal["function", "generator", "coroutine", "async generator"]


@dataclass(frozen=True, slots=True)
class Signature:
    """A model as the server sees it.

    `style` says how `run` is called; `streaming` that it was decorated with `@streaming`; `max_concurrency` is what
    `@concurrent(max=N)` said, None without it; `healthcheck` that the model has one. With `batch` one call is for several
    predictions; `parameters` and `result` are those of a single one.
    """

    parameters: tuple[Parameter, ...]
    result: Result
    style: CallStyle = "function"
    streaming: bool = False
    max_concurrency: int | None = None
    healthcheck: bool = False
    batch: Batch | None = None

    @property
    def is_async(self) -> bool:
        """True for a model that serves several predictions on one event loop."""
        return self.style in ("coroutine", "async generator")

    @property
    def yields(self) -> bool:
        """True for a model whose output is the list of what it yields."""
        return self.style in ("generator", "async generator")
