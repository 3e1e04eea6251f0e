"""What weights and a bias do to one neuron.                         guide 291-440

y = sigmoid(w x + b) passes 1/2 at x = -b / w with slope w / 4: a weight sets how steeply and in
which direction the output turns, a bias shifts where. Slopes come from the backward of `scratch`
and from torch's autograd. A neuron of three inputs follows, moved along each and along all at once.

The guide marks 0 as the threshold of its neuron of three inputs, although that has a bias; it lies
at -b / (w1 + w2 + w3) where all inputs are alike.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import scratch.models
import torch_ref.models
from datasets.check import Array
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, THIRD, figure
from parity_tests.experiments.twins import alike, apart
from parity_tests.harness.twin import numpy

WEIGHTS, BIASES = (-1.0, 0.0, 0.5, 1.0, 2.0), (-3.0, 0.0, 3.0)
EXAMPLES = ((1.0, 0.0), (2.0, 0.0), (1.0, 3.0), (0.5, -1.0))  # at x = 2
POINT, THREE, BIAS = (0.5, -0.2, 0.8), (1.5, -1.0, 0.8), -0.5  # x, w and b of the third
ALIKE = "all three alike"
EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Response:
    """What a neuron makes of inputs, in one package.

    Attributes:
        y: outputs (n,).
        dx: derivative of each output by its inputs (n, in).
        dw: derivative of the outputs' sum by the weights (in,).
        db: derivative of the outputs' sum by the bias.
    """

    y: Array
    dx: Array
    dw: Array
    db: float


def respond(w: tuple[float, ...], b: float, x: Array) -> tuple[Response, Response]:
    """The responses of both neurons with these weights.

    Args:
        w: a weight for each input.
        b: bias.
        x: inputs (n, in).

    Returns:
        That of scratch and that of torch.
    """
    twins = alike(scratch.models.Neuron(len(w)), torch_ref.models.Neuron(len(w)))
    state = {"weight": np.array([w]), "bias": np.array([b])}
    twins.ours.load_state_dict(state)
    twins.theirs.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in state.items()})

    y, neuron_back = twins.ours(x)
    dx = neuron_back(np.ones_like(y))
    dw, db = (np.ravel(p.grad) for p in twins.ours.parameters() if p.grad is not None)
    ours = Response(y[:, 0], dx, dw, float(db[0]))

    leaf = torch.tensor(x, requires_grad=True)
    output = twins.theirs(leaf)
    inputs = [leaf, *twins.theirs.parameters()]
    dleaf, dweight, dbias = map(numpy, torch.autograd.grad(output.sum(), inputs))
    return ours, Response(numpy(output)[:, 0], dleaf, dweight[0], float(dbias[0]))


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Measure the response curves and draw them.

    Args:
        out: folder for the figure.
        small: has no effect: there is little to do.
        seed: has no effect: nothing is drawn.

    Returns:
        Crossings, slopes and the table, with the claims about them.
    """
    outcome = Outcome("neuron")
    x = np.linspace(-10, 10, 401)[:, None]
    by_weight = {w: respond((w,), 0.0, x) for w in WEIGHTS}
    by_bias = {b: respond((1.0,), b, x) for b in BIASES}

    centre = len(x) // 2
    slopes = {w: float(ours.dx[centre, 0]) for w, (ours, _) in by_weight.items()}
    off = max(abs(slope - w / 4) for w, slope in slopes.items())
    outcome.claim(
        "the slope where the output is 1/2 is w / 4, also for a negative weight and for 0",
        ", ".join(f"w {w:g}: {slope:g}" for w, slope in slopes.items()),
        off <= 4 * EPS,
    )
    shifted = {b: float(np.abs(by_bias[b][0].y - _at(x + b)).max()) for b in BIASES}
    outcome.claim(
        "a bias b moves the curve by -b and leaves its shape",
        f"differs by {max(shifted.values()):.1e} from the shifted curve",
        max(shifted.values()) <= 4 * EPS,
    )
    crossings = {b: crossing(x[:, 0], ours.y) for b, (ours, _) in by_bias.items()}
    outcome.claim(
        "the output passes 1/2 at x = -b / w",
        ", ".join(f"b {b:g}: x = {c:.6f}" for b, c in crossings.items()),
        all(abs(c + b) < 1e-6 for b, c in crossings.items()),
    )

    lines = [f"x = 2{'':10}{'y':>8}  {'torch':>8}  {'dy/dx':>8}  {'dy/dw':>8}  {'dy/db':>8}"]
    examples = {}
    single = [respond((w,), b, np.array([[2.0]])) for w, b in EXAMPLES]
    for (w, b), (ours, theirs) in zip(EXAMPLES, single, strict=True):
        examples[w, b] = float(ours.y[0])
        values = (ours.y[0], theirs.y[0], ours.dx[0, 0], ours.dw[0], ours.db)
        lines.append(f"w {w:3}, b {b:4} " + "  ".join(f"{v:8.4f}" for v in values))
    expected = (0.8808, 0.9820, 0.9933, 0.5)
    outcome.claim(
        "at x = 2 the four neurons give 0.8808, 0.9820, 0.9933 and 0.5",
        ", ".join(f"{v:.4f}" for v in examples.values()),
        all(abs(v - e) < 5e-5 for v, e in zip(examples.values(), expected, strict=True)),
    )

    point = np.array([POINT])
    along = np.linspace(-2, 2, 201)
    paths = {
        f"input {i + 1}, w = {THREE[i]:g}": point + np.outer(along - POINT[i], np.eye(3)[i])
        for i in range(3)
    }
    paths[ALIKE] = np.outer(along, np.ones(3))
    moved = {name: respond(THREE, BIAS, inputs) for name, inputs in paths.items()}
    at = respond(THREE, BIAS, point)
    z = float(np.dot(THREE, POINT) + BIAS)
    ratios = at[0].dx[0] / at[0].dx[0, 0]
    worst = float(np.abs(ratios - np.array(THREE) / THREE[0]).max())
    outcome.claim(
        "with three inputs the slopes along them are to each other as the weights",
        f"differ by {worst:.1e}",
        worst <= 16 * EPS,
    )
    middle = crossing(along, moved[ALIKE][0].y)
    expected_middle = -BIAS / sum(THREE)
    outcome.claim(
        "where all three are alike it passes 1/2 at -b / (w1 + w2 + w3), not at 0",
        f"{middle:.5f}",
        abs(middle - expected_middle) < 1e-4,
    )
    curves = [*by_weight.values(), *by_bias.values(), *moved.values()]
    pairs = [(a.y, b.y) for a, b in curves] + [(a.dx, b.dx) for a, b in curves]
    # Only of single points: over a curve the weight's gradient is a sum that cancels.
    pairs += [(a.dw, b.dw) for a, b in (*single, at)]
    biases = [apart(a.db, b.db) for a, b in (*single, at)]
    difference = max(*biases, *(apart(a, b) for a, b in pairs))
    outcome.claim(
        "both twins agree in every output and gradient",
        f"within {difference / EPS:.1f} eps",
        difference <= 16 * EPS,
    )
    outcome.numbers = {
        "slope at 1/2 by weight": slopes,
        "crossing by bias": crossings,
        "at x = 2": [{"w": w, "b": b, "y": y} for (w, b), y in examples.items()],
        "three inputs": {"x": POINT, "w": THREE, "b": BIAS, "z": z, "y": float(at[0].y[0])},
    }
    terms = " ".join(f"{w:+g} * {v:g}" for w, v in zip(THREE, POINT, strict=True))
    lines += ["", f"three inputs: z = {terms} {BIAS:+g} = {z:.4f}"]
    lines += [f"y = {at[0].y[0]:.4f} (torch {at[1].y[0]:.4f})"]
    outcome.text = "\n".join(lines)

    path = out / "neuron.png"
    with figure(path, 2, 2, (10.5, 7.5)) as (fig, axes):
        for (w, pair), colour in zip(by_weight.items(), CLASSES, strict=True):
            _curve(axes[0, 0], x[:, 0], [r.y for r in pair], colour, f"w = {w:g}")
            _curve(axes[0, 1], x[:, 0], [r.dx[:, 0] for r in pair], colour, f"w = {w:g}")
        for (b, pair), colour in zip(by_bias.items(), CLASSES, strict=False):
            _curve(axes[1, 0], x[:, 0], [r.y for r in pair], colour, f"b = {b:g}")
            axes[1, 0].plot(crossings[b], 0.5, "x", color="black", ms=8, zorder=4)
        for (name, pair), colour in zip(moved.items(), (*CLASSES[:3], THIRD), strict=True):
            _curve(axes[1, 1], along, [r.y for r in pair], colour, name)
        for i, value in enumerate(POINT):
            axes[1, 1].plot(value, at[0].y, "o", color=CLASSES[i], mec="black", ms=7, zorder=4)
        axes[1, 1].plot(middle, 0.5, "x", color="black", ms=8, zorder=4)
        fig.suptitle("Responses of a neuron: lines scratch, dots torch", fontsize=12)
        axes[0, 0].set(title="A weight turns the curve (b = 0)", xlabel="x", ylabel="y")
        axes[0, 1].set(title="Its slope, steepest at w / 4 (b = 0)", xlabel="x", ylabel="dy / dx")
        axes[1, 0].set(title="A bias shifts it to -b (w = 1)", xlabel="x", ylabel="y")
        axes[1, 1].set(
            title="Three inputs, one or all moved", xlabel="value of the moved input", ylabel="y"
        )
        axes[0, 0].legend(fontsize=8, loc=(0.01, 0.56))
        axes[0, 1].legend(fontsize=8)
        axes[1, 0].legend(fontsize=8)
        axes[1, 1].set_ylim(-0.2, 1.02)
        axes[1, 1].legend(fontsize=8, loc="lower center", ncols=2)
    outcome.figures.append(path)
    return outcome


def _at(x: Array) -> Array:
    """The response of w = 1, b = 0."""
    return respond((1.0,), 0.0, x)[0].y


def crossing(x: Array, y: Array) -> float:
    """Where rising y passes 1/2, on the straight line between its two neighbours."""
    return float(np.interp(0.5, y, x))


def _curve(ax: Any, x: Array, pair: list[Array], colour: str, label: str) -> None:
    """Scratch as a line, torch as dots on it."""
    ours, theirs = pair
    every = max(1, len(x) // 20)
    ax.plot(x, ours, color=colour, label=label)
    ax.plot(x[::every], theirs[::every], ".", color=colour, ms=5)
