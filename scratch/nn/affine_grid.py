"""Grids of an affine map, for `grid_sample`.                    Jaderberg et al. 2015, equation 1

forward    g_p = theta (x_p, y_p, 1)           at every pixel p of the output
backward   dtheta = sum_p dg_p (x_p, y_p, 1)^T
pixels     x_p runs over [-1, 1] from edge to edge, x_j = (2 j + 1) / n - 1, or with align_corners
           from centre to centre, x_j = 2 j / (n - 1) - 1, and 0 if n = 1
shapes     theta (N, 2, 3) to g (N, H, W, 2), or theta (N, 3, 4) to g (N, D, H, W, 3)
torch      align_corners=False unless said (it warns, this does not); theta maps the output's
           points to the input's, so it scales and shifts the opposite way
"""

from collections.abc import Sequence

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.op import Backward, op


@op
def affine_grid(
    theta: Array, size: Sequence[int], align_corners: bool | None = None
) -> tuple[Array, Backward]:
    """g = theta (x, y, 1) at every pixel of an image of the given size.

    Args:
        theta: affine maps (N, 2, 3), or (N, 3, 4) for volumes.
        size: of the output, (N, C, H, W) or (N, C, D, H, W).
        align_corners: whether -1 and 1 are the centres of the corner pixels, instead of the edges
            of the image; None is False.

    Returns:
        g (N, H, W, 2) of (x, y), or (N, D, H, W, 3) of (x, y, z), and its backward: dg -> dtheta.

    Raises:
        TypeError: if theta is not floating or a size not an integer.
        ValueError: if the shape of theta does not fit the size, or a size is below 1.

    Source: Jaderberg et al. 2015, arXiv:1506.02025, equation 1.
    """
    theta = check.floating("affine_grid", "theta", theta)
    check.option("affine_grid", "align_corners", align_corners, (None, True, False))
    if not isinstance(size, tuple | list) or len(size) not in (4, 5):
        check.refuse("affine_grid", "size (N, C, H, W) or (N, C, D, H, W)", check.describe(size))
    batch, _, *sizes = [check.size("affine_grid", "size", n, 1) for n in size]
    d = len(sizes)
    check.shape("affine_grid", "theta", theta, (batch, d, d + 1))
    axes = [_positions(n, bool(align_corners), theta.dtype) for n in sizes]
    mesh = np.meshgrid(*axes, indexing="ij")[::-1]  # x, along the last axis, comes first
    points = np.stack([*mesh, np.ones_like(mesh[0])], axis=-1).reshape(-1, d + 1)
    grid = points @ theta.swapaxes(1, 2)

    def backward(dgrid: Array) -> Array:
        dtheta: Array = dgrid.reshape(batch, -1, d).swapaxes(1, 2) @ points
        return dtheta

    return grid.reshape(batch, *sizes, d), backward


def _positions(n: int, align_corners: bool, dtype: np.dtype[np.floating]) -> Array:
    """Where the n pixels of an axis lie in [-1, 1]."""
    if n == 1:
        return np.zeros(1, dtype)
    centred = np.arange(1 - n, n, 2).astype(dtype)  # antisymmetric, as the positions are
    return centred / (n - 1 if align_corners else n)
