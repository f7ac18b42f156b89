"""What is told of a push."""

from __future__ import annotations

import pytest

from cog.image import names, pushed
from cog.image.layers import Layer

DIGEST = f"sha256:{'ab' * 32}"


@pytest.mark.parametrize(
    ("image", "parts", "registry"),
    [
        ("registry.example.com/me/model:1", ("registry.example.com/me/model", "1"), "registry.example.com"),
        ("localhost:5000/model", ("localhost:5000/model", "latest"), "localhost:5000"),
        ("localhost/model", ("localhost/model", "latest"), "localhost"),
        (f"[::1]:5000/a/b:c@{DIGEST}", ("[::1]:5000/a/b", "c"), "[::1]:5000"),
        ("me/model:1", ("me/model", "1"), None),
        ("model", ("model", "latest"), None),
    ],
)
def test_a_name_has_a_registry_a_repository_and_a_tag(
    image: str, parts: tuple[str, str], registry: str | None
) -> None:
    assert names.parts(image) == parts
    assert names.registry(image) == registry


def test_where_the_digest_is() -> None:
    assert pushed.digest(f"{DIGEST}\n", []) == DIGEST
    assert pushed.digest("", ["a: Pushed", f"1: digest: {DIGEST} size: 1234"]) == DIGEST
    assert pushed.digest("", [f"Copying blob {DIGEST}"]) is None


def test_a_tree_has_what_is_known() -> None:
    assert pushed.tree("a.example/b:1", None, {}, []) == "a.example/b\n└── 1"
    assert pushed.tree(
        "a.example/b", DIGEST, {"x": "y"}, [Layer(412_000_000, "base"), Layer(1500, "model")]
    ).splitlines() == [
        "a.example/b",
        "└── latest",
        f"    ├── {DIGEST}",
        "    ├── x y",
        "    └── layers, before they are compressed",
        "        ├── 412 MB  base",
        "        └── 1.5 kB  model",
    ]


@pytest.mark.parametrize(
    ("image", "host", "api", "page"),
    [
        ("r8.im/me/model:1", "", "", "https://replicate.com/me/model"),
        ("r8.im/model", "", "", None),
        ("r8.im/a/b/c", "", "", None),
        ("example.com/me/model", "", "", None),
        (
            "127.0.0.1:5000/me/model",
            "127.0.0.1:5000",
            "https://api.example.com",
            "https://replicate.com/me/model",
        ),
        ("127.0.0.1:5000/me/model", "127.0.0.1:5000", "", None),  # a registry of one's own has no page there
        ("r8.im/me/model", "127.0.0.1:5000", "", "https://replicate.com/me/model"),
    ],
)
def test_what_a_browser_shows(image: str, host: str, api: str, page: str | None) -> None:
    assert pushed.page(image, {"COG_REGISTRY_HOST": host, "COG_REGISTRY_API": api}) == page
