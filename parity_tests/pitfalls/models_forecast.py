"""Conventions of networks that forecast."""

from typing import Any

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from scratch import nn
from scratch.check import Array
from scratch.models import TCN, LSTMForecaster, TemporalConvNet
from scratch.models.tcn import Chomp1d, TemporalBlock
from scratch.nn.op import Backward
from scratch.nn.utils.weight_norm import norm_except


class ChompsTheFront(Chomp1d):
    """The first steps go, so that each step sees what comes after it."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """As Chomp1d's, of time reversed."""
        y, back = super().forward(input[..., ::-1])
        return y[..., ::-1], lambda dy: back(dy[..., ::-1])[..., ::-1]


class Centres(TemporalBlock):
    """'Same' padding: half of it on each side, and nothing to take off."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("chomp1", "chomp2"):
            setattr(self, name, ChompsBothEnds(getattr(self, name).chomp_size))


class ChompsBothEnds(Chomp1d):
    """Half of the steps from each end."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """The middle steps."""
        front = self.chomp_size // 2
        kept = np.s_[..., front : input.shape[-1] - (self.chomp_size - front)]

        def backward(dy: Array) -> Array:
            dx = np.zeros_like(input)
            dx[kept] = dy
            return dx

        return input[kept], backward


class ActivatesBranchOnly(TemporalBlock):
    """y = f + s(x)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.relu = nn.Identity()  # type: ignore[assignment]


class OneLength(TemporalBlock):
    """One length g for the whole weight, of which each filter has its part."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for conv in (self.conv1, self.conv2):
            weight: Any = conv.parametrizations.weight  # type: ignore[attr-defined]
            weight.__class__ = DividesByTheWhole


class DividesByTheWhole(nn.utils.parametrize.ParametrizationList):
    """w = g v / |v|, the norm over all of v."""

    def forward(self) -> tuple[Array, Backward]:
        """As ParametrizationList's, times |v of the filter| / |v|."""
        v: Array = self.original1.data  # type: ignore[attr-defined]
        share = norm_except(v, 0) / norm_except(v, -1)
        w, back = super().forward()
        return w * share, lambda dw: back(dw * share)


class DropsValues(TemporalBlock):
    """The authors' code: single values are dropped, not channels."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("dropout1", "dropout2"):
            setattr(self, name, nn.Dropout(getattr(self, name).p))


class NeverSpreads(TemporalConvNet):
    """Every block has its taps side by side."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        blocks: list[Any] = list(self.network)
        for block in blocks:
            for conv, chomp in ((block.conv1, block.chomp1), (block.conv2, block.chomp2)):
                conv.dilation, conv.padding = (1,), (self.kernel_size - 1,)
                chomp.chomp_size = self.kernel_size - 1


class ReadsTheFirstStep(TCN):
    """The output of the first step, which has seen nothing."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """As TCN's, of the first step."""
        a, tcn_back = self.tcn(input)
        if self.every_step:
            return super().forward(input)
        y, linear_back = self.linear(a[..., 0])

        def backward(dy: Array) -> Any:
            da = np.zeros_like(a)
            da[..., 0] = linear_back(dy)
            return tcn_back(da)

        return y, backward


class ReadsTheFirstLayer(LSTMForecaster):
    """h_n[0] for the last layer's state."""

    def forward(self, input: Any) -> tuple[Array, Backward]:
        """As LSTMForecaster's, of an LSTM whose lowest state counts."""
        (_, states), rnn_back = self.rnn(input)
        long = isinstance(states, tuple)
        h_n = states[0] if long else states
        head = nn.Sequential(self.dropout, self.head)
        rows, head_back = head(h_n[0])

        def backward(dy: Array) -> Any:
            dh_n = np.zeros_like(h_n)
            dh_n[0] = head_back(dy.reshape(rows.shape))
            return rnn_back(None, (dh_n, None) if long else dh_n)

        return rows.reshape(*rows.shape[:-1], self.horizon, self.output_size), backward


class SeriesFirst(LSTMForecaster):
    """The head's outputs are series by series, not step by step."""

    def forward(self, input: Any) -> tuple[Array, Backward]:
        """As LSTMForecaster's, with the horizon inside."""
        y, back = super().forward(input)
        shape = (*y.shape[:-2], self.output_size, self.horizon)

        def backward(dy: Array) -> Any:
            return back(dy.swapaxes(-1, -2).reshape(y.shape))

        return y.reshape(shape).swapaxes(-1, -2), backward


PITFALLS = [
    Pitfall(
        "chomp_side",
        entry="Chomp1d",
        difference="causal: the last steps go; others: the first",
        mutant=ChompsTheFront,
    ),
    Pitfall(
        "causal_padding",
        entry="TemporalBlock",
        difference="causal: all padding in front; 'same': half of it on each side",
        mutant=Centres,
    ),
    Pitfall(
        "temporal_block_activation",
        entry="TemporalBlock",
        difference="the paper: relu(f + s(x)); others: f + s(x)",
        mutant=ActivatesBranchOnly,
    ),
    Pitfall(
        "weight_norm_of_filters",
        entry="TemporalBlock",
        difference="torch: a length for each filter (dim=0); others: one for all (dim=None)",
        mutant=OneLength,
    ),
    Pitfall(
        "spatial_dropout",
        entry="TemporalBlock",
        difference="the paper: whole channels; the authors' code: single values",
        mutant=DropsValues,
    ),
    Pitfall(
        "dilation_grows",
        entry="TemporalConvNet",
        difference="the paper: taps 2^k steps apart; others: side by side in all blocks",
        mutant=NeverSpreads,
    ),
    Pitfall(
        "last_step",
        entry="TCN",
        difference="here: the last step's output; others: the first one's",
        mutant=ReadsTheFirstStep,
    ),
    Pitfall(
        "last_layers_state",
        entry="LSTMForecaster",
        difference="h_n[-1], the last layer's; others: h_n[0]",
        mutant=ReadsTheFirstLayer,
    ),
    Pitfall(
        "horizon_order",
        entry="LSTMForecaster",
        difference="here: (horizon, series); others: (series, horizon)",
        mutant=SeriesFirst,
    ),
]
