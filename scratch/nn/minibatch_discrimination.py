"""Minibatch discrimination: how close each sample is to the rest of its batch.

forward    M_i = x_i T                      (B, C): B kernels of C dimensions
           E_ij,b = exp(-sum_c |M_ibc - M_jbc|)
           o_ib = sum_{j != i} E_ij,b       y_i = (x_i, o_i)
backward   dM_ibc = -sum_j (do_ib + do_jb) E_ij,b sign(M_ibc - M_jbc)      E is symmetric in i, j
           dx = dx_y + dM T^T       dT = x^T dM
shapes     x (N, in)   T (in, B, C)   o (N, B)   y (N, in + B)
itself     The paper's sum has j = i too, a constant 1; the authors' code leaves it out, as here.
start      T from N(0, 1 / in), so that distances do not grow with the width
torch      has none. It also gives |.| the slope 0 at 0.
Source     Salimans et al. 2016, arXiv:1606.03498, section 3.2
"""

import math

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn import init
from scratch.nn.module import Module, Parameter
from scratch.nn.op import Backward, op
from scratch.random import Generator


@op
def minibatch_discrimination(input: Array, weight: Array) -> tuple[Array, Backward]:
    """Append to each sample its closeness to the others.

    Args:
        input: x (N, in).
        weight: T (in, B, C).

    Returns:
        y (N, in + B), and its backward: dy -> dx, dT.

    Raises:
        TypeError: if an array is not floating or the dtypes differ.
        ValueError: if a shape does not fit.
    """
    name = "minibatch_discrimination"
    x = check.floating(name, "input", input)
    t = check.floating(name, "weight", weight, like=x)
    check.shape(name, "weight", t, ("in", "B", "C"))
    size, kernels, dims = t.shape
    check.shape(name, "input", x, ("N", size))
    n, flat = len(x), t.reshape(size, kernels * dims)
    m = (x @ flat).reshape(n, kernels, dims)
    apart = m[:, None] - m  # (N, N, B, C)
    e = np.exp(-np.abs(apart).sum(-1))  # (N, N, B)
    e[np.arange(n), np.arange(n)] = 0
    y = np.concatenate([x, e.sum(1)], axis=1)

    def backward(dy: Array) -> tuple[Array, Array]:
        do = dy[:, size:]
        de = (do[:, None] + do) * e  # of the pair: both o_i and o_j have it
        dm = -np.einsum("ijb,ijbc->ibc", de, np.sign(apart)).reshape(n, kernels * dims)
        return dy[:, :size] + dm @ flat.T, (x.T @ dm).reshape(t.shape)

    return y, backward


class MinibatchDiscrimination(Module):
    """`minibatch_discrimination` with learned kernels.

    Args:
        in_features: size of a sample's features.
        num_kernels: B, how many numbers each sample gets.
        kernel_dim: C, in how many dimensions a kernel compares.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, in_features) to (N, in_features + num_kernels).

    Source: Salimans et al. 2016, arXiv:1606.03498, section 3.2.
    """

    def __init__(
        self,
        in_features: int,
        num_kernels: int,
        kernel_dim: int,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        sizes = {"in_features": in_features, "num_kernels": num_kernels, "kernel_dim": kernel_dim}
        for name, size in sizes.items():
            check.size("MinibatchDiscrimination", name, size, low=1)
        self.in_features, self.num_kernels, self.kernel_dim = sizes.values()
        self.weight = Parameter(np.empty(tuple(sizes.values()), dtype))
        init.normal_(self.weight, std=1 / math.sqrt(in_features), generator=generator)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = (x, o)."""
        y, op_back = minibatch_discrimination(input, self.weight.data)

        def backward(dy: Array) -> Array:
            dx: Array
            dx, dweight = op_back(dy)
            self.weight.accumulate(dweight)
            return dx

        return y, backward

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, num_kernels={self.num_kernels}, "
            f"kernel_dim={self.kernel_dim}"
        )
