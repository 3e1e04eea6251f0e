"""Mask loss of Mask R-CNN.                                        He et al. 2017, arXiv:1703.06870

    z_r = x[r, c_r]                  the mask of the box's class; s the logistic function

forward    l = -t log s(z) - (1 - t) log s(-z) = max(z, 0) - t z + log(1 + e^-|z|)
backward   dx[r, c_r] = dl (s(z) - t), 0 for all other classes: they do not compete
shapes     x (R, K, H, W)   c (R,)   t, l (R, H, W)
torch      none of its own; torchvision's maskrcnn_loss, whose mean over no boxes is 0, not NaN
"""

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.op import Backward, op
from scratch.nn.reduction import labels as as_labels
from scratch.nn.reduction import quiet, reduced, resolve
from scratch.nn.sigmoid import logistic


@op
@quiet
def mask_loss(
    input: Array, labels: Array, target: Array, reduction: str = "mean"
) -> tuple[Array, Backward]:
    """Binary cross entropy of each box's mask, of that of its own class only.

    Args:
        input: logits x (R, K, H, W), a mask of each class for each box.
        labels: c (R,), the classes of the boxes, integers in [0, K).
        target: t (R, H, W), the true masks: 0 or 1, or between where they were resized; floating,
            integer or bool. Not differentiated.
        reduction: 'none', 'mean' (over boxes and pixels; 0 for no boxes) or 'sum'.

    Returns:
        The loss, () or (R, H, W), and its backward: dy -> dinput.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if a shape does not fit, a class or an option does not exist, or a target is
            not in [0, 1].

    Source: He, Gkioxari, Dollar & Girshick 2017, section 3, "Mask representation".
    """
    x = check.floating("mask_loss", "input", input)
    check.shape("mask_loss", "input", x, ("R", "K", "H", "W"))
    c = check.integer("mask_loss", "labels", labels, 0, x.shape[1])
    check.shape("mask_loss", "labels", c, x.shape[:1])
    t, _ = as_labels("mask_loss", "target", target, x)
    check.shape("mask_loss", "target", t, (len(x), *x.shape[2:]))
    if not np.all((t >= 0) & (t <= 1)):
        check.refuse("mask_loss", "targets in [0, 1]", f"{t.min()} to {t.max()}")
    reduction = resolve("mask_loss", reduction)
    rows, shape = np.arange(len(x)), x.shape
    z = x[rows, c]
    loss = np.maximum(z, 0) - t * z + np.log1p(np.exp(-np.abs(z)))
    y, reduced_back = reduced(loss, reduction, n=max(loss.size, 1))

    @quiet
    def backward(dy: Array) -> Array:
        dx = np.zeros(shape, dy.dtype)
        dx[rows, c] = reduced_back(dy) * (logistic(z) - t)
        return dx

    return y, backward
