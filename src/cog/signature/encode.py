"""From what a model returned to JSON text, with the files in it named by marks."""

from __future__ import annotations

import io
import json
import math
import os
import re
from collections import deque
from collections.abc import Callable
from json.encoder import encode_basestring
from typing import Final, TypeAlias

from cog.errors import OutputError
from cog.signature.normal import Unknown, simpler

Secure: TypeAlias = Callable[[object], str]

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_SEPARATORS: Final = (",", ":")
_CONSTANTS: Final[dict[object, str]] = {None: "null", True: "true", False: "false"}
_FAR: Final = 1 << 64  # a number that far from 0 may be one that Python does not write


def encode(value: object, secure: Secure) -> bytes:
    """`value` as JSON text in UTF-8, without blanks.

    `secure(file)` is called for each path and each open file, wherever it stands, in order; the mark that it
    returns stands there as a JSON string. Lone surrogates become U+FFFD; integers are exact.

    Raises:
        OutputError: something cannot be turned into JSON; the text names its place and what to return
            instead.
        Exception: whatever the model's own code raises while it is asked (a generator, a `model_dump()`).
    """
    if (plain := _scalar(value)) is not None:
        return _utf8(plain)
    walk = _Walk(secure)
    text: str | None = None
    try:
        text = _dumps(value, walk.default)
    except RecursionError:
        raise _too_deep() from None
    except (TypeError, ValueError, OverflowError) as error:
        if error is walk.failure:
            raise
    if text is None:
        # Either something is wrong, and only the slow walk knows where, or a key of a dict has to be
        # converted.
        text = _dumps(_explained(value, walk), None)
    return _utf8(text)


def _scalar(value: object) -> str | None:
    """A plain value as JSON text: to make an encoder for it costs more than all the rest, and most chunks of a stream are
    texts. None for everything else."""
    if type(value) is str:
        return encode_basestring(value)
    if type(value) is int:
        return repr(value) if -_FAR < value < _FAR else None
    if type(value) is float:
        return repr(value) if math.isfinite(value) else None
    return _CONSTANTS[value] if value is None or type(value) is bool else None


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text).encode()


def _dumps(value: object, default: Callable[[object], object] | None) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=_SEPARATORS, default=default)


def _explained(value: object, walk: _Walk) -> object:
    try:
        return walk.plain(value, "output")
    except RecursionError:
        raise _too_deep() from None


def _too_deep() -> OutputError:
    return OutputError(
        "output is nested too deeply to be turned into JSON, or refers to itself through objects "
        "that make new ones. "
        "Return a flatter value."
    )


class _Walk:
    """One walk through an output: first quickly, by the JSON encoder, then slowly, if that fails.

    What can be converted only once (a generator is used up, a file is secured) is remembered by the quick
    walk for the slow one, which comes by the same objects in the same order.
    """

    def __init__(self, secure: Secure) -> None:
        self._secure = secure
        self._made: dict[int, deque[object]] = {}
        self._kept: list[object] = []  # so that no id is used again while it is remembered
        self._open: set[int] = set()
        self.failure: BaseException | None = None

    def default(self, value: object) -> object:
        """What the JSON encoder calls for an object that it does not know."""
        try:
            made = self._convert(value)
        except Unknown:
            raise TypeError from None  # not a failure of the model's code: the slow walk will name the place
        except BaseException as error:
            self.failure = error
            raise
        self._kept.append(value)
        self._made.setdefault(id(value), deque()).append(made)
        return made

    def _convert(self, value: object) -> object:
        found = simpler(value)
        return self._secure(found) if isinstance(found, (os.PathLike, io.IOBase)) else found

    def plain(self, value: object, at: str) -> object:
        """`value` in the terms of JSON; raises OutputError that names the place."""
        if value is None or isinstance(value, (str, bool)):
            return value
        if isinstance(value, float):
            return _finite(value, at)
        if isinstance(value, int):
            return _short(value, at)
        if id(value) in self._open:
            raise OutputError(f"{at} refers to a value that it is part of. Return one without such a circle.")
        self._open.add(id(value))
        made = self._inside(value, at)
        self._open.discard(id(value))
        return made

    def _inside(self, value: object, at: str) -> object:
        if isinstance(value, dict):
            return {
                _key(key, at): self.plain(item, f"{at}.{key}" if _is_name(key) else f"{at}[{_shown(key)}]")
                for key, item in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self.plain(item, f"{at}[{index}]") for index, item in enumerate(value)]
        queue = self._made.get(id(value))
        if queue:
            return self.plain(queue.popleft(), at)
        try:
            made = self._convert(value)
        except Unknown as error:
            raise OutputError(f"{at} {error}") from None
        self._kept.append(value)
        return self.plain(made, at)


def _is_name(key: object) -> bool:
    return isinstance(key, str) and key.isidentifier()


def _shown(key: object) -> str:
    text = repr(key)
    return text if len(text) <= 60 else text[:57] + "..."


def _finite(value: float, at: str) -> float:
    if math.isfinite(value):
        return value
    name = "NaN" if math.isnan(value) else "infinite"
    raise OutputError(
        f"{at} is {name}, which JSON cannot express. Check the computation, or return None (or a str) "
        "in its place."
    )


def _short(value: int, at: str) -> int:
    try:
        int.__repr__(value)
    except ValueError:
        raise OutputError(
            f"{at} is an integer with more digits than Python turns into text (4,300). Return it as a "
            "hex str: hex(x)."
        ) from None
    return value


def _key(key: object, at: str) -> str | int | float | None:
    """A key of a dict as one that the JSON encoder takes (it writes numbers and None as text)."""
    if isinstance(key, float):
        return _finite(key, at)
    if key is None or isinstance(key, (str, int)):
        return key
    if not isinstance(key, (tuple, frozenset)):
        try:
            made = simpler(key)
        except Unknown:
            made = None
        if isinstance(made, (str, int, float)):
            return _key(made, at)
        if isinstance(made, os.PathLike):
            return str(made)
    hint = ", for example with '/'.join(map(str, key))" if isinstance(key, tuple) else ""
    raise OutputError(
        f"{at} has the key {_shown(key)}, {_article(key)}, and a key in JSON is always text. "
        f"Make it a str{hint}."
    )


def _article(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
