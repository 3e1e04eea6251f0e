"""What goes wrong in training, provoked for real and recognised by both packages.

    curves      diagnose_curves       no learning, over-fitting, under-fitting, diverging
    gradients   diagnose_gradients    exploding, vanishing
    units       dead_units            ReLUs that are 0 for every row, which learn no more
    NaN         nan_origin            the module, the loss or the gradient in which it begins
    one batch   overfit_one_batch     a network or a loss that cannot even learn a few rows by heart

Guide: debugging [6456-6580]. Its four panels are formulas with noise, and nothing is diagnosed.
Here networks learn handwritten digits, each with one thing wrong.

    double softmax   cross_entropy(softmax(z), t) >= log(e + 9) - 1 = 1.461 for ten classes, for
                     what it takes for logits lies in [0, 1]
    log softmax      log(exp(z) / sum exp(z)) is -inf where exp(z) is rounded to 0
    square root      its gradient at 0 is 0 / 0: what ReLU gives it

Sources: Glorot & Bengio 2010 (vanishing); He et al. 2015, arXiv:1502.01852 (starts for ReLU); Lu et
al. 2019, arXiv:1903.06733 (dying ReLU).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

import scratch.optim
import scratch.training
import torch_ref.training
from datasets.split import batch_stream
from datasets.tabular import digits
from datasets.tasks import get
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, SCRATCH, figure
from parity_tests.experiments.twins import Twins, apart, built, mlps
from parity_tests.harness import twin
from parity_tests.harness.draw import Array
from scratch import nn
from scratch.nn import functional as F

BATCH, EVERY = 32, 10
FLOOR = math.log(math.e + 9) - 1
DEPTH, WIDTH = 12, 32


@dataclass(frozen=True, eq=False)
class Data:
    """Digits, standardised.

    Attributes:
        x: to train on.
        t: their classes.
        held_x: to validate on.
        held_t: their classes.
    """

    x: Array
    t: Array
    held_x: Array
    held_t: Array

    def first(self, n: int) -> "Data":
        """The first n rows to train on."""
        return Data(self.x[:n], self.t[:n], self.held_x, self.held_t)


def load(seed: int) -> Data:
    """The digits of the task."""
    split = get("digits").load(seed)
    return Data(split.train_x, split.train_y, split.test_x, split.test_y)


# Curves


@dataclass(frozen=True)
class Case:
    """One thing wrong, or nothing.

    Attributes:
        expected: the verdict.
        sizes: of the MLP.
        optimizer: class name.
        options: its arguments.
        rows: to train on.
        zeros: whether all starts at 0.
    """

    expected: str
    sizes: tuple[int, ...] = (64, 32, 10)
    optimizer: str = "Adam"
    options: dict[str, float] = field(default_factory=lambda: {"lr": 0.003})
    rows: int = 1000
    zeros: bool = False


CASES = {
    "nothing wrong": Case("good"),
    "rate too low": Case("no learning", optimizer="SGD", options={"lr": 1e-5}),
    "all weights 0": Case("no learning", optimizer="SGD", options={"lr": 0.1}, zeros=True),
    "rate too high": Case("diverging", optimizer="SGD", options={"lr": 30.0}),
    "few rows": Case("overfitting", (64, 128, 128, 10), options={"lr": 0.01}, rows=60),
    "one hidden unit": Case("underfitting", (64, 1, 10)),
}


@dataclass
class Curve:
    """Losses of both, (looks, 2), and what each package calls them."""

    train: Array
    held: Array
    ours: Any
    theirs: Any


def losses(pair: Twins, x: Array, t: Array) -> tuple[float, float]:
    """Cross-entropy of both."""
    with np.errstate(all="ignore"):
        ours, theirs = pair(x)
        value = float(F.cross_entropy(ours, t)[0])
    return value, torch.nn.functional.cross_entropy(
        torch.from_numpy(theirs), torch.from_numpy(t)
    ).item()


def learn(case: Case, data: Data, steps: int, seed: int) -> Curve:
    """Train both twins, look every few steps, and let both packages say what they see."""
    rows = data.first(case.rows)
    pair = mlps(case.sizes, "ReLU", seed)
    if case.zeros:
        zero(pair)
    stream = batch_stream(len(rows.x), BATCH, steps, seed)
    pairs = pair.train(case.optimizer, case.options, "cross_entropy", rows.x, rows.t, stream)
    train, held = [], []
    for look in range(steps // EVERY + 1):
        if look:
            with np.errstate(all="ignore"):  # one of them runs away
                for _ in islice(pairs, EVERY):
                    pass
        train.append(losses(pair, rows.x, rows.t))
        held.append(losses(pair, rows.held_x, rows.held_t))
    curves = np.array(train), np.array(held)
    return Curve(
        *curves,
        scratch.training.diagnose_curves(curves[0][:, 0].tolist(), curves[1][:, 0].tolist()),
        torch_ref.training.diagnose_curves(curves[0][:, 1].tolist(), curves[1][:, 1].tolist()),
    )


def zero(pair: Twins) -> None:
    """Every parameter of both."""
    for parameter in pair.ours.parameters():
        parameter.data = np.zeros_like(parameter.data)
    with torch.no_grad():
        for theirs in pair.theirs.parameters():
            theirs.zero_()


# Gradients

STARTS: dict[str, tuple[str, Callable[[torch.Tensor], Any], str]] = {
    "sigmoid, torch's start": ("Sigmoid", lambda w: w, "vanishing"),
    "ReLU, N(0, 1)": ("ReLU", torch.nn.init.normal_, "exploding"),
    "ReLU, torch's start": ("ReLU", lambda w: w, "vanishing"),
    "ReLU, He's": (
        "ReLU",
        partial(torch.nn.init.kaiming_normal_, nonlinearity="relu"),
        "good",
    ),
    "tanh, Glorot's": ("Tanh", torch.nn.init.xavier_normal_, "good"),
}


def deep(activation: str, lib: Any) -> Any:
    """DEPTH hidden layers."""
    widths = [64, *[WIDTH] * DEPTH]
    hidden = [
        layer
        for a, b in pairwise(widths)
        for layer in (lib.Linear(a, b), getattr(lib, activation)())
    ]
    return lib.Sequential(*hidden, lib.Linear(WIDTH, 10))


def gradients(start: str, data: Data, seed: int) -> tuple[dict[str, float], dict[str, float]]:
    """Norm of the gradient that reaches each hidden activation, front to back, in both."""
    activation, fill, _ = STARTS[start]
    pair = built(partial(deep, activation), seed)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for theirs in pair.theirs.parameters():
            if theirs.dim() == 2:
                fill(theirs)
    pair.ours.load_state_dict(twin.arrays(pair.theirs.state_dict()))
    x, t = data.x[:100], data.t[:100]
    found = (
        scratch.training.gradient_statistics(pair.ours, "cross_entropy", x, t),
        torch_ref.training.gradient_statistics(pair.theirs, "cross_entropy", x, t),
    )
    layers = [str(2 * i + 1) for i in range(DEPTH)]
    ours, theirs_norms = ({name: f[name].norm for name in layers} for f in found)
    return ours, theirs_norms


# Dead units

RATES = (0.001, 0.01, 0.03, 0.1)
INPUTS = ("standardised", "as scanned")


def dead(rate: float, activation: str, inputs: str, steps: int, seed: int) -> tuple[Array, Array]:
    """Share of the units of each hidden layer that are 0 for every training row, after training.

    Args:
        rate: of Adam.
        activation: class name.
        inputs: "standardised", or "as scanned": grey levels from 0 to 16, none below.
        steps: how many.
        seed: of the start and the batches.

    Returns:
        Two shares as each package finds them, (2,), on the same weights.
    """
    data = load(seed).first(600)
    raw = digits()
    x, t = (data.x, data.t) if inputs == "standardised" else (raw.x[:600] * 16, raw.y[:600])
    pair = mlps((64, 64, 64, 10), activation, seed)
    optimizer = scratch.optim.Adam(pair.ours.parameters(), lr=rate)
    stream = batch_stream(len(x), BATCH, steps, seed)
    for _ in scratch.training.train(pair.ours, optimizer, "cross_entropy", x, t, stream):
        pass
    pair.theirs.load_state_dict({k: torch.from_numpy(v) for k, v in pair.ours.state_dict().items()})
    ours = scratch.training.dead_units(pair.ours, x)
    theirs = torch_ref.training.dead_units(pair.theirs, x)
    hidden = ("layers.1", "layers.3")
    return (
        np.array([ours[name].mean() for name in hidden]),
        np.array([theirs[name].double().mean().item() for name in hidden]),
    )


# NaN


class Root(nn.Module):
    """y = sqrt x."""

    def forward(self, x: Array) -> Any:
        """The value and its backward."""
        y = np.sqrt(x)
        return y, lambda dy: dy / (2 * y)


class TorchRoot(torch.nn.Module):
    """The same in torch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """y = sqrt x."""
        return x.sqrt()


def rooted(lib: Any) -> Any:
    """A square root of what ReLU gives, to damp large activations."""
    root = Root() if lib is nn else TorchRoot()
    return lib.Sequential(lib.Linear(64, 32), lib.ReLU(), root, lib.Linear(32, 10))


def log_of_softmax(z: Array, t: Array) -> Any:
    """mean -log(exp(z_t) / sum exp(z)), as it is written."""
    e = np.exp(z - z.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    rows = np.arange(len(t))

    def backward() -> Array:
        dp = np.zeros_like(p)
        dp[rows, t] = -1 / (len(t) * p[rows, t])
        dz: Array = p * (dp - (dp * p).sum(1, keepdims=True))
        return dz

    return np.mean(-np.log(p[rows, t])), backward


def torch_log_of_softmax(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """The same in torch."""
    return -z.softmax(1).log().gather(1, t[:, None]).mean()


def origins(data: Data, seed: int) -> Iterator[tuple[str, Any, Any, Any]]:
    """What was provoked, where it begins in both, and where it should."""
    x, t = data.x[:100], data.t[:100]
    pair = mlps((64, 32, 10), "ReLU", seed)
    yield ("nothing", *_origin(pair, "cross_entropy", x, t), None)
    spoilt = x.copy()
    spoilt[17, 20] = np.nan
    yield ("a missing value in the data", *_origin(pair, "cross_entropy", spoilt, t), ("input", ""))
    pair = mlps((64, 32, 10), "LeakyReLU", seed)  # whose units cannot die on the way
    stream = [np.arange(100)] * 2000
    with np.errstate(all="ignore"):
        for pair_of_losses in pair.train("SGD", {"lr": 30.0}, "cross_entropy", x, t, stream):
            if all(map(math.isnan, pair_of_losses)):
                break
    yield (
        "a run at rate 30, behind its last step",
        *_origin(pair, "cross_entropy", x, t),
        ("parameter", next(iter(pair.ours.state_dict()))),
    )
    pair = mlps((64, 32, 10), "ReLU", seed)
    both = log_of_softmax, torch_log_of_softmax
    raw = 1000 * x
    yield ("log(softmax(z)) of unscaled rows", *_origin(pair, both, raw, t), ("loss", ""))
    yield ("cross_entropy of the same", *_origin(pair, "cross_entropy", raw, t), None)
    pair = built(rooted, seed)
    yield ("sqrt of a ReLU", *_origin(pair, "cross_entropy", x, t), ("backward", "2"))
    pair = mlps((64, 32, 10), "ReLU", seed)
    first, parameter = next(iter(pair.ours.named_parameters()))
    parameter.data = parameter.data * 1e307
    with torch.no_grad():
        next(pair.theirs.parameters()).mul_(1e307)
    module = first.removesuffix(".weight")
    yield ("weights far too large", *_origin(pair, "cross_entropy", raw, t), ("forward", module))


def _origin(pair: Twins, loss: Any, x: Array, t: Array) -> tuple[Any, Any]:
    ours, theirs = (loss, loss) if isinstance(loss, str) else loss
    return (
        scratch.training.nan_origin(pair.ours, ours, x, t),
        torch_ref.training.nan_origin(pair.theirs, theirs, x, t),
    )


# One batch


def softmax_twice(z: Array, t: Array) -> Any:
    """cross_entropy(softmax(z), t)."""
    p, softmax_back = F.softmax(z, 1)
    loss, loss_back = F.cross_entropy(p, t)
    return loss, lambda: softmax_back(loss_back())


def torch_softmax_twice(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """The same in torch."""
    return torch.nn.functional.cross_entropy(z.softmax(1), t)


def one_batch(what: str, data: Data, steps: int, seed: int) -> tuple[Any, Any]:
    """Let both learn 20 rows by heart, by the name of what is wrong."""
    pair = mlps((64, 32, 10), "ReLU", seed)
    if what == "all weights 0":
        zero(pair)
    x, t = data.x[:20], data.t[:20]
    if what == "wrong labels":
        t = np.random.default_rng(seed).integers(0, 10, 20)
    rate = 1e-6 if what == "rate too low" else 0.01
    both: tuple[Any, Any] = ("cross_entropy", "cross_entropy")
    if what == "softmax twice":
        both = softmax_twice, torch_softmax_twice
    return (
        scratch.training.overfit_one_batch(
            pair.ours,
            scratch.optim.Adam(pair.ours.parameters(), lr=rate),
            both[0],
            x,
            t,
            steps=steps,
            bound=0.05,
        ),
        torch_ref.training.overfit_one_batch(
            pair.theirs,
            torch.optim.Adam(pair.theirs.parameters(), lr=rate),
            both[1],
            x,
            t,
            steps=steps,
            bound=0.05,
        ),
    )


BATCHES = ("nothing wrong", "softmax twice", "rate too low", "all weights 0", "wrong labels")


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Break one thing at a time, and see whether it is recognised.

    Args:
        out: folder for the figures.
        small: fewer steps, from one start.
        seed: of the first start.

    Returns:
        Verdicts, norms, shares and origins, with the claims about them.
    """
    outcome = Outcome("pathologies")
    seeds = range(seed, seed + (1 if small else 5))
    steps = 100 if small else 300
    data = {s: load(s) for s in seeds}
    curves = {name: [learn(case, data[s], steps, s) for s in seeds] for name, case in CASES.items()}
    norms = {start: [gradients(start, data[s], s) for s in seeds] for start in STARTS}
    rates = RATES[::3] if small else RATES
    shares = {
        (kind, inputs, rate): [dead(rate, kind, inputs, steps, s) for s in seeds]
        for kind, inputs in (*(("ReLU", each) for each in INPUTS), ("LeakyReLU", INPUTS[1]))
        for rate in rates
    }
    batches = {
        what: [one_batch(what, data[s], 100 if small else 200, s) for s in seeds]
        for what in BATCHES
    }
    found = [list(origins(data[s], s)) for s in seeds]
    lines: list[str] = []
    _claim_curves(outcome, curves, lines)
    _claim_gradients(outcome, norms, lines)
    _claim_dead(outcome, shares, lines)
    _claim_nan(outcome, found, lines)
    _claim_batches(outcome, batches, lines)
    outcome.text = "\n".join(lines)
    paths = [out / f"pathologies_{name}.png" for name in ("curves", "signs")]
    _draw_signs(paths[1], norms, shares, batches)
    outcome.figures.append(paths[1])
    if not small:
        _draw_curves(paths[0], curves)
        outcome.figures.append(paths[0])
    return outcome


def _claim_curves(outcome: Outcome, curves: dict[str, list[Curve]], lines: list[str]) -> None:
    calm = [c for name, done in curves.items() if CASES[name].expected != "diverging" for c in done]
    drift = max(apart(c.train[:, 0], c.train[:, 1]) for c in calm)
    outcome.claim(
        f"losses of both twins agree in the {len(calm)} runs that stay finite",
        f"{drift:.0e} apart at most",
        drift < 1e-9,
    )
    for name, done in curves.items():
        calls = [c.ours.call for c in done]
        lines.append(f"{name:34}{calls[0]:15}{done[0].ours.reason}")
        outcome.claim(
            f"{name}: called {CASES[name].expected!r} by both packages, in every start",
            done[0].ours.reason,
            all(c.ours.call == c.theirs.call == CASES[name].expected for c in done),
        )
        outcome.numbers[name] = [{"call": c.ours.call, "reason": c.ours.reason} for c in done]


def _claim_gradients(outcome: Outcome, norms: dict[str, list[Any]], lines: list[str]) -> None:
    drift = max(
        apart(list(a.values()), list(b.values())) for done in norms.values() for a, b in done
    )
    outcome.claim(
        "gradient norms of both packages agree", f"{drift:.0e} apart at most", drift < 1e-11
    )
    for start, done in norms.items():
        verdicts = [
            (
                scratch.training.diagnose_gradients(ours),
                torch_ref.training.diagnose_gradients(theirs),
            )
            for ours, theirs in done
        ]
        lines.append(f"{start:34}{verdicts[0][0].call:15}layers {verdicts[0][0].reason}")
        outcome.claim(
            f"{DEPTH} layers, {start}: {STARTS[start][2]}, in every start",
            f"gradient norms at the layers {verdicts[0][0].reason}",
            all(a.call == b.call == STARTS[start][2] for a, b in verdicts),
        )
        outcome.numbers[f"gradient norms, {start}"] = [list(a.values()) for a, _ in done]


def _claim_dead(outcome: Outcome, shares: dict[Any, list[Any]], lines: list[str]) -> None:
    for (kind, inputs, rate), done in shares.items():
        mean = np.mean([a for a, _ in done], axis=0)
        head = f"{kind}, {inputs}, Adam at {rate:g}"
        lines.append(f"{head:40}dead units: layer 1 {mean[0]:.0%}, layer 2 {mean[1]:.0%}")
        outcome.numbers[f"dead units, {head}"] = [a.tolist() for a, _ in done]
    low, high = RATES[0], RATES[-1]

    def found(kind: str, inputs: str, rate: float) -> Array:
        return np.array([a for a, _ in shares[kind, inputs, rate]])

    raw, scaled = found("ReLU", INPUTS[1], high), found("ReLU", INPUTS[0], high)
    outcome.claim(
        f"Adam at {high:g} kills most ReLUs of both layers where no input is below 0; both "
        "packages find the same units",
        f"layer 1 {raw[:, 0].min():.0%} or more, layer 2 {raw[:, 1].min():.0%} or more",
        bool(raw.min() > 0.5)
        and all(np.array_equal(a, b) for done in shares.values() for a, b in done),
    )
    outcome.claim(
        "standardised inputs keep the first layer alive, and not the second, whose inputs are "
        "ReLUs, which are never below 0",
        f"layer 1 {scaled[:, 0].max():.0%}, layer 2 {scaled[:, 1].min():.0%} to "
        f"{scaled[:, 1].max():.0%}; at {low:g} {found('ReLU', INPUTS[0], low).max():.0%} in either",
        bool(scaled[:, 0].max() == 0 and scaled[:, 1].min() > 0.5)
        and bool(found("ReLU", INPUTS[0], low).max() < 0.05),
    )
    others = [a for key, done in shares.items() if key[0] != "ReLU" for a, _ in done]
    leaky = float(np.max(others))
    outcome.claim("leaky ones never die", f"{leaky:.0%}", leaky == 0)


def _claim_nan(outcome: Outcome, found: list[list[Any]], lines: list[str]) -> None:
    for what, ours, theirs, _ in found[0]:
        where = "finite" if ours is None else f"{ours.where} {ours.name!r}"
        lines.append(f"{what:40}{where}")
        outcome.numbers[f"origin, {what}"] = where
        del theirs
    outcome.claim(
        f"both packages name the origin of the first NaN or infinity in all {len(found[0])} cases",
        "; ".join(f"{what}: {ours and ours.where}" for what, ours, _, _ in found[0]),
        all(a == b == c for cases in found for _, a, b, c in cases),
    )


def _claim_batches(outcome: Outcome, batches: dict[str, list[Any]], lines: list[str]) -> None:
    drift = max(apart(a.losses, b.losses) for done in batches.values() for a, b in done)
    reached = {what: [a.step for a, _ in done] for what, done in batches.items()}
    for what, done in batches.items():
        step = reached[what][0]
        ends = f"after {step} steps" if step is not None else f"not: {done[0][0].losses[-1]:.3f}"
        lines.append(f"{f'20 rows by heart, {what}':40}{ends}")
        outcome.numbers[f"one batch, {what}"] = reached[what]
    outcome.claim(
        "20 rows are learned by heart by a sound network, with wrong labels too, and by none that "
        "is broken; both packages alike",
        ", ".join(f"{what} {steps[0]}" for what, steps in reached.items()) + f"; {drift:.0e} apart",
        drift < 1e-9
        and all(
            (step is not None) == (what in ("nothing wrong", "wrong labels"))
            for what, steps in reached.items()
            for step in steps
        )
        and all(a.step == b.step for done in batches.values() for a, b in done),
    )
    last = [a.losses[-1] for a, _ in batches["softmax twice"]]
    outcome.claim(
        f"softmax taken twice stays above log(e + 9) - 1 = {FLOOR:.4f}, and comes near it",
        ", ".join(f"{end:.4f}" for end in last),
        all(FLOOR < end < FLOOR + 0.1 for end in last),
    )


def _draw_curves(path: Path, curves: dict[str, list[Curve]]) -> None:
    with figure(path, 2, 3, (13, 7)) as (fig, axes):
        for ax, (name, done) in zip(axes.flat, curves.items(), strict=True):
            c = done[0]
            for values, color, label in (
                (c.train, "0.4", "training"),
                (c.held, CLASSES[1], "validation"),
            ):
                shown = np.where(np.abs(values) < 1e60, values, np.nan)  # beyond, no axis
                at = EVERY * np.arange(len(shown))
                ax.plot(at, shown[:, 0], color=color, lw=1.5, label=label)
                ax.plot(at, shown[:, 1], "o", mfc="none", mec=color, ms=4, markevery=5)
            if c.ours.call == "diverging":
                ax.set_yscale("log")
            else:
                ax.set_ylim(0, 1.15 * max(2.4, float(np.nanmax(c.held))))
            ax.set_title(f"{name}: {c.ours.call}")
            ax.set_xlabel("step")
        axes[0, 0].plot([], [], "o", mfc="none", mec="0.2", ms=4, label="the same in torch")
        axes[0, 0].legend(fontsize=8)
        for ax in axes[:, 0]:
            ax.set_ylabel("cross-entropy")
        fig.suptitle("One thing wrong each, and what both packages call it", fontsize=13)


def _draw_signs(
    path: Path, norms: dict[str, Any], shares: dict[Any, Any], batches: dict[str, Any]
) -> None:
    colours = ("0.35", *CLASSES)
    with figure(path, 1, 3, (16, 4.6)) as (fig, axes):
        for (start, done), color in zip(norms.items(), CLASSES, strict=True):
            ours, theirs = (list(v.values()) for v in done[0])
            at = range(1, DEPTH + 1)
            axes[0].semilogy(at, ours, color=color, lw=1.4, label=f"{start}: {STARTS[start][2]}")
            axes[0].semilogy(at, theirs, "o", mfc="none", mec=color, ms=5)
        axes[0].set_xlabel("hidden layer")
        axes[0].set_ylabel("gradient norm")
        axes[0].legend(fontsize=8)
        axes[0].set_title("gradients at the start")
        rates = sorted({rate for *_, rate in shares})
        for inputs, color in zip(INPUTS, (CLASSES[3], SCRATCH), strict=True):
            for layer, style in ((0, "o-"), (1, "s--")):
                heights = [
                    100 * np.mean([a[layer] for a, _ in shares["ReLU", inputs, rate]])
                    for rate in rates
                ]
                label = f"{inputs}, layer {layer + 1}"
                axes[1].semilogx(rates, heights, style, color=color, label=label)
        axes[1].set_xlabel("learning rate of Adam")
        axes[1].set_ylabel("ReLUs that are 0 for every row, %")
        axes[1].set_title("dead units, by inputs")
        axes[1].legend(fontsize=8)
        for (what, done), color in zip(batches.items(), colours, strict=False):
            ours, theirs = (f.losses for f in done[0])
            axes[2].semilogy(ours, color=color, lw=1.4, label=what)
            axes[2].semilogy(theirs, "o", mfc="none", mec=color, ms=4, markevery=25)
        axes[2].axhline(FLOOR, color="0.6", ls=":")
        axes[2].axhline(0.05, color="0.6", ls="--")
        axes[2].set_xlabel("step on the same 20 rows")
        axes[2].set_ylabel("cross-entropy")
        axes[2].set_title("one batch by heart: bound 0.05")
        axes[2].legend(fontsize=8)
        fig.suptitle("Signs of trouble; circles are torch", fontsize=13)
