"""A login with a token, for Replicate's registry. In the place of its API stands a server of these tests."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from image.test_commands import Stand
from support.cogs import COG, surroundings
from support.receiving import Incoming, Receiver, Reply, receiving
from support.serving import DEADLINE

TOKEN = "r8_abc"


def told(incoming: Incoming) -> Reply:
    """As the API does."""
    if incoming.headers.get("authorization") != f"Bearer {TOKEN}":
        return Reply(401, b'{"detail": "You did not pass a valid authentication token"}')
    return (
        Reply(200, b'{"type": "user", "username": "ada"}') if incoming.path == "/v1/account" else Reply(404)
    )


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    made = Stand(tmp_path)
    (made.model / "cog.yaml").write_text("run: run.py:Runner\n")
    return made


@pytest.fixture
def api() -> Iterator[Receiver]:
    with receiving(told) as receiver:
        yield receiver


def login(
    stand: Stand, api: Receiver | None, *words: str, given: str = f"{TOKEN}\n", **extra: str
) -> subprocess.CompletedProcess[str]:
    """`cog login`, without a terminal: what it prompts for is read from stdin, too."""
    known = {} if api is None else {"COG_REGISTRY_API": api.url}
    return subprocess.run(
        [*COG, "login", *words],
        cwd=stand.model,
        env=surroundings({**stand.environ, **known, **extra}),
        input=given, capture_output=True, text=True, timeout=DEADLINE, check=False, start_new_session=True,
    )  # fmt: skip


def test_a_token_is_enough_for_replicates_registry(stand: Stand, api: Receiver) -> None:
    done = login(stand, api, "--token-stdin")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert stand.calls() == ["login --username ada --password-stdin r8.im"]
    assert (stand.place / "password").read_text() == TOKEN
    assert done.stderr == f"asking {api.url} whose the token is\nLogged in to r8.im as ada\n"


def test_without_stdin_it_is_prompted_for(stand: Stand, api: Receiver) -> None:
    done = login(stand, api, "r8.im")
    assert done.returncode == 0, done.stderr
    assert "Token: " in done.stdout + done.stderr  # on stdout; without a terminal getpass takes stderr
    assert "Username" not in done.stdout
    assert (
        "r8.im takes a token of your account at Replicate: https://replicate.com/account/api-tokens"
        in done.stderr
    )
    assert (stand.place / "password").read_text() == TOKEN


def test_a_name_that_is_given_need_not_be_asked_for(stand: Stand, api: Receiver) -> None:
    done = login(stand, api, "--token-stdin", "-u", "grace")
    assert done.returncode == 0, done.stderr
    assert stand.calls() == ["login --username grace --password-stdin r8.im"]
    assert api.got == []


def test_what_stands_in_its_place_is_asked_by_the_api_that_goes_with_it(stand: Stand, api: Receiver) -> None:
    done = login(stand, api, "--token-stdin", COG_REGISTRY_HOST="registry.example.com")
    assert done.returncode == 0, done.stderr
    assert stand.calls() == ["login --username ada --password-stdin registry.example.com"]


def test_passwords_of_other_registries_are_not_shown_to_replicate(stand: Stand, api: Receiver) -> None:
    for words, extra in (
        (["registry.example.com"], {"COG_REGISTRY_HOST": "other.example.com"}),
        ([], {"COG_REGISTRY_HOST": "other.example.com", "COG_REGISTRY_API": ""}),
    ):
        done = login(stand, api, *words, "--token-stdin", **extra)
        assert done.returncode == 1
        assert "--token-stdin reads the password alone" in done.stderr
    assert api.got == []
    assert stand.calls() == []


def test_a_token_goes_to_nobody_else(stand: Stand, api: Receiver) -> None:
    """What Replicate's clients are pointed to may be a Cog of one's own; and what is not https can be read on its way."""
    name = "COG_REGISTRY_API"
    done = login(stand, None, "--token-stdin", REPLICATE_API_BASE_URL=api.url, **{name: "http://example.com"})
    assert done.returncode == 1
    assert "http://example.com is not https" in done.stderr
    theirs = {
        "COG_REGISTRY_HOST": "registry.example.com",
        "https_proxy": "http://127.0.0.1:9",
    }  # nothing leaves
    done = login(stand, api, "r8.im", "--token-stdin", **theirs)
    assert done.returncode == 1
    assert "asking https://api.replicate.com whose the token is" in done.stderr
    assert api.got == []
    assert stand.calls() == []


@pytest.mark.parametrize("token", ["r8_other", "r8 abc", "r8_\x07", "r8_\u00e9"])
def test_a_token_of_nobody(stand: Stand, api: Receiver, token: str) -> None:
    done = login(stand, api, "--token-stdin", given=f"{token}\n")
    assert done.returncode == 1
    assert "Replicate does not know this token" in done.stderr
    assert token not in done.stderr
    assert stand.calls() == []


def test_no_token(stand: Stand, api: Receiver) -> None:
    done = login(stand, api, "--token-stdin", given="")
    assert done.returncode == 1
    assert "the token is empty: nothing came on stdin" in done.stderr


@pytest.mark.parametrize(
    "reply",
    [
        Reply(503), Reply(302, headers={"location": "/other"}), Reply(200, b"<html>"), Reply(200, b"[]"),
        Reply(200, b'{"username": ""}'),
    ],
)  # fmt: skip
def test_an_api_that_says_nothing_is_named(stand: Stand, reply: Reply) -> None:
    with receiving(lambda incoming: reply) as api:
        done = login(stand, api, "--token-stdin")
        assert len(api.got) == 1
    assert done.returncode == 1
    assert f"{api.url} does not say whose the token is: " in done.stderr
    assert "Give the name of your account with --username" in done.stderr
    assert TOKEN not in done.stderr
    gone = login(stand, api, "--token-stdin")  # nobody listens there any more
    assert gone.returncode == 1
    assert f"{api.url} does not say whose the token is: " in gone.stderr
