"""Adversarial networks: their losses, dense and convolutional players, penalties, whole games."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

import scratch.models
import scratch.nn.tangent
import scratch.training
import torch_ref.models
import torch_ref.training
from parity_tests.harness.draw import Array, Draw
from parity_tests.harness.entry import Call, Case, Entry, Layer, Op, Refusal, Routine, unchecked
from parity_tests.harness.routine import Side
from scratch import nn
from scratch.models import wgan
from scratch.nn import functional as F
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.nn.tangent import tangent
from torch_ref.models import wgan as torch_wgan
from torch_ref.nn import adversarial_loss
from torch_ref.nn.minibatch_discrimination import (
    MinibatchDiscrimination,
    minibatch_discrimination,
)

GOODFELLOW = "Goodfellow et al. 2014, arXiv:1406.2661"
SALIMANS = "Salimans et al. 2016, arXiv:1606.03498"
ARJOVSKY = "Arjovsky, Chintala & Bottou 2017, arXiv:1701.07875"
GULRAJANI = "Gulrajani et al. 2017, arXiv:1704.00028"
RADFORD = "Radford, Metz & Chintala 2016, arXiv:1511.06434"
MIRZA = "Mirza & Osindero 2014, arXiv:1411.1784"
PEARLMUTTER = "Pearlmutter 1994, Neural Computation 6(1)"


# Losses


def one(*shape: int, scale: float = 1.0) -> Callable[[Draw], Call]:
    """Logits of fakes."""
    return lambda d: Call(d.normal(*shape, scale=scale))


def two(n: int, m: int, *rest: int, scale: float = 1.0, **options: Any) -> Callable[[Draw], Call]:
    """Logits or features of real and of fake, not as many of either."""
    return lambda d: Call(
        d.normal(n, *rest, scale=scale), d.normal(m, *rest, scale=scale), **options
    )


def sure(d: Draw) -> Array:
    """Logits of a discriminator that is certain, rightly and wrongly, and one that is not."""
    return d.array([[-800.0], [-40.0], [0.0], [35.0], [750.0]])


def of_fakes() -> list[Case]:
    """What every generator's loss is compared on."""
    return [
        Case("column", one(5, 1)),
        Case("sure", lambda d: Call(sure(d))),
        Case("map", one(2, 1, 3, 4, scale=5.0)),
        Case("tiny", one(4, 1, scale=1e-7)),
        Case("single", one(1, 1)),
    ]


# Second order


class Tangent(Module):
    """(y, jv) of a module, as a module of x and v."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self.inner = make(nn)

    def forward(self, x: Array, v: Array) -> tuple[tuple[Array, Array], Backward]:
        """The module's tangent."""
        return tangent(self.inner, x, v)


class TorchTangent(torch.nn.Module):
    """The same by autograd."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        super().__init__()
        self.inner = make(torch.nn)

    def forward(self, x: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """y, and the gradient along w of w . dy/dx . v."""
        x = x if x.requires_grad else x.detach().requires_grad_()
        y = self.inner(x)
        w = torch.zeros_like(y, requires_grad=True)
        (vjp,) = torch.autograd.grad(y, x, w, create_graph=True)
        (jv,) = torch.autograd.grad(vjp, w, v, create_graph=True)
        return y, jv


class Penalised(Module):
    """The gradient penalty of a critic, as a module of x."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self.critic = make(scratch.models)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """P."""
        return wgan.gradient_penalty(self.critic, input)


class TorchPenalised(torch.nn.Module):
    """The same by autograd."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        super().__init__()
        self.critic = make(torch_ref.models)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """P."""
        return torch_wgan.gradient_penalty(self.critic, input)


TorchTangent.__name__, TorchPenalised.__name__ = "Tangent", "Penalised"


def layer(name: str, *args: Any, **kwargs: Any) -> Callable[[Any], Any]:
    """A layer of either nn."""
    return lambda n: getattr(n, name)(*args, **kwargs)


def chain(*makes: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A Sequential of either nn."""
    return lambda n: n.Sequential(*(make(n) for make in makes))


def along(*shape: int, scale: float = 1.0) -> Callable[[Draw], Call]:
    """x and a direction."""
    return lambda d: Call(d.normal(*shape, scale=scale), d.normal(*shape))


def tangent_case(
    name: str, make: Callable[[Any], Any], *shape: int, zero: tuple[str, ...] = (), **options: Any
) -> Case:
    """A module whose tangent is compared."""
    return Case(name, along(*shape, **options), init=Call(make), zero=zero)


def dense(hidden: list[int], activation: str) -> Callable[[Any], Any]:
    """A critic of four numbers."""
    return lambda models: models.Critic(4, hidden, activation)


def biases(*places: int) -> tuple[str, ...]:
    """Of a critic's layers."""
    return tuple(f"critic.layers.{k}.bias" for k in places)


# Games


def players(name: str, side: Side) -> tuple[Any, Any]:
    """A generator and a discriminator of one package, small."""
    models: Any = torch_ref.models if side.is_torch else scratch.models
    if name == "dense":
        return models.Generator(3, [6, 5], 2, "Tanh"), models.Discriminator(2, [6, 5], "Tanh", 3, 2)
    if name == "critic":
        return models.Generator(3, [6], 2, "Tanh"), models.Critic(2, [6, 5], "Tanh")
    if name == "conditional":
        sizes = [6, 5]
        return (
            models.ConditionalGenerator(3, sizes, 2, 4, 2, "Tanh"),
            models.ConditionalDiscriminator(2, sizes, 4, None, "Tanh"),
        )
    if name == "convolutional critic":
        return models.DCGANGenerator(3, 2, 8, 1), models.ConvCritic(2, 8, 1)
    return models.DCGANGenerator(3, 2, 16, 1), models.DCGANDiscriminator(2, 16, 1)


def rounds(name: str, side: Side, d: Draw, steps: int, n: int) -> Iterator[Any]:
    """Batches and noise."""
    package: Any = torch_ref.training if side.is_torch else scratch.training
    size = {"convolutional": 16, "convolutional critic": 8}.get(name)
    shape = (1, size, size) if size else (2,)
    for _ in range(steps):
        real = np.tanh(d.normal(n, *shape)) + d.array(0.3)
        given = [real, d.normal(n, 3), d.normal(n, 3), d.uniform(0, 1, n)]
        label = side.array(d.integers(0, 4, n)) if name == "conditional" else None
        yield package.Round(*map(side.array, given), label)


def game(
    name: str, optimizer: str = "Adam", lr: float = 0.01, steps: int = 6, **options: Any
) -> Callable[..., Mapping[str, Any]]:
    """All parameters, buffers and losses of both players in a few rounds."""

    def script(train: Callable[..., Any], side: Side, d: Draw) -> dict[str, Any]:
        package: Any = torch_ref.training if side.is_torch else scratch.training
        pair = []
        for which, net in zip("gd", players(name, side), strict=True):
            values = {}
            for key, value in net.state_dict().items():
                if np.asarray(value).dtype.kind == "f":
                    values[key] = d.uniform(0.1, 0.6, *value.shape) * d.signs(*value.shape)
                    values[key] = np.abs(values[key]) if "running" in key else values[key]
                else:
                    values[key] = np.asarray(value)
            pair.append((which, side.set(net, values)))
        steppers = [getattr(side.optim, optimizer)(net.parameters(), lr=lr) for _, net in pair]
        found: dict[str, Any] = {}
        nets = [net for _, net in pair]
        played = train(*nets, steppers, package.Game(**options), rounds(name, side, d, steps, 5))
        for record in played:
            found[f"D's loss {record.step}"] = np.asarray(record.discriminator, d.dtype)
            if record.generator is not None:
                found[f"G's loss {record.step}"] = np.asarray(record.generator, d.dtype)
        for which, net in pair:
            found |= {f"{which}.{key}": value for key, value in net.state_dict().items()}
        return found

    return script


def clipped(clip: Callable[..., None], side: Side, d: Draw) -> dict[str, Any]:
    """Weights within, at and beyond the bound."""
    parameters = [
        side.parameter(d.array([-3, -0.25, -0.1, 0, 0.25, 0.5])),
        side.parameter(d.normal(2, 3)),
    ]
    clip(parameters, 0.25)
    return {str(i): p for i, p in enumerate(parameters)}


ENTRIES: list[Entry] = [
    Op(
        "discriminator_loss",
        F.discriminator_loss,
        adversarial_loss.discriminator_loss,
        source=GOODFELLOW,
        cases=(
            Case("columns", two(5, 3, 1)),
            Case("smoothed", two(5, 3, 1, smoothing=0.1)),
            Case("smoothed by half", two(2, 4, 1, scale=4.0, smoothing=0.5)),
            Case("sure", lambda d: Call(sure(d), sure(d)[:4])),
            Case("maps", two(2, 3, 1, 2, 2)),
        ),
    ),
    Op(
        "minimax_generator_loss",
        F.minimax_generator_loss,
        adversarial_loss.minimax_generator_loss,
        source=GOODFELLOW,
        cases=of_fakes(),
    ),
    Op(
        "non_saturating_generator_loss",
        F.non_saturating_generator_loss,
        adversarial_loss.non_saturating_generator_loss,
        source=GOODFELLOW,
        cases=of_fakes(),
    ),
    Op(
        "wasserstein_critic_loss",
        F.wasserstein_critic_loss,
        adversarial_loss.wasserstein_critic_loss,
        source=ARJOVSKY,
        cases=(
            Case("columns", two(5, 3, 1)),
            Case("large", two(2, 4, 1, scale=1e4), output_cancels=1e4),
        ),
    ),
    Op(
        "wasserstein_generator_loss",
        F.wasserstein_generator_loss,
        adversarial_loss.wasserstein_generator_loss,
        source=ARJOVSKY,
        cases=of_fakes(),
    ),
    Op(
        "feature_matching_loss",
        F.feature_matching_loss,
        adversarial_loss.feature_matching_loss,
        source=SALIMANS,
        cases=(
            Case("rows", two(5, 3, 4)),
            Case("maps", two(2, 3, 2, 3, 3, scale=3.0)),
            Case("one number a row", two(4, 2)),
            Case("one row each", two(1, 1, 3)),
        ),
    ),
    Op(
        "unit_gradient_loss",
        F.unit_gradient_loss,
        adversarial_loss.unit_gradient_loss,
        source=GULRAJANI,
        cases=(
            Case("rows", one(4, 3)),
            Case("images", one(3, 2, 4, 3)),
            Case("long and short", lambda d: Call(d.array([[3e3, 1], [1e-3, -2e-3], [0.6, 0.8]]))),
            Case(
                "no gradient at all",
                lambda d: Call(d.array([[0.0, 0, 0], [1, -2, 2]])),
                surrogate="a cone's tip has no derivative; torch's is 0, and so is ours",
            ),
        ),
    ),
    Op(
        "minibatch_discrimination",
        F.minibatch_discrimination,
        minibatch_discrimination,
        source=SALIMANS,
        cases=(
            Case("batch", lambda d: Call(d.normal(5, 3), d.normal(3, 4, 2, scale=0.5))),
            Case("one kernel", lambda d: Call(d.normal(3, 4), d.normal(4, 1, 1))),
            Case("alone", lambda d: Call(d.normal(1, 3), d.normal(3, 2, 2)), zero=("weight",)),
            Case("far apart", lambda d: Call(d.normal(4, 3, scale=3.0), d.normal(3, 2, 5))),
            Case("two the same", lambda d: Call(d.normal(4, 2)[[0, 1, 0, 3]], d.normal(2, 3, 2))),
        ),
    ),
    Layer(
        "MinibatchDiscrimination",
        nn.MinibatchDiscrimination,
        MinibatchDiscrimination,
        source=SALIMANS,
        cases=(Case("batch", lambda d: Call(d.normal(5, 3, scale=0.3)), init=Call(3, 4, 2)),),
    ),
    Layer(
        "tangent",
        Tangent,
        TorchTangent,
        source=PEARLMUTTER,
        c=64,
        cases=(
            tangent_case("Linear", layer("Linear", 3, 4), 5, 3),
            tangent_case("Linear without bias", layer("Linear", 3, 4, bias=False), 2, 2, 3),
            tangent_case("Conv2d", layer("Conv2d", 2, 3, 3, 2, 1), 2, 2, 5, 4),
            tangent_case(
                "Conv2d, groups", layer("Conv2d", 4, 4, (3, 2), dilation=2, groups=2), 2, 4, 6, 5
            ),
            tangent_case("ReLU", layer("ReLU"), 4, 5),
            tangent_case("LeakyReLU", layer("LeakyReLU", 0.2), 4, 5),
            tangent_case("Tanh", layer("Tanh"), 4, 5, scale=2.0),
            tangent_case("Sigmoid", layer("Sigmoid"), 4, 5, scale=3.0),
            tangent_case("Softplus", layer("Softplus"), 4, 5, scale=3.0),
            tangent_case("Softplus, beyond", layer("Softplus", 3.0, 2.0), 6, 5, scale=2.0),
            tangent_case("Flatten", layer("Flatten"), 2, 3, 2),
            tangent_case("Unflatten", layer("Unflatten", 1, (2, 3)), 2, 6),
            tangent_case("Identity", layer("Identity"), 2, 3),
            tangent_case(
                "chain",
                chain(
                    layer("Linear", 3, 4),
                    layer("Tanh"),
                    layer("Linear", 4, 5),
                    layer("Softplus"),
                    layer("Linear", 5, 2),
                ),
                *(4, 3),
            ),
            tangent_case(
                "chain of convolutions",
                chain(
                    layer("Conv2d", 2, 3, 3),
                    layer("LeakyReLU", 0.2),
                    layer("Conv2d", 3, 2, 2),
                    layer("Sigmoid"),
                    layer("Flatten"),
                    layer("Linear", 8, 2),
                ),
                *(3, 2, 5, 5),
            ),
        ),
    ),
    Layer(
        "gradient_penalty",
        Penalised,
        TorchPenalised,
        source=GULRAJANI,
        c=1000,
        steps=False,  # torch's optimizers skip the last bias, of which the penalty does not know
        cases=(
            Case("Tanh", one(5, 4), init=Call(dense([6, 5], "Tanh")), zero=biases(4)),
            Case("Softplus", one(3, 4), init=Call(dense([5], "Softplus")), zero=biases(2)),
            Case("Sigmoid", one(3, 4), init=Call(dense([5, 3], "Sigmoid")), zero=biases(4)),
            Case(
                "LeakyReLU: no curvature",
                one(5, 4),
                init=Call(dense([6, 5], "LeakyReLU")),
                zero=("input", *biases(0, 2, 4)),
            ),
            Case(
                "ReLU",
                one(5, 4),
                init=Call(dense([6, 5], "ReLU")),
                zero=("input", *biases(0, 2, 4)),
            ),
            Case(
                "linear",
                one(3, 4),
                init=Call(dense([], "ReLU")),
                zero=("input", *biases(0)),
            ),
            Case(
                "convolutions",
                one(3, 2, 16, 16),
                init=Call(lambda models: models.ConvCritic(2, 16, 2)),
                zero=("input", *biases(0, 2, 5)),
            ),
        ),
    ),
    Layer(
        "Generator",
        scratch.models.Generator,
        torch_ref.models.Generator,
        source=GOODFELLOW,
        c=1000,
        cases=(
            Case("two hidden layers", one(4, 3), init=Call(3, [6, 5], 2)),
            Case("tanh", one(3, 2), init=Call(2, (5,), 4, "LeakyReLU", "Tanh")),
            Case("linear", one(3, 2), init=Call(2, [], 3)),
        ),
    ),
    Layer(
        "Discriminator",
        scratch.models.Discriminator,
        torch_ref.models.Discriminator,
        source=GOODFELLOW,
        c=1000,
        cases=(
            Case("two hidden layers", one(4, 3), init=Call(3, [6, 5])),
            Case("minibatch", one(4, 3, scale=0.3), init=Call(3, (6, 4), "Tanh", 3, 2)),
        ),
    ),
    Layer(
        "ConditionalGenerator",
        scratch.models.ConditionalGenerator,
        torch_ref.models.ConditionalGenerator,
        source=MIRZA,
        c=1000,
        cases=(
            Case(
                "one-hot",
                lambda d: Call(d.normal(4, 3), np.array([1, 0, 4, 1])),
                init=Call(3, [6, 5], 2, 5),
            ),
            Case(
                "embedding",
                lambda d: Call(d.normal(4, 3), np.array([1, 0, 4, 1])),
                init=Call(3, [6], 2, 5, 3, "Tanh", "Sigmoid"),
            ),
        ),
    ),
    Layer(
        "ConditionalDiscriminator",
        scratch.models.ConditionalDiscriminator,
        torch_ref.models.ConditionalDiscriminator,
        source=MIRZA,
        c=1000,
        cases=(
            Case(
                "one-hot",
                lambda d: Call(d.normal(4, 3), np.array([1, 0, 4, 1])),
                init=Call(3, [6, 5], 5),
            ),
            Case(
                "embedding",
                lambda d: Call(d.normal(4, 3), np.array([1, 0, 4, 1])),
                init=Call(3, [6], 5, 3, "Tanh"),
            ),
        ),
    ),
    Layer(
        "DCGANGenerator",
        scratch.models.DCGANGenerator,
        torch_ref.models.DCGANGenerator,
        source=RADFORD,
        c=1000,
        cases=(
            Case("16", one(4, 5), init=Call(5, 2, 16, 1)),
            Case("8, colours", one(3, 3), init=Call(3, 2, 8)),
        ),
    ),
    Layer(
        "DCGANDiscriminator",
        scratch.models.DCGANDiscriminator,
        torch_ref.models.DCGANDiscriminator,
        source=RADFORD,
        c=1000,
        cases=(
            Case("16", one(4, 1, 16, 16), init=Call(2, 16, 1)),
            Case("32, colours", one(2, 3, 32, 32), init=Call(2, 32), modes=("train",)),
        ),
    ),
    Layer(
        "Critic",
        scratch.models.Critic,
        torch_ref.models.Critic,
        source=ARJOVSKY,
        c=1000,
        cases=(Case("rows", one(4, 3), init=Call(3, [6, 5], "ReLU")),),
    ),
    Layer(
        "ConvCritic",
        scratch.models.ConvCritic,
        torch_ref.models.ConvCritic,
        source=GULRAJANI,
        c=1000,
        cases=(Case("16", one(3, 1, 16, 16), init=Call(2, 16, 1)),),
    ),
    Routine(
        "clip_weights",
        wgan.clip_weights,
        torch_wgan.clip_weights,
        {"at, within, beyond": clipped},
        source=ARJOVSKY,
    ),
    Routine(
        "train_adversarial",
        scratch.training.train_adversarial,
        torch_ref.training.train_adversarial,
        {
            "minimax": game("dense", loss="minimax"),
            "non-saturating": game("dense", "SGD", 0.1),
            "smoothed": game("dense", smoothing=0.1),
            "features": game("dense", loss="feature_matching"),
            "clipped": game("critic", "RMSprop", 0.01, loss="wasserstein", clip=0.25),
            "penalty": game("critic", loss="wasserstein", penalty=10.0, critic_steps=2),
            "penalty of a discriminator": game("critic", penalty=1.0),
            "conditional": game("conditional"),
            "convolutional": game("convolutional", steps=3),
            "convolutional critic": game(
                "convolutional critic", steps=3, loss="wasserstein", penalty=10.0
            ),
        },
        source=f"{GOODFELLOW}; {ARJOVSKY}; {GULRAJANI}",
        c=1000,
    ),
]

# Refusals

X, SINGLE = np.ones((3, 4)), np.ones((3, 4), np.float32)
KERNELS, CLASSES = np.ones((4, 2, 3)), np.array([0, 1, 2])
LINEAR = nn.Linear(4, 1, dtype=np.float64)
PADDED = nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect", dtype=np.float64)
CONDITIONAL = scratch.models.ConditionalGenerator(4, [3], 2, 3, 2, dtype=np.float64)
GENERATOR = scratch.models.DCGANGenerator(4, 1, 8, 1, dtype=np.float64)


def of_class(name: str, calls: Mapping[str, Call]) -> list[Refusal]:
    """Arguments that a model's constructor refuses."""
    make: Any = getattr(scratch.models, name)
    return [
        Refusal(f"{name}: {what}", functools.partial(make, *call.args, **call.kwargs), name)
        for what, call in calls.items()
    ]


def unmixed() -> Any:
    """A penalty without points to put it on."""
    pair = scratch.models.Generator(2, [], 2), scratch.models.Critic(2, [])
    steppers = tuple(scratch.optim.SGD(net.parameters()) for net in pair)
    z = np.ones((3, 2), np.float32)
    given = scratch.training.Round(z, z, z)
    return list(
        scratch.training.train_adversarial(
            *pair, unchecked(steppers), scratch.training.Game(penalty=1.0), [given]
        )
    )


REFUSALS = [
    *(
        Refusal(f"{name}: {what}", functools.partial(getattr(F, name), *call.args), name)
        for name, calls in {
            "discriminator_loss": {
                "list": Call([1.0], X),
                "dtype": Call(X, SINGLE),
                "smoothing": Call(X, X, 1.5),
                "smoothing a word": Call(X, X, "much"),
            },
            "minimax_generator_loss": {"integers": Call(CLASSES)},
            "non_saturating_generator_loss": {"integers": Call(CLASSES)},
            "wasserstein_critic_loss": {"dtype": Call(X, SINGLE)},
            "wasserstein_generator_loss": {"integers": Call(CLASSES)},
            "feature_matching_loss": {
                "widths": Call(X, X[:, :2]),
                "no rows": Call(np.ones(()), np.ones(())),
            },
            "unit_gradient_loss": {"no rows": Call(np.ones(()))},
            "minibatch_discrimination": {
                "two axes": Call(X, KERNELS[0]),
                "width": Call(X[:, :2], KERNELS),
                "one axis": Call(X[0], KERNELS),
            },
        }.items()
        for what, call in calls.items()
    ),
    Refusal(
        "MinibatchDiscrimination: no kernels",
        lambda: nn.MinibatchDiscrimination(3, 0, 2),
        "MinibatchDiscrimination",
    ),
    *of_class(
        "Generator",
        {
            "no noise": Call(0, [3], 2),
            "no width": Call(2, [0], 2),
            "an integer": Call(2, 3, 2),
            "activation": Call(2, [3], 2, "Relu"),
            "output": Call(2, [3], 2, output="tanh"),
            "no data": Call(2, [3], 0),
        },
    ),
    *of_class(
        "Discriminator",
        {
            "no hidden layer": Call(2, []),
            "no data": Call(0, [3]),
            "kernels": Call(2, [3], "ReLU", -1),
        },
    ),
    *of_class(
        "ConditionalGenerator",
        {"no classes": Call(2, [3], 2, 0), "no embedding": Call(2, [3], 2, 4, 0)},
    ),
    *of_class(
        "ConditionalDiscriminator",
        {"no classes": Call(2, [3], 0), "no data": Call(0, [3], 2)},
    ),
    *of_class(
        "DCGANGenerator",
        {
            "size": Call(3, 2, 24),
            "too small": Call(3, 2, 4),
            "no noise": Call(0),
            "width": Call(3, 0),
        },
    ),
    *of_class(
        "DCGANDiscriminator", {"size": Call(2, 12), "channels": Call(2, 16, 0), "width": Call(0)}
    ),
    *of_class("Critic", {"no data": Call(0, [3]), "hidden": Call(2, "3")}),
    *of_class("ConvCritic", {"size": Call(2, 10), "width": Call(0)}),
    Refusal("ConditionalGenerator: label", lambda: CONDITIONAL(X, CLASSES + 1), "Conditional"),
    Refusal("ConditionalGenerator: labels", lambda: CONDITIONAL(X, CLASSES[:2]), "Conditional"),
    Refusal("ConditionalGenerator: dtype", lambda: CONDITIONAL(SINGLE, CLASSES), "Conditional"),
    Refusal("DCGANGenerator: noise", lambda: GENERATOR(X[:, :2]), "DCGANGenerator"),
    Refusal("tangent: no rule", lambda: tangent(nn.GELU(), X, X), "tangent"),
    Refusal("tangent: shapes", lambda: tangent(LINEAR, X, X[:2]), "tangent"),
    Refusal("tangent: dtypes", lambda: tangent(LINEAR, X, SINGLE), "tangent"),
    Refusal("tangent: padding", lambda: tangent(PADDED, *2 * (X[None, None],)), "tangent"),
    Refusal(
        "gradient_penalty: no rule",
        lambda: wgan.gradient_penalty(scratch.models.MLP([4, 3, 1], dtype=np.float64), X),
        "tangent",
    ),
    Refusal(
        "gradient_penalty: a function",
        lambda: wgan.gradient_penalty(unchecked(np.sum), X),
        "gradient_penalty",
    ),
    Refusal("clip_weights: 0", lambda: wgan.clip_weights(LINEAR.parameters(), 0.0), "clip_weights"),
    Refusal("Game: loss", lambda: scratch.training.Game("hinge"), "Game"),
    Refusal("Game: smoothing", lambda: scratch.training.Game(smoothing=-0.1), "Game"),
    Refusal("Game: penalty", lambda: scratch.training.Game(penalty=-1.0), "Game"),
    Refusal("Game: clip", lambda: scratch.training.Game(clip=0.0), "Game"),
    Refusal("Game: steps", lambda: scratch.training.Game(critic_steps=0), "Game"),
    Refusal(
        "train_adversarial: no game",
        lambda: scratch.training.train_adversarial(
            LINEAR, LINEAR, unchecked(()), unchecked("minimax"), []
        ),
        "train_adversarial",
    ),
    Refusal("train_adversarial: no mix", unmixed, "discriminator_step"),
]
