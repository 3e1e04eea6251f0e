"""Dropout: set a random share of the activations to zero.

dropout          y = x m / (1 - p)     dx = dy m / (1 - p)     m = 1 with probability 1 - p, else 0
alpha_dropout    y = a (x m - alpha (1 - m)) + b   dx = dy a m   alpha = 1.7580993408473766
                 a = ((1 - p) (1 + p alpha^2))^(-1/2)            b = a alpha p
feature forms    one m for each channel of each sample: whole feature maps go
shapes           x, y any   m as x, or (N, C, 1, ...) in the feature forms
torch            inverted: the scaling is done in training and evaluation does nothing; p is the
                 share that is dropped. (The paper keeps with probability p, scales when testing.)
                 F.dropout drops unless training=False, F.alpha_dropout only if training=True.
                 The same seed gives the same masks, but they are drawn in index order, torch's in
                 memory order, which is another one for a transposed input.
Sources          Srivastava et al. 2014, JMLR 15(56)            alpha: Klambauer et al. 2017,
                 feature forms: Tompson et al. 2015, arXiv:1411.4280            arXiv:1706.02515
"""

import math
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.module import Module
from scratch.nn.op import Backward, op
from scratch.random import Generator, check_generator

ALPHA = 1.7580993408473766  # minus the limit of SELU at -infinity, which dropped units take


@op
def dropout(
    input: Array,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
    mask: Array | None = None,
) -> tuple[Array, Backward]:
    """y = x m / (1 - p), every element kept or dropped by itself.

    Args:
        input: x of any shape.
        p: probability of dropping, in [0, 1].
        training: whether to drop at all; beware, True by default.
        inplace: kept from torch's signature; the result is a new array.
        generator: where the mask comes from; None draws a fresh one.
        mask: m of x's shape, bool or of its dtype, in place of a draw (of which p = 0 and p = 1
            have none).

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or `generator` not a Generator.
        ValueError: if p is out of range or the mask's shape is not that of the draw.

    Source: Srivastava et al. 2014, section 4.
    """
    x = check.floating("dropout", "input", input)
    return _scaled("dropout", x, x.shape, p, training, generator, mask)


@op
def dropout1d(
    input: Array,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
    mask: Array | None = None,
) -> tuple[Array, Backward]:
    """`dropout` of whole channels.

    Args:
        input: x (N, C, L) or (C, L).
        p: probability of dropping a channel, in [0, 1].
        training: whether to drop at all.
        inplace: kept from torch's signature; the result is a new array.
        generator: where the mask comes from; None draws a fresh one.
        mask: m (N, C, 1) or (C, 1), in place of a draw.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or `generator` not a Generator.
        ValueError: if a shape does not fit or p is out of range.

    Source: Tompson et al. 2015, section 3.2.
    """
    x = check.floating("dropout1d", "input", input)
    if x.ndim not in (2, 3):
        check.refuse("dropout1d", "input of shape (N, C, L) or (C, L)", x.shape)
    return _scaled("dropout1d", x, (*x.shape[:-1], 1), p, training, generator, mask)


@op
def dropout2d(
    input: Array,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
    mask: Array | None = None,
) -> tuple[Array, Backward]:
    """`dropout` of whole channels; a 3-d input is (N, C, L), as in torch, not (C, H, W).

    Args:
        input: x (N, C, H, W) or (N, C, L).
        p: probability of dropping a channel, in [0, 1].
        training: whether to drop at all.
        inplace: kept from torch's signature; the result is a new array.
        generator: where the mask comes from; None draws a fresh one.
        mask: m (N, C, 1, 1) or (N, C, 1), in place of a draw.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or `generator` not a Generator.
        ValueError: if a shape does not fit or p is out of range.

    Source: Tompson et al. 2015, section 3.2.
    """
    x = check.floating("dropout2d", "input", input)
    if x.ndim not in (3, 4):
        check.refuse("dropout2d", "input of shape (N, C, H, W) or (N, C, L)", x.shape)
    drawn = (*x.shape[:2], *(1,) * (x.ndim - 2))
    return _scaled("dropout2d", x, drawn, p, training, generator, mask)


@op
def dropout3d(
    input: Array,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
    mask: Array | None = None,
) -> tuple[Array, Backward]:
    """`dropout` of whole channels.

    Args:
        input: x (N, C, D, H, W) or (C, D, H, W).
        p: probability of dropping a channel, in [0, 1].
        training: whether to drop at all.
        inplace: kept from torch's signature; the result is a new array.
        generator: where the mask comes from; None draws a fresh one.
        mask: m (N, C, 1, 1, 1) or (C, 1, 1, 1), in place of a draw.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or `generator` not a Generator.
        ValueError: if a shape does not fit or p is out of range.

    Source: Tompson et al. 2015, section 3.2.
    """
    x = check.floating("dropout3d", "input", input)
    if x.ndim not in (4, 5):
        check.refuse("dropout3d", "input of shape (N, C, D, H, W) or (C, D, H, W)", x.shape)
    drawn = (*x.shape[:-3], 1, 1, 1)
    return _scaled("dropout3d", x, drawn, p, training, generator, mask)


@op
def alpha_dropout(
    input: Array,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
    mask: Array | None = None,
) -> tuple[Array, Backward]:
    """y = a (x m - alpha (1 - m)) + b: mean 0 and variance 1 stay, as behind SELU.

    Args:
        input: x of any shape.
        p: probability of dropping, in [0, 1].
        training: whether to drop at all.
        inplace: kept from torch's signature; the result is a new array.
        generator: where the mask comes from; None draws a fresh one.
        mask: m of x's shape, bool or of its dtype, in place of a draw.

    Returns:
        y of x's shape, and its backward: dy -> dx. At p = 1 both are zero, as in torch.

    Raises:
        TypeError: if `input` is not floating or `generator` not a Generator.
        ValueError: if p is out of range or the mask's shape is not that of the draw.

    Source: Klambauer et al. 2017, arXiv:1706.02515, "Dropout Regularization for SNNs".
    """
    x = check.floating("alpha_dropout", "input", input)
    return _saturated("alpha_dropout", x, x.shape, p, training, generator, mask)


@op
def feature_alpha_dropout(
    input: Array,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
    mask: Array | None = None,
) -> tuple[Array, Backward]:
    """`alpha_dropout` of whole channels.

    Args:
        input: x (N, C, ...); any shape where nothing is drawn.
        p: probability of dropping a channel, in [0, 1].
        training: whether to drop at all.
        inplace: kept from torch's signature; the result is a new array.
        generator: where the mask comes from; None draws a fresh one.
        mask: m (N, C, 1, ...), in place of a draw.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or `generator` not a Generator.
        ValueError: if a shape does not fit or p is out of range.

    Source: Klambauer et al. 2017, arXiv:1706.02515; Tompson et al. 2015.
    """
    x = check.floating("feature_alpha_dropout", "input", input)
    if training and x.ndim < 2:
        check.refuse("feature_alpha_dropout", "input of shape (N, C, ...)", x.shape)
    drawn = (*x.shape[:2], *(1,) * (x.ndim - 2))
    return _saturated("feature_alpha_dropout", x, drawn, p, training, generator, mask)


def _scaled(
    function: str,
    x: Array,
    drawn: tuple[int, ...],
    p: float,
    training: bool,
    generator: Generator | None,
    mask: Array | None,
) -> tuple[Array, Backward]:
    """y = x m / (1 - p) with m of shape `drawn`."""
    p, keep = _draw(function, x, drawn, p, training, generator, mask)
    if keep is None:
        return _undrawn(x, p, training)
    noise = keep / (1 - p)
    return _times(x, noise), lambda dy: _times(dy, noise)


def _saturated(
    function: str,
    x: Array,
    drawn: tuple[int, ...],
    p: float,
    training: bool,
    generator: Generator | None,
    mask: Array | None,
) -> tuple[Array, Backward]:
    """y = a (x m - alpha (1 - m)) + b with m of shape `drawn`."""
    p, keep = _draw(function, x, drawn, p, training, generator, mask)
    if keep is None:
        return _undrawn(x, p, training)
    a = 1 / math.sqrt((ALPHA**2 * p + 1) * (1 - p))
    noise = keep * a
    shift = (keep - 1) * (ALPHA * a) + ALPHA * a * p
    return _times(x, noise) + shift, lambda dy: _times(dy, noise)


def _times(x: Array, noise: Array) -> Array:
    # An infinity that is dropped is NaN, as in torch, which does not warn.
    with np.errstate(invalid="ignore", over="ignore"):
        return x * noise


def _undrawn(x: Array, p: float, training: bool) -> tuple[Array, Backward]:
    """The input itself, or all zeros at p = 1."""
    if training and p == 1:
        return _times(x, np.zeros_like(x)), lambda dy: _times(dy, np.zeros_like(dy))
    return x, lambda dy: dy


def _draw(
    function: str,
    x: Array,
    drawn: tuple[int, ...],
    p: float,
    training: bool,
    generator: Generator | None,
    mask: Array | None,
) -> tuple[float, Array | None]:
    """p, and the keep mask in x's dtype, or None where torch draws nothing."""
    p = check.number(function, "p", p, 0, 1)
    check.option(function, "training", training, (True, False))
    check_generator(function, generator)
    if mask is not None:
        mask = _mask(function, mask, x, drawn)
    if not training or p in (0, 1) or x.size == 0:
        return p, None
    if mask is None:
        mask = (generator or Generator()).bernoulli(1 - p, drawn, x.dtype)
    return p, mask


def _mask(function: str, mask: object, x: Array, drawn: tuple[int, ...]) -> Array:
    if not isinstance(mask, np.ndarray | np.generic) or mask.dtype not in (bool, x.dtype):
        expected = f"mask to be a bool or {x.dtype} array"
        check.refuse(function, expected, check.describe(mask), TypeError)
    keep = np.asarray(mask, x.dtype)
    check.shape(function, "mask", keep, drawn)
    return keep


class _Dropout(Module):
    """What the six modules share: p, the generator, and nothing to do in evaluation mode."""

    _function: ClassVar[Callable[..., tuple[Array, Backward]]]

    def __init__(
        self, p: float = 0.5, inplace: bool = False, *, generator: Generator | None = None
    ) -> None:
        name = type(self).__name__
        check.number(name, "p", p, 0, 1)
        check.option(name, "inplace", inplace, (True, False))
        check_generator(name, generator)
        self.p = p
        self.inplace = inplace
        self.generator = generator or Generator()

    def forward(self, input: Array, *, mask: Array | None = None) -> tuple[Array, Backward]:
        """Drop in training mode; `mask` replaces the draw."""
        drop = type(self)._function
        return drop(input, self.p, self.training, generator=self.generator, mask=mask)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """`dropout` in training mode, the identity in evaluation mode.

    Args:
        p: probability of dropping, in [0, 1].
        inplace: kept from torch's signature; the result is a new array.
        generator: where the masks come from, call after call; None takes a fresh one.

    Shape:
        any to the same.
    """

    _function = staticmethod(dropout)


class Dropout1d(_Dropout):
    """`dropout1d` in training mode, the identity in evaluation mode.

    Args:
        p: probability of dropping a channel, in [0, 1].
        inplace: kept from torch's signature; the result is a new array.
        generator: where the masks come from, call after call; None takes a fresh one.

    Shape:
        (N, C, L) or (C, L) to the same.
    """

    _function = staticmethod(dropout1d)


class Dropout2d(_Dropout):
    """`dropout2d` in training mode, the identity in evaluation mode.

    Args:
        p: probability of dropping a channel, in [0, 1].
        inplace: kept from torch's signature; the result is a new array.
        generator: where the masks come from, call after call; None takes a fresh one.

    Shape:
        (N, C, H, W) or (N, C, L) to the same.
    """

    _function = staticmethod(dropout2d)


class Dropout3d(_Dropout):
    """`dropout3d` in training mode, the identity in evaluation mode.

    Args:
        p: probability of dropping a channel, in [0, 1].
        inplace: kept from torch's signature; the result is a new array.
        generator: where the masks come from, call after call; None takes a fresh one.

    Shape:
        (N, C, D, H, W) or (C, D, H, W) to the same.
    """

    _function = staticmethod(dropout3d)


class AlphaDropout(_Dropout):
    """`alpha_dropout` in training mode, the identity in evaluation mode.

    Args:
        p: probability of dropping, in [0, 1].
        inplace: kept from torch's signature; the result is a new array.
        generator: where the masks come from, call after call; None takes a fresh one.

    Shape:
        any to the same.
    """

    _function = staticmethod(alpha_dropout)


class FeatureAlphaDropout(_Dropout):
    """`feature_alpha_dropout` in training mode, the identity in evaluation mode.

    Args:
        p: probability of dropping a channel, in [0, 1].
        inplace: kept from torch's signature; the result is a new array.
        generator: where the masks come from, call after call; None takes a fresh one.

    Shape:
        (N, C, ...) to the same.
    """

    _function = staticmethod(feature_alpha_dropout)
