"""The loss of a detector that predicts boxes in each cell of a grid.

1 / N (coord sum_obj ((s(tx) - x)^2 + (s(ty) - y)^2 + (tw - w)^2 + (th - h)^2)
       + sum_obj -log s(to) + noobj sum_rest -log s(-to) + sum_obj -log p_k)

Redmon et al. 2016, arXiv:1506.02640, equation 3; Redmon & Farhadi 2017, arXiv:1612.08242, and 2018,
arXiv:1804.02767.
"""

from torch import Tensor
from torch.nn import functional as F


def grid_detection_loss(
    input: Tensor,
    objects: Tensor,
    boxes: Tensor,
    labels: Tensor,
    coord: float = 5.0,
    noobj: float = 0.5,
) -> Tensor:
    """Place, certainty and class of all objects, and the certainty of empty cells.

    Args:
        input: (N, A, 5 + K, H, W), what is predicted: tx, ty, tw, th, to, K logits.
        objects: bool (N, A, H, W), which predictors are responsible for an object.
        boxes: (N, A, 4, H, W), its x, y within the cell in [0, 1], logarithms of its width and
            height over the prior's; read where there is an object.
        labels: its class (N, A, H, W), integers in [0, K); read likewise.
        coord: weight of the place.
        noobj: weight of what is not responsible.

    Returns:
        The loss, (), the mean over pictures.
    """
    predicted = input.movedim(2, -1)
    each, target = predicted[objects], boxes.movedim(2, -1)[objects]  # (M, 5 + K), (M, 4)
    centre = F.mse_loss(each[:, :2].sigmoid(), target[:, :2], reduction="sum")
    size = F.mse_loss(each[:, 2:4], target[:, 2:], reduction="sum")
    certainty = F.binary_cross_entropy_with_logits(
        predicted[..., 4], objects.to(input.dtype), reduction="none"
    )
    cells = certainty[objects].sum() + noobj * certainty[~objects].sum()
    kinds = F.cross_entropy(each[:, 5:], labels[objects], reduction="sum")
    return (coord * (centre + size) + cells + kinds) / max(len(input), 1)
