"""BERT against Hugging Face's, over files in both directions; hidden words; training."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import datasets
import scratch.models
import scratch.optim
import torch_ref.models
from parity_tests.harness import twin
from parity_tests.harness.compare import close
from parity_tests.harness.draw import Array
from scratch.nn import functional as F
from scratch.random import Generator

SIZES: dict[str, Any] = {
    "vocab_size": 13,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 9,
}
CLASSES = {
    "BERT": transformers.BertForPreTraining,
    "BertClassifier": transformers.BertForSequenceClassification,
    "BertTagger": transformers.BertForTokenClassification,
    "BertQA": transformers.BertForQuestionAnswering,
}
OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("BERT", {}),
    ("BERT", {"hidden_act": "gelu_new", "layer_norm_eps": 1e-3, "type_vocab_size": 3}),
    ("BERT", {"tie_word_embeddings": False, "pad_token_id": None}),
    ("BertClassifier", {"num_labels": 3, "hidden_act": "relu", "num_attention_heads": 4}),
    ("BertClassifier", {"id2label": {0: "only"}, "pad_token_id": 12}),
    ("BertTagger", {"num_labels": 5, "hidden_act": "silu"}),
    ("BertQA", {"initializer_range": 0.5}),
)


def published(name: str, directory: Path, **options: Any) -> Any:
    """A model of Hugging Face's with weights of its own, and its files."""
    torch.manual_seed(3)
    model: Any = CLASSES[name](transformers.BertConfig(**SIZES | options))
    model = model.double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    model.save_pretrained(directory)
    return model


def asked(seed: int = 0) -> dict[str, Array]:
    """Three padded pairs of segments."""
    rng = np.random.default_rng(seed)
    mask = (np.arange(7) < np.array([7, 3, 5])[:, None]).astype(np.int64)
    ids = rng.integers(1, 13, (3, 7)) * mask
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": rng.integers(0, 2, (3, 7))}


def read_back(kind: Any, directory: Path) -> Any:
    """Hugging Face's model of the files, in which it misses nothing and finds nothing else."""
    model, loading = kind.from_pretrained(directory, output_loading_info=True, dtype=torch.float64)
    assert not any(loading[k] for k in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    return model


def same_weights(reference: Any, read: Any) -> None:
    """Bit for bit; outputs are not where the file's tensors lie at other addresses."""
    expected = reference.state_dict()
    found = read.state_dict()
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert torch.equal(value, expected[name]), name


def tensors(call: dict[str, Array]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in call.items()}


def ours(name: str, directory: Path, **options: Any) -> Any:
    return getattr(scratch.models, name).from_pretrained(directory, dtype=np.float64, **options)


def theirs(name: str, directory: Path, **options: Any) -> Any:
    model = getattr(torch_ref.models, name)
    return model.from_pretrained(directory, dtype=torch.float64, **options)


def agree(what: str, mine: Any, reference: Array) -> None:
    """To rounding; a key's bias has no gradient but rounding, so 1 is the least scale."""
    compared = close(what, mine, reference, c=1000, at_least=1.0)
    assert compared.passed, str(compared)


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_outputs_and_gradients_are_hugging_faces(
    name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    reference = published(name, tmp_path, **options)
    call, rng = asked(), np.random.default_rng(1)
    expected = reference(**tensors(call)).to_tuple()
    dys = [rng.standard_normal(y.shape) for y in expected]
    torch.autograd.backward(expected, [torch.from_numpy(dy) for dy in dys])
    gradients = {n: p.grad for n, p in reference.named_parameters()}

    model, twins = ours(name, tmp_path), theirs(name, tmp_path)
    outputs, backward = model(**call)
    backward(*dys)
    others = twins(**tensors(call))
    torch.autograd.backward(others, [torch.from_numpy(dy) for dy in dys])
    for y, z, t in zip(*map(twin.as_tuple, (outputs, others)), expected, strict=True):
        agree("output", y, twin.numpy(t))
        agree("torch_ref's output", twin.numpy(z), twin.numpy(t))
    assert list(model.state_dict()) == list(reference.state_dict()) == list(twins.state_dict())
    found = {n: p.grad for n, p in model.named_parameters()}
    others = {n: p.grad for n, p in twins.named_parameters()}
    assert found.keys() == gradients.keys() == others.keys()
    for n, g in gradients.items():
        if g is None:  # the bias beside an untied decoder
            assert n == "cls.predictions.bias" and found[n] is None and others[n] is None
            continue
        agree(n, found[n], twin.numpy(g))
        agree(f"torch_ref's {n}", twin.numpy(others[n]), twin.numpy(g))


@pytest.mark.parametrize(("name", "options"), OPTIONS[1:4])
@pytest.mark.parametrize("side", [ours, theirs])
def test_hugging_face_reads_ours(
    side: Any, name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    reference = published(name, tmp_path / "a", **options)
    side(name, tmp_path / "a").save_pretrained(tmp_path / "b")
    read = read_back(CLASSES[name], tmp_path / "b")
    pairs = (model(**tensors(asked())).to_tuple() for model in (reference, read))
    same_weights(reference, read)
    for a, b in zip(*pairs, strict=True):
        agree("output", twin.numpy(b), twin.numpy(a))


@pytest.mark.parametrize("side", [ours, theirs])
def test_a_pretrained_trunk_under_a_fresh_head(side: Any, tmp_path: Path) -> None:
    reference = published("BERT", tmp_path).state_dict()
    for name in ("BertClassifier", "BertTagger", "BertQA"):
        with pytest.raises(ValueError, match=r"cls\.predictions"):
            side(name, tmp_path)
        model = side(name, tmp_path, strict=False).state_dict()
        for key, value in model.items():
            value = np.asarray(value)
            if key.startswith("bert."):
                assert np.array_equal(value, twin.numpy(reference[key]))
            else:  # as it starts
                assert np.all(value == 0) if key.endswith("bias") else 0 < value.std() < 0.05


@pytest.mark.parametrize("side", [ours, theirs])
def test_files_of_old(side: Any, tmp_path: Path) -> None:
    """gamma and beta for the norms, and the positions, which are no weights."""
    reference = published("BERT", tmp_path)
    path = tmp_path / "model.safetensors"
    old = {
        n.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): t
        for n, t in load_file(path).items()
    }
    old["bert.embeddings.position_ids"] = torch.arange(9)[None]
    save_file(old, path)
    found = side("BERT", tmp_path).state_dict()
    assert all(
        np.array_equal(np.asarray(found[n]), twin.numpy(t))
        for n, t in reference.state_dict().items()
    )


@pytest.mark.parametrize("field", ["is_decoder", "add_cross_attention"])
@pytest.mark.parametrize("package", [scratch.models, torch_ref.models])
def test_a_decoder_is_refused(package: Any, field: str) -> None:
    with pytest.raises(ValueError, match=rf"^BertConfig: expected .*{field}"):
        package.BertConfig(**{field: True})


def test_the_start_is_hugging_faces() -> None:
    """Normal weights, biases of 0, gains of 1, a padding row of 0; tied arrays are one."""
    options = SIZES | {"hidden_size": 64, "vocab_size": 300}
    reference = transformers.BertForPreTraining(transformers.BertConfig(**options))
    starts = [
        scratch.models.BERT(
            scratch.models.BertConfig(**options), generator=Generator(1)
        ).state_dict(),
        twin.arrays(torch_ref.models.BERT(torch_ref.models.BertConfig(**options)).state_dict()),
    ]
    for name, value in twin.arrays(reference.state_dict()).items():
        for start in starts:
            if value.std() == 0:
                assert np.array_equal(start[name], value), name
            else:
                spread = 4 / np.sqrt(2 * value.size)
                assert abs(start[name].std() / 0.02 - 1) < spread + 0.01, name
    for start in starts:
        assert not start["bert.embeddings.word_embeddings.weight"][0].any()


# Pretraining


def test_hidden_words() -> None:
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 1000, (400, 500))
    before = ids.copy()
    read, labels = datasets.masked_words(ids, 1000, 3, rng, special=(0, 1, 2))
    assert np.array_equal(ids, before) and read.dtype == labels.dtype == np.int64
    chosen = labels != -100
    assert np.array_equal(labels[chosen], ids[chosen])
    assert np.array_equal(read[~chosen], ids[~chosen])
    assert not np.isin(ids[chosen], (0, 1, 2)).any()
    n = chosen.sum()
    assert abs(n / np.count_nonzero(ids > 2) - 0.15) < 4 * np.sqrt(0.15 * 0.85 / ids.size)
    masked = (read == 3) & chosen & (ids != 3)
    same = (read == ids) & chosen
    for share, expected in ((masked, 0.8), (same, 0.1), (chosen & ~masked & ~same, 0.1)):
        assert abs(share.sum() / n - expected) < 5 * np.sqrt(expected * (1 - expected) / n) + 2e-3
    others = read[chosen & ~masked & ~same]
    assert abs(others.mean() - 499.5) < 5 * 289 / np.sqrt(others.size)  # all of the vocabulary
    for rate, count in ((0.0, 0), (1.0, ids.size)):
        _, labels = datasets.masked_words(ids, 1000, 3, rng, rate=rate)
        assert (labels != -100).sum() == count
    a, b = (datasets.masked_words(ids, 1000, 3, np.random.default_rng(5))[0] for _ in range(2))
    assert np.array_equal(a, b)


def test_twenty_steps_of_pretraining() -> None:
    """Hidden words and next sentences, AdamW, both twins from one start: the same losses."""
    torch.manual_seed(0)
    options = SIZES | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    reference = torch_ref.models.BERT(torch_ref.models.BertConfig(**options)).double()
    model = scratch.models.BERT(scratch.models.BertConfig(**options), dtype=np.float64)
    model.load_state_dict(twin.arrays(reference.state_dict()))
    optimizer = scratch.optim.AdamW(model.parameters(), lr=0.01)
    other = torch.optim.AdamW(reference.parameters(), lr=0.01)
    call, rng = asked(), np.random.default_rng(2)
    follows = np.array([0, 1, 0])
    losses = []
    for _ in range(20):
        read, labels = datasets.masked_words(call["input_ids"], 13, 12, rng, rate=0.4, special=(0,))
        batch = call | {"input_ids": read}
        (words, second), backward = model(**batch)
        mlm, words_back = F.cross_entropy(words.reshape(-1, 13), labels.ravel(), ignore_index=-100)
        nsp, second_back = F.cross_entropy(second, follows)
        model.zero_grad()
        backward(words_back(1.0).reshape(words.shape), second_back(1.0))
        optimizer.step()

        w, s = reference(**tensors(batch))
        loss = torch.nn.functional.cross_entropy(
            w.flatten(0, 1), torch.from_numpy(labels).flatten(), ignore_index=-100
        ) + torch.nn.functional.cross_entropy(s, torch.from_numpy(follows))
        other.zero_grad()
        torch.autograd.backward(loss)
        other.step()
        losses.append((float(mlm + nsp), loss.item()))
    a, b = np.array(losses).T
    np.testing.assert_allclose(a, b, rtol=1e-11)
    assert a[-5:].mean() < 0.8 * a[:5].mean()
