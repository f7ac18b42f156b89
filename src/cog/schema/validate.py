"""The check of a request's input, before anything of the model's is touched.

The good path is one decode by msgspec into a struct that is made from the signature. What it refuses, or
cannot express, goes to the complete rules of `cog.signature.rules`, which name every error, or accept (2.0
for an integer, names that the model lacks). So the fast check may refuse too much, but never accept too much.

Of a large input no more is read than must be: what the model takes as it is (`Any`, `dict`, `list`) need only be JSON,
and names that the model lacks are passed over.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, NoReturn, TypeAlias

import msgspec
from msgspec import UNSET, Raw

from cog.errors import InvalidRequest, Problem, SignatureError
from cog.schema.types import FastType, parameter_type, unread
from cog.signature.facts import Parameter, Signature
from cog.signature.rules import check_input, check_parameter

# An input of more bytes is a large one; with more colons than this it may hold many names.
LARGE: Final = 64 * 1024
_MANY_NAMES: Final = 10_000

# What stands for a large object or list whose content is not checked.
_AS_GOOD: Final[dict[bytes, object]] = {b"{": {}, b"[": []}

# A number beyond the range of a float, or an integer of thousands of digits, has one of these in it.
_FAR: Final = (b"e000", b"e+000", b"0" * 200)
_DIGITS: Final = bytes(
    0x30 if chr(byte).isdigit() and byte < 128 else {0x45: 0x65, 0x65: 0x65, 0x2B: 0x2B}.get(byte, 0x20)
    for byte in range(256)
)

_decode_texts: Final = msgspec.json.Decoder(dict[str, Raw]).decode

Fields: TypeAlias = list[tuple[str, FastType] | tuple[str, FastType, Any]]


class Validator:
    """Checks inputs against one signature. With `local_files` a file may be any path instead of a URL."""

    def __init__(self, signature: Signature, *, local_files: bool = False) -> None:
        """Prepare the fast check.

        Raises:
            SignatureError: a regex of the model cannot be compiled by this Python.
        """
        self._signature = signature
        self._names: dict[str, str] = {}
        self._local_files = local_files
        self._remaining: list[tuple[str, Parameter]] = []
        self._unread: dict[str, bytes] = {}
        self._decode = self._decoder().decode
        self._decode_large = self._decoder_of_large().decode
        self._decode_known = self._decoder_of_known().decode

    def check(self, raw: bytes) -> bool:
        """Check `raw`, the JSON text of an input.

        True when the fast check accepted it: then it holds no name that the model lacks. False when the
        complete one did.

        Raises:
            InvalidRequest: with everything that is wrong.
        """
        try:
            fields = self._decode(raw) if len(raw) <= LARGE or _far(raw) else self._scan(raw)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            # Which of them is of no interest: the complete check finds out, and says it better.
            self._check_completely(raw)
            return False
        for field, parameter in self._remaining:
            value = getattr(fields, field)
            if value is not UNSET and self._refused(parameter, value):
                self._check_completely(raw)
                return False
        return True

    def texts(self, raw: bytes) -> tuple[dict[str, bytes], list[str]]:
        """The JSON text of each value in `raw`, an object that was read before, for which the model has an input; and the
        names for which it has none. Where there may be very many of these, none is told."""
        if raw.count(b":") > _MANY_NAMES:
            return self._texts_of_many(raw), []
        every = _decode_texts(raw)
        known = {name: bytes(text) for name, text in every.items() if name in self._names}
        return known, [name for name in every if name not in known]

    def _texts_of_many(self, raw: bytes) -> dict[str, bytes]:
        fields = self._decode_known(raw)
        texts = ((name, getattr(fields, field)) for name, field in self._names.items())
        return {name: bytes(text) for name, text in texts if text is not UNSET}

    def _decoder(self) -> msgspec.json.Decoder[Any]:
        fields: Fields = []
        for index, parameter in enumerate(self._signature.parameters):
            _compile(parameter)
            field = f"p{index}"  # a parameter may be called like something of the struct's own
            self._names[parameter.name] = field
            expected = parameter_type(parameter, local_files=self._local_files)
            if expected is None:
                self._remaining.append((field, parameter))
                expected = Any
            fields.append((field, expected) if parameter.required else (field, expected, UNSET))
        return self._of_struct(fields)

    def _decoder_of_large(self) -> msgspec.json.Decoder[Any]:
        """The same, but what may be any JSON of a kind is not read."""
        fields: Fields = []
        for parameter in self._signature.parameters:
            field = self._names[parameter.name]
            expected = parameter_type(parameter, local_files=self._local_files)
            if (letters := unread(parameter)) is not None:
                self._unread[field] = letters
                expected = Raw
            elif expected is None:
                expected = Any
            fields.append((field, expected) if parameter.required else (field, expected, UNSET))
        return self._of_struct(fields)

    def _decoder_of_known(self) -> msgspec.json.Decoder[Any]:
        """The text of each input that the model has; all others are passed over."""
        fields: Fields = [(field, Raw, UNSET) for field in self._names.values()]
        return self._of_struct(fields, forbid_unknown=False)

    def _of_struct(self, fields: Fields, *, forbid_unknown: bool = True) -> msgspec.json.Decoder[Any]:
        names = {field: name for name, field in self._names.items()}
        fields.sort(key=len)  # required ones first, as in a class; the order means nothing in JSON
        return msgspec.json.Decoder(
            msgspec.defstruct("Input", fields, rename=names, forbid_unknown_fields=forbid_unknown, gc=False)
        )

    def _scan(self, raw: bytes) -> object:
        fields = self._decode_large(raw)
        for field, letters in self._unread.items():
            value = getattr(fields, field)
            if value is not UNSET and bytes(value)[:1] not in letters:
                raise ValueError
        return fields

    def _refused(self, parameter: Parameter, value: object) -> bool:
        problems = check_parameter(parameter, value, (), local_files=self._local_files)
        return next(problems, None) is not None

    def _check_completely(self, raw: bytes) -> None:
        value = self._values(raw)
        if problems := check_input(self._signature, value, local_files=self._local_files):
            raise InvalidRequest(problems)

    def _values(self, raw: bytes) -> object:
        if len(raw) <= LARGE:
            return _parse(raw)
        try:
            texts, _ = self.texts(raw)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return _parse(raw)  # which says what is wrong with it
        return {name: self._value(name, text) for name, text in texts.items()}

    def _value(self, name: str, text: bytes) -> object:
        """The value of one input of a large one, or one that is as good for the check."""
        if text[:1] in _AS_GOOD and text[:1] in self._unread.get(self._names[name], b"") and not _far(text):
            return _AS_GOOD[text[:1]]
        return _parse(text)


def _far(raw: bytes) -> bool:
    """True when a number in `raw` may be too large to be read. A text may look like one: then it is read, that is all."""
    shapes = raw.translate(_DIGITS)
    return any(shape in shapes for shape in _FAR)


def _parse(raw: bytes) -> object:
    try:
        # decode(): json.loads would guess at the encoding of bytes.
        return json.loads(raw.decode(), parse_float=_float, parse_int=_int, parse_constant=_no_number)
    except RecursionError as error:
        complaint = (
            "is nested too deep to be read. Send a flatter object, or the deep part as JSON text in a string"
        )
        raise _unreadable(complaint) from error
    except ValueError as error:
        raise _unreadable(f"cannot be read as JSON: {error}") from error


def _unreadable(complaint: str) -> InvalidRequest:
    return InvalidRequest([Problem(("body", "input"), complaint)])


def _int(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise ValueError("an integer has more digits than can be read (4,300)") from error


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is out of range: a 64-bit float goes up to about 1.8e308")
    return number


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number in JSON")


def _compile(parameter: Parameter) -> None:
    try:
        re.compile(parameter.regex or "")
    except re.error as error:
        raise SignatureError(
            f'the regex "{parameter.regex}" of input "{parameter.name}" cannot be compiled by the server\'s '
            f"Python: {error}. The model may run on a newer Python than the server: write it for this one"
        ) from error
