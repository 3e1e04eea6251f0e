"""Feature maps of a photograph, and both packages' pooling of them."""

from typing import Any

import numpy as np
import torch

from datasets.check import Array
from datasets.images import photograph
from parity_tests.experiments.kernels import DIAGONAL, LAPLACIAN, SOBEL_X, SOBEL_Y
from scratch.nn import functional as F

EPS = float(np.finfo(np.float64).eps)
FEATURES = {
    "upright edges": SOBEL_X,
    "level edges": SOBEL_Y,
    "slanted edges": DIAGONAL,
    "bright spots": -LAPLACIAN,
}


def features(name: str) -> tuple[Array, Array]:
    """A photograph's green bytes, and what four kernels and a ReLU make of them.

    Returns:
        picture (H, W); maps (1, 4, H - 2, W - 2).
    """
    x = np.rint(255 * photograph(name)[1].astype(np.float64))
    answers, _ = F.conv2d(x[None, None], np.stack(list(FEATURES.values()))[:, None])
    maps, _ = F.relu(answers)
    return x, maps


def both(name: str, x: Array, *args: Any, **kwargs: Any) -> tuple[Array, Array]:
    """What scratch and torch make of x by the function of that name, without the indices."""
    ours, _ = getattr(F, name)(x, *args, **kwargs)
    theirs = getattr(torch.nn.functional, name)(torch.tensor(x), *args, **kwargs)
    return ours, theirs.numpy()
