"""What a network looks like: layers of units and the weights between them, from the model itself.

Guide: layers, and the drawing of a 4-5-2 network [536-640]. There at most five units of a layer are
drawn without a word about the rest, and only some of them are connected; here a layer that is too
long says how many units are left out, and every line is a weight of the model, with its sign and
size.
"""

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets.tasks import get
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import SCRATCH, TORCH, figure
from parity_tests.experiments.twins import Twins, alike, apart, mlps
from parity_tests.harness.draw import Array
from scratch import nn


@dataclass(frozen=True)
class Layer:
    """A column of units.

    Attributes:
        units: how many.
        weight: (units, units of the column before), or None for the input.
        bias: (units,) or None.
        then: class names of what the units' sums go through.
    """

    units: int
    weight: Array | None = None
    bias: Array | None = None
    then: tuple[str, ...] = ()

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return sum(a.size for a in (self.weight, self.bias) if a is not None)


def layers(model: nn.Module) -> list[Layer]:
    """The columns of a model that is a chain of Linear layers and whatever stands between them.

    Args:
        model: a scratch module whose parts are registered in the order in which they run.

    Returns:
        The input and one column for each Linear layer.

    Raises:
        ValueError: if there is no Linear layer or one does not fit the one before.
    """
    found: list[Layer] = []
    for module in model.modules():
        if isinstance(module, nn.Linear):
            if not found:
                found.append(Layer(module.in_features))
            if found[-1].units != module.in_features:
                raise ValueError(
                    f"layers: expected a chain of layers, got one of {module.in_features} inputs "
                    f"after {found[-1].units} units"
                )
            bias = None if module.bias is None else module.bias.data
            kind = type(module).__name__
            then: tuple[str, ...] = () if kind in ("Linear", "Neuron") else (kind,)
            found.append(Layer(module.out_features, module.weight.data, bias, then))
        elif found and not any(module.children()):
            last = found[-1]
            then = (*last.then, type(module).__name__)
            found[-1] = Layer(last.units, last.weight, last.bias, then)
    if not found:
        raise ValueError("layers: expected a model with Linear layers, got none")
    return found


def places(units: int, limit: int) -> list[tuple[int, float]]:
    """Which units are drawn, and how high: all, or the first and last ones around a gap."""
    if units <= limit:
        return [(i, (units - 1) / 2 - i) for i in range(units)]
    top, bottom = (limit - 1) // 2, limit // 2
    rows = [(i, limit / 2 - i) for i in range(top)]
    return rows + [(units - bottom + i, bottom - 1 - i - limit / 2) for i in range(bottom)]


def draw_network(
    ax: Any,
    model: nn.Module,
    *,
    values: list[Array] | None = None,
    below: list[list[str]] | None = None,
    weights: bool = False,
    names: tuple[str, ...] = (),
    limit: int = 9,
    spread: float = 1.0,
) -> list[list[tuple[int, float, float]]]:
    """Draw a model's columns of units, with a line for each weight between units that are drawn.

    Args:
        ax: matplotlib axes.
        model: a scratch module, see `layers`.
        values: what to write into the units, an array for each column.
        below: a line of text under each unit, a list for each column.
        weights: whether to write the weights on the lines.
        names: labels of the output's units.
        limit: how many units of a column are drawn before the middle ones are left out.
        spread: distance between the units of a column.

    Returns:
        For each column the drawn units: (index, x, y).
    """
    columns = layers(model)
    gap, radius = 4.2, 0.34
    drawn = [
        [(i, gap * k, spread * y) for i, y in places(column.units, limit)]
        for k, column in enumerate(columns)
    ]
    for column, before, here in zip(columns[1:], drawn, drawn[1:], strict=False):
        assert column.weight is not None
        top = float(np.max(np.abs(column.weight))) or 1.0
        for row, (i, x, y) in enumerate(here):
            for j, x0, y0 in before:
                w = float(column.weight[i, j])
                share = abs(w) / top
                colour = TORCH if w > 0 else SCRATCH
                line = {"color": colour, "lw": 0.4 + 1.8 * share, "alpha": 0.15 + 0.55 * share}
                ax.plot([x0, x], [y0, y], zorder=1, **line)
                if weights:
                    at = 0.26 + 0.17 * row
                    ax.text(
                        x0 + at * (x - x0),
                        y0 + at * (y - y0),
                        f"{w:g}",
                        fontsize=8,
                        color=colour,
                        ha="center",
                        va="center",
                        bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none"},
                    )
    high = max(y for column in drawn for _, _, y in column) + 0.95
    low = min(y for column in drawn for _, _, y in column) - 0.25 - spread / 2
    for k, (column, units) in enumerate(zip(columns, drawn, strict=True)):
        last = k == len(columns) - 1
        face = "#e8eef1" if k == 0 else "#f6e3c3" if not last else "#dfeae4"
        for row, (i, x, y) in enumerate(units):
            ax.add_patch(_circle(x, y, radius, face))
            text = f"{values[k][i]:.4g}" if values else ""
            ax.text(x, y, text, ha="center", va="center", fontsize=8.5, zorder=3)
            if below:
                ax.text(x, y - radius - 0.08, below[k][row], ha="center", va="top", fontsize=7.5)
            if k == 0:
                ax.text(x - 0.5, y, f"x{i + 1}", ha="right", va="center", fontsize=9)
            elif last:
                label = names[i] if names else f"y{i + 1}"
                ax.text(x + 0.5, y, label, ha="left", va="center", fontsize=9)
        if len(units) < column.units:
            middle = (units[(limit - 1) // 2 - 1][2] + units[(limit - 1) // 2][2]) / 2
            ax.text(
                gap * k,
                middle,
                f"$\\vdots$\n{column.units - len(units)} more\n$\\vdots$",
                ha="center",
                va="center",
                fontsize=8,
                linespacing=0.9,
                bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.85},
            )
        role = "input" if k == 0 else "output" if last else f"hidden {k}"
        then = "".join(f", {name}" for name in column.then)
        ax.text(
            gap * k,
            high,
            f"{role}\n{column.units}{then}",
            ha="center",
            va="bottom",
            fontsize=9.5,
            fontweight="bold",
        )
        if column.weight is not None:
            shape = " x ".join(map(str, column.weight.shape))
            plus = "" if column.bias is None else f" + {column.bias.size}"
            label = f"{shape}{plus} = {column.parameters:,}"
            ax.text(gap * (k - 0.5), low, label, ha="center", va="top", fontsize=9, color="0.3")
    ax.set(
        xlim=(-1.2, gap * (len(columns) - 1) + 1.4), ylim=(low - 0.6, high + 1.0), aspect="equal"
    )
    ax.axis("off")
    return drawn


def _circle(x: float, y: float, radius: float, face: str) -> Any:
    from matplotlib.patches import Circle

    return Circle((x, y), radius, facecolor=face, edgecolor="0.25", lw=1.1, zorder=2)


def _small(seed: int) -> Twins:
    """The 4-5-2 network with ReLU and sigmoid."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        theirs = torch.nn.Sequential(
            torch.nn.Linear(4, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2), torch.nn.Sigmoid()
        )
    ours = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2), nn.Sigmoid())
    return alike(ours, theirs)


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Draw a 4-5-2 network and the one for digits, and count their parameters in three ways."""
    outcome = Outcome("architecture")
    task = get("digits")
    sizes = [task.input_size, *task.hidden, task.output_size]
    pictured = {
        "4-5-2": (_small(seed), (8, 5.0), ("y1", "y2")),
        "-".join(map(str, sizes)): (
            mlps(sizes, task.activation, seed),
            (8.6, 8.6),
            tuple(map(str, range(10))),
        ),
    }
    for name, (twins, size, names) in pictured.items():
        columns = layers(twins.ours)
        by_layer = sum(column.parameters for column in columns)
        by_formula = sum((n + 1) * m for n, m in pairwise(column.units for column in columns))
        summary = twins.ours.summary()
        total = re.search(r"([\d,]+) parameters", summary)
        by_summary = int(total[1].replace(",", "")) if total else -1
        by_torch = sum(p.numel() for p in twins.theirs.parameters())
        outcome.claim(
            f"{name}: drawing, formula, summary() and torch's numel count the same parameters",
            f"{by_layer:,} drawn, {by_formula:,} by (n + 1) m, {by_summary:,} in the summary, "
            f"{by_torch:,} in torch",
            by_layer == by_formula == by_summary == by_torch,
        )
        outcome.numbers[name] = by_layer
        outcome.text += f"{name}\n{summary}\n\n"
        path = out / f"architecture_{name.replace('-', '_')}.png"
        with figure(path, size=size) as (fig, ax):
            # As many as the output has, so that every class shows.
            draw_network(ax, twins.ours, names=names, limit=max(9, len(names)))
            fig.suptitle(
                f"{name}: {by_layer:,} parameters before training\n"
                "blue: positive weights, red: negative, thicker: larger",
                fontsize=11,
            )
        outcome.figures.append(path)
    twins = pictured["4-5-2"][0]
    ours, theirs = twins(np.array([[0.5, -0.2, 0.8, 0.1]]))
    difference = apart(ours, theirs)
    outcome.claim(
        "4-5-2: both twins give the same outputs for (0.5, -0.2, 0.8, 0.1)",
        f"{ours[0].round(4).tolist()}, relative difference {difference:.1e}",
        difference < 64 * float(np.finfo(np.float64).eps),
    )
    neuron = layers(nn.Sequential(nn.Flatten(), nn.Linear(3, 1), nn.Sigmoid()))
    outcome.claim(
        "modules before the first layer, such as Flatten, do not become units",
        f"{[column.units for column in neuron]}",
        [column.units for column in neuron] == [3, 1],
    )
    outcome.text = outcome.text.rstrip()
    return outcome
