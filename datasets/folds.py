"""Rows in k parts, each of which is the validation set once.

    k_fold             parts of n // k or n // k + 1 rows
    stratified_k_fold  the same, each class in equal shares, to a row
    row order          as it is, or drawn with a seed

Without a seed both give scikit-learn's KFold and StratifiedKFold, index by index.
"""

from collections.abc import Iterator

import numpy as np

from datasets import check
from datasets.check import Array


def k_fold(n: int, k: int = 5, seed: int | None = None) -> Iterator[tuple[Array, Array]]:
    """Part n rows into k folds.

    Args:
        n: number of rows.
        k: number of folds, from 2 to n.
        seed: of the order in which rows are dealt; None: as they come.

    Returns:
        An iterator of k pairs (rows to train on, rows to validate on), both in rising order.

    Raises:
        ValueError: if an argument is out of range.
        TypeError: if an argument is no integer.
    """
    n = check.size("k_fold", "n", n, 2)
    k = check.size("k_fold", "k", k, 2, n)
    order = np.arange(n)
    if seed is not None:
        order = np.random.default_rng(check.seed("k_fold", seed)).permutation(n)
    fold = np.empty(n, np.int64)
    fold[order] = np.repeat(np.arange(k), n // k + (np.arange(k) < n % k))
    return _parts(fold, k)


def stratified_k_fold(
    y: Array, k: int = 5, seed: int | None = None
) -> Iterator[tuple[Array, Array]]:
    """Part rows into k folds in which every class has the same share, to a row.

    Args:
        y: integer classes (n,), each of k rows or more.
        k: number of folds, 2 or more.
        seed: of the order in which the rows of a class are dealt; None: as they come.

    Returns:
        An iterator of k pairs (rows to train on, rows to validate on), both in rising order.

    Raises:
        ValueError: if a class has fewer than k rows, or an argument is out of range.
        TypeError: if y does not hold integers or an argument is no integer.
    """
    y = check.ids("stratified_k_fold", "y", y, least=2)
    k = check.size("stratified_k_fold", "k", k, 2)
    _, first, codes, counts = np.unique(
        y, return_index=True, return_inverse=True, return_counts=True
    )
    if counts.min() < k:
        check.refuse("stratified_k_fold", f"{k} rows of each class or more", int(counts.min()))
    rng = None
    if seed is not None:
        rng = np.random.default_rng(check.seed("stratified_k_fold", seed))
    place = np.argsort(np.argsort(first))  # of a class in order of its first row
    dealt = np.sort(place[codes])
    shares = np.array([np.bincount(dealt[i::k], minlength=len(first)) for i in range(k)])
    fold = np.empty(len(y), np.int64)
    for code in np.argsort(first):
        folds = np.repeat(np.arange(k), shares[:, place[code]])
        fold[codes == code] = folds if rng is None else rng.permutation(folds)
    return _parts(fold, k)


def _parts(fold: Array, k: int) -> Iterator[tuple[Array, Array]]:
    return ((np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(k))
