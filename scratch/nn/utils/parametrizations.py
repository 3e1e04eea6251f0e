"""Parametrisations of weights: by length and direction, and by the largest singular value.

The equations are those of `weight_norm.py` and `spectral_norm.py` beside this file.
"""

from typing import TypeVar

from scratch import check
from scratch.check import Array
from scratch.nn.module import Module, Parameter
from scratch.nn.normalize import normalize
from scratch.nn.op import Backward
from scratch.nn.utils.parametrize import is_parametrized, register_parametrization
from scratch.nn.utils.spectral_norm import as_matrix, check_options, over_sigma, start, unit
from scratch.nn.utils.weight_norm import check_dim, norm_except, scaled_direction
from scratch.random import Generator

M = TypeVar("M", bound=Module)


class _WeightNorm(Module):
    """w = g v / |v|."""

    def __init__(self, dim: int | None = 0) -> None:
        self.dim = -1 if dim is None else dim

    def forward(self, g: Array, v: Array) -> tuple[Array, Backward]:
        return scaled_direction(g, v, self.dim)

    def right_inverse(self, w: Array) -> tuple[Array, Array]:
        """The g and v that give w."""
        return norm_except(w, self.dim), w


class _SpectralNorm(Module):
    """y = W / sigma; of a vector y = w / |w|."""

    _u: Array
    _v: Array

    def __init__(
        self,
        weight: Array,
        n_power_iterations: int = 1,
        dim: int = 0,
        eps: float = 1e-12,
        *,
        generator: Generator | None = None,
    ) -> None:
        self.n_power_iterations, self.dim, self.eps = n_power_iterations, dim, eps
        if weight.ndim > 1:
            u, v = start(weight, dim, eps, generator)
            self.register_buffer("_u", u)
            self.register_buffer("_v", v)
            self._update(weight, 15)

    def _update(self, w: Array, times: int) -> None:
        matrix = as_matrix(w, self.dim)
        for _ in range(times):
            self._u[...] = unit(matrix @ self._v, self.eps)
            self._v[...] = unit(matrix.T @ self._u, self.eps)

    def forward(self, w: Array) -> tuple[Array, Backward]:
        if w.ndim == 1:
            return normalize(w, dim=0, eps=self.eps)
        if self.training:
            self._update(w, self.n_power_iterations)
        return over_sigma(w, self._u, self._v, self.dim)

    def right_inverse(self, w: Array) -> Array:
        """The weight to start from."""
        return w


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Learn a layer's weight as lengths (original0) and directions (original1).

    Args:
        module: any layer; it is changed in place.
        name: of the parameter.
        dim: axis along which each entry has a length of its own; None for one length.

    Returns:
        The module.

    Raises:
        ValueError: if it has no such parameter or the parameter no such axis.

    Source: Salimans & Kingma 2016, arXiv:1602.07868.
    """
    w = _value("weight_norm", module, name)
    function = _WeightNorm(check_dim("weight_norm", dim, w))
    return register_parametrization(module, name, function, unsafe=True)


def spectral_norm(
    module: M,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
    *,
    generator: Generator | None = None,
) -> M:
    """Divide a layer's weight by its largest singular value.

    Args:
        module: any layer; it is changed in place.
        name: of the parameter.
        n_power_iterations: updates of u and v in each forward in training.
        eps: smallest norm that they are divided by.
        dim: axis of the matrix's rows; None for 1 of transposed convolutions and 0 of others.
        generator: draws the first u and v; None makes a fresh one.

    Returns:
        The module.

    Raises:
        ValueError: if it has no such parameter or an option is out of range.

    Source: Miyato et al. 2018, arXiv:1802.05957.
    """
    w = _value("spectral_norm", module, name)
    axis = check_options("spectral_norm", module, w, n_power_iterations, eps, dim)
    function = _SpectralNorm(w, n_power_iterations, axis, eps, generator=generator)
    return register_parametrization(module, name, function)


def _value(function: str, module: object, name: str) -> Array:
    """The value of a module's parameter, parametrised or not."""
    known = isinstance(module, Module) and (
        isinstance(vars(module).get(name), Parameter) or is_parametrized(module, name)
    )
    if not known:
        expected = f"a module with a parameter {name!r}"
        check.refuse(function, expected, type(module).__name__)
    parameter: Parameter = getattr(module, name)
    return parameter.data
