"""Recurrent networks that answer once, at the end of a sequence, trained side by side."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import scratch.nn.utils
import scratch.optim
from parity_tests.experiments.twins import Twins, built
from parity_tests.harness.draw import Array
from scratch import nn
from scratch.nn import functional as F
from scratch.nn.op import Backward

KINDS = ("RNN", "LSTM", "GRU")


class Ours(nn.Module):
    """h_T of a recurrent layer, through a linear layer.

    Args:
        kind: of the layer, of KINDS.
        inputs: features of a step.
        hidden: units of the state.
        outputs: features of the answer.
        options: of the layer.
    """

    _skips_input_grad = True

    def __init__(self, kind: str, inputs: int, hidden: int, outputs: int, **options: Any) -> None:
        self.rnn = getattr(nn, kind)(inputs, hidden, batch_first=True, **options)
        self.head = nn.Linear(hidden, outputs)

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """(B, T, inputs) -> (B, outputs)."""
        (_, last), rnn_back = self.rnn(x)
        h, double = (last[0], True) if isinstance(last, tuple) else (last, False)
        y, head_back = self.head(h[0])

        def backward(dy: Array, needs_input_grad: bool = True) -> Any:
            dh = head_back(dy)[None]
            return rnn_back(None, (dh, None) if double else dh, needs_input_grad=needs_input_grad)

        return y, backward


class Theirs(torch.nn.Module):
    """The same in torch."""

    def __init__(self, kind: str, inputs: int, hidden: int, outputs: int, **options: Any) -> None:
        super().__init__()
        self.rnn = getattr(torch.nn, kind)(inputs, hidden, batch_first=True, **options)
        self.head = torch.nn.Linear(hidden, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, inputs) -> (B, outputs)."""
        _, last = self.rnn(x)
        y: torch.Tensor = self.head((last[0] if isinstance(last, tuple) else last)[0])
        return y


def network(kind: str, inputs: int, hidden: int, outputs: int, seed: int, **options: Any) -> Twins:
    """Both networks in float64 with torch's start at `seed`."""

    def make(lib: Any) -> Any:
        which: Any = Ours if lib is nn else Theirs
        return which(kind, inputs, hidden, outputs, **options)

    return built(make, seed)


def assign(pair: Twins, name: str, value: Array) -> None:
    """Give a parameter of both other values."""
    state = {key: np.array(held) for key, held in pair.ours.state_dict().items()}
    state[name] = value
    pair.ours.load_state_dict(state)
    pair.theirs.load_state_dict({key: torch.from_numpy(held) for key, held in state.items()})


def lstm_start(pair: Twins, hidden: int, longest: int, seed: int) -> None:
    """Biases of both LSTMs, whose layer is `rnn`, at the start of the training.

    Args:
        pair: the networks.
        hidden: H.
        longest: T of the chrono start: forget biases log U(1, T - 1), input biases the negative;
            0 for a forget bias of 1 and no other.
        seed: of the chrono start.

    Source: Tallec & Ollivier 2018, arXiv:1804.11188; 1: Jozefowicz et al. 2015.
    """
    bias = np.zeros(4 * hidden)
    bias[hidden : 2 * hidden] = 1
    if longest:
        rng = np.random.default_rng((seed, 3))
        bias[hidden : 2 * hidden] = np.log(rng.uniform(1, longest - 1, hidden))
        bias[:hidden] = -bias[hidden : 2 * hidden]
    assign(pair, "rnn.bias_ih_l0", bias)
    assign(pair, "rnn.bias_hh_l0", 0 * bias)


@dataclass(frozen=True)
class Step:
    """One step of both, each pair scratch's and torch's.

    Attributes:
        loss: of the batch, before the step.
        norm: of all gradients together, before clipping.
    """

    loss: tuple[float, float]
    norm: tuple[float, float]


def train(
    pair: Twins, optimizer: str, lr: float, clip: float, batches: Iterator[tuple[Array, Array]]
) -> Iterator[Step]:
    """Least squares, the gradients' norm clipped, a step whenever the next one is asked for.

    Args:
        pair: the networks.
        optimizer: class name in both packages.
        lr: learning rate.
        clip: bound on the norm of the gradients.
        batches: inputs and targets.
    """
    ours = getattr(scratch.optim, optimizer)(pair.ours.parameters(), lr=lr)
    theirs = getattr(torch.optim, optimizer)(pair.theirs.parameters(), lr=lr)
    for x, t in batches:
        y, back = pair.ours.train()(x)
        loss, loss_back = F.mse_loss(y, t)
        ours.zero_grad()
        doutput, _ = loss_back()
        back(doutput, needs_input_grad=False)
        norm = scratch.nn.utils.clip_grad_norm_(pair.ours.parameters(), clip)
        ours.step()

        value = torch.nn.functional.mse_loss(
            pair.theirs.train()(torch.from_numpy(x)), torch.from_numpy(t)
        )
        theirs.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]  # torch has no annotation there
        size = torch.nn.utils.clip_grad_norm_(pair.theirs.parameters(), clip)
        theirs.step()
        yield Step((float(loss), value.item()), (float(norm), size.item()))
