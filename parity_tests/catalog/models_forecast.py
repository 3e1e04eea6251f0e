"""Networks that forecast: a recurrent one, and the causal convolutions of a TCN."""

from typing import Any

import numpy as np

import scratch.models
import torch_ref.models
from parity_tests.harness.draw import same_draws
from parity_tests.harness.entry import Call, Case, Layer, Refusal
from scratch.models import tcn
from torch_ref.models import tcn as torch_tcn

BAI = "Bai, Kolter & Koltun 2018, arXiv:1803.01271"

ENTRIES = [
    Layer(
        "Chomp1d",
        tcn.Chomp1d,
        torch_tcn.Chomp1d,
        source=BAI,
        cases=(
            Case("steps", lambda d: Call(d.normal(2, 3, 7)), init=Call(2)),
            Case("one left", lambda d: Call(d.normal(3, 4)), init=Call(3)),
            Case("no rows", lambda d: Call(d.normal(0, 3, 4)), init=Call(1)),
        ),
    ),
    Layer(
        "TemporalBlock",
        tcn.TemporalBlock,
        torch_tcn.TemporalBlock,
        source=BAI + ", section 3.3",
        c=1000,
        cases=(
            Case(
                "other channels",
                lambda d: Call(d.normal(3, 3, 9)),
                init=Call(3, 5, 3, 1, 2, 4, 0.0),
                modes=("train",),
            ),
            Case(
                "as many channels",
                lambda d: Call(d.normal(2, 5, 6)),
                init=Call(5, 5, 2, 1, 1, 1),
                modes=("eval",),
            ),
            Case(
                "no batch axis",
                lambda d: Call(d.normal(4, 9)),
                init=Call(4, 6, 2, 1, 3, 3, 0.0),
                modes=("train",),
            ),
            Case(
                "shorter than the taps reach",
                lambda d: Call(d.normal(5, 3, 3)),
                init=Call(3, 6, 3, 1, 4, 8, 0.0),
                modes=("train",),
            ),
            *(
                Case(
                    "channels are dropped",
                    lambda d: Call(d.normal(5, 3, 8)),
                    init=Call(3, 6, 3, 1, 2, 4, 0.4),
                    modes=("train",),
                    seeded=True,
                )
                for _ in range(same_draws())
            ),
        ),
    ),
    Layer(
        "TemporalConvNet",
        scratch.models.TemporalConvNet,
        torch_ref.models.TemporalConvNet,
        source=BAI + ", section 3",
        c=1000,
        steps=False,
        cases=(
            Case(
                "two blocks",
                lambda d: Call(d.normal(3, 3, 9)),
                init=Call(3, (6, 5), 3),
                modes=("eval",),
            ),
            Case(
                "default taps",
                lambda d: Call(d.normal(3, 2, 9)),
                init=Call(2, [5, 5, 6], dropout=0.0),
                modes=("train",),
            ),
        ),
    ),
    Layer(
        "TCN",
        scratch.models.TCN,
        torch_ref.models.TCN,
        source=BAI,
        c=1000,
        steps=False,  # from a real start: test_series.py
        cases=(
            Case(
                "last step",
                lambda d: Call(d.normal(4, 2, 9)),
                init=Call(2, 5, (6, 6), 3),
                modes=("train",),
            ),
            Case(
                "no batch axis",
                lambda d: Call(d.normal(2, 9)),
                init=Call(2, 3, (8, 7), 2),
                modes=("eval",),
            ),
            Case(
                "every step",
                lambda d: Call(d.normal(3, 2, 7)),
                init=Call(2, 5, (6, 5), 2, every_step=True),
                modes=("train",),
            ),
            *(
                Case(
                    "channels are dropped",
                    lambda d: Call(d.normal(6, 2, 9)),
                    init=Call(2, 3, (6, 5), 3, 0.2),
                    modes=("train",),
                    seeded=True,
                )
                for _ in range(same_draws())
            ),
        ),
    ),
    Layer(
        "LSTMForecaster",
        scratch.models.LSTMForecaster,
        torch_ref.models.LSTMForecaster,
        source="Hochreiter & Schmidhuber 1997, Neural Computation 9(8)",
        c=1000,
        cases=(
            Case("a series", lambda d: Call(d.normal(3, 5, 1)), init=Call(1, 4), modes=("train",)),
            Case(
                "several, far ahead",
                lambda d: Call(d.normal(2, 6, 3)),
                init=Call(3, 5, 2, 4, 0.3, 2),
                modes=("eval",),
            ),
            Case(
                "no batch axis",
                lambda d: Call(d.normal(5, 3)),
                init=Call(3, 4, 1, 3),
                modes=("train",),
            ),
            Case(
                "GRU",
                lambda d: Call(d.normal(3, 5, 2)),
                init=Call(2, 4, 2, 3, output_size=2, cell="GRU"),
                modes=("train",),
            ),
            *(
                Case(
                    f"{cell} with dropout",
                    lambda d: Call(d.normal(4, 5, 2)),
                    init=Call(2, 5, layers, 2, 0.4, cell=cell),
                    modes=("train",),
                    seeded=True,
                )
                for cell, layers in (("LSTM", 3), ("GRU", 1))
                if same_draws()
            ),
        ),
    ),
]

# Without their annotations, which the refused calls do not keep to.
Chomp: Any = tcn.Chomp1d
Block: Any = tcn.TemporalBlock
Net: Any = scratch.models.TemporalConvNet
TCN: Any = scratch.models.TCN
Forecaster: Any = scratch.models.LSTMForecaster


def ones(*shape: int) -> Any:
    """Float32 ones."""
    return np.ones(shape, np.float32)


REFUSALS = [
    Refusal("Chomp1d: nothing", lambda: Chomp(0), "Chomp1d"),
    Refusal("Chomp1d: a fraction", lambda: Chomp(1.5), "Chomp1d"),
    Refusal("Chomp1d: too short", lambda: Chomp(3)(ones(2, 2)), "chomp1d"),
    Refusal("Chomp1d: integers", lambda: Chomp(1)(np.arange(3)), "chomp1d"),
    Refusal("TemporalBlock: channels", lambda: Block(0, 2, 2, 1, 1, 1), "TemporalBlock"),
    Refusal("TemporalBlock: no outputs", lambda: Block(2, 0, 2, 1, 1, 1), "TemporalBlock"),
    Refusal("TemporalBlock: one tap", lambda: Block(2, 2, 1, 1, 1, 0), "TemporalBlock"),
    Refusal("TemporalBlock: stride", lambda: Block(2, 2, 2, 2, 1, 1), "TemporalBlock"),
    Refusal("TemporalBlock: dilation", lambda: Block(2, 2, 2, 1, 0, 0), "TemporalBlock"),
    Refusal("TemporalBlock: padding", lambda: Block(2, 2, 3, 1, 2, 2), "TemporalBlock"),
    Refusal("TemporalBlock: dropout", lambda: Block(2, 2, 2, 1, 1, 1, 2.0), "TemporalBlock"),
    Refusal("TemporalBlock: input", lambda: Block(2, 2, 2, 1, 1, 1)(ones(1, 3, 4)), "conv1d"),
    Refusal("TemporalConvNet: no blocks", lambda: Net(2, ()), "TemporalConvNet"),
    Refusal("TemporalConvNet: one number", lambda: Net(2, 3), "TemporalConvNet"),
    Refusal("TemporalConvNet: no channels", lambda: Net(2, (3, 0)), "TemporalBlock"),
    Refusal("TemporalConvNet: inputs", lambda: Net(0, (3,)), "TemporalConvNet"),
    Refusal("TemporalConvNet: one tap", lambda: Net(2, (3,), 1), "TemporalConvNet"),
    Refusal("TCN: no outputs", lambda: TCN(2, 0, (3,)), "TCN"),
    Refusal("TCN: every_step", lambda: TCN(2, 1, (3,), every_step="yes"), "TCN"),
    Refusal("TCN: no blocks", lambda: TCN(2, 1, ()), "TemporalConvNet"),
    Refusal("TCN: dtype", lambda: TCN(2, 1, (3,))(np.ones((1, 2, 5))), "conv1d"),
    Refusal("LSTMForecaster: input_size", lambda: Forecaster(0), "LSTMForecaster"),
    Refusal("LSTMForecaster: hidden_size", lambda: Forecaster(1, 0), "LSTMForecaster"),
    Refusal("LSTMForecaster: num_layers", lambda: Forecaster(1, 4, 0), "LSTMForecaster"),
    Refusal("LSTMForecaster: horizon", lambda: Forecaster(1, 4, horizon=0), "LSTMForecaster"),
    Refusal("LSTMForecaster: a fraction", lambda: Forecaster(1, 4, horizon=1.5), "LSTMForecaster"),
    Refusal("LSTMForecaster: dropout", lambda: Forecaster(1, 4, dropout=-0.1), "LSTMForecaster"),
    Refusal("LSTMForecaster: output_size", lambda: Forecaster(output_size=0), "LSTMForecaster"),
    Refusal("LSTMForecaster: cell", lambda: Forecaster(cell="RNN"), "LSTMForecaster"),
    Refusal("LSTMForecaster: features", lambda: Forecaster(2, 4)(ones(3, 5, 1)), "LSTM"),
    Refusal(
        "LSTMForecaster: GRU, dtype",
        lambda: Forecaster(2, 4, cell="GRU")(np.ones((3, 5, 2))),
        "GRU",
    ),
]
