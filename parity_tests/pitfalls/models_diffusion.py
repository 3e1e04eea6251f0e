"""Conventions of denoising diffusion: what a step is, how much noise it adds, who is told t."""

import math
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import numpy as np

from parity_tests.catalog.models_diffusion import STEPS, DiffusionLoss
from parity_tests.pitfalls.entry import Pitfall
from scratch.check import Array
from scratch.models import DDPM, NoiseSchedule, TimeEmbedding, denoisers
from scratch.models.denoisers import PixelAttention, ResidualBlock
from scratch.models.diffusion import cosine_betas
from scratch.nn import functional as F
from scratch.nn.op import Backward

Parts = tuple[Any, Backward]


# Schedules


def root_linear(steps: int, first: float = 1e-4, last: float = 0.02) -> Array:
    """Their roots grow evenly."""
    return np.linspace(math.sqrt(first), math.sqrt(last), steps) ** 2


def unclipped(steps: int, offset: float = 0.008, most: float = 0.999) -> Array:
    """The last beta is 1."""
    return cosine_betas(steps, offset, 1 - 1e-15)


def normalised(steps: int, offset: float = 0.008, most: float = 0.999) -> Array:
    """The angle is not divided by 1 + s."""
    f = np.cos((np.arange(steps + 1) / steps + offset) * (math.pi / 2)) ** 2
    clipped: Array = np.clip(1 - f[1:] / f[:-1], None, most)
    return clipped


class NeverZero(NoiseSchedule):
    """The first posterior variance is the second's, so that it has a logarithm."""

    def __init__(self, betas: Array) -> None:
        super().__init__(betas)
        self.posterior_variance[0] = self.posterior_variance[1]


class OwnStepBefore(NoiseSchedule):
    """A in place of A' where nothing comes before."""

    def __init__(self, betas: Array) -> None:
        super().__init__(betas)
        self.previous[0] = self.cumulative[0]


# Noise


class AlphasAlone(NoiseSchedule):
    """a where its product belongs."""

    def __init__(self, betas: Array) -> None:
        super().__init__(betas)
        self.cumulative = self.alphas


class FromOne(NoiseSchedule):
    """t = 0 is no noise: t counts from 1."""

    def __init__(self, betas: Array) -> None:
        super().__init__(betas)
        self.cumulative = self.previous


class ByTheVariance(NoiseSchedule):
    """(1 - A) e, not its root."""

    def add_noise(self, x0: Array, t: Array, noise: Array) -> Parts:
        """As NoiseSchedule's, with another spread."""
        spread = np.sqrt(1 - self.cumulative[t]).reshape(-1, *(1,) * (x0.ndim - 1))
        x, back = super().add_noise(x0, t, spread * noise)

        def backward(dx: Array) -> tuple[Array, Array]:
            dx0, dnoise = back(dx)
            return dx0, spread * dnoise

        return x, backward


def of(kind: type[NoiseSchedule]) -> Callable[..., Parts]:
    """The `add_noise` of another schedule."""
    return kind(cosine_betas(STEPS)).add_noise


# Training


class ToldTheNext(DiffusionLoss):
    """The network is told t + 1, as the papers count."""

    def forward(self, x0: Array, t: Array, noise: Array) -> Parts:
        """As DiffusionLoss's."""
        whole, denoiser = super().forward, self.model.denoiser
        before = denoiser.forward
        with mock.patch.object(denoiser, "forward", lambda x, t: before(x, t + 1)):
            return whole(x0, t, noise)


class PredictsTheData(DiffusionLoss):
    """The network is to give x_0."""

    def forward(self, x0: Array, t: Array, noise: Array) -> Parts:
        """The loss against x_0."""
        x, noise_back = self.model.schedule.add_noise(x0, t, noise)
        y, denoiser_back = self.model.denoiser(x, t)
        loss, loss_back = F.mse_loss(y, x0)

        def backward(dloss: Array) -> Array:
            dy, dx0 = loss_back(dloss)
            dx: Array = dx0 + noise_back(denoiser_back(dy))[0]
            return dx

        return loss, backward


class SumOfFeatures(DiffusionLoss):
    """The squared norm of each row's error: a mean over rows alone."""

    def forward(self, x0: Array, t: Array, noise: Array) -> Parts:
        """As DiffusionLoss's, times the features."""
        loss, back = super().forward(x0, t, noise)
        n = x0[0].size
        return np.asarray(n * loss), lambda dloss: back(np.asarray(n * dloss))


# Sampling


class OtherSampler(DDPM):
    """DDPM's sampler with one thing changed."""

    def sample(
        self,
        shape: Sequence[int],
        variance: str = "beta",
        noises: Array | None = None,
        clip: float | None = None,
    ) -> Array:
        """As DDPM's, of given noises."""
        predict = self._predictor("sample", clip)
        s, z = self.schedule, np.asarray(noises)
        variances = s.betas if variance == "beta" else s.posterior_variance
        x = z[0]
        for k, t in enumerate(reversed(range(len(s))), 1):
            e = predict(x, t)
            x = (x - s.betas[t] / math.sqrt(1 - s.cumulative[t]) * e) / math.sqrt(self.share(t))
            x = x + self.spread(variances[t]) * (z[k] if t > 0 else self.last(z))
        made: Array = x
        return made

    def share(self, t: int) -> float:
        """What is left of the signal in a step."""
        return float(self.schedule.alphas[t])

    def spread(self, variance: float) -> float:
        """Of the noise."""
        return math.sqrt(variance)

    def last(self, z: Array) -> Array:
        """The noise at t = 0."""
        return np.zeros_like(z[0])


class NoisyToTheEnd(OtherSampler):
    """Noise at t = 0, too."""

    def last(self, z: Array) -> Array:
        """Some noise."""
        first: Array = z[0]
        return first


class VarianceForDeviation(OtherSampler):
    """v z, not sqrt(v) z."""

    def spread(self, variance: float) -> float:
        """The variance."""
        return variance


class ProductForAlpha(OtherSampler):
    """Divides by sqrt(A)."""

    def share(self, t: int) -> float:
        """What is left of the signal since the data."""
        return float(self.schedule.cumulative[t])


class OtherDDIM(DDPM):
    """DDIM with one thing changed."""

    def ddim(
        self,
        shape: Sequence[int],
        steps: Sequence[int] | None = None,
        eta: float = 0.0,
        noises: Array | None = None,
        clip: float | None = None,
    ) -> Array:
        """As DDPM's, of given noises."""
        z = np.asarray(noises)
        times = list(range(len(self.schedule)) if steps is None else steps)
        shares = [float(self.schedule.cumulative[t]) for t in times]
        x = z[0]
        rows = list(zip(times, shares, [self.end(), *shares[:-1]], strict=True))
        for k, (t, A, before) in enumerate(reversed(rows), 1):
            v = self.variance(eta, (1 - before) / (1 - A) * (1 - A / before))
            e, clean = self.predicted(x, t, clip)
            x = math.sqrt(before) * clean + math.sqrt(max(0.0, self.direction(before, v))) * e
            if v > 0 and k < len(rows):
                x = x + math.sqrt(v) * z[k]
        made: Array = x
        return made

    def predicted(self, x: Array, t: int, clip: float | None) -> tuple[Array, Array]:
        """e^ and x^."""
        e, A = self._predictor("ddim", clip)(x, t), float(self.schedule.cumulative[t])
        return e, (x - math.sqrt(1 - A) * e) / math.sqrt(A)

    def end(self) -> float:
        """A after the last step."""
        return 1.0

    def variance(self, eta: float, v: float) -> float:
        """Of the noise of a step."""
        return eta**2 * v

    def direction(self, before: float, v: float) -> float:
        """The square of what e^ is multiplied by."""
        return 1 - before - v


class StopsAtTheFirst(OtherDDIM):
    """The last step ends at A_0, not at the data."""

    def end(self) -> float:
        """A_0."""
        return float(self.schedule.cumulative[0])


class EtaOfTheVariance(OtherDDIM):
    """v grows with eta, not with its square."""

    def variance(self, eta: float, v: float) -> float:
        """Linear in eta."""
        return eta * v


class KeepsTheNoise(OtherDDIM):
    """x^ is clipped, e^ stays as it was predicted."""

    def predicted(self, x: Array, t: int, clip: float | None) -> tuple[Array, Array]:
        """e^ and x^, which no longer belong together."""
        e, clean = super().predicted(x, t, None)
        return e, clean if clip is None else np.clip(clean, -clip, clip)


class WholeDirection(OtherDDIM):
    """The new noise comes on top of e^."""

    def direction(self, before: float, v: float) -> float:
        """Without v."""
        return 1 - before


# Networks


class CosinesFirst(TimeEmbedding):
    """[cos, sin]."""

    def forward(self, t: Array) -> Parts:
        """As TimeEmbedding's, of other columns."""
        p = self.columns(np.asarray(t)[:, None])
        h, linear1_back = self.linear1(p.astype(self.linear1.weight.dtype))
        a, act_back = self.act(h)
        c, linear2_back = self.linear2(a)

        def backward(dc: Array) -> None:
            linear1_back(act_back(linear2_back(dc)), needs_input_grad=False)

        return c, backward

    def columns(self, t: Array) -> Array:
        """Of t (N, 1)."""
        half = self.dim // 2
        turns = t * 10000.0 ** (-np.arange(half) / (half - 1))
        return np.concatenate([np.cos(turns), np.sin(turns)], axis=1)


class NeverTheLongest(CosinesFirst):
    """w_i = 10000^(-2 i / D)."""

    def columns(self, t: Array) -> Array:
        """All sines, all cosines, of other waves."""
        turns = t * 10000.0 ** (-np.arange(0, self.dim, 2) / self.dim)
        return np.concatenate([np.sin(turns), np.cos(turns)], axis=1)


class InTurns(CosinesFirst):
    """A sine and a cosine alternate."""

    def columns(self, t: Array) -> Array:
        """Of the same waves."""
        both = super().columns(t)
        half = self.dim // 2
        return np.stack([both[:, half:], both[:, :half]], axis=2).reshape(len(t), -1)


def default_eps(*args: Any, **kwargs: Any) -> ResidualBlock:
    """torch's 1e-5."""
    with mock.patch.object(denoisers, "EPS", 1e-5):
        return ResidualBlock(*args, **kwargs)


class TimeAsItIs(ResidualBlock):
    """V c, without the activation."""

    def forward(self, input: Array, time: Array) -> Parts:
        """As ResidualBlock's, of s whose activation is c."""
        act, calls = self.act.forward, []

        def second(x: Array) -> Parts:
            calls.append(x)
            return (x, lambda dy: dy) if len(calls) == 2 else act(x)

        with mock.patch.object(self.act, "forward", second):
            return super().forward(input, time)


class HeadsFirst(PixelAttention):
    """Each head's q, k and v lie together."""

    def forward(self, input: Array) -> Parts:
        """As PixelAttention's, the outputs of `qkv` in another order."""
        own, size = self.qkv.forward, input.shape[1] // self.heads
        order = np.arange(3 * input.shape[1]).reshape(self.heads, 3, size).swapaxes(0, 1).ravel()

        def qkv(x: Array) -> Parts:
            z, back = own(x)
            return z[:, order], lambda dz: back(dz[:, np.argsort(order)])

        with mock.patch.object(self.qkv, "forward", qkv):
            return super().forward(input)


PITFALLS = [
    Pitfall(
        "linear betas by their roots",
        entry="linear_betas",
        difference="Ho et al.: beta grows evenly; latent diffusion: its root",
        mutant=root_linear,
    ),
    Pitfall(
        "cosine betas up to 1",
        entry="cosine_betas",
        difference="Nichol & Dhariwal: no more than 0.999; without that the last is 1, and A = 0",
        mutant=unclipped,
    ),
    Pitfall(
        "cosine beyond a quarter turn",
        entry="cosine_betas",
        difference="the paper: (t / T + s) / (1 + s) of it; others: t / T + s",
        mutant=normalised,
    ),
    Pitfall(
        "first posterior variance",
        entry="NoiseSchedule",
        difference="Ho et al.: 0; improved diffusion: the second's, so that it has a logarithm",
        mutant=NeverZero,
    ),
    Pitfall(
        "nothing before the first step",
        entry="NoiseSchedule",
        difference="A' = 1 at t = 0; diffusers with set_alpha_to_one=False: A_0",
        mutant=OwnStepBefore,
    ),
    Pitfall(
        "alpha for its product",
        entry="add_noise",
        difference="q(x_t | x_0) has the product of all alphas up to t; a single step alpha",
        mutant=of(AlphasAlone),
    ),
    Pitfall(
        "diffusion from t = 1",
        entry="add_noise",
        difference="Ho et al.'s code: t = 0 is the first noisy step; the papers: t = 1, 0 the data",
        mutant=of(FromOne),
    ),
    Pitfall(
        "noise by its variance",
        entry="add_noise",
        difference="sqrt(1 - A) e; others: (1 - A) e",
        mutant=of(ByTheVariance),
    ),
    Pitfall(
        "network told t + 1",
        entry="DDPM",
        difference="Ho et al.'s code: the network is told t from 0; others: from 1",
        mutant=ToldTheNext,
    ),
    Pitfall(
        "network predicts the data",
        entry="DDPM",
        difference="Ho et al.: the noise; others: x_0",
        mutant=PredictsTheData,
    ),
    Pitfall(
        "diffusion loss summed over features",
        entry="DDPM",
        difference="Ho et al.'s code: a mean over every entry; equation 14: a squared norm",
        mutant=SumOfFeatures,
    ),
    Pitfall(
        "noise at the last step",
        entry="DDPM.sample",
        difference="algorithm 2: z = 0 at t = 0; forgotten: noise of variance beta_0",
        mutant=NoisyToTheEnd,
    ),
    Pitfall(
        "variance for deviation",
        entry="DDPM.sample",
        difference="sqrt(v) z; others: v z",
        mutant=VarianceForDeviation,
    ),
    Pitfall(
        "product for alpha in the sampler",
        entry="DDPM.sample",
        difference="algorithm 2 divides by sqrt(alpha_t); others: by the root of the product",
        mutant=ProductForAlpha,
    ),
    Pitfall(
        "ddim's last step",
        entry="DDPM.ddim",
        difference="here: ends at A = 1, the data; diffusers with set_alpha_to_one=False: at A_0",
        mutant=StopsAtTheFirst,
    ),
    Pitfall(
        "ddim's eta",
        entry="DDPM.ddim",
        difference="Song et al.: the deviation grows with eta; others: the variance",
        mutant=EtaOfTheVariance,
    ),
    Pitfall(
        "ddim's clipped noise",
        entry="DDPM.ddim",
        difference="Nichol & Dhariwal's code: e^ follows the clipped x^; diffusers: it stays",
        mutant=KeepsTheNoise,
    ),
    Pitfall(
        "ddim's direction",
        entry="DDPM.ddim",
        difference="equation 12: sqrt(1 - A_s - v) e^; others: sqrt(1 - A_s) e^, v on top of it",
        mutant=WholeDirection,
    ),
    Pitfall(
        "cosines before sines",
        entry="TimeEmbedding",
        difference="Ho et al.: sines first; Dhariwal & Nichol: cosines first",
        mutant=CosinesFirst,
    ),
    Pitfall(
        "waves of the time embedding",
        entry="TimeEmbedding",
        difference="Ho et al.: 10000^(-i / (D / 2 - 1)); Vaswani et al.: 10000^(-i / (D / 2))",
        mutant=NeverTheLongest,
    ),
    Pitfall(
        "sines and cosines in turns",
        entry="TimeEmbedding",
        difference="Ho et al.: all sines, then all cosines; Vaswani et al.: alternating",
        mutant=InTurns,
    ),
    Pitfall(
        "denoiser's eps",
        entry="ResidualBlock",
        difference="Ho et al.'s code: 1e-6; torch's default: 1e-5",
        mutant=default_eps,
    ),
    Pitfall(
        "time without an activation",
        entry="ResidualBlock",
        difference="Ho et al.: silu(c) goes into each block; others: c",
        mutant=TimeAsItIs,
    ),
    Pitfall(
        "heads before q, k and v",
        entry="PixelAttention",
        difference="here: all q, all k, all v; guided diffusion's older order: by heads",
        mutant=HeadsFirst,
    ),
]
