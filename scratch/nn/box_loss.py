"""The loss of boxes that do not overlap as they should.             Rezatofighi et al. 2019

forward    l = 1 - I / (U + e) + (C - U) / (C + e)
           I = w h     w = min(hi1, hi2) - max(lo1, lo2) along x, h along y; 0 unless both are > 0
           U = A1 + A2 - I     A the boxes' areas
           C = W H     W = max(hi1, hi2) - min(lo1, lo2): the smallest box around both
backward   dU = I / (U + e)^2 - 1 / (C + e)     dC = (U + e) / (C + e)^2     dA1 = dA2 = dU
           dI = -1 / (U + e) - dU
           dw = dI h, into the inner two of the four edges; dW = dC H, into the outer two;
           dA1 into all edges of its box, times its other side
shapes     boxes (..., 4) of x1, y1, x2, y2, l (...)
ties       Of equal edges each takes half, as torch's min and max have it. Where boxes touch, I is 0
           and has no gradient; (C - U) / C has one, at any distance, which is what it is for.
torch      none; torchvision's generalized_box_iou_loss, whose `reduction` is 'none' unless said
Source     arXiv:1902.09630, algorithm 1
"""

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.op import Backward, op
from scratch.nn.reduction import quiet, reduced, resolve


@op
@quiet
def generalized_box_iou_loss(
    boxes1: Array, boxes2: Array, reduction: str = "none", eps: float = 1e-7
) -> tuple[Array, Backward]:
    """1 - GIoU of each box with its counterpart: 0 where they are equal, near 2 where far apart.

    Args:
        boxes1: (..., 4) of x1, y1, x2, y2, with x1 <= x2 and y1 <= y2.
        boxes2: of the same shape.
        reduction: 'none', 'mean' (over boxes, 0 for none) or 'sum'.
        eps: e, added to what divides.

    Returns:
        The loss, () or (...), and its backward: dy -> dboxes1, dboxes2.

    Raises:
        TypeError: if an array is not floating or the dtypes differ.
        ValueError: if a shape does not fit, a box is turned inside out or an option does not exist.

    Source: Rezatofighi et al. 2019, arXiv:1902.09630.
    """
    name = "generalized_box_iou_loss"
    a = check.floating(name, "boxes1", boxes1)
    b = check.floating(name, "boxes2", boxes2, like=a)
    if a.ndim == 0 or a.shape[-1] != 4:
        check.refuse(name, "boxes1 of shape (..., 4)", a.shape)
    check.shape(name, "boxes2", b, a.shape)
    reduction = resolve(name, reduction)
    e = check.number(name, "eps", eps, 0)
    (lo1, hi1), (lo2, hi2) = (np.split(box, 2, axis=-1) for box in (a, b))  # (..., 2) each
    for what, lo, hi in (("boxes1", lo1, hi1), ("boxes2", lo2, hi2)):
        if np.any(hi < lo):
            check.refuse(name, f"{what} with x1 <= x2 and y1 <= y2", "one inside out")

    inner = np.minimum(hi1, hi2) - np.maximum(lo1, lo2)
    outer = np.maximum(hi1, hi2) - np.minimum(lo1, lo2)
    meet = np.all(inner > 0, axis=-1)
    intersection = np.where(meet, inner.prod(-1), 0.0)
    union = (hi1 - lo1).prod(-1) + (hi2 - lo2).prod(-1) - intersection
    around = outer.prod(-1)
    loss = 1 - intersection / (union + e) + (around - union) / (around + e)
    y, reduced_back = reduced(loss, reduction, max(loss.size, 1))

    @quiet
    def backward(dy: Array) -> tuple[Array, Array]:
        dl = reduced_back(dy)
        dunion = dl * (intersection / (union + e) ** 2 - 1 / (around + e))
        daround = dl * (union + e) / (around + e) ** 2
        dintersection = np.where(meet, -dl / (union + e) - dunion, 0.0)
        dinner = dintersection[..., None] * inner[..., ::-1]  # w's factor is h
        douter = daround[..., None] * outer[..., ::-1]
        beyond, above = _larger(hi1, hi2), _larger(lo1, lo2)  # shares of box 1 in max(hi), max(lo)

        def into(lo: Array, hi: Array, beyond: Array, above: Array) -> Array:
            darea = dunion[..., None] * (hi - lo)[..., ::-1]
            dhi = darea + douter * beyond + dinner * (1 - beyond)
            dlo = -darea - douter * (1 - above) - dinner * above
            return np.concatenate([dlo, dhi], axis=-1)

        return into(lo1, hi1, beyond, above), into(lo2, hi2, 1 - beyond, 1 - above)

    return y, backward


def _larger(a: Array, b: Array) -> Array:
    """1 where a is the larger one, 1/2 where they are equal."""
    share: Array = ((a > b) + 0.5 * (a == b)).astype(a.dtype)
    return share
