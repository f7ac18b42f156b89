"""`python -m cog.server.http` as a command: its help, its exit codes, where it listens, what it serves."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from cog.settings import OPTIONS
from cog.version import __version__
from support.command import free_port, run, running
from support.serving import Response, Server, request, write_model

HELLO = """
    from cog import BaseRunner

    class Runner(BaseRunner):
        def run(self, text: str = "you") -> str:
            return f"hello {text}"

    class Other(BaseRunner):
        def run(self) -> str:
            return "the other one"
"""


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    return write_model(tmp_path / "hello", HELLO)


def squeezed(text: str) -> str:
    """`text` without white space: help is wrapped to the width of the terminal."""
    return re.sub(r"\s", "", text)


def test_help_names_each_option_with_variable_and_default(tmp_path: Path) -> None:
    ended = run(tmp_path, "--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    shown = squeezed(ended.stdout)
    for option in OPTIONS:
        assert option.flag is None or f"{option.flag}" in shown
        assert option.variable is None or option.variable in shown
        expected = option.help
        if option.flag is not None and option.variable is not None:
            expected += f" Variable: {option.variable}."
        if option.default is not None:
            expected += f" Default: {option.default}."
        assert squeezed(expected) in shown


@pytest.mark.parametrize("flag", ["--version", "-v"])
def test_version(tmp_path: Path, flag: str) -> None:
    ended = run(tmp_path, flag)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"cog {__version__}\n", "")


def test_no_model_ends_with_1(tmp_path: Path) -> None:
    ended = run(tmp_path)
    assert ended.returncode == 1
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("cog: there is no model to serve: ")
    assert "has no cog.yaml, and COG_PREDICT_TYPE_STUB is not set" in line
    assert 'Write `run: "run.py:Runner"` into cog.yaml, or set COG_PREDICT_TYPE_STUB.' in line


def test_a_cog_yaml_without_a_model_ends_with_1(tmp_path: Path) -> None:
    (tmp_path / "cog.yaml").write_text("build:\n  gpu: false\n")
    ended = run(tmp_path)
    assert ended.returncode == 1
    assert f"{tmp_path}/cog.yaml does not name it" in ended.stderr


@pytest.mark.parametrize(
    ("variable", "value"), [("PORT", "http"), ("PORT", "65536"), ("COG_URL_POLICY", "all")]
)
def test_a_bad_variable_ends_with_1(hello: Path, variable: str, value: str) -> None:
    ended = run(hello, env={variable: value})
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"cog: the environment variable {variable} is '{value}', but it must be ")


def test_a_port_that_is_taken_ends_with_1(hello: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        ended = run(hello, "--host", "127.0.0.1", env={"PORT": str(port)})
    assert ended.returncode == 1
    assert f"cog: cannot listen on 127.0.0.1 port {port}: Address already in use." in ended.stderr
    assert "set PORT to another one" in ended.stderr


@pytest.mark.parametrize("host", ["unknown.invalid", "a b", "x" * 300, "bücher..invalid"])
def test_an_unknown_host_ends_with_1(hello: Path, host: str) -> None:
    ended = run(hello, "--host", host)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"cog: --host {host} cannot be listened on: ")
    assert "Traceback" not in ended.stderr


def test_an_address_of_another_machine_ends_with_1(hello: Path) -> None:
    ended = run(hello, "--host", "192.0.2.1")  # RFC 5737: for documentation, nobody has it
    assert ended.returncode == 1
    assert ended.stderr.startswith("cog: cannot listen on 192.0.2.1 port 0: Cannot assign requested address")


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("run: 'run.py:Runner\n", "cog.yaml:1:6", "failed to parse cog.yaml"),
        ('run: "run.py:Runner"\nbuild:\n  gpu: maybe\n', "cog.yaml:3:8", "build.gpu"),
        ('run: "run.py:Runner"\n\nruns: 5\n', "cog.yaml:3:1", '"runs"'),
        ("- a\n", "cog.yaml:1:1", "the whole file"),
    ],
)
def test_a_broken_cog_yaml_ends_with_1_and_says_where(hello: Path, text: str, place: str, said: str) -> None:
    (hello / "cog.yaml").write_text(text)
    ended = run(hello)
    assert ended.returncode == 1
    assert place in ended.stderr
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--no-such-flag",), "--no-such-flag"),
        (("--threads", "0"), "argument --threads: '0' cannot be used: it must be a whole number from 1"),
        (
            ("--upload-url", "ftp://x"),
            "argument --upload-url: 'ftp://x' cannot be used: it must be an absolute http",
        ),
        (
            ("--x-mode", "dream"),
            "argument --x-mode: 'dream' cannot be used: it must be one of predict, train",
        ),
        (("--thr", "2"), "unrecognized arguments: --thr"),
    ],
)
def test_a_bad_flag_ends_with_2(hello: Path, flags: tuple[str, ...], said: str) -> None:
    ended = run(hello, *flags)
    assert ended.returncode == 2
    assert said in ended.stderr


@pytest.mark.parametrize("folder", ["with cog.yaml", "without"])
def test_train_mode_needs_a_train(tmp_path: Path, folder: str) -> None:
    if folder == "with cog.yaml":
        write_model(tmp_path, HELLO)
    ended = run(tmp_path, "--x-mode", "train", env={"COG_PREDICT_TYPE_STUB": "run.py:Runner"})
    assert ended.returncode == 1
    assert "COG_TRAIN_TYPE_STUB is not set" in ended.stderr
    assert 'Write `train: "train.py:train"` into cog.yaml' in ended.stderr


def predicted(answer: Response) -> object:
    assert answer.status == 200, answer
    return answer.json()["output"]


def test_port_says_where(hello: Path) -> None:
    port = free_port()
    with running(hello, "--host", "127.0.0.1", env={"PORT": str(port)}) as server:
        server.wait_written("READY")
        answer = request(f"http://127.0.0.1:{port}/predictions", "POST", json_body={"input": {"text": "a"}})
        assert predicted(answer) == "hello a"
        assert f"listening on http://127.0.0.1:{port}" in server.written


def test_two_colons_listen_on_both(serve: Callable[..., Server], hello: Path) -> None:
    server = serve(hello, "--host", "::")
    port = server.url.rpartition(":")[2]
    assert server.url == f"http://[::1]:{port}"
    for host in ("[::1]", "127.0.0.1"):
        assert request(f"http://{host}:{port}/ready").status == 200


def test_localhost_is_a_host(serve: Callable[..., Server], hello: Path) -> None:
    server = serve(hello, "--host", "localhost")
    port = server.url.rpartition(":")[2]
    urls = next(line["fields"]["urls"] for line in server.lines if "urls" in line["fields"])
    addresses = {info[4][0] for info in socket.getaddrinfo("localhost", None, type=socket.SOCK_STREAM)}
    assert set(urls) == {f"http://[{a}]:{port}" if ":" in str(a) else f"http://{a}:{port}" for a in addresses}
    for url in urls:
        assert request(f"{url}/ready").status == 200


def test_the_default_host_is_every_ipv4_address(hello: Path) -> None:
    with running(hello) as server:
        written = server.wait_written("READY")
        (port,) = re.findall(r"listening on http://127\.0\.0\.1:(\d+)", written)
        assert request(f"http://127.0.0.2:{port}/ready").status == 200


def test_variables_alone_are_enough(serve: Callable[..., Server], hello: Path) -> None:
    (hello / "cog.yaml").unlink()
    server = serve(hello, env={"COG_PREDICT_TYPE_STUB": "run.py:Other"})
    assert predicted(server.predict()) == "the other one"


def test_the_variable_wins_over_cog_yaml(serve: Callable[..., Server], hello: Path) -> None:
    server = serve(hello, env={"COG_PREDICT_TYPE_STUB": "run.py:Other"})
    assert predicted(server.predict()) == "the other one"


def test_predict_is_the_old_name_of_run_and_bad_variables_of_old_only_warn(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    folder = write_model(tmp_path / "old", HELLO, config='predict: "run.py:Other"\n')
    server = serve(folder, env={"COG_SETUP_TIMEOUT": "0", "COG_LOG_LEVEL": "loud"})
    assert predicted(server.predict()) == "the other one"
    warnings = [line["fields"]["message"] for line in server.lines if line["level"] == "WARNING"]
    assert warnings == [
        "the environment variable COG_SETUP_TIMEOUT is '0', but it must be more than 0 seconds. It is ignored.",
        "the environment variable COG_LOG_LEVEL is 'loud', but it must be one of debug, info, warning, error, off. "
        "info is used instead.",
        'deprecated field "predict": use "run" instead',
    ]


def test_a_folder_below_the_one_of_cog_yaml_serves_it_too(serve: Callable[..., Server], hello: Path) -> None:
    below = hello / "below"
    below.mkdir()
    assert predicted(serve(below).predict()) == "hello you"
