"""Margins on the sphere: the angle to the own class counts as larger than it is.

forward    c_j = cos theta_j = x/|x| . w_j/|w_j|      y_j = s c_j, but for the target's class t
           CosFace   y_t = s (c_t - m)
           ArcFace   y_t = s cos(theta_t + m) = s (c_t cos m - sin theta_t sin m)
                     sin theta_t = sqrt((1 - c_t)(1 + c_t))
                     theta_t + m > pi, where the cosine would rise again: y_t = s (c_t - m sin m),
                     which lies below s cos pi and falls on; with easy_margin the margin is left
                     out from a right angle on: y_t = s c_t where c_t <= 0
backward   dc_j = s dy_j, and for the target's class of ArcFace
           dc_t = s dy_t (cos m + sin m c_t / sin theta_t),  or s dy_t where y_t is linear in c_t
shapes     x (N, D)   w (C, D)   c, y (N, C)   t (N,)
at c = 1   that slope is infinite; of x it is not, for dc_t/dx has the length sin theta_t / |x|.
           There sin theta_t and its derivative are taken as 0, which leaves cos m. At c = -1 y_t is
           linear.
torch      has none. The authors' code for MXNet is what stands here. Their PyTorch code has no
           linear part, and its gradient passes as though cos(theta_t + m) were c_t.
Sources    Deng et al. 2019, arXiv:1801.07698, equation 3; CosFace: Wang et al. 2018,
           arXiv:1801.09414, equation 4
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn import init
from scratch.nn.linear import linear
from scratch.nn.module import Module, Parameter
from scratch.nn.normalize import normalize
from scratch.nn.op import Backward, op
from scratch.nn.reduction import quiet
from scratch.random import Generator

ROUNDING = 1e-3  # what a cosine may exceed 1 by: more comes of vectors that are not normalised


@op
@quiet
def arc_face(
    input: Array,
    target: Array,
    margin: float = 0.5,
    scale: float = 64.0,
    easy_margin: bool = False,
) -> tuple[Array, Backward]:
    """Logits of cosines, with the margin added to the angle of the target's class.

    Args:
        input: c (N, C), cosines.
        target: t (N,), integers in [0, C).
        margin: m in radians, in [0, pi].
        scale: s, positive.
        easy_margin: whether an angle that is not acute has no margin; otherwise the logit goes on
            linearly in the cosine where angle and margin exceed pi.

    Returns:
        y (N, C), and its backward: dy -> dc.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if a shape does not fit, a cosine exceeds 1 by more than rounding, or a target
            or an option does not exist.

    Source: Deng et al. 2019, equation 3; what is done beyond pi: the authors' code.
    """
    c, at = _cosines("arc_face", input, target)
    margin = check.number("arc_face", "margin", margin, 0, math.pi)
    scale = check.number("arc_face", "scale", scale, 0, open_low=True)
    check.option("arc_face", "easy_margin", easy_margin, (True, False))
    cos_m, sin_m = math.cos(margin), math.sin(margin)
    own = c[at]
    square = (1 - own) * (1 + own)
    sine = np.sqrt(np.maximum(square, 0))
    added = own > (0 if easy_margin else -cos_m)
    beyond = own if easy_margin else own - margin * sin_m
    y = scale * c
    y[at] = scale * np.where(added, own * cos_m - sine * sin_m, beyond)

    @quiet
    def backward(dy: Array) -> Array:
        dsine = np.where(square > 0, -own / sine, 0.0)
        slope = np.where(added, cos_m - sin_m * dsine, 1.0)
        dc: Array = scale * dy
        dc[at] *= slope
        return dc

    return y, backward


@op
def cos_face(
    input: Array, target: Array, margin: float = 0.35, scale: float = 64.0
) -> tuple[Array, Backward]:
    """Logits of cosines, with the margin taken off the cosine of the target's class.

    Args:
        input: c (N, C), cosines.
        target: t (N,), integers in [0, C).
        margin: m, not negative.
        scale: s, positive.

    Returns:
        y (N, C), and its backward: dy -> dc.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if a shape does not fit, a cosine exceeds 1 by more than rounding, or a target
            or an option does not exist.

    Source: Wang et al. 2018, equation 4.
    """
    c, at = _cosines("cos_face", input, target)
    margin = check.number("cos_face", "margin", margin, 0)
    scale = check.number("cos_face", "scale", scale, 0, open_low=True)
    y = scale * c
    y[at] = scale * (c[at] - margin)

    def backward(dy: Array) -> Array:
        return scale * dy

    return y, backward


def _cosines(function: str, input: Array, target: Array) -> tuple[Array, tuple[Array, Array]]:
    """c (N, C), and where in it the targets' are."""
    c = check.floating(function, "input", input)
    check.shape(function, "input", c, ("N", "C"))
    t = check.integer(function, "target", target, 0, c.shape[1])
    check.shape(function, "target", t, c.shape[:1])
    largest = float(np.abs(c).max(initial=0))
    if largest > 1 + ROUNDING:
        check.refuse(function, "cosines in [-1, 1]", f"one of magnitude {largest:.4g}")
    return c, (np.arange(len(c)), t)


@op
def scaled(c: Array, scale: float) -> tuple[Array, Backward]:
    """s c, without a margin."""
    return scale * c, lambda dy: scale * dy


Margin = Callable[[Array, Array], tuple[Array, Backward]]


class MarginHead(Module):
    """Cosines to one direction a class, scaled, with a margin where a target is given.

    A subclass says which margin.

    Args:
        in_features: D, size of an embedding.
        num_classes: C.
        margin: m.
        scale: s, positive.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        margin: float,
        scale: float,
        dtype: DTypeLike,
        generator: Generator | None,
    ) -> None:
        name = type(self).__name__
        self.in_features = check.size(name, "in_features", in_features, low=1)
        self.num_classes = check.size(name, "num_classes", num_classes, low=1)
        self.margin = margin
        self.scale = check.number(name, "scale", scale, 0, open_low=True)
        self.weight = Parameter(np.empty((num_classes, in_features), dtype))
        init.xavier_uniform_(self.weight, generator=generator)

    def _logits(self, input: Array, target: Array | None, margin: Margin) -> tuple[Array, Backward]:
        u, input_back = normalize(input)
        directions, weight_back = normalize(self.weight.data)
        c, cosine_back = linear(u, directions)
        y, margin_back = scaled(c, self.scale) if target is None else margin(c, target)

        def backward(dy: Array) -> Array:
            du, ddirections = cosine_back(margin_back(dy))
            self.weight.accumulate(weight_back(ddirections))
            dx: Array = input_back(du)
            return dx

        return y, backward

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, num_classes={self.num_classes}, "
            f"margin={self.margin}, scale={self.scale}"
        )


class ArcFace(MarginHead):
    """The last layer of ArcFace: logits of embeddings, for the cross entropy.

    Args:
        in_features: D, size of an embedding, which need not be normalised.
        num_classes: C.
        margin: m in radians, in [0, pi].
        scale: s, positive.
        easy_margin: whether an angle that is not acute has no margin; otherwise the logit goes on
            linearly in the cosine where angle and margin exceed pi.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, in_features), and targets (N,) to train with, to (N, num_classes).

    Source: Deng et al. 2019, arXiv:1801.07698.
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        margin: float = 0.5,
        scale: float = 64.0,
        easy_margin: bool = False,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        margin = check.number("ArcFace", "margin", margin, 0, math.pi)
        check.option("ArcFace", "easy_margin", easy_margin, (True, False))
        super().__init__(in_features, num_classes, margin, scale, dtype, generator)
        self.easy_margin = easy_margin

    def forward(self, input: Array, target: Array | None = None) -> tuple[Array, Backward]:
        """s cos(theta + m) of the target's class, s cos(theta) of the others; all without one."""

        def margin(c: Array, t: Array) -> tuple[Array, Backward]:
            return arc_face(c, t, self.margin, self.scale, self.easy_margin)

        return self._logits(input, target, margin)


class CosFace(MarginHead):
    """The last layer of CosFace: logits of embeddings, for the cross entropy.

    Args:
        in_features: D, size of an embedding, which need not be normalised.
        num_classes: C.
        margin: m, not negative.
        scale: s, positive.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, in_features), and targets (N,) to train with, to (N, num_classes).

    Source: Wang et al. 2018, arXiv:1801.09414.
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        margin: float = 0.35,
        scale: float = 64.0,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        margin = check.number("CosFace", "margin", margin, 0)
        super().__init__(in_features, num_classes, margin, scale, dtype, generator)

    def forward(self, input: Array, target: Array | None = None) -> tuple[Array, Backward]:
        """s (cos(theta) - m) of the target's class, s cos(theta) of the others; all without one."""

        def margin(c: Array, t: Array) -> tuple[Array, Backward]:
            return cos_face(c, t, self.margin, self.scale)

        return self._logits(input, target, margin)
