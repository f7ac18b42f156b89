"""Values of packages that a model may use: numpy, torch, Pillow. None of them is imported: unless one is loaded, nothing is of
its types."""

from __future__ import annotations

import io
import sys
from typing import Any, Final

from cog.signature.kinds import Anything, Array, Boolean, File, Integer, Kind, Number

# What a PNG can hold, and what an image of another mode is made into. The rest (32-bit floats, for example) has no such form.
_DEEP: Final = (0, 2**16 - 1)  # what the pixels of a grey PNG can be
_AS_IS: Final = frozenset({"1", "L", "LA", "I;16", "P", "RGB", "RGBA"})
_CONVERTED: Final = {
    "CMYK": "RGB", "HSV": "RGB", "La": "LA", "PA": "RGBA", "RGBX": "RGB", "RGBa": "RGBA", "YCbCr": "RGB",
}  # fmt: skip


class Unwritable(Exception):
    """A value of such a package has no form in JSON; the text says so after its place, and what to return instead."""


class _Picture(io.BytesIO):
    """The content of an image as a file, which has a name."""

    name = "output.png"


def foreign_kind(cls: type) -> Kind | None:
    """The kind of an output of the class `cls`; None when it is of none of these packages."""
    numpy, torch, image = (sys.modules.get(name) for name in ("numpy", "torch", "PIL.Image"))
    if image is not None and issubclass(cls, image.Image):
        return File("path")
    if (numpy is not None and issubclass(cls, numpy.ndarray)) or (
        torch is not None and issubclass(cls, torch.Tensor)
    ):
        return Array(Anything())
    if numpy is not None:
        for kinds, kind in ((numpy.bool_, Boolean()), (numpy.integer, Integer()), (numpy.floating, Number())):
            if issubclass(cls, kinds):
                return kind
    return None


def simpler_foreign(value: Any) -> object:
    """The value in simpler terms: a list, a number, an open file; the value itself when it is of none of these packages.

    Raises:
        Unwritable: it has no form in JSON.
    """
    numpy, torch, image = (sys.modules.get(name) for name in ("numpy", "torch", "PIL.Image"))
    if image is not None and isinstance(value, image.Image):
        return _picture(value)
    if torch is not None and isinstance(value, torch.Tensor):
        return _numbers(value)
    if numpy is not None and isinstance(value, numpy.ndarray):
        return value.tolist()
    if numpy is not None and isinstance(value, numpy.generic):
        item = value.item()
        if isinstance(item, numpy.floating):  # a longdouble has no Python form of its own
            return float(item)
        return item
    return value


def _picture(image: Any) -> io.BytesIO:
    mode = image.mode if image.mode in _AS_IS else _CONVERTED.get(image.mode)
    if image.mode == "I":
        low, high = image.getextrema()
        mode = "I;16" if _DEEP[0] <= low <= high <= _DEEP[1] else None
    if mode is None:
        raise Unwritable(
            f"is an image of mode {image.mode}, which PNG cannot hold. Convert it, for example with image.convert('RGB'), or "
            "save it to a file of another format and return cog.Path(file)."
        )
    file = _Picture()
    (image if mode == image.mode else image.convert(mode)).save(file, format="PNG")
    file.seek(0)
    return file


def _numbers(tensor: Any) -> object:
    """The items of a tensor, wherever it lies and however it is kept."""
    tensor = tensor.detach()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    if tensor.is_sparse or str(tensor.layout) != "torch.strided":
        tensor = tensor.to_dense()
    return tensor.cpu().tolist()
