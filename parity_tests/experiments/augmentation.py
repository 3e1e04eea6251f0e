"""Pictures, sentences and series changed at random while a network learns: where that helps.

    pictures   a hundred digits: moved, turned, lit otherwise, noisy, partly hidden, mixup, cutmix;
               judged as they are scanned, all in the middle, and moved and turned
    sentences  which chapter of Python's reference is it from? words left out, swapped, inserted,
               replaced; typing errors; judged as it is written, and with typing errors
    series     sunspots a year ahead from 22 before: noise, scaling, warps of magnitude and time

Guide: data augmentation [6136-6150], a list of words. Here each is drawn anew in every epoch from
real rows, few enough to over-fit, by a dense network, which sees as many rows with augmentation as
without. Series are changed together with the value to be forecast. What moved pictures do for a
convolutional network is in `regularisation`.

Sources: those of `datasets.augment`, `augment_pixels`, `mix`, `augment_text`, `augment_series`.
"""

import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np

from datasets import augment, augment_pixels, augment_series, augment_text, mix
from datasets.images import digit_images
from datasets.series import sunspots
from datasets.split import batch_stream, train_test_split
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, figure
from parity_tests.experiments.twins import Twins, apart, mlps
from parity_tests.harness.draw import Array
from scratch.training import metrics

Rng = np.random.Generator
ROWS, BATCH = 100, 25


@dataclass(frozen=True)
class Result:
    """One kind from one start.

    Attributes:
        measures: of scratch on the test rows, by name.
        drift: how far the twins' losses are apart over the run.
    """

    measures: dict[str, float]
    drift: float


Runs = Mapping[str, list[Result]]


def learn(
    pair: Twins,
    loss: str,
    epochs: Iterator[tuple[Array, Array]],
    count: int,
    seed: int,
) -> float:
    """Train both twins by Adam on what each epoch gives, and say how far apart they came.

    Args:
        pair: both.
        loss: name in both functional modules.
        epochs: inputs and targets of each.
        count: how many.
        seed: of the order of the rows.
    """
    x, t = (
        np.concatenate(part) for part in zip(*(next(epochs) for _ in range(count)), strict=True)
    )
    rows = len(x) // count
    steps = -(-rows // BATCH)
    stream = batch_stream(rows, BATCH, steps * count, seed)
    where = (batch + i // steps * rows for i, batch in enumerate(stream))
    losses = np.array(list(pair.train("Adam", {"lr": 0.003}, loss, x, t, where)))
    return apart(losses[:, 0], losses[:, 1])


# Pictures

PICTURES: dict[str, Callable[[Array, Array, Rng], tuple[Array, Array]]] = {
    "none": lambda x, t, rng: (x, t),
    "moved": lambda x, t, rng: (augment.random_shift(x, 1, rng), t),
    "turned": lambda x, t, rng: (augment_pixels.random_rotation(x, 20, rng), t),
    "lit otherwise": lambda x, t, rng: (
        augment_pixels.random_brightness_contrast(x, rng, brightness=0.2, contrast=0.4),
        t,
    ),
    "noisy": lambda x, t, rng: (augment_pixels.random_noise(x, 0.2, rng), t),
    "partly hidden": lambda x, t, rng: (augment_pixels.random_erasing(x, rng), t),
    "mixup": lambda x, t, rng: mix.mixup(x, t, rng, alpha=0.4),
    "cutmix": lambda x, t, rng: mix.cutmix(x, t, rng),
    "moved and turned": lambda x, t, rng: (
        augment.random_shift(augment_pixels.random_rotation(x, 20, rng), 1, rng),
        t,
    ),
}


def digits(kind: str, epochs: int, seed: int) -> Result:
    """Learn ROWS digits, changed in one way, and be judged by all others."""
    whole = digit_images()
    share = 1 - ROWS / len(whole.x)
    x, test_x, t, test_t = train_test_split(whole.x.astype(np.float64), whole.y, share, seed)
    rng = np.random.default_rng((seed, 3))
    changes = (PICTURES[kind](x, np.eye(10)[t], rng) for _ in range(epochs))
    flat = ((a.reshape(len(a), -1), b) for a, b in changes)
    pair = mlps((64, 64, 10), "ReLU", seed)
    drift = learn(pair, "cross_entropy", flat, epochs, seed)
    other = np.random.default_rng((seed, 8))
    elsewhere = PICTURES["moved and turned"](test_x, test_t, other)[0]
    return Result(
        {
            name: metrics.accuracy(pair(rows.reshape(len(rows), -1))[0], test_t)
            for name, rows in (("as scanned", test_x), ("moved and turned", elsewhere))
        },
        drift,
    )


# Sentences

CHAPTERS = ("debugger", "formatstrings", "import", "string-methods")
SYNONYMS = {
    "argument": ["parameter"],
    "returns": ["gives", "yields"],
    "return": ["give", "yield"],
    "string": ["text"],
    "function": ["callable", "routine"],
    "command": ["instruction"],
    "module": ["file"],
    "value": ["object"],
    "character": ["letter", "symbol"],
    "must": ["should"],
    "name": ["identifier"],
}
WIDTH = 512
SENTENCES: dict[str, Callable[[list[str], Rng], list[str]]] = {
    "none": lambda words, rng: words,
    "deletion": lambda words, rng: augment_text.random_deletion(words, 0.15, rng),
    "swap": lambda words, rng: augment_text.random_swap(words, 2, rng),
    "synonyms": lambda words, rng: augment_text.synonym_replacement(words, 2, SYNONYMS, rng),
    "insertion": lambda words, rng: augment_text.random_insertion(words, 2, SYNONYMS, rng),
    "typing errors": lambda words, rng: mistyped(words, rng),
}


def mistyped(words: list[str], rng: Rng) -> list[str]:
    """One character in ten is wrong."""
    return augment_text.character_noise(" ".join(words), 0.1, rng).split()


def sentences() -> tuple[list[list[str]], Array]:
    """Paragraphs of four chapters as words in small letters, and which chapter each is from."""
    words, chapters = [], []
    for k, chapter in enumerate(CHAPTERS):
        for paragraph in topics[chapter].split("\n\n"):
            found = re.findall(r"[a-z]+", paragraph.lower())
            if len(found) >= 10:
                words.append(found[:30])
                chapters.append(k)
    return words, np.array(chapters)


def features(rows: list[list[str]]) -> Array:
    """Counts of words and of pairs of neighbours, hashed into WIDTH columns, of length 1."""
    counts = np.zeros((len(rows), WIDTH))
    for row, words in zip(counts, rows, strict=True):
        pairs = [f"{a} {b}" for a, b in pairwise(words)]
        for token in [*words, *pairs]:
            row[zlib.crc32(token.encode()) % WIDTH] += 1
    length: Array = np.linalg.norm(counts, axis=1, keepdims=True)
    return counts / np.maximum(length, 1e-12)


def chapters(kind: str, epochs: int, seed: int) -> Result:
    """Learn from a third of the paragraphs, changed in one way; be judged by the others."""
    words, t = sentences()
    order = np.arange(len(words))
    train, test, train_t, test_t = train_test_split(order, t, 0.67, seed)
    rng = np.random.default_rng((seed, 4))
    change = SENTENCES[kind]
    made = (
        (features([change(list(words[i]), rng) for i in train]), train_t) for _ in range(epochs)
    )
    pair = mlps((WIDTH, 16, len(CHAPTERS)), "ReLU", seed)
    drift = learn(pair, "cross_entropy", made, epochs, seed)
    errors = np.random.default_rng((seed, 5))
    as_written = features([words[i] for i in test])
    with_errors = features([mistyped(words[i], errors) for i in test])
    return Result(
        {
            "as written": metrics.accuracy(pair(as_written)[0], test_t),
            "with typing errors": metrics.accuracy(pair(with_errors)[0], test_t),
        },
        drift,
    )


# Series

SERIES: dict[str, Callable[[Array, Rng], Array]] = {
    "none": lambda x, rng: x,
    "noise": lambda x, rng: augment_series.jitter(x, rng, std=0.1),
    "scaling": lambda x, rng: augment_series.scaling(x, rng, std=0.2),
    "magnitude": lambda x, rng: augment_series.magnitude_warp(x, rng, std=0.2, knots=2),
    "time": lambda x, rng: augment_series.time_warp(x, rng, std=0.2, knots=2),
}
CONTEXT, LEARNED = 22, 100


def forecast(kind: str, epochs: int, seed: int) -> Result:
    """Learn windows of the first years, changed in one way, and forecast those after."""
    y = np.sqrt(sunspots().values.astype(np.float64))
    mean, std = y[:LEARNED].mean(), y[:LEARNED].std()
    stretches = np.lib.stride_tricks.sliding_window_view((y - mean) / std, CONTEXT + 1)
    train, test = stretches[: LEARNED - CONTEXT].copy(), stretches[LEARNED - CONTEXT :].copy()
    rng = np.random.default_rng((seed, 6))
    changed = (SERIES[kind](train, rng) for _ in range(epochs))
    pair = mlps((CONTEXT, 32, 1), "ReLU", seed)
    parted = ((x[:, :-1], x[:, -1:]) for x in changed)
    drift = learn(pair, "mse_loss", parted, epochs, seed)
    return Result({"error": metrics.rmse(pair(test[:, :-1])[0], test[:, -1:])}, drift)


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Learn with each kind of augmentation and without.

    Args:
        out: folder for the figures.
        small: fewer epochs and kinds, two starts.
        seed: of the first start.

    Returns:
        Accuracies and errors, with the claims about them.
    """
    outcome = Outcome("augmentation")
    seeds = range(seed, seed + (2 if small else 6))
    kinds = ("none", "moved", "cutmix") if small else tuple(PICTURES)
    texts = ("none", "typing errors") if small else tuple(SENTENCES)
    ways = ("none", "time") if small else tuple(SERIES)
    pictures = {k: [digits(k, 30 if small else 100, s) for s in seeds] for k in kinds}
    text = {k: [chapters(k, 8 if small else 60, s) for s in seeds] for k in texts}
    series = {k: [forecast(k, 20 if small else 100, s) for s in seeds] for k in ways}
    every = [r for runs in (pictures, text, series) for done in runs.values() for r in done]
    drift = max(r.drift for r in every)
    outcome.claim(
        f"losses of both twins agree in all {len(every)} runs", f"{drift:.0e} apart", drift < 1e-9
    )
    _claims(outcome, pictures, text, series, small)
    paths = [out / f"augmentation_{name}.png" for name in ("results", "examples")]
    _draw_results(paths[0], pictures, text, series)
    outcome.figures.append(paths[0])
    if not small:
        _draw_examples(paths[1], seed)
        outcome.figures.append(paths[1])
    return outcome


def measured(runs: Runs, name: str) -> dict[str, Array]:
    """A measure by kind, of each start."""
    return {kind: np.array([r.measures[name] for r in done]) for kind, done in runs.items()}


def _claims(outcome: Outcome, pictures: Runs, text: Runs, series: Runs, small: bool) -> None:
    tables = {
        "digits, accuracy as scanned": measured(pictures, "as scanned"),
        "digits, accuracy moved and turned": measured(pictures, "moved and turned"),
        "chapters, accuracy as written": measured(text, "as written"),
        "chapters, accuracy with typing errors": measured(text, "with typing errors"),
        "sunspots, error in standard deviations": measured(series, "error"),
    }
    lines = []
    for name, table in tables.items():
        outcome.numbers[name] = {kind: v.tolist() for kind, v in table.items()}
        cells = ", ".join(
            f"{kind} {v.mean():.3f} ({_better(v, table['none'], 'sunspots' in name)} of {len(v)})"
            for kind, v in table.items()
        )
        lines.append(f"{name}: {cells}")
    outcome.text = "means, and in how many starts it is better than without\n" + "\n".join(lines)
    scanned = tables["digits, accuracy as scanned"]
    elsewhere = tables["digits, accuracy moved and turned"]
    cost, gain = (t["moved"] - t["none"] for t in (scanned, elsewhere))
    outcome.claim(
        "moving digits pays where test digits are moved and turned, in every start, and costs "
        "where all are in the middle, in the mean: a dense network learns each place anew",
        f"{100 * gain.min():+.1f} to {100 * gain.max():+.1f} points there, "
        f"{100 * cost.mean():+.1f} in the middle",
        bool(gain.min() > 0 and cost.mean() < 0),
    )
    sun = tables["sunspots, error in standard deviations"]
    outcome.claim(
        "time that runs faster and slower makes the forecast of sunspots better, in every start",
        f"error {sun['none'].mean():.3f} to {sun['time'].mean():.3f} in the mean",
        bool(np.all(sun["time"] < sun["none"])),
    )
    if small:
        return
    errors = tables["chapters, accuracy with typing errors"]
    outcome.claim(
        "who has learned from typing errors reads them better, in the mean",
        f"{errors['none'].mean():.1%} to {errors['typing errors'].mean():.1%} of the paragraphs",
        float(errors["typing errors"].mean()) > float(errors["none"].mean()),
    )
    means = {kind: float((v - scanned["none"]).mean()) for kind, v in scanned.items()}
    outcome.claim(
        "on digits as they are scanned no change helps a dense network much",
        ", ".join(f"{kind} {100 * v:+.1f}" for kind, v in means.items() if kind != "none")
        + " points",
        max(means.values()) < 0.03,
    )


def _better(values: Array, without: Array, lower: bool) -> int:
    return int(np.sum(values < without if lower else values > without))


def _draw_results(path: Path, pictures: Runs, text: Runs, series: Runs) -> None:
    panels = (
        ("digits: accuracy as scanned, %", measured(pictures, "as scanned"), 100),
        ("digits: moved and turned, %", measured(pictures, "moved and turned"), 100),
        ("chapters: accuracy as written, %", measured(text, "as written"), 100),
        ("chapters: with typing errors, %", measured(text, "with typing errors"), 100),
        ("sunspots: error, std", measured(series, "error"), 1),
    )
    with figure(path, 1, 5, (20, 4.8)) as (fig, axes):
        for ax, (label, table, scale) in zip(axes, panels, strict=True):
            for k, (kind, values) in enumerate(table.items()):
                at = k + np.linspace(-0.18, 0.18, len(values))
                color = "0.35" if kind == "none" else CLASSES[k % len(CLASSES)]
                ax.plot(at, scale * values, "o", mfc="none", mec=color, ms=5)
                ax.plot([k - 0.3, k + 0.3], [scale * values.mean()] * 2, color=color, lw=2)
            ax.axhline(scale * float(table["none"].mean()), color="0.35", lw=0.8, ls=":")
            ax.set_xticks(range(len(table)), list(table), rotation=35, ha="right")
            ax.set_title(label)
        fig.suptitle("With each augmentation and without: every start, and the mean", fontsize=13)


def _draw_examples(path: Path, seed: int) -> None:
    """Of seven digits the one that is changed most; all series on one axis."""
    x, t = digit_images().x[:7].astype(np.float64), np.eye(7)
    rng = np.random.default_rng(seed)
    y = np.sqrt(sunspots().values[:60].astype(np.float64))
    y = (y - y.mean()) / y.std()
    words = sentences()[0][0][:12]
    with figure(path, 3, 9, (15, 6), height_ratios=(1, 1.1, 0.6)) as (fig, axes):
        for ax, (kind, change) in zip(axes[0], PICTURES.items(), strict=True):
            shown = change(x, t, rng)[0]
            most = int(np.abs(shown - x).sum((1, 2, 3)).argmax()) if kind != "none" else 4
            ax.imshow(shown[most, 0], cmap="gray_r", vmin=0, vmax=1)
            ax.set_title(kind, fontsize=9)
            ax.set(xticks=[], yticks=[])
            ax.grid(False)
        grid = axes[0, 0].get_gridspec()
        for ax in axes[1:].flat:
            ax.remove()
        row = grid[1, :].subgridspec(1, len(SERIES))
        for place, (name, warp) in zip(row, SERIES.items(), strict=True):
            ax = fig.add_subplot(place)
            ax.plot(y, color="0.6", lw=1)
            ax.plot(warp(y[None], rng)[0], color=CLASSES[1], lw=1.1)
            ax.set_title(name, fontsize=9)
            ax.set(xticks=[], yticks=[], ylim=(1.5 * y.min(), 1.5 * y.max()))
        ax = fig.add_subplot(grid[2, :])
        ax.axis("off")
        written = [
            f"{kind:14} {' '.join(change(list(words), rng))}" for kind, change in SENTENCES.items()
        ]
        ax.text(0, 1, "\n".join(written), family="monospace", fontsize=9, va="top")
        fig.suptitle("Digits, sunspots and a sentence, changed at random", fontsize=13)
