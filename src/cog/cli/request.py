"""What a model is asked from the command line, and where the answer goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cog.cli.given import Given
from cog.cli.order import Order
from cog.client.target import Target, locate


@dataclass(frozen=True, slots=True)
class Request:
    """One request. The model may take `timeout` seconds until it is ready."""

    given: Given
    context: Mapping[str, str]
    target: Target
    timeout: float
    train: bool

    @classmethod
    def read(cls, order: Order, context: Mapping[str, str], *, train: bool) -> Request:
        """The request that `order` means.

        Raises:
            InputError: an input cannot be understood.
            UsageError: there is no such place for the output.
        """
        target = locate(order.output, "weights" if train else "output")
        return cls(Given.read(order.items, order.json), context, target, order.setup_timeout, train)
