"""GPT-2 and Llama beside Hugging Face's, with and without a cache, and while they learn."""

import functools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers import modeling_rope_utils
from transformers.models.llama import modeling_llama

import scratch.generation
import scratch.models
import scratch.optim
import torch_ref.generation
import torch_ref.models
from datasets.text import Vocabulary, python_reference
from parity_tests.catalog.generation import same_waits
from parity_tests.catalog.models_gpt import GPT2, LLAMA, built
from parity_tests.harness import twin
from parity_tests.harness.compare import close
from parity_tests.harness.trajectory import largest, parameter_drift
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn.utils import clip_grad_norm_
from scratch.random import Generator

OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("GPT2", {}),
    ("GPT2", {"activation_function": "gelu", "n_inner": 10, "tie_word_embeddings": False}),
    ("GPT2", {"scale_attn_by_inverse_layer_idx": True, "layer_norm_epsilon": 0.1}),
    ("GPT2", {"scale_attn_weights": False, "activation_function": "silu"}),
    ("Llama", {}),
    ("Llama", {"num_key_value_heads": 1, "attention_bias": True, "mlp_bias": True}),
    ("Llama", {"tie_word_embeddings": True, "head_dim": None, "hidden_act": "gelu_new"}),
    ("Llama", {"pad_token_id": 3, "rms_norm_eps": 0.1, "rope_theta": 50.0}),
    ("Llama", {"rope_parameters": {"rope_type": "linear", "factor": 3.0, "rope_theta": 50.0}}),
]
KINDS = ("GPT2", "Llama")
IDS = np.array([[1, 4, 7, 3, 0, 9], [3, 3, 10, 2, 8, 8]])
RIGHT = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])
LEFT = RIGHT[:, ::-1].copy()
EOS, PAD = 5, 0
PADDING: dict[str, dict[str, Any]] = {"GPT2": {}, "Llama": {"pad_token_id": 3}}


class Widened:
    """torch, whose float32 is float64."""

    def __getattr__(self, name: str) -> Any:
        return torch.float64 if name in ("float32", "float") else getattr(torch, name)


@pytest.fixture(autouse=True)
def float64_throughout(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Llama's norms and angles are float32 whatever the model is: a float64 oracle has none."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for module in (modeling_llama, modeling_rope_utils):
        monkeypatch.setattr(module, "torch", Widened())
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    logging: Any = transformers.logging
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    with torch.random.fork_rng(devices=[]):
        yield


def sizes(kind: str, **options: Any) -> dict[str, Any]:
    """Options of a small one."""
    return {**{"GPT2": {**GPT2, "n_positions": 40}, "Llama": LLAMA}[kind], **options}


def public(kind: str, **options: Any) -> Any:
    """Hugging Face's, with weights that are large enough to have opinions."""
    ends = {"bos_token_id": 0, "eos_token_id": EOS}
    arguments = {"pad_token_id": PAD if kind == "GPT2" else None, **ends, **sizes(kind, **options)}
    config = getattr(transformers, f"{kind}Config")(**arguments)
    torch.manual_seed(0)
    name = getattr(scratch.models, kind).architecture
    return moved(getattr(transformers, name)(config).double()).eval()


def moved(model: Any) -> Any:
    """Away from its start; the row of a padding token too."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.4 * torch.randn_like(parameter)
    return model


def both(kind: str, directory: Path) -> tuple[Any, Any]:
    """The twins, from a checkpoint."""
    ours = getattr(scratch.models, kind).from_pretrained(directory, dtype=np.float64)
    return ours, getattr(torch_ref.models, kind).from_pretrained(directory, dtype=torch.float64)


def pair(kind: str, **options: Any) -> tuple[Any, Any]:
    """The twins, with the same weights."""
    torch.manual_seed(0)
    theirs = moved(built(torch_ref, kind, **sizes(kind, **options)).double()).eval()
    ours = built(scratch, kind, **sizes(kind, **options)).to(np.float64).eval()
    ours.load_state_dict(twin.arrays(theirs.state_dict()))
    return ours, theirs


def logits_of(model: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
    """Those of any torch model."""
    found = model(*args, **kwargs)
    return found if isinstance(found, torch.Tensor) else found.logits


# Beside transformers


@pytest.mark.parametrize(("kind", "options"), OPTIONS, ids=str)
def test_a_public_checkpoint_is_read(kind: str, options: dict[str, Any], tmp_path: Path) -> None:
    """Logits, and each parameter's gradient of a text's cross entropy."""
    oracle = public(kind, **options)
    oracle.save_pretrained(tmp_path)
    ours, theirs = both(kind, tmp_path)
    labels = np.where(RIGHT == 1, IDS, -100)[:, 1:]
    expected = {}
    for model in (oracle, theirs):
        names = [name for name, _ in model.named_parameters()]
        logits = logits_of(model, torch.from_numpy(IDS), attention_mask=torch.from_numpy(RIGHT))
        targets = torch.from_numpy(labels).flatten()
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), targets)
        found = torch.autograd.grad(loss, list(model.parameters()))
        gradients = dict(zip(names, map(twin.numpy, found), strict=True))
        expected[model] = twin.numpy(logits)[RIGHT == 1], gradients

    logits, model_back = ours(IDS, RIGHT)
    rows = logits[:, :-1].reshape(labels.size, -1)
    _, loss_back = F.cross_entropy(rows, labels.ravel())
    dlogits = np.zeros_like(logits)
    dlogits[:, :-1] = loss_back().reshape(logits[:, :-1].shape)
    model_back(dlogits)
    mine = {name: p.grad for name, p in ours.named_parameters()}
    for values, gradients in expected.values():
        assert list(gradients) == list(mine)
        comparisons = [close("logits", logits[RIGHT == 1], values, c=1000)]
        comparisons += [close(n, mine[n], g, c=1000) for n, g in gradients.items()]
        assert not [str(c) for c in comparisons if not c.passed]


@pytest.mark.parametrize(("kind", "options"), OPTIONS, ids=str)
def test_transformers_reads_what_is_saved(
    kind: str, options: dict[str, Any], tmp_path: Path
) -> None:
    """By either twin: no name too few, none too many, the same logits; padding on the left."""
    ours, theirs = pair(kind, **options)
    positions = np.maximum(LEFT.cumsum(1) - 1, 0)
    expected, _ = ours(IDS, LEFT, position_ids=positions)
    for model in (ours, theirs):
        model.save_pretrained(tmp_path)
        read, report = getattr(transformers, ours.architecture).from_pretrained(
            tmp_path, dtype=torch.float64, output_loading_info=True
        )
        assert not any(report.values()), report
        logits = logits_of(
            read.eval(),
            torch.from_numpy(IDS),
            attention_mask=torch.from_numpy(LEFT),
            position_ids=torch.from_numpy(positions),
        )
        assert close("logits", expected[LEFT == 1], twin.numpy(logits)[LEFT == 1], c=1000).passed
        assert both(kind, tmp_path)[0].config == ours.config


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("beams", [1, 3])
def test_generation_is_transformers(kind: str, beams: int, tmp_path: Path) -> None:
    """Greedy and by beam search, with a cache; also where prompts differ in length."""
    oracle = public(kind)
    oracle.save_pretrained(tmp_path)
    ours, theirs = both(kind, tmp_path)
    for mask in (np.ones_like(LEFT), LEFT):
        expected = oracle.generate(
            torch.from_numpy(IDS),
            attention_mask=torch.from_numpy(mask),
            do_sample=False,
            num_beams=beams,
            max_new_tokens=9,
            pad_token_id=PAD,
            eos_token_id=EOS,
        ).numpy()
        for package, model, make in ((scratch, ours, np.array), (torch_ref, theirs, torch.tensor)):
            ids, cache = make(IDS), model.padded(make(mask))
            if beams == 1:
                found = package.generation.generate(
                    model.step, ids, 9, eos=EOS, pad=PAD, cache=cache
                )
            else:
                found = package.generation.beam_search(
                    model.step, ids, beams, 9, EOS, pad=PAD, cache=cache
                ).sequences[:, 0]
            n = expected.shape[1]
            np.testing.assert_array_equal(np.asarray(found)[:, :n], expected)
            assert (np.asarray(found)[:, n:] == PAD).all()


# With a cache and without


def whole(model: Any) -> Callable[[Any], Any]:
    """Logits of all positions, as arrays or tensors."""
    if isinstance(model, torch.nn.Module):
        return torch.no_grad()(model)
    return lambda ids: model(ids)[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("package", [scratch, torch_ref], ids=["scratch", "torch_ref"])
def test_a_cache_changes_nothing(kind: str, package: Any) -> None:
    """Greedy, drawn, and by beam search: the same tokens."""
    model = pair(kind)[package is torch_ref]
    ids: Any = IDS if package is scratch else torch.from_numpy(IDS)
    without = package.generation.without_cache(whole(model))
    draws = [{}, {"temperature": 0.7, "k": 4}, {"temperature": 1.5, "p": 0.8}]
    results = []
    for step in (model.step, without):
        found = [package.generation.generate(step, ids, 12)]
        for way in draws:
            seed = Generator(3) if package is scratch else torch.Generator().manual_seed(3)
            choose = functools.partial(package.generation.sample, **way, generator=seed)
            found.append(package.generation.generate(step, ids, 12, choose, eos=EOS))
        beams = package.generation.beam_search(step, ids, 3, 8, EOS)
        results.append([*found, beams.sequences])
    for cached, plain in zip(*results, strict=True):
        np.testing.assert_array_equal(np.asarray(cached), np.asarray(plain))


@pytest.mark.parametrize("kind", KINDS)
def test_both_draw_the_same_text(kind: str) -> None:
    """From the same seed."""
    if not same_waits():
        return
    ours, theirs = pair(kind)
    choose = functools.partial(scratch.generation.sample, p=0.9, generator=Generator(1))
    found = scratch.generation.generate(ours.step, IDS, 20, choose)
    seed = torch.Generator().manual_seed(1)
    other = functools.partial(torch_ref.generation.sample, p=0.9, generator=seed)
    expected = torch_ref.generation.generate(theirs.step, torch.from_numpy(IDS), 20, other)
    np.testing.assert_array_equal(found, expected.numpy())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("pieces", [[9], [6, 3], [6, 1, 1, 1], [7, 2]], ids=str)
def test_pieces_are_the_whole(kind: str, padded: bool, pieces: list[int]) -> None:
    """A text of nine tokens given in pieces, in both packages; padding on the left, or none."""
    ours, theirs = pair(kind)
    ids = np.concatenate([IDS, IDS[::-1, 1:4]], 1)
    options, cache, other = {}, None, None
    if padded:
        mask = np.concatenate([LEFT, np.ones((2, 3), int)], 1)
        options = {"attention_mask": mask, "position_ids": np.maximum(mask.cumsum(1) - 1, 0)}
        cache, other = ours.padded(LEFT), theirs.padded(torch.from_numpy(LEFT))
    expected, _ = ours(ids, **options)
    end = 0
    for n in pieces:
        piece, end = ids[:, end : end + n], end + n
        logits, cache = ours.step(piece, cache)
        tensor, other = theirs.step(torch.from_numpy(piece), other)
        assert close("logits", logits, expected[:, end - 1], c=1000).passed
        assert close("logits", logits, tensor.numpy(), c=1000).passed


@pytest.mark.parametrize("kind", KINDS)
def test_padding_is_not_looked_at(kind: str) -> None:
    """On either side: the tokens' logits are those without it, whatever stands there."""
    ours, _ = pair(kind)
    short = IDS[1:, :4]
    alone, _ = ours(short)
    for mask, place in ((RIGHT, slice(0, 4)), (LEFT, slice(2, 6))):
        for filler in (0, 7):
            ids = np.full_like(IDS, filler)
            ids[0], ids[1, place] = IDS[0], short[0]
            positions = np.maximum(mask.cumsum(1) - 1, 0)
            logits, _ = ours(ids, mask, position_ids=positions)
            assert close("logits", logits[1, place], alone[0], c=1000).passed


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_batch(kind: str) -> None:
    ours, theirs = pair(kind)
    ids = IDS[:0]
    logits, back = ours(ids)
    assert logits.shape == theirs(torch.from_numpy(ids)).shape == (0, 6, 11)
    back(logits)
    assert not any(p.grad.any() for p in ours.parameters())
    assert ours.step(ids)[0].shape == (0, 11)


# Starts


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tied", [True, False])
def test_both_start_alike(kind: str, tied: bool) -> None:
    """The same seed, the same weights, as far as both draw normal numbers alike."""
    torch.manual_seed(2)
    options = sizes(kind, tie_word_embeddings=tied, **PADDING[kind])
    theirs = built(torch_ref, kind, **options)
    models = scratch.models
    config = getattr(models, f"{kind}Config")(**options)
    ours = getattr(models, kind)(config, generator=Generator(2))
    for name, value in twin.arrays(theirs.state_dict()).items():
        np.testing.assert_allclose(ours.state_dict()[name], value, atol=1e-6)
    if kind == "Llama":
        embedding = ours.model.embed_tokens.weight.data
        np.testing.assert_array_equal(np.flatnonzero(~embedding.any(1)), [3])


@pytest.mark.parametrize("kind", KINDS)
def test_the_start_is_transformers(kind: str) -> None:
    """Standard deviations and constants of each parameter, by name."""
    width = {"GPT2": "n_embd", "Llama": "hidden_size"}[kind]
    options = sizes(kind, **PADDING[kind], **{width: 48}, initializer_range=0.3)
    config = getattr(transformers, f"{kind}Config")(**options)
    expected = getattr(transformers, getattr(scratch.models, kind).architecture)(config)
    state = {name: value.numpy() for name, value in expected.state_dict().items()}
    for package in (scratch, torch_ref):
        found = built(package, kind, **options).state_dict()
        for name, value in found.items():
            array, reference = np.asarray(value), state[name]
            if reference.std() == 0:
                np.testing.assert_array_equal(array, reference)
            else:
                spread = reference.std() * 4 / math.sqrt(reference.size)
                assert abs(array.std() - reference.std()) < spread, name
                assert abs(array.mean()) < spread


# Training


@pytest.mark.parametrize(("kind", "steps"), [("GPT2", 300), ("Llama", 100)])
def test_training_is_the_same(kind: str, steps: int) -> None:
    """AdamW and clipping on text: losses and parameters at the level of rounding."""
    text = python_reference(20_000)
    ids = Vocabulary.of(text).encode(text)
    options = {
        "GPT2": {"n_positions": 32, "n_embd": 32, "n_head": 4},
        "Llama": {"hidden_size": 32, "intermediate_size": 48, "head_dim": 8},
    }[kind]
    options = sizes(kind, **options, vocab_size=int(ids.max()) + 1)
    torch.manual_seed(0)
    theirs = built(torch_ref, kind, **options).double()
    ours = built(scratch, kind, **options).to(np.float64)
    ours.load_state_dict(twin.arrays(theirs.state_dict()))
    arguments: dict[str, Any] = {"lr": 3e-3, "betas": (0.9, 0.95), "weight_decay": 0.1}
    optimizer = scratch.optim.AdamW(ours.parameters(), **arguments)
    reference = torch.optim.AdamW(theirs.parameters(), **arguments)
    first, drift, losses = largest(theirs), 0.0, []
    rng = np.random.default_rng(0)
    for _ in range(steps):
        starts = rng.integers(0, len(ids) - 33, 8)
        batch = np.stack([ids[i : i + 33] for i in starts])
        x, y = batch[:, :-1], batch[:, 1:].ravel()
        loss, expected = _step(ours, optimizer, x, y), _torch_step(theirs, reference, x, y)
        drift = max(drift, abs(loss - expected) / expected)
        losses.append(loss)
    assert drift < 1e-11
    if kind == "GPT2":
        for block in (*ours.transformer.h, *theirs.transformer.h):
            bias = block.attn.c_attn.bias.data
            keys = bias[len(bias) // 3 : 2 * len(bias) // 3]
            assert abs(keys).max() < 1e-10  # their gradient is 0 but for rounding
            keys[:] = 0
    assert parameter_drift(ours, theirs, first) < 1e-11
    assert np.mean(losses[-10:]) < 0.8 * losses[0]


def _step(model: Any, optimizer: Any, x: Array, y: Array) -> float:
    logits, model_back = model(x)
    loss, loss_back = F.cross_entropy(logits.reshape(y.size, -1), y)
    optimizer.zero_grad()
    model_back(loss_back().reshape(logits.shape))
    clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return float(loss)


def _torch_step(model: Any, optimizer: Any, x: Array, y: Array) -> float:
    logits = model(torch.from_numpy(x)).flatten(0, 1)
    loss: Any = torch.nn.functional.cross_entropy(logits, torch.from_numpy(y))
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return float(loss.detach())
