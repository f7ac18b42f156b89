"""What single values of cog.yaml must look like. Each rule returns what is wrong and what to write, or
None."""

from __future__ import annotations

import re
from typing import Final

MIN_PYTHON: Final = (3, 10)
MIN_CUDA: Final = 11
MIN_CUDNN: Final = 8  # the first for CUDA 11
# The CUDA majors that a cuDNN major was made for (NVIDIA's support matrix); of newer ones nothing is known here.
CUDNN_FITS: Final = {8: (11, 12), 9: (11, 12, 13)}
MIN_SDK: Final = (0, 16, 0)
# concurrency.max > 1 rests on asyncio.TaskGroup, which came with this Python.
MIN_ASYNC_PYTHON: Final = (3, 11)

# The base image and the server set these themselves.
DENIED_NAMES: Final = frozenset(
    (
        "PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV", "PYTHONUNBUFFERED", "LIBRARY_PATH",
        "HF_ENDPOINT", "HF_HUB_ENABLE_HF_TRANSFER",
    )
)  # fmt: skip
DENIED_PREFIXES: Final = (
    "R8_", "REPLICATE_", "CUDA_", "NVIDIA_", "NV_", "PGET_", "KUBERNETES_", "OTEL_", "COG_TRACE_",
    "COG_OBSERVABILITY_",
)  # fmt: skip

_PYTHON: Final = re.compile(r"([1-9])\.(0|[1-9][0-9]{0,2})(?:\.[0-9]{1,3})?", re.ASCII)
_CUDA: Final = re.compile(r"([1-9][0-9]{0,2})\.[0-9]{1,3}(?:\.[0-9]{1,3})?", re.ASCII)
_CUDNN: Final = re.compile(r"([1-9][0-9]{0,2})(?:\.[0-9]{1,3}){0,3}", re.ASCII)
_PEP440: Final = re.compile(
    r"v?(?:[0-9]+!)?(?P<release>[0-9]{1,6}(?:\.[0-9]{1,6})*)(?P<pre>[-_.]?(?:a|b|c|rc|alpha|beta|pre|preview)[-_.]?[0-9]*)?"
    r"(?:-[0-9]+|[-_.]?(?:post|rev|r)[-_.]?[0-9]*)?(?P<dev>[-_.]?dev[-_.]?[0-9]*)?(?:\+[a-z0-9]+(?:[-_.][a-z0-9]+)*)?",
    re.ASCII | re.IGNORECASE,
)
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_USER: Final = re.compile(r"[a-z0-9_][a-z0-9_-]*(:[a-z0-9_][a-z0-9_-]*)?", re.ASCII)
_WEIGHT_NAME: Final = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*", re.ASCII)
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://", re.ASCII)


def reference(text: str) -> str | None:
    """`file.py:Name`, or the file alone."""
    file, colon, name = text.partition(":")
    if file.endswith(".py") and len(file) > 3 and (not colon or name.isidentifier()):
        return None
    return 'write a Python file and a name in it, such as "run.py:Runner"'


def python_version(text: str) -> str | None:
    """Major and minor, perhaps a patch; 3.10 or later."""
    match = _PYTHON.fullmatch(text)
    if match is None:
        return 'write major and minor, such as "3.13" or "3.13.1"'
    if (int(match[1]), int(match[2])) < MIN_PYTHON:
        return 'Python 3.10 is the oldest that is supported. Write "3.10" or later, in quotes'
    return None if match[1] == "3" else 'there is no such Python. Write "3.10" or later'


def concurrency(maximum: int, python: str | None) -> str | None:
    """More than one prediction at a time needs a Python that is new enough."""
    match = None if python is None else _PYTHON.fullmatch(python)
    if maximum > 1 and match is not None and (int(match[1]), int(match[2])) < MIN_ASYNC_PYTHON:
        return f'more than 1 needs Python 3.11 or later, and build.python_version is "{python}"'
    return None


def cuda(text: str) -> str | None:
    """Major and minor, perhaps a patch; 11 or later."""
    match = _CUDA.fullmatch(text)
    if match is None:
        return 'write major and minor, such as "12.4" or "12.4.1"'
    return (
        None
        if int(match[1]) >= MIN_CUDA
        else 'CUDA 11 is the oldest that is supported. Write "11.8" or later'
    )


def cudnn(text: str) -> str | None:
    """Numbers with dots; 8 or later."""
    match = _CUDNN.fullmatch(text)
    if match is None:
        return 'write a version, such as "8" or "9.1.0"'
    if int(match[1]) < MIN_CUDNN:
        return f'no CUDA from {MIN_CUDA} on has it. Write "{MIN_CUDNN}" or later, or leave the key out'
    return None


def cudnn_fits(cudnn: str | None, cuda: str | None) -> str | None:
    """A cuDNN and a CUDA, each right by itself, go together."""
    major, wanted = (0 if text is None else int(text.partition(".")[0]) for text in (cudnn, cuda))
    known = CUDNN_FITS.get(major)
    if (
        known is None
        or not wanted
        or wanted in known
        or wanted > max(max(row) for row in CUDNN_FITS.values())
    ):
        return None
    fitting = [f'"{one}"' for one, row in CUDNN_FITS.items() if wanted in row]
    return f"there is no cuDNN {major} for CUDA {cuda}. Write {' or '.join(fitting)}, or leave the key out"


def sdk_version(text: str) -> str | None:
    """A version after PEP 440 from 0.16.0 on, or `prerelease`."""
    if text == "prerelease":
        return None
    match = _PEP440.fullmatch(text)
    if match is None:
        return 'write a version after PEP 440, such as "0.16.0", or "prerelease"'
    release = tuple(int(part) for part in match["release"].split("."))
    release += (0,) * (3 - len(release))
    early = match["pre"] or match["dev"]
    if release < MIN_SDK or (early and not any(release[len(MIN_SDK) :]) and release[:3] == MIN_SDK):
        return "0.16.0 is the oldest that works. Write a later one, or leave the key out"
    return None


def variable(text: str) -> str | None:
    """`NAME=value`, with a name that a model may set."""
    name, equals, _ = text.partition("=")
    if not equals or _NAME.fullmatch(name) is None:
        return "write NAME=value; a name is letters, digits and _, and does not start with a digit"
    if name in DENIED_NAMES or name.startswith(DENIED_PREFIXES):
        return f"{name} is set by the image or the platform and cannot be changed here. Choose another name"
    return None


def is_variable_name(text: str) -> bool:
    """Letters, digits and _, not beginning with a digit."""
    return _NAME.fullmatch(text) is not None


def repository(text: str) -> str | None:
    """A bare repository."""
    if not text or any(letter.isspace() for letter in text):
        return 'write a repository, such as "registry.example.com/me/model"'
    if "@" in text or ":" in text.rpartition("/")[2]:
        return "write the repository alone, without a tag or digest"
    return None


def image(text: str) -> str | None:
    """The name of an image."""
    if not text or any(letter.isspace() for letter in text):
        return 'write the name of an image, such as "docker.io/library/python:3.12"'
    return None


def user(text: str) -> str | None:
    """A user, perhaps with a group."""
    return None if _USER.fullmatch(text) else 'write a name or a number, such as "model" or "1000:1000"'


def command(text: str) -> str | None:
    """One line."""
    if "\n" in text.strip("\n") or "\r" in text:
        return "a command is one line. Write several commands, or join them with &&"
    return None if text.strip() else "it is empty. Write a command or remove the entry"


def filled(text: str) -> str | None:
    """Anything but nothing."""
    return None if text.strip() else "it is empty. Write a value or remove it"


def mount_type(text: str) -> str | None:
    """What a build command can be given."""
    return None if text == "secret" else 'the only type is "secret"'


def header_format(text: str) -> str | None:
    """How a trace is written into a header."""
    return None if text in ("w3c", "jaeger") else "write w3c or jaeger"


def weight_name(text: str) -> str | None:
    """Lower-case words."""
    return (
        None
        if _WEIGHT_NAME.fullmatch(text)
        else "write lower-case letters and digits, with . _ or - between them"
    )


def weight_target(text: str) -> str | None:
    """An absolute path that is not the root."""
    if not text.startswith("/") or not text.strip("/") or ".." in text.split("/"):
        return 'write an absolute path below /, such as "/src/weights"'
    return None


def source_uri(text: str) -> str | None:
    """A known scheme, or a path."""
    match = _SCHEME.match(text)
    if not text.strip() or (match is not None and match[1].lower() not in ("hf", "file", "https")):
        return "write an hf://, file:// or https:// URL, or a path"
    return None


def pattern(text: str) -> str | None:
    """A pattern for file names."""
    if not text or text.startswith("!") or "\\" in text:
        return "a pattern is not empty, does not start with ! and has no backslash"
    return None
