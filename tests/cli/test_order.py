"""The options that `cog run`, `predict` and `train` share: what goes together, and what each means."""

from __future__ import annotations

import re
from typing import Any

import click
import pytest
from click.testing import CliRunner

from cog.cli.order import Order, order_options
from cog.errors import UsageError


def order(*arguments: str) -> Order:
    """The order that a command line makes."""
    made: list[Order] = []

    @click.command()
    @order_options
    def command(**options: Any) -> None:
        made.append(Order(**options))

    result = CliRunner().invoke(command, list(arguments))
    assert result.exit_code == 0, result.output
    return made[0]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-i", "a=1", "--json", "{}"], "-i and --json exclude each other"),
        (["prompt=a cat"], "prompt=a cat looks like an input: write -i prompt=a cat"),
        (["r8.im/a/b", "--url", "x"], "--url and the image r8.im/a/b exclude each other"),
        (["--setup-timeout", "0"], "--setup-timeout 0: write a number of seconds above 0"),
        (["--setup-timeout", "nan"], "--setup-timeout nan"),
        (
            ["--url", "localhost:5000", "-e", "A=1", "--no-env"],
            "-e and --no-env say how a model is started here",
        ),
    ],
)
def test_what_cannot_be(arguments: list[str], told: str) -> None:
    with pytest.raises(UsageError, match=re.escape(told)):
        order(*arguments).check()


def test_what_can_be() -> None:
    order().check()
    order("--url", "localhost:5000", "--json", "{}", "-o", "x", "--setup-timeout", "1.5").check()


@pytest.mark.parametrize(
    ("gpus", "devices"),
    [
        ("all", None),
        ("none", ""),
        ("0", ""),
        ("2", "0,1"),
        ("0,2", "0,2"),
        ("device=1", "1"),
        ('"device=0,2"', "0,2"),
    ],
)
def test_gpus(gpus: str, devices: str | None) -> None:
    expected = {} if devices is None else {"CUDA_VISIBLE_DEVICES": devices}
    assert order("--gpus", gpus).gpu_variables() == expected
    assert order().gpu_variables() == {}


@pytest.mark.parametrize("gpus", ["some", "device=", "-1"])
def test_gpus_that_mean_nothing(gpus: str) -> None:
    with pytest.raises(UsageError, match=f"--gpus {gpus}: write all, none"):
        order("--gpus", gpus).gpu_variables()


def test_the_token_goes_into_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    assert order().context() == {}
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_secret")
    assert order("--use-replicate-token").context() == {"replicate_api_token": "r8_secret"}
    monkeypatch.setenv("REPLICATE_API_TOKEN", "")
    with pytest.raises(UsageError, match="REPLICATE_API_TOKEN is not set"):
        order("--use-replicate-token").context()
