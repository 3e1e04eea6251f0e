"""Makes optax.json: where optax takes parameters, for `test_optax_oracle` to compare with.

    python -m venv .optax && .optax/bin/pip install jax optax
    .optax/bin/python parity_tests/oracles/optax_fixtures.py

optax is a second implementation that shares nothing with torch. Here it runs in float64 on given
gradients; after 15 of 30 steps the learning rate is halved. Beside each run stand the options under
which the two definitions are one, in torch's names, and how they were made one.

Where they are not, and no options make them so, an optimizer is not here:

    ASGD, SparseAdam    optax has none
    Rprop               optax 0.2.8 hands out the step of the time before: its first is zero
    LBFGS               another line search; without one, another first step
    LARS                with weight decay: optax divides by |g + weight_decay p|, the paper (and
                        scratch) by |g| + weight_decay |p|
    NAdam               with a momentum that rises: optax has the paper's constant one alone
    Muon                optax corrects the mean for its start and keeps the parameter's dtype. Its
                        orthogonal matrix is here, in float64, to see how far bfloat16 is from it
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from optax.contrib import _muon

jax.config.update("jax_enable_x64", True)

STEPS = 30
HALVED = 15
KEPT = (1, 2, 15, 16, 30)
SHAPES = {"weight": (2, 3), "bias": (4,), "scale": ()}
Rate = Callable[[Any], Any]


def halved(lr: float, by: Rate = lambda t: 1.0) -> Rate:
    """The rate of step t + 1, times what it is converted by."""
    return lambda t: jnp.where(t < HALVED, lr, lr / 2) * by(t)


def power(exponent: float) -> Callable[[Any, Any], Any]:
    """Adafactor's share of the old squares in float64; optax's own is computed in float32."""
    return lambda t, _: 1 - (t + jnp.array(1.0)) ** exponent


def adafactor(lr: Rate, exponent: float, d: float, decay: float) -> Any:
    """optax.adafactor from its parts, with `power`."""
    return optax.chain(
        optax.scale_by_factored_rms(
            min_dim_size_to_factor=1, epsilon=1e-30, decay_rate_fn=power(exponent)
        ),
        optax.clip_by_block_rms(d),
        optax.scale_by_learning_rate(lr, flip_sign=False),
        optax.scale_by_param_block_rms(),
        optax.add_decayed_weights(decay),
        optax.scale(-1),
    )


def l2(decay: float, optimizer: Any) -> Any:
    """Weight decay in the gradient."""
    return optax.chain(optax.add_decayed_weights(decay), optimizer)


def rms_momentum(scale: Any, momentum: float, lr: Rate) -> Any:
    """RMSprop with momentum, the rate outside the buffer as torch has it."""
    return optax.chain(scale, optax.trace(momentum), optax.scale_by_learning_rate(lr))


# Scratch's class, its options, optax's optimizer, and what made the two one.
CASES: list[tuple[str, dict[str, Any], Any, str]] = [
    ("SGD", {"lr": 0.1}, optax.sgd(halved(0.1)), ""),
    ("SGD", {"lr": 0.1, "momentum": 0.9}, optax.sgd(halved(0.1), 0.9), ""),
    (
        "SGD",
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        l2(0.1, optax.sgd(halved(0.1), 0.9, nesterov=True)),
        "weight decay is added to the gradient",
    ),
    (
        "SGD",
        {"lr": 0.1, "momentum": 0.9, "lr_in_velocity": True},
        optax.chain(optax.scale_by_learning_rate(halved(0.1)), optax.trace(0.9)),
        "optax.sgd with its two parts in the other order",
    ),
    ("Adam", {"lr": 0.1}, optax.adam(halved(0.1)), ""),
    (
        "Adam",
        {"lr": 0.1, "betas": (0.5, 0.9), "eps": 0.1, "weight_decay": 0.1},
        l2(0.1, optax.adam(halved(0.1), 0.5, 0.9, eps=0.1)),
        "weight decay is added to the gradient",
    ),
    (
        "Adam",
        {"lr": 0.1, "betas": (0.9, 0.99), "eps": 0.0, "amsgrad": True},
        optax.amsgrad(
            halved(0.1, lambda t: jnp.sqrt(1 - 0.99 ** (t + 1))),
            b2=0.99,
            eps=0.0,
            bias_correction_nu=False,
        ),
        "the maximum is that of the uncorrected squares; torch corrects it by the current step, "
        "here by way of the rate, which an eps in the root's divisor would not follow",
    ),
    (
        "AdamW",
        {"lr": 0.1, "weight_decay": 0.1, "eps": 1e-3},
        optax.adamw(halved(0.1), weight_decay=0.1, eps=1e-3),
        "",
    ),
    ("Adamax", {"lr": 0.1, "eps": 1e-3}, optax.adamax(halved(0.1), eps=1e-3), ""),
    (
        "Adamax",
        {"lr": 0.1, "betas": (0.5, 0.7), "weight_decay": 0.1},
        l2(0.1, optax.adamax(halved(0.1), 0.5, 0.7)),
        "weight decay is added to the gradient",
    ),
    (
        "NAdam",
        {"lr": 0.1, "betas": (0.5, 0.99), "eps": 1e-3, "momentum_decay": 1e6},
        optax.nadam(halved(0.1), 0.5, 0.99, eps=1e-3),
        "so large a momentum_decay makes the momentum beta1 throughout; beta1 is 0.5, for its "
        "powers are exact in float32, in which torch keeps their product",
    ),
    (
        "NAdam",
        {
            "lr": 0.1,
            "betas": (0.5, 0.99),
            "momentum_decay": 1e6,
            "decoupled_weight_decay": True,
            "weight_decay": 0.1,
        },
        optax.nadamw(halved(0.1), 0.5, 0.99, weight_decay=0.1),
        "as above",
    ),
    (
        "RAdam",
        {"lr": 0.1, "betas": (0.9, 0.99), "eps": 0.0},
        optax.radam(halved(0.1), b2=0.99, eps=0.0),
        "eps is 0: torch adds it to the uncorrected root; with a beta2 of 0.999 rho, 1999 less "
        "about 1990 at first, has lost two digits on either side",
    ),
    (
        "RAdam",
        {"lr": 0.1, "betas": (0.5, 0.9), "eps": 0.0, "weight_decay": 0.1},
        l2(0.1, optax.radam(halved(0.1), 0.5, 0.9, eps=0.0)),
        "as above; weight decay is added to the gradient",
    ),
    (
        "RMSprop",
        {"lr": 0.1, "alpha": 0.9, "eps": 1e-3},
        optax.rmsprop(halved(0.1), 0.9, eps=1e-3, eps_in_sqrt=False),
        "optax's initial_scale is 0, and its eps is told to stand outside the root",
    ),
    (
        "RMSprop",
        {"lr": 0.1, "alpha": 0.9, "centered": True, "weight_decay": 0.1},
        l2(0.1, optax.rmsprop(halved(0.1), 0.9, eps_in_sqrt=False, centered=True)),
        "as above; weight decay is added to the gradient",
    ),
    (
        "RMSprop",
        {"lr": 0.1, "alpha": 0.9, "momentum": 0.5, "eps": 1e-3},
        rms_momentum(optax.scale_by_rms(0.9, 1e-3, eps_in_sqrt=False), 0.5, halved(0.1)),
        "as above; optax.rmsprop has the rate inside the buffer, torch outside",
    ),
    (
        "RMSprop",
        {"lr": 0.1, "alpha": 0.9, "momentum": 0.5, "eps": 1e-3, "centered": True},
        rms_momentum(optax.scale_by_stddev(0.9, 1e-3, eps_in_sqrt=False), 0.5, halved(0.1)),
        "as above",
    ),
    (
        "Adagrad",
        {"lr": 0.5, "eps": 0.0, "initial_accumulator_value": 0.1},
        optax.adagrad(halved(0.5), 0.1, eps=0.0),
        "eps is 0: optax has it in the root",
    ),
    (
        "Adagrad",
        {"lr": 0.5, "eps": 0.0, "lr_decay": 0.1, "weight_decay": 0.1},
        l2(0.1, optax.adagrad(halved(0.5, lambda t: 1 / (1 + 0.1 * t)), 0.0, eps=0.0)),
        "as above; lr_decay by way of the rate, weight decay is added to the gradient",
    ),
    ("Adadelta", {"lr": 1.0}, optax.adadelta(halved(1.0)), ""),
    (
        "Adadelta",
        {"lr": 10.0, "rho": 0.5, "eps": 1e-3, "weight_decay": 0.1},
        optax.adadelta(halved(10.0), 0.5, 1e-3, weight_decay=0.1),
        "",
    ),
    ("Lion", {"lr": 0.01}, optax.lion(halved(0.01), weight_decay=0.0), ""),
    (
        "Lion",
        {"lr": 0.1, "betas": (0.5, 0.7), "weight_decay": 0.1},
        optax.lion(halved(0.1), 0.5, 0.7, weight_decay=0.1),
        "",
    ),
    ("LAMB", {"lr": 0.1}, optax.lamb(halved(0.1)), ""),
    (
        "LAMB",
        {"lr": 0.1, "betas": (0.5, 0.9), "eps": 0.1, "weight_decay": 0.1},
        optax.lamb(halved(0.1), 0.5, 0.9, eps=0.1, weight_decay=0.1),
        "",
    ),
    (
        "LARS",
        {"lr": 1.0, "trust_coefficient": 0.1},
        optax.lars(halved(1.0), trust_coefficient=0.1),
        "",
    ),
    (
        "LARS",
        {"lr": 10.0, "momentum": 0.5},
        optax.lars(halved(10.0), momentum=0.5),
        "",
    ),
    (
        "Adafactor",
        {"lr": 0.05, "eps": (0.0, 1e-3)},
        adafactor(halved(0.05), -0.8, 1.0, 0.0),
        "torch's rate is the lesser of lr and 1 / sqrt(t), and lr is always less here; its eps1 is "
        "0, optax adds 1e-30 to the squares; shares of the mean are computed in float64",
    ),
    (
        "Adafactor",
        {"lr": 0.05, "eps": (0.0, 1e-3), "beta2_decay": -0.5, "d": 2.0},
        adafactor(halved(0.05), -0.5, 2.0, 0.0),
        "as above",
    ),
]


def gradients() -> list[dict[str, Any]]:
    """Of changing scale, and once zero."""
    rng = np.random.default_rng(1)
    scales = [0.0 if t == 20 else (1.0, 1e-2, 10.0)[t // 4 % 3] for t in range(STEPS)]
    return [
        {name: scale * rng.standard_normal(shape) for name, shape in SHAPES.items()}
        for scale in scales
    ]


def main() -> None:
    """Write optax.json beside this file."""
    rng = np.random.default_rng(0)
    start = {name: rng.standard_normal(shape) for name, shape in SHAPES.items()}
    given = gradients()
    runs = []
    for name, options, optimizer, conversion in CASES:
        params = {key: jnp.asarray(value) for key, value in start.items()}
        state = optimizer.init(params)
        found = {}
        for step, gradient in enumerate(given, 1):
            gradient = {key: jnp.asarray(value) for key, value in gradient.items()}
            updates, state = optimizer.update(gradient, state, params)
            params = optax.apply_updates(params, updates)
            if step in KEPT:
                found[step] = {key: np.asarray(value).tolist() for key, value in params.items()}
        runs.append(
            {"optimizer": name, "options": options, "conversion": conversion, "after": found}
        )
    x = rng.standard_normal((4, 6))
    coefficients = jnp.array((3.4445, -4.7750, 2.0315))
    o = _muon.orthogonalize_via_newton_schulz(jnp.asarray(x), coefficients, 5, eps=1e-7)
    data = {
        "versions": {"optax": optax.__version__, "jax": jax.__version__},
        "halved": HALVED,
        "start": {name: np.asarray(value).tolist() for name, value in start.items()},
        "gradients": [
            {name: np.asarray(value).tolist() for name, value in gradient.items()}
            for gradient in given
        ],
        "runs": runs,
        "muon": {"x": x.tolist(), "orthogonal": np.asarray(o).tolist()},
    }
    text = json.dumps(data, indent=None, separators=(",", ":"))
    text = text.replace('{"optimizer"', '\n{"optimizer"').replace('"gradients"', '\n"gradients"')
    (Path(__file__).parent / "optax.json").write_text(text.replace('"muon"', '\n"muon"') + "\n")


if __name__ == "__main__":
    main()
