"""The focal loss: cross entropy of yes and no that what is easy hardly adds to.

forward    l = a_t m^g c       c = (1 - t) x - log s(x)     the cross entropy of the logit x
                               m = t s(-x) + (1 - t) s(x)   1 - p_t, the probability that is missing
                               a_t = a t + (1 - a) (1 - t)  or 1 where a = -1
backward   dx = dl a_t (m^g (s(x) - t) + g m^(g - 1) (1 - 2 t) s(x) s(-x) c)
shapes     x, t and l of one shape; t in [0, 1], in a detector a one-hot row for each anchor
stability  s(x) and s(-x) each from an exponential that does not overflow: m keeps its digits where
           1 - p_t would lose them
torch      none; torchvision's sigmoid_focal_loss, whose `reduction` is 'none' unless said.
           RetinaNet sums, and divides by the number of anchors that have an object. t is a
           label: no gradient.
Source     Lin et al. 2017, arXiv:1708.02002, equation 5
"""

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.op import Backward, op
from scratch.nn.reduction import quiet, reduced, resolve


@op
@quiet
def sigmoid_focal_loss(
    inputs: Array,
    targets: Array,
    alpha: float = 0.25,
    gamma: float = 2.0,
    reduction: str = "none",
) -> tuple[Array, Backward]:
    """Cross entropy of yes and no, times the probability that is missing to the power gamma.

    Args:
        inputs: logits x, any shape.
        targets: t, of the same shape and dtype, in [0, 1]; not differentiated.
        alpha: a, the weight of yes, and 1 - a that of no, in [0, 1]; -1 for none.
        gamma: g, how much less the easy count, not negative; 0 gives the cross entropy.
        reduction: 'none', 'mean' (over every entry) or 'sum'.

    Returns:
        The loss, and its backward: dy -> dinputs.

    Raises:
        TypeError: if an array is not floating or the dtypes differ.
        ValueError: if a shape does not fit, or a number or an option is out of range.

    Source: Lin et al. 2017, equation 5.
    """
    name = "sigmoid_focal_loss"
    x = check.floating(name, "inputs", inputs)
    t = check.floating(name, "targets", targets, like=x)
    check.shape(name, "targets", t, x.shape)
    a = check.number(name, "alpha", alpha, -1, 1)
    if -1 < a < 0:
        check.refuse(name, "alpha in [0, 1] or -1", alpha)
    g = check.number(name, "gamma", gamma, 0)
    reduction = resolve(name, reduction)
    e = np.exp(-np.abs(x))
    larger, smaller = 1 / (1 + e), e / (1 + e)
    yes, no = np.where(x < 0, smaller, larger), np.where(x < 0, larger, smaller)
    c = (1 - t) * x - np.minimum(x, 0) + np.log1p(e)
    m = t * no + (1 - t) * yes
    weight = 1.0 if a < 0 else a * t + (1 - a) * (1 - t)
    y, reduced_back = reduced(weight * m**g * c, reduction, max(x.size, 1))

    @quiet
    def backward(dy: Array) -> Array:
        dl = reduced_back(dy) * weight
        slope = np.where(m > 0, g * m ** (g - 1), 0.0)  # no gradient where nothing is missing
        dx: Array = dl * (m**g * ((1 - t) * yes - t * no) + slope * (1 - 2 * t) * yes * no * c)
        return dx

    return y, backward
