"""Encoders as they are published: BERT with its heads, and the Vision Transformer."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import scratch.models
import torch_ref.models
from parity_tests.harness.draw import Draw
from parity_tests.harness.entry import Call, Case, Layer, Refusal, unchecked

# In float32, over 25 draws, the median error of each gradient is torch's within a third; the worst
# draws of either side have five times the median, more where the norms are over fewer features.
DEVLIN = "Devlin, Chang, Lee & Toutanova 2019, arXiv:1810.04805"
DOSOVITSKIY = "Dosovitskiy et al. 2021, arXiv:2010.11929"
LENGTHS = np.array([7, 3, 5])
PAD = "the row of the padding index gets no gradient from being read"
SMALL: dict[str, dict[str, Any]] = {
    "BertConfig": {
        "vocab_size": 11,
        "hidden_size": 12,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 15,
        "max_position_embeddings": 8,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    },
    "ViTConfig": {
        "hidden_size": 12,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 15,
        "image_size": (4, 6),
        "patch_size": (2, 3),
        "num_channels": 2,
        "num_labels": 3,
    },
}
DROPS = {"hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.3}


def built(package: Any, kind: Callable[..., Any], config: str, **options: Any) -> Any:
    """A small model of one of the two packages."""
    return kind(getattr(package, config)(**SMALL[config] | options))


def words(d: Draw, low: int = 1) -> Call:
    """Three sequences, the first of one segment; `low` 0 has padding among the words."""
    ids = d.integers(low, 11, 3, 7)
    return Call(ids, token_type_ids=np.arange(7) // np.array([[9], [2], [3]]) % 2)


def padded(d: Draw) -> Call:
    """Ends that are not seen, filled with the padding index."""
    kept = np.arange(7) < LENGTHS[:, None]
    call = words(d)
    return Call(call.args[0] * kept, kept.astype(np.int64), **call.kwargs)


def gaps(d: Draw) -> Call:
    """A bool mask with holes, and places that the caller numbers."""
    return Call(d.integers(1, 11, 2, 4), d.mask(0.7, 2, 4), None, d.integers(0, 8, 2, 4))


def bert(name: str, source: str, *cases: Case, **options: Any) -> Layer:
    """A head's entry: what all heads are compared on, and its own cases.

    A key's bias shifts all scores of a row alike, so its gradient is rounding, which ten steps with
    Adam blow up; `test_bert` trains them.
    """
    ours = partial(built, scratch.models, getattr(scratch.models, name), "BertConfig")
    theirs = partial(built, torch_ref.models, getattr(torch_ref.models, name), "BertConfig")
    shared = (
        Case("segments", words, init=Call(**options), cancels=1.0),
        Case("padded", padded, init=Call(**options), cancels=1.0, surrogate=PAD),
        Case(
            "dropout",
            padded,
            init=Call(**options, **DROPS),
            cancels=1.0,
            surrogate=PAD,
            seeded=True,
        ),
    )
    return Layer(
        name, ours, theirs, (*shared, *cases), source, c=1000, steps=False, differences=False
    )


def pictures(*shape: int) -> Callable[[Draw], Call]:
    """Two channels of noise."""
    return lambda d: Call(d.normal(3, 2, *shape))


def resized(*shape: int) -> Callable[[Draw], Call]:
    """Pictures of another size than the configuration's."""
    return lambda d: Call(d.normal(2, 2, *shape), True)


ENTRIES = [
    bert(
        "BERT",
        DEVLIN,
        Case("gaps", gaps, cancels=1.0),
        Case(
            "no padding index, ReLU",
            partial(words, low=0),
            init=Call(pad_token_id=None, hidden_act="relu", type_vocab_size=3),
            cancels=1.0,
        ),
        Case(
            "gelu_new, large epsilon",
            padded,
            init=Call(hidden_act="gelu_new", layer_norm_eps=0.1),
            cancels=1.0,
            surrogate=PAD,
        ),
    ),
    bert(
        "BertClassifier",
        f"{DEVLIN}, section 3.2",
        Case(
            "gaps, three heads", gaps, init=Call(num_attention_heads=3, num_labels=4), cancels=1.0
        ),
        Case(
            "classifier dropout",
            words,
            init=Call(classifier_dropout=0.5, id2label={0: "a"}),
            cancels=1.0,
            seeded=True,
        ),
        Case(
            "last index is padding",
            partial(words, low=0),
            init=Call(pad_token_id=10),
            cancels=1.0,
            surrogate=PAD,
        ),
        num_labels=3,
    ),
    bert("BertTagger", f"{DEVLIN}, section 5.3", num_labels=5),
    bert("BertQA", f"{DEVLIN}, section 4.2"),
    Layer(
        "ViT",
        partial(built, scratch.models, scratch.models.ViT, "ViTConfig"),
        partial(built, torch_ref.models, torch_ref.models.ViT, "ViTConfig"),
        (
            Case("2 x 2 patches", pictures(4, 6), cancels=1.0),
            Case("no biases", pictures(4, 6), init=Call(qkv_bias=False, hidden_act="silu")),
            Case("dropout", pictures(4, 6), init=Call(**DROPS), cancels=1.0, seeded=True),
            Case(
                "one channel",
                lambda d: Call(d.normal(2, 1, 3, 3)),
                init=Call(num_channels=1, image_size=3, patch_size=1, num_attention_heads=3),
                cancels=1.0,
            ),
            Case(
                "pixels beside the patches",
                pictures(5, 8),
                init=Call(image_size=[5, 8]),
                cancels=1.0,
            ),
            Case("larger", resized(8, 12), cancels=1.0),
            Case(
                "another shape", resized(6, 4), init=Call(image_size=8, patch_size=2), cancels=1.0
            ),
        ),
        DOSOVITSKIY,
        c=1000,
        steps=False,
        differences=False,
    ),
]

BertConfig: Any = scratch.models.BertConfig
ViTConfig: Any = scratch.models.ViTConfig


def ask(*args: Any, model: str = "BERT", **options: Any) -> Any:
    """Call a small BERT."""
    kind = unchecked(getattr(scratch.models, model))
    return built(scratch.models, kind, "BertConfig", **options)(*args)


def look(*args: Any, **options: Any) -> Any:
    """Call a small ViT."""
    return built(scratch.models, scratch.models.ViT, "ViTConfig", **options)(*args)


IDS, PIXELS = np.ones((2, 3), np.int64), np.ones((2, 2, 4, 6), np.float32)
REFUSALS = [
    *(
        Refusal(
            f"{config.__name__}: {name} = {value!r}",
            partial(config, **{name: value}),
            config.__name__,
        )
        for config, fields in (
            (
                BertConfig,
                (
                    ("hidden_size", 7),
                    ("hidden_size", 0),
                    ("num_hidden_layers", 0),
                    ("num_attention_heads", 5),
                    ("intermediate_size", 2.5),
                    ("hidden_act", "GELU"),
                    ("hidden_dropout_prob", 1.5),
                    ("attention_probs_dropout_prob", -0.1),
                    ("initializer_range", 0.0),
                    ("layer_norm_eps", -1e-12),
                    ("num_labels", 0),
                    ("id2label", ["a"]),
                    ("vocab_size", 0),
                    ("max_position_embeddings", 0),
                    ("type_vocab_size", 0),
                    ("pad_token_id", 30522),
                    ("classifier_dropout", 2),
                    ("tie_word_embeddings", None),
                    ("is_decoder", True),
                    ("add_cross_attention", True),
                    ("position_embedding_type", "relative_key"),
                ),
            ),
            (
                ViTConfig,
                (
                    ("image_size", 0),
                    ("image_size", (4, 4, 4)),
                    ("patch_size", 225),
                    ("num_channels", 0),
                    ("qkv_bias", 1.5),
                ),
            ),
        )
        for name, value in fields
    ),
    *(
        Refusal(
            f"{name}: no configuration", partial(unchecked(getattr(scratch.models, name)), {}), name
        )
        for name in ("BERT", "BertClassifier", "BertTagger", "BertQA", "ViT")
    ),
    Refusal("BertQA: labels", lambda: ask(IDS, model="BertQA", num_labels=3), "BertQA"),
    Refusal("BERT: ids of floats", lambda: ask(IDS * 1.0), "BERT"),
    Refusal("BERT: ids out of range", lambda: ask(IDS + 10), "BERT"),
    Refusal("BERT: negative ids", lambda: ask(-IDS), "BERT"),
    Refusal("BERT: one sequence without its axis", lambda: ask(IDS[0]), "BERT"),
    Refusal("BERT: too long", lambda: ask(np.ones((1, 9), np.int64)), "BERT"),
    Refusal("BERT: no tokens", lambda: ask(IDS[:, :0]), "BERT"),
    Refusal("BERT: mask's shape", lambda: ask(IDS, IDS[:1]), "BERT"),
    Refusal("BERT: mask's values", lambda: ask(IDS, IDS * -1), "BERT"),
    Refusal("BERT: mask of floats", lambda: ask(IDS, IDS * 1.0), "BERT"),
    Refusal("BERT: a third segment", lambda: ask(IDS, None, IDS * 2), "BERT"),
    Refusal("BERT: segments' shape", lambda: ask(IDS, None, IDS[:, :2]), "BERT"),
    Refusal("BERT: a place too far", lambda: ask(IDS, None, None, IDS * 8), "BERT"),
    Refusal("BERT: places' shape", lambda: ask(IDS, None, None, IDS[0]), "BERT"),
    Refusal("ViT: another size", lambda: look(PIXELS.swapaxes(2, 3)), "ViT"),
    Refusal("ViT: channels", lambda: look(PIXELS[:, :1]), "ViT"),
    Refusal("ViT: dtype", lambda: look(PIXELS.astype(np.float64)), "ViT"),
    Refusal("ViT: less than a patch", lambda: look(PIXELS[..., :2], True), "ViT"),
    Refusal("ViT: interpolate", lambda: look(PIXELS, "yes"), "ViT"),
]
