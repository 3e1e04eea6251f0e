"""Denoising diffusion: schedules, noise, denoisers, the loss, and what is sampled."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

import scratch.models
import torch_ref.models
from parity_tests.catalog.models_autoencoder import refusals
from parity_tests.harness.draw import Array, Draw
from parity_tests.harness.entry import (
    Call,
    Case,
    Entry,
    Layer,
    Op,
    Refusal,
    Routine,
    const,
    unchecked,
)
from scratch import nn
from scratch.models import denoisers, diffusion
from scratch.nn.op import Backward
from torch_ref.models import denoisers as torch_denoisers
from torch_ref.models import diffusion as torch_diffusion

HO = "Ho, Jain & Abbeel 2020, arXiv:2006.11239"
NICHOL = "Nichol & Dhariwal 2021, arXiv:2102.09672, equation 17"
SONG = "Song, Meng & Ermon 2021, arXiv:2010.02502, equations 12 and 16"
STEPS = 20


class DiffusionLoss(nn.Module):
    """The loss of a DDPM of 20 cosine steps as a module, so that the catalog can compare it."""

    kind: Any = diffusion.DDPM

    def __init__(self, denoiser: str, *args: Any, **kwargs: Any) -> None:
        network = getattr(scratch.models, denoiser)(*args, **kwargs)
        self.model = self.kind(network, diffusion.cosine_betas(STEPS))

    def forward(self, x0: Array, t: Array, noise: Array) -> tuple[Any, Backward]:
        """As the model's `loss`."""
        loss: tuple[Any, Backward] = self.model.loss(x0, t, noise)
        return loss


class TorchDiffusionLoss(torch.nn.Module):
    """The same of the twin."""

    def __init__(self, denoiser: str, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        network = getattr(torch_ref.models, denoiser)(*args, **kwargs)
        self.model = torch_ref.models.DDPM(network, torch_diffusion.cosine_betas(STEPS))

    def forward(self, x0: torch.Tensor, t: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """As the model's `loss`."""
        return self.model.loss(x0, t, noise)


TorchDiffusionLoss.__name__ = "DiffusionLoss"  # the name is part of what is printed


def times(draw: Draw, rows: int, steps: int = STEPS) -> Array:
    """Steps, the first and the last among them."""
    t = draw.integers(0, steps, rows)
    t[:2] = [0, steps - 1][:rows]
    return t


def timed(*shape: int) -> Callable[[Draw], Call]:
    """Rows and a step for each."""
    return lambda d: Call(d.normal(*shape), times(d, shape[0]))


def noised(*shape: int) -> Callable[[Draw], Call]:
    """Rows, a step for each, and noise, which nothing is differentiated by."""
    return lambda d: Call(d.normal(*shape), times(d, shape[0]), const(d.normal(*shape)))


def noises(*shape: int) -> Callable[[Draw], Call]:
    """The same of noise that is."""
    return lambda d: Call(d.normal(*shape), times(d, shape[0]), d.normal(*shape))


def betas_of(*options: Mapping[str, Any]) -> Callable[..., Mapping[str, Any]]:
    """Schedules of several lengths."""

    def script(function: Any, side: Any, draw: Draw) -> Mapping[str, Any]:
        return {
            f"{steps} steps, {given}": function(steps, **given)
            for steps in (1, 7, 1000)
            for given in options
        }

    return script


def derived(kind: Any, side: Any, draw: Draw) -> Mapping[str, Any]:
    """All that a schedule holds."""
    betas = draw.rng.uniform(0.01, 0.9, 12)
    found = kind(torch.from_numpy(betas) if side.is_torch else betas)
    names = ("betas", "alphas", "cumulative", "previous", "posterior_variance")
    return {name: getattr(found, name) for name in names}


def generated(
    way: str, schedule: str, *args: Any, reads: int, **options: Any
) -> Callable[..., Any]:
    """What a small network, any, makes of given noises, of which `reads` are read."""

    def script(kind: Any, side: Any, draw: Draw) -> Mapping[str, Any]:
        models = torch_ref.models if side.is_torch else scratch.models
        functions = torch_diffusion if side.is_torch else diffusion
        model = kind(models.DenoisingMLP(3, 8, 1, 4), getattr(functions, schedule)(STEPS, *args))
        state = model.state_dict().items()
        values = {name: draw.normal(*value.shape, scale=0.3) for name, value in state}
        model = side.set(model, values)
        z = side.array(draw.normal(reads, 5, 3))
        return {"what is made": getattr(model, way)((5, 3), noises=z, **options)}

    return script


LINEAR = "linear_betas", 0.01, 0.3
UNET: Any = (2, 4, (1, 2), 1, 2)
ENTRIES: list[Entry] = [
    Routine(
        "linear_betas",
        diffusion.linear_betas,
        torch_diffusion.linear_betas,
        {"betas": betas_of({}, {"first": 0.01, "last": 0.3})},
        source=f"{HO}, section 4",
    ),
    Routine(
        "cosine_betas",
        diffusion.cosine_betas,
        torch_diffusion.cosine_betas,
        {"betas": betas_of({}, {"offset": 0.0}, {"most": 0.5})},
        source=NICHOL,
    ),
    Routine(
        "NoiseSchedule",
        diffusion.NoiseSchedule,
        torch_diffusion.NoiseSchedule,
        {"what follows": derived},
        source=f"{HO}, equations 4 and 7",
    ),
    Op(
        "add_noise",
        diffusion.NoiseSchedule(diffusion.cosine_betas(STEPS)).add_noise,
        torch_diffusion.NoiseSchedule(torch_diffusion.cosine_betas(STEPS)).add_noise,
        source=f"{HO}, equation 4",
        cases=(
            Case("points", noises(5, 2)),
            Case("images", noises(3, 2, 4, 5)),
            Case("numbers", noises(4)),
            Case("no rows", noises(0, 3)),
        ),
    ),
    Layer(
        "TimeEmbedding",
        scratch.models.TimeEmbedding,
        torch_ref.models.TimeEmbedding,
        source=f"{HO}, appendix B",
        c=1000,
        cases=(
            Case("steps", lambda d: Call(times(d, 5, 1000)), init=Call(6, 7)),
            Case("four", lambda d: Call(times(d, 3)), init=Call(4, 3), modes=("train",)),
        ),
    ),
    Layer(
        "DenoisingMLP",
        scratch.models.DenoisingMLP,
        torch_ref.models.DenoisingMLP,
        source=HO,
        c=1000,
        cases=(
            Case("plane", timed(5, 2), init=Call(2, 7, 2, 6)),
            Case("one layer", timed(4, 3), init=Call(3, 5, 0, 4), modes=("train",)),
        ),
    ),
    Layer(
        "DenoisingUNet",
        scratch.models.DenoisingUNet,
        torch_ref.models.DenoisingUNet,
        source=f"{HO}, appendix B",
        c=1000,
        differences=False,  # of its parts: below
        steps=False,
        cases=(
            Case("two levels", timed(2, 2, 4, 6), init=Call(*UNET), modes=("train",)),
            Case(
                "one level, two blocks",
                timed(3, 1, 3, 5),
                init=Call(1, 6, (1,), 2, 3),
                modes=("train",),
            ),
            Case(
                "attention in the middle",
                timed(2, 1, 8, 8),
                init=Call(1, 4, [1, 2, 3], 1, 2, 2),
                modes=("eval",),
            ),
        ),
    ),
    Layer(
        "ResidualBlock",
        denoisers.ResidualBlock,
        torch_denoisers.ResidualBlock,
        source=f"{HO}, appendix B",
        c=1000,
        steps=False,
        cases=(
            Case(
                "wider",
                lambda d: Call(d.normal(2, 4, 3, 5), d.normal(2, 3)),
                init=Call(4, 6, 3, 2),
                modes=("train",),
            ),
            Case(
                "as wide",
                lambda d: Call(d.normal(3, 4, 2, 4), d.normal(3, 5)),
                init=Call(4, 4, 5, 1),
                modes=("eval",),
            ),
        ),
    ),
    Layer(
        "PixelAttention",
        denoisers.PixelAttention,
        torch_denoisers.PixelAttention,
        source=f"{HO}, appendix B",
        c=1000,
        steps=False,
        cases=(
            Case(
                "two heads",
                lambda d: Call(d.normal(2, 6, 3, 4)),
                init=Call(6, 2, 3),
                modes=("train",),
            ),
            Case(
                "one head, one pixel",
                lambda d: Call(d.normal(3, 4, 1, 1)),
                init=Call(4, 1, 2),
                modes=("eval",),
            ),
        ),
    ),
    Layer(
        "DDPM",
        DiffusionLoss,
        TorchDiffusionLoss,
        source=f"{HO}, equation 14",
        c=1000,
        cases=(Case("points", noised(6, 2), init=Call("DenoisingMLP", 2, 7, 1, 6)),),
    ),
    Layer(
        "DDPM of images",
        DiffusionLoss,
        TorchDiffusionLoss,
        source=f"{HO}, equation 14",
        c=1000,
        differences=False,  # of points: above
        steps=False,
        cases=(
            Case(
                "images",
                noised(3, 2, 4, 4),
                init=Call("DenoisingUNet", *UNET),
                modes=("train",),
            ),
        ),
    ),
    Routine(
        "DDPM.sample",
        scratch.models.DDPM,
        torch_ref.models.DDPM,
        {
            "beta": generated("sample", *LINEAR, reads=STEPS),
            "posterior": generated("sample", *LINEAR, reads=STEPS, variance="posterior"),
            "cosine": generated("sample", "cosine_betas", reads=STEPS, variance="posterior"),
            "clipped": generated("sample", "cosine_betas", reads=STEPS, clip=0.5),
        },
        source=f"{HO}, algorithm 2",
        c=1000,
    ),
    Routine(
        "DDPM.ddim",
        scratch.models.DDPM,
        torch_ref.models.DDPM,
        {
            "all steps": generated("ddim", *LINEAR, reads=STEPS),
            "some": generated("ddim", *LINEAR, reads=4, steps=(0, 3, 8, 19)),
            "one": generated("ddim", *LINEAR, reads=1, steps=[12], eta=0.5),
            "not to the end": generated("ddim", *LINEAR, reads=3, steps=(2, 5, 11), eta=0.7),
            "as noisy as DDPM": generated("ddim", "cosine_betas", reads=STEPS, eta=1),
            "clipped": generated("ddim", *LINEAR, reads=4, steps=(0, 3, 8, 19), eta=0.5, clip=0.5),
        },
        source=SONG,
        c=1000,
    ),
]

X, E = np.full((3, 2), 0.5), np.full((3, 2), 0.1)
T = np.array([0, 1, 4])
IMAGES = np.full((3, 1, 4, 6), 0.5)
BETAS = diffusion.linear_betas(5, 0.1, 0.5)
OPTIONS: dict[str, Any] = {"dtype": np.float64}
MLP = scratch.models.DenoisingMLP(2, 4, 1, 4, **OPTIONS)
SMALL = scratch.models.DenoisingUNet(1, 4, (1, 1), 1, 2, **OPTIONS)
MODEL = diffusion.DDPM(MLP, BETAS)
WORD = unchecked("many")
EARLY_OR_LATE: dict[str, Any] = {
    "early": {"t": T - 1},
    "late": {"t": T + 1},
    "float t": {"t": T / 2},
    "shape of t": {"t": T[:2]},
}
REFUSALS: list[Refusal] = [
    *refusals(
        "linear_betas",
        diffusion.linear_betas,
        {
            "no steps": {"steps": 0},
            "steps a word": {"steps": WORD},
            "first 0": {"steps": 3, "first": 0.0},
            "last 1": {"steps": 3, "last": 1},
        },
    ),
    *refusals(
        "cosine_betas",
        diffusion.cosine_betas,
        {
            "no steps": {"steps": 0},
            "negative offset": {"steps": 3, "offset": -0.1},
            "most 1": {"steps": 3, "most": 1.0},
            "most a word": {"steps": 3, "most": WORD},
        },
    ),
    *refusals(
        "NoiseSchedule",
        diffusion.NoiseSchedule,
        {
            "list": {"betas": BETAS.tolist()},
            "float32": {"betas": BETAS.astype(np.float32)},
            "two axes": {"betas": BETAS[None]},
            "none": {"betas": BETAS[:0]},
            "0": {"betas": BETAS - 0.1},
            "1": {"betas": BETAS + 0.5},
            "NaN": {"betas": BETAS * np.nan},
        },
    ),
    *refusals(
        "add_noise",
        functools.partial(MODEL.schedule.add_noise, x0=X, t=T, noise=E),
        EARLY_OR_LATE
        | {
            "integers": {"x0": T},
            "shape of the noise": {"noise": E[:2]},
            "dtype of the noise": {"noise": E.astype(np.float32)},
        },
    ),
    *refusals(
        "TimeEmbedding",
        scratch.models.TimeEmbedding,
        {
            "two": {"dim": 2, "out_features": 3},
            "odd": {"dim": 5, "out_features": 3},
            "nothing out": {"dim": 4, "out_features": 0},
        },
    ),
    *refusals(
        "TimeEmbedding",
        scratch.models.TimeEmbedding(4, 3),
        {"float": {"t": T / 2}, "before 0": {"t": T - 1}, "one": {"t": T[0]}},
    ),
    *refusals(
        "DenoisingMLP",
        functools.partial(scratch.models.DenoisingMLP, 2),
        {"no width": {"width": 0}, "depth": {"depth": -1}},
    ),
    *refusals("DenoisingMLP", scratch.models.DenoisingMLP, {"no features": {"features": 0}}),
    *refusals(
        "TimeEmbedding", scratch.models.DenoisingMLP, {"of 3": {"features": 2, "time_dim": 3}}
    ),
    *refusals(
        "DenoisingMLP",
        functools.partial(MLP, X),
        {"float t": {"t": T / 2}, "shape of t": {"t": T[:2]}},
    ),
    *refusals("DenoisingMLP", MLP, {"features": {"input": X[:, :1], "t": T}}),
    *refusals(
        "DenoisingUNet",
        scratch.models.DenoisingUNet,
        {
            "no channels": {"channels": 0},
            "narrow": {"width": 2},
            "no levels": {"multipliers": ()},
            "a number of levels": {"multipliers": 2},
            "multiplier 0": {"multipliers": (1, 0)},
            "no blocks": {"blocks": 0},
            "no groups": {"groups": 0},
            "groups": {"groups": 3},
            "negative heads": {"heads": -1},
        },
    ),
    *refusals(
        "PixelAttention",
        denoisers.PixelAttention,
        {
            "no heads": {"channels": 4, "heads": 0, "groups": 2},
            "heads": {"channels": 4, "heads": 3, "groups": 2},
        },
    ),
    *refusals("PixelAttention", scratch.models.DenoisingUNet, {"in a U-Net": {"heads": 5}}),
    *refusals(
        "PixelAttention",
        denoisers.PixelAttention(1, 1, 1, **OPTIONS),
        {"pixels in a row": {"input": X[:, None]}, "integers": {"input": IMAGES > 0}},
    ),
    *refusals(
        "ResidualBlock",
        functools.partial(denoisers.ResidualBlock(1, 1, 2, 1, **OPTIONS), IMAGES),
        {
            "time for all": {"time": X[:1]},
            "features of the time": {"time": X[:, :1]},
            "time as integers": {"time": X > 0},
        },
    ),
    *refusals(
        "DenoisingUNet",
        functools.partial(SMALL, t=T),
        {
            "odd size": {"input": IMAGES[..., :5]},
            "three axes": {"input": IMAGES[:, 0]},
            "channels": {"input": IMAGES.repeat(2, 1)},
            "integers": {"input": IMAGES > 0},
        },
    ),
    *refusals("DenoisingUNet", functools.partial(SMALL, IMAGES), {"shape of t": {"t": T[:2]}}),
    *refusals("NoiseSchedule", functools.partial(diffusion.DDPM, MLP), {"model": {"betas": X}}),
    *refusals(
        "DDPM",
        functools.partial(diffusion.DDPM, MLP, BETAS),
        {"generator": {"generator": np.random.default_rng(0)}},
    ),
    *refusals("DDPM.loss", MODEL.loss, {"integers": {"x0": T}, "a number": {"x0": X[0, 0]}}),
    *refusals("add_noise", functools.partial(MODEL.loss, X), EARLY_OR_LATE),
    *refusals(
        "DDPM.sample",
        functools.partial(MODEL.sample, (3, 2)),
        {
            "variance": {"variance": "beta-tilde"},
            "clip": {"clip": 0.0},
            "too few noises": {"noises": X[None]},
            "list": {"noises": X.tolist()},
        },
    ),
    *refusals(
        "DDPM.sample",
        MODEL.sample,
        {"no shape": {"shape": ()}, "number": {"shape": 3}, "negative": {"shape": (-1, 2)}},
    ),
    *refusals(
        "DDPM.ddim",
        functools.partial(MODEL.ddim, (3, 2)),
        {
            "descending": {"steps": (4, 2)},
            "twice": {"steps": (2, 2)},
            "late": {"steps": (2, 5)},
            "none": {"steps": np.zeros(0, int)},
            "floats": {"steps": (0.5, 2.0)},
            "two axes": {"steps": [[1, 2]]},
            "eta": {"eta": 1.5},
            "clip a word": {"clip": WORD},
            "eta a word": {"eta": WORD},
            "too few noises": {"noises": X[None]},
        },
    ),
    *refusals("DDPM.ddim", MODEL.ddim, {"no shape": {"shape": ()}}),
]
