"""Pooling on feature maps of a photograph.                            guide 2322-2400

What is left of a feature map, which entry of a window wins, where does the gradient go, what does a
shift of the picture change, and what happens at the border?

    max          y = max_j x_j           dx of the first that is largest = dy, of the others 0
    average      y = sum_j x_j / m       dx_j = dy / m
    L_p          y = (sum_j x_j^p)^(1/p)       from m averages, p = 1, to the maximum, p = inf

The guide's pooling has no backward; here both packages' are compared with what the places of the
winners say. It promises robustness to small translations without a measurement: here a shift by
one pixel changes a pooled map by more than a quarter, which is less than half of what it changes
without pooling.

The maps hold whole numbers, so ties are real ties and maxima are equal to the last bit.
"""

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage

from datasets.check import Array
from parity_tests.experiments import pooling_border, pooling_shifts
from parity_tests.experiments.feature_maps import EPS, FEATURES, both, features
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, SCRATCH, TORCH, figure
from scratch.nn import functional as F


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Pool in every way and compare.

    Args:
        out: folder for the figures.
        small: a part of the photograph, fewer pieces.
        seed: of the cotangents and of where the pieces are that are shifted.

    Returns:
        Differences, winners, gradients and changes, with the claims about them.
    """
    outcome = Outcome("pooling")
    x, maps = features("china")
    if small:
        x, maps = x[80:242, 160:402], maps[..., 80:240, 160:400]
    height, width = (n // 8 * 8 for n in maps.shape[2:])
    maps = np.ascontiguousarray(maps[..., :height, :width])
    _pool(outcome, out, maps)
    _winners(outcome, out, maps, seed)
    _ties(outcome, maps, seed)
    pooling_shifts.claim(outcome, out, small, seed)
    pooling_border.claim(outcome, out)
    return outcome


# What is left of a map


def blocks(x: Array, k: int) -> Array:
    """The windows of k x k that lie side by side, each flat: (..., H / k, W / k, k k)."""
    *lead, height, width = x.shape
    tiles = x.reshape(*lead, height // k, k, width // k, k)
    return tiles.swapaxes(-3, -2).reshape(*lead, height // k, width // k, k * k)


def adaptive(x: Array, size: tuple[int, int], reduce: Callable[[Array], Any]) -> Array:
    """One bin after the other, from floor(i n / o) to ceil((i + 1) n / o)."""
    y = np.empty((*x.shape[:2], *size))
    for place in itertools.product(*map(range, size)):
        bins = [
            slice(i * n // o, math.ceil((i + 1) * n / o))
            for i, n, o in zip(place, x.shape[2:], size, strict=True)
        ]
        for n, c in np.ndindex(x.shape[:2]):
            y[n, c, *place] = reduce(x[n, c, *bins])
    return y


def _pool(outcome: Outcome, out: Path, maps: Array) -> None:
    tiles, size = blocks(maps, 8), (9, 13)
    halo = ndimage.maximum_filter(maps, (1, 1, 3, 3), mode="constant", cval=-np.inf)
    pooled: dict[str, tuple[Array, Array, Array]] = {
        "max 8 x 8": (*both("max_pool2d", maps, 8), tiles.max(-1)),
        "max 3 x 3, stride 2": (
            *both("max_pool2d", maps, 3, 2, 1),
            halo[..., ::2, ::2],
        ),
        "adaptive max 9 x 13": (
            *both("adaptive_max_pool2d", maps, size),
            adaptive(maps, size, np.max),
        ),
        "global max": (*both("adaptive_max_pool2d", maps, 1), adaptive(maps, (1, 1), np.max)),
        "average 8 x 8": (*both("avg_pool2d", maps, 8), tiles.mean(-1)),
        "adaptive average 9 x 13": (
            *both("adaptive_avg_pool2d", maps, size),
            adaptive(maps, size, np.mean),
        ),
        "global average": (*both("adaptive_avg_pool2d", maps, 1), maps.mean((2, 3), keepdims=True)),
        "L2 8 x 8": (*both("lp_pool2d", maps, 2, 8), np.sqrt((tiles**2).sum(-1))),
        "L8 8 x 8": (*both("lp_pool2d", maps, 8, 8), (tiles**8).sum(-1) ** (1 / 8)),
    }
    off = {}
    lines = [
        "four feature maps, largest difference in eps of the value",
        f"{'':26}{'size':>12}{'scratch, torch':>16}{'scratch, by hand':>18}",
    ]
    for name, (ours, theirs, by_hand) in pooled.items():
        unit = EPS * np.maximum(np.abs(by_hand), np.finfo(np.float64).tiny)
        off[name] = [float(np.max(np.abs(ours - other) / unit)) for other in (theirs, by_hand)]
        shape = " x ".join(map(str, ours.shape[2:]))
        lines.append(f"{name:26}{shape:>12}{off[name][0]:16.2f}{off[name][1]:18.2f}")
    outcome.text = "\n".join(lines)
    outcome.numbers["largest difference in eps, from torch and by hand"] = off
    exact = [name for name in pooled if "max" in name]
    outcome.claim(
        "maxima are equal to the last bit, in scratch, torch and by hand: " + ", ".join(exact),
        f"largest difference {max(max(off[name]) for name in exact):g}",
        not any(any(off[name]) for name in exact),
    )
    rest = [name for name in pooled if name not in exact]
    outcome.claim(
        "averages and norms agree within 4 eps of each value",
        ", ".join(f"{name} {max(off[name]):.1f}" for name in rest),
        all(max(off[name]) <= 4 for name in rest),
    )
    _norms(outcome, maps)
    _draw_maps(out / "pooling_maps.png", maps, {k: v[0] for k, v in pooled.items()})
    outcome.figures.append(out / "pooling_maps.png")


def _norms(outcome: Outcome, maps: Array) -> None:
    """The way from sums to maxima."""
    largest = both("max_pool2d", maps, 8)
    total = [64 * y for y in both("avg_pool2d", maps, 8)]
    powers = (1, 2, 4, 8, 16, 32)
    norms = {p: both("lp_pool2d", maps, p, 8) for p in powers}
    first = max(float(np.max(np.abs(a - b))) for a, b in zip(norms[1], total, strict=True)) / float(
        np.max(total[0])
    )
    over = {}
    slack = 1 + 64 * EPS
    within = True
    for p, pair in norms.items():
        for y, top in zip(pair, largest, strict=True):
            within &= bool(np.all(y >= top / slack) and np.all(y <= 64 ** (1 / p) * top * slack))
        alive = largest[0] > 0
        over[p] = float(np.mean(pair[0][alive] / largest[0][alive]))
    outcome.numbers["L_p over the maximum, mean"] = over
    outcome.claim(
        "L1 is 64 averages; from there L_p falls towards the maximum, always between it and its "
        "64^(1/p) fold",
        f"L1 {first / EPS:.1f} eps from 64 averages; mean over the maximum "
        + ", ".join(f"p={p} {v:.2f}" for p, v in over.items()),
        first < 16 * EPS and within and list(over.values()) == sorted(over.values(), reverse=True),
    )


def _draw_maps(path: Path, maps: Array, pooled: dict[str, Array]) -> None:
    shown = {
        "upright edges": maps,
        **{k: pooled[k] for k in ("max 8 x 8", "L8 8 x 8", "L2 8 x 8", "average 8 x 8")},
        **{k: pooled[k] for k in ("adaptive max 9 x 13", "adaptive average 9 x 13")},
    }
    with figure(path, 2, 4, (15, 6.2)) as (fig, axes):
        for ax, (name, y) in zip(axes.flat, shown.items(), strict=False):
            ax.imshow(y[0, 0], cmap="magma", vmin=0, vmax=np.quantile(y[0, 0], 0.995))
            ax.grid(False)
            size = " x ".join(map(str, y.shape[2:]))
            title = name if name.endswith("13") else f"{name}: {size}"
            ax.set(xticks=[], yticks=[], title=title)
        ax = axes[1, 3]
        rows = np.arange(len(FEATURES))
        for shift, (name, colour) in zip(
            (-0.2, 0.2), (("global max", SCRATCH), ("global average", TORCH)), strict=True
        ):
            values = pooled[name][0, :, 0, 0]
            bars = ax.barh(rows + shift, values, 0.38, color=colour)
            ax.bar_label(bars, fmt=f"{name} %.3g", fontsize=8, padding=2)
        ax.set_yticks(rows, list(FEATURES))
        ax.invert_yaxis()
        ax.set(
            xscale="log",
            xlim=(1, 1e5),
            xlabel="answer of the kernel to grey values of 0 to 255",
            title="one number for each map",
        )
        fig.suptitle(
            "A map of upright edges, pooled by scratch; each panel from black, 0, to its own white",
            fontsize=13,
        )


# Who wins, and where the gradient goes


def _gradients(maps: Array, dy: Array, name: str, *args: Any) -> tuple[Array, Array]:
    """What flows back to the maps in scratch and torch."""
    _, backward = getattr(F, name)(maps, *args)
    leaf = torch.tensor(maps, requires_grad=True)
    y = getattr(torch.nn.functional, name)(leaf, *args)
    (dx,) = torch.autograd.grad(y, leaf, torch.tensor(dy))
    return backward(dy), dx.numpy()


def _winners(outcome: Outcome, out: Path, maps: Array, seed: int) -> None:
    rng = np.random.default_rng(seed)
    layouts = {"3 x 3, side by side": (3, 3, 0), "3 x 3, stride 2, padding 1": (3, 2, 1)}
    same, returned, summed, most, counts = True, True, True, 0, {}
    for label, sizes in layouts.items():
        (y, indices), _ = F.max_pool2d(maps, *sizes, return_indices=True)
        theirs = torch.nn.functional.max_pool2d(torch.tensor(maps), *sizes, return_indices=True)
        same &= np.array_equal(y, theirs[0]) and np.array_equal(indices, theirs[1])
        flat = maps.reshape(*maps.shape[:2], -1)
        picked = np.take_along_axis(flat, indices.reshape(*maps.shape[:2], -1), 2)
        returned &= np.array_equal(picked.reshape(y.shape), y)
        counts[label] = y.size

        dy = rng.integers(1, 10, y.shape).astype(float)  # whole numbers: sums are exact
        expected, wins = np.zeros_like(flat), np.zeros_like(flat)
        for n, c in np.ndindex(maps.shape[:2]):
            np.add.at(expected[n, c], indices[n, c].ravel(), dy[n, c].ravel())
            np.add.at(wins[n, c], indices[n, c].ravel(), 1)
        pair = _gradients(maps, dy, "max_pool2d", *sizes)
        summed &= all(np.array_equal(dx, expected.reshape(maps.shape)) for dx in pair)
        most = max(most, int(wins.max()))
    outcome.claim(
        "scratch and torch name the same winner in every window, side by side and overlapping",
        f"{sum(counts.values())} windows; their entries are the maxima: {returned}",
        same and returned,
    )
    outcome.claim(
        "the gradient of a window goes to its winner alone; an entry that wins several gets their "
        "sum",
        f"equal to the last bit: {summed}; up to {most} windows won by one entry",
        summed and most > 1,
    )
    height, width = (n // 3 * 3 for n in maps.shape[2:])
    part = np.ascontiguousarray(maps[..., :height, :width])
    (y, indices), _ = F.max_pool2d(part, 3, return_indices=True)
    restored, unpool_back = F.max_unpool2d(y, indices, 3)
    tensors = torch.tensor(y), torch.tensor(indices)
    torchs = torch.nn.functional.max_unpool2d(*tensors, (3, 3)).numpy()
    again, _ = F.max_pool2d(restored, 3)
    places = np.where(restored != 0, part, 0)
    dy = rng.normal(size=y.shape)
    routes = _gradients(part, dy, "max_pool2d", 3)
    unpooled, _ = F.max_unpool2d(dy, indices, 3)
    share = float(np.sum(restored > 0) / np.sum(part > 0))
    outcome.claim(
        "unpooling puts the maxima back where they were, and pooling finds them again; pooling's "
        "gradient is the unpooled gradient, and the gradient of unpooling picks",
        f"{share:.0%} of the map's active entries are back, at {restored.size // y.size} times the "
        "size",
        np.array_equal(restored, torchs)
        and np.array_equal(again, y)
        and np.array_equal(restored, places)
        and all(np.array_equal(dx, unpooled) for dx in routes)
        and np.array_equal(unpool_back(unpooled), dy),
    )
    spread = np.repeat(np.repeat(dy / 9, 3, axis=2), 3, axis=3)
    means = _gradients(part, dy, "avg_pool2d", 3)
    off = max(float(np.max(np.abs(dx - spread))) for dx in means) / float(np.max(np.abs(spread)))
    outcome.claim(
        "the gradient of an average goes to all entries alike",
        f"{off / EPS:.1f} eps from dy / 9",
        off <= EPS,
    )
    reached = [float(np.mean(dx[0] != 0)) for dx in (routes, means)]
    outcome.numbers["share of the entries that a gradient reaches, max and average"] = reached
    _draw_winners(out / "pooling_winners.png", part, seed)
    outcome.figures.append(out / "pooling_winners.png")


def _draw_winners(path: Path, maps: Array, seed: int) -> None:
    """A bit of a map where every window has something to show."""
    side = 12
    active = ndimage.uniform_filter((maps[0, 0] > 0).astype(float), side)[side:-side, side:-side]
    i, j = (int(n) + side // 2 for n in np.unravel_index(int(active.argmax()), active.shape))
    bit = np.ascontiguousarray(maps[:, :1, i : i + side, j : j + side])
    (y, indices), max_back = F.max_pool2d(bit, 3, return_indices=True)
    _, average_back = F.avg_pool2d(bit, 3)
    restored, _ = F.max_unpool2d(y, indices, 3)
    dy = np.random.default_rng(seed).normal(size=y.shape)
    rows, columns = np.divmod(indices.ravel(), side)
    top = float(np.abs(dy).max())
    signed = {"cmap": "RdBu_r", "vmin": -top, "vmax": top}
    plain = {"cmap": "magma", "vmin": 0, "vmax": float(bit.max())}
    panels: tuple[tuple[Array, str, dict[str, Any]], ...] = (
        (bit, "a bit of the map, winners ringed", plain),
        (y, "pooled", plain),
        (restored, "unpooled: winners at their places", plain),
        (dy, "a gradient that comes back", signed),
        (max_back(dy, None), "through max: to the winners", signed),
        (average_back(dy), "through average: a ninth to each", signed),
    )
    with figure(path, 2, 3, (10.5, 7.4), layout="compressed") as (fig, axes):
        for ax, (image, title, colours) in zip(axes.flat, panels, strict=True):
            drawn = ax.imshow(image[0, 0], extent=(0, side, side, 0), **colours)
            for edge in range(3, side, 3):
                ax.axhline(edge, color="0.55", lw=0.8)
                ax.axvline(edge, color="0.55", lw=0.8)
            if image is bit or image is panels[4][0]:
                ax.plot(columns + 0.5, rows + 0.5, "o", mfc="none", mec=CLASSES[3], ms=14, mew=1.5)
            ax.grid(False)
            ax.set(xticks=[], yticks=[], title=title)
            if ax in axes[:, 2]:
                label = "answer of the kernel" if image is restored else "gradient"
                fig.colorbar(drawn, ax=ax, label=label, shrink=0.9)
        fig.suptitle("Windows of 3 x 3: one entry wins and takes the gradient", fontsize=13)


def _ties(outcome: Outcome, maps: Array, seed: int) -> None:
    """Windows with several largest entries: who gets the gradient."""
    tiles = blocks(maps, 2)
    tied = np.sum(tiles == tiles.max(-1, keepdims=True), -1) > 1
    dark = tied & (tiles.max(-1) == 0)
    first = tiles.argmax(-1)  # NumPy's is the first in row-major order too
    dy = np.random.default_rng(seed).normal(size=first.shape)
    to_first = np.where(np.arange(4) == first[..., None], dy[..., None], 0.0)
    pair = _gradients(maps, dy, "max_pool2d", 2)
    leaf = torch.tensor(tiles, requires_grad=True)
    (shared,) = torch.autograd.grad(leaf.amax(-1), leaf, torch.tensor(dy))
    equal = tiles == tiles.max(-1, keepdims=True)
    split = np.where(equal, dy[..., None] / equal.sum(-1, keepdims=True), 0.0)
    ends = [blocks(dx, 2) for dx in pair]
    before = float(np.mean(np.any(ends[0] != shared.numpy(), -1)))
    alive = tiles > 0  # where the ReLU lets a gradient through
    after = float(np.mean(np.any(ends[0] * alive != shared.numpy() * alive, -1)))
    outcome.numbers["ties"] = {
        "windows": int(tied.size),
        "tied": int(tied.sum()),
        "tied at zero": int(dark.sum()),
        "gradient differs from amax's": before,
        "it does behind the ReLU": after,
    }
    outcome.claim(
        "of several largest entries the first in reading order takes the whole gradient, in "
        "scratch and torch; torch's amax shares it evenly",
        f"{tied.mean():.0%} of {tied.size} windows of 2 x 2 are tied",
        all(np.array_equal(dx, to_first) for dx in ends)
        and float(np.max(np.abs(shared.numpy() - split))) <= 2 * EPS * float(np.max(np.abs(dy)))
        and bool(tied.any()),
    )
    outcome.claim(
        "most ties are of zeros, where the ReLU stops the gradient and it does not matter who gets "
        "it",
        f"{dark.sum() / tied.sum():.0%} of the ties; the two conventions differ in {before:.0%} of "
        f"the windows, behind the ReLU in {after:.1%}",
        bool(dark.sum() > 0.5 * tied.sum()) and 0 < after < before,
    )
