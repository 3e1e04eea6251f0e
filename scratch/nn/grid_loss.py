"""The loss of a detector that predicts boxes in each cell of a grid.

forward    l = 1 / N (coord sum_obj ((s(tx) - x)^2 + (s(ty) - y)^2 + (tw - w)^2 + (th - h)^2)
                      + sum_obj -log s(to) + noobj sum_rest -log s(-to)
                      + sum_obj -log p_k)          p the softmax of the classes' logits, k the class
           obj: the predictors that are responsible for an object; rest: all others
backward   dtx = dl 2 coord (s(tx) - x) s(tx) s(-tx) / N     dtw = dl 2 coord (tw - w) / N    in obj
           dto = dl (s(to) - 1) / N in obj, dl noobj s(to) / N in the rest
           dclasses = dl (p - onehot(k)) / N                                                  in obj
shapes     input (N, A, 5 + K, H, W) of tx, ty, tw, th, to and K logits for each of A priors
           objects and labels (N, A, H, W), boxes (N, A, 4, H, W) of x, y, w, h
weights    Most cells are empty: noobj keeps them from drowning the others, coord makes up for
           errors of place being small numbers.
Sources    sum and weights: Redmon et al. 2016, arXiv:1506.02640, equation 3; what x, y, w, h are,
           the softmax: Redmon & Farhadi 2017, arXiv:1612.08242, section 2; the logistic loss of
           to: Redmon & Farhadi 2018, arXiv:1804.02767, section 2.1. The first has squared errors
           throughout, square roots of sizes, and the overlap as the target of to.
"""

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.op import Backward, op
from scratch.nn.reduction import quiet


@op
@quiet
def grid_detection_loss(
    input: Array,
    objects: Array,
    boxes: Array,
    labels: Array,
    coord: float = 5.0,
    noobj: float = 0.5,
) -> tuple[Array, Backward]:
    """Place, certainty and class of all objects, and the certainty of empty cells.

    Args:
        input: (N, A, 5 + K, H, W), what is predicted: tx, ty, tw, th, to, K logits.
        objects: bool (N, A, H, W), which predictors are responsible for an object.
        boxes: (N, A, 4, H, W), its x, y within the cell in [0, 1], logarithms of its width and
            height over the prior's; read where there is an object; not differentiated.
        labels: its class (N, A, H, W), integers in [0, K); read likewise.
        coord: weight of the place.
        noobj: weight of what is not responsible.

    Returns:
        The loss, (), the mean over pictures, and its backward: dy -> dinput.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if a shape does not fit, or a class or a number is out of range.

    Source: Redmon et al. 2016, equation 3, with the changes of Redmon & Farhadi 2017 and 2018.
    """
    name = "grid_detection_loss"
    t = check.floating(name, "input", input)
    target = check.floating(name, "boxes", boxes, like=t)
    check.shape(name, "input", t, ("N", "A", "5 + K", "H", "W"))
    n, priors, channels, height, width = t.shape
    if channels < 6:
        check.refuse(name, "input (N, A, 5 + K, H, W) with K >= 1", t.shape)
    if not isinstance(objects, np.ndarray) or objects.dtype != bool:
        check.refuse(name, "objects to be a bool array", check.describe(objects), TypeError)
    check.shape(name, "objects", objects, (n, priors, height, width))
    check.shape(name, "boxes", target, (n, priors, 4, height, width))
    kind = check.integer(name, "labels", labels, -(2**62), 2**62)
    check.shape(name, "labels", kind, objects.shape)
    kind = check.integer(name, "labels where there is an object", kind[objects], 0, channels - 5)
    coord = check.number(name, "coord", coord, 0)
    noobj = check.number(name, "noobj", noobj, 0)

    i, a, row, column = np.nonzero(objects)
    at = (i, a, slice(None), row, column)
    each, wanted = t[at], target[at]  # (M, 5 + K), (M, 4)
    inside, outside = _sigmoids(each[:, :2])
    place = np.concatenate([inside, each[:, 2:4]], axis=1) - wanted
    logits = each[:, 5:] - each[:, 5:].max(1, keepdims=True, initial=-np.inf)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    counted = np.arange(len(kind)), kind
    certainty = t[:, :, 4]
    softplus = np.maximum(certainty, 0) + np.log1p(np.exp(-np.abs(certainty)))  # -log s(-to)
    of_cells = np.where(objects, softplus - certainty, noobj * softplus)
    total = coord * (place**2).sum(dtype=np.float64) + of_cells.sum(dtype=np.float64)
    loss = ((total - log_p[counted].sum(dtype=np.float64)) / max(n, 1)).astype(t.dtype)

    @quiet
    def backward(dy: Array) -> Array:
        dl = dy / max(n, 1)
        yes, no = _sigmoids(certainty)
        dt = np.zeros_like(t)
        dt[:, :, 4] = dl * np.where(objects, -no, noobj * yes)
        deach = np.empty_like(each)
        deach[:, :4] = 2 * coord * place
        deach[:, :2] *= inside * outside
        deach[:, 4] = -no[objects]
        deach[:, 5:] = np.exp(log_p)
        deach[:, 5:][counted] -= 1
        dt[at] = dl * deach
        return dt

    return np.asarray(loss), backward


def _sigmoids(x: Array) -> tuple[Array, Array]:
    """s(x) and s(-x)."""
    e = np.exp(-np.abs(x))
    larger, smaller = 1 / (1 + e), e / (1 + e)
    return np.where(x < 0, smaller, larger), np.where(x < 0, larger, smaller)
