"""Whole training runs: both twins from the same weights on the same batches, step by step."""

import numpy as np
import pytest

from datasets.tasks import TASKS
from parity_tests.harness.trajectory import compare

# Relative, over a whole run in float64: what smooth networks keep (a wrong convention jumps).
DRIFT = 1e-11


# Generative tasks, whose models have losses of their own, are in test_generative; scenes, which
# take more time to judge than to learn, in test_segmentation.
ELSEWHERE = ("generative", "segmentation")
HERE = [n for n, task in TASKS.items() if not task.downloads and task.kind not in ELSEWHERE]


@pytest.mark.parametrize("name", HERE)
def test_every_task_is_learned_alike(name: str) -> None:
    """Each recipe at a fifth of its length: losses and parameters agree to rounding."""
    task = TASKS[name]
    run = compare(task, steps=max(100, task.steps // 5))
    assert max(run.loss_drift) < DRIFT
    assert max(run.parameter_drift) < DRIFT
    assert run.metric == pytest.approx(run.reference_metric, abs=DRIFT)
    assert run.loss[-1] < run.loss[0]


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW"])
def test_each_optimizer_in_float32(optimizer: str) -> None:
    """In float32 rounding is 5e8 times larger, and so is the drift; accuracy is the same."""
    lr = {"SGD": 0.1, "Adam": 1e-3, "AdamW": 1e-3}[optimizer]
    run = compare(
        TASKS["digits"],
        steps=300,
        optimizer=optimizer,
        optimizer_args={"lr": lr},
        dtype=np.float32,
    )
    assert max(run.loss_drift) < DRIFT * 2.0**29
    assert abs(run.metric[-1] - run.reference_metric[-1]) < 0.01


def test_digits_reach_their_accuracy() -> None:
    """The recipe in full: at least 97% on the test set, in both."""
    task = TASKS["digits"]
    run = compare(task)
    assert min(run.metric[-1], run.reference_metric[-1]) >= max(0.97, task.target)
    assert max(run.loss_drift) < DRIFT


@pytest.mark.slow
def test_ten_thousand_steps_of_adam(capsys: pytest.CaptureFixture[str]) -> None:
    """The drift at 10, 100, 1,000 and 10,000 steps grows smoothly and stays below 1e-11."""
    run = compare(TASKS["digits"], steps=10_000, optimizer="Adam", optimizer_args={"lr": 1e-4})
    drift = {step: run.worst_loss_drift(step) for step in (10, 100, 1_000, 10_000)}
    with capsys.disabled():
        text = ", ".join(f"{step:,} steps {value:.1e}" for step, value in drift.items())
        print(f"\nrelative drift of the loss, digits, Adam, float64: {text}")
    assert drift[10_000] < DRIFT
    # Rounding accumulates; a convention that differs would jump from one decade to the next.
    assert all(drift[10 * s] < 5000 * drift[s] for s in (10, 100, 1_000))
    assert min(run.metric[-1], run.reference_metric[-1]) >= 0.97


@pytest.mark.slow
def test_a_loss_near_zero_keeps_its_absolute_accuracy() -> None:
    """Ten times the learning rate takes the loss to 1e-6, where 1e-16 is 1e-10 of it.

    log(1 + 1e-6) from a rounded sum is no more accurate than that, in either package; what stays
    at the rounding level is the difference itself, and the parameters.
    """
    run = compare(TASKS["digits"], steps=6000, optimizer="Adam", optimizer_args={"lr": 1e-3})
    assert min(run.reference_loss) < 1e-5
    difference = np.abs(np.array(run.loss) - run.reference_loss)
    assert difference.max() < 16 * np.finfo(np.float64).eps
    assert max(run.parameter_drift) < DRIFT
