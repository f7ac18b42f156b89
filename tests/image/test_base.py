"""Which image a model's image begins with, and which wheels of torch fit it."""

from __future__ import annotations

from typing import Any

import pytest

from cog.config.model import Build
from cog.image import frameworks, tables
from cog.image.base import Base, CudaBase, choose


def chosen(*lines: str, cuda_base: CudaBase = "auto", **build: Any) -> Base:
    return choose(Build(**build), "3.12", lines, cuda_base=cuda_base)


def test_without_a_gpu_it_is_pythons_own() -> None:
    found = chosen("torch==2.8.0")
    assert (found.image, found.python, found.cuda) == ("docker.io/library/python:3.12-slim", "there", None)


@pytest.mark.parametrize(
    ("lines", "build", "tag", "why"),
    [
        ([], {}, "12.8.1-cudnn-devel-ubuntu24.04", "neither cog.yaml nor a known version"),
        (
            ["torch==2.8.0"],
            {},
            "12.9.1-cudnn-devel-ubuntu24.04",
            "the newest that torch 2.8.0 has wheels for",
        ),
        (["torchvision==0.21.0+cu124"], {}, "12.6.3-cudnn-devel-ubuntu24.04", "torch 2.6.0"),
        (["torch>=2"], {}, "12.8.1-cudnn-devel-ubuntu24.04", "neither"),
        (["tensorflow==2.15.1"], {}, "12.2.2-cudnn8-devel-ubuntu22.04", "TensorFlow 2.15 was built with it"),
        (["tensorflow==2.18.0", "torch==2.5.1"], {}, "12.5.1-cudnn-devel-ubuntu22.04", "TensorFlow 2.18"),
        ([], {"cuda": "11.8"}, "11.8.0-cudnn8-devel-ubuntu22.04", "cog.yaml asks for it"),
        ([], {"cuda": "12.1", "cudnn": "8.9"}, "12.1.1-cudnn8-devel-ubuntu22.04", "cog.yaml asks for it"),
        (["torch==2.0.1"], {"cuda": "11.7"}, "11.7.1-cudnn8-devel-ubuntu22.04", "cog.yaml asks for it"),
    ],
)
def test_with_a_gpu_it_has_the_cuda_that_fits(
    lines: list[str], build: dict[str, Any], tag: str, why: str
) -> None:
    found = chosen(*lines, gpu=True, **build)
    assert (found.image, found.python) == (f"docker.io/nvidia/cuda:{tag}", "brought")
    assert why in found.why
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("lines", "build", "warning"),
    [
        (["torch==2.4.1"], {"cuda": "12.8"}, "torch 2.4.1 has wheels for CUDA 11.8 and 12.1 and 12.4"),
        (["tensorflow==2.15.1"], {"cuda": "12.4"}, "TensorFlow 2.15 was built with CUDA 12.2"),
        (
            ["tensorflow==2.17.0"],
            {},
            "there is no image of CUDA 12.3 with cuDNN 8: the nearest one, 12.2.2, is taken",
        ),
        (
            [],
            {"cuda": "12.7"},
            "there is no image of CUDA 12.7 with cuDNN 9: the nearest one, 12.6.3, is taken",
        ),
    ],
)
def test_what_does_not_fit_is_told(lines: list[str], build: dict[str, Any], warning: str) -> None:
    assert any(warning in each for each in chosen(*lines, gpu=True, **build).warnings)


def test_flags_and_an_own_base_go_before() -> None:
    assert chosen(gpu=True, cuda_base="false").image == "docker.io/library/python:3.12-slim"
    assert chosen(gpu=True, cuda_base="false").cuda == "12.8"
    assert chosen(cuda_base="true").image.startswith("docker.io/nvidia/cuda:")
    own = chosen(gpu=True, base_image="mine:1")
    assert (own.image, own.python) == ("mine:1", "there")


@pytest.mark.parametrize(
    ("lines", "cuda", "fitted", "index"),
    [
        (["torch==2.8.0", "numpy"], None, ["torch==2.8.0+cpu", "numpy"], "cpu"),
        (["torch==2.8.0"], "12.9", ["torch==2.8.0+cu129"], "cu129"),
        (
            ["torch==2.6.0 ; python_version > '3'"],
            "12.7.1",
            ["torch==2.6.0+cu126 ; python_version > '3'"],
            "cu126",
        ),
        (
            ["torch==2.4.1", "torchaudio==2.4.1"],
            "12.4",
            ["torch==2.4.1+cu124", "torchaudio==2.4.1+cu124"],
            "cu124",
        ),
        (["torch==2.14.0", "torchaudio==2.11.0"], None, ["torch==2.14.0+cpu", "torchaudio==2.11.0"], "cpu"),
    ],
)
def test_torch_gets_the_wheels_that_fit(
    lines: list[str], cuda: str | None, fitted: list[str], index: str
) -> None:
    found = frameworks.fit(lines, cuda)
    assert list(found.lines) == fitted
    assert found.index == f"https://download.pytorch.org/whl/{index}"
    assert list(found.changed) == [line for line in fitted if "+" in line]


@pytest.mark.parametrize(
    ("lines", "cuda"),
    [
        (["torch>=2.8"], None),
        (["torch==2.8.0+cu126"], "12.9"),
        (["torch==99.0.0"], None),
        (["torch==2.8.0"], "10.2"),
        (["torch==2.6.0"], "12.5.1"),  # PyPI's own are made for 12.4
        (["torch==2.15.0", "torchvision==0.29.2"], "13.2"),
        (["torch-geometric==2.8.0", "numpy==2.0"], None),
    ],
)
def test_everything_else_stays_as_it_was_written(lines: list[str], cuda: str | None) -> None:
    found = frameworks.fit(lines, cuda)
    assert (list(found.lines), found.index) == (lines, None)


def test_the_tables_hold_together() -> None:
    majors = {(tables.version(tag.cuda)[0], tag.cudnn) for tag in tables.tags()}
    assert majors == {(13, "9"), (12, "9"), (12, "8"), (11, "8")}
    for release in tables.torch():
        assert {"torch"} <= set(release.versions) <= {"torch", "torchvision", "torchaudio"}
        assert list(release.cuda) == sorted(set(release.cuda), key=tables.version) != []
        assert release.pypi is None or release.pypi in release.cuda
    newest = [tables.version(release.versions["torch"]) for release in tables.torch()]
    assert newest == sorted(newest, reverse=True)
    assert any(tag.cuda.startswith(f"{tables.default_cuda()}.") for tag in tables.tags())
