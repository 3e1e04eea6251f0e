"""Handwritten digits by a Vision Transformer, and what its attention looks at.

    pictures  8 x 8, in 16 patches of 2 x 2, and a class token: 17 places
    ViT       Dosovitskiy et al. 2021, width 64, 4 layers of 4 heads    AdamW, one cycle of the rate

The digits and their split are those of `digits_cnn` at seed 0; starts and batches come from the
seed. All pixels are standardised alike, so that paper stays paper. The start's width
(0.1, not 0.02), rate, epochs and not to shift the pictures were chosen on a fifth of the training
digits.

Shifts by a pixel, a stroke's width here, slowed it down on these: 44% against 97% after 15 epochs
from the usual start. It learns no map: the embeddings of neighbours are no more alike than others.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.ticker import MaxNLocator

import scratch.models
import scratch.optim
import torch_ref.models
import torch_ref.training
from datasets.split import batches, epoch_order
from datasets.tasks import Split, get
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.shapes import picture
from parity_tests.experiments.style import CLASSES, SCRATCH, TORCH, figure
from parity_tests.experiments.twins import Twins, alike
from parity_tests.harness.draw import Array
from parity_tests.harness.threads import equal_threads
from scratch.models.encoder_parts import SelfAttention
from scratch.nn import functional as F
from scratch.nn.scaled_dot_product_attention import apart
from scratch.training import train

SPLIT, SIDE, PATCH = 0, 8, 2
GRID = SIDE // PATCH
ROWS = 64
EPOCHS = (30, 3)  # full, small
OPTIMIZER = {"lr": 2e-3, "weight_decay": 0.05}
FULL = {"hidden_size": 64, "num_hidden_layers": 4, "intermediate_size": 128}
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64}
SHARED = {
    "num_attention_heads": 4,
    "image_size": SIDE,
    "patch_size": PATCH,
    "num_channels": 1,
    "num_labels": 10,
    "initializer_range": 0.1,
}


@dataclass
class Run:
    """One start; each pair is scratch's and torch's.

    Attributes:
        twins: the trained networks.
        losses: of each batch.
        per_epoch: batches in an epoch.
        hits: share of the test digits that is right, after each epoch.
        logits: of the test digits in the end (n, 10).
    """

    twins: Twins
    losses: list[tuple[float, float]] = field(default_factory=list)
    per_epoch: int = 0
    hits: list[tuple[float, float]] = field(default_factory=list)
    logits: tuple[Array, Array] = field(default_factory=lambda: (np.empty(0), np.empty(0)))

    @property
    def apart(self) -> Array:
        """Relative difference of the twins' losses at each step."""
        a, b = np.array(self.losses).T
        gap: Array = np.abs(a - b) / np.maximum(a, b)
        return gap


def make(small: bool, seed: int) -> Twins:
    """The twins with torch's start, in float64."""
    sizes: dict[str, Any] = SHARED | (SMALL if small else FULL)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        theirs = torch_ref.models.ViT(torch_ref.models.ViTConfig(**sizes))
    return alike(scratch.models.ViT(scratch.models.ViTConfig(**sizes)), theirs)


def pictures(split: Split) -> tuple[Array, Array, Array]:
    """Training and test digits, all pixels standardised alike, and the test digits from 0 to 1."""
    raw = [
        split.standardizer.inverse(x).reshape(-1, 1, SIDE, SIDE)
        for x in (split.train_x, split.test_x)
    ]
    mean, std = float(raw[0].mean()), float(raw[0].std())
    seen, unseen = ((x.astype(np.float64) - mean) / std for x in raw)
    return seen, unseen, raw[1]


def learn(split: Split, small: bool, seed: int) -> Run:
    """Train both twins on the same batches."""
    epochs = EPOCHS[small]
    x, test_x, _ = pictures(split)
    result = Run(make(small, seed), per_epoch=math.ceil(len(x) / ROWS))
    sides: tuple[Any, ...] = (
        (result.twins.ours, scratch.optim, train),
        (result.twins.theirs, torch.optim, torch_ref.training.train),
    )
    steppers = [package.AdamW(model.parameters(), **OPTIMIZER) for model, package, _ in sides]
    schedulers = [
        package.lr_scheduler.OneCycleLR(stepper, OPTIMIZER["lr"], epochs * result.per_epoch)
        for (_, package, _), stepper in zip(sides, steppers, strict=True)
    ]
    for epoch in range(epochs):
        order = epoch_order(len(x), seed, epoch)
        records = zip(
            *(
                follow(
                    model.train(), stepper, "cross_entropy", x, split.train_y, batches(order, ROWS)
                )
                for (model, _, follow), stepper in zip(sides, steppers, strict=True)
            ),
            strict=True,
        )
        for ours, theirs in records:
            result.losses.append((ours.loss, theirs.loss))
            for scheduler in schedulers:
                scheduler.step()
        result.logits = result.twins(test_x)
        ours, theirs = (float(np.mean(z.argmax(1) == split.test_y)) for z in result.logits)
        result.hits.append((ours, theirs))
    return result


def attention_of(model: Any, x: Array) -> Array:
    """The weights of all layers (layers, B, H, 17, 17)."""
    found: list[Array] = []

    def look(module: Any, args: tuple[Any, ...], output: Any) -> None:
        q, k = (apart(f(args[0])[0], module.head_size) for f in (module.query, module.key))
        scores = q @ k.swapaxes(2, 3) / math.sqrt(q.shape[3])
        found.append(F.softmax(scores, -1)[0])

    parts = [m for m in model.modules() if isinstance(m, SelfAttention)]
    removers = [m.register_forward_hook(look) for m in parts]
    model.eval()(x)
    for remove in removers:
        remove()
    return np.array(found)


def similarity(model: Any) -> Array:
    """Cosines between the embeddings of the 16 patches' places, less their mean."""
    e = model.vit.embeddings.position_embeddings.data[0, 1:]
    e = e - e.mean(0)
    e = e / np.linalg.norm(e, axis=1, keepdims=True)
    cosines: Array = e @ e.T
    return cosines


def neighbours(cosines: Array) -> tuple[float, float]:
    """The mean cosine of places that touch along an edge, and of all others."""
    at = np.stack(np.divmod(np.arange(GRID**2), GRID), 1)
    distance = np.abs(at[:, None] - at).sum(2)
    return float(cosines[distance == 1].mean()), float(cosines[distance > 1].mean())


def reversed_places(r: Run, split: Split) -> float:
    """Accuracy where each patch is told that it stands at the place point-symmetric to its own."""
    e = r.twins.ours.vit.embeddings.position_embeddings  # type: ignore[attr-defined]
    kept = e.data
    e.data = np.concatenate([kept[:, :1], kept[:, :0:-1]], axis=1)
    logits, _ = r.twins.ours.eval()(pictures(split)[1])
    e.data = kept
    return float(np.mean(logits.argmax(1) == split.test_y))


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Train from several starts, look at the errors, the attention and the places.

    Args:
        out: folder for the figures.
        small: one start, fewer epochs, a narrower network.
        seed: of the first start.

    Returns:
        Accuracies and differences, with the claims about them.
    """
    outcome = Outcome("vit_digits")
    split = get("digits").load(SPLIT)
    with equal_threads(1):  # small matrices
        runs = [learn(split, small, s) for s in range(seed, seed + (1 if small else 3))]
    _claims(outcome, runs, split, small)
    _, test_x, shown = pictures(split)
    outcome.figures = [
        _draw_attention(out / "vit_digits_attention.png", runs[0], test_x, shown, split.test_y),
        _draw_places(out / "vit_digits_places.png", runs[0]),
        _draw_curves(out / "vit_digits_curves.png", runs),
    ]
    return outcome


def _claims(outcome: Outcome, runs: list[Run], split: Split, small: bool) -> None:
    ends = np.array([r.hits[-1] for r in runs])
    drift = [float(r.apart.max()) for r in runs]
    cosines = [neighbours(similarity(r.twins.ours)) for r in runs]
    turned = [reversed_places(r, split) for r in runs]
    parameters = sum(p.data.size for p in runs[0].twins.ours.parameters())
    starts, least = len(runs), 0.7 if small else 0.97
    outcome.numbers = {
        "parameters": parameters,
        "epochs": EPOCHS[small],
        "test accuracy": ends.tolist(),
        "losses apart": drift,
        "cosines of neighbouring places and of others": cosines,
        "test accuracy with the places reversed": turned,
    }
    outcome.text = "\n".join(
        [
            f"{len(split.test_y)} test digits, {parameters:,} parameters, {EPOCHS[small]} epochs",
            f"{'start':>5}{'scratch':>10}{'torch':>9}{'apart':>9}",
            *(
                f"{i:5}{a:10.2%}{b:9.2%}{d:9.0e}"
                for i, ((a, b), d) in enumerate(zip(ends, drift, strict=True))
            ),
        ]
    )
    outcome.claim(
        f"it knows {100 * least:g}% of the test digits or more, both twins from every start "
        f"({starts})",
        f"{ends[:, 0].min():.2%} to {ends[:, 0].max():.2%} in scratch, {ends[:, 1].min():.2%} to "
        f"{ends[:, 1].max():.2%} in torch",
        bool(np.all(ends >= least)),
    )
    same = all(np.array_equal(*(z.argmax(1) for z in r.logits)) for r in runs)
    outcome.claim(
        "the twins say the same of every test digit, and their losses stay together",
        f"losses at most {max(drift):.0e} apart",
        same and max(drift) < 1e-5,
    )
    outcome.claim(
        "it needs to know where a patch is: with the embeddings of the places in reverse order it "
        "knows less than 60%",
        f"{min(turned):.1%} to {max(turned):.1%}",
        max(turned) < 0.6,
    )


def _draw_attention(path: Path, r: Run, x: Array, shown: Array, truth: Array) -> Path:
    """Where the class token looks: in the last layer, by head, over one digit of each of some."""
    digits = [int(np.flatnonzero(truth == k)[0]) for k in (0, 1, 3, 4, 7, 8)]
    weights = attention_of(r.twins.ours, x[digits])[-1, :, :, 0, 1:]  # (6, H, 16)
    heads = weights.shape[1]
    top = float(weights.max())
    with figure(path, heads + 1, len(digits), (1.7 * len(digits) + 1, 1.7 * (heads + 1))) as (
        fig,
        axes,
    ):
        for column, i in enumerate(digits):
            picture(axes[0, column], shown[i, 0], 0, 1)
            axes[0, column].set_title(f"{truth[i]}", fontsize=10)
            for head in range(heads):
                ax = axes[head + 1, column]
                drawn = picture(ax, weights[column, head].reshape(GRID, GRID), 0, top, "magma")
                ax.contour(
                    shown[i, 0],
                    [0.5],
                    colors="w",
                    linewidths=0.8,
                    extent=(-0.5, GRID - 0.5, -0.5, GRID - 0.5),
                )
        for head in range(heads):
            axes[head + 1, 0].set_ylabel(f"head {head + 1}", fontsize=10)
        fig.colorbar(drawn, ax=axes, label="weight of a patch", fraction=0.02)
        fig.suptitle("What the class token looks at in the last layer; white: the digit's outline")
    return path


def _draw_places(path: Path, r: Run) -> Path:
    """Of each place, how alike its embedding is to all others'."""
    cosines = similarity(r.twins.ours)
    with figure(path, GRID, GRID, (7.4, 6.6)) as (fig, axes):
        for i, ax in enumerate(axes.flat):
            drawn = picture(ax, cosines[i].reshape(GRID, GRID), -1, 1, "RdBu_r")
            ax.plot(i % GRID, i // GRID, "k.", ms=4)
        fig.colorbar(drawn, ax=axes, label="cosine", fraction=0.03)
        near, far = neighbours(cosines)
        fig.suptitle(
            f"The learned places, each (dot) against all: neighbours {near:+.2f}, others {far:+.2f}"
        )
    return path


def _draw_curves(path: Path, runs: list[Run]) -> Path:
    with figure(path, 1, 3, (16, 4.8)) as (fig, (loss, hits, apart)):
        for i, r in enumerate(runs):
            means = np.array(r.losses).reshape(-1, r.per_epoch, 2).mean(1)
            at = np.arange(1, len(means) + 1)
            colour, label = CLASSES[i], f"start {i + 1}, scratch"
            loss.semilogy(at, means[:, 0], color=colour, label=label)
            loss.semilogy(at, means[:, 1], "o", mfc="none", mec=TORCH, ms=4, mew=0.7)
            percent = 100 * np.array(r.hits)
            hits.plot(at, percent[:, 0], color=colour, label=label)
            hits.plot(at, percent[:, 1], "o", mfc="none", mec=TORCH, ms=4, mew=0.7)
            most = np.maximum(r.apart.reshape(-1, r.per_epoch).max(1), 1e-16)
            apart.semilogy(at, most, color=colour, label=f"start {i + 1}")
        for ax in (loss, hits):
            ax.plot([], [], "o", mfc="none", mec=TORCH, ms=4, label="torch")
        hits.axhline(97, color=SCRATCH, lw=0.8, ls=":", label="97%")
        loss.set(
            ylabel="cross-entropy, mean of the epoch's batches", title="The loss of both twins"
        )
        ends = np.mean([r.hits[-1][0] for r in runs])
        hits.set(ylabel="test digits right, %", title=f"In the end {ends:.1%} on average")
        top = max(r.apart.max() for r in runs)
        apart.set(
            ylabel="relative difference of the losses, most in the epoch",
            title=f"Scratch and torch stay within {top:.0e} of each other",
        )
        for ax in (loss, hits, apart):
            ax.set_xlabel("epoch")
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            ax.legend(fontsize=8)
        fig.suptitle("A Vision Transformer on 1,437 digits, same start and batches")
    return path
