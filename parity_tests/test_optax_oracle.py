"""Optimizers against optax: a second source, which shares nothing with torch.

The numbers are stored, with what was done to make the two definitions one; `optax_fixtures.py`
beside them made them, and says which optimizers are not there and why.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scratch
from parity_tests.harness.compare import close
from scratch.nn import Parameter
from scratch.optim.muon import orthogonal

DATA: dict[str, Any] = json.loads(
    (Path(__file__).parent / "oracles" / "optax.json").read_text(encoding="utf-8")
)


def label(run: dict[str, Any]) -> str:
    return f"{run['optimizer']}-" + ",".join(f"{k}={v}" for k, v in run["options"].items())


@pytest.mark.parametrize("run", DATA["runs"], ids=label)
def test_thirty_steps(run: dict[str, Any]) -> None:
    """Gradients of three scales, once zero; the rate halved on the way. float64, to rounding."""
    parameters = {name: Parameter(np.asarray(v, float)) for name, v in DATA["start"].items()}
    optimizer = getattr(scratch.optim, run["optimizer"])(parameters.values(), **run["options"])
    for step, gradients in enumerate(DATA["gradients"], 1):
        for name, p in parameters.items():
            p.grad = np.asarray(gradients[name], float)
        if step == DATA["halved"] + 1:
            optimizer.param_groups[0]["lr"] *= 0.5
        optimizer.step()
        for name, expected in run["after"].get(str(step), {}).items():
            what = f"{name} after {step} steps"
            comparison = close(what, parameters[name].data, np.asarray(expected, float), c=64)
            assert comparison.passed, f"{comparison}; {run['conversion']}"


def test_what_is_there() -> None:
    names = {run["optimizer"] for run in DATA["runs"]}
    everything = {name for name in vars(scratch.optim) if name[0].isupper()} - {"Optimizer"}
    assert everything - names == {"ASGD", "LBFGS", "Muon", "Rprop", "SparseAdam"}
    assert len(DATA["runs"]) == 30


def test_bfloat16_costs_muon_two_digits() -> None:
    """optax's orthogonal matrix is in float64; torch's, and so ours, is rounded to 8 bits."""
    exact = np.asarray(DATA["muon"]["orthogonal"])
    ours = orthogonal(np.asarray(DATA["muon"]["x"]))
    assert 2.0**-9 < np.linalg.norm(ours - exact) / np.linalg.norm(exact) < 2.0**-5
