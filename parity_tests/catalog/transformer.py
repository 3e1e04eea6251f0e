"""The Transformer and its layers."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from parity_tests.catalog.recurrent import scales, start_of, torch_start_of
from parity_tests.harness.draw import Array, Draw
from parity_tests.harness.entry import Call, Case, Entry, Layer, Op, Refusal, const
from scratch import nn

VASWANI = "Vaswani et al. 2017, arXiv:1706.03762"
XIONG = "Xiong et al. 2020, arXiv:2002.04745"
D, HEADS, WIDE, BATCH, LENGTH, MEMORY = 4, 2, 7, 2, 3, 5
# Norms of four features cancel: dn - mean dn - n mean (dn n), over sqrt(v + eps).
CANCELS = 10.0


def sequences(
    *lengths: int, batched: bool = True, batch_first: bool = False, scale: float = 1.0, **masks: Any
) -> Callable[[Draw], Call]:
    """Sequences of such lengths; masks are constants."""

    def make(d: Draw) -> Call:
        axes = [(BATCH, n) if batch_first else (n, BATCH) for n in lengths]
        shapes = [(*a, D) if batched else (n, D) for a, n in zip(axes, lengths, strict=True)]
        given = {
            k: const(d.array(m)) if isinstance(m, np.ndarray) and m.dtype.kind == "f" else m
            for k, m in masks.items()
        }
        return Call(*(d.normal(*shape, scale=scale) for shape in shapes), **given)

    return make


def behind(length: int) -> Array:
    """The last place of the second sequence is padding."""
    return np.arange(length) >= np.array([[length], [length - 1]])


CAUSAL = np.triu(np.full((LENGTH, LENGTH), -np.inf), 1)
LOOK = ~np.tri(LENGTH, MEMORY, 1, dtype=bool)


def case(name: str, make: Callable[[Draw], Call], *init: Any, **options: Any) -> Case:
    """A case of layers that do not drop, unless `seeded`."""
    seeded = bool(options.pop("seeded", False))
    cancels = options.pop("cancels", CANCELS)
    call = Call(*init, **{"dropout": 0.3 if seeded else 0.0, **options})
    return Case(name, make, call, seeded=seeded, cancels=cancels, output_cancels=1.0)


ONE, TWO = sequences(LENGTH), sequences(LENGTH, MEMORY)
SIZES = (D, HEADS, WIDE)
ENCODER_CASES = (
    case("norm last", ONE, *SIZES),
    case("norm first", ONE, *SIZES, norm_first=True),
    case("gelu", ONE, *SIZES, activation="gelu"),
    case("no bias", ONE, *SIZES, bias=False),
    case("batch first", sequences(LENGTH, batch_first=True), *SIZES, batch_first=True),
    case("no batch", sequences(LENGTH, batched=False), *SIZES),
    case("small, large eps", sequences(LENGTH, scale=0.01), *SIZES, layer_norm_eps=0.1),
    case("causal", sequences(LENGTH, src_mask=CAUSAL, is_causal=True), *SIZES),
    case(
        "masked",
        sequences(LENGTH, src_mask=CAUSAL, src_key_padding_mask=behind(LENGTH)),
        *SIZES,
        norm_first=True,
    ),
    case("padding", sequences(LENGTH, src_key_padding_mask=behind(LENGTH)), *SIZES),
    case("dropout", ONE, *SIZES, seeded=True),
    case("dropout, norm first", ONE, *SIZES, norm_first=True, seeded=True),
)
DECODER_CASES = (
    case("norm last", TWO, *SIZES),
    case("norm first", TWO, *SIZES, norm_first=True),
    case("gelu", TWO, *SIZES, activation="gelu"),
    case("no bias", TWO, *SIZES, bias=False),
    case("batch first", sequences(LENGTH, MEMORY, batch_first=True), *SIZES, batch_first=True),
    case("no batch", sequences(LENGTH, MEMORY, batched=False), *SIZES),
    case("small, large eps", sequences(LENGTH, MEMORY, scale=0.01), *SIZES, layer_norm_eps=0.1),
    case(
        "masked",
        sequences(
            LENGTH,
            MEMORY,
            tgt_mask=CAUSAL,
            memory_mask=LOOK,
            tgt_key_padding_mask=behind(LENGTH),
            memory_key_padding_mask=behind(MEMORY),
        ),
        *SIZES,
    ),
    case(
        "causal",
        sequences(LENGTH, MEMORY, tgt_mask=CAUSAL, tgt_is_causal=True),
        *SIZES,
        norm_first=True,
    ),
    case("dropout", TWO, *SIZES, seeded=True),
    case("dropout, norm first", TWO, *SIZES, norm_first=True, seeded=True),
)


def stacked(side: Any, kind: str) -> Callable[..., Any]:
    """Encoder or decoder of layers that it builds itself, of either side."""

    def make(number: int, normed: bool, *sizes: Any, **options: Any) -> Any:
        layer = getattr(side, f"Transformer{kind}Layer")(*sizes, **options)
        norm = side.LayerNorm(D) if normed else None
        more = {"enable_nested_tensor": False} if kind == "Encoder" else {}
        return getattr(side, f"Transformer{kind}")(layer, number, norm, **more)

    return make


def stack_cases(make: Any, mask: str, padding: str) -> tuple[Case, ...]:
    """Two layers, with a final norm and without; no layer at all."""
    return (
        case("two layers", make(), 2, False, *SIZES),
        case("final norm", make(**{mask: CAUSAL}), 2, True, *SIZES, norm_first=True),
        case("padding", make(**{padding: behind(LENGTH)}), 2, True, *SIZES, activation="gelu"),
        case("bool mask", make(**{mask: CAUSAL < 0}), 1, True, *SIZES, bias=False),
        case("dropout", make(), 2, True, *SIZES, seeded=True),
    )


WHOLE = (D, HEADS, 1, 1, WIDE)  # stacks of two layers have entries of their own
STARTS: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("TransformerEncoderLayer", SIZES),
    ("TransformerDecoderLayer", SIZES),
    ("Transformer", WHOLE),
)


def deep(name: str, ours: Any, theirs: Any, cases: Any, source: str) -> Layer:
    """An entry of a network whose key biases have gradients of rounding alone, so without steps."""
    return Layer(name, ours, theirs, cases, source, c=1000, steps=False)


ENTRIES: list[Entry] = [
    deep(
        "TransformerEncoderLayer",
        nn.TransformerEncoderLayer,
        torch.nn.TransformerEncoderLayer,
        ENCODER_CASES,
        VASWANI + ", section 3.1; " + XIONG,
    ),
    deep(
        "TransformerDecoderLayer",
        nn.TransformerDecoderLayer,
        torch.nn.TransformerDecoderLayer,
        DECODER_CASES,
        VASWANI + ", section 3.1; " + XIONG,
    ),
    deep(
        "TransformerEncoder",
        stacked(nn, "Encoder"),
        stacked(torch.nn, "Encoder"),
        stack_cases(partial(sequences, LENGTH), "mask", "src_key_padding_mask"),
        VASWANI + ", section 3.1",
    ),
    deep(
        "TransformerDecoder",
        stacked(nn, "Decoder"),
        stacked(torch.nn, "Decoder"),
        stack_cases(partial(sequences, LENGTH, MEMORY), "tgt_mask", "tgt_key_padding_mask"),
        VASWANI + ", section 3.1",
    ),
    deep(
        "Transformer",
        nn.Transformer,
        torch.nn.Transformer,
        (
            case("masked", sequences(MEMORY, LENGTH, tgt_mask=CAUSAL), *WHOLE),
            case(
                "norm first",
                sequences(MEMORY, LENGTH, batch_first=True, src_key_padding_mask=behind(MEMORY)),
                *WHOLE,
                norm_first=True,
                batch_first=True,
            ),
            case("dropout", sequences(MEMORY, LENGTH), *WHOLE, seeded=True),
        ),
        VASWANI + ", figure 1",
    ),
    *(
        Op(
            f"{layer} start",
            start_of(layer, *sizes),
            torch_start_of(layer, *sizes),
            (Case("seed 0", partial(scales, layer, sizes, {})),),
            "torch's start",
        )
        for layer, sizes in STARTS
    ),
]

X = np.full((LENGTH, BATCH, D), 0.1)
LIBRARY: Any = nn
SIDE = {"dtype": np.float64}


def whole(*inputs: Any, **options: Any) -> Callable[[], Any]:
    """A call of a small Transformer."""
    return lambda: LIBRARY.Transformer(*WHOLE, **SIDE)(*inputs, **options)


LAYERS = ("TransformerEncoderLayer", "TransformerDecoderLayer")
WRONG: dict[str, Callable[[], Any]] = {
    "TransformerEncoder: layer": lambda: LIBRARY.TransformerEncoder("layer", 2),
    "TransformerEncoder: number": lambda: LIBRARY.TransformerEncoder(nn.Linear(2, 2), 1.5),
    "TransformerEncoder: norm": lambda: LIBRARY.TransformerEncoder(nn.Linear(2, 2), 1, "norm"),
    "TransformerDecoder: layer": lambda: LIBRARY.TransformerDecoder(None, 2),
    "TransformerDecoder: number": lambda: LIBRARY.TransformerDecoder(nn.Linear(2, 2), -1),
    "Transformer: custom_encoder": lambda: LIBRARY.Transformer(*WHOLE, custom_encoder="e"),
    "Transformer: features of src": whole(X[..., :3], X),
    "Transformer: features of tgt": whole(X, X[..., :3]),
    "Transformer: axes of src": whole(X[None], X),
    "Transformer: batches": whole(X, X[:, :1]),
    "Transformer: integer src": whole(np.ones(X.shape, int), X),
    "Transformer.generate_square_subsequent_mask: sz": lambda: (
        LIBRARY.Transformer.generate_square_subsequent_mask(-1)
    ),
    "Transformer.generate_square_subsequent_mask: dtype": lambda: (
        LIBRARY.Transformer.generate_square_subsequent_mask(2, np.int64)
    ),
    "TransformerEncoder: is_causal": lambda: LIBRARY.TransformerEncoder(
        nn.TransformerEncoderLayer(*SIZES), 1
    )(X, is_causal="yes"),
}
REFUSALS = [Refusal(what, call, what.split(":")[0]) for what, call in WRONG.items()]
REFUSALS += [
    Refusal(f"{layer}: {what}", partial(getattr(LIBRARY, layer), *SIZES[:2], **wrong), layer)
    for layer in LAYERS
    for what, wrong in (
        ("dim_feedforward", {"dim_feedforward": 0}),
        ("norm_first", {"norm_first": "yes"}),
        ("activation", {"activation": "tanh"}),
        ("generator", {"generator": 1}),
    )
]
