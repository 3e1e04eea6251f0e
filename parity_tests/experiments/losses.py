"""Every loss with its gradient.                                      guide 736-840

The losses of both packages while one number of their input moves, with the gradient by that number
from the backward of `scratch` and from torch's autograd; then the house prices and the spam mails.

The guide cuts probabilities off at 1e-7, so that a certain mistake costs 16.1; torch limits the
logarithm to -100, so that it costs 100; from logits there is no limit. Its XOR network shows the
squared error while it descends the cross-entropy: behind a sigmoid their gradients differ much.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

import scratch.nn
from datasets.check import Array
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, SCRATCH, THIRD, TORCH, figure
from parity_tests.experiments.twins import apart
from parity_tests.harness.twin import numpy
from scratch.nn import functional as F

EPS = float(np.finfo(np.float64).eps)
Arguments = Callable[[Array], tuple[Array, ...]]


def _against(target: float) -> Arguments:
    """z itself beside a constant."""
    return lambda z: (z, np.full_like(z, target))


def _logits(*target: int) -> Arguments:
    """Logits (z, 1, -1) with classes, or with a row of them."""
    rows = target if len(target) > 1 else target[0]

    def arguments(z: Array) -> tuple[Array, ...]:
        x = np.stack([z, np.ones_like(z), -np.ones_like(z)], axis=1)
        return x, np.broadcast_to(np.array(rows), (len(z), *np.shape(rows))).copy()

    return arguments


def _angle(target: float) -> Arguments:
    """Unit vectors at angle z and at 0."""

    def arguments(z: Array) -> tuple[Array, ...]:
        still = np.tile([1.0, 0.0], (len(z), 1))
        return np.stack([np.cos(z), np.sin(z)], axis=1), still, np.full_like(z, target)

    return arguments


def _triplet(z: Array) -> tuple[Array, ...]:
    """Anchor at 0, positive at distance 1, negative at z, in the plane."""
    zero, one = np.zeros_like(z), np.ones_like(z)
    return tuple(np.stack([column, zero], axis=1) for column in (zero, one, z))


def _first(z: Array) -> Array:
    """How (z, 1, -1), or a point in the plane, moves with z."""
    return np.array([1.0, 0.0, 0.0])


@dataclass(frozen=True)
class Curve:
    """One loss and the line along which its input moves.

    Attributes:
        label: title of its panel.
        axis: what z is.
        name: class in both nn packages.
        arguments: from z (n,) to those of the loss.
        options: of the constructor, but for the reduction.
        moved: which argument moves.
        along: its derivative by z.
        low, high: range of z.
    """

    label: str
    axis: str
    name: str
    arguments: Arguments
    options: dict[str, Any] = field(default_factory=dict)
    moved: int = 0
    along: Callable[[Array], Array] = np.ones_like
    low: float = -4.0
    high: float = 4.0

    def measure(self, z: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """Loss and gradient for each z (n,), of scratch and of torch."""
        arguments = self.arguments(z)
        ours = getattr(scratch.nn, self.name)(**self.options, reduction="none")
        loss, loss_back = ours(*arguments)
        gradients = loss_back(np.ones_like(loss))
        gradient = gradients[self.moved] if isinstance(gradients, tuple) else gradients

        tensors = [torch.from_numpy(a.copy()) for a in arguments]
        options = {
            k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v
            for k, v in self.options.items()
        }
        theirs = getattr(torch.nn, self.name)(**options, reduction="none")
        leaf = tensors[self.moved].requires_grad_()
        value = theirs(*tensors)
        (dleaf,) = torch.autograd.grad(value.sum(), leaf)
        along = self.along(z)

        def slope(d: Array) -> Array:
            product: Array = d * along
            return product if d.ndim == 1 else product.sum(1)

        return (loss, slope(gradient)), (numpy(value), slope(numpy(dleaf)))


def _turn(z: Array) -> Array:
    """How a unit vector moves with its angle."""
    return np.stack([-np.sin(z), np.cos(z)], axis=1)


ROW = "z of logits (z, 1, -1)"
CURVES = (
    Curve("MSELoss", "prediction, target 0", "MSELoss", _against(0)),
    Curve("L1Loss", "prediction, target 0", "L1Loss", _against(0)),
    Curve("HuberLoss, delta 2", "prediction, target 0", "HuberLoss", _against(0), {"delta": 2.0}),
    Curve(
        "SmoothL1Loss, beta 2", "prediction, target 0", "SmoothL1Loss", _against(0), {"beta": 2.0}
    ),
    Curve(
        "GaussianNLLLoss",
        "mean; target 0, variance 1",
        "GaussianNLLLoss",
        lambda z: (z, 0 * z, 0 * z + 1),
    ),
    Curve(
        "GaussianNLLLoss",
        "variance; error 1",
        "GaussianNLLLoss",
        lambda z: (0 * z, 0 * z + 1, z),
        moved=2,
        low=0.4,
    ),
    Curve(
        "PoissonNLLLoss",
        "logarithm of the rate, target 3",
        "PoissonNLLLoss",
        _against(3),
        low=-1,
        high=2.5,
    ),
    Curve("KLDivLoss", "log q; p = 0.5", "KLDivLoss", _against(0.5), low=-5, high=0),
    Curve("BCELoss", "probability, target 1", "BCELoss", _against(1), low=0.1, high=1),
    Curve("BCEWithLogitsLoss", "logit, target 1", "BCEWithLogitsLoss", _against(1)),
    Curve(
        "BCEWithLogitsLoss, pos_weight 3",
        "logit, target 1",
        "BCEWithLogitsLoss",
        _against(1),
        {"pos_weight": np.array([3.0])},
    ),
    Curve("SoftMarginLoss", "prediction, target 1", "SoftMarginLoss", _against(1)),
    Curve("CrossEntropyLoss", f"{ROW}, class 0", "CrossEntropyLoss", _logits(0), along=_first),
    Curve(
        "CrossEntropyLoss, smoothing 0.1",
        f"{ROW}, class 0",
        "CrossEntropyLoss",
        _logits(0),
        {"label_smoothing": 0.1},
        along=_first,
        high=8.0,
    ),
    Curve(
        "NLLLoss",
        f"{ROW.replace('logits', 'log p')}, class 0",
        "NLLLoss",
        _logits(0),
        along=_first,
        low=-5,
        high=0,
    ),
    Curve("MultiMarginLoss", f"{ROW}, class 0", "MultiMarginLoss", _logits(0), along=_first),
    Curve(
        "MultiLabelMarginLoss",
        f"{ROW}, classes 0, 2",
        "MultiLabelMarginLoss",
        _logits(0, 2, -1),
        along=_first,
    ),
    Curve(
        "MultiLabelSoftMarginLoss",
        f"{ROW}, classes 0, 2",
        "MultiLabelSoftMarginLoss",
        lambda z: (_logits(0)(z)[0], np.tile([1.0, 0.0, 1.0], (len(z), 1))),
        along=_first,
    ),
    Curve(
        "HingeEmbeddingLoss, alike", "distance, target 1", "HingeEmbeddingLoss", _against(1), low=0
    ),
    Curve(
        "HingeEmbeddingLoss, unlike",
        "distance, target -1",
        "HingeEmbeddingLoss",
        _against(-1),
        low=0,
    ),
    Curve(
        "MarginRankingLoss, margin 1",
        "first score; second 0, target 1",
        "MarginRankingLoss",
        lambda z: (z, 0 * z, 0 * z + 1),
        {"margin": 1.0},
    ),
    Curve(
        "CosineEmbeddingLoss, alike",
        "angle in radians, target 1",
        "CosineEmbeddingLoss",
        _angle(1),
        along=_turn,
    ),
    Curve(
        "CosineEmbeddingLoss, unlike",
        "angle in radians, target -1",
        "CosineEmbeddingLoss",
        _angle(-1),
        {"margin": 0.5},
        along=_turn,
    ),
    Curve(
        "TripletMarginLoss",
        "distance of the negative; positive at 1",
        "TripletMarginLoss",
        _triplet,
        moved=2,
        along=lambda z: np.array([1.0, 0.0]),
        low=0.1,
    ),
    Curve(
        "TripletMarginWithDistanceLoss, swap",
        "distance of the negative; positive at 1",
        "TripletMarginWithDistanceLoss",
        _triplet,
        {"swap": True},
        moved=2,
        along=lambda z: np.array([1.0, 0.0]),
        low=0.1,
    ),
)

PRICES = np.array([250e3, 180e3, 320e3, 290e3])
GUESSES = {
    "close": np.array([245e3, 175e3, 310e3, 285e3]),
    "far off": np.array([300e3, 150e3, 250e3, 350e3]),
}
SPAM = np.array([1.0, 0.0, 1.0, 0.0])
OPINIONS = {
    "sure and right": np.array([0.9, 0.1, 0.85, 0.15]),
    "unsure": np.array([0.6, 0.4, 0.55, 0.45]),
    "sure and wrong": np.array([0.1, 0.9, 0.2, 0.8]),
}


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Measure and draw all losses, and print what the two examples cost.

    Args:
        out: folder for the figures.
        small: has no effect: there is little to do.
        seed: has no effect: nothing is drawn.

    Returns:
        Differences to torch, the examples' losses, and the claims about them.
    """
    outcome = Outcome("losses")
    _compare(outcome)
    _examples(outcome)
    _certain(outcome)
    _behind_a_sigmoid(outcome, out / "losses_gradients.png")
    path = out / "losses.png"
    _draw(path)
    outcome.figures.insert(0, path)
    return outcome


def both(
    name: str, input: Array, target: Array, **options: Any
) -> tuple[float, float, Array, Array]:
    """A loss and its gradient by the input, of scratch and of torch.

    Args:
        name: in both functional modules.
        input: as the loss takes it.
        target: likewise.
        options: likewise.

    Returns:
        Loss of scratch, loss of torch, gradient of scratch, gradient of torch.
    """
    loss, loss_back = getattr(F, name)(input, target, **options)
    gradients = loss_back()
    leaf = torch.tensor(input, requires_grad=True)
    value = getattr(torch.nn.functional, name)(leaf, torch.from_numpy(target), **options)
    (dleaf,) = torch.autograd.grad(value, leaf)
    gradient = gradients[0] if isinstance(gradients, tuple) else gradients
    return float(loss), value.item(), gradient, numpy(dleaf)


def _compare(outcome: Outcome) -> None:
    aside = {
        "LinearCrossEntropyLoss",  # a Linear and CrossEntropyLoss, which is drawn
        "CTCLoss",  # of a sequence's alignments: no curve over one value
        "DiceLoss",  # of whole masks, and torch has none
        "AdaptiveLogSoftmaxWithLoss",  # a network's last layer with cross entropy
    }
    ours = {name for name in vars(scratch.nn) if name.endswith("Loss")} - aside
    drawn = {curve.name for curve in CURVES}
    outcome.claim(
        "every loss of scratch.nn is drawn",
        f"{len(drawn)} of {len(ours)}, {', '.join(sorted(aside))} aside",
        drawn == ours,
    )
    differences: dict[str, float] = {}
    for curve in CURVES:
        halves = np.arange(math.ceil(2 * curve.low), 2 * curve.high + 0.5) / 2  # the kinks, exactly
        z = np.union1d(np.linspace(curve.low, curve.high, 401), halves)
        pairs = zip(*curve.measure(z), strict=True)
        differences[f"{curve.label}; {curve.axis}"] = max(apart(a, b) for a, b in pairs) / EPS
    worst = max(differences, key=lambda label: differences[label])
    outcome.numbers["largest difference to torch in eps"] = differences
    outcome.claim(
        "losses and gradients are torch's, at the kinks too",
        f"{differences[worst]:.1f} eps of the largest, {worst}",
        differences[worst] <= 64,
    )


def _examples(outcome: Outcome) -> None:
    lines = [f"{'house prices':<16}{'loss':<26}{'scratch':>16}{'torch':>16}"]
    costs: dict[str, dict[str, float]] = {}
    difference = 0.0

    def row(
        label: str, loss: str, name: str, x: Array, t: Array, scale: str, **options: Any
    ) -> None:
        nonlocal difference
        ours, theirs, gradient, reference = both(name, x, t, **options)
        difference = max(difference, apart(ours, theirs), apart(gradient, reference))
        costs.setdefault(label, {})[loss] = ours
        lines.append(f"{label:<16}{loss:<26}{ours:>16{scale}}{theirs:>16{scale}}")

    for label, guess in GUESSES.items():
        row(label, "MSE, dollars squared", "mse_loss", guess, PRICES, ",.0f")
        row(label, "MAE, dollars", "l1_loss", guess, PRICES, ",.0f")
        row(label, "Huber, delta 10,000", "huber_loss", guess, PRICES, ",.0f", delta=1e4)
        root = math.sqrt(costs[label]["MSE, dollars squared"])
        costs[label]["root of MSE, dollars"] = root
        lines.append(f"{label:<16}{'root of MSE, dollars':<26}{root:>16,.0f}")
    lines += ["", f"{'spam':<16}{'loss':<26}{'scratch':>16}{'torch':>16}"]
    for label, p in OPINIONS.items():
        logit = np.log(p / (1 - p))
        log_p = np.log(np.stack([1 - p, p], axis=1))
        row(label, "BCE of probabilities", "binary_cross_entropy", p, SPAM, ".6f")
        row(label, "BCE of logits", "binary_cross_entropy_with_logits", logit, SPAM, ".6f")
        row(label, "CE of two classes", "cross_entropy", log_p, SPAM.astype(int), ".6f")
        row(label, "MSE of probabilities", "mse_loss", p, SPAM, ".6f")
    outcome.text = "\n".join(lines)
    outcome.numbers["examples"] = costs

    outcome.claim(
        "both packages give the same in the table",
        f"{difference / EPS:.1f} eps",
        difference <= 16 * EPS,
    )
    squares = [costs[label]["MSE, dollars squared"] for label in GUESSES]
    outcome.claim(
        "house prices: a mean squared error of 43,750,000 against 2,975,000,000",
        f"{squares[0]:,.0f} and {squares[1]:,.0f}",
        squares == [43_750_000, 2_975_000_000],
    )
    spam = [costs[label]["BCE of probabilities"] for label in OPINIONS]
    outcome.claim(
        "spam: 0.1339 sure and right, 0.5543 unsure, 1.9560 sure and wrong",
        ", ".join(f"{v:.4f}" for v in spam),
        [round(v, 4) for v in spam] == [0.1339, 0.5543, 1.9560],
    )
    three = ("BCE of probabilities", "BCE of logits", "CE of two classes")
    off = max(abs(costs[o][name] - costs[o][three[0]]) for o in OPINIONS for name in three)
    outcome.claim(
        "probabilities, logits and two classes are three spellings of one loss",
        f"{off:.1e}",
        off < 1e-14,
    )


def _certain(outcome: Outcome) -> None:
    """What a certain mistake costs under the three conventions."""
    one = np.ones(1)
    clipped = -math.log(1e-7)
    ours, theirs, gradient, reference = both("binary_cross_entropy", np.zeros(1), one)
    far = np.array([-200.0])
    logit, torch_logit, dlogit, torch_dlogit = both("binary_cross_entropy_with_logits", far, one)
    outcome.numbers["certain mistake"] = {
        "probability cut at 1e-7": clipped,
        "logarithm limited to -100": ours,
        "logit -200": logit,
    }
    outcome.text += (
        f"\n\na certain mistake costs {clipped:.1f} where probabilities are cut at 1e-7, "
        f"{ours:g} in both packages; a logit of -200 costs {logit:g}"
    )
    outcome.claim(
        "a certain mistake costs 100, a logit of -200 costs 200, in both packages",
        f"{ours:g}, {theirs:g}; {logit:g}, {torch_logit:g}",
        ours == theirs == 100 and logit == torch_logit == 200,
    )
    outcome.claim(
        "their gradients are -1e12 and -1, in both packages",
        f"{gradient[0]:g}, {reference[0]:g}; {dlogit[0]:g}, {torch_dlogit[0]:g}",
        apart(gradient, reference) <= 4 * EPS and dlogit[0] == torch_dlogit[0] == -1,
    )


def _behind_a_sigmoid(outcome: Outcome, path: Path) -> None:
    """The guide's two curves, and the gradients that reach the logit of a sigmoid."""
    z = np.linspace(-8, 8, 161)
    one = np.ones_like(z)
    p, sigmoid_back = F.sigmoid(z)
    _, squared_back = F.mse_loss(p, one, reduction="none")
    by_square = sigmoid_back(squared_back(one)[0])
    _, entropy_back = F.binary_cross_entropy(p, one, reduction="none")
    by_entropy = sigmoid_back(entropy_back(one)[0])
    leaf = torch.tensor(z, requires_grad=True)
    q, target = torch.sigmoid(leaf), torch.ones(len(z), dtype=torch.float64)
    reference = [
        numpy(torch.autograd.grad(loss.sum(), leaf, retain_graph=True)[0])
        for loss in (
            torch.nn.functional.mse_loss(q, target, reduction="none"),
            torch.nn.functional.binary_cross_entropy(q, target, reduction="none"),
        )
    ]
    off = max(apart(by_square, reference[0]), apart(by_entropy, reference[1]))
    outcome.numbers["gradient at logit -8"] = {
        "MSE": float(by_square[0]),
        "BCE": float(by_entropy[0]),
    }
    outcome.claim(
        "behind a sigmoid a sure mistake moves the cross-entropy by 1, the squared error hardly",
        f"gradients {by_entropy[0]:.4f} and {by_square[0]:.4f} at logit -8, "
        f"twins {off / EPS:.1f} eps apart",
        by_entropy[0] < -0.99 and abs(by_square[0]) < 1e-3 and off <= 64 * EPS,
    )
    price = np.linspace(50, 150, 101)
    with figure(path, 1, 3, (13, 3.9)) as (_, axes):
        for name, colour in zip(("mse_loss", "l1_loss", "huber_loss"), CLASSES, strict=False):
            options = {"delta": 10.0} if name == "huber_loss" else {}
            values = [both(name, np.array([v]), np.array([100.0]), **options)[:2] for v in price]
            ours, theirs = np.array(values).T
            label = {"mse_loss": "MSE", "l1_loss": "MAE", "huber_loss": "Huber, delta 10"}[name]
            axes[0].plot(price, ours, color=colour, label=label)
            axes[0].plot(price[::10], theirs[::10], ".", color=colour, ms=7)
        axes[0].set(
            yscale="symlog",
            xlabel="prediction, true value 100",
            ylabel="loss",
            title="The square weighs large errors most",
        )
        axes[0].legend(fontsize=8)
        p = np.linspace(0.01, 0.99, 99)
        for target_value, colour in ((1.0, CLASSES[0]), (0.0, CLASSES[1])):
            values = [
                both("binary_cross_entropy", np.array([v]), np.array([target_value]))[:2] for v in p
            ]
            ours, theirs = np.array(values).T
            axes[1].plot(p, ours, color=colour, label=f"true class {target_value:.0f}")
            axes[1].plot(p[::8], theirs[::8], ".", color=colour, ms=7)
        for (label, opinion), marker in zip(OPINIONS.items(), "osX", strict=True):
            cost = -np.log(np.where(SPAM == 1, opinion, 1 - opinion))
            axes[1].plot(opinion, cost, marker, color="black", mfc="none", label=f"mails, {label}")
        axes[1].set(
            xlabel="probability of class 1", ylabel="cross-entropy", title="Sure and wrong is dear"
        )
        axes[1].legend(fontsize=8)
        for values, dots, colour, label in (
            (by_square, reference[0], SCRATCH, "MSE"),
            (by_entropy, reference[1], THIRD, "cross-entropy"),
        ):
            axes[2].plot(z, values, color=colour, label=label)
            axes[2].plot(z[::8], dots[::8], ".", color=colour, ms=7)
        axes[2].set(
            xlabel="logit, target 1",
            ylabel="gradient by the logit",
            title="Behind a sigmoid MSE forgets sure mistakes",
        )
        axes[2].legend(fontsize=8)
    outcome.figures.append(path)


def _draw(path: Path) -> None:
    """A panel for each: loss and gradient, torch as dots on both."""
    with figure(path, 5, 5, (14, 13.5)) as (fig, axes):
        for ax, curve in zip(axes.flat, CURVES, strict=True):
            z = np.linspace(curve.low, curve.high, 401)
            ours, theirs = curve.measure(z)
            for a, b, colour, label in zip(
                ours, theirs, (SCRATCH, CLASSES[2]), ("loss", "gradient"), strict=True
            ):
                ax.plot(z, a, color=colour, label=f"{label}, scratch")
                ax.plot(z[::20], b[::20], ".", color=TORCH, ms=4)
            ax.plot([], [], ".", color=TORCH, label="both, torch")
            ax.set_title(curve.label, fontsize=9)
            ax.set_xlabel(curve.axis, fontsize=8)
            ax.tick_params(labelsize=8)
        for ax in axes[:, 0]:
            ax.set_ylabel("loss, gradient")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside lower center", ncols=3)
        fig.suptitle("Losses with their gradients: lines scratch, dots torch", fontsize=13)
