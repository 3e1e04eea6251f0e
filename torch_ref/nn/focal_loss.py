"""The focal loss: cross entropy of yes and no that what is easy hardly adds to.

a_t (1 - p_t)^g c      c the cross entropy of the logit      p_t the probability of the label

Lin et al. 2017, arXiv:1708.02002, equation 5.
"""

from torch import Tensor
from torch.nn import functional as F

from torch_ref.nn.box_loss import reduced


def sigmoid_focal_loss(
    inputs: Tensor,
    targets: Tensor,
    alpha: float = 0.25,
    gamma: float = 2.0,
    reduction: str = "none",
) -> Tensor:
    """Cross entropy of yes and no, times the probability that is missing to the power gamma.

    Args:
        inputs: logits x, any shape.
        targets: t, of the same shape and dtype, in [0, 1].
        alpha: the weight of yes, and 1 - alpha that of no; -1 for none.
        gamma: how much less the easy count; 0 gives the cross entropy.
        reduction: 'none', 'mean' (over every entry) or 'sum'.

    Returns:
        The loss.
    """
    cross_entropy = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    missing = targets * (-inputs).sigmoid() + (1 - targets) * inputs.sigmoid()
    loss = missing**gamma * cross_entropy
    if alpha >= 0:
        loss = (alpha * targets + (1 - alpha) * (1 - targets)) * loss
    return reduced(loss, reduction)
