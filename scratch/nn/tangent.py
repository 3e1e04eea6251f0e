"""Tangents: a module's value, its derivative along a direction, and a backward through both.

    (y, jv), backward = tangent(module, x, v)        y = f(x)      jv = J(x) v, J = df/dx
    dx, dv = backward(dy, djv)                       adds to the parameters' gradients

forward    affine           y = W x + b     jv = W v
           elementwise      y = f(x)        jv = f'(x) v
           chain            (y, jv) of one is (x, v) of the next
backward   affine           dx = W^T dy     dv = W^T djv     dW = dy x^T + djv v^T     db = dy
           elementwise      dx = f'(x) dy + f''(x) v djv     dv = f'(x) djv
           chain            last to first
shapes     v as x, jv as y

An elementwise layer's backward multiplies by f'(x) whatever it is given: it makes jv of v, too,
and only f'' is written here. A layer that moves entries about (Flatten) does to v what it does to
x. Of rectifiers f'' is 0, as in torch, at their kinks too.

What this is for: a loss that contains a gradient g = df/dx, as a gradient penalty does. Its own
gradient is that of g . u with u = dL/dg held fixed, and g . u is jv along u. So a backward through
jv, with dy = 0, is the backward through the backward.

torch      create_graph=True; torch.func.jvp
Source     Pearlmutter 1994, "Fast exact multiplication by the Hessian", Neural Computation 6(1)
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn.container import Flatten, Identity, Sequential, Unflatten
from scratch.nn.conv import Conv2d
from scratch.nn.linear import Linear
from scratch.nn.module import Module
from scratch.nn.op import Backward, op
from scratch.nn.rectifier import LeakyReLU, ReLU
from scratch.nn.sigmoid import Sigmoid, Softplus, logistic
from scratch.nn.smooth import Tanh

Pair = tuple[tuple[Array, Array], Backward]
RULES: dict[type[Module], Callable[[Any, Array, Array], Pair]] = {}


@op
def tangent(module: Module, x: Array, v: Array) -> Pair:
    """A module's value at x, and its derivative along v.

    Args:
        module: a Linear, Conv2d (zeros around), ReLU, LeakyReLU, Tanh, Sigmoid, Softplus, Flatten,
            Unflatten or Identity, a Sequential of such, or one with a method `tangent(x, v)`.
        x: its input.
        v: a direction, of x's shape.

    Returns:
        (y, jv), and its backward: dy, djv -> dx, dv; None stands for zero.

    Raises:
        TypeError: if there is no rule for the module, or an array is not of x's floating dtype.
        ValueError: if the shapes differ.

    Source: Pearlmutter 1994, Neural Computation 6(1).
    """
    x = check.floating("tangent", "x", x)
    v = check.floating("tangent", "v", v, like=x)
    check.shape("tangent", "v", v, x.shape)
    own = getattr(module, "tangent", None)
    rule = RULES.get(type(module))
    if own is None and rule is None:
        expected = "a module that has a tangent"
        check.refuse("tangent", expected, f"{type(module).__name__}", TypeError)
    (y, jv), back = own(x, v) if own is not None else rule(module, x, v)  # type: ignore[misc]
    like = np.broadcast_to(np.zeros((), y.dtype), y.shape)

    def backward(dy: Array | None, djv: Array | None) -> tuple[Array, Array]:
        dx, dv = back(like if dy is None else dy, like if djv is None else djv)
        return dx, dv

    return (y, jv), backward


def input_gradient(module: Module, x: Array) -> Array:
    """The gradient of the sum of a module's outputs; the parameters' gradients stay as they are.

    Args:
        module: maps x to an array.
        x: its input.

    Returns:
        d sum(y) / dx, of x's shape: a row's own gradient if no row's output depends on another.
    """
    held = [(parameter, parameter.grad) for parameter in module.parameters()]
    y, backward = module(x)
    dx: Array = backward(np.ones_like(y))
    for parameter, gradient in held:
        parameter.grad = gradient
    return dx


def _affine(layer: Linear | Conv2d, x: Array, v: Array) -> Pair:
    weight = layer.weight.data
    y, y_back = layer(x)
    if isinstance(layer, Linear):
        jv, jv_back = F.linear(v, weight)
    elif layer.padding_mode != "zeros":
        expected = "a Conv2d with padding_mode 'zeros'"
        check.refuse("tangent", expected, repr(layer.padding_mode))
    else:
        options = layer.stride, layer.padding, layer.dilation, layer.groups
        jv, jv_back = F.conv2d(v, weight, None, *options)

    def backward(dy: Array, djv: Array) -> tuple[Array, Array]:
        dx: Array = y_back(dy)
        dv: Array
        dv, dweight = jv_back(djv)
        layer.weight.accumulate(dweight)
        return dx, dv

    return (y, jv), backward


def _elementwise(second: Callable[[Any, Array, Array], Array | None]) -> Callable[..., Pair]:
    """The rule of a layer from its f''(x) given x and y, or None for 0."""

    def rule(layer: Module, x: Array, v: Array) -> Pair:
        y, back = layer(x)  # back multiplies by f'(x)

        def backward(dy: Array, djv: Array) -> tuple[Array, Array]:
            dx: Array = back(dy)
            curvature = second(layer, x, y)
            return dx if curvature is None else dx + curvature * v * djv, back(djv)

        return (y, back(v)), backward

    return rule


def _moved(layer: Module, x: Array, v: Array) -> Pair:
    y, y_back = layer(x)
    jv, jv_back = layer(v)
    return (y, jv), lambda dy, djv: (y_back(dy), jv_back(djv))


def _chain(layers: Sequential, x: Array, v: Array) -> Pair:
    backs = []
    for layer in layers:
        (x, v), back = tangent(layer, x, v)
        backs.append(back)

    def backward(dy: Array, djv: Array) -> tuple[Array, Array]:
        for back in reversed(backs):
            dy, djv = back(dy, djv)
        return dy, djv

    return (x, v), backward


def _curvature_of_softplus(layer: Softplus, x: Array, y: Array) -> Array:
    """b s(b x) s(-b x), and 0 where y = x."""
    z = x * layer.beta
    s = logistic(z)
    curvature: Array = layer.beta * s * (1 - s)
    return np.where(z > layer.threshold, x.dtype.type(0), curvature)


RULES |= {
    **dict.fromkeys((Linear, Conv2d), _affine),
    **dict.fromkeys((ReLU, LeakyReLU), _elementwise(lambda layer, x, y: None)),
    **dict.fromkeys((Flatten, Unflatten, Identity), _moved),
    Tanh: _elementwise(lambda layer, x, y: -2 * y * (1 - y * y)),
    Sigmoid: _elementwise(lambda layer, x, y: y * (1 - y) * (1 - 2 * y)),
    Softplus: _elementwise(_curvature_of_softplus),
    Sequential: _chain,
}
