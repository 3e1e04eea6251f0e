"""Decoding beside Hugging Face's generate and its warpers, and every sequence there is."""

import itertools
from collections import Counter
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.generation.logits_process import (
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from parity_tests.catalog.generation import DYADIC, TIES, same_waits
from scratch import generation
from scratch.check import Array
from scratch.generation import beam_search, generate, greedy, multinomial, sample, without_cache
from scratch.random import Generator

VOCABULARY, EOS, PAD = 11, 1, 2
PROMPTS = np.random.default_rng(0).integers(3, VOCABULARY, (3, 4))


# Filters


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rows=st.sampled_from(["normal", "few values", "ties", "dyadic"]),
    k=st.integers(1, 12),
    p=st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 1.0])),
    temperature=st.floats(0.05, 20),
    keep=st.integers(1, 3),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_filters_are_transformers(
    seed: int, rows: str, k: int, p: float, temperature: float, keep: int, dtype: Any
) -> None:
    """Bit for bit: the same tokens are dropped, the others are as they were."""
    rng = np.random.default_rng(seed)
    made = {
        "normal": rng.normal(size=(3, 10)),
        "few values": rng.integers(0, 3, (3, 10)),
        "ties": TIES,
        "dyadic": DYADIC,
    }[rows].astype(dtype)
    tensor: Any = torch.from_numpy(made)
    no_ids: Any = None
    for ours, warper in (
        (generation.temper(made, temperature), TemperatureLogitsWarper(temperature)),
        (generation.top_k(made, k, keep), TopKLogitsWarper(k, min_tokens_to_keep=keep)),
        (generation.top_p(made, p, keep), TopPLogitsWarper(p, min_tokens_to_keep=keep)),
    ):
        assert ours.dtype == dtype
        np.testing.assert_array_equal(ours, warper(no_ids, tensor).numpy())


def test_top_p_keeps_the_smallest_set_that_reaches_p() -> None:
    """Found by looking at all sets."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        z = rng.normal(size=6)
        q = np.exp(z) / np.exp(z).sum()
        p = rng.uniform(0.05, 0.99)
        sets = [s for n in range(1, 7) for s in itertools.combinations(range(6), n)]
        size = min(len(s) for s in sets if q[list(s)].sum() >= p)
        best = max((s for s in sets if len(s) == size), key=lambda s: q[list(s)].sum())
        assert set(np.flatnonzero(np.isfinite(generation.top_p(z, p)))) == set(best)


# Draws


def test_multinomial_is_torchs() -> None:
    """The same seed, the same tokens, 50,000 of them; and the stream goes on in step."""
    if not same_waits():
        return
    p = np.random.default_rng(0).random((500, 40)).astype(np.float32)
    theirs, ours = torch.Generator().manual_seed(5), Generator(5)
    for _ in range(100):
        expected = torch.multinomial(torch.from_numpy(p), 1, generator=theirs)[:, 0]
        np.testing.assert_array_equal(multinomial(p, ours), expected.numpy())
    np.testing.assert_array_equal(ours.rand(5), torch.rand(5, generator=theirs).numpy())


def test_tokens_come_with_their_probabilities() -> None:
    """Frequencies of 40,000 draws within five standard deviations; what is 0 never comes."""
    p = np.array([0.1, 0.0, 0.6, 0.3])
    n = 40_000
    drawn = np.bincount(multinomial(np.tile(p, (n, 1)), Generator(0)), minlength=4)
    assert drawn[1] == 0
    assert np.all(np.abs(drawn - n * p) <= 5 * np.sqrt(n * p * (1 - p)))


def test_what_is_cut_is_never_drawn() -> None:
    z = np.random.default_rng(1).normal(size=(2000, 8))
    order = np.argsort(-z, 1)
    rank = np.argsort(order, 1)
    tokens = sample(z, 3.0, k=3, generator=Generator(0))
    ranks = Counter(rank[np.arange(2000), tokens].tolist())
    assert set(ranks) == {0, 1, 2}
    np.testing.assert_array_equal(sample(z, 0.7, k=1, generator=Generator(0)), greedy(z))
    np.testing.assert_array_equal(sample(z, p=0.0, generator=Generator(0)), greedy(z))


# Beside transformers


def gpt2(seed: int = 0) -> Any:
    """A small one whose weights are large enough that it has opinions."""
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=40,
        n_embd=16,
        n_layer=2,
        n_head=2,
        bos_token_id=0,
        eos_token_id=EOS,
        pad_token_id=PAD,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: Any = GPT2LMHeadModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter *= 6
    return model.eval()


@pytest.fixture(scope="module")
def model() -> Any:
    return gpt2()


def step_of(model: Any) -> generation.Step:
    """The model without its cache."""

    @torch.no_grad()
    def logits(ids: Array) -> Array:
        found: Array = model(torch.from_numpy(ids)).logits.numpy()
        return found

    return without_cache(logits)


def theirs(model: Any, steps: int, **options: Any) -> Any:
    """What its generate returns."""
    ids = torch.from_numpy(PROMPTS)
    options = {"do_sample": False, "max_new_tokens": steps, **options}
    return model.generate(ids, attention_mask=torch.ones_like(ids), **options)


@pytest.mark.parametrize("steps", [1, 5, 20])
def test_greedy_is_transformers(model: Any, steps: int) -> None:
    expected = theirs(model, steps).numpy()
    found = generate(step_of(model), PROMPTS, steps, eos=EOS, pad=PAD)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("ours", "options"),
    [
        ({}, {}),
        ({"temperature": 1.7}, {"temperature": 1.7}),
        ({"k": 4}, {"top_k": 4}),
        ({"p": 0.8}, {"top_p": 0.8}),
        (
            {"temperature": 2.5, "k": 6, "p": 0.9},
            {"temperature": 2.5, "top_k": 6, "top_p": 0.9},
        ),
    ],
)
def test_samples_are_transformers(model: Any, ours: dict[str, Any], options: Any) -> None:
    """Token for token from the same seed: the filters come in the same order."""
    if not same_waits():
        return
    for seed in range(3):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            expected = theirs(model, 20, do_sample=True, **{"top_k": 0, **options}).numpy()
        choose = partial(sample, **ours, generator=Generator(seed))
        found = generate(step_of(model), PROMPTS, 20, choose, eos=EOS, pad=PAD)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("early_stopping", [False, True, "never"])
@pytest.mark.parametrize("width", [2, 4])
def test_beams_are_transformers(model: Any, width: int, early_stopping: bool | str) -> None:
    """All K sequences and their scores; some end early, others are cut."""
    ends = []
    for steps, length_penalty in itertools.product((1, 5, 12), (0.0, 1.0, 2.0, -0.5)):
        options: dict[str, Any] = {
            "early_stopping": early_stopping,
            "length_penalty": length_penalty,
        }
        expected = theirs(
            model,
            steps,
            num_beams=width,
            num_return_sequences=width,
            return_dict_in_generate=True,
            output_scores=True,
            **options,
        )
        found = beam_search(step_of(model), PROMPTS, width, steps, EOS, pad=PAD, **options)
        sequences = expected.sequences.numpy().reshape(3, width, -1)
        np.testing.assert_array_equal(found.sequences, sequences)
        scores = expected.sequences_scores.numpy().reshape(3, width)
        np.testing.assert_allclose(found.scores, scores, rtol=2e-6, atol=1e-6)
        ends += (sequences[:, :, 4:] == EOS).any(2).ravel().tolist()
    assert 0 < np.mean(ends) < 1


# Beside every sequence


class Chain(NamedTuple):
    """A model of which the next token depends on the last two; its cache is the one before."""

    logits: Array  # (V, V, V)

    def step(self, ids: Array, cache: Any) -> tuple[Array, Any]:
        """Its protocol: T tokens at first, then one."""
        whole = ids if cache is None else np.concatenate([cache["last"], ids], 1)
        return self.logits[whole[:, -2], whole[:, -1]], {"last": whole[:, -1:]}

    def log_p(self, prompt: Array, tokens: tuple[int, ...]) -> float:
        """Of one continuation."""
        z = self.logits - np.log(np.exp(self.logits).sum(-1, keepdims=True))
        whole = [*prompt, *tokens]
        return float(sum(z[whole[i - 2], whole[i - 1], whole[i]] for i in range(2, len(whole))))


def every_sequence(v: int, eos: int, longest: int) -> list[tuple[int, ...]]:
    """All that end with `eos`, or without it at the full length."""
    others = [token for token in range(v) if token != eos]
    found: list[tuple[int, ...]] = list(itertools.product(others, repeat=longest))
    for n in range(longest):
        found += [(*head, eos) for head in itertools.product(others, repeat=n)]
    return found


@pytest.mark.parametrize(
    "penalty", [0.0, 1.0, 2.5, -1.0, generation.wu_penalty(0.6), generation.wu_penalty(3.0)]
)
def test_a_search_of_full_width_finds_the_best_of_all(penalty: Any) -> None:
    """All K sequences and scores, for each of several models and prompts."""
    v, eos, longest = 3, 1, 4
    ways = every_sequence(v, eos, longest)
    width = v**longest
    function = penalty if callable(penalty) else lambda n: float(n**penalty)
    for seed in range(5):
        chain = Chain(np.random.default_rng(seed).normal(size=(v, v, v), scale=1.5))
        prompts = np.array([[0, 2], [2, 2]])
        options: dict[str, Any] = {"length_penalty": penalty, "early_stopping": "never"}
        found = beam_search(chain.step, prompts, width, longest, eos, pad=0, **options)
        for prompt, sequences, scores in zip(prompts, *found, strict=True):
            values = {w: chain.log_p(prompt, w) / function(len(w)) for w in ways}
            real = np.isfinite(scores)
            best = sorted(values.values(), reverse=True)
            np.testing.assert_allclose(scores[real], best, rtol=1e-12)
            rows = [tuple(row) for row in sequences[real].tolist()]
            padded = {(*prompt.tolist(), *w, *[0] * (longest - len(w))): values[w] for w in ways}
            assert set(rows) == set(padded)
            np.testing.assert_allclose(scores[real], [padded[row] for row in rows], rtol=1e-12)


def test_a_wider_search_may_find_more_and_greedy_is_the_narrowest() -> None:
    v = 6
    gains = []
    for seed in range(20):
        chain = Chain(np.random.default_rng(seed).normal(size=(v, v, v), scale=2.0))
        prompts = np.array([[0, 2]])
        one = beam_search(chain.step, prompts, 1, 8, length_penalty=0.0)
        four = beam_search(chain.step, prompts, 4, 8, length_penalty=0.0)
        np.testing.assert_array_equal(one.sequences[:, 0], generate(chain.step, prompts, 8))
        gains.append(four.scores[0, 0] - one.scores[0, 0])
        assert np.all(np.diff(four.scores) <= 0)
        value = chain.log_p(prompts[0], tuple(four.sequences[0, 0, 2:].tolist()))
        np.testing.assert_allclose(four.scores[0, 0], value, rtol=1e-12)
    assert max(gains) > 0.1


def test_rows_do_not_see_each_other() -> None:
    """A prompt by itself gives what it gives in a batch, but for what fills it up."""
    chain = Chain(np.random.default_rng(3).normal(size=(5, 5, 5), scale=1.5))
    prompts = np.array([[0, 2], [3, 3], [4, 0]])
    for options in ({}, {"early_stopping": True}, {"length_penalty": 2.0}):
        whole = beam_search(chain.step, prompts, 3, 7, 1, **options)
        for i in range(3):
            alone = beam_search(chain.step, prompts[i : i + 1], 3, 7, 1, **options)
            np.testing.assert_array_equal(alone.scores[0], whole.scores[i])
            n = alone.sequences.shape[2]
            np.testing.assert_array_equal(alone.sequences[0], whole.sequences[i, :, :n])
            assert np.all(whole.sequences[i, :, n:] == 1)


def test_a_cache_of_any_build_follows_its_hypothesis() -> None:
    """With it the search is the same as without."""

    class State(NamedTuple):
        last: Array
        rest: dict[str, Any]

    chain = Chain(np.random.default_rng(4).normal(size=(4, 4, 4), scale=1.5))

    def stateful(ids: Array, cache: Any) -> tuple[Array, Any]:
        last = ids[:, -2] if cache is None else cache.rest["last"][0]
        z = chain.logits[last, ids[:, -1]]
        return z, State(ids[:, -1], {"last": [ids[:, -1]], "none": None, "fixed": ()})

    def anew(ids: Array) -> Array:
        z = np.zeros((*ids.shape, 4))
        z[:, -1] = chain.logits[ids[:, -2], ids[:, -1]]
        return z

    prompts = np.array([[0, 2], [3, 3]])
    for eos in (None, 1):
        found = beam_search(stateful, prompts, 3, 6, eos)
        expected = beam_search(without_cache(anew), prompts, 3, 6, eos)
        np.testing.assert_array_equal(found.sequences, expected.sequences)
        np.testing.assert_array_equal(found.scores, expected.scores)
        np.testing.assert_array_equal(
            generate(stateful, prompts, 6, eos=eos),
            generate(without_cache(anew), prompts, 6, eos=eos),
        )


def test_prompts_are_left_as_they_are() -> None:
    chain = Chain(np.random.default_rng(4).normal(size=(4, 4, 4)))
    prompts = np.array([[0, 2]], np.int32)
    prompts.flags.writeable = False
    assert generate(chain.step, prompts, 2).dtype == np.int64
    assert beam_search(chain.step, prompts, 2, 2).sequences.shape == (1, 2, 4)
