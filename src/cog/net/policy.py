"""Where a URL that a client sent may lead. Without such rules a prediction could read what only this machine
can reach: the credentials that a cloud hands out at a link-local address, or a service of the same private
network.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias
from urllib.parse import urlsplit

Address: TypeAlias = IPv4Address | IPv6Address

MODES: Final = ("private", "public")

# Where clouds serve metadata and credentials outside the link-local ranges: AWS (its IPv6 service range holds
# the instance metadata and the credentials of pods), Alibaba, Oracle, Azure's host agent, Google over IPv6.
_METADATA: Final = tuple(
    ip_network(text)
    for text in (
        "fd00:ec2::/32",
        "100.100.100.200/32",
        "192.0.0.192/32",
        "168.63.129.16/32",
        "fd20:ce::254/128",
    )
)
# Names are judged by the addresses that they resolve to, but behind a proxy we do not resolve them.
_METADATA_NAMES: Final = frozenset({"metadata.google.internal", "metadata.goog", "metadata", "instance-data"})
# RFC 6052: behind a NAT64 gateway the last 32 bits are an IPv4 address that it connects to.
_NAT64: Final = IPv6Network("64:ff9b::/96")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
# The URL standard reads a host as an IPv4 address when its last label looks like a number, decimal or
# hexadecimal.
_NUMERIC_END: Final = re.compile(r"(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$")


@dataclass(frozen=True, slots=True)
class UrlPolicy:
    """Which URLs are followed.

    Link-local and cloud metadata addresses are refused always; `mode` "public" (COG_URL_POLICY) also refuses
    private, loopback and reserved ones, "private" allows them.
    """

    mode: str = "private"

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"the URL policy is one of {', '.join(MODES)}, not {self.mode!r}")

    def refusal(self, url: str) -> str | None:
        """What is wrong with `url` as far as its text shows, None for one that may be tried.

        A name is not resolved here: the addresses that it has are judged when the connection is made.
        """
        if _CONTROL.search(url):
            return "it holds a control character"
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:  # whose text may quote the user and password
            return "it cannot be read as a URL: its host or its port is malformed"
        if parts.scheme not in ("http", "https"):
            return "it does not begin with http:// or https://"
        if not host:
            return "it names no host"
        # Programs disagree on where the host ends in such a text, so one of them could be led astray.
        if re.search(r"[\s\\]", parts.netloc):
            return "its host holds a space or a backslash"
        if port == 0:
            return "port 0 cannot be connected to"
        return self.host_refusal(host)

    def host_refusal(self, host: str) -> str | None:
        """What is wrong with the host of a URL, None for one that may be tried. Addresses come without
        brackets."""
        name = unicodedata.normalize("NFKC", host).replace("\u3002", ".").rstrip(".").lower()
        try:
            return self._reason(ip_address(name))
        except ValueError:
            pass  # not an address, so a name
        if _NUMERIC_END.search(name) or ":" in name:
            return (
                f"{host} is neither a name nor an address in its usual form (four decimal numbers for IPv4)"
            )
        if name in _METADATA_NAMES:
            return f"{host} is a cloud metadata service"
        if self.mode == "public" and (name == "localhost" or name.endswith(".localhost")):
            return f"{host} is this machine, and only public addresses are allowed here"
        return None

    def permits(self, address: str) -> bool:
        """True when a connection to this resolved IP address may be made."""
        return self.address_refusal(address) is None

    def address_refusal(self, address: str) -> str | None:
        """Why no connection to this resolved IP address may be made, None when it may."""
        try:
            return self._reason(ip_address(address))
        except ValueError:
            return f"{address} is not an IP address"

    def _reason(self, address: Address) -> str | None:
        inner = _unwrapped(address)
        for each in (address,) if inner is None else (address, inner):
            if each.is_link_local:
                return f"{each} is a link-local address, where clouds keep credentials"
            if any(each in network for network in _METADATA):
                return f"{each} is a cloud metadata address"
        judged = address if inner is None else inner
        if self.mode == "public" and not _is_public(judged):
            return (
                f"{judged} is not a public address, and only those are allowed here (COG_URL_POLICY=public)"
            )
        return None


def _unwrapped(address: Address) -> IPv4Address | None:
    """The IPv4 address that a connection to this IPv6 one ends up at, None for every other address."""
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    number = int(address)
    # `::a.b.c.d` was the way to write such addresses once; `::` and `::1` are no IPv4 addresses.
    if address in _NAT64 or 1 < number < 1 << 32:
        return IPv4Address(number & 0xFFFF_FFFF)
    return None


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address.is_site_local:
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved
