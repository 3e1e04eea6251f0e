"""Conventions of adversarial training: what is meant, what is held fixed, who moves when."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np

from parity_tests.catalog.models_gan import Penalised
from parity_tests.pitfalls.entry import Pitfall
from parity_tests.pitfalls.loss import mutant
from scratch import nn
from scratch.check import Array
from scratch.models import DCGANDiscriminator, wgan
from scratch.nn import functional as F
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.nn.tangent import RULES
from scratch.training import Game, Round, adversarial

Parts = tuple[Any, Backward]


# Losses


@mutant(F.discriminator_loss)
def two_sided(**a: Any) -> Parts:
    """The target of fakes is smoothed too."""
    r, f, s = a["real"], a["fake"], a["smoothing"]
    loss, loss_back = F.discriminator_loss(r, f, s)

    def backward(dy: Array) -> tuple[Array, Array]:
        dr, df = loss_back(dy)
        return dr, df - f.dtype.type(s) * dy / f.size

    return loss - f.dtype.type(s) * f.mean(), backward


@mutant(F.discriminator_loss)
def half_each(**a: Any) -> Parts:
    """The mean of both parts, not their sum."""
    loss, loss_back = F.discriminator_loss(**a)
    return loss / 2, lambda dy: loss_back(dy / 2)


def divided_twice(function: Callable[..., Parts]) -> Callable[..., Parts]:
    """The gradient of a mean, divided by the batch once more, as in the guide's networks."""

    @mutant(function)
    def other(**a: Any) -> Parts:
        loss, loss_back = function(**a)
        return loss, lambda dy: loss_back(dy / len(a["fake"]))

    return other


@mutant(F.minimax_generator_loss)
def not_saturating(**a: Any) -> Parts:
    """The loss that everyone uses, under the name of the game's."""
    return F.non_saturating_generator_loss(**a)


@mutant(F.non_saturating_generator_loss)
def saturating(**a: Any) -> Parts:
    """The game's value, which is flat where the discriminator is sure."""
    return F.minimax_generator_loss(**a)


@mutant(F.feature_matching_loss)
def of_elements(**a: Any) -> Parts:
    """Row by row, not of the batches' means; of the rows that both have."""
    r, f = a["real"], a["fake"]
    n = min(len(r), len(f))
    apart = r[:n] - f[:n]

    def backward(dy: Array) -> tuple[Array, Array]:
        dr, df = np.zeros_like(r), np.zeros_like(f)
        dr[:n] = 2 * dy * apart / n
        df[:n] = -dr[:n]
        return dr, df

    return np.asarray(np.square(apart).sum() / n, r.dtype), backward


@mutant(F.feature_matching_loss)
def mean_over_features(**a: Any) -> Parts:
    """A mean over features, not the squared norm."""
    loss, loss_back = F.feature_matching_loss(**a)
    n = max(a["real"][0].size, 1)
    return loss / n, lambda dy: loss_back(dy / n)


@mutant(F.unit_gradient_loss)
def of_squared_norm(**a: Any) -> Parts:
    """(|g|^2 - 1)^2."""
    g = a["gradient"]
    rows = g.reshape(len(g), -1)
    square = np.square(rows).sum(1)
    loss = np.asarray(np.square(square - 1).mean(), g.dtype)
    return loss, lambda dy: (4 * dy / len(g) * (square - 1)[:, None] * rows).reshape(g.shape)


@mutant(F.unit_gradient_loss)
def norm_of_a_mean(**a: Any) -> Parts:
    """The root of the mean square over features, which shrinks with their number."""
    g = a["gradient"]
    scale = g.dtype.type(1 / np.sqrt(max(g[0].size, 1)))
    loss, loss_back = F.unit_gradient_loss(g * scale)
    return loss, lambda dy: scale * loss_back(dy)


@mutant(F.minibatch_discrimination)
def counts_itself(**a: Any) -> Parts:
    """e^0 = 1 of the sample itself."""
    y, backward = F.minibatch_discrimination(**a)
    more = np.zeros_like(y)
    more[:, a["input"].shape[1] :] = 1
    return y + more, backward


@mutant(F.minibatch_discrimination)
def own_half(**a: Any) -> Parts:
    """The gradient of o_i alone: that it also moves every o_j is forgotten."""
    x, t = a["input"], a["weight"]
    y, _ = F.minibatch_discrimination(x, t)
    size, n = x.shape[1], len(x)
    m = np.tensordot(x, t, 1)
    apart = m[:, None] - m
    e = np.exp(-np.abs(apart).sum(-1)) * ~np.eye(n, dtype=bool)[..., None]

    def backward(dy: Array) -> tuple[Array, Array]:
        dm = -np.einsum("ib,ijb,ijbc->ibc", dy[:, size:], e, np.sign(apart))
        return dy[:, :size] + np.tensordot(dm, t, ((1, 2), (1, 2))), np.tensordot(x.T, dm, 1)

    return y, backward


# Second order


class Constant(Penalised):
    """The gradient is a number that no parameter made: `create_graph` was forgotten."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """As Penalised's, without a gradient of its own."""
        penalty, _ = super().forward(input)

        def backward(dpenalty: Array) -> Array:
            for parameter in self.parameters():
                parameter.accumulate(np.zeros_like(parameter.data))
            return np.zeros_like(input)

        return penalty, backward


class Flat(Penalised):
    """f'' is taken for 0 everywhere, as if every activation were a rectifier."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """As Penalised's, without curvature."""
        flat = dict.fromkeys((nn.Tanh, nn.Sigmoid, nn.Softplus), RULES[nn.ReLU])
        with mock.patch.dict(RULES, flat):
            return super().forward(input)


class OneGradient(Penalised):
    """One norm of the whole batch's gradient."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """As Penalised's, of all rows as of one."""
        with mock.patch.object(F, "unit_gradient_loss", of_all_rows):
            return super().forward(input)


UNIT_GRADIENT = F.unit_gradient_loss


def of_all_rows(gradient: Array) -> Parts:
    """The loss of a batch seen as one row."""
    loss, loss_back = UNIT_GRADIENT(gradient.reshape(1, -1))
    return loss, lambda dy=1.0: loss_back(dy).reshape(gradient.shape)


class DefaultSlope(DCGANDiscriminator):
    """torch's default slope, 0.01."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for layer in self.layers:
            if isinstance(layer, nn.LeakyReLU):
                layer.negative_slope = 0.01


class NormalisedAtTheEdge(DCGANDiscriminator):
    """BatchNorm after the first convolution, too."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """As DCGANDiscriminator's, the first layer's output normalised."""
        first, *rest = self.layers
        a, first_back = first(input)
        n, norm_back = F.batch_norm(a, None, None, training=True)
        y, rest_back = nn.Sequential(*rest)(n)

        def backward(dy: Array) -> Array:
            dx: Array = first_back(norm_back(rest_back(dy)))
            return dx

        return y, backward


# Games


def game_with(step: Callable[..., float]) -> Callable[..., Iterator[Any]]:
    """`train_adversarial` with another step of the discriminator."""

    def play(*args: Any, **kwargs: Any) -> Iterator[Any]:
        with mock.patch.object(adversarial, "discriminator_step", step):
            yield from adversarial.train_adversarial(*args, **kwargs)

    return play


def attached(
    generator: Module, discriminator: Module, optimizer: Any, game: Game, given: Round
) -> float:
    """D's gradient goes on into G, and D's step moves G as well."""
    labels = () if given.label is None else (given.label,)
    fake, generator_back = generator(given.noise, *labels)
    on_fake, fake_back = discriminator(fake, *labels)
    dfake = F.minimax_generator_loss(on_fake)[1](-1.0)
    generator.zero_grad()
    generator_back(fake_back(dfake))
    loss = STEP(generator, discriminator, optimizer, game, given)
    for parameter in generator.parameters():
        if isinstance(parameter.grad, np.ndarray):
            lr = parameter.dtype.type(optimizer.param_groups[0]["lr"])
            parameter.data = parameter.data - lr * parameter.grad
    return loss


STEP = adversarial.discriminator_step


def together(
    generator: Module, discriminator: Module, optimizer: Any, game: Game, given: Round
) -> float:
    """Real and generated data in one batch, which BatchNorm normalises as one."""
    labels = () if given.label is None else (given.label,)
    fake, _ = generator(given.noise, *labels)
    n, twice = len(given.real), [np.tile(label, 2) for label in labels]
    y, backward = discriminator(np.concatenate([given.real, fake]), *twice)
    loss, loss_back = F.discriminator_loss(y[:n], y[n:], game.smoothing)
    optimizer.zero_grad()
    backward(np.concatenate(loss_back()))
    optimizer.step()
    return float(loss)


def clips_first(
    generator: Module, discriminator: Module, optimizer: Any, game: Game, given: Round
) -> float:
    """The weights are clipped before the step, which takes them beyond the bound again."""
    if game.clip is not None:
        wgan.clip_weights(discriminator.parameters(), game.clip)
    return STEP(generator, discriminator, optimizer, replace(game, clip=None), given)


def forgets_nothing(
    generator: Module, discriminator: Module, optimizer: Any, game: Game, given: Round
) -> float:
    """What G's step left in D's gradients stays in them."""
    with mock.patch.object(optimizer, "zero_grad", lambda: None):
        return STEP(generator, discriminator, optimizer, game, given)


PITFALLS = [
    Pitfall(
        "smoothing of both sides",
        entry="discriminator_loss",
        difference="Salimans et al.: the target of real data alone; others: of fakes too",
        mutant=two_sided,
    ),
    Pitfall(
        "discriminator's loss halved",
        entry="discriminator_loss",
        difference="here and in torch's example: the sum of two means; others: their mean",
        mutant=half_each,
    ),
    *(
        Pitfall(
            f"{function.__name__}: divided by the batch twice",
            entry=function.__name__,
            difference="here: the mean's 1 / n alone; the guide's networks divide their gradients "
            "by the batch once more",
            mutant=divided_twice(function),
        )
        for function in (F.discriminator_loss, F.non_saturating_generator_loss)
    ),
    Pitfall(
        "minimax that does not saturate",
        entry="minimax_generator_loss",
        difference="Goodfellow et al., equation 1: mean log(1 - D); many: -log D under that name",
        mutant=not_saturating,
    ),
    Pitfall(
        "non-saturating that saturates",
        entry="non_saturating_generator_loss",
        difference="Goodfellow et al., section 3: -log D; others: log(1 - D)",
        mutant=saturating,
    ),
    Pitfall(
        "features of rows",
        entry="feature_matching_loss",
        difference="Salimans et al.: distance of the batches' means; others: mean of the rows'",
        mutant=of_elements,
    ),
    Pitfall(
        "features averaged",
        entry="feature_matching_loss",
        difference="the paper: the squared norm, a sum over features; others: mse_loss",
        mutant=mean_over_features,
    ),
    Pitfall(
        "penalty of the squared norm",
        entry="unit_gradient_loss",
        difference="Gulrajani et al.: (|g| - 1)^2; others: (|g|^2 - 1)^2",
        mutant=of_squared_norm,
    ),
    Pitfall(
        "penalty of a mean over features",
        entry="unit_gradient_loss",
        difference="the paper: |g| sums over features; others: their mean square",
        mutant=norm_of_a_mean,
    ),
    Pitfall(
        "minibatch discrimination of itself",
        entry="minibatch_discrimination",
        difference="the authors' code: without j = i; their paper's sum has it, a constant 1",
        mutant=counts_itself,
    ),
    Pitfall(
        "minibatch discrimination, half its gradient",
        entry="minibatch_discrimination",
        difference="each sample moves its own o and that of all others; forgotten: the latter",
        mutant=own_half,
    ),
    Pitfall(
        "penalty without its gradient",
        entry="gradient_penalty",
        difference="the penalty is differentiated through g; without create_graph: not at all",
        mutant=Constant,
    ),
    Pitfall(
        "penalty without curvature",
        entry="gradient_penalty",
        difference="f'' counts, where an activation has one; forgotten: f'' v djv",
        mutant=Flat,
    ),
    Pitfall(
        "penalty of one norm",
        entry="gradient_penalty",
        difference="the paper: a norm for each row; others: one for the batch",
        mutant=OneGradient,
    ),
    Pitfall(
        "dcgan's slope",
        entry="DCGANDiscriminator",
        difference="Radford et al.: 0.2; torch's default: 0.01",
        mutant=DefaultSlope,
    ),
    Pitfall(
        "dcgan normalised at its input",
        entry="DCGANDiscriminator",
        difference="the paper: no BatchNorm after D's first layer; others: after each",
        mutant=NormalisedAtTheEdge,
    ),
    Pitfall(
        "no detach",
        entry="train_adversarial",
        difference="D's step leaves G as it is; without detach, and one optimizer, it moves G",
        mutant=game_with(attached),
    ),
    Pitfall(
        "real and fake together",
        entry="train_adversarial",
        difference="here: a batch of real, then one of fake data, each with its own statistics; "
        "others: one of both",
        mutant=game_with(together),
    ),
    Pitfall(
        "clipped before the step",
        entry="train_adversarial",
        difference="Arjovsky et al.: after the step; others: before it",
        mutant=game_with(clips_first),
    ),
    Pitfall(
        "gradients of G's step kept in D",
        entry="train_adversarial",
        difference="D's gradients are zeroed before its step; else G's step has left some there",
        mutant=game_with(forgets_nothing),
    ),
]
