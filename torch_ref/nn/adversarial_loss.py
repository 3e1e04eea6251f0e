"""What generators and discriminators are trained by: x are logits, or a critic's scores.

    r, f = x of real data and of what the generator makes      s the logistic function, a smoothing

discriminator    mean((1 - a) -log s(r) + a -log(1 - s(r))) + mean -log(1 - s(f))
minimax          mean log(1 - s(f))
non-saturating   mean -log s(f)
wasserstein      mean f - mean r, the critic's;  the generator's is -mean f
features         |mean h(r) - mean h(f)|^2
unit gradient    mean (|g| - 1)^2
zero gradient    mean |g|^2

Goodfellow et al. 2014, arXiv:1406.2661; Salimans et al. 2016, arXiv:1606.03498; Arjovsky et al.
2017, arXiv:1701.07875; Gulrajani et al. 2017, arXiv:1704.00028; Mescheder et al. 2018,
arXiv:1801.04406.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def discriminator_loss(real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross entropy of real against fake, each averaged over its own batch.

    Args:
        real: logits of real data, any shape.
        fake: logits of generated data, any shape.
        smoothing: a in [0, 1]: real data has the target 1 - a, generated data 0.

    Returns:
        The loss, ().
    """
    of_real = F.binary_cross_entropy_with_logits(real, torch.full_like(real, 1 - smoothing))
    return of_real + F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))


def minimax_generator_loss(fake: Tensor) -> Tensor:
    """mean log(1 - s(f)).

    Args:
        fake: logits of generated data, any shape.

    Returns:
        The loss, ().
    """
    return F.logsigmoid(-fake).mean()


def non_saturating_generator_loss(fake: Tensor) -> Tensor:
    """mean -log s(f).

    Args:
        fake: logits of generated data, any shape.

    Returns:
        The loss, ().
    """
    return -F.logsigmoid(fake).mean()


def wasserstein_critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """mean f - mean r.

    Args:
        real: scores of real data, any shape.
        fake: scores of generated data, any shape.

    Returns:
        The loss, ().
    """
    return fake.mean() - real.mean()


def wasserstein_generator_loss(fake: Tensor) -> Tensor:
    """-mean f.

    Args:
        fake: scores of generated data, any shape.

    Returns:
        The loss, ().
    """
    return -fake.mean()


def feature_matching_loss(real: Tensor, fake: Tensor) -> Tensor:
    """|mean h(real) - mean h(fake)|^2.

    Args:
        real: h (N, ...), features of real data.
        fake: h (M, ...), features of generated data.

    Returns:
        The loss, ().
    """
    return (real.mean(0) - fake.mean(0)).square().sum()


def unit_gradient_loss(gradient: Tensor) -> Tensor:
    """mean (|g| - 1)^2 over rows.

    Args:
        gradient: g (N, ...), a critic's gradient at each of N points.

    Returns:
        The loss, ().
    """
    norm: Tensor = gradient.flatten(1).norm(dim=1)
    return (norm - 1).square().mean()


def zero_gradient_loss(gradient: Tensor) -> Tensor:
    """mean |g|^2 over rows.

    Args:
        gradient: g (N, ...), a discriminator's gradient at each of N points.

    Returns:
        The loss, ().
    """
    return gradient.flatten(1).square().sum(1).mean()
