"""A folder for temporary files that is full, gone, or cannot be written: one prediction fails, everything else lives."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.receiving import Incoming, Reply, receiving
from support.serving import Server, until, write_model

MODEL = """
    from typing import Any, Optional
    from cog import BaseRunner, Path

    class Runner(BaseRunner):
        def run(self, one: Optional[Path] = None, size: int = 0) -> Any:
            if size:
                path = Path("made.bin")
                path.write_bytes(bytes(size))
                return path
            return "fine"
"""
SIZE = 8 << 20
LARGE = 16 << 20
FULL = r"no space is left|No space left on device|File too large"


def mounted(folder: Path, options: str) -> bool:
    return (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "none", folder], capture_output=True
        ).returncode
        == 0
    )


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A folder on a small disk of its own."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0 or not mounted(folder, f"size={SIZE}"):
        pytest.skip("only root can mount a small disk here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def own_folder(temporary: Path) -> Path:
    (own,) = temporary.glob("cog-run-*")
    return own


def lives(server: Server, temporary: Path) -> None:
    assert server.predict().json()["output"] == "fine"
    assert server.predict({"one": "data:,small"}).json()["output"] == "fine"
    until(lambda: os.listdir(own_folder(temporary)), lambda names: names == ["sdk"])


def error_of(server: Server, given: object) -> str:
    prediction = server.predict(given).json()
    assert prediction["status"] == "failed", prediction
    return str(prediction["error"])


def test_a_full_disk_fails_one_prediction_and_names_the_cause(
    serve: Callable[..., Server], small: Path
) -> None:
    def large(_: Incoming) -> Reply:
        return Reply(200, bytes(LARGE))

    with receiving(large) as source:
        server = serve(MODEL, env={"TMPDIR": str(small)})
        url = f"{source.url}/large.bin"
        error = error_of(server, {"one": url})
        assert error.startswith(
            f"DownloadError: {url} could not be kept: no space is left on the disk of {small}"
        )
        assert "TMPDIR" in error
        assert len(source.got) == 1
        lives(server, small)

        content = base64.b64encode(bytes(LARGE)).decode()
        error = error_of(server, {"one": f"data:application/x-tar;base64,{content}"})
        assert "DownloadError: the content of a data URL could not be kept: no space is left" in error
        lives(server, small)

        error = error_of(server, {"size": LARGE})
        assert "OutputError: the output file made.bin cannot be kept: No space left on device" in error
        assert "TMPDIR" in error
        lives(server, small)

        left = shutil.disk_usage(small).free
        filler = small / "filler"
        with open(filler, "wb") as file:
            file.write(bytes(left))
        assert "No space left on device" in error_of(server, {"size": 10_000})
        assert "no space is left" in error_of(server, {"one": "data:," + "x" * 10_000})
        assert server.predict().json()["output"] == "fine"
        filler.unlink()
        lives(server, small)
    assert server.health()["status"] == "READY"


def test_a_disk_that_became_read_only(serve: Callable[..., Server], small: Path) -> None:
    server = serve(MODEL, env={"TMPDIR": str(small)})
    remount = ["mount", "-o"]
    subprocess.run([*remount, "remount,ro", small], check=True)
    try:
        assert "Read-only file system" in error_of(server, {"one": "data:,x"})
        assert "Read-only file system" in error_of(server, {"size": 10})
        assert server.predict().json()["output"] == "fine"
    finally:
        subprocess.run([*remount, "remount,rw", small], check=True)
    lives(server, small)


def test_a_folder_that_was_removed_while_the_server_runs(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    """J1: what cannot be made must not cost the slot."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    server = serve(MODEL, env={"TMPDIR": str(temporary)})
    shutil.rmtree(own_folder(temporary))
    for _ in range(3):
        error = error_of(server, {"one": "data:,x"})
        assert "is gone" in error
        assert "restart the server" in error
        assert "is gone" in error_of(server, {"size": 10})
        assert server.predict().json()["output"] == "fine"
    assert os.listdir(temporary) == []  # nothing of it is made anew for everybody to read


def started(folder: Path, temporary: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cog.server.http"],
        cwd=folder,
        env={**os.environ, "PORT": "0", "TMPDIR": temporary},
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_without_a_usable_folder_no_server_starts(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", MODEL)
    (tmp_path / "file").touch()
    for temporary, cause in [
        ("/nowhere/at/all", "No such file"),
        (str(tmp_path / "file"), "Not a directory"),
    ]:
        ended = started(model, temporary)
        assert ended.returncode == 1
        assert ended.stderr.startswith(
            f"cog: {temporary}, the folder for temporary files, cannot be used: {cause}"
        )
        assert "TMPDIR" in ended.stderr
        assert "Traceback" not in ended.stderr


def test_on_a_full_or_read_only_disk_no_server_starts(tmp_path: Path, small: Path) -> None:
    model = write_model(tmp_path / "model", MODEL)
    subprocess.run(["mount", "-o", "remount,nr_inodes=3", small], check=True)  # room for two folders
    ended = started(model, str(small))
    assert ended.returncode == 1
    assert "cannot be used: No space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert os.listdir(small) == []
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    ended = started(model, str(small))
    assert ended.returncode == 1
    assert "cannot be used: Read-only file system" in ended.stderr
    assert "Traceback" not in ended.stderr
