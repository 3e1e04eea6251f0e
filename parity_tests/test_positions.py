"""Positions beside Hugging Face's: sinusoids, rotary pairs, Bloom's slopes, T5's buckets."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, T5Config
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.gptj import modeling_gptj as gptj
from transformers.models.llama import modeling_llama as llama
from transformers.models.t5 import modeling_t5

from scratch import nn, optim
from scratch.nn import functional as F
from scratch.nn.alibi import alibi_bias, alibi_slopes
from scratch.nn.positional_encoding import sinusoidal_table
from scratch.nn.relative_position import relative_position_bucket
from scratch.optim.lr_scheduler import LambdaLR, noam
from scratch.random import Generator

# Parts of transformers have no annotations.
t5: Any = modeling_t5
llama_mlp: Any = llama.LlamaMLP

EPS32 = float(np.finfo(np.float32).eps)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# Sinusoidal


@pytest.mark.parametrize("dim", [1, 2, 7, 64])
def test_the_formula_number_by_number(dim: int) -> None:
    """With math.sin and math.cos, a number at a time, at any offset."""
    table = sinusoidal_table(5, dim, offset=37, dtype=np.float64)
    for t in range(5):
        for j in range(dim):
            turn = (37 + t) / 10000 ** ((j - j % 2) / dim)
            expected = math.cos(turn) if j % 2 else math.sin(turn)
            assert abs(table[t, j] - expected) < 1e-14


def test_float32_is_the_truth_rounded_once() -> None:
    """Far out too, where an angle in float32 would be off by thousands of times that."""
    exact = sinusoidal_table(3, 64, offset=10**5, dtype=np.float64)
    table = sinusoidal_table(3, 64, offset=10**5)
    assert table.dtype == np.float32
    np.testing.assert_array_equal(table, exact.astype(np.float32))
    with pytest.raises(ValueError, match="read-only"):
        table[0, 0] = 1


def test_sinusoids_are_gptjs_in_another_order() -> None:
    """Its table has sines, then cosines, in float32 angles."""
    theirs = gptj.create_sinusoidal_positions(50, 12).numpy()
    ours = sinusoidal_table(50, 12, dtype=np.float64)
    np.testing.assert_allclose(theirs[:, :6], ours[:, 0::2], atol=50 * EPS32)
    np.testing.assert_allclose(theirs[:, 6:], ours[:, 1::2], atol=50 * EPS32)


def test_the_next_position_is_a_rotation_of_this_one() -> None:
    """Section 3.5: P[t + k] is a linear function of P[t], the same for all t."""
    table = sinusoidal_table(30, 8, dtype=np.float64)
    k = 5
    turn = k * 10000.0 ** (-np.arange(0, 8, 2) / 8)
    sin, cos = table[:-k, 0::2], table[:-k, 1::2]
    np.testing.assert_allclose(table[k:, 0::2], sin * np.cos(turn) + cos * np.sin(turn), atol=1e-14)
    np.testing.assert_allclose(table[k:, 1::2], cos * np.cos(turn) - sin * np.sin(turn), atol=1e-14)


@pytest.mark.parametrize("name", ["sinusoidal", "learned"])
def test_one_step_with_a_cache_is_a_row_of_the_whole(name: str) -> None:
    encoding: Any = nn.SinusoidalPositionalEncoding(6)
    if name == "learned":
        encoding = nn.LearnedPositionalEncoding(9, 6, generator=Generator(0))
    x = rng().normal(size=(2, 9, 6)).astype(np.float32)
    whole, _ = encoding(x)
    for t in range(9):
        np.testing.assert_array_equal(encoding(x[:, t : t + 1], offset=t)[0], whole[:, t : t + 1])


# Rotary


def llama_rotary(dim: int, base: float, factor: float) -> Any:
    """Llama's module with heads of this size."""
    parameters = {"rope_type": "default", "rope_theta": base}
    if factor != 1:
        parameters |= {"rope_type": "linear", "factor": factor}
    config = LlamaConfig(
        hidden_size=2 * dim, num_attention_heads=2, head_dim=dim, rope_parameters=parameters
    )
    return llama.LlamaRotaryEmbedding(config)


@pytest.mark.parametrize("base", [10000.0, 500000.0])
@pytest.mark.parametrize("factor", [1.0, 4.0])
def test_halves_are_llamas(base: float, factor: float) -> None:
    """Queries, keys and both gradients; its angles are float32."""
    x, dy = rng().normal(size=(2, 2, 3, 40, 16))
    tensor = torch.from_numpy(x.copy()).requires_grad_()
    positions = np.stack([np.arange(40), np.maximum(np.arange(40) - 7, 0)])  # padded on the left
    cos, sin = llama_rotary(16, base, factor)(tensor, torch.from_numpy(positions))
    theirs, _ = llama.apply_rotary_pos_emb(tensor, tensor, cos, sin)
    y, backward = F.rotary_embedding(
        x, base, interleaved=False, scaling_factor=factor, positions=positions[:, None]
    )
    (gradient,) = torch.autograd.grad(theirs, tensor, torch.from_numpy(dy))
    limit = 40 * EPS32 * np.abs(x).max()
    np.testing.assert_allclose(y, theirs.detach().numpy(), atol=limit)
    np.testing.assert_allclose(backward(dy), gradient.numpy(), atol=40 * EPS32 * np.abs(dy).max())


def test_interleaved_is_gptjs() -> None:
    """The first 8 of 12 features, from position 9 on; its angles are float32, its layout BTHD."""
    x, dy = rng().normal(size=(2, 2, 3, 20, 12))
    tensor = torch.from_numpy(x.copy()).requires_grad_()
    sin, cos = gptj.create_sinusoidal_positions(29, 8)[9:].double().chunk(2, 1)
    head_last = tensor.transpose(1, 2)
    turned = gptj.apply_rotary_pos_emb(head_last[..., :8], sin[None], cos[None])
    theirs = torch.cat([turned, head_last[..., 8:]], -1).transpose(1, 2)
    y, backward = F.rotary_embedding(x, dim=8, offset=9)
    (gradient,) = torch.autograd.grad(theirs, tensor, torch.from_numpy(dy))
    limit = 30 * EPS32
    np.testing.assert_allclose(y, theirs.detach().numpy(), atol=limit * np.abs(x).max())
    np.testing.assert_allclose(backward(dy), gradient.numpy(), atol=limit * np.abs(dy).max())


def test_their_application_to_our_angles_is_ours_to_the_last_bit_but_one() -> None:
    """Both pairings with the same sines and cosines leave rounding alone."""
    x = rng().normal(size=(2, 3, 20, 8))
    turns = np.arange(20)[:, None] * 10000.0 ** (-np.arange(0, 8, 2) / 8)
    cos, sin = torch.from_numpy(np.cos(turns)), torch.from_numpy(np.sin(turns))
    tensor = torch.from_numpy(x)
    twice = [torch.cat([c, c], -1)[None] for c in (cos, sin)]
    halves, _ = llama.apply_rotary_pos_emb(tensor, tensor, *twice)
    pairs = gptj.apply_rotary_pos_emb(tensor.transpose(1, 2), sin[None], cos[None]).transpose(1, 2)
    for theirs, interleaved in ((halves, False), (pairs, True)):
        y, _ = F.rotary_embedding(x, interleaved=interleaved)
        np.testing.assert_allclose(y, theirs.numpy(), rtol=0, atol=1e-15 * np.abs(x).max())


@settings(max_examples=60, deadline=None)
@given(
    t=st.integers(0, 500),
    s=st.integers(0, 500),
    shift=st.integers(0, 1000),
    interleaved=st.booleans(),
    dim=st.sampled_from([2, 8, 16]),
)
def test_inner_products_know_the_difference_alone(
    t: int, s: int, shift: int, interleaved: bool, dim: int
) -> None:
    q, k = rng(dim).normal(size=(2, 1, 16))

    def product(t: int, s: int) -> float:
        options: dict[str, Any] = {"dim": dim, "interleaved": interleaved}
        a, _ = F.rotary_embedding(q, offset=t, **options)
        b, _ = F.rotary_embedding(k, offset=s, **options)
        return float((a * b).sum())

    eps = float(np.finfo(np.float64).eps)  # angles are rounded to eps of them
    limit = 4 * (t + s + shift + 4) * eps * float(np.linalg.norm(q) * np.linalg.norm(k))
    assert abs(product(t, s) - product(t + shift, s + shift)) < limit


def test_pairings_are_each_other_with_features_in_another_order() -> None:
    x = rng().normal(size=(3, 7, 10))
    order = np.arange(10).reshape(5, 2).T.ravel()  # even features first
    halves, _ = F.rotary_embedding(x[..., order], interleaved=False)
    pairs, _ = F.rotary_embedding(x)
    np.testing.assert_array_equal(halves, pairs[..., order])
    assert np.abs(F.rotary_embedding(x, interleaved=False)[0] - pairs).max() > 0.1


def test_it_turns_back_and_keeps_lengths() -> None:
    """The backward is the inverse."""
    x = rng().normal(size=(2, 50, 12))
    y, backward = F.rotary_embedding(x, dim=8, interleaved=False)
    np.testing.assert_allclose(backward(y), x, atol=1e-14)
    np.testing.assert_allclose(np.square(y).sum(-1), np.square(x).sum(-1), rtol=1e-14)
    np.testing.assert_array_equal(y[..., 8:], x[..., 8:])


# ALiBi


@pytest.mark.parametrize("heads", [*range(1, 18), 24, 32, 33, 112])
def test_slopes_are_blooms(heads: int) -> None:
    """A row of its tensor is m_h j; softmax cannot tell that from ours below the diagonal."""
    theirs = build_alibi_tensor(torch.ones(1, 6, dtype=torch.int64), heads, torch.float32)
    expected = theirs.numpy().reshape(heads, 6)
    # Powers of a float32 number, the last of them the heads-th.
    np.testing.assert_allclose(alibi_slopes(heads), expected[:, 1], rtol=heads * EPS32)
    bias = alibi_bias(heads, 6, 6)
    lowest = bias[:, :, :1]
    for i in range(6):
        shifted = (bias - lowest)[:, i, : i + 1]
        np.testing.assert_allclose(shifted, expected[:, : i + 1], rtol=2 * heads * EPS32)


def test_slopes_of_the_paper() -> None:
    """8 heads: 1/2, 1/4 ... 1/256; 16: from 2^-0.5; 12 as the authors' code has them."""
    np.testing.assert_array_equal(alibi_slopes(8), 0.5 ** np.arange(1, 9))
    np.testing.assert_allclose(
        alibi_slopes(16, np.float64), 2 ** (-np.arange(1, 17) / 2), rtol=1e-15
    )
    twelve = [*(0.5 ** np.arange(1, 9)), *(2 ** -np.array([0.5, 1.5, 2.5, 3.5]))]
    np.testing.assert_allclose(alibi_slopes(12, np.float64), twelve, rtol=1e-15)
    assert np.any(np.diff(alibi_slopes(6)) > 0)  # they do not fall all the way


def test_a_step_with_a_cache_is_a_row_of_the_whole_bias() -> None:
    whole = alibi_bias(6, 9, 9)
    relative = nn.RelativePositionBias(3, 8, 6, False, generator=Generator(0))
    learned, _ = relative(9, 9)
    for t in range(9):
        np.testing.assert_array_equal(alibi_bias(6, 1, 9, t), whole[:, t : t + 1])
        np.testing.assert_array_equal(relative(1, 9, offset=t)[0], learned[:, t : t + 1])


# T5

CONFIGS = [
    (buckets, distance)
    for buckets in (4, 8, 12, 16, 20, 24, 32, 40, 48, 64)
    for distance in (13, 16, 20, 32, 50, 64, 81, 100, 128, 200, 243, 256, 512)
    if distance > buckets // 2
]


def in_integers(n: int, buckets: int, distance: int) -> int:
    """The bucket of a distance before the query, by comparing whole numbers."""
    exact = buckets // 2
    rest = buckets - exact
    if n < exact:
        return n
    k = 0  # the largest with n / exact >= (distance / exact)^(k / rest)
    while k < rest - 1 and n**rest * exact ** (k + 1) >= distance ** (k + 1) * exact**rest:
        k += 1
    return exact + k


def test_buckets_are_exact() -> None:
    """For each configuration and every distance up to 600; float64 never rounds a power down."""
    n = np.arange(600)
    for buckets, distance in CONFIGS:
        found = relative_position_bucket(-n, False, buckets, distance)
        edges = np.flatnonzero(np.diff(found))
        near = sorted({*range(0, 600, 37), *edges.tolist(), *(edges + 1).tolist()})
        expected = [in_integers(i, buckets, distance) for i in near]
        assert found[near].tolist() == expected, (buckets, distance)
        assert np.all(np.diff(found) >= 0)


def test_buckets_are_t5s() -> None:
    """In both directions; but where its float32 logarithm falls below a whole number."""
    relative = np.arange(-600, 601)
    different = []
    for buckets, distance in CONFIGS:
        for bidirectional in (True, False):
            total = 2 * buckets if bidirectional else buckets
            theirs = t5.T5Attention._relative_position_bucket(
                torch.from_numpy(relative), bidirectional, total, distance
            ).numpy()
            ours = relative_position_bucket(relative, bidirectional, total, distance)
            assert ours.max() < total
            if np.any(ours != theirs):
                places = np.abs(relative[ours != theirs])
                different += [(buckets, distance, int(n)) for n in places]
    # 36 / 24 = (81 / 24)^(8 / 24), 54 / 24 = (81 / 24)^(16 / 24): whole numbers, of which the
    # logarithm misses one or the other, as the processor has it
    assert set(different) <= {(48, 81, 36), (48, 81, 54)}


@pytest.mark.parametrize("decoder", [False, True])
@pytest.mark.parametrize(("queries", "keys", "past"), [(40, 40, 0), (1, 33, 32), (5, 30, 25)])
def test_the_bias_is_t5s(decoder: bool, queries: int, keys: int, past: int) -> None:
    """With its weights under its name, values and the gradient."""
    config = T5Config(d_model=8, num_heads=3, d_kv=4, is_decoder=decoder)
    theirs = t5.T5Attention(config, has_relative_attention_bias=True, layer_idx=0)
    ours = nn.RelativePositionBias(3, bidirectional=not decoder)
    weight = theirs.relative_attention_bias.weight
    ours.load_state_dict({"weight": weight.detach().numpy()})
    bias = theirs.compute_bias(queries, keys, past_seen_tokens=past)
    y, backward = ours(queries, keys, past)
    np.testing.assert_array_equal(y, bias[0].detach().numpy())
    dy = rng().normal(size=y.shape).astype(np.float32)
    bias[0].backward(torch.from_numpy(dy))
    backward(dy)
    assert ours.weight.grad is not None
    assert weight.grad is not None
    np.testing.assert_allclose(ours.weight.grad, weight.grad.numpy(), atol=64 * EPS32 * 20)


# Feed-forward


def test_gated_feed_forward_is_llamas() -> None:
    """LlamaMLP's state loads by name."""
    config = LlamaConfig(hidden_size=6, num_attention_heads=1, intermediate_size=10, mlp_bias=True)
    theirs = llama_mlp(config).double()
    ours = nn.GatedFeedForward(6, 10, bias=True, dtype=np.float64)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    x, dy = rng().normal(size=(2, 3, 6))
    tensor = torch.from_numpy(x.copy()).requires_grad_()
    y, backward = ours(x)
    output = theirs(tensor)
    output.backward(torch.from_numpy(dy))
    assert tensor.grad is not None
    np.testing.assert_allclose(y, output.detach().numpy(), atol=1e-15)
    np.testing.assert_allclose(backward(dy), tensor.grad.numpy(), atol=1e-15)


def test_gated_feed_forward_is_t5s() -> None:
    """wi_0 is the gate, of the tanh GELU."""
    config = T5Config(d_model=6, d_ff=10, feed_forward_proj="gated-gelu", dropout_rate=0.0)
    theirs = t5.T5DenseGatedActDense(config).double()
    ours = nn.GatedFeedForward(6, 10, "gelu_tanh", dtype=np.float64)
    names = {"wi_0": "gate_proj", "wi_1": "up_proj", "wo": "down_proj"}
    state = {k.split(".")[0]: v.numpy() for k, v in theirs.state_dict().items()}
    ours.load_state_dict({f"{names[k]}.weight": v for k, v in state.items()})
    x = rng().normal(size=(3, 6))
    expected = theirs(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(ours(x)[0], expected, atol=1e-15)


# Schedule


def test_the_rates_of_a_run_are_the_papers() -> None:
    """The first step is taken at n = 1, the top is reached at the warm-up's last step."""
    parameter = nn.Parameter(np.ones(1))
    optimizer = optim.SGD([parameter], lr=1.0)
    schedule = LambdaLR(optimizer, noam(512, 40))
    rates = []
    for _ in range(200):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    n = np.arange(1, 201)
    expected = 512**-0.5 * np.minimum(n**-0.5, n * 40**-1.5)
    np.testing.assert_allclose(rates, expected, rtol=1e-14)
    assert int(np.argmax(rates)) == 39


def test_what_an_encoding_returns_is_its_own() -> None:
    """Writing into a result or a gradient changes nothing that is kept for the next call."""
    x = np.zeros((2, 3, 4))
    for function in (F.sinusoidal_encoding, F.rotary_embedding):
        y, backward = function(x)
        before = y.copy()
        dy = np.ones_like(y)
        dx = backward(dy)
        y += 1
        dx += 1
        np.testing.assert_array_equal(dy, 1)
        np.testing.assert_array_equal(function(x)[0], before)
