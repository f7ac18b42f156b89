"""Which GPUs are seen, which are chosen, and who gets which: of a machine that is made of files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from cog.backend.gpus import Gpus, choose
from cog.errors import SettingError

NOTHING = {"PATH": "/nonexistent"}  # no nvidia-smi either


def nvidia(root: Path, listed: int, devices: int | None = None) -> Path:
    """A machine with NVIDIA's driver."""
    for number in range(listed):
        (root / f"proc/driver/nvidia/gpus/0000:0{number}:00.0").mkdir(parents=True)
    (root / "dev").mkdir()
    for name in ("nvidiactl", "nvidia-uvm", "null"):
        (root / "dev" / name).touch()
    for number in range(listed if devices is None else devices):
        (root / f"dev/nvidia{number}").touch()
    return root


def amd(root: Path, count: int) -> Path:
    """A machine with AMD's driver, whose first node is the processor."""
    for number in range(count + 1):
        node = root / f"sys/class/kfd/kfd/topology/nodes/{number}"
        node.mkdir(parents=True)
        (node / "gpu_id").write_text(f"{number * 1000}\n")
    return root


def smi(folder: Path, text: str) -> dict[str, str]:
    """An environment whose nvidia-smi lists this."""
    folder.mkdir()
    (folder / "list").write_text(text)
    (folder / "nvidia-smi").write_text(f'#!/bin/sh\n[ "$1" = -L ] && exec cat {folder}/list\nexit 1\n')
    (folder / "nvidia-smi").chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def refused(asked: tuple[str, ...], environ: Mapping[str, str], root: Path) -> str:
    with pytest.raises(SettingError) as caught:
        choose(asked, environ, root)
    return str(caught.value)


def test_all_that_the_machine_has(tmp_path: Path) -> None:
    found = choose(("all",), NOTHING, nvidia(tmp_path, 3))
    assert found.names == ("0", "1", "2")
    assert found.environment(1) == {"CUDA_VISIBLE_DEVICES": "1"}
    assert found.together().environment(1) == {"CUDA_VISIBLE_DEVICES": "0,1,2"}


def test_workers_share_gpus_in_turn() -> None:
    gpus = Gpus(("4", "GPU-7"))
    given = [gpus.environment(index)["CUDA_VISIBLE_DEVICES"] for index in range(5)]
    assert given == ["4", "GPU-7", "4", "GPU-7", "4"]
    assert Gpus().environment(0) == Gpus().together().environment(0) == {}


def test_unasked_only_several_are_divided(tmp_path: Path) -> None:
    assert choose(None, NOTHING, nvidia(tmp_path / "two", 2)).names == ("0", "1")
    assert choose(None, NOTHING, nvidia(tmp_path / "one", 1)).names == ()
    assert choose(None, NOTHING, tmp_path / "none").names == ()
    assert choose((), NOTHING, tmp_path / "two").names == ()


@pytest.mark.parametrize(("listed", "devices"), [(4, 2), (2, 4), (2, 0), (0, 2)])
def test_a_container_that_is_shown_more_than_it_has(tmp_path: Path, listed: int, devices: int) -> None:
    assert choose(("all",), NOTHING, nvidia(tmp_path, listed, devices)).names == ("0", "1")


@pytest.mark.parametrize(
    ("outer", "names"),
    [
        ("2,3", ("2", "3")),
        (" 3 , 2", ("3", "2")),
        ("GPU-aa,GPU-bb", ("GPU-aa", "GPU-bb")),
        ("MIG-GPU-aa/1/0,MIG-bb", ("MIG-GPU-aa/1/0", "MIG-bb")),
        ("0,-1,1", ("0",)),
        ("1,,2", ("1",)),
    ],
)
def test_an_outer_choice_is_chosen_from(tmp_path: Path, outer: str, names: tuple[str, ...]) -> None:
    environ = {**NOTHING, "CUDA_VISIBLE_DEVICES": outer}
    assert choose(("all",), environ, nvidia(tmp_path, 4)).names == names
    assert choose(("0",), environ, tmp_path).names == names[:1]
    assert choose((str(len(names) - 1),), environ, tmp_path).names == names[-1:]
    named = tuple(name for name in names if not name.isdecimal())
    assert not named or choose(named, environ, tmp_path).names == named


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    root = nvidia(tmp_path, 2)
    assert refused(("0", "2"), NOTHING, root) == (
        "--gpus 2: there is no such GPU. Those that this server sees are 0 to 1."
    )
    outer = {**NOTHING, "CUDA_VISIBLE_DEVICES": "GPU-aa"}
    assert "are 0 (of CUDA_VISIBLE_DEVICES=GPU-aa)" in refused(("1",), outer, root)
    assert "GPU-bb: it is not among CUDA_VISIBLE_DEVICES=GPU-aa" in refused(("GPU-bb",), outer, root)
    assert choose(("GPU-a",), outer, root).names == ("GPU-a",)  # CUDA takes the beginning of a name
    hidden = {**NOTHING, "CUDA_VISIBLE_DEVICES": ""}
    for asked in (("all",), ("0",)):
        assert "hides every GPU" in refused(asked, hidden, root)


def test_where_nothing_can_be_counted_names_are_taken_as_they_are(tmp_path: Path) -> None:
    assert choose(("0", "7", "GPU-x"), NOTHING, tmp_path).names == ("0", "7", "GPU-x")
    assert "no GPU was found" in refused(("all",), NOTHING, tmp_path)


def test_parts_of_a_gpu_have_names_only(tmp_path: Path) -> None:
    root = nvidia(tmp_path / "machine", 2)
    (root / "proc/driver/nvidia/capabilities/gpu0/mig/gi1").mkdir(parents=True)
    text = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6)
  MIG 3g.20gb     Device  0: (UUID: MIG-c6d4f1ef)
  MIG 3g.20gb     Device  1: (UUID: MIG-cba663e8)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-9a9a9a9a)
"""
    environ = smi(tmp_path / "bin", text)
    assert choose(("all",), environ, root).names == ("MIG-c6d4f1ef", "MIG-cba663e8", "1")
    assert choose(("1",), environ, root).names == ("MIG-cba663e8",)
    assert choose(("all",), NOTHING, root).names == ("0", "1")


def test_without_files_of_the_driver_its_program_is_asked(tmp_path: Path) -> None:
    text = "GPU 0: NVIDIA X (UUID: GPU-1)\nGPU 1: NVIDIA X (UUID: GPU-2)\n"
    assert choose(("all",), smi(tmp_path / "bin", text), tmp_path / "machine").names == ("0", "1")


def test_gpus_of_amd(tmp_path: Path) -> None:
    root = amd(tmp_path, 2)
    found = choose(None, NOTHING, root)
    assert found.environment(1) == {"CUDA_VISIBLE_DEVICES": "1", "HIP_VISIBLE_DEVICES": "1"}
    outer = choose(("all",), {**NOTHING, "HIP_VISIBLE_DEVICES": "1"}, root)
    assert outer.environment(0) == {"CUDA_VISIBLE_DEVICES": "1", "HIP_VISIBLE_DEVICES": "1"}
    # What ROCR leaves is numbered anew above it.
    assert choose(("all",), {**NOTHING, "ROCR_VISIBLE_DEVICES": "5,3"}, root).names == ("0", "1")
