"""The Transformer of 2017, from a sequence to another."""

from collections.abc import Callable
from typing import Any

import numpy as np

import scratch.models
import torch_ref.models
from parity_tests.harness.draw import Draw
from parity_tests.harness.entry import Call, Case, Entry, Layer, Refusal, Routine

VASWANI = "Vaswani et al. 2017, arXiv:1706.03762"
LENGTHS = np.array([3, 6, 1])


def sized(d_model: int = 8, nhead: int = 2, layers: int = 2, **options: Any) -> Call:
    """Seven source tokens, nine target tokens, or nine of both where they are shared."""
    own = {"dropout": 0.0, "dim_feedforward": 10, **options}
    return Call(9 if own.get("shared") else 7, 9, d_model, nhead, layers, layers, **own)


def pairs(d: Draw) -> Call:
    """Three sources of up to six tokens, targets of five."""
    return Call(d.integers(0, 7, 3, 6), LENGTHS, d.integers(0, 9, 3, 5))


def padded(d: Draw) -> Call:
    """Ends that are found by their padding, 2; one source has some in its midst."""
    source = d.integers(3, 7, 3, 6)
    source[0, 3:] = source[2, 5:] = source[2, 2] = 2
    return Call(source, None, d.integers(0, 9, 3, 5))


def whole(d: Draw) -> Call:
    """Nothing is padding."""
    return Call(d.integers(1, 7, 2, 4), None, d.integers(0, 9, 2, 6))


def alone(d: Draw) -> Call:
    """A target of one token."""
    return Call(d.integers(0, 7, 2, 3), np.array([3, 2]), d.integers(0, 9, 2, 1))


def single(d: Draw) -> Call:
    """One pair: with more, torch draws the masks of its transposed arrays in another order."""
    return Call(d.integers(0, 7, 1, 6), np.array([4]), d.integers(0, 9, 1, 5))


def model(kind: Any, side: Any, d: Draw, **options: Any) -> tuple[Any, list[Any]]:
    """A model of either package, whose last token matters as much as the source; two arrays."""
    call = sized(**options)
    made = kind(*call.args, **call.kwargs).eval()
    values = {}
    for name, value in made.state_dict().items():
        scale = 1.0 if "embedding" in name or name == "output.weight" else 0.3
        values[name] = d.normal(*value.shape, scale=scale) + (".norm" in name)
    if options.get("shared"):
        values |= dict.fromkeys(
            (f"{name}_embedding.weight" for name in ("source", "target")), values["output.weight"]
        )
    made = side.set(made, values)
    return made, [side.array(d.integers(0, 7, 3, 6)), side.array(LENGTHS)]


def flat(rows: list[list[int]]) -> dict[str, Any]:
    """All tokens in a row, and how many each text has."""
    tokens = np.array([i for text in rows for i in text], int)
    return {"": tokens, ", lengths": np.array(list(map(len, rows)))}


KINDS: tuple[dict[str, Any], ...] = ({}, {"shared": True, "layers": 1}, {"nhead": 4})


def plain(side: Any, value: Any) -> Any:
    """Without its graph."""
    return value.detach() if side.is_torch else value


def encoded(kind: Any, side: Any, d: Draw) -> dict[str, Any]:
    """The memory, where it is of tokens: elsewhere it is not read."""
    found = {}
    there = np.arange(6) < LENGTHS[:, None]
    for k, options in enumerate(KINDS):
        made, source = model(kind, side, d, **options)
        memory = made.encode(*source)
        memory = memory if side.is_torch else memory[0]
        found[str(k)] = plain(side, memory)[side.array(there)]
    return found


def stepped(kind: Any, side: Any, d: Draw) -> dict[str, Any]:
    """Logits of two tokens at once, of two more, and of one."""
    found = {}
    for k, options in enumerate(KINDS):
        made, source = model(kind, side, d, **options)
        ids = side.array(d.integers(0, 9, 3, 5))
        cache = made.start(*source)
        for start, end in ((0, 2), (2, 4), (4, 5)):
            logits, cache = made.step(ids[:, start:end], cache)
            found[f"{k}: {end}"] = plain(side, logits)
        for i, layer in enumerate(cache[1]):
            found |= {f"{k}: {i}, {j}": plain(side, part) for j, part in enumerate(layer[:2])}
    return found


def greedy(kind: Any, side: Any, d: Draw) -> dict[str, Any]:
    """Texts that end by <eos>, here 2, or are cut."""
    found: dict[str, Any] = {}
    for k, options in enumerate(KINDS):
        made, source = model(kind, side, d, **options)
        texts = flat(made.greedy(*source, 1, 2, 8))
        found |= {f"{k}{what}": value for what, value in texts.items()}
    return found


def beams(kind: Any, side: Any, d: Draw) -> dict[str, Any]:
    """Narrow and wide, with and without a penalty."""
    found: dict[str, Any] = {}
    for k, options in enumerate(KINDS):
        made, source = model(kind, side, d, **options)
        for search in ({}, {"width": 1}, {"width": 3, "alpha": 0.0}):
            texts, scores = made.beam_search(*source, 1, 2, 6, **search)
            name = f"{k}, {search}"
            found |= {f"{name}{what}": value for what, value in flat(texts).items()}
            found[f"{name}, scores"] = scores
    return found


def looks(kind: Any, side: Any, d: Draw) -> dict[str, Any]:
    """Of each layer and head."""
    found = {}
    for k, options in enumerate(KINDS):
        made, source = model(kind, side, d, **options)
        found[str(k)] = made.attention_maps(*source, side.array(d.integers(0, 9, 3, 5)))
    return found


ENTRIES: list[Entry] = [
    Layer(
        "models.Transformer",
        scratch.models.Transformer,
        torch_ref.models.Transformer,
        source=VASWANI + ", section 3",
        c=1000,
        differences=False,  # of two layers: below, of one
        steps=False,  # test_transformer has steps, on a loss that does not fall without bound
        cases=(
            Case("lengths", pairs, init=sized(), modes=("train",)),
            Case("padding", padded, init=sized(pad=2, nhead=4), modes=("eval",)),
            Case("whole, shared", whole, init=sized(shared=True), modes=("train",)),
            Case("odd number of features", pairs, init=sized(d_model=9, nhead=3), modes=("eval",)),
            Case(
                "one token",
                alone,
                init=sized(layers=1),
                modes=("eval",),
            ),
            Case(
                "dropout",
                single,
                init=sized(dropout=0.3, layers=1),
                seeded=True,
                modes=("train",),
            ),
        ),
    ),
    Layer(
        "models.Transformer, a layer each",
        scratch.models.Transformer,
        torch_ref.models.Transformer,
        source=VASWANI + ", section 3",
        c=1000,
        steps=False,
        cases=(Case("shared", pairs, init=sized(layers=1, shared=True), modes=("eval",)),),
    ),
    *(
        Routine(
            f"models.Transformer.{name}",
            scratch.models.Transformer,
            torch_ref.models.Transformer,
            {name: script},
            source=f"{VASWANI}, section {section}",
            c=1000,
        )
        for name, script, section in (
            ("encode", encoded, "3.1"),
            ("step", stepped, "3.1"),
            ("greedy", greedy, "6.1"),
            ("beam_search", beams, "6.1"),
            ("attention_maps", looks, "3.2.3"),
        )
    ),
]

Model: Any = scratch.models.Transformer
SOURCE, TARGET = np.array([[3, 4, 5], [6, 1, 0]]), np.array([[1, 3], [1, 4]])


def tiny() -> Any:
    return Model(7, 9, 4, 2, 1, 1, 6)


def called(**wrong: Any) -> Callable[[], Any]:
    """A forward with one argument replaced."""
    right = {"source": SOURCE, "source_lengths": np.array([3, 2]), "target_in": TARGET}
    return lambda: tiny()(**{**right, **wrong})


def searched(name: str, **wrong: Any) -> Callable[[], Any]:
    """A search with one argument replaced."""
    right = {"source": SOURCE, "source_lengths": None, "bos": 1, "eos": 2, "max_length": 4}
    return lambda: getattr(tiny(), name)(**{**right, **wrong})


REFUSALS = [
    Refusal("Transformer: no source tokens", lambda: Model(0, 5), "Transformer"),
    Refusal("Transformer: no target tokens", lambda: Model(5, 0), "Transformer"),
    Refusal("Transformer: half a feature", lambda: Model(5, 5, 2.5), "Transformer"),
    Refusal("Transformer: heads", lambda: Model(5, 5, 4, 3), "MultiheadAttention"),
    Refusal("Transformer: no encoder", lambda: Model(5, 5, 4, 2, 0), "Transformer"),
    Refusal("Transformer: no decoder", lambda: Model(5, 5, 4, 2, 1, 0), "Transformer"),
    Refusal("Transformer: shared a word", lambda: Model(5, 5, 4, 2, shared="yes"), "Transformer"),
    Refusal("Transformer: two to be shared", lambda: Model(5, 6, 4, shared=True), "Transformer"),
    Refusal("Transformer: padding below 0", lambda: Model(5, 5, 4, 2, pad=-1), "Transformer"),
    Refusal("Transformer: list of tokens", called(source=SOURCE.tolist()), "Transformer"),
    Refusal("Transformer: floating tokens", called(source=SOURCE / 2), "Transformer"),
    Refusal("Transformer: one text without its axis", called(source=SOURCE[0]), "Transformer"),
    Refusal("Transformer: no steps", called(target_in=TARGET[:, :0]), "Transformer"),
    Refusal("Transformer: rows of the target", called(target_in=TARGET[:1]), "Transformer"),
    Refusal("Transformer: a length of 0", called(source_lengths=np.array([3, 0])), "Transformer"),
    Refusal("Transformer: a length beyond", called(source_lengths=np.array([4, 2])), "Transformer"),
    Refusal("Transformer: number of lengths", called(source_lengths=np.array([3])), "Transformer"),
    Refusal("Transformer: list of lengths", called(source_lengths=[3, 2]), "Transformer"),
    Refusal(
        "Transformer: padding only", called(source=SOURCE * 0, source_lengths=None), "Transformer"
    ),
    Refusal("Transformer: a token that is none", called(source=SOURCE + 1), "embedding"),
    Refusal("Transformer: a target that is none", called(target_in=TARGET + 6), "embedding"),
    Refusal("Transformer.encode: floating", lambda: tiny().encode(SOURCE / 2), "Transformer"),
    Refusal(
        "Transformer.step: another batch",
        lambda: tiny().step(TARGET[:1], tiny().start(SOURCE)),
        "Transformer",
    ),
    Refusal("Transformer.greedy: steps", searched("greedy", max_length=-1), "generate"),
    Refusal("Transformer.greedy: eos", searched("greedy", eos=0.5), "generate"),
    Refusal("Transformer.beam_search: width", searched("beam_search", width=0), "beam_search"),
    Refusal("Transformer.beam_search: alpha", searched("beam_search", alpha="long"), "wu_penalty"),
    Refusal(
        "Transformer.attention_maps: rows of the target",
        lambda: tiny().attention_maps(SOURCE, None, TARGET[:1]),
        "Transformer",
    ),
]
