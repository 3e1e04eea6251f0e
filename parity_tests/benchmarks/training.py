"""The trainers' loops against bare ones, each within its own package.

The columns that say scratch hold the trainer's loop, those that say torch the bare one: forward,
backward and step on the same batches, and nothing else. Checkpoints and evaluations are left out of
both; the log is not. The two loops take turns, a step each.
"""

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as T

from datasets.log import Outcome
from datasets.settings import Settings, load, resolve
from datasets.split import batch_stream
from parity_tests.benchmarks.timing import Peak, Timing, pair, peak_of_numpy, peak_of_torch
from parity_tests.harness.runs import TRAINERS
from scratch.nn import functional as F
from torch_ref.training.loader import load_batches

STEPS = 1000
BLOCK = 50  # steps, one line of the log
TARGET = 1.03


def of(**given: Any) -> Settings:
    """A network as wide as MNIST's, on the digits that need no download."""
    common = {"hidden": "512,256", "batch_size": 128, "steps": STEPS, "device": "cpu"}
    return resolve("digits", {**common, **given})


def trainer(side: str, settings: Settings, folder: str) -> Any:
    """A trainer without what is not the loop."""
    made: Any = TRAINERS[side](settings, Path(folder))
    made.save = lambda: None
    made._finish = lambda *ignored: Outcome("finished", STEPS, 0.0, 0.0, 0.0)
    return made


def step_by_step(name: str, made: Any, bare: Callable[[], Iterator[None]], peak: Peak) -> Timing:
    """A step of the trainer's loop, one of the bare loop, and so on, on the same model.

    Runs timed one after the other differ by more than a loop costs: a shared machine's speed
    moves by 5% from one quarter of a second to the next.

    Args:
        name: label.
        made: the trainer, which is asked after each of its steps whether to go on.
        bare: the steps of the bare loop.
        peak: how the package's memory is measured.
    """
    steps, times = bare(), [time.perf_counter()]

    def interrupted() -> bool:
        times.append(time.perf_counter())
        next(steps)
        times.append(time.perf_counter())
        return False

    made.run(interrupted=interrupted)
    seconds = np.diff(times)[2 * BLOCK :].reshape(-1, BLOCK, 2).sum(1)  # without the first block
    low, middle, high = np.quantile(seconds[:, 0] / seconds[:, 1], (0.25, 0.5, 0.75)).tolist()
    ours_ms, theirs_ms = (1e3 * np.median(seconds, 0)).tolist()

    def some() -> None:
        made.step_count = STEPS - BLOCK
        made.run()

    return Timing(
        name,
        middle,
        (low, high),
        ours_ms,
        theirs_ms,
        peak(some),
        peak(lambda: list(itertools.islice(bare(), BLOCK))),
        TARGET,
        twins=False,
    )


def scratch_loop() -> Timing:
    """`scratch.training.Trainer.run`."""
    with tempfile.TemporaryDirectory() as folder:
        made = trainer("scratch", of(), folder)
        data, model, optimizer = load(made.settings), made.model, made.optimizer
        x, t = data.train_x, data.train_y

        def bare() -> Iterator[None]:
            for rows in batch_stream(len(x), 128, STEPS, 0):
                logits, model_back = model(x[rows])
                _, loss_back = F.cross_entropy(logits, t[rows])
                optimizer.zero_grad()
                model_back(loss_back(), needs_input_grad=False)
                optimizer.step()
                yield

        name = "trainer, then the bare loop, scratch, 50 steps"
        return step_by_step(name, made, bare, peak_of_numpy)


def torch_loop() -> Timing:
    """`torch_ref.training.Trainer.run`."""
    with tempfile.TemporaryDirectory() as folder:
        made = trainer("torch", of(), folder)
        data, model, optimizer = load(made.settings), made.model, made.optimizer
        x, t = torch.from_numpy(data.train_x), torch.from_numpy(data.train_y)

        def bare() -> Iterator[None]:
            for batch in batch_stream(len(x), 128, STEPS, 0):
                rows = torch.from_numpy(batch)
                loss = T.cross_entropy(model(x[rows]), t[rows])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation there
                optimizer.step()
                yield

        name = "trainer, then the bare loop, torch, 50 steps"
        return step_by_step(name, made, bare, peak_of_torch)


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
        stream = ([rows] for rows in batch_stream(len(x), 128, 100, 0))
        for _ in load_batches(x, t, stream, torch.device("cpu")):
            pass

    def steps() -> None:
        for _ in range(100):
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
