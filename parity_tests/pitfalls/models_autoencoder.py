"""Conventions of autoencoders: what noise is and where it goes, what a VAE's two terms are."""

from collections.abc import Callable
from typing import Any

import numpy as np

from parity_tests.catalog.models_autoencoder import ModelLoss
from parity_tests.pitfalls.entry import Pitfall
from parity_tests.pitfalls.loss import mutant
from scratch.check import Array
from scratch.models import DenoisingAutoencoder
from scratch.nn import functional as F
from scratch.nn.op import Backward
from scratch.nn.reduction import reduced

Parts = tuple[Any, Backward]


def divergence(rows: Callable[[Array, Array], tuple[Array, Array, Array]]) -> Callable[..., Parts]:
    """`gaussian_kl` by other terms of m and r: each feature's, and its derivatives by m and r."""

    @mutant(F.gaussian_kl)
    def other(**a: Any) -> Parts:
        terms, by_m, by_r = rows(a["mu"], a["logvar"])
        k, back = reduced(np.asarray(terms.sum(-1)), a["reduction"])
        return k, lambda dk: (back(dk)[..., None] * by_m, back(dk)[..., None] * by_r)

    return other


def of_deviation(m: Array, s: Array) -> tuple[Array, Array, Array]:
    """What the network gives is s itself."""
    return 0.5 * (m * m + s * s - 1 - np.log(s * s)), m, s - 1 / s


def of_log_deviation(m: Array, r: Array) -> tuple[Array, Array, Array]:
    """What the network gives is log s."""
    return 0.5 * (m * m + np.exp(2 * r) - 1 - 2 * r), m, np.exp(2 * r) - 1


def from_the_prior(m: Array, r: Array) -> tuple[Array, Array, Array]:
    """KL(p || q)."""
    inverse = np.exp(-r)
    terms = 0.5 * (inverse * (1 + m * m) - 1 + r)
    return terms, inverse * m, 0.5 * (1 - inverse * (1 + m * m))


def with_a_sign(m: Array, r: Array) -> tuple[Array, Array, Array]:
    """The paper's appendix B gives -KL."""
    return 0.5 * (1 + r - m * m - np.exp(r)), -m, 0.5 * (1 - np.exp(r))


def over_features(m: Array, r: Array) -> tuple[Array, Array, Array]:
    """A mean over features, not their sum."""
    n = m.shape[-1]
    return 0.5 * (m * m + np.expm1(r) - r) / n, m / n, 0.5 * np.expm1(r) / n


def with_few_digits(m: Array, r: Array) -> tuple[Array, Array, Array]:
    """-1/2 (1 + r - m^2 - exp(r)), as it is mostly written."""
    return -0.5 * (1 + r - m * m - np.exp(r)), m, 0.5 * (np.exp(r) - 1)


@mutant(F.reparameterize)
def by_the_variance(**a: Any) -> Parts:
    """z = m + exp(r) e."""
    z, back = F.reparameterize(a["mu"], 2 * a["logvar"], a["noise"])

    def backward(dz: Array) -> tuple[Array, Array]:
        dm, dr = back(dz)
        return dm, 2 * dr

    return z, backward


@mutant(F.reparameterize)
def no_way_through(**a: Any) -> Parts:
    """The sample is a constant: no gradient to r."""
    z, _ = F.reparameterize(**a)
    return z, lambda dz: (dz, np.zeros_like(dz))


class UnscaledNoise(DenoisingAutoencoder):
    """Noise of standard deviation 1, whatever the level."""

    def corrupt(self, input: Array, noise: Array | None = None) -> Parts:
        """As DenoisingAutoencoder's of e / level."""
        gaussian = self.corruption == "gaussian" and noise is not None
        return super().corrupt(
            input, noise / self.level if gaussian and noise is not None else noise
        )


class RescaledMask(DenoisingAutoencoder):
    """What is left is scaled up, as by dropout."""

    def corrupt(self, input: Array, noise: Array | None = None) -> Parts:
        """As DenoisingAutoencoder's of x / (1 - level)."""
        if self.corruption != "masking":
            return super().corrupt(input, noise)
        keep = 1 - self.level
        v, back = super().corrupt(input / keep, noise)
        return v, lambda dv: back(dv) / keep


class ClipsStrictly(DenoisingAutoencoder):
    """Clipping stops the gradient at its bounds too."""

    def corrupt(self, input: Array, noise: Array | None = None) -> Parts:
        """As DenoisingAutoencoder's but for the bounds."""
        v, back = super().corrupt(input, noise)
        if self.clip is None:
            return v, back
        inside = (v > self.clip[0]) & (v < self.clip[1])
        return v, lambda dv: back(dv * inside)


class CorruptsAlways(DenoisingAutoencoder):
    """Evaluation mode has noise as well."""

    def forward(self, input: Array, noise: Array | None = None) -> Parts:
        """As DenoisingAutoencoder's in training mode."""
        if noise is None:
            noise = np.random.default_rng(0).standard_normal(input.shape).astype(input.dtype)
        return super().forward(input, noise)


class NoisyTarget(ModelLoss):
    """The network is to give the noise back."""

    def forward(self, input: Array, noise: Array | None = None, **options: Any) -> Parts:
        """The loss against x~."""
        y, model_back = self.model(input, noise)
        corrupted, corrupt_back = self.model.corrupt(input, noise)
        loss, loss_back = F.mse_loss(y, corrupted)

        def backward(dloss: Array) -> Array:
            dy, dcorrupted = loss_back(dloss)
            dx: Array = model_back(dy) + corrupt_back(dcorrupted)
            return dx

        return loss, backward


class OtherLoss(ModelLoss):
    """A VAE's loss with another reconstruction term, or another way of the gradient."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.before = self.model._reconstruction
        self.model._reconstruction = self.reconstruction

    def reconstruction(self, y: Array, x: Array) -> Parts:
        """R of the decoder's output and the input."""
        total, back = self.before(y, x)
        factor = self.factor(x)
        return np.asarray(factor * total), lambda dR: back(np.asarray(factor * dR))

    def factor(self, x: Array) -> float:
        """What R is multiplied by."""
        return 1.0


class MeanOverPixels(OtherLoss):
    """R is a mean over pixels, K a sum over the code."""

    def factor(self, x: Array) -> float:
        """One over the pixels of a row."""
        return len(x) / x.size


class SumOverRows(OtherLoss):
    """R is a sum over the batch."""

    def factor(self, x: Array) -> float:
        """The rows."""
        return float(len(x))


class TwiceTheSquares(OtherLoss):
    """The Gaussian decoder's R without its 1/2."""

    def factor(self, x: Array) -> float:
        """2 for a Gaussian decoder."""
        return 2.0 if self.model.likelihood == "gaussian" else 1.0


class NoNormaliser(OtherLoss):
    """The Gaussian decoder's R is (x - y)^2 / 2 v alone, its bound none of log p(x)."""

    def reconstruction(self, y: Array, x: Array) -> Parts:
        """Less log(2 pi v) / 2 for each pixel."""
        total, back = self.before(y, x)
        if self.model.likelihood == "bernoulli":
            return total, back
        learned = self.model.log_variance
        s = np.log(self.model.variance) if learned is None else learned.data
        pixels = x.size / len(x)

        def backward(dR: Array) -> Any:
            if learned is not None:
                learned.accumulate(np.asarray(-0.5 * pixels * dR))
            return back(dR)

        return np.asarray(total - 0.5 * pixels * (s + np.log(2 * np.pi))), backward


class SigmoidTwice(OtherLoss):
    """Probabilities are given to a loss that takes logits."""

    def reconstruction(self, y: Array, x: Array) -> Parts:
        """Of sigmoid(y) in place of y."""
        p, sigmoid_back = F.sigmoid(y)
        if self.model.likelihood == "gaussian":
            p, sigmoid_back = y, lambda dp: dp
        total, back = self.before(p, x)

        def backward(dR: Array) -> tuple[Array, Array]:
            dp, dx = back(dR)
            return sigmoid_back(dp), dx

        return total, backward


class KLWithoutGradient(ModelLoss):
    """The KL is in the value of the loss alone."""

    def forward(self, input: Array, noise: Array | None = None, **options: Any) -> Parts:
        """As ModelLoss's with dK = -beta dL."""
        terms, back = super().forward(input, noise, **options)
        beta = options.get("beta", 1.0)
        return terms, lambda dL, dR, dK: back(dL, dR, np.asarray(-beta * dL))


PITFALLS = [
    Pitfall(
        "kl: mean over features",
        entry="gaussian_kl",
        difference="here: the sum over features; others: their mean, which weighs it 1 / latent",
        mutant=divergence(over_features),
    ),
    Pitfall(
        "kl: of s",
        entry="gaussian_kl",
        difference="the paper: the network gives log s^2; others: s itself",
        mutant=divergence(of_deviation),
    ),
    Pitfall(
        "kl: of log s",
        entry="gaussian_kl",
        difference="the paper: the network gives log s^2; others: log s",
        mutant=divergence(of_log_deviation),
    ),
    Pitfall(
        "kl: sign",
        entry="gaussian_kl",
        difference="here: the divergence, >= 0; the paper's appendix B: minus that",
        mutant=divergence(with_a_sign),
    ),
    Pitfall(
        "kl: direction",
        entry="gaussian_kl",
        difference="the bound: from q(z|x) to the prior; the other way round: from the prior to q",
        mutant=divergence(from_the_prior),
    ),
    Pitfall(
        "kl: digits near the prior",
        entry="gaussian_kl",
        difference="here: expm1(r) - r; mostly: 1 + r - exp(r), 0 or noise where r is small",
        mutant=divergence(with_few_digits),
    ),
    Pitfall(
        "reparameterize: by the variance",
        entry="reparameterize",
        difference="the paper: noise times s = exp(r / 2); others: times exp(r)",
        mutant=by_the_variance,
    ),
    Pitfall(
        "reparameterize: no gradient to the variance",
        entry="reparameterize",
        difference="the paper: through the sample to m and r; a detached draw: to m alone",
        mutant=no_way_through,
    ),
    Pitfall(
        "denoising: unscaled noise",
        entry="DenoisingAutoencoder",
        difference="here: noise is times `level`; others: as it is drawn",
        mutant=UnscaledNoise,
    ),
    Pitfall(
        "denoising: mask that scales up",
        entry="DenoisingAutoencoder",
        difference="Vincent et al.: what is left stays as it is; dropout: over 1 - level",
        mutant=RescaledMask,
    ),
    Pitfall(
        "denoising: gradient at the clip's bounds",
        entry="DenoisingAutoencoder",
        difference="torch.clamp: 1 at the bounds; others: 0",
        mutant=ClipsStrictly,
    ),
    Pitfall(
        "denoising: noise in evaluation",
        entry="DenoisingAutoencoder",
        difference="here: evaluation is clean unless noise is given; others: always noisy",
        mutant=CorruptsAlways,
    ),
    Pitfall(
        "denoising: noisy target",
        entry="DenoisingAutoencoder.loss",
        difference="the target is clean; others compare with what the network was shown",
        mutant=NoisyTarget,
    ),
    Pitfall(
        "vae: mean over pixels",
        entry="VAE.loss",
        difference="here: both terms are sums over features; others: R is a mean, K a sum",
        mutant=MeanOverPixels,
    ),
    Pitfall(
        "vae: sum over the batch",
        entry="VAE.loss",
        difference="here: both terms are means over rows; others: sums",
        mutant=SumOverRows,
    ),
    Pitfall(
        "vae: squares without the half",
        entry="VAE.loss",
        difference="a Gaussian's -log p has (x - y)^2 / 2 v; others: the square alone",
        mutant=TwiceTheSquares,
    ),
    Pitfall(
        "vae: no normaliser",
        entry="VAE.loss",
        difference="a Gaussian's -log p has log(2 pi v) / 2; others leave it out, and a learned v "
        "grows without end",
        mutant=NoNormaliser,
    ),
    Pitfall(
        "vae: sigmoid twice",
        entry="VAE.loss",
        difference="here: the decoder gives logits; others: probabilities, to a loss of logits",
        mutant=SigmoidTwice,
    ),
    Pitfall(
        "vae: KL without gradient",
        entry="VAE.loss",
        difference="K pulls m and r; a detached one is only printed",
        mutant=KLWithoutGradient,
    ),
]
