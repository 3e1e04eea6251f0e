"""What a network that learned XOR computes, everywhere in the plane and unit by unit.

Guide: decision boundaries and hidden neurons [1480-1660], predictions over epochs [1420-1478]. It
trains another network from the start for each epoch that it shows; here one run is watched. What
the hidden units do is left to the eye; here the four hidden vectors are given to a perceptron too,
which separates them where it never separates the four points.
"""

from itertools import islice, repeat
from pathlib import Path
from typing import Any

import numpy as np

from datasets import toy
from datasets.tasks import get
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, TORCH, figure
from parity_tests.experiments.twins import Twins, mlps
from parity_tests.experiments.xor import POINTS, ROWS, probabilities
from parity_tests.harness import torch_trace
from parity_tests.harness.draw import Array
from scratch import nn
from scratch.models import Perceptron

LOW, HIGH = -0.5, 1.5


def surfaces(twins: Twins, z: Array, side: int) -> tuple[Array, Array]:
    """Probability of 1 on the grid, of both twins, (side, side) each."""
    ours, theirs = twins(z)
    return probabilities(ours).reshape(side, side), probabilities(theirs).reshape(side, side)


def hidden_units(twins: Twins, z: Array) -> tuple[Array, Array]:
    """Activations of the hidden layer on rows of standardised inputs, of both twins."""
    with nn.trace(twins.ours) as ours, torch_trace.trace(twins.theirs) as theirs:
        twins(z)
    return dict(ours.outputs)["layers.1"], dict(theirs.outputs)["layers.1"]


def is_separable(x: Array, y: Array) -> int | None:
    """The epoch in which a perceptron makes no more mistakes, None if there is none in 1,000."""
    model = Perceptron(x.shape[1], dtype=np.float64)
    for parameter in model.parameters():
        parameter.data = np.zeros(parameter.shape)
    mistakes = model.learn(x, y.astype(np.float64), epochs=1000)
    return len(mistakes) if mistakes[-1] == 0 else None


def points(ax: Any, x: Array, y: Array) -> None:
    """The four points: circles for 0, squares for 1."""
    for target, marker in enumerate("os"):
        here = x[y == target]
        style = {"ms": 11, "mfc": CLASSES[target], "mec": "white", "mew": 1.8, "ls": ""}
        ax.plot(here[:, 0], here[:, 1], marker, label=f"class {target}", clip_on=False, **style)


def plane(ax: Any, title: str) -> None:
    """Axes of the input plane."""
    ax.set(
        xlabel="x1", ylabel="x2", title=title, aspect="equal", xlim=(LOW, HIGH), ylim=(LOW, HIGH)
    )
    ax.grid(False)


def draw_surface(path: Path, grid: Array, p: Array, x: Array, y: Array) -> Path:
    """Heat map, regions with the boundary, and the surface from the side."""
    with figure(path, size=(15, 4.6)) as (fig, unused):
        unused.remove()
        heat, regions = fig.add_subplot(1, 3, 1), fig.add_subplot(1, 3, 2)
        solid: Any = fig.add_subplot(1, 3, 3, projection="3d")
        solid.computed_zorder = False  # the points stay in sight
        image = heat.pcolormesh(
            grid, grid, p, cmap="RdYlBu_r", vmin=0, vmax=1, shading="nearest", rasterized=True
        )
        fig.colorbar(image, ax=heat, label="probability of 1", shrink=0.85)
        points(heat, x, y)
        plane(heat, "Probability")
        colours = ["#c9d6de", "#f0cfc6"]
        regions.contourf(grid, grid, p, levels=[-0.1, 0.5, 1.1], colors=colours)
        regions.contour(grid, grid, p, levels=[0.5], colors="k", linewidths=2)
        regions.contour(grid, grid, p, levels=[0.1, 0.9], colors="0.4", linewidths=0.8)
        points(regions, x, y)
        plane(regions, "Regions, boundary at 0.5 (thin: 0.1 and 0.9)")
        a, b = np.meshgrid(grid, grid)
        solid.plot_surface(
            a, b, p, cmap="RdYlBu_r", vmin=0, vmax=1, rcount=60, ccount=60, alpha=0.85
        )
        for (x1, x2), target in zip(x, y, strict=True):
            style = {"ms": 8, "mfc": CLASSES[target], "mec": "white", "zorder": 10}
            solid.plot([x1], [x2], [target], "os"[target], **style)
        solid.view_init(elev=28, azim=-60)
        solid.set(
            xlabel="x1", ylabel="x2", zlabel="probability of 1", title="The same as a surface"
        )
        solid.set_box_aspect((1, 1, 0.75), zoom=1.12)
        fig.legend(*regions.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        fig.suptitle("XOR learned by 2-4-1 (scratch; torch_ref's surface is the same to rounding)")
    return path


def draw_hidden(path: Path, grid: Array, h: Array, x: Array, y: Array, v: Array) -> Path:
    """Every hidden unit over the plane."""
    units = h.shape[1]
    columns = min(4, units)
    rows = -(-units // columns)
    with figure(path, rows, columns, (3.7 * columns + 0.8, 4.0 * rows), squeeze=False) as (
        fig,
        axes,
    ):
        side = len(grid)
        for unit, ax in enumerate(axes.flat):
            image = ax.pcolormesh(
                grid,
                grid,
                h[:, unit].reshape(side, side),
                cmap="PuOr_r",
                vmin=-1,
                vmax=1,
                shading="nearest",
                rasterized=True,
            )
            ax.contour(grid, grid, h[:, unit].reshape(side, side), [0], colors="k", linestyles="--")
            points(ax, x, y)
            plane(ax, f"hidden {unit + 1}, output weight {v[unit]:+.2f}")
        fig.colorbar(image, ax=axes, label="activation (tanh)", shrink=0.8)
        fig.suptitle("Each hidden unit is a step across one line; the output adds them up")
    return path


def draw_history(path: Path, ours: Array, theirs: Array, loss: Array) -> Path:
    """Predictions and loss over the steps of one run."""
    with figure(path, 1, 2, (12, 4.4)) as (_, (predictions, losses)):
        steps = np.arange(len(ours))
        for i, point in enumerate(POINTS):
            predictions.plot(steps, ours[:, i], color=CLASSES[i], lw=1.6, label=f"{point}, scratch")
            every = np.unique(np.geomspace(1, len(ours) - 1, 22).astype(int))
            predictions.plot(
                every, theirs[every, i], "x", color=CLASSES[i], ms=6, label=f"{point}, torch_ref"
            )
        predictions.axhline(0.5, color="0.5", lw=0.8, ls=":")
        predictions.set_xscale("symlog", linthresh=1)
        predictions.set_xticks([0, 1, 10, 100], ["0", "1", "10", "100"])
        predictions.set(
            xlabel="step",
            ylabel="probability of 1",
            title="The four predictions",
            ylim=(-0.03, 1.03),
            xlim=(0, len(ours)),
        )
        predictions.legend(ncols=2, fontsize=8, loc="lower left", bbox_to_anchor=(0.0, 0.12))
        losses.semilogy(np.arange(1, len(loss) + 1), loss, color=TORCH)
        losses.axhline(np.log(2), color="0.5", lw=0.8, ls=":")
        losses.text(
            len(loss), np.log(2) * 1.05, "all four at 1/2", ha="right", fontsize=8, color="0.4"
        )
        losses.set(xlabel="step", ylabel="binary cross-entropy", title="The loss")
    return path


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Train both twins on XOR by the recipe and look at what they compute."""
    outcome = Outcome("decision_surface")
    task = get("xor")
    split = task.load(seed)
    x, y = toy.xor()
    twins = mlps([2, *task.hidden, 1], task.activation, seed)
    pairs = twins.train(
        task.optimizer, task.optimizer_args, task.loss, split.train_x, split.train_y, repeat(ROWS)
    )
    seen = [twins(split.train_x)]
    losses = []
    for loss, _ in islice(pairs, task.steps):
        losses.append(loss)
        seen.append(twins(split.train_x))
    ours, theirs = (np.array([probabilities(z[i]).ravel() for z in seen]) for i in range(2))
    right = [bool(np.all((p[-1] > 0.5) == (y == 1))) for p in (ours, theirs)]
    outcome.claim(
        "all four points are right in both twins",
        f"scratch {ours[-1].round(4).tolist()}, torch {theirs[-1].round(4).tolist()}",
        all(right),
    )
    first = next(step for step in range(len(ours)) if np.all((ours[step:] > 0.5) == (y == 1)))
    outcome.claim(
        "both twins' predictions agree at every step of the run",
        f"largest difference {np.max(np.abs(ours - theirs)):.1e}; all right from step {first} on",
        bool(np.max(np.abs(ours - theirs)) < 1e-10),
    )
    side = 101 if small else 301
    grid = np.linspace(LOW, HIGH, side)
    inputs = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    z = split.standardizer(inputs)
    surface, reference = surfaces(twins, z, side)
    difference = float(np.max(np.abs(surface - reference)))
    differently = int(np.sum((surface > 0.5) != (reference > 0.5)))
    outcome.claim(
        f"the surfaces are equal within rounding on {side * side:,} points, and so are the regions",
        f"largest difference {difference:.1e}, {differently} points in another region",
        difference < 1e-10 and differently == 0,
    )
    h, torch_h = hidden_units(twins, z)
    apart = float(np.max(np.abs(h - torch_h)))
    outcome.claim(
        "so are the hidden units' activations, in both traces",
        f"largest difference {apart:.1e}",
        apart < 1e-10,
    )
    corners, torch_corners = hidden_units(twins, split.train_x)
    plain, inner = is_separable(x, y), is_separable(corners, y)
    torch_inner = is_separable(torch_corners, y)
    outcome.claim(
        "a perceptron separates the four hidden vectors, which it never does with the four points",
        f"points: {'no end after 1,000 epochs' if plain is None else plain}; hidden vectors: "
        f"without a mistake in epoch {inner} (torch's: {torch_inner})",
        plain is None and inner is not None and torch_inner is not None,
    )
    weights = twins.ours.state_dict()["layers.2.weight"][0]
    outcome.numbers = {
        "probabilities": ours[-1].tolist(),
        "hidden vectors": corners.tolist(),
        "output weights": weights.tolist(),
        "surfaces apart": difference,
        "hidden units apart": apart,
        "all right from step": first,
        "loss": losses,
    }
    outcome.figures = [
        draw_surface(out / "decision_surface.png", grid, surface, x, y),
        draw_hidden(out / "decision_surface_hidden.png", grid, h, x, y, weights),
        draw_history(out / "decision_surface_history.png", ours, theirs, np.array(losses)),
    ]
    return outcome
