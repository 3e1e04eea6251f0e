"""How large a convolution's output is, and which pixels its windows see; for convolution_kernels.

    out = floor((n + 2 a - d (k - 1) - 1) / s) + 1

is compared with a count of the places, with what SymPy gets from where the last window may start,
and with what both packages return.
"""

import itertools
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import sympy
import torch

from parity_tests.experiments.kernels import both
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import figure
from scratch.nn import functional as F


def size_of(n: int, k: int, s: int, a: int, d: int) -> int:
    """The formula."""
    return (n + 2 * a - d * (k - 1) - 1) // s + 1


def counted(n: int, k: int, s: int, a: int, d: int) -> int:
    """How many places there are for a kernel of which no tap leaves the padded input."""
    return sum(s * p + d * (k - 1) < n + 2 * a for p in range(n + 2 * a))


def _derived() -> tuple[Callable[..., int], bool, sympy.Expr]:
    """The formula from where the last window may start, and the padding that keeps the size.

    Returns:
        The derived size as a function of n, k, s, a, d; whether it is the formula; the padding at
        stride 1.
    """
    n, k, s, d = sympy.symbols("n k s d", integer=True, positive=True)
    a, p = sympy.symbols("a p", integer=True, nonnegative=True)
    last_tap = s * p - a + d * (k - 1)
    (last,) = sympy.solve(sympy.Eq(last_tap, n - 1 + a), p)  # on the last padded pixel
    size = sympy.floor(last) + 1
    formula = sympy.floor((n + 2 * a - d * (k - 1) - 1) / s) + 1
    (keeps,) = sympy.solve(sympy.Eq((last + 1).subs(s, 1), n), a)
    equal = sympy.simplify(sympy.expand(last - formula.args[1].args[0])) == 0
    numbers = sympy.lambdify((n, k, s, a, d), size, "math")
    return numbers, equal, keeps


def claim(outcome: Outcome, out: Path, small: bool) -> None:
    """Compute sizes in five ways and windows in three.

    Args:
        outcome: takes the claims, the table and the figure.
        out: folder for the figure.
        small: fewer sizes of the input.
    """
    grid = itertools.product(
        (1, 5, 6, 7) if small else (1, 4, 5, 6, 7, 12),
        (1, 2, 3, 5),
        (1, 2, 3),
        (0, 1, 2),
        (1, 2, 3),
    )
    cases = list(grid)
    derived, is_formula, keeps = _derived()
    fits = [c for c in cases if counted(*c) > 0]
    wrong = []
    for n, k, s, a, d in fits:
        pair = both(np.ones((n, n)), np.ones((k, k)), stride=s, padding=a, dilation=d)
        five = {size_of(n, k, s, a, d), counted(n, k, s, a, d), derived(n, k, s, a, d)}
        if len(five | {size for y in pair for size in y.shape}) > 1:
            wrong.append((n, k, s, a, d))
    outcome.claim(
        f"formula, count of the places, SymPy, scratch and torch give the same size in "
        f"{len(fits)} cases",
        f"{len(wrong)} differ",
        not wrong and is_formula,
    )
    refused = [c for c in cases if counted(*c) == 0]
    outcome.claim(
        f"where there is no place for the kernel, in {len(refused)} cases, both refuse",
        f"{sum(map(_refused, refused))} of {len(refused)}",
        all(map(_refused, refused)),
    )
    odd = [c for c in fits if c[4] == 1 and (c[0] - c[1] + 2 * c[3]) % c[2]]
    dilated = [c for c in fits if c[4] > 1 and (c[0] - c[1] + 2 * c[3]) // c[2] + 1 != counted(*c)]
    outcome.numbers["the guide's formula"] = {
        "cases": len(fits),
        "no whole number": len(odd),
        "wrong for a dilated kernel": len(dilated),
    }
    outcome.claim(
        "without floor and dilation, as the guide prints it, the formula fails often",
        f"of {len(fits)} times {len(odd)} no whole number, {len(dilated)} wrong for dilation",
        bool(odd and dilated),
    )
    k, d = sympy.symbols("k d", integer=True, positive=True)
    with warnings.catch_warnings():  # torch may copy the input for the odd zero
        warnings.simplefilter("ignore", UserWarning)
        kept = all(
            y.shape == (6, 6)
            for size, dilation in itertools.product((1, 2, 3, 5), (1, 2))
            for y in both(np.ones((6, 6)), np.ones((size, size)), padding="same", dilation=dilation)
        )
    outcome.claim(
        "at stride 1 the size is kept by d (k - 1) / 2 zeros on either side: no whole number for "
        "an even kernel, whose odd zero 'same' puts at the end",
        f"SymPy: {keeps}; 'same' keeps 6 x 6: {kept}",
        sympy.simplify(keeps - d * (k - 1) / 2) == 0 and kept,
    )
    lines = [
        "output size for n = 6, k = 3",
        f"{'stride':>8}{'padding':>9}{'dilation':>10}{'formula':>9}{'counted':>9}{'scratch':>9}"
        f"{'torch':>7}",
    ]
    for s, a, dilation in itertools.product((1, 2, 3), (0, 1), (1, 2)):
        ours, theirs = both(
            np.ones((6, 6)), np.ones((3, 3)), stride=s, padding=a, dilation=dilation
        )
        case = 6, 3, s, a, dilation
        lines.append(
            f"{s:8}{a:9}{dilation:10}{size_of(*case):9}{counted(*case):9}{len(ours):9}"
            f"{len(theirs):7}"
        )
    outcome.text += "\n\n" + "\n".join(lines)
    _seen(outcome, out)


def _refused(case: tuple[int, int, int, int, int]) -> bool:
    """Whether both sides refuse a kernel that does not fit."""
    n, k, s, a, d = case
    x, w = np.ones((1, 1, n, n)), np.ones((1, 1, k, k))
    refusals = 0
    try:
        F.conv2d(x, w, None, s, a, d)
    except ValueError:
        refusals += 1
    try:
        torch.nn.functional.conv2d(torch.tensor(x), torch.tensor(w), None, s, a, d)
    except RuntimeError:
        refusals += 1
    return refusals == 2


LAYOUTS: tuple[dict[str, int], ...] = (
    {"stride": 1, "padding": 0, "dilation": 1},
    {"stride": 1, "padding": 1, "dilation": 1},
    {"stride": 2, "padding": 0, "dilation": 1},
    {"stride": 2, "padding": 1, "dilation": 1},
    {"stride": 1, "padding": 2, "dilation": 2},
    {"stride": 1, "padding": 0, "dilation": 2},
)


def _seen(outcome: Outcome, out: Path) -> None:
    """How many windows see each pixel: what flows back to it through kernels of ones."""
    path = out / "convolution_kernels_windows.png"
    same, unseen = True, {}
    with figure(path, 2, 3, (10.5, 8), layout="compressed") as (fig, axes):
        for ax, options in zip(axes.flat, LAYOUTS, strict=True):
            s, a, d = options.values()
            x, w = np.ones((1, 1, 6, 6)), np.ones((1, 1, 3, 3))
            y, backward = F.conv2d(x, w, None, s, a, d)
            ours = backward(np.ones_like(y))[0][0, 0]
            leaf = torch.tensor(x, requires_grad=True)
            answer = torch.nn.functional.conv2d(leaf, torch.tensor(w), None, s, a, d)
            (dx,) = torch.autograd.grad(answer.sum(), leaf)
            places = itertools.product(range(y.shape[2]), range(3))
            count = np.bincount([s * p + d * i + 2 - a for p, i in places], minlength=10)[2:8]
            same &= np.array_equal(ours, np.outer(count, count))
            same &= np.array_equal(ours, dx[0, 0].numpy())
            unseen[f"stride {s}, padding {a}, dilation {d}"] = int(np.sum(ours == 0))
            ax.imshow(ours, cmap="YlGnBu", vmin=0, vmax=12)
            for (i, j), value in np.ndenumerate(ours):
                colour = "white" if value > 7 else "black"
                ax.text(j, i, f"{value:g}", ha="center", va="center", color=colour)
            ax.grid(False)
            ax.set(
                xticks=[],
                yticks=[],
                title=f"{_name(options)}\n6 x 6 to {len(y[0, 0])} x {len(y[0, 0])}",
            )
        fig.suptitle(
            "How many windows of 3 x 3 see a pixel; at the edge often fewer, or none", fontsize=13
        )
    outcome.figures.append(path)
    outcome.numbers["pixels of 6 x 6 that no window of 3 x 3 sees"] = unseen
    lost = unseen["stride 2, padding 0, dilation 1"]
    outcome.claim(
        "what flows back through ones is the number of windows that see a pixel; at stride 2 "
        "without padding the last row and column of 6 x 6 are never seen",
        f"equal to the count: {same}; {lost} pixels unseen",
        same and lost == 11,
    )


def _name(options: dict[str, int]) -> str:
    return ", ".join(f"{k} {v}" for k, v in options.items() if k != "dilation" or v > 1)
