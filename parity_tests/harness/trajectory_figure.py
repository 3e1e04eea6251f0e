"""The picture of a compared run: both losses, how far apart they are, and the metric."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from parity_tests.experiments.style import SCRATCH, THIRD, TORCH, figure
from parity_tests.harness.trajectory import Trajectory


def draw(trajectory: Trajectory, path: Path) -> Path:
    """Draw a trajectory.

    Args:
        trajectory: what `compare` returned.
        path: where the picture goes.

    Returns:
        The path.
    """
    setting = trajectory.setting
    steps = np.arange(1, len(trajectory.loss) + 1)
    eps = float(np.finfo(setting["dtype"]).eps)
    with figure(path, 1, 3, (13, 3.8)) as (fig, (losses, drift, metric)):
        window = max(1, len(steps) // 100)
        mean = f"Both losses, mean of {window} steps" if window > 1 else "Both losses"
        losses.plot(steps, trajectory.reference_loss, color=TORCH, lw=0.5, alpha=0.25)
        smooth_steps = steps[window - 1 :]
        losses.plot(
            smooth_steps,
            running_mean(trajectory.reference_loss, window),
            color=TORCH,
            lw=2.6,
            label="torch_ref",
        )
        losses.plot(
            smooth_steps,
            running_mean(trajectory.loss, window),
            color=SCRATCH,
            lw=1.2,
            ls="--",
            label="scratch",
        )
        losses.set(xlabel="step", ylabel="training loss of the batch", title=mean)
        if min(trajectory.reference_loss) > 0:
            losses.set_yscale("log")
        losses.legend()

        shown = np.maximum(trajectory.loss_drift, eps / 100)
        drift.loglog(steps, shown, color=THIRD, marker=".", ms=2, lw=0, alpha=0.3)
        drift.loglog(steps, np.maximum.accumulate(shown), color=THIRD, label="loss, largest so far")
        drift.loglog(
            trajectory.watched,
            np.maximum(trajectory.parameter_drift, eps / 100),
            color=SCRATCH,
            marker=".",
            ms=4,
            lw=1,
            label="worst parameter",
        )
        drift.axhline(eps, color="0.5", lw=0.8, ls=":", label=f"eps of {setting['dtype']}")
        if min(shown) < eps / 10:
            drift.text(1, eps / 80, "equal to the last bit", va="bottom", color="0.4", fontsize=8)
        drift.set(xlabel="step", ylabel="relative difference", title="How far apart they drift")
        drift.legend(loc="upper left")

        metric.plot(trajectory.watched, trajectory.reference_metric, color=TORCH, lw=2.4)
        metric.plot(trajectory.watched, trajectory.metric, color=SCRATCH, lw=1.0, ls="--")
        metric.axhline(setting["target"], color="0.5", lw=0.8, ls=":")
        last = trajectory.metric[-1]
        title = f"Test {setting['metric']} {last:.4f} (dotted: target)"
        metric.set(xlabel="step", ylabel=f"test {setting['metric']}", title=title)
        fig.suptitle(
            f"{setting['task']}: {setting['model']}, {setting['optimizer']}, {setting['dtype']}, "
            f"seed {setting['seed']}",
            fontsize=12,
        )
    return path


def running_mean(values: list[float], window: int) -> NDArray[np.float64]:
    """Means of `window` neighbours."""
    return np.convolve(values, np.full(window, 1 / window), mode="valid")
