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

from collections.abc import Iterator
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


def load(seed: int) -> Data:
    """ROWS digits, the classes in equal shares, and the others."""
    whole = digit_images()
    share = 1 - ROWS / len(whole.x)
    x, test_x, t, test_y = train_test_split(whole.x.astype(np.float64), whole.y, share, seed)
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
