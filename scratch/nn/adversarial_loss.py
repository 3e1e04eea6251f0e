"""What generators and discriminators are trained by: x are logits, or a critic's scores.

    r, f = x of real data and of what the generator makes      s the logistic function, a smoothing

discriminator    L = mean((1 - a) -log s(r) + a -log(1 - s(r))) + mean -log(1 - s(f))
minimax          L = mean log(1 - s(f))       the generator's side of the game: saturates at s = 0
non-saturating   L = mean -log s(f)
wasserstein      L = mean f - mean r          the critic's;  the generator's is -mean f
features         L = |mean h(r) - mean h(f)|^2      h a layer of the discriminator, means over rows
unit gradient    L = mean (|g| - 1)^2               g (N, ...) a gradient for each row
zero gradient    L = mean |g|^2

backward   discriminator    dr = dL (s(r) - (1 - a)) / n        df = dL s(f) / m
           minimax          df = -dL s(f) / m
           non-saturating   df = -dL s(-f) / m
           wasserstein      dr = -dL / n     df = dL / m;     -dL / m
           features         dh(r) = 2 dL (mean h(r) - mean h(f)) / n,   dh(f) = -that n / m
           unit gradient    dg = 2 dL (1 - 1 / |g|) g / n               0 where g = 0, as in torch
           zero gradient    dg = 2 dL g / n
shapes     r, f any, of n and m entries; h (N, ...), n and m rows
smoothing  is one-sided: the target of f stays 0. Else the best discriminator's numerator would
           have the generator's density too, and what is far from the data would be held there.
torch      has none; each is an expression of `binary_cross_entropy_with_logits`, `mean`, `norm`
Sources    Goodfellow et al. 2014, arXiv:1406.2661, equations 1 and section 3; smoothing, features:
           Salimans et al. 2016, arXiv:1606.03498, sections 3.1 and 3.4; Arjovsky et al. 2017,
           arXiv:1701.07875; unit gradient: Gulrajani et al. 2017, arXiv:1704.00028, equation 3;
           zero gradient: Mescheder, Geiger & Nowozin 2018, arXiv:1801.04406, equation 9
"""

import math

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.op import Backward, op
from scratch.nn.reduction import quiet, reduced
from scratch.nn.sigmoid import logistic


@op
@quiet
def discriminator_loss(real: Array, fake: Array, smoothing: float = 0.0) -> tuple[Array, Backward]:
    """Cross entropy of real against fake, each averaged over its own batch.

    Args:
        real: logits of real data, any shape.
        fake: logits of generated data, any shape.
        smoothing: a in [0, 1]: real data has the target 1 - a, generated data 0.

    Returns:
        The loss, and its backward: dL -> dreal, dfake.

    Raises:
        TypeError: if an array is not floating or the dtypes differ.
        ValueError: if `smoothing` is not in [0, 1].

    Source: Goodfellow et al. 2014, arXiv:1406.2661; Salimans et al. 2016, section 3.4.
    """
    r = check.floating("discriminator_loss", "real", real)
    f = check.floating("discriminator_loss", "fake", fake, like=r)
    a = check.number("discriminator_loss", "smoothing", smoothing, 0, 1)
    of_real, real_back = reduced(_softplus(-r) + a * r, "mean")
    of_fake, fake_back = reduced(_softplus(f), "mean")

    def backward(dy: Array) -> tuple[Array, Array]:
        return real_back(dy) * (a - logistic(-r)), fake_back(dy) * logistic(f)

    return np.asarray(of_real + of_fake), backward


@op
@quiet
def minimax_generator_loss(fake: Array) -> tuple[Array, Backward]:
    """mean log(1 - s(f)), the game's own value: flat where the discriminator is sure.

    Args:
        fake: logits of generated data, any shape.

    Returns:
        The loss, and its backward: dL -> dfake.

    Raises:
        TypeError: if `fake` is not floating.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, equation 1.
    """
    f = check.floating("minimax_generator_loss", "fake", fake)
    y, mean_back = reduced(-_softplus(f), "mean")
    return y, lambda dy: -mean_back(dy) * logistic(f)


@op
@quiet
def non_saturating_generator_loss(fake: Array) -> tuple[Array, Backward]:
    """mean -log s(f): the same fixed point, steep where the discriminator is sure.

    Args:
        fake: logits of generated data, any shape.

    Returns:
        The loss, and its backward: dL -> dfake.

    Raises:
        TypeError: if `fake` is not floating.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, section 3.
    """
    f = check.floating("non_saturating_generator_loss", "fake", fake)
    y, mean_back = reduced(_softplus(-f), "mean")
    return y, lambda dy: -mean_back(dy) * logistic(-f)


@op
@quiet
def wasserstein_critic_loss(real: Array, fake: Array) -> tuple[Array, Backward]:
    """mean f - mean r: minus the distance, if the critic has slopes of at most 1.

    Args:
        real: scores of real data, any shape.
        fake: scores of generated data, any shape.

    Returns:
        The loss, and its backward: dL -> dreal, dfake.

    Raises:
        TypeError: if an array is not floating or the dtypes differ.

    Source: Arjovsky, Chintala & Bottou 2017, arXiv:1701.07875, equation 3.
    """
    r = check.floating("wasserstein_critic_loss", "real", real)
    f = check.floating("wasserstein_critic_loss", "fake", fake, like=r)
    of_real, real_back = reduced(r, "mean")
    of_fake, fake_back = reduced(f, "mean")
    return np.asarray(of_fake - of_real), lambda dy: (-real_back(dy), fake_back(dy))


@op
@quiet
def wasserstein_generator_loss(fake: Array) -> tuple[Array, Backward]:
    """-mean f.

    Args:
        fake: scores of generated data, any shape.

    Returns:
        The loss, and its backward: dL -> dfake.

    Raises:
        TypeError: if `fake` is not floating.

    Source: Arjovsky, Chintala & Bottou 2017, arXiv:1701.07875, algorithm 1.
    """
    f = check.floating("wasserstein_generator_loss", "fake", fake)
    mean, mean_back = reduced(f, "mean")
    return np.negative(mean, out=np.empty_like(mean)), lambda dy: -mean_back(dy)


@op
@quiet
def feature_matching_loss(real: Array, fake: Array) -> tuple[Array, Backward]:
    """|mean h(real) - mean h(fake)|^2: squared distance of the batches' mean features.

    Args:
        real: h (N, ...), features of real data.
        fake: h (M, ...), features of generated data.

    Returns:
        The loss, and its backward: dL -> dreal, dfake. The generator is trained by the second.

    Raises:
        TypeError: if an array is not floating or the dtypes differ.
        ValueError: if the shapes differ in more than the number of rows.

    Source: Salimans et al. 2016, arXiv:1606.03498, section 3.1.
    """
    name = "feature_matching_loss"
    r = check.floating(name, "real", real)
    f = check.floating(name, "fake", fake, like=r)
    _rows(name, "real", r)
    if f.ndim == 0 or f.shape[1:] != r.shape[1:]:
        check.refuse(name, f"fake of shape ({', '.join(('M', *map(str, r.shape[1:])))})", f.shape)
    n, m = len(r), len(f)
    apart = r.mean(0) - f.mean(0)

    def backward(dy: Array) -> tuple[Array, Array]:
        dapart = 2 * dy * apart
        return np.broadcast_to(dapart / n, r.shape), np.broadcast_to(-dapart / m, f.shape)

    return np.asarray(np.sum(np.square(apart)), r.dtype), backward


@op
@quiet
def unit_gradient_loss(gradient: Array) -> tuple[Array, Backward]:
    """mean (|g| - 1)^2 over rows.

    Args:
        gradient: g (N, ...), a critic's gradient at each of N points.

    Returns:
        The loss, and its backward: dL -> dg.

    Raises:
        TypeError: if `gradient` is not floating.
        ValueError: if it has no axis of rows.

    Source: Gulrajani et al. 2017, arXiv:1704.00028, equation 3.
    """
    g = check.floating("unit_gradient_loss", "gradient", gradient)
    _rows("unit_gradient_loss", "gradient", g)
    rows = g.reshape(len(g), math.prod(g.shape[1:]))
    norm = np.sqrt(np.square(rows).sum(1))
    y, mean_back = reduced(np.square(norm - 1), "mean")

    def backward(dy: Array) -> Array:
        dnorm = 2 * mean_back(dy) * (norm - 1)
        stretch = np.divide(dnorm, norm, out=np.zeros_like(norm), where=norm != 0)
        dg: Array = stretch[:, None] * rows
        return dg.reshape(g.shape)

    return y, backward


@op
@quiet
def zero_gradient_loss(gradient: Array) -> tuple[Array, Backward]:
    """mean |g|^2 over rows.

    Args:
        gradient: g (N, ...), a discriminator's gradient at each of N points.

    Returns:
        The loss, and its backward: dL -> dg.

    Raises:
        TypeError: if `gradient` is not floating.
        ValueError: if it has no axis of rows.

    Source: Mescheder, Geiger & Nowozin 2018, arXiv:1801.04406, equation 9.
    """
    g = check.floating("zero_gradient_loss", "gradient", gradient)
    _rows("zero_gradient_loss", "gradient", g)
    rows = g.reshape(len(g), math.prod(g.shape[1:]))
    y, mean_back = reduced(np.square(rows).sum(1), "mean")

    def backward(dy: Array) -> Array:
        dg: Array = 2 * mean_back(dy)[:, None] * rows
        return dg.reshape(g.shape)

    return y, backward


def _softplus(x: Array) -> Array:
    """log(1 + e^x)."""
    return np.logaddexp(x, 0)


def _rows(function: str, name: str, array: Array) -> None:
    if array.ndim == 0:
        check.refuse(function, f"{name} of shape (N, ...)", array.shape)
