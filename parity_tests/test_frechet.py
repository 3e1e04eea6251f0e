"""The Frechet distance, held against SciPy's root of a matrix and against numbers known by hand."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from parity_tests.experiments.frechet import frechet


def rows(mean: float, scales: list[float], seed: int = 0) -> np.ndarray:
    """Rows whose sample mean and covariance are exactly these."""
    z = np.random.default_rng(seed).normal(size=(50, len(scales)))
    z -= z.mean(0)
    z = z @ np.linalg.inv(np.linalg.cholesky(np.cov(z, rowvar=False))).T
    return mean + z * scales


def test_of_a_set_to_itself_is_none() -> None:
    x = np.random.default_rng(0).normal(size=(40, 5))
    assert frechet(x, x) == pytest.approx(0, abs=1e-10)


def test_of_gaussians_along_the_axes() -> None:
    """(m - m')^2 + (s - s')^2, for each axis."""
    a, b = rows(0.0, [1.0, 2.0, 0.5]), rows(1.5, [3.0, 2.0, 1.0], seed=1)
    assert frechet(a, b) == pytest.approx(3 * 1.5**2 + 2**2 + 0.5**2, rel=1e-10)


def test_is_scipys() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(60, 6)) @ rng.normal(size=(6, 6)), rng.normal(size=(30, 6)) + 1
    c, d = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    expected = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(c + d - 2 * sqrtm(c @ d).real)
    assert frechet(a, b) == pytest.approx(expected, rel=1e-8)
    assert frechet(b, a) == pytest.approx(expected, rel=1e-8)


def test_fewer_rows_than_features() -> None:
    x = np.random.default_rng(3).normal(size=(4, 9))
    assert frechet(x, x + 2) == pytest.approx(9 * 4, rel=1e-8)
