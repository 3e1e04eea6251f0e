"""Digits on request: a conditional GAN, judged by a classifier that knows real digits only.

    generator       (noise, one-hot digit) to 64 pixels, through 128 and 128 hidden units
    discriminator   (64 pixels, one-hot digit) to a logit
    judge           an MLP trained on the real 8 x 8 digits (the task `digits`), never on made ones

Guide: conditional GANs are a line in its list of variants [4840-4845]. Here both packages train one
on scikit-learn's 1,437 training digits, and each is asked for every digit a hundred times.

Source: Mirza & Osindero 2014, arXiv:1411.1784.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from parity_tests.experiments.duel import Way, draws, duel, same_game
from parity_tests.experiments.frechet import digits, judge
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import SCRATCH, TORCH, figure
from parity_tests.harness.draw import Array

LATENT, BATCH = 16, 64
WAY = Way(
    lambda models: (
        models.ConditionalGenerator(LATENT, [128, 128], 64, 10, None, "ReLU", "Tanh"),
        models.ConditionalDiscriminator(64, [128, 128], 10),
    ),
    lr=2e-3,
)


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Train, ask for digits, and have them recognised.

    Args:
        out: folder for the figures.
        small: one start, few rounds.
        seed: of the first start.

    Returns:
        Shares of requests that are recognised, with the claims about them.
    """
    outcome = Outcome("cgan_digits")
    steps, starts, least = (360, 1, 0.5) if small else (2000, 3, 0.9)
    real, labels, test, answers = digits()
    knows = judge(real, labels, 250 if small else 1500)
    right = float(np.mean(knows(test)[0].argmax(1) == answers))
    asked = np.tile(np.arange(10), 100)
    noise = np.random.default_rng(seed).standard_normal((len(asked), LATENT))
    every, way = steps // 5, replace(WAY, lr=5e-3) if small else WAY
    runs = []
    for s in range(seed, seed + starts):
        given = draws(real, steps, BATCH, LATENT, s, labels)
        runs.append(
            duel(way, given, noise, lambda k: k % every == 0, s, both=s == seed, label=asked)
        )
    shares = np.array(
        [[np.mean(knows(x)[0].argmax(1) == asked) for x, _ in r.samples.values()] for r in runs]
    )
    reference = float(np.mean(knows(runs[0].samples[steps][1])[0].argmax(1) == asked))
    outcome.claim(
        f"a classifier of real digits, right on {right:.1%} of those, recognises {least:.0%} or "
        "more of the digits that were asked for",
        f"{' '.join(f'{v:.1%}' for v in shares[:, -1])} in scratch, {reference:.1%} in torch's "
        "first start",
        bool(np.all(shares[:, -1] >= least)) and reference >= least,
    )
    same_game(outcome, runs[:1])
    spread = [
        float(np.mean([r.samples[steps][0][asked == c].std(0).mean() for c in range(10)]))
        for r in runs
    ]
    data = float(np.mean([real[labels == c].std(0).mean() for c in range(10)]))
    outcome.claim(
        "digits of one class are not all the same one",
        f"standard deviation of a pixel within a class {' '.join(f'{v:.2f}' for v in spread)}, "
        f"of real digits {data:.2f}",
        min(spread) > 0.2 * data,
    )
    outcome.numbers = {
        "recognised, by fifth of the rounds": shares.tolist(),
        "torch": reference,
        "judge on real test digits": right,
        "spread within a class": spread,
        "spread of real digits": data,
    }
    path = out / "cgan_digits.png"
    _draw(path, runs[0].samples[steps], shares, np.arange(1, 6) * every)
    outcome.figures.append(path)
    return outcome


def _draw(path: Path, samples: tuple[Array, Array], shares: Array, rounds: Array) -> None:
    """Eight of each digit, and how many are recognised on the way."""
    with figure(path, 1, 2, (11, 4.8), width_ratios=(1.15, 1)) as (fig, (made, line)):
        x = samples[0][:80].reshape(8, 10, 8, 8)
        page = np.full((8 * 9, 10 * 9), -1.0)
        for i in range(8):
            for j in range(10):
                page[9 * i : 9 * i + 8, 9 * j : 9 * j + 8] = x[i, j]
        made.imshow(page, cmap="gray_r", vmin=-1, vmax=1)
        made.set_xticks(9 * np.arange(10) + 3.5, range(10))
        made.set(yticks=[], xlabel="asked for")
        made.grid(False)
        made.set_title("made by scratch, first start")
        for i, each in enumerate(shares):
            line.plot(rounds, 100 * each, "o-", color=SCRATCH, label="a start" if i == 0 else None)
        line.axhline(90, color=TORCH, lw=0.8, ls=":", label="90%")
        line.set(xlabel="round", ylabel="requests recognised, %", ylim=(0, 102))
        line.set_title("what a classifier of real digits recognises")
        line.legend()
        fig.suptitle("A conditional GAN on 1,437 digits of 8 x 8 pixels")
