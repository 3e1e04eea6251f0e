"""Conventions of computed weights: what a forward updates, and what is held constant."""

from collections.abc import Callable
from typing import Any

import numpy as np

from parity_tests.catalog.parametrize import applied
from parity_tests.pitfalls.entry import Pitfall
from scratch import nn
from scratch.check import Array
from scratch.nn.op import Backward
from scratch.nn.utils.parametrizations import _SpectralNorm, _WeightNorm
from scratch.nn.utils.parametrize import register_parametrization
from scratch.nn.utils.spectral_norm import as_matrix, check_options, unit
from scratch.nn.utils.weight_norm import check_dim, norm_except


class UpdatesInEvaluation(_SpectralNorm):
    def forward(self, w: Array) -> tuple[Array, Backward]:
        if w.ndim > 1 and not self.training:
            self._update(w, self.n_power_iterations)
        return super().forward(w)


class NeverUpdates(_SpectralNorm):
    def _update(self, w: Array, times: int) -> None:
        if times == 15:  # the start
            super()._update(w, times)


class UpdatesRightFirst(_SpectralNorm):
    """v before u, as torch's older form does."""

    def _update(self, w: Array, times: int) -> None:
        matrix = as_matrix(w, self.dim)
        for _ in range(times):
            self._v[...] = unit(matrix.T @ self._u, self.eps)
            self._u[...] = unit(matrix @ self._v, self.eps)


class SigmaConstant(_SpectralNorm):
    """dW = dy / sigma."""

    def forward(self, w: Array) -> tuple[Array, Backward]:
        y, back = super().forward(w)
        if w.ndim == 1:
            return y, back
        sigma = (w * y).sum() / (y * y).sum()
        return y, lambda dy: dy / sigma


class ExactSigma(_SpectralNorm):
    """The largest singular value itself instead of its estimate."""

    def forward(self, w: Array) -> tuple[Array, Backward]:
        y, back = super().forward(w)
        if w.ndim == 1:
            return y, back
        estimate = (w * y).sum() / (y * y).sum()
        sigma = np.linalg.svd(as_matrix(w, self.dim), compute_uv=False)[0]
        return w / sigma, lambda dy: back(dy) * (estimate / sigma)


def spectral(kind: type[_SpectralNorm]) -> Callable[..., Any]:
    """`parametrizations.spectral_norm` of this kind."""

    def change(
        module: nn.Module,
        name: str = "weight",
        n_power_iterations: int = 1,
        eps: float = 1e-12,
        dim: int | None = None,
    ) -> nn.Module:
        w: Array = getattr(module, name).data
        axis = check_options("spectral_norm", module, w, n_power_iterations, eps, dim)
        return register_parametrization(module, name, kind(w, n_power_iterations, axis, eps))

    return applied(change, nn)


class NormOfAll(_WeightNorm):
    """Divides by the norm of the whole weight, though each row has its own length."""

    def forward(self, g: Array, v: Array) -> tuple[Array, Backward]:
        _, back = super().forward(g, v)
        return v * (g / norm_except(v, -1)), back


class NormConstant(_WeightNorm):
    """dv = g dw / |v|."""

    def forward(self, g: Array, v: Array) -> tuple[Array, Backward]:
        w, back = super().forward(g, v)
        return w, lambda dw: (back(dw)[0], dw * (g / norm_except(v, self.dim)))


def weight(kind: type[_WeightNorm]) -> Callable[..., Any]:
    """`parametrizations.weight_norm` of this kind."""

    def change(module: nn.Module, name: str = "weight", dim: int | None = 0) -> nn.Module:
        axis = check_dim("weight_norm", dim, getattr(module, name).data)
        return register_parametrization(module, name, kind(axis), unsafe=True)

    return applied(change, nn)


SPECTRAL, WEIGHT = "parametrizations.spectral_norm", "parametrizations.weight_norm"
PITFALLS = [
    Pitfall(
        "spectral_norm_evaluation",
        SPECTRAL,
        "u and v in evaluation: torch leaves them; others update them",
        spectral(UpdatesInEvaluation),
    ),
    Pitfall(
        "spectral_norm_training",
        SPECTRAL,
        "u and v in training: torch updates them in each forward; others do not",
        spectral(NeverUpdates),
    ),
    Pitfall(
        "spectral_norm_order",
        SPECTRAL,
        "a power iteration: this form updates u first; the older one v",
        spectral(UpdatesRightFirst),
    ),
    Pitfall(
        "spectral_norm_sigma",
        SPECTRAL,
        "backward: torch differentiates sigma, with u and v constant; others hold sigma constant",
        spectral(SigmaConstant),
    ),
    Pitfall(
        "spectral_norm_exact",
        SPECTRAL,
        "sigma: torch the estimate u W v; others the singular value",
        spectral(ExactSigma),
    ),
    Pitfall(
        "weight_norm_axis",
        WEIGHT,
        "|v|: torch of each row; others of the whole weight",
        weight(NormOfAll),
    ),
    Pitfall(
        "weight_norm_constant",
        WEIGHT,
        "backward: torch differentiates |v|; others hold it constant",
        weight(NormConstant),
    ),
]
