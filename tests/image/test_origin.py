"""Where the cog of an image comes from, as COG_SDK_WHEEL says it."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

import cog
from cog.errors import UsageError
from cog.image import kit
from image.test_commands import Stand
from support.receiving import Incoming, Reply, receiving
from support.typed import Typed, called
from support.wheels import write_wheel

OTHER = "9.8.7+mine"


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path)


def build(stand: Stand, wheel: str) -> Typed:
    """`cog build`, with the variable."""
    environ = {**stand.environ, "COG_SDK_WHEEL": wheel}
    return called("build", "--progress", "quiet", folder=stand.model, env=environ)


def test_a_wheel_gives_what_the_cog_that_runs_gives(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path, cog.__version__)
    assert kit.make({"COG_SDK_WHEEL": str(wheel)}).digest == kit.make({}).digest
    assert kit.make({"COG_SDK_WHEEL": " "}).digest == kit.make({}).digest


def test_a_wheel_is_installed_in_both_environments(stand: Stand, tmp_path: Path) -> None:
    done = build(stand, str(write_wheel(tmp_path, OTHER)))
    assert done.code == 0, done.err
    dockerfile = (stand.place / "Dockerfile").read_text()
    for part in ("server", "sdk"):
        assert f" /run/cog/kit/{part}/cog-{OTHER}-py3-none-any.whl" in dockerfile
    assert f"cog-{cog.__version__}-" not in dockerfile


def test_both_wheels_have_its_files_and_its_version(tmp_path: Path) -> None:
    made = kit.make({"COG_SDK_WHEEL": str(write_wheel(tmp_path, OTHER))})
    for name in (kit.server_wheel(OTHER), kit.sdk_wheel(OTHER)):
        with zipfile.ZipFile(io.BytesIO(made.files[name])) as archive:
            assert f'"{OTHER}"' in archive.read("cog/version.py").decode()
            assert f"\nVersion: {OTHER}\n" in archive.read(f"cog-{OTHER}.dist-info/METADATA").decode()


def test_versions_hold_as_long_as_it_needs_the_same(tmp_path: Path) -> None:
    same = kit.make({"COG_SDK_WHEEL": str(write_wheel(tmp_path, OTHER))})
    more = kit.make({"COG_SDK_WHEEL": str(write_wheel(tmp_path / "more", OTHER, ("aiohttp>=99",)))})
    assert same.files[kit.CONSTRAINTS] == kit.make({}).files[kit.CONSTRAINTS] != b""
    assert more.files[kit.CONSTRAINTS] == b""


def test_it_comes_from_a_url(stand: Stand, tmp_path: Path) -> None:
    content = write_wheel(tmp_path, OTHER).read_bytes()

    def told(incoming: Incoming) -> Reply:
        return Reply(200, content) if incoming.path == "/cog.whl" else Reply(404)

    with receiving(told) as server:
        done = build(stand, f"{server.url}/cog.whl")
        missing = build(stand, f"{server.url}/other.whl")
    assert done.code == 0, done.err
    assert f"cog-{OTHER}-py3-none-any.whl" in (stand.place / "Dockerfile").read_text()
    assert missing.code == 1
    assert f"COG_SDK_WHEEL={server.url}/other.whl cannot be read: HTTP Error 404" in missing.err


def test_dist_is_the_wheel_that_was_built_here(stand: Stand) -> None:
    none = build(stand, "dist")
    assert none.code == 1
    assert f"{stand.model / 'dist'} has no cog-VERSION-*.whl" in none.err
    write_wheel(stand.model / "dist", OTHER)
    assert build(stand, "dist").code == 0
    write_wheel(stand.model / "dist", "9.9.9")
    several = build(stand, "dist")
    assert several.code == 1
    assert f"has cog-{OTHER}-py3-none-any.whl, cog-9.9.9-py3-none-any.whl. Name one wheel" in several.err


@pytest.mark.parametrize("given", ["pypi", "pypi:0.16.0"])
def test_the_cog_on_pypi_is_another(stand: Stand, given: str) -> None:
    done = build(stand, given)
    assert done.code == 1
    assert f"error: COG_SDK_WHEEL={given}: the cog on PyPI is Replicate's" in done.err
    assert stand.calls() == []


def write(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_what_is_no_wheel_of_this_project(tmp_path: Path) -> None:
    text = tmp_path / "text.whl"
    text.write_text("nothing")
    bare = write(tmp_path / "bare.whl", {"cog/__init__.py": ""})
    theirs = write(
        tmp_path / "theirs.whl",
        {
            "cog/__init__.py": "",
            "cog-0.16.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: cog\nVersion: 0.16.0\n",
        },
    )
    spoiled = tmp_path / "spoiled.whl"
    with zipfile.ZipFile(spoiled, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cog/__init__.py", "x = 1\n" * 1000)
    content = bytearray(spoiled.read_bytes())
    content[45:60] = b"\xff" * 15  # where its first member begins
    spoiled.write_bytes(content)
    for path, told in (
        (text, "is no wheel: "),
        (bare, "is no wheel: it has no METADATA"),
        (theirs, "is cog 0.16.0, and not this project's: it lacks "),
        (spoiled, "is no wheel: "),
        (tmp_path / "none.whl", "cannot be read: "),
        (tmp_path, "cannot be read: "),
    ):
        with pytest.raises(UsageError) as caught:
            kit.make({"COG_SDK_WHEEL": str(path)})
        assert str(caught.value).startswith(f"COG_SDK_WHEEL={path} {told}")


def test_what_is_secret_in_a_url_is_not_told() -> None:
    for given in ("https://me:s3cret@127.0.0.1:9/cog.whl", "http://127.0.0.1:9/cog.whl?sig=s3cret"):
        with pytest.raises(UsageError) as caught:
            kit.make({"COG_SDK_WHEEL": given})
        assert "s3cret" not in str(caught.value)
        assert "127.0.0.1:9/cog.whl" in str(caught.value)


def test_it_goes_before_the_version_of_the_configuration(stand: Stand, tmp_path: Path) -> None:
    wheel = str(write_wheel(tmp_path, "9.9.9"))
    for asked, told in (("0.16.0", True), ("9.9.9", False)):
        config = f'build: {{python_version: "3.12", sdk_version: "{asked}"}}\nrun: run.py\n'
        (stand.model / "cog.yaml").write_text(config)
        done = build(stand, wheel)
        assert done.code == 0, done.err
        words = "build.sdk_version is 0.16.0: an image gets the cog of COG_SDK_WHEEL, 9.9.9"
        assert (words in done.err) is told
        assert ("sdk_version" in done.err) is told
