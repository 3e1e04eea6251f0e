"""Hyperparameter search: scikit-learn's samplers, Optuna's TPE, and what may be searched."""

import math
import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.model_selection import ParameterGrid

import datasets
from datasets import Range
from parity_tests.harness.entry import unchecked

SPACE: dict[str, Any] = {
    "lr": Range(1e-4, 1.0, log=True),
    "width": Range(3, 6, integer=True),
    "sizes": [(8,), (8, 8)],
}
GRID: dict[str, Any] = {"a": [1, 2, 3], "b": ["x", "y"]}


def bowl(parameters: dict[str, Any]) -> float:
    """Lowest at lr 0.01, width 5, two layers."""
    far: float = (math.log10(parameters["lr"]) + 2) ** 2 + 0.1 * (parameters["width"] - 5) ** 2
    return far + (0.3 if parameters["sizes"] == (8,) else 0.0)


def test_grid_is_scikit_learns() -> None:
    found = datasets.grid_search(lambda p: p["a"] + (p["b"] == "y") * 0.5, GRID, mode="max")
    assert [t.parameters for t in found.trials] == list(ParameterGrid(GRID))
    assert found.best == ({"a": 3, "b": "y"}, 3.5)
    assert found.best_so_far.tolist() == [1, 1.5, 2, 2.5, 3, 3.5]


def test_grid_of_a_range() -> None:
    assert Range(1, 3).grid(5) == [1, 1.5, 2, 2.5, 3]
    np.testing.assert_allclose(Range(1e-3, 1, log=True).grid(4), [1e-3, 1e-2, 0.1, 1], rtol=1e-12)
    assert Range(1, 4, integer=True).grid(9) == [1, 2, 3, 4]


def test_random_draws() -> None:
    found = datasets.random_search(bowl, SPACE, 3000, seed=1)
    lr = np.log10([t.parameters["lr"] for t in found.trials])
    assert -4 <= lr.min() < -3.99 and -0.01 < lr.max() <= 0
    assert abs(lr.mean() + 2) < 0.1 and abs(lr.var() - 16 / 12) < 0.1  # uniform in log
    widths = np.bincount([t.parameters["width"] for t in found.trials])
    assert np.all(np.abs(widths[3:] / 750 - 1) < 0.15) and len(widths) == 7
    assert {t.parameters["sizes"] for t in found.trials} == {(8,), (8, 8)}
    once = datasets.random_search(lambda p: p["a"], GRID, 50)
    assert len(once.trials) == 6
    assert all(p in [t.parameters for t in once.trials] for p in ParameterGrid(GRID))


@pytest.mark.parametrize("search", [datasets.random_search, datasets.bayesian_search])
def test_search_follows_the_seed(search: Callable[..., datasets.Search]) -> None:
    first, again, other = (search(bowl, SPACE, 15, seed=s) for s in (3, 3, 4))
    assert first.trials == again.trials != other.trials
    assert all(t.value == bowl(t.parameters) for t in first.trials)
    assert first.best.value == min(t.value for t in first.trials) == first.best_so_far[-1]
    assert all(np.diff(first.best_so_far) <= 0)


def test_bayesian_search_draws_nearer_than_chance() -> None:
    """After 10 random draws each; the median over seeds of the values that follow."""
    later = [
        np.median(
            [[t.value for t in search(bowl, SPACE, 30, seed=s).trials[10:]] for s in range(5)]
        )
        for search in (datasets.bayesian_search, datasets.random_search)
    ]
    assert later[0] < 0.5 * later[1]


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("search", [datasets.random_search, datasets.bayesian_search])
def test_a_value_that_is_nan_is_the_worst(search: Callable[..., Any], mode: str) -> None:
    calls: list[float] = []

    def broken(parameters: dict[str, Any]) -> float:
        calls.append(math.nan if len(calls) % 2 == 0 else bowl(parameters))
        return calls[-1]

    found = search(broken, SPACE, 14, mode=mode)
    values = calls[1::2]
    assert found.best.value == (min(values) if mode == "min" else max(values))
    assert math.isinf(found.best_so_far[0]) and np.isfinite(found.best_so_far[1:]).all()


def test_without_optuna(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs Optuna; .*'\.\[search\]'"):
        datasets.bayesian_search(bowl, SPACE, 1)


refusals: list[tuple[str, Callable[[], Any], str]] = [
    ("Range", lambda: Range(2, 1), "high in (2, inf), got 1"),
    ("Range", lambda: Range(0, 1, log=True), "low in (0, inf), got 0"),
    ("Range", lambda: Range(0.5, 2, integer=True), "low to be an integer"),
    ("Range.grid", lambda: Range(1, 2).grid(1), "n >= 2, got 1"),
    ("grid_search", lambda: datasets.grid_search(bowl, SPACE), "choices for lr"),
    ("grid_search", lambda: datasets.grid_search(bowl, {"a": []}), "a list of choices for a"),
    ("grid_search", lambda: datasets.grid_search(bowl, {}), "a Range or a list of choices by name"),
    ("random_search", lambda: datasets.random_search(bowl, SPACE, 0), "n >= 1, got 0"),
    ("random_search", lambda: datasets.random_search(unchecked(3), SPACE, 1), "got 3 (int)"),
    ("random_search", lambda: datasets.random_search(bowl, SPACE, 1, mode="least"), "got 'least'"),
    (
        "bayesian_search",
        lambda: datasets.bayesian_search(bowl, SPACE, 3, startup=0),
        "startup >= 1",
    ),
    ("bayesian_search", lambda: datasets.bayesian_search(bowl, SPACE, 3, seed=-1), "got -1"),
    (
        "bayesian_search",
        lambda: datasets.bayesian_search(bowl, {"a": unchecked("abc")}, 3),
        "got 'abc' (str)",
    ),
]


@pytest.mark.parametrize(
    ("function", "call", "text"), refusals, ids=[f"{r[0]}-{r[2][:30]}" for r in refusals]
)
def test_refuses(function: str, call: Callable[[], Any], text: str) -> None:
    with pytest.raises(
        (ValueError, TypeError), match=rf"^{re.escape(function)}: expected .*{re.escape(text)}"
    ):
        call()
