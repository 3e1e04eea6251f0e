"""Short runs of either package's trainer, and what is compared of them."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

import scratch.training
import torch_ref.training
from datasets import checkpoints
from datasets.settings import HOW, Settings, resolve
from torch_ref.training.precision import set_precision

TRAINERS: Mapping[str, Any] = {
    "scratch": scratch.training.Trainer,
    "torch": torch_ref.training.Trainer,
}
SIDES = tuple(TRAINERS)
OTHER = {"scratch": "torch", "torch": "scratch"}
TIMES = ("seconds", "rows_per_second", "memory_mb")


def settings(task: str = "digits", **given: Any) -> Settings:
    """A short run on the CPU that logs every step."""
    short = {"steps": 12, "device": "cpu", "log_every": 1}
    small = {"hidden": "16"} if task == "digits" else {}
    return resolve(task, {**short, **small, **given})


def train(side: str, of: Settings, out: Path, until: int | None = None) -> Any:
    """The trainer after its run, which goes on from what is in the folder.

    Args:
        side: "scratch" or "torch".
        of: what to run.
        out: the folder.
        until: the step after which to interrupt it.
    """
    try:
        trainer = TRAINERS[side](of, out, resume=True)
        trainer.run(interrupted=lambda: trainer.step_count == until)
    finally:
        set_precision("fp32")  # what tests on a GPU count on
    return trainer


def log(out: Path) -> list[dict[str, Any]]:
    """The records of a run's log without what depends on the clock."""
    records = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in record.items() if k not in TIMES} for record in records]


def losses(out: Path, event: str = "step") -> NDArray[Any]:
    """The losses of the records of a kind."""
    return np.array([record["loss"] for record in log(out) if record["event"] == event])


def arrays(out: Path) -> dict[str, NDArray[Any]]:
    """Every array of the last checkpoint, by file and name."""
    found = checkpoints.latest(out / "checkpoints")
    assert found is not None
    return {
        f"{file}/{name}": array
        for file, content in checkpoints.read(found).files.items()
        for name, array in safetensors.numpy.load(content).items()
    }


def everything(out: Path) -> dict[str, Any]:
    """What stands in each file of the last checkpoint, and the weights; not how it was computed."""
    found = checkpoints.latest(out / "checkpoints")
    assert found is not None
    _, state, files = checkpoints.read(found)
    for name in HOW - {"steps"}:
        del state["settings"][name]
    return {**files, "state": state, "weights": (out / "model.safetensors").read_bytes()}


def copy_run(source: Path, target: Path) -> Path:
    """The same run in another folder."""
    shutil.copytree(source, target)
    return target


def drift(a: Path, b: Path) -> float:
    """The largest relative difference of an array in the last checkpoints of two runs."""
    ours, theirs = arrays(a), arrays(b)
    assert ours.keys() == theirs.keys()
    assert all(ours[k].dtype == v.dtype and ours[k].shape == v.shape for k, v in theirs.items())
    return max(
        float(np.max(np.abs(ours[k] - v), initial=0) / max(np.max(np.abs(v), initial=0), 1e-300))
        for k, v in theirs.items()
    )
