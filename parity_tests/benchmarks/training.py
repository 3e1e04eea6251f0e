"""The trainers' loops against bare ones, each within its own package.

The columns that say scratch hold the trainer's loop, those that say torch the bare one: forward,
backward and step on the same batches, and nothing else. Checkpoints and evaluations are left out of
both; the log is not.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as T

from datasets.log import Outcome
from datasets.settings import Settings, load, resolve
from datasets.split import batch_stream
from parity_tests.benchmarks.timing import Timing, pair, peak_of_numpy, peak_of_torch
from parity_tests.harness.runs import TRAINERS
from scratch.nn import functional as F
from torch_ref.training.loader import load_batches

STEPS = 100  # two lines of the log
TARGET = 1.03


def of(**given: Any) -> Settings:
    """A network as wide as MNIST's, on the digits that need no download."""
    common = {"hidden": "512,256", "batch_size": 128, "steps": STEPS, "device": "cpu"}
    return resolve("digits", {**common, **given})


def loop(side: str, settings: Settings, folder: str) -> tuple[Callable[[], object], Any]:
    """`run` from the first step to the last, without what is not the loop."""
    made: Any = TRAINERS[side](settings, Path(folder))
    made.save = lambda: None
    made._finish = lambda *ignored: Outcome("finished", STEPS, 0.0, 0.0, 0.0)

    def run() -> None:
        made.step_count = 0
        made.run()

    return run, made


def scratch_loop() -> Timing:
    """`scratch.training.Trainer.run`."""
    settings = of()
    folder = tempfile.TemporaryDirectory()
    run, made = loop("scratch", settings, folder.name)
    data = load(settings)
    x, t, model, optimizer = data.train_x, data.train_y, made.model, made.optimizer

    def bare() -> None:
        for rows in batch_stream(len(x), 128, STEPS, 0):
            logits, model_back = model(x[rows])
            _, loss_back = F.cross_entropy(logits, t[rows])
            optimizer.zero_grad()
            model_back(loss_back(), needs_input_grad=False)
            optimizer.step()

    name = "trainer, then the bare loop, scratch, 100 steps"
    with folder:
        return pair(name, run, bare, TARGET, 8, peak_of_numpy)


def torch_loop() -> Timing:
    """`torch_ref.training.Trainer.run`."""
    settings = of()
    folder = tempfile.TemporaryDirectory()
    run, made = loop("torch", settings, folder.name)
    data = load(settings)
    x, t = torch.from_numpy(data.train_x), torch.from_numpy(data.train_y)
    model, optimizer = made.model, made.optimizer

    def bare() -> None:
        for batch in batch_stream(len(x), 128, STEPS, 0):
            rows = torch.from_numpy(batch)
            loss = T.cross_entropy(model(x[rows]), t[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation there
            optimizer.step()

    name = "trainer, then the bare loop, torch, 100 steps"
    with folder:
        return pair(name, run, bare, TARGET, 8, peak_of_torch)


def batches_of_mnist() -> Timing:
    """A hundred batches out of 60,000 rows as MNIST's, and a hundred steps of a small network."""
    x = np.random.default_rng(0).standard_normal((60_000, 784), np.float32)
    t = np.random.default_rng(0).integers(0, 10, 60_000)
    model = torch.nn.Sequential(
        torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    pixels, classes = torch.from_numpy(x[:128]), torch.from_numpy(t[:128])

    def fetch() -> None:
        stream = ([rows] for rows in batch_stream(len(x), 128, STEPS, 0))
        for _ in load_batches(x, t, stream, torch.device("cpu")):
            pass

    def steps() -> None:
        for _ in range(STEPS):
            loss = T.cross_entropy(model(pixels), classes)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation there
            optimizer.step()

    name = "100 batches of 128 of 60,000, then 100 steps"
    return pair(name, fetch, steps, 0.5, 4, peak_of_torch)


BENCHMARKS: dict[str, Callable[[], Timing]] = {
    "trainer_scratch": scratch_loop,
    "trainer_torch": torch_loop,
    "trainer_batches": batches_of_mnist,
}
