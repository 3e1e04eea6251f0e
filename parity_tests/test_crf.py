"""The CRF against every one of its paths, numbers of more digits, and what it should find."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch

import torch_ref.nn.crf
from scratch import nn
from scratch.check import Array
from scratch.nn import functional as F
from scratch.optim import Adam
from scratch.random import Generator

LENGTHS = np.array([4, 1, 3])
TAGS = 3


def paths(n: int) -> Array:
    """All tag sequences of a length, (TAGS^n, n)."""
    return np.array(list(itertools.product(range(TAGS), repeat=n)))


def scores(x: Array, z: Array, start: Array, end: Array, between: Array) -> Array:
    """The score of each path (P, n) over the emissions (n, K)."""
    steps = x[np.arange(len(x)), z].sum(1) + between[z[:, :-1], z[:, 1:]].sum(1)
    total: Array = start[z[:, 0]] + steps + end[z[:, -1]]
    return total


def field(batch_first: bool = True) -> nn.LinearChainCRF:
    """Scores of its own, large enough to matter."""
    crf = nn.LinearChainCRF(TAGS, batch_first, dtype=np.float64, generator=Generator(0))
    rng = np.random.default_rng(0)
    for parameter in crf.parameters():
        parameter.data = rng.normal(size=parameter.shape)
    return crf


def gradients(crf: nn.LinearChainCRF) -> list[Any]:
    """Of start, end and transitions."""
    return [p.grad for p in crf.parameters()]


def data() -> tuple[Array, Array, Array]:
    """Emissions, tags and mask of sequences of different lengths."""
    rng = np.random.default_rng(1)
    mask = np.arange(4) < LENGTHS[:, None]
    return rng.normal(size=(3, 4, TAGS)), rng.integers(0, TAGS, (3, 4)), mask


@pytest.mark.parametrize("batch_first", [True, False])
def test_against_every_path(batch_first: bool) -> None:
    """Loss, all gradients, marginals and the best path of each sequence by itself."""
    crf = field(batch_first)
    parameters = [p.data for p in crf.parameters()]
    x, z, mask = data()
    turned = (x, z, mask) if batch_first else (x.swapaxes(0, 1), z.T, mask.T)
    losses, backward = crf(*turned, reduction="none")
    weights = np.array([1.0, -0.5, 2.0])
    dx = backward(weights)
    marginals = crf.marginals(turned[0], turned[2])
    if not batch_first:
        dx, marginals = dx.swapaxes(0, 1), marginals.swapaxes(0, 1)
    decoded = crf.decode(turned[0], turned[2])
    expected = [np.zeros_like(p) for p in parameters]
    for i, n in enumerate(LENGTHS):
        ways = paths(n)
        of_ways = scores(x[i, :n], ways, *parameters)
        own = scores(x[i, :n], z[i : i + 1, :n], *parameters)[0]
        np.testing.assert_allclose(losses[i], np.log(np.exp(of_ways).sum()) - own, rtol=1e-13)
        assert decoded[i] == ways[of_ways.argmax()].tolist()
        p = np.exp(of_ways) / np.exp(of_ways).sum()
        occupancy = np.zeros((4, TAGS))
        for path, weight in [*zip(ways, p, strict=True), (z[i, :n], -1.0)]:
            if weight > 0:
                occupancy[np.arange(n), path] += weight
            expected[0][path[0]] += weights[i] * weight
            expected[1][path[-1]] += weights[i] * weight
            np.add.at(expected[2], (path[:-1], path[1:]), weights[i] * weight)
        np.testing.assert_allclose(marginals[i], occupancy, atol=1e-14)
        occupancy[np.arange(n), z[i, :n]] -= 1
        np.testing.assert_allclose(dx[i], weights[i] * occupancy, atol=1e-14)
    for found, gradient in zip(gradients(crf), expected, strict=True):
        np.testing.assert_allclose(found, gradient, atol=1e-13)


def test_padding_is_not_read() -> None:
    """Not even where it is NaN; a sequence by itself gives what it gives in the batch."""
    crf = field()
    x, z, mask = data()
    wild = np.where(mask[..., None], x, np.nan)
    losses, backward = crf(wild, np.where(mask, z, 99), mask, reduction="none")
    dx = backward(np.ones(3))
    assert not dx[~mask].any()
    wild_gradients = gradients(crf)
    crf.zero_grad()
    for i, n in enumerate(LENGTHS):
        alone, alone_back = crf(x[i : i + 1, :n], z[i : i + 1, :n])
        np.testing.assert_allclose(losses[i], alone, rtol=1e-14)
        np.testing.assert_allclose(dx[i : i + 1, :n], alone_back(), atol=1e-15)
    for gradient, wild_gradient in zip(gradients(crf), wild_gradients, strict=True):
        np.testing.assert_allclose(gradient, wild_gradient, atol=1e-14)
    assert crf.decode(wild, mask) == crf.decode(x, mask)
    np.testing.assert_array_equal(crf.marginals(wild, mask), crf.marginals(x, mask))


def in_more_digits(x: Array, z: Array, parameters: list[Array]) -> tuple[Any, Any]:
    """Loss and emissions' gradient of one sequence in long double."""
    x, start, end, between = (v.astype(np.longdouble) for v in (x, *parameters))
    reduce = np.logaddexp.reduce
    a, b = [start + x[0]], [end]
    for t in range(1, len(x)):
        a.append(x[t] + reduce(a[-1][:, None] + between, axis=0))
        b.append(reduce(between + x[-t] + b[-1], axis=1))
    total = reduce(a[-1] + end)
    gradient = np.exp(np.array(a) + np.array(b[::-1]) - total)
    gradient[np.arange(len(x)), z] -= 1
    return total - scores(x, z[None], start, end, between)[0], gradient


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rounding_does_not_grow_with_the_scores(dtype: Any) -> None:
    """Ours stays within a few eps of the truth where path scores are in the thousands."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 6)).astype(dtype)
    x += dtype(8)
    z = rng.integers(0, 6, 300)
    values = [rng.normal(size=s).astype(dtype) for s in ((6,), (6,), (6, 6))]
    start, end, between = values
    _, backward = F.linear_chain_crf(x[None], z[None], start, end, between)
    leaf = torch.from_numpy(x.copy()).requires_grad_()
    tags, *given = map(torch.from_numpy, (z[None], start, end, between))
    theirs = torch_ref.nn.crf.linear_chain_crf(leaf[None], tags, given[0], given[1], given[2])
    (torch_gradient,) = torch.autograd.grad(theirs, leaf)
    _, gradient = in_more_digits(x, z, values)
    unit = float(np.finfo(dtype).eps * np.abs(gradient).max())
    error = float(np.abs(backward()[0][0] - gradient).max()) / unit
    torch_error = float(np.abs(torch_gradient.numpy() - gradient).max()) / unit
    assert error < 8 < 32 < torch_error


def test_it_learns_what_may_follow_what() -> None:
    """Emissions say little, the chain 0 1 2 0 1 2 ... says the rest: Viterbi finds it."""
    rng = np.random.default_rng(0)
    z = (np.arange(12) + rng.integers(0, 3, 40)[:, None]) % 3
    x = 0.8 * np.eye(3)[z] + rng.normal(size=(40, 12, 3))
    crf = nn.LinearChainCRF(3, dtype=np.float64, generator=Generator(0))
    optimizer = Adam(crf.parameters(), lr=0.1)
    assert np.mean(x.argmax(2) == z) < 0.7
    for _ in range(60):
        _, backward = crf(x, z, reduction="mean")
        optimizer.zero_grad()
        backward()
        optimizer.step()
    assert np.mean(np.array(crf.decode(x)) == z) > 0.98


def test_scores_of_minus_infinity() -> None:
    """What is ruled out has gradient 0, as if its score were very low; impossible tags cost it."""
    x, _, mask = data()
    z = np.array([[0, 1, 1, 0], [1, 0, 0, 0], [1, 1, 0, 0]])
    results = []
    for low in (-np.inf, -1e4):
        crf = field()
        crf.start_transitions.data[2] = low
        crf.transitions.data[:, 2] = low  # nothing leads to tag 2
        loss, backward = crf(x, z, mask)
        dx = backward()
        p = crf.marginals(x, mask)
        assert np.isfinite(dx).all()
        assert not p[:, :, 2].any()
        assert not any(tag == 2 for path in crf.decode(x, mask) for tag in path)
        results.append([loss, dx, p, *gradients(crf)])
        assert crf(x, z + 1, mask)[0] >= -low
    for exact, nearly in zip(*results, strict=True):
        np.testing.assert_allclose(exact, nearly, rtol=1e-12, atol=1e-15)


def test_no_sequences() -> None:
    crf = field()
    x, z = np.zeros((0, 4, TAGS)), np.zeros((0, 4), int)
    loss, backward = crf(x, z)
    assert loss == 0
    assert backward().shape == (0, 4, TAGS)
    assert crf.decode(x) == []
    assert crf.marginals(x).shape == x.shape


def test_decode_is_that_of_the_twin_on_ties() -> None:
    """All paths score the same: the first tag wins on both sides."""
    crf = nn.LinearChainCRF(TAGS, dtype=np.float64)
    theirs = torch_ref.nn.crf.LinearChainCRF(TAGS).double()
    for parameter in crf.parameters():
        parameter.data = np.zeros(parameter.shape)
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in crf.state_dict().items()})
    x = np.zeros((2, 5, TAGS))
    assert crf.decode(x) == theirs.decode(torch.from_numpy(x)) == [[0] * 5] * 2


def test_twins_marginals_without_grad() -> None:
    """They are gradients themselves, and ask for none outside."""
    crf = torch_ref.nn.crf.LinearChainCRF(3, batch_first=True).double()
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 4, 3)))
    wanted = crf.marginals(x)
    with torch.no_grad():
        assert torch.equal(crf.marginals(x), wanted)
