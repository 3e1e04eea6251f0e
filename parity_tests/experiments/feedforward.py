"""Feedforward classifiers on iris, wine, breast cancer and digits, beside scikit-learn's.

Guide: feedforward networks, with iris as the example [1665-1725]. There the network is never
trained: it prints what random weights predict, and praises it. Here both twins are trained by the
tasks' recipes, and scikit-learn's MLPClassifier gets the same rows, hidden units, activation, rate,
batch size and number of epochs (with Adam and its own L2 penalty, as it has no AdamW).
"""

import math
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from datasets import tabular
from datasets.split import batch_stream, train_test_split
from datasets.tasks import Split, Task, get
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import SCRATCH, THIRD, TORCH, figure
from parity_tests.experiments.twins import Twins, mlps
from parity_tests.harness.draw import Array

NAMES = ("iris", "wine", "breast_cancer", "digits")


@dataclass(frozen=True)
class Run:
    """One task from one seed.

    Attributes:
        split: the data.
        twins: both models, trained.
        loss: of each step's batch, (steps, 2): scratch, torch.
        predicted: classes of the test rows, scratch.
        reference: the same, torch.
        baseline: the same, scikit-learn.
        baseline_loss: its training loss by epoch.
        truth: what they are.
        epoch: steps in an epoch.
    """

    split: Split
    twins: Twins
    loss: Array
    predicted: Array
    reference: Array
    baseline: Array
    baseline_loss: list[float]
    truth: Array
    epoch: int

    @property
    def drift(self) -> float:
        """The largest relative difference of the twins' losses."""
        return float(np.max(np.abs(self.loss[:, 0] / self.loss[:, 1] - 1)))

    @property
    def accuracies(self) -> tuple[float, float, float]:
        """Test accuracy of scratch, torch and scikit-learn."""
        ours, theirs, baseline = (
            float(np.mean(p == self.truth)) for p in (self.predicted, self.reference, self.baseline)
        )
        return ours, theirs, baseline


def classes(output: Array) -> Array:
    """The class of each row: of logits the largest, of a single logit its sign."""
    single = output.shape[1] == 1
    return (output[:, 0] > 0).astype(np.int64) if single else output.argmax(1)


def baseline(task: Task, split: Split, epochs: int, seed: int) -> tuple[Array, list[float]]:
    """Predictions and loss curve of scikit-learn's MLPClassifier of the same shape and budget."""
    model = MLPClassifier(
        task.hidden,
        activation=task.activation.lower(),
        solver="adam",
        learning_rate_init=task.optimizer_args["lr"],
        batch_size=task.batch_size,
        max_iter=epochs,
        tol=0.0,
        n_iter_no_change=epochs,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the budget is the point
        model.fit(split.train_x, split.train_y.ravel().astype(np.int64))
    return model.predict(split.test_x), model.loss_curve_


def one(task: Task, seed: int) -> Run:
    """Train both twins by the recipe, and scikit-learn's classifier."""
    split = task.load(seed)
    n = len(split.train_x)
    twins = mlps([task.input_size, *task.hidden, task.output_size], task.activation, seed)
    stream = batch_stream(n, task.batch_size, task.steps, seed)
    loss = np.array(
        list(
            twins.train(
                task.optimizer, task.optimizer_args, task.loss, split.train_x, split.train_y, stream
            )
        )
    )
    epoch = math.ceil(n / task.batch_size)
    predicted, curve = baseline(task, split, math.ceil(task.steps / epoch), seed)
    ours, theirs = (classes(y) for y in twins(split.test_x))
    truth = split.test_y.ravel().astype(np.int64)
    return Run(split, twins, loss, ours, theirs, predicted, curve, truth, epoch)


def table(rows: list[tuple[str, ...]]) -> str:
    """Text in columns, the first one to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True)]
        )
        for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def flowers(run: Run, task: Task, seed: int) -> tuple[str, float]:
    """Five test flowers as the network names them before and after training; accuracy before."""
    untrained = mlps([task.input_size, *task.hidden, task.output_size], task.activation, seed)
    before = classes(untrained(run.split.test_x)[0])
    names = run.split.target_names
    measured = run.split.standardizer.inverse(run.split.test_x)
    rows: list[tuple[str, ...]] = [("sepal and petal, cm", "untrained", "trained", "true")]
    for i in range(5):
        lengths = " ".join(f"{v:.1f}" for v in measured[i])
        rows.append((lengths, names[before[i]], names[run.predicted[i]], names[run.truth[i]]))
    return table(rows), float(np.mean(before == run.truth))


def draw_errors(path: Path, found: dict[str, list[Run]]) -> Path:
    """Test errors of the three, a dot a seed."""
    with figure(path, size=(9.5, 4.4)) as (_, ax):
        sides = (("scratch", SCRATCH), ("torch_ref", TORCH), ("scikit-learn", THIRD))
        for k, (side, colour) in enumerate(sides):
            for i, runs in enumerate(found.values()):
                values = 100 * (1 - np.array([run.accuracies[k] for run in runs]))
                x = i + 0.26 * (k - 1)
                label = side if i == 0 else None
                ax.bar(x, values.mean(), 0.24, color=colour, alpha=0.75, label=label)
                spread = np.linspace(-0.06, 0.06, len(values)) if len(values) > 1 else [0.0]
                ax.plot(x + np.array(spread), values, "o", color="k", ms=3.5, zorder=3)
                ax.text(x, -0.12, f"{values.mean():.1f}", ha="center", va="top", fontsize=8)
        for i, name in enumerate(found):
            most = 100 * (1 - get(name).target)
            ax.plot([i - 0.4, i + 0.4], [most, most], color="0.15", lw=1.2, ls=":")
        ax.plot([], [], color="0.15", lw=1.2, ls=":", label="allowed by the recipe's target")
        ax.plot([], [], "ok", ms=3.5, label="one seed")
        ax.set_xticks(range(len(found)), [f"\n{name.replace('_', ' ')}" for name in found])
        ax.tick_params(axis="x", length=0)
        ax.set(
            ylabel="test rows that are wrong, %",
            title="Both twins and scikit-learn, means over seeds",
        )
        ax.set_ylim(bottom=0)
        ax.grid(axis="x", visible=False)
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return path


def draw_losses(path: Path, found: dict[str, list[Run]]) -> Path:
    """Training losses from the first seed, epoch by epoch."""
    with figure(path, 1, len(found), (4 * len(found), 3.8)) as (fig, axes):
        for ax, (name, runs) in zip(axes, found.items(), strict=True):
            run = runs[0]
            epochs = len(run.loss) // run.epoch
            means = run.loss[: epochs * run.epoch].reshape(epochs, run.epoch, 2).mean(1)
            at = np.arange(1, epochs + 1)
            ax.semilogy(at, means[:, 1], color=TORCH, lw=3, alpha=0.5, label="torch_ref")
            ax.semilogy(at, means[:, 0], "--", color=SCRATCH, lw=1.2, label="scratch")
            ax.semilogy(at, run.baseline_loss[:epochs], color=THIRD, lw=1.2, label="scikit-learn")
            ax.set(xlabel="epoch", title=f"{name.replace('_', ' ')}: twins within {run.drift:.0e}")
        axes[0].set_ylabel("training loss, mean of the epoch's batches")
        axes[0].legend(fontsize=8)
        fig.suptitle("From the first seed: both twins take the same path, scikit-learn one like it")
    return path


def draw_digits(path: Path, run: Run, seed: int) -> Path:
    """Confusions on digits, and the digits that were confused."""
    task = get("digits")
    data = tabular.digits()
    _, pictures, _, _ = train_test_split(data.x, data.y, task.test_size, seed)
    wrong = np.flatnonzero(run.predicted != run.truth)[:12]
    with figure(path, size=(12, 4.8)) as (fig, unused):
        unused.remove()
        halves: Any = fig.subfigures(1, 2, width_ratios=(1, 1.25))
        left, right = halves
        ax = left.subplots()
        counts = np.zeros((10, 10), int)
        np.add.at(counts, (run.truth, run.predicted), 1)
        ax.imshow(np.where(counts == 0, np.nan, counts), cmap="Blues", vmin=0)
        for i in range(10):
            for j in range(10):
                if counts[i, j]:
                    colour = "white" if i == j else SCRATCH
                    ax.text(j, i, counts[i, j], ha="center", va="center", color=colour, fontsize=9)
        ax.set(xticks=range(10), yticks=range(10), xlabel="predicted", ylabel="true")
        ax.set_title(f"{int(np.trace(counts))} of {counts.sum()} test digits right")
        ax.grid(False)
        panels = right.subplots(3, 4)
        for cell in panels.flat:
            cell.axis("off")
        for cell, i in zip(panels.flat, wrong, strict=False):
            cell.imshow(pictures[i].reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
            cell.set_title(f"{run.truth[i]} taken for {run.predicted[i]}", fontsize=9)
        number = int(np.sum(run.predicted != run.truth))
        right.suptitle(
            "The ones that are wrong" if number <= 12 else f"12 of the {number} that are wrong",
            fontsize=11,
        )
    return path


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Train both twins and scikit-learn's classifier on four data sets from several seeds.

    Where `small` is set it is one seed, and half of each recipe's steps.
    """
    outcome = Outcome("feedforward")
    seeds = range(seed, seed + (1 if small else 5))
    recipes = {name: get(name) for name in NAMES}
    if small:
        recipes = {name: replace(task, steps=task.steps // 2) for name, task in recipes.items()}
    found = {name: [one(task, s) for s in seeds] for name, task in recipes.items()}
    rows: list[tuple[str, ...]] = [
        (
            "task",
            "network",
            "steps",
            "scratch",
            "torch_ref",
            "scikit-learn",
            "target",
            "twins apart",
        )
    ]
    for name, runs in found.items():
        task = recipes[name]
        values = np.array([r.accuracies for r in runs])
        mean, spread = values.mean(0), values.std(0)
        drift = max(r.drift for r in runs)
        shape = "-".join(map(str, (task.input_size, *task.hidden, task.output_size)))
        cells = [
            f"{100 * m:.1f}" + ("" if small else f" +- {100 * s:.1f}")
            for m, s in zip(mean, spread, strict=True)
        ]
        rows.append(
            (name, shape, f"{task.steps:,}", *cells, f"{100 * task.target:.0f}", f"{drift:.0e}")
        )
        outcome.numbers[name] = {
            "scratch": values[:, 0].tolist(),
            "torch_ref": values[:, 1].tolist(),
            "scikit-learn": values[:, 2].tolist(),
            "twins apart": [r.drift for r in runs],
        }
        outcome.claim(
            f"{name}: both twins reach the task's {100 * task.target:.0f}% from every seed",
            f"at least {100 * values[:, 0].min():.1f}% and {100 * values[:, 1].min():.1f}%",
            bool(np.all(values[:, :2] >= task.target)),
        )
        same = all(np.array_equal(r.predicted, r.reference) for r in runs)
        outcome.claim(
            f"{name}: the twins' losses agree to rounding, and they say the same of every test row",
            f"largest relative difference {drift:.1e}",
            drift < 1e-8 and same,
        )
        outcome.claim(
            f"{name}: within three points of scikit-learn, or better",
            f"{100 * mean[0]:.1f}% against {100 * mean[2]:.1f}%",
            bool(mean[0] >= mean[2] - 0.03),
        )
    iris = found["iris"][0]
    text, before = flowers(iris, get("iris"), seed)
    outcome.numbers["iris"]["untrained"] = before
    after = iris.accuracies[0]
    outcome.claim(
        "iris: the untrained network, with which the guide stops, is far below the trained one",
        f"{100 * before:.1f}% against {100 * after:.1f}% of {len(iris.truth)} flowers",
        before < after - 0.2,
    )
    number = "1 seed" if small else f"means over {len(seeds)} seeds"
    outcome.text = f"Test accuracy in %, {number}\n\n{table(rows)}\n\nFive test flowers\n\n{text}"
    outcome.figures = [
        draw_errors(out / "feedforward_errors.png", found),
        draw_losses(out / "feedforward_losses.png", found),
        draw_digits(out / "feedforward_digits.png", found["digits"][0], seed),
    ]
    return outcome
