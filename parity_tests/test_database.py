"""PyTorch's own samples: every module class and function that scratch has passes all of them."""

from typing import Any

import numpy as np
import pytest

from parity_tests.harness import database

DTYPES = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])

# One sample in so many where there are very many; `parity run` takes them all. The number has no
# factor in common with those by which their options go round.
EVERY = {"nn.LinearCrossEntropyLoss": 7, "nn.functional.linear_cross_entropy": 7}


@DTYPES
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", database.present_modules())
def test_module_samples(name: str, training: bool, dtype: Any) -> None:
    tally = database.run_module(name, dtype, training, EVERY.get(name, 1))
    assert tally.ran > 0
    assert not tally.failures, "\n".join(tally.failures)


@pytest.mark.parametrize("name", database.present_modules())
def test_module_error_inputs(name: str) -> None:
    assert not database.run_module_errors(name).failures


@DTYPES
@pytest.mark.parametrize("name", database.present_functions())
def test_function_samples(name: str, dtype: Any) -> None:
    tally = database.run_function(name, dtype, EVERY.get(name, 1))
    assert tally.ran > 0
    assert not tally.failures, "\n".join(tally.failures)


@DTYPES
@pytest.mark.parametrize("name", database.OPTIMIZERS)
def test_optimizer_configurations(name: str, dtype: Any) -> None:
    tally = database.run_optimizer(name, dtype)
    assert tally.ran > 0
    assert not tally.failures, "\n".join(tally.failures)


@pytest.mark.parametrize("name", database.OPTIMIZERS)
def test_optimizer_error_inputs(name: str) -> None:
    tally = database.run_optimizer_errors(name)
    assert tally.ran > 0
    assert not tally.failures, "\n".join(tally.failures)


def test_optimizer_database_is_what_it_was() -> None:
    """All 91 configurations run, and all but 6 of 124 error inputs: a release may move them."""
    counts = {name: len(database.optimizer_options(name)) for name in database.OPTIMIZERS}
    assert counts == COUNTS and sum(counts.values()) == 91
    errors = {name: database.optimizer_errors(name) for name in database.OPTIMIZERS}
    assert sum(len(kept) for kept, _ in errors.values()) == 118
    left_out = {name: dict(missing) for name, (_, missing) in errors.items() if missing}
    assert {name: list(missing) for name, missing in left_out.items()} == {
        "Adam": [FOREACH, r"betas\[0\] as a Tensor " + ENGINE],
        "AdamW": [FOREACH, r"betas\[0\] as a Tensor " + ENGINE],
        "SparseAdam": ["dense params required", "dense params required in param_groups"],
    }


COUNTS = {
    "Adadelta": 6,
    "Adafactor": 5,
    "Adagrad": 7,
    "Adam": 5,
    "Adamax": 5,
    "AdamW": 5,
    "ASGD": 7,
    "LBFGS": 5,
    "Muon": 7,
    "NAdam": 7,
    "RAdam": 6,
    "RMSprop": 8,
    "Rprop": 5,
    "SGD": 9,
    "SparseAdam": 4,
}
FOREACH = "lr as Tensor doesn't work with foreach & not capturable"
ENGINE = "is not supported for capturable=False and foreach=True"


def test_database_is_where_it_was() -> None:
    """A release that moves or shrinks the database must not turn these tests into nothing."""
    present, absent = database.present_modules(), database.absent_modules()
    assert len(present) + len(absent) >= 114
    assert {"nn.Linear", "nn.CrossEntropyLoss", "nn.GELU"} <= set(present)
