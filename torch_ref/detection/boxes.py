"""Boxes: their areas and overlaps, their formats, and how a network states them.

area       (x2 - x1) (y2 - y1)
IoU        I / U        I the area of the intersection, U = area1 + area2 - I of the union
GIoU       I / U - (C - U) / C                C the area of the smallest box around both
formats    xyxy  two corners     xywh  a corner, width and height     cxcywh  the centre, w and h
deltas     dx = wx (X - x) / w     dy = wy (Y - y) / h     dw = ww log(W / w)     dh = wh log(H / h)

Names and conventions are torchvision's. Rezatofighi et al. 2019, arXiv:1902.09630; Girshick et al.
2014, arXiv:1311.2524, appendix C.
"""

import math

import torch
from torch import Tensor

LARGEST = math.log(1000 / 16)
Weights = tuple[float, float, float, float]


def box_area(boxes: Tensor) -> Tensor:
    """Areas of boxes.

    Args:
        boxes: (N, 4) of x1, y1, x2, y2.

    Returns:
        (N,).
    """
    x1, y1, x2, y2 = boxes.unbind(-1)
    return (x2 - x1) * (y2 - y1)


def box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Intersection over union of each box with each.

    Args:
        boxes1: (N, 4) of x1, y1, x2, y2.
        boxes2: (M, 4).

    Returns:
        (N, M), in [0, 1].
    """
    intersection, union = overlap(boxes1, boxes2)
    return intersection / union


def generalized_box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """IoU less the share of the box around both that neither covers: below 0 for boxes far apart.

    Args:
        boxes1: (N, 4) of x1, y1, x2, y2.
        boxes2: (M, 4).

    Returns:
        (N, M), in [-1, 1].
    """
    intersection, union = overlap(boxes1, boxes2)
    left = torch.minimum(boxes1[:, None, :2], boxes2[:, :2])
    right = torch.maximum(boxes1[:, None, 2:], boxes2[:, 2:])
    around = (right - left).clamp(min=0).prod(-1)
    return intersection / union - (around - union) / around


def box_convert(boxes: Tensor, in_fmt: str, out_fmt: str) -> Tensor:
    """The same boxes in another format.

    Args:
        boxes: (N, 4).
        in_fmt: 'xyxy', 'xywh' or 'cxcywh'.
        out_fmt: likewise.

    Returns:
        New tensor (N, 4).
    """
    if in_fmt == out_fmt:
        return boxes.clone()
    a, b, c, d = boxes.unbind(-1)
    if in_fmt == "xywh":
        a, b, c, d = a, b, a + c, b + d
    elif in_fmt == "cxcywh":
        a, b, c, d = a - c / 2, b - d / 2, a + c / 2, b + d / 2
    if out_fmt == "xywh":
        a, b, c, d = a, b, c - a, d - b
    elif out_fmt == "cxcywh":
        a, b, c, d = (a + c) / 2, (b + d) / 2, c - a, d - b
    return torch.stack([a, b, c, d], -1)


def clip_boxes_to_image(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """The parts of boxes that lie in an image.

    Args:
        boxes: (N, 4) of x1, y1, x2, y2.
        size: height and width of the image, in pixels.

    Returns:
        New tensor (N, 4): x in [0, width], y in [0, height].
    """
    height, width = size
    x1, y1, x2, y2 = boxes.unbind(-1)
    x1, x2 = (x.clamp(0, width) for x in (x1, x2))
    y1, y2 = (y.clamp(0, height) for y in (y1, y2))
    return torch.stack([x1, y1, x2, y2], -1)


def encode_boxes(
    reference_boxes: Tensor, proposals: Tensor, weights: Weights = (1.0, 1.0, 1.0, 1.0)
) -> Tensor:
    """What a network has to say at a proposal to mean a reference box.

    Args:
        reference_boxes: the boxes that are meant (N, 4), x1, y1, x2, y2, with an area.
        proposals: the boxes from which they are seen (N, 4), likewise.
        weights: wx, wy, ww, wh, above 0, by which the deltas are made of one size.

    Returns:
        Deltas (N, 4).
    """
    wx, wy, ww, wh = weights
    x, y, w, h = box_convert(proposals, "xyxy", "cxcywh").unbind(-1)
    meant_x, meant_y, meant_w, meant_h = box_convert(reference_boxes, "xyxy", "cxcywh").unbind(-1)
    dx, dy = wx * (meant_x - x) / w, wy * (meant_y - y) / h
    return torch.stack([dx, dy, ww * (meant_w / w).log(), wh * (meant_h / h).log()], -1)


def decode_boxes(
    rel_codes: Tensor,
    boxes: Tensor,
    weights: Weights = (1.0, 1.0, 1.0, 1.0),
    bbox_xform_clip: float = LARGEST,
) -> Tensor:
    """The boxes that deltas mean.

    Args:
        rel_codes: deltas (N, 4 K), of K boxes (of as many classes) one after another.
        boxes: the boxes from which they are seen (N, 4), x1, y1, x2, y2.
        weights: as `encode_boxes` had them.
        bbox_xform_clip: the largest logarithm of a growth in size.

    Returns:
        Boxes (N, 4 K).
    """
    x, y, w, h = box_convert(boxes, "xyxy", "cxcywh")[:, None].unbind(-1)
    deltas = rel_codes.reshape(len(boxes), rel_codes.shape[1] // 4, 4)
    dx, dy, dw, dh = (deltas / deltas.new_tensor(weights)).unbind(-1)
    width = w * dw.clamp(max=bbox_xform_clip).exp()
    height = h * dh.clamp(max=bbox_xform_clip).exp()
    decoded = torch.stack([x + dx * w, y + dy * h, width, height], -1)
    return box_convert(decoded.flatten(0, 1), "cxcywh", "xyxy").reshape(rel_codes.shape)


def overlap(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Areas (..., N, M) of intersections and unions of boxes (..., N, 4) and (..., M, 4)."""
    left = torch.maximum(a[..., :, None, :2], b[..., None, :, :2])
    right = torch.minimum(a[..., :, None, 2:], b[..., None, :, 2:])
    intersection = (right - left).clamp(min=0).prod(-1)
    return intersection, box_area(a)[..., :, None] + box_area(b)[..., None, :] - intersection
