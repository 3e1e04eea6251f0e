"""Mode collapse, measured: how many of 4 and of 8 Gaussians does a generator cover?

    good       share of samples within three standard deviations of a mean; of the data 98.9%
    covered    modes that have at least a tenth of their fair share of the samples, and those good
    ways       the plain GAN (non-saturating), and four remedies one by one: minibatch
               discrimination, feature matching, one-sided label smoothing, WGAN-GP

Guide: its mode collapse [4664-4760] is drawn by hand, two made-up clouds, and its list of remedies
is not tried. Here each way is given the same networks (two hidden layers of 64), batches of 64,
rounds (one step of either player) and Adam, several starts each, and what comes out is reported,
whichever wins. The plain GAN's first start is played in both packages, the others in scratch.

Sources: Salimans et al. 2016, arXiv:1606.03498; Gulrajani et al. 2017, arXiv:1704.00028.
"""

from pathlib import Path
from typing import Any

import numpy as np

from datasets.plane import centres, modes
from parity_tests.experiments.duel import Duel, Way, draws, duel, same_game
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import SCRATCH, THIRD, figure
from parity_tests.harness.draw import Array

LATENT, BATCH, HIDDEN, SPREAD, SAMPLES = 8, 64, [64, 64], 0.05, 1000
PLAIN = "plain"


def plain(models: Any) -> tuple[Any, Any]:
    """A generator and a discriminator of the same size."""
    return models.Generator(LATENT, HIDDEN, 2), models.Discriminator(2, HIDDEN)


def with_kernels(models: Any) -> tuple[Any, Any]:
    """The discriminator sees how close a sample is to its batch, by eight kernels."""
    net = models.Discriminator(2, HIDDEN, "LeakyReLU", 8, 4)
    return models.Generator(LATENT, HIDDEN, 2), net


def with_critic(models: Any) -> tuple[Any, Any]:
    """A critic in the discriminator's place."""
    return models.Generator(LATENT, HIDDEN, 2), models.Critic(2, HIDDEN)


RATE = 2e-3
WAYS = {
    PLAIN: Way(plain, lr=RATE),
    "minibatch discrimination": Way(with_kernels, lr=RATE),
    "feature matching": Way(plain, {"loss": "feature_matching"}, lr=RATE),
    "label smoothing": Way(plain, {"smoothing": 0.1}, lr=RATE),
    "WGAN-GP": Way(with_critic, {"loss": "wasserstein", "penalty": 0.1}, lr=RATE),
}


def quality(x: Array, k: int) -> tuple[int, float]:
    """Modes covered, and the share of good samples."""
    far = np.linalg.norm(x[:, None] - centres(k), axis=2)
    good = far.min(1) < 3 * SPREAD
    counts = np.bincount(far.argmin(1)[good], minlength=k)
    return int(np.sum(counts >= len(x) / (10 * k))), float(good.mean())


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Play every way from several starts on either set.

    Args:
        out: folder for the figures.
        small: four modes, two ways, one start, few rounds.
        seed: of the first start.

    Returns:
        Modes covered and shares of good samples, with the claims about them.
    """
    outcome = Outcome("gan_modes")
    steps, starts, sizes = (300, 1, (4,)) if small else (2000, 3, (4, 8))
    ways = {name: WAYS[name] for name in (PLAIN, "label smoothing")} if small else WAYS
    noise = np.random.default_rng(seed).standard_normal((SAMPLES, LATENT))
    runs: dict[tuple[int, str], list[Duel]] = {}
    for k in sizes:
        data = modes(20_000, k, spread=SPREAD, seed=seed)
        for name, way in ways.items():
            runs[k, name] = [
                duel(
                    way,
                    draws(data, steps, BATCH, LATENT, s),
                    noise,
                    lambda step: step % (steps // 10) == 0,
                    s,
                    both=name == PLAIN and s == seed,
                )
                for s in range(seed, seed + starts)
            ]
    found = {
        key: [quality(r.samples[steps][0], key[0]) for r in done] for key, done in runs.items()
    }
    _claims(outcome, runs, found, sizes, steps)
    _table(outcome, found, sizes, steps)
    path = out / "gan_modes.png"
    _draw(path, runs, found, sizes, steps)
    outcome.figures.append(path)
    return outcome


Found = dict[tuple[int, str], list[tuple[int, float]]]


def _claims(
    outcome: Outcome,
    runs: dict[tuple[int, str], list[Duel]],
    found: Found,
    sizes: tuple[int, ...],
    steps: int,
) -> None:
    real = [quality(modes(SAMPLES, k, spread=SPREAD, seed=99), k) for k in sizes]
    outcome.claim(
        "the measure gives the data itself all modes and the share of good points that it has to",
        ", ".join(f"{c} of {k} modes, {g:.1%}" for k, (c, g) in zip(sizes, real, strict=True)),
        all(c == k and abs(g - 0.989) < 0.015 for k, (c, g) in zip(sizes, real, strict=True)),
    )
    same_game(outcome, [runs[k, PLAIN][0] for k in sizes], "the plain GAN's twins")
    first = {key: quality(r[0].samples[min(r[0].samples)][0], key[0])[1] for key, r in runs.items()}
    better = [key for key, each in found.items() if np.mean([g for _, g in each]) > first[key]]
    outcome.claim(
        "every way makes more good samples at the end than after a tenth of the rounds",
        f"{len(better)} of {len(found)}",
        len(better) == len(found),
    )

    if "WGAN-GP" in {name for _, name in found}:
        covered = {n: sum(c for c, _ in found[4, n]) for n in WAYS}
        outcome.claim(
            "of four modes far apart WGAN-GP covers more than the plain GAN, over all starts",
            ", ".join(f"{name} {c}" for name, c in covered.items())
            + f" of {4 * len(found[4, PLAIN])}",
            covered["WGAN-GP"] > covered[PLAIN],
        )


def _table(outcome: Outcome, found: Found, sizes: tuple[int, ...], steps: int) -> None:
    lines = [f"after {steps:,} rounds: modes covered and good samples, each start"]
    for (k, name), each in found.items():
        starts = "   ".join(f"{c} of {k}, {g:4.0%}" for c, g in each)
        lines.append(f"{k} modes   {name:26}{starts}")
        outcome.numbers[f"{k} modes, {name}"] = each
    outcome.text = "\n".join(lines)


def _draw(
    path: Path,
    runs: dict[tuple[int, str], list[Duel]],
    found: Found,
    sizes: tuple[int, ...],
    steps: int,
) -> None:
    """Samples of the first start of every way."""
    names = list(dict.fromkeys(name for _, name in runs))
    size = (3.1 * len(names), 3.5 * len(sizes))
    with figure(path, len(sizes), len(names), size, squeeze=False) as (fig, axes):
        for row, k in zip(axes, sizes, strict=True):
            data = modes(1000, k, spread=SPREAD, seed=7)
            for ax, name in zip(row, names, strict=True):
                x = runs[k, name][0].samples[steps][0]
                ax.plot(*data.T, ".", color=THIRD, ms=6, alpha=0.15)
                ax.plot(*x.T, ".", color=SCRATCH, ms=2)
                each = "; ".join(f"{c}, {g:.0%}" for c, g in found[k, name])
                ax.set(aspect="equal", xlim=(-3, 3), ylim=(-3, 3), xticks=[], yticks=[])
                ax.set_title(f"{name}\n{each}", fontsize=9)
        fig.suptitle(
            "Modes covered, share of good samples,\n"
            f"of each start after {steps:,} rounds; samples of the first"
        )
