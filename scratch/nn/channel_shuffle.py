"""Channel shuffle: mix the channels of several groups.          Zhang et al. 2017, arXiv:1707.01083

forward    y[n, i g + k] = x[n, k m + i]      channel i of group k; g groups of m = C / g channels
backward   the same with m groups, which is the inverse: dx[n, k m + i] = dy[n, i g + k]
shapes     x, y (N, C, ...)
torch      The channels are axis 1, always: an image without a batch, (C, H, W), would have its
           rows shuffled.
"""

from scratch import check
from scratch.check import Array
from scratch.nn.module import Module
from scratch.nn.op import Backward, op


def _shuffle(x: Array, g: int, m: int) -> Array:
    """From g groups of m channels to m groups of g."""
    n, c, *size = x.shape
    return x.reshape(n, g, m, *size).swapaxes(1, 2).reshape(n, c, *size)


@op
def channel_shuffle(input: Array, groups: int) -> tuple[Array, Backward]:
    """Put the first channels of all groups first, then the second ones, and so on.

    Args:
        input: x (N, C, ...) with at least one axis behind the channels.
        groups: g, which divides C.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or g not an integer.
        ValueError: if g does not divide C or the input has less than three axes.

    Source: Zhang et al. 2017, section 3.1.
    """
    x = check.floating("channel_shuffle", "input", input)
    g = check.size("channel_shuffle", "groups", groups, low=1)
    if x.ndim < 3 or x.shape[1] % g:
        check.refuse("channel_shuffle", f"input of shape (N, {g} C, L, ...)", x.shape)
    m = x.shape[1] // g
    return _shuffle(x, g, m), lambda dy: _shuffle(dy, m, g)


class ChannelShuffle(Module):
    """`channel_shuffle` as a module.

    Args:
        groups: number of groups, which divides the number of channels.
    """

    def __init__(self, groups: int) -> None:
        self.groups = check.size("ChannelShuffle", "groups", groups, low=1)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """x with its channels mixed."""
        return channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        """The number of groups."""
        return f"groups={self.groups}"
