"""Boxes in the cells of a grid: which predictor answers for an object, and what it says.

targets    x, y = centre / stride - cell     w, h = log(size / prior), of the prior most alike
decoding   centre = (s(tx) + column, s(ty) + row) stride     size = prior e^(tw, th)
           score_k = s(to) softmax(classes)_k

Redmon et al. 2016, arXiv:1506.02640; Redmon & Farhadi 2017, arXiv:1612.08242, section 2.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from torch_ref.detection.boxes import LARGEST

Priors = Sequence[tuple[float, float]]


def grid_targets(
    targets: Sequence[Mapping[str, Tensor]],
    size: tuple[int, int],
    priors: Priors,
    stride: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """What the predictors should say of true boxes.

    Args:
        targets: for each picture its boxes (G, 4) of x1, y1, x2, y2, with an area and their centres
            in the picture, all of one dtype, and labels (G,), integers from 0.
        size: rows and columns of the grid.
        priors: widths and heights of A shapes.
        stride: side of a cell, in the unit of the boxes.

    Returns:
        objects bool (N, A, H, W); boxes (N, A, 4, H, W), x, y, w, h, 0 where there is no object;
        labels (N, A, H, W) int64, likewise.
    """
    boxes = torch.cat([t["boxes"] for t in targets])
    labels = torch.cat([t["labels"] for t in targets])
    counts = torch.tensor([len(t["labels"]) for t in targets], device=boxes.device)
    picture = torch.arange(len(targets), device=boxes.device).repeat_interleave(counts)
    sides, shapes = boxes[:, 2:] - boxes[:, :2], boxes.new_tensor(priors)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 / stride
    height, width = size
    cell = centre.floor().minimum(centre.new_tensor([width - 1, height - 1]))
    common = torch.minimum(sides[:, None], shapes).prod(-1)
    union = sides.prod(-1)[:, None] + shapes.prod(-1) - common
    prior = (common / union).argmax(1)
    column, row = cell.long().unbind(1)

    shape = (len(targets), len(shapes), height, width)
    at = ((picture * len(shapes) + prior) * height + row) * width + column
    turn = torch.arange(len(at), device=at.device)
    last = torch.full([len(targets) * len(shapes) * height * width], -1, device=at.device)
    last = last.scatter_reduce(0, at, turn, "amax")
    objects = last >= 0
    values = torch.cat([centre - cell, (sides / shapes[prior]).log()], 1)
    found = values.new_zeros(len(objects), 4)
    found[objects] = values[last[objects]]
    kinds = torch.zeros_like(last)
    kinds[objects] = labels[last[objects]]
    return objects.view(shape), found.view(*shape, 4).movedim(-1, 2), kinds.view(shape)


def decode_grid(predictions: Tensor, priors: Priors, stride: int) -> tuple[Tensor, Tensor]:
    """The boxes that predictors mean, and how sure they are of each class.

    Args:
        predictions: (N, A, 5 + K, H, W): tx, ty, tw, th, to, K logits.
        priors: widths and heights of the A shapes.
        stride: side of a cell.

    Returns:
        Boxes (N, A H W, 4) of x1, y1, x2, y2, and scores (N, A H W, K).
    """
    height, width = predictions.shape[-2:]
    centre, size, certainty, logits = predictions.movedim(2, -1).split_with_sizes(
        [2, 2, 1, predictions.shape[2] - 5], -1
    )
    row = torch.arange(height, device=predictions.device)
    column = torch.arange(width, device=predictions.device)
    cell = torch.stack(torch.meshgrid(column, row, indexing="xy"), -1)
    centre = (centre.sigmoid() + cell) * stride
    shapes = predictions.new_tensor(priors)[:, None, None]
    half = size.clamp(max=LARGEST).exp() * shapes / 2
    boxes = torch.cat([centre - half, centre + half], -1)
    scores = certainty.sigmoid() * logits.softmax(-1)
    return boxes.flatten(1, 3), scores.flatten(1, 3)
