"""Minibatch standard deviation: how much the samples of a group differ, as further channels.

    x in groups of G: sample g N / G + n of the batch is the g-th of group n, and its C channels
    are F parts of c;  M = c H W entries of a part, all means over g are over the samples of a group

forward    t = x - mean_g x     s = sqrt(mean_g t^2 + eps)     m = sum s / M     y = (x, m)
backward   ds = dm / M          dt = ds t / (G s)              dx = dt + dy_x
tangent    jt = v - mean_g v    js = mean_g(t jt) / s          jm = sum js / M
           djs = djm / M        ds = dm / M - djs js / s       p = mean_g(t jt)
           dt = (ds t + djs jt) / (G s)                        djt = djs t / (G s)
           dx = dt + dy_x                                      dv = djt + djv_x
mean_g     of t and jt is 0, so that of dt and djt is, which the mean of x would take off
shapes     x (N, C, H, W)   t (G, N / G, F, c, H, W)   s (N / G, F, c, H, W)   m (N / G, F), the
           same for the samples of a group and for all pixels   y (N, C + F, H, W)
torch      has none
Source     Karras et al. 2018, arXiv:1710.10196, section 3; in groups: Karras et al. 2020,
           arXiv:1912.04958
"""

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.module import Module
from scratch.nn.op import Backward, op

EPS = 1e-8


@op
def minibatch_std(
    input: Array, group_size: int | None = 4, num_channels: int = 1
) -> tuple[Array, Backward]:
    """Append the mean standard deviation over a group.

    Args:
        input: x (N, C, H, W).
        group_size: G, or N where that is less, and divides N; None for N.
        num_channels: F, which divides C.

    Returns:
        y (N, C + F, H, W), and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or an option not an integer.
        ValueError: if a number does not divide what it should.

    Source: Karras et al. 2018, arXiv:1710.10196, section 3.
    """
    x = check.floating("minibatch_std", "input", input)
    parts = _groups("minibatch_std", x, group_size, num_channels)
    t, s = _spread(parts)
    each = s[0, 0].size

    def backward(dy: Array) -> Array:
        ds = _entries(_of_groups(dy[:, x.shape[1] :], parts) / each)
        dt = ds * t / (len(t) * s)
        dx: Array = dy[:, : x.shape[1]] + dt.reshape(x.shape)
        return dx

    return _appended(x, s.sum((2, 3, 4)) / each, len(t)), backward


class MinibatchStd(Module):
    """`minibatch_std` as a layer.

    Args:
        group_size: G; None for the whole batch.
        num_channels: F.

    Shape:
        (N, C, H, W) to (N, C + F, H, W).

    Raises:
        TypeError, ValueError: if a number is not a positive integer.

    Source: Karras et al. 2018, arXiv:1710.10196, section 3.
    """

    def __init__(self, group_size: int | None = 4, num_channels: int = 1) -> None:
        if group_size is not None:
            check.size("MinibatchStd", "group_size", group_size, low=1)
        self.group_size = group_size
        self.num_channels = check.size("MinibatchStd", "num_channels", num_channels, low=1)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = (x, m)."""
        return minibatch_std(input, self.group_size, self.num_channels)

    def tangent(self, x: Array, v: Array) -> tuple[tuple[Array, Array], Backward]:
        """y and its derivative along v.

        Args:
            x: (N, C, H, W).
            v: directions, of x's shape.

        Returns:
            Both (N, C + F, H, W), and their backward: dy, djv -> dx, dv.
        """
        parts = _groups("MinibatchStd", x, self.group_size, self.num_channels)
        t, s = _spread(parts)
        jt = v.reshape(t.shape)
        jt = jt - jt.mean(0)
        js = (t * jt).mean(0) / s
        c, each = x.shape[1], s[0, 0].size

        def backward(dy: Array, djv: Array) -> tuple[Array, Array]:
            djs = _entries(_of_groups(djv[:, c:], parts) / each)
            ds = _entries(_of_groups(dy[:, c:], parts) / each) - djs * js / s
            dt = (ds * t + djs * jt) / (len(t) * s)
            djt = djs * t / (len(t) * s)
            dx = dy[:, :c] + dt.reshape(x.shape)
            return dx, djv[:, :c] + djt.reshape(x.shape)

        m, jm = (a.sum((2, 3, 4)) / each for a in (s, js))
        return (_appended(x, m, len(t)), _appended(v, jm, len(t))), backward

    def extra_repr(self) -> str:
        """The arguments."""
        return f"group_size={self.group_size}, num_channels={self.num_channels}"


def _groups(function: str, x: Array, group_size: int | None, num_channels: int) -> Array:
    """x as (G, N / G, F, c, H, W)."""
    check.shape(function, "input", x, ("N", "C", "H", "W"))
    f = check.size(function, "num_channels", num_channels, low=1)
    n, c, h, w = x.shape
    if 0 in x.shape:
        check.refuse(function, "input without an empty axis", x.shape)
    g = n if group_size is None else min(check.size(function, "group_size", group_size, low=1), n)
    if n % g or c % f:
        check.refuse(function, f"a batch divisible by {g} and channels by {f}", x.shape)
    return x.reshape(g, n // g, f, c // f, h, w)


def _spread(parts: Array) -> tuple[Array, Array]:
    """t and s."""
    t = parts - parts.mean(0)
    return t, np.sqrt(np.square(t).mean(0) + EPS)


def _appended(x: Array, m: Array, g: int) -> Array:
    """x with m (N / G, F) as channels of every pixel."""
    n, _, h, w = x.shape
    channels = np.broadcast_to(np.tile(m, (g, 1))[:, :, None, None], (n, m.shape[1], h, w))
    return np.concatenate([x, channels], axis=1)


def _of_groups(dchannels: Array, parts: Array) -> Array:
    """dm (N / G, F): all samples of a group and all pixels have m."""
    g, n, f = parts.shape[:3]
    total: Array = dchannels.reshape(g, n, f, -1).sum((0, 3))
    return total


def _entries(d: Array) -> Array:
    """(N / G, F) beside the entries of a part."""
    return d[:, :, None, None, None]
