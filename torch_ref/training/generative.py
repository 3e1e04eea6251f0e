"""What a trainer asks of models that have a loss of their own and make pictures.

OwnLoss     a model whose forward is its loss, for what wraps forwards: DDP, torch.compile
draws       the noise of that loss where it is evaluated, and of DDPM the times
made        pictures: of codes; of noise, by DDIM in 50 steps or in all if they are fewer

`draws` and `made` come from one seed, the same at each evaluation of every run: losses and pictures
of different steps are comparable, and torch's own generators are as if there had been none.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from torch_ref.models.diffusion import DDPM

SEED = 0
DDIM_STEPS = 50


class OwnLoss(nn.Module):
    """A model's loss as a module over the same parameters.

    Args:
        model: DDPM, or a variational autoencoder.

    Shape:
        (N, ...) to (): L of L, R, K of the autoencoder.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, input: Tensor, **drawn: Tensor) -> Tensor:
        """L of rows; `drawn` is as `draws` gives it, and the model draws what is left out."""
        if not len(input):  # of a rank without rows, which has gradients all the same
            return torch.stack([0 * p.sum() for p in self.model.parameters()]).sum()
        found = self.model.loss(input, **drawn)
        loss: Tensor = found[0] if isinstance(found, tuple) else found
        return loss


def draws(model: Any, x: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """What the loss of some rows draws, from the seed.

    Args:
        model: as for `OwnLoss`.
        x: all the rows (n, ...).

    Returns:
        Arguments of its loss by name, arrays (n, ...).
    """
    rng = np.random.default_rng(SEED)
    if isinstance(model, DDPM):
        t = rng.integers(0, len(model.schedule), len(x))
        return {"t": t, "noise": rng.standard_normal(x.shape).astype(x.dtype)}
    return {"noise": rng.standard_normal((len(x), model.latent_size)).astype(x.dtype)}


@torch.inference_mode()
def made(model: Any, shape: Sequence[int]) -> NDArray[Any]:
    """Pictures, from the seed.

    Args:
        model: as for `OwnLoss`, in evaluation mode.
        shape: of them, (n, channels, height, width).

    Returns:
        Pictures in the units that the model is trained on.
    """
    rng, like = np.random.default_rng(SEED), next(model.parameters())
    if isinstance(model, DDPM):
        last = len(model.schedule) - 1
        steps = np.linspace(0, last, min(last + 1, DDIM_STEPS)).round().astype(int).tolist()
        start = torch.from_numpy(rng.standard_normal(tuple(shape))).to(like)
        found = model.ddim(shape, steps, noises=start[None], clip=1.0)  # it reads the start only
    else:
        codes = torch.from_numpy(rng.standard_normal((shape[0], model.latent_size))).to(like)
        found = model.sample(shape[0], codes)
    pictures: NDArray[Any] = found.cpu().numpy()
    return pictures
