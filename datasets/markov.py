"""Text by counting: what came after the last n characters.

    p_-1(c) = 1 / V
    p_k(c | s) = (max(count(s c) - d_k, 0) + d_k types(s) p_{k-1}(c | s')) / count(s)

s are the k characters before c, s' those without the first, types(s) the number of different
characters that followed s; a context that was never seen says what the shorter one says. The
discounts d_0 ... d_n, one for each length, are those that cost the fewest bits on a validation
text. All of p_k sum to 1, whatever was counted.

Source: Ney, Essen & Kneser 1994, On structuring probabilistic dependences in stochastic language
    modelling (absolute discounting, interpolated).
"""

from dataclasses import dataclass

import numpy as np

from datasets import check
from datasets.check import Array

DISCOUNTS = (0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


@dataclass(frozen=True)
class Counts:
    """What followed the contexts of one length, each context as a number.

    Attributes:
        contexts: those seen, sorted.
        totals: how often each was seen.
        types: how many different characters followed it.
        grams: contexts with a character behind them, sorted.
        counts: how often each was seen.
    """

    contexts: Array
    totals: Array
    types: Array
    grams: Array
    counts: Array


@dataclass(frozen=True)
class Markov:
    """Characters by those before them, `Markov.fit` counts them.

    Attributes:
        size: V, how many characters there are.
        tables: of the contexts of length 0, 1, ... n.
        discounts: d of each.
    """

    size: int
    tables: tuple[Counts, ...]
    discounts: tuple[float, ...]

    @classmethod
    def fit(cls, train: Array, validation: Array, size: int, order: int) -> "Markov":
        """Count, then choose the discounts from the shortest context on.

        Args:
            train: integers (n,) from 0 to size - 1, the text to count in.
            validation: (m,), the text to choose by; none of it is counted.
            size: V.
            order: n, the longest context.

        Returns:
            The model.

        Raises:
            TypeError: if a text is no array of integers, or a size no integer.
            ValueError: if a text is not 1-d or too short, a number is out of range, or the
                contexts are too many to be numbered in 64 bits.
        """
        size = check.size("Markov.fit", "size", size, 1)
        order = check.size("Markov.fit", "order", order)
        if size ** (order + 1) >= 2**63:
            check.refuse("Markov.fit", f"{size} ** (order + 1) below 2 ** 63", order)
        train = check.ids("Markov.fit", "train", train, size, order + 1)
        validation = check.ids("Markov.fit", "validation", validation, size, 2)
        tables = tuple(_count(train, size, k) for k in range(order + 1))
        p, found = np.full(len(validation), 1 / size), []
        for k, table in enumerate(tables):
            tried = [_longer(p, table, d, validation, size, k) for d in DISCOUNTS]
            best = int(np.argmin([_bits(q) for q in tried]))
            p = tried[best]
            found.append(DISCOUNTS[best])
        return cls(size, tables, tuple(found))

    def probabilities(self, ids: Array) -> Array:
        """Of each character of a text, given those before it.

        Args:
            ids: integers (n,) from 0 to size - 1.

        Returns:
            (n,); the first characters have shorter contexts.

        Raises:
            TypeError, ValueError: as `fit`.
        """
        ids = check.ids("Markov.probabilities", "ids", ids, self.size, 0)
        p = np.full(len(ids), 1 / self.size)
        for k, (table, d) in enumerate(zip(self.tables, self.discounts, strict=True)):
            p = _longer(p, table, d, ids, self.size, k)
        return p

    def bits(self, ids: Array) -> float:
        """Bits per character of a text, all but the first, which has nothing before it.

        Args:
            ids: integers (n,) from 0 to size - 1, two or more.

        Returns:
            The mean of -log2 p.

        Raises:
            TypeError, ValueError: as `fit`.
        """
        return _bits(self.probabilities(check.ids("Markov.bits", "ids", ids, self.size, 2)))


def _bits(p: Array) -> float:
    return float(-np.log2(p[1:]).mean())


def _numbers(ids: Array, size: int, length: int) -> Array:
    """Each run of `length` characters as one number, in the order of their starts."""
    found = np.zeros(max(len(ids) - length + 1, 0), np.int64)  # whatever integers the text has
    for k in range(length):
        found = found * size + ids[k : k + len(found)]
    return found


def _count(ids: Array, size: int, k: int) -> Counts:
    grams, counts = np.unique(_numbers(ids, size, k + 1), return_counts=True)
    contexts, start = np.unique(grams // size, return_index=True)
    types = np.diff(start, append=len(grams))
    return Counts(contexts, np.add.reduceat(counts, start), types, grams, counts)


def _longer(p: Array, table: Counts, d: float, ids: Array, size: int, k: int) -> Array:
    """p_k of each character from p_{k-1}; the first k have no such context and keep theirs."""
    grams = _numbers(ids, size, k + 1)
    at, seen = _places(table.contexts, grams // size)
    gram, known = _places(table.grams, grams)
    kept = np.where(known, table.counts[gram] - d, 0)  # no count is below 1, no d above
    shorter = p[k:]
    longer = (kept + d * table.types[at] * shorter) / table.totals[at]
    return np.concatenate([p[:k], np.where(seen, longer, shorter)])


def _places(known: Array, wanted: Array) -> tuple[Array, Array]:
    """Where each number stands among the sorted ones, and whether it does."""
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return at, known[at] == wanted
