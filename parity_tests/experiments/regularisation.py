"""Over-fitting for real, and what dropout and moved pictures do about it.

    dropout        y = x m / (1 - p)       whole feature maps behind the convolutions, single units
                                           before the last layer
    augmentation   every picture anew in each epoch, moved by at most a pixel either way

Guide: preventing over-fitting [5645-5745]. There dropout is shown on random numbers, no network is
trained with it, and the losses that part are made up further on; its advice to expect 95% right on
the training and 70% on the other rows is not what a small set of digits gives. Here a convolutional
network learns 100 of them by heart, plainly, with dropout, with moved pictures, and with both; both
twins are given the same pictures and draw the same masks.

Sources: Srivastava et al. 2014, JMLR 15(56); Tompson et al. 2015, arXiv:1411.4280.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets.augment import random_shift
from datasets.images import digit_images
from datasets.split import Standardizer, batch_stream, train_test_split
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, figure
from parity_tests.experiments.twins import Twins, apart, built
from parity_tests.harness.draw import Array, same_draws
from scratch import nn
from scratch.nn import functional as F
from scratch.random import Generator

ROWS, BATCH, SHIFT = 100, 25, 1
P_MAPS, P_UNITS = 0.2, 0.5
KINDS = {
    "plain": (False, False),
    "dropout": (True, False),
    "moved": (False, True),
    "both": (True, True),
}
COLOURS = dict(zip(KINDS, ("0.35", CLASSES[1], CLASSES[0], CLASSES[2]), strict=True))


@dataclass(frozen=True, eq=False)
class Data:
    """A few digits to learn from, and all others to test with, standardised.

    Attributes:
        x: (ROWS, 1, 8, 8).
        t: their classes.
        test_x: (m, 1, 8, 8).
        test_y: their classes.
        moved_x: test_x, each moved by a pixel or none either way.
        black: what paper, 0, became.
    """

    x: Array
    t: Array
    test_x: Array
    test_y: Array
    moved_x: Array
    black: float


def load(seed: int, tests: int | None = None) -> Data:
    """ROWS digits, the classes in equal shares, and as many of the others, None for all."""
    whole = digit_images()
    share = 1 - ROWS / len(whole.x)
    x, test_x, t, test_y = train_test_split(whole.x.astype(np.float64), whole.y, share, seed)
    test_x, test_y = test_x[:tests], test_y[:tests]
    scale = Standardizer.fit(x)
    z, test_z = scale(x), scale(test_x)
    black = float(scale(np.zeros((1, 1, 8, 8))).max())
    moved = random_shift(test_z, SHIFT, np.random.default_rng((seed, 1)), fill=black)
    return Data(z, t, test_z, test_y, moved, black)


class Drop(torch.nn.Module):
    """torch's Dropout and Dropout2d, which draw from a generator of their own, as scratch's do.

    Args:
        p: share to drop.
        maps: whether whole feature maps are dropped.
    """

    generator: torch.Generator

    def __init__(self, p: float, maps: bool) -> None:
        super().__init__()
        self.p, self.maps = p, maps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """y = x m / (1 - p)."""
        if not self.training:
            return x
        shape = (*x.shape[:2], 1, 1) if self.maps else x.shape
        keep = torch.full(shape, 1 - self.p, dtype=x.dtype)
        return x * torch.bernoulli(keep, generator=self.generator) / (1 - self.p)


def network(dropout: bool, lib: Any) -> Any:
    """Two convolutions with pooling, two dense layers; dropout behind all but the last."""
    ours = lib is nn
    maps: list[Any] = [nn.Dropout2d(P_MAPS) if ours else Drop(P_MAPS, True) for _ in range(2)]
    units: list[Any] = [nn.Dropout(P_UNITS) if ours else Drop(P_UNITS, False)]
    if not dropout:
        maps, units = [lib.Identity(), lib.Identity()], [lib.Identity()]
    first = [lib.Conv2d(1, 16, 3, padding=1), lib.ReLU(), lib.MaxPool2d(2), maps[0]]
    second = [lib.Conv2d(16, 32, 3, padding=1), lib.ReLU(), lib.MaxPool2d(2), maps[1]]
    dense = [lib.Flatten(), lib.Linear(128, 64), lib.ReLU(), *units, lib.Linear(64, 10)]
    return lib.Sequential(*first, *second, *dense)


def twins(dropout: bool, seed: int) -> Twins:
    """Both networks from one start, their masks from two generators at one seed."""
    pair = built(partial(network, dropout), seed)
    ours, theirs = Generator(seed), torch.Generator().manual_seed(seed)
    for layer in pair.ours.modules():
        if isinstance(layer, nn.Dropout | nn.Dropout2d):
            layer.generator = ours
    for module in pair.theirs.modules():
        if isinstance(module, Drop):
            module.generator = theirs
    return pair


@dataclass
class Run:
    """One kind from one start; each pair is scratch's and torch's.

    Attributes:
        losses: of each batch.
        train: loss over the pictures as they are, after each look.
        test: over the test pictures.
        right: share of the test pictures that is named correctly.
        moved: share of those that were moved, at the end.
        learnt: share of the training pictures, at the end.
    """

    losses: list[tuple[float, float]] = field(default_factory=list)
    train: list[tuple[float, float]] = field(default_factory=list)
    test: list[tuple[float, float]] = field(default_factory=list)
    right: list[tuple[float, float]] = field(default_factory=list)
    moved: tuple[float, float] = (0.0, 0.0)
    learnt: tuple[float, float] = (0.0, 0.0)

    @property
    def gap(self) -> tuple[float, float]:
        """How much higher the loss is on the test pictures at the end."""
        return self.test[-1][0] - self.train[-1][0], self.test[-1][1] - self.train[-1][1]

    @property
    def drift(self) -> float:
        """How far the twins' losses are apart, relative to the largest."""
        kinds = (self.losses, self.train, self.test)
        return max(apart(*zip(*some, strict=True)) for some in kinds)

    @property
    def rise(self) -> tuple[float, float]:
        """By what factor the test loss ends above its lowest."""
        test = np.array(self.test)
        ours, theirs = test[-1] / test.min(0)
        return float(ours), float(theirs)


def judged(pair: Twins, x: Array, t: Array) -> tuple[tuple[float, float], tuple[float, float]]:
    """Cross-entropy and accuracy of both, in evaluation mode."""
    ours, theirs = pair(x)
    loss = torch.nn.functional.cross_entropy(torch.from_numpy(theirs), torch.from_numpy(t))
    hits = [float(np.mean(z.argmax(1) == t)) for z in (ours, theirs)]
    return (float(F.cross_entropy(ours, t)[0]), loss.item()), (hits[0], hits[1])


def fed(data: Data, moved: bool, epochs: int, seed: int) -> tuple[Array, Array, Iterator[Array]]:
    """Pictures, classes and batches of all epochs; the same order of rows for all kinds.

    Args:
        data: digits.
        moved: whether every picture of every epoch is moved anew.
        epochs: how many.
        seed: of the order and the moves.
    """
    stream = batch_stream(ROWS, BATCH, epochs * (ROWS // BATCH), seed)
    if not moved:
        return data.x, data.t, stream
    rng = np.random.default_rng((seed, 2))
    epoch = [random_shift(data.x, SHIFT, rng, fill=data.black) for _ in range(epochs)]
    where = (rows + i // (ROWS // BATCH) * ROWS for i, rows in enumerate(stream))
    return np.concatenate(epoch), np.tile(data.t, epochs), where


def learn(kind: str, data: Data, epochs: int, every: int, seed: int) -> Run:
    """Train both twins by one kind, and judge them every few epochs."""
    dropout, moved = KINDS[kind]
    pair = twins(dropout, seed)
    x, t, stream = fed(data, moved, epochs, seed)
    pairs = pair.train("Adam", {"lr": 0.003}, "cross_entropy", x, t, stream)
    result = Run()

    def look() -> None:
        result.train.append(judged(pair, data.x, data.t)[0])
        loss, hits = judged(pair, data.test_x, data.test_y)
        result.test.append(loss)
        result.right.append(hits)

    look()
    for _ in range(epochs // every):
        result.losses += islice(pairs, every * (ROWS // BATCH))
        look()
    result.moved = judged(pair, data.moved_x, data.test_y)[1]
    result.learnt = judged(pair, data.x, data.t)[1]
    return result


Runs = dict[str, list[Run]]


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Learn the same few digits in four ways.

    Args:
        out: folder for the figures.
        small: fewer epochs and test digits, from one start.
        seed: of the first start.

    Returns:
        Losses, gaps and accuracies, with the claims about them.
    """
    outcome = Outcome("regularisation")
    epochs, starts, every = (56, 1, 8) if small else (160, 5, 8)
    data = {s: load(s, 300 if small else None) for s in range(seed, seed + starts)}
    runs: Runs = {
        kind: [learn(kind, rows, epochs, every, s) for s, rows in data.items()] for kind in KINDS
    }
    _same_inputs(outcome, runs, data[seed], seed)
    _claims(outcome, runs, epochs, every)
    paths = [out / f"regularisation_{name}.png" for name in ("curves", "ends", "inputs")]
    _draw_curves(paths[0], runs, every)
    _draw_ends(paths[1], runs)
    _draw_inputs(paths[2], data[seed], seed)
    outcome.figures += paths
    return outcome


def behind_dropout(pair: Twins, x: Array, training: bool) -> list[tuple[Array, Array]]:
    """The outputs of each dropout layer of both in one forward."""
    ours: list[Array] = []
    theirs: list[Array] = []

    def note(kept: list[Array], module: Any, args: Any, output: Any) -> None:
        kept.append(np.asarray(output))

    removers: list[Callable[[], None]] = []
    for layer in pair.ours.modules():
        if isinstance(layer, nn.Dropout | nn.Dropout2d):
            removers.append(layer.register_forward_hook(partial(note, ours)))
    for module in pair.theirs.modules():
        if isinstance(module, Drop):
            removers.append(module.register_forward_hook(partial(note, theirs)).remove)
    pair.ours.train(training)(x)
    with torch.no_grad():
        pair.theirs.train(training)(torch.from_numpy(x))
    for remove in removers:
        remove()
    return list(zip(ours, theirs, strict=True))


def _same_inputs(outcome: Outcome, runs: Runs, data: Data, seed: int) -> None:
    """Masks of both twins, and torch's own Dropout."""
    drawn = behind_dropout(twins(True, seed), data.x, training=True)
    shares = [1 - float(np.count_nonzero(a) / a.size) for a, _ in drawn]
    outcome.claim(
        "both twins drop the same feature maps and units",
        f"{len(drawn)} layers on {len(data.x)} pictures, "
        + ", ".join(f"{s:.0%}" for s in shares)
        + " of the entries zero, by ReLU or dropped",
        len(drawn) == 3 and all(np.array_equal(a != 0, b != 0) for a, b in drawn),
    )
    if same_draws():  # not where torch has MKL on an Intel processor
        x = np.abs(np.random.default_rng(seed).normal(size=(9, 16, 4, 4))) + 0.1
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            theirs = [torch.nn.Dropout2d(P_MAPS).double()(torch.from_numpy(x)).numpy()]
            theirs.append(torch.nn.Dropout(P_UNITS)(torch.from_numpy(x)).numpy())
        generator = Generator(seed)
        ours = [nn.Dropout2d(P_MAPS, generator=generator)(x)[0]]
        ours.append(nn.Dropout(P_UNITS, generator=generator)(x)[0])
        outcome.claim(
            "torch's own Dropout2d and Dropout drop the same from the same seed",
            "every entry",
            all(np.array_equal(a != 0, b != 0) for a, b in zip(ours, theirs, strict=True)),
        )
    drift = {kind: max(r.drift for r in done) for kind, done in runs.items()}
    outcome.numbers["twins apart"] = drift
    outcome.claim(
        f"losses of both twins agree in all {sum(map(len, runs.values()))} runs",
        ", ".join(f"{kind} {d:.0e}" for kind, d in drift.items()) + " apart at most",
        max(drift.values()) < 1e-9,
    )


def _claims(outcome: Outcome, runs: Runs, epochs: int, every: int) -> None:
    lines = [
        f"{ROWS} digits, {epochs} epochs, mean of {len(runs['plain'])} start(s)",
        f"{'':9}{'training':>9}{'test loss':>10}{'lowest':>8}{'gap':>7}{'accuracy':>10}"
        f"{'moved':>7}",
    ]
    means: dict[str, dict[str, float]] = {}
    for kind, done in runs.items():
        m = means[kind] = {
            "training loss": float(np.mean([r.train[-1] for r in done])),
            "test loss": float(np.mean([r.test[-1] for r in done])),
            "lowest test loss": float(np.mean([np.min(r.test, axis=0) for r in done])),
            "gap": float(np.mean([r.gap for r in done])),
            "test accuracy": float(np.mean([r.right[-1] for r in done])),
            "accuracy on moved": float(np.mean([r.moved for r in done])),
        }
        lines.append(
            f"{kind:9}{m['training loss']:9.4f}{m['test loss']:10.3f}"
            f"{m['lowest test loss']:8.3f}{m['gap']:7.3f}{m['test accuracy']:10.1%}"
            f"{m['accuracy on moved']:7.1%}"
        )
    outcome.text = "\n".join(lines)
    outcome.numbers |= {"epochs": epochs, "means": means}
    outcome.numbers["each start"] = {
        kind: {
            "gap": [r.gap for r in done],
            "test accuracy": [r.right[-1] for r in done],
            "lowest test loss": [np.min(r.test, axis=0).tolist() for r in done],
            "accuracy on moved": [r.moved for r in done],
        }
        for kind, done in runs.items()
    }

    def each(kind: str, measure: Callable[[Run], Any]) -> Array:
        """A number of each start and twin."""
        return np.array([measure(r) for r in runs[kind]])

    def right(kind: str) -> Array:
        return each(kind, lambda r: r.right[-1])

    def lowest(kind: str) -> Array:
        return each(kind, lambda r: np.min(r.test, axis=0))

    def gap(kind: str) -> Array:
        return each(kind, lambda r: r.gap)

    def rise(kind: str) -> Array:
        return each(kind, lambda r: r.rise)

    known, plain = each("plain", lambda r: r.learnt), right("plain")
    outcome.claim(
        f"the plain network knows the {ROWS} digits by heart, and fewer than 95% of the others",
        f"{known.min():.0%} of the training, {plain.min():.1%} to {plain.max():.1%} of the test "
        "digits right",
        bool(known.min() == 1 and 0.8 < plain.min() <= plain.max() < 0.95),
    )
    outcome.claim(
        "its test loss rises again while the training loss falls on, in every start",
        f"to {rise('plain').min():.2f} to {rise('plain').max():.2f} times its lowest",
        bool(rise("plain").min() > 1.02),
    )
    outcome.claim(
        "dropout lowers the lowest test loss in every start, but then that rises again too",
        f"mean {lowest('plain').mean():.3f} to {lowest('dropout').mean():.3f}; "
        f"{rise('dropout').min():.2f} to "
        f"{rise('dropout').max():.2f} times that at the end",
        bool(np.all(lowest("dropout") < lowest("plain")) and rise("dropout").min() > 1.01),
    )
    outcome.claim(
        "moved pictures narrow the gap in every start, and in the mean more than dropout does",
        f"mean gap {means['plain']['gap']:.2f} to {means['moved']['gap']:.2f}, with dropout "
        f"{means['dropout']['gap']:.2f}",
        bool(np.all(gap("moved") < gap("plain")))
        and means["moved"]["gap"] < means["dropout"]["gap"],
    )
    if epochs > 100:
        outcome.claim(
            "they raise the accuracy on the digits as they are in every start, too",
            f"mean {means['plain']['test accuracy']:.1%} to {means['moved']['test accuracy']:.1%}, "
            f"with dropout {means['dropout']['test accuracy']:.1%}",
            bool(np.all(right("moved") > plain)),
        )
    moved = {kind: each(kind, lambda r: r.moved) for kind in runs}
    outcome.claim(
        "test digits that are moved by at most a pixel are lost on networks that never saw any "
        "moved, even with dropout",
        ", ".join(f"{kind} {v.min():.0%} to {v.max():.0%}" for kind, v in moved.items()),
        bool(max(moved["plain"].max(), moved["dropout"].max()) < 0.6)
        and bool(min(moved["moved"].min(), moved["both"].min()) > 0.75),
    )
    early = 56 // every
    halfway = {kind: each(kind, lambda r: r.train[early]) for kind in runs}
    outcome.claim(
        "both together learn slowest",
        "training loss after 56 epochs: "
        + ", ".join(f"{kind} {v.mean():.3f}" for kind, v in halfway.items()),
        all(bool(np.all(halfway["both"] > v)) for kind, v in halfway.items() if kind != "both"),
    )
    if epochs > 100:
        outcome.claim(
            "and, given the time, end with the narrowest gap and the lowest test loss",
            ", ".join(f"{k} {m['gap']:.2f} and {m['test loss']:.2f}" for k, m in means.items()),
            all(
                means["both"][what] < m[what]
                for kind, m in means.items()
                if kind != "both"
                for what in ("gap", "test loss")
            ),
        )


def _draw_curves(path: Path, runs: Runs, every: int) -> None:
    with figure(path, 1, 4, (16, 4.6), sharey=True) as (fig, axes):
        for ax, (kind, done) in zip(axes, runs.items(), strict=True):
            for i, r in enumerate(done):
                at = every * np.arange(len(r.test))
                for values, style, label in (
                    (r.test, "-", "test digits"),
                    (r.train, "--", "training digits"),
                ):
                    ours, theirs = np.array(values).T
                    ax.semilogy(
                        at, ours, style, color=COLOURS[kind], lw=1.3, label=None if i else label
                    )
                    ax.semilogy(at[::4], theirs[::4], "o", mfc="none", mec=COLOURS[kind], ms=4)
            gap = np.mean([r.gap[0] for r in done])
            hits = np.mean([r.right[-1][0] for r in done])
            ax.set_title(f"{kind}: gap {gap:.2f}, {hits:.1%} right")
            ax.set_xlabel("epoch")
            ax.plot([], [], "o", mfc="none", mec="0.2", ms=4, label="the same in torch")
            ax.legend(fontsize=8, loc="lower left")
        axes[0].set_ylabel("cross-entropy")
        fig.suptitle(
            f"{ROWS} digits to learn from: the gap narrows from left to right",
            fontsize=13,
        )


def _draw_ends(path: Path, runs: Runs) -> None:
    with figure(path, 1, 3, (14, 4.4)) as (fig, axes):
        measures = (
            ("gap of the losses", [[r.gap for r in done] for done in runs.values()], 1),
            ("test accuracy, %", [[r.right[-1] for r in done] for done in runs.values()], 100),
            (
                "accuracy on moved test digits, %",
                [[r.moved for r in done] for done in runs.values()],
                100,
            ),
        )
        for ax, (label, values, scale) in zip(axes, measures, strict=True):
            for i, (kind, pairs) in enumerate(zip(runs, values, strict=True)):
                both = scale * np.array(pairs)
                at = i + np.linspace(-0.15, 0.15, len(both)) if len(both) > 1 else np.array([i])
                ax.plot(at, both[:, 0], "x", color=COLOURS[kind], ms=8)
                ax.plot(at, both[:, 1], "o", mfc="none", mec=COLOURS[kind], ms=9)
                mean = both[:, 0].mean()
                ax.plot([i - 0.3, i + 0.3], [mean, mean], color=COLOURS[kind], lw=1)
                ax.text(
                    i + 0.33, mean, f"{mean:.{2 if scale == 1 else 1}f}", fontsize=8, va="center"
                )
            ax.set_xticks(range(len(runs)), list(runs))
            ax.set_xlim(-0.6, len(runs) - 0.2)
            ax.set_ylabel(label)
        axes[0].set_ylim(bottom=0)
        axes[0].plot([], [], "kx", label="scratch, each start")
        axes[0].plot([], [], "ko", mfc="none", label="torch")
        axes[0].legend(fontsize=8)
        fig.suptitle(
            "At the end: moved pictures help, and most where the test digits are moved",
            fontsize=13,
        )


def _draw_inputs(path: Path, data: Data, seed: int) -> None:
    pair = twins(True, seed)
    whole, dropped = (
        behind_dropout(pair, data.x[:1], training=mode)[0][0][0] for mode in (False, True)
    )
    rng = np.random.default_rng((seed, 2))
    with figure(path, 2, 8, (12, 4.2)) as (fig, axes):
        axes[0, 0].imshow(data.x[0, 0], cmap="gray_r")
        axes[0, 0].set_title("a digit", fontsize=9)
        for ax in axes[0, 1:]:
            picture = random_shift(data.x[:1], SHIFT, rng, fill=data.black)
            ax.imshow(picture[0, 0], cmap="gray_r")
            ax.set_title("moved", fontsize=9)
        for k, ax in enumerate(axes[1]):
            ax.imshow(dropped[k], cmap="gray_r", vmin=0, vmax=dropped.max())
            gone = whole[k].any() and not dropped[k].any()
            ax.set_title(f"map {k}, " + ("dropped" if gone else "kept"), fontsize=9)
        for ax in axes.flat:
            ax.set(xticks=[], yticks=[])
            ax.grid(False)
        fig.suptitle("What is drawn anew each time: moves of the picture, feature maps to drop")
