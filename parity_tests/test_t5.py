"""T5 against Hugging Face's: files both ways, logits, gradients, decoding."""

import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import scratch.generation
import scratch.models
import torch_ref.generation
import torch_ref.models
from parity_tests.harness.compare import close
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn.op import Backward
from scratch.optim import Adam
from scratch.random import Generator

os.environ["HF_HUB_OFFLINE"] = "1"
transformers = pytest.importorskip("transformers")
modeling = pytest.importorskip("transformers.models.t5.modeling_t5")
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

SIZES: dict[str, Any] = {
    "vocab_size": 13,
    "d_model": 8,
    "d_kv": 3,
    "d_ff": 10,
    "num_layers": 2,
    "num_heads": 2,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 6,
}
KINDS: dict[str, dict[str, Any]] = {
    "T5": {},
    "T5 1.1": {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
    "gated-silu, three decoder blocks": {
        "feed_forward_proj": "gated-silu",
        "num_decoder_layers": 3,
        "relative_attention_num_buckets": 12,
        "relative_attention_max_distance": 9,
    },
    "gelu, eps, one encoder block": {
        "feed_forward_proj": "gelu",
        "layer_norm_epsilon": 0.1,
        "num_layers": 1,
        "num_decoder_layers": 2,
        "num_heads": 3,
        "decoder_start_token_id": 2,
    },
}


@pytest.fixture(autouse=True)
def double_norm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hugging Face's norm squares in float32, whatever the dtype: here in x's."""

    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        scale = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)
        normed: torch.Tensor = self.weight * (x * scale)
        return normed

    monkeypatch.setattr(modeling.T5LayerNorm, "forward", forward)
    yield


def saved(directory: Path, kind: str, head: bool = True, seed: int = 0) -> Any:
    """One of theirs in float64, whose start is large enough to matter, and in a directory.

    With a head of its own if it is not tied, as the files of T5 1.1 have: theirs makes none.
    """
    torch.manual_seed(seed)
    given = {**SIZES, **KINDS[kind]}
    given.setdefault("decoder_start_token_id", 0)
    config = transformers.T5Config(**given, initializer_factor=1.0)
    theirs = transformers.T5ForConditionalGeneration(config).double().eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        theirs.shared.weight.mul_(0.3)  # or each token would follow itself
        if head and not config.scale_decoder_outputs:
            theirs.lm_head.weight = torch.nn.Parameter(torch.randn(13, 8).double())
    theirs.save_pretrained(directory)
    content = json.loads((directory / "config.json").read_text())
    content["tie_word_embeddings"] = given.get("tie_word_embeddings", True)  # theirs says True
    (directory / "config.json").write_text(json.dumps(content))
    if head and not config.scale_decoder_outputs:
        state = load_file(directory / "model.safetensors")
        state["lm_head.weight"] = theirs.lm_head.weight.detach().clone()
        save_file(state, directory / "model.safetensors", {"format": "pt"})
    return theirs


def batch(seed: int = 0) -> dict[str, Array]:
    """Three sources of nine tokens, targets of seven, both padded, one source on the left."""
    rng = np.random.default_rng(seed)
    source, target = np.ones((3, 9), int), np.ones((3, 7), int)
    source[0, 5:] = source[2, :2] = target[1, 4:] = 0
    return {
        "input_ids": rng.integers(0, 13, (3, 9)),
        "attention_mask": source,
        "decoder_input_ids": rng.integers(0, 13, (3, 7)),
        "decoder_attention_mask": target,
    }


def same(what: str, ours: Array, theirs: torch.Tensor | None) -> None:
    assert theirs is not None
    compared = close(what, ours, theirs.detach().numpy(), c=1000)
    assert compared.passed, compared


@pytest.mark.parametrize("masked", [True, False], ids=["masked", "whole"])
@pytest.mark.parametrize("kind", KINDS)
def test_logits_and_gradients(kind: str, masked: bool, tmp_path: Path) -> None:
    theirs = saved(tmp_path, kind)
    ours = scratch.models.T5.from_pretrained(tmp_path, dtype=np.float64)
    twin = torch_ref.models.T5.from_pretrained(tmp_path, dtype=torch.float64)
    assert list(ours.state_dict()) == list(twin.state_dict()) == list(theirs.state_dict())
    arrays = {n: a for n, a in batch().items() if masked or "mask" not in n}
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}

    logits, back = ours(**arrays)
    expected, also = theirs(**tensors).logits, twin(**tensors)
    dlogits = np.random.default_rng(1).normal(size=logits.shape)
    if masked:  # where a target is padding nobody reads what is said
        dlogits *= arrays["decoder_attention_mask"][:, :, None]
    same("logits", logits, expected)
    same("logits of torch_ref", logits, also)

    assert back(dlogits) is None
    for outputs in (expected, also):
        outputs.backward(torch.from_numpy(dlogits))
    reference, twins = dict(theirs.named_parameters()), dict(twin.named_parameters())
    assert list(reference) == list(twins) == [name for name, _ in ours.named_parameters()]
    for name, parameter in ours.named_parameters():
        assert parameter.grad is not None and np.any(parameter.grad), name
        same(name, parameter.grad, reference[name].grad)
        same(name, parameter.grad, twins[name].grad)


@pytest.mark.parametrize("kind", KINDS)
def test_what_ours_saves_theirs_reads(kind: str, tmp_path: Path) -> None:
    """In both packages, from both; nothing missing, nothing unexpected."""
    options = {**SIZES, **KINDS[kind]}
    arrays = batch()
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    ours = scratch.models.T5(scratch.models.T5Config(**options), generator=Generator(0))
    torch.manual_seed(0)
    twin = torch_ref.models.T5(torch_ref.models.T5Config(**options)).eval()
    for model in (ours.eval(), twin):
        model.save_pretrained(tmp_path)
        theirs, info = transformers.T5ForConditionalGeneration.from_pretrained(
            tmp_path, output_loading_info=True
        )
        assert not any(info.values()), info
        mine = scratch.models.T5.from_pretrained(tmp_path)
        other = torch_ref.models.T5.from_pretrained(tmp_path)
        assert mine.config.to_dict() == other.config.to_dict() == model.config.to_dict()
        expected = theirs(**tensors).logits.detach().numpy()
        scale = np.abs(expected).max()
        np.testing.assert_allclose(mine(**arrays)[0], expected, atol=2e-5 * scale)
        np.testing.assert_allclose(other(**tensors).detach(), expected, atol=2e-5 * scale)
        for name, value in model.state_dict().items():
            assert np.array_equal(np.asarray(value), mine.state_dict()[name])


def test_a_head_of_its_own_is_kept(tmp_path: Path) -> None:
    """Theirs says 'tied' of every file that it writes; a head that differs is none the less."""
    theirs = saved(tmp_path, "T5 1.1")
    content = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**content, "tie_word_embeddings": True}))
    arrays = batch()
    expected = theirs(**{n: torch.from_numpy(a) for n, a in arrays.items()}).logits
    ours = scratch.models.T5.from_pretrained(tmp_path, dtype=np.float64)
    twin = torch_ref.models.T5.from_pretrained(tmp_path, dtype=torch.float64)
    for model in (ours, twin):
        assert model.lm_head.weight is not model.shared.weight
        assert not model.config.tie_word_embeddings and not model.config.scale_decoder_outputs
    same("logits", ours(**arrays)[0], expected)
    same(
        "logits",
        twin(**{n: torch.from_numpy(a) for n, a in arrays.items()}).detach().numpy(),
        expected,
    )


@pytest.mark.parametrize("says", [True, False])
def test_tied_and_not_scaled(says: bool, tmp_path: Path) -> None:
    """What theirs makes of tie_word_embeddings=False without a head, and writes as True."""
    theirs = saved(tmp_path, "T5 1.1", head=False)
    content = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**content, "tie_word_embeddings": says}))
    arrays = batch()
    tensors = {n: torch.from_numpy(a) for n, a in arrays.items()}
    ours = scratch.models.T5.from_pretrained(tmp_path, dtype=np.float64)
    twin = torch_ref.models.T5.from_pretrained(tmp_path, dtype=torch.float64)
    for model in (ours, twin):
        assert model.lm_head.weight is model.shared.weight
        assert model.config.tie_word_embeddings and not model.config.scale_decoder_outputs
    same("logits", ours(**arrays)[0], theirs(**tensors).logits)
    same("logits", twin(**tensors).detach().numpy(), theirs(**tensors).logits)


# Decoding


def without_cache(model: Any, arrays: dict[str, Array]) -> scratch.generation.Step:
    """Both stacks anew for each token; the rows of a beam are found by what they start from."""

    def logits(ids: Array) -> Array:
        rows = np.repeat(np.arange(3), len(ids) // 3)
        source = {name: array[rows] for name, array in arrays.items()}
        found: Array = model(**source, decoder_input_ids=ids)[0]
        return found

    return scratch.generation.without_cache(logits)


@pytest.mark.parametrize("masked", [True, False], ids=["masked", "whole"])
@pytest.mark.parametrize("kind", KINDS)
def test_decoding(kind: str, masked: bool, tmp_path: Path) -> None:
    """With a cache, without, and theirs: greedy and by beam search."""
    ended = 0
    for seed in range(3):
        theirs = saved(tmp_path, kind, seed=seed)
        ours = scratch.models.T5.from_pretrained(tmp_path, dtype=np.float64)
        twin = torch_ref.models.T5.from_pretrained(tmp_path, dtype=torch.float64)
        names = ("input_ids", "attention_mask")[: 2 if masked else 1]
        arrays = {name: batch(seed)[name] for name in names}
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        first = np.full((3, 1), ours.config.decoder_start_token_id)
        start = torch.from_numpy(first)

        greedy = partial(scratch.generation.generate, ids=first, max_new_tokens=8, eos=1, pad=0)
        found = greedy(ours.step, cache=ours.start(**arrays))
        # Its cache has as many layers as the encoder: too few for a deeper decoder.
        cached = ours.config.num_decoder_layers <= ours.config.num_layers
        rules: dict[str, Any] = {"max_new_tokens": 8, "do_sample": False, "use_cache": cached}
        expected = theirs.generate(**tensors, **rules).numpy()
        assert np.array_equal(found, expected)
        assert np.array_equal(greedy(without_cache(ours, arrays)), expected)
        with torch.no_grad():
            cache = twin.start(**tensors)
            also = torch_ref.generation.generate(twin.step, start, 8, eos=1, pad=0, cache=cache)
        assert np.array_equal(also.numpy(), expected)
        ended += int((found == 1).sum())

        search = partial(scratch.generation.beam_search, ids=first, num_beams=3, eos=1)
        options: dict[str, Any] = {"max_new_tokens": 8, "length_penalty": 0.7}
        beams = search(ours.step, **options, cache=ours.start(**arrays))
        best = theirs.generate(
            **tensors,
            **rules,
            num_beams=3,
            num_return_sequences=3,
            length_penalty=0.7,
            output_scores=True,
            return_dict_in_generate=True,
        )
        # Theirs fills up with <eos> where padding is token 0, and adds up in float32.
        assert np.array_equal(beams.sequences.reshape(9, -1), best.sequences.numpy())
        np.testing.assert_allclose(beams.scores.ravel(), best.sequences_scores, rtol=1e-5)
        again = search(without_cache(ours, arrays), **options)
        assert np.array_equal(again.sequences, beams.sequences)
        np.testing.assert_allclose(again.scores, beams.scores, rtol=1e-12)
        with torch.no_grad():
            cache = twin.start(**tensors)
            tried = torch_ref.generation.beam_search(
                twin.step, start, 3, eos=1, **options, cache=cache
            )
        assert np.array_equal(tried.sequences.numpy(), beams.sequences)
    assert ended


def test_several_tokens_at_once_and_one_by_one(tmp_path: Path) -> None:
    """A prompt in parts, in both packages."""
    saved(tmp_path, "T5")
    ours = scratch.models.T5.from_pretrained(tmp_path, dtype=np.float64)
    twin = torch_ref.models.T5.from_pretrained(tmp_path, dtype=torch.float64)
    arrays = batch()
    ids = arrays["decoder_input_ids"]
    source = arrays["input_ids"], arrays["attention_mask"]
    whole, _ = ours(*source, ids)
    for parts in ((1, 3, 7), (4, 5, 7), (7,)):
        cache, at = ours.start(*source), 0
        held = twin.start(*map(torch.from_numpy, source))
        for end in parts:
            logits, cache = ours.step(ids[:, at:end], cache)
            also, held = twin.step(torch.from_numpy(ids[:, at:end]), held)
            np.testing.assert_allclose(logits, whole[:, end - 1], rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(also.detach(), logits, rtol=1e-12, atol=1e-12)
            at = end


def test_trained_twins_stay_together(tmp_path: Path) -> None:
    """20 steps of Adam towards the sources themselves, beside theirs, which shifts the labels."""
    theirs = saved(tmp_path, "T5")
    ours = scratch.models.T5.from_pretrained(tmp_path, dtype=np.float64)
    optimizer = Adam(ours.parameters(), 0.01)
    reference = torch.optim.Adam(theirs.parameters(), 0.01)
    rng = np.random.default_rng(0)
    losses = []
    for _ in range(20):
        ids = rng.integers(2, 13, (4, 6))
        labels = np.where(np.arange(6) < rng.integers(2, 7, (4, 1)), ids, -100)
        logits, back = ours(ids, decoder_input_ids=ours.shift_right(labels))
        loss, loss_back = F.cross_entropy(logits.reshape(-1, 13), labels.ravel())
        optimizer.zero_grad()
        back(loss_back().reshape(logits.shape))
        optimizer.step()
        expected = theirs(torch.from_numpy(ids), labels=torch.from_numpy(labels)).loss
        reference.zero_grad()
        expected.backward()
        reference.step()
        np.testing.assert_allclose(loss, expected.detach(), rtol=1e-11)
        losses.append(float(loss))
    assert losses[-1] < 0.95 * losses[0]


def test_float32_stays_float32() -> None:
    model = scratch.models.T5(scratch.models.T5Config(**SIZES, feed_forward_proj="gated-gelu"))
    arrays = batch()
    back: Backward
    logits, back = model(**arrays)
    assert logits.dtype == np.float32
    back(np.ones_like(logits))
    assert {p.grad.dtype for p in model.parameters() if p.grad is not None} == {np.dtype("f4")}
    ids, cache = arrays["decoder_input_ids"], model.eval().start(arrays["input_ids"])
    logits, cache = model.step(ids, cache)
    assert logits.dtype == np.float32 and cache[1][0][0].dtype == np.float32
