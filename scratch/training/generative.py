"""What a trainer asks of models that have a loss of their own and make pictures.

own_loss    variational autoencoders: L of L, R, K; denoising diffusion: L
draws       the noise of that loss where it is evaluated, and of DDPM the times
made        pictures: of codes; of noise, by DDIM in 50 steps or in all if they are fewer

`draws` and `made` come from one seed, the same at each evaluation of every run: losses and pictures
of different steps are comparable, and the run's own generator is as if there had been none.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from scratch.check import Array
from scratch.models.diffusion import DDPM
from scratch.nn.op import Backward

SEED = 0
DDIM_STEPS = 50


def own_loss(model: Any, x: Array, **drawn: Array) -> tuple[Array, Backward]:
    """The model's loss.

    Args:
        model: DDPM, or a variational autoencoder.
        x: pictures (n, ...).
        drawn: as `draws` gives it; the model draws what is left out.

    Returns:
        L (), and its backward: dL -> dx.
    """
    found, backward = model.loss(x, **drawn)
    return found[0] if isinstance(found, tuple) else found, backward


def draws(model: Any, x: Array) -> dict[str, Array]:
    """What the loss of some rows draws, from the seed.

    Args:
        model: as for `own_loss`.
        x: all the rows (n, ...).

    Returns:
        Arguments of its loss by name, arrays (n, ...).
    """
    rng = np.random.default_rng(SEED)
    if isinstance(model, DDPM):
        t = rng.integers(0, len(model.schedule), len(x))
        return {"t": t, "noise": rng.standard_normal(x.shape).astype(x.dtype)}
    return {"noise": rng.standard_normal((len(x), model.latent_size)).astype(x.dtype)}


def made(model: Any, shape: Sequence[int]) -> Array:
    """Pictures, from the seed.

    Args:
        model: as for `own_loss`, in evaluation mode.
        shape: of them, (n, channels, height, width).

    Returns:
        Pictures in the units that the model is trained on.
    """
    rng, dtype = np.random.default_rng(SEED), next(model.parameters()).dtype
    if isinstance(model, DDPM):
        last = len(model.schedule) - 1
        steps = np.linspace(0, last, min(last + 1, DDIM_STEPS)).round().astype(int).tolist()
        start = rng.standard_normal(tuple(shape)).astype(dtype)  # all that DDIM reads
        noises = np.broadcast_to(start, (len(steps), *shape))
        return model.ddim(tuple(shape), steps, noises=noises, clip=1.0)
    codes = rng.standard_normal((shape[0], model.latent_size)).astype(dtype)
    pictures: Array = model.sample(shape[0], codes)
    return pictures
