"""PyTorch's own samples: every module class and function that scratch has passes all of them."""

from typing import Any

import numpy as np
import pytest

from parity_tests.harness import database

DTYPES = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])


@DTYPES
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", database.present_modules())
def test_module_samples(name: str, training: bool, dtype: Any) -> None:
    tally = database.run_module(name, dtype, training)
    assert tally.ran > 0
    assert not tally.failures, "\n".join(tally.failures)


@pytest.mark.parametrize("name", database.present_modules())
def test_module_error_inputs(name: str) -> None:
    assert not database.run_module_errors(name).failures


@DTYPES
@pytest.mark.parametrize("name", database.present_functions())
def test_function_samples(name: str, dtype: Any) -> None:
    tally = database.run_function(name, dtype)
    assert tally.ran > 0
    assert not tally.failures, "\n".join(tally.failures)


def test_database_is_where_it_was() -> None:
    """A release that moves or shrinks the database must not turn these tests into nothing."""
    present, absent = database.present_modules(), database.absent_modules()
    assert len(present) + len(absent) >= 114
    assert {"nn.Linear", "nn.CrossEntropyLoss", "nn.GELU"} <= set(present)
