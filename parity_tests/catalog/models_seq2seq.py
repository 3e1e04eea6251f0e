"""Attention over a sequence's places, and the translator that is made of it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import scratch.models
import torch_ref.models
import torch_ref.nn.additive_attention
import torch_ref.nn.multiplicative_attention
from parity_tests.harness.draw import Array, Draw
from parity_tests.harness.entry import Call, Case, Entry, Layer, Op, Refusal, Routine, unchecked
from scratch import nn
from scratch.nn import functional as F

BAHDANAU = "Bahdanau, Cho & Bengio 2015, arXiv:1409.0473"
LUONG = "Luong, Pham & Manning 2015, arXiv:1508.04025"
SUTSKEVER = "Sutskever, Vinyals & Le 2014, arXiv:1409.3215; Wu et al. 2016, arXiv:1609.08144"


def behind(lengths: Any, steps: int) -> Array:
    """True behind each sequence's end."""
    return np.arange(steps) >= np.asarray(lengths)[:, None]


def additive(d: Draw, batch: int, steps: int, places: int, *, scale: float = 1.0) -> list[Array]:
    """Queries and keys of five features, values of four, v."""
    return [
        d.normal(batch, steps, 5, scale=scale),
        d.normal(batch, places, 5, scale=scale),
        d.normal(batch, places, 4),
        d.normal(5, scale=scale),
    ]


def products(d: Draw, batch: int, steps: int, places: int, *, scale: float = 1.0) -> list[Array]:
    """The same without v."""
    return additive(d, batch, steps, places, scale=scale)[:3]


def scores(
    draw: Callable[..., list[Array]], one: tuple[str, ...], cancels: float = 0.0
) -> tuple[Case, ...]:
    """The cases of an attention function; `one` is without effect where there is one key."""
    padded = behind([4, 1, 3], 4)
    return (
        Case("whole", lambda d: Call(*draw(d, 3, 2, 4))),
        Case("padded", lambda d: Call(*draw(d, 3, 2, 4), padded)),
        Case("one query", lambda d: Call(*draw(d, 3, 1, 4), key_padding_mask=padded)),
        Case("gaps", lambda d: Call(*draw(d, 2, 3, 5), np.eye(5, dtype=bool)[[0, 3]])),
        Case("one key", lambda d: Call(*draw(d, 2, 3, 1)), zero=one),
        Case("saturated", lambda d: Call(*draw(d, 3, 2, 4, scale=4.0))),
        Case("small", lambda d: Call(*draw(d, 3, 2, 4, scale=1e-3), padded), cancels=cancels),
        Case("no rows", lambda d: Call(*draw(d, 0, 2, 4)), zero=(*one, "value")),
        Case("no queries", lambda d: Call(*draw(d, 2, 0, 4)), zero=(*one, "value")),
    )


def memories(d: Draw, query: int, memory: int, masked: bool = True) -> Call:
    """Two queries to each of three memories of up to four places."""
    mask = (behind([2, 4, 1], 4),) if masked else ()
    return Call(d.normal(3, 2, query), d.normal(3, 4, memory), *mask)


LENGTHS = np.array([3, 6, 1, 4])


def pairs(d: Draw) -> Call:
    """Four sources of up to six tokens, targets of five."""
    return Call(d.integers(0, 7, 4, 6), LENGTHS, d.integers(0, 5, 4, 5))


def alone(d: Draw) -> Call:
    """One source of one token, a target of one."""
    return Call(d.integers(0, 7, 1, 1), np.array([1]), d.integers(0, 5, 1, 1))


def longer(d: Draw) -> Call:
    """Two sources, and more padding than the longest needs."""
    return Call(d.integers(0, 7, 2, 5), np.array([3, 2]), d.integers(0, 5, 2, 3))


def options(**kwargs: Any) -> Call:
    """Seven source tokens, five target tokens, embeddings of 4, states of 6."""
    return Call(7, 5, 4, 6, **kwargs)


def model(kind: Any, side: Any, d: Draw, **kwargs: Any) -> tuple[Any, list[Any]]:
    """A model of either package with weights of its own, large enough to matter; two arrays."""
    made = kind(7, 9, 4, 6, **kwargs)
    shapes = {name: value.shape for name, value in made.state_dict().items()}
    made = side.set(made, {name: d.normal(*shape) for name, shape in shapes.items()})
    return made, [side.array(d.integers(0, 7, 4, 6)), side.array(LENGTHS)]


def flat(texts: list[list[int]]) -> tuple[Array, Array]:
    """All tokens in a row, and how many each text has."""
    return np.array([i for text in texts for i in text], int), np.array(list(map(len, texts)))


KINDS: tuple[dict[str, Any], ...] = (
    {},
    {"attention": "general", "cell": "lstm"},
    {"attention": "dot", "bidirectional": False},
    {"attention": None, "cell": "lstm"},
)


def greedy(function: Any, side: Any, d: Draw) -> dict[str, Any]:
    """Texts that end by <eos>, here 2, or are cut."""
    found = {}
    for k, kind in enumerate(KINDS):
        made, source = model(function, side, d, **kind)
        for most in (1, 8):
            found[f"{k}: {most}"], found[f"{k}: {most}, lengths"] = flat(
                made.greedy(*source, 1, 2, most)
            )
    return found


def beams(function: Any, side: Any, d: Draw) -> dict[str, Any]:
    """Narrow and wide, more hypotheses than there are tokens, with and without a penalty."""
    found: dict[str, Any] = {}
    for k, kind in enumerate(KINDS):
        made, source = model(function, side, d, **kind)
        for width, penalty in ((1, 0.0), (3, 0.0), (7, 0.0), (3, 0.6), (4, 2.0)):
            texts, scores = made.beam_search(*source, 1, 2, 6, width, length_penalty=penalty)
            what = f"{k}: {width}, {penalty}"
            found[what], found[f"{what}, lengths"] = flat(texts)
            found[f"{what}, log p"] = scores
    return found


def looks(function: Any, side: Any, d: Draw) -> dict[str, Any]:
    """Where each kind looks; over one place without attention."""
    found = {}
    for k, kind in enumerate(KINDS):
        made, source = model(function, side, d, **kind)
        weights = made.alignment(*source, side.array(d.integers(0, 9, 4, 5)))
        found[str(k)] = weights.detach() if side.is_torch else weights
    return found


ENTRIES: list[Entry] = [
    Op(
        "additive_attention",
        F.additive_attention,
        torch_ref.nn.additive_attention.additive_attention,
        source=BAHDANAU + ", section A.1.2",
        cases=scores(additive, ("query", "key", "weight"), cancels=1e-3),
    ),
    Op(
        "multiplicative_attention",
        F.multiplicative_attention,
        torch_ref.nn.multiplicative_attention.multiplicative_attention,
        source=LUONG + ", equations 7 and 8",
        cases=scores(products, ("query", "key")),
    ),
    Layer(
        "AdditiveAttention",
        nn.AdditiveAttention,
        torch_ref.nn.additive_attention.AdditiveAttention,
        source=BAHDANAU + ", section A.1.2",
        cases=(
            Case("masked", lambda d: memories(d, 3, 5), init=Call(3, 5, 4)),
            Case("whole", lambda d: memories(d, 2, 2, False), init=Call(2, 2, 3)),
        ),
    ),
    Layer(
        "MultiplicativeAttention",
        nn.MultiplicativeAttention,
        torch_ref.nn.multiplicative_attention.MultiplicativeAttention,
        source=LUONG + ", equations 7 and 8",
        cases=(
            Case("general", lambda d: memories(d, 3, 5), init=Call(3, 5)),
            Case("square", lambda d: memories(d, 3, 3), init=Call(3, 3)),
            Case("dot", lambda d: memories(d, 3, 3), init=Call(3, 3, score="dot")),
            Case("whole", lambda d: memories(d, 3, 2, False), init=Call(3, 2, "general")),
        ),
    ),
    Layer(
        "Seq2Seq",
        scratch.models.Seq2Seq,
        torch_ref.models.Seq2Seq,
        source=BAHDANAU,
        c=1000,
        cases=(
            Case("additive", pairs, init=options(attention_size=3), modes=("train",)),
            Case(
                "general, LSTM",
                pairs,
                init=options(cell="lstm", attention="general"),
                modes=("train",),
            ),
            Case(
                "dot, one direction",
                longer,
                init=options(attention="dot", bidirectional=False),
                modes=("eval",),
            ),
            Case("without", pairs, init=options(attention=None), modes=("train",)),
            Case(
                "one token",
                alone,
                init=options(cell="lstm"),
                zero=(
                    "encoder.rnn.weight_hh_l0",
                    "encoder.rnn.weight_hh_l0_reverse",
                    "decoder.attention.weight",
                    "decoder.attention.query.weight",
                    "decoder.attention.key.weight",
                ),
                modes=("eval",),
            ),
        ),
    ),
    Routine(
        "Seq2Seq.greedy",
        scratch.models.Seq2Seq,
        torch_ref.models.Seq2Seq,
        {"greedy": greedy},
        source=SUTSKEVER,
    ),
    Routine(
        "Seq2Seq.beam_search",
        scratch.models.Seq2Seq,
        torch_ref.models.Seq2Seq,
        {"beam search": beams},
        source=SUTSKEVER,
    ),
    Routine(
        "Seq2Seq.alignment",
        scratch.models.Seq2Seq,
        torch_ref.models.Seq2Seq,
        {"alignment": looks},
        source=BAHDANAU + ", figure 3",
    ),
]

Q, K, V = np.full((2, 1, 3), 0.1), np.full((2, 4, 3), 0.2), np.full((2, 4, 5), 0.3)
W, MASK = np.full(3, 0.4), behind([4, 2], 4)
WRONG: dict[str, dict[str, Any]] = {
    "query of two axes": {"query": Q[:, 0]},
    "batch of keys": {"key": K[:1]},
    "features of keys": {"key": K[:, :, :2]},
    "number of values": {"value": V[:, :3]},
    "no keys": {"key": K[:, :0], "value": V[:, :0]},
    "integer query": {"query": np.ones((2, 1, 3), int)},
    "dtype of keys": {"key": K.astype(np.float32)},
    "dtype of values": {"value": V.astype(np.float32)},
    "integer mask": {"key_padding_mask": MASK.astype(int)},
    "list as mask": {"key_padding_mask": MASK.tolist()},
    "shape of mask": {"key_padding_mask": MASK[:, :3]},
}
REFUSALS = [
    Refusal(f"{name}: {what}", partial(function, **{**right, **wrong}), name)
    for name, function, right in (
        (
            "additive_attention",
            F.additive_attention,
            {"query": Q, "key": K, "value": V, "weight": W},
        ),
        (
            "multiplicative_attention",
            F.multiplicative_attention,
            {"query": Q, "key": K, "value": V},
        ),
    )
    for what, wrong in WRONG.items()
]
Model: Any = scratch.models.Seq2Seq
SOURCE, TARGET = np.array([[3, 4, 5], [6, 1, 0]]), np.array([[1, 3], [1, 4]])


def called(**wrong: Any) -> Callable[[], Any]:
    """A forward with one argument replaced."""
    right = {"source": SOURCE, "source_lengths": np.array([3, 2]), "target_in": TARGET}
    return lambda: Model(7, 5, 2, 4)(**{**right, **wrong})


def searched(name: str, **wrong: Any) -> Callable[[], Any]:
    """A search with one argument replaced."""
    right = {"source": SOURCE, "source_lengths": np.array([3, 2]), "bos": 1, "eos": 2}
    call = {**right, "max_length": 4, **wrong}
    return lambda: getattr(Model(7, 5, 2, 4), name)(**call)


REFUSALS += [
    Refusal(
        "additive_attention: shape of weight",
        lambda: F.additive_attention(Q, K, V, W[:2]),
        "additive_attention",
    ),
    Refusal(
        "additive_attention: dtype of weight",
        lambda: F.additive_attention(Q, K, V, W.astype(np.float32)),
        "additive_attention",
    ),
    Refusal("AdditiveAttention: query", lambda: nn.AdditiveAttention(0, 3, 4), "AdditiveAttention"),
    Refusal("AdditiveAttention: key", lambda: nn.AdditiveAttention(3, 0, 4), "AdditiveAttention"),
    Refusal(
        "AdditiveAttention: hidden",
        lambda: nn.AdditiveAttention(3, 3, unchecked(1.5)),
        "AdditiveAttention",
    ),
    Refusal(
        "MultiplicativeAttention: query",
        lambda: nn.MultiplicativeAttention(0, 3),
        "MultiplicativeAttention",
    ),
    Refusal(
        "MultiplicativeAttention: key",
        lambda: nn.MultiplicativeAttention(3, 0),
        "MultiplicativeAttention",
    ),
    Refusal(
        "MultiplicativeAttention: score",
        lambda: nn.MultiplicativeAttention(3, 3, "concat"),
        "MultiplicativeAttention",
    ),
    Refusal(
        "MultiplicativeAttention: dot of unequal sizes",
        lambda: nn.MultiplicativeAttention(3, 4, "dot"),
        "MultiplicativeAttention",
    ),
    Refusal("Seq2Seq: no source tokens", lambda: Model(0, 5), "Seq2Seq"),
    Refusal("Seq2Seq: no target tokens", lambda: Model(5, 0), "Seq2Seq"),
    Refusal("Seq2Seq: embedding", lambda: Model(5, 5, 0), "Seq2Seq"),
    Refusal("Seq2Seq: hidden", lambda: Model(5, 5, 2, 2.5), "Seq2Seq"),
    Refusal("Seq2Seq: odd for two directions", lambda: Model(5, 5, 2, 3), "Encoder"),
    Refusal("Seq2Seq: cell", lambda: Model(5, 5, 2, 4, "rnn"), "Seq2Seq"),
    Refusal("Seq2Seq: attention", lambda: Model(5, 5, 2, 4, attention="concat"), "Seq2Seq"),
    Refusal("Seq2Seq: attention_size", lambda: Model(5, 5, 2, 4, attention_size=0), "Seq2Seq"),
    Refusal("Seq2Seq: bidirectional", lambda: Model(5, 5, 2, 4, bidirectional=2), "Encoder"),
    Refusal("Seq2Seq: list of tokens", called(source=SOURCE.tolist()), "Seq2Seq"),
    Refusal("Seq2Seq: floating tokens", called(source=SOURCE / 2), "Seq2Seq"),
    Refusal("Seq2Seq: one text without its axis", called(source=SOURCE[0]), "Seq2Seq"),
    Refusal("Seq2Seq: no steps", called(target_in=TARGET[:, :0]), "Seq2Seq"),
    Refusal("Seq2Seq: floating target", called(target_in=TARGET / 2), "Seq2Seq"),
    Refusal("Seq2Seq: rows of the target", called(target_in=TARGET[:1]), "Seq2Seq"),
    Refusal("Seq2Seq: a length of 0", called(source_lengths=np.array([3, 0])), "Seq2Seq"),
    Refusal("Seq2Seq: a length beyond", called(source_lengths=np.array([4, 2])), "Seq2Seq"),
    Refusal("Seq2Seq: number of lengths", called(source_lengths=np.array([3])), "Seq2Seq"),
    Refusal("Seq2Seq: list of lengths", called(source_lengths=[3, 2]), "Seq2Seq"),
    Refusal("Seq2Seq: a token that is none", called(source=SOURCE + 1), "embedding"),
    Refusal("Seq2Seq: a target that is none", called(target_in=TARGET + 1), "embedding"),
    Refusal("Seq2Seq.greedy: steps", searched("greedy", max_length=-1), "generate"),
    Refusal("Seq2Seq.greedy: bos", searched("greedy", bos=-1), "generate"),
    Refusal("Seq2Seq.greedy: eos", searched("greedy", eos=0.5), "generate"),
    Refusal("Seq2Seq.beam_search: no steps", searched("beam_search", max_length=0), "beam_search"),
    Refusal("Seq2Seq.beam_search: width", searched("beam_search", width=0), "beam_search"),
    Refusal(
        "Seq2Seq.beam_search: length_penalty",
        searched("beam_search", length_penalty="long"),
        "beam_search",
    ),
    Refusal(
        "Seq2Seq.alignment: rows of the target",
        lambda: Model(7, 5, 2, 4).alignment(SOURCE, np.array([3, 2]), TARGET[:1]),
        "Seq2Seq",
    ),
]
