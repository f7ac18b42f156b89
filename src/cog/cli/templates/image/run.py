"""A model: an image in, the image enlarged or made smaller out."""

import tempfile
from pathlib import Path as LocalPath

from PIL import Image, ImageOps

from cog import BaseRunner, Input, Path

LONGEST = 8192  # pixels of a side that comes out


class Runner(BaseRunner):
    def setup(self) -> None:
        """Called once, before the first prediction: load the weights here."""
        # One folder is enough: an output is taken out of it before the next prediction starts.
        self.folder = tempfile.TemporaryDirectory()

    def run(
        self,
        image: Path = Input(description="The image", accept="image/*"),
        scale: float = Input(description="How many times as large it becomes", ge=0, le=10, default=1.5),
    ) -> Path:
        """Called for every prediction. A Path comes as a file on disk, wherever the client has it, and goes as one."""
        with Image.open(image) as original:
            picture = ImageOps.exif_transpose(original)  # phones store a photo as the sensor saw it
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
        width, height = (min(LONGEST, max(1, round(side * scale))) for side in picture.size)
        print(f"{picture.width} x {picture.height} becomes {width} x {height}")
        output = LocalPath(self.folder.name) / "scaled.png"
        picture.resize((width, height), Image.Resampling.LANCZOS).save(output)
        return Path(output)
