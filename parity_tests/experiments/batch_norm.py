"""Batch normalisation: which depths and rates train only with it, and what small batches cost.

    y = g (x - mu) / sqrt(v + eps) + b      mu, v: of the batch in training, running ones after it

Guide: batch normalisation [6211-6455]. Its layer has no backward, the gradient that it prints is
too large by a factor of g m, and what it draws are random numbers in place of activations, so that
nothing is ever trained: here networks of 2, 6 and 12 convolutions learn digits at four rates, with
sigmoid (as in the paper) and with ReLU, with and without it. Its running variance is the biased
one, which for batches of two is half of the true one.

Sources: Ioffe & Szegedy 2015, arXiv:1502.03167; small batches: Ioffe 2017, arXiv:1702.03275.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets.images import digit_images
from datasets.split import Standardizer, batch_stream, train_test_split
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, SCRATCH, TORCH, figure
from parity_tests.experiments.twins import Twins, apart, built
from parity_tests.harness.draw import Array
from parity_tests.harness.twin import arrays, numpy
from scratch.nn import functional as F

ACTIVATIONS = ("Sigmoid", "ReLU")
DEPTHS, RATES = (2, 6, 12), (0.03, 0.1, 0.3, 1.0)
WIDTH, ROWS = 8, 64
CALM = 0.1  # up to this rate roundings are not amplified
CHANCE = float(np.log(10))
SIZES = (2, 4, 8, 16, 32, 64)
PERCENTILES = (15, 50, 85)  # those of the paper's figure 1
GREY, NORMED = "0.45", CLASSES[1]


@dataclass(frozen=True, eq=False)
class Data:
    """Digits as pictures (n, 1, 8, 8), standardised.

    Attributes:
        x: of the training rows.
        t: their classes.
        test_x: of the test rows.
        test_y: their classes.
    """

    x: Array
    t: Array
    test_x: Array
    test_y: Array


def load(seed: int) -> Data:
    """Four fifths of the digits to train on, the rest to test with."""
    whole = digit_images()
    x, test_x, t, test_y = train_test_split(whole.x.astype(np.float64), whole.y, 0.2, seed)
    scale = Standardizer.fit(x)
    return Data(scale(x), t, scale(test_x), test_y)


def network(depth: int, activation: str, norm: bool, lib: Any) -> Any:
    """`depth` 3x3 convolutions, the first with stride 2, and one dense layer.

    Args:
        depth: number of convolutions.
        activation: after each, a class of both packages.
        norm: whether batch normalisation comes before each activation.
        lib: scratch.nn or torch.nn.
    """
    layers, channels = [], 1
    for k in range(depth):
        stride = 2 if k == 0 else 1
        layers.append(lib.Conv2d(channels, WIDTH, 3, stride=stride, padding=1))
        if norm:
            layers.append(lib.BatchNorm2d(WIDTH))
        layers.append(getattr(lib, activation)())
        channels = WIDTH
    return lib.Sequential(*layers, lib.Flatten(), lib.Linear(16 * WIDTH, 10))


def twins(depth: int, activation: str, norm: bool, seed: int) -> Twins:
    """Both networks from one start."""
    return built(partial(network, depth, activation, norm), seed)


@dataclass
class Run:
    """One network at one rate; each pair is scratch's and torch's.

    Attributes:
        losses: of each batch.
        accuracy: on the test rows.
        running: how far the twins' running statistics are apart, 0 without any.
        inputs: percentiles of what enters the last activation, (steps, 3, channels), of scratch;
            empty if nobody looked.
        reference: the same, of torch.
    """

    losses: list[tuple[float, float]] = field(default_factory=list)
    accuracy: tuple[float, float] = (0.0, 0.0)
    running: float = 0.0
    inputs: Array = field(default_factory=lambda: np.empty(0))
    reference: Array = field(default_factory=lambda: np.empty(0))

    @property
    def end(self) -> tuple[float, float]:
        """Mean loss of the last ten batches."""
        ours, theirs = np.mean(self.losses[-10:], axis=0)
        return float(ours), float(theirs)

    @property
    def drift(self) -> float:
        """The largest relative difference of the twins' losses."""
        ours, theirs = np.array(self.losses).T
        return float(np.max(np.abs(ours / theirs - 1)))

    @property
    def steps_together(self) -> int:
        """Steps until the losses differ by a millionth."""
        ours, theirs = np.array(self.losses).T
        off = np.abs(ours / theirs - 1) > 1e-6
        return int(off.argmax()) if off.any() else len(off)


Watch = AbstractContextManager[tuple[list[Array], list[Array]]]


@contextmanager
def watched(pair: Twins) -> Iterator[tuple[list[Array], list[Array]]]:
    """Percentiles of each channel of what enters the last activation, in every forward."""
    ours: list[Array] = []
    theirs: list[Array] = []

    def note(kept: list[Array], module: Any, args: Any, output: Any) -> None:
        z = args[0] if isinstance(args[0], np.ndarray) else numpy(args[0])
        kept.append(np.percentile(z, PERCENTILES, axis=(0, 2, 3)))

    mine: Any = pair.ours
    yours: Any = pair.theirs
    remove: Callable[[], None] = mine[-3].register_forward_hook(partial(note, ours))
    handle = yours[-3].register_forward_hook(partial(note, theirs))
    try:
        yield ours, theirs
    finally:
        remove()
        handle.remove()


def running(pair: Twins) -> float:
    """How far the running statistics of both are apart, relative to the largest."""
    theirs = arrays(pair.theirs.state_dict())
    return max(
        (
            apart(value, theirs[name])
            for name, value in pair.ours.state_dict().items()
            if "running" in name or "tracked" in name
        ),
        default=0.0,
    )


def right(pair: Twins, x: Array, t: Array) -> tuple[float, float]:
    """Share of rows that each names correctly, in evaluation mode."""
    ours, theirs = (float(np.mean(z.argmax(1) == t)) for z in pair(x))
    return ours, theirs


def learn(
    pair: Twins, lr: float, data: Data, rows: int, steps: int, seed: int, look: bool = False
) -> Run:
    """Train both by SGD in batches of `rows`, and `look` at what enters the last activation."""
    stream = batch_stream(len(data.x), rows, steps, seed, drop_last=True)
    watch: Watch = watched(pair) if look else nullcontext(([], []))
    with watch as (ours, theirs):
        pairs = pair.train("SGD", {"lr": lr}, "cross_entropy", data.x, data.t, stream)
        result = Run(list(pairs))
        result.inputs, result.reference = np.array(ours), np.array(theirs)
    result.accuracy = right(pair, data.test_x, data.test_y)
    result.running = running(pair)
    return result


def gradients(pair: Twins, data: Data, seed: int) -> tuple[Array, Array]:
    """Norm of the gradient of each layer's weights in the first batch, of both."""
    (rows,) = batch_stream(len(data.x), ROWS, 1, seed)
    y, model_back = pair.ours.train()(data.x[rows])
    _, loss_back = F.cross_entropy(y, data.t[rows])
    model_back(loss_back(), needs_input_grad=False)
    output = pair.theirs.train()(torch.from_numpy(data.x[rows]))
    loss = torch.nn.functional.cross_entropy(output, torch.from_numpy(data.t[rows]))
    loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation there
    ours = [p.grad for p in pair.ours.parameters() if p.data.ndim > 1]
    theirs = [numpy(p.grad) for p in pair.theirs.parameters() if p.ndim > 1 and p.grad is not None]
    norms = [np.array([np.linalg.norm(np.asarray(g)) for g in side]) for side in (ours, theirs)]
    return norms[0], norms[1]


Key = tuple[str, bool, int, float]  # activation, whether normalised, depth, rate
Norms = dict[tuple[str, bool], list[tuple[Array, Array]]]


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Train the grid, look at gradients and activations, then shrink the batches.

    Args:
        out: folder for the figures.
        small: two depths and one rate, from one start.
        seed: of the first start.

    Returns:
        Losses, accuracies, norms and differences, with the claims about them.
    """
    outcome = Outcome("batch_norm")
    depths, rates = ((2, 8), (0.1,)) if small else (DEPTHS, RATES)
    starts, steps = (1, 50) if small else (3, 100)
    data = {s: load(s) for s in range(seed, seed + starts)}
    _backward(outcome, seed)
    norms: Norms = {
        (activation, norm): [
            gradients(twins(DEPTHS[-1], activation, norm, s), data[s], s) for s in data
        ]
        for activation in ACTIVATIONS
        for norm in (False, True)
    }
    _gradients(outcome, norms, DEPTHS[-1])
    runs: dict[Key, list[Run]] = {
        (activation, norm, depth, lr): [
            learn(
                twins(depth, activation, norm, s),
                lr,
                data[s],
                ROWS,
                steps,
                s,
                look=(depth, lr) == (DEPTHS[0], rates[-1]),
            )
            for s in data
        ]
        for activation in ACTIVATIONS
        for norm in (False, True)
        for depth in depths
        for lr in rates
    }
    _grid(outcome, runs, depths, rates, steps)
    _inputs(outcome, runs, rates)
    sizes = SIZES[::2] if small else SIZES
    batches = [Batches(data[s], sizes, 60 if small else 200, s) for s in data]
    _batches(outcome, batches)
    names = ("grid", "gradients", "inputs", "batches")
    paths = [out / f"batch_norm_{name}.png" for name in names]
    _draw_grid(paths[0], runs, depths, rates, steps)
    _draw_gradients(paths[1], norms)
    _draw_inputs(paths[2], runs, rates)
    _draw_batches(paths[3], batches)
    outcome.figures += paths
    return outcome


def _backward(outcome: Outcome, seed: int) -> None:
    """The guide's batch of four numbers: the gradient that it prints, and the true one."""
    x, g, b, eps = np.array([[1.0], [2.0], [3.0], [4.0]]), 2.0, 0.5, 1e-5
    dy = np.random.default_rng(seed).normal(size=x.shape)
    weight, bias = np.array([g]), np.array([b])
    _, back = F.batch_norm(x, None, None, weight, bias, True, 0.1, eps)
    ours = back(dy)[0]
    leaf = torch.from_numpy(x.copy()).requires_grad_()
    y = torch.nn.functional.batch_norm(
        leaf, None, None, torch.from_numpy(weight), torch.from_numpy(bias), True, 0.1, eps
    )
    (theirs,) = torch.autograd.grad(y, leaf, torch.from_numpy(dy))
    m, root = len(x), np.sqrt(x.var() + eps)
    n, dn = (x - x.mean()) / root, g * dy
    printed = g / root * (m * dn - dn.sum() - n * (dn * n).sum())
    ratio = printed / numpy(theirs)
    outcome.claim(
        "the gradient of x that the guide prints is g m times the true one",
        f"{ratio.min():.6f} to {ratio.max():.6f} for g = {g:g} and m = {m}; scratch and torch "
        f"{apart(ours, numpy(theirs)):.0e} apart",
        apart(ratio, g * m) < 1e-9 and apart(ours, numpy(theirs)) < 1e-11,
    )
    rng = np.random.default_rng(seed)
    mean, var, guide = np.zeros(WIDTH), np.ones(WIDTH), np.ones(WIDTH)
    mean_t, var_t = torch.zeros(WIDTH).double(), torch.ones(WIDTH).double()
    for _ in range(2000):
        batch = rng.normal(size=(2, WIDTH))
        F.batch_norm(batch, mean, var, training=True, momentum=0.01)
        torch.nn.functional.batch_norm(
            torch.from_numpy(batch), mean_t, var_t, training=True, momentum=0.01
        )
        guide = 0.99 * guide + 0.01 * batch.var(0)
    off = max(apart(mean, mean_t), apart(var, var_t))
    outcome.claim(
        "from batches of two both twins' running variance comes to the true one, the guide's to "
        "half of it",
        f"{var.mean():.2f} and {guide.mean():.2f}, where 1 is right; the twins {off:.0e} apart",
        abs(var.mean() - 1) < 0.15 and abs(guide.mean() - 0.5) < 0.08 and off < 1e-12,
    )


def _gradients(outcome: Outcome, norms: Norms, depth: int) -> None:
    """How much of the gradient is left at the first layer."""
    off = max(apart(*pair) for pairs in norms.values() for pair in pairs)

    def left(activation: str, norm: bool) -> list[float]:
        return [float(side[0] / side[-1]) for pair in norms[activation, norm] for side in pair]

    shares = {
        f"{activation} {'with' if norm else 'without'}": left(activation, norm)
        for activation, norm in norms
    }
    outcome.numbers["gradient of the first layer relative to the last's"] = shares
    outcome.claim(
        f"at the start of {depth} layers the gradient of the first has vanished without; batch "
        "normalisation keeps about a hundredth of the last one's with sigmoid and all with ReLU",
        "; ".join(f"{n} {min(v):.0e} to {max(v):.0e}" for n, v in shares.items())
        + f"; the twins {off:.0e} apart",
        max(left("Sigmoid", False)) < 1e-9
        and max(left("ReLU", False)) < 1e-3
        and min(left("Sigmoid", True)) > 1e-3
        and 0.1 < min(left("ReLU", True)) <= max(left("ReLU", True)) < 10
        and off < 1e-9,
    )


def _grid(
    outcome: Outcome,
    runs: dict[Key, list[Run]],
    depths: tuple[int, ...],
    rates: tuple[float, ...],
    steps: int,
) -> None:
    """Which depths train at which rates."""
    lines = [
        f"{'':9}{'layers':>7}{'rate':>6}{'loss without':>14}{'with':>7}{'accuracy':>10}{'with':>7}"
    ]
    for activation in ACTIVATIONS:
        for depth in depths:
            for lr in rates:
                plain, normed = (runs[activation, norm, depth, lr] for norm in (False, True))
                losses = [np.mean([r.end[0] for r in some]) for some in (plain, normed)]
                hits = [np.mean([r.accuracy[0] for r in some]) for some in (plain, normed)]
                lines.append(
                    f"{activation:9}{depth:7}{lr:6g}{losses[0]:14.3f}{losses[1]:7.3f}"
                    f"{hits[0]:10.1%}{hits[1]:7.1%}"
                )
    outcome.text = "\n".join(lines)
    outcome.numbers["steps"] = steps
    outcome.numbers["grid"] = {
        f"{activation}, {depth} layers, {lr:g}, {'with' if norm else 'without'}": {
            "loss of the last ten batches": [r.end for r in done],
            "test accuracy": [r.accuracy for r in done],
            "twins apart": [r.drift for r in done],
            "running statistics apart": [r.running for r in done],
            "steps until a millionth apart": [r.steps_together for r in done],
        }
        for (activation, norm, depth, lr), done in runs.items()
    }

    def ends(activation: str, norm: bool, deep: bool, most: float) -> list[float]:
        """Final losses of both twins in all starts."""
        return [
            value
            for (a, n, depth, lr), done in runs.items()
            if a == activation and n == norm and (depth > DEPTHS[0]) == deep and lr <= most
            for r in done
            for value in r.end
        ]

    both = [ends(a, False, True, 1.0) for a in ACTIVATIONS]
    deep = " and ".join(str(d) for d in depths if d > DEPTHS[0])
    outcome.claim(
        f"without it {deep} layers stay at the loss of guessing, ln 10 = {CHANCE:.3f}, at every "
        "rate, with sigmoid and with ReLU",
        "; ".join(
            f"{a} {min(v):.3f} to {max(v):.3f}" for a, v in zip(ACTIVATIONS, both, strict=True)
        )
        + f" after {steps} steps",
        min(map(min, both)) > CHANCE - 0.05,
    )
    most = {"ReLU": 1.0, "Sigmoid": 1.9 if steps >= 100 else CHANCE - 0.05}
    learnt = {
        (activation, depth): [v for r in runs[activation, True, depth, CALM] for v in r.end]
        for activation in ACTIVATIONS
        for depth in depths
    }
    outcome.claim(
        f"with it every depth learns at rate {CALM:g}",
        "; ".join(
            f"{a}, {depth} layers {min(v):.2f} to {max(v):.2f}" for (a, depth), v in learnt.items()
        ),
        all(max(v) < most[a] for (a, _), v in learnt.items()),
    )
    flat = [
        [r.end for lr in rates for r in runs[activation, norm, depths[0], lr]]
        for norm in (False, True)
        for activation in ACTIVATIONS
    ]
    outcome.claim(
        "two layers learn faster with it, at each rate and from each start",
        f"loss {np.mean(flat[:2]):.2f} without, {np.mean(flat[2:]):.2f} with, means of "
        f"{len(flat[0]) * 2} runs each",
        bool(np.all(np.array(flat[:2]) > np.array(flat[2:]))),
    )
    if 1.0 in rates:
        worse = {
            a: [np.mean([r.end for r in runs[a, True, 12, lr]]) for lr in (CALM, 1.0)]
            for a in ACTIVATIONS
        }
        outcome.claim(
            "it does not make every rate a good one: at 1 twelve layers learn less than at "
            f"{CALM:g}, if anything",
            "; ".join(f"{a} loss {high:.2f}, not {low:.2f}" for a, (low, high) in worse.items()),
            all(high > low + 0.5 for low, high in worse.values()),
        )
    calm = [
        r
        for (_, norm, depth, lr), done in runs.items()
        for r in done
        if lr <= 0.3 and not (norm and depth > 6)
    ]
    every = [r for done in runs.values() for r in done]
    outcome.claim(
        "losses and running statistics of the twins agree in all runs up to rate 0.3, but for 12 "
        "normalised layers, which amplify roundings",
        f"{len(calm)} runs: losses {max(r.drift for r in calm):.0e}, statistics "
        f"{max(r.running for r in calm):.0e} apart at most; in all {len(every)} runs losses are "
        f"within a millionth for {min(r.steps_together for r in every)} steps or more",
        max(max(r.drift, r.running) for r in calm) < 1e-9
        and min(r.steps_together for r in every) >= 40,
    )


def _inputs(outcome: Outcome, runs: dict[Key, list[Run]], rates: tuple[float, ...]) -> None:
    """How far what enters the last activation moves, in units of its spread."""
    moved: dict[tuple[str, bool], list[float]] = {}
    for activation in ACTIVATIONS:
        for norm in (False, True):
            moved[activation, norm] = [
                float(np.ptp(q[:, 1], axis=0).mean() / (q[:, 2] - q[:, 0]).mean())
                for r in runs[activation, norm, DEPTHS[0], rates[-1]]
                for q in (r.inputs, r.reference)
            ]
    outcome.numbers["range of the median over training / spread"] = {
        f"{a}, {'with' if norm else 'without'}": v for (a, norm), v in moved.items()
    }
    outcome.claim(
        "what enters the last of two activations shifts less than half as far with batch "
        "normalisation, measured by its spread, in every start",
        "; ".join(
            f"{a} {min(moved[a, False]):.2f} to {max(moved[a, False]):.2f} without, "
            f"{min(moved[a, True]):.2f} to {max(moved[a, True]):.2f} with"
            for a in ACTIVATIONS
        ),
        all(
            2 * with_it < without
            for a in ACTIVATIONS
            for without, with_it in zip(moved[a, False], moved[a, True], strict=True)
        ),
    )


class Batches:
    """What the size of the batches does, from one start.

    Args:
        data: digits.
        sizes: rows in a batch.
        steps: of training.
        seed: of the start.

    Attributes:
        sizes: as given.
        trained: of networks trained in batches of each size, and used in the same: how far
            training mode is from evaluation mode, and the accuracies in both, scratch (sizes, 3).
        same: the same of one network, which was trained in batches of the largest size.
        apart: how far the twins are apart in all of that.
    """

    def __init__(self, data: Data, sizes: tuple[int, ...], steps: int, seed: int) -> None:
        self.sizes = sizes
        trained, same, drift = [], [], []
        for rows in sizes:
            pair = twins(4, "ReLU", True, seed)
            drift += [learn(pair, CALM, data, rows, steps, seed).drift]
            trained.append(modes(pair, data, rows))
        same = [modes(pair, data, rows) for rows in sizes]
        self.trained, self.same = (np.array(a)[:, 0] for a in (trained, same))
        pairs = np.array(trained + same)
        self.apart = max(*drift, apart(pairs[:, 0], pairs[:, 1]))


def modes(pair: Twins, data: Data, rows: int) -> list[list[float]]:
    """Of both twins: the difference of the modes in batches of `rows`, and both accuracies."""
    whole = len(data.test_x) - len(data.test_x) % rows
    x, t = data.test_x[:whole], data.test_y[:whole]
    evaluated = pair(x)
    kept, kept_t = pair.ours.state_dict(), arrays(pair.theirs.state_dict())
    pair.ours.train()
    pair.theirs.train()
    ours, theirs = [], []
    with torch.no_grad():
        for batch in np.split(x, whole // rows):
            ours.append(pair.ours(batch)[0])
            theirs.append(numpy(pair.theirs(torch.from_numpy(batch))))
    pair.ours.load_state_dict(kept)  # training mode moved the running statistics
    pair.theirs.load_state_dict({name: torch.from_numpy(a) for name, a in kept_t.items()})
    found = []
    for y, z in zip(evaluated, (np.concatenate(ours), np.concatenate(theirs)), strict=True):
        off = float(np.sqrt(np.mean((z - y) ** 2)) / y.std())
        found.append([off, *(float(np.mean(a.argmax(1) == t)) for a in (z, y))])
    return found


def _batches(outcome: Outcome, batches: list[Batches]) -> None:
    """Training and evaluation mode in batches of each size."""
    sizes = np.array(batches[0].sizes)
    few = sizes <= 16  # where noise is most of it, not the lag of the running statistics
    slopes = [float(np.polyfit(np.log(sizes[few]), np.log(b.same[few, 0]), 1)[0]) for b in batches]
    outcome.numbers["batches"] = {
        "rows": sizes.tolist(),
        "columns": ["modes apart", "accuracy in training mode", "in evaluation mode"],
        "trained in batches of each size": [b.trained.tolist() for b in batches],
        "trained in the largest": [b.same.tolist() for b in batches],
        "slopes": slopes,
        "twins apart": [b.apart for b in batches],
    }
    off = max(b.apart for b in batches)
    small, large = ([float(b.trained[i, 0]) for b in batches] for i in (0, -1))
    outcome.claim(
        "the outputs of one network in training mode, on batches of m, differ from those in "
        "evaluation mode by about m^-1/2 up to m = 16",
        f"exponents {min(slopes):.2f} to {max(slopes):.2f}; {batches[0].same[0, 0]:.2f} of the "
        f"outputs' spread at m = {sizes[0]}, {batches[0].same[-1, 0]:.2f} at {sizes[-1]}; the "
        f"twins {off:.0e} apart",
        min(slopes) > -0.6 and max(slopes) < -0.35 and off < 1e-9,
    )
    outcome.claim(
        "networks that were trained in batches of m are not used to it: their modes differ as much",
        f"{min(small):.2f} to {max(small):.2f} at m = {sizes[0]}, {min(large):.2f} to "
        f"{max(large):.2f} at {sizes[-1]}",
        all(a > 2 * b for a, b in zip(small, large, strict=True)),
    )
    if len(batches) > 1:
        lost = [float(b.same[0, 2] - b.same[0, 1]) for b in batches]
        outcome.claim(
            "whoever forgets eval() loses test accuracy in batches of two",
            ", ".join(f"{100 * v:.1f}" for v in lost) + " points, one a start",
            bool(np.mean(lost) > 0.003),
        )


def _draw_grid(
    path: Path,
    runs: dict[Key, list[Run]],
    depths: tuple[int, ...],
    rates: tuple[float, ...],
    steps: int,
) -> None:
    with figure(path, 2, 4, (15.5, 6.4)) as (fig, axes):
        for row, activation in zip(axes, ACTIVATIONS, strict=True):
            for ax, (norm, what) in zip(
                row, ((n, w) for w in ("loss", "accuracy") for n in (False, True)), strict=True
            ):
                values = np.array(
                    [
                        [
                            np.mean(
                                [
                                    r.end[0] if what == "loss" else 100 * r.accuracy[0]
                                    for r in runs[activation, norm, depth, lr]
                                ]
                            )
                            for lr in rates
                        ]
                        for depth in depths
                    ]
                )
                loss = what == "loss"
                low, high, colours = (0, 2.5, "viridis_r") if loss else (0, 100, "viridis")
                ax.imshow(values, cmap=colours, vmin=low, vmax=high, aspect="auto")
                for i, j in np.ndindex(values.shape):
                    good = values[i, j] < 1 if loss else values[i, j] > 55
                    ax.text(
                        j,
                        i,
                        f"{values[i, j]:.2f}" if loss else f"{values[i, j]:.0f}%",
                        ha="center",
                        va="center",
                        color="black" if good else "white",
                        fontsize=11,
                    )
                title = "training loss" if loss else "test accuracy"
                ax.set_title(f"{activation}, {'with' if norm else 'without'}: {title}")
                ax.set_xticks(range(len(rates)), [f"{lr:g}" for lr in rates])
                ax.set_yticks(range(len(depths)), [str(d) for d in depths])
                ax.grid(False)
            row[0].set_ylabel("convolutions")
        for ax in axes[-1]:
            ax.set_xlabel("learning rate (SGD)")
        fig.suptitle(
            f"Digits after {steps} steps: deep networks learn only with batch normalisation "
            f"(guessing: loss {CHANCE:.2f}, accuracy 10%)",
            fontsize=13,
        )


def _draw_gradients(path: Path, norms: Norms) -> None:
    with figure(path, 1, 2, (11, 4.4), sharey=True) as (fig, axes):
        for ax, activation in zip(axes, ACTIVATIONS, strict=True):
            for norm, colour in ((False, GREY), (True, NORMED)):
                for i, (ours, theirs) in enumerate(norms[activation, norm]):
                    layers = np.arange(1, len(ours) + 1)
                    label = "with batch normalisation" if norm else "without"
                    ax.semilogy(layers, ours, color=colour, lw=1.5, label=None if i else label)
                    ax.semilogy(layers, theirs, "o", mfc="none", mec=colour, ms=5)
            ax.set(xlabel="layer; the last is the dense one", title=activation)
            ax.set_xticks(layers)
        axes[0].plot([], [], "o", mfc="none", mec="0.2", label="the same in torch")
        axes[0].set_ylabel("norm of the weights' gradient")
        axes[0].legend(loc="lower right")
        fig.suptitle(
            "The first batch: the gradient vanishes on its way down only without", fontsize=13
        )


def _draw_inputs(path: Path, runs: dict[Key, list[Run]], rates: tuple[float, ...]) -> None:
    with figure(path, 2, 2, (12, 7), sharex=True, sharey="row") as (fig, axes):
        for row, activation in zip(axes, ACTIVATIONS, strict=True):
            for ax, norm in zip(row, (False, True), strict=True):
                r = runs[activation, norm, DEPTHS[0], rates[-1]][0]
                steps = np.arange(1, len(r.inputs) + 1)
                for channel in range(4):
                    low, middle, high = r.inputs[:, :, channel].T
                    colour = CLASSES[channel]
                    ax.fill_between(steps, low, high, color=colour, alpha=0.15, lw=0)
                    ax.plot(steps, middle, color=colour, lw=1.6, label=f"channel {channel}")
                    ax.plot(
                        steps[::8], r.reference[::8, 1, channel], "o", mfc="none", mec=colour, ms=4
                    )
                ax.set_title(f"{activation}, {'with' if norm else 'without'}: loss {r.end[0]:.2f}")
            row[0].set_ylabel("input of the last activation")
        for ax in axes[-1]:
            ax.set_xlabel("step")
        axes[0, 0].plot([], [], "o", mfc="none", mec="0.2", ms=4, label="torch's median")
        axes[0, 0].legend(fontsize=8, loc="lower left", ncols=3)
        fig.suptitle(
            f"Two layers at rate {rates[-1]:g}: median and 15th to 85th percentile of what enters "
            "the last activation",
            fontsize=13,
        )


def _draw_batches(path: Path, batches: list[Batches]) -> None:
    with figure(path, 1, 2, (12, 4.8)) as (fig, (modes_apart, accuracy)):
        sizes = np.array(batches[0].sizes)
        kinds = [("same", SCRATCH, "o-", f"trained in batches of {sizes[-1]}")]
        kinds.append(("trained", TORCH, "s--", "trained in batches of the same size"))
        for name, colour, style, label in kinds:
            for i, b in enumerate(batches):
                values = getattr(b, name)
                options: dict[str, Any] = {"color": colour, "lw": 1.2, "ms": 4}
                modes_apart.loglog(
                    sizes, values[:, 0], style, label=None if i else label, **options
                )
            training, evaluation = np.mean([getattr(b, name)[:, 1:] for b in batches], axis=0).T
            accuracy.semilogx(
                sizes, 100 * training, style, label=f"{label}: training mode", **options
            )
            accuracy.semilogx(
                sizes, 100 * evaluation, ":", color=colour, lw=2, label="evaluation mode"
            )
        guide = 0.3 * np.sqrt(2 / sizes)
        modes_apart.loglog(sizes, guide, color="0.6", lw=1, label="like 1 / sqrt(rows)")
        modes_apart.set(
            xlabel="rows in a batch",
            ylabel="difference of the outputs / their spread",
            title="Training and evaluation mode part as batches shrink",
        )
        accuracy.set(
            xlabel="rows in a batch",
            ylabel="test accuracy, %",
            title="The same number of steps: small batches learn less"
            + (f" (mean of {len(batches)} starts)" if len(batches) > 1 else ""),
        )
        for ax in (modes_apart, accuracy):
            ax.set_xticks(sizes, [str(m) for m in sizes])
            ax.minorticks_off()
            ax.legend(fontsize=8)
        modes_apart.set_yticks((0.05, 0.1, 0.2, 0.3), ["0.05", "0.1", "0.2", "0.3"])
        fig.suptitle("Four ReLU layers with batch normalisation, digits", fontsize=13)
