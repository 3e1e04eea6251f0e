"""Generators and discriminators of both packages, from one start and on the same draws."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

import scratch.models
import scratch.optim
import torch_ref.models
from parity_tests.experiments.twins import Twins, alike
from parity_tests.harness.draw import Array
from scratch import training
from torch_ref import training as torch_training

Make = Callable[[Any], tuple[Any, Any]]


@dataclass(frozen=True)
class Way:
    """How a game is played.

    Attributes:
        make: the generator and the discriminator of a package of models.
        game: arguments of `Game`.
        lr: Adam's rate.
        betas: Adam's.
    """

    make: Make
    game: Mapping[str, Any] = field(default_factory=dict)
    lr: float = 1e-3
    betas: tuple[float, float] = (0.5, 0.999)


@dataclass
class Duel:
    """Two players in each package, or in scratch alone.

    Attributes:
        generator: the twins, in float64.
        discriminator: the same.
        losses: D's and G's of each round, scratch; NaN where G took no step.
        reference: the same in torch, if it plays.
        samples: by round, what the generator makes of the same noise; scratch and torch.
    """

    generator: Twins
    discriminator: Twins
    losses: list[tuple[float, float]] = field(default_factory=list)
    reference: list[tuple[float, float]] = field(default_factory=list)
    samples: dict[int, tuple[Array, Array]] = field(default_factory=dict)

    @property
    def apart(self) -> float:
        """The largest difference of a loss or a sample of the twins, relative to the largest."""
        pairs = [np.array([self.losses, self.reference]), *map(np.array, self.samples.values())]
        return max(float(np.nanmax(np.abs(a - b)) / np.nanmax(np.abs(b))) for a, b in pairs)

    def of_discriminator(self) -> Array:
        """D's losses in scratch."""
        return np.array(self.losses)[:, 0]


def draws(
    real: Array, steps: int, batch: int, latent: int, seed: int, labels: Array | None = None
) -> Iterator[training.Round]:
    """Batches of the data, drawn with replacement, and noise."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        rows = rng.integers(0, len(real), batch)
        z, again = rng.standard_normal((2, batch, latent))
        label = None if labels is None else labels[rows]
        yield training.Round(real[rows], z, again, rng.random(batch), label)


def duel(
    way: Way,
    rounds: Iterator[training.Round],
    noise: Array,
    watched: Callable[[int], bool],
    seed: int,
    *,
    both: bool = True,
    label: Array | None = None,
) -> Duel:
    """Play, and look at what the generators make of `noise` on the way.

    Args:
        way: how.
        rounds: what both are given.
        noise: z (n, latent), to be made into samples.
        watched: whether to sample after a round.
        seed: torch's, of the start.
        both: whether torch plays too.
        label: classes of the samples, if the networks take them.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        theirs = way.make(torch_ref.models)
    pairs = [alike(a, b) for a, b in zip(way.make(scratch.models), theirs, strict=True)]
    result = Duel(*pairs)
    options: dict[str, Any] = {"lr": way.lr, "betas": way.betas}
    ours = [p.ours for p in pairs]
    mine: Any = [scratch.optim.Adam(net.parameters(), **options) for net in ours]
    yours: Any = [torch.optim.Adam(net.parameters(), **options) for net in theirs]
    labels = () if label is None else (label,)
    tensors = [torch.from_numpy(a) for a in (noise, *labels)]
    kept = list(rounds)
    played = training.train_adversarial(ours[0], ours[1], mine, training.Game(**way.game), kept)
    reference = torch_training.train_adversarial(
        theirs[0], theirs[1], yours, torch_training.Game(**way.game), map(_tensors, kept)
    )
    for record in played:
        result.losses.append(_numbers(record))
        if both:
            result.reference.append(_numbers(next(reference)))
        if watched(record.step):
            x, _ = ours[0].eval()(noise, *labels)
            with torch.no_grad():
                y = theirs[0].eval()(*tensors).numpy() if both else x
            result.samples[record.step] = (x, y)
    return result


def _tensors(given: training.Round) -> torch_training.Round:
    parts: list[Any] = [None if a is None else torch.from_numpy(a) for a in given]
    return torch_training.Round(*parts)


def _numbers(record: Any) -> tuple[float, float]:
    return record.discriminator, np.nan if record.generator is None else record.generator
