"""Adversarial training: a discriminator's step, then a generator's, in turns.

    for record in train_adversarial(generator, discriminator, optimizers, game, rounds):
        ...

discriminator   fake = G(z)   dropping G's backward is `detach`   L = loss(D(real), D(fake))
                + weight P at e real + (1 - e) fake               (WGAN-GP), or
                + gamma / 2 R1 at real, each k-th step k times    (StyleGAN), or
                w <- clip(w) after the step                       (WGAN)
generator       fake = G(z')   L = loss(D(fake)), its gradient through D into G. D's parameters get
                gradients too, which nobody uses: they are forgotten before D's next step.

Real and generated data go through D one after the other, so that BatchNorm normalises each by its
own statistics. All randomness is given: the twin in `torch_ref.training` takes the same steps.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from scratch import check
from scratch.check import Array
from scratch.models.stylegan_discriminator import r1_penalty
from scratch.models.wgan import clip_weights, gradient_penalty
from scratch.nn import functional as F
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.optim import Optimizer

GENERATOR_LOSSES: dict[str, Any] = {
    "minimax": F.minimax_generator_loss,
    "non_saturating": F.non_saturating_generator_loss,
    "wasserstein": F.wasserstein_generator_loss,
    "feature_matching": F.feature_matching_loss,
}


@dataclass(frozen=True)
class Game:
    """What is played for.

    Attributes:
        loss: of the generator: 'minimax', 'non_saturating', 'feature_matching' or 'wasserstein';
            the last is also the critic's, else the discriminator's is the cross entropy.
        smoothing: a of the discriminator's target for real data, 1 - a.
        penalty: weight of the gradient penalty; 0 for none.
        clip: c, the bound on the critic's weights; None for none.
        critic_steps: of the discriminator for each of the generator.
        r1: gamma of the penalty R1; 0 for none.
        r1_interval: k, R1 is taken at steps 1, k + 1, 2 k + 1, ..., and counts k times there.

    Raises:
        TypeError, ValueError: if an attribute is none of these.
    """

    loss: str = "non_saturating"
    smoothing: float = 0.0
    penalty: float = 0.0
    clip: float | None = None
    critic_steps: int = 1
    r1: float = 0.0
    r1_interval: int = 1

    def __post_init__(self) -> None:
        check.option("Game", "loss", self.loss, tuple(GENERATOR_LOSSES))
        check.number("Game", "smoothing", self.smoothing, 0, 1)
        check.number("Game", "penalty", self.penalty, 0)
        check.size("Game", "critic_steps", self.critic_steps, low=1)
        check.number("Game", "r1", self.r1, 0)
        check.size("Game", "r1_interval", self.r1_interval, low=1)
        if self.clip is not None:
            check.number("Game", "clip", self.clip, 0, open_low=True)


class Round(NamedTuple):
    """What one step of the discriminator, and perhaps one of the generator, is given.

    Attributes:
        real: a batch of data (N, ...).
        noise: z (N, ...), for the discriminator's step; or a tuple of all that G takes then.
        again: z' (N, ...), for the generator's; or a tuple.
        mix: e (N,) in [0, 1], where there is a penalty.
        label: classes (N,), where both networks take them.
    """

    real: Array
    noise: Array | tuple[Any, ...]
    again: Array | tuple[Any, ...]
    mix: Array | None = None
    label: Array | None = None


class AdversarialRecord(NamedTuple):
    """One round.

    Attributes:
        step: its number, from 1.
        discriminator: its loss, before its step.
        generator: its loss, before its step; None where it took none.
    """

    step: int
    discriminator: float
    generator: float | None


def train_adversarial(
    generator: Module,
    discriminator: Module,
    optimizers: tuple[Optimizer, Optimizer],
    game: Game,
    rounds: Iterable[Round],
) -> Iterator[AdversarialRecord]:
    """Play one round whenever the next record is asked for.

    Args:
        generator: maps noise (and a label, where rounds have one) to data.
        discriminator: maps data (and a label) to logits or scores; with a method `features` for
            feature matching. Both are in training mode during a round.
        optimizers: the generator's and the discriminator's.
        game: what for.
        rounds: batches and noise.

    Returns:
        The records of the rounds, one by one.

    Raises:
        TypeError: if the game is none.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, algorithm 1; Arjovsky et al. 2017,
        arXiv:1701.07875, algorithm 1; Gulrajani et al. 2017, arXiv:1704.00028, algorithm 1.
    """
    if not isinstance(game, Game):
        check.refuse("train_adversarial", "game to be a Game", check.describe(game), TypeError)
    return _rounds(generator, discriminator, optimizers, game, rounds)


def _rounds(
    generator: Module,
    discriminator: Module,
    optimizers: tuple[Optimizer, Optimizer],
    game: Game,
    rounds: Iterable[Round],
) -> Iterator[AdversarialRecord]:
    for step, given in enumerate(rounds, 1):
        generator.train()
        discriminator.train()
        lazy = game.r1 * game.r1_interval if (step - 1) % game.r1_interval == 0 else 0.0
        now = replace(game, r1=lazy)
        of_d = discriminator_step(generator, discriminator, optimizers[1], now, given)
        of_g = None
        if step % game.critic_steps == 0:
            of_g = generator_step(generator, discriminator, optimizers[0], game, given)
        yield AdversarialRecord(step, of_d, of_g)


def discriminator_step(
    generator: Module, discriminator: Module, optimizer: Optimizer, game: Game, given: Round
) -> float:
    """One step of the discriminator; the generator stays as it is.

    Args:
        generator: makes the fakes.
        discriminator: is trained.
        optimizer: its own.
        game: what for.
        given: the batch.

    Returns:
        The loss before the step, with the penalty.
    """
    labels = () if given.label is None else (given.label,)
    fake, _ = generator(*_arguments(given.noise), *labels)
    on_real, real_back = discriminator(given.real, *labels)
    on_fake, fake_back = discriminator(fake, *labels)
    loss, loss_back = _critic_loss(game, on_real, on_fake)
    optimizer.zero_grad()
    dreal, dfake = loss_back()
    real_back(dreal)
    fake_back(dfake)
    total = float(loss)
    if game.penalty:
        if given.mix is None:
            check.refuse("discriminator_step", "a round with mix, for the penalty", None)
        e = given.mix.reshape(-1, *(1,) * (fake.ndim - 1))
        penalty, penalty_back = gradient_penalty(discriminator, e * given.real + (1 - e) * fake)
        penalty_back(game.penalty)
        total += game.penalty * float(penalty)
    if game.r1:
        penalty, penalty_back = r1_penalty(discriminator, given.real)
        penalty_back(game.r1 / 2)
        total += game.r1 / 2 * float(penalty)
    optimizer.step()
    if game.clip is not None:
        clip_weights(discriminator.parameters(), game.clip)
    return total


def generator_step(
    generator: Module, discriminator: Module, optimizer: Optimizer, game: Game, given: Round
) -> float:
    """One step of the generator; the discriminator stays as it is.

    Args:
        generator: is trained.
        discriminator: tells it where to go.
        optimizer: the generator's.
        game: what for.
        given: the batch.

    Returns:
        The loss before the step.
    """
    labels = () if given.label is None else (given.label,)
    fake, generator_back = generator(*_arguments(given.again), *labels)
    if game.loss == "feature_matching":
        features: Any = getattr(discriminator, "features", None)
        if features is None:
            expected = "a discriminator with features, to match them"
            check.refuse("generator_step", expected, type(discriminator).__name__, TypeError)
        of_real, _ = features(given.real, *labels)
        of_fake, fake_back = features(fake, *labels)
        loss, loss_back = F.feature_matching_loss(of_real, of_fake)
        dfake = loss_back()[1]
    else:
        of_fake, fake_back = discriminator(fake, *labels)
        loss, loss_back = GENERATOR_LOSSES[game.loss](of_fake)
        dfake = loss_back()
    optimizer.zero_grad()
    generator_back(fake_back(dfake))
    optimizer.step()
    return float(loss)


def _arguments(noise: Array | tuple[Any, ...]) -> tuple[Any, ...]:
    return noise if isinstance(noise, tuple) else (noise,)


def _critic_loss(game: Game, real: Array, fake: Array) -> tuple[Array, Backward]:
    if game.loss == "wasserstein":
        return F.wasserstein_critic_loss(real, fake)
    return F.discriminator_loss(real, fake, game.smoothing)
