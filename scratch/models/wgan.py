"""Wasserstein GAN: a critic with bounded slopes.       Arjovsky, Chintala & Bottou 2017, 1701.07875

    critic      D(x), a score without bounds: mean D(real) - mean D(fake) estimates the distance of
                the two distributions, up to a factor, if no slope of D is above a bound
    clipping    w <- min(max(w, -c), c) after each of the critic's steps: a bound on the slopes
    penalty     P = mean_i (|g_i| - 1)^2    g_i = dD(x_i)/dx     (Gulrajani et al. 2017, 1704.00028)
                x = e real + (1 - e) fake, e ~ U(0, 1) for each row; 10 P joins the critic's loss

backward of the penalty, for a parameter w and likewise for x:

    dP/dw = sum_i dP/dg_i . dg_i/dw = d/dw sum_i u_i . g_i(w)    u_i = 2 (|g_i| - 1) g_i / (|g_i| N)

with u held fixed. But u_i . g_i = u_i . dD(x_i)/dx is the derivative of D at x_i along u_i: a
forward quantity, jv of `tangent(critic, x, u)`. So the second order takes three passes, each of the
first: a backward for g, a tangent along u, and the tangent's backward with dy = 0 and djv = 1.

A rectifier has no curvature: what penalises it is reached through the products of weights and
slopes alone, and no bias has a gradient. BatchNorm has no place in a critic with a penalty: a row's
gradient would be one of the whole batch.

shapes     x (N, in) or (N, channels, S, S)   D (N, 1)
torch      create_graph=True
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn, random
from scratch.check import Array
from scratch.models.dcgan import SLOPE, widths
from scratch.models.gan import dense
from scratch.nn import functional as F
from scratch.nn.module import Module, Parameter
from scratch.nn.op import Backward, op
from scratch.nn.tangent import input_gradient, tangent


class Critic(Module):
    """Data to a score, through dense layers.

    Args:
        in_features: size of a sample.
        hidden: widths of the hidden layers.
        activation: name of a class of `scratch.nn` that needs no arguments.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, in_features) to (N, 1).

    Raises:
        TypeError, ValueError: if a size is not a positive integer or there is no such activation.

    Source: Arjovsky, Chintala & Bottou 2017, arXiv:1701.07875.
    """

    _skips_input_grad = True

    def __init__(
        self,
        in_features: int,
        hidden: Sequence[int],
        activation: str = "LeakyReLU",
        *,
        dtype: DTypeLike = np.float32,
        generator: random.Generator | None = None,
    ) -> None:
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or random.Generator()}
        check.size("Critic", "in_features", in_features, low=1)
        layers = dense("Critic", in_features, hidden, activation, **options)
        layers.append(nn.Linear([in_features, *hidden][-1], 1, **options))
        self.layers = nn.Sequential(*layers)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """D(x)."""
        return self.layers(input)

    def tangent(self, x: Array, v: Array) -> tuple[tuple[Array, Array], Backward]:
        """D(x) and its derivative along v.

        Args:
            x: (N, in_features).
            v: directions, of x's shape.

        Returns:
            Both (N, 1), and their backward: dy, djv -> dx, dv.
        """
        return tangent(self.layers, x, v)


class ConvCritic(Module):
    """Images to a score: the discriminator of DCGAN with biases and without BatchNorm.

    Args:
        width: channels after the first layer.
        img_size: S, a power of two, at least 8.
        channels: of an image.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, channels, img_size, img_size) to (N, 1).

    Raises:
        TypeError, ValueError: if a size is not a positive integer, or `img_size` no such power.

    Source: Gulrajani et al. 2017, arXiv:1704.00028, section 4.
    """

    _skips_input_grad = True

    def __init__(
        self,
        width: int = 64,
        img_size: int = 64,
        channels: int = 3,
        *,
        dtype: DTypeLike = np.float32,
        generator: random.Generator | None = None,
    ) -> None:
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or random.Generator()}
        layers: list[Module] = []
        inputs = channels
        for n in widths("ConvCritic", width, img_size, channels):
            layers += [nn.Conv2d(inputs, n, 4, 2, 1, **options), nn.LeakyReLU(SLOPE)]
            inputs = n
        layers += [nn.Flatten(), nn.Linear(16 * inputs, 1, **options)]
        self.layers = nn.Sequential(*layers)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """D(x)."""
        return self.layers(input)

    def tangent(self, x: Array, v: Array) -> tuple[tuple[Array, Array], Backward]:
        """D(x) and its derivative along v.

        Args:
            x: (N, channels, img_size, img_size).
            v: directions, of x's shape.

        Returns:
            Both (N, 1), and their backward: dy, djv -> dx, dv.
        """
        return tangent(self.layers, x, v)


@op
def gradient_penalty(critic: Module, input: Array) -> tuple[Array, Backward]:
    """P = mean (|dD/dx| - 1)^2, over rows.

    Args:
        critic: maps rows of x to scores, each row by itself, and has a `tangent`.
        input: x (N, ...), points between real and generated data.

    Returns:
        P (), and its backward: dP -> dx; it adds to the gradients of the critic's parameters.

    Raises:
        TypeError: if `input` is not floating or the critic has a layer without a tangent.

    Source: Gulrajani et al. 2017, arXiv:1704.00028, equation 3.
    """
    x = check.floating("gradient_penalty", "input", input)
    if not isinstance(critic, Module):
        check.refuse("gradient_penalty", "critic to be a Module", check.describe(critic), TypeError)
    g = input_gradient(critic, x)
    penalty, penalty_back = F.unit_gradient_loss(g)
    (_, slopes), tangent_back = tangent(critic, x, penalty_back())

    def backward(dpenalty: Array) -> Array:
        dx: Array
        dx, _ = tangent_back(None, np.broadcast_to(dpenalty, slopes.shape))
        return dx

    return penalty, backward


def clip_weights(parameters: Iterable[Parameter], clip_value: float) -> None:
    """Bring every entry of the parameters into [-c, c].

    Args:
        parameters: the critic's.
        clip_value: c > 0.

    Raises:
        TypeError, ValueError: if `clip_value` is not a positive number.

    Source: Arjovsky, Chintala & Bottou 2017, arXiv:1701.07875, algorithm 1.
    """
    c = check.number("clip_weights", "clip_value", clip_value, 0, math.inf, open_low=True)
    for parameter in parameters:
        parameter.data = np.clip(parameter.data, -c, c)
