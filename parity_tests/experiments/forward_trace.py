"""One input through a 2-3-1 network and back, value by value, both packages in columns.

Guide: the forward trace [641-735], with its weights. There W1 is (in, out) and a row vector is
multiplied from the left; here weights are (out, in) as in torch, so the same numbers stand
transposed. It stops at the prediction; here the trace goes on through the loss and back to the
input. For its input (2, 3) no sum is negative, so ReLU changes nothing; the second
input (2, -3) shows a unit that is cut off, in both directions.
"""

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from parity_tests.experiments.architecture import draw_network
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import figure
from parity_tests.experiments.twins import alike
from parity_tests.harness import torch_trace, twin
from parity_tests.harness.draw import Array
from scratch import nn
from scratch.nn import functional as F

W1 = np.array([[0.5, 0.2], [-0.3, 0.6], [0.8, -0.4]])
B1 = np.array([0.1, -0.2, 0.3])
W2 = np.array([[0.4, -0.5, 0.7]])
B2 = np.array([0.2])
SYMBOL = {"hidden": "z1", "relu": "a1", "output": "z2", "sigmoid": "a2"}
WEIGHTS = {
    "hidden.weight": ("W1", W1),
    "hidden.bias": ("b1", B1),
    "output.weight": ("W2", W2),
    "output.bias": ("b2", B2),
}
EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Pass:
    """Everything that one input caused in one package, in order of completion.

    Attributes:
        outputs: what each module returned, by name; the root's name is ''.
        gradients: the gradient of what each module returned.
        dx: the gradient of the input.
        dparameters: the gradients of the parameters.
        loss: binary cross-entropy against the target 1.
    """

    outputs: list[tuple[str, Array]]
    gradients: list[tuple[str, Array]]
    dx: Array
    dparameters: list[tuple[str, Array]]
    loss: float

    def values(self) -> list[tuple[str, Array]]:
        """All of it by symbol, forward first."""
        forward = [(SYMBOL[name], value) for name, value in self.outputs if name]
        backward = [(f"d{SYMBOL[name]}", value) for name, value in self.gradients if name]
        return [
            *forward,
            ("loss", np.array([self.loss])),
            *backward,
            ("dx", self.dx),
            *((f"d{WEIGHTS[name][0]}", value) for name, value in self.dparameters),
        ]


def networks() -> tuple[nn.Module, torch.nn.Module]:
    """The two networks with the given weights."""
    theirs = torch.nn.Sequential(
        OrderedDict(
            hidden=torch.nn.Linear(2, 3),
            relu=torch.nn.ReLU(),
            output=torch.nn.Linear(3, 1),
            sigmoid=torch.nn.Sigmoid(),
        )
    )
    ours = nn.Sequential(
        {
            "hidden": nn.Linear(2, 3),
            "relu": nn.ReLU(),
            "output": nn.Linear(3, 1),
            "sigmoid": nn.Sigmoid(),
        }
    )
    twins = alike(ours, theirs)
    ours.load_state_dict({name: w for name, (_, w) in WEIGHTS.items()})
    theirs.load_state_dict({name: torch.from_numpy(w.copy()) for name, (_, w) in WEIGHTS.items()})
    return twins.ours, twins.theirs


def through_scratch(model: nn.Module, x: Array) -> Pass:
    """Trace one input in NumPy."""
    model.zero_grad()
    with nn.trace(model) as record:
        y, model_back = model(x)
        loss, loss_back = F.binary_cross_entropy(y, np.ones_like(y))
        dx = model_back(loss_back()[0])
    dparameters = [(n, p.grad) for n, p in model.named_parameters() if p.grad is not None]
    return Pass(record.outputs, record.gradients, dx, dparameters, float(loss))


def through_torch(model: torch.nn.Module, x: Array) -> Pass:
    """Trace the same input in torch, by hooks."""
    model.zero_grad()
    leaf = torch.from_numpy(x.copy()).requires_grad_()
    with torch_trace.trace(model) as record:
        y = model(leaf)
        loss = torch.nn.functional.binary_cross_entropy(y, torch.ones_like(y))
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation there
    dparameters = [
        (n, twin.numpy(p.grad)) for n, p in model.named_parameters() if p.grad is not None
    ]
    assert leaf.grad is not None
    return Pass(record.outputs, record.gradients, twin.numpy(leaf.grad), dparameters, loss.item())


def arithmetic(p: Pass, x: Array) -> dict[str, str]:
    """How each value comes about, in figures, by symbol and index."""
    value = dict(p.values())
    how = {}

    def products(weights: Array, inputs: Array, bias: float = 0.0) -> str:
        terms = " + ".join(f"{w:g} * {v:.4g}" for w, v in zip(weights, inputs, strict=True))
        terms += f" + {bias:g}" if bias else ""
        return terms.replace("+ -", "- ")

    for i in range(3):
        z = value["z1"][0, i]
        how[f"z1[{i + 1}]"] = products(W1[i], x[0], B1[i])
        how[f"a1[{i + 1}]"] = f"max(0, {z:.4g})"
        how[f"da1[{i + 1}]"] = f"{W2[0, i]:g} dz2"
        how[f"dz1[{i + 1}]"] = f"da1[{i + 1}], as {z:.4g} > 0" if z > 0 else f"0, as {z:.4g} <= 0"
        how[f"db1[{i + 1}]"] = f"dz1[{i + 1}]"
        how[f"dW2[1,{i + 1}]"] = f"dz2 a1[{i + 1}]"
        for j in range(2):
            how[f"dW1[{i + 1},{j + 1}]"] = f"dz1[{i + 1}] x[{j + 1}]"
    how["z2"] = products(W2[0], value["a1"][0], B2[0])
    how["a2"] = f"1 / (1 + exp(-{value['z2'][0, 0]:.4g}))"
    how["loss"] = f"-log {value['a2'][0, 0]:.5g}"
    how["da2"] = f"-1 / {value['a2'][0, 0]:.5g}"
    how["dz2"] = "da2 a2 (1 - a2) = a2 - 1"
    how["db2"] = "dz2"
    for j in range(2):
        how[f"dx[{j + 1}]"] = products(W1[:, j], value["dz1"][0])
    return how


def table(ours: Pass, theirs: Pass, x: Array) -> str:
    """Every value of both packages in columns."""
    how = arithmetic(ours, x)
    head = ("value", "how", "scratch", "torch", "difference")
    rows = []
    for (symbol, a), (_, b) in zip(ours.values(), theirs.values(), strict=True):
        single = a.size == 1
        for i, (left, right) in enumerate(zip(a.ravel(), b.ravel(), strict=True)):
            label = symbol if single else f"{symbol}[{i + 1}]"
            if symbol.startswith("dW"):
                row, column = divmod(i, a.shape[1])
                label = f"{symbol}[{row + 1},{column + 1}]"
            difference = "equal" if left == right else f"{left - right:+.1e}"
            digits = (f"{v + 0.0:.9f}" for v in (left, right))  # + 0.0: no sign on a zero
            rows.append((label, how[label], *digits, difference))
        if symbol in ("loss", "dx"):
            rows.append(("", "", "", "", ""))
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = []
    for row in (head, *rows):
        left_aligned = (cell.ljust(w) for cell, w in zip(row[:2], widths[:2], strict=True))
        right_aligned = (cell.rjust(w) for cell, w in zip(row[2:], widths[2:], strict=True))
        lines.append("  ".join((*left_aligned, *right_aligned)).rstrip())
    rule = "-" * max(map(len, lines))
    return "\n".join([lines[0], rule, *lines[1:]])


def compare(outcome: Outcome, ours: Pass, theirs: Pass, x: Array) -> None:
    """Claims that hold for any input."""
    label = f"x = ({x[0, 0]:g}, {x[0, 1]:g})"
    names = [name for name, _ in ours.outputs], [name for name, _ in ours.gradients]
    expected = [name for name, _ in theirs.outputs], [name for name, _ in theirs.gradients]
    outcome.claim(
        f"{label}: names and order of the traces are those of torch's hooks, forward and backward",
        "; ".join(", ".join(name or "(root)" for name in side) for side in names),
        names == expected,
    )
    pairs = [(a, b) for (_, a), (_, b) in zip(ours.values(), theirs.values(), strict=True)]
    number = sum(a.size for a, _ in pairs)
    equal = sum(int(np.sum(a == b)) for a, b in pairs)
    worst = max(float(np.max(np.abs(a - b)) / max(np.max(np.abs(b)), 1e-300)) for a, b in pairs)
    outcome.numbers[label] = {
        "values": number,
        "equal bit for bit": equal,
        "largest difference in eps": worst / EPS,
        **{symbol: value.ravel().tolist() for symbol, value in ours.values()},
    }
    outcome.claim(
        f"{label}: every value and every gradient is equal, up to the last bits",
        f"{equal} of {number} bit for bit"
        + (f", the others within {worst / EPS:.1f} eps" if equal < number else ""),
        worst <= 64 * EPS,  # the rule for an op: a2 - 1 cancels, and BLAS may sum in another order
    )


def picture(path: Path, model: nn.Module, passes: list[tuple[Array, Pass]]) -> Path:
    """The network with the values on it, one panel an input."""
    with figure(path, 1, len(passes), (7.5 * len(passes), 5.4)) as (fig, axes):
        for ax, (x, p) in zip(np.atleast_1d(axes), passes, strict=True):
            value = dict(p.values())
            z1, dz1 = value["z1"][0], value["dz1"][0]
            below = [
                [f"dx = {d:.4g}" for d in value["dx"][0]],
                [f"z = {z:.4g}\ndz = {d:.4g}" for z, d in zip(z1, dz1, strict=True)],
                [f"z = {value['z2'][0, 0]:.4g}\ndz = {value['dz2'][0, 0]:.4g}"],
            ]
            draw_network(
                ax,
                model,
                values=[x[0], value["a1"][0], value["a2"][0]],
                below=below,
                weights=True,
                spread=1.7,
            )
            ax.set_title(
                f"x = ({x[0, 0]:g}, {x[0, 1]:g}): output {value['a2'][0, 0]:.4f}, "
                f"loss against 1: {p.loss:.4f}",
                loc="center",
            )
        fig.suptitle(
            "Forward values in the units, sums and gradients (of the loss) below them",
            fontsize=12,
        )
    return path


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Trace two inputs through both packages."""
    outcome = Outcome("forward_trace")
    ours, theirs = networks()
    passes = []
    texts = []
    for x in (np.array([[2.0, 3.0]]), np.array([[2.0, -3.0]])):
        mine, reference = through_scratch(ours, x), through_torch(theirs, x)
        compare(outcome, mine, reference, x)
        passes.append((x, mine))
        texts.append(
            f"x = ({x[0, 0]:g}, {x[0, 1]:g}), target 1\n\n{table(mine, reference, x).rstrip()}"
        )
    first, second = (dict(p.values()) for _, p in passes)
    by_hand: dict[str, Any] = {"z1": [1.7, 1.0, 0.7], "a1": [1.7, 1.0, 0.7], "z2": [0.87]}
    worst = max(float(np.max(np.abs(first[s].ravel() - v))) for s, v in by_hand.items())
    outcome.claim(
        "x = (2, 3): z1 = a1 = (1.7, 1.0, 0.7), z2 = 0.87, a2 = 0.7047 as by hand",
        f"a2 = {first['a2'].item():.6f}, the others differ by at most {worst:.1e}",
        worst < 8 * EPS and round(first["a2"].item(), 4) == 0.7047,
    )
    cut = [i + 1 for i in range(3) if second["a1"][0, i] == 0]
    blocked = all(second["dz1"][0, i - 1] == 0 for i in cut)
    outcome.claim(
        "x = (2, -3): the unit whose sum is negative passes neither a value nor a gradient",
        f"hidden unit {', '.join(map(str, cut))}: z1 = {second['z1'][0, 1]:.2g}, a1 = 0, dz1 = 0",
        cut == [2] and blocked,
    )
    outcome.text = "\n\n\n".join(texts)
    outcome.figures.append(picture(out / "forward_trace.png", ours, passes))
    return outcome
