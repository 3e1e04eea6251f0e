"""Checkpoint directories: what is read, what is written, what is refused; with GPT-2."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor

import scratch.models
import torch_ref.models
from parity_tests.catalog.models_gpt import GPT2, built
from parity_tests.harness import twin
from scratch.check import Array
from scratch.random import Generator

SIDES = pytest.mark.parametrize("package", [scratch, torch_ref], ids=["scratch", "torch_ref"])
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
IDS = torch.tensor([[1, 4, 7, 3], [0, 9, 3, 3]])


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked for elsewhere, or printed."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    logging: Any = transformers.logging
    logging.set_verbosity_error()
    logging.disable_progress_bar()


def public(name: str = "GPT2LMHeadModel", **options: Any) -> Any:
    """A small one of Hugging Face's."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = transformers.GPT2Config(**{**GPT2, **options}, initializer_range=0.5)
        return getattr(transformers, name)(config).eval()


def read(package: Any, directory: Path, **options: Any) -> Any:
    """A GPT-2 of either package; `dtype` by its name."""
    if "dtype" in options:
        library = np if package is scratch else torch
        options["dtype"] = getattr(library, options["dtype"])
    return package.models.GPT2.from_pretrained(directory, **options)


def state(model: Any) -> dict[str, Array]:
    """Values by name."""
    found = model.state_dict()
    return twin.arrays(found) if isinstance(model, torch.nn.Module) else found


def same(model: Any, expected: Any) -> None:
    """The same names with the same numbers; in evaluation mode, in float32."""
    mine, theirs = state(model), state(expected)
    assert mine.keys() == theirs.keys()
    for name, value in theirs.items():
        assert mine[name].dtype == np.float32
        np.testing.assert_array_equal(mine[name], value)
    assert not model.training


def rewrite(directory: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    """The file's tensors, changed."""
    tensors = change(load_file(directory / WEIGHTS))
    save_file({n: t.contiguous() for n, t in tensors.items()}, directory / WEIGHTS)


def shard(model: Any, directory: Path) -> int:
    """In how many files it is saved."""
    model.save_pretrained(directory, max_shard_size="2KB")
    assert not (directory / WEIGHTS).exists()
    return len(list(directory.glob("model-*.safetensors")))


# What is read


@SIDES
def test_a_base_without_its_prefix(package: Any, tmp_path: Path) -> None:
    """As the public gpt2, with masks that are no weights; the head is the embedding."""
    model = public()
    model.transformer.save_pretrained(tmp_path)
    masks = {
        f"h.{i}.attn.{name}": torch.zeros(1) for i in (0, 1) for name in ("bias", "masked_bias")
    }
    rewrite(tmp_path, lambda tensors: tensors | masks)
    assert "wte.weight" in load_file(tmp_path / WEIGHTS)
    same(read(package, tmp_path), model)


@SIDES
def test_old_names_of_norms(package: Any, tmp_path: Path) -> None:
    """gamma and beta, as files from TensorFlow have them."""
    model = public()
    model.save_pretrained(tmp_path)

    def old(name: str) -> str:
        name = re.sub(r"(ln_\w)\.weight", r"\1.gamma", name)
        return re.sub(r"(ln_\w)\.bias", r"\1.beta", name)

    rewrite(tmp_path, lambda tensors: {old(n): t for n, t in tensors.items()})
    assert "transformer.ln_f.gamma" in load_file(tmp_path / WEIGHTS)
    same(read(package, tmp_path), model)


@SIDES
def test_shards(package: Any, tmp_path: Path) -> None:
    model = public()
    assert shard(model, tmp_path) > 2
    same(read(package, tmp_path), model)


@SIDES
def test_a_tied_weight_under_either_name(package: Any, tmp_path: Path) -> None:
    """Or under both; it is one in the model."""
    model = public()
    model.save_pretrained(tmp_path)
    wte, head = "transformer.wte.weight", "lm_head.weight"
    found = load_file(tmp_path / WEIGHTS)
    tensor = found.get(wte, found.get(head))
    assert tensor is not None
    for names in ((wte,), (head,), (wte, head)):
        rest = {n: t for n, t in found.items() if n not in (wte, head)}
        save_file(rest | {name: tensor.clone() for name in names}, tmp_path / WEIGHTS)
        loaded = read(package, tmp_path)
        same(loaded, model)
        assert loaded.lm_head.weight is loaded.transformer.wte.weight


@SIDES
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_numbers_are_widened_and_never_narrowed(
    package: Any, dtype: torch.dtype, tmp_path: Path
) -> None:
    model = public().to(dtype)
    model.save_pretrained(tmp_path)
    if dtype == torch.float64:
        with pytest.raises(ValueError, match="wider"):
            read(package, tmp_path)
        assert state(read(package, tmp_path, dtype="float64"))["lm_head.weight"].dtype == np.float64
    else:
        same(read(package, tmp_path), model.float())


@SIDES
def test_other_heads(package: Any, tmp_path: Path) -> None:
    """Are left out, and those that are not there keep their start, if one says so."""
    other = public("GPT2ForSequenceClassification", pad_token_id=0, tie_word_embeddings=False)
    other.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"missing lm_head.weight; unexpected score.weight"):
        read(package, tmp_path)
    loaded = state(read(package, tmp_path, strict=False))
    for name, value in twin.arrays(other.state_dict()).items():
        assert name == "score.weight" or np.array_equal(loaded.pop(name), value)
    assert list(loaded) == ["lm_head.weight"]
    assert 0.4 < loaded["lm_head.weight"].std() < 0.6


@SIDES
def test_the_base_must_be_there(package: Any, tmp_path: Path) -> None:
    """And nothing that is unknown in it, whatever is said of heads."""
    public().save_pretrained(tmp_path)
    norm = "transformer.ln_f.weight"
    for change, text in (
        (lambda t: {n: x for n, x in t.items() if n != norm}, f"missing {norm}"),
        (lambda t: t | {"transformer.ln_g.weight": torch.ones(1)}, "unexpected transformer.ln_g"),
        (lambda t: t | {norm: torch.ones(5)}, rf"{norm} of shape \(5,\) for \(6,\)"),
    ):
        before = load_file(tmp_path / WEIGHTS)
        rewrite(tmp_path, change)
        for strict in (True, False):
            with pytest.raises((ValueError, RuntimeError), match=text):
                read(package, tmp_path, strict=strict)
        save_file(before, tmp_path / WEIGHTS)


@SIDES
def test_names_have_the_prefix_or_none_has(package: Any, tmp_path: Path) -> None:
    public().save_pretrained(tmp_path)
    rewrite(tmp_path, lambda tensors: tensors | {"ln_f.weight": torch.ones(6)})
    with pytest.raises((ValueError, RuntimeError), match=r"unexpected ln_f.weight"):
        read(package, tmp_path)


@SIDES
def test_what_else_a_configuration_says_is_left_out(package: Any, tmp_path: Path) -> None:
    public().save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    values = json.loads(path.read_text())
    assert "use_cache" in values
    path.write_text(json.dumps(values | {"task_specific_params": {"length": 50}}))
    assert read(package, tmp_path).config == package.models.GPT2Config(
        **GPT2, initializer_range=0.5
    )


def test_nothing_is_drawn_for_what_is_read(tmp_path: Path) -> None:
    """Dropout alone draws, from the generator that is given."""
    built(scratch, "GPT2", **GPT2).save_pretrained(tmp_path)
    text = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(text.replace('"embd_pdrop": 0.0', '"embd_pdrop": 0.5'))
    model = read(scratch, tmp_path, generator=(source := Generator(3))).train()
    assert source.get_state() == Generator(3).get_state()
    generators = [m.generator for m in model.modules() if hasattr(m, "generator")]
    assert generators
    assert all(generator is source for generator in generators)
    first, _ = model(IDS.numpy())
    again, _ = read(scratch, tmp_path, generator=Generator(3)).train()(IDS.numpy())
    np.testing.assert_array_equal(first, again)


# What is written


@pytest.mark.parametrize("tied", [True, False])
def test_both_write_the_same(tied: bool, tmp_path: Path) -> None:
    """The same files; a tied weight once."""
    theirs = built(torch_ref, "GPT2", **GPT2, tie_word_embeddings=tied)
    ours = built(scratch, "GPT2", **GPT2, tie_word_embeddings=tied)
    ours.load_state_dict(twin.arrays(theirs.state_dict()))
    assert ours.save_pretrained(tmp_path / "ours") == tmp_path / "ours"
    theirs.save_pretrained(str(tmp_path / "a" / "theirs"))
    for name in ("config.json", WEIGHTS):
        one, other = (tmp_path / d / name for d in ("ours", "a/theirs"))
        assert sorted(os.listdir(one.parent)) == ["config.json", WEIGHTS]
        if name == WEIGHTS:
            mine, reference = load_file(one), load_file(other)
            assert mine.keys() == reference.keys()
            assert all(torch.equal(mine[n], reference[n]) for n in mine)
            assert ("lm_head.weight" in mine) is not tied
        else:
            assert one.read_text() == other.read_text()
    assert read(scratch, tmp_path / "ours").config == ours.config
    same(read(torch_ref, tmp_path / "ours"), ours)
    same(read(scratch, tmp_path / "a" / "theirs"), ours)


@SIDES
def test_shards_that_are_left_over_are_not_read(package: Any, tmp_path: Path) -> None:
    """What was saved last counts."""
    shard(public(), tmp_path)
    model = read(package, tmp_path)
    with torch.no_grad():
        model.lm_head.weight.data[:] = 2
    model.save_pretrained(tmp_path)
    assert (tmp_path / INDEX).exists()
    same(read(package, tmp_path), model)


@SIDES
def test_an_interrupted_write_leaves_the_old_files(
    package: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = built(package, "GPT2", **GPT2).eval()
    model.save_pretrained(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(handle: int) -> None:
        raise OSError("no space")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space"):
        built(package, "GPT2", **GPT2).save_pretrained(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


# What is refused


def edit(name: str, text: str) -> Callable[[Path], None]:
    """That text in that file."""
    return lambda directory: _write(directory / name, text)


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def sharded(content: Any) -> Callable[[Path], None]:
    """An index in place of the file."""

    def change(directory: Path) -> None:
        (directory / WEIGHTS).unlink()
        _write(directory / INDEX, content if isinstance(content, str) else json.dumps(content))

    return change


def cut(directory: Path) -> None:
    """The last byte is missing."""
    path = directory / WEIGHTS
    path.write_bytes(path.read_bytes()[:-1])


def without(name: str) -> Callable[[Path], None]:
    """A file is missing."""
    return lambda directory: (directory / name).unlink()


@SIDES
@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (without("config.json"), OSError, "config.json"),
        (without(WEIGHTS), OSError, r"expected model.safetensors or .*\['config.json'"),
        (cut, ValueError, "whole safetensors file"),
        (edit("config.json", "{"), ValueError, "config.json to be JSON"),
        (edit("config.json", "[]"), ValueError, "of a 'gpt2' model, got None"),
        (edit("config.json", '{"model_type": "llama"}'), ValueError, "'gpt2' model, got 'llama'"),
        (edit("config.json", "{}"), ValueError, "of a 'gpt2' model, got None"),
        (
            edit("config.json", '{"model_type": "gpt2", "activation_function": "quick_gelu"}'),
            ValueError,
            "activation_function",
        ),
        (
            edit("config.json", '{"model_type": "gpt2", "add_cross_attention": true}'),
            ValueError,
            "add_cross_attention",
        ),
        (sharded({"weight_map": {"a": "../b"}}), ValueError, "files beside it, got '../b'"),
        (sharded({"weight_map": {"a": 3}}), ValueError, "files beside it, got 3"),
        (sharded({"weight_map": {"a": "b"}}), OSError, "b"),
        (sharded({"weight_map": {}}), ValueError, "missing"),
        (sharded({"weights": {}}), ValueError, "index.json to have a weight_map"),
        (sharded([]), ValueError, "index.json to have a weight_map"),
        (sharded("{"), ValueError, "index.json to be JSON"),
    ],
    ids=range(16),
)
def test_what_is_no_checkpoint_is_refused(
    package: Any, change: Any, error: type[Exception], text: str, tmp_path: Path
) -> None:
    built(scratch, "GPT2", **GPT2).save_pretrained(tmp_path)
    change(tmp_path)
    with pytest.raises(error, match=text):
        read(package, tmp_path)
