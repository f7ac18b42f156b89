"""An image in, the same image blurred out, in the same format."""

import tempfile
from pathlib import Path as LocalPath

from PIL import Image, ImageFilter, ImageOps

from cog import BaseRunner, Input, Path


class Runner(BaseRunner):
    def setup(self) -> None:
        # One folder is enough: an output is taken out of it before the next prediction starts.
        self.folder = tempfile.TemporaryDirectory()

    def run(
        self,
        image: Path = Input(description="The image to blur", accept="image/*"),
        radius: float = Input(description="How far the blur reaches, in pixels", ge=0, le=50, default=5),
    ) -> Path:
        with Image.open(image) as original:
            kind = (
                "JPEG" if original.format == "MPO" else original.format
            )  # MPO: a JPEG as some phones write it
            picture = ImageOps.exif_transpose(original)  # phones store a photo as the sensor saw it
        if picture.mode not in ("L", "LA", "RGB", "RGBA", "CMYK"):
            # A palette, for one, has no shades between its colours.
            picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
        print(f"blurring {kind}, {picture.width} x {picture.height} pixels")
        output = LocalPath(self.folder.name) / f"blurred.{kind.lower()}"
        blurred = picture.filter(ImageFilter.GaussianBlur(radius))
        blurred.save(output, format=kind, icc_profile=picture.info.get("icc_profile"))
        return Path(output)
