"""From a file's extension to its media type, and back. Contents are never looked at."""

from __future__ import annotations

import mimetypes
import os
from typing import Final

UNKNOWN: Final = "application/octet-stream"

# [compat] tests/files/test_media_types.py: what clients of Cog see, ahead of what Python knows, which differs
# between its versions.
_TYPES: Final = {
    "avif": "image/avif", "bmp": "image/bmp", "gif": "image/gif", "heic": "image/heic",
    "jpeg": "image/jpeg", "jpg": "image/jpeg", "png": "image/png", "svg": "image/svg+xml",
    "tif": "image/tiff", "tiff": "image/tiff", "webp": "image/webp", "aac": "audio/aac",
    "flac": "audio/flac", "m4a": "audio/m4a", "mid": "audio/midi", "mp3": "audio/mpeg", "oga": "audio/ogg",
    "ogg": "audio/ogg", "opus": "audio/opus", "wav": "audio/wav", "avi": "video/x-msvideo",
    "mkv": "video/x-matroska", "mov": "video/quicktime", "mp4": "video/mp4", "mpeg": "video/mpeg",
    "ogv": "video/ogg", "webm": "video/webm", "css": "text/css", "csv": "text/csv", "htm": "text/html",
    "html": "text/html", "js": "text/javascript", "log": "text/plain", "md": "text/markdown",
    "py": "text/plain", "srt": "text/plain", "txt": "text/plain", "vtt": "text/vtt", "xml": "text/xml",
    "json": "application/json", "jsonl": "application/jsonl", "parquet": "application/vnd.apache.parquet",
    "pdf": "application/pdf", "wasm": "application/wasm", "yaml": "application/yaml",
    "yml": "application/yaml", "bz2": "application/x-bzip2", "gz": "application/gzip",
    "tar": "application/x-tar", "tgz": "application/gzip", "xz": "application/x-xz",
    "zip": "application/zip", "zst": "application/zstd", "7z": "application/x-7z-compressed",
    "glb": "model/gltf-binary", "gltf": "model/gltf+json", "obj": "model/obj", "stl": "model/stl",
    "ply": UNKNOWN, "npy": UNKNOWN, "npz": UNKNOWN, "pkl": UNKNOWN, "pt": UNKNOWN, "pth": UNKNOWN,
    "safetensors": UNKNOWN, "bin": UNKNOWN,
}  # fmt: skip

# Where several extensions share a type, or a type has other names, this one is meant.
_EXTENSIONS: Final = {kind: f".{extension}" for extension, kind in reversed(_TYPES.items())} | {
    UNKNOWN: ".bin",
    "application/gzip": ".gz",
    "application/x-gzip": ".gz",
    "application/yaml": ".yaml",
    "audio/mp3": ".mp3",
    "audio/mp4": ".m4a",
    "audio/ogg": ".ogg",
    "audio/vnd.wave": ".wav",
    "audio/wave": ".wav",
    "audio/x-m4a": ".m4a",
    "audio/x-wav": ".wav",
    "image/jpeg": ".jpg",
    "image/jpg": ".jpg",
    "image/tiff": ".tiff",
    "text/html": ".html",
    "text/plain": ".txt",
}

# Without the files of the system, so that a model answers the same on every machine.
_python: Final = mimetypes.MimeTypes()


def media_type(name: str) -> str:
    """The media type for a file of this name; `application/octet-stream` when its extension says nothing."""
    extension = os.path.splitext(name)[1][1:].lower()
    known = _TYPES.get(extension)
    if known is not None:
        return known
    guessed, encoding = _python.guess_type(f"file.{extension}")
    return guessed if guessed is not None and encoding is None else UNKNOWN


def extension(media_type: str) -> str:
    """The extension, with its dot, for a file of this type; empty when none is known."""
    known = _EXTENSIONS.get(media_type)
    return known if known is not None else _python.guess_extension(media_type) or ""
