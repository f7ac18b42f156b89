"""How the text of a flag or a variable becomes a value. Each parser raises ValueError with what to write instead."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

_UNITS: Final = {"": 1, "b": 1} | {
    f"{letter}{suffix}": base**power
    for power, letter in enumerate("kmgt", start=1)
    for suffix, base in (("ib", 1024), ("b", 1000))
}
_SIZE: Final = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,6})?) ?([a-z]{0,3})", re.ASCII)


def text(text: str) -> str:
    """Printable text."""
    if not text.strip() or not text.isprintable():
        raise ValueError("it must be printable text and not empty")
    return text


def whole(low: int, high: int) -> Callable[[str], int]:
    """A parser of whole numbers from `low` to `high`."""

    def parse(text: str) -> int:
        number = int(text) if re.fullmatch(r"[0-9]{1,18}", text, re.ASCII) else -1
        if not low <= number <= high:
            raise ValueError(f"it must be a whole number from {low} to {high}")
        return number

    return parse


def seconds(text: str) -> float:
    """A finite time of 0 seconds or more."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise ValueError("it must be a number of seconds, such as 0.5 or 30")
    return number


def short_time(text: str) -> float | None:
    """A time of at most a tenth of a second; None for `auto`."""
    if text.strip().lower() == "auto":
        return None
    try:
        number = seconds(text)
    except ValueError:
        number = 1.0
    if number > 0.1:
        raise ValueError("it must be `auto` or a number of seconds up to 0.1, such as 0.0005")
    return number


def seconds_above_zero(text: str) -> float:
    """A finite time of more than 0 seconds."""
    if (number := seconds(text)) == 0:
        raise ValueError("it must be more than 0 seconds")
    return number


def size(text: str) -> int:
    """Bytes, with a unit or without."""
    match = _SIZE.fullmatch(text.strip().lower())
    number = int(float(match[1]) * _UNITS.get(match[2], 0)) if match is not None else 0
    if number < 1:
        raise ValueError("it must be a number of bytes or a size such as 64KiB, 100MiB or 1GB")
    return number


def size_or_none(text: str) -> int:
    """Bytes, with a unit or without; 0 for no limit."""
    return 0 if text.strip() == "0" else size(text)


def gpus(text: str) -> tuple[str, ...]:
    """Numbers or names of GPUs; `all` stands for itself, `none` for an empty tuple."""
    words = tuple(word.strip() for word in text.split(","))
    if len(words) == 1 and words[0].lower() in ("all", "none"):
        return ("all",) if words[0].lower() == "all" else ()
    if not all(re.fullmatch(r"[0-9]{1,4}|(?:GPU|MIG)-[A-Za-z0-9/-]+", word, re.ASCII) for word in words):
        raise ValueError(
            "it must be all, none, or GPUs separated by commas: numbers as in 0,1, or names as in GPU-1a2b3c4d"
        )
    if len(set(words)) < len(words):
        raise ValueError(
            "it names a GPU twice. Workers share GPUs when there are more of them: --workers or --threads"
        )
    return words


def switch(text: str) -> bool:
    """A word for yes or no."""
    word = text.strip().lower()
    if word not in ("true", "1", "yes", "on", "false", "0", "no", "off", ""):
        raise ValueError("it must be true or false")
    return word in ("true", "1", "yes", "on")


def url(text: str) -> str:
    """An absolute HTTP URL."""
    parts = urlsplit(text)
    plain = text.isprintable() and " " not in text
    if not plain or parts.scheme.lower() not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("it must be an absolute http:// or https:// URL")
    return text


def one_of(*words: str, **synonyms: str) -> Callable[[str], str]:
    """A parser of one of `words`; a synonym stands for the word it names."""

    def parse(text: str) -> str:
        word = text.strip().lower()
        word = synonyms.get(word, word)
        if word not in words:
            raise ValueError(f"it must be one of {', '.join(words)}")
        return word

    return parse


def signing_secrets(text: str) -> tuple[bytes, ...]:
    """Keys of webhook signatures, several for a change of keys: `whsec_` and base64 of 24 to 64 bytes each.

    The form is that of Standard Webhooks (standardwebhooks.com, "Signature scheme").
    """
    keys = []
    for word in text.split():
        try:
            key = base64.b64decode(word.removeprefix("whsec_"), validate=True)
        except ValueError:
            key = b""
        if not 24 <= len(key) <= 64:
            raise ValueError(
                "it must be `whsec_` and the base64 of 24 to 64 random bytes (several are separated by spaces)"
            )
        keys.append(key)
    if not keys:
        raise ValueError("it holds no key")
    return tuple(keys)
