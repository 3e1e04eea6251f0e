"""Gaussians with a diagonal covariance: what a VAE's encoder says of the code.

sample     z = m + exp(r / 2) e                               m mu, r logvar, e normal noise
KL         1/2 sum_j (m_j^2 + exp(r_j) - 1 - r_j)             from N(m, exp(r)) to N(0, I)

Kingma & Welling 2014, arXiv:1312.6114: equations 9 and 10, appendix B.
"""

import torch
from torch import Tensor


def reparameterize(mu: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    """A sample of N(mu, exp(logvar)) that gradients flow through.

    Args:
        mu: m (..., features).
        logvar: r, of the same shape.
        noise: e, of the same shape, standard normal.

    Returns:
        z, of the same shape.
    """
    return mu + torch.exp(0.5 * logvar) * noise


def gaussian_kl(mu: Tensor, logvar: Tensor, reduction: str = "mean") -> Tensor:
    """KL divergence from N(mu, exp(logvar)) to the standard normal distribution.

    Args:
        mu: m (..., features).
        logvar: r, of the same shape.
        reduction: 'none', 'mean' (over rows) or 'sum'.

    Returns:
        In nats, () or (...), summed over features.
    """
    rows = 0.5 * (mu.square() + (torch.expm1(logvar) - logvar)).sum(-1)
    return rows if reduction == "none" else rows.mean() if reduction == "mean" else rows.sum()
