"""Adversarial training: a discriminator's step, then a generator's, in turns.

    for record in train_adversarial(generator, discriminator, optimizers, game, rounds):
        ...

Real and generated data go through D one after the other, so that BatchNorm normalises each by its
own statistics. All randomness is given: the twin in `scratch.training` takes the same steps.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from torch_ref.models.stylegan_discriminator import r1_penalty
from torch_ref.models.wgan import clip_weights, gradient_penalty
from torch_ref.nn import adversarial_loss as losses

GENERATOR_LOSSES = {
    "minimax": losses.minimax_generator_loss,
    "non_saturating": losses.non_saturating_generator_loss,
    "wasserstein": losses.wasserstein_generator_loss,
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
    """

    loss: str = "non_saturating"
    smoothing: float = 0.0
    penalty: float = 0.0
    clip: float | None = None
    critic_steps: int = 1
    r1: float = 0.0
    r1_interval: int = 1


class Round(NamedTuple):
    """What one step of the discriminator, and perhaps one of the generator, is given.

    Attributes:
        real: a batch of data (N, ...).
        noise: z (N, ...), for the discriminator's step; or a tuple of all that G takes then.
        again: z' (N, ...), for the generator's; or a tuple.
        mix: e (N,) in [0, 1], where there is a penalty.
        label: classes (N,), where both networks take them.
    """

    real: Tensor
    noise: Tensor | tuple[Any, ...]
    again: Tensor | tuple[Any, ...]
    mix: Tensor | None = None
    label: Tensor | None = None


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
    generator: nn.Module,
    discriminator: nn.Module,
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
        rounds: batches and noise, on the networks' device.

    Yields:
        The records of the rounds, one by one.
    """
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
    generator: nn.Module, discriminator: nn.Module, optimizer: Optimizer, game: Game, given: Round
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
    with torch.no_grad():
        fake = generator(*_arguments(given.noise), *labels)
    on_real, on_fake = discriminator(given.real, *labels), discriminator(fake, *labels)
    if game.loss == "wasserstein":
        loss = losses.wasserstein_critic_loss(on_real, on_fake)
    else:
        loss = losses.discriminator_loss(on_real, on_fake, game.smoothing)
    if game.penalty:
        assert given.mix is not None
        mixed = torch.lerp(fake, given.real, given.mix.reshape(-1, *(1,) * (fake.ndim - 1)))
        loss = loss + game.penalty * gradient_penalty(discriminator, mixed)
    if game.r1:
        loss = loss + game.r1 / 2 * r1_penalty(discriminator, given.real)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation there
    optimizer.step()
    if game.clip is not None:
        clip_weights(discriminator.parameters(), game.clip)
    return loss.item()


def generator_step(
    generator: nn.Module, discriminator: nn.Module, optimizer: Optimizer, game: Game, given: Round
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
    fake = generator(*_arguments(given.again), *labels)
    if game.loss == "feature_matching":
        features: Any = discriminator.features
        with torch.no_grad():
            of_real = features(given.real, *labels)
        loss = losses.feature_matching_loss(of_real, features(fake, *labels))
    else:
        loss = GENERATOR_LOSSES[game.loss](discriminator(fake, *labels))
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation there
    optimizer.step()
    return loss.item()


def _arguments(noise: Tensor | tuple[Any, ...]) -> tuple[Any, ...]:
    return noise if isinstance(noise, tuple) else (noise,)
