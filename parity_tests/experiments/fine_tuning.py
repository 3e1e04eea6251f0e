"""Fine-tuning: what a network that knows the digits 0 to 4 is worth for learning 5 to 9.

    head       the convolutions frozen, in evaluation mode; only a new dense layer is trained
    whole      everything is trained on from there, the dense layer new
    scratch    everything from a random start

The guide names transfer learning among its key insights [5605-5650] and never does it. Here a small
network with batch normalisation learns 0 to 4 from hundreds of digits, and then 5 to 9 from one to
twenty of each. The classic mistake is measured too: a frozen layer whose batch normalisation is
left in training mode has frozen parameters, but its running statistics move.

Source: Yosinski, Clune, Bengio & Lipson 2014, arXiv:1411.1792.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import scratch.optim
from datasets.images import digit_images
from datasets.split import Standardizer, batch_stream, train_test_split
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, SCRATCH, TORCH, figure
from parity_tests.experiments.twins import Twins, alike, apart, built
from parity_tests.harness.draw import Array
from parity_tests.harness.twin import arrays, numpy
from scratch.nn import functional as F

SPLIT = 5  # classes below it are learned first
SHOTS = (1, 2, 5, 10, 20)
WAYS = {"head": CLASSES[0], "whole": CLASSES[1], "scratch": "0.35"}
LR, BATCH = 0.005, 25
HEAD = "1."  # parameter names of the dense layer begin with it


@dataclass(frozen=True, eq=False)
class Part:
    """Digits of five classes, counted from 0.

    Attributes:
        x: training pictures (n, 1, 8, 8).
        t: their classes.
        test_x: (m, 1, 8, 8).
        test_y: their classes.
    """

    x: Array
    t: Array
    test_x: Array
    test_y: Array


def load(seed: int) -> tuple[Part, Part]:
    """The digits 0 to 4, and 5 to 9, standardised with the training rows of the first."""
    whole = digit_images()
    x, test_x, t, test_y = train_test_split(whole.x.astype(np.float64), whole.y, 0.3, seed)
    scale = Standardizer.fit(x[t < SPLIT])
    first = Part(
        scale(x[t < SPLIT]), t[t < SPLIT], scale(test_x[test_y < SPLIT]), test_y[test_y < SPLIT]
    )
    rest, test = t >= SPLIT, test_y >= SPLIT
    return first, Part(
        scale(x[rest]), t[rest] - SPLIT, scale(test_x[test]), test_y[test] - SPLIT
    )


def few(part: Part, shots: int) -> tuple[Array, Array]:
    """The first `shots` training pictures of each class, and their classes."""
    rows = np.concatenate([np.flatnonzero(part.t == k)[:shots] for k in range(SPLIT)])
    return part.x[rows], part.t[rows]


def network(lib: Any) -> Any:
    """A body of three normalised convolutions, which ends in 64 features, and a dense layer."""
    layers, channels = [], 1
    for width, stride in ((16, 1), (16, 2), (16, 2)):
        layers += [lib.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)]
        layers += [lib.BatchNorm2d(width), lib.ReLU()]
        channels = width
    return lib.Sequential(lib.Sequential(*layers, lib.Flatten()), lib.Linear(64, SPLIT))


@dataclass
class Taught:
    """Twins after training; each pair is scratch's and torch's.

    Attributes:
        twins: the models.
        losses: of each batch.
    """

    twins: Twins
    losses: list[tuple[float, float]]

    @property
    def drift(self) -> float:
        """How far the losses are apart, relative to the largest."""
        return apart(*zip(*self.losses, strict=True))


def trained(
    pair: Twins, x: Array, t: Array, steps: int, seed: int, *, frozen: bool, evaluation: bool
) -> Taught:
    """Train both by Adam, all or only the dense layer.

    Args:
        pair: the models, which are changed.
        x: inputs.
        t: classes.
        steps: number of batches.
        seed: of the batches.
        frozen: whether only the dense layer is trained.
        evaluation: whether the body is in evaluation mode meanwhile.
    """
    mine, yours = pair.ours.named_parameters(), pair.theirs.named_parameters()
    learnt = [p for name, p in mine if not frozen or name.startswith(HEAD)]
    for name, q in yours:
        q.requires_grad_(not frozen or name.startswith(HEAD))
    ours = scratch.optim.Adam(learnt, lr=LR)
    theirs = torch.optim.Adam([q for q in pair.theirs.parameters() if q.requires_grad], lr=LR)
    body: Any = next(pair.ours.children())
    body_t = next(pair.theirs.children())
    losses = []
    for rows in batch_stream(len(x), min(BATCH, len(x)), steps, seed):
        pair.ours.train()
        pair.theirs.train()
        if evaluation:
            body.eval()
            body_t.eval()
        ours.zero_grad()
        theirs.zero_grad()
        y, model_back = pair.ours(x[rows])
        loss, loss_back = F.cross_entropy(y, t[rows])
        model_back(loss_back(), needs_input_grad=False)
        ours.step()
        output = pair.theirs(torch.from_numpy(x[rows]))
        value = torch.nn.functional.cross_entropy(output, torch.from_numpy(t[rows]))
        value.backward()  # type: ignore[no-untyped-call]  # torch has no annotation there
        theirs.step()
        losses.append((float(loss), value.item()))
    return Taught(pair, losses)


def with_new_head(pair: Twins, seed: int) -> Twins:
    """Copies of both with the dense layer of another start."""
    fresh = built(network, seed)
    theirs = deepcopy(pair.theirs)
    state = {**pair.theirs.state_dict()}
    state |= {n: v for n, v in fresh.theirs.state_dict().items() if n.startswith(HEAD)}
    theirs.load_state_dict(state)
    ours = deepcopy(pair.ours)
    values = {**pair.ours.state_dict()}
    values |= {n: v for n, v in fresh.ours.state_dict().items() if n.startswith(HEAD)}
    ours.load_state_dict(values)
    return Twins(ours, theirs)


def with_old_head(pair: Twins, old: Twins) -> Twins:
    """Copies of both with the dense layer that `old` has."""
    theirs, ours = deepcopy(pair.theirs), deepcopy(pair.ours)
    theirs.load_state_dict(
        {**theirs.state_dict(), **{n: v for n, v in old.theirs.state_dict().items() if n.startswith(HEAD)}}
    )
    ours.load_state_dict(
        {**ours.state_dict(), **{n: v for n, v in old.ours.state_dict().items() if n.startswith(HEAD)}}
    )
    return Twins(ours, theirs)


def right(pair: Twins, part: Part) -> tuple[float, float]:
    """Share of test pictures that each names correctly, in evaluation mode."""
    ours, theirs = (float(np.mean(z.argmax(1) == part.test_y)) for z in pair(part.test_x))
    return ours, theirs
