"""Kernels on a photograph.                            guide 1728-1800, 2173-2320

What do a few hand-made 3 x 3 kernels see in a real picture, do four implementations agree on it,
and how large is what comes out? Sliding a kernel k over x, with step s, dilation d and padding a,

    y[p, q] = sum_{i, j} k[i, j] x[s p + d i - a, s q + d j - a]
    out = floor((n + 2 a - d (m - 1) - 1) / s) + 1          m taps over n pixels

is a cross-correlation, here as in torch and in the guide, which calls it a convolution; that would
flip the kernel. The guide's formula for the size lacks dilation, and the floor that its code takes;
the answer that it calls weak, of Sobel's y to an upright edge, is exactly zero; and it prints that
networks learn such kernels without a try: here twins learn six from pictures of what they do.

The photograph's green bytes are whole numbers. So are most kernels, and then every sum is exact:
all must agree to the last bit, in float32 too.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.colors import Normalize
from scipy import signal
from threadpoolctl import threadpool_limits

from datasets.check import Array
from datasets.images import photograph
from datasets.split import batch_stream
from parity_tests.experiments import convolution_sizes
from parity_tests.experiments.kernels import (
    EMBOSS,
    FILTERS,
    LAPLACIAN,
    LETTER,
    SHARPEN,
    SOBEL_X,
    SOBEL_Y,
    both,
    gaussian,
    third,
)
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, THIRD, TORCH, figure
from parity_tests.experiments.twins import alike, apart
from parity_tests.harness.twin import numpy
from scratch import nn
from scratch.nn import functional as F

TINY = float(np.finfo(np.float64).tiny)


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Filter a photograph in every way and compare.

    Args:
        out: folder for the figures.
        small: a part of the photograph, fewer steps and sizes.
        seed: of the starts and pictures of the kernels that are learned.

    Returns:
        Differences, sizes, times and learned kernels, with the claims about them.
    """
    outcome = Outcome("convolution_kernels")
    colour = np.rint(255 * photograph("china").astype(np.float64))
    if small:
        colour = colour[:, 100:300, 200:480]
    x = colour[1]
    _agree(outcome, out, x)
    _laws(outcome, x)
    _flip(outcome, out, x)
    convolution_sizes.claim(outcome, out, small)
    _learn(outcome, out, x, small, seed)
    _time(outcome, colour, small)
    return outcome


# Four sources, one answer

Errors = dict[str, dict[str, float]]


def _agree(outcome: Outcome, out: Path, x: Array) -> None:
    errors: dict[str, Errors] = {"float64": {}, "float32": {}}
    maps: dict[tuple[str, str], Array] = {}
    answers: dict[str, Array] = {}
    for dtype, found in errors.items():
        eps = float(np.finfo(dtype).eps)
        picture = x.astype(dtype)
        for f in FILTERS:
            options = {"stride": f.stride, "dilation": f.dilation}
            ours, theirs = both(picture, f.kernel, **options)
            scipys = third(x, f.kernel.astype(dtype).astype(np.float64), *options.values())
            terms = third(x, np.abs(f.kernel), *options.values())
            unit = eps * np.maximum(terms, TINY)  # black pixels have no size
            apart_by = {
                "torch": (ours - theirs) / unit,
                "SciPy": (ours - scipys) / unit,
                "torch and SciPy": (theirs - scipys) / unit,
            }
            found[f.label] = {k: float(np.max(np.abs(v))) for k, v in apart_by.items()}
            maps[dtype, f.label] = apart_by["torch"]
            if dtype == "float64":
                answers[f.label] = ours
    outcome.numbers["largest difference in eps of the sum of magnitudes"] = errors
    outcome.text = _table(errors)
    whole = [f.label for f in FILTERS if f.whole]
    worst = max(
        found[label][k] for found in errors.values() for label in whole for k in found[label]
    )
    outcome.claim(
        f"{len(whole)} kernels of whole numbers: scratch, torch and SciPy agree to the last bit on "
        f"{x.shape[0]} x {x.shape[1]} pixels, in float64 and float32",
        f"largest difference {worst:g}",
        worst == 0,
    )
    fractions = [f for f in FILTERS if not f.whole]
    largest = {
        f.label: max(found[f.label][k] for found in errors.values() for k in ("torch", "SciPy"))
        for f in fractions
    }
    outcome.claim(
        "kernels of fractions: no farther apart than the n eps of the sum of magnitudes that two "
        "sums of n terms may be",
        "; ".join(f"{f.label}: {largest[f.label]:.1f} of {f.kernel.size} eps" for f in fractions),
        all(largest[f.label] <= f.kernel.size for f in fractions),
    )
    _draw_answers(out / "convolution_kernels.png", x, answers)
    _draw_differences(out / "convolution_kernels_difference.png", errors, maps)
    outcome.figures += [out / "convolution_kernels.png", out / "convolution_kernels_difference.png"]


def _table(errors: dict[str, Errors]) -> str:
    pairs = {
        "scratch, torch": "torch",
        "scratch, SciPy": "SciPy",
        "torch, SciPy": "torch and SciPy",
    }
    lines = [
        "largest difference in eps of the sum of magnitudes; SciPy always in float64",
        f"{'':22}" + "".join(f"{dtype:>48}" for dtype in errors),
        f"{'':22}" + "".join(f"{pair:>16}" for pair in pairs) * len(errors),
    ]
    for f in FILTERS:
        values = [found[f.label][k] for found in errors.values() for k in pairs.values()]
        lines.append(f"{f.label:22}" + "".join(f"{v:16.2f}" for v in values))
    return "\n".join(lines)


def _draw_answers(path: Path, x: Array, answers: dict[str, Array]) -> None:
    edges = np.hypot(answers["Sobel, x"], answers["Sobel, y"])
    panels = {"the photograph, green": (x, False)}
    for f in FILTERS:
        panels[f.label] = (answers[f.label], f.signed)
        if f.label == "Sobel, y":
            panels["length of Sobel's two"] = (edges, False)
    with figure(path, 3, 4, (15, 8.4), layout="compressed") as (fig, axes):
        for ax, (label, (image, signed)) in zip(axes.flat, panels.items(), strict=True):
            if signed:  # the same range on both sides: grey is zero
                top = float(np.quantile(np.abs(image), 0.99))
                ax.imshow(image, cmap="RdBu_r", vmin=-top, vmax=top)
            else:
                top = 255.0 if image is not edges else float(np.quantile(image, 0.99))
                ax.imshow(image, cmap="gray", vmin=0, vmax=top)
            ax.grid(False)
            ax.set(xticks=[], yticks=[], title=f"{label}: {image.shape[0]} x {image.shape[1]}")
        fig.suptitle(
            "Kernels on a photograph, by scratch; in colours blue is below zero and red above",
            fontsize=13,
        )


def _draw_differences(
    path: Path, errors: dict[str, Errors], maps: dict[tuple[str, str], Array]
) -> None:
    with figure(path, 1, 4, (17, 5), width_ratios=(1.1, 1.1, 1.1, 1.2)) as (fig, axes):
        bell = "Gaussian 13 x 13"
        shown = (("float64", "Sobel, x"), ("float64", bell), ("float32", bell))
        for ax, key in zip(axes, shown, strict=False):
            image = ax.imshow(maps[key], cmap="RdBu_r", norm=Normalize(-4, 4))
            ax.grid(False)
            share = float(np.mean(maps[key] == 0))
            ax.set(
                xticks=[],
                yticks=[],
                title=f"{key[1]}, {key[0]}:\n{share:.0%} equal to the last bit",
            )
        bar = fig.colorbar(image, ax=list(axes[:3]), location="bottom", shrink=0.5, aspect=40)
        bar.set_label("scratch - torch in eps of the sum of magnitudes")
        ax = axes[3]
        labels = [f.label for f in FILTERS]
        rows = np.arange(len(labels))
        for k, (source, dtype, colour) in enumerate(
            (
                ("torch", "float64", TORCH),
                ("torch", "float32", CLASSES[2]),
                ("SciPy", "float64", THIRD),
            )
        ):
            values = [errors[dtype][label][source] for label in labels]
            ax.barh(rows + (k - 1) * 0.27, values, 0.27, color=colour, label=f"{source}, {dtype}")
        ax.set_yticks(rows, labels, fontsize=8)
        ax.invert_yaxis()
        ax.set(
            xlabel="largest difference from scratch, same unit",
            title="Whole numbers: nothing; fractions: roundings",
        )
        ax.legend(fontsize=8, loc="upper right")
        fig.suptitle("What is different between scratch and torch, pixel by pixel", fontsize=13)


# What must hold whatever the picture


def _laws(outcome: Outcome, x: Array) -> None:
    step = np.zeros((10, 10))
    step[:, 5:] = 1
    answers = [(*both(step, k), third(step, k, 1, 1)) for k in (SOBEL_X, SOBEL_Y)]
    expected = np.zeros((8, 8))
    expected[:, 3:5] = 4
    outcome.claim(
        "an upright edge of height 1: Sobel's x answers 4 in two columns and 0 elsewhere, Sobel's "
        "y, called weak by the guide, exactly 0 everywhere",
        f"largest {np.max(answers[0]):g} and {np.abs(answers[1]).max():g}",
        all(np.array_equal(a, expected) for a in answers[0])
        and not any(a.any() for a in answers[1]),
    )
    changes = {}
    for f in (f for f in FILTERS if f.whole):
        before, after = both(x, f.kernel), both(x + 40, f.kernel)
        changes[f.label] = {
            float(v) for a, b in zip(before, after, strict=True) for v in (b - a).flat
        }
    flat = [f.label for f in FILTERS if f.whole and f.kernel.sum() == 0]
    outcome.claim(
        "40 more grey values everywhere: kernels that sum to 0 do not notice, those that sum to 1 "
        "pass the 40 on",
        f"{', '.join(flat)}: no change; sharpen, emboss: {changes['sharpen'] | changes['emboss']}",
        all(changes[label] == {40.0 if label not in flat else 0.0} for label in changes),
    )
    turned = [
        np.array_equal(np.rot90(a), b)
        for a, b in zip(both(x, SOBEL_X), both(np.rot90(x).copy(), -SOBEL_Y), strict=True)
    ]
    outcome.claim("turn the picture and the kernel, and the answer turns", f"{turned}", all(turned))
    kernels = np.stack([f.kernel for f in FILTERS if f.kernel.shape == (3, 3)])[:, None]
    together, _ = F.conv2d(x[None, None], kernels)
    alone = [both(x, k[0])[0] for k in kernels]
    outcome.claim(
        f"{len(kernels)} kernels as output channels of one convolution answer as each does alone",
        f"{np.abs(together[0] - np.stack(alone)).max():g} apart",
        np.array_equal(together[0], np.stack(alone)),
    )
    bell = gaussian(13, 2.5)
    row = np.sqrt(np.diag(bell))[None]
    once = both(x, bell)
    twice = [both(half, row.T)[i] for i, half in enumerate(both(x, row))]
    off = max(apart(b, a) for a, b in zip(once, twice, strict=True)) / np.finfo(np.float64).eps
    outcome.claim(
        "a Gaussian of 13 x 13 is one along the rows and one along the columns: 26 products a "
        "pixel for 169",
        f"{off:.1f} eps apart",
        bool(off < 16),
    )
    every = both(x, bell)
    strided = both(x, bell, stride=8)
    same = [apart(b, a[::8, ::8]) for a, b in zip(every, strided, strict=True)]
    outcome.claim(
        "a stride of 8 gives every 8th of the answers",
        f"{max(same) / np.finfo(np.float64).eps:.1f} eps apart",
        bool(max(same) < 16 * np.finfo(np.float64).eps),
    )


# Flipped or not


def _flip(outcome: Outcome, out: Path, x: Array) -> None:
    dot = np.zeros((13, 13))
    dot[6, 6] = 1
    answer = both(dot, LETTER)
    flipped = both(dot, LETTER[::-1, ::-1])
    convolved = signal.convolve2d(dot, LETTER, "valid")
    h, w = LETTER.shape
    around = slice(6 - h + 1, 7), slice(6 - w + 1, 7)
    outcome.claim(
        "a single bright pixel: convolution prints the kernel, what networks compute prints it "
        "turned by half a turn",
        f"{int(np.sum(convolved != answer[0]))} of {convolved.size} pixels differ",
        all(np.array_equal(a[around], LETTER[::-1, ::-1]) for a in answer)
        and np.array_equal(convolved[around], LETTER),
    )
    outcome.claim(
        "with the kernel flipped beforehand conv2d is SciPy's convolve2d",
        f"{max(np.abs(a - convolved).max() for a in flipped):g} apart",
        all(np.array_equal(a, convolved) for a in flipped),
    )
    convolutions = {
        f.label: signal.convolve2d(x, f.kernel, "valid")
        for f in FILTERS
        if f.kernel.shape == (3, 3) and f.dilation == 1
    }
    effects = {}
    for f in (f for f in FILTERS if f.label in convolutions):
        pair, other = both(x, f.kernel), convolutions[f.label]
        if all(np.array_equal(a, other) for a in pair):
            effects[f.label] = "none"
        elif all(np.array_equal(a, -other) for a in pair):
            effects[f.label] = "the sign"
        else:
            effects[f.label] = f"{np.mean(pair[0] != other):.0%} of the pixels"
    outcome.numbers["what flipping changes"] = effects
    outcome.claim(
        "on the photograph flipping changes nothing of the Laplacian and sharpen, the sign of "
        "Sobel's and the diagonal, and most pixels of emboss",
        "; ".join(f"{k}: {v}" for k, v in effects.items()),
        all(effects[k] == "none" for k in ("Laplacian", "sharpen"))
        and all(effects[k] == "the sign" for k in ("Sobel, x", "Sobel, y", "diagonal"))
        and float(np.mean(both(x, EMBOSS)[0] != convolutions["emboss"])) > 0.5,
    )
    part = x[:20, :30]
    full = {"padding": (h - 1, w - 1)}
    swapped = {"padding": (part.shape[0] - 1, part.shape[1] - 1)}
    turned = [
        np.array_equal(a[::-1, ::-1], b)
        for a, b in zip(both(part, LETTER, **full), both(LETTER, part, **swapped), strict=True)
    ]
    commutes = np.array_equal(signal.convolve2d(part, LETTER), signal.convolve2d(LETTER, part))
    outcome.claim(
        "picture and kernel may be swapped in a convolution; here that turns the answer by half a "
        "turn",
        f"scratch, torch {turned}; SciPy's convolution unchanged {commutes}",
        all(turned) and commutes,
    )
    path = out / "convolution_kernels_flip.png"
    # A bit of roof, where light from above and from below look different.
    row, column = x.shape[0] // 4, x.shape[1] // 3
    cut = slice(row, row + 110), slice(column, column + 150)
    panels = (
        (np.pad(LETTER, 2), "the kernel", "gray"),
        (answer[0][:, 1:9], "over a single bright pixel:\nwhat networks compute", "gray"),
        (convolved[:, 1:9], "over the same:\na convolution", "gray"),
        (both(x, EMBOSS)[0][cut], "emboss, not flipped", "photo"),
        (
            convolutions["emboss"][cut],
            "emboss, flipped:\nthe light comes from the other side",
            "photo",
        ),
    )
    ratios = [1, 1, 1, 1.5, 1.5]
    with figure(path, 1, 5, (16, 3.6), width_ratios=ratios, layout="compressed") as (fig, axes):
        for ax, (image, title, kind) in zip(axes, panels, strict=True):
            low, high = (0, 1) if kind == "gray" else (-150, 350)
            ax.imshow(image, cmap="gray", vmin=low, vmax=high)
            ax.grid(False)
            ax.set(xticks=[], yticks=[], title=title)
        fig.suptitle(
            "Cross-correlation keeps the kernel as it is, convolution flips it", fontsize=13
        )
    outcome.figures.append(path)


# Learned instead of made

LEARNED = {
    "Sobel, x": SOBEL_X,
    "Sobel, y": SOBEL_Y,
    "Laplacian": LAPLACIAN,
    "sharpen": SHARPEN,
    "emboss": EMBOSS,
    "box": np.full((3, 3), 1 / 9),
}


def _learn(outcome: Outcome, out: Path, x: Array, small: bool, seed: int) -> None:
    """Both twins see bits of the photograph before and after filtering, and find the filters."""
    rng = np.random.default_rng(seed)
    n, side, shown = 256, 16, (0, 20, 100)
    steps = 500 if small else 700
    rows, columns = (rng.integers(0, size - side, n) for size in x.shape)
    standard = (x - x.mean()) / x.std()
    crops = np.stack(
        [standard[i : i + side, j : j + side] for i, j in zip(rows, columns, strict=True)]
    )[:, None]
    kernels = np.stack(list(LEARNED.values()))[:, None]
    targets, _ = F.conv2d(crops, kernels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        theirs = torch.nn.Conv2d(1, len(kernels), 3, bias=False)
    twins = alike(nn.Conv2d(1, len(kernels), 3, bias=False), theirs)
    pairs = twins.train(
        "SGD",
        {"lr": 0.3, "momentum": 0.95},
        "mse_loss",
        crops,
        targets,
        batch_stream(n, 16, steps, seed),
    )
    (ours,) = twins.ours.parameters()
    losses, snapshots = [], {}
    for step in range(steps):
        if step in shown:
            snapshots[step] = ours.data.copy()
        losses.append(next(pairs))
    found = [ours.data, numpy(next(twins.theirs.parameters()))]
    snapshots[steps] = found[0]
    off = [float(np.abs(w - kernels).max()) for w in found]
    drift = apart(*zip(*losses, strict=True))
    outcome.numbers["learned"] = {"steps": steps, "largest error": off, "twins apart": drift}
    outcome.claim(
        "from bits of the photograph before and after, a layer learns all six kernels: in both "
        "packages every weight comes out right to 1e-4",
        f"largest error {off[0]:.0e}, torch {off[1]:.0e}, after {steps} steps",
        max(off) < 1e-4,
    )
    outcome.claim(
        "the twins' losses agree all the way to 1e-12 of the first",
        f"{drift:.0e} apart",
        drift < 1e-12,
    )
    path = out / "convolution_kernels_learned.png"
    with figure(path, 5, 6, (9.5, 8.6), layout="compressed") as (fig, axes):
        stages = {**{f"step {s}": w for s, w in snapshots.items()}, "the target": kernels}
        for row, (stage, weights) in zip(axes, stages.items(), strict=True):
            for ax, label, w in zip(row, LEARNED, weights, strict=True):
                top = float(np.abs(LEARNED[label]).max())
                ax.imshow(w[0], cmap="RdBu_r", vmin=-top, vmax=top)
                for (i, j), value in np.ndenumerate(w[0]):
                    colour = "white" if abs(value) > 0.6 * top else "black"
                    text = f"{value:.1f}" if label != "box" else f"{value:.2f}"
                    text = text.replace("-0.0", "0.0") if float(text) == 0 else text
                    ax.text(j, i, text, ha="center", va="center", color=colour, fontsize=8)
                ax.grid(False)
                ax.set(xticks=[], yticks=[])
            row[0].set_ylabel(stage)
        for ax, label in zip(axes[0], LEARNED, strict=True):
            ax.set_title(label)
        fig.suptitle(
            "Six kernels, learned from bits of the photograph and what the kernels make of them",
            fontsize=13,
        )
    outcome.figures.append(path)


# How long it takes


def four_loops(x: Array, w: Array) -> Array:
    """Pictures, kernels, rows and columns one after the other.

    Args:
        x: (N, C, H, W).
        w: (O, C, h, w).

    Returns:
        y (N, O, H - h + 1, W - w + 1).
    """
    height, width = w.shape[2:]
    y = np.empty((len(x), len(w), x.shape[2] - height + 1, x.shape[3] - width + 1), x.dtype)
    for n in range(y.shape[0]):
        for o in range(y.shape[1]):
            for i in range(y.shape[2]):
                for j in range(y.shape[3]):
                    y[n, o, i, j] = np.sum(w[o] * x[n, :, i : i + height, j : j + width])
    return y


def _time(outcome: Outcome, colour: Array, small: bool) -> None:
    """Processor time of one thread each, forward only, on the same picture and kernels."""
    x = np.ascontiguousarray(colour[None, :, :60, :80] if small else colour[None], np.float32) / 255
    rng = np.random.default_rng(0)
    w = rng.normal(size=(4, 3, 3, 3)).astype(np.float32)
    tensors = torch.tensor(x), torch.tensor(w)
    runs: dict[str, tuple[int, Callable[[], Any]]] = {
        "four loops": (1, lambda: four_loops(x, w)),
        "scratch": (15, lambda: F.conv2d(x, w)[0]),
        "torch": (15, lambda: torch.nn.functional.conv2d(*tensors).numpy()),
    }
    seconds, answers = {}, {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            for name, (repeats, once) in runs.items():
                taken = []
                for _ in range(repeats):
                    start = time.thread_time()
                    answers[name] = once()
                    taken.append(time.thread_time() - start)
                seconds[name] = min(taken)  # what disturbs a run only ever makes it slower
    finally:
        torch.set_num_threads(threads)
    times = {k: seconds["four loops"] / v for k, v in seconds.items()}
    outcome.numbers["seconds, forward only, one thread, float32"] = {
        "picture": list(x.shape),
        "kernels": list(w.shape),
        **seconds,
    }
    off = max(apart(answers["scratch"], answers[k]) for k in ("four loops", "torch"))
    off /= float(np.finfo(np.float32).eps)
    outcome.claim("four nested loops come to the same", f"{off:.1f} eps of float32 apart", off < 32)
    outcome.claim(
        "and are at least five times slower than either package, on the same picture",
        f"{times['scratch']:.0f} times slower than scratch, {times['torch']:.0f} than torch; "
        f"{seconds['four loops']:.2f} s, {1e3 * seconds['scratch']:.2f} ms, "
        f"{1e3 * seconds['torch']:.2f} ms",
        math.isfinite(off) and min(times["scratch"], times["torch"]) > 5,
    )
