"""Does a critic's loss tell how good the samples are?

    quality   exact Wasserstein distance of as many samples and held-out points: the cheapest
              assignment of one to the other, mean length of a pair; and the share of good samples,
              as in `gan_modes`
    own       minus the loss of the run's own critic, penalty included, mean of the rounds before
    fresh     a critic that starts anew at every checkpoint, from one start and on the same draws,
              trained on those samples against data with the gradient penalty:
              mean D(held out) - mean D(samples)
    rank      Spearman's correlation with the distance, over a run's checkpoints

Guide: "meaningful loss metric (correlates with quality)", in its list of variants [4816-4820].
Here eight Gaussians, WGAN-GP with five critic steps for each of the generator's, and the plain GAN
beside it. Each way's first start is played in both packages, the others in scratch. Over a
whole run a fresh critic ranks the checkpoints as the distance does, and the loss that the run
reports does not: early on it says how far its critic has come, and the penalty is in it. Over the
later half alone, near the data, the plain GAN's loss ranks better from two starts of three, where
400 steps of a fresh critic miss what is left of the distance; WGAN-GP's is as good from one start,
and the wrong way round from two. In five of six runs a fresh critic ranks the share of good samples
worse than the distance.

Sources: Arjovsky et al. 2017, arXiv:1701.07875, section 4.2; Gulrajani et al. 2017,
arXiv:1704.00028, section 5.3.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

import scratch.models
import torch_ref.models
from datasets.plane import modes
from parity_tests.experiments.duel import Duel, Way, as_tensors, draws, duel, same_game
from parity_tests.experiments.gan_modes import (
    BATCH,
    HIDDEN,
    LATENT,
    PLAIN,
    SPREAD,
    WAYS,
    quality,
    with_critic,
)
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, SCRATCH, THIRD, TORCH, figure
from parity_tests.experiments.twins import alike
from parity_tests.harness.draw import Array
from scratch import nn, optim
from scratch.training import Game
from scratch.training.adversarial import discriminator_step
from torch_ref.training import Game as TorchGame
from torch_ref.training.adversarial import discriminator_step as torch_discriminator_step

MODES, EVERY, GP = 8, 5, "WGAN-GP"
WAY = Way(
    with_critic,
    {"loss": "wasserstein", "penalty": 10.0, "critic_steps": EVERY},
    betas=(0.0, 0.9),
)


@dataclass
class Course:
    """What was measured at each checkpoint of a run.

    Attributes:
        game: the run.
        distance: of its samples to held-out points, exact.
        good: share of good samples.
        own: minus its own critic's loss.
        fresh: a fresh critic's estimate, scratch.
        reference: the same in torch; empty where torch does not play.
    """

    game: Duel
    distance: Array
    good: Array
    own: Array
    fresh: Array
    reference: Array

    def ranks(self) -> dict[str, float]:
        """Rank correlations over the checkpoints."""
        half = len(self.own) // 2
        return {
            "fresh": rank_correlation(self.fresh, self.distance),
            "own": rank_correlation(self.own, self.distance),
            "fresh, later half": rank_correlation(self.fresh[half:], self.distance[half:]),
            "own, later half": rank_correlation(self.own[half:], self.distance[half:]),
            "fresh, with the share of bad samples": rank_correlation(self.fresh, 1 - self.good),
            "own, with the share of bad samples": rank_correlation(self.own, 1 - self.good),
        }


def wasserstein(a: Array, b: Array) -> float:
    """Exact distance of two sets of as many points."""
    lengths = cdist(a, b)
    return float(lengths[linear_sum_assignment(lengths)].mean())


def rank_correlation(a: Array, b: Array) -> float:
    """Spearman's: the correlation of ranks, equal values sharing theirs."""
    first, second = (
        np.searchsorted(np.sort(x), x) + np.searchsorted(np.sort(x), x, "right") for x in (a, b)
    )
    return float(np.corrcoef(first, second)[0, 1])


def fresh(
    samples: Array, data: Array, held: Array, steps: int, *, both: bool
) -> tuple[float, float]:
    """What a critic trained on these samples alone says of them, scratch and torch.

    Args:
        samples: of a generator (n, 2).
        data: what it is trained to tell from them.
        held: other data, on which it is asked.
        steps: of its training.
        both: whether torch trains too; else its answer is NaN.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = torch_ref.models.Critic(2, HIDDEN)
    twins = alike(scratch.models.Critic(2, HIDDEN), theirs)
    ours = optim.Adam(twins.ours.parameters(), lr=1e-3, betas=(0.0, 0.9))
    yours = torch.optim.Adam(theirs.parameters(), lr=1e-3, betas=(0.0, 0.9))
    game, torch_game = Game("wasserstein", penalty=10.0), TorchGame("wasserstein", penalty=10.0)
    rows = np.random.default_rng(0)
    for given in draws(data, steps, BATCH, 1, 0):
        given = given._replace(noise=samples[rows.integers(0, len(samples), BATCH)])
        discriminator_step(nn.Identity(), twins.ours, ours, game, given)
        if both:
            tensors = as_tensors(given)
            torch_discriminator_step(torch.nn.Identity(), theirs, yours, torch_game, tensors)
    answers = zip(twins(held), twins(samples), strict=True)
    mine, its = (float(on_held.mean() - on_samples.mean()) for on_held, on_samples in answers)
    return mine, its if both else np.nan


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Play, stop at the checkpoints, and hold each loss against the samples of its time.

    Args:
        out: folder for the figure.
        small: WGAN-GP alone, one start, few rounds and samples.
        seed: of the first start.

    Returns:
        Rank correlations, with the claims about them.
    """
    outcome = Outcome("critic_quality")
    steps, starts, count, training = (30, 1, 100, 15) if small else (4000, 3, 1000, 400)
    # the distance changes most early: checkpoints are as many rounds apart by factor
    first = EVERY if small else 5 * EVERY
    points = np.geomspace(first, steps, 3 if small else 12)
    checkpoints = [int(x) for x in EVERY * np.round(points / EVERY)]
    data = modes(20_000, MODES, spread=SPREAD, seed=seed)
    held, others = (modes(count, MODES, spread=SPREAD, seed=seed + k) for k in (1, 2))
    ways = {GP: WAY} if small else {GP: WAY, PLAIN: WAYS[PLAIN]}
    courses: dict[str, list[Course]] = {name: [] for name in ways}
    for name, way in ways.items():
        for s in range(seed, seed + starts):
            noise = np.random.default_rng(s).standard_normal((count, LATENT))
            given, both = draws(data, steps, BATCH, LATENT, s), s == seed
            game = duel(way, given, noise, checkpoints.__contains__, s, both=both)
            made = [game.samples[k][0] for k in checkpoints]
            told = np.array([fresh(x, data, held, training, both=both) for x in made])
            losses = np.array(game.losses)[:, 0]
            courses[name].append(
                Course(
                    game,
                    np.array([wasserstein(x, held) for x in made]),
                    np.array([quality(x, MODES)[1] for x in made]),
                    np.array([-losses[k - first : k].mean() for k in checkpoints]),
                    told[:, 0],
                    told[:, 1],
                )
            )
    floor = wasserstein(others, held)
    _claims(outcome, courses, floor, steps, small)
    outcome.numbers |= {
        "checkpoints": checkpoints,
        "distance of as many real points": floor,
        "distances": {n: [c.distance.tolist() for c in each] for n, each in courses.items()},
        "good": {n: [c.good.tolist() for c in each] for n, each in courses.items()},
        "own": {n: [c.own.tolist() for c in each] for n, each in courses.items()},
        "fresh": {n: [c.fresh.tolist() for c in each] for n, each in courses.items()},
    }
    path = out / "critic_quality.png"
    _draw(path, courses, checkpoints, floor)
    outcome.figures.append(path)
    return outcome


def _claims(
    outcome: Outcome, courses: dict[str, list[Course]], floor: float, steps: int, small: bool
) -> None:
    if not small:
        ranks = {name: [c.ranks() for c in each] for name, each in courses.items()}
        outcome.numbers["rank correlations"] = ranks
        every = [r for each in ranks.values() for r in each]
        outcome.claim(
            "a fresh critic tells how far samples are, in every run: a rank correlation with the "
            "exact distance of 0.85 or more over all checkpoints",
            _each(ranks, "fresh"),
            min(r["fresh"] for r in every) >= 0.85,
        )
        outcome.claim(
            "over all checkpoints the loss of the run's own critic tells it worse, in every run; "
            "over the later half alone it need not",
            f"{_each(ranks, 'own')}; later half {_each(ranks, 'own, later half')}, fresh "
            + _each(ranks, "fresh, later half"),
            all(r["own"] < r["fresh"] for r in every),
        )
        ends = {n: [(c.distance[0], c.distance[-1]) for c in each] for n, each in courses.items()}
        outcome.claim(
            "the samples come nearer the data, so that there is a difference to be told",
            "; ".join(
                f"{name} " + ", ".join(f"{a:.2f} to {b:.2f}" for a, b in each)
                for name, each in ends.items()
            )
            + f"; of as many real points {floor:.2f}",
            all(b < a / 2 for each in ends.values() for a, b in each),
        )
    told = [c.fresh[0] for each in courses.values() for c in each]
    outcome.claim(
        "of the first samples, far from the data, every fresh critic says that they are away",
        ", ".join(f"{value:.2f}" for value in told),
        min(told) > 0,
    )
    gaps = [
        float(np.max(np.abs(each[0].fresh - each[0].reference)) / np.max(np.abs(each[0].reference)))
        for each in courses.values()
    ]
    outcome.claim(
        "both packages' fresh critics say the same of the same samples",
        ", ".join(f"{gap:.0e} apart" for gap in gaps),
        max(gaps) < 1e-6,
    )
    pairs = same_game(outcome, [each[0].game for each in courses.values()])
    outcome.numbers["rounds alike, of the twins and of torch with its shadow"] = pairs


def _each(ranks: dict[str, list[dict[str, float]]], key: str) -> str:
    return "; ".join(
        f"{name} " + ", ".join(f"{r[key]:.2f}" for r in each) for name, each in ranks.items()
    )


def _draw(
    path: Path, courses: dict[str, list[Course]], checkpoints: list[int], floor: float
) -> None:
    """Each way's first start over the rounds, and all starts' estimates over the distance."""
    size = (4.8 * (len(courses) + 1), 4.4)
    with figure(path, 1, len(courses) + 1, size) as (fig, axes):
        for ax, (name, each) in zip(axes, courses.items(), strict=False):
            c = each[0]
            ax.plot(checkpoints, c.distance, "o-", color="0.3", ms=4, label="exact distance")
            ax.plot(checkpoints, c.fresh, "s-", color=SCRATCH, ms=4, label="fresh critic")
            ax.plot(
                checkpoints, c.reference, "o", mfc="none", mec=TORCH, ms=9, label="fresh, torch"
            )
            ax.plot(checkpoints, c.own, "^-", color=THIRD, ms=4, label="minus the run's own loss")
            ax.axhline(floor, color="0.3", lw=0.8, ls=":")
            ax.set(xscale="log", xlabel="round", title=f"{name}, first start")
            ax.legend(fontsize=8)
        cloud = axes[-1]
        for (name, each), colour in zip(courses.items(), CLASSES, strict=False):
            far = np.concatenate([c.distance for c in each])
            for mark, values, what in (
                ("s", [c.fresh for c in each], "fresh"),
                ("^", [c.own for c in each], "own"),
            ):
                fill = colour if what == "fresh" else "none"
                told = np.concatenate(values)
                cloud.plot(far, told, mark, mec=colour, mfc=fill, ms=5, label=f"{name}, {what}")
        ends = 0, max(c.distance.max() for each in courses.values() for c in each)
        cloud.plot(ends, ends, color="0.3", lw=0.8, ls=":")
        cloud.set(xlabel="exact distance", ylabel="estimate", title="all starts and checkpoints")
        cloud.legend(fontsize=8)
        fig.suptitle(
            "Does a critic tell how far samples are from data? (dotted: real points; equal)"
        )
