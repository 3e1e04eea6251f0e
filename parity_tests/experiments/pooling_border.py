"""Windows that reach beyond the border of a map; for pooling.

    out = floor((n + 2 p - k) / s) + 1         ceil_mode takes ceil for floor, and leaves a last
                                               window out that would start in the right padding
    average = sum of what is inside / m        m counts the padding, if count_include_pad, and
                                               never what ceil_mode has beyond

Windows are laid out one by one in plain Python, as a third source.
"""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets.check import Array
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import figure
from scratch.nn import functional as F


def laid_out(n: int, k: int, s: int, p: int, ceil_mode: bool) -> list[range]:
    """The places of each window, before 0 and behind n those of the padding and beyond."""
    windows, start = [], -p
    while start + k <= n + p or (ceil_mode and start < n and start + k - s < n + p):
        windows.append(range(start, start + k))
        start += s
    return windows


def average(x: Array, windows: list[range], p: int, count_include_pad: bool) -> list[float]:
    """Sum over what is inside, divided by what counts."""
    n, means = len(x), []
    for window in windows:
        inside = [x[i] for i in window if 0 <= i < n]
        counted = [i for i in window if -p <= i < n + p] if count_include_pad else inside
        means.append(math.fsum(inside) / len(counted))
    return means


def claim(outcome: Outcome, out: Path) -> None:
    """Compare sizes and values at the border.

    Args:
        outcome: takes the claims, the table and the figure.
        out: folder for the figure.
    """
    grid = itertools.product(range(3, 10), (2, 3, 4), (1, 2, 3), (0, 1), (False, True))
    cases = [c for c in grid if c[0] + 2 * c[3] >= c[1]]
    wrong, naive, off = [], 0, 0.0
    for n, k, s, p, ceil_mode in cases:
        windows = laid_out(n, k, s, p, ceil_mode)
        steps = (n + 2 * p - k) / s
        naive += (math.ceil(steps) if ceil_mode else math.floor(steps)) + 1 != len(windows)
        x = -(np.arange(1.0, n + 1) ** 2)  # a zero of padding would be larger
        largest = [max(x[i] for i in w if 0 <= i < n) for w in windows]
        if not all(
            np.array_equal(y, largest) for y in _both("max_pool1d", x, k, s, p, 1, ceil_mode)
        ):
            wrong.append(("max", n, k, s, p, ceil_mode))
        for include in (False, True):
            means = average(x, windows, p, include)
            for y in _both("avg_pool1d", x, k, s, p, ceil_mode, include):
                if y.shape != (len(means),):
                    wrong.append(("average", n, k, s, p, ceil_mode))
                else:
                    off = max(off, float(np.max(np.abs(y / means - 1))))
    eps = float(np.finfo(np.float64).eps)
    outcome.claim(
        f"windows laid out one by one, scratch and torch: the same sizes, maxima and averages in "
        f"{len(cases)} cases of size, kernel, stride, padding and ceil_mode",
        f"{len(wrong)} differ; averages {off / eps:.1f} eps apart",
        not wrong and off <= 4 * eps,
    )
    outcome.claim(
        "rounding up is not all of ceil_mode: a window too many would start behind the map",
        f"in {naive} of {len(cases)} cases",
        naive > 0 and len(_both("max_pool1d", np.ones(3), 2, 2, 1, 1, True)[0]) == 2,
    )
    _table(outcome)
    _ones(outcome, out)


def _both(name: str, x: Array, *args: Any) -> tuple[Array, Array]:
    """What scratch and torch make of one sequence."""
    ours, _ = getattr(F, name)(x[None], *args)
    theirs = getattr(torch.nn.functional, name)(torch.tensor(x)[None], *args)
    return ours[0], theirs[0].numpy()


def _table(outcome: Outcome) -> None:
    lines = [
        "the last average of ones: where the padding counts, scratch and torch, and where it does "
        "not",
        f"{'n':>3}{'k':>3}{'s':>3}{'p':>3}{'ceil':>7}{'windows':>9}{'torch':>7}{'counts':>9}"
        f"{'torch':>8}{'not':>6}{'torch':>7}",
    ]
    shown = ((6, 3, 2, 1), (5, 3, 2, 1), (7, 2, 2, 0), (7, 3, 3, 0), (3, 2, 2, 1), (8, 4, 3, 1))
    for (n, k, s, p), ceil_mode in itertools.product(shown, (False, True)):
        counting = _both("avg_pool1d", np.ones(n), k, s, p, ceil_mode, True)
        without = _both("avg_pool1d", np.ones(n), k, s, p, ceil_mode, False)
        lines.append(
            f"{n:3}{k:3}{s:3}{p:3}{ceil_mode!s:>7}{len(counting[0]):9}{len(counting[1]):7}"
            f"{counting[0][-1]:9.3f}{counting[1][-1]:8.3f}{without[0][-1]:6.2f}{without[1][-1]:7.2f}"
        )
    outcome.text += "\n\n" + "\n".join(lines)


def _ones(outcome: Outcome, out: Path) -> None:
    """Averages of a map of ones, and how much each of its entries counts in all of them."""
    path = out / "pooling_border.png"
    n, k, s, p = 6, 3, 2, 1
    x, same, corners = np.ones((1, 1, n, n)), True, {}
    with figure(path, 2, 4, (13, 7), layout="compressed") as (fig, axes):
        modes = itertools.product((False, True), (True, False))
        for column, (ceil_mode, include) in zip(axes.T, modes, strict=True):
            y, backward = F.avg_pool2d(x, k, s, p, ceil_mode, include)
            dx = backward(np.ones_like(y))
            leaf = torch.tensor(x, requires_grad=True)
            theirs = torch.nn.functional.avg_pool2d(leaf, k, s, p, ceil_mode, include)
            (theirs_dx,) = torch.autograd.grad(theirs.sum(), leaf)
            row = average(np.ones(n), laid_out(n, k, s, p, ceil_mode), p, include)
            for a, b in ((y, theirs.detach()), (dx, theirs_dx), (y[0, 0], np.outer(row, row))):
                same &= float(np.max(np.abs(a - np.asarray(b)))) < 1e-15
            mode = f"ceil_mode={ceil_mode}\ncount_include_pad={include}"
            corners[mode.replace("\n", ", ")] = [float(y[0, 0, 0, 0]), float(y[0, 0, -1, -1])]
            for ax, image, title in ((column[0], y, mode), (column[1], dx, "")):
                ax.imshow(image[0, 0], cmap="YlGnBu", vmin=0, vmax=1.6)
                for (i, j), value in np.ndenumerate(image[0, 0]):
                    colour = "white" if value > 1.05 else "black"
                    ax.text(
                        j, i, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=8
                    )
                ax.grid(False)
                ax.set(xticks=[], yticks=[], title=title)
        axes[0, 0].set_ylabel("average of ones")
        axes[1, 0].set_ylabel("what each entry counts in all")
        fig.suptitle(
            f"Averages over {k} x {k} with stride {s} and padding {p} on {n} x {n} ones: padding "
            "counts, or does not",
            fontsize=13,
        )
    outcome.figures.append(path)
    outcome.numbers["average of ones, first and last corner"] = corners
    first, last = corners["ceil_mode=True, count_include_pad=True"]
    outcome.claim(
        "a corner of ones averages to 4/9 where the padding counts, and to 1 where it does not; "
        "what ceil_mode adds beyond the padding never counts: 1/4 and not 1/9",
        f"{first:.3f} and {last:.3f}; values and gradients equal in both packages: {same}",
        same
        and abs(first - 4 / 9) < 1e-15
        and last == 0.25
        and all(c == [1.0, 1.0] for mode, c in corners.items() if mode.endswith("False")),
    )
