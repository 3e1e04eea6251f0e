"""Sequences that ask for memory: their layout, their baselines, determinism, refusals."""

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from datasets import memory
from parity_tests.harness.entry import unchecked


@pytest.mark.parametrize("length", [2, 3, 100])
def test_adding_problem(length: int) -> None:
    x, y = memory.adding_problem(50, length, seed=3)
    assert x.shape == (50, length, 2) and x.dtype == np.float64 and x.flags.c_contiguous
    assert y.shape == (50, 1) and y.dtype == np.float64
    numbers, marks = x[..., 0], x[..., 1]
    assert numbers.min() >= 0 and numbers.max() < 1 and set(np.unique(marks)) <= {0, 1}
    assert (marks[:, : length // 2].sum(1) == 1).all()
    assert (marks[:, length // 2 :].sum(1) == 1).all()
    for row, answer in zip(x, y, strict=True):
        first, second = row[row[:, 1] == 1, 0]
        assert answer[0] == first + second


def test_marks_reach_every_step_of_their_half() -> None:
    x, _ = memory.adding_problem(3000, 10, seed=0)
    share = x[..., 1].mean(0)
    np.testing.assert_allclose(share, 0.2, atol=5 * math.sqrt(0.16 / 3000))


def test_answering_one_has_a_squared_error_of_a_sixth() -> None:
    n = 100_000
    _, y = memory.adding_problem(n, 4, seed=1)
    errors = (y - 1) ** 2
    assert memory.ADDING_BASELINE == 1 / 6
    assert abs(errors.mean() - 1 / 6) < 5 * errors.std() / math.sqrt(n)
    assert abs(y.mean() - 1) < 5 * math.sqrt(1 / 6 / n)
    # The mean of all numbers says little of the two.
    x, y = memory.adding_problem(20_000, 50, seed=2)
    assert abs(np.corrcoef(x[..., 0].mean(1), y[:, 0])[0, 1]) < 0.25


@pytest.mark.parametrize(("delay", "symbols", "count"), [(1, 2, 1), (7, 4, 3), (100, 8, 10)])
def test_copy_memory(delay: int, symbols: int, count: int) -> None:
    x, y = memory.copy_memory(40, delay, symbols, count, seed=5)
    assert x.shape == y.shape == (40, delay + 2 * count)
    assert x.dtype == y.dtype == np.int64
    blank, signal = symbols, symbols + 1
    assert x[:, :count].max() < symbols and x[:, :count].min() >= 0
    assert (x[:, count : count + delay - 1] == blank).all()
    assert (x[:, count + delay - 1] == signal).all() and (x == signal).sum() == 40
    assert (x[:, count + delay :] == blank).all()
    assert (y[:, : delay + count] == blank).all()
    assert np.array_equal(y[:, delay + count :], x[:, :count])
    assert set(np.unique(x[:, :count])) == set(range(symbols))


def test_copy_memory_baseline_is_what_a_guess_costs() -> None:
    delay, symbols, count = 20, 8, 10
    _, y = memory.copy_memory(30, delay, symbols, count)
    # Sure of the blanks, and indifferent between the symbols where they are asked for.
    logits = np.full((*y.shape, symbols + 2), -np.inf)
    logits[:, : delay + count, symbols] = 0
    logits[:, delay + count :, :symbols] = 0
    cost = torch.nn.functional.cross_entropy(
        torch.from_numpy(logits).flatten(0, 1), torch.from_numpy(y).flatten()
    )
    assert memory.copy_memory_baseline(delay, symbols, count) == pytest.approx(cost.item(), 1e-12)


@pytest.mark.parametrize("make", [memory.adding_problem, memory.copy_memory])
def test_the_seed_alone_decides(make: Callable[..., Any]) -> None:
    np.random.seed(1)  # noqa: NPY002  the global state is what must not matter
    first, again, other = make(9, 12, seed=7), make(9, 12, seed=7), make(9, 12, seed=8)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


refusals: list[tuple[str, Callable[[], Any], type[Exception], str]] = [
    ("adding_problem", lambda: memory.adding_problem(0), ValueError, "n >= 1, got 0"),
    ("adding_problem", lambda: memory.adding_problem(3, 1), ValueError, "length >= 2, got 1"),
    (
        "adding_problem",
        lambda: memory.adding_problem(3, unchecked(9.0)),
        TypeError,
        "length to be an integer, got 9.0 (float)",
    ),
    ("adding_problem", lambda: memory.adding_problem(seed=-1), ValueError, "got -1"),
    ("copy_memory", lambda: memory.copy_memory(0), ValueError, "n >= 1, got 0"),
    ("copy_memory", lambda: memory.copy_memory(delay=0), ValueError, "delay >= 1, got 0"),
    ("copy_memory", lambda: memory.copy_memory(symbols=1), ValueError, "symbols >= 2, got 1"),
    ("copy_memory", lambda: memory.copy_memory(count=0), ValueError, "count >= 1, got 0"),
    (
        "copy_memory",
        lambda: memory.copy_memory(seed=unchecked("0")),
        TypeError,
        "seed to be an integer, got '0' (str)",
    ),
    (
        "copy_memory_baseline",
        lambda: memory.copy_memory_baseline(0),
        ValueError,
        "delay >= 1, got 0",
    ),
    (
        "copy_memory_baseline",
        lambda: memory.copy_memory_baseline(symbols=1),
        ValueError,
        "symbols >= 2, got 1",
    ),
    (
        "copy_memory_baseline",
        lambda: memory.copy_memory_baseline(count=unchecked(None)),
        TypeError,
        "count to be an integer, got None",
    ),
]


@pytest.mark.parametrize(
    ("function", "call", "error", "text"), refusals, ids=[f"{r[0]}-{r[3][:30]}" for r in refusals]
)
def test_refuses(function: str, call: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=rf"^{re.escape(function)}: expected .*{re.escape(text)}"):
        call()
