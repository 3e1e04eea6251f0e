"""The Transformer: a batch is its rows, a cache changes nothing, and the paper's training."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch

import scratch.generation
import torch_ref.generation
import torch_ref.models
from parity_tests.harness import twin
from scratch import nn
from scratch.check import Array
from scratch.models import Transformer
from scratch.nn import functional as F
from scratch.optim import Adam
from scratch.optim.lr_scheduler import LambdaLR, noam
from scratch.random import Generator

BOS, EOS, MOST = 1, 2, 7
LENGTHS = np.array([4, 1, 6, 3])
KINDS: list[dict[str, Any]] = [{}, {"shared": True}, {"nhead": 4, "num_encoder_layers": 1}]


def built(seed: int = 2, **kind: Any) -> Transformer:
    """A model in evaluation mode, whose last token matters as much as the source does."""
    sizes = {"d_model": 8, "nhead": 2, "num_encoder_layers": 2, "num_decoder_layers": 2, **kind}
    model = Transformer(9, 9, **sizes, dim_feedforward=11, dtype=np.float64)
    rng = np.random.default_rng(seed)
    for name, parameter in model.named_parameters():
        scale = 1.0 if "embedding" in name or name == "output.weight" else 0.3
        start = parameter.data if "norm" in name else 0.0
        parameter.data = start + scale * rng.normal(size=parameter.shape)
    return model.eval()


def twins(**kind: Any) -> tuple[Transformer, Any]:
    """The same weights in both packages."""
    ours = built(**kind)
    sizes = {"d_model": 8, "nhead": 2, "num_encoder_layers": 2, "num_decoder_layers": 2, **kind}
    theirs = torch_ref.models.Transformer(9, 9, **sizes, dim_feedforward=11, dtype=torch.float64)
    theirs.load_state_dict({n: torch.from_numpy(a) for n, a in ours.state_dict().items()})
    return ours, theirs.eval()


def sources(seed: int = 0) -> Array:
    """Four of them, with tokens that are none of theirs behind their ends."""
    return np.random.default_rng(seed).integers(3, 9, (4, 6))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_batch_is_its_rows_one_by_one(kind: dict[str, Any]) -> None:
    """Logits, maps, texts, and the sum of the gradients."""
    model, x = built(**kind), sources()
    y = np.random.default_rng(1).integers(0, 9, (4, 5))
    logits, back = model(x, LENGTHS, y)
    dlogits = np.random.default_rng(2).normal(size=logits.shape)
    back(dlogits)
    whole = [p.grad for p in model.parameters()]
    maps = model.attention_maps(x, LENGTHS, y)
    texts = model.greedy(x, LENGTHS, BOS, EOS, MOST)
    beams, scores = model.beam_search(x, LENGTHS, BOS, EOS, MOST)
    model.zero_grad()
    for i, n in enumerate(LENGTHS):
        row = x[i : i + 1, :n], LENGTHS[i : i + 1]
        alone, alone_back = model(*row, y[i : i + 1])
        np.testing.assert_allclose(alone[0], logits[i], rtol=1e-11, atol=1e-12)
        alone_back(dlogits[i : i + 1])
        p = model.attention_maps(*row, y[i : i + 1])
        np.testing.assert_allclose(p[:, 0], maps[:, i, :, :, :n], rtol=1e-10, atol=1e-13)
        assert not maps[:, i, :, :, n:].any()
        assert model.greedy(*row, BOS, EOS, MOST) == [texts[i]]
        beam, score = model.beam_search(*row, BOS, EOS, MOST)
        assert beam == [beams[i]]
        np.testing.assert_allclose(score, scores[i], rtol=1e-11)
    for parameter, expected in zip(model.parameters(), whole, strict=True):
        assert isinstance(parameter.grad, np.ndarray)
        assert isinstance(expected, np.ndarray)
        np.testing.assert_allclose(parameter.grad, expected, rtol=1e-9, atol=1e-10)


def test_lengths_and_padding_say_the_same() -> None:
    model = built()
    padded = np.where(np.arange(6) < LENGTHS[:, None], sources(), 0)
    y = np.ones((4, 3), int)
    np.testing.assert_array_equal(model(padded, None, y)[0], model(sources(), LENGTHS, y)[0])


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_cache_changes_nothing(kind: dict[str, Any]) -> None:
    """Greedy and by beam search, in both packages: what the forward itself would say."""
    ours, theirs = twins(**kind)
    found_tokens: set[int] = set()
    for seed in range(3):
        x = sources(seed)
        tensors = torch.from_numpy(x), torch.from_numpy(LENGTHS)

        def anew(ids: Array, x: Array = x) -> Array:
            rows = np.repeat(np.arange(4), len(ids) // 4)
            found: Array = ours(x[rows], LENGTHS[rows], ids)[0]
            return found

        def anew_too(ids: torch.Tensor, given: Any = tensors) -> torch.Tensor:
            times = len(ids) // 4
            found: torch.Tensor = theirs(*(t.repeat_interleave(times, 0) for t in given), ids)
            return found

        first = np.full((4, 1), BOS)
        without = scratch.generation.without_cache(anew)
        end = int(scratch.generation.generate(without, first, 3)[0, 3])
        ids = scratch.generation.generate(without, first, MOST, eos=end)
        cache = ours.start(x, LENGTHS)
        found = scratch.generation.generate(ours.step, first, MOST, eos=end, cache=cache)
        assert np.array_equal(found, ids)
        texts = ours.greedy(x, LENGTHS, BOS, end, MOST)
        assert texts == [
            row[: row.index(end)] if end in row else row for row in ids[:, 1:].tolist()
        ]

        penalty = scratch.generation.wu_penalty(0.6)
        search = scratch.generation.beam_search
        expected = search(without, first, 4, MOST, end, length_penalty=penalty)
        beams = search(ours.step, first, 4, MOST, end, length_penalty=penalty, cache=cache)
        assert np.array_equal(beams.sequences, expected.sequences)
        np.testing.assert_allclose(beams.scores, expected.scores, rtol=1e-12)
        best, scores = ours.beam_search(x, LENGTHS, BOS, end, MOST)
        np.testing.assert_array_equal(scores, beams.scores[:, 0])

        with torch.no_grad():
            also = torch_ref.generation.generate(
                torch_ref.generation.without_cache(anew_too), torch.from_numpy(first), MOST, eos=end
            )
        assert np.array_equal(also.numpy(), ids)
        assert theirs.greedy(*tensors, BOS, end, MOST) == texts
        best_too, scores_too = theirs.beam_search(*tensors, BOS, end, MOST)
        assert best_too == best
        np.testing.assert_allclose(scores_too, scores, rtol=1e-12)
        found_tokens |= set(ids.ravel().tolist())
    assert kind or len(found_tokens) > 4


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_step_says_what_the_forward_does(kind: dict[str, Any]) -> None:
    """Of tokens that are given, in parts of several sizes, in both packages."""
    ours, theirs = twins(**kind)
    x, y = sources(), np.random.default_rng(1).integers(0, 9, (4, 6))
    whole, _ = ours(x, LENGTHS, y)
    for parts in ((1, 2, 3, 4, 5, 6), (3, 6), (4, 5, 6)):
        cache = ours.start(x, LENGTHS)
        held = theirs.start(torch.from_numpy(x), torch.from_numpy(LENGTHS))
        for start, end in itertools.pairwise((0, *parts)):
            logits, cache = ours.step(y[:, start:end], cache)
            also, held = theirs.step(torch.from_numpy(y[:, start:end]), held)
            np.testing.assert_allclose(logits, whole[:, end - 1], rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(also.detach(), logits, rtol=1e-12, atol=1e-12)


def test_maps_are_those_of_the_layers() -> None:
    """What torch's attention says of itself, asked for each head's weights."""
    ours, theirs = twins()
    x, y = sources(), np.random.default_rng(1).integers(0, 9, (4, 5))
    found = []
    for layer in theirs.decoder:
        attend = layer.multihead_attn.forward

        def spy(*args: Any, attend: Any = attend, **kwargs: Any) -> Any:
            options = {**kwargs, "need_weights": True, "average_attn_weights": False}
            a, weights = attend(*args, **options)
            found.append(weights.detach().numpy())
            return a, weights

        layer.multihead_attn.forward = spy
    theirs(torch.from_numpy(x), torch.from_numpy(LENGTHS), torch.from_numpy(y))
    np.testing.assert_allclose(ours.attention_maps(x, LENGTHS, y), found, rtol=1e-11, atol=1e-13)


def test_the_start() -> None:
    """Embeddings begin with variance 1; one matrix serves three times."""
    model = Transformer(300, 300, 64, 4, 1, 1, 32, shared=True, generator=Generator(0))
    weight = model.output.weight
    assert model.source_embedding.weight is model.target_embedding.weight is weight
    e, _ = model.source_embedding(np.arange(300)[None])
    assert abs(float((e * model.scale).std()) - 1) < 0.02
    assert sum(p is weight for p in model.parameters()) == 1
    assert len(model.state_dict()) == 2 + len(list(model.parameters()))


def test_the_papers_training_keeps_twins_together() -> None:
    """Adam (0.9, 0.98, 1e-9), Noam's schedule, labels smoothed by 0.1: 40 steps of copying."""
    torch.manual_seed(0)
    options: dict[str, Any] = {"dropout": 0.0, "shared": True}
    sizes = 7, 7, 16, 4, 1, 1, 32
    theirs = torch_ref.models.Transformer(*sizes, **options, dtype=torch.float64)
    ours = Transformer(*sizes, **options, dtype=np.float64)
    ours.load_state_dict(twin.arrays(theirs.state_dict()))
    adam: dict[str, Any] = {"lr": 1.0, "betas": (0.9, 0.98), "eps": 1e-9}
    optimizer, reference = (
        Adam(ours.parameters(), **adam),
        torch.optim.Adam(theirs.parameters(), **adam),
    )
    rate = noam(16, 20)
    schedules = (
        LambdaLR(optimizer, rate),
        torch.optim.lr_scheduler.LambdaLR(reference, rate),
    )
    rng = np.random.default_rng(0)
    first, drift = 0.0, []
    for _ in range(40):
        lengths = rng.integers(1, 6, 8)
        x = rng.integers(3, 7, (8, 5)) * (np.arange(5) < lengths[:, None])
        y = np.concatenate([np.full((8, 1), BOS), x, np.zeros((8, 1), int)], 1)
        y[np.arange(8), lengths + 1] = EOS
        logits, back = ours(x, None, y[:, :-1])
        smoothed: dict[str, Any] = {"ignore_index": 0, "label_smoothing": 0.1}
        loss, loss_back = F.cross_entropy(logits.reshape(-1, 7), y[:, 1:].ravel(), **smoothed)
        optimizer.zero_grad()
        back(loss_back().reshape(logits.shape))
        optimizer.step()
        outputs = theirs(torch.from_numpy(x), None, torch.from_numpy(y[:, :-1])).flatten(0, 1)
        targets = torch.from_numpy(y[:, 1:]).flatten()
        value = torch.nn.functional.cross_entropy(outputs, targets, **smoothed)
        reference.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]  # torch has no annotation there
        reference.step()
        for schedule in schedules:
            schedule.step()
        first = first or float(loss)
        drift.append(abs(float(loss) - value.item()))
    assert float(loss) < 0.8 * first
    assert max(drift) < 1e-10 * first


def test_a_backward_refuses_changed_weights() -> None:
    for name, _ in built().named_parameters():
        if "bias" in name or "embedding" in name:
            continue
        model = built()
        logits, back = model(sources(), LENGTHS, np.ones((4, 2), int))
        dict(model.named_parameters())[name].version += 1
        with pytest.raises(RuntimeError, match="expected parameter"):
            back(np.ones_like(logits))


@pytest.mark.parametrize("n", [0, 1, 2, 7])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_mask_of_the_past_is_torchs(n: int, dtype: str) -> None:
    ours = nn.Transformer.generate_square_subsequent_mask(n, np.dtype(dtype))
    make: Any = torch.nn.Transformer.generate_square_subsequent_mask
    theirs = make(n, dtype=getattr(torch, dtype)).numpy()
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("side", ["Encoder", "Decoder"])
def test_the_layers_of_a_stack_start_alike_and_are_their_own(side: str) -> None:
    """Copies of the given layer, as in torch: equal values, different arrays."""
    layer = getattr(nn, f"Transformer{side}Layer")(8, 2, 11, generator=Generator(3))
    torch.manual_seed(3)
    torch_layer = getattr(torch.nn, f"Transformer{side}Layer")(8, 2, 11)
    ours = getattr(nn, f"Transformer{side}")(layer, 3)
    options = {"enable_nested_tensor": False} if side == "Encoder" else {}
    theirs = getattr(torch.nn, f"Transformer{side}")(torch_layer, 3, **options)
    for name, value in theirs.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[name], value.numpy(), name)
    first, *others = ours.layers
    for other in others:
        for p, q in zip(first.parameters(), other.parameters(), strict=True):
            assert p is not q
            assert not np.shares_memory(p.data, q.data)
            np.testing.assert_array_equal(p.data, q.data)
