"""Spectral normalisation: a weight divided by its largest singular value.

forward    sigma = u W v     y = W / sigma
           in training first u <- W v / |W v|, v <- W u / |W u|, which tend to its singular vectors
backward   dW = (dy - (sum dy y) u v) / sigma     with u and v taken for constants
shapes     W, y any; as a matrix (size of dim, rest)   u (size of dim,)   v (rest,)
torch      `torch.nn.utils.spectral_norm` updates v first and starts from random u and v,
           `parametrizations.spectral_norm` updates u first and starts after 15 updates; a vector
           is divided by its norm. Both change u and v in each forward in training, and take axis 1
           of transposed convolutions.
Source     Miyato et al. 2018, arXiv:1802.05957, algorithm 1
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.conv_transpose import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from scratch.nn.module import Module, Parameter
from scratch.nn.normalize import normalize
from scratch.nn.op import Backward, op
from scratch.nn.reduction import quiet
from scratch.nn.utils.computed import Computed, compute, parameter_of, stop
from scratch.random import Generator

M = TypeVar("M", bound=Module)


def as_matrix(w: Array, dim: int) -> Array:
    """W with `dim` in front and the other axes merged."""
    front = np.moveaxis(w, dim, 0)
    return front.reshape(len(front), -1)


@op
@quiet
def over_sigma(w: Array, u: Array, v: Array, dim: int) -> tuple[Array, Backward]:
    """y = W / (u W v)."""
    sigma = u @ (as_matrix(w, dim) @ v)
    y = w / sigma
    u, v = u.copy(), v.copy()  # the next forward changes them

    @quiet
    def backward(dy: Array) -> Array:
        front = np.moveaxis(w, dim, 0)
        uv = np.moveaxis(np.outer(u, v).reshape(front.shape), 0, dim)
        dw: Array = (dy - (dy * y).sum() * uv) / sigma
        return dw

    return y, backward


def unit(x: Array, eps: float) -> Array:
    """x / max(|x|, eps)."""
    y, _ = normalize(x, dim=0, eps=eps)
    return y


def start(w: Array, dim: int, eps: float, generator: Generator | None) -> tuple[Array, Array]:
    """Random u and v of length one, drawn as torch draws them."""
    generator = generator or Generator()
    rows, columns = as_matrix(w, dim).shape
    u, v = (generator.normal(0.0, 1.0, size, w.dtype) for size in (rows, columns))
    return unit(u, eps), unit(v, eps)


def check_options(
    function: str, module: Module, w: Array, n_power_iterations: int, eps: float, dim: int | None
) -> int:
    """The axis to take, if all options are in order."""
    check.size(function, "n_power_iterations", n_power_iterations, 1)
    check.number(function, "eps", eps, 0)
    if dim is None:
        transposed = isinstance(module, ConvTranspose1d | ConvTranspose2d | ConvTranspose3d)
        dim = 1 if transposed and w.ndim > 1 else 0
    return check.axis(function, "dim", dim, w.ndim)


class SpectralNorm:
    """The rule that computes a layer's weight from its weight_orig, weight_u and weight_v."""

    def __init__(self, name: str, n_power_iterations: int, eps: float, dim: int) -> None:
        self.name, self.n_power_iterations, self.eps, self.dim = name, n_power_iterations, eps, dim

    def __call__(self, module: Any) -> tuple[Array, Callable[[Array], None]]:
        return self.weight(module, module.training)

    def weight(self, module: Any, updates: bool) -> tuple[Array, Callable[[Array], None]]:
        """The weight, after updates of u and v or without."""
        w, u, v = (getattr(module, f"{self.name}_{part}") for part in ("orig", "u", "v"))
        matrix = as_matrix(w.data, self.dim)
        for _ in range(self.n_power_iterations if updates else 0):
            v[...] = unit(matrix.T @ u, self.eps)
            u[...] = unit(matrix @ v, self.eps)
        y, over_back = over_sigma(w.data, u, v, self.dim)
        return y, lambda dy: w.accumulate(over_back(dy))


def spectral_norm(
    module: M,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
    *,
    generator: Generator | None = None,
) -> M:
    """Divide a layer's weight by its largest singular value, which u and v, kept beside it, track.

    Args:
        module: any layer; it is changed in place.
        name: of the parameter, which becomes `name`_orig.
        n_power_iterations: updates of u and v in each forward in training.
        eps: smallest norm that they are divided by.
        dim: axis of the matrix's rows; None for 1 of transposed convolutions and 0 of others.
        generator: draws the first u and v; None makes a fresh one.

    Returns:
        The module.

    Raises:
        ValueError: if it has no such parameter or an option is out of range.

    Source: Miyato et al. 2018.
    """
    w = parameter_of("spectral_norm", module, name)
    axis = check_options("spectral_norm", module, w.data, n_power_iterations, eps, dim)
    u, v = start(w.data, axis, eps, generator)
    delattr(module, name)
    setattr(module, name + "_orig", w)
    module.register_buffer(name + "_u", u)
    module.register_buffer(name + "_v", v)
    compute(module, name, SpectralNorm(name, n_power_iterations, eps, axis))
    return module


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """The weight as it is now becomes a parameter again.

    Args:
        module: that `spectral_norm` changed.
        name: of the parameter.

    Returns:
        The module.

    Raises:
        ValueError: if it is not spectrally normalised.
    """
    rule = module._rules.get(name) if isinstance(module, Computed) else None
    if not isinstance(rule, SpectralNorm):
        expected = f"a module whose {name!r} is spectrally normalised"
        check.refuse("remove_spectral_norm", expected, type(module).__name__)
    w, _ = rule.weight(module, updates=False)
    kept = module._buffer_names
    module._buffer_names = {k: p for k, p in kept.items() if k not in (name + "_u", name + "_v")}
    for part in ("orig", "u", "v"):
        delattr(module, f"{name}_{part}")
    stop(module, name, Parameter(w))
    return module
