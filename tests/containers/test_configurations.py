"""More of what a cog.yaml can say, each built, run and asked over the published port."""

from __future__ import annotations

import functools
import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from containers.ground import DEBIAN, Ground
from support.serving import request, until, write_model

pytestmark = [pytest.mark.slow, pytest.mark.containers, pytest.mark.timeout(300)]

BASE = f"base_image: '{DEBIAN}', python_version: '3.11'"


def shown(url: str) -> Any:
    return request(url).json()


def test_an_async_model_of_a_named_user(ground: Ground, tmp_path: Path) -> None:
    source = """
        import asyncio, getpass, os, pathlib

        from cog import BaseRunner

        class Runner(BaseRunner):
            async def setup(self):
                (pathlib.Path.home() / "kept").write_text("mine")
                self.met = asyncio.Barrier(3)

            async def run(self, number: int) -> str:
                await self.met.wait()  # three at once, or none ends
                return f"{number} {getpass.getuser()} {os.getuid() > 0} {(pathlib.Path.home() / 'kept').read_text()}"
    """
    folder = write_model(
        tmp_path / "async", source, f"build: {{{BASE}}}\nconcurrency: {{max: 3}}\nrun: run.py:Runner\n"
    )
    ground.build(folder, "cog-test-async", "--user", "ada")
    with ground.running("cog-test-async") as running:
        for number in range(3):
            request(
                f"{running.url}/predictions/n{number}", "PUT", json_body={"input": {"number": number}},
                headers={"prefer": "respond-async"},
            )  # fmt: skip
        for number in range(3):
            ended = until(
                functools.partial(shown, f"{running.url}/predictions/n{number}"),
                lambda found: found["status"] == "succeeded",
            )
            assert ended["output"] == f"{number} ada True mine"
        assert running.shell("id -un").strip() == "ada"


def test_a_model_that_trains_under_its_old_name(ground: Ground, tmp_path: Path) -> None:
    source = """
        from cog import BasePredictor, BaseModel

        class Output(BaseModel):
            weights: str

        class Predictor(BasePredictor):
            def predict(self, text: str) -> str:
                return text.upper()

        def train(steps: int) -> Output:
            return Output(weights="w" * steps)
    """
    folder = write_model(
        tmp_path / "train", source, f"build: {{{BASE}}}\npredict: run.py:Predictor\ntrain: run.py:train\n"
    )
    done = ground.build(folder, "cog-test-train")
    assert 'deprecated field "predict"' in done.stderr
    assert "/trainings" in json.loads(ground.labels("cog-test-train")["run.cog.openapi_schema"])["paths"]
    with ground.running("cog-test-train") as running:
        assert running.predict(text="a") == "A"
        trained = request(f"{running.url}/trainings", "POST", json_body={"input": {"steps": 3}}).json()
        assert trained["output"] == {"weights": "www"}


def test_packages_of_the_project_and_a_configuration_of_another_name(ground: Ground, tmp_path: Path) -> None:
    folder = write_model(
        tmp_path / "own",
        "import subprocess\nimport mine\n\ndef run(text: str) -> str:\n"
        "    said = subprocess.run(['hello', '-g', text], capture_output=True, text=True, check=True)\n"
        "    return said.stdout.strip() + mine.MARK + open('/made').read().strip()\n",
    )
    with zipfile.ZipFile(folder / "mine-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("mine.py", "MARK = '!'\n")
        wheel.writestr("mine-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
        wheel.writestr(
            "mine-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("mine-1.0.dist-info/RECORD", "")
    (folder / "needed.txt").write_text("./mine-1.0-py3-none-any.whl\n")
    (folder / "other.yaml").write_text(
        f"build: {{{BASE}, python_requirements: needed.txt, system_packages: [hello], run: ['hello -g 2 >/made']}}\n"
        "run: run.py:run\n"
    )
    ground.build(folder, "cog-test-own", "-f", "other.yaml")
    with ground.running("cog-test-own") as running:
        assert running.predict(text="hi") == "hi!2"
        assert running.shell("cat /src/cog.yaml") == (folder / "other.yaml").read_text()


def test_weights_and_what_dockerignore_takes_in_again(ground: Ground, tmp_path: Path) -> None:
    source = """
        from collections.abc import Iterator
        from pathlib import Path

        from cog import BaseRunner

        class Runner(BaseRunner):
            def setup(self):
                self.weights = Path("weights/deep/w.bin").read_bytes()

            def run(self) -> Iterator[str]:
                yield self.weights.decode()
                yield from sorted(map(str, Path("notes").iterdir()))
    """
    folder = write_model(tmp_path / "kept", source, f"build: {{{BASE}}}\nrun: run.py:Runner\n")
    (folder / "weights" / "deep").mkdir(parents=True)
    (folder / "weights" / "deep" / "w.bin").write_text("heavy")
    (folder / "notes").mkdir()
    for name in ("a.txt", "b.txt", "c.md"):
        (folder / "notes" / name).touch()
    written = "notes/*\n!notes/b.txt\n"
    (folder / ".dockerignore").write_text(written)
    ground.build(folder, "cog-test-kept")
    assert (folder / ".dockerignore").read_text() == written
    with ground.running("cog-test-kept") as running:
        assert running.predict() == ["heavy", "notes/b.txt"]


def test_a_model_for_a_gpu_where_there_is_none(ground: Ground, tmp_path: Path) -> None:
    folder = write_model(
        tmp_path / "gpu",
        "import os\n\ndef run() -> str:\n    return os.environ['NVIDIA_DRIVER_CAPABILITIES']\n",
        f"build: {{gpu: true, {BASE}}}\nrun: run.py:run\n",
    )
    ground.build(folder, "cog-test-no-gpu")
    with ground.running("cog-test-no-gpu") as running:
        assert running.predict() == "all"
    asked = ground.cog(tmp_path, "run", "cog-test-no-gpu")
    assert (asked.returncode, asked.stdout.strip()) == (0, "all"), asked.stderr


def test_the_example_with_torch(ground: Ground, tmp_path: Path) -> None:
    """A gigabyte. The torch without CUDA is on PyTorch's own index, or among the files that pip is told of here."""
    folder = tmp_path / "embed"
    shutil.copytree(
        Path(__file__).resolve().parents[2] / "examples" / "embed",
        folder,
        ignore=shutil.ignore_patterns(".cog", "__pycache__"),
    )
    extra = {}
    if wheels := os.environ.get("PIP_FIND_LINKS"):
        needed = (folder / "requirements.txt").read_text().replace("torch==2.13.0", "torch==2.13.0+cpu")
        (folder / "requirements.txt").write_text(f"--find-links {wheels}\n{needed}")
        extra["COG_BUILD_ARGS"] = f"--network host --volume {wheels}:{wheels}:ro"
    ground.build(folder, "cog-test-embed", **extra)
    with ground.running("cog-test-embed", timeout=240) as running:
        assert len(running.predict(text="a cat")) == 384
