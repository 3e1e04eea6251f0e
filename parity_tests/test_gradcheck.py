"""The gradient checker: right backwards pass, planted mistakes are found and named."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scratch.nn.functional as F
from scratch import nn
from scratch.check import Array
from scratch.gradcheck import gradcheck
from scratch.nn.op import Backward, op
from scratch.random import Generator

RNG = np.random.default_rng(7)
START = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    """Whichever tests ran before in this process."""
    RNG.bit_generator.state = START


def elementwise(
    function: Callable[[Array], Array], slope: Callable[[Array], Array]
) -> Callable[[Array], tuple[Array, Backward]]:
    @op
    def elementwise(input: Array) -> tuple[Array, Backward]:
        return function(input), lambda dy: dy * slope(input)

    return elementwise


# Right and wrong backwards


def squared(mistake: Callable[[Array, Array], tuple[Array, Array]]) -> Any:
    """y = (x w)^2 with a mistake applied to its gradients."""

    @op
    def squared(x: Array, w: Array) -> tuple[Array, Backward]:
        z = x @ w

        def backward(dy: Array) -> tuple[Array, Array]:
            dz = 2 * z * dy
            return mistake(dz @ w.T, x.T @ dz)

        return z**2, backward

    return squared


def scaled_entry(factor: float) -> Callable[[Array, Array], tuple[Array, Array]]:
    def mistake(dx: Array, dw: Array) -> tuple[Array, Array]:
        dw[3, 7] *= factor
        return dx, dw

    return mistake


MISTAKES: dict[str, tuple[str, Callable[[Array, Array], tuple[Array, Array]]]] = {
    "sign": ("w", lambda dx, dw: (dx, -dw)),
    "factor 2": ("x", lambda dx, dw: (2 * dx, dw)),
    "missing factor": ("w", lambda dx, dw: (dx, dw / 2)),
    "missing term": ("x", lambda dx, dw: (dx - dx.mean(0), dw)),
    "zeros": ("w", lambda dx, dw: (dx, np.zeros_like(dw))),
    "transposed": ("x", lambda dx, dw: (dx.T.copy(), dw)),
    "reversed": ("w", lambda dx, dw: (dx, dw[::-1].copy())),
    "relative 1e-7": ("w", lambda dx, dw: (dx, dw * (1 + 1e-7))),
    "NaN": ("x", lambda dx, dw: (dx * np.nan, dw)),
}


def test_right_backwards_pass() -> None:
    x, w = RNG.normal(size=(5, 5)), RNG.normal(size=(5, 10))
    report = gradcheck(squared(lambda dx, dw: (dx, dw)), x, w)
    assert report.passed
    assert report.arrays == ("x", "w")
    assert (report.checked, report.failed, report.kinks, report.jumps) == (75, 0, 0, 0)
    assert report.worst is not None
    assert report.worst.error < 1e-9
    assert gradcheck(F.linear, RNG.normal(size=(4, 3)), RNG.normal(size=(2, 3)), RNG.normal(size=2))


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_found_in_the_right_array(name: str) -> None:
    where, mistake = MISTAKES[name]
    x, w = RNG.normal(size=(5, 5)), RNG.normal(size=(5, 10))
    report = gradcheck(squared(mistake), x, w)
    assert not report.passed
    assert report.worst is not None
    assert report.worst.array == where
    assert not report.worst.passed


@pytest.mark.parametrize("factor", [0.0, -1.0, 1.001, 1 + 1e-6])
def test_one_wrong_entry_is_named(factor: float) -> None:
    x, w = RNG.normal(size=(4, 5)), RNG.normal(size=(5, 10))
    report = gradcheck(squared(scaled_entry(factor)), x, w)
    assert report.failed == 1
    worst = report.worst
    assert worst is not None
    assert (worst.array, worst.index, worst.kind) == ("w", (3, 7), "smooth")
    assert worst.analytic == pytest.approx(factor * worst.numeric, rel=1e-9)
    assert f"w[3, 7]: analytic {worst.analytic:.10g}" in str(report)
    assert "1 FAILED" in str(report)


@pytest.mark.parametrize("entries", [0, 10, "auto"])
def test_one_wrong_entry_of_many_is_found_by_halving(entries: int | str) -> None:
    x, w = RNG.normal(size=(2, 50)), RNG.normal(size=(50, 100))
    report = gradcheck(squared(scaled_entry(1 + 1e-5)), x, w, entries=entries)
    assert report.failed == 1
    assert report.worst is not None
    assert (report.worst.array, report.worst.index) == ("w", (3, 7))
    right = gradcheck(squared(lambda dx, dw: (dx, dw)), x, w, entries=entries)
    assert right.passed
    assert right.checked == (100 + 64 if entries == "auto" else 2 * int(entries))


def test_number_of_entries() -> None:
    x, w = RNG.normal(size=(3, 2)), RNG.normal(size=(2, 150))
    right = squared(lambda dx, dw: (dx, dw))
    assert gradcheck(right, x, w, entries="all").checked == 306
    assert gradcheck(right, x, w, entries=4).checked == 8


def test_the_cotangent_is_not_ones() -> None:
    """Under ones the gradient of softmax is zero, and zeros would pass."""

    @op
    def softmax(input: Array) -> tuple[Array, Backward]:
        e = np.exp(input)
        return e / e.sum(), np.zeros_like

    assert gradcheck(softmax, RNG.normal(size=5)).failed == 5


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_any_shape(n: int, m: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(n, m)), rng.normal(size=(m, k))
    assert gradcheck(squared(lambda dx, dw: (dx, dw)), x, w, seed=seed).passed
    assert not gradcheck(squared(lambda dx, dw: (dx, dw * 1.0001)), x, w, seed=seed).passed


# Kinks and jumps


def relu(at_zero: float) -> Any:
    return elementwise(
        lambda x: np.maximum(x, 0), lambda x: np.where(x == 0, at_zero, (x > 0) * 1.0)
    )


def absolute(at_zero: float) -> Any:
    return elementwise(np.abs, lambda x: np.where(x == 0, at_zero, np.sign(x)))


def curved(at_zero: float) -> Any:
    """ELU with alpha = 1.5: slopes 1.5 and 1 meet at 0, one of them curved."""
    return elementwise(
        lambda x: np.where(x > 0, x, 1.5 * np.expm1(np.minimum(x, 0))),
        lambda x: np.where(x == 0, at_zero, np.where(x > 0, 1, 1.5 * np.exp(np.minimum(x, 0)))),
    )


@pytest.mark.parametrize(
    ("make", "right", "wrong"),
    [
        (relu, (0.0, 0.5, 1.0), (2.0, -0.5, 1.01, -0.001)),
        (absolute, (0.0, -1.0, 1.0, 0.3), (2.0, -1.01)),
        (curved, (1.0, 1.5, 1.25), (0.99, 1.51, 0.0)),
    ],
)
def test_subgradients(make: Any, right: tuple[float, ...], wrong: tuple[float, ...]) -> None:
    x = np.array([[0.0, -0.7, 3.0], [-0.0, 1e4, -1e4]])
    for slope in right:
        report = gradcheck(make(slope), x)
        assert report.passed, report
        assert report.kinks == 2
    for slope in wrong:
        report = gradcheck(make(slope), x)
        assert report.failed == 2
        worst = report.worst
        assert worst is not None
        assert worst.kind == "kink"
        assert worst.index in ((0, 0), (1, 0))
        left, right_ = sorted(worst.one_sided)
        assert not left <= worst.analytic <= right_
        assert worst.numeric in (left, right_)


@pytest.mark.parametrize("distance", [1e-2, 1e-4, 1e-6, -1e-4, -1e-8])
def test_a_kink_nearby_is_no_excuse(distance: float) -> None:
    x = np.array([distance, 1.0, -2.0])
    assert gradcheck(relu(0.0), x).kinks == 0
    half = elementwise(lambda x: np.maximum(x, 0), lambda x: np.where(abs(x) < 0.1, 0.5, x > 0))
    report = gradcheck(half, x)
    assert report.failed == 1
    assert report.worst is not None
    assert (report.worst.index, report.worst.kind) == ((0,), "smooth")


@pytest.mark.parametrize("x", [5e-324, -5e-324, 1e-30, -1e-30, 1e-13, -1e-12, 1e-11])
def test_the_smallest_numbers_beside_a_kink_or_jump(x: float) -> None:
    step = elementwise(lambda x: (x > 0) * 1.0, lambda x: 0 * x)
    assert gradcheck(relu(0.0), np.array([x, 1.0])).passed
    assert gradcheck(step, np.array([x, 1.0])).passed


@pytest.mark.parametrize("at_zero", [0.0, 0.5, 1.0])
def test_step(at_zero: float) -> None:
    x = np.array([0.0, 1.0, -1.0])
    right = elementwise(lambda x: np.heaviside(x, at_zero), lambda x: 0 * x)
    report = gradcheck(right, x)
    assert report.passed
    assert (report.jumps, report.kinks) == (1, 0)
    wrong = elementwise(lambda x: np.heaviside(x, at_zero), lambda x: (x == 0) * 1.0)
    report = gradcheck(wrong, x)
    assert report.failed == 1
    assert report.worst is not None
    assert (report.worst.kind, report.worst.index) == ("jump", (0,))


def test_a_jump_has_the_slope_of_either_side() -> None:
    def hardshrink(slope: float) -> Any:
        return elementwise(
            lambda x: np.where(abs(x) > 0.5, x, 0),
            lambda x: np.where(abs(x) == 0.5, slope, (abs(x) > 0.5) * 1.0),
        )

    x = np.array([0.5, -0.5, 0.2, 0.9])
    assert gradcheck(hardshrink(0.0), x).jumps == 2
    assert gradcheck(hardshrink(0.0), x).passed
    assert gradcheck(hardshrink(1.0), x).passed
    assert gradcheck(hardshrink(0.5), x).failed == 2


def test_kinks_raise_no_alarm_along_directions() -> None:
    x = np.zeros((20, 20))
    x[5] = 1.5
    report = gradcheck(relu(0.0), x, entries=3)
    assert report.passed
    assert report.kinks > 3
    x = RNG.normal(size=(40, 40))
    assert gradcheck(relu(0.0), x, entries=0).passed
    report = gradcheck(relu(2.0), np.where(np.arange(1600).reshape(40, 40) == 77, 0, x), entries=0)
    assert report.worst is not None
    assert (report.failed, report.worst.index) == (1, (1, 37))


def test_infinite_slope_is_not_resolved() -> None:
    root = elementwise(np.cbrt, lambda x: np.where(x == 0, 5.0, 1 / 3 / np.cbrt(x + (x == 0)) ** 2))
    report = gradcheck(root, np.array([0.0, 1.0]))
    assert report.failed == 1
    assert report.worst is not None
    assert report.worst.kind == "unresolved"


# Values


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e-3, 1e3, 1e6, 1e12])
def test_scale_of_the_input(scale: float) -> None:
    x, w = scale * RNG.normal(size=(4, 5)), RNG.normal(size=(5, 10))
    right = squared(lambda dx, dw: (dx, dw))
    for arguments in ((x, w), (x, w / scale), (w.T[:5] * scale, w * scale)):
        report = gradcheck(right, *arguments)
        assert report.passed, report
        assert gradcheck(squared(scaled_entry(1 + 1e-6)), *arguments).failed == 1
    wave = elementwise(lambda x: np.sin(x / scale), lambda x: np.cos(x / scale) / scale)
    assert gradcheck(wave, x).passed
    wave = elementwise(lambda x: 1 + np.sin(x), np.cos)
    assert scale > 1e3 or gradcheck(wave, x).passed


@pytest.mark.parametrize(("offset", "scale"), [(0, 1e-6), (0, 1e6), (1e6, 1), (0, 1), (1e3, 1e-2)])
def test_ill_conditioned(offset: float, scale: float) -> None:
    x = offset + scale * RNG.normal(size=(3, 7))

    @op
    def standardised(input: Array) -> tuple[Array, Backward]:
        r = 1 / np.sqrt(input.var(1, keepdims=True) + 1e-5)
        n = (input - input.mean(1, keepdims=True)) * r

        def backward(dy: Array) -> Array:
            dn = dy - n * (dy * n).mean(1, keepdims=True)
            return np.asarray(r * (dn - dy.mean(1, keepdims=True)))

        return n, backward

    @op
    def log_softmax(input: Array) -> tuple[Array, Backward]:
        z = input - input.max(1, keepdims=True)
        y = z - np.log(np.exp(z).sum(1, keepdims=True))
        return y, lambda dy: dy - np.exp(y) * dy.sum(1, keepdims=True)

    for function in (standardised, log_softmax):
        for _ in range(20):  # an error that is allowed for too narrowly shows in one draw of ten
            report = gradcheck(function, x)
            assert report.passed, report
            x = offset + scale * RNG.normal(size=(3, 7))


def test_different_scales_in_one_array() -> None:
    x = np.array([1e-9, 1e-5, 0.3, 7.0, 1e4, 1e9])
    assert gradcheck(elementwise(np.log, lambda x: 1 / x), x).passed
    wrong = elementwise(np.log, lambda x: np.where(x == 1e-9, 1.00001, 1) / x)
    report = gradcheck(wrong, x)
    assert report.worst is not None
    assert (report.failed, report.worst.index) == (1, (0,))


def test_a_point_that_the_function_refuses_is_outside_of_its_domain() -> None:
    def entropy(p: Array) -> tuple[Array, Backward]:
        if p.min() < 0 or p.max() > 1:
            raise ValueError("entropy: expected p in [0, 1]")
        return p * np.log(p), lambda dy: dy * (1 + np.log(p))

    assert gradcheck(entropy, np.array([1e-4, 0.5, 1 - 1e-4])).passed


def test_gradient_that_is_zero_but_for_rounding() -> None:
    @op
    def centred(input: Array, bias: Array) -> tuple[Array, Backward]:
        z = input + bias
        y = z - z.mean(0)

        def backward(dy: Array) -> tuple[Array, Array]:
            dz = dy - dy.mean(0)
            return dz, dz.sum(0)

        return np.tanh(y), lambda dy: backward(dy * (1 - np.tanh(y) ** 2))

    assert gradcheck(centred, RNG.normal(size=(5, 3)), RNG.normal(size=3)).passed


def test_not_finite() -> None:
    def log(at_nan: float) -> Any:
        return elementwise(np.log, lambda x: np.where(x < 0, at_nan, 1 / x))

    report = gradcheck(log(np.nan), np.array([-1.0]))
    assert report.passed
    assert report.not_finite == 1
    report = gradcheck(log(0.0), np.array([-1.0]))
    assert not report.passed
    assert report.not_finite == 1
    assert report.worst is not None
    assert report.worst.kind == "not finite"
    assert gradcheck(elementwise(np.sqrt, lambda x: 0.5 / np.sqrt(x)), np.zeros(1)).failed == 1
    overflow = elementwise(lambda x: np.exp(x) - np.exp(x), lambda x: 0 * x)
    assert gradcheck(overflow, np.array([709.78])).passed
    assert gradcheck(overflow, np.array([800.0])).not_finite == 1


def test_scalars_and_empty_arrays() -> None:
    sine = elementwise(np.sin, np.cos)
    report = gradcheck(sine, np.array(0.3))
    assert (report.passed, report.checked) == (True, 1)
    assert report.worst is not None
    assert report.worst.index == ()
    assert gradcheck(elementwise(np.sin, np.sin), np.array(0.3)).failed == 1
    report = gradcheck(sine, np.zeros((3, 0)))
    assert (report.passed, report.checked, report.worst) == (True, 0, None)
    assert gradcheck(F.linear, np.zeros((0, 3)), RNG.normal(size=(2, 3))).passed


def test_scalar_loss() -> None:
    @op
    def loss(input: Array, target: Array, reduction: str = "mean") -> tuple[Any, Backward]:
        d = input - target
        return (d**2).mean(), lambda dy: (2 * dy * d / d.size, -2 * dy * d / d.size)

    x, target = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 3))
    assert gradcheck(loss, x, target=target, reduction="mean").checked == 24

    def deaf(input: Array) -> tuple[Any, Backward]:
        return (input**2).sum(), lambda dy: 2 * input  # forgets dy

    assert gradcheck(deaf, x).failed == 12


# Structure of arguments and outputs


def test_tuples() -> None:
    @op
    def cell(
        x: Array, hx: tuple[Array, Array], index: Array, double: bool = False
    ) -> tuple[Any, Backward]:
        h, c = hx
        c_new = np.sin(x) * c
        h_new = c_new * h * (2 if double else 1)

        def backward(dh: Array, dstate: tuple[Array | None, Array | None]) -> Any:
            dc, dindex = dstate
            assert dindex is None
            assert dc is not None
            factor = 2 if double else 1
            dc = dc + dh * h * factor
            return dc * np.cos(x) * c, (dh * c_new * factor, dc * np.sin(x))

        return (h_new, (c_new, index)), backward

    x, h, c = RNG.normal(size=(3, 2, 4))
    report = gradcheck(cell, x, (h, c), np.arange(4), double=True)
    assert report.passed
    assert report.arrays == ("x", "hx[0]", "hx[1]")

    def flat(x: Array, hx: tuple[Array, Array]) -> tuple[Any, Backward]:
        (h_new, (c_new, _)), back = cell(x, hx, np.arange(4))

        def backward(dh: Array, dc: Array) -> Any:
            dx, (dh, dc) = back(dh, (dc, None))
            return dx, dh, dc * 1.01

        return (h_new, c_new), backward

    report = gradcheck(flat, x, (h, c))
    assert report.worst is not None
    assert (report.failed, report.worst.array) == (8, "hx[1]")


def test_constant() -> None:
    @op
    def weighted(input: Array, weight: Array | None = None) -> tuple[Array, Backward]:
        w = np.ones(()) if weight is None else weight
        return w * np.sin(input), lambda dy: w * np.cos(input) * dy

    x, w = RNG.normal(size=(3, 2)), RNG.normal(size=2)
    assert gradcheck(weighted, x, w, constant=("weight",)).arrays == ("input",)
    assert gradcheck(weighted, x, constant=["weight"]).passed
    with pytest.raises(
        ValueError, match=r"gradcheck: expected 2 gradients \(input, weight\).*, got 1"
    ):
        gradcheck(weighted, x, w)
    with pytest.raises(
        ValueError, match=r"gradcheck: expected constant among .*, got \['wieght'\]"
    ):
        gradcheck(weighted, x, w, constant=("wieght",))


def test_the_same_array_twice_is_two_arguments() -> None:
    @op
    def product(a: Array, b: Array) -> tuple[Array, Backward]:
        return a * b, lambda dy: (dy * b, dy * a)

    x = RNG.normal(size=3)
    assert gradcheck(product, x, x).passed


# Modules


class Norm(nn.Module):
    """Scales by a running mean square that it keeps, drops by its generator, and has a gain."""

    mean: Array
    count: Array

    def __init__(self, generator: Generator | None) -> None:
        self.generator = generator
        self.gain = nn.Parameter(RNG.normal(size=4))
        self.register_buffer("mean", np.full(4, 0.3))
        self.register_buffer("count", np.array(0))

    def forward(self, input: Array) -> tuple[Array, Backward]:
        self.mean = 0.9 * self.mean + 0.1 * (input**2).mean(0)
        self.count += 1
        mean, gain = self.mean, self.gain.data
        mask = (self.generator or Generator()).bernoulli(0.5, input.shape, np.float64)

        def backward(dy: Array) -> Array:
            dy = dy * mask
            self.gain.accumulate((dy * input * mean).sum(0))
            dmean = (dy * gain * input).sum(0)
            return np.asarray(dy * gain * mean + 0.2 / len(input) * input * dmean)

        return gain * input * mean * mask, backward


def network(generator: Generator | None = None) -> nn.Sequential:
    first = nn.Linear(3, 4, dtype=np.float64, generator=Generator(0))
    last = nn.Linear(4, 2, dtype=np.float64, generator=Generator(1))
    return nn.Sequential(first, Norm(generator or Generator(2)), last)


def test_module() -> None:
    report = gradcheck(network(), RNG.normal(size=(5, 3)))
    assert report.passed, report
    names = ("input", "0.weight", "0.bias", "1.gain", "2.weight", "2.bias")
    assert report.arrays == names
    assert report.checked == 15 + 12 + 4 + 4 + 8 + 2
    assert report.name == "Sequential"
    frozen = gradcheck(network(), RNG.normal(size=(5, 3)), constant=["0.weight"])
    assert frozen.passed
    assert frozen.arrays == (names[0], *names[2:])


def test_parameter_without_gradient_is_found() -> None:
    class Forgetful(nn.Linear):
        def forward(self, input: Array) -> tuple[Array, Backward]:
            y, back = super().forward(input)

            def backward(dy: Array) -> Any:
                dx, grad = back(dy), self.bias
                assert grad is not None
                grad.grad = None
                return dx

            return y, backward

    module = nn.Sequential(Forgetful(3, 2, dtype=np.float64))
    report = gradcheck(module, RNG.normal(size=(4, 3)))
    assert report.worst is not None
    assert (report.failed, report.worst.array) == (2, "0.bias")


def test_tied_parameters() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            self.encoder = nn.Linear(3, 3, dtype=np.float64)
            self.decoder = nn.Linear(3, 3, dtype=np.float64)
            self.decoder.weight = self.encoder.weight

        def forward(self, input: Array) -> tuple[Array, Backward]:
            h, encoder_back = self.encoder(input)
            y, decoder_back = self.decoder(h**2)
            return y, lambda dy: encoder_back(2 * h * decoder_back(dy))

    report = gradcheck(Tied(), RNG.normal(size=(4, 3)))
    assert report.passed
    assert report.arrays == ("input", "encoder.weight", "encoder.bias", "decoder.bias")


class Failing(nn.Module):
    """Raises at the n-th call."""

    def __init__(self, n: int) -> None:
        self.left = n

    def forward(self, input: Array) -> tuple[Array, Backward]:
        self.left -= 1
        if self.left == 0:
            raise KeyError("failing")
        return input, lambda dy: dy


@pytest.mark.parametrize("fail_at", [0, 1, 2, 30])
def test_a_module_is_left_as_it_was(fail_at: int) -> None:
    generator = Generator(5)
    model = nn.Sequential(network(generator), Failing(fail_at))
    x = RNG.normal(size=(5, 3))
    for i, parameter in enumerate(model.parameters()):
        parameter.data.flags.writeable = False
        parameter.grad = None if i == 1 else np.full(parameter.shape, float(i))
    state, values, drawn = model.state_dict(), x.copy(), generator.get_state()
    data = [parameter.data for parameter in model.parameters()]
    grads = [parameter.grad for parameter in model.parameters()]
    buffers = list(model.buffers())
    x.flags.writeable = False
    if fail_at:
        with pytest.raises(KeyError):
            gradcheck(model, x)
    else:
        assert gradcheck(model, x).passed
    assert all(p.data is d for p, d in zip(model.parameters(), data, strict=True))
    assert all(p.grad is g for p, g in zip(model.parameters(), grads, strict=True))
    assert all(b is c for b, c in zip(model.buffers(), buffers, strict=True))
    after = model.state_dict()
    assert all(np.array_equal(after[name], state[name]) for name in state)
    assert generator.get_state() == drawn
    assert np.array_equal(x, values)
    for i, g in enumerate(grads):
        assert g is None or (g == i).all()


def test_dropout() -> None:
    x = RNG.normal(size=(6, 4))
    assert gradcheck(nn.Dropout(0.4, generator=Generator(3)), x).passed
    assert gradcheck(F.dropout, x, 0.4, generator=Generator(3)).passed
    with pytest.raises(
        ValueError, match="gradcheck: expected a function that gives the same twice"
    ):
        gradcheck(F.dropout, x, 0.4)


# Refusals


def test_refusals() -> None:
    x = RNG.normal(size=(4, 3))
    sine = elementwise(np.sin, np.cos)
    with pytest.raises(TypeError, match="gradcheck: expected input in float64, got float32 array"):
        gradcheck(sine, x.astype(np.float32))
    with pytest.raises(TypeError, match="gradcheck: expected weight in float64, got float32 array"):
        gradcheck(nn.Linear(3, 2), x)
    with pytest.raises(ValueError, match="gradcheck: expected a floating array to differentiate"):
        gradcheck(sine, np.arange(3))
    with pytest.raises(ValueError, match="gradcheck: expected entries to be one of"):
        gradcheck(sine, x, entries="some")
    with pytest.raises(ValueError, match="gradcheck: expected entries >= 0, got -1"):
        gradcheck(sine, x, entries=-1)
    with pytest.raises(ValueError, match="gradcheck: expected h in"):
        gradcheck(sine, x, h=0)
    with pytest.raises(ValueError, match="gradcheck: expected tolerance in"):
        gradcheck(sine, x, tolerance=-1)

    def misshapen(input: Array) -> tuple[Array, Backward]:
        return np.sin(input), lambda dy: (dy * np.cos(input)).T

    with pytest.raises(ValueError, match=r"a float64 gradient of input of shape \(4, 3\), got"):
        gradcheck(misshapen, x)


def test_tolerance_and_step() -> None:
    x = RNG.normal(size=3)
    rough = elementwise(np.sin, lambda x: np.cos(x) * (1 + 1e-4))
    assert not gradcheck(rough, x).passed
    assert gradcheck(rough, x, tolerance=1e-3).passed
    assert gradcheck(elementwise(np.sin, np.cos), x, h=1e-3).passed


def test_report() -> None:
    report = gradcheck(relu(0.0), np.array([0.0, 1.0]))
    assert report
    assert not gradcheck(relu(2.0), np.zeros(1))
    assert str(report).startswith(
        "gradcheck elementwise: passed, 2 entries of input (1 kinks, 0 jumps, 0 not finite)\n"
    )
