"""Encoded pictures to the tiles of pixels that the vision encoder takes, as transformers prepares them."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ollamax.errors import ImageError
from ollamax_mllama.canvas import arrangements, choose_canvas

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Image

Floats = tuple[float, float, float]

FORMATS = ("PNG", "JPEG", "WEBP")
LARGEST_BYTES = 64 << 20
LARGEST_PIXELS = 1 << 26
"""Width times height; as RGB that is 192 MiB. A file of some kilobytes can claim any size."""

# The means and deviations of CLIP (Radford et al. 2021), which Llama 3.2 Vision uses.
MEAN: Floats = (0.48145466, 0.4578275, 0.40821073)
DEVIATION: Floats = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, slots=True)
class Tiles:
    """A picture as the vision encoder takes it.

    ``pixel_values (most tiles, 3, size, size)`` float32, zero in tiles that the picture does not need;
    ``aspect_ratio_id`` from 1; ``count`` is the number of tiles that it needs.
    """

    pixel_values: npt.NDArray[np.float32]
    aspect_ratio_id: int
    count: int


class ImageProcessor:
    """Makes tiles of pictures; ``size`` is the side of a tile in pixels, ``most`` the number of tiles at most."""

    def __init__(self, size: int, most: int, mean: Floats = MEAN, deviation: Floats = DEVIATION) -> None:
        import numpy as np

        self.size, self.most = size, most
        levels = (np.arange(256, dtype=np.float64) * (1 / 255)).astype(np.float32)[:, None]
        # What each of the 256 levels of each channel becomes; in float32, step by step as transformers computes it.
        self._values = (levels - np.array(mean, np.float32)) / np.array(deviation, np.float32)

    def tiles(self, data: bytes) -> Tiles:
        """The tiles of an encoded picture; raises ImageError for what is not a whole PNG, JPEG or WebP picture."""
        return self.cut(decode(data))

    def cut(self, picture: Image) -> Tiles:
        """The tiles of an RGB picture: scaled onto a canvas, padded with black at the right and below, normalised."""
        import numpy as np
        from PIL.Image import Resampling

        canvas = choose_canvas(picture.height, picture.width, self.most, self.size)
        pixels = np.zeros((canvas.rows * self.size, canvas.columns * self.size, 3), np.uint8)
        scaled = picture.resize((canvas.width, canvas.height), Resampling.BILINEAR)
        pixels[: canvas.height, : canvas.width] = np.asarray(scaled)
        values = np.stack([self._values[pixels[..., channel], channel] for channel in range(3)])
        by_tile = values.reshape(3, canvas.rows, self.size, canvas.columns, self.size).transpose(1, 3, 0, 2, 4)
        result = np.zeros((self.most, 3, self.size, self.size), np.float32)
        result[: canvas.tiles] = by_tile.reshape(canvas.tiles, 3, self.size, self.size)
        number = arrangements(self.most).index((canvas.rows, canvas.columns)) + 1
        return Tiles(result, number, canvas.tiles)


def decode(data: bytes) -> Image:
    """An RGB picture: turned upright as its EXIF data says, and on white where it is transparent.

    Raises ImageError for data that is too large, damaged, cut short, or no PNG, JPEG or WebP.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if len(data) > LARGEST_BYTES:
        raise ImageError(f"the picture has {len(data)} bytes; at most {LARGEST_BYTES} are read")
    with warnings.catch_warnings():
        # Pillow warns of sizes and of odd metadata; what counts is checked below.
        warnings.simplefilter("ignore")
        try:
            picture = Image.open(io.BytesIO(data), formats=FORMATS)
        except UnidentifiedImageError:
            raise ImageError(_unidentified(data)) from None
        except Exception as error:  # decoders raise whatever a damaged file leads them to
            raise ImageError(f"the picture cannot be read: {_reason(error)}") from error
        if picture.width * picture.height > LARGEST_PIXELS:
            raise ImageError(
                f"the picture is {picture.width} x {picture.height} pixels large; at most {LARGEST_PIXELS} are allowed"
            )
        try:
            return _rgb(ImageOps.exif_transpose(picture))
        except Exception as error:
            raise ImageError(f"the {picture.format} picture is damaged or cut short: {_reason(error)}") from error


def _rgb(picture: Image) -> Image:
    from PIL import Image

    if not picture.has_transparency_data:
        return picture.convert("RGB")
    over = picture.convert("RGBA")
    white = Image.new("RGBA", over.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, over).convert("RGB")


def _unidentified(data: bytes) -> str:
    if not data:
        return "the picture is empty"
    return f"no PNG, JPEG or WebP picture, or one that is cut short; it begins with {data[:8]!r}"


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
