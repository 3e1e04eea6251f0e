"""Variational autoencoders, and with beta other than 1 the beta-VAE.

encoder      m, r = encoder(x)      q(z|x) = N(m, diag exp(r))         prior p(z) = N(0, I)
decoder      y = decoder(z)         Bernoulli: y logits; Gaussian: y means, one variance for all
loss         L = R + beta K         R = -log p(x|z), K = KL(q || p): sums of features, means of rows

Kingma & Welling 2014, arXiv:1312.6114; beta: Higgins et al. 2017, ICLR.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal

from torch_ref.models.autoencoder import narrowing, widening
from torch_ref.models.mlp import MLP
from torch_ref.nn.diagonal_gaussian import gaussian_kl, reparameterize


class VariationalAutoencoder(nn.Module):
    """Any encoder that gives twice as many numbers as the code has, and any decoder.

    Args:
        encoder: x (N, ...) to m and r, side by side (N, 2 latent).
        decoder: z (N, latent) to y, of the shape of x.
        latent_size: features of the code.
        likelihood: 'bernoulli' or 'gaussian'.
        variance: of the Gaussian decoder; None learns it, from 1 on.
        dtype: of the learned variance.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        latent_size: int,
        likelihood: str,
        variance: float | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self.latent_size, self.likelihood = latent_size, likelihood
        self.variance = None if variance is None else float(variance)
        learned = likelihood == "gaussian" and variance is None
        self.log_variance = nn.Parameter(torch.zeros((), dtype=dtype)) if learned else None
        self.encoder = encoder
        self.decoder = decoder

    def encode(self, input: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance of q(z|x), each (N, latent)."""
        m, r = self.encoder(input).chunk(2, dim=-1)
        return m, r

    def decode(self, code: Tensor) -> Tensor:
        """Logits or means of p(x|z)."""
        y: Tensor = self.decoder(code)
        return y

    def forward(self, input: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """What the decoder makes of a sample of q(z|x), in both modes.

        Args:
            input: x (N, ...).
            noise: (N, latent), standard normal; None draws it.

        Returns:
            y (N, ...), m and r (N, latent).
        """
        m, r = self.encode(input)
        z = reparameterize(m, r, torch.randn_like(m) if noise is None else noise)
        return self.decode(z), m, r

    def loss(
        self, input: Tensor, noise: Tensor | None = None, beta: float = 1.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What is minimised, and its two terms.

        Args:
            input: x (N, ...), in [0, 1] for a Bernoulli decoder.
            noise: (N, latent), standard normal; None draws it.
            beta: weight of the KL divergence.

        Returns:
            L, R, K, each (): sums over features, means over rows, in nats.
        """
        y, m, r = self(input, noise)
        log_p: Tensor = self.distribution(y).log_prob(input)  # type: ignore[no-untyped-call]
        reconstruction = -log_p.sum() / len(input)
        kl = gaussian_kl(m, r)
        return reconstruction + beta * kl, reconstruction, kl

    def distribution(self, y: Tensor) -> Bernoulli | Normal:
        """p(x|z) of the decoder's output; the Bernoulli one takes grey pixels too."""
        if self.likelihood == "bernoulli":
            return Bernoulli(logits=y, validate_args=False)
        learned = self.log_variance
        scale = math.sqrt(self.variance or 1) if learned is None else torch.exp(0.5 * learned)
        return Normal(y, scale, validate_args=False)

    def reconstruct(self, input: Tensor) -> Tensor:
        """What the decoder expects of the mean of q(z|x), without noise (N, ...)."""
        m, _ = self.encode(input)
        return self.expected(m)

    def sample(self, count: int, noise: Tensor | None = None) -> Tensor:
        """What the decoder expects of codes of the prior.

        Args:
            count: N, how many.
            noise: the codes (N, latent), standard normal; None draws them.

        Returns:
            Probabilities or means (N, ...).
        """
        if noise is None:
            like = next(self.parameters())
            noise = torch.randn(count, self.latent_size, dtype=like.dtype, device=like.device)
        return self.expected(noise)

    def expected(self, code: Tensor) -> Tensor:
        """The mean of p(x|z): probabilities of a Bernoulli decoder."""
        y = self.decode(code)
        return y.sigmoid() if self.likelihood == "bernoulli" else y

    def extra_repr(self) -> str:
        return f"likelihood={self.likelihood!r}, variance={self.variance}"


class VAE(VariationalAutoencoder):
    """Two multilayer perceptrons about a sampled code.

    Args:
        sizes: width of the input, of each hidden layer, and of the code.
        activation: of the hidden layers, a class of `torch.nn` that needs no arguments.
        likelihood: of the decoder, 'bernoulli' or 'gaussian'.
        variance: of the Gaussian decoder; None learns one for all pixels, from 1 on.
        dtype: of the parameters.

    Shape:
        (N, sizes[0]) to y (N, sizes[0]), m and r (N, sizes[-1]).
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str = "ReLU",
        likelihood: str = "bernoulli",
        variance: float | None = 1.0,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        *widths, latent = sizes
        super().__init__(
            MLP([*widths, 2 * latent], activation, dtype=dtype),
            MLP(sizes[::-1], activation, dtype=dtype),
            latent,
            likelihood,
            variance,
            dtype,
        )


class ConvVAE(VariationalAutoencoder):
    """Convolutions of stride 2 down to a sampled code, transposed ones up again.

    Args:
        img_size: S, height and width of a picture.
        in_channels: of a picture.
        channels: of each convolution on the way down.
        latent_size: features of the code.
        activation: between the layers, a class of `torch.nn` that needs no arguments.
        likelihood: of the decoder, 'bernoulli' or 'gaussian'.
        variance: of the Gaussian decoder; None learns one for all pixels, from 1 on.
        dtype: of the parameters.

    Shape:
        (N, in_channels, S, S) to y of the same shape, m and r (N, latent_size).
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
        dtype: torch.dtype | None = None,
    ) -> None:
        shape = img_size, in_channels, channels
        super().__init__(
            narrowing(*shape, 2 * latent_size, activation, dtype=dtype),
            widening(*shape, latent_size, activation, dtype=dtype),
            latent_size,
            likelihood,
            variance,
            dtype,
        )
