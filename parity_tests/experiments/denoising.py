"""Denoising autoencoders: what is left of the noise, and what learning with noise is worth.

    patterns          16 x 16, stripes, checkerboards, ramps     noise of 0.3, clipped to [0, 1]
    digits            8 x 8, scikit-learn's                      the same
    digits, masked    the same digits                            three pixels in ten set to 0

Guide: denoising autoencoders [3745-3905]. Its patterns are eight pictures in all, and its unseen
test data the same eight; here stripes and blocks begin anywhere, which makes 98, and still all of
them are trained on: of patterns only the noise is new, of digits the pictures too. The guide draws
its noise once, here it is drawn for each batch anew. Two things stand beside the network: the same
one, trained to give back clean pictures and then shown noisy ones, and the best linear map from
noisy to clean, with a little ridge.

ReLU, AdamW without decay over one cycle of the rate up to 0.01, batches of 64. Widths, rate and
steps were chosen on held-out parts of the training pictures. At the top of the cycle the path is
unstable, with GELU no less: rounding grows smoothly, from 1e-16 to 1e-9 in the worst runs. So does
a start whose weights are each one floating-point number higher.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import scratch.models
import torch_ref.models
from datasets.patterns import patterns
from datasets.split import batch_stream, train_test_split
from datasets.tabular import digits
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, figure, mosaic
from parity_tests.experiments.twins import Twins, alike, apart
from parity_tests.harness import twin
from parity_tests.harness.draw import Array

OPTIONS = {"lr": 0.01, "weight_decay": 0.0}
BATCH, LEVEL, RIDGE, CLIP = 64, 0.3, 1e-3, (0.0, 1.0)
DENOISING, PLAIN, LINEAR = "denoising", "plain autoencoder", "linear map"
COLOURS = dict(zip((LINEAR, PLAIN, DENOISING), CLASSES, strict=False))


def of_patterns() -> tuple[Array, Array]:
    """1,000 to train on and 200 others."""
    x, _ = patterns(1200)
    rows = x.reshape(len(x), -1)
    return rows[:1000], rows[1000:]


def of_digits() -> tuple[Array, Array]:
    """The split of the tasks."""
    data = digits()
    train, test, _, _ = train_test_split(data.x, data.y, 0.2, 0)
    return train, test


@dataclass(frozen=True)
class Setup:
    """Pictures, a network and a kind of noise.

    Attributes:
        load: training and test pictures, as rows.
        sizes: of the network.
        corruption: as DenoisingAutoencoder takes it.
        steps: to train for, at full size and small.
        limit: share of the noise that may be left, likewise.
    """

    load: Callable[[], tuple[Array, Array]]
    sizes: tuple[int, ...]
    corruption: str
    steps: tuple[int, int]
    limit: tuple[float, float]


SETUPS = {
    "patterns": Setup(of_patterns, (256, 128, 32), "gaussian", (1000, 250), (0.2, 0.7)),
    "digits": Setup(of_digits, (64, 256, 32), "gaussian", (1000, 110), (0.4, 0.6)),
    "digits, masked": Setup(of_digits, (64, 256, 32), "masking", (1000, 90), (0.3, 0.6)),
}


@dataclass
class Run:
    """One kind of noise from one start.

    Attributes:
        clean: test pictures (m, pixels).
        noisy: what was made of them.
        restored: by each method, of ours; and by the twins alone.
        theirs: of torch's.
        apart: the twins' losses and pictures.
    """

    clean: Array
    noisy: Array
    restored: dict[str, Array]
    theirs: dict[str, Array]
    apart: float

    def left(self, kind: str) -> list[float]:
        """Squared error as a share of the noise's, ours and, where there is one, torch's."""
        noise = np.mean((self.noisy - self.clean) ** 2)
        sides = [side[kind] for side in (self.restored, self.theirs) if kind in side]
        return [float(np.mean((y - self.clean) ** 2) / noise) for y in sides]


def draw(corruption: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Noise as DenoisingAutoencoder takes it."""
    return rng.normal(size=shape) if corruption == "gaussian" else rng.random(shape) >= LEVEL


def made(kind: str, seed: int, *args: Any) -> Twins:
    """The twins with torch's start."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        theirs = getattr(torch_ref.models, kind)(*args)
    return alike(getattr(scratch.models, kind)(*args), theirs)


def linear(noisy: Array, clean: Array, seen: Array) -> Array:
    """What the best linear map makes of `seen`: min |N W - C|^2 + ridge |W|^2."""
    n, m = (np.concatenate([x, np.ones((len(x), 1))], axis=1) for x in (noisy, seen))
    w = np.linalg.solve(n.T @ n + RIDGE * np.eye(n.shape[1]), n.T @ clean)
    rows: Array = m @ w
    return rows


def learn(setup: Setup, steps: int, seed: int, nudge: bool = False) -> Run:
    """Train both twins of both networks on the same batches; restore the test pictures.

    With `nudge`, ours start one floating-point number higher in each weight.
    """
    train, test = setup.load()
    rng = np.random.default_rng(seed)
    denoising = made(
        "DenoisingAutoencoder", seed, setup.sizes, "ReLU", "Identity", setup.corruption, LEVEL, CLIP
    )
    plain = made("Autoencoder", seed, setup.sizes, "ReLU")
    if nudge:
        for p in (*denoising.ours.parameters(), *plain.ours.parameters()):
            p.data = np.nextafter(p.data, np.inf)
    stream = list(batch_stream(len(train), BATCH, steps, seed))
    with_noise = ((train[rows], draw(setup.corruption, train[rows].shape, rng)) for rows in stream)
    losses = [
        np.array(list(pair.descend("AdamW", OPTIONS, batches, steps)))[..., 0]
        for pair, batches in ((denoising, with_noise), (plain, ((train[rows],) for rows in stream)))
    ]
    models: tuple[Any, Any] = denoising.ours, denoising.theirs
    noise = draw(setup.corruption, test.shape, rng)
    noisy, _ = models[0].corrupt(test, noise)
    same = twin.numpy(models[1].corrupt(torch.from_numpy(test), torch.from_numpy(noise)))
    outputs = {DENOISING: denoising(noisy), PLAIN: plain(noisy)}
    several = np.concatenate([train] * 5)
    shown, _ = models[0].corrupt(several, draw(setup.corruption, several.shape, rng))
    restored = {LINEAR: linear(shown, several, noisy)}
    restored |= {kind: ours for kind, (ours, _) in outputs.items()}
    return Run(
        test,
        noisy,
        restored,
        {kind: theirs for kind, (_, theirs) in outputs.items()},
        max(
            apart(noisy, same),
            *(apart(values[:, 0], values[:, 1]) for values in losses),
            *(apart(*pair) for pair in outputs.values()),
        ),
    )


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Train with noise and without, and take new noise off the test pictures.

    Args:
        out: folder for the figures.
        small: one start, fewer steps.
        seed: of the first start.

    Returns:
        What is left of the noise, with the claims about it.
    """
    outcome = Outcome("denoising")
    starts = range(seed, seed + (1 if small else 3))
    runs = {
        name: [learn(setup, setup.steps[small], s) for s in starts]
        for name, setup in SETUPS.items()
    }
    _table(outcome, runs)
    _claims(outcome, runs, small, seed)
    paths = [out / f"denoising_{name}.png" for name in ("pictures", "errors")]
    _draw_pictures(paths[0], runs)
    _draw_errors(paths[1], runs)
    outcome.figures += paths
    return outcome


def left(runs: list[Run], kind: str) -> Array:
    """Shares of the noise that are left (starts, twins)."""
    return np.array([r.left(kind) for r in runs])


def _table(outcome: Outcome, runs: dict[str, list[Run]]) -> None:
    lines = [f"{'squared error':18}{'noisy':>8}" + "".join(f"{kind:>20}" for kind in COLOURS)]
    for name, done in runs.items():
        noise = [float(np.mean((r.noisy - r.clean) ** 2)) for r in done]
        row: dict[str, Any] = {"noisy": noise}
        line = f"{name:18}{np.mean(noise):8.4f}"
        for kind in COLOURS:
            errors = left(done, kind) * np.array(noise)[:, None]
            row[kind] = errors.tolist()
            line += f"{errors.mean():13.4f} ({left(done, kind).mean():4.0%})"
        lines.append(line)
        outcome.numbers[name] = row
    outcome.text = "\n".join(lines)


def _claims(outcome: Outcome, runs: dict[str, list[Run]], small: bool, seed: int) -> None:
    drift = {(name, i): r.apart for name, done in runs.items() for i, r in enumerate(done)}
    worst = max(drift, key=drift.__getitem__)
    text, measured = "", f"losses and pictures {drift[worst]:.0e} apart at most"
    strayed = 0.0
    if drift[worst] >= 1e-9:
        name, i = worst
        strayed = learn(SETUPS[name], SETUPS[name].steps[small], seed + i, nudge=True).apart
        text = (
            ", and part no more than ten times as far as from a start one floating-point number "
            "higher (that is nudged once, rounding comes at every step)"
        )
        measured += f", from the higher start {strayed:.0e}"
    outcome.numbers["twins apart"] = drift[worst]
    outcome.claim(
        f"both twins learn the same from the same noise{text}",
        measured,
        drift[worst] < max(1e-9, 10 * strayed),
    )
    train, test = of_patterns()
    kinds = np.unique(train, axis=0)
    seen = np.mean([(kinds == row).all(1).any() for row in test])
    outcome.numbers["patterns"]["different, share of the test's seen"] = len(kinds), float(seen)
    for name, done in runs.items():
        limit = SETUPS[name].limit[small]
        shares = left(done, DENOISING)
        others = {kind: left(done, kind) for kind in (PLAIN, LINEAR)}
        known = f"; {len(kinds)} pictures trained on, {seen:.0%} of the test's among them"
        outcome.claim(
            f"{name}: less than {limit:.0%} of the noise is left, from every start",
            f"{_range(shares)}{known if name == 'patterns' else ''}",
            bool(shares.max() < limit),
        )
        if not small:
            outcome.claim(
                f"{name}: that is less than the linear map leaves, and less than half of what the "
                "autoencoder leaves that has never seen noise",
                ", ".join(f"{kind} {_range(values)}" for kind, values in others.items()),
                bool(
                    shares.max() < others[LINEAR].min() and shares.max() < others[PLAIN].min() / 2
                ),
            )


def _range(values: Array) -> str:
    low, high = f"{values.min():.1%}", f"{values.max():.1%}"
    return low if low == high else f"{low} to {high}"


def _draw_pictures(path: Path, runs: dict[str, list[Run]]) -> None:
    with figure(path, 1, len(runs), (18, 4.2)) as (_, axes):
        for ax, (name, (first, *_)) in zip(axes, runs.items(), strict=True):
            rows = {"clean": first.clean, "noisy": first.noisy}
            for kind in COLOURS:
                rows[f"{kind}\n{np.mean(first.left(kind)):.0%} left"] = first.restored[kind]
            mosaic(ax, rows, 8)
            ax.set_title(name)


def _draw_errors(path: Path, runs: dict[str, list[Run]]) -> None:
    with figure(path, 1, 1, (8, 4)) as (_, ax):
        for i, (kind, colour) in enumerate(COLOURS.items()):
            values = [100 * left(done, kind) for done in runs.values()]
            at = np.arange(len(runs)) + 0.25 * (i - 1)
            ax.bar(at, [v.mean() for v in values], 0.22, color=colour, label=kind)
            for x, v in zip(at, values, strict=True):
                ax.plot([x] * len(v), v[:, 0], "k.", ms=3)
        ax.axhline(100, color="0.5", lw=1)
        ax.set_xticks(range(len(runs)), list(runs))
        ax.set_ylabel("squared error, % of the noise's")
        ax.set_title("What is left of new noise on the test pictures (dots: each start)")
        ax.legend()
