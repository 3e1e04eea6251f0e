"""Boxes: their areas and overlaps, their formats, and how a network states them.

area       (x2 - x1) (y2 - y1)
IoU        I / U        I the area of the intersection, U = area1 + area2 - I of the union
GIoU       I / U - (C - U) / C                C the area of the smallest box around both
formats    xyxy  two corners     xywh  a corner, width and height     cxcywh  the centre, w and h
deltas     dx = wx (X - x) / w     dy = wy (Y - y) / h     dw = ww log(W / w)     dh = wh log(H / h)
           of a box (X, Y, W, H) against a reference (x, y, w, h), both by centre and size; the way
           back holds dw / ww and dh / wh at `bbox_xform_clip` or less, so that exp stays finite
shapes     boxes (N, 4) against (M, 4): (N, M)     deltas (N, 4 K) of K boxes for each reference
pixels     Coordinates are continuous: a pixel reaches from i to i + 1, columns 2 to 4 from 2 to 5.
           No width is x2 - x1 + 1, as Pascal VOC's and the first Faster R-CNN's code had it.
empty      A box without area has IoU 0 with others and NaN, 0 / 0, with one of its kind.
gradients  None flow here: overlaps decide what is matched and what is counted. The loss of boxes
           is `functional.generalized_box_iou_loss`.
torch      none; names and conventions are torchvision.ops', the deltas' those of its BoxCoder.
Sources    GIoU: Rezatofighi et al. 2019, arXiv:1902.09630; deltas: Girshick et al. 2014,
           arXiv:1311.2524, appendix C
"""

import math

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.reduction import quiet

FORMATS = ("xyxy", "xywh", "cxcywh")
LARGEST = math.log(1000 / 16)
Weights = tuple[float, float, float, float]


def box_area(boxes: Array) -> Array:
    """Areas of boxes.

    Args:
        boxes: (N, 4) of x1, y1, x2, y2.

    Returns:
        (N,).

    Raises:
        TypeError, ValueError: if it is no floating array of that shape.

    Source: Everingham et al. 2010, "The Pascal Visual Object Classes (VOC) challenge".
    """
    b = boxes_of("box_area", "boxes", boxes)
    area: Array = (b[:, 2:] - b[:, :2]).prod(-1)
    return area


@quiet
def box_iou(boxes1: Array, boxes2: Array) -> Array:
    """Intersection over union of each box with each.

    Args:
        boxes1: (N, 4) of x1, y1, x2, y2.
        boxes2: (M, 4).

    Returns:
        (N, M), in [0, 1].

    Raises:
        TypeError, ValueError: if they are no floating arrays of that shape and one dtype.

    Source: Jaccard 1912; Everingham et al. 2010, section 4.2.
    """
    a = boxes_of("box_iou", "boxes1", boxes1)
    intersection, union = overlap(a, boxes_of("box_iou", "boxes2", boxes2, a))
    iou: Array = intersection / union
    return iou


@quiet
def generalized_box_iou(boxes1: Array, boxes2: Array) -> Array:
    """IoU less the share of the box around both that neither covers: below 0 for boxes far apart.

    Args:
        boxes1: (N, 4) of x1, y1, x2, y2.
        boxes2: (M, 4).

    Returns:
        (N, M), in [-1, 1].

    Raises:
        TypeError, ValueError: if they are no floating arrays of that shape and one dtype.

    Source: Rezatofighi et al. 2019, arXiv:1902.09630, algorithm 1.
    """
    name = "generalized_box_iou"
    a = boxes_of(name, "boxes1", boxes1)
    b = boxes_of(name, "boxes2", boxes2, a)
    intersection, union = overlap(a, b)
    left = np.minimum(a[:, None, :2], b[:, :2])
    right = np.maximum(a[:, None, 2:], b[:, 2:])
    around = np.maximum(right - left, 0).prod(-1)
    giou: Array = intersection / union - (around - union) / around
    return giou


def box_convert(boxes: Array, in_fmt: str, out_fmt: str) -> Array:
    """The same boxes in another format.

    Args:
        boxes: (N, 4).
        in_fmt: 'xyxy', 'xywh' or 'cxcywh'.
        out_fmt: likewise.

    Returns:
        New array (N, 4).

    Raises:
        TypeError, ValueError: if it is no floating array of that shape, or a format is unknown.

    Source: torchvision.ops.box_convert.
    """
    b = boxes_of("box_convert", "boxes", boxes)
    check.option("box_convert", "in_fmt", in_fmt, FORMATS)
    check.option("box_convert", "out_fmt", out_fmt, FORMATS)
    if in_fmt == out_fmt:
        return b.copy()
    first, second = b[:, :2], b[:, 2:]
    if in_fmt == "cxcywh":
        first, second = first - second / 2, first + second / 2
    elif in_fmt == "xywh":
        second = first + second
    if out_fmt == "cxcywh":
        first, second = (first + second) / 2, second - first
    elif out_fmt == "xywh":
        second = second - first
    return np.concatenate([first, second], axis=1)


def clip_boxes_to_image(boxes: Array, size: tuple[int, int]) -> Array:
    """The parts of boxes that lie in an image.

    Args:
        boxes: (N, 4) of x1, y1, x2, y2.
        size: height and width of the image, in pixels.

    Returns:
        New array (N, 4): x in [0, width], y in [0, height].

    Raises:
        TypeError, ValueError: if it is no floating array of that shape, or a size is negative.

    Source: Girshick 2015, arXiv:1504.08083; torchvision.ops.clip_boxes_to_image.
    """
    name = "clip_boxes_to_image"
    b = boxes_of(name, "boxes", boxes)
    height, width = (check.size(name, "size", n) for n in check.pair(name, "size", size))
    return np.clip(b, 0, np.array([width, height] * 2, b.dtype))


def encode_boxes(
    reference_boxes: Array, proposals: Array, weights: Weights = (1.0, 1.0, 1.0, 1.0)
) -> Array:
    """What a network has to say at a proposal to mean a reference box.

    Args:
        reference_boxes: the boxes that are meant (N, 4), x1, y1, x2, y2, with an area.
        proposals: the boxes from which they are seen (N, 4), likewise.
        weights: wx, wy, ww, wh, above 0, by which the deltas are made of one size.

    Returns:
        Deltas (N, 4).

    Raises:
        TypeError, ValueError: if the arrays do not fit, a box has no area or a weight is not
            positive.

    Source: Girshick et al. 2014, equations 6 to 9; the weights: torchvision's BoxCoder.
    """
    name = "encode_boxes"
    meant = boxes_of(name, "reference_boxes", reference_boxes)
    seen = boxes_of(name, "proposals", proposals, meant)
    check.shape(name, "proposals", seen, meant.shape)
    for what, boxes in (("reference_boxes", meant), ("proposals", seen)):
        if not np.all(boxes[:, 2:] > boxes[:, :2]):
            check.refuse(name, f"{what} with x1 < x2 and y1 < y2", "a box without area")
    w = _weights(name, weights, meant)
    (centre, size), (at, scale) = _centred(meant), _centred(seen)
    shift = w[:2] * (centre - at) / scale
    return np.concatenate([shift, w[2:] * np.log(size / scale)], axis=1)


@quiet
def decode_boxes(
    rel_codes: Array,
    boxes: Array,
    weights: Weights = (1.0, 1.0, 1.0, 1.0),
    bbox_xform_clip: float = LARGEST,
) -> Array:
    """The boxes that deltas mean.

    Args:
        rel_codes: deltas (N, 4 K), of K boxes (of as many classes) one after another.
        boxes: the boxes from which they are seen (N, 4), x1, y1, x2, y2.
        weights: as `encode_boxes` had them.
        bbox_xform_clip: the largest logarithm of a growth in size.

    Returns:
        Boxes (N, 4 K).

    Raises:
        TypeError, ValueError: if the arrays do not fit or a number is out of range.

    Source: Girshick et al. 2014, equations 1 to 4; the clip: torchvision's BoxCoder.
    """
    name = "decode_boxes"
    d = check.floating(name, "rel_codes", rel_codes)
    b = boxes_of(name, "boxes", boxes, d)
    if d.ndim != 2 or d.shape[1] % 4 or len(d) != len(b):
        check.refuse(name, f"rel_codes of shape ({len(b)}, 4 K)", d.shape)
    w = _weights(name, weights, d)
    most = check.number(name, "bbox_xform_clip", bbox_xform_clip)
    at, scale = _centred(b)
    each = d.reshape(len(d), d.shape[1] // 4, 4) / w  # (N, K, 4)
    centre = each[..., :2] * scale[:, None] + at[:, None]
    half = np.exp(np.minimum(each[..., 2:], most)) * scale[:, None] / 2
    return np.concatenate([centre - half, centre + half], axis=2).reshape(d.shape)


def boxes_of(function: str, name: str, value: object, like: Array | None = None) -> Array:
    """A floating array (N, 4), in the dtype of another one if given."""
    boxes = check.floating(function, name, value)
    if like is not None and boxes.dtype != like.dtype:
        expected = f"{name} of dtype {like.dtype} as the others have"
        check.refuse(function, expected, check.describe(boxes), TypeError)
    check.shape(function, name, boxes, ("N", 4))
    return boxes


def _centred(boxes: Array) -> tuple[Array, Array]:
    """Centres and sizes (N, 2)."""
    size = boxes[:, 2:] - boxes[:, :2]
    return boxes[:, :2] + size / 2, size


def overlap(a: Array, b: Array) -> tuple[Array, Array]:
    """Areas (..., N, M) of intersections and unions of boxes (..., N, 4) and (..., M, 4)."""
    left = np.maximum(a[..., :, None, :2], b[..., None, :, :2])
    right = np.minimum(a[..., :, None, 2:], b[..., None, :, 2:])
    intersection: Array = np.maximum(right - left, 0).prod(-1)
    areas = [(box[..., 2:] - box[..., :2]).prod(-1) for box in (a, b)]
    return intersection, areas[0][..., :, None] + areas[1][..., None, :] - intersection


def _weights(function: str, weights: object, like: Array) -> Array:
    if not isinstance(weights, tuple | list) or len(weights) != 4:
        check.refuse(function, "four weights", check.describe(weights), TypeError)
    each = [check.number(function, "weights", w, 0, open_low=True) for w in weights]
    return np.array(each, like.dtype)
