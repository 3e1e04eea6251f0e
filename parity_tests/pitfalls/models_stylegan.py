"""Conventions of StyleGAN: what is scaled by what, in which order, and what is averaged how."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np

from parity_tests.catalog.models_gan import Tangent
from parity_tests.catalog.models_stylegan import Penalised
from parity_tests.pitfalls.entry import Pitfall
from parity_tests.pitfalls.loss import mutant
from parity_tests.pitfalls.models_gan import game_with
from scratch import nn
from scratch.check import Array
from scratch.models import (
    MappingNetwork,
    StyleGANDiscriminator,
    StyleGANGenerator,
    stylegan_discriminator,
)
from scratch.models.stylegan import SynthesisLayer, ToRGBLayer
from scratch.nn import bias_act, minibatch_std, modulated_conv2d
from scratch.nn import functional as F
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.training import Game, Round, adversarial

Parts = tuple[Any, Backward]


# Modulated convolution


@mutant(F.modulated_conv2d)
def another_eps(**a: Any) -> Parts:
    """1e-5, as most normalisations have it."""
    with mock.patch.object(modulated_conv2d, "EPS", 1e-5):
        return F.modulated_conv2d(**a)


@mutant(F.modulated_conv2d)
def of_inputs(**a: Any) -> Parts:
    """The norm over the outputs of each input channel, not over the inputs of each output."""
    if not a["demodulate"]:
        return F.modulated_conv2d(**a)
    e = np.square(a["weight"]).sum((0, 2, 3))
    styles = a["styles"] / np.sqrt(np.square(a["styles"]) * e + modulated_conv2d.EPS)
    return F.modulated_conv2d(**{**a, "styles": styles, "demodulate": False})


@mutant(F.modulated_conv2d)
def of_one_norm(**a: Any) -> Parts:
    """One norm of all a sample's weights, with their means in place of sums over outputs."""
    if not a["demodulate"]:
        return F.modulated_conv2d(**a)
    e = np.square(a["weight"]).sum((2, 3)).mean(0)
    q = (np.square(a["styles"]) * e).sum(1, keepdims=True) + modulated_conv2d.EPS
    return F.modulated_conv2d(**{**a, "styles": a["styles"] / np.sqrt(q), "demodulate": False})


@mutant(F.modulated_conv2d)
def constant_demodulation(**a: Any) -> Parts:
    """The coefficients are numbers that neither weight nor style made."""
    y, _ = F.modulated_conv2d(**a)
    w, s = a["weight"], a["styles"]
    _, back = F.modulated_conv2d(**{**a, "demodulate": False})
    d = np.ones((len(s), len(w)), w.dtype)
    if a["demodulate"]:
        d = 1 / np.sqrt(np.square(s) @ np.square(w).sum((2, 3)).T + modulated_conv2d.EPS)
    return y, lambda dy: back(dy * d[:, :, None, None])


# Resampling


@mutant(F.upsample2d)
def dim(**a: Any) -> Parts:
    """Without the gain: of up^2 entries one is not zero, and the image is that much darker."""
    y, backward = F.upsample2d(**a)
    gain = a["up"] ** 2
    return y / gain, lambda dy: backward(dy / gain)


@mutant(F.conv2d_resample)
def dim_features(**a: Any) -> Parts:
    """The same of a convolution that makes its image larger."""
    y, backward = F.conv2d_resample(**a)
    gain = a["up"] ** 2
    return y / gain, lambda dy: backward(dy / gain)


@mutant(F.upfirdn2d)
def unflipped(**a: Any) -> Parts:
    """A correlation with the filter."""
    return F.upfirdn2d(**{**a, "filter": a["filter"][::-1, ::-1]})


@mutant(F.conv2d_resample)
def correlated(**a: Any) -> Parts:
    """A correlation of the larger image, as of any other."""
    if a["up"] == 1:
        return F.conv2d_resample(**a)
    y, backward = F.conv2d_resample(**{**a, "weight": a["weight"][..., ::-1, ::-1]})

    def flipped_back(dy: Array) -> tuple[Array, Array]:
        dx, dw = backward(dy)
        return dx, dw[..., ::-1, ::-1]

    return y, flipped_back


# Layers


@mutant(F.bias_act)
def exact_gain(**a: Any) -> Parts:
    """He et al.'s gain for a slope of 0.2."""
    if a["act"] == "lrelu" and a["gain"] is None:
        a["gain"] = math.sqrt(2 / (1 + 0.2**2))
    return F.bias_act(**a)


@mutant(F.bias_act)
def default_slope(**a: Any) -> Parts:
    """torch's default slope, 0.01."""
    with mock.patch.object(bias_act, "SLOPE", 0.01):
        return F.bias_act(**a)


class FullBias(nn.EqualizedLinear):
    """The bias learns as fast as anything: the multiplier is the weight's alone."""

    def _act(self, z: Array) -> Parts:
        y, back = F.bias_act(z, None if self.bias is None else self.bias.data, self.activation)
        return y, back if self.bias is not None else lambda dy: (back(dy),)


class FanInOfPixels(nn.EqualizedConv2d):
    """The fan-in without the kernel's size."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.weight_gain = 1 / math.sqrt(self.weight.shape[1])


class LateNoise(SynthesisLayer):
    """Noise after the activation, where no bias and no slope meets it."""

    def forward(
        self, input: Array, w: Array, noise: Array | None = None, noise_mode: str = "random"
    ) -> Parts:
        """As SynthesisLayer's, in another order."""
        y, layer_back = super().forward(input, w, noise_mode="none")
        if noise is None:
            noise = self.noise_const
        y, noise_back = F.inject_noise(y, noise, self.noise_strength.data)

        def backward(dy: Array) -> Any:
            dy, _, dstrength = noise_back(dy)
            self.noise_strength.accumulate(dstrength)
            return layer_back(dy)

        return y, backward


class FullStyle(ToRGBLayer):
    """Styles without their gain, which no demodulation makes up for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.weight_gain = 1.0


class Demodulated(ToRGBLayer):
    """The image's layer is demodulated as all others are."""

    def forward(self, input: Array, w: Array) -> Parts:
        """As ToRGBLayer's."""
        plain = F.modulated_conv2d

        def demodulated(*args: Any, **kwargs: Any) -> Parts:
            return plain(*args, **{**kwargs, "demodulate": True})

        with mock.patch.object(F, "modulated_conv2d", demodulated):
            return super().forward(input, w)


@mutant(F.minibatch_std)
def neighbours(**a: Any) -> Parts:
    """Groups of samples that follow each other."""
    x = a["input"]
    g = len(x) if a["group_size"] is None else min(a["group_size"], len(x))
    order = np.arange(len(x)).reshape(-1, g).T.ravel()
    y, backward = F.minibatch_std(**{**a, "input": x[order]})
    back = np.argsort(order)
    return y[back], lambda dy: backward(dy[order])[back]


@mutant(F.minibatch_std)
def root_of_the_mean(**a: Any) -> Parts:
    """The root of the mean variance, not the mean of the roots."""
    x, f = a["input"], a["num_channels"]
    y, backward = F.minibatch_std(**a)
    g = len(x) if a["group_size"] is None else min(a["group_size"], len(x))
    parts = x.reshape(g, len(x) // g, f, -1)
    s = np.sqrt(parts.var(0).mean(-1) + minibatch_std.EPS)
    y = y.copy()
    y[:, x.shape[1] :] = np.tile(s, (g, 1))[:, :, None, None]
    return y, backward


class FlatDeviation(Tangent):
    """The second derivative of the root in a minibatch standard deviation is forgotten."""

    def forward(self, x: Array, v: Array) -> tuple[tuple[Array, Array], Backward]:
        """As Tangent's."""
        if not isinstance(self.inner, nn.MinibatchStd):
            return super().forward(x, v)
        pair, _ = super().forward(x, v)
        _, back = self.inner(x)
        return pair, lambda dy, djv: (back(dy), back(djv))


class OtherBeta(MappingNetwork):
    """beta as the share of the new batch, as BatchNorm's momentum in torch."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.w_avg_beta = 1 - self.w_avg_beta


class OtherWay(MappingNetwork):
    """psi as the share of the mean."""

    def forward(
        self,
        input: Array,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        skip_w_avg_update: bool = False,
    ) -> Parts:
        """As MappingNetwork's."""
        if truncation_psi == 1:
            return super().forward(input, 1.0, truncation_cutoff, skip_w_avg_update)
        return super().forward(input, 1 - truncation_psi, truncation_cutoff, skip_w_avg_update)


class LastTruncated(MappingNetwork):
    """The cutoff says how many of the last layers are truncated."""

    def forward(
        self,
        input: Array,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        skip_w_avg_update: bool = False,
    ) -> Parts:
        """As MappingNetwork's."""
        ws, back = super().forward(input, truncation_psi, truncation_cutoff, skip_w_avg_update)
        return ws[:, ::-1], lambda dws: back(dws[:, ::-1])


class UnscaledNoise(MappingNetwork):
    """z as it is drawn."""

    def forward(self, *args: Any, **kwargs: Any) -> Parts:
        """As MappingNetwork's."""
        with mock.patch.object(F, "rms_norm", lambda x, *_, **__: (x, lambda dy: dy)):
            return super().forward(*args, **kwargs)


class MeanOfBoth(StyleGANGenerator):
    """The styles that are mixed in move the mean of w as well."""

    def forward(self, *args: Any, **kwargs: Any) -> Parts:
        """As StyleGANGenerator's."""
        plain = MappingNetwork.forward

        def always(self: MappingNetwork, *a: Any, skip_w_avg_update: bool = False) -> Parts:
            return plain(self, *a)

        with mock.patch.object(MappingNetwork, "forward", always):
            return super().forward(*args, **kwargs)


class PlainSum(StyleGANDiscriminator):
    """Both ways of a block are added as they are."""

    def forward(self, input: Array) -> Parts:
        """As StyleGANDiscriminator's."""
        with mock.patch.object(stylegan_discriminator, "HALF", 1.0):
            return super().forward(input)


# R1


class OfTheMean(Penalised):
    """The gradient of the mean of D, which shrinks with the batch."""

    def forward(self, input: Array) -> Parts:
        """As Penalised's."""
        penalty, back = super().forward(input)
        n = len(input) ** 2
        return penalty / n, lambda dpenalty: back(dpenalty / n)


STEP = adversarial.discriminator_step


def on_fakes(
    generator: Module, discriminator: Module, optimizer: Any, game: Game, given: Round
) -> float:
    """R1 where the generator is (the paper's R2)."""
    fake, _ = generator.eval()(*given.noise)
    generator.train()
    elsewhere = mock.patch.object(
        adversarial, "r1_penalty", lambda d, x: stylegan_discriminator.r1_penalty(d, fake)
    )
    with elsewhere:
        return STEP(generator, discriminator, optimizer, game, given)


def undivided(
    generator: Module, discriminator: Module, optimizer: Any, game: Game, given: Round
) -> float:
    """gamma, not gamma / 2."""
    return STEP(generator, discriminator, optimizer, replace(game, r1=2 * game.r1), given)


def rarer_and_weaker(
    generator: Module, discriminator: Module, optimizers: Any, game: Game, rounds: Any
) -> Iterator[Any]:
    """Lazy R1 that does not make up for the steps without it."""
    weaker = replace(game, r1=game.r1 / game.r1_interval)
    return adversarial.train_adversarial(generator, discriminator, optimizers, weaker, rounds)


def pitfall(entry: str, name: str, difference: str, mutant: Callable[..., Any]) -> Pitfall:
    """Of an entry."""
    return Pitfall(name, entry=entry, difference=difference, mutant=mutant)


CODE = "stylegan2-ada-pytorch"
PITFALLS = [
    pitfall(
        "modulated_conv2d",
        "eps of demodulation",
        "1e-8 beside the sum of squares; others: 1e-5, as in BatchNorm",
        another_eps,
    ),
    pitfall(
        "modulated_conv2d",
        "demodulation by input channel",
        "Karras et al. 2020, equation 3: a norm over i and k for each output; others: over o and k",
        of_inputs,
    ),
    pitfall(
        "modulated_conv2d",
        "demodulation by sample",
        "a norm for each sample and output; others: one for each sample",
        of_one_norm,
    ),
    pitfall(
        "modulated_conv2d",
        "demodulation without its gradient",
        "the coefficients depend on weights and styles; forgotten: their share of dW and ds",
        constant_demodulation,
    ),
    pitfall(
        "upsample2d",
        "upsampling without gain",
        f"{CODE}: the filter times up^2; without: an image a quarter as bright",
        dim,
    ),
    pitfall(
        "conv2d_resample",
        "convolution up without gain",
        f"{CODE}: the filter after it times up^2; others: as it is",
        dim_features,
    ),
    pitfall(
        "upfirdn2d",
        "filter that is not flipped",
        f"{CODE}, SciPy: a convolution; conv2d: a correlation, the same for [1, 3, 3, 1] only",
        unflipped,
    ),
    pitfall(
        "conv2d_resample",
        "correlation of the larger image",
        f"{CODE}: the weight of a transposed convolution, which flips it; others: a correlation",
        correlated,
    ),
    pitfall(
        "bias_act",
        "gain of a leaky ReLU",
        f"{CODE}: sqrt(2); He et al. and torch's calculate_gain: sqrt(2 / 1.04)",
        exact_gain,
    ),
    pitfall("bias_act", "slope of StyleGAN", f"{CODE}: 0.2; torch's default: 0.01", default_slope),
    pitfall(
        "EqualizedLinear",
        "multiplier of weights alone",
        "Karras et al. 2019: the multiplier slows weights and biases; others: weights",
        FullBias,
    ),
    pitfall(
        "EqualizedConv2d",
        "fan-in without the kernel",
        "fan-in C K^2; others: C",
        FanInOfPixels,
    ),
    pitfall(
        "SynthesisLayer",
        "noise after the activation",
        "Karras et al.: noise, bias, activation; others: noise last",
        LateNoise,
    ),
    pitfall(
        "ToRGBLayer",
        "styles of the image without gain",
        f"{CODE}: styles / sqrt(C), as nothing demodulates them; others: as they are",
        FullStyle,
    ),
    pitfall(
        "ToRGBLayer",
        "image demodulated",
        f"{CODE}: modulated only; others: demodulated as every layer",
        Demodulated,
    ),
    pitfall(
        "minibatch_std",
        "groups of neighbours",
        f"{CODE}: sample g N / G + n is in group n; others: groups of G in a row",
        neighbours,
    ),
    pitfall(
        "minibatch_std",
        "root of a mean variance",
        "Karras et al. 2018: the mean of the deviations; others: the root of the mean variance",
        root_of_the_mean,
    ),
    pitfall(
        "tangent of StyleGAN's layers",
        "minibatch deviation without curvature",
        "R1 goes through the root's second derivative; forgotten: that and the moving mean",
        FlatDeviation,
    ),
    pitfall(
        "MappingNetwork",
        "beta of the mean of w",
        f"{CODE}: 0.995 is the share that is kept; BatchNorm's momentum in torch: the new one's",
        OtherBeta,
    ),
    pitfall(
        "MappingNetwork",
        "truncation the other way",
        "w_avg + psi (w - w_avg): 1 leaves w as it is; others: 1 is the mean",
        OtherWay,
    ),
    pitfall(
        "MappingNetwork",
        "truncation of the last layers",
        "the cutoff counts from the coarsest layer; others: from the finest",
        LastTruncated,
    ),
    pitfall(
        "MappingNetwork",
        "z that is not normalised",
        "Karras et al.: z over its root mean square first; others: as it is drawn",
        UnscaledNoise,
    ),
    pitfall(
        "StyleGANGenerator",
        "mean of w from both z",
        f"{CODE}: the z that is mixed in leaves the mean of w alone; others: it moves it",
        MeanOfBoth,
    ),
    pitfall(
        "StyleGANDiscriminator",
        "residual blocks that add up",
        "Karras et al. 2020, appendix B: both ways times sqrt(1/2); others: as they are",
        PlainSum,
    ),
    pitfall(
        "r1_penalty",
        "R1 of the mean",
        "the gradient of the sum of D over the batch; others: of the mean",
        OfTheMean,
    ),
    pitfall(
        "train_adversarial of StyleGAN",
        "R1 on fakes",
        "Mescheder et al.: R1 on real data, R2 on generated; others: the latter under that name",
        game_with(on_fakes),
    ),
    pitfall(
        "train_adversarial of StyleGAN",
        "gamma that is not halved",
        "Mescheder et al.: gamma / 2; others: gamma",
        game_with(undivided),
    ),
    pitfall(
        "train_adversarial of StyleGAN",
        "lazy R1 without its factor",
        "Karras et al. 2020, section 3.1: every k-th step k times; others: once",
        rarer_and_weaker,
    ),
]
