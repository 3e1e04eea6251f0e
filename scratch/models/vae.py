"""Variational autoencoders, and with beta other than 1 the beta-VAE.

encoder      m, r = encoder(x)      q(z|x) = N(m, diag exp(r))         prior p(z) = N(0, I)
sample       z = m + exp(r / 2) e                                      e standard normal
decoder      y = decoder(z)         Bernoulli: y logits of the pixels
                                    Gaussian: y means, one variance v for all pixels, which is a
                                    given number, or learned as its logarithm
loss         L = R + beta K         R = -1/N sum_n log p(x_n|z_n)      K = 1/N sum_n KL(q || p)
             Bernoulli   R_n = sum_i log(1 + exp(y_i)) - x_i y_i
             Gaussian    R_n = 1/2 sum_i (x_i - y_i)^2 / v + log(2 pi v)
backward     dR: to y, from there through the decoder to z, and on to m, r by the sample; dK: to m
             and r directly; the two meet there and go on through the encoder
             Bernoulli   dy = dR (sigmoid(y) - x) / N     dx -= dR y / N
             Gaussian    dy = dR (y - x) / (v N)          dx -= dy
                         dlog v = dR / (2 N) sum (1 - (x - y)^2 / v)
shapes       x, y (N, ...)   m, r, z, e (N, latent)   L, R, K ()
conventions  both terms are sums over features and means over rows, so that with beta = 1 the bound
             is log p(x) >= -(R + K) in nats. Where R is a mean over the D pixels and K a sum, as in
             much code and in the guide's example, that is beta = D; where both are means and K
             has the weight b, the normalised beta of Higgins et al., it is beta = b D / latent.
             x in [0, 1] of the Bernoulli decoder may be grey: then R is a cross entropy, no
             longer the negative logarithm of a probability (Loaiza-Ganem & Cunningham 2019)
Sources      Kingma & Welling 2014, arXiv:1312.6114, equation 10, appendices B and C; beta: Higgins
             et al. 2017, ICLR; one learned variance: Rybkin et al. 2021, arXiv:2006.13202
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.models.autoencoder import narrowing, widening
from scratch.models.mlp import MLP
from scratch.nn import functional as F
from scratch.nn.module import Module, Parameter
from scratch.nn.op import Backward
from scratch.nn.recurrent import gradient_of
from scratch.random import Generator


class VariationalAutoencoder(Module):
    """Any encoder that gives twice as many numbers as the code has, and any decoder.

    Args:
        encoder: x (N, ...) to m and r, side by side (N, 2 latent).
        decoder: z (N, latent) to y, of the shape of x.
        latent_size: features of the code.
        likelihood: 'bernoulli' or 'gaussian'.
        variance: v of the Gaussian decoder; None learns it, from 1 on.
        dtype: of the learned variance.
        generator: where the noise comes from.
    """

    _skips_input_grad = True

    def __init__(
        self,
        encoder: Module,
        decoder: Module,
        latent_size: int,
        likelihood: str,
        variance: float | None,
        dtype: DTypeLike,
        generator: Generator,
    ) -> None:
        name = type(self).__name__
        check.option(name, "likelihood", likelihood, ("bernoulli", "gaussian"))
        if variance is not None:
            variance = check.number(name, "variance", variance, 0, open_low=True, open_high=True)
        self.latent_size, self.likelihood, self.variance = latent_size, likelihood, variance
        learned = likelihood == "gaussian" and variance is None
        self.log_variance = Parameter(np.zeros((), dtype)) if learned else None
        self.generator = generator
        self.encoder = encoder
        self.decoder = decoder

    def encode(self, input: Array) -> tuple[tuple[Array, Array], Backward]:
        """q(z|x).

        Args:
            input: x (N, ...).

        Returns:
            m and r (N, latent), mean and logarithm of the variance, and their backward: dm, dr
            -> dx.
        """
        h, encoder_back = self.encoder(input)
        m, r = np.split(h, 2, axis=-1)
        shape, dtype = m.shape, h.dtype

        def backward(
            dm: Array | None, dr: Array | None, needs_input_grad: bool = True
        ) -> Array | None:
            halves = [gradient_of(type(self).__name__, d, shape, dtype) for d in (dm, dr)]
            dh = np.concatenate(halves, axis=-1)
            dx: Array | None = encoder_back(dh, needs_input_grad=needs_input_grad)
            return dx

        return (m, r), backward

    def decode(self, code: Array) -> tuple[Array, Backward]:
        """Logits or means of p(x|z), and their backward: dy -> dz."""
        return self.decoder(code)

    def forward(
        self, input: Array, noise: Array | None = None
    ) -> tuple[tuple[Array, Array, Array], Backward]:
        """What the decoder makes of a sample of q(z|x), in both modes.

        Args:
            input: x (N, ...).
            noise: e (N, latent), standard normal; None draws it.

        Returns:
            y (N, ...), m and r (N, latent), and their backward: dy, dm, dr -> dx.

        Raises:
            TypeError, ValueError: if an array has the wrong dtype or shape.
        """
        (m, r), encode_back = self.encode(input)
        e = self.generator.randn(*m.shape, dtype=m.dtype) if noise is None else noise
        z, sample_back = F.reparameterize(m, r, e)
        y, decode_back = self.decode(z)
        shape, dtype = y.shape, y.dtype

        def backward(
            dy: Array | None,
            dm: Array | None,
            dr: Array | None,
            needs_input_grad: bool = True,
        ) -> Array | None:
            dz = decode_back(gradient_of(type(self).__name__, dy, shape, dtype))
            dm_sampled, dr_sampled = sample_back(dz)
            dm = dm_sampled if dm is None else dm_sampled + dm
            dr = dr_sampled if dr is None else dr_sampled + dr
            dx: Array | None = encode_back(dm, dr, needs_input_grad=needs_input_grad)
            return dx

        return (y, m, r), backward

    def loss(
        self, input: Array, noise: Array | None = None, beta: float = 1.0
    ) -> tuple[tuple[Array, Array, Array], Backward]:
        """What is minimised, and its two terms.

        Args:
            input: x (N, ...), in [0, 1] for a Bernoulli decoder.
            noise: e (N, latent), standard normal; None draws it.
            beta: weight of the KL divergence.

        Returns:
            L, R, K, each (): sums over features, means over rows, in nats; and their backward:
            dL, dR, dK -> dx, with dL = 1 and the others None, for zero, where they are left out.

        Raises:
            TypeError, ValueError: if an array has the wrong dtype or shape, a value to be Bernoulli
                is outside [0, 1], or beta is negative.
        """
        name = f"{type(self).__name__}.loss"
        x = check.floating(name, "input", input)
        beta = check.number(name, "beta", beta, 0, open_high=True)
        (y, m, r), model_back = self(x, noise)
        reconstruction, reconstruction_back = self._reconstruction(y, x)
        kl, kl_back = F.gaussian_kl(m, r)
        loss = np.asarray(reconstruction + beta * kl)

        def backward(
            dloss: Array | float | None = 1.0,
            dreconstruction: Array | None = None,
            dkl: Array | None = None,
            needs_input_grad: bool = True,
        ) -> Array | None:
            if isinstance(dloss, int | float):
                dloss = np.asarray(dloss, loss.dtype)
            dL, dR, dK = (
                gradient_of(name, d, (), loss.dtype) for d in (dloss, dreconstruction, dkl)
            )
            dm, dr = kl_back(np.asarray(beta * dL + dK))
            dy, dtarget = reconstruction_back(np.asarray(dL + dR))
            dx = model_back(dy, dm, dr, needs_input_grad=needs_input_grad)
            return dx + dtarget if needs_input_grad else None

        return (loss, reconstruction, kl), backward

    def _reconstruction(self, y: Array, x: Array) -> tuple[Array, Backward]:
        """R, and its backward: dR -> dy, dx."""
        n, learned = len(x), self.log_variance
        check.shape(f"{type(self).__name__}.loss", "input", x, y.shape)
        if self.likelihood == "bernoulli":
            if x.size and (x.min() < 0 or x.max() > 1):
                got = f"{x.min()} to {x.max()}"
                check.refuse(f"{type(self).__name__}.loss", "every entry of input in [0, 1]", got)
            total, total_back = F.binary_cross_entropy_with_logits(y, x, reduction="sum")
            return np.asarray(total / n), lambda dR: total_back(np.asarray(dR / n))
        s = math.log(self.variance or 1) if learned is None else float(learned.data)
        residual, precision = x - y, math.exp(-s)
        squares = precision * residual * residual
        R = 0.5 * (squares + (s + math.log(2 * math.pi))).sum(dtype=np.float64) / n

        def backward(dR: Array) -> tuple[Array, Array]:
            dx = residual * (precision * float(dR) / n)
            if learned is not None:
                ds = 0.5 * (1 - squares).sum(dtype=np.float64) * float(dR) / n
                learned.accumulate(np.asarray(ds, x.dtype))
            return -dx, dx

        return np.asarray(R, x.dtype), backward

    def reconstruct(self, input: Array) -> Array:
        """What the decoder expects of the mean of q(z|x), without noise (N, ...)."""
        (m, _), _ = self.encode(input)
        return self.expected(m)

    def sample(self, count: int, noise: Array | None = None) -> Array:
        """What the decoder expects of codes of the prior.

        Args:
            count: N, how many.
            noise: the codes (N, latent), standard normal; None draws them.

        Returns:
            Probabilities or means (N, ...): what is seen in papers, no draw of p(x|z).

        Raises:
            TypeError, ValueError: if the count is no positive integer or the codes do not fit.
        """
        name = f"{type(self).__name__}.sample"
        count = check.size(name, "count", count, low=1)
        dtype = next(self.parameters()).dtype
        if noise is None:
            noise = self.generator.randn(count, self.latent_size, dtype=dtype)
        check.shape(name, "noise", check.floating(name, "noise", noise), (count, self.latent_size))
        return self.expected(noise)

    def expected(self, code: Array) -> Array:
        """The mean of p(x|z): probabilities of a Bernoulli decoder."""
        y, _ = self.decode(code)
        if self.likelihood == "bernoulli":
            y, _ = F.sigmoid(y)
        return y

    def extra_repr(self) -> str:
        return f"likelihood={self.likelihood!r}, variance={self.variance}"


class VAE(VariationalAutoencoder):
    """Two multilayer perceptrons about a sampled code.

    Args:
        sizes: width of the input, of each hidden layer, and of the code.
        activation: of the hidden layers, a class of `scratch.nn` that needs no arguments.
        likelihood: of the decoder, 'bernoulli' or 'gaussian'.
        variance: v of the Gaussian decoder; None learns one for all pixels, from 1 on.
        dtype: float32 or float64.
        generator: where the start and the noise come from; None draws a fresh one.

    Shape:
        (N, sizes[0]) to y (N, sizes[0]), m and r (N, sizes[-1]).

    Raises:
        TypeError, ValueError: if there are fewer than two sizes, one is not a positive integer,
            there is no such activation or likelihood, or the variance is not positive.

    Source: Kingma & Welling 2014, appendix C, with one head for m and r.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str = "ReLU",
        likelihood: str = "bernoulli",
        variance: float | None = 1.0,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        if not isinstance(sizes, Sequence) or len(sizes) < 2:
            check.refuse("VAE", "sizes to be two or more integers", check.describe(sizes))
        *widths, latent = (check.size("VAE", "every size", n, low=1) for n in sizes)
        generator = generator or Generator()
        options: dict[str, Any] = {"dtype": dtype, "generator": generator}
        encoder = MLP([*widths, 2 * latent], activation, **options)
        decoder = MLP(sizes[::-1], activation, **options)
        super().__init__(encoder, decoder, latent, likelihood, variance, dtype, generator)


class ConvVAE(VariationalAutoencoder):
    """Convolutions of stride 2 down to a sampled code, transposed ones up again.

    Args:
        img_size: S, height and width of a picture.
        in_channels: of a picture.
        channels: of each convolution on the way down.
        latent_size: features of the code.
        activation: between the layers, a class of `scratch.nn` that needs no arguments.
        likelihood: of the decoder, 'bernoulli' or 'gaussian'.
        variance: v of the Gaussian decoder; None learns one for all pixels, from 1 on.
        dtype: float32 or float64.
        generator: where the start and the noise come from; None draws a fresh one.

    Shape:
        (N, in_channels, S, S) to y of the same shape, m and r (N, latent_size).

    Raises:
        TypeError, ValueError: as `ConvAutoencoder` and `VAE`.
    """

    def __init__(
        self,
        img_size: int = 28,
        in_channels: int = 1,
        channels: Sequence[int] = (16, 32),
        latent_size: int = 16,
        activation: str = "ReLU",
        likelihood: str = "bernoulli",
        variance: float | None = 1.0,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = "ConvVAE"
        latent = check.size(name, "latent_size", latent_size, low=1)
        generator = generator or Generator()
        options: dict[str, Any] = {"dtype": dtype, "generator": generator}
        shape = img_size, in_channels, channels
        encoder = narrowing(name, *shape, 2 * latent, activation, **options)
        decoder = widening(name, *shape, latent, activation, **options)
        super().__init__(encoder, decoder, latent, likelihood, variance, dtype, generator)
