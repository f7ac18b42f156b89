"""The commands for images, with programs in the place of the engine that note how they are called."""

from __future__ import annotations

import io
import json
import re
import shutil
import tarfile
from pathlib import Path

import pytest

from cog.cli import contained, push
from cog.errors import UsageError
from support.cogs import cog
from support.command import free_port
from support.serving import write_model
from support.typed import called

MODEL = "from cog import BaseRunner\nclass Runner(BaseRunner):\n    def run(self, x: str) -> str:\n        return x\n"
CONFIG = 'build: {python_version: "3.12"}\nimage: registry.example.com/me/model\nrun: run.py:Runner\n'
DIGEST = f"sha256:{'0a' * 32}"
DESCRIBED = {"openapi_schema": {"openapi": "3.0.2"}, "pip_freeze": "numpy==2.0"}
# Notes its words and what comes on stdin; fails at `push` as often as the file `failures` has lines, each with its line.
PROGRAM = """#!/bin/sh
here=$(dirname "$0")
echo "$*" >>"$here/calls"
case "$1" in
  history) cat "$here/history" ;;
  build)
    echo 'STEP 1/9: FROM base'
    for word; do last=$word; done
    if [ -f "$last/source.tar" ]; then cp "$last/source.tar" "$last/../Dockerfile" "$here"; fi
    if [ -f "$here/broken" ]; then echo 'STEP 3/9: RUN something'; cat "$here/broken"; exit 1; fi ;;
  run)
    case "$*" in
      *getent*) cat "$here/hosts" ;;
      *) cat "$here/described" ;;
    esac ;;
  version) echo 1 ;;
  login) cat >"$here/password" ;;
  push)
    if [ -s "$here/failures" ]; then
      head -n 1 "$here/failures" >&2
      sed -i 1d "$here/failures"
      exit 125
    fi
    cp "$here/digest" "$3" ;;
esac
"""


class Stand:
    """A model's folder, and a `podman` that only notes how it is called."""

    def __init__(self, place: Path) -> None:
        self.model = write_model(place / "my model", MODEL, CONFIG)
        self.place = place / "bin"
        self.place.mkdir()
        (self.place / "podman").write_text(PROGRAM)
        (self.place / "podman").chmod(0o755)
        (self.place / "described").write_text(json.dumps(DESCRIBED))
        (self.place / "digest").write_text(DIGEST)
        (self.place / "history").write_text("")
        self.environ = {"PATH": f"{self.place}:/usr/bin:/bin", "COG_ENGINE": "podman"}

    def calls(self) -> list[str]:
        file = self.place / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def archive(self) -> list[tarfile.TarInfo]:
        with tarfile.open(self.place / "source.tar") as found:
            return found.getmembers()

    def archived(self, name: str) -> bytes:
        with tarfile.open(self.place / "source.tar") as found:
            content = found.extractfile(name)
            assert content is not None
            return content.read()

    def put(self, name: str, text: str) -> None:
        (self.place / name).write_text(text)


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path)


def test_a_build_is_made_asked_and_labelled(stand: Stand) -> None:
    done = called("build", "-t", "mine:1", "--progress", "quiet", folder=stand.model, env=stand.environ)
    assert (done.code, done.out) == (0, ""), done.err
    assert done.err.startswith("Image built as mine:1 in ")
    layers, asked, labels, forgotten = stand.calls()
    assert layers.startswith("build --layers=true --force-rm --platform linux/amd64 --file ")
    assert "cog.server.describe" in asked
    assert "--network none" in asked
    assert "--tag mine:1" in labels
    assert "--label run.cog.pip_freeze=numpy==2.0" in labels
    assert '--label run.cog.openapi_schema={"openapi":"3.0.2"}' in labels
    assert forgotten.startswith("untag cog-build-")
    assert list((stand.model / ".cog" / "build").iterdir()) == []
    assert (stand.model / ".cog" / ".gitignore").read_text() == "*\n"


def test_nobody_is_asked_who_need_not_be(stand: Stand) -> None:
    (stand.model / "schema.json").write_text('{"openapi": "3.1.0"}')
    called("build", "--openapi-schema", "schema.json", folder=stand.model, env=stand.environ)
    called("build", "--skip-schema-validation", folder=stand.model, env=stand.environ)
    assert not [call for call in stand.calls() if call.startswith("run ")]
    assert '{"openapi":"3.1.0"}' in stand.calls()[1]
    assert "openapi_schema" not in stand.calls()[4]
    for text, told in (("{}", "is no OpenAPI document"), ("{", "cannot be read")):
        (stand.model / "schema.json").write_text(text)
        done = called("build", "--openapi-schema", "schema.json", folder=stand.model, env=stand.environ)
        assert told in done.err


def test_what_an_engine_says_at_its_end_is_shown(stand: Stand) -> None:
    stand.put("broken", "/bin/sh: 1: git: not found\n")
    done = called("build", "--progress", "quiet", folder=stand.model, env=stand.environ)
    assert done.code == 1
    assert done.err.startswith(
        "error: podman cannot build the image:\n\nSTEP 1/9: FROM base\nSTEP 3/9: RUN something\n/bin/sh: 1: git: not found\n"
    )
    assert "add `git` to build.system_packages" in done.err


def test_a_model_that_cannot_be_served_gets_no_name(stand: Stand) -> None:
    stand.put(
        "described",
        json.dumps({"error": "SignatureError: x has no type", "kind": "SignatureError", "traceback": ""}),
    )
    done = called("build", "-t", "mine", "--progress", "quiet", folder=stand.model, env=stand.environ)
    assert done.code == 1
    assert "its model cannot be served:\nSignatureError: x has no type" in done.err
    assert not [call for call in stand.calls() if "--tag mine" in call]


def test_a_schema_that_no_command_line_takes_is_left_out(stand: Stand) -> None:
    stand.put("described", json.dumps({"openapi_schema": {"openapi": "x" * 140_000}, "pip_freeze": ""}))
    done = called("build", "--progress", "quiet", folder=stand.model, env=stand.environ)
    assert done.code == 0
    assert "the label run.cog.openapi_schema is left out: it has more than 127 KiB" in done.err


def test_flags_reach_the_build(stand: Stand) -> None:
    (stand.model / "token").write_text("secret")
    flags = [
        "--no-cache",
        "--secret",
        "id=token,src=token",
        "--user",
        "ada",
        "--use-cuda-base-image",
        "true",
        "--progress",
        "plain",
    ]
    old = ["--separate-weights", "--use-cog-base-image", "--strip", "--precompile", "--timestamp", "5"]
    done = called(
        "build", *flags, *old, "--engine", "podman", "-f", "cog.yaml", folder=stand.model, env=stand.environ
    )
    assert done.code == 0, done.err
    assert "--no-cache" in stand.calls()[0]
    assert "--secret id=token,src=token" in stand.calls()[0]
    assert "Reading the model's signature" in done.err
    dockerfile = (stand.place / "Dockerfile").read_text()
    assert "FROM docker.io/nvidia/cuda:" in dockerfile
    assert "USER ada" in dockerfile
    assert {member.mtime for member in stand.archive()} == {5}


def test_certificates_are_lent_and_stay_only_when_they_are_to(stand: Stand) -> None:
    (stand.model / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n")
    stand.environ["COG_CA_CERT"] = str(stand.model / "ca.pem")
    for flags, kept in (([], False), (["--keep-ca-cert"], True)):
        assert called("build", *flags, folder=stand.model, env=stand.environ).code == 0
        dockerfile = (stand.place / "Dockerfile").read_text()
        assert "--mount=type=secret,id=cog_ca_bundle" in dockerfile
        assert ("update-ca-certificates" in dockerfile) is kept


def test_explain_says_what_each_layer_weighs(stand: Stand) -> None:
    stand.put(
        "history",
        '4 kB\tADD file:1 in / \n0 B\tCMD []\n41.5 MB\tRUN x\n0 B\tENV DEBIAN_FRONTEND="noninteractive" PYTHONUNBUFFERED="1"\n400 MB\tbase\n',
    )
    done = called("build", "--explain", folder=stand.model, env=stand.environ)
    assert done.code == 0, done.err
    assert done.out.splitlines()[0] == "   400 MB  The base: Python 3.12, as Docker's official image has it"
    assert done.out.splitlines()[-1] == "   442 MB  in all"


def test_an_sdk_of_another_version_is_not_there(stand: Stand) -> None:
    (stand.model / "cog.yaml").write_text(
        'build: {python_version: "3.12", sdk_version: "0.16.0"}\nrun: run.py\n'
    )
    done = called("build", "--progress", "quiet", folder=stand.model, env=stand.environ)
    assert "build.sdk_version is 0.16.0: an image gets the cog that builds it" in done.err


def test_a_configuration_of_another_name_is_cog_yaml_in_the_image(stand: Stand) -> None:
    (stand.model / "other.yaml").write_text('build: {python_version: "3.12"}\nrun: run.py:Other\n')
    assert called("build", "-f", "other.yaml", folder=stand.model, env=stand.environ).code == 0
    assert stand.archived("src/cog.yaml") == (stand.model / "other.yaml").read_bytes()


@pytest.mark.parametrize("flags", [["--dockerfile", "Dockerfile"], ["--secret", "token"], ["-t", "A B"]])
def test_what_cannot_be_done_is_refused_before(stand: Stand, flags: list[str]) -> None:
    done = called("build", *flags, folder=stand.model, env=stand.environ)
    assert done.code == 1
    assert done.err.startswith("error: ")
    assert stand.calls() == []


def test_without_an_engine(stand: Stand) -> None:
    (stand.place / "podman").unlink()
    done = called("build", folder=stand.model, env={"PATH": str(stand.place)})
    assert done.code == 1
    assert "There is no container engine that works" in done.err
    assert "Without an engine `cog run` and `cog serve` run the model" in done.err


def test_a_push_is_tried_again(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "PAUSES", (0.0, 0.0, 0.0))
    stand.put("failures", "503 Service Unavailable\nconnection reset by peer\n")
    done = called("push", "--progress", "quiet", folder=stand.model, env=stand.environ)
    assert done.code == 0, done.err
    pushes = [call.split() for call in stand.calls() if call.startswith("push ")]
    assert [(words[1], words[-1]) for words in pushes] == [
        ("--digestfile", "registry.example.com/me/model")
    ] * 3
    assert done.err.count("the registry did not take it") == 2
    assert "Pushed registry.example.com/me/model in " in done.err


def test_a_push_says_what_went_where(stand: Stand) -> None:
    made = '4 kB\tADD file:1 in / \n0 B\tENV DEBIAN_FRONTEND="noninteractive" PYTHONUNBUFFERED="1"\n400 MB\tbase\n'
    stand.put("history", made)
    done = called(
        "push", "r8.im/me/model:2", "--progress", "quiet",
        folder=write_model(stand.model, MODEL, "run: run.py:Runner\n"), env=stand.environ,
    )  # fmt: skip
    assert (done.code, done.out) == (0, ""), done.err
    name, tree = done.err[done.err.index("r8.im/me/model\n") :].split("\n", 1)
    lines = tree.splitlines()
    assert name == "r8.im/me/model"
    assert lines[:2] == ["└── 2", f"    ├── {DIGEST}"]
    assert lines[2].startswith("    ├── run.cog.push_id ")
    assert lines[3] == "    └── layers, before they are compressed"
    assert lines[4].startswith("        ├── 400 MB  The base: ")
    assert lines[5].startswith("        └── 4.0 kB  ")
    assert lines[6:] == ["https://replicate.com/me/model"]


def test_each_push_has_an_id_of_its_own(stand: Stand) -> None:
    first, second = (
        called("push", "--progress", "quiet", folder=stand.model, env=stand.environ) for _ in range(2)
    )
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert "https://replicate.com" not in first.err
    called("build", folder=stand.model, env=stand.environ)
    labelled = [call for call in stand.calls() if "--label" in call]
    ids = [re.findall(r"--label run\.cog\.push_id=([0-9a-f-]{36})(?: |$)", call) for call in labelled]
    assert [len(found) for found in ids] == [1, 1, 0]
    assert ids[0] != ids[1]
    assert f"run.cog.push_id {ids[1][0]}\n" in second.err


def test_variables_that_decide_nothing_say_so(stand: Stand) -> None:
    given = {"COG_PUSH_OCI": "1", "COG_PUSH_CONCURRENCY": "2", "COG_PUSH_DEFAULT_CHUNK_SIZE": "1"}
    for env, told in (
        (given, "COG_PUSH_OCI and COG_PUSH_CONCURRENCY and COG_PUSH_DEFAULT_CHUNK_SIZE have no effect"),
        ({"COG_PUSH_MULTIPART_THRESHOLD": "1"}, "COG_PUSH_MULTIPART_THRESHOLD has no effect"),
    ):
        done = called("push", "--progress", "quiet", folder=stand.model, env={**stand.environ, **env})
        assert done.code == 0, done.err
        assert f"warning: {told}: podman pushes, in its own way." in done.err
        assert "`image_parallel_copies` in containers.conf" in done.err
    quiet = called("push", "--progress", "quiet", folder=stand.model, env=stand.environ)
    assert "no effect" not in quiet.err


def test_who_is_not_allowed_is_told_at_once(stand: Stand) -> None:
    stand.put("failures", "unauthorized: authentication required\n" * 9)
    done = called("push", "other.example.com/a", "--progress", "quiet", folder=stand.model, env=stand.environ)
    assert done.code == 1
    assert "`cog login other.example.com` tells it who you are" in done.err
    assert len([call for call in stand.calls() if call.startswith("push ")]) == 1


def test_where_to_is_known_before_anything_is_built(stand: Stand) -> None:
    (stand.model / "cog.yaml").write_text("run: run.py:Runner\n")
    assert "where to?" in called("push", folder=stand.model, env=stand.environ).err
    (stand.model / "cog.yaml").write_text("run: run.py:Runner\nmodel: example.com/a\n")
    assert (
        "leave example.com/b out"
        in called("push", "example.com/b", folder=stand.model, env=stand.environ).err
    )
    assert stand.calls() == []


def test_a_password_stands_on_no_command_line(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("pass word\n"))
    done = called("login", "--username", "ada", "--token-stdin", folder=stand.model, env=stand.environ)
    assert done.code == 0, done.err
    assert stand.calls() == ["login --username ada --password-stdin registry.example.com"]
    assert (stand.place / "password").read_text() == "pass word"
    assert "Logged in to registry.example.com as ada" in done.err


def test_a_login_needs_a_registry_and_a_name(stand: Stand) -> None:
    assert (
        "--token-stdin reads the password alone"
        in called("login", "--token-stdin", folder=stand.model, env=stand.environ).err
    )
    (stand.model / "cog.yaml").write_text("run: run.py:Runner\nimage: me/model\n")
    assert "which registry?" in called("login", folder=stand.model, env=stand.environ).err
    assert stand.calls() == []


def test_where_a_login_goes(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    ways: tuple[tuple[list[str], dict[str, str], str], ...] = (
        (["a.example.com"], {}, "a"),
        (["--registry", "b.example.com"], {}, "b"),
        ([], {"COG_REGISTRY_HOST": "c.example.com"}, "c"),
    )
    for words, env, letter in ways:
        monkeypatch.setattr("sys.stdin", io.StringIO("word\n"))
        done = called(
            "login", *words, "-u", "ada", "--token-stdin", folder=stand.model, env={**stand.environ, **env}
        )
        assert done.code == 0, done.err
        assert stand.calls()[-1].endswith(f" {letter}.example.com")


def test_how_a_build_is_shown(stand: Stand) -> None:
    for words, env, lines in (
        ([], {}, True),
        ([], {"BUILDKIT_PROGRESS": "quiet"}, False),
        (["--progress", "plain"], {"BUILDKIT_PROGRESS": "quiet"}, True),
    ):
        done = called("build", *words, folder=stand.model, env={**stand.environ, **env})
        assert ("Building\nSTEP 1/9: FROM base\n" in done.err) is lines
        assert "Image built as" in done.err


def test_debug_prints_the_dockerfile(stand: Stand) -> None:
    done = called("debug", folder=stand.model, env=stand.environ)
    assert done.code == 0
    assert done.out.startswith("# syntax=docker/dockerfile:1\n")
    assert done.out.endswith("ADD source.tar /\n")
    assert stand.calls() == []


@pytest.mark.parametrize(
    ("engine", "hosts", "added"),
    [
        ("podman", "10.88.0.1  host.containers.internal\n", "host.docker.internal:10.88.0.1"),
        ("docker", "", "host.docker.internal:host-gateway"),
    ],
)
def test_a_container_that_delivers_files_finds_this_machine(
    stand: Stand, engine: str, hosts: str, added: str
) -> None:
    shutil.copy(stand.place / "podman", stand.place / "docker")
    stand.put("hosts", hosts)
    url = "http://host.docker.internal:9000/"
    serve = ("serve", "--docker", "--engine", engine, "-p", str(free_port()))
    done = cog(stand.model, *serve, "--upload-url", url, env=stand.environ)
    assert done.returncode == 0, done.stderr
    assert f"--add-host {added} " in stand.calls()[-1]
    assert stand.calls()[-1].endswith(f"--upload-url {url}")
    assert cog(stand.model, *serve, env=stand.environ).returncode == 0
    assert "--add-host" not in stand.calls()[-1]


def test_a_container_that_cannot_find_this_machine_is_served_all_the_same(stand: Stand) -> None:
    stand.put("hosts", "")
    serve = ("serve", "--docker", "-p", str(free_port()), "--upload-url", "https://files.example.com/")
    done = cog(stand.model, *serve, env=stand.environ)
    assert done.returncode == 0
    assert "host.docker.internal is no name in it" in done.stderr
    assert "--add-host" not in stand.calls()[-1]


def test_a_container_delivers_nothing_to_itself(stand: Stand) -> None:
    for host in ("localhost", "127.0.0.1", "[::1]", "0.0.0.0", "[::]", "[::ffff:127.0.0.1]"):
        url = f"http://{host}/"
        done = called(
            "serve", "--docker", "-p", str(free_port()), "--upload-url", url,
            folder=stand.model, env=stand.environ,
        )  # fmt: skip
        assert done.code == 1
        assert f"--upload-url {url}: in a container that is the container itself" in done.err
    assert stand.calls() == []
    with_ours = {**stand.environ, "COG_RUN_ARGS": "--network host"}
    serve = ("serve", "--docker", "-p", str(free_port()), "--upload-url", "http://127.0.0.1/")
    assert cog(stand.model, *serve, env=with_ours).returncode == 0
    assert stand.calls()[-1].endswith("--upload-url http://127.0.0.1/")


@pytest.mark.parametrize(
    ("text", "published"),
    [("8888", "127.0.0.1:8888:8888"), ("0.0.0.0:80", "0.0.0.0:80:80"), ("[::1]:80", "[::1]:80:80")],
)
def test_a_port_is_published(text: str, published: str) -> None:
    assert contained.published(text) == published


@pytest.mark.parametrize("text", ["", "a", "0", "70000", "1.2.3.4:", "80:"])
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(UsageError, match="write a port"):
        contained.published(text)
