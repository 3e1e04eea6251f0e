"""Sequences whose answer needs what was seen long before: tests of a network's memory.

    adding   x_t = (v_t, m_t), v_t ~ U[0, 1]   m_t = 1 at two steps, 0 elsewhere   y = sum m_t v_t
             mean 1 and variance 2/12: who always answers 1 has a squared error of 1/6
    copy     K symbols, T - 1 blanks, a signal, K blanks -> T + K blanks, then the K symbols
             who remembers nothing answers blanks and guesses: log(S) K / (T + 2 K) nats a step

Hochreiter & Schmidhuber 1997, Neural Computation 9(8), have the adding problem with values in
[-1, 1], y = 0.5 + sum / 4 and lengths that vary, and one mark among the first ten steps. Here it is
as in Arjovsky, Shah & Bengio 2016, arXiv:1511.06464, section 4: one length, a mark in each half.
"""

import math

import numpy as np

from datasets import check
from datasets.check import Array

ADDING_BASELINE = 1 / 6


def adding_problem(n: int = 1000, length: int = 100, seed: int = 0) -> tuple[Array, Array]:
    """Sequences of numbers of which two are marked, and the sum of these two.

    Args:
        n: sequences.
        length: T, steps of each.
        seed: of all draws.

    Returns:
        x (n, T, 2) float64: the numbers, and the marks, one in the first T // 2 steps and one in
        the others; y (n, 1) float64: the sums, whose variance is `ADDING_BASELINE`.

    Raises:
        ValueError: if an argument is out of range.
        TypeError: if an argument is not an integer.

    Source:
        Arjovsky, Shah & Bengio 2016, arXiv:1511.06464, section 4.
    """
    n = check.size("adding_problem", "n", n, 1)
    length = check.size("adding_problem", "length", length, 2)
    rng = np.random.default_rng(check.seed("adding_problem", seed))
    half, rows = length // 2, np.arange(n)
    x = np.zeros((n, length, 2))
    x[..., 0] = rng.uniform(size=(n, length))
    x[rows, rng.integers(0, half, n), 1] = 1
    x[rows, rng.integers(half, length, n), 1] = 1
    return x, (x[..., 0] * x[..., 1]).sum(1, keepdims=True)


def copy_memory(
    n: int = 1000, delay: int = 100, symbols: int = 8, count: int = 10, seed: int = 0
) -> tuple[Array, Array]:
    """Symbols to repeat, in their order, once a signal comes after a long pause.

    Args:
        n: sequences.
        delay: T, steps between the last symbol and the first that is to be repeated.
        symbols: S, how many different ones there are: 0 to S - 1; S is the blank, S + 1 the signal.
        count: K, how many are to be kept.
        seed: of all draws.

    Returns:
        x (n, T + 2 K) int64, what is seen; y (n, T + 2 K) int64, what is to be answered at each
        step.

    Raises:
        ValueError: if an argument is out of range.
        TypeError: if an argument is not an integer.

    Source:
        Arjovsky, Shah & Bengio 2016, arXiv:1511.06464, section 4.1; Hochreiter & Schmidhuber 1997.
    """
    n = check.size("copy_memory", "n", n, 1)
    delay = check.size("copy_memory", "delay", delay, 1)
    symbols = check.size("copy_memory", "symbols", symbols, 2)
    count = check.size("copy_memory", "count", count, 1)
    rng = np.random.default_rng(check.seed("copy_memory", seed))
    kept = rng.integers(0, symbols, (n, count))
    x = np.full((n, delay + 2 * count), symbols, np.int64)
    y = x.copy()
    x[:, :count] = y[:, delay + count :] = kept
    x[:, delay + count - 1] = symbols + 1
    return x, y


def copy_memory_baseline(delay: int = 100, symbols: int = 8, count: int = 10) -> float:
    """The cross-entropy in nats a step, over all steps, of who knows the task but kept nothing.

    Args:
        delay: T.
        symbols: S.
        count: K.

    Returns:
        log(S) K / (T + 2 K).

    Raises:
        ValueError: if an argument is out of range.
        TypeError: if an argument is not an integer.
    """
    delay = check.size("copy_memory_baseline", "delay", delay, 1)
    symbols = check.size("copy_memory_baseline", "symbols", symbols, 2)
    count = check.size("copy_memory_baseline", "count", count, 1)
    return math.log(symbols) * count / (delay + 2 * count)
