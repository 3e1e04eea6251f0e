"""Soft Dice loss: how far masks are from overlapping.       Milletari et al. 2016, arXiv:1606.04797

    p = softmax x over the classes, or s(x) of each by itself     t 1 where a pixel is of the class
    D = sum |p - t|^a     M = sum p^a + sum t + e        a = 2 (squared) or 1, e = smooth

forward    l = 1 - (2 sum p t + e) / M  =  D / M        t is 0 or 1, so |p - t|^a = p^a + t - 2 p t
backward   dp = dl ((1 - l) a p^(a - 1) - 2 t) / M
           dx = p (dp - sum_k dp p), or dp p (1 - p)
shapes     x (N, K, d1, ...)   t (N, d1, ...) or x's   l (N, K), sums over pixels; of a batch (K,),
           sums over pixels and images
torch      has none. The paper squares, has e = 0, and two classes of which one is looked at; of the
           codes in use some do not square, e stands above and below or in one place only, and
           the background counts or not. Here all are options, but e stands in both places: an
           image without the class has l = 0 where p is 0, not 1. With e = 0 such an image has l = 1
           whatever p is, and no gradient; NaN, if p is 0 too.
"""

import math

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.module import Module
from scratch.nn.op import Backward, op
from scratch.nn.reduction import REDUCTIONS, quiet, reduced
from scratch.nn.sigmoid import logistic
from scratch.nn.softmax import softmax

ACTIVATIONS = ("softmax", "sigmoid")


@op
@quiet
def dice_loss(
    input: Array,
    target: Array,
    activation: str = "softmax",
    squared: bool = True,
    smooth: float = 1.0,
    batch: bool = False,
    background: bool = True,
    reduction: str = "mean",
) -> tuple[Array, Backward]:
    """One less the Dice coefficient of probabilities, of each image and class.

    Args:
        input: logits x (N, K, d1, ...).
        target: with softmax classes (N, d1, ...), integers in [0, K); with sigmoid masks of x's
            shape, bool or integers 0 and 1. Not differentiated.
        activation: 'softmax', one class for each pixel; or 'sigmoid', any number of them.
        squared: whether M has p^2, as in the paper, or p.
        smooth: e, in pixels.
        batch: whether the pixels of all images are summed before the quotient is taken.
        background: whether class 0 counts.
        reduction: 'none', 'mean' (over images and classes) or 'sum'.

    Returns:
        The loss, () or, without class 0 if that does not count, (N, K) or (K,), and its backward:
        dy -> dinput.

    Raises:
        TypeError: if an array has the wrong dtype or `smooth` is no number.
        ValueError: if a shape does not fit, a class or an option does not exist, or no class is
            left.

    Source: Milletari, Navab & Ahmadi 2016, section 3.
    """
    x = check.floating("dice_loss", "input", input)
    smooth = _options("dice_loss", activation, squared, smooth, batch, background, reduction)
    first = 0 if background else 1
    if x.ndim < 2 or x.shape[1] <= first:
        check.refuse("dice_loss", f"input of shape (N, K, ...) with K > {first}", x.shape)
    n, k = x.shape[:2]
    logits = x.reshape(n, k, math.prod(x.shape[2:]))  # (N, K, D)
    t = _masks(x, target, activation).reshape(logits.shape).astype(x.dtype)

    p = softmax(logits, 1)[0] if activation == "softmax" else logistic(logits)
    power = np.square if squared else np.abs
    axes = (0, 2) if batch else 2
    m = power(p).sum(axes, keepdims=True) + t.sum(axes, keepdims=True) + smooth
    each = power(p - t).sum(axes, keepdims=True) / m  # (N, K, 1) or (1, K, 1)
    y, reduced_back = reduced(each.reshape((k,) if batch else (n, k))[..., first:], reduction)
    shape = x.shape

    @quiet
    def backward(dy: Array) -> Array:
        deach = np.zeros(each.shape, dy.dtype)
        deach[:, first:, 0] = reduced_back(dy)
        slope = 2 * p if squared else 1
        dp = deach / m * ((1 - each) * slope - 2 * t)
        if activation == "softmax":
            dlogits = p * (dp - (dp * p).sum(1, keepdims=True))
        else:
            dlogits = dp * p * (1 - p)
        dx: Array = dlogits.reshape(shape)
        return dx

    return y, backward


def _options(
    function: str,
    activation: str,
    squared: bool,
    smooth: float,
    batch: bool,
    background: bool,
    reduction: str,
) -> float:
    """`smooth` as a Python float, once all options exist."""
    check.option(function, "activation", activation, ACTIVATIONS)
    for name, value in (("squared", squared), ("batch", batch), ("background", background)):
        check.option(function, name, value, (True, False))
    check.option(function, "reduction", reduction, REDUCTIONS)
    return check.number(function, "smooth", smooth, low=0, open_high=True)


def _masks(x: Array, target: Array, activation: str) -> Array:
    """t as bool, of x's shape or of one that reshapes to it."""
    if activation == "softmax":
        t = check.integer("dice_loss", "target", target, 0, x.shape[1])
        check.shape("dice_loss", "target", t, x.shape[:1] + x.shape[2:])
        classes = np.arange(x.shape[1]).reshape(-1, *(1,) * (x.ndim - 2))
        mask: Array = t[:, None] == classes
        return mask
    if isinstance(target, np.ndarray) and target.dtype == bool:
        mask = target
    else:
        mask = check.integer("dice_loss", "target", target, 0, 2) == 1
    check.shape("dice_loss", "target", mask, x.shape)
    return mask


class DiceLoss(Module):
    """`dice_loss` as a module.

    Args:
        activation: 'softmax', one class for each pixel; or 'sigmoid', any number of them.
        squared: whether M has p^2, as in the paper, or p.
        smooth: e, in pixels.
        batch: whether the pixels of all images are summed before the quotient is taken.
        background: whether class 0 counts.
        reduction: 'none', 'mean' (over images and classes) or 'sum'.

    Shape:
        (N, K, d1, ...) and (N, d1, ...), or for sigmoid twice (N, K, d1, ...), to (), (N, K) or
        (K,).

    Raises:
        TypeError, ValueError: if an option does not exist or `smooth` is no number from 0 on.

    Source: Milletari, Navab & Ahmadi 2016, section 3.
    """

    def __init__(
        self,
        activation: str = "softmax",
        squared: bool = True,
        smooth: float = 1.0,
        batch: bool = False,
        background: bool = True,
        reduction: str = "mean",
    ) -> None:
        self.activation, self.squared = activation, squared
        self.smooth = _options(
            "DiceLoss", activation, squared, smooth, batch, background, reduction
        )
        self.batch, self.background, self.reduction = batch, background, reduction

    def forward(self, input: Array, target: Array) -> tuple[Array, Backward]:
        """The loss of the logits."""
        return dice_loss(
            input,
            target,
            self.activation,
            self.squared,
            self.smooth,
            self.batch,
            self.background,
            self.reduction,
        )
