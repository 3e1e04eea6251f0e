"""Sequences of different lengths in one batch: padded, packed, or a list.

padded     (T, B, ...), or (B, T, ...) with batch_first: what is beyond a sequence's end is filler
packed     (N, ...), N = sum of the lengths: step after step, and in a step the sequences that still
           run, longest first, so that those of a step are the first of the step before
           batch_sizes[t] = number of sequences longer than t
example    abc and x: data a x b c, batch_sizes 2 1 1
backward   each function only moves values: its backward moves them back, and padding gets 0. The
           gradient of a PackedSequence is that of its `data`, an array.
torch      `unpad_sequence` there transposes its input in place unless batch_first
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.op import Backward, op


@dataclass(frozen=True, eq=False)
class PackedSequence:
    """Sequences of different lengths, without padding.

    Attributes:
        data: (N, ...), N = sum of `batch_sizes`.
        batch_sizes: (T,), positive and falling: how many sequences are longer than t.
        sorted_indices: (B,), which sequence of the batch is the longest, the second, ...; None
            where they came in that order.
        unsorted_indices: the inverse; computed where it is left out.
    """

    data: Array
    batch_sizes: Array
    sorted_indices: Array | None = None
    unsorted_indices: Array | None = None

    def __post_init__(self) -> None:
        name = type(self).__name__
        if not isinstance(self.data, np.ndarray) or self.data.ndim == 0:
            expected = "data to be an array of at least one axis"
            check.refuse(name, expected, check.describe(self.data), TypeError)
        sizes = check.integer(name, "batch_sizes", self.batch_sizes, 1, len(self.data) + 1)
        if sizes.ndim != 1 or not sizes.size or (sizes[1:] > sizes[:-1]).any():
            check.refuse(name, "batch_sizes to be one falling row", sizes.tolist())
        if sizes.sum() != len(self.data):
            check.refuse(name, f"data of {sizes.sum()} rows, as batch_sizes add up", len(self.data))
        if self.sorted_indices is not None:
            order = check.integer(name, "sorted_indices", self.sorted_indices, 0, int(sizes[0]))
            if not np.array_equal(np.sort(order, axis=None), np.arange(sizes[0])):
                check.refuse(name, f"sorted_indices to order {sizes[0]} sequences", order.tolist())
        if self.unsorted_indices is None:
            object.__setattr__(self, "unsorted_indices", invert_permutation(self.sorted_indices))


def invert_permutation(permutation: Array | None) -> Array | None:
    """The order that undoes an order.

    Args:
        permutation: (B,) with each of 0 ... B - 1 once, or None.

    Returns:
        (B,), or None.
    """
    if permutation is None:
        return None
    inverse = np.empty_like(permutation)
    inverse[permutation] = np.arange(len(permutation), dtype=permutation.dtype)
    return inverse


def _lengths(function: str, lengths: object, batch: int, longest: int) -> Array:
    """Positive lengths, one for each sequence."""
    array = np.asarray(lengths) if isinstance(lengths, list | tuple) else lengths
    array = check.integer(function, "lengths", array, 1, longest + 1)
    check.shape(function, "lengths", array, (batch,))
    return array.astype(np.int64)


def _padded(function: str, input: object, batch_first: bool) -> Array:
    if not isinstance(input, np.ndarray) or input.ndim < 2:
        expected = "input to be an array of shape " + (
            "(B, T, ...)" if batch_first else "(T, B, ...)"
        )
        check.refuse(function, expected, check.describe(input), TypeError)
    check.option(function, "batch_first", batch_first, (True, False))
    return input.swapaxes(0, 1) if batch_first else input


def _places(batch_sizes: Array) -> tuple[Array, Array]:
    """Step and sequence of each row of packed data."""
    steps = np.repeat(np.arange(len(batch_sizes)), batch_sizes)
    starts = np.cumsum(batch_sizes) - batch_sizes
    return steps, np.arange(len(steps)) - starts[steps]


def pack_padded_sequence(
    input: Array,
    lengths: Array | Sequence[int],
    batch_first: bool = False,
    enforce_sorted: bool = True,
) -> tuple[PackedSequence, Backward]:
    """Leave the padding out.

    Args:
        input: (T, B, ...), or (B, T, ...) with `batch_first`.
        lengths: (B,), each in [1, T].
        batch_first: which axis comes first.
        enforce_sorted: whether the lengths must fall already; False sorts.

    Returns:
        A PackedSequence, and its backward: ddata -> dinput.

    Raises:
        TypeError: if an argument is no array, or the lengths are not integer.
        ValueError: if a length does not fit, or they do not fall and `enforce_sorted`.
    """
    name = "pack_padded_sequence"
    check.option(name, "enforce_sorted", enforce_sorted, (True, False))
    padded = _padded(name, input, batch_first)
    lengths = _lengths(name, lengths, padded.shape[1], len(padded))
    if not lengths.size:
        check.refuse(name, "at least one sequence", padded.shape)
    order = None
    if not enforce_sorted:
        order = np.argsort(-lengths, kind="stable")
        lengths = lengths[order]
    elif (lengths[1:] > lengths[:-1]).any():
        expected = "lengths that fall, or enforce_sorted=False"
        check.refuse(name, expected, lengths.tolist())
    batch_sizes = (lengths > np.arange(lengths[0])[:, None]).sum(1)
    steps, places = _places(batch_sizes)
    places = places if order is None else order[places]

    @op
    def pack_padded_sequence(input: Array) -> tuple[Array, Backward]:
        def backward(ddata: Array) -> Array:
            dpadded = np.zeros(padded.shape, ddata.dtype)
            dpadded[steps, places] = ddata
            return dpadded.swapaxes(0, 1) if batch_first else dpadded

        return padded[steps, places], backward

    data, backward = pack_padded_sequence(input)
    return PackedSequence(data, batch_sizes, order), backward


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[tuple[Array, Array], Backward]:
    """Put the padding back, and the sequences in their first order.

    Args:
        sequence: B sequences, the longest of length T.
        batch_first: which axis comes first.
        padding_value: what stands beyond an end.
        total_length: T of the result, where it should be larger.

    Returns:
        (T, B, ...), or (B, T, ...) with `batch_first`, the lengths (B,), and the backward:
        dpadded, None -> ddata.

    Raises:
        TypeError: if `sequence` is not a PackedSequence.
        ValueError: if `total_length` is too short.
    """
    name = "pad_packed_sequence"
    _check_packed(name, sequence)
    check.option(name, "batch_first", batch_first, (True, False))
    value = check.number(name, "padding_value", padding_value)
    data, sizes, order = sequence.data, sequence.batch_sizes, sequence.sorted_indices
    longest = len(sizes)
    if total_length is not None:
        longest = check.size(name, "total_length", total_length, low=len(sizes))
    steps, places = _places(sizes)
    lengths = np.bincount(places)
    if order is not None:
        lengths[order] = lengths.copy()
        places = order[places]

    @op
    def pad_packed_sequence(data: Array) -> tuple[tuple[Array, Array], Backward]:
        padded = np.full((longest, len(lengths), *data.shape[1:]), value, data.dtype)
        padded[steps, places] = data

        def backward(dpadded: Array | None, dlengths: None = None) -> Array:
            if dpadded is None:
                return np.zeros(data.shape, data.dtype)
            return (dpadded.swapaxes(0, 1) if batch_first else dpadded)[steps, places]

        return (padded.swapaxes(0, 1) if batch_first else padded, lengths), backward

    return pad_packed_sequence(data)


def _check_packed(function: str, sequence: object) -> None:
    if not isinstance(sequence, PackedSequence):
        check.refuse(function, "a PackedSequence", check.describe(sequence), TypeError)


def _check_list(function: str, sequences: object) -> list[Array]:
    """Arrays (L, ...) of one dtype that differ in L only."""
    if not isinstance(sequences, list | tuple) or not sequences:
        expected = "sequences to be a list of at least one array"
        check.refuse(function, expected, check.describe(sequences), TypeError)
    for array in sequences:
        if not isinstance(array, np.ndarray) or array.ndim == 0:
            check.refuse(function, "arrays of shape (L, ...)", check.describe(array), TypeError)
        if array.shape[1:] != sequences[0].shape[1:] or array.dtype != sequences[0].dtype:
            expected = f"every array like the first, {check.describe(sequences[0])}, but for L"
            check.refuse(function, expected, check.describe(array))
    return list(sequences)


def pad_sequence(
    sequences: Sequence[Array],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> tuple[Array, Backward]:
    """Stack arrays of different lengths.

    Args:
        sequences: B arrays (L, ...).
        batch_first: which axis of the result comes first.
        padding_value: what fills up.
        padding_side: 'right' or 'left' of the sequence.

    Returns:
        (T, B, ...), or (B, T, ...) with `batch_first`, and its backward: dpadded -> a tuple of
        gradients, one for each array.

    Raises:
        TypeError: if they are not arrays.
        ValueError: if their shapes differ in more than L.
    """
    name = "pad_sequence"
    arrays = _check_list(name, sequences)
    check.option(name, "batch_first", batch_first, (True, False))
    check.option(name, "padding_side", padding_side, ("right", "left"))
    value = check.number(name, "padding_value", padding_value)
    longest = max(map(len, arrays))
    spans = [
        slice(0, len(a)) if padding_side == "right" else slice(longest - len(a), longest)
        for a in arrays
    ]

    @op
    def pad_sequence(*arrays: Array) -> tuple[Array, Backward]:
        padded = np.full((len(arrays), longest, *arrays[0].shape[1:]), value, arrays[0].dtype)
        for row, span, array in zip(padded, spans, arrays, strict=True):
            row[span] = array

        def backward(dpadded: Array) -> tuple[Array, ...]:
            rows = dpadded if batch_first else dpadded.swapaxes(0, 1)
            return tuple(row[span] for row, span in zip(rows, spans, strict=True))

        return padded if batch_first else padded.swapaxes(0, 1), backward

    return pad_sequence(*arrays)


def unpad_sequence(
    padded_sequences: Array, lengths: Array | Sequence[int], batch_first: bool = False
) -> tuple[tuple[Array, ...], Backward]:
    """Cut a padded batch into its sequences.

    Args:
        padded_sequences: (T, B, ...), or (B, T, ...) with `batch_first`.
        lengths: (B,), each in [1, T].
        batch_first: which axis comes first.

    Returns:
        B arrays (L, ...), and their backward: one gradient for each -> dpadded.

    Raises:
        TypeError: if an argument is no array.
        ValueError: if a length does not fit.
    """
    padded = _padded("unpad_sequence", padded_sequences, batch_first)
    lengths = _lengths("unpad_sequence", lengths, padded.shape[1], len(padded))

    @op
    def unpad_sequence(padded: Array) -> tuple[tuple[Array, ...], Backward]:
        def backward(*dsequences: Array | None) -> Array:
            dpadded = np.zeros(padded.shape, padded.dtype)
            for b, dsequence in enumerate(dsequences):
                if dsequence is not None:
                    dpadded[: lengths[b], b] = dsequence
            return dpadded.swapaxes(0, 1) if batch_first else dpadded

        return tuple(padded[:n, b] for b, n in enumerate(lengths)), backward

    return unpad_sequence(padded)


def pack_sequence(
    sequences: Sequence[Array], enforce_sorted: bool = True
) -> tuple[PackedSequence, Backward]:
    """`pad_sequence`, then `pack_padded_sequence`.

    Args:
        sequences: B arrays (L, ...).
        enforce_sorted: whether the lengths must fall already; False sorts.

    Returns:
        A PackedSequence, and its backward: ddata -> a tuple of gradients, one for each array.

    Raises:
        TypeError: if they are not arrays.
        ValueError: if their shapes differ in more than L, or L does not fall and `enforce_sorted`.
    """
    lengths = list(map(len, _check_list("pack_sequence", sequences)))
    padded, pad_back = pad_sequence(sequences)
    packed, pack_back = pack_padded_sequence(padded, lengths, enforce_sorted=enforce_sorted)
    return packed, lambda ddata: pad_back(pack_back(ddata))


def unpack_sequence(packed_sequences: PackedSequence) -> tuple[tuple[Array, ...], Backward]:
    """`pad_packed_sequence`, then `unpad_sequence`.

    Args:
        packed_sequences: B sequences.

    Returns:
        B arrays (L, ...) in their first order, and their backward: one gradient for each -> ddata.

    Raises:
        TypeError: if it is not a PackedSequence.
    """
    _check_packed("unpack_sequence", packed_sequences)
    (padded, lengths), pad_back = pad_packed_sequence(packed_sequences)
    sequences, unpad_back = unpad_sequence(padded, lengths)
    return sequences, lambda *dsequences: pad_back(unpad_back(*dsequences), None)
