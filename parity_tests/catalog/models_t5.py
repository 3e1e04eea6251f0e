"""T5: text to text."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import scratch.models
import torch_ref.models
from parity_tests.harness.draw import Array, Draw
from parity_tests.harness.entry import Call, Case, Entry, Layer, Refusal, Routine

T5 = "Raffel et al. 2020, arXiv:1910.10683, section 2.1"
SMALL: dict[str, Any] = {
    "vocab_size": 11,
    "d_model": 6,
    "d_kv": 4,
    "d_ff": 7,
    "num_layers": 2,
    "num_heads": 2,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 6,
    "dropout_rate": 0.0,
}
V11: dict[str, Any] = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}


def built(kind: Any) -> Callable[..., Any]:
    """Makes a model of either package from the fields of its configuration."""
    return lambda **options: kind(kind.config_class(**{**SMALL, **options}))


def texts(d: Draw) -> Call:
    """Two sources of nine tokens, targets of seven."""
    return Call(d.integers(0, 11, 2, 9), decoder_input_ids=d.integers(0, 11, 2, 7))


def padded(d: Draw) -> Call:
    """Three sources, padded on the right, not, and on the left; a padded target."""
    source, target = np.ones((3, 9), int), np.ones((3, 5), bool)
    source[0, 4:] = source[2, :3] = 0
    target[1, 3:] = False
    return Call(d.integers(0, 11, 3, 9), source, d.integers(0, 11, 3, 5), target)


def empty(d: Draw) -> Call:
    """A source of which nothing is seen: cross-attention adds nothing."""
    source = np.ones((2, 4), int)
    source[0] = 0
    return Call(d.integers(0, 11, 2, 4), source, d.integers(0, 11, 2, 3))


def alone(d: Draw) -> Call:
    """A target of one token: all the weight of its self-attention is on it."""
    return Call(d.integers(0, 11, 1, 2), None, d.integers(0, 11, 1, 1))


def model(kind: Any, side: Any, d: Draw, **options: Any) -> Any:
    """A model of either package with weights of its own; tied arrays are one."""
    made = built(kind)(**options).eval()
    values = {n: d.normal(*v.shape, scale=0.5) for n, v in made.state_dict().items()}
    values |= {name: values[source] for name, source in made.tied().items()}
    return side.set(made, values)


def array(value: Any) -> Array:
    """As an array, of either package's."""
    found: Array = value.detach().numpy() if hasattr(value, "detach") else value
    return found


KINDS: tuple[dict[str, Any], ...] = ({}, V11, {"num_decoder_layers": 3})
SEEN = np.array([[1, 1, 0, 0, 0], [1, 1, 1, 1, 1], [0, 0, 1, 1, 1]])


def encoded(kind: Any, side: Any, d: Draw) -> dict[str, Any]:
    """The memory, with and without a mask."""
    found = {}
    for k, options in enumerate(KINDS):
        made, ids = model(kind, side, d, **options), side.array(d.integers(0, 11, 3, 5))
        for masks in ((), (side.array(SEEN),)):
            memory = made.encode(ids, *masks)
            found[f"{k}, {len(masks)}"] = memory.detach() if side.is_torch else memory[0]
    return found


def stepped(kind: Any, side: Any, d: Draw) -> dict[str, Any]:
    """Logits of three tokens at once, of two, of one and one more, and what is kept of them."""
    found: dict[str, Any] = {}
    for k, options in enumerate(KINDS):
        made = model(kind, side, d, **options)
        source, ids = d.integers(0, 11, 3, 5), d.integers(0, 11, 3, 7)
        for masks in ((), (side.array(SEEN),)):
            cache = made.start(side.array(source), *masks)
            for start, end in ((0, 3), (3, 5), (5, 6), (6, 7)):
                logits, cache = made.step(side.array(ids[:, start:end]), cache)
                found[f"{k}, {len(masks)}: {end}"] = array(logits)
            for i, kept in enumerate(cache[1]):
                for j, part in enumerate(kept):
                    found[f"{k}, {len(masks)}: block {i}, {j}"] = array(part)
    return found


def shifted(kind: Any, side: Any, d: Draw) -> dict[str, Any]:
    """With another start than padding, too; -100 is in it."""
    labels = d.integers(0, 11, 3, 5)
    labels[0, 2:] = labels[1, 0] = -100
    found = {}
    for start in (None, 7):
        made = built(kind)(pad_token_id=3, decoder_start_token_id=start)
        found[str(start)] = made.shift_right(side.array(labels))
        found[f"{start}, one"] = made.shift_right(side.array(labels[:, :1]))
    return found


def filled(kind: Any, side: Any, d: Draw) -> dict[str, Any]:
    """What stands for the fields that are left out, and the way back from a dict."""
    found = {}
    ways: tuple[dict[str, Any], ...] = (
        {},
        V11,
        {"num_decoder_layers": 2, "decoder_start_token_id": 5},
        {"scale_decoder_outputs": False, "pad_token_id": 4},
    )
    for k, options in enumerate(ways):
        fields = kind(**options).to_dict()
        assert kind.from_dict({**fields, "unknown": 1}).to_dict() == fields
        numbers = {n: v for n, v in fields.items() if isinstance(v, bool | int | float)}
        found[f"{k}, names"] = np.array([len(name) for name in fields])
        found[f"{k}, numbers"] = np.array(list(numbers.values()), float)
    return found


TRAIN, EVAL = ("train",), ("eval",)
ENTRIES: list[Entry] = [
    Layer(
        "T5",
        built(scratch.models.T5),
        built(torch_ref.models.T5),
        source=T5 + "; gates: Shazeer 2020, arXiv:2002.05202",
        c=1000,
        differences=False,  # of two blocks: below, of one each
        steps=False,  # so far down that rounding grows: test_t5 has steps at a rate that suits it
        cases=(
            Case("padding on either side", padded, modes=TRAIN),
            Case("GEGLU, a head of its own", padded, init=Call(**V11), modes=TRAIN),
            Case(
                "silu, eps, a start of its own",
                texts,
                init=Call(
                    feed_forward_proj="gated-silu", layer_norm_epsilon=0.1, initializer_factor=0.5
                ),
                modes=EVAL,
            ),
            Case(
                "gelu, three decoder blocks",
                texts,
                init=Call(feed_forward_proj="gelu", num_layers=1, num_decoder_layers=3),
                modes=EVAL,
            ),
            Case(
                "a head that is tied and not scaled, three heads",
                texts,
                init=Call(scale_decoder_outputs=False, num_heads=3, num_layers=1),
                modes=EVAL,
            ),
            Case("nothing of a source is seen", empty, init=Call(num_layers=1), modes=EVAL),
            Case(
                "one token",
                alone,
                init=Call(num_layers=1),
                modes=EVAL,
                zero=tuple(
                    f"decoder.block.0.layer.0.SelfAttention.{name}.weight"
                    for name in ("q", "k", "relative_attention_bias")
                ),
            ),
            Case(
                "dropout",
                padded,
                init=Call(dropout_rate=0.3, feed_forward_proj="gated-relu", num_layers=1),
                seeded=True,
                modes=TRAIN,
            ),
        ),
    ),
    Layer(
        "T5, a block each",
        built(scratch.models.T5),
        built(torch_ref.models.T5),
        source=T5,
        c=1000,
        steps=False,
        cases=(
            Case("T5", padded, init=Call(num_layers=1), modes=EVAL),
            Case("T5 1.1", texts, init=Call(num_layers=1, **V11), modes=EVAL),
        ),
    ),
    Routine(
        "T5Config",
        scratch.models.T5Config,
        torch_ref.models.T5Config,
        {"fields": filled},
        source=T5,
    ),
    Routine(
        "T5.encode",
        scratch.models.T5,
        torch_ref.models.T5,
        {"memories": encoded},
        source=T5,
        c=1000,
    ),
    Routine(
        "T5.step", scratch.models.T5, torch_ref.models.T5, {"steps": stepped}, source=T5, c=1000
    ),
    Routine(
        "T5.shift_right", scratch.models.T5, torch_ref.models.T5, {"labels": shifted}, source=T5
    ),
]

Config: Any = scratch.models.T5Config
Model: Any = scratch.models.T5
IDS, TARGET = np.array([[3, 4, 5], [6, 1, 0]]), np.array([[0, 3], [0, 4]])


def called(**wrong: Any) -> Callable[[], Any]:
    """A forward with one argument replaced."""
    right = {"input_ids": IDS, "attention_mask": None, "decoder_input_ids": TARGET}
    return lambda: Model(Config(**SMALL))(**{**right, **wrong})


WRONG: dict[str, dict[str, Any]] = {
    "no tokens": {"vocab_size": 0},
    "half a feature": {"d_model": 6.5},
    "no features of a head": {"d_kv": 0},
    "no features inside": {"d_ff": 0},
    "no blocks": {"num_layers": 0},
    "no decoder": {"num_decoder_layers": 0},
    "no heads": {"num_heads": 0},
    "buckets that do not halve twice": {"relative_attention_num_buckets": 6},
    "nothing to widen": {"relative_attention_max_distance": 4},
    "dropout": {"dropout_rate": 1.5},
    "eps below 0": {"layer_norm_epsilon": -1e-6},
    "factor": {"initializer_factor": "one"},
    "unknown activation": {"feed_forward_proj": "swiglu"},
    "gated twice": {"feed_forward_proj": "gated-gated-relu"},
    "tied a word": {"tie_word_embeddings": "yes"},
    "scaled a word": {"scale_decoder_outputs": "yes"},
    "padding below 0": {"pad_token_id": -1},
    "start below 0": {"decoder_start_token_id": -1},
}
REFUSALS = [
    Refusal(f"T5Config: {what}", partial(Config, **{**SMALL, **wrong}), "T5Config")
    for what, wrong in WRONG.items()
]
REFUSALS += [
    Refusal("T5: list of tokens", called(input_ids=IDS.tolist()), "T5"),
    Refusal("T5: floating tokens", called(input_ids=IDS / 2), "T5"),
    Refusal("T5: one text without its axis", called(input_ids=IDS[0]), "T5"),
    Refusal("T5: no tokens", called(input_ids=IDS[:, :0]), "T5"),
    Refusal("T5: no target", called(decoder_input_ids=None), "T5"),
    Refusal("T5: rows of the target", called(decoder_input_ids=TARGET[:1]), "T5"),
    Refusal("T5: no step", called(decoder_input_ids=TARGET[:, :0]), "T5"),
    Refusal("T5: floating mask", called(attention_mask=np.ones((2, 3))), "T5"),
    Refusal("T5: shape of the mask", called(attention_mask=np.ones((2, 2), int)), "T5"),
    Refusal(
        "T5: shape of the target's mask", called(decoder_attention_mask=np.ones((2, 3), int)), "T5"
    ),
    Refusal("T5: a token that is none", called(input_ids=IDS + 8), "embedding"),
    Refusal("T5: a target that is none", called(decoder_input_ids=TARGET - 1), "embedding"),
    Refusal("T5.encode: floating", lambda: Model(Config(**SMALL)).encode(IDS / 2), "T5"),
    Refusal("T5.start: mask", lambda: Model(Config(**SMALL)).start(IDS, IDS[:, :2]), "T5"),
    Refusal(
        "T5.step: another batch",
        lambda: Model(Config(**SMALL)).step(TARGET[:1], Model(Config(**SMALL)).start(IDS)),
        "T5",
    ),
    Refusal(
        "T5.step: floating",
        lambda: Model(Config(**SMALL)).step(TARGET / 2, Model(Config(**SMALL)).start(IDS)),
        "T5",
    ),
    Refusal("T5.shift_right: floating", lambda: Model(Config(**SMALL)).shift_right(IDS / 2), "T5"),
    Refusal("T5.shift_right: one axis", lambda: Model(Config(**SMALL)).shift_right(IDS[0]), "T5"),
]
