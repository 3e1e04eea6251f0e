"""A small StyleGAN2 draws digits, and what truncation takes from them.

    data           digits of 8 x 8 pixels
    generator      two dense layers from 16 numbers to a style of 32; a learned 4 x 4, convolved
                   once, and twice at 8 x 8, with modulated weights and noise
    discriminator  residual blocks, the deviation within the batch; R1 at every other round
    answers        the moving average of the generator's weights, the noise that is its own
    truncation     styles drawn towards their mean: w' = w_avg + psi (w - w_avg)
    judged         by the Frechet distance in the features of a classifier of real digits, as in
                   `dcgan_digits`; and by how sure that classifier is of each

Rate, R1's weight and the rounds were chosen in torch: with a rate of 0.002 and a weight of 0.1 the
distance was 30 after 800 rounds. The mapping learns at a tenth of the rest's rate, the authors' at
a hundredth. Styles are not mixed here. Truncation is said to trade variety for quality; on digits
it only takes variety: the mean style is an 8, and what lies between it and another class is no
digit that the classifier is surer of.

Sources: Karras et al. 2020, arXiv:1912.04958; truncation: Karras et al. 2019, arXiv:1812.04948,
appendix B; R1: Mescheder, Geiger & Nowozin 2018, arXiv:1801.04406.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from parity_tests.experiments.duel import Duel, Way, duel, same_game
from parity_tests.experiments.frechet import Yardstick, digits
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, SCRATCH, TORCH, figure, mosaic
from parity_tests.harness.draw import Array
from parity_tests.harness.threads import equal_threads
from scratch.training import Round

LATENT, STYLE, BATCH, SIDE, KEPT, RATE, R1 = 16, 32, 32, 8, 0.995, 0.01, 3.0
SIDES = (4, 8, 8)  # of the noise in each layer
PSI = (1.0, 0.7, 0.5, 0.0)


def way(width: int) -> Way:
    """Both networks so wide."""
    channels = width * SIDE, width * 3 // 2

    def make(models: Any) -> tuple[Any, Any]:
        generator = models.StyleGANGenerator(LATENT, STYLE, SIDE, 1, *channels, 2, 0.1)
        return generator, models.StyleGANDiscriminator(SIDE, 1, *channels)

    return Way(
        make,
        {"r1": R1, "r1_interval": 2},
        RATE,
        (0.0, 0.99),
        KEPT,
        slower=2 / 3,
        sampling={"noise_mode": "const"},
    )


def draws(real: Array, steps: int, seed: int) -> Iterator[Round]:
    """Batches of the data, drawn with replacement, and what the generator takes."""
    rng = np.random.default_rng(seed)

    def drawn() -> tuple[Any, ...]:
        noises = tuple(rng.standard_normal((BATCH, 1, n, n)) for n in SIDES)
        return rng.standard_normal((BATCH, LATENT)), None, None, noises

    for _ in range(steps):
        yield Round(real[rng.integers(0, len(real), BATCH)], drawn(), drawn())


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Play, look at the samples on the way, judge them, truncate.

    Args:
        out: folder for the figure.
        small: narrow networks, few rounds.
        seed: of the start.

    Returns:
        Distances on the way and at each truncation, with the claims about them.
    """
    outcome = Outcome("stylegan_digits")
    steps, width = (12, 4) if small else (1602, 32)
    real, labels, test, _ = digits()
    count = 100 if small else len(test)
    with equal_threads(1):
        far = Yardstick(real, labels, test, count, 250 if small else 1500, seed)
        noise = np.random.default_rng(seed).standard_normal((count, LATENT))
        pictures = real.reshape(-1, 1, SIDE, SIDE)
        game = duel(
            way(width), draws(pictures, steps, seed), noise, lambda k: k % (steps // 6) == 0, seed
        )
        truncated = {}
        for psi in PSI:
            x, _ = game.kept(noise, truncation_psi=psi)
            truncated[psi] = x

    on_the_way = np.array([[far(x) for x in pair] for pair in game.samples.values()])
    distances = {psi: far(x) for psi, x in truncated.items()}
    sure = {psi: far.sure(x) for psi, x in truncated.items()}
    _claims(outcome, game, on_the_way, distances, sure, far.reference, small)
    outcome.numbers |= {
        "Frechet distances by sixth of the rounds, scratch and torch": on_the_way.tolist(),
        "by truncation": distances,
        "the classifier's mean certainty by truncation": sure,
        **far.reference,
    }
    path = out / "stylegan_digits.png"
    _draw(path, real, game, on_the_way, truncated, distances, far.reference, steps)
    outcome.figures.append(path)
    return outcome


def _claims(
    outcome: Outcome,
    game: Duel,
    on_the_way: Array,
    distances: dict[float, float],
    sure: dict[float, float],
    reference: dict[str, float],
    small: bool,
) -> None:
    ours, theirs = map(float, on_the_way[-1])
    named = ", ".join(f"{key} {value:.2f}" for key, value in reference.items())
    if small:
        outcome.claim(
            "what the twins draw is as far from real digits",
            f"{ours:.2f} in scratch, {theirs:.2f} in torch",
            abs(ours - theirs) < 1e-3 * theirs,
        )
    else:
        outcome.claim(
            "what either draws is nearer to real digits than samples of a Gaussian with the "
            "pixels' moments are",
            f"{ours:.2f} in scratch, {theirs:.2f} in torch; {named}",
            max(ours, theirs) < reference["a Gaussian's"],
        )
        outcome.claim(
            "the nearer styles are drawn to their mean, the further the whole is from real digits",
            "; ".join(f"psi {p}: {distances[p]:.1f} away, {sure[p]:.1%} sure" for p in PSI),
            all(distances[a] < distances[b] for a, b in pairwise(PSI)),
        )
    (alike,) = same_game(outcome, [game])
    outcome.numbers["rounds alike, of the twins and of torch with its shadow"] = alike


def _draw(
    path: Path,
    real: Array,
    game: Duel,
    on_the_way: Array,
    truncated: dict[float, Array],
    distances: dict[float, float],
    reference: dict[str, float],
    steps: int,
) -> None:
    columns = 16
    ours, theirs = game.samples[max(game.samples)]
    rows = {"real": real, "scratch": ours, "torch": theirs}
    rows |= {f"psi {psi}": truncated[psi] for psi in PSI[1:]}
    early = min(game.samples)
    rows[f"scratch, round {early:,}"] = game.samples[early][0]
    pictures = {
        key: np.clip((x[:columns].reshape(-1, SIDE * SIDE) + 1) / 2, 0, 1)
        for key, x in rows.items()
    }
    with figure(path, 1, 2, (13, 4.6), width_ratios=(1.6, 1)) as (fig, (page, line)):
        mosaic(page, pictures, columns)
        page.set_title("digits, and what is drawn of the same noise")
        rounds = steps // 6 * np.arange(1, 7)
        line.plot(rounds, on_the_way[:, 0], "o-", color=SCRATCH, label="scratch")
        line.plot(rounds, on_the_way[:, 1], "o", mfc="none", mec=TORCH, ms=9, label="torch")
        for psi, mark in zip(PSI[1:], "v^s", strict=True):
            line.plot(steps, distances[psi], mark, color=SCRATCH, label=f"psi {psi}")
        for (name, value), colour in zip(reference.items(), CLASSES[2:4], strict=True):
            line.axhline(value, color=colour, ls="--", lw=1, label=name)
        line.set_yscale("log")
        line.set(xlabel="round", ylabel="Frechet distance", title="how far from real digits")
        line.legend(fontsize=9)
        fig.suptitle(f"StyleGAN2 on {len(real):,} digits of 8 x 8 pixels")
