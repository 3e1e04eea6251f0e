"""How much a pooled map changes when the picture is shifted by a few pixels; for pooling.

The change from a to b is |b - a| / sqrt(|a| |b|), of the entries at the same places of the answers.
The pieces of the photographs that are shifted have what comes into view: nothing wraps around.
"""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets.check import Array
from datasets.images import PHOTOGRAPHS
from parity_tests.experiments.feature_maps import EPS, FEATURES, both, features
from parity_tests.experiments.kernels import gaussian
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, SCRATCH, THIRD, TORCH, figure
from scratch.nn import functional as F

KINDS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "every 4th entry": ("", ()),
    "max 4 x 4": ("max_pool2d", (4,)),
    "L2 4 x 4": ("lp_pool2d", (2, 4)),
    "average 4 x 4": ("avg_pool2d", (4,)),
    "Gaussian, every 4th": ("", ()),
    "max, Gaussian, every 4th": ("max_pool2d", (4, 1)),
    "global max": ("adaptive_max_pool2d", (1,)),
    "global average": ("adaptive_avg_pool2d", (1,)),
}
COLOURS = dict(
    zip(
        KINDS,
        ("0.4", SCRATCH, CLASSES[2], TORCH, "#9c89b8", "#f0a6ca", CLASSES[4], THIRD),
        strict=True,
    )
)
BLUR = np.tile(gaussian(13, 2.5), (len(FEATURES), 1, 1, 1))
SHIFTS = (1, 2, 3, 4)


def pools(kind: str, x: Array) -> tuple[Array, Array]:
    """Both packages' answer of one kind."""
    name, args = KINDS[kind]
    pair = both(name, x, *args) if name else (x, x)
    if "Gaussian" in kind:
        ours, _ = F.conv2d(pair[0], BLUR, None, 4, groups=len(BLUR))
        tensors = torch.tensor(pair[1]), torch.tensor(BLUR)
        theirs = torch.nn.functional.conv2d(*tensors, None, 4, groups=len(BLUR))
        return ours, theirs.numpy()
    return pair if name else (x[..., ::4, ::4], x[..., ::4, ::4])


def changed(a: Array, b: Array) -> float:
    """The size of the difference over the size of the two."""
    return float(np.linalg.norm(b - a) / math.sqrt(np.linalg.norm(a) * np.linalg.norm(b)))


def _pieces(name: str, n: int, side: int, rng: np.random.Generator) -> list[Array]:
    """Bits of a photograph's maps with room for shifts, none of them empty."""
    _, maps = features(name)
    room = side + max(SHIFTS)
    found: list[Array] = []
    while len(found) < n:
        i, j = (int(rng.integers(0, size - room)) for size in maps.shape[2:])
        piece = maps[..., i : i + room, j : j + room]
        if np.mean(piece > 20) > 0.1:
            found.append(piece)
    return found


def moved(piece: Array, shift: int, axis: int, side: int) -> Array:
    """What a window onto the piece shows that moves along rows (2) or columns (3)."""
    start = [0, 0]
    start[axis - 2] = shift
    i, j = start
    return np.ascontiguousarray(piece[..., i : i + side, j : j + side])


def claim(outcome: Outcome, out: Path, small: bool, seed: int) -> None:
    """Shift pieces of both photographs and see what their pooled maps make of it.

    Args:
        outcome: takes the claims, the table and the figure.
        out: folder for the figure.
        small: fewer and smaller pieces.
        seed: of where the pieces are.
    """
    rng = np.random.default_rng(seed)
    n, side = (8, 64) if small else (40, 96)
    pieces = {name: _pieces(name, n, side, rng) for name in PHOTOGRAPHS}
    changes: dict[tuple[str, str], Array] = {}
    apart, equivariant = 0.0, 0.0
    for (name, some), kind in itertools.product(pieces.items(), KINDS):
        values = np.zeros((len(some), 2, len(SHIFTS)))
        for k, axis in itertools.product(range(len(some)), (2, 3)):
            still = pools(kind, moved(some[k], 0, axis, side))
            for s, shift in enumerate(SHIFTS):
                pair = pools(kind, moved(some[k], shift, axis, side))
                mine, yours = (changed(a, b) for a, b in zip(still, pair, strict=True))
                values[k, axis - 2, s] = mine
                apart = max(apart, abs(mine - yours) / max(mine, yours, EPS))
            if still[0].shape[2] > 1:  # the last shift is by one window
                ahead = np.moveaxis(still[0], axis, 0)[1:]
                behind = np.moveaxis(pair[0], axis, 0)[:-1]
                equivariant = max(equivariant, float(np.abs(ahead - behind).max()))
        changes[name, kind] = values.reshape(-1, len(SHIFTS))
    mean = {key: v.mean(0) for key, v in changes.items()}
    outcome.numbers["change by a shift of 1 to 4 pixels"] = {
        f"{name}, {kind}": v.tolist() for (name, kind), v in mean.items()
    }
    lines = [
        f"change of the answer by a shift, mean of {2 * n} shifted pieces of {side} x {side}",
        f"{'':28}" + "".join(f"{f'{s} pixels':>10}" for s in SHIFTS),
    ]
    for (name, kind), v in mean.items():
        lines.append(f"{name + ', ' + kind:28}" + "".join(f"{value:10.1%}" for value in v))
    outcome.text += "\n\n" + "\n".join(lines)
    outcome.claim(
        "scratch's and torch's pooled maps change alike", f"{apart:.0e} apart", apart < 1e-9
    )
    windows = [kind for kind in KINDS if kind.endswith("4 x 4")]
    shown = ("every 4th entry", *windows)
    one = {
        name: {kind: float(mean[name, kind][0]) for kind in KINDS if "global" not in kind}
        for name in PHOTOGRAPHS
    }
    outcome.claim(
        "one pixel changes a pooled map, by max, norm or average, less than half as much as every "
        "4th entry of the map; yet by more than a tenth: that is no invariance",
        "; ".join(
            f"{name}: " + ", ".join(f"{v:.0%}" for v in (values[k] for k in shown))
            for name, values in one.items()
        ),
        all(0.1 < v[kind] < 0.5 * v["every 4th entry"] for v in one.values() for kind in windows),
    )
    spread = [
        max(v[kind] for kind in windows) / min(v[kind] for kind in windows) for v in one.values()
    ]
    last = [[float(mean[name, kind][-1]) for kind in windows] for name in PHOTOGRAPHS]
    outcome.claim(
        "the three are alike at one pixel; at a whole window maxima have changed least and "
        "averages most",
        f"within a factor of {max(spread):.2f}; by 4 pixels "
        + "; ".join(", ".join(f"{v:.0%}" for v in values) for values in last),
        max(spread) < 1.25 and all(values == sorted(values) for values in last),
    )
    outcome.claim(
        "what helps is a smooth, wider window before entries are left out (Zhang 2019, "
        "arXiv:1904.11486), most of all on maxima",
        "; ".join(
            ", ".join(f"{v[kind]:.0%}" for kind in v if "Gaussian" in kind) for v in one.values()
        ),
        all(
            v["max, Gaussian, every 4th"]
            < v["Gaussian, every 4th"]
            < min(v[kind] for kind in windows)
            for v in one.values()
        ),
    )
    outcome.claim(
        "a shift by a whole window moves the pooled map by one entry",
        f"largest difference {equivariant:.1e}",
        equivariant < 1e-9,
    )
    least = [float(mean[name, "global average"][-1]) for name in PHOTOGRAPHS]
    outcome.claim(
        "the average of the whole map is nearly invariant: 4 pixels change it by less than 10%",
        ", ".join(f"{v:.1%}" for v in least),
        max(least) < 0.1,
    )
    _draw_shifts(out / "pooling_shifts.png", changes, n)
    outcome.figures.append(out / "pooling_shifts.png")


def _draw_shifts(path: Path, changes: dict[tuple[str, str], Array], n: int) -> None:
    with figure(path, 1, 2, (11, 4.4), sharey=True) as (fig, axes):
        for ax, name in zip(axes, PHOTOGRAPHS, strict=True):
            for kind, colour in COLOURS.items():
                values = 100 * changes[name, kind]
                low, high = np.quantile(values, (0.25, 0.75), axis=0)
                ax.fill_between(SHIFTS, low, high, color=colour, alpha=0.15, lw=0)
                ax.plot(SHIFTS, values.mean(0), "o-", color=colour, label=kind)
            ax.set(
                xticks=SHIFTS,
                ylim=(0, 160),
                xlabel="shift of the picture in pixels",
                title=f"the photograph of a {'palace' if name == 'china' else name}",
            )
        axes[0].set_ylabel("change of the answer in %")
        axes[0].legend(fontsize=8, ncols=2, loc="upper left")
        fig.suptitle(
            f"Windows of 4 x 4 dampen a shift and do not undo it (mean and quartiles of {2 * n})",
            fontsize=13,
        )
