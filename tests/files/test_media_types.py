"""Media types and extensions, as clients of Cog know them."""

from __future__ import annotations

import pytest

from cog.files.media_types import extension, media_type


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.png", "image/png"),
        ("a.jpg", "image/jpeg"),
        ("a.jpeg", "image/jpeg"),
        ("a.JPG", "image/jpeg"),
        ("a.webp", "image/webp"),
        ("a.gif", "image/gif"),
        ("a.avif", "image/avif"),
        ("a.svg", "image/svg+xml"),
        ("a.txt", "text/plain"),
        ("a.json", "application/json"),
        ("a.mp4", "video/mp4"),
        ("a.wav", "audio/wav"),
        ("a.mp3", "audio/mpeg"),
        ("a.m4a", "audio/m4a"),
        ("a.ogg", "audio/ogg"),
        ("a.flac", "audio/flac"),
        ("a.csv", "text/csv"),
        ("a.pdf", "application/pdf"),
        ("a.zip", "application/zip"),
        ("a.gz", "application/gzip"),
        ("a.tar.gz", "application/gzip"),
        ("a.tar", "application/x-tar"),
        ("a.html", "text/html"),
        ("a.md", "text/markdown"),
        ("a.py", "text/plain"),
        ("a.glb", "model/gltf-binary"),
        ("a.unknown", "application/octet-stream"),
        ("a", "application/octet-stream"),
        ("", "application/octet-stream"),
        (".png", "application/octet-stream"),
        ("a.br", "application/octet-stream"),
        ("a.ps", "application/postscript"),
        ("a.\n", "application/octet-stream"),
    ],
)
def test_media_type(name: str, expected: str) -> None:
    assert media_type(name) == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("text/plain", ".txt"),
        ("image/png", ".png"),
        ("image/jpeg", ".jpg"),
        ("application/octet-stream", ".bin"),
        ("application/json", ".json"),
        ("audio/wav", ".wav"),
        ("audio/x-wav", ".wav"),
        ("audio/mpeg", ".mp3"),
        ("video/mp4", ".mp4"),
        ("application/gzip", ".gz"),
        ("application/x-unknown", ""),
        ("", ""),
    ],
)
def test_extension(kind: str, expected: str) -> None:
    assert extension(kind) == expected
