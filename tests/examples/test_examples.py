"""The examples do over HTTP what they say, and `make serve` prints a line that works."""

from __future__ import annotations

import base64
import io
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat

from support.receiving import Reply, receiving
from support.serving import DEADLINE, Server

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"

Serve = Callable[..., Server]


@pytest.fixture(scope="module")
def hello(serve_once: Serve) -> Server:
    return serve_once(EXAMPLES / "hello")


@pytest.fixture(scope="module")
def blur(serve_once: Serve) -> Server:
    return serve_once(EXAMPLES / "blur")


@pytest.fixture(scope="module")
def stream(serve_once: Serve) -> Server:
    return serve_once(EXAMPLES / "stream")


def succeeded(server: Server, **given: Any) -> Any:
    """The output of a prediction, which has to succeed."""
    prediction = server.predict(given).json()
    assert prediction["status"] == "succeeded", prediction
    return prediction["output"]


def test_hello_greets(hello: Server) -> None:
    assert succeeded(hello, text="you") == "hello you"
    assert succeeded(hello, text="") == "hello "


def test_hello_needs_a_name(hello: Server) -> None:
    answer = hello.predict({})
    assert answer.status == 422
    assert answer.json()["detail"] == [
        {"loc": ["body", "input", "text"], "msg": "Field required", "type": "value_error.missing"}
    ]


def data_url(image: Image.Image, kind: str, **options: Any) -> str:
    encoded = io.BytesIO()
    image.save(encoded, format=kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(encoded.getvalue()).decode()}"


def opened(url: str) -> Image.Image:
    head, _, encoded = url.partition(",")
    assert re.fullmatch(r"data:image/\w+;base64", head)
    return Image.open(io.BytesIO(base64.b64decode(encoded)))


def two_halves(mode: str, left: Any, right: Any) -> Image.Image:
    """An image with a hard edge in its middle."""
    image = Image.new(mode, (80, 40), left)
    image.paste(right, (40, 0, 80, 40))
    return image


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF"])
def test_blur_keeps_format_and_size(blur: Server, kind: str) -> None:
    sharp = two_halves("RGB", "black", "white")
    soft = opened(succeeded(blur, image=data_url(sharp, kind), radius=10))
    assert (soft.format, soft.size) == (kind, sharp.size)
    # The edge is a slope now, from dark through grey to bright.
    levels = [soft.convert("L").getpixel((x, 20)) for x in (2, 36, 40, 44, 77)]
    assert levels == sorted(levels)  # type: ignore[type-var]
    assert levels[0] < 60 < levels[2] < 200 < levels[4]  # type: ignore[operator]


def test_blur_takes_the_photo_from_a_url(blur: Server) -> None:
    content = (EXAMPLES / "blur" / "photo.jpg").read_bytes()
    with receiving(lambda _: Reply(200, content)) as source:
        soft = opened(succeeded(blur, image=f"{source.url}/photo.jpg", radius=8))
    sharp = Image.open(io.BytesIO(content))
    assert (soft.format, soft.size) == ("JPEG", sharp.size) == ("JPEG", (480, 320))

    def detail(image: Image.Image) -> float:
        """How much a pixel differs from the one beside it."""
        one = image.convert("L")
        return ImageStat.Stat(ImageChops.difference(one, ImageChops.offset(one, 1, 0))).mean[0]

    assert detail(soft) < detail(sharp) / 2
    # It is still the same picture.
    assert ImageStat.Stat(soft).mean == pytest.approx(ImageStat.Stat(sharp).mean, abs=3)


def test_blur_reaches_as_far_as_the_radius(blur: Server) -> None:
    url = data_url(two_halves("L", 0, 255), "PNG")
    at_rest, near, far = (opened(succeeded(blur, image=url, radius=radius)) for radius in (0, 2, 20))
    assert at_rest.getpixel((39, 20)) == 0
    assert near.getpixel((20, 20)) == 0
    assert far.getpixel((20, 20)) > 20  # type: ignore[operator]


def test_blur_keeps_what_is_transparent(blur: Server) -> None:
    url = data_url(two_halves("RGBA", (255, 0, 0, 0), (255, 0, 0, 255)), "PNG")
    soft = opened(succeeded(blur, image=url))
    assert soft.mode == "RGBA"
    assert soft.getpixel((2, 20)) == (255, 0, 0, 0)


@pytest.mark.parametrize(
    ("mode", "kind"), [("P", "PNG"), ("P", "GIF"), ("1", "PNG"), ("CMYK", "JPEG"), ("I;16", "PNG")]
)
def test_blur_takes_images_of_every_kind(blur: Server, mode: str, kind: str) -> None:
    soft = opened(succeeded(blur, image=data_url(Image.new(mode, (8, 8)), kind)))
    assert (soft.format, soft.size) == (kind, (8, 8))


def test_blur_turns_a_photo_upright(blur: Server) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was held on its side
    soft = opened(succeeded(blur, image=data_url(Image.new("RGB", (80, 40)), "JPEG", exif=turned)))
    assert soft.size == (40, 80)


def test_blur_says_what_is_wrong(blur: Server) -> None:
    answer = blur.predict({"image": "photo.jpg", "radius": 51})
    assert answer.status == 422
    assert [problem["loc"][2] for problem in answer.json()["detail"]] == ["image", "radius"]
    prediction = blur.predict({"image": "data:text/plain,this is no image"}).json()
    assert prediction["status"] == "failed"
    assert prediction["error"].startswith("UnidentifiedImageError")


def test_stream_writes_as_many_words_as_asked(stream: Server) -> None:
    words = succeeded(stream, length=25)
    assert len(words) == 25
    assert all(re.fullmatch(r" ?[A-Za-z'-]+|[.,;:?!]", word) for word in words)
    assert len(succeeded(stream)) == 80


def test_stream_writes_the_same_with_the_same_seed(stream: Server) -> None:
    written = {seed: succeeded(stream, seed=seed) for seed in (1, 2)}
    assert succeeded(stream, seed=1) == written[1] != written[2]


def test_stream_writes_the_same_in_another_process(stream: Server, serve: Serve) -> None:
    other = serve(EXAMPLES / "stream")
    for given in ({"seed": 3}, {"seed": 4, "prompt": "In the night", "temperature": 2.5}):
        assert succeeded(other, **given) == succeeded(stream, **given)


def test_stream_goes_on_from_the_prompt(stream: Server) -> None:
    assert succeeded(stream, prompt="sea very", length=2, temperature=0) == [" high", ","]
    assert len(succeeded(stream, prompt="Words it has never seen, xyzzy", length=5)) == 5


def test_stream_is_certain_at_temperature_zero(stream: Server) -> None:
    one, other = (succeeded(stream, prompt="The keeper", temperature=0, seed=seed) for seed in (1, 2))
    assert one == other


def test_stream_learns_in_setup_and_keeps_to_its_limits(stream: Server) -> None:
    assert re.search(r"learned \d+ contexts from \d{4} words", stream.health()["setup"]["logs"])
    answer = stream.predict({"length": 0, "temperature": 6, "seed": -1, "prompt": "x" * 2001})
    assert answer.status == 422
    assert {problem["loc"][2] for problem in answer.json()["detail"]} == {
        "length",
        "temperature",
        "seed",
        "prompt",
    }


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.mark.slow
def test_make_serve_prints_a_line_that_works(tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(EXAMPLES)
    with subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "serve_example.py"), "blur"],
        env={**os.environ, "PORT": str(free_port())},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as script:
        assert script.stdout is not None
        late = threading.Timer(DEADLINE, script.terminate)
        late.start()
        try:
            text = ""
            for line in script.stdout:
                text += line
                if "Ctrl-C ends the server" in line:
                    break
            command = text.partition(":\n")[2].partition("\nOr open")[0]
            assert command, text
            subprocess.run(["sh", "-ec", command], cwd=tmp_path, timeout=DEADLINE, check=True)
            with Image.open(tmp_path / "blurred.jpg") as image:
                assert (image.format, image.size) == ("JPEG", (480, 320))
            script.send_signal(signal.SIGINT)
            assert script.wait(DEADLINE) == 0
        finally:
            late.cancel()
            if script.poll() is None:
                script.terminate()
