"""Certificates of authorities that a build has to trust: COG_CA_CERT, where a network looks into its connections."""

from __future__ import annotations

import base64
import binascii
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cog.errors import UsageError

VARIABLE: Final = "COG_CA_CERT"
_BEGIN: Final = "-----BEGIN CERTIFICATE-----"


def certificates(environ: Mapping[str, str]) -> str | None:
    """What COG_CA_CERT holds or names, as PEM: a file, a folder of them, the text itself or its base64. None without it.

    Raises:
        UsageError: there are no certificates.
    """
    given = environ.get(VARIABLE, "").strip()
    if not given:
        return None
    text = given if _BEGIN in given else _read(given)
    if _BEGIN not in text:
        raise UsageError(
            f"{VARIABLE} leads to no certificate. Give it a file or a folder of certificates in PEM ({_BEGIN} ...), or their text"
        )
    return text.rstrip() + "\n"


def bundle(own: str) -> str:
    """`own`, and every authority that this machine trusts: not every connection is looked into."""
    known = ssl.create_default_context().get_ca_certs(binary_form=True)
    return "".join([own, *map(ssl.DER_cert_to_PEM_cert, known)])


def _read(given: str) -> str:
    path = Path(given).expanduser()
    try:
        if path.is_dir():
            files = sorted(each for each in path.iterdir() if each.suffix in (".pem", ".crt", ".cer"))
            return "".join(
                each.read_text(encoding="utf-8", errors="replace").rstrip() + "\n" for each in files
            )
        if path.is_file():
            return path.read_text(encoding="utf-8", errors="replace")
        return base64.b64decode("".join(given.split()), validate=True).decode("utf-8", "replace")
    except (OSError, binascii.Error) as error:
        raise UsageError(
            f"{VARIABLE} cannot be read: {error}. Give it a file, a folder, or certificates in PEM"
        ) from None
