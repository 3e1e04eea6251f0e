"""Conventions of segmentation: what stands in the quotient, what is averaged, and over what."""

from collections.abc import Callable
from typing import Any

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from parity_tests.pitfalls.loss import instead, mutant
from scratch import nn
from scratch.check import Array
from scratch.models import MaskHead
from scratch.nn import functional as F
from scratch.nn.op import Backward
from scratch.nn.reduction import reduced
from scratch.training import metrics

Parts = tuple[Any, Backward]


def masks_of(a: dict[str, Any]) -> Array:
    """Where the pixels of a call are of which class (N, K, D)."""
    x, t = a["input"], a["target"]
    if a["activation"] == "softmax":
        t = np.moveaxis(np.eye(x.shape[1], dtype=bool)[t], -1, 1)
    flat: Array = (t == 1).reshape(*x.shape[:2], -1)
    return flat


def smoothed(above: float, below: float) -> Callable[..., Parts]:
    """The Dice loss with so much of e above and below the quotient."""

    @mutant(F.dice_loss)
    def other(**a: Any) -> Parts:
        x, e = a["input"], a["smooth"]
        t = masks_of(a).astype(x.dtype)
        logits = x.reshape(t.shape)
        p, p_back = F.softmax(logits, 1) if a["activation"] == "softmax" else F.sigmoid(logits)
        axes, shape = ((0, 2), (-1,)) if a["batch"] else (2, x.shape[:2])
        size = (p**2 if a["squared"] else p) + t
        m = size.sum(axes, keepdims=True) + below * e
        d = (2 * (p * t).sum(axes, keepdims=True) + above * e) / m
        first = 0 if a["background"] else 1
        loss, reduced_back = reduced((1 - d).reshape(shape)[..., first:], a["reduction"])

        def backward(dy: Array) -> Array:
            deach = np.zeros(d.shape, dy.dtype)
            deach[:, first:, 0] = reduced_back(dy)
            slope = 2 * p if a["squared"] else 1
            dx: Array = p_back(deach / m * (d * slope - 2 * t)).reshape(x.shape)
            return dx

        return loss, backward

    return other


@mutant(F.dice_loss)
def only_what_is_there(**a: Any) -> Parts:
    """The mean leaves out classes that the target does not have."""
    if a["reduction"] != "mean":
        return F.dice_loss(**a)
    there = masks_of(a).any((0, 2) if a["batch"] else 2)
    there = np.asarray(there)[..., 0 if a["background"] else 1 :]
    losses, loss_back = F.dice_loss(**{**a, "reduction": "none"})
    share = (there / max(there.sum(), 1)).astype(losses.dtype)
    return np.asarray((losses * share).sum()), lambda dy: loss_back(share * dy)


def every_class(x: Array, c: Array, t: Array) -> Array:
    """Targets (R, K, H, W): the true mask for the box's class, nothing for the others."""
    targets = np.zeros_like(x)
    targets[np.arange(len(x)), c] = t
    return targets


@mutant(F.mask_loss)
def masks_of_all_classes(**a: Any) -> Parts:
    """The other classes' masks are to be empty."""
    x = a["input"]
    targets = every_class(x, a["labels"], a["target"])
    losses, loss_back = F.binary_cross_entropy_with_logits(x, targets, reduction="none")
    loss, reduced_back = reduced(losses.sum(1), a["reduction"], max(losses[:, 0].size, 1))
    return loss, lambda dy: loss_back(np.repeat(reduced_back(dy)[:, None], x.shape[1], 1))[0]


@mutant(F.mask_loss)
def masks_compete(**a: Any) -> Parts:
    """A softmax over the classes in place of a sigmoid each: the paper's table 2b."""
    x, rows = a["input"], np.arange(len(a["input"]))
    log_p, log_p_back = F.log_softmax(x, 1)
    own, t = log_p[rows, a["labels"]], np.asarray(a["target"], x.dtype)
    loss, reduced_back = reduced(-t * own, a["reduction"], max(own.size, 1))

    def backward(dy: Array) -> Array:
        dlog_p = np.zeros_like(x)
        dlog_p[rows, a["labels"]] = -t * reduced_back(dy)
        dx: Array = log_p_back(dlog_p)
        return dx

    return loss, backward


@mutant(F.mask_loss)
def nothing_is_nan(**a: Any) -> Parts:
    """The mean over no boxes is NaN."""
    losses, loss_back = F.mask_loss(**{**a, "reduction": "none"})
    loss, reduced_back = reduced(losses, a["reduction"])
    return loss, lambda dy: loss_back(np.array(reduced_back(dy)))


class BareUpsampling(MaskHead):
    """No ReLU between the transposed convolution and the last one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.mask_predictor.relu = nn.Identity()


def filled(value: float) -> Callable[..., float]:
    """Mean IoU where an absent class counts as `value`."""

    def mean_iou(output: Array, target: Array, ignore_index: int = -100) -> float:
        return float(
            np.nan_to_num(metrics.class_iou(output, target, ignore_index), nan=value).mean()
        )

    return mean_iou


def of_each_image(output: Array, target: Array, ignore_index: int = -100) -> float:
    """The mean of the images' mean IoU."""
    pairs = zip(output, target, strict=True)
    found = [metrics.mean_iou(y[None], t[None], ignore_index) for y, t in pairs]
    return float(np.mean(found)) if found else float("nan")


def without_background(output: Array, target: Array, ignore_index: int = -100) -> float:
    """Class 0 does not count."""
    each = metrics.class_iou(output, target, ignore_index)[1:]
    return float(np.mean(each[~np.isnan(each)])) if not np.isnan(each).all() else float("nan")


def of_each_class(output: Array, target: Array, ignore_index: int = -100) -> float:
    """Mean accuracy of the classes, which is their mean recall."""
    if output.shape == target.shape:
        output = np.stack([-output, output], 1)
    kept = target != ignore_index
    right = (output.argmax(1) == target)[kept]
    there = np.unique(target[kept])
    found = [right[target[kept] == k].mean() for k in there]
    return float(np.mean(found)) if found else float("nan")


PITFALLS = [
    Pitfall(
        "dice: squares",
        entry="dice_loss",
        difference="V-Net: p^2 in the denominator; MONAI, segmentation_models: p",
        mutant=instead(F.dice_loss, squared=False),
    ),
    Pitfall(
        "dice: smoothing only above",
        entry="dice_loss",
        difference="here: e above and below; others: above only, and the loss can be negative",
        mutant=smoothed(1, 0),
    ),
    Pitfall(
        "dice: smoothing only below",
        entry="dice_loss",
        difference="here: an absent class that is not named costs 0; e below only: it costs 1",
        mutant=smoothed(0, 1),
    ),
    Pitfall(
        "dice: batch",
        entry="dice_loss",
        difference="here: a quotient for each image, then the mean; others: one for the batch",
        mutant=instead(F.dice_loss, batch=True),
    ),
    Pitfall(
        "dice: background",
        entry="dice_loss",
        difference="background=False leaves class 0 out of the mean; others count it always",
        mutant=instead(F.dice_loss, background=True),
    ),
    Pitfall(
        "dice: absent classes",
        entry="dice_loss",
        difference="here: they count, and are pushed to 0; others: a mean over those there",
        mutant=only_what_is_there,
    ),
    Pitfall(
        "mask loss: all classes",
        entry="mask_loss",
        difference="Mask R-CNN: the mask of the box's class alone; others: the rest are to be 0",
        mutant=masks_of_all_classes,
    ),
    Pitfall(
        "mask loss: softmax",
        entry="mask_loss",
        difference="Mask R-CNN: a sigmoid each; fully convolutional networks: classes compete",
        mutant=masks_compete,
    ),
    Pitfall(
        "mask loss: no boxes",
        entry="mask_loss",
        difference="torchvision: 0; a mean of nothing: NaN",
        mutant=nothing_is_nan,
    ),
    Pitfall(
        "mask head: relu",
        entry="MaskHead",
        difference="the paper: ReLU after the transposed convolution; others: none",
        mutant=BareUpsampling,
    ),
    Pitfall(
        "mean iou: absent classes are 0",
        entry="mean_iou",
        difference="here: neither named nor there, not counted; TensorFlow's older code: 0",
        mutant=filled(0.0),
    ),
    Pitfall(
        "mean iou: absent classes are 1",
        entry="mean_iou",
        difference="here: not counted; others: nothing was to be found and nothing was, so 1",
        mutant=filled(1.0),
    ),
    Pitfall(
        "mean iou: mean over images",
        entry="mean_iou",
        difference="Pascal VOC: one matrix of all pixels; others: a mean IoU for each image",
        mutant=of_each_image,
    ),
    Pitfall(
        "mean iou: background",
        entry="mean_iou",
        difference="Pascal VOC: the background is a class; others: left out",
        mutant=without_background,
    ),
    Pitfall(
        "pixel accuracy: mean over classes",
        entry="pixel_accuracy",
        difference="here: a share of pixels; 'mean accuracy': that of each class, averaged",
        mutant=of_each_class,
    ),
]
