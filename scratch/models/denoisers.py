"""Networks that tell the noise in x_t, given t.      Ho, Jain & Abbeel 2020, arXiv:2006.11239, B

time       w_i = 10000^(-i / (D / 2 - 1))     p = [sin t w_0, ..., cos t w_0, ...] (D)
           c = W_2 silu(W_1 p + b_1) + b_2
MLP        h = silu(U x + c)        h = silu(V_k h + c), k = 1 ... depth        y = W h
block      h = conv(silu(norm x)) + V silu(c)      y = conv(silu(norm h)) + x, or + conv1x1(x)
attention  y = x + conv1x1(attention of all pixels of norm x)
U-Net      down: blocks, and a convolution of stride 2 between two levels; in the middle block,
           attention if wanted, block; up: blocks, each with the output of its mirror image on the
           way down concatenated, and nearest upsampling and a convolution between two levels
backward   the layers', last to first. c goes into every block: its gradients add up, and then go
           through the embedding. Each concat's gradient is split, its second part waits for the
           way down
shapes     x, y (N, D) or (N, C, H, W)   t (N,)   c (N, E)
start      torch's, but 0 for what each block and the whole U-Net end in: it starts as identities
others     t counts from 0. Vaswani et al. alternate sines and cosines, with w_i = 10000^(-2 i / D);
           Dhariwal & Nichol have the cosines first. norm's eps is 1e-6, as in Ho et al.'s code,
           torch's default 1e-5. Theirs also concatenates what the strided convolutions give
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn import init
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.random import Generator

EPS = 1e-6


class TimeEmbedding(Module):
    """Sines and cosines of t, and two layers.

    Args:
        dim: D, even, at least 4.
        out_features: E, of both layers.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        integers (N,) to (N, out_features).

    Raises:
        TypeError, ValueError: if a size is none of these.

    Source: Ho, Jain & Abbeel 2020, arXiv:2006.11239, appendix B, and its code.
    """

    def __init__(
        self,
        dim: int,
        out_features: int,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        self.dim = check.size("TimeEmbedding", "dim", dim, low=4)
        if dim % 2:
            check.refuse("TimeEmbedding", "an even dim", dim)
        check.size("TimeEmbedding", "out_features", out_features, low=1)
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or Generator()}
        self.linear1 = nn.Linear(dim, out_features, **options)
        self.act = nn.SiLU()
        self.linear2 = nn.Linear(out_features, out_features, **options)

    def forward(self, t: Array) -> tuple[Array, Backward]:
        """c, and its backward, which has no input to give a gradient to."""
        t = check.integer("TimeEmbedding", "t", t, 0, 2**53)
        check.shape("TimeEmbedding", "t", t, ("N",))
        half = self.dim // 2
        turns = t[:, None] * np.array([10000.0 ** (-i / (half - 1)) for i in range(half)])
        p = np.concatenate([np.sin(turns), np.cos(turns)], axis=1)
        h, linear1_back = self.linear1(p.astype(self.linear1.weight.dtype))
        a, act_back = self.act(h)
        c, linear2_back = self.linear2(a)

        def backward(dc: Array) -> None:
            linear1_back(act_back(linear2_back(dc)), needs_input_grad=False)

        return c, backward


class DenoisingMLP(Module):
    """Linear layers that each are told the time: for points of the plane, and small vectors.

    Args:
        features: D, of x.
        width: of the hidden layers.
        depth: how many follow the first.
        time_dim: sines and cosines of t.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, features) and integers (N,) to (N, features).

    Raises:
        TypeError, ValueError: if a size is no positive integer; in a forward, if a shape is wrong.
    """

    _skips_input_grad = True

    def __init__(
        self,
        features: int,
        width: int = 128,
        depth: int = 2,
        time_dim: int = 32,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        self.features = check.size("DenoisingMLP", "features", features, low=1)
        check.size("DenoisingMLP", "width", width, low=1)
        check.size("DenoisingMLP", "depth", depth)
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or Generator()}
        self.time = TimeEmbedding(time_dim, width, **options)
        sizes = [features, *[width] * depth]
        self.layers = nn.ModuleList(nn.Linear(n, width, **options) for n in sizes)
        self.act = nn.SiLU()
        self.head = nn.Linear(width, features, **options)

    def forward(self, input: Array, t: Array) -> tuple[Array, Backward]:
        """e^, and its backward: de^ -> dx."""
        _check_rows("DenoisingMLP", input, t, (self.features,))
        h = input
        c, time_back = self.time(t)
        backs: list[tuple[Backward, Backward]] = []
        for layer in self.layers:
            a, layer_back = layer(h)
            h, act_back = self.act(a + c)
            backs.append((layer_back, act_back))
        y, head_back = self.head(h)

        def backward(dy: Array, needs_input_grad: bool = True) -> Array | None:
            dh = head_back(dy)
            dc = np.zeros_like(c)
            for k, (layer_back, act_back) in reversed(list(enumerate(backs))):
                da = act_back(dh)
                dc += da
                dh = layer_back(da, needs_input_grad=needs_input_grad or k > 0)
            time_back(dc)
            return dh  # type: ignore[no-any-return]

        return y, backward


class ResidualBlock(Module):
    """Two convolutions, and the time between them.

    Args:
        in_channels: of x.
        out_channels: of y.
        time_features: E, of c.
        groups: of the norms, a divisor of both numbers of channels.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, in_channels, H, W) and (N, time_features) to (N, out_channels, H, W).

    Raises:
        TypeError, ValueError: in a forward, if a shape is wrong.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        time_features: int,
        groups: int,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or Generator()}
        self.act = nn.SiLU()
        self.norm1 = nn.GroupNorm(groups, in_channels, EPS, dtype=dtype)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, **options)
        self.time = nn.Linear(time_features, out_channels, **options)
        self.norm2 = nn.GroupNorm(groups, out_channels, EPS, dtype=dtype)
        self.conv2 = zeroed(nn.Conv2d(out_channels, out_channels, 3, padding=1, **options))
        self.shortcut: Module = nn.Identity()
        if in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1, **options)

    def forward(self, input: Array, time: Array) -> tuple[Array, Backward]:
        """y, and its backward: dy -> dx, dc."""
        time = check.floating("ResidualBlock", "time", time)
        check.shape("ResidualBlock", "time", time, (len(input), self.time.in_features))
        n, norm1_back = self.norm1(input)
        a, act1_back = self.act(n)
        h, conv1_back = self.conv1(a)
        s, act_time_back = self.act(time)
        c, time_back = self.time(s)
        n, norm2_back = self.norm2(h + c[:, :, None, None])
        a, act2_back = self.act(n)
        h, conv2_back = self.conv2(a)
        x, shortcut_back = self.shortcut(input)

        def backward(dy: Array) -> tuple[Array, Array]:
            dh = norm2_back(act2_back(conv2_back(dy)))
            dtime = act_time_back(time_back(dh.sum((2, 3))))
            dx = norm1_back(act1_back(conv1_back(dh)))
            return dx + shortcut_back(dy), dtime

        return h + x, backward


class PixelAttention(Module):
    """Each pixel sees all the others.

    Args:
        channels: of x, a multiple of `heads`.
        heads: of the attention.
        groups: of the norm.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, channels, H, W) to the same.

    Raises:
        TypeError, ValueError: if the heads do not divide the channels; in a forward, if the shape
            is wrong.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        groups: int,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or Generator()}
        self.heads = check.size("PixelAttention", "heads", heads, low=1)
        if channels % heads:
            check.refuse("PixelAttention", f"heads that divide {channels} channels", heads)
        self.norm = nn.GroupNorm(groups, channels, EPS, dtype=dtype)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, **options)
        self.out = zeroed(nn.Conv2d(channels, channels, 1, **options))

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y, and its backward: dy -> dx."""
        x = check.floating("PixelAttention", "input", input)
        check.shape("PixelAttention", "input", x, ("N", self.norm.num_channels, "H", "W"))
        rows, channels, height, width = x.shape
        n, norm_back = self.norm(input)
        z, qkv_back = self.qkv(n)
        parts = z.reshape(rows, 3, self.heads, channels // self.heads, height * width)
        q, k, v = parts.swapaxes(3, 4).swapaxes(0, 1)  # each (N, heads, H W, E)
        a, attention_back = F.scaled_dot_product_attention(q, k, v)
        y, out_back = self.out(a.swapaxes(2, 3).reshape(input.shape))

        def backward(dy: Array) -> Array:
            da = out_back(dy).reshape(rows, self.heads, -1, height * width).swapaxes(2, 3)
            dparts = np.stack(attention_back(da), axis=1).swapaxes(3, 4)
            dx: Array = norm_back(qkv_back(dparts.reshape(rows, -1, height, width)))
            return dy + dx

        return input + y, backward


class DenoisingUNet(Module):
    """Residual blocks down to fewer pixels and up again, all told the time.

    Args:
        channels: of an image.
        width: channels of the first level.
        multipliers: of `width`, one a level; the size is halved between two levels.
        blocks: of each level, on either way.
        groups: of the norms, a divisor of the channels of each level.
        heads: of the attention in the middle; 0 for none.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, channels, H, W) and integers (N,) to (N, channels, H, W); H and W multiples of
        2^(levels - 1).

    Raises:
        TypeError, ValueError: if a size is no positive integer, or does not divide what it has to;
            in a forward, if a shape is wrong.

    Source: Ho, Jain & Abbeel 2020, arXiv:2006.11239, appendix B.
    """

    _skips_input_grad = True

    def __init__(
        self,
        channels: int = 1,
        width: int = 32,
        multipliers: Sequence[int] = (1, 2),
        blocks: int = 1,
        groups: int = 8,
        heads: int = 0,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = "DenoisingUNet"
        self.channels = check.size(name, "channels", channels, low=1)
        check.size(name, "width", width, low=4)
        if not isinstance(multipliers, Sequence) or not len(multipliers):
            check.refuse(name, "one or more multipliers", check.describe(multipliers))
        widths = [width * check.size(name, "every multiplier", m, low=1) for m in multipliers]
        check.size(name, "blocks", blocks, low=1)
        check.size(name, "groups", groups, low=1)
        check.size(name, "heads", heads)
        for n in (width, *widths):
            if n % groups:
                check.refuse(name, f"groups that divide {n} channels", groups)
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or Generator()}
        each: Any = (4 * width, groups)
        self.time = TimeEmbedding(width, 4 * width, **options)
        self.first = nn.Conv2d(channels, width, 3, padding=1, **options)
        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        n = width
        for m in widths:
            if len(self.down):
                self.shrink.append(nn.Conv2d(n, n, 3, stride=2, padding=1, **options))
            sizes = [n, *[m] * (blocks - 1)]
            self.down.append(nn.ModuleList(ResidualBlock(k, m, *each, **options) for k in sizes))
            n = m
        self.middle1 = ResidualBlock(n, n, *each, **options)
        self.attention: Module = nn.Identity()
        if heads:
            self.attention = PixelAttention(n, heads, groups, **options)
        self.middle2 = ResidualBlock(n, n, *each, **options)
        self.up, self.grow = nn.ModuleList(), nn.ModuleList()
        for m in reversed(widths):
            if len(self.up):
                self.grow.append(
                    nn.Sequential(
                        nn.Upsample(scale_factor=2), nn.Conv2d(n, n, 3, padding=1, **options)
                    )
                )
            sizes = [n + m, *[2 * m] * (blocks - 1)]
            self.up.append(nn.ModuleList(ResidualBlock(k, m, *each, **options) for k in sizes))
            n = m
        self.head = nn.Sequential(
            nn.GroupNorm(groups, n, EPS, dtype=dtype),
            nn.SiLU(),
            zeroed(nn.Conv2d(n, channels, 3, padding=1, **options)),
        )

    def forward(self, input: Array, t: Array) -> tuple[Array, Backward]:
        """e^, and its backward: de^ -> dx."""
        _check_rows("DenoisingUNet", input, t, (self.channels, "H", "W"))
        unit = 2 ** len(self.shrink)
        if input.shape[2] % unit or input.shape[3] % unit:
            check.refuse("DenoisingUNet", f"sizes that {unit} divides", input.shape[2:])
        blocks: Any  # a ModuleList
        c, time_back = self.time(t)
        h, first_back = self.first(input)
        skips: list[Array] = []
        down_backs: list[list[Backward]] = []
        shrink_backs: list[Backward] = []
        for k, blocks in enumerate(self.down):
            if k > 0:
                h, shrink_back = self.shrink[k - 1](h)
                shrink_backs.append(shrink_back)
            down_backs.append([])
            for block in blocks:
                h, block_back = block(h, c)
                down_backs[-1].append(block_back)
                skips.append(h)
        h, middle1_back = self.middle1(h, c)
        h, attention_back = self.attention(h)
        h, middle2_back = self.middle2(h, c)
        up_backs: list[list[tuple[Backward, int]]] = []
        grow_backs: list[Backward] = []
        for k, blocks in enumerate(self.up):
            if k > 0:
                h, grow_back = self.grow[k - 1](h)
                grow_backs.append(grow_back)
            up_backs.append([])
            for block in blocks:
                own = h.shape[1]
                h, block_back = block(np.concatenate([h, skips.pop()], axis=1), c)
                up_backs[-1].append((block_back, own))
        y, head_back = self.head(h)

        def backward(dy: Array, needs_input_grad: bool = True) -> Array | None:
            dh = head_back(dy)
            dc = np.zeros_like(c)
            dskips: list[Array] = []
            for k in reversed(range(len(up_backs))):
                for block_back, own in reversed(up_backs[k]):
                    dboth, dtime = block_back(dh)
                    dc += dtime
                    dh, dskip = np.split(dboth, [own], axis=1)
                    dskips.append(dskip)
                if k > 0:
                    dh = grow_backs[k - 1](np.ascontiguousarray(dh))
            dh, dtime = middle2_back(np.ascontiguousarray(dh))
            dc += dtime
            dh, dtime = middle1_back(attention_back(dh))
            dc += dtime
            for k in reversed(range(len(down_backs))):
                for block_back in reversed(down_backs[k]):
                    dh, dtime = block_back(dh + dskips.pop())
                    dc += dtime
                if k > 0:
                    dh = shrink_backs[k - 1](dh)
            time_back(dc)
            dx: Array | None = first_back(dh, needs_input_grad=needs_input_grad)
            return dx

        return y, backward


def zeroed(conv: nn.Conv2d) -> nn.Conv2d:
    """The convolution, starting at 0.

    Args:
        conv: with a bias.
    """
    init.zeros_(conv.weight)
    if conv.bias is not None:
        init.zeros_(conv.bias)
    return conv


def _check_rows(name: str, input: object, t: object, rest: tuple[int | str, ...]) -> None:
    """A time for each row of the input."""
    x = check.floating(name, "input", input)
    check.shape(name, "input", x, ("N", *rest))
    check.shape(name, "t", check.integer(name, "t", t, 0, 2**53), x.shape[:1])
