"""Pictures that a model has made, put together and written as PNG files."""

from pathlib import Path
from typing import Any

import numpy as np

from datasets import check
from datasets.check import Array

LEAST = 32  # pixels, below which a side is drawn larger
GAP, GREY = 2, 128


def grid(pictures: Array) -> Array:
    """Pictures side by side in rows, as near to a square as their number allows.

    Args:
        pictures: (n, channels, height, width) of 1 or 3 channels, from 0 (black) to 1 (white, or
            a full colour); what is beyond is cut off, what is no number is grey.

    Returns:
        uint8 array (H, W), or (H, W, 3); small pictures are magnified by a whole number, and grey
        lines lie around all of them.

    Raises:
        TypeError, ValueError: if they are of another type or shape, or none.
    """
    form = "(n, channels, height, width)"
    pictures = check.floating("grid", "pictures", pictures, (4,), form)
    if not len(pictures) or pictures.shape[1] not in (1, 3):
        expected = "one or more pictures of 1 or 3 channels"
        check.refuse("grid", expected, check.describe(pictures))
    n, channels, height, width = pictures.shape
    columns = int(np.ceil(np.sqrt(n)))
    rows, scale = -(-n // columns), -(-LEAST // min(height, width))
    shades = np.where(np.isnan(pictures), GREY, np.rint(np.clip(pictures, 0, 1) * 255))
    large = (
        shades.astype(np.uint8).repeat(scale, 2).repeat(scale, 3).transpose(0, 2, 3, 1)
    )  # (n, h, w, channels)
    h, w = large.shape[1] + GAP, large.shape[2] + GAP
    page = np.full((rows * h + GAP, columns * w + GAP, channels), GREY, np.uint8)
    for i, picture in enumerate(large):
        y, x = i // columns * h + GAP, i % columns * w + GAP
        page[y : y + h - GAP, x : x + w - GAP] = picture
    return page[..., 0] if channels == 1 else page


def pillow(function: str) -> Any:
    """The module PIL.Image, or the sentence that says what to install."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ModuleNotFoundError(
            f"{function}: needs Pillow; in the project's folder: pip install '.[data]'", name="PIL"
        ) from error
    return Image


def write_png(path: Path, picture: Array) -> None:
    """Write a picture beside the file and rename it; the folder is made if need be.

    Args:
        path: of the file.
        picture: uint8 array (H, W) or (H, W, 3).

    Raises:
        ModuleNotFoundError: if Pillow is absent.
        OSError: if it cannot be written; what was there is as it was.
    """
    image = pillow("write_png").fromarray(picture)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    try:
        image.save(beside, "PNG")
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
