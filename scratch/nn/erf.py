"""The error function, which NumPy lacks.              rational minimax in the manner of Cody 1969

forward    erf x = 2 / sqrt(pi) (the integral of e^(-t^2) from 0 to x) = tanh u
           u = x (c + z P(z) / Q(z))     z = x^2     c = 2 / sqrt(pi)
why tanh   arctanh(erf x) / x is smooth, even and grows like |x| / 2 only, and tanh forgives errors
           of u where u is large: one rational function does for all x, where Cody takes three for
           erf itself. Branches cost NumPy more. (In GELU's tanh form P / Q is constant.)
error      of the formula 0.05 eps, of the result at most 1.5 eps in float64 and 2.1 eps in float32,
           relative, for all x
P, Q       Remez's algorithm in 60 digits on [0, limit^2], the error weighted by its effect on erf;
           beyond the limit erf rounds to 1
Source     W. J. Cody 1969, "Rational Chebyshev approximations for the error function",
           Mathematics of Computation 23(107)
"""

import math

import numpy as np

from scratch.check import Array
from scratch.nn.blocks import filled

Polynomial = tuple[float, ...]  # constant term first

# dtype: limit, P, Q. At the limit u is large enough for NumPy's tanh to be 1, which gelu relies on.
FITS: dict[np.dtype[np.floating], tuple[float, Polynomial, Polynomial]] = {
    np.dtype(np.float32): (
        4.3,
        (0.1027725453264417767, 0.0159159509709726204, 0.0018130461568370932),
        (1.0, 0.1568992846944136012, 0.02370288854989076252, 0.0003253046729797225064),
    ),
    np.dtype(np.float64): (
        6.0,
        (
            0.1027726033019388397,
            0.04811223786576702253,
            0.01318610688428874617,
            0.002321819911825682064,
            0.0002823380828993767389,
            0.00002411710182309626099,
            1.364597597659243556e-6,
            4.825223868333854176e-8,
            4.295709489132964648e-10,
        ),
        (
            1.0,
            0.4701781501445873658,
            0.1350027949466922712,
            0.02493861509692870782,
            0.003244050440597327502,
            0.0003000738855313102301,
            0.00001886898141007832785,
            7.94503828264624784e-7,
            1.362800413593493914e-8,
            2.832923196974074375e-11,
        ),
    ),
}


def erf(x: Array) -> Array:
    """The error function of every entry.

    Args:
        x: float32 or float64, of any shape.

    Returns:
        New array of x's shape and dtype.
    """
    return filled(lambda xs, ys: np.tanh(_arctanh_erf(xs), out=ys), x)


def _arctanh_erf(x: Array) -> Array:
    limit, p, q = FITS[x.dtype]
    x = np.clip(x, -limit, limit)
    z = x * x
    u = _polynomial(p, z)
    u /= _polynomial(q, z)
    u *= z
    u += 2 / math.sqrt(math.pi)
    u *= x
    return u


def _polynomial(coefficients: Polynomial, z: Array) -> Array:
    """Horner's rule, in one array."""
    value = z * coefficients[-1]
    for coefficient in coefficients[-2:0:-1]:
        value += coefficient
        value *= z
    value += coefficients[0]
    return value
