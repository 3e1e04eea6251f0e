"""From a dataset to what a training run is fed: split, standardise, batch.

    train_test_split   parts of the rows, the classes in equal shares
    Standardizer       z = (x - mean) / std, both from the training rows alone
    epoch_order        the order of the rows in one epoch, from (seed, epoch)
    batches            that order cut into batches
    batch_stream       the batches of the first `steps` steps, epoch after epoch

Orders are explicit arrays of indices, so that two implementations can be fed the same batches.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from datasets import check
from datasets.check import Array


def train_test_split(
    x: Array, y: Array, test_size: float = 0.2, seed: int = 0, stratify: bool | None = None
) -> tuple[Array, Array, Array, Array]:
    """Part the rows at random into a training and a test set, as scikit-learn's.

    Args:
        x: inputs (n, ...).
        y: targets (n, ...).
        test_size: share of the rows that goes into the test set, in (0, 1).
        seed: of the draw.
        stratify: whether each class has the same share in both; None: where y holds integers.

    Returns:
        x_train, x_test, y_train, y_test, in scikit-learn's order.

    Raises:
        ValueError: if the lengths differ, a part would be empty, or a class is too small to share.
        TypeError: if x or y is no array, or classes are asked for and y holds none.
    """
    name = "train_test_split"
    for label, array in (("x", x), ("y", y)):
        if not isinstance(array, np.ndarray) or array.ndim == 0:
            check.refuse(
                name, f"{label} to be an array with rows", check.describe(array), TypeError
            )
    if len(x) != len(y):
        check.refuse(name, "as many rows in y as in x", f"{len(y)} and {len(x)}")
    share = check.number(name, "test_size", test_size, 0, 1, open_low=True, open_high=True)
    seed = check.seed(name, seed)
    if stratify is not None and not isinstance(stratify, bool):
        check.refuse(name, "stratify to be True, False or None", repr(stratify), TypeError)
    classes = y.ndim == 1 and y.dtype.kind in "iu"
    if stratify and not classes:
        check.refuse(name, "integer classes (n,) to stratify by", check.describe(y), TypeError)
    stratify = classes if stratify is None else stratify
    tests = int(np.ceil(share * len(x)))
    if tests >= len(x):
        check.refuse(name, "rows for both parts", f"{len(x)} rows at test_size {share:g}")
    if stratify:
        _, counts = np.unique(y, return_counts=True)
        if counts.min() < 2 or min(tests, len(x) - tests) < len(counts):
            check.refuse(
                name,
                "2 rows of each class, and a row for each in both parts",
                f"{len(counts)} classes of {counts.min()} rows or more, {tests} rows for the test",
            )
    split = check.sklearn(name, "model_selection").train_test_split
    x_train, x_test, y_train, y_test = split(
        x, y, test_size=share, random_state=seed, stratify=y if stratify else None
    )
    return x_train, x_test, y_train, y_test


@dataclass(frozen=True, eq=False)
class Standardizer:
    """z = (x - mean) / std, a column at a time, or a channel where x holds pictures.

    Args:
        mean: (features,), or (channels, 1, 1).
        std: as mean, over their number (torch.std: less one); 1 where they are all the same.
    """

    mean: Array
    std: Array

    @classmethod
    def fit(cls, x: Array) -> "Standardizer":
        """The standardizer of the rows of x: give it the training rows, and only those.

        Args:
            x: (n, features), or (n, channels, height, width).

        Returns:
            The standardizer, under which x has mean 0 and standard deviation 1.

        Raises:
            ValueError: if x has no rows, another shape, or is not finite.
            TypeError: if x is not a floating array.
        """
        x = check.matrix("Standardizer.fit", "x", x)
        axes = (0,) if x.ndim == 2 else (0, 2, 3)
        constant = x.max(axes) == x.min(axes)  # its std may come out as rounding noise, not 0
        mean = x.mean(axes, np.float64, keepdims=True)[0].astype(x.dtype)
        variance = np.square(x - mean).mean(axes, np.float64)
        std = np.where(constant, 1.0, np.sqrt(variance)).astype(x.dtype)
        return cls(mean, std.reshape(mean.shape))

    def __call__(self, x: Array) -> Array:
        """x standardised, of the shape that was fitted, in its own dtype."""
        x = check.columns("Standardizer", "x", x, self.mean)
        return ((x - self.mean) / self.std).astype(x.dtype, copy=False)

    def inverse(self, z: Array) -> Array:
        """The x of which `z` is the standardised form, in z's dtype."""
        z = check.columns("Standardizer.inverse", "z", z, self.mean)
        return (z * self.std + self.mean).astype(z.dtype, copy=False)


def epoch_order(n: int, seed: int, epoch: int) -> Array:
    """The order in which epoch number `epoch` visits n rows.

    Args:
        n: number of rows.
        seed: of the run.
        epoch: number of the epoch, from 0; each has an order of its own.

    Returns:
        A permutation of 0 to n - 1, (n,) int64, always the same for the same arguments.

    Raises:
        ValueError: if an argument is negative.
        TypeError: if an argument is not an integer.
    """
    n = check.size("epoch_order", "n", n)
    seed = check.seed("epoch_order", seed)
    epoch = check.size("epoch_order", "epoch", epoch)
    return np.random.default_rng((seed, epoch)).permutation(n)


def batches(order: Array, batch_size: int, drop_last: bool = False) -> Iterator[Array]:
    """Cut an order of rows into batches.

    Args:
        order: indices of rows (n,), such as `epoch_order` gives.
        batch_size: rows in a batch.
        drop_last: whether to leave out a last batch that is short.

    Returns:
        An iterator of index arrays (batch_size,), the last one shorter where n is no multiple.

    Raises:
        ValueError: if `order` is not one-dimensional or `batch_size` is below 1.
        TypeError: if `order` does not hold integers or `batch_size` is none.
    """
    if not isinstance(order, np.ndarray) or order.dtype.kind not in "iu":
        check.refuse("batches", "order to be an integer array", check.describe(order), TypeError)
    if order.ndim != 1:
        check.refuse("batches", "order of shape (n,)", order.shape)
    size = check.size("batches", "batch_size", batch_size, 1)
    end = len(order) - len(order) % size if drop_last else len(order)
    return (order[start : start + size] for start in range(0, end, size))


def batch_stream(
    n: int, batch_size: int, steps: int, seed: int, drop_last: bool = False, start: int = 0
) -> Iterator[Array]:
    """The batches of a run of `steps` optimizer steps, as many epochs as they take.

    Args:
        n: number of rows.
        batch_size: rows in a batch.
        steps: number of batches.
        seed: of the run; epoch number e is in the order `epoch_order(n, seed, e)`.
        drop_last: whether to leave out the short batch at the end of an epoch.
        start: how many of the batches to leave out at the front, to go on with a run.

    Returns:
        An iterator of `steps` - `start` index arrays.

    Raises:
        ValueError: if an argument is out of range or an epoch would hold no batch.
        TypeError: if an argument is not an integer.
    """
    n = check.size("batch_stream", "n", n, 1)
    size = check.size("batch_stream", "batch_size", batch_size, 1)
    steps = check.size("batch_stream", "steps", steps)
    seed = check.seed("batch_stream", seed)
    start = check.size("batch_stream", "start", start, 0, steps)
    if drop_last and n < size:
        check.refuse("batch_stream", "batch_size <= n where the last is dropped", f"{size} > {n}")
    first, skipped = divmod(start, n // size if drop_last else -(-n // size))
    orders = (epoch_order(n, seed, epoch) for epoch in itertools.count(first))
    epochs = (batches(order, size, drop_last) for order in orders)
    stream = itertools.chain.from_iterable(epochs)
    return itertools.islice(stream, skipped, skipped + steps - start)
