"""Margins on the sphere: the angle to the own class counts as larger than it is.

c_j = cos theta_j = x/|x| . w_j/|w_j|      y_j = s c_j, but for the target's class t

CosFace   y_t = s (c_t - m)
ArcFace   y_t = s cos(theta_t + m), and s (c_t - m sin m) where theta_t + m > pi; with easy_margin
          s c_t where c_t <= 0

Deng et al. 2019, arXiv:1801.07698; CosFace: Wang et al. 2018, arXiv:1801.09414.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def arc_face(
    input: Tensor,
    target: Tensor,
    margin: float = 0.5,
    scale: float = 64.0,
    easy_margin: bool = False,
) -> Tensor:
    """Logits of cosines, with the margin added to the angle of the target's class.

    Args:
        input: c (N, C), cosines.
        target: t (N,).
        margin: m in radians.
        scale: s.
        easy_margin: whether an angle that is not acute has no margin; otherwise the logit goes on
            linearly in the cosine where angle and margin exceed pi.

    Returns:
        y (N, C).
    """
    t = target[:, None]
    own = input.gather(1, t)
    square = (1 - own) * (1 + own)
    inside = square > 0  # a root of 0 has no slope to multiply by
    sine = square.where(inside, 1).sqrt().where(inside, 0)
    added = own * math.cos(margin) - sine * math.sin(margin)
    if easy_margin:
        moved = added.where(own > 0, own)
    else:
        moved = added.where(own > -math.cos(margin), own - margin * math.sin(margin))
    return scale * input.scatter(1, t, moved)


def cos_face(input: Tensor, target: Tensor, margin: float = 0.35, scale: float = 64.0) -> Tensor:
    """Logits of cosines, with the margin taken off the cosine of the target's class.

    Args:
        input: c (N, C), cosines.
        target: t (N,).
        margin: m.
        scale: s.

    Returns:
        y (N, C).
    """
    t = target[:, None]
    return scale * input.scatter(1, t, input.gather(1, t) - margin)


class ArcFace(nn.Module):
    """The last layer of ArcFace: logits of embeddings, for the cross entropy.

    Args:
        in_features: D, size of an embedding, which need not be normalised.
        num_classes: C.
        margin: m in radians.
        scale: s.
        easy_margin: whether an angle that is not acute has no margin; otherwise the logit goes on
            linearly in the cosine where angle and margin exceed pi.
        dtype: of the parameters.

    Shape:
        (N, in_features), and targets (N,) to train with, to (N, num_classes).
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        margin: float = 0.5,
        scale: float = 64.0,
        easy_margin: bool = False,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_features, self.num_classes = in_features, num_classes
        self.margin, self.scale, self.easy_margin = margin, scale, easy_margin
        self.weight = nn.Parameter(torch.empty(num_classes, in_features, dtype=dtype))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, input: Tensor, target: Tensor | None = None) -> Tensor:
        """s cos(theta + m) of the target's class, s cos(theta) of the others; all without one."""
        c = F.linear(F.normalize(input), F.normalize(self.weight))
        if target is None:
            return self.scale * c
        return arc_face(c, target, self.margin, self.scale, self.easy_margin)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, num_classes={self.num_classes}, "
            f"margin={self.margin}, scale={self.scale}"
        )


class CosFace(nn.Module):
    """The last layer of CosFace: logits of embeddings, for the cross entropy.

    Args:
        in_features: D, size of an embedding, which need not be normalised.
        num_classes: C.
        margin: m.
        scale: s.
        dtype: of the parameters.

    Shape:
        (N, in_features), and targets (N,) to train with, to (N, num_classes).
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        margin: float = 0.35,
        scale: float = 64.0,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_features, self.num_classes = in_features, num_classes
        self.margin, self.scale = margin, scale
        self.weight = nn.Parameter(torch.empty(num_classes, in_features, dtype=dtype))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, input: Tensor, target: Tensor | None = None) -> Tensor:
        """s (cos(theta) - m) of the target's class, s cos(theta) of the others; all without one."""
        c = F.linear(F.normalize(input), F.normalize(self.weight))
        return self.scale * c if target is None else cos_face(c, target, self.margin, self.scale)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, num_classes={self.num_classes}, "
            f"margin={self.margin}, scale={self.scale}"
        )
