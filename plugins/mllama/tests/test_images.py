"""Pictures to tiles, against transformers' image processor; and what is no picture."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from ollamax.errors import ImageError
from ollamax_mllama.canvas import arrangements, choose_canvas
from ollamax_mllama.images import DEVIATION, MEAN, ImageProcessor, decode

TILE = 28


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Smooth colours with noise: something that scaling changes."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3))
    ramp = np.linspace(0, 255, width)[None, :, None]
    return Image.fromarray(((noise + ramp) / 2).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def expected(image: Image.Image, tile: int = TILE, most: int = 4) -> dict[str, np.ndarray]:
    from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil

    processor = MllamaImageProcessorPil(
        size={"height": tile, "width": tile}, max_image_tiles=most, image_mean=MEAN, image_std=DEVIATION
    )
    return processor(images=image, return_tensors="np")


def assert_same(image: Image.Image, tile: int = TILE, most: int = 4) -> None:
    ours, theirs = ImageProcessor(tile, most).tiles(encoded(image)), expected(image, tile, most)
    assert ours.pixel_values.dtype == np.float32
    assert np.array_equal(ours.pixel_values, theirs["pixel_values"][0, 0])
    assert ours.aspect_ratio_id == theirs["aspect_ratio_ids"][0, 0]
    assert ours.count == theirs["num_tiles"][0][0] == theirs["aspect_ratio_mask"][0, 0].sum()


@pytest.mark.reference
@pytest.mark.parametrize(
    ("width", "height"),
    [(28, 28), (56, 28), (28, 56), (112, 28), (28, 112), (56, 56), (84, 28), (1, 1), (3, 200), (500, 2), (57, 29)],
)
def test_tiles_equal_those_of_transformers(width: int, height: int) -> None:
    assert_same(picture(width, height))


@pytest.mark.reference
@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 6))
def test_any_size_and_number_of_tiles(width: int, height: int, most: int) -> None:
    assert_same(picture(width, height), most=most)


@pytest.mark.reference
@settings(max_examples=150, deadline=None)
@given(st.integers(1, 9000), st.integers(1, 9000), st.sampled_from([224, 448, 560]))
def test_canvas_equals_that_of_transformers(width: int, height: int, tile: int) -> None:
    from transformers.models.mllama import image_processing_pil_mllama as module

    canvas = choose_canvas(height, width, 4, tile)
    theirs = module.get_optimal_tiled_canvas(height, width, 4, tile)
    assert (canvas.rows * tile, canvas.columns * tile) == tuple(theirs)
    assert (canvas.height, canvas.width) == module.get_image_size_fit_to_canvas(height, width, *theirs, tile)


@pytest.mark.reference
def test_arrangements_are_numbered_as_in_transformers() -> None:
    from transformers.models.mllama import image_processing_pil_mllama as module

    for most in range(1, 9):
        assert arrangements(most) == module.get_all_supported_aspect_ratios(most)


@pytest.mark.reference
@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "CMYK", "I;16"])
def test_modes_are_converted_as_in_transformers(mode: str) -> None:
    image = picture(60, 40)
    if mode == "I;16":
        values = np.random.default_rng(1).integers(0, 65536, (40, 60)).astype(np.uint16)
        image = Image.fromarray(values)
    elif mode in ("RGBA", "LA"):
        image.putalpha(Image.linear_gradient("L").resize((60, 40)))
        image = image.convert(mode)
    else:
        image = image.convert(mode)
    data = encoded(image, "JPEG" if mode == "CMYK" else "PNG")
    ours = ImageProcessor(TILE, 4).tiles(data)
    assert np.array_equal(ours.pixel_values, expected(Image.open(io.BytesIO(data)))["pixel_values"][0, 0])


@pytest.mark.reference
def test_a_palette_with_transparency_lies_on_white() -> None:
    image = picture(40, 40).convert("P")
    data = encoded(image, transparency=image.getpixel((0, 0)))
    ours = ImageProcessor(TILE, 4).tiles(data)
    assert np.array_equal(ours.pixel_values, expected(Image.open(io.BytesIO(data)))["pixel_values"][0, 0])
    assert decode(data).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.reference
@pytest.mark.parametrize(("kind", "options"), [("JPEG", {}), ("JPEG", {"progressive": True}), ("WEBP", {})])
def test_other_formats(kind: str, options: dict[str, object]) -> None:
    data = encoded(picture(70, 50), kind, **options)
    ours = ImageProcessor(TILE, 4).tiles(data)
    assert np.array_equal(ours.pixel_values, expected(Image.open(io.BytesIO(data)))["pixel_values"][0, 0])


@pytest.mark.reference
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_turned_upright_as_transformers_turns_files(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture(60, 40), exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert np.array_equal(np.asarray(decode(data)), np.asarray(upright))
    assert decode(data).size == ((40, 60) if orientation > 4 else (60, 40))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_file_cut_short_is_an_error_wherever_it_is_cut(kind: str) -> None:
    data = encoded(picture(64, 48), kind)
    for end in (0, 1, 5, 20, len(data) // 4, len(data) // 2, len(data) * 9 // 10):
        with pytest.raises(ImageError) as caught:
            decode(data[:end])
        assert "\n" not in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["PNG", "JPEG", "WEBP"]), st.data())
def test_a_damaged_file_is_a_picture_or_an_error(kind: str, data: st.DataObject) -> None:
    content = bytearray(encoded(picture(24, 16), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    caught = None
    try:
        assert decode(bytes(content)).mode == "RGB"
    except ImageError as error:
        caught = error
    assert "\n" not in str(caught)


@pytest.mark.parametrize(
    "content", [b"", b"not a picture", b"GGUF" + bytes(100), b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"]
)
def test_what_is_no_picture_is_named(content: bytes) -> None:
    with pytest.raises(ImageError, match="picture"):
        decode(content)


def test_a_gif_is_not_accepted() -> None:
    with pytest.raises(ImageError, match="no PNG, JPEG or WebP"):
        decode(encoded(picture(10, 10), "GIF"))


def test_a_small_file_that_claims_a_large_picture_is_refused_before_it_is_unpacked() -> None:
    # Pillow itself refuses from 178,956,970 pixels.
    for side, message in ((12000, "12000 x 12000 pixels"), (20000, "400000000 pixels")):
        data = encoded(Image.new("1", (side, side)))
        assert len(data) < 100_000
        with pytest.raises(ImageError, match=message):
            decode(data)


def test_a_file_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ollamax_mllama.images.LARGEST_BYTES", 100)
    with pytest.raises(ImageError, match="at most 100"):
        decode(encoded(picture(64, 64)))
