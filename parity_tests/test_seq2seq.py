"""The translator: a batch is its rows one by one, decoding is the argmax of what is given back."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch

import torch_ref.models
from parity_tests.harness import twin
from scratch.check import Array
from scratch.models import Seq2Seq
from scratch.nn import functional as F
from scratch.optim import Adam
from scratch.random import Generator

BOS, EOS, MOST = 1, 2, 7
LENGTHS = np.array([4, 1, 6, 3])
KINDS: list[dict[str, Any]] = [
    {"cell": cell, "attention": attention}
    for cell in ("gru", "lstm")
    for attention in ("additive", "general", "dot", None)
]


def built(seed: int = 0, **kind: Any) -> Seq2Seq:
    """A model whose weights are large enough to matter."""
    model = Seq2Seq(9, 6, 5, 8, **kind, dtype=np.float64, generator=Generator(seed))
    rng = np.random.default_rng(seed)
    for parameter in model.parameters():
        parameter.data = rng.normal(size=parameter.shape)
    return model


def sources(seed: int = 0) -> Array:
    """Four of them, with tokens that are none of theirs behind their ends."""
    return np.random.default_rng(seed).integers(3, 9, (4, 6))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_batch_is_its_rows_one_by_one(kind: dict[str, Any]) -> None:
    """Logits, alignments, texts, and the sum of the gradients."""
    model, x = built(**kind), sources()
    y = np.random.default_rng(1).integers(0, 6, (4, 5))
    logits, back = model(x, LENGTHS, y)
    dlogits = np.random.default_rng(2).normal(size=logits.shape)
    back(dlogits)
    whole = [p.grad for p in model.parameters()]
    weights = model.alignment(x, LENGTHS, y)
    texts = model.greedy(x, LENGTHS, BOS, EOS, MOST)
    beams, scores = model.beam_search(x, LENGTHS, BOS, EOS, MOST, 3)
    model.zero_grad()
    for i, n in enumerate(LENGTHS):
        row = x[i : i + 1, :n], LENGTHS[i : i + 1]
        alone, alone_back = model(*row, y[i : i + 1])
        np.testing.assert_allclose(alone[0], logits[i], rtol=1e-11, atol=1e-12)
        alone_back(dlogits[i : i + 1])
        p = model.alignment(*row, y[i : i + 1])
        np.testing.assert_allclose(p[0], weights[i, :, : p.shape[2]], rtol=1e-10, atol=1e-13)
        assert not weights[i, :, p.shape[2] :].any()
        assert model.greedy(*row, BOS, EOS, MOST) == [texts[i]]
        beam, score = model.beam_search(*row, BOS, EOS, MOST, 3)
        assert beam == [beams[i]]
        np.testing.assert_allclose(score, scores[i], rtol=1e-11)
    for parameter, expected in zip(model.parameters(), whole, strict=True):
        assert isinstance(parameter.grad, np.ndarray)
        assert isinstance(expected, np.ndarray)
        np.testing.assert_allclose(parameter.grad, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_greedy_is_the_argmax_of_its_own_text(kind: dict[str, Any]) -> None:
    """Given its own answer, the model predicts just that, and <eos> behind it unless it is cut."""
    for seed in range(3):
        model, x = built(seed, **kind), sources(seed)
        for i, text in enumerate(model.greedy(x, LENGTHS, BOS, EOS, MOST)):
            given = np.array([[BOS, *text]])
            logits, _ = model(x[i : i + 1], LENGTHS[i : i + 1], given)
            best = logits[0].argmax(1).tolist()
            assert best[: len(text)] == text
            assert len(text) == MOST or best[len(text)] == EOS


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_beam_of_one_is_greedy(kind: dict[str, Any]) -> None:
    for seed in range(5):
        model, x = built(seed, **kind), sources(seed)
        texts, scores = model.beam_search(x, LENGTHS, BOS, EOS, MOST, 1)
        assert texts == model.greedy(x, LENGTHS, BOS, EOS, MOST)
        found = [log_p(model, x, i, text) for i, text in enumerate(texts)]
        np.testing.assert_allclose(scores, found, rtol=1e-12)


def log_p(model: Seq2Seq, x: Array, row: int, text: list[int]) -> float:
    """The log probability of a text, with <eos> behind it unless it is cut."""
    tokens = [*text, EOS][:MOST]
    given = np.array([[BOS, *tokens[:-1]]])
    logits, _ = model(x[row : row + 1], LENGTHS[row : row + 1], given)
    log_probabilities, _ = F.log_softmax(logits[0], -1)
    return float(log_probabilities[np.arange(len(tokens)), tokens].sum())


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_a_wide_beam_finds_the_best_of_all_texts(penalty: float) -> None:
    """Every text of up to three tokens, one by one."""
    for seed in range(3):
        model = Seq2Seq(9, 5, 3, 4, dtype=np.float64, generator=Generator(seed))
        for parameter in model.parameters():
            parameter.data = 3 * parameter.data
        x, n = sources(seed)[:1], LENGTHS[:1]
        scores: dict[tuple[int, ...], float] = {}
        for tokens in itertools.product(range(5), repeat=3):
            end = tokens.index(EOS) + 1 if EOS in tokens else 3
            given = np.array([[BOS, *tokens[: end - 1]]])
            logits, _ = model(x, n, given)
            log_probabilities, _ = F.log_softmax(logits[0], -1)
            total = float(log_probabilities[np.arange(end), tokens[:end]].sum())
            scores[tokens[:end]] = total / end**penalty
        best = max(scores, key=lambda text: scores[text])
        found, score = model.beam_search(x, n, BOS, EOS, 3, 125, penalty)
        assert found == [[token for token in best if token != EOS]]
        np.testing.assert_allclose(score, scores[best], rtol=1e-12)


def test_what_is_behind_an_end_is_not_read() -> None:
    """Neither forward nor backward; padding's embedding gets no gradient."""
    model, x = built(), sources()
    y = np.random.default_rng(1).integers(0, 6, (4, 3))
    padded = np.where(np.arange(6) < LENGTHS[:, None], x, 0)
    (a, _), (b, back) = model(x, LENGTHS, y), model(padded, LENGTHS, y)
    np.testing.assert_array_equal(a, b)
    back(np.ones_like(b))
    gradient: Any = model.encoder.embedding.weight.grad
    assert not gradient[0].any()
    assert gradient[padded[0, 0]].any()


def test_a_backward_refuses_changed_weights() -> None:
    """Attention's v too, which no guarded call reads."""
    for name, _ in built().named_parameters():
        if "bias" in name or "embedding" in name:
            continue
        model = built()
        logits, back = model(sources(), LENGTHS, np.ones((4, 2), int))
        dict(model.named_parameters())[name].version += 1
        with pytest.raises(RuntimeError, match="expected parameter"):
            back(np.ones_like(logits))


def test_trained_twins_stay_together() -> None:
    """80 steps of Adam on strings to be copied, in float64, from the same start."""
    torch.manual_seed(0)
    theirs = torch_ref.models.Seq2Seq(7, 7, 8, 16).double()
    ours = Seq2Seq(7, 7, 8, 16, dtype=np.float64)
    ours.load_state_dict(twin.arrays(theirs.state_dict()))
    optimizer, reference = (
        Adam(ours.parameters(), 0.02),
        torch.optim.Adam(theirs.parameters(), 0.02),
    )
    rng = np.random.default_rng(0)
    first, drift = 0.0, []
    for _ in range(80):
        lengths = rng.integers(1, 6, 16)
        x = rng.integers(3, 7, (16, 5)) * (np.arange(5) < lengths[:, None])
        y = np.concatenate([np.full((16, 1), BOS), x, np.zeros((16, 1), int)], 1)
        y[np.arange(16), lengths + 1] = EOS
        arrays = x, lengths, y[:, :-1]
        logits, back = ours(*arrays)
        loss, loss_back = F.cross_entropy(logits.reshape(-1, 7), y[:, 1:].ravel(), ignore_index=0)
        optimizer.zero_grad()
        back(loss_back().reshape(logits.shape))
        optimizer.step()
        outputs = theirs(*map(torch.from_numpy, arrays)).flatten(0, 1)
        targets = torch.from_numpy(y[:, 1:]).flatten()
        value = torch.nn.functional.cross_entropy(outputs, targets, ignore_index=0)
        reference.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]  # torch has no annotation there
        reference.step()
        first = first or float(loss)
        drift.append(abs(float(loss) - value.item()))
    assert float(loss) < 0.5 * first
    assert max(drift) < 1e-10 * first
