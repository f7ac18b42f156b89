"""A signature as JSON, for the way from the worker, which reads it off the model, to the server."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Final, cast

from cog.errors import ProtocolError
from cog.signature import kinds
from cog.signature.facts import Batch, Default, Parameter, Result, Signature
from cog.signature.scalars import JSON

# The key that names the class of a written value; no field of ours is called so.
_CLASS: Final = "is"

_CLASSES: Final[dict[str, type]] = {
    cls.__name__: cls
    for cls in (
        kinds.Text, kinds.Integer, kinds.Number, kinds.Boolean, kinds.Anything, kinds.Null, kinds.Mapping,
        kinds.Array, kinds.Tuple, kinds.Union, kinds.Nullable, kinds.Choice, kinds.Formatted, kinds.File,
        kinds.SecretText, kinds.Record, kinds.Member, kinds.Coded, kinds.Wrapped, Default, Parameter, Result, Signature,
        Batch,
    )
}  # fmt: skip

# Known in the worker only: the classes that values are made into, and what makes them.
_NOT_WRITTEN: Final = frozenset({"python", "coder"})


def dump(signature: Signature) -> dict[str, JSON]:
    """`signature` as an object that JSON can carry; `load` gives an equal signature back."""
    return cast("dict[str, JSON]", _write(signature))


def load(data: dict[str, JSON]) -> Signature:
    """The signature that `dump` wrote.

    Raises:
        ProtocolError: `data` is not what `dump` writes, in this version of the package.
    """
    signature = _read(data)
    if not isinstance(signature, Signature):
        raise ProtocolError(f"a signature was expected, but {type(signature).__name__} was sent")
    return signature


def _write(value: object) -> JSON:
    if isinstance(value, Default):
        return {
            _CLASS: "Default",
            "value": value.value,
        }  # as it is: a default may look like one of our objects
    if is_dataclass(value):
        written: dict[str, JSON] = {_CLASS: type(value).__name__}
        for field in fields(value):
            if field.name not in _NOT_WRITTEN:
                written[field.name] = _write(getattr(value, field.name))
        return written
    if isinstance(value, tuple):
        return [_write(item) for item in value]
    return cast("JSON", value)


def _read(data: JSON) -> object:
    if isinstance(data, list):
        return tuple(_read(item) for item in data)
    if not isinstance(data, dict):
        return data
    try:
        if data[_CLASS] == "Default":
            return Default(data["value"])
        cls = _CLASSES[str(data[_CLASS])]
        return cls(**{name: _read(value) for name, value in data.items() if name != _CLASS})
    except (KeyError, TypeError) as error:
        raise ProtocolError(
            f"a signature cannot be read ({type(error).__name__}: {error}). The worker's copy of this "
            "package is probably of another version than the server's"
        ) from error
