"""What no frame could carry fails its prediction, and never the channel."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cog.errors import OutputError
from cog.worker import outputs
from cog.worker.frames import LENGTHS
from cog.worker.outputs import OutputEncoder


def test_a_payload_over_the_limit_is_refused_before_it_is_packed(tmp_path: Path) -> None:
    encoder = OutputEncoder(str(tmp_path / "1"), largest=10)
    assert encoder.encode("x" * 8) == b'"xxxxxxxx"'
    with pytest.raises(OutputError, match="11 bytes of JSON text, and --max-output allows 10"):
        encoder.encode("x" * 9)


def test_the_limit_is_never_above_what_a_frame_can_carry() -> None:
    assert LENGTHS.pack(0, outputs.LARGEST)


def test_more_files_than_the_head_of_a_frame_can_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "_LARGEST_HEAD", 10_000)
    (tmp_path / "x").touch()
    encoder = OutputEncoder(str(tmp_path / "1"))
    with pytest.raises(OutputError, match="names too many files"):
        encoder.encode([tmp_path / "x"] * 100)
    encoder.encode([tmp_path / "x"] * 3)
    assert len(encoder.files) == 3


def test_a_folder_for_temporary_files_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    encoder = OutputEncoder(str(tmp_path / "cog-run-gone" / "1"))
    with pytest.raises(OutputError, match=r"cannot be kept: .* is gone"):
        encoder.encode(tmp_path / "x")
    assert os.listdir(tmp_path) == ["x"]
