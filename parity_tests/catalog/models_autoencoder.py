"""Autoencoders: plain, denoising, convolutional, variational; and what a VAE is made of."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

import scratch.models
import torch_ref.models
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
from scratch.nn import functional as F
from scratch.nn.op import Backward
from torch_ref.nn import diagonal_gaussian

KINGMA = "Kingma & Welling 2014, arXiv:1312.6114, section 2 and appendix B"
HIGGINS = "Kingma & Welling 2014, arXiv:1312.6114, equation 10; beta: Higgins et al. 2017, ICLR"
HINTON = "Hinton & Salakhutdinov 2006, Science 313"
VINCENT = "Vincent, Larochelle, Bengio & Manzagol 2008, ICML; 2010, JMLR 11"
MASCI = "Masci, Meier, Ciresan & Schmidhuber 2011, ICANN"


class ModelLoss(nn.Module):
    """A model's loss as a module, so that the catalog can compare it."""

    def __init__(self, kind: str, *args: Any, **kwargs: Any) -> None:
        self.model = getattr(scratch.models, kind)(*args, **kwargs)

    def forward(
        self, input: Array, noise: Array | None = None, **options: Any
    ) -> tuple[Any, Backward]:
        """As the model's `loss`."""
        terms: tuple[Any, Backward] = self.model.loss(input, noise, **options)
        return terms


class TorchModelLoss(torch.nn.Module):
    """The same of the twin."""

    def __init__(self, kind: str, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.model = getattr(torch_ref.models, kind)(*args, **kwargs)

    def forward(
        self, input: torch.Tensor, noise: torch.Tensor | None = None, **options: Any
    ) -> Any:
        """As the model's `loss`."""
        return self.model.loss(input, noise, **options)


TorchModelLoss.__name__ = "ModelLoss"  # the name is part of what is printed


def moments(*shape: int, scale: float = 1.0, **options: Any) -> Callable[[Draw], Call]:
    """Means and logarithms of variances."""
    return lambda d: Call(d.normal(*shape, scale=scale), d.normal(*shape, scale=scale), **options)


def sampled(*shape: int, scale: float = 1.0) -> Callable[[Draw], Call]:
    """The same, and noise."""
    return lambda d: Call(d.normal(*shape), d.normal(*shape, scale=scale), const(d.normal(*shape)))


def grey(*shape: int, latent: int, **options: Any) -> Callable[[Draw], Call]:
    """Grey values inside [0, 1], so that they can be nudged, and noise for the code."""
    return lambda d: Call(d.uniform(0.1, 0.9, *shape), const(d.normal(shape[0], latent)), **options)


def black(*shape: int, latent: int, **options: Any) -> Callable[[Draw], Call]:
    """Black and white, and noise for the code."""
    return lambda d: Call(
        d.array(d.mask(0.4, *shape)), const(d.normal(shape[0], latent)), **options
    )


def noisy(*shape: int) -> Callable[[Draw], Call]:
    """Values about [0, 1], some at its ends, and Gaussian noise."""

    def call(d: Draw) -> Call:
        x, e = d.uniform(-0.1, 1.1, *shape), d.normal(*shape)
        x[0], e[0] = np.arange(shape[1]) % 2, 0  # at the bounds, where clipping passes gradients
        return Call(x, const(e))

    return call


def generated(kind: Any, side: Any, draw: Draw) -> Mapping[str, Any]:
    """Samples and reconstructions of both decoders, from given codes."""
    found: dict[str, Any] = {}
    x, z = side.array(draw.uniform(0, 1, 3, 7)), side.array(draw.normal(6, 4))
    for likelihood in ("bernoulli", "gaussian"):
        model = kind([7, 5, 4], likelihood=likelihood)
        state = model.state_dict().items()
        model = side.set(model, {name: draw.normal(*value.shape) for name, value in state})
        found[f"{likelihood}, reconstruction"] = model.reconstruct(x)
        found[f"{likelihood}, sample"] = model.sample(6, z)
    return found


ENTRIES: list[Entry] = [
    Op(
        "reparameterize",
        F.reparameterize,
        diagonal_gaussian.reparameterize,
        source=KINGMA,
        cases=(
            Case("rows", sampled(3, 4)),
            Case("more axes", sampled(2, 3, 4)),
            Case("wide and narrow", sampled(4, 5, scale=20.0)),
            Case("no rows", sampled(0, 4)),
            Case("no axes", sampled()),
            Case(
                "variance 0 and beyond floats",
                lambda d: Call(
                    d.normal(2, 2), d.array([[-1e4, -800.0], [3.0, -1e3]]), const(d.normal(2, 2))
                ),
            ),
        ),
    ),
    Op(
        "gaussian_kl",
        F.gaussian_kl,
        diagonal_gaussian.gaussian_kl,
        source=KINGMA,
        cases=(
            Case("mean", moments(3, 4)),
            Case("none", moments(3, 4, reduction="none")),
            Case("sum", moments(3, 4, reduction="sum")),
            Case("more axes", moments(2, 3, 5)),
            Case("one axis", moments(5, scale=3.0)),
            Case(
                "near the prior",
                moments(3, 4, scale=1e-6, reduction="none"),
                output_cancels=1e-6,  # expm1(r) - r
                cancels=1.0,  # torch's autograd takes 1 off exp(r)
            ),
            Case(
                "the prior",
                lambda d: Call(d.array(np.zeros((2, 3))), d.array(np.zeros((2, 3)))),
                zero=("mu", "logvar"),
            ),
            Case(
                "no variance",
                lambda d: Call(d.normal(2, 2), d.array([[-1e4, -50.0], [-800.0, 0.5]])),
            ),
            Case("wide", lambda d: Call(d.normal(2, 3), d.uniform(20, 60, 2, 3))),
        ),
    ),
    Layer(
        "Autoencoder",
        scratch.models.Autoencoder,
        torch_ref.models.Autoencoder,
        source=HINTON,
        c=1000,
        cases=(
            Case("one layer each", lambda d: Call(d.normal(4, 7)), init=Call((7, 3))),
            Case(
                "deep",
                lambda d: Call(d.normal(4, 9)),
                init=Call([9, 8, 6, 3], "Tanh"),
                modes=("train",),
            ),
            Case(
                "rectified code",
                lambda d: Call(d.normal(5, 6)),
                init=Call((6, 4), code_activation="ReLU"),
                modes=("train",),
            ),
            Case(
                "learned slopes, more axes",
                lambda d: Call(d.normal(2, 3, 6)),
                init=Call((6, 5, 4), "PReLU", "PReLU"),
                modes=("eval",),
            ),
        ),
    ),
    Layer(
        "DenoisingAutoencoder",
        scratch.models.DenoisingAutoencoder,
        torch_ref.models.DenoisingAutoencoder,
        source=VINCENT,
        c=1000,
        cases=(
            Case("Gaussian", noisy(4, 6), init=Call((6, 5, 3), level=0.4)),
            Case(
                "clipped",
                noisy(5, 6),
                init=Call((6, 4), "Tanh", clip=(0.0, 1.0)),
            ),
            Case(
                "masking",
                lambda d: Call(d.normal(4, 6), d.mask(0.6, 4, 6)),
                init=Call((6, 5, 3), corruption="masking", level=0.4),
            ),
            Case(
                "masking, clipped",
                lambda d: Call(d.normal(4, 6), d.mask(0.6, 4, 6)),
                init=Call((6, 3), "ELU", "Tanh", "masking", 0.4, (-1, 0.5)),
            ),
            Case(
                "none where none is given in evaluation",
                lambda d: Call(d.normal(4, 6)),
                init=Call((6, 3)),
                modes=("eval",),
            ),
        ),
    ),
    Layer(
        "DenoisingAutoencoder.loss",
        ModelLoss,
        TorchModelLoss,
        source=VINCENT,
        c=1000,
        cases=(
            Case(
                "Gaussian",
                noisy(4, 6),
                init=Call("DenoisingAutoencoder", (6, 5, 3), "Tanh", clip=(0.0, 1.0)),
            ),
            Case(
                "masking",
                lambda d: Call(d.normal(4, 6), d.mask(0.6, 4, 6)),
                init=Call("DenoisingAutoencoder", (6, 4), corruption="masking"),
                modes=("train",),
            ),
        ),
    ),
    Layer(
        "ConvAutoencoder",
        scratch.models.ConvAutoencoder,
        torch_ref.models.ConvAutoencoder,
        source=MASCI,
        c=1000,
        steps=False,
        cases=(
            Case(
                "8 x 8",
                lambda d: Call(d.normal(2, 1, 8, 8)),
                init=Call(8, 1, (3, 4), 5),
                modes=("train",),
            ),
            Case(
                "odd sizes, two channels",
                lambda d: Call(d.normal(2, 2, 7, 7)),
                init=Call(7, 2, [3], 4, "Tanh", "ReLU"),
            ),
            Case(
                "28 x 28",
                lambda d: Call(d.normal(1, 1, 28, 28)),
                init=Call(28, 1, (2, 3, 2), 3),
                modes=("eval",),
            ),
        ),
    ),
    Layer(
        "VAE",
        scratch.models.VAE,
        torch_ref.models.VAE,
        source=KINGMA,
        c=1000,
        cases=(
            Case("rows", grey(4, 7, latent=3), init=Call((7, 5, 3))),
            Case("linear", grey(4, 5, latent=2), init=Call([5, 2]), modes=("train",)),
        ),
    ),
    Layer(
        "ConvVAE",
        scratch.models.ConvVAE,
        torch_ref.models.ConvVAE,
        source=KINGMA,
        c=1000,
        steps=False,
        cases=(
            Case(
                "pictures",
                grey(2, 1, 8, 8, latent=3),
                init=Call(8, 1, (3, 4), 3),
                modes=("train",),
            ),
        ),
    ),
    Layer(
        "VAE.loss",
        ModelLoss,
        TorchModelLoss,
        source=HIGGINS,
        c=1000,
        cases=(
            Case("Bernoulli", grey(4, 7, latent=3), init=Call("VAE", (7, 5, 3))),
            Case(
                "black and white",
                black(4, 7, latent=3),
                init=Call("VAE", (7, 5, 3), "Tanh"),
                surrogate="no step beyond 0 and 1",
            ),
            Case("beta", grey(4, 7, latent=3, beta=4.0), init=Call("VAE", (7, 5, 3))),
            Case(
                "no KL in the loss",
                grey(5, 6, latent=2, beta=0),
                init=Call("VAE", (6, 2)),
                modes=("train",),
            ),
            Case(
                "Gaussian, variance given",
                grey(4, 7, latent=3),
                init=Call("VAE", (7, 5, 3), "Tanh", "gaussian", 2.5),
                modes=("train",),
            ),
            Case(
                "Gaussian, variance learned",
                grey(4, 7, latent=3, beta=0.5),
                init=Call("VAE", (7, 5, 3), "Tanh", "gaussian", None),
                modes=("train",),
            ),
            Case(
                "pictures",
                grey(2, 1, 6, 6, latent=3, beta=2.0),
                init=Call("ConvVAE", 6, 1, (3,), 3, likelihood="gaussian", variance=None),
                modes=("train",),
            ),
        ),
    ),
    Routine(
        "VAE.sample",
        scratch.models.VAE,
        torch_ref.models.VAE,
        {"what is generated": generated},
        source=KINGMA,
        c=1000,
    ),
]

X, Z = np.full((3, 4), 0.5), np.full((3, 2), 0.5)
PICTURES = np.full((2, 1, 8, 8), 0.5)
OPTIONS: dict[str, Any] = {"dtype": np.float64}
DENOISE = scratch.models.DenoisingAutoencoder((4, 2), **OPTIONS)
MASK = scratch.models.DenoisingAutoencoder((4, 2), corruption="masking", **OPTIONS)
MODEL = scratch.models.VAE((4, 2), **OPTIONS)
NARROW = unchecked("narrow")


def refusals(name: str, make: Callable[..., Any], wrong: Mapping[str, Mapping[str, Any]]) -> Any:
    """Calls of `make` with one argument that it does not take."""
    return [
        Refusal(f"{name}: {what}", functools.partial(make, **options), name)
        for what, options in wrong.items()
    ]


MLPS: dict[str, dict[str, Any]] = {
    "one size": {"sizes": (4,)},
    "a number": {"sizes": 4},
    "no code": {"sizes": (4, 0)},
    "activation": {"sizes": (4, 3, 2), "activation": "relu"},
}
CONVS: dict[str, dict[str, Any]] = {
    "no pixels": {"img_size": 0},
    "no channels": {"channels": ()},
    "a number of channels": {"channels": 3},
    "channels of 0": {"channels": (3, 0)},
    "no picture": {"in_channels": 0},
    "activation": {"activation": "relu"},
}
CODE: dict[str, dict[str, Any]] = {
    "code's activation": {"sizes": (4, 2), "code_activation": "relu"},
}
DECODER: dict[str, dict[str, Any]] = {
    "likelihood": {"likelihood": "laplace"},
    "no variance": {"variance": 0.0},
    "infinite variance": {"variance": np.inf},
    "variance a word": {"variance": NARROW},
}
KINDS = scratch.models
REFUSALS: list[Refusal] = [
    *refusals("Autoencoder", KINDS.Autoencoder, CODE | {k: MLPS[k] for k in list(MLPS)[:3]}),
    *refusals("MLP", KINDS.Autoencoder, {"activation": MLPS["activation"]}),
    *refusals(
        "DenoisingAutoencoder",
        functools.partial(KINDS.DenoisingAutoencoder, (4, 2)),
        {
            "corruption": {"corruption": "salt"},
            "negative level": {"level": -0.1},
            "more than all": {"corruption": "masking", "level": 1.1},
            "clip a number": {"clip": unchecked(1.0)},
            "clip the wrong way round": {"clip": (1.0, 0.0)},
            "clip of words": {"clip": unchecked(("low", "high"))},
        },
    ),
    *refusals(
        "DenoisingAutoencoder",
        DENOISE,
        {
            "shape of the noise": {"input": X, "noise": X.T},
            "dtype of the noise": {"input": X, "noise": X.astype(np.float32)},
            "a mask": {"input": X, "noise": X > 0},
            "list": {"input": X.tolist()},
        },
    ),
    *refusals(
        "DenoisingAutoencoder",
        MASK,
        {
            "shape of the mask": {"input": X, "noise": X.T > 0},
            "floating mask": {"input": X, "noise": X},
        },
    ),
    *refusals(
        "ConvAutoencoder",
        KINDS.ConvAutoencoder,
        CONVS | {"no code": {"code_size": 0}, "code": {"code_activation": "relu"}},
    ),
    *refusals("VAE", KINDS.VAE, {k: MLPS[k] for k in list(MLPS)[:3]}),
    *refusals("VAE", functools.partial(KINDS.VAE, (4, 2)), DECODER),
    *refusals("MLP", KINDS.VAE, {"a VAE's activation": MLPS["activation"]}),
    *refusals("ConvVAE", KINDS.ConvVAE, CONVS | DECODER | {"no code": {"latent_size": 0}}),
    *refusals(
        "reparameterize",
        MODEL,
        {
            "shape of the noise": {"input": X, "noise": X},
            "list of noise": {"input": X, "noise": Z.tolist()},
        },
    ),
    *refusals(
        "VAE.loss",
        MODEL.loss,
        {
            "bools": {"input": X > 0},
            "pixels up to 16": {"input": 16 * X},
            "pixels from -1": {"input": X - 1},
            "negative beta": {"input": X, "beta": -1.0},
            "infinite beta": {"input": X, "beta": np.inf},
            "beta a word": {"input": X, "beta": NARROW},
        },
    ),
    *refusals(
        "VAE.sample",
        MODEL.sample,
        {
            "none": {"count": 0},
            "shape of the codes": {"count": 2, "noise": Z},
            "list of codes": {"count": 3, "noise": Z.tolist()},
        },
    ),
    *refusals(
        "reparameterize",
        F.reparameterize,
        {
            "integer mu": {"mu": X.astype(int), "logvar": X, "noise": X},
            "shape of logvar": {"mu": X, "logvar": X[0], "noise": X},
            "dtype of logvar": {"mu": X, "logvar": X.astype(np.float32), "noise": X},
            "noise shared by rows": {"mu": X, "logvar": X, "noise": X[0]},
            "dtype of noise": {"mu": X, "logvar": X, "noise": X.astype(np.float32)},
        },
    ),
    *refusals(
        "gaussian_kl",
        F.gaussian_kl,
        {
            "list": {"mu": X.tolist(), "logvar": X},
            "shape of logvar": {"mu": X, "logvar": X[:1]},
            "dtype of logvar": {"mu": X, "logvar": X.astype(np.float32)},
            "no axis": {"mu": X[0, 0], "logvar": X[0, 0]},
            "reduction": {"mu": X, "logvar": X, "reduction": "batchmean"},
        },
    ),
]
