"""Character models: the network unrolled by hand, the layers over text, text drawn from them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import scratch.models
import torch_ref.models
from parity_tests.harness.draw import Array, Draw, same_draws
from parity_tests.harness.entry import Call, Case, Entry, Layer, Refusal, Routine
from scratch.models import char_rnn
from scratch.random import Generator
from torch_ref.models import char_rnn as torch_char_rnn

ELMAN = "Elman 1990, Cognitive Science 14, 'Finding structure in time'"
GRAVES = "Graves 2013, arXiv:1308.0850; Zaremba, Sutskever & Vinyals 2014, arXiv:1409.2329"


def text(*shape: int, layers: int = 0, cell: bool = False) -> Callable[[Draw], Call]:
    """Seven characters in a text of this shape, and with `layers` a state of four features."""

    def call(d: Draw) -> Call:
        ids = d.integers(0, 7, *shape)
        if not layers:
            return Call(ids)
        middle = shape[1:]
        h = d.normal(layers, *middle, 4)
        return Call(ids, (h, d.normal(layers, *middle, 4)) if cell else h)

    return call


def batch_first(d: Draw) -> Call:
    """Two texts of five characters, each a row."""
    return Call(d.integers(0, 7, 2, 5), d.normal(1, 2, 4))


def drawn(
    cell: str, temperature: float, prompt: int = 3, **options: Any
) -> Callable[..., dict[str, Any]]:
    """A script: 40 characters from a model whose logits are spread, with a seeded generator."""

    def script(function: Any, side: Any, d: Draw) -> dict[str, Any]:
        model: Any = torch_char_rnn.CharRNN if side.is_torch else char_rnn.CharRNN
        model = model(7, 4, cell=cell, **options)
        shapes = {name: value.shape for name, value in model.state_dict().items()}
        model = side.set(model, {n: d.normal(*shape) for n, shape in shapes.items()})
        seeded: Any = torch.Generator() if side.is_torch else Generator()
        seeded.manual_seed(3)
        ids = side.array(d.integers(0, 7, prompt))
        first = function(model, ids, 40, temperature, seeded)
        return {"text": first, "goes on": function(model, first, 5, temperature, seeded)}

    return script


ENTRIES: list[Entry] = [
    Layer(
        "SimpleRNN",
        scratch.models.SimpleRNN,
        torch_ref.models.SimpleRNN,
        source=ELMAN,
        cases=(
            Case("batch", lambda d: Call(d.normal(4, 2, 3)), init=Call(3, 5, 2)),
            Case(
                "a state that was carried",
                lambda d: Call(d.normal(4, 2, 3), d.normal(2, 5)),
                init=Call(3, 5, 2, 0.5),
            ),
            Case("one text", lambda d: Call(d.normal(6, 3), d.normal(5)), init=Call(3, 5, 2)),
            Case(
                "one step", lambda d: Call(d.normal(1, 2, 3)), Call(3, 4, 1), ("recurrent.weight",)
            ),
        ),
    ),
    Layer(
        "CharRNN",
        scratch.models.CharRNN,
        torch_ref.models.CharRNN,
        source=GRAVES,
        cases=(
            Case("RNN", text(5, 2), init=Call(7, 4), modes=("train",)),
            Case("RNN, carried", text(5, 2, layers=1), init=Call(7, 4), modes=("train",)),
            Case("LSTM, carried", text(5, 2, layers=1, cell=True), init=Call(7, 4, cell="LSTM")),
            Case("GRU, carried", text(5, 2, layers=1), init=Call(7, 4, cell="GRU")),
            Case("one text", text(6, layers=2), init=Call(7, 4, 2), modes=("train",)),
            Case("batch first", batch_first, init=Call(7, 4, batch_first=True), modes=("train",)),
            Case(
                "embedding, two layers",
                text(5, 2, layers=2, cell=True),
                init=Call(7, 4, 2, "LSTM", 3),
            ),
            Case("embedding, no state", text(5, 2), init=Call(7, 4, 1, "GRU", 3), modes=("train",)),
            Case("one character", text(1, 1), init=Call(7, 4), zero=("rnn.weight_hh_l0",)),
            *(
                Case("dropout", text(5, 6), init=Call(7, 4, 2, "RNN", None, 0.4), seeded=True)
                for _ in range(same_draws())
            ),
        ),
    ),
    Routine(
        "char_rnn.generate",
        char_rnn.generate,
        torch_char_rnn.generate,
        {
            "RNN": drawn("RNN", 1.0),
            "LSTM, cold": drawn("LSTM", 0.3),
            "GRU, hot": drawn("GRU", 3.0),
            "the likeliest": drawn("RNN", 0.0),
            "embedding, dropout left out": drawn("LSTM", 1.0, embedding_dim=3, dropout=0.5),
            "from one character": drawn("GRU", 1.0, prompt=1),
        },
        source=GRAVES,
    ),
]

# Without their annotations, which the refused calls do not keep to.
SimpleRNN: Any = scratch.models.SimpleRNN
CharRNN: Any = scratch.models.CharRNN
generate: Any = char_rnn.generate
IDS = np.zeros(3, np.int64)


def ones(*shape: int) -> Array:
    """Float32."""
    return np.ones(shape, np.float32)


REFUSALS = [
    Refusal("SimpleRNN: no inputs", lambda: SimpleRNN(0, 2, 3), "SimpleRNN"),
    Refusal("SimpleRNN: no state", lambda: SimpleRNN(2, 0, 3), "SimpleRNN"),
    Refusal("SimpleRNN: no outputs", lambda: SimpleRNN(2, 3, 0), "SimpleRNN"),
    Refusal("SimpleRNN: std", lambda: SimpleRNN(2, 3, 4, -1.0), "SimpleRNN"),
    Refusal("SimpleRNN: no steps", lambda: SimpleRNN(2, 3, 4)(ones(0, 1, 2)), "SimpleRNN"),
    Refusal("SimpleRNN: one vector", lambda: SimpleRNN(2, 3, 4)(ones(2)), "SimpleRNN"),
    Refusal("SimpleRNN: features", lambda: SimpleRNN(2, 3, 4)(ones(5, 1, 3)), "linear"),
    Refusal("SimpleRNN: state", lambda: SimpleRNN(2, 3, 4)(ones(5, 1, 2), ones(3)), "SimpleRNN"),
    Refusal(
        "SimpleRNN: state of float64",
        lambda: SimpleRNN(2, 3, 4)(ones(5, 2), np.ones(3)),
        "SimpleRNN",
    ),
    Refusal("CharRNN: no characters", lambda: CharRNN(0, 2), "CharRNN"),
    Refusal("CharRNN: no state", lambda: CharRNN(2, 0), "CharRNN"),
    Refusal("CharRNN: no layers", lambda: CharRNN(2, 3, 0), "CharRNN"),
    Refusal("CharRNN: cell", lambda: CharRNN(2, 3, cell="lstm"), "CharRNN"),
    Refusal("CharRNN: embedding of nothing", lambda: CharRNN(2, 3, embedding_dim=0), "CharRNN"),
    Refusal("CharRNN: dropout", lambda: CharRNN(2, 3, dropout=1.5), "CharRNN"),
    Refusal("CharRNN: one-hot of floats", lambda: CharRNN(2, 3)(ones(5, 1)), "CharRNN"),
    Refusal("CharRNN: unknown", lambda: CharRNN(2, 3)(np.array([0, 2])), "CharRNN"),
    Refusal("CharRNN: unknown row", lambda: CharRNN(2, 3, 1, "RNN", 4)(IDS - 1), "embedding"),
    Refusal("CharRNN: no text", lambda: CharRNN(2, 3)(IDS[:0]), "RNN"),
    Refusal("CharRNN: state", lambda: CharRNN(2, 3)(IDS, ones(3)), "RNN"),
    Refusal("CharRNN: state of an LSTM", lambda: CharRNN(2, 3, 1, "LSTM")(IDS, ones(1, 3)), "LSTM"),
    Refusal("generate: no prompt", lambda: generate(CharRNN(2, 3), IDS[:0], 5), "generate"),
    Refusal("generate: two prompts", lambda: generate(CharRNN(2, 3), IDS[None], 5), "generate"),
    Refusal("generate: unknown", lambda: generate(CharRNN(2, 3), IDS + 2, 5), "generate"),
    Refusal("generate: length", lambda: generate(CharRNN(2, 3), IDS, -1), "generate"),
    Refusal("generate: temperature", lambda: generate(CharRNN(2, 3), IDS, 5, -0.5), "generate"),
    Refusal("generate: NaN", lambda: generate(CharRNN(2, 3), IDS, 5, float("nan")), "generate"),
    Refusal("generate: generator", lambda: generate(CharRNN(2, 3), IDS, 5, 1.0, 0), "generate"),
]
