"""Recurrent layers over drawn options and lengths, and what no single case shows."""

import inspect
import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.utils import rnn as torch_packing

import scratch
from parity_tests.catalog.recurrent import Packed, TorchPacked, states
from parity_tests.harness.check import check_layer, strict_warnings
from parity_tests.harness.draw import Array, Draw
from parity_tests.harness.entry import Call, Case, Layer
from parity_tests.test_generated import examples
from parity_tests.test_signatures import parameters
from scratch import nn
from scratch.nn.utils import rnn as packing
from torch_ref.nn.gru import GRU as PaperGRU

LAYERS = ("RNN", "LSTM", "GRU")
DTYPES = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])


@st.composite
def networks(draw: st.DrawFn) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """A layer's name, its options, and how it is called."""
    layer = draw(st.sampled_from(LAYERS))
    options: dict[str, Any] = {
        "input_size": draw(st.integers(1, 3)),
        "hidden_size": draw(st.integers(1, 4)),
        "num_layers": draw(st.integers(1, 3)),
        "bias": draw(st.booleans()),
        "batch_first": draw(st.booleans()),
        "bidirectional": draw(st.booleans()),
    }
    if layer == "LSTM" and options["hidden_size"] > 1:
        options["proj_size"] = draw(st.integers(0, options["hidden_size"] - 1))
    if layer == "GRU":
        options["reset_after"] = draw(st.booleans())
    if layer == "RNN":
        options["nonlinearity"] = draw(st.sampled_from(["tanh", "relu"]))
    lengths = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    enforce_sorted = draw(st.booleans())
    call = {
        "lengths": sorted(lengths, reverse=True) if enforce_sorted else lengths,
        "enforce_sorted": enforce_sorted,
        "padded": draw(st.booleans()),
        "given": draw(st.booleans()),
        "seed": draw(st.integers(0, 2**16)),
    }
    return layer, options, call


@DTYPES
@given(networks())
@examples(60)
@strict_warnings()
def test_drawn_networks(dtype: Any, network: tuple[str, dict[str, Any], dict[str, Any]]) -> None:
    """Padded and packed: outputs, last states and all gradients are torch's."""
    layer, options, how = network
    lengths, batch, steps = how["lengths"], len(how["lengths"]), max(how["lengths"])

    def make(d: Draw) -> Call:
        size = (batch, steps) if options["batch_first"] else (steps, batch)
        x = d.normal(*size, options["input_size"])
        hidden, count = options["hidden_size"], options["num_layers"]
        count *= 2 if options["bidirectional"] else 1
        out = options.get("proj_size") or hidden
        hx = states(d, count, out, hidden, batch, layer == "LSTM")
        return Call(x, hx) if how["given"] else Call(x)

    name = f"{layer} {how['seed']}"
    # relu: what is left of a gradient where most units are closed
    case = Case("drawn", make, cancels=1.0)
    if how["padded"]:
        own = options.get("reset_after", True)
        theirs = getattr(torch.nn, layer) if own else PaperGRU
        plain = {k: v for k, v in options.items() if k != "reset_after" or not own}
        entry = Layer(name, lambda: getattr(nn, layer)(**options), lambda: theirs(**plain), (), "")
    else:
        plain = {k: v for k, v in options.items() if k != "reset_after" or not v}
        sizes = lengths, how["enforce_sorted"]
        entry = Layer(
            name,
            lambda: Packed(layer, *sizes, **options),
            lambda: TorchPacked(layer, *sizes, **plain),
            (),
            "",
        )
    found = check_layer(entry, case, "train", np.dtype(dtype), "cpu", thorough=False)
    assert not [str(c) for c in found if not c.passed]


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=5),
    st.booleans(),
    st.booleans(),
)
@examples(40)
def test_drawn_packs(lengths: list[int], batch_first: bool, enforce_sorted: bool) -> None:
    """All four parts of a packed sequence are torch's, ties in its order; padding undoes it."""
    lengths = sorted(lengths, reverse=True) if enforce_sorted else lengths
    x = Draw(str(lengths), np.float64).normal(max(lengths), len(lengths), 2)
    x = x.swapaxes(0, 1) if batch_first else x
    ours, _ = packing.pack_padded_sequence(x, lengths, batch_first, enforce_sorted)
    theirs = torch_packing.pack_padded_sequence(
        torch.from_numpy(x), torch.tensor(lengths), batch_first, enforce_sorted
    )
    for name in ("data", "batch_sizes", "sorted_indices", "unsorted_indices"):
        mine, other = getattr(ours, name), getattr(theirs, name)
        assert (mine is None) == (other is None)
        if mine is not None:
            np.testing.assert_array_equal(mine, other.numpy())
            assert mine.dtype == other.numpy().dtype
    (padded, sizes), _ = packing.pad_packed_sequence(ours, batch_first)
    expected, expected_sizes = torch_packing.pad_packed_sequence(theirs, batch_first)
    np.testing.assert_array_equal(padded, expected.numpy())
    np.testing.assert_array_equal(sizes, expected_sizes.numpy())
    assert sizes.tolist() == lengths


def test_integers_pack_too() -> None:
    """Labels are packed as the inputs are."""
    labels = np.array([[4, 5], [6, 0], [7, 0]])
    packed, _ = packing.pack_padded_sequence(labels, [3, 1])
    assert packed.data.tolist() == [4, 5, 6, 7]


@pytest.mark.parametrize(
    "name",
    [
        "pack_padded_sequence",
        "pad_packed_sequence",
        "pad_sequence",
        "unpad_sequence",
        "pack_sequence",
        "unpack_sequence",
        "invert_permutation",
    ],
)
def test_signatures_are_torchs(name: str) -> None:
    assert parameters(getattr(packing, name)) == parameters(getattr(torch_packing, name))


@pytest.mark.parametrize("layer", LAYERS)
def test_constructors_take_torchs_arguments(layer: str) -> None:
    """torch's own take *args; these are the documented ones, in their order."""
    found = list(inspect.signature(getattr(nn, layer)).parameters.values())
    positional = [p.name for p in found if p.kind is p.POSITIONAL_OR_KEYWORD]
    expected = ["input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout"]
    expected += ["bidirectional"] + (["proj_size"] if layer == "LSTM" else [])
    if layer == "RNN":
        expected.insert(3, "nonlinearity")
    assert positional == expected


@pytest.mark.parametrize("layer", LAYERS)
def test_states_are_where_torch_has_them(layer: str) -> None:
    """The output at the last step is the first direction's last state; at t = 0 the second's."""
    module = getattr(nn, layer)(3, 4, 2, bidirectional=True)
    x = np.random.default_rng(0).standard_normal((5, 2, 3), np.float32)
    (output, last), _ = module(x)
    h_n = last[0] if layer == "LSTM" else last
    np.testing.assert_array_equal(output[-1, :, :4], h_n[2])
    np.testing.assert_array_equal(output[0, :, 4:], h_n[3])


@pytest.mark.parametrize("layer", LAYERS)
def test_chunks_make_the_whole(layer: str) -> None:
    """With the state carried forward and its gradient carried back, chunks are the sequence."""
    module = getattr(nn, layer)(3, 4, dtype=np.float64)
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((7, 2, 3)), rng.standard_normal((7, 2, 4))
    none = (None, None) if layer == "LSTM" else None
    (y, last), back = module(x)
    dx = back(dy, none)
    whole = [p.grad for p in module.parameters()]
    module.zero_grad()

    start = np.zeros((1, 2, 4))
    hx = (start, start) if layer == "LSTM" else start
    (y1, carried), back1 = module(x[:3], hx)
    (y2, end), back2 = module(x[3:], carried)
    dx2, *dcarried = back2(dy[3:], none)
    dx1, *_ = back1(dy[:3], tuple(dcarried) if layer == "LSTM" else dcarried[0])
    np.testing.assert_allclose(np.concatenate([y1, y2]), y, rtol=1e-13)
    np.testing.assert_allclose(end, last, rtol=1e-13)
    np.testing.assert_allclose(np.concatenate([dx1, dx2]), dx, rtol=1e-11, atol=1e-14)
    for parameter, gradient in zip(module.parameters(), whole, strict=True):
        np.testing.assert_allclose(parameter.grad, gradient, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("layer", ["RNN", "LSTM"])
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_two_biases_move_twice_as_far(layer: str, optimizer: str) -> None:
    """A layer of one bias is the same function with the same gradients, but not after a step."""
    x = np.random.default_rng(0).standard_normal((5, 2, 3))
    two = getattr(nn, layer)(3, 4, dtype=np.float64)
    one = getattr(nn, layer)(3, 4, dtype=np.float64)
    one.load_state_dict(two.state_dict())
    one.bias_ih_l0.data = two.bias_ih_l0.data + two.bias_hh_l0.data
    one.bias_hh_l0.data = np.zeros_like(two.bias_hh_l0.data)

    def step(module: Any, parameters: list[Any]) -> tuple[Array, Array]:
        (y, _), back = module(x)
        back(np.cos(np.arange(y.size)).reshape(y.shape), (None, None) if layer == "LSTM" else None)
        before = module.bias_ih_l0.data + module.bias_hh_l0.data
        getattr(scratch.optim, optimizer)(parameters, lr=0.01).step()
        return y, module.bias_ih_l0.data + module.bias_hh_l0.data - before

    y_two, moved_two = step(two, list(two.parameters()))
    y_one, moved_one = step(one, [p for n, p in one.named_parameters() if "bias_hh" not in n])
    np.testing.assert_allclose(y_one, y_two, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(one.bias_ih_l0.grad, two.bias_ih_l0.grad, rtol=1e-12)
    np.testing.assert_allclose(two.bias_hh_l0.grad, two.bias_ih_l0.grad, rtol=0)
    np.testing.assert_allclose(moved_two, 2 * moved_one, rtol=1e-7)


def test_gradients_of_the_biases_share_no_memory() -> None:
    """Whoever scales gradients in place scales each once."""
    module = nn.LSTM(3, 4)
    (y, _), back = module(np.ones((2, 2, 3), np.float32))
    back(np.ones_like(y), None)
    grads = [p.grad for p in module.parameters()]
    assert not any(np.shares_memory(a, b) for i, a in enumerate(grads) for b in grads[:i])


@pytest.mark.parametrize("layer", LAYERS)
def test_first_layer_skips_the_input(layer: str) -> None:
    module = getattr(nn, layer)(3, 4, 2, bidirectional=True)
    x = np.random.default_rng(0).standard_normal((5, 2, 3), np.float32)
    (y, _), back = module(x)
    none = (None, None) if layer == "LSTM" else None
    assert back(np.ones_like(y), none).shape == x.shape
    full = [p.grad for p in module.parameters()]
    module.zero_grad()
    assert back(np.ones_like(y), none, needs_input_grad=False) is None
    for parameter, gradient in zip(module.parameters(), full, strict=True):
        np.testing.assert_array_equal(parameter.grad, gradient)


def test_dropout_of_one_layer_warns() -> None:
    with pytest.warns(UserWarning, match="between layers"):
        nn.GRU(3, 4, dropout=0.5)


@pytest.mark.parametrize("layer", LAYERS)
def test_memory_grows_with_the_length(layer: str) -> None:
    """Twice the steps take twice the memory, and not more."""
    module = getattr(nn, layer)(16, 32)
    none = (None, None) if layer == "LSTM" else None

    def peak(steps: int) -> int:
        x = np.ones((steps, 8, 16), np.float32)
        dy = np.ones((steps, 8, 32), np.float32)
        tracemalloc.start()
        try:
            (_, _), back = module(x)
            back(dy, none)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            module.zero_grad()

    peak(10)
    assert peak(800) / peak(400) < 2.1


@pytest.mark.parametrize("layer", LAYERS)
def test_no_sequence_at_all(layer: str) -> None:
    """An empty batch has an empty output and gradients of zero."""
    module = getattr(nn, layer)(3, 4, 2, bidirectional=True)
    (y, _), back = module(np.zeros((5, 0, 3), np.float32))
    assert y.shape == (5, 0, 8)
    dx = back(y, (None, None) if layer == "LSTM" else None)
    assert dx.shape == (5, 0, 3)
    assert all(not p.grad.any() for p in module.parameters())


@pytest.mark.parametrize("name", [*LAYERS, *(f"{layer}Cell" for layer in LAYERS)])
def test_only_weights_must_stay(name: str) -> None:
    """Between forward and backward a bias may change; a weight may not."""
    module = getattr(nn, name)(3, 4)
    x = np.ones((2, 3), np.float32)
    dy = np.ones((2, 4), np.float32)
    states = (None, None) if "LSTM" in name else (None,)
    gradients = (dy, *states[1:]) if "Cell" in name else (dy, states if "LSTM" in name else None)
    _, back = module(x)
    for key, parameter in module.named_parameters():
        if key.startswith("bias"):
            parameter.data = parameter.data + 1
    back(*gradients)
    weight = next(module.parameters())
    weight.data = weight.data + 1
    with pytest.raises(RuntimeError, match="weight_ih"):
        back(*gradients)


@pytest.mark.parametrize(("name", "weight"), [("LSTM", "weight_hh_l0"), ("GRUCell", "weight_hh")])
def test_weights_may_be_computed(name: str, weight: str) -> None:
    """Weight normalisation of a recurrent weight, as in torch."""
    ours, theirs = getattr(nn, name)(3, 4).to(np.float64), getattr(torch.nn, name)(3, 4).double()
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    scratch.nn.utils.parametrizations.weight_norm(ours, weight)
    torch.nn.utils.parametrizations.weight_norm(theirs, weight)
    x = np.random.default_rng(0).standard_normal((5, 3))
    output, back = ours(x)
    expected = theirs(torch.from_numpy(x))
    if name == "LSTM":
        output, expected = output[0], expected[0]
    expected.sum().backward()
    back(np.ones_like(output), *([(None, None)] if name == "LSTM" else []))
    np.testing.assert_allclose(output, expected.detach().numpy(), rtol=1e-12)
    for key, parameter in theirs.named_parameters():
        mine = dict(ours.named_parameters())[key].grad
        np.testing.assert_allclose(mine, parameter.grad.numpy(), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("layer", ["LSTM", "GRU"])
def test_five_hundred_steps(layer: str) -> None:
    """A character model trained by Adam in float64: both losses stay equal up to rounding."""
    torch.manual_seed(0)
    theirs, their_head = getattr(torch.nn, layer)(8, 16).double(), torch.nn.Linear(16, 8).double()
    ours, head = getattr(nn, layer)(8, 16, dtype=np.float64), nn.Linear(16, 8, dtype=np.float64)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    head.load_state_dict({k: v.numpy() for k, v in their_head.state_dict().items()})
    adam = scratch.optim.Adam([*ours.parameters(), *head.parameters()], lr=0.01)
    reference = torch.optim.Adam([*theirs.parameters(), *their_head.parameters()], lr=0.01)
    text = np.frombuffer(b"the quick brown fox jumps over the lazy dog " * 9, np.uint8) % 8
    rng = np.random.default_rng(0)
    for _ in range(500):
        start = rng.integers(0, len(text) - 12, 4)
        ids = text[np.arange(12)[:, None] + start].astype(np.int64)
        x, target = np.eye(8)[ids[:-1]], ids[1:].ravel()
        (h, _), layer_back = ours(x)
        logits, head_back = head(h)
        loss, loss_back = nn.functional.cross_entropy(logits.reshape(-1, 8), target)
        adam.zero_grad()
        dh = head_back(loss_back().reshape(logits.shape))
        layer_back(dh, (None, None) if layer == "LSTM" else None)
        adam.step()
        y = their_head(theirs(torch.from_numpy(x))[0])
        expected = torch.nn.functional.cross_entropy(y.reshape(-1, 8), torch.from_numpy(target))
        reference.zero_grad()
        torch.autograd.backward(expected)
        reference.step()
        np.testing.assert_allclose(loss, expected.item(), rtol=1e-13)
    assert loss < 0.5
