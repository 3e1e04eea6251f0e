"""A DCGAN draws digits, and how far they are from real ones.

    data           8 x 8 digits, each pixel four times: 16 x 16, the least that gives either network
                   a layer in the middle
    generator      noise of 32 numbers, transposed convolutions to 16 x 16, batch norm, ReLU
    discriminator  convolutions of stride 2, leaky ReLU
    answers        the generator whose weights are the moving average of the trained one's, with the
                   trained one's statistics of batch norm: the last rounds' swings are averaged out
    judged         at 8 x 8, by the Frechet distance in the features of a classifier of real
                   digits, on the way and at the end; held-out digits and a Gaussian with the
                   training pixels' moments are what to compare with

Guide: DCGAN is a line in its list of variants [4830-4840].

Sources: Radford, Metz & Chintala 2016, arXiv:1511.06434; averages: Yazici et al. 2019,
arXiv:1806.04498; the distance: Heusel et al. 2017, arXiv:1706.08500.
"""

from pathlib import Path
from typing import Any

import numpy as np

from parity_tests.experiments.duel import Duel, Way, draws, duel, same_game
from parity_tests.experiments.frechet import Yardstick, digits
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, SCRATCH, TORCH, figure, mosaic
from parity_tests.harness.draw import Array
from parity_tests.harness.threads import equal_threads

LATENT, BATCH, SIDE, KEPT, RATE = 32, 64, 16, 0.99, 5e-4


def way(width: int) -> Way:
    """Both networks so wide."""

    def make(models: Any) -> tuple[Any, Any]:
        generator = models.DCGANGenerator(LATENT, width, SIDE, 1)
        return generator, models.DCGANDiscriminator(width, SIDE, 1)

    return Way(make, {"smoothing": 0.1}, lr=RATE, average=KEPT)


def shrunk(x: Array) -> Array:
    """16 x 16 pixels to 8 x 8, the mean of each four; others as they are, all in rows."""
    if x.ndim == 4:
        x = x.reshape(len(x), 8, 2, 8, 2).mean((2, 4))
    return x.reshape(len(x), -1)


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Play, look at the samples on the way, judge them.

    Args:
        out: folder for the figure.
        small: one start, narrow networks, few rounds.
        seed: of the first start.

    Returns:
        Distances on the way, with the claims about them.
    """
    outcome = Outcome("dcgan_digits")
    steps, starts, width = (48, 1, 4) if small else (1800, 3, 16)
    real, labels, test, _ = digits()
    count = 100 if small else len(test)
    with equal_threads(1):
        far = Yardstick(real, labels, test, count, 250 if small else 1500, seed)
        noise = np.random.default_rng(seed).standard_normal((count, LATENT))
        pictures = np.kron(real.reshape(-1, 1, 8, 8), np.ones((2, 2)))
        runs = [
            duel(
                way(width),
                draws(pictures, steps, BATCH, LATENT, s),
                noise,
                lambda k: k % (steps // 6) == 0,
                s,
                both=s == seed,
            )
            for s in range(seed, seed + starts)
        ]

    distances = np.array(
        [[[far(shrunk(x)) for x in pair] for pair in r.samples.values()] for r in runs]
    )
    _claims(outcome, runs, distances, far.reference, small)
    outcome.numbers |= {
        "Frechet distances by start and sixth of the rounds, scratch and torch": distances.tolist(),
        **far.reference,
    }
    path = out / "dcgan_digits.png"
    _draw(path, real, runs, distances, far.reference, steps)
    outcome.figures.append(path)
    return outcome


def _claims(
    outcome: Outcome, runs: list[Duel], distances: Array, reference: dict[str, float], small: bool
) -> None:
    ends, first = distances[:, -1, 0], float(distances[0, -1, 1])
    named = ", ".join(f"{key} {value:.2f}" for key, value in reference.items())
    measured = (
        f"{' '.join(f'{v:.2f}' for v in ends)} in scratch, {first:.2f} in torch's first start"
    )
    if small:
        outcome.claim(
            "what the twins draw is as far from real digits",
            measured,
            abs(ends[0] - first) < 1e-3 * first,
        )
    else:
        outcome.claim(
            "what it draws is nearer to real digits than samples of a Gaussian with the pixels' "
            "moments are, from every start",
            f"{measured}; {named}",
            max(*ends, first) < reference["a Gaussian's"],
        )
    (alike,) = same_game(outcome, [runs[0]])
    outcome.numbers["rounds alike, of the twins and of torch with its shadow"] = alike


def _draw(
    path: Path,
    real: Array,
    runs: list[Duel],
    distances: Array,
    reference: dict[str, float],
    steps: int,
) -> None:
    columns = 16
    ours, theirs = runs[0].samples[max(runs[0].samples)]
    rows = {"real": real, "scratch": ours, "torch": theirs}
    rows |= {f"scratch, round {k:,}": pair[0] for k, pair in list(runs[0].samples.items())[:2]}
    pictures = {key: np.clip((shrunk(x[:columns]) + 1) / 2, 0, 1) for key, x in rows.items()}
    with figure(path, 1, 2, (13, 4.2), width_ratios=(1.6, 1)) as (fig, (page, line)):
        mosaic(page, pictures, columns)
        page.set_title("digits, and what is drawn of the same noise")
        rounds = steps // 6 * np.arange(1, 7)
        for i, each in enumerate(distances):
            line.plot(rounds, each[:, 0], "o-", color=SCRATCH, label=None if i else "scratch")
        line.plot(rounds, distances[0, :, 1], "o", mfc="none", mec=TORCH, ms=9, label="torch")
        for (name, value), colour in zip(reference.items(), CLASSES[2:4], strict=True):
            line.axhline(value, color=colour, ls="--", lw=1, label=name)
        line.set_yscale("log")
        line.set(xlabel="round", ylabel="Frechet distance", title="how far from real digits")
        line.legend(fontsize=9)
        fig.suptitle(f"A DCGAN on {len(real):,} digits of 8 x 8 pixels")
