"""Conventions of character models: biases, where dropout goes, what a temperature does."""

from typing import Any

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from scratch.check import Array
from scratch.models import CharRNN, SimpleRNN
from scratch.models.char_rnn import draw
from scratch.nn.op import Backward
from scratch.random import Generator


class StartsFromZero(CharRNN):
    """Each chunk of a text begins with no memory of the one before."""

    def forward(self, input: Array, state: Any = None) -> tuple[Any, Backward]:
        output, back = super().forward(input)

        def backward(*gradients: Any, **options: bool) -> Any:
            back(*gradients, **options)
            if state is None:
                return None
            return tuple(map(np.zeros_like, state)) if isinstance(state, tuple) else 0 * state

        return output, backward


class DropsInput(CharRNN):
    """Dropout between layers alone, none before the linear layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        p, self.dropout.p = self.dropout.p, 0.0
        self.dropout.extra_repr = lambda: f"p={p}, inplace=False"  # type: ignore[method-assign]


class LastStep(SimpleRNN):
    """The output of the last step only is given its way back."""

    def forward(self, input: Array, state: Array | None = None) -> tuple[Any, Backward]:
        (y, h), back = super().forward(input, state)

        def backward(dy: Array | None, dstate: Array | None = None, **options: bool) -> Any:
            last = None if dy is None else np.zeros_like(dy)
            if last is not None and dy is not None:
                last[-1] = dy[-1]
            return back(last, dstate, **options)

        return (y, h), backward


class Linear(SimpleRNN):
    """The gradient at h of tanh, 1 - h, in the place of 1 - h^2."""

    def forward(self, input: Array, state: Array | None = None) -> tuple[Any, Backward]:
        (y, h), back = super().forward(input, state)

        def backward(dy: Array | None, dstate: Array | None = None, **options: bool) -> Any:
            given = None if dstate is None else dstate / (1 + h)
            return back(dy, given, **options)

        return (y, h), backward


def generating(
    carry: bool = True, times: bool = False, last_only: bool = False, train: bool = False
) -> Any:
    """`generate` with one thing done in another way."""

    def generate(
        model: CharRNN,
        prompt: Array,
        length: int,
        temperature: float = 1.0,
        generator: Generator | None = None,
    ) -> Array:
        generator = generator or Generator()
        model.train(train)
        state, drawn = None, np.empty(length, np.int64)
        ids = prompt[-1:] if last_only else prompt
        if times and temperature:
            temperature = 1 / temperature
        for i in range(length):
            (logits, state), _ = model(ids, state if carry else None)
            drawn[i] = draw(logits[-1], temperature, generator)
            ids = drawn[i : i + 1]
        return drawn

    return generate


PITFALLS = [
    Pitfall(
        "char_rnn_carries_its_state",
        "CharRNN",
        "a chunk starts from the state that is given; others: from zeros",
        StartsFromZero,
    ),
    Pitfall(
        "char_rnn_drops_before_its_head",
        "CharRNN",
        "dropout also before the linear layer (Zaremba et al.); others: as nn.LSTM, not there",
        DropsInput,
    ),
    Pitfall(
        "simple_rnn_learns_from_all_steps",
        "SimpleRNN",
        "each step's output has a gradient; others: the last one's",
        LastStep,
    ),
    Pitfall(
        "simple_rnn_state_has_a_gradient",
        "SimpleRNN",
        "the gradient of the last state goes in as it is; others: through tanh once more",
        Linear,
    ),
    Pitfall(
        "temperature_divides",
        "char_rnn.generate",
        "logits / temperature; others: logits * temperature",
        generating(times=True),
    ),
    Pitfall(
        "generate_reads_the_whole_prompt",
        "char_rnn.generate",
        "the state has seen the prompt; others: its last character",
        generating(last_only=True),
    ),
    Pitfall(
        "generate_carries_its_state",
        "char_rnn.generate",
        "each character is drawn after all before it; others: after the last one",
        generating(carry=False),
    ),
    Pitfall(
        "generate_drops_nothing",
        "char_rnn.generate",
        "evaluation mode; others: dropout goes on",
        generating(train=True),
    ),
]
