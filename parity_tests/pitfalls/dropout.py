"""Conventions of dropout: what p is, who scales and when, what it does unless told."""

from typing import Any

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn.op import Backward


def scale_when_testing(
    input: Array,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    mask: Array | None = None,
) -> tuple[Array, Backward]:
    y, back = F.dropout(input, p, training, mask=mask)
    factor = 1 - float(p)
    return y * factor, lambda dy: back(dy * factor)


def p_keeps(
    input: Array,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    mask: Array | None = None,
) -> tuple[Array, Backward]:
    return F.dropout(input, 1 - p, training, inplace, mask=mask)


def off_unless_told(
    input: Array, p: float = 0.5, training: bool = False, *args: Any, **kwargs: Any
) -> tuple[Array, Backward]:
    return F.dropout(input, p, training, *args, **kwargs)


def on_unless_told(
    input: Array, p: float = 0.5, training: bool = True, *args: Any, **kwargs: Any
) -> tuple[Array, Backward]:
    return F.alpha_dropout(input, p, training, *args, **kwargs)


def unscaled_gradient(
    input: Array,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    mask: Array | None = None,
) -> tuple[Array, Backward]:
    y, back = F.dropout(input, p, training, mask=mask)
    return y, lambda dy: back(dy) * (1.0 if p == 1 or not training else 1 - p)


def infinities_are_dropped(
    input: Array,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    mask: Array | None = None,
) -> tuple[Array, Backward]:
    y, back = F.dropout(input, p, training, mask=mask)
    if training and mask is not None and 0 < p < 1:
        y = np.where(mask.astype(bool), y, 0.0)
    return y, back


def one_sample_of_maps(
    input: Array, *args: Any, mask: Array | None = None, **kwargs: Any
) -> tuple[Array, Backward]:
    if input.ndim == 3 and mask is not None:
        mask = np.broadcast_to(mask[:, :1], mask.shape)
    return F.dropout2d(input, *args, mask=mask, **kwargs)


def alpha_drops_to_zero(
    input: Array,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    mask: Array | None = None,
) -> tuple[Array, Backward]:
    return F.dropout(input, p, training, inplace, mask=mask)


def alpha_unrescaled(
    input: Array,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    mask: Array | None = None,
) -> tuple[Array, Backward]:
    y, back = F.alpha_dropout(input, p, training, mask=mask)
    if not training or mask is None or p in (0, 1):
        return y, back
    keep = mask.astype(input.dtype)
    return np.where(keep == 1, input, -1.7580993408473766), lambda dy: dy * keep


PITFALLS = [
    Pitfall(
        "dropout scales when testing",
        entry="dropout",
        difference="torch: divides by 1 - p in training; the paper: multiplies when testing",
        mutant=scale_when_testing,
    ),
    Pitfall(
        "p is the share that stays",
        entry="dropout",
        difference="torch: p drops; the paper and TensorFlow 1: p keeps",
        mutant=p_keeps,
    ),
    Pitfall(
        "F.dropout is off unless told",
        entry="dropout",
        difference="torch: training=True by default, also after model.eval(); others: False",
        mutant=off_unless_told,
    ),
    Pitfall(
        "F.alpha_dropout is on unless told",
        entry="alpha_dropout",
        difference="torch: training=False by default, unlike F.dropout",
        mutant=on_unless_told,
    ),
    Pitfall(
        "dropout's gradient is not scaled",
        entry="dropout",
        difference="torch: dx = dy m / (1 - p); often forgotten: dx = dy m",
        mutant=unscaled_gradient,
    ),
    Pitfall(
        "dropped infinities are zero",
        entry="dropout",
        difference="torch multiplies, so a dropped infinity is NaN; selecting makes it 0",
        mutant=infinities_are_dropped,
    ),
    Pitfall(
        "dropout2d of three axes is one sample",
        entry="dropout2d",
        difference="torch: (N, C, L), one draw for each of N C; as in dropout3d: (C, H, W)",
        mutant=one_sample_of_maps,
    ),
    Pitfall(
        "alpha dropout drops to zero",
        entry="alpha_dropout",
        difference="torch: dropped units take SELU's lower limit; plain dropout: 0",
        mutant=alpha_drops_to_zero,
    ),
    Pitfall(
        "alpha dropout without a and b",
        entry="alpha_dropout",
        difference="torch: an affine map restores mean 0 and variance 1 after the dropping",
        mutant=alpha_unrescaled,
    ),
]
