"""Where a URL may lead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cog.net.policy import UrlPolicy

PRIVATE = UrlPolicy()
PUBLIC = UrlPolicy("public")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "https://example.com:8443/a?b=c#d",
        "HTTP://EXAMPLE.com/",
        "http://user:pass@example.com/a b",
        "http://8.8.8.8/",
        "http://[2606:4700::1111]/",
        "http://3com.example/1.2.3.4",
    ],
)
def test_usual_urls_may_be_tried(url: str) -> None:
    assert PRIVATE.refusal(url) is None
    assert PUBLIC.refusal(url) is None


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "http"),
        ("example.com", "http"),
        ("ftp://example.com", "http"),
        ("file:///etc/passwd", "http"),
        ("http://", "no host"),
        ("http:///path", "no host"),
        ("http:\\\\example.com", "no host"),
        ("http://a:99999/", "cannot be read"),
        ("http://a:x/", "cannot be read"),
        ("http://a:0/", "port 0"),
        ("http://[::1/", "cannot be read"),
        ("http://a\r\nX: y/", "control"),
        ("http://good.example\\@169.254.169.254/", "backslash"),
        ("http://a b/", "space"),
        ("http://2852039166/", "neither"),
        ("http://0xa9fea9fe/", "neither"),
        ("http://0251.0376.0251.0376/", "neither"),
        ("http://169.16689662/", "neither"),
        ("http://0xa9.0xfe.0xa9.0xfe/", "neither"),
        ("http://127.1/", "neither"),
        ("http://metadata.google.internal/x", "metadata"),
        ("http://METADATA.google.internal./x", "metadata"),
    ],
)
def test_what_cannot_be_followed(url: str, why: str) -> None:
    assert why in (PRIVATE.refusal(url) or "nothing wrong")


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.170.2",
        "169.254.0.1.",
        "\uff11\uff16\uff19.254.169.254",
        "169\u3002254\u3002169\u3002254",
        "[fe80::1]",
        "[fe80::1%25eth0]",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[::169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::1]",
        "[fd00:ec2::254]",
        "[fd00:ec2::23]",
        "[fd20:ce::254]",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
    ],
)
def test_metadata_addresses_are_refused_in_every_mode(host: str) -> None:
    for policy in (PRIVATE, PUBLIC):
        assert policy.refusal(f"http://user@{host}:80/latest") is not None


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fd12::1",
        "fec0::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
    ],
)
def test_private_addresses_are_refused_under_public_only(address: str) -> None:
    assert PRIVATE.permits(address)
    assert not PUBLIC.permits(address)
    assert "public" in (PUBLIC.address_refusal(address) or "")


def test_public_addresses_are_permitted() -> None:
    for address in ("8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"):
        assert PUBLIC.permits(address)


def test_what_is_no_address_is_not_permitted() -> None:
    assert not PRIVATE.permits("example.com")


def test_this_machine_by_name_under_public() -> None:
    assert PRIVATE.refusal("http://localhost/") is None
    assert PUBLIC.refusal("http://LOCALHOST./") is not None
    assert PUBLIC.refusal("http://a.localhost/") is not None


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="one of private, public"):
        UrlPolicy("Public")


@given(st.text())
def test_any_text_gets_an_answer(text: str) -> None:
    for url in (text, f"http://{text}", f"http://[{text}]/"):
        reason = PUBLIC.refusal(url)
        assert reason is None or reason


@given(st.integers(0, (1 << 16) - 1))
def test_no_way_to_write_a_link_local_address_gets_through(low: int) -> None:
    number = (169 << 24) | (254 << 16) | low
    a, b, c, d = number.to_bytes(4, "big")
    spellings = [
        str(number), hex(number), f"0{number:o}", f"{a}.{b}.{c}.{d}", f"{a}.{b}.{low}",
        f"0x{a:x}.{b}.{c}.0{d:o}", f"[::ffff:{a}.{b}.{c}.{d}]", f"[::ffff:{number >> 16:x}:{low:x}]",
    ]  # fmt: skip
    assert [each for each in spellings if PRIVATE.refusal(f"http://{each}/") is None] == []
