"""Benchmarks of generative models: whole steps of training on images, float32."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

import scratch.models
import scratch.training
import torch_ref.models
import torch_ref.training
from parity_tests.benchmarks.timing import Timing, ids, normal, pair
from scratch.models.diffusion import linear_betas
from scratch.optim import Adam
from torch_ref.models.diffusion import linear_betas as torch_betas

ROWS, SIZE = 32, 32


def same_start(ours: Any, theirs: Any) -> None:
    """Give torch's model the values of ours."""
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in ours.state_dict().items()})


def ddpm(target: float) -> Timing:
    """Loss, backward and Adam of a U-Net of two levels with attention in the middle."""
    args: Any = (1, 32, (1, 2), 1, 8, 1)
    ours = scratch.models.DDPM(scratch.models.DenoisingUNet(*args), linear_betas(1000))
    theirs = torch_ref.models.DDPM(torch_ref.models.DenoisingUNet(*args), torch_betas(1000))
    same_start(ours, theirs)
    x, e = (normal(ROWS, 1, SIZE, SIZE) for _ in range(2))
    t = ids(1000, ROWS)
    tensors = [torch.from_numpy(a) for a in (x, t, e)]
    optimizer = Adam(ours.parameters(), lr=2e-4)
    reference = torch.optim.Adam(theirs.parameters(), lr=2e-4)

    def scratch_run() -> None:
        _, backward = ours.loss(x, t, e)
        optimizer.zero_grad()
        backward(needs_input_grad=False)
        optimizer.step()

    def torch_run() -> None:
        loss: Any = theirs.loss(*tensors)
        reference.zero_grad()
        loss.backward()
        reference.step()

    name = f"DDPM step, U-Net of width 32, {ROWS} x 1 x {SIZE} x {SIZE}"
    return pair(name, scratch_run, torch_run, target)


def dcgan(target: float) -> Timing:
    """The discriminator's step and the generator's."""
    made: Any = (64, 32, SIZE, 1)
    seen: Any = (32, SIZE, 1)
    models = scratch.models, torch_ref.models
    generators = [m.DCGANGenerator(*made) for m in models]
    discriminators = [m.DCGANDiscriminator(*seen) for m in models]
    same_start(*generators)
    same_start(*discriminators)
    options: Any = {"lr": 2e-4, "betas": (0.5, 0.999)}
    networks = zip(generators, discriminators, strict=True)
    optimizers = [
        tuple(kind(m.parameters(), **options) for m in both)
        for kind, both in zip((Adam, torch.optim.Adam), networks, strict=True)
    ]
    given = normal(ROWS, 1, SIZE, SIZE), normal(ROWS, 64), normal(ROWS, 64)
    tensors = [torch.from_numpy(a) for a in given]
    rounds = scratch.training.Round(*given), torch_ref.training.Round(*tensors)

    def play(side: int, package: Any) -> None:
        players = generators[side], discriminators[side], optimizers[side]
        list(package.train_adversarial(*players, package.Game(), [rounds[side]]))

    name = f"DCGAN round, width 32, {ROWS} x 1 x {SIZE} x {SIZE}"
    ours, theirs = (
        partial(play, *side) for side in enumerate((scratch.training, torch_ref.training))
    )
    return pair(name, ours, theirs, target)


BENCHMARKS: dict[str, Callable[[], Timing]] = {
    "ddpm_step": lambda: ddpm(2.0),
    "dcgan_round": lambda: dcgan(2.0),
}
