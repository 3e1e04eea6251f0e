"""Soft Dice loss: how far masks are from overlapping.       Milletari et al. 2016, arXiv:1606.04797

p = softmax x over the classes, or s(x) of each by itself     t 1 where a pixel is of the class
l = 1 - (2 sum p t + e) / (sum p^a + sum t + e)               a = 2 (squared) or 1, e = smooth
"""

from torch import Tensor, nn
from torch.nn import functional as F


def dice_loss(
    input: Tensor,
    target: Tensor,
    activation: str = "softmax",
    squared: bool = True,
    smooth: float = 1.0,
    batch: bool = False,
    background: bool = True,
    reduction: str = "mean",
) -> Tensor:
    """One less the Dice coefficient of probabilities, of each image and class.

    Args:
        input: logits x (N, K, d1, ...).
        target: with softmax classes (N, d1, ...), integers in [0, K); with sigmoid masks of x's
            shape, bool or integers 0 and 1.
        activation: 'softmax', one class for each pixel; or 'sigmoid', any number of them.
        squared: whether the quotient has p^2 below, as in the paper, or p.
        smooth: e, in pixels.
        batch: whether the pixels of all images are summed before the quotient is taken.
        background: whether class 0 counts.
        reduction: 'none', 'mean' (over images and classes) or 'sum'.

    Returns:
        The loss, () or, without class 0 if that does not count, (N, K) or (K,).
    """
    if activation == "softmax":
        p, t = input.softmax(1), F.one_hot(target, input.shape[1]).movedim(-1, 1)
    elif activation == "sigmoid":
        p, t = input.sigmoid(), target
    else:
        raise ValueError(
            f"dice_loss: expected activation 'softmax' or 'sigmoid', got {activation!r}"
        )
    t = t.to(p.dtype)
    axes = [a for a in range(input.ndim) if a > 1 or (a == 0 and batch)]

    def total(values: Tensor) -> Tensor:
        return values.sum(axes) if axes else values  # no axes stand for all of them in torch

    size = total(p.square() if squared else p) + total(t)
    loss = 1 - (2 * total(p * t) + smooth) / (size + smooth)
    loss = loss if background else loss[..., 1:]
    if reduction == "none":
        return loss
    return loss.sum() if reduction == "sum" else loss.mean()


class DiceLoss(nn.Module):
    """`dice_loss` as a module.

    Args:
        activation: 'softmax', one class for each pixel; or 'sigmoid', any number of them.
        squared: whether the quotient has p^2 below, as in the paper, or p.
        smooth: e, in pixels.
        batch: whether the pixels of all images are summed before the quotient is taken.
        background: whether class 0 counts.
        reduction: 'none', 'mean' (over images and classes) or 'sum'.

    Shape:
        (N, K, d1, ...) and (N, d1, ...), or for sigmoid twice (N, K, d1, ...), to (), (N, K) or
        (K,).
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
        super().__init__()
        self.activation, self.squared, self.smooth = activation, squared, smooth
        self.batch, self.background, self.reduction = batch, background, reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
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
