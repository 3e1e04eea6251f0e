"""StyleGAN: its resampling, modulation, noise and minibatch deviation, both networks, R1."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

import scratch.models
import scratch.optim.swa_utils
import scratch.training
import torch_ref.models
import torch_ref.training
from parity_tests.catalog.models_gan import PEARLMUTTER, Tangent, TorchTangent, of_class
from parity_tests.harness.draw import Array, Draw
from parity_tests.harness.entry import (
    Call,
    Case,
    Entry,
    Layer,
    Op,
    Refusal,
    Routine,
    const,
    unchecked,
)
from parity_tests.harness.routine import Side
from scratch import nn
from scratch.models.stylegan_discriminator import r1_penalty
from scratch.nn import functional as F
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.nn.upfirdn2d import setup_filter
from torch_ref.models import stylegan_discriminator as torch_discriminator
from torch_ref.nn import adversarial_loss, equalized, upfirdn2d
from torch_ref.nn.bias_act import bias_act
from torch_ref.nn.conv2d_resample import conv2d_resample
from torch_ref.nn.minibatch_std import MinibatchStd, minibatch_std
from torch_ref.nn.modulated_conv2d import modulated_conv2d
from torch_ref.nn.noise_injection import inject_noise

KARRAS18 = "Karras et al. 2018, arXiv:1710.10196"
KARRAS19 = "Karras, Laine & Aila 2019, arXiv:1812.04948"
KARRAS20 = "Karras et al. 2020, arXiv:1912.04958"
MESCHEDER = "Mescheder, Geiger & Nowozin 2018, arXiv:1801.04406"


# Ops


def taps(d: Draw) -> Any:
    """The filter of the authors."""
    return const(d.array(setup_filter(dtype=np.float64)))


def skewed(d: Draw, *shape: int) -> Any:
    """A filter that flipping changes."""
    return const(d.normal(*(shape or (4, 4))))


def filtered(
    *shape: int, make: Callable[[Draw], Any] = taps, **options: Any
) -> Callable[[Draw], Call]:
    """An image and a filter."""
    return lambda d: Call(d.normal(*shape), make(d), **options)


def convolved(
    image: tuple[int, ...],
    kernel: tuple[int, ...],
    make: Callable[[Draw], Any] | None = taps,
    **options: Any,
) -> Callable[[Draw], Call]:
    """An image, a kernel and a filter."""
    return lambda d: Call(
        d.normal(*image), d.normal(*kernel), None if make is None else make(d), **options
    )


def modulated(
    image: tuple[int, ...],
    kernel: tuple[int, ...],
    make: Callable[[Draw], Any] | None = None,
    scale: float = 1.0,
    **options: Any,
) -> Callable[[Draw], Call]:
    """An image, a kernel, styles, and a filter where the size changes."""

    def call(d: Draw) -> Call:
        weight, styles = d.normal(*kernel, scale=scale), d.normal(*image[:2])
        return Call(d.normal(*image), weight, styles, None if make is None else make(d), **options)

    return call


def images(*shape: int, scale: float = 1.0, **options: Any) -> Callable[[Draw], Call]:
    """One array."""
    return lambda d: Call(d.normal(*shape, scale=scale), **options)


def biased(*shape: int, **options: Any) -> Callable[[Draw], Call]:
    """An array and a number for each channel."""
    return lambda d: Call(d.normal(*shape), d.normal(shape[1]), **options)


def noisy(x: tuple[int, ...], noise: tuple[int, ...]) -> Callable[[Draw], Call]:
    """Features, noise and its strength."""
    return lambda d: Call(d.normal(*x), d.normal(*noise), d.normal())


# Layers and networks; where filters are off their sum of 1 a network's steps overflow, so that its
# steps are compared in `train_adversarial` and test_stylegan


def noises(d: Draw, n: int, size: int) -> tuple[Any, ...]:
    """An image for each layer of a synthesis, not differentiated."""
    sizes = [r for r in (4, 8, 16, 32) if r <= size for _ in range(1 if r == 4 else 2)]
    return tuple(const(d.normal(n, 1, r, r)) for r in sizes)


def styled(size: int, n: int = 4, **options: Any) -> Callable[[Draw], Call]:
    """z of three numbers, and noise that both sides are given."""
    return lambda d: Call(d.normal(n, 3), noise=noises(d, n, size), **options)


def mixed(size: int, crossover: int) -> Callable[[Draw], Call]:
    """Two z, the second one's styles from a layer on."""
    return lambda d: Call(d.normal(3, 3), d.normal(3, 3), crossover, noises(d, 3, size))


class Penalised(Module):
    """R1 of a discriminator, as a module of x."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self.discriminator = make(scratch.models)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """R1."""
        return r1_penalty(self.discriminator, input)


class TorchPenalised(torch.nn.Module):
    """The same by autograd."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        super().__init__()
        self.discriminator = make(torch_ref.models)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """R1."""
        return torch_discriminator.r1_penalty(self.discriminator, input)


TorchPenalised.__name__ = "Penalised"


def layer(name: str, *args: Any, **kwargs: Any) -> Callable[[Any], Any]:
    """A layer of either package; `package` is scratch.nn or torch.nn."""

    def make(package: Any) -> Any:
        if name.startswith("StyleGAN"):
            models: Any = scratch.models if package is nn else torch_ref.models
            return getattr(models, name)(*args, **kwargs)
        theirs: Any = MinibatchStd if name == "MinibatchStd" else getattr(equalized, name, None)
        return (getattr(nn, name) if package is nn else theirs)(*args, **kwargs)

    return make


def tangents(name: str, make: Callable[[Any], Any], *shape: int, **options: Any) -> Case:
    """A layer whose tangent is compared."""
    return Case(
        name,
        lambda d: Call(d.normal(*shape), d.normal(*shape)),
        init=Call(make),
        modes=("train",),
        **options,
    )


SMALL = (32, 3)  # channel_base, channel_max
LAST = tuple(f"discriminator.b4.{name}.bias" for name in ("conv", "fc", "out"))


# Games


def game(steps: int = 4, **options: Any) -> Callable[..., Mapping[str, Any]]:
    """All parameters and buffers of both players and of G's average, and the losses."""

    def script(train: Callable[..., Any], side: Side, d: Draw) -> dict[str, Any]:
        package: Any = torch_ref.training if side.is_torch else scratch.training
        models: Any = torch_ref.models if side.is_torch else scratch.models
        averages: Any = torch.optim.swa_utils if side.is_torch else scratch.optim.swa_utils
        pair = (
            models.StyleGANGenerator(3, 4, 8, 1, *SMALL, 2),
            models.StyleGANDiscriminator(8, 1, *SMALL),
        )
        for net in pair:
            values = {
                key: d.normal(*value.shape, scale=0.5) + d.array(0.1)
                for key, value in net.state_dict().items()
            }
            side.set(net, values)
        steppers = [side.optim.Adam(net.parameters(), lr=0.01, betas=(0.0, 0.99)) for net in pair]
        ema = averages.AveragedModel(pair[0], multi_avg_fn=averages.get_ema_multi_avg_fn(0.9))

        def drawn() -> Any:
            z, other, sizes = d.normal(4, 3), d.normal(4, 3), (4, 8, 8)
            images = tuple(side.array(d.normal(4, 1, r, r)) for r in sizes)
            return side.array(z), side.array(other), int(d.integers(1, 4)), images

        rounds = [
            package.Round(side.array(np.tanh(d.normal(4, 1, 8, 8))), drawn(), drawn())
            for _ in range(steps)
        ]
        found: dict[str, Any] = {}
        for record in train(*pair, steppers, package.Game(**options), rounds):
            ema.update_parameters(pair[0])
            found[f"D's loss {record.step}"] = np.asarray(record.discriminator, d.dtype)
            found[f"G's loss {record.step}"] = np.asarray(record.generator, d.dtype)
        for which, net in (*zip("gd", pair, strict=True), ("average", ema.module)):
            found |= {f"{which}.{key}": value for key, value in net.state_dict().items()}
        return found

    return script


def filters(function: Callable[..., Any], side: Side, d: Draw) -> dict[str, Any]:
    """Filters of several taps."""
    dtype = getattr(torch if side.is_torch else np, str(np.dtype(d.dtype)))
    if side.is_torch and side.array(d.array(1.0)).dtype == torch.float64:
        dtype = torch.float64
    lists = ((1, 3, 3, 1), (1, 2, 1), (1,), (0.5, 4, -1, 2.5))
    return {str(t): function(t, dtype=dtype) for t in lists}


ENTRIES: list[Entry] = [
    Routine(
        "setup_filter",
        setup_filter,
        upfirdn2d.setup_filter,
        {"taps": filters},
        source=KARRAS20,
    ),
    Op(
        "upfirdn2d",
        F.upfirdn2d,
        upfirdn2d.upfirdn2d,
        source=KARRAS20,
        cases=(
            Case("blur", filtered(2, 3, 5, 4, padding=(2, 1, 2, 1))),
            Case("up", filtered(2, 3, 4, 3, make=skewed, up=2, padding=(2, 1, 2, 1), gain=4.0)),
            Case("down", filtered(2, 3, 6, 5, make=skewed, down=2, padding=1)),
            Case(
                "up and down, uneven",
                filtered(
                    *(2, 2, 4, 5),
                    make=lambda d: skewed(d, 3, 2),
                    up=3,
                    down=2,
                    padding=(0, 3, -2, 1),
                    gain=0.5,
                ),
            ),
            Case("cropped", filtered(1, 3, 6, 7, make=skewed, padding=(-1, 0, 2, -1))),
            Case("one channel of one image", filtered(1, 1, 4, 4, make=skewed, up=2, padding=2)),
            Case("one pixel", filtered(2, 1, 1, 1, make=skewed, up=2, padding=(2, 1, 2, 1))),
            Case("scale alone", filtered(2, 2, 3, 3, make=lambda d: skewed(d, 1, 1), up=2)),
        ),
    ),
    Op(
        "upsample2d",
        F.upsample2d,
        upfirdn2d.upsample2d,
        source=KARRAS20,
        cases=(
            Case("twice", filtered(2, 3, 4, 3)),
            Case("three times", filtered(1, 2, 3, 2, make=skewed, up=3)),
            Case("odd filter", filtered(2, 2, 3, 4, make=lambda d: skewed(d, 3, 5))),
            Case("not at all", filtered(2, 2, 5, 4, make=skewed, up=1)),
        ),
    ),
    Op(
        "downsample2d",
        F.downsample2d,
        upfirdn2d.downsample2d,
        source=KARRAS20,
        cases=(
            Case("half", filtered(2, 3, 6, 4)),
            Case("odd size", filtered(2, 1, 5, 7, make=skewed)),
            Case("a third", filtered(1, 2, 9, 6, make=lambda d: skewed(d, 5, 3), down=3)),
        ),
    ),
    Op(
        "conv2d_resample",
        F.conv2d_resample,
        conv2d_resample,
        source=KARRAS20,
        cases=(
            Case("same size", convolved((2, 3, 5, 4), (4, 3, 3, 3), padding=1)),
            Case("up", convolved((2, 3, 4, 3), (4, 3, 3, 3), skewed, up=2, padding=1)),
            Case("down", convolved((2, 3, 6, 4), (4, 3, 3, 3), skewed, down=2, padding=1)),
            Case("1 x 1, up", convolved((2, 3, 4, 3), (2, 3, 1, 1), skewed, up=2)),
            Case("1 x 1, down", convolved((2, 3, 6, 4), (2, 3, 1, 1), skewed, down=2)),
            Case("no filter, up", convolved((2, 2, 3, 4), (3, 2, 3, 3), None, up=2, padding=1)),
            Case("no filter, down", convolved((2, 2, 5, 4), (3, 2, 3, 3), None, down=2, padding=1)),
            Case("odd size, down", convolved((1, 2, 7, 5), (1, 2, 3, 3), down=2, padding=1)),
            Case("5 x 5, up", convolved((1, 2, 3, 3), (2, 2, 5, 5), skewed, up=2, padding=2)),
        ),
    ),
    Op(
        "bias_act",
        F.bias_act,
        bias_act,
        source=KARRAS20,
        cases=(
            Case("linear", biased(3, 4)),
            Case("no bias", images(3, 4, 2, 2)),
            Case("leaky", biased(3, 4, 2, 3, act="lrelu")),
            Case("leaky, no bias", images(2, 3, 4, act="lrelu")),
            Case("gain", biased(3, 2, 2, 2, act="lrelu", gain=0.3)),
            Case("linear gain", biased(3, 2, gain=-2.0)),
        ),
    ),
    Op(
        "modulated_conv2d",
        F.modulated_conv2d,
        modulated_conv2d,
        source=KARRAS20,
        cases=(
            Case("same size", modulated((2, 3, 5, 4), (4, 3, 3, 3), padding=1)),
            Case("up", modulated((2, 3, 4, 3), (5, 3, 3, 3), skewed, up=2, padding=1)),
            Case("down", modulated((2, 3, 6, 4), (5, 3, 3, 3), taps, down=2, padding=1)),
            Case("one sample", modulated((1, 3, 4, 4), (2, 3, 3, 3), padding=1)),
            Case("modulated only", modulated((3, 4, 3, 3), (2, 4, 1, 1), demodulate=False)),
            Case("one channel", modulated((3, 1, 3, 4), (1, 1, 3, 3), scale=3e-5, padding=1)),
            Case(
                "one channel, as it is",
                modulated((2, 1, 3, 3), (2, 1, 3, 3), demodulate=False),
            ),
            Case(
                "weights of the size of eps",
                modulated((2, 3, 4, 4), (4, 3, 3, 3), scale=3e-5, padding=1),
            ),
        ),
    ),
    Op(
        "inject_noise",
        F.inject_noise,
        inject_noise,
        source=KARRAS19,
        cases=(
            Case("of each sample", noisy((2, 3, 4, 5), (2, 1, 4, 5))),
            Case("the same for all", noisy((2, 3, 4, 5), (4, 5))),
            Case("one pixel", noisy((1, 1, 1, 1), (1, 1, 1, 1))),
        ),
    ),
    Op(
        "minibatch_std",
        F.minibatch_std,
        minibatch_std,
        source=KARRAS18,
        cases=(
            Case("one group", images(4, 3, 2, 3)),
            Case("groups", images(6, 2, 2, 3, group_size=3)),
            Case("channels", images(4, 6, 3, 2, group_size=2, num_channels=3)),
            Case("all", images(5, 2, 2, 2, group_size=None)),
            Case("fewer than a group", images(3, 2, 2, 2)),
            Case("alone", images(1, 2, 2, 3)),
            Case("all alike", lambda d: Call(d.normal(1, 2, 2, 3).repeat(4, axis=0))),
            Case("close together", images(4, 2, 3, 3, scale=1e-4)),
        ),
    ),
    Op(
        "zero_gradient_loss",
        F.zero_gradient_loss,
        adversarial_loss.zero_gradient_loss,
        source=MESCHEDER,
        cases=(
            Case("rows", images(4, 3)),
            Case("images", images(3, 2, 4, 3)),
            Case("long and short", lambda d: Call(d.array([[3e3, 1], [1e-3, -2e-3]]))),
        ),
    ),
    Layer(
        "EqualizedLinear",
        nn.EqualizedLinear,
        equalized.EqualizedLinear,
        source=KARRAS18,
        cases=(
            Case("linear", images(3, 4), init=Call(4, 5)),
            Case("leaky, slow", images(3, 4), init=Call(4, 5, True, "lrelu", 0.01)),
            Case("no bias", images(3, 2), init=Call(2, 3, bias=False)),
            Case("bias of one", images(3, 2), init=Call(2, 3, bias_init=1.0, lr_multiplier=2.0)),
        ),
    ),
    Layer(
        "EqualizedConv2d",
        nn.EqualizedConv2d,
        equalized.EqualizedConv2d,
        source=KARRAS18,
        cases=(
            Case("same size", images(2, 3, 4, 5), init=Call(3, 2, 3, activation="lrelu")),
            Case("up", images(2, 3, 3, 4), init=Call(3, 2, 3, up=2)),
            Case("down", images(2, 3, 6, 4), init=Call(3, 2, 3, True, "lrelu", down=2)),
            Case("1 x 1, down", images(2, 3, 4, 4, gain=0.5), init=Call(3, 2, 1, False, down=2)),
            Case(
                "other taps", images(2, 2, 4, 4), init=Call(2, 2, 3, down=2, resample_filter=[1, 2])
            ),
        ),
    ),
    Layer(
        "MinibatchStd",
        nn.MinibatchStd,
        MinibatchStd,
        source=KARRAS18,
        cases=(
            Case("groups", images(6, 4, 2, 2), init=Call(3, 2)),
            Case("all", images(5, 2, 2, 2), init=Call(None)),
        ),
    ),
    Layer(
        "tangent of StyleGAN's layers",
        Tangent,
        TorchTangent,
        source=PEARLMUTTER,
        steps=False,
        cases=(
            tangents("EqualizedLinear", layer("EqualizedLinear", 3, 4), 5, 3),
            tangents("leaky", layer("EqualizedLinear", 3, 4, True, "lrelu", 0.1), 5, 3),
            tangents("no bias", layer("EqualizedLinear", 3, 4, bias=False), 5, 3),
            tangents("EqualizedConv2d", layer("EqualizedConv2d", 2, 3, 3), 2, 2, 4, 5),
            tangents("down", layer("EqualizedConv2d", 2, 3, 3, True, "lrelu", 1, 2), 2, 2, 4, 6),
            tangents("1 x 1, down", layer("EqualizedConv2d", 2, 3, 1, False, down=2), 2, 2, 4, 4),
            tangents("MinibatchStd", layer("MinibatchStd", 3, 2), 6, 4, 2, 3),
            tangents("MinibatchStd of one", layer("MinibatchStd"), 1, 4, 2, 3),
        ),
    ),
    Layer(
        "r1_penalty",
        Penalised,
        TorchPenalised,
        source=MESCHEDER,
        c=1000,
        steps=False,  # torch's optimizers skip the biases of which the penalty does not know
        cases=(
            Case(
                "Tanh",
                images(5, 4),
                init=Call(lambda models: models.Critic(4, [6, 5], "Tanh")),
                zero=("discriminator.layers.4.bias",),
            ),
        ),
    ),
    Layer(
        "r1_penalty of StyleGAN",
        Penalised,
        TorchPenalised,
        source=MESCHEDER,
        c=1000,
        steps=False,
        differences=False,  # differences along a direction of all weights: test_stylegan
        cases=(
            Case(
                "8",
                images(4, 2, 8, 8),
                init=Call(lambda models: models.StyleGANDiscriminator(8, 2, *SMALL)),
                zero=LAST,
                modes=("train",),
            ),
            Case(
                "16, groups",
                images(6, 1, 16, 16),
                init=Call(lambda models: models.StyleGANDiscriminator(16, 1, 32, 4, 3, 2)),
                zero=LAST,
                modes=("train",),
            ),
        ),
    ),
    Layer(
        "MappingNetwork",
        scratch.models.MappingNetwork,
        torch_ref.models.MappingNetwork,
        source=KARRAS19,
        c=1000,
        cases=(
            Case("all the same", images(4, 3), init=Call(3, 5, 4, 2)),
            Case("eight layers", images(4, 3), init=Call(3, 5, 2, 8, 0.1, 0.9)),
            Case(
                "truncated",
                images(4, 3, truncation_psi=0.7),
                init=Call(3, 5, 4, 2),
                modes=("eval",),
            ),
            Case(
                "truncated, the first",
                images(4, 3, truncation_psi=-0.3, truncation_cutoff=2),
                init=Call(3, 5, 4, 2),
                modes=("eval",),
            ),
            Case(
                "truncated while the mean moves",
                images(4, 3, truncation_psi=0.4),
                init=Call(3, 5, 4, 2, w_avg_beta=0.6),
                modes=("train",),
                surrogate="the mean of w is a constant of the gradient",
            ),
            Case(
                "mean left alone",
                images(4, 3, skip_w_avg_update=True),
                init=Call(3, 5, 4, 2),
                modes=("train",),
            ),
        ),
    ),
    Layer(
        "SynthesisLayer",
        scratch.models.SynthesisLayer,
        torch_ref.models.SynthesisLayer,
        source=KARRAS20,
        c=1000,
        cases=(
            Case(
                "noise",
                lambda d: Call(d.normal(3, 2, 4, 4), d.normal(3, 5), const(d.normal(3, 1, 4, 4))),
                init=Call(2, 3, 5, 4),
            ),
            Case(
                "noise that stays",
                lambda d: Call(d.normal(3, 2, 4, 4), d.normal(3, 5), noise_mode="const"),
                init=Call(2, 3, 5, 8, 2),
                modes=("eval",),
            ),
            Case(
                "drawn",
                lambda d: Call(d.normal(3, 2, 4, 4), d.normal(3, 5)),
                init=Call(2, 3, 5, 4),
                seeded=True,
                surrogate="each call draws anew",
            ),
        ),
    ),
    Layer(
        "ToRGBLayer",
        scratch.models.ToRGBLayer,
        torch_ref.models.ToRGBLayer,
        source=KARRAS20,
        cases=(
            Case("image", lambda d: Call(d.normal(3, 4, 3, 2), d.normal(3, 5)), init=Call(4, 2, 5)),
        ),
    ),
    Layer(
        "SynthesisNetwork",
        scratch.models.SynthesisNetwork,
        torch_ref.models.SynthesisNetwork,
        source=KARRAS20,
        c=1000,
        steps=False,
        cases=(
            Case(
                "16, a style for each layer",
                lambda d: Call(d.normal(2, 6, 4), noises(d, 2, 16)),
                init=Call(4, 16, 2, 64, 4),
                modes=("train",),
            ),
            Case(
                "4",
                lambda d: Call(d.normal(3, 2, 4), noise_mode="const"),
                init=Call(4, 4, 1, 16, 3),
                modes=("eval",),
            ),
        ),
    ),
    Layer(
        "StyleGANGenerator",
        scratch.models.StyleGANGenerator,
        torch_ref.models.StyleGANGenerator,
        source=KARRAS20,
        c=1000,
        steps=False,
        differences=False,
        cases=(
            Case("8", styled(8), init=Call(3, 5, 8, 1, *SMALL, 2)),
            Case("8, mixed", mixed(8, 2), init=Call(3, 5, 8, 2, *SMALL, 2)),
            Case(
                "16, truncated",
                styled(16, 2, truncation_psi=0.6, truncation_cutoff=3),
                init=Call(3, 4, 16, 1, *SMALL, 2),
                modes=("eval",),
            ),
            Case(
                "8, noise that stays",
                images(2, 3, noise_mode="const"),
                init=Call(3, 5, 8, 1, *SMALL, 2),
                modes=("eval",),
            ),
        ),
    ),
    Layer(
        "StyleGANDiscriminator",
        scratch.models.StyleGANDiscriminator,
        torch_ref.models.StyleGANDiscriminator,
        source=KARRAS20,
        c=1000,
        steps=False,
        differences=False,  # differences: test_stylegan
        cases=(
            Case("8", images(4, 1, 8, 8), init=Call(8, 1, *SMALL)),
            Case(
                "16, groups",
                images(4, 2, 16, 16),
                init=Call(16, 2, 64, 4, 2, 2),
                modes=("train",),
            ),
        ),
    ),
    Routine(
        "train_adversarial of StyleGAN",
        scratch.training.train_adversarial,
        torch_ref.training.train_adversarial,
        {"R1": game(r1=2.0), "lazy R1": game(5, r1=2.0, r1_interval=2)},
        source=KARRAS20,
        c=1000,
    ),
]

# Refusals

X, W, S = np.ones((2, 3, 4, 4)), np.ones((2, 3, 3, 3)), np.ones((2, 3))
SINGLE, FILTER = np.ones((2, 3, 4, 4), np.float32), np.ones((4, 4))
LAYER = scratch.models.SynthesisLayer(3, 2, 5, 4, dtype=np.float64)
G = scratch.models.StyleGANGenerator(3, 4, 8, 1, *SMALL, 2, dtype=np.float64)
D = scratch.models.StyleGANDiscriminator(8, 1, *SMALL, dtype=np.float64)
NOISE = tuple(np.ones((2, 1, r, r)) for r in (4, 8, 8))


REFUSALS = [
    *(
        Refusal(f"{name}: {what}", functools.partial(getattr(F, name), *c.args, **c.kwargs), name)
        for name, calls in {
            "upfirdn2d": {
                "no image": Call(S, FILTER),
                "no filter": Call(X, FILTER[0]),
                "dtypes": Call(SINGLE, FILTER),
                "up": Call(X, FILTER, 0),
                "down": Call(X, FILTER, 1, 0.5),
                "three pads": Call(X, FILTER, 1, 1, (1, 1, 1)),
                "gain": Call(X, FILTER, gain="4"),
                "too small": Call(X[..., :3], FILTER),
                "empty": Call(X[:, :0], FILTER),
            },
            "upsample2d": {"no filter": Call(X, FILTER[0]), "up": Call(X, FILTER, 0)},
            "downsample2d": {"no filter": Call(X, FILTER[0]), "down": Call(X, FILTER, 0)},
            "conv2d_resample": {
                "channels": Call(X, W[:, :2]),
                "no kernel": Call(X, W[0]),
                "dtypes": Call(SINGLE, W),
                "both": Call(X, W, FILTER, 2, 2),
                "padding": Call(X, W, FILTER, 1, 2, -1),
                "filter's dtype": Call(SINGLE, W.astype(np.float32), FILTER, 2),
            },
            "bias_act": {
                "one axis": Call(X[0, 0, 0]),
                "bias": Call(X, np.ones(4)),
                "act": Call(X, None, "relu"),
                "gain": Call(X, None, "lrelu", "2"),
            },
            "modulated_conv2d": {
                "styles": Call(X, W, S[:1]),
                "channels": Call(X, W[:, :2], S),
                "no image": Call(X[0], W, S),
                "dtypes": Call(X, W, S.astype(np.float32)),
                "demodulate": Call(X, W, S, demodulate="yes"),
            },
            "inject_noise": {
                "noise of channels": Call(X, X, np.ones(())),
                "size": Call(X, np.ones((3, 4)), np.ones(())),
                "strengths": Call(X, np.ones((4, 4)), np.ones(3)),
            },
            "minibatch_std": {
                "rows": Call(S),
                "group": Call(np.ones((5, 2, 2, 2)), 2),
                "channels": Call(X, 2, 2),
                "no group": Call(X, 0),
                "empty": Call(X[:0]),
            },
            "zero_gradient_loss": {"no rows": Call(np.ones(()))},
        }.items()
        for what, c in calls.items()
    ),
    Refusal("setup_filter: no taps", lambda: setup_filter([]), "setup_filter"),
    Refusal("setup_filter: words", lambda: setup_filter(unchecked(["1"])), "setup_filter"),
    Refusal("setup_filter: sum of 0", lambda: setup_filter([1, -1]), "setup_filter"),
    *(
        Refusal(f"{name}: {what}", functools.partial(getattr(nn, name), *c.args, **c.kwargs), name)
        for name, calls in {
            "EqualizedLinear": {
                "size": Call(0, 2),
                "activation": Call(2, 2, True, "relu"),
                "multiplier": Call(2, 2, lr_multiplier=0.0),
            },
            "EqualizedConv2d": {
                "size": Call(2, 0, 3),
                "even": Call(2, 2, 4),
                "activation": Call(2, 2, 3, True, "relu"),
                "both": Call(2, 2, 3, up=2, down=2),
            },
            "MinibatchStd": {"group": Call(0), "channels": Call(4, 0)},
        }.items()
        for what, c in calls.items()
    ),
    *of_class(
        "MappingNetwork",
        {
            "no z": Call(0, 2, 2),
            "no layers": Call(2, 2, 2, 0),
            "beta": Call(2, 2, 2, 2, 0.01, 1.5),
        },
    ),
    *of_class(
        "SynthesisLayer",
        {"up": Call(2, 2, 2, 8, 4), "size": Call(2, 0, 2, 8), "odd": Call(2, 2, 2, 5, 2)},
    ),
    *of_class("ToRGBLayer", {"size": Call(2, 0, 2)}),
    *of_class(
        "SynthesisNetwork",
        {
            "size": Call(2, 12, 1),
            "too small": Call(2, 2, 1),
            "channels": Call(2, 8, 0),
            "base": Call(2, 8, 1, 7),
        },
    ),
    *of_class("StyleGANGenerator", {"no z": Call(0)}),
    *of_class("StyleGANDiscriminator", {"size": Call(24, 1), "too small": Call(4, 1)}),
    Refusal(
        "SynthesisLayer: noise",
        lambda: LAYER(X, np.ones((2, 5)), np.ones((2, 3, 4, 4))),
        "SynthesisLayer",
    ),
    Refusal(
        "SynthesisLayer: mode",
        lambda: LAYER(X, np.ones((2, 5)), noise_mode="some"),
        "SynthesisLayer",
    ),
    Refusal(
        "SynthesisLayer: noise that is not used",
        lambda: LAYER(X, np.ones((2, 5)), np.ones((2, 1, 4, 4)), "const"),
        "SynthesisLayer",
    ),
    Refusal("StyleGANGenerator: width", lambda: G(np.ones((2, 4))), "StyleGANGenerator"),
    Refusal("StyleGANGenerator: rows", lambda: G(np.ones((0, 3))), "StyleGANGenerator"),
    Refusal("StyleGANGenerator: crossover", lambda: G(S, S), "StyleGANGenerator"),
    Refusal("StyleGANGenerator: mixing", lambda: G(S, S[:1], 1), "StyleGANGenerator"),
    Refusal("StyleGANGenerator: noise", lambda: G(S, noise=NOISE[1:]), "StyleGANGenerator"),
    Refusal("StyleGANGenerator: sizes", lambda: G(S, noise=NOISE[::-1]), "StyleGANGenerator"),
    Refusal("StyleGANGenerator: mode", lambda: G(S, noise_mode="all"), "StyleGANGenerator"),
    Refusal("StyleGANGenerator: psi", lambda: G(S, truncation_psi="1"), "StyleGANGenerator"),
    Refusal(
        "StyleGANGenerator: cutoff",
        lambda: G(S, truncation_psi=0.5, truncation_cutoff=-1),
        "StyleGANGenerator",
    ),
    Refusal("StyleGANDiscriminator: size", lambda: D(X), "StyleGANDiscriminator"),
    Refusal(
        "r1_penalty: no rule",
        lambda: r1_penalty(scratch.models.MLP([4, 3, 1], dtype=np.float64), X[0, 0]),
        "tangent",
    ),
    Refusal("r1_penalty: a function", lambda: r1_penalty(unchecked(np.sum), X), "r1_penalty"),
    Refusal("Game: r1", lambda: scratch.training.Game(r1=-1.0), "Game"),
    Refusal("Game: interval", lambda: scratch.training.Game(r1_interval=0), "Game"),
]
