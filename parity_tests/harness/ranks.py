"""Train runs on the ranks that torchrun starts, one run after the other.

    torchrun --nproc-per-node 2 -m parity_tests.harness.ranks OUT '{"a": [{"steps": 9}, 4], ...}'

Run "a" is trained, or gone on with, in OUT/a/rank<r> on rank r: a folder for each, to show which
of them write. Where a step is given, the last rank asks to stop one step earlier. Each rank leaves
what it saw of itself in OUT/rank<r>.json.
"""

import dataclasses
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.distributed.fsdp import fully_shard

import parity_tests
from datasets.tasks import TASKS, get
from parity_tests.harness.runs import settings
from torch_ref.training import Trainer
from torch_ref.training.distributed import Ranks, leave, process_group, whole

Given = Mapping[str, Any]
# With batch normalisation, and no download.
TASKS["normed"] = dataclasses.replace(
    get("digit_images"),
    name="normed",
    model="resnet18",
    model_args={"num_classes": 10, "width": 4, "stem": "3x3", "in_channels": 1},
)


@contextmanager
def torchrun(*arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Two processes on one machine, with one thread each; none of them outlives the block.

    Args:
        arguments: of `python`.
        options: of Popen.
    """
    start = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    root = Path(parity_tests.__file__).parents[1]
    path = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
    with subprocess.Popen(
        [sys.executable, *start, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()  # it ends the ranks, which have sessions of their own


def train(out: Path, name: str, given: Given, until: int | None) -> None:
    """One of the runs."""
    ranks = Ranks()
    last = ranks.rank == ranks.size - 1
    trainer = Trainer(settings(**given), out / name / f"rank{ranks.rank}", resume=True)
    outcome = trainer.run(
        interrupted=lambda: last and until is not None and trainer.step_count == until - 1
    )
    assert outcome.step == (trainer.settings.steps if until is None else until) or given.get(
        "patience"
    )


def seen(ranks: Ranks) -> dict[str, Any]:
    """What the parts of `Ranks` give on this rank."""
    rows = np.arange(7)
    own = torch.from_numpy(ranks.share(rows))
    model = nn.Sequential(nn.BatchNorm1d(2))
    model[0].running_mean.fill_(ranks.rank)  # type: ignore[operator]
    with ranks.evaluating(model):
        evaluated = model[0].running_mean.tolist()  # type: ignore[operator]
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        ranks.prepare(model, settings())
    return {
        "share": own.tolist(),
        "gathered": ranks.gather(own, len(rows)).tolist(),
        "none": ranks.gather(own[:0] if ranks.rank else own[:1], 1).tolist(),
        "sum": ranks.sum(torch.tensor(ranks.rank + 1.0)).item(),
        "of_first": ranks.of_first(ranks.rank),
        "of_all": ranks.of_all(ranks.rank),
        "asked": [ranks.asked(step == 1 and ranks.rank == 1) for step in range(4)],
        "buffer": evaluated,
        "warned": [str(w.message) for w in warned],
        "scale": overflow(ranks),
    }


def overflow(ranks: Ranks) -> list[Any]:
    """Scale and weights after a sharded step whose gradient overflowed on the last rank only."""
    model = nn.Linear(2, 2)
    fully_shard(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    before = whole(model.weight).clone()
    scaler.scale(model(torch.ones(1, 2)).sum()).backward()
    if ranks.rank == ranks.size - 1:
        gradient: Any = model.weight.grad
        gradient.to_local().fill_(torch.inf)
    scaler.step(optimizer)
    scaler.update()
    return [scaler.get_scale(), torch.equal(before, whole(model.weight))]


def main(out: Path, runs: Mapping[str, tuple[Given, int | None]]) -> None:
    """All of them."""
    ranks = Ranks()
    (out / f"rank{ranks.rank}.json").write_text(json.dumps(seen(ranks)))
    for name, (given, until) in runs.items():
        train(out, name, given, until)


if __name__ == "__main__":
    with process_group():
        main(Path(sys.argv[1]), json.loads(sys.argv[2]))
    leave()
