"""The check of a request's input, before anything of the model's is touched.

The good path is one decode by msgspec into a struct that is made from the signature. What it refuses, or
cannot express, goes to the complete rules of `cog.signature.rules`, which name every error, or accept (2.0
for an integer, names that the model lacks). So the fast check may refuse too much, but never accept too much.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

import msgspec
from msgspec import UNSET

from cog.errors import InvalidRequest, Problem, SignatureError
from cog.schema.types import FastType, parameter_type
from cog.signature.facts import Parameter, Signature
from cog.signature.rules import check_input, check_parameter


class Validator:
    """Checks inputs against one signature. With `local_files` a file may be any path instead of a URL."""

    def __init__(self, signature: Signature, *, local_files: bool = False) -> None:
        """Prepare the fast check.

        Raises:
            SignatureError: a regex of the model cannot be compiled by this Python.
        """
        self._signature = signature
        self._local_files = local_files
        self._remaining: list[tuple[str, Parameter]] = []
        self._decode = self._decoder().decode

    def check(self, raw: bytes) -> bool:
        """Check `raw`, the JSON text of an input.

        True when the fast check accepted it: then it holds no name that the model lacks. False when the
        complete one did.

        Raises:
            InvalidRequest: with everything that is wrong.
        """
        try:
            fields = self._decode(raw)
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

    def _decoder(self) -> msgspec.json.Decoder[Any]:
        fields: list[tuple[str, FastType] | tuple[str, FastType, Any]] = []
        names: dict[str, str] = {}
        for index, parameter in enumerate(self._signature.parameters):
            _compile(parameter)
            field = f"p{index}"  # a parameter may be called like something of the struct's own
            names[field] = parameter.name
            expected = parameter_type(parameter, local_files=self._local_files)
            if expected is None:
                self._remaining.append((field, parameter))
                expected = Any
            fields.append((field, expected) if parameter.required else (field, expected, UNSET))
        fields.sort(key=len)  # required ones first, as in a class; the order means nothing in JSON
        struct = msgspec.defstruct("Input", fields, rename=names, forbid_unknown_fields=True, gc=False)
        return msgspec.json.Decoder(struct)

    def _refused(self, parameter: Parameter, value: object) -> bool:
        problems = check_parameter(parameter, value, (), local_files=self._local_files)
        return next(problems, None) is not None

    def _check_completely(self, raw: bytes) -> None:
        value = _parse(raw)
        if problems := check_input(self._signature, value, local_files=self._local_files):
            raise InvalidRequest(problems)


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
