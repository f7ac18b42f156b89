"""Which predictions may share a call of the model: those with equal values where that matters (`@batch(same=...)`)."""

from __future__ import annotations

import json
from collections.abc import Mapping

from cog.signature.facts import Parameter, Signature


class Kin:
    """Compares inputs of one model."""

    def __init__(self, signature: Signature) -> None:
        names = () if signature.batch is None else signature.batch.same
        self.names = frozenset(names)
        self._defaults = {
            parameter.name: _default(parameter)
            for parameter in signature.parameters
            if parameter.name in self.names
        }

    def of(self, texts: Mapping[str, bytes]) -> bytes:
        """A text that is the same for inputs of equal values only. `texts` has the values as JSON; one that was not sent
        is the default."""
        return b"\n".join(
            _canonical(json.loads(texts[name])) if name in texts else default
            for name, default in self._defaults.items()
        )


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _default(parameter: Parameter) -> bytes:
    return b"" if parameter.default is None else _canonical(parameter.default.value)
