"""Translation by attention alone: the Transformer of 2017 on dates, and on strings read backwards.

dates      3RD OF MARCH 1998 -> 1998-03-03, learned from thousands of days, asked about others
reversal   strings to be written backwards: nothing but positions tells where to look
maps       where each head of the last layer looked when it wrote each character of a date

The same tasks as in `translation_rnn`, by the paper's training: Adam (0.9, 0.98, 1e-9), Noam's
schedule, labels smoothed by 0.1. Dropout, of which such data need none, is left out. The paper
averages its last checkpoints; here a moving average of the weights answers, as the last steps'
noise costs exactness. At full size all is float32. Dates get 0.4 of Noam's rate: the whole of it,
which rises to 0.003 in a network as narrow as this, makes the loss jump now and then, and a run
that ended behind a jump had forgotten up to 38% of the dates.

Source: Vaswani et al. 2017, arXiv:1706.03762, sections 3 and 5.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import scratch.models
import torch_ref.models
from datasets.split import batch_stream
from datasets.translation import LETTERS, PAD, Pairs, dates, reversal
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import SCRATCH, TORCH, figure
from parity_tests.experiments.translation_rnn import LONG, Learned, answered
from parity_tests.experiments.twins import Twins, alike, apart
from parity_tests.harness.draw import Array
from scratch.nn import functional as F
from scratch.optim.lr_scheduler import noam

SMOOTHING = 0.1


@dataclass(frozen=True)
class Plan:
    """How much is learned.

    Attributes:
        n: training pairs.
        n_test: test pairs.
        steps: number of batches.
        batch: pairs in a batch.
        warmup: steps in which the rate rises.
        d_model: features of a token.
        layers: of either stack.
        dtype: of all numbers.
        average: share that the moving average keeps at each step; None: the last weights answer.
        rate: share of Noam's rate.
    """

    n: int
    n_test: int
    steps: int
    batch: int
    warmup: int
    d_model: int
    layers: int
    dtype: type = np.float64
    average: float | None = None
    rate: float = 1.0


SMOOTHED: dict[str, Any] = {"ignore_index": PAD, "label_smoothing": SMOOTHING}
DATES = Plan(16_000, 1000, 3000, 64, 800, 128, 2, np.float32, 0.995, 0.4)
REVERSAL = Plan(16_000, 500, 2500, 64, 400, 128, 2, np.float32, 0.995)
SMALL_DATES = Plan(4000, 100, 170, 32, 80, 48, 1)
SMALL_REVERSAL = Plan(4000, 100, 90, 32, 40, 48, 1)
SHORT = (3, 5, LETTERS[:6])  # shortest, longest, characters, if small


def models(data: Pairs, plan: Plan, seed: int) -> Twins:
    """Two models with torch's start at `seed`."""
    sizes = len(data.source_vocabulary), len(data.target_vocabulary), plan.d_model, 4
    options: dict[str, Any] = {
        "num_encoder_layers": plan.layers,
        "num_decoder_layers": plan.layers,
        "dim_feedforward": 2 * plan.d_model,
        "dropout": 0.0,
        "pad": PAD,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        theirs = torch_ref.models.Transformer(*sizes, **options)
    pair = alike(scratch.models.Transformer(*sizes, **options), theirs)
    if plan.dtype == np.float32:
        pair.ours.to(np.float32)
        pair.theirs.float()
    return pair


def loss(model: Any, *arrays: Array) -> tuple[Array, Callable[..., None]]:
    """Smoothed cross-entropy of a batch; its backward."""
    logits, model_back = model(*arrays[:3])
    flat = logits.reshape(-1, logits.shape[2])
    value, loss_back = F.cross_entropy(flat, arrays[3].ravel(), **SMOOTHED)

    def backward(needs_input_grad: bool = True) -> None:
        model_back(loss_back().reshape(logits.shape))

    return value, backward


def torch_loss(model: Any, *given: torch.Tensor) -> torch.Tensor:
    """The same in torch."""
    logits = model(*given[:3]).flatten(0, 1)
    return torch.nn.functional.cross_entropy(logits, given[3].flatten(), **SMOOTHED)


def learned(train: Pairs, test: Pairs, plan: Plan, seed: int) -> Learned:
    """Train both on the same batches, the target given up to each character."""
    pair = models(train, plan, seed)
    rate = noam(plan.d_model, plan.warmup, plan.rate)
    averaged = () if plan.average is None else pair.averages(plan.average)
    losses = []
    batches = (train[rows] for rows in batch_stream(len(train), plan.batch, plan.steps, seed))
    for ours, theirs in pair.steps(
        "Adam",
        {"lr": 1.0, "betas": (0.9, 0.98), "eps": 1e-9},
        (loss, torch_loss),
        ((b.source, b.source_lengths, b.target_in, b.target_out) for b in batches),
        schedule=lambda package, adam: package.LambdaLR(adam, rate),
    ):
        for average, model in zip(averaged, (pair.ours, pair.theirs), strict=False):
            average.update_parameters(model)
        losses.append((float(ours[0]), float(theirs[0])))
    if averaged:
        pair = Twins(averaged[0].module, averaged[1].module)
    pair.ours.eval()
    pair.theirs.eval()
    answers = answered(pair, test)
    exact = np.array([np.equal(found, test.targets()) for found in answers])
    return Learned(pair, np.array(losses), answers, exact, test)


def smallest(classes: int) -> float:
    """The loss of a model that is sure: the entropy of its smoothed labels."""
    other = SMOOTHING / classes
    right = 1 - SMOOTHING + other
    return -right * math.log(right) - (classes - 1) * other * math.log(other)


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Learn dates and reversal.

    Args:
        out: folder for the figures.
        small: smaller networks, less of everything.
        seed: of the data and the start.

    Returns:
        What was answered exactly, where the decoder looked, with the claims about both.
    """
    outcome = Outcome("translation_transformer")
    plan = SMALL_DATES if small else DATES
    dated = learned(*dates(plan.n, plan.n_test, seed), plan, seed)
    plan = SMALL_REVERSAL if small else REVERSAL
    parts = reversal(plan.n, plan.n_test, *(SHORT if small else LONG), seed=seed)
    turned = learned(*parts, plan, seed)
    for name, done, least in (
        ("dates of unseen days", dated, 0.1 if small else 1.0),
        ("unseen strings, backwards", turned, 0.25 if small else 1.0),
    ):
        outcome.claim(
            f"{name}: both write at least {least:.1%} without a mistake",
            f"scratch {done.share[0]:.1%}, torch {done.share[1]:.1%} of {len(done.test)}",
            min(done.share) >= least,
        )
        outcome.numbers[f"{name}: exact"] = done.share
    early = max(apart(*done.losses[:50].T) for done in (dated, turned))
    same = sum(a == b for done in (dated, turned) for a, b in zip(*done.answers, strict=True))
    count = len(dated.test) + len(turned.test)
    outcome.claim(
        "both twins take the same steps, in the first 50 up to rounding, and give the same answer "
        + ("to each test string" if small else "to all test strings but one in a thousand"),
        f"losses {early:.0e} apart in 50 steps; {same} of {count} answers the same",
        early < (1e-10 if small else 1e-3) and same >= count - (0 if small else count // 1000),
    )
    outcome.numbers["losses apart in 50 steps"] = early
    paths = [out / f"translation_transformer_{name}.png" for name in ("maps", "learning")]
    _draw_maps(paths[0], dated)
    _draw_learning(paths[1], dated, turned)
    outcome.figures += paths
    return outcome


def _draw_maps(path: Path, done: Learned) -> None:
    """Where each head of the last layer looked in one date."""
    test = done.test
    row = int(np.argmax(test.source_lengths))
    one = test[np.array([row])]
    ours: Any = done.twins.ours
    maps = ours.attention_maps(one.source, one.source_lengths, one.target_in)[-1, 0]
    (text,), (target,) = one.sources(), one.targets()
    with figure(path, 2, 2, (12, 7.5)) as (fig, axes):
        fig.suptitle(f"Where the heads of the last layer look: {text} → {target}")
        for head, (ax, weights) in enumerate(zip(axes.flat, maps, strict=True)):
            shown = ax.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
            ax.grid(False)
            ax.set_xticks(range(len(text)), list(text))
            ax.set_yticks(range(len(target) + 1), [*target, "end"])
            ax.set(title=f"head {head + 1}", xlabel="source", ylabel="target")
        fig.colorbar(shown, ax=axes, label="attention weight (scratch)", shrink=0.6)


def _draw_learning(path: Path, *runs: Learned) -> None:
    """Losses of both tasks, above what smoothed labels leave."""
    with figure(path, 1, 2, (11, 4)) as (_, axes):
        for ax, done, name in zip(axes, runs, ("Dates", "Reading backwards"), strict=True):
            least = smallest(len(done.test.target_vocabulary))
            ax.semilogy(done.losses[:, 1] - least, color=TORCH, lw=3, alpha=0.5, label="torch")
            ax.semilogy(done.losses[:, 0] - least, color=SCRATCH, lw=1, label="scratch")
            ax.set(
                title=f"{name}: {done.share[0]:.1%} of {len(done.test)} exact",
                xlabel="step",
                ylabel="loss above the labels' entropy (nats)",
            )
            ax.legend()
