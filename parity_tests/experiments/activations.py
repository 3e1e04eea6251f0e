"""Every activation with its derivative.                              guide 441-535

Values and derivatives of all activation modules, those of `scratch` from its own backward, beside
torch's from autograd: at ordinary inputs, exactly at the kinks and far out. Where an activation
takes a vector (softmax, GLU) the input moves along a line, and the derivative is that of the first
output. And why they are needed: layers without them collapse into one affine map.

The guide takes derivatives by central differences, which say 1/2 at the kink of ReLU where torch
says 0. It calls ReLU free of vanishing gradients: its slope is 1, but 0 for every z <= 0.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import scratch.nn
from datasets.check import Array
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, SCRATCH, THIRD, TORCH, figure
from parity_tests.experiments.twins import Twins, alike, apart, mlps
from parity_tests.harness.twin import numpy
from scratch import nn

EPS = float(np.finfo(np.float64).eps)
KINKS = (-6.0, -3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0, 6.0, 20.0)
FAR = (-1e4, -800.0, -30.0, 30.0, 800.0, 1e4)


class TorchStep(torch.nn.Module):
    """1 where z > 0, else 0, with a derivative of 0; torch has no module for it."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """1 where z > 0, else 0."""
        return (input > 0).to(input) + 0 * input


@dataclass(frozen=True)
class Curve:
    """One activation and the line along which its input moves.

    Attributes:
        label: title of its panel.
        name: its class in both nn packages.
        arguments: of the constructor.
        start: the input at z = 0.
        along: how it moves with z.
        axes: axes of size 1 that follow.
    """

    label: str
    name: str
    arguments: tuple[Any, ...] = ()
    start: tuple[float, ...] = (0.0,)
    along: tuple[float, ...] = (1.0,)
    axes: int = 0

    def modules(self) -> tuple[nn.Module, torch.nn.Module]:
        """Both modules, in evaluation mode."""
        theirs = TorchStep() if self.name == "Step" else getattr(torch.nn, self.name)
        twins = alike(
            getattr(scratch.nn, self.name)(*self.arguments),
            theirs if self.name == "Step" else theirs(*self.arguments),
        )
        return twins.ours.eval(), twins.theirs.eval()

    def measure(self, z: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """First output and its derivative by z (n,), of scratch and of torch."""
        ours, theirs = self.modules()
        x = np.array(self.start) + np.outer(z, self.along)  # (n, k)
        x = x.reshape(*x.shape, *[1] * self.axes)
        y, back = ours(x)
        dy = np.zeros_like(y)
        dy[:, 0] = 1
        leaf = torch.tensor(x, requires_grad=True)
        output = theirs(leaf)[:, 0]
        (dleaf,) = torch.autograd.grad(output.sum(), leaf)
        dx, dx_torch = (d.reshape(len(z), -1) @ self.along for d in (back(dy), numpy(dleaf)))
        return (y[:, 0].ravel(), dx), (numpy(output).ravel(), dx_torch)


VECTOR = (0.0, 1.0, -1.0), (1.0, 0.0, 0.0)  # start and direction
CURVES = (
    Curve("Sigmoid", "Sigmoid"),
    Curve("Tanh", "Tanh"),
    Curve("ReLU", "ReLU"),
    Curve("LeakyReLU", "LeakyReLU"),
    Curve("Step", "Step"),
    Curve("PReLU, 0.25", "PReLU"),
    Curve("RReLU, evaluation", "RReLU"),
    Curve("ELU", "ELU"),
    Curve("CELU, alpha 2", "CELU", (2.0,)),
    Curve("SELU", "SELU"),
    Curve("GELU", "GELU"),
    Curve("GELU, tanh", "GELU", ("tanh",)),
    Curve("SiLU", "SiLU"),
    Curve("Mish", "Mish"),
    Curve("Softplus", "Softplus"),
    Curve("LogSigmoid", "LogSigmoid"),
    Curve("Softsign", "Softsign"),
    Curve("Tanhshrink", "Tanhshrink"),
    Curve("Softshrink", "Softshrink"),
    Curve("Hardshrink", "Hardshrink"),
    Curve("Hardsigmoid", "Hardsigmoid"),
    Curve("Hardswish", "Hardswish"),
    Curve("Hardtanh", "Hardtanh"),
    Curve("ReLU6", "ReLU6"),
    Curve("Threshold, 1 and -2", "Threshold", (1.0, -2.0)),
    Curve("Softmax of (z, 1, -1)", "Softmax", (1,), *VECTOR),
    Curve("Softmax2d of (z, 1, -1)", "Softmax2d", (), *VECTOR, axes=2),
    Curve("Softmin of (z, 1, -1)", "Softmin", (1,), *VECTOR),
    Curve("LogSoftmax of (z, 1, -1)", "LogSoftmax", (1,), *VECTOR),
    Curve("GLU of (z, z)", "GLU", (), (0.0, 0.0), (1.0, 1.0)),
)


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Measure and draw all activations, and what layers are without them.

    Args:
        out: folder for the figures.
        small: has no effect: there is little to do.
        seed: of the weights of the layers.

    Returns:
        Differences to torch and the table of slopes, with the claims about them.
    """
    outcome = Outcome("activations")
    _compare(outcome)
    _slopes(outcome)
    _collapse(outcome, out, seed)
    path = out / "activations.png"
    _draw(path)
    outcome.figures.insert(0, path)
    return outcome


def _compare(outcome: Outcome) -> None:
    known = set(torch.nn.modules.activation.__all__) - {"MultiheadAttention"}
    drawn = {curve.name for curve in CURVES} - {"Step"}
    outcome.claim(
        "every activation of torch.nn is here, and the step",
        f"{len(drawn)} of {len(known)}",
        drawn == known,
    )
    ordinary = np.concatenate([np.linspace(-8, 8, 1601), KINKS])
    ranges = {"ordinary": ordinary, "kinks": np.array(KINKS), "far": np.array(FAR)}
    differences: dict[str, dict[str, float]] = {name: {} for name in ranges}
    for curve in CURVES:
        for name, z in ranges.items():
            ours, theirs = curve.measure(z)
            pairs = zip(ours, theirs, strict=True)
            differences[name][curve.label] = max(apart(a, b) for a, b in pairs) / EPS
    outcome.numbers["largest difference to torch in eps"] = differences
    texts = {
        "ordinary": "from -8 to 8 values and derivatives are torch's",
        "kinks": "exactly at the kinks too, whichever side torch takes",
        "far": "from 30 to 10,000 on both sides too, without overflow",
    }
    for name, text in texts.items():
        worst = max(differences[name], key=lambda label: differences[name][label])
        most = differences[name][worst]
        outcome.claim(text, f"{most:.1f} eps of the largest, {worst}", most <= 64)


def _slopes(outcome: Outcome, h: float = 1e-4) -> None:
    """Derivatives at a point on either side and at the kink, with the central difference."""
    lines = [f"{'':11}{'z':>4}  {'scratch':>9}  {'torch':>9}  {'difference quotient':>19}"]
    table: dict[str, dict[str, float]] = {}
    quotients = {}
    for curve in CURVES[:4]:
        table[curve.label] = {}
        for z in (3.0, -3.0, 0.0):
            ours, theirs = curve.measure(np.array([z, z - h, z + h]))
            quotient = (ours[0][2] - ours[0][1]) / (2 * h)
            values = f"{ours[1][0]:9.6f}  {theirs[1][0]:9.6f}  {quotient:19.6f}"
            lines.append(f"{curve.label:11}{z:4g}  {values}")
            table[curve.label][f"{z:g}"] = float(ours[1][0])
            quotients[curve.label, z] = float(quotient)
    outcome.text = "\n".join(lines)
    outcome.numbers["derivatives"] = table

    at3 = {label: values["3"] for label, values in table.items()}
    s, t = 1 / (1 + np.exp(-3.0)), np.tanh(3.0)
    exact = (s * (1 - s), 1 - t * t, 1.0, 1.0)
    off = max(abs(v - e) for v, e in zip(at3.values(), exact, strict=True))
    outcome.claim(
        "at z = 3 the slopes are s (1 - s), 1 - t^2, 1 and 1",
        ", ".join(f"{label} {v:.6f}" for label, v in at3.items()),
        off <= 4 * EPS,
    )
    outcome.claim(
        "at the kink of ReLU the slope is 0, a central difference says 1/2",
        f"{table['ReLU']['0']:g} and {quotients['ReLU', 0.0]:.4f}",
        table["ReLU"]["0"] == 0 and abs(quotients["ReLU", 0.0] - 0.5) < 1e-9,
    )
    grid = np.linspace(-8, 8, 1601)
    steepest = {c.label: float(np.abs(c.measure(grid)[0][1]).max()) for c in CURVES[:3]}
    outcome.claim(
        "no slope of sigmoid exceeds 1/4, none of tanh or ReLU 1",
        ", ".join(f"{label} {v:g}" for label, v in steepest.items()),
        list(steepest.values()) == [0.25, 1.0, 1.0],
    )


def _collapse(outcome: Outcome, out: Path, seed: int) -> None:
    """Three layers of 16 units with nothing between them, and with something."""
    x = np.linspace(-5, 5, 401)[:, None]
    affine = np.column_stack([x, np.ones_like(x)])
    names = ("Identity", "ReLU", "Tanh", "Sigmoid")
    networks = {name: mlps((1, 16, 16, 1), name, seed) for name in names}
    outputs = {name: twins(x) for name, twins in networks.items()}
    bent = {}
    for name, pair in outputs.items():
        residuals = []
        for y in pair:
            line = affine @ np.linalg.lstsq(affine, y, rcond=None)[0]
            residuals.append(float(np.sqrt(np.mean((y - line) ** 2)) / y.std()))
        bent[name] = min(residuals) if name != "Identity" else max(residuals)
    weight, bias = _product(networks["Identity"])
    product = x @ weight.T + bias
    off = max(apart(y, product) for y in outputs["Identity"])
    outcome.claim(
        "three layers without activation are the one layer W3 W2 W1 x + b, in both packages",
        f"{off / EPS:.1f} eps apart",
        off <= 64 * EPS,
    )
    outcome.claim(
        "with an activation no affine map fits them",
        ", ".join(f"{n}: {r:.1%} of the spread is left" for n, r in bent.items()),
        min(bent[n] for n in names[1:]) > 1e-3 and bent["Identity"] < 1e-12,
    )
    outcome.numbers["share of the spread that no affine map explains"] = bent

    path = out / "activations_collapse.png"
    with figure(path, 1, 4, (13, 3.4)) as (_, axes):
        for ax, (name, (ours, theirs)) in zip(axes, outputs.items(), strict=True):
            line = affine @ np.linalg.lstsq(affine, ours, rcond=None)[0]
            ax.plot(x, line, color=THIRD, lw=5, alpha=0.5, label="best affine fit")
            ax.plot(x, ours, color=SCRATCH, label="scratch")
            ax.plot(x[::20], theirs[::20], ".", color=TORCH, ms=6, label="torch")
            title = "Nothing between: one line" if name == "Identity" else f"{name} between: bent"
            ax.set(title=title, xlabel="x")
        axes[0].set_ylabel("output of layers 1-16-16-1")
        axes[0].legend(fontsize=8)
    outcome.figures.append(path)


def _product(twins: Twins) -> tuple[Array, Array]:
    """The one weight and bias that the layers of a network without activations amount to."""
    state = list(twins.ours.state_dict().values())
    weight, bias = np.eye(state[0].shape[1]), np.zeros(state[0].shape[1])
    for w, b in zip(state[::2], state[1::2], strict=True):
        weight, bias = w @ weight, w @ bias + b
    return weight, bias


def _draw(path: Path) -> None:
    """A panel for each: value and derivative, torch as dots on both."""
    z = np.linspace(-7, 7, 561)
    with figure(path, 6, 5, (13, 13.5), sharex=True) as (fig, axes):
        for ax, curve in zip(axes.flat, CURVES, strict=True):
            ours, theirs = curve.measure(z)
            labels = ("value", "derivative")
            colours = (SCRATCH, CLASSES[2])
            for a, b, colour, label in zip(ours, theirs, colours, labels, strict=True):
                ax.plot(z, a, color=colour, label=f"{label}, scratch")
                ax.plot(z[::28], b[::28], ".", color=TORCH, ms=4)
            ax.plot([], [], ".", color=TORCH, label="both, torch")
            ax.set_title(curve.label, fontsize=10)
            ax.tick_params(labelsize=8)
        for ax in axes[-1]:
            ax.set_xlabel("z")
        for ax in axes[:, 0]:
            ax.set_ylabel("y, dy / dz")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside lower center", ncols=3)
        fig.suptitle("Activations with their derivatives: lines scratch, dots torch", fontsize=13)
