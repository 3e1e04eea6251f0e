"""Denoising diffusion makes points of the plane and handwritten digits, in both packages.

    plane     eight Gaussians on a circle, the set on which `gan_modes` counts covered modes; an
              MLP tells the noise, 100 steps
    digits    scikit-learn's, 8 x 8; a U-Net tells the noise, 200 steps, or fewer by DDIM; what is
              predicted of a picture is held to its pixels' range
    judged    by modes covered and good points, and by the Frechet distance in the features of a
              classifier of real digits, of as many samples as there are held-out digits. These and
              a Gaussian with the training pixels' covariance are what to compare with

Guide: diffusion models, which it names and does not train [5075-5130].

Sources: Ho, Jain & Abbeel 2020, arXiv:2006.11239; Song, Meng & Ermon 2021, arXiv:2010.02502; the
distance: Heusel et al. 2017, arXiv:1706.08500.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import scratch.models.diffusion
import torch_ref.models.diffusion
from datasets.plane import modes
from parity_tests.experiments.frechet import Yardstick, digits
from parity_tests.experiments.gan_modes import SPREAD, quality
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, SCRATCH, THIRD, TORCH, figure, mosaic
from parity_tests.experiments.twins import Twins, alike, apart
from parity_tests.harness.draw import Array
from parity_tests.harness.threads import equal_threads
from parity_tests.harness.twin import to_tensors

MODES, SIDE = 8, 8


@dataclass(frozen=True)
class Plan:
    """How one set is learned.

    Attributes:
        denoiser: of a package of models.
        noising: T, the steps of the chain.
        steps: of training.
        rows: in a batch.
        rate: AdamW's highest, through one cycle.
        dtype: of all numbers.
    """

    denoiser: Callable[[Any], Any]
    noising: int
    steps: int
    rows: int
    rate: float
    dtype: type = np.float32


def mlp(models: Any) -> Any:
    """For the plane."""
    return models.DenoisingMLP(2, 128)


def unet(models: Any) -> Any:
    """For digits."""
    return models.DenoisingUNet(1, 16)


PLANE = Plan(mlp, 100, 4000, 256, 2e-3)
DIGITS = Plan(unet, 200, 2500, 64, 2e-3)
SMALL_PLANE = Plan(lambda models: models.DenoisingMLP(2, 64), 40, 600, 64, 6e-3)
SMALL_DIGITS = Plan(lambda models: models.DenoisingUNet(1, 8), 30, 30, 32, 4e-3)
FEWER = (5, 10, 20, 50)  # steps of DDIM
VARIANCE = "posterior"  # the smaller bound; with the larger one 87% of the plane's points are good


def twins(plan: Plan, seed: int) -> Twins:
    """Two models with torch's start at `seed`; noise grows as Ho et al.'s, in fewer steps."""
    t = plan.noising
    betas = scratch.models.diffusion.linear_betas(t, 0.1 / t, 20 / t)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        theirs = torch_ref.models.DDPM(plan.denoiser(torch_ref.models), torch.from_numpy(betas))
    pair = alike(scratch.models.DDPM(plan.denoiser(scratch.models), betas), theirs)
    if plan.dtype == np.float32:
        pair.ours.to(np.float32)
        pair.theirs.float()
    return pair


def batches(data: Array, plan: Plan, seed: int) -> Iterator[tuple[Array, Array, Array]]:
    """Rows, steps of the chain and noise."""
    rng = np.random.default_rng(seed)
    for _ in range(plan.steps):
        x = data[rng.integers(0, len(data), plan.rows)]
        t = rng.integers(0, plan.noising, plan.rows)
        yield x, t, rng.standard_normal(x.shape).astype(x.dtype)


def learned(data: Array, plan: Plan, seed: int) -> tuple[Twins, Array]:
    """Train both on the same rows, steps and noise; the losses (steps, 2)."""
    pair = twins(plan, seed)
    data = data.astype(plan.dtype)
    stream = batches(data, plan, seed)
    losses = pair.descend("AdamW", {"lr": plan.rate}, stream, plan.steps)
    return pair, np.array(list(losses))[..., 0]


def made(pair: Twins, shape: tuple[int, ...], seed: int, **options: Any) -> tuple[Array, Array]:
    """Samples of both from the same noise: `sample`, or with `steps` of them `ddim`."""
    models: tuple[Any, Any] = pair.ours.eval(), pair.theirs.eval()
    count = len(options.get("steps", models[0].schedule.betas))
    noises = np.random.default_rng(seed).standard_normal((count, *shape)).astype(np.float32)
    way = "ddim" if "steps" in options else "sample"
    ours = getattr(models[0], way)(shape, noises=noises, **options)
    theirs = getattr(models[1], way)(shape, noises=torch.from_numpy(noises), **options)
    return ours, theirs.numpy()


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Train on both sets, sample, judge.

    Args:
        out: folder for the figures.
        small: short chains, few steps: agreement only.
        seed: of starts, batches and noise.

    Returns:
        Modes covered, Frechet distances, agreement.
    """
    outcome = Outcome("diffusion")
    with equal_threads(1):
        outcome.figures = [
            _plane(outcome, out / "diffusion_plane.png", small, seed),
            _digits(outcome, out / "diffusion_digits.png", small, seed),
        ]
    return outcome


def _agreement(outcome: Outcome, what: str, pair: Twins, losses: Array, shape: Any) -> None:
    early = apart(*losses[:20].T)
    outcome.claim(
        f"{what}: the losses of the twins in float32 agree to its rounding in the first 20 steps",
        f"{early:.0e} apart at most",
        early < 1e-4,
    )
    kept = pair.theirs.state_dict()
    copied = {name: value.clone() for name, value in kept.items()}
    ours = pair.ours.state_dict()
    pair.theirs.load_state_dict(to_tensors(ours))
    a, b = made(pair, shape, 7, clip=2.5)
    pair.theirs.load_state_dict(copied)
    outcome.claim(
        f"{what}: from the same weights and noise both packages make the same",
        f"{np.abs(a - b).max():.0e} apart at most",
        np.abs(a - b).max() < 1e-2,
    )


def _plane(outcome: Outcome, path: Path, small: bool, seed: int) -> Path:
    plan = SMALL_PLANE if small else PLANE
    data = modes(20_000, MODES, spread=SPREAD, seed=seed)
    pair, losses = learned(data, plan, seed)
    _agreement(outcome, "plane", pair, losses, (64, 2))
    samples = made(pair, (1000, 2), seed, variance=VARIANCE)
    found = [quality(x.astype(np.float64), MODES) for x in samples]
    if small:
        least, wanted = 3, 2 * quality(np.random.default_rng(seed).normal(size=(1000, 2)), MODES)[1]
    else:
        least, wanted = MODES, 0.9
    outcome.claim(
        f"{least} modes are covered or more, and {wanted:.1%} of the points are good or more, in "
        "both packages",
        ", ".join(f"{k} modes, {good:.1%}" for k, good in found),
        all(k >= least and good >= wanted for k, good in found),
    )
    outcome.numbers["plane"] = {"covered and good, scratch and torch": found}
    levels = [0, plan.noising // 8, plan.noising // 3, plan.noising - 1]
    with figure(path, 1, 6, (17, 3.2)) as (fig, axes):
        schedule: Any = pair.ours.schedule  # type: ignore[attr-defined]
        x0 = data[:1000]
        noise = np.random.default_rng(seed).standard_normal(x0.shape)
        for ax, t in zip(axes, levels, strict=False):
            x, _ = schedule.add_noise(x0, np.full(len(x0), t), noise)
            ax.plot(*x.T, ".", ms=2, color=THIRD)
            ax.set_title(f"data, noised {t + 1} of {plan.noising} times", fontsize=10)
        names = (("scratch", SCRATCH), ("torch", TORCH))
        for ax, x, (name, colour), each in zip(axes[4:], samples, names, found, strict=True):
            ax.plot(*x.T, ".", ms=2, color=colour)
            ax.set_title(f"made by {name}: {each[1]:.1%} good", fontsize=10)
        for ax in axes:
            ax.set(xlim=(-3.5, 3.5), ylim=(-3.5, 3.5), aspect="equal")
        fig.suptitle("Eight Gaussians, lost in noise and made from it")
    return path


def _digits(outcome: Outcome, path: Path, small: bool, seed: int) -> Path:
    plan = SMALL_DIGITS if small else DIGITS
    real, labels, test, _ = digits()
    count = 40 if small else len(test)
    far = Yardstick(real, labels, test, count, 250 if small else 1500, seed)
    reference = far.reference
    pair, losses = learned(real.reshape(-1, 1, SIDE, SIDE), plan, seed)
    shape = (count, 1, SIDE, SIDE)
    _agreement(outcome, "digits", pair, losses, (8, 1, SIDE, SIDE))
    samples = made(pair, shape, seed, clip=1.0, variance=VARIANCE)
    skipped = {
        k: made(pair, shape, seed, clip=1.0, steps=tuple(range(0, plan.noising, plan.noising // k)))
        for k in FEWER
        if k < plan.noising and not small
    }
    distances = {plan.noising: [far(x) for x in samples]}
    distances |= {k: [far(x) for x in each] for k, each in skipped.items()}
    whole = distances[plan.noising]
    if not small:
        outcome.claim(
            "made digits are nearer to the real ones than a Gaussian's of the same moments, by "
            "half, in both packages",
            f"{whole[0]:.2f} in scratch, {whole[1]:.2f} in torch; "
            + ", ".join(f"{name} {value:.2f}" for name, value in reference.items()),
            max(whole) < 0.5 * reference["a Gaussian's"],
        )
    else:
        uniform = far(np.random.default_rng(seed).uniform(-1, 1, (count, SIDE**2)))
        outcome.claim(
            "made digits are nearer to the real ones than noise is, in both packages",
            f"{whole[0]:.1f} in scratch, {whole[1]:.1f} in torch, noise {uniform:.1f}",
            max(whole) < uniform,
        )
    outcome.numbers["digits"] = {
        "Frechet distance, by steps of the chain, scratch and torch": distances,
        **reference,
    }
    outcome.text = "\n".join(
        [
            f"Frechet distance to {len(real):,} digits, of {count} samples",
            *(f"{name:18} {value:6.2f}" for name, value in reference.items()),
            *(
                f"{'DDPM' if k == plan.noising else 'DDIM'}, {k:3} steps    "
                f"{a:6.2f} in scratch {b:6.2f} in torch"
                for k, (a, b) in distances.items()
            ),
        ]
    )
    _draw_digits(path, real, samples, skipped, losses, distances, reference)
    return path


def _draw_digits(
    path: Path,
    real: Array,
    samples: tuple[Array, Array],
    skipped: dict[int, tuple[Array, Array]],
    losses: Array,
    distances: dict[int, list[float]],
    reference: dict[str, float],
) -> None:
    columns = 16
    rows = {
        "real": real,
        "scratch": samples[0],
        "torch": samples[1],
        **{f"scratch, {k} steps": each[0] for k, each in reversed(skipped.items())},
    }
    pictures = {
        name: np.clip((np.reshape(x[:columns], (columns, -1)) + 1) / 2, 0, 1)
        for name, x in rows.items()
    }
    with figure(path, 1, 3, (17, 4.4), width_ratios=(1.9, 1, 1)) as (fig, (page, curve, bars)):
        mosaic(page, pictures, columns)
        page.set_title("digits, and what is made of the same noise in fewer and fewer steps")
        width = max(len(losses) // 60, 1)
        means = losses[: len(losses) // width * width].reshape(-1, width, 2).mean(1)
        at = (np.arange(len(means)) + 0.5) * width
        curve.semilogy(at, means[:, 0], color=SCRATCH, label="scratch")
        curve.semilogy(at[::2], means[::2, 1], "o", mfc="none", mec=TORCH, ms=4, label="torch")
        curve.set(xlabel="step", ylabel="mean squared error of the noise", title="Training")
        curve.legend()
        steps = sorted(distances)
        for side, (name, colour) in enumerate((("scratch", SCRATCH), ("torch", TORCH))):
            bars.plot(
                range(len(steps)),
                [distances[k][side] for k in steps],
                "o-",
                color=colour,
                label=name,
                mfc="none" if side else colour,
            )
        for (name, value), colour in zip(reference.items(), CLASSES[2:4], strict=True):
            bars.axhline(value, color=colour, lw=1, ls="--", label=name)
        bars.set_yscale("log")
        bars.set_xticks(range(len(steps)), [str(k) for k in steps])
        bars.set(xlabel="steps", ylabel="Frechet distance", title="How far from real digits")
        bars.legend(fontsize=8)
        fig.suptitle(f"Diffusion on {len(real):,} digits of 8 x 8 pixels")
