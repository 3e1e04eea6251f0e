"""Generators and discriminators of both packages, from one start and on the same draws."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

import scratch.models
import scratch.optim
import torch_ref.models
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.twins import Twins, alike, nudged
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
        average: what a moving average of the generator's weights keeps at each round, of which the
            samples are then; None: of the generator itself.
        slower: factor of the discriminator's rate.
        sampling: further arguments of the generator where it is sampled.
    """

    make: Make
    game: Mapping[str, Any] = field(default_factory=dict)
    lr: float = 1e-3
    betas: tuple[float, float] = (0.5, 0.999)
    average: float | None = None
    slower: float = 1.0
    sampling: Mapping[str, Any] = field(default_factory=dict)

    def optimizers(self, package: Any, players: Sequence[Any]) -> Any:
        """Adam of either player."""
        return tuple(
            package.Adam(net.parameters(), lr=rate, betas=self.betas)
            for net, rate in zip(players, (self.lr, self.lr * self.slower), strict=True)
        )


@dataclass
class Duel:
    """Two players in each package, or in scratch alone.

    Attributes:
        generator: the twins, in float64.
        discriminator: the same.
        kept: what is sampled, of scratch: the generator's moving average, or the generator.
        losses: D's and G's of each round, scratch; NaN where G took no step.
        reference: the same in torch, if it plays.
        shadow: the same in torch from a start that is one floating-point number higher in every
            weight: how far apart the game itself takes what differs by a rounding.
        samples: by round, what the generator makes of the same noise; scratch and torch.
    """

    generator: Twins
    discriminator: Twins
    kept: Callable[..., tuple[Array, Any]]
    losses: list[tuple[float, float]] = field(default_factory=list)
    reference: list[tuple[float, float]] = field(default_factory=list)
    shadow: list[tuple[float, float]] = field(default_factory=list)
    samples: dict[int, tuple[Array, Array]] = field(default_factory=dict)

    @property
    def apart(self) -> Array:
        """Difference of the twins' D losses after each round, relative to the largest so far."""
        return _apart(self.losses, self.reference)

    @property
    def strayed(self) -> Array:
        """The same of torch and its shadow."""
        return _apart(self.shadow, self.reference)

    def agreement(self, limit: float = 1e-6) -> tuple[int, int]:
        """Rounds until the twins, and until torch and its shadow, are that far apart."""
        first, second = (
            int(np.argmax(gap > limit)) if np.any(gap > limit) else len(gap)
            for gap in (self.apart, self.strayed)
        )
        return first, second


def _apart(a: list[tuple[float, float]], b: list[tuple[float, float]]) -> Array:
    x, y = np.array(a)[:, 0], np.array(b)[:, 0]
    gap: Array = np.abs(x - y) / np.maximum.accumulate(np.abs(y))
    return gap


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
        both: whether torch plays too, and its shadow.
        label: classes of the samples, if the networks take them.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        theirs = way.make(torch_ref.models)
    for net in theirs:
        net.double()
    shadow = [nudged(net) for net in theirs]
    pairs = [alike(a, b) for a, b in zip(way.make(scratch.models), theirs, strict=True)]
    ours = [p.ours for p in pairs]
    makers: tuple[Any, Any] = ours[0], theirs[0]
    averages = () if way.average is None else pairs[0].averages(way.average)
    result = Duel(pairs[0], pairs[1], partial((averages or makers)[0], **way.sampling))
    mine = way.optimizers(scratch.optim, ours)
    labels = () if label is None else (label,)
    tensors = [torch.from_numpy(a) for a in (noise, *labels)]
    kept = list(rounds)
    played = training.train_adversarial(ours[0], ours[1], mine, training.Game(**way.game), kept)
    torch_games = []
    for first, second in (theirs, shadow):
        yours = way.optimizers(torch.optim, (first, second))
        torch_games.append(
            torch_training.train_adversarial(
                first, second, yours, torch_training.Game(**way.game), map(as_tensors, kept)
            )
        )
    for record in played:
        result.losses.append(_numbers(record))
        if both:
            for game, losses in zip(torch_games, (result.reference, result.shadow), strict=True):
                losses.append(_numbers(next(game)))
        for average, net in zip(averages, makers, strict=False):
            average.update_parameters(net)
        if watched(record.step):
            mine_now, theirs_now = averages or makers
            x, _ = mine_now.eval()(noise, *labels, **way.sampling)
            with torch.no_grad():
                y = theirs_now.eval()(*tensors, **way.sampling).numpy() if both else x
            result.samples[record.step] = (x, y)
    return result


def as_tensors(given: training.Round) -> torch_training.Round:
    """The same round for torch."""
    return torch_training.Round(*map(_tensor, given))


def same_game(
    outcome: Outcome, duels: Sequence[Duel], whose: str = "the twins"
) -> list[tuple[int, int]]:
    """Claim that twins stay together as long as torch stays with its shadow.

    Returns:
        Each duel's rounds of either agreement.
    """
    pairs = [each.agreement() for each in duels]
    outcome.claim(
        f"{whose} play the same game: rounds until D's losses are 1e-6 apart, and until torch is "
        "as far from itself with each weight one floating-point number higher",
        ", ".join(f"{a:,} and {b:,}" for a, b in pairs) + f" of {len(duels[0].losses):,}",
        all(a > 0.7 * b for a, b in pairs),
    )
    return pairs


def _tensor(part: Any) -> Any:
    if isinstance(part, tuple):
        return tuple(map(_tensor, part))
    return torch.from_numpy(part) if isinstance(part, np.ndarray) else part


def _numbers(record: Any) -> tuple[float, float]:
    return record.discriminator, np.nan if record.generator is None else record.generator
