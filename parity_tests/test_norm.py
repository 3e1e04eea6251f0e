"""Normalisation: statistics that move between a forward and its backward, and where it all is from.

Hypothesis draws shapes, options and modes. test_derivations.py has batch normalisation's gradient.
"""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from parity_tests.harness import twin
from parity_tests.harness.compare import close, same
from parity_tests.harness.draw import Array, Draw
from scratch import nn
from scratch.check import describe
from scratch.nn import functional as F
from scratch.optim.swa_utils import update_bn

DTYPES = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
TORCH = {np.float64: torch.float64, np.float32: torch.float32}
BATCH = [("BatchNorm1d", 0), ("BatchNorm1d", 1), ("BatchNorm2d", 2), ("BatchNorm3d", 3)]
INSTANCE = [("InstanceNorm1d", 1), ("InstanceNorm2d", 2), ("InstanceNorm3d", 3)]


def examples(number: int) -> settings:
    """The same examples in every run."""
    return settings(max_examples=number, deadline=None)


@st.composite
def layers(draw: st.DrawFn) -> tuple[str, tuple[int, ...], tuple[Any, ...], dict[str, Any]]:
    """A module's name, its input's shape without the batch, and its arguments."""
    name, axes = draw(st.sampled_from([*BATCH, *INSTANCE, ("GroupNorm", 2), ("LayerNorm", 2)]))
    pixels = tuple(draw(st.lists(st.integers(2, 4), min_size=axes, max_size=axes)))
    channels = draw(st.integers(1, 4))
    # Below that the few values that a group may have make a gradient that is all rounding.
    eps = draw(st.sampled_from([1e-2, 0.3, 2.0]))
    if name == "LayerNorm":
        shape = (channels, *pixels)
        normalised = shape[draw(st.integers(0, 2)) :]
        options: dict[str, Any] = {"elementwise_affine": draw(st.booleans())}
        options["bias"] = draw(st.booleans())
        return name, shape, (normalised, eps), options
    options = {"affine": draw(st.booleans()), "bias": draw(st.booleans())}
    if name == "GroupNorm":
        groups = draw(st.integers(1, 3))
        return name, (groups * channels, *pixels), (groups, groups * channels, eps), options
    momenta = st.sampled_from([0.1, 0.7, 1.0, 0.0, None])
    options |= {"momentum": draw(momenta), "track_running_stats": draw(st.booleans())}
    return name, (channels, *pixels), (channels, eps), options


def twins(name: str, arguments: Any, options: Any, dtype: Any, d: Draw) -> tuple[Any, Any]:
    """Both modules with the same values, off their start."""
    theirs = getattr(torch.nn, name)(*arguments, **options).to(TORCH[dtype])
    twin.move_off_start(theirs, d)
    ours = getattr(nn, name)(*arguments, **options).to(dtype)
    ours.load_state_dict(twin.arrays(theirs.state_dict()))
    return ours, theirs


@DTYPES
@examples(400)
@given(
    layer=layers(),
    modes=st.lists(st.booleans(), min_size=2, max_size=3),
    batches=st.lists(st.integers(2, 4), min_size=3, max_size=3),
    order=st.permutations([0, 1, 2]),
    shift=st.sampled_from([0.0, 1.0, 10.0]),
    seed=st.integers(0, 99),
)
def test_forwards_in_a_row_then_their_backwards(
    dtype: Any, layer: Any, modes: Any, batches: Any, order: Any, shift: float, seed: int
) -> None:
    """In any modes and any order; buffers are compared after each forward."""
    name, shape, arguments, options = layer
    d = Draw(f"{seed}", dtype)
    ours, theirs = twins(name, arguments, options, dtype, d)
    exact = copy.deepcopy(theirs).double()
    assert list(dict(ours.named_buffers())) == list(dict(theirs.named_buffers()))
    calls = []
    for training, batch in zip(modes, batches, strict=False):
        x = d.normal(batch, *shape) + d.array(shift)
        x.flags.writeable = False
        y, back = ours.train(training)(x)
        tensors = [torch.from_numpy(x.copy()).to(kind) for kind in (TORCH[dtype], torch.float64)]
        runs = [
            (on_own_buffers(module.train(training), tensor.requires_grad_()), tensor)
            for module, tensor in zip((theirs, exact), tensors, strict=True)
        ]
        compare("output", y, [run[0] for run in runs], dtype)
        buffers = dict(ours.named_buffers())
        for key, expected in theirs.named_buffers():
            compare(key, buffers[key], [expected, exact.get_buffer(key)], dtype)
        calls.append((back, d.normal(*y.shape), runs))
    for index in [i for i in order if i < len(calls)]:
        back, dy, runs = calls[index]
        dx = back(dy)
        for y, _ in runs:
            y.backward(torch.from_numpy(dy).to(y))
        compare("dx", dx, [tensor.grad for _, tensor in runs], dtype)
    for key, parameter in ours.named_parameters():
        found = [module.get_parameter(key).grad for module in (theirs, exact)]
        compare(f"d{key}", parameter.grad, found, dtype)


def on_own_buffers(module: Any, x: torch.Tensor) -> torch.Tensor:
    """The output, and new buffers; torch's backward would read those that a later call leaves."""
    own = {name: buffer.clone() for name, buffer in module.named_buffers()}
    y: torch.Tensor = torch.func.functional_call(module, own, (x,))
    with torch.no_grad():
        for name, buffer in module.named_buffers():
            buffer.copy_(own[name])
    return y


def compare(what: str, mine: Any, theirs: list[Any], dtype: Any) -> None:
    """With torch's in the dtype and in float64; what cancels is of size 10 (dy / sqrt(eps))."""
    expected, true = (twin.numpy(tensor) for tensor in theirs)
    truth = true if dtype == np.float32 and true.dtype.kind == "f" else None
    found = close(what, mine, expected, c=64, truth=truth, at_least=10.0)
    assert found.passed, str(found)


def test_backward_of_an_evaluation_is_that_of_its_forward() -> None:
    """torch reads running_var when the backward runs, so that a training step spoils it."""
    d = Draw("evaluation", np.float64)
    ours, theirs = twins("BatchNorm1d", (2,), {}, np.float64, d)
    x, dy = d.normal(4, 2), d.normal(4, 2)
    scale = ours.weight.data / np.sqrt(ours.running_var + 1e-5)
    _, back = ours.eval()(x)
    tensor = torch.from_numpy(x.copy()).requires_grad_()
    y = theirs.eval()(tensor)
    for module, value in ((ours, x), (theirs, tensor.detach())):
        module.train()(3 * value)
    assert close("dx", back(dy), scale * dy, c=8).passed
    y.backward(torch.from_numpy(dy))
    moved = ours.weight.data / np.sqrt(ours.running_var + 1e-5)
    assert tensor.grad is not None
    assert close("torch", moved * dy, tensor.grad.numpy(), c=8).passed
    assert not close("torch", scale * dy, tensor.grad.numpy(), c=1e6).passed


# What a call leaves behind


def test_a_refused_batch_leaves_the_statistics() -> None:
    layer = nn.BatchNorm1d(3)
    layer(np.ones((4, 3), np.float32))
    before = layer.state_dict()
    for bad in (np.ones((1, 3), np.float32), np.ones((4, 3)), np.ones((4, 2), np.float32)):
        with pytest.raises((ValueError, TypeError), match="expected"):
            layer(bad)
        for name, array in layer.state_dict().items():
            np.testing.assert_array_equal(array, before[name])


def test_statistics_are_updated_in_place() -> None:
    """Who holds the array, an average of models say, sees the new values, as in torch."""
    layer = nn.BatchNorm2d(2)
    held = [buffer for _, buffer in layer.named_buffers()]
    layer(np.arange(32, dtype=np.float32).reshape(2, 2, 2, 4))
    assert all(a is b for a, b in zip(held, layer.buffers(), strict=True))
    assert held[0].all() and held[2] == 1 and held[2].shape == ()


def test_reset() -> None:
    layer = nn.BatchNorm1d(2)
    start = layer.state_dict()
    for parameter in layer.parameters():
        parameter.data = parameter.data + 2
    layer(np.array([[1.0, 2.0], [3.0, 5.0]], np.float32))
    layer.reset_running_stats()
    assert layer.running_var is not None and layer.running_var.tolist() == [1, 1]
    assert layer.weight is not None and layer.weight.data.tolist() == [3, 3]
    layer.reset_parameters()
    for name, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, start[name])
    for other in (nn.LayerNorm(2), nn.GroupNorm(1, 2), nn.RMSNorm(2), nn.InstanceNorm1d(2)):
        for parameter in other.parameters():
            parameter.data = parameter.data + 2
        other.reset_parameters()
        expected = [key.endswith("weight") for key in other.state_dict()]
        assert [bool(v.all()) for v in other.state_dict().values()] == expected


def test_the_bias_may_change_before_the_backward() -> None:
    """It is in no derivative, so torch does not mind either; the weight is."""
    x, dy = np.arange(6.0, dtype=np.float32).reshape(3, 2), np.ones((3, 2), np.float32)
    layer = nn.BatchNorm1d(2)
    _, back = layer(x)
    assert layer.bias is not None and layer.weight is not None
    layer.bias.data = layer.bias.data + 1
    back(dy)
    layer.weight.data = layer.weight.data + 1
    with pytest.raises(RuntimeError, match="'weight'"):
        back(dy)


def test_instance_norm_warns_of_a_number_that_nobody_uses() -> None:
    with pytest.warns(UserWarning, match="num_features"):
        y, _ = nn.InstanceNorm1d(3)(np.arange(8.0, dtype=np.float32).reshape(1, 2, 4))
    assert y.shape == (1, 2, 4)


def test_a_constant_channel_is_zero_whatever_its_value() -> None:
    """x - mu must not leave the rounding of mu, which 1 / sqrt(eps) would blow up."""
    for number in (0.1, 1e3, 12345.678):
        x = np.full((7, 2, 5), number, np.float32)
        for y in (
            F.batch_norm(x, None, None, training=True)[0],
            F.instance_norm(x)[0],
            F.layer_norm(x, (5,))[0],
            F.group_norm(x, 1)[0],
        ):
            assert np.abs(y).max() < 1e-2 * number * np.finfo(np.float32).eps / 3e-3, describe(y)


def test_many_values_far_off_in_float32() -> None:
    """The error stays that of one rounding, where torch's grows with the number of values."""
    d = Draw("many", np.float32)
    for shape in ((100_000, 2), (30_000, 2, 8), (4, 3, 90, 80)):
        x = d.normal(*shape) + d.array(1e3)
        dy = d.normal(*shape)
        found = []
        for dtype in (np.float32, np.float64):
            stats = np.zeros(shape[1], dtype), np.ones(shape[1], dtype)
            y, back = F.batch_norm(x.astype(dtype), *stats, training=True, momentum=1.0)
            found.append([y, back(dy.astype(dtype)), *stats])
        for what, mine, exact in zip(("y", "dx", "mean", "var"), *found, strict=True):
            limit = 1 if what in ("mean", "var") else 8
            comparison = close(what, mine, exact.astype(np.float32), c=limit)
            assert comparison.passed, f"{shape}: {comparison}"


def test_many_features_far_off_in_float32() -> None:
    """The same of layer and group normalisation, whose mean torch rounds once more."""
    d = Draw("features", np.float32)
    x = d.normal(5, 20_000) + d.array(1e3)
    exact = x.astype(np.float64)
    for what, (y, _), (true, _) in (
        ("layer", F.layer_norm(x, (20_000,)), F.layer_norm(exact, (20_000,))),
        ("group", F.group_norm(x, 4), F.group_norm(exact, 4)),
    ):
        comparison = close(what, y, true.astype(np.float32), c=8)
        assert comparison.passed, str(comparison)


def test_running_statistics_as_keras_and_the_guide_keep_them() -> None:
    """r <- m r + (1 - m) s with m = 0.9 and the biased variance, over batches of three."""
    d = Draw("keras", np.float64)
    options: Any = {"momentum_keeps": True, "biased_running_var": True}
    layer = nn.BatchNorm1d(4, momentum=0.9, **options).to(np.float64)
    cumulative = nn.BatchNorm1d(4, momentum=None, **options).to(np.float64)
    batches: list[Array] = [d.normal(3, 4, scale=2.0) + d.array(1.0) for _ in range(5)]
    mean, var = np.zeros(4), np.ones(4)
    for x in batches:
        layer(x)
        cumulative(x)
        mean = 0.9 * mean + 0.1 * x.mean(0)
        var = 0.9 * var + 0.1 * x.var(0)
    y, _ = layer.eval()(batches[0])
    assert close("mean", layer.running_mean, mean, c=16).passed
    assert close("variance", layer.running_var, var, c=16).passed
    assert close("y", y, (batches[0] - mean) / np.sqrt(var + 1e-5), c=64).passed
    assert close(
        "mean", cumulative.running_mean, np.mean([x.mean(0) for x in batches], 0), c=16
    ).passed
    assert close(
        "variance", cumulative.running_var, np.mean([x.var(0) for x in batches], 0), c=16
    ).passed
    assert "momentum_keeps=True, biased_running_var=True" in repr(layer)
    assert "keeps" not in repr(nn.BatchNorm1d(4))


def test_without_a_gradient_training_is_training() -> None:
    """torch.no_grad moves running statistics as every forward in training does; so does a forward
    here whose backward nobody calls. Evaluation leaves them."""
    d = Draw("no gradient", np.float64)
    ours, theirs = twins("BatchNorm2d", (3,), {}, np.float64, d)
    x = d.normal(2, 3, 4, 5) + d.array(2.0)
    before = ours.state_dict()
    for training in (False, True):
        with torch.no_grad():
            expected = theirs.train(training)(torch.from_numpy(x.copy()))
        y, _ = ours.train(training)(x)
        assert close("y", y, expected.numpy(), c=64).passed
        moved = ours.state_dict()
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            assert np.array_equal(moved[name], before[name]) is not training, name
            assert close(name, moved[name], theirs.get_buffer(name).numpy(), c=64).passed


def test_an_interrupted_update_gives_momentum_and_mode_back() -> None:
    first, second = nn.BatchNorm1d(2, momentum=0.3), nn.BatchNorm1d(2)
    model = nn.Sequential(first, second).eval()

    def batches() -> Any:
        yield np.arange(4.0, dtype=np.float32).reshape(2, 2)
        raise OSError("the disk is gone")

    with pytest.raises(OSError):
        update_bn(batches(), model)
    assert (first.momentum, second.momentum) == (0.3, 0.1)
    assert not any(part.training for part in model.modules())


def test_a_model_without_batch_normalisation_is_left_alone() -> None:
    batches = iter([np.ones((2, 2), np.float32)])
    update_bn(batches, nn.LayerNorm(2).eval())
    assert len(list(batches)) == 1  # not even looked at


@DTYPES
def test_cumulative_mean_is_that_of_all_batches(dtype: Any) -> None:
    d = Draw("cumulative", dtype)
    layer = nn.BatchNorm1d(3, momentum=None).to(dtype)
    batches: list[Array] = [d.normal(4, 3) for _ in range(6)]
    for batch in batches:
        layer(batch)
    mean = np.mean([b.mean(axis=0) for b in batches], axis=0)
    var = np.mean([b.var(axis=0, ddof=1) for b in batches], axis=0)
    assert close("mean", layer.running_mean, np.asarray(mean, dtype), c=16).passed
    assert close("variance", layer.running_var, np.asarray(var, dtype), c=16).passed
    assert same("batches", int(layer.num_batches_tracked or 0), 6).passed
