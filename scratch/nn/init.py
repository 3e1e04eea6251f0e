"""Starting values for parameters, as torch.nn.init writes them.

    fan         weight (out, in, ...), r = product of the others, fan_in = in r, fan_out = out r
    xavier      Var = 2 gain^2 / (fan_in + fan_out)             Glorot & Bengio 2010
    kaiming     Var = gain^2 / fan                              He et al. 2015, arXiv:1502.01852
    uniform     U(-s, s) has variance s^2 / 3, so s = sqrt(3 Var)
    orthogonal  Q R = normal matrix, Q times the signs of R's diagonal      Saxe et al. 2014
    sparse      normal, but a share of each column is zero                  Martens 2010
    torch       draws in the order in which the tensor lies in memory, so w and w.T start unlike;
                its sparse_ takes the zeros' places from the global generator even where one is
                given, here they come from the given one

Every function writes into its first argument, a Parameter (whose `version` rises by one) or an
array, and returns it. A `generator` of None is a fresh one. Arguments are checked before anything
is drawn or written.
"""

import math
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.module import Parameter
from scratch.random import Generator

T = TypeVar("T", bound=Parameter | Array)

_CONVOLUTIONS = [f"conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3)]
_NONLINEARITIES = ("linear", *_CONVOLUTIONS, "sigmoid", "tanh", "relu", "leaky_relu", "selu")


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """What a nonlinearity divides the standard deviation by, so that weights multiply with it.

    Args:
        nonlinearity: its name in `scratch.nn.functional`, or a linear layer's.
        param: the negative slope of leaky_relu, 0.01 where it is left out.

    Returns:
        The gain; tanh's 5/3 and selu's 3/4 are torch's choices.

    Raises:
        ValueError: if the name is unknown.
        TypeError: if the slope is not a number.
    """
    check.option("calculate_gain", "nonlinearity", nonlinearity, _NONLINEARITIES)
    if nonlinearity == "tanh":
        return 5 / 3
    if nonlinearity == "relu":
        return math.sqrt(2)
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else check.number("calculate_gain", "param", param)
        return math.sqrt(2 / (1 + slope**2))
    return 3 / 4 if nonlinearity == "selu" else 1.0


def fan_in_and_fan_out(tensor: Parameter | Array) -> tuple[int, int]:
    """How many inputs feed an output, and how many outputs an input feeds.

    Args:
        tensor: weight (out, in, ...).

    Returns:
        fan_in, fan_out.

    Raises:
        ValueError: if it has fewer than two axes.
    """
    return _fans("fan_in_and_fan_out", _array("fan_in_and_fan_out", tensor))


def uniform_(tensor: T, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> T:
    """Fill with U(a, b).

    Args:
        tensor: any shape.
        a: lower end.
        b: upper end, not below a.
        generator: where the numbers come from.

    Returns:
        `tensor`.

    Raises:
        ValueError: if a > b or a bound is not finite.
    """
    array = _array("uniform_", tensor)
    return _write(tensor, _uniform(array, a, b, _source("uniform_", generator)))


def normal_(
    tensor: T, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> T:
    """Fill with N(mean, std^2).

    Args:
        tensor: any shape.
        mean: the mean.
        std: the standard deviation, >= 0.
        generator: where the numbers come from.

    Returns:
        `tensor`.

    Raises:
        ValueError: if std is negative.
    """
    array = _array("normal_", tensor)
    return _write(tensor, _normal(array, mean, std, _source("normal_", generator)))


def trunc_normal_(
    tensor: T,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> T:
    """Fill with N(mean, std^2) restricted to [a, b], by rejection.

    Where [a, b] holds more than 0.3 of the distribution, normal numbers are drawn until all lie
    within. Else uniform ones are accepted with probability density / greatest density.

    Args:
        tensor: any shape.
        mean: of the normal distribution, not of the restricted one.
        std: likewise, > 0.
        a: lower end, in the units of the values.
        b: upper end.
        generator: where the numbers come from.

    Returns:
        `tensor`.

    Raises:
        ValueError: if std is not positive or a > b.
    """
    array = _array("trunc_normal_", tensor)
    generator = _source("trunc_normal_", generator)
    largest = float(np.finfo(array.dtype).max)
    mean = check.number("trunc_normal_", "mean", mean, -largest, largest)
    std = check.number("trunc_normal_", "std", std, 0, largest, open_low=True)
    a = check.number("trunc_normal_", "a", a)
    b = check.number("trunc_normal_", "b", b, low=a)
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "trunc_normal_: the mean lies more than 2 std outside [a, b]; "
            "the values may be distributed wrongly",
            stacklevel=2,
        )
    share = _normal_cdf((b - mean) / std) - _normal_cdf((a - mean) / std)
    if share > 0.3:
        with np.errstate(over="ignore"):  # a bound beyond the dtype is no bound
            low, high = array.dtype.type(a), array.dtype.type(b)
        values = _normal(array, mean, std, generator)
        while (outside := (values < low) | (values > high)).any():
            values = np.where(outside, _normal(array, mean, std, generator), values)
        return _write(tensor, values)
    log_peak = -0.5 * ((max(a, min(mean, b)) - mean) / std) ** 2
    values, pending = np.zeros_like(array), np.ones(array.shape, bool)
    while pending.any():
        candidates = _uniform(array, a, b, generator)
        log_density = -0.5 * ((candidates - mean) / std) ** 2 - log_peak
        values = np.where(pending, candidates, values)
        with np.errstate(divide="ignore"):  # log 0 = -inf accepts
            pending = pending & (np.log(_uniform(array, 0, 1, generator)) > log_density)
    return _write(tensor, values)


def constant_(tensor: T, val: float) -> T:
    """Fill with one number.

    Args:
        tensor: any shape.
        val: the number.

    Returns:
        `tensor`.
    """
    _array("constant_", tensor)
    return _write(tensor, check.number("constant_", "val", val))


def ones_(tensor: T) -> T:
    """Fill with 1.

    Args:
        tensor: any shape.

    Returns:
        `tensor`.
    """
    _array("ones_", tensor)
    return _write(tensor, 1.0)


def zeros_(tensor: T) -> T:
    """Fill with 0.

    Args:
        tensor: any shape.

    Returns:
        `tensor`.
    """
    _array("zeros_", tensor)
    return _write(tensor, 0.0)


def eye_(tensor: T) -> T:
    """Fill with the identity, so that a linear layer passes on as many inputs as it can.

    Args:
        tensor: (out, in).

    Returns:
        `tensor`.

    Raises:
        ValueError: if it does not have two axes.
    """
    array = _array("eye_", tensor)
    check.shape("eye_", "tensor", array, ("out", "in"))
    return _write(tensor, np.eye(*array.shape, dtype=array.dtype))


def dirac_(tensor: T, groups: int = 1) -> T:
    """Fill with kernels that are 1 at the centre: convolution passes on as many channels as it can.

    Args:
        tensor: (out, in / groups, ...) with one to three kernel axes.
        groups: each passes on its own channels.

    Returns:
        `tensor`.

    Raises:
        ValueError: if it lacks 1 to 3 non-empty kernel axes, or groups does not divide out.
    """
    array = _array("dirac_", tensor)
    groups = check.size("dirac_", "groups", groups, low=1)
    if array.ndim not in (3, 4, 5) or 0 in array.shape[2:]:
        check.refuse(
            "dirac_", "tensor of shape (out, in, ...) with 1 to 3 kernel axes", array.shape
        )
    if array.shape[0] % groups:
        check.refuse("dirac_", f"a number of output channels that {groups} divides", array.shape[0])
    per_group = array.shape[0] // groups
    channel = np.arange(min(per_group, array.shape[1]))
    first = per_group * np.arange(groups)[:, None]
    centre = tuple(n // 2 for n in array.shape[2:])
    values = np.zeros_like(array)
    values[(first + channel, channel, *centre)] = 1
    return _write(tensor, values)


def xavier_uniform_(tensor: T, gain: float = 1.0, generator: Generator | None = None) -> T:
    """Fill with U(-s, s), s = gain sqrt(6 / (fan_in + fan_out)).

    Args:
        tensor: weight (out, in, ...).
        gain: of the nonlinearity that follows, see `calculate_gain`.
        generator: where the numbers come from.

    Returns:
        `tensor`.

    Raises:
        ValueError: if it has fewer than two axes, both fans are 0, or the gain is negative.

    Source:
        Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward networks,
        eq. 16.
    """
    array = _array("xavier_uniform_", tensor)
    generator = _source("xavier_uniform_", generator)
    bound = math.sqrt(3) * _xavier_std("xavier_uniform_", array, gain)
    return _write(tensor, _uniform(array, -bound, bound, generator))


def xavier_normal_(tensor: T, gain: float = 1.0, generator: Generator | None = None) -> T:
    """Fill with N(0, std^2), std = gain sqrt(2 / (fan_in + fan_out)).

    Args:
        tensor: weight (out, in, ...).
        gain: of the nonlinearity that follows, see `calculate_gain`.
        generator: where the numbers come from.

    Returns:
        `tensor`.

    Raises:
        ValueError: if it has fewer than two axes, both fans are 0, or the gain is negative.

    Source:
        Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward networks,
        eq. 12.
    """
    array = _array("xavier_normal_", tensor)
    generator = _source("xavier_normal_", generator)
    return _write(tensor, _normal(array, 0, _xavier_std("xavier_normal_", array, gain), generator))


def kaiming_uniform_(
    tensor: T,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> T:
    """Fill with U(-s, s), s = gain sqrt(3 / fan).

    Args:
        tensor: weight (out, in, ...); an empty one is left alone, with a warning.
        a: the negative slope of leaky_relu.
        mode: "fan_in" keeps the variance of the forward pass, "fan_out" that of the backward pass.
        nonlinearity: the one that follows, see `calculate_gain`.
        generator: where the numbers come from.

    Returns:
        `tensor`.

    Raises:
        ValueError: if it has fewer than two axes, or the mode or the nonlinearity is unknown.

    Source:
        He et al. 2015, Delving deep into rectifiers, arXiv:1502.01852, eq. 10 and 14.
    """
    array = _array("kaiming_uniform_", tensor)
    generator = _source("kaiming_uniform_", generator)
    if array.size == 0:
        warnings.warn("kaiming_uniform_: an empty tensor has nothing to fill", stacklevel=2)
        return tensor
    bound = math.sqrt(3) * _kaiming_std("kaiming_uniform_", array, a, mode, nonlinearity)
    return _write(tensor, _uniform(array, -bound, bound, generator))


def kaiming_normal_(
    tensor: T,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> T:
    """Fill with N(0, std^2), std = gain / sqrt(fan).

    Args:
        tensor: weight (out, in, ...); an empty one is left alone, with a warning.
        a: the negative slope of leaky_relu.
        mode: "fan_in" keeps the variance of the forward pass, "fan_out" that of the backward pass.
        nonlinearity: the one that follows, see `calculate_gain`.
        generator: where the numbers come from.

    Returns:
        `tensor`.

    Raises:
        ValueError: if it has fewer than two axes, or the mode or the nonlinearity is unknown.

    Source:
        He et al. 2015, Delving deep into rectifiers, arXiv:1502.01852, eq. 10 and 14.
    """
    array = _array("kaiming_normal_", tensor)
    generator = _source("kaiming_normal_", generator)
    if array.size == 0:
        warnings.warn("kaiming_normal_: an empty tensor has nothing to fill", stacklevel=2)
        return tensor
    std = _kaiming_std("kaiming_normal_", array, a, mode, nonlinearity)
    return _write(tensor, _normal(array, 0, std, generator))


def orthogonal_(tensor: T, gain: float = 1, generator: Generator | None = None) -> T:
    """Fill with gain times a matrix whose rows or columns, whichever are fewer, are orthonormal.

    Args:
        tensor: (rows, ...), all other axes taken as one; an empty one is left alone.
        gain: the factor.
        generator: where the numbers come from.

    Returns:
        `tensor`.

    Raises:
        ValueError: if it has fewer than two axes.

    Source:
        Saxe et al. 2014, Exact solutions to the nonlinear dynamics of learning in deep linear
        neural networks, arXiv:1312.6120; the signs: Mezzadri 2007, arXiv:math-ph/0609050.
    """
    array = _array("orthogonal_", tensor)
    generator = _source("orthogonal_", generator)
    gain = check.number("orthogonal_", "gain", gain)
    if array.ndim < 2:
        check.refuse("orthogonal_", "tensor of two or more axes", array.shape)
    if array.size == 0:
        return tensor
    rows = array.shape[0]
    flat = generator.normal(0, 1, (rows, array.size // rows), array.dtype)
    wide = rows < flat.shape[1]
    q, r = np.linalg.qr(flat.T if wide else flat)
    q *= np.sign(np.diag(r))
    return _write(tensor, (q.T if wide else q).reshape(array.shape) * gain)


def sparse_(tensor: T, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> T:
    """Fill with N(0, std^2), then set a share of each column to zero.

    Args:
        tensor: (out, in).
        sparsity: the share in [0, 1], rounded up to whole elements.
        std: the standard deviation of the others.
        generator: where the numbers come from.

    Returns:
        `tensor`.

    Raises:
        ValueError: if it does not have two axes, or the share is outside [0, 1].

    Source:
        Martens 2010, Deep learning via Hessian-free optimization.
    """
    array = _array("sparse_", tensor)
    generator = _source("sparse_", generator)
    check.shape("sparse_", "tensor", array, ("out", "in"))
    rows, columns = array.shape
    zeros = math.ceil(check.number("sparse_", "sparsity", sparsity, 0, 1) * rows)
    values = _normal(array, 0, std, generator)
    for column in range(columns):
        values[generator.randperm(rows)[:zeros], column] = 0
    return _write(tensor, values)


def _array(function: str, tensor: Any) -> Array:
    """The array to fill."""
    array = tensor.data if isinstance(tensor, Parameter) else tensor
    if not isinstance(array, np.ndarray):
        check.refuse(
            function, "tensor to be a Parameter or an array", check.describe(tensor), TypeError
        )
    array = check.floating(function, "tensor", array)
    if not array.flags.writeable:
        check.refuse(function, "an array that can be written to", "a read-only one")
    return array


def _write(tensor: T, values: Array | float) -> T:
    if isinstance(tensor, Parameter):
        tensor.data[...] = values
        tensor.version += 1
    else:
        tensor[...] = values
    return tensor


def _source(function: str, generator: Generator | None) -> Generator:
    if generator is not None and not isinstance(generator, Generator):
        check.refuse(
            function, "generator to be a Generator or None", check.describe(generator), TypeError
        )
    return generator or Generator()


def _uniform(array: Array, low: float, high: float, generator: Generator) -> Array:
    return _in_memory_order(array, lambda size: generator.uniform(low, high, size, array.dtype))


def _normal(array: Array, mean: float, std: float, generator: Generator) -> Array:
    contiguous = array.flags.c_contiguous
    return _in_memory_order(
        array, lambda size: generator.normal(mean, std, size, array.dtype, contiguous=contiguous)
    )


def _in_memory_order(array: Array, draw: Callable[[tuple[int, ...]], Array]) -> Array:
    """Values of the array's shape, drawn in the order of its memory."""
    axes = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
    values = draw(tuple(array.shape[axis] for axis in axes))
    return values.transpose([axes.index(axis) for axis in range(array.ndim)])


def _fans(function: str, array: Array) -> tuple[int, int]:
    if array.ndim < 2:
        check.refuse(function, "tensor of two or more axes", array.shape)
    field = math.prod(array.shape[2:])
    return array.shape[1] * field, array.shape[0] * field


def _xavier_std(function: str, array: Array, gain: float) -> float:
    fans = sum(_fans(function, array))
    if fans == 0:
        check.refuse(function, "a tensor with fan_in + fan_out > 0", array.shape)
    return check.number(function, "gain", gain, 0) * math.sqrt(2 / fans)


def _kaiming_std(function: str, array: Array, a: float, mode: str, nonlinearity: str) -> float:
    mode = mode.lower() if isinstance(mode, str) else mode
    check.option(function, "mode", mode, ("fan_in", "fan_out"))
    fan_in, fan_out = _fans(function, array)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan_in if mode == "fan_in" else fan_out)


def _normal_cdf(x: float) -> float:
    return (1 + math.erf(x / math.sqrt(2))) / 2
