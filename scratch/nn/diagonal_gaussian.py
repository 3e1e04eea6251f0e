"""Gaussians with a diagonal covariance: what a VAE's encoder says of the code.

sample     s = exp(r / 2)    z = m + s e                           m mu, r logvar, e normal noise
KL         k = 1/2 sum_j (m_j^2 + exp(r_j) - 1 - r_j)     from N(m, diag s^2) to N(0, I), j features
backward   sample   dm = dz      dr = dz e s / 2
           KL       dm = dk m    dr = dk (exp(r) - 1) / 2
shapes     m, r, e, z (..., features)   k (...)
logvar     r is the logarithm of the variance s^2, as in the paper's appendix C; others have the
           network give s, or log s
reduction  'mean' is over rows alone, each the sum over its features: then reconstruction + KL,
           reduced alike, is a bound. A mean over features too makes the KL weigh less, by their
           number.
torch      has none of them as a function
Sources    Kingma & Welling 2014, arXiv:1312.6114: equations 9 and 10, appendix B
"""

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.op import Backward, op
from scratch.nn.reduction import quiet, reduced, resolve


@op
@quiet
def reparameterize(mu: Array, logvar: Array, noise: Array) -> tuple[Array, Backward]:
    """A sample of N(mu, exp(logvar)) that gradients flow through.

    Args:
        mu: m (..., features).
        logvar: r, of the same shape.
        noise: e, of the same shape, standard normal; not differentiated.

    Returns:
        z, of the same shape, and its backward: dz -> dmu, dlogvar.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if the shapes differ.

    Source: Kingma & Welling 2014, section 2.4.
    """
    m, r = _moments("reparameterize", mu, logvar)
    e = check.floating("reparameterize", "noise", noise, like=m)
    check.shape("reparameterize", "noise", e, m.shape)
    deviation = np.exp(0.5 * r) * e  # from the mean
    return m + deviation, lambda dz: (dz, dz * deviation * 0.5)


@op
@quiet
def gaussian_kl(mu: Array, logvar: Array, reduction: str = "mean") -> tuple[Array, Backward]:
    """KL divergence from N(mu, exp(logvar)) to the standard normal distribution.

    Args:
        mu: m (..., features).
        logvar: r, of the same shape.
        reduction: 'none', 'mean' (over rows) or 'sum'.

    Returns:
        k in nats, () or (...), summed over features, and its backward: dk -> dmu, dlogvar.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if the shapes differ, have no axis, or the reduction is unknown.

    Source: Kingma & Welling 2014, appendix B.
    """
    m, r = _moments("gaussian_kl", mu, logvar)
    if not m.ndim:
        check.refuse("gaussian_kl", "mu of shape (..., features)", m.shape)
    excess = np.expm1(r)  # of the variance over the prior's; near it, exp(r) - 1 has few digits
    rows = 0.5 * (m * m + (excess - r)).sum(-1)
    k, reduced_back = reduced(np.asarray(rows), resolve("gaussian_kl", reduction))

    @quiet
    def backward(dk: Array) -> tuple[Array, Array]:
        drows = reduced_back(dk)[..., None]
        return drows * m, drows * (0.5 * excess)

    return k, backward


def _moments(function: str, mu: Array, logvar: Array) -> tuple[Array, Array]:
    m = check.floating(function, "mu", mu)
    r = check.floating(function, "logvar", logvar, like=m)
    check.shape(function, "logvar", r, m.shape)
    return m, r
