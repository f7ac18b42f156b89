"""Flags, variables, their defaults and their texts."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cog.errors import SettingError
from cog.settings import OPTIONS, Settings, read, reference_markdown
from cog.version import __version__

DEFAULTS = {
    "host": "0.0.0.0", "port": 5000, "threads": None, "workers": None, "gpus": None, "upload_url": None, "await_explicit_shutdown": False,
    "mode": "predict", "keep": 3600.0, "drain_timeout": 25.0, "cancel_grace": 10.0, "max_body": 100 * 1024**2,
    "max_download": 1024**3, "max_files": 1000, "download_timeout": 3600.0, "max_output": 1024**3,
    "client_timeout": 30.0, "webhook_signing_secrets": None, "allow_local_files": False, "predict_ref": None, "train_ref": None,
    "max_concurrency": None, "setup_timeout": None, "log_level": "info", "log_format": "auto",
    "throttle_interval": 0.5, "stream_history": 1024, "webhook_auth_token": None, "url_policy": "private", "worker_python": None,
    "user_agent": None, "listen_fd": None, "owner_fd": None, "hold": False, "reload": False, "log_predictions": False, "config_file": None, "no_config": False,
    "max_batch_size": None, "max_batch_wait": None, "predict_timeout": 0.0, "busy_poll": None, "max_predictions_per_worker": 0, "max_worker_memory": 0, "max_queue": 0, "queue_timeout": 0.0, "warnings": (),
}  # fmt: skip

VARIABLES = [option.variable for option in OPTIONS if option.variable is not None]


def shown(found: Settings) -> dict[str, object]:
    return {field.name: getattr(found, field.name) for field in fields(found)}


def test_the_defaults() -> None:
    assert shown(read([], {})) == DEFAULTS


def test_every_option_is_a_field_and_every_field_an_option() -> None:
    assert [option.name for option in OPTIONS] == [field.name for field in fields(Settings)][:-1]


@pytest.mark.parametrize(
    ("argv", "name", "value"),
    [
        (["--host", "::"], "host", "::"),
        (["--host=localhost"], "host", "localhost"),
        (["--port", "8393"], "port", 8393),
        (["--threads", "3"], "threads", 3),
        (["--workers", "3"], "workers", 3),
        (["--gpus", "All"], "gpus", ("all",)),
        (["--gpus", "none"], "gpus", ()),
        (["--gpus", "1, 0"], "gpus", ("1", "0")),
        (["--gpus", "GPU-1a2b,MIG-GPU-3c/1/0"], "gpus", ("GPU-1a2b", "MIG-GPU-3c/1/0")),
        (["--reload"], "reload", True),
        (["--log-predictions"], "log_predictions", True),
        (["--fd", "7"], "listen_fd", 7),
        (["--owner-fd", "8"], "owner_fd", 8),
        (["--hold"], "hold", True),
        (["--no-config"], "no_config", True),
        (["--config", "other.yaml"], "config_file", "other.yaml"),
        (["--upload-url", "https://up.example/x?k=v"], "upload_url", "https://up.example/x?k=v"),
        (["--x-mode", "train"], "mode", "train"),
        (["--keep", "0"], "keep", 0.0),
        (["--drain-timeout", "1.5"], "drain_timeout", 1.5),
        (["--cancel-grace", "0"], "cancel_grace", 0.0),
        (["--max-predictions-per-worker", "1000"], "max_predictions_per_worker", 1000),
        (["--max-worker-memory", "2GiB"], "max_worker_memory", 2**31),
        (["--busy-poll", "0.0005"], "busy_poll", 0.0005),
        (["--busy-poll", "auto"], "busy_poll", None),
        (["--predict-timeout", "1.5"], "predict_timeout", 1.5),
        (["--max-body", "512"], "max_body", 512),
        (["--max-body", "64KiB"], "max_body", 65536),
        (["--max-body", "1GB"], "max_body", 10**9),
        (["--max-body", "1.5 mib"], "max_body", 3 * 2**19),
        (["--max-download", "1GiB"], "max_download", 2**30),
        (["--max-files", "3"], "max_files", 3),
        (["--download-timeout", "5"], "download_timeout", 5.0),
        (["--max-output", "1MiB"], "max_output", 2**20),
        (["--client-timeout", "0.5"], "client_timeout", 0.5),
        (["--allow-local-files"], "allow_local_files", True),
    ],
)
def test_flags(argv: list[str], name: str, value: object) -> None:
    assert shown(read(argv, {})) == DEFAULTS | {name: value}


@pytest.mark.parametrize(
    ("argv", "value"),
    [
        (["--await-explicit-shutdown"], True),
        (["--await-explicit-shutdown", "true"], True),
        (["--await-explicit-shutdown", "1"], True),
        (["--await-explicit-shutdown", "false"], False),
        (["--await-explicit-shutdown=False"], False),
        (["--await-explicit-shutdown", "0"], False),
        (["--await-explicit-shutdown", "no"], False),
        (["--await-explicit-shutdown", ""], False),
        (["--await-explicit-shutdown", "--host", "::1"], True),
    ],
)
def test_await_explicit_shutdown_takes_its_word(argv: list[str], value: bool) -> None:
    """J29, [compat] with a value that is not needed."""
    assert read(argv, {}).await_explicit_shutdown is value


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("PORT", "0", "port", 0),
        ("PORT", "8080", "port", 8080),
        ("COG_KEEP", "60", "keep", 60.0),
        ("COG_DRAIN_TIMEOUT", "1", "drain_timeout", 1.0),
        ("COG_CANCEL_GRACE", "2", "cancel_grace", 2.0),
        ("COG_MAX_PREDICTIONS_PER_WORKER", "5", "max_predictions_per_worker", 5),
        ("COG_MAX_WORKER_MEMORY", "1GB", "max_worker_memory", 10**9),
        ("COG_PREDICT_TIMEOUT", "30", "predict_timeout", 30.0),
        ("COG_MAX_BODY", "1MiB", "max_body", 2**20),
        ("COG_MAX_DOWNLOAD", "1MB", "max_download", 10**6),
        ("COG_PREDICT_TYPE_STUB", "run.py:Runner", "predict_ref", "run.py:Runner"),
        ("COG_TRAIN_TYPE_STUB", "train.py:train", "train_ref", "train.py:train"),
        ("COG_WORKERS", "3", "workers", 3),
        ("COG_GPUS", "0,2", "gpus", ("0", "2")),
        ("COG_MAX_CONCURRENCY", "4", "max_concurrency", 4),
        ("COG_SETUP_TIMEOUT", "30", "setup_timeout", 30.0),
        ("COG_LOG_LEVEL", "warn", "log_level", "warning"),
        ("COG_LOG_LEVEL", "DEBUG", "log_level", "debug"),
        ("COG_LOG_LEVEL", "off", "log_level", "off"),
        ("LOG_FORMAT", "console", "log_format", "console"),
        ("COG_THROTTLE_RESPONSE_INTERVAL", "0", "throttle_interval", 0.0),
        ("COG_MAX_FILES", "3", "max_files", 3),
        ("COG_DOWNLOAD_TIMEOUT", "5", "download_timeout", 5.0),
        ("COG_MAX_OUTPUT", "1MiB", "max_output", 2**20),
        ("COG_CLIENT_TIMEOUT", "5", "client_timeout", 5.0),
        ("WEBHOOK_AUTH_TOKEN", "s3cret", "webhook_auth_token", "s3cret"),
        (
            "WEBHOOK_SIGNING_SECRET",
            f"whsec_{'QUFB' * 8} {'QkJC' * 8}",
            "webhook_signing_secrets",
            (b"A" * 24, b"B" * 24),
        ),
        ("COG_URL_POLICY", "public", "url_policy", "public"),
        ("COG_WORKER_PYTHON", "/opt/python", "worker_python", "/opt/python"),
        ("COG_USER_AGENT", "me/1", "user_agent", "me/1"),
    ],
)
def test_variables(variable: str, text: str, name: str, value: object) -> None:
    assert shown(read([], {variable: text})) == DEFAULTS | {name: value}


def test_a_flag_wins_over_its_variable() -> None:
    assert read(["--keep", "1"], {"COG_KEEP": "2"}).keep == 1.0
    assert read(["--keep", "1"], {"COG_KEEP": "nonsense"}).keep == 1.0


def test_an_empty_variable_is_not_set() -> None:
    assert shown(read([], dict.fromkeys(VARIABLES, ""))) == DEFAULTS


@pytest.mark.parametrize(
    ("variable", "text", "name", "value", "told"),
    [
        ("COG_MAX_CONCURRENCY", "0", "max_concurrency", 1, "1 is used instead"),
        ("COG_MAX_CONCURRENCY", "many", "max_concurrency", 1, "1 is used instead"),
        ("COG_SETUP_TIMEOUT", "0", "setup_timeout", None, "It is ignored"),
        ("COG_SETUP_TIMEOUT", "x", "setup_timeout", None, "It is ignored"),
        ("COG_SETUP_TIMEOUT", "inf", "setup_timeout", None, "It is ignored"),
        ("COG_THROTTLE_RESPONSE_INTERVAL", "-1", "throttle_interval", 0.5, "0.5 is used instead"),
        ("COG_THROTTLE_RESPONSE_INTERVAL", "nan", "throttle_interval", 0.5, "0.5 is used instead"),
        ("COG_LOG_LEVEL", "loud", "log_level", "info", "info is used instead"),
        ("LOG_FORMAT", "text", "log_format", "json", "json is used instead"),
    ],
)
def test_some_variables_only_warn(variable: str, text: str, name: str, value: object, told: str) -> None:
    found = read([], {variable: text})
    assert shown(found) == DEFAULTS | {name: value, "warnings": found.warnings}
    (warning,) = found.warnings
    assert warning.startswith(f"the environment variable {variable} is '{text}', but it must be ")
    assert told in warning


def test_all_bad_variables_are_told_together() -> None:
    with pytest.raises(SettingError) as caught:
        read([], {"PORT": "70000", "COG_KEEP": "-1", "COG_MAX_BODY": "0", "COG_URL_POLICY": "none"})
    lines = str(caught.value).split("\n")
    assert lines[0] == (
        "the environment variable PORT is '70000', but it must be a whole number from 0 to 65535. "
        "Change it, or unset it for the default (5000)."
    )
    assert [line.split()[3] for line in lines] == ["PORT", "COG_KEEP", "COG_MAX_BODY", "COG_URL_POLICY"]
    assert SettingError.exit_code == 1


@pytest.mark.parametrize(
    "argv",
    [
        ["--unknown"], ["--host"], ["--hos", "x"], ["--threads", "0"], ["--threads", "2x"], ["--workers", "0"],
        ["--gpus", "0,,1"], ["--gpus", "0,0"], ["--gpus", "0,all"], ["--gpus", "GPU"], ["--x-mode", ""],
        ["--upload-url", "ftp://x"], ["--upload-url", "http://[x"], ["--upload-url", "http://h:99999/"],
        ["--upload-url", "no url"], ["--max-body", "10 apples"], ["--max-body", "64K"], ["--keep", "nan"],
        ["--await-explicit-shutdown", "perhaps"], ["extra"], ["--busy-poll", "0.2"], ["--busy-poll", "-1"], ["--busy-poll", "soon"],
    ],
)  # fmt: skip
def test_bad_arguments_end_with_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        read(argv, {})
    assert caught.value.code == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["-v", "--version"])
def test_version(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        read([flag], {})
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"cog {__version__}\n"


def test_help_and_reference_name_everything(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        read(["--help"], {})
    assert caught.value.code == 0
    text, table = capsys.readouterr().out, reference_markdown()
    for option in OPTIONS:
        for name in (option.flag, option.variable, option.default):
            assert name is None or (name in text and f"`{name}" in table)
    rows = table.splitlines()
    assert len(rows) == len(OPTIONS) + 3
    assert {row.count("|") for row in rows} == {5}


def test_the_token_is_never_shown() -> None:
    assert "s3cret" not in repr(read([], {"WEBHOOK_AUTH_TOKEN": "s3cret"}))
    with pytest.raises(SettingError) as caught:
        read([], {"WEBHOOK_AUTH_TOKEN": "s3cret\n"})
    assert "s3cret" not in str(caught.value)


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        read([], {}).port = 1  # type: ignore[misc]


@given(st.dictionaries(st.sampled_from(VARIABLES), st.text(max_size=12)))
def test_any_environment_is_read_or_refused_in_words(environ: dict[str, str]) -> None:
    told = ""
    try:
        read([], environ)
    except SettingError as error:
        told = str(error)
    assert told == "" or told.startswith("the environment variable ")
