"""The chunks of linear_cross_entropy: how many rows, how much memory, what backward reads."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch

from scratch import nn
from scratch.nn import functional as F
from scratch.random import Generator

Options = nn.LinearCrossEntropyOptions
METHODS = ("auto", "aspect_ratio", "aspect_ratio:2", "aspect_ratio:3", "aspect_ratio:64", None)


@pytest.mark.parametrize("method", METHODS)
def test_rows_of_a_chunk_are_torchs(method: str | None) -> None:
    theirs: Any = torch.nn.LinearCrossEntropyOptions(chunking_method=method)
    for n in (0, 1, 2, 7, 64, 100, 4096):
        for features in (1, 3, 16, 768):
            for classes in (1, 5, 16, 1000, 50257):
                adjusted = theirs._adjust(n, features, classes, torch.float32, torch.device("cpu"))
                found = Options(chunking_method=method).rows(n, features, classes)
                assert found == adjusted.batch_chunk_size, (n, features, classes)


@pytest.mark.parametrize("size", [1, 3, 8, 9])
def test_given_rows_are_torchs(size: int) -> None:
    for method in ("auto", None):
        theirs: Any = torch.nn.LinearCrossEntropyOptions(False, size, method)
        adjusted = theirs._adjust(8, 3, 5, torch.float32, torch.device("cpu"))
        ours = Options(False, size, method)
        assert ours.rows(8, 3, 5) == adjusted.batch_chunk_size
        assert repr(ours) == repr(theirs)


def peak(**options: Any) -> tuple[int, int]:
    """Bytes at most, forward and backward, and those held in between."""
    rng = np.random.default_rng(0)
    x, w, t = rng.normal(size=(512, 8)), rng.normal(size=(2048, 8)), rng.integers(0, 2048, 512)
    tracemalloc.start()
    _, backward = F.linear_cross_entropy(x, w, t, **options)
    held, _ = tracemalloc.get_traced_memory()
    backward(1.0)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most, held


def test_chunks_never_hold_all_logits() -> None:
    logits = 512 * 2048 * 8
    most, held = peak()
    assert most > 1.5 * logits
    assert held > logits
    most, held = peak(options=Options(batch_chunk_size=16))
    assert most < logits / 6  # two arrays of a chunk's logits, W's gradient and a chunk's share
    assert held < logits / 500  # the losses


def test_nothing_that_counts() -> None:
    """The mean of nothing is NaN, whose gradient is 0; torch's is NaN in chunks, 0 without."""
    x, w, t = np.ones((3, 2)), np.ones((4, 2)), np.full(3, -100)
    for options in (None, Options(batch_chunk_size=2)):
        loss, backward = F.linear_cross_entropy(x, w, t, options=options)
        assert np.isnan(loss)
        assert not any(np.any(gradient) for gradient in backward())


@pytest.mark.parametrize("name", ["weight", "bias"])
@pytest.mark.parametrize("options", [None, Options(batch_chunk_size=2)], ids=["once", "chunks"])
def test_backward_refuses_changed_parameters(options: Any, name: str) -> None:
    """It reads them, though they belong to a child that is not called."""
    loss = nn.LinearCrossEntropyLoss(3, 4, bias=True, options=options, dtype=np.float64)
    _, backward = loss(np.ones((5, 3)), np.zeros(5, int))
    backward()
    parameter = getattr(loss.linear, name)
    parameter.data -= 0.1
    with pytest.raises(RuntimeError, match=rf"linear\.{name}"):
        backward()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_accumulation_dtype_is_the_inputs(dtype: Any) -> None:
    """The one that there is, given or not; also where torch would take no options."""
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(5, 3)).astype(dtype), rng.normal(size=(4, 3)).astype(dtype)
    q = rng.dirichlet(np.ones(4), 5).astype(dtype)
    found = [
        F.linear_cross_entropy(x, w, q, options=Options(batch_chunk_size=2, acc_dtype=d))[0]
        for d in (None, dtype, np.dtype(dtype))
    ]
    assert found[0].dtype == dtype
    assert found[0] == found[1] == found[2]


def test_start_is_torchs() -> None:
    """The linear map starts as Linear does, from the same draws."""
    torch.manual_seed(3)
    theirs = torch.nn.LinearCrossEntropyLoss(3, 4, out_features=(2,), bias=True)
    loss = nn.LinearCrossEntropyLoss(3, 4, out_features=(2,), bias=True, generator=Generator(3))
    for name, expected in theirs.state_dict().items():
        np.testing.assert_array_equal(loss.state_dict()[name], expected.numpy())
