"""Where classical learning stops.                            guide 99-290

Four questions. How much do seven hand-made features of an image leave of it? What does a straight
boundary make of two rings? How does training time grow with the number of pixels? What becomes of
distances when there are many dimensions?

Each is measured on real images or on points that are drawn, and told with its other half: pixels
serve a linear model nearly as well as a network, one squared feature straightens the rings, and
pixels that add nothing cost time but do not spoil distances. The guide times its models on noise
with random labels, and takes the share of numbers that are dropped for the information lost.
"""

import itertools
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.spatial.distance import pdist
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

import scratch.optim
import scratch.training
import torch_ref.training
from datasets import tabular, tasks
from datasets.check import Array
from datasets.split import Standardizer, batch_stream, train_test_split
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, SCRATCH, THIRD, TORCH, figure
from parity_tests.experiments.twins import Twins, apart, mlps

FEATURES = ("mean", "std", "max", "min", "centre", "top half", "bottom half")
DIMENSIONS = (1, 2, 5, 10, 50, 100, 500, 1000)
NEURAL = {"MLP, scratch": SCRATCH, "MLP, torch": TORCH}


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Measure the four limits.

    Args:
        out: folder for the figures.
        small: fewer steps, images and points.
        seed: of splits, starts, batches and points.

    Returns:
        Accuracies, times and distances, with the claims about them.
    """
    outcome = Outcome("limits")
    _features(outcome, out, small, seed)
    _circles(outcome, out, small, seed)
    _times(outcome, out, small, seed)
    _distances(outcome, out, small, seed)
    return outcome


def recipe(task: tasks.Task, x: Array, t: Array, steps: int, seed: int) -> tuple[Twins, float]:
    """Train both twins by a task's recipe, from one start and on the same batches.

    Args:
        task: gives the loss, the optimizer and the shape of the network but for its input.
        x: inputs (n, features), float64.
        t: targets, as the task's loss takes them.
        steps: optimizer steps.
        seed: of the start and of the batches.

    Returns:
        The trained twins, and how far their losses were apart.
    """
    twins = mlps((x.shape[1], *task.hidden, task.output_size), task.activation, seed)
    batches = batch_stream(len(x), task.batch_size, steps, seed)
    losses = [*twins.train(task.optimizer, task.optimizer_args, task.loss, x, t, batches)]
    return twins, apart(*zip(*losses, strict=True))


# Hand-made features


def hand_features(images: Array) -> Array:
    """Seven numbers for each image: its mean, spread, extremes, centre and halves.

    Args:
        images: (n, height, width).

    Returns:
        (n, 7), the columns of `FEATURES`.
    """
    n, height, width = images.shape
    pixels = images.reshape(n, -1)
    top, bottom = images[:, : height // 2], images[:, height // 2 :]
    columns = (
        pixels.mean(1),
        pixels.std(1),
        pixels.max(1),
        pixels.min(1),
        images[:, height // 2, width // 2],
        top.mean((1, 2)),
        bottom.mean((1, 2)),
    )
    return np.stack(columns, axis=1)


def _features(outcome: Outcome, out: Path, small: bool, seed: int) -> None:
    digits, task = tabular.digits(), tasks.get("digits")
    steps = 300 if small else task.steps
    train_x, test_x, train_y, test_y = train_test_split(digits.x, digits.y, seed=seed)
    accuracy: dict[str, dict[str, float]] = {}
    predictions: dict[str, list[Array]] = {}
    drift = 0.0
    for name, view in (
        ("7 hand-made features", lambda x: hand_features(x.reshape(-1, 8, 8))),
        ("64 pixels", lambda x: x),
    ):
        scale = Standardizer.fit(view(train_x))
        inputs, tests = scale(view(train_x)), scale(view(test_x))
        linear = LogisticRegression(max_iter=1000).fit(inputs, train_y)
        accuracy[name] = {"logistic regression": float(linear.score(tests, test_y))}
        twins, difference = recipe(task, inputs, train_y, steps, seed)
        drift = max(drift, difference)
        predictions[name] = [logits.argmax(1) for logits in twins(tests)]
        for model, predicted in zip(NEURAL, predictions[name], strict=True):
            accuracy[name][model] = float(np.mean(predicted == test_y))
    by_hand, pixels = accuracy.values()
    outcome.numbers["features"] = accuracy

    best = max(by_hand.values())
    outcome.claim(
        "seven hand-made features hold every model below 75%", f"at best {best:.1%}", best < 0.75
    )
    worst = pixels["logistic regression"]
    outcome.claim("pixels alone give logistic regression 93%", f"{worst:.1%}", worst >= 0.93)
    floor, worst = (0.95 if small else 0.97), min(pixels[name] for name in NEURAL)
    outcome.claim(f"both networks reach {floor:.0%} from pixels", f"{worst:.1%}", worst >= floor)
    same = all(np.array_equal(ours, theirs) for ours, theirs in predictions.values())
    outcome.claim("the twins name every test digit alike", f"{same}", same)
    outcome.claim(
        "on digits the twins' losses stay together to 1e-12", f"{drift:.1e}", drift < 1e-12
    )
    gap, step = worst - best, worst - pixels["logistic regression"]
    outcome.claim(
        "pixels instead of features are worth more than a network instead of a line",
        f"{gap:+.1%} against {step:+.1%}",
        gap > step,
    )

    scale = Standardizer.fit(hand_features(train_x.reshape(-1, 8, 8)))
    i, j = _look_alikes(scale(hand_features(digits.images)), digits.y)
    path = out / "limits_features.png"
    with figure(path, 1, 3, (11, 3.8), width_ratios=(1, 1, 2.6), layout="compressed") as (_, axes):
        for ax, row in zip(axes, (i, j), strict=False):
            ax.imshow(digits.images[row], cmap="gray_r", vmin=0, vmax=1)
            ax.grid(False)
            ax.set(xticks=[], yticks=[], title=f"a {digits.y[row]}")
            values = hand_features(digits.images[[row]])[0]
            lines = [f"{name:<12}{v:.3f}" for name, v in zip(FEATURES, values, strict=True)]
            ax.set_xlabel("\n".join(lines), family="monospace", fontsize=8)
        ax, width = axes[2], 0.26
        colours = {"logistic regression": THIRD, **NEURAL}
        for k, (model, colour) in enumerate(colours.items()):
            heights = [100 * numbers[model] for numbers in accuracy.values()]
            bars = ax.bar(np.arange(2) + (k - 1) * width, heights, width, color=colour, label=model)
            ax.bar_label(bars, fmt="%.1f", fontsize=8, padding=2)
        ax.axhline(10, color="gray", ls=":", lw=1)
        ax.text(0.5, 11, "chance", color="gray", fontsize=8, ha="center")
        ax.set(
            xticks=range(2),
            xticklabels=list(accuracy),
            xlim=(-0.5, 1.5),
            ylim=(0, 126),
            yticks=range(0, 101, 20),
            ylabel=f"test accuracy in % ({len(test_y)} digits)",
            title="What is kept of the image decides, more than the model",
        )
        ax.legend(loc="upper left", ncols=3, fontsize=8)
    outcome.figures.append(path)


def _look_alikes(features: Array, y: Array) -> tuple[int, int]:
    """The two images of different classes whose features are closest."""
    distance = ((features[:, None] - features) ** 2).sum(-1)
    distance[y[:, None] == y] = np.inf
    i, j = np.unravel_index(int(distance.argmin()), distance.shape)
    return int(i), int(j)


# Straight boundaries


def best_line(x: Array, y: Array, directions: int = 720) -> float:
    """The accuracy of the best straight boundary, over all offsets of many directions.

    Args:
        x: points (n, 2).
        y: classes (n,), 0 or 1.
        directions: how many, spread over a half turn.

    Returns:
        The largest share of points that a line puts on the right side.
    """
    angle = math.pi * np.arange(directions) / directions
    order = (x @ np.stack([np.cos(angle), np.sin(angle)])).argsort(0)  # (n, directions)
    signs = np.where(y == 1, 1, -1)[order]
    zero = np.zeros((1, directions), int)
    below = np.concatenate([zero, signs.cumsum(0)])  # ones minus zeros below each offset
    right = (y == 0).sum() + (y.size and signs.sum(0)) - below  # ones above and zeros below
    return float(max(right.max(), (y.size - right).max()) / y.size)


def _circles(outcome: Outcome, out: Path, small: bool, seed: int) -> None:
    task = tasks.get("circles")
    split = task.load(seed)
    labels, truth = split.train_y.ravel().astype(int), split.test_y.ravel().astype(int)
    line = LogisticRegression().fit(split.train_x, labels)

    def squared(x: Array) -> Array:
        return np.concatenate([x, (x**2).sum(1, keepdims=True)], axis=1)

    lifted = LogisticRegression().fit(squared(split.train_x), labels)
    twins, drift = recipe(task, split.train_x, split.train_y, task.steps, seed)
    classify: dict[str, Callable[[Array], Array]] = {
        "logistic regression": line.predict,
        "the same with x1² + x2² added": lambda x: lifted.predict(squared(x)),
        "MLP, scratch": lambda x: twins(x)[0][:, 0] > 0,
        "MLP, torch": lambda x: twins(x)[1][:, 0] > 0,
    }
    accuracy = {n: float(np.mean(f(split.test_x) == truth)) for n, f in classify.items()}
    limit = best_line(
        np.concatenate([split.train_x, split.test_x]), np.concatenate([labels, truth])
    )
    outcome.numbers["circles"] = {**accuracy, "best of all lines, on all points": limit}

    coin = accuracy["logistic regression"]
    outcome.claim(
        "on two rings logistic regression is a coin", f"{coin:.1%}", abs(coin - 0.5) <= 0.12
    )
    outcome.claim("no straight line gets beyond 80%", f"best of all: {limit:.1%}", limit < 0.8)
    worst = min(accuracy[name] for name in NEURAL)
    outcome.claim("both networks separate the rings", f"{worst:.1%}", worst >= task.target)
    by_hand = accuracy["the same with x1² + x2² added"]
    outcome.claim(
        "given the squared radius, logistic regression does too",
        f"{by_hand:.1%}",
        by_hand >= task.target,
    )
    reach = 1.1 * np.abs(split.test_x).max()
    ticks = np.linspace(-reach, reach, 100 if small else 300)
    grid = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    regions = {n: f(grid).astype(float).reshape(len(ticks), -1) for n, f in classify.items()}
    apart = int(np.sum(regions["MLP, scratch"] != regions["MLP, torch"]))
    outcome.claim(
        "around the rings the twins draw the same boundary",
        f"{apart} of {len(grid)} points differ",
        apart == 0,
    )
    outcome.claim(
        "on rings the twins' losses stay together to 1e-12", f"{drift:.1e}", drift < 1e-12
    )

    path = out / "limits_circles.png"
    with figure(path, 1, 4, (13, 3.9), sharey=True, layout="compressed") as (_, axes):
        for ax, (name, region) in zip(axes, regions.items(), strict=True):
            ax.contourf(ticks, ticks, region, (-0.5, 0.5, 1.5), colors=CLASSES[:2], alpha=0.22)
            for k in range(2):
                points = split.test_x[truth == k]
                label = ("outer ring", "inner ring")[k]
                ax.scatter(*points.T, s=9, color=CLASSES[k], label=label)
            ax.set(title=f"{name}\n{accuracy[name]:.1%} of the test points", xlabel="x1")
            ax.set_aspect("equal")
        axes[0].set_ylabel("x2 (both standardised)")
        axes[0].legend(loc="upper right", fontsize=8, markerscale=1.5, borderpad=0.1)
    outcome.figures.append(path)


# Time against the number of pixels


def enlarged(images: Array, size: int) -> Array:
    """Images with every pixel repeated until they are `size` pixels high and wide.

    Args:
        images: (n, height, width).
        size: a multiple of height and width.

    Returns:
        (n, size * size).
    """
    n, height, width = images.shape
    rows = images.repeat(size // height, axis=1)
    return rows.repeat(size // width, axis=2).reshape(n, -1)


def _contestant(
    name: str, task: tasks.Task, features: int, batches: list[Array], seed: int
) -> tuple[Callable[[Array, Array], Any], Callable[[Array], Array]]:
    """How an untrained model is fitted, and how it then names images."""
    if name == "random forest":
        forest = RandomForestClassifier(10, max_depth=10, random_state=seed)
        return forest.fit, forest.predict
    if name == "SVC":
        vectors = SVC()
        return vectors.fit, vectors.predict
    twins = mlps((features, 32, task.output_size), task.activation, seed)
    if name == "MLP, scratch":
        ours = getattr(scratch.optim, task.optimizer)(
            twins.ours.parameters(), **task.optimizer_args
        )
        return (
            lambda x, t: [*scratch.training.train(twins.ours, ours, task.loss, x, t, batches)],
            lambda x: twins(x)[0].argmax(1),
        )
    theirs = getattr(torch.optim, task.optimizer)(twins.theirs.parameters(), **task.optimizer_args)
    return (
        lambda x, t: [
            *torch_ref.training.train(
                twins.theirs, theirs, task.loss, torch.tensor(x), torch.tensor(t), batches
            )
        ],
        lambda x: twins(x)[1].argmax(1),
    )


def _times(outcome: Outcome, out: Path, small: bool, seed: int) -> None:
    sizes, n, repeats = ((8, 32), 400, 2) if small else ((8, 16, 32, 64), 1000, 5)
    digits, task = tabular.digits(), tasks.get("digits")
    images, y = digits.images[:n], digits.y[:n]
    tests, truth = digits.images[n : n + 400], digits.y[n : n + 400]
    batches = list(batch_stream(n, 100, 60 if small else 300, seed))
    names = ("random forest", "SVC", *NEURAL)
    times: dict[str, list[float]] = {name: [] for name in names}
    named: dict[str, list[Array]] = {name: [] for name in names}
    for size in sizes:
        scale = Standardizer.fit(enlarged(images, size))
        x, test_x = scale(enlarged(images, size)), scale(enlarged(tests, size))
        for name in names:
            fastest = math.inf  # what disturbs a run only ever makes it slower
            for _ in range(repeats):
                fit, predict = _contestant(name, task, x.shape[1], batches, seed)
                start = time.perf_counter()
                fit(x, y)
                fastest = min(fastest, time.perf_counter() - start)
            times[name].append(fastest)
            named[name].append(predict(test_x))
    accuracy = {k: [float(np.mean(p == truth)) for p in v] for k, v in named.items()}
    growth = {name: t[-1] / t[0] for name, t in times.items()}
    power = {k: math.log(g) / math.log((sizes[-1] / sizes[0]) ** 2) for k, g in growth.items()}
    outcome.numbers["times"] = {
        "what": f"seconds to fit {n} digits whose pixels are repeated, fastest of {repeats}; "
        "forest of 10 trees of depth 10; SVC with an RBF kernel; MLP with 32 hidden units, "
        f"{len(batches)} steps of {task.optimizer} on 100 images",
        "sizes": sizes,
        "seconds": times,
        "accuracy": accuracy,
        "exponent of the number of pixels": power,
    }
    least, most = min(growth.values()), max(growth.values())
    more = (sizes[-1] // sizes[0]) ** 2
    outcome.claim(
        f"every model takes longer at {sizes[-1]} x {sizes[-1]} than at {sizes[0]} x {sizes[0]}",
        f"by factors of {least:.1f} to {most:.1f} for {more} times the pixels",
        least > 1,
    )
    moved = max(float(np.mean(p != named["SVC"][0])) for p in named["SVC"])
    outcome.claim(
        "repeated pixels leave the SVC's predictions where they are: the time buys nothing",
        f"{moved:.1%} change",
        moved <= 0.01,
    )
    path = out / "limits_times.png"
    colours = {"random forest": THIRD, "SVC": CLASSES[2], **NEURAL}
    with figure(path, 1, 2, (10.5, 4)) as (_, axes):
        for name, colour in colours.items():
            label = f"{name}: pixels$^{{{power[name]:.2f}}}$"
            axes[0].loglog(sizes, times[name], "o-", color=colour, label=label)
            style = "s--" if name == "MLP, torch" else "o-"  # the twins' points coincide
            axes[1].plot(sizes, [100 * a for a in accuracy[name]], style, color=colour, label=name)
        axes[0].set(
            ylabel=f"seconds to fit {n} digits",
            title="Time grows with the number of pixels",
        )
        axes[0].legend(fontsize=8)
        axes[1].set(
            ylim=(0, 102),
            ylabel=f"test accuracy in % ({len(truth)} digits)",
            title="Repeated pixels add nothing to know",
        )
        axes[1].set_xscale("log")
        axes[1].legend(fontsize=8, loc="lower right")
        for ax in axes:
            ax.set_xlabel("height and width in pixels")
            ax.set_xticks(sizes, [str(s) for s in sizes])
            ax.xaxis.minorticks_off()
    outcome.figures.append(path)


# Distances in many dimensions


def _distances(outcome: Outcome, out: Path, small: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 100 if small else 300
    distances = {d: pdist(rng.uniform(size=(n, d))) for d in DIMENSIONS}
    mean = {d: float(v.mean()) for d, v in distances.items()}
    std = {d: float(v.std()) for d, v in distances.items()}
    images = tabular.digits().images[rng.permutation(1797)[:n]]
    real = {size**2: pdist(enlarged(images, size)) for size in (8, 32)}
    relative = {d: float(v.std() / v.mean()) for d, v in real.items()}
    ratio = {d: std[d] / mean[d] for d in DIMENSIONS}
    nearest = {d: float(v.min() / v.max()) for d, v in distances.items()}
    outcome.numbers["distances"] = {
        "points": n,
        "mean": mean,
        "std": std,
        "std / mean": ratio,
        "nearest pair / farthest pair": nearest,
        "std / mean of digits": relative,
    }
    lines = [f"{'dimensions':>10}  {'mean':>7}  {'std':>6}  {'std/mean':>8}  {'min/max':>7}"]
    lines += [
        f"{d:10}  {mean[d]:7.3f}  {std[d]:6.3f}  {ratio[d]:8.3f}  {nearest[d]:7.3f}"
        for d in DIMENSIONS
    ]
    outcome.text = "\n".join(lines)

    shrinking = all(ratio[a] > ratio[b] for a, b in itertools.pairwise(DIMENSIONS))
    outcome.claim(
        "the spread of distances shrinks beside their mean, from each dimension to the next",
        f"{ratio[1]:.2f} at 1 to {ratio[1000]:.3f} at 1000",
        shrinking,
    )
    off = max(abs(mean[d] / math.sqrt(d / 6) - 1) for d in DIMENSIONS if d >= 50)
    outcome.claim(
        "from 50 dimensions on the mean distance is sqrt(d / 6)", f"within {off:.1%}", off < 0.03
    )
    off = max(abs(std[d] / math.sqrt(7 / 120) - 1) for d in DIMENSIONS if d >= 50)
    outcome.claim(
        "from 50 dimensions on their spread is sqrt(7 / 120)", f"within {off:.1%}", off < 0.15
    )
    outcome.claim(
        "in 1000 dimensions the farthest pair is less than twice as far as the nearest",
        f"{1 / nearest[1000]:.2f} times",
        nearest[1000] > 0.5,
    )
    uniform = math.sqrt(0.35 / 64)
    outcome.claim(
        "images are spared: distances of digits spread over twice as far, however many pixels",
        f"{relative[64]:.3f} with 64, {relative[1024]:.3f} with 1024; "
        f"uniform points {uniform:.3f} and {uniform / 4:.3f}",
        min(relative.values()) > 2 * uniform,
    )

    path = out / "limits_distances.png"
    with figure(path, 1, 3, (13, 4)) as (_, axes):
        bins = np.linspace(0, 3, 90)
        for d, colour in zip((1, 2, 10, 100, 1000), CLASSES, strict=True):
            values = distances[d] / mean[d]
            axes[0].hist(values, bins, density=True, histtype="step", color=colour, label=f"{d}")
        axes[0].set(
            xlabel="distance / mean distance",
            ylabel="density",
            yscale="log",
            title="All pairs become equally far",
        )
        axes[0].legend(title="dimensions", fontsize=8)
        line = np.geomspace(1, 1000, 50)
        axes[1].plot(line, np.sqrt(line / 6), color="gray", lw=1, label="sqrt(d / 6)")
        axes[1].errorbar(
            DIMENSIONS,
            list(mean.values()),
            list(std.values()),
            fmt="o",
            color=TORCH,
            capsize=3,
            label="measured, ± one spread",
        )
        axes[1].set(
            xscale="log",
            xlabel="dimensions",
            ylabel="distance in a unit cube",
            title="The mean grows, the spread does not",
        )
        axes[1].legend(fontsize=8)
        axes[2].plot(line, np.sqrt(0.35 / line), color="gray", lw=1, label="sqrt(0.35 / d)")
        axes[2].loglog(DIMENSIONS, list(ratio.values()), "o", color=TORCH, label="uniform points")
        axes[2].loglog(
            list(relative), list(relative.values()), "*", ms=12, color=SCRATCH, label="digits"
        )
        axes[2].set(
            xlabel="dimensions",
            ylabel="spread / mean of distances",
            title="Beside the mean it shrinks, but not for images",
        )
        axes[2].set_yticks(ticks := (0.02, 0.05, 0.1, 0.2, 0.5), [str(tick) for tick in ticks])
        axes[2].minorticks_off()
        axes[2].legend(fontsize=8)
    outcome.figures.append(path)
