"""Samples of categories and softmax in clusters: their law, and what nobody asked for."""

from typing import Any

import numpy as np
import pytest
import torch

from parity_tests.harness.compare import close
from parity_tests.harness.draw import Draw
from parity_tests.harness.twin import arrays, move_off_start
from scratch import nn, optim
from scratch.nn import functional as F
from scratch.random import Generator


def test_hard_samples_have_the_law_of_softmax_at_any_temperature() -> None:
    """40,000 of each: within four standard deviations of a share."""
    logits = np.array([1.0, 0.0, -1.5, 2.0])
    p, _ = F.softmax(logits, 0)
    rows = np.broadcast_to(logits, (40_000, 4)).copy()
    for tau in (0.1, 3.0):
        y, _ = F.gumbel_softmax(rows, tau, hard=True, generator=Generator(1))
        assert set(np.unique(y)) == {0, 1} and (y.sum(1) == 1).all()
        assert (abs(y.mean(0) - p) < 4 * np.sqrt(p * (1 - p) / len(y))).all()
    # A soft sample nears its code as tau falls, and the uniform distribution as it rises.
    peaks = [
        F.gumbel_softmax(rows, tau, generator=Generator(1))[0].max(1).mean()
        for tau in (0.01, 1.0, 100.0)
    ]
    assert peaks[0] > 0.99 > peaks[1] > 0.5 > peaks[2] > 0.25


def twins(head_bias: bool) -> tuple[Any, Any]:
    """Both modules with the same values: a shortlist of 3, clusters of 2, 5 and 2."""
    theirs = torch.nn.AdaptiveLogSoftmaxWithLoss(9, 12, [3, 5, 10], 2.0, head_bias).double()
    move_off_start(theirs, Draw("clusters", np.float64))
    ours = nn.AdaptiveLogSoftmaxWithLoss(9, 12, [3, 5, 10], 2.0, head_bias, dtype=np.float64)
    ours.load_state_dict(arrays(theirs.state_dict()))
    return ours, theirs


def test_a_cluster_without_a_target_rests() -> None:
    """None, not zero, in both: neither momentum nor decay moves its weights."""
    ours, theirs = twins(False)
    steps: dict[str, Any] = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}
    mine = optim.SGD(ours.parameters(), **steps)
    reference = torch.optim.SGD(theirs.parameters(), **steps)
    x = Draw("rows", np.float64).normal(4, 9)
    for targets in ([0, 4, 3, 11], [0, 11, 2, 10]):  # of clusters 1 and 3; of 3 alone
        before = ours.state_dict()
        t = np.array(targets)
        (_, loss), back = ours(x, t)
        mine.zero_grad()
        reference.zero_grad()
        back(None, np.ones_like(loss))
        theirs(torch.from_numpy(x), torch.from_numpy(t)).loss.backward()
        pairs = list(zip(ours.named_parameters(), theirs.parameters(), strict=True))
        resting = {name for (name, p), _ in pairs if p.grad is None}
        assert resting == {name for (name, _), q in pairs if q.grad is None}
        assert "tail.1.0.weight" in resting and ("tail.0.1.weight" in resting) == (4 not in targets)
        mine.step()
        reference.step()
        for (name, p), q in pairs:
            assert close(name, p.data, q.detach().numpy(), c=64).passed
            assert np.array_equal(p.data, before[name]) == (name in resting)


@pytest.mark.parametrize("head_bias", [True, False])
def test_log_p_of_all_classes(head_bias: bool) -> None:
    """A distribution, of which `forward` reads the targets; its gradient is torch's."""
    ours, theirs = twins(head_bias)
    d = Draw("log p", np.float64)
    x, dy, t = d.normal(6, 9), d.normal(6, 12), np.array([0, 11, 4, 7, 2, 5])
    y, back = ours.log_prob(x)
    np.testing.assert_allclose(np.exp(y).sum(1), 1, rtol=1e-13)
    np.testing.assert_allclose(ours(x, t)[0].output, y[np.arange(6), t], rtol=1e-13)
    np.testing.assert_array_equal(ours.predict(x), y.argmax(1))
    leaf = torch.from_numpy(x.copy()).requires_grad_()
    dx = back(dy)
    theirs.log_prob(leaf).backward(torch.from_numpy(dy))
    assert leaf.grad is not None and close("dx", dx, leaf.grad.numpy(), c=64).passed
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert close(name, p.grad, q.grad.numpy(), c=64).passed


def test_no_rows() -> None:
    """The mean of nothing is NaN, in silence."""
    ours, _ = twins(True)
    (output, loss), back = ours(np.zeros((0, 9)), np.zeros(0, int))
    assert output.shape == (0,) and np.isnan(loss)
    assert back(output, None).shape == (0, 9)
    assert ours.predict(np.zeros((0, 9))).shape == (0,)


def test_start_is_torchs() -> None:
    ours = nn.AdaptiveLogSoftmaxWithLoss(9, 12, [3, 5, 10], 2.0, generator=Generator(4))
    torch.manual_seed(4)
    theirs = torch.nn.AdaptiveLogSoftmaxWithLoss(9, 12, [3, 5, 10], 2.0)
    for round_ in range(2):
        for name, value in ours.state_dict().items():
            np.testing.assert_array_equal(value, theirs.state_dict()[name].numpy(), str(round_))
        torch.manual_seed(5)
        theirs.reset_parameters()
        ours.reset_parameters(Generator(5))
