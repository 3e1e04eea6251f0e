"""Two pictures and their targets made one.

    mixup    y = l x + (1 - l) x'                       t = l t + (1 - l) t'
    cutmix   y = x with a rectangle of x' pasted in     t the same, l the share of x that is left
    l        ~ Beta(a, a), one for each picture; x' is the batch in another order
    shapes   x (n, C, H, W) (mixup: (n, ...)), targets one-hot or soft (n, K)

Sources: Zhang et al. 2017, arXiv:1710.09412, equation 1; Yun et al. 2019, arXiv:1905.04899,
equations 1 and 2.
"""

import numpy as np

from datasets import check
from datasets.augment_pixels import FORM, rectangles
from datasets.check import Array


def mixup(
    x: Array, target: Array, rng: np.random.Generator, *, alpha: float = 0.2
) -> tuple[Array, Array]:
    """Blend each row with another, and their targets alike.

    Args:
        x: rows (n, ...), floating.
        target: one-hot or soft classes, or values (n, K), floating.
        rng: what the partners and shares are drawn from.
        alpha: a of the Beta distribution; small ones leave most rows nearly as they are.

    Returns:
        The blended rows and targets, of the shapes and dtypes given.

    Raises:
        ValueError: if a shape does not fit or alpha is not above 0.
        TypeError: if an argument is of another type.
    """
    x, target, partner, share = _drawn("mixup", x, target, rng, alpha)
    l_x = share.reshape(-1, *(1,) * (x.ndim - 1)).astype(x.dtype)
    l_t = share[:, None].astype(target.dtype)
    return l_x * x + (1 - l_x) * x[partner], l_t * target + (1 - l_t) * target[partner]


def cutmix(
    x: Array, target: Array, rng: np.random.Generator, *, alpha: float = 1.0
) -> tuple[Array, Array]:
    """Paste a rectangle of another picture into each, and mix the targets by area.

    Args:
        x: pictures (n, C, H, W), floating.
        target: one-hot or soft classes (n, K), floating.
        rng: what the partners, shares and places are drawn from.
        alpha: a of the Beta distribution of the share that is left.

    Returns:
        The pictures and targets, of the shapes and dtypes given. The middle of a rectangle may lie
        anywhere, so that it may be cut at an edge; a target goes by the pixels that are left.

    Raises:
        ValueError: if a shape does not fit or alpha is not above 0.
        TypeError: if an argument is of another type.
    """
    x, target, partner, share = _drawn("cutmix", x, target, rng, alpha, (4,), FORM)
    n, _, height, width = x.shape
    side = np.sqrt(1 - share)
    h, w = np.floor(height * side), np.floor(width * side)
    middle = rng.random((2, n))
    top, left = np.floor(middle[0] * height - h / 2), np.floor(middle[1] * width - w / 2)
    pasted = rectangles(top, left, h, w, height, width)
    left_over = (~pasted).mean((1, 2))[:, None].astype(target.dtype)
    return (
        np.where(pasted[:, None], x[partner], x),
        left_over * target + (1 - left_over) * target[partner],
    )


def _drawn(
    name: str,
    x: Array,
    target: Array,
    rng: np.random.Generator,
    alpha: float,
    ndims: tuple[int, ...] = (2, 3, 4, 5),
    form: str = "(n, ...)",
) -> tuple[Array, Array, Array, Array]:
    x = check.floating(name, "x", x, ndims, form)
    target = check.floating(name, "target", target, (2,), "(n, K)")
    if len(target) != len(x):
        check.refuse(name, "as many targets as rows", f"{len(target)} and {len(x)}")
    rng = check.generator(name, rng)
    alpha = check.number(name, "alpha", alpha, 0, open_low=True)
    return x, target, rng.permutation(len(x)), rng.beta(alpha, alpha, len(x))
