"""A GAN learns a ring: are its points where the data is, by radius and by angle?

    radius, angle    of 2,000 samples, their distribution held against the data's: the largest
                     distance of the two cumulative shares (Kolmogorov-Smirnov)
    losses           of both players, beside their values where nobody can tell: 2 log 2, log 2

Guide: its GAN on a circle of radius 2 [4467-4640] prints means, standard deviations and "success"
without looking at either distribution, and divides its gradients by the batch twice. Here the same
ring, noise of ten dimensions, hidden layers of 64 and batches of 64; the first start is played in
both packages, the others in scratch.
"""

from pathlib import Path

import numpy as np

from datasets.plane import ring
from parity_tests.experiments.duel import Duel, Way, draws, duel
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import SCRATCH, THIRD, TORCH, figure
from parity_tests.harness.draw import Array

LATENT, BATCH, RADIUS = 10, 64, 2.0
WAY = Way(
    lambda models: (
        models.Generator(LATENT, [64, 64], 2),
        models.Discriminator(2, [64, 64]),
    ),
    lr=2e-3,
)


def distance(a: Array, b: Array) -> float:
    """Largest difference of the shares below any value: the Kolmogorov-Smirnov statistic."""
    a, b = np.sort(a), np.sort(b)
    at = np.concatenate([a, b])
    shares = (np.searchsorted(x, at, "right") / len(x) for x in (a, b))
    first, second = shares
    return float(np.max(np.abs(first - second)))


def polar(x: Array) -> tuple[Array, Array]:
    """Radius and angle."""
    return np.hypot(*x.T), np.arctan2(x[:, 1], x[:, 0])


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Train from several starts, and compare distributions.

    Args:
        out: folder for the figures.
        small: one start, few rounds.
        seed: of the first start.

    Returns:
        Distances of the distributions and losses, with the claims about them.
    """
    outcome = Outcome("gan_ring")
    steps, starts = (480, 1) if small else (3000, 3)
    data = ring(20_000, RADIUS, seed=seed)
    held = polar(ring(2000, RADIUS, seed=seed + 1))
    noise = np.random.default_rng(seed).standard_normal((2000, LATENT))
    runs = []
    for s in range(seed, seed + starts):
        given = draws(data, steps, BATCH, LATENT, s)
        both = s == seed
        runs.append(
            duel(WAY, given, noise, lambda k: k % (steps // 10) == 0 or k == 1, s, both=both)
        )
    found = [
        {
            step: [distance(p, q) for p, q in zip(polar(x), held, strict=True)]
            for step, (x, _) in r.samples.items()
        }
        for r in runs
    ]
    last = np.array([f[steps] for f in found])
    first = np.array([f[1] for f in found])
    shift = np.array([polar(r.samples[steps][0])[0].mean() - held[0].mean() for r in runs])
    limits = (0.75, 0.45) if small else (0.3, 0.2)
    outcome.claim(
        "the samples' radius and angle are distributed more like the data's than at the start, and "
        f"within a Kolmogorov-Smirnov distance of {limits[0]:g} and {limits[1]:g}",
        f"radius {_row(first[:, 0])} to {_row(last[:, 0])}, angle {_row(first[:, 1])} to "
        f"{_row(last[:, 1])}",
        bool(np.all(last < limits) and np.all(last[:, 0] < first[:, 0])),
    )
    outcome.claim(
        f"the mean radius is the data's to {0.4 if small else 0.15:g} of 2",
        f"off by {_row(shift)}",
        bool(np.all(np.abs(shift) < (0.4 if small else 0.15))),
    )
    late = np.array([np.array(r.losses)[-steps // 5 :].mean(0) for r in runs])
    game = np.array([2 * np.log(2), np.log(2)])
    outcome.claim(
        "late in the game neither player wins: both losses are near those of a discriminator that "
        "cannot tell",
        f"D {_row(late[:, 0])} (2 log 2 = {game[0]:.3f}), G {_row(late[:, 1])} (log 2 = "
        f"{game[1]:.3f})",
        bool(np.all(np.abs(late - game) < (0.6 if small else 0.2))),
    )
    agree, shadow = runs[0].agreement()
    early = float(runs[0].apart[: steps // 6].max())
    theirs = [distance(p, q) for p, q in zip(polar(runs[0].samples[steps][1]), held, strict=True)]
    outcome.claim(
        "the twins play the same game: rounds until D's losses are 1e-6 apart, and until torch is "
        "as far from itself with each weight one floating-point number higher",
        f"{agree:,} and {shadow:,} of {steps:,}; {early:.0e} apart over the first {steps // 6}",
        agree > 0.7 * shadow and early < 1e-11,
    )
    outcome.claim(
        "and torch's samples come as near, by then along another path",
        f"radius {theirs[0]:.3f}, angle {theirs[1]:.3f}",
        bool(np.all(np.array(theirs) < limits)),
    )
    outcome.numbers = {
        "rounds": steps,
        "distance of radius, angle": last.tolist(),
        "mean losses of the last fifth": late.tolist(),
        "rounds that twins, torch and its shadow agree": [agree, shadow],
    }
    path = out / "gan_ring.png"
    _draw(path, runs, found, data, steps)
    outcome.figures.append(path)
    return outcome


def _row(values: Array) -> str:
    return " ".join(f"{v:.3f}" for v in values)


def _draw(
    path: Path, runs: list[Duel], found: list[dict[int, list[float]]], data: Array, steps: int
) -> None:
    """Samples, distances, losses."""
    with figure(path, 1, 3, (15, 4.6)) as (fig, (points, far, loss)):
        x, y = runs[0].samples[steps]
        points.plot(*data[:1500].T, ".", color=THIRD, ms=3, alpha=0.4, label="data")
        points.plot(*x[:600].T, ".", color=SCRATCH, ms=4, label="scratch")
        points.plot(*y[:150].T, "o", mfc="none", mec=TORCH, ms=6, mew=0.6, label="torch")
        points.set(aspect="equal", xlim=(-3, 3), ylim=(-3, 3.6))
        points.set_title("samples of the first start, same noise")
        points.legend(ncols=3, loc="upper center", fontsize=8)
        for i, f in enumerate(found):
            at, values = list(f), np.array(list(f.values()))
            for k, (name, colour) in enumerate((("radius", SCRATCH), ("angle", TORCH))):
                label = name if i == 0 else None
                far.plot(at, values[:, k], "o-", color=colour, ms=3, alpha=0.8, label=label)
        far.set(xlabel="round", ylabel="Kolmogorov-Smirnov distance", ylim=(0, 1.05))
        far.set_title("samples come nearer the data's distribution")
        far.legend()
        width = max(1, steps // 100)
        for k, (name, colour) in enumerate((("discriminator", TORCH), ("generator", SCRATCH))):
            for i, r in enumerate(runs):
                means = np.array(r.losses)[:, k].reshape(-1, width).mean(1)
                middle = width * np.arange(1, len(means) + 1)
                label = name if i == 0 else None
                loss.plot(middle, means, color=colour, lw=1, alpha=0.8, label=label)
            loss.axhline((2 - k) * np.log(2), color="0.3", lw=0.8, ls=":")
        loss.set(xlabel="round", ylabel=f"loss, mean of {width} rounds")
        loss.set_title("losses settle where D cannot tell (dotted)")
        loss.legend()
        fig.suptitle("A GAN on a ring")
