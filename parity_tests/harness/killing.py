"""Train a run to its end though it is killed at random moments, in this process's children.

    python -m parity_tests.harness.killing torch OUT KILLS SEED '{"task": ..., ...}'

The parent imports everything once and computes nothing; each child takes up the run from its last
checkpoint, and gets SIGKILL after a random time. When all kills are spent, one may end. Prints, as
JSON, at which checkpoint and with how many folders unfinished each child died.
"""

import importlib
import json
import os
import random
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets import checkpoints
from datasets.settings import Settings, load

PACKAGES = {"torch": "torch_ref", "scratch": "scratch"}


def train(package: str, settings: Settings, out: Path) -> int:
    """The process id of a child that takes the run up and goes on to its end."""
    trainer: Any = importlib.import_module(f"{PACKAGES[package]}.training").Trainer
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        trainer(settings, out, resume=True).run()
        status = 0
    finally:
        os._exit(status)


def main(package: str, out: Path, kills: int, seed: int, settings: Settings) -> list[Any]:
    """Kill as often, then let it end five steps later, and the same run beside it without a kill.

    Args:
        package: "torch" or "scratch".
        out: folder of the run; the other one is `whole` beside it.
        kills: how many children are killed.
        seed: of the moments.
        settings: of a run that takes longer than all the kills.

    Returns:
        After each kill the step of the last checkpoint, and how many folders are unfinished.
    """
    if package == "torch":
        import torch

        torch.set_num_threads(1)
    load(settings)  # which the children inherit
    started = time.perf_counter()
    end(train(package, replace(settings, steps=5), out.with_name("trial")))
    trial = time.perf_counter() - started
    moments, folder = random.Random(seed), out / "checkpoints"
    seen: list[tuple[str | None, int]] = []
    while len(seen) < kills:
        pid = train(package, settings, out)
        time.sleep(moments.uniform(0, 1.5 * trial))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(f"a child ended by itself, with {status}")
        found = checkpoints.latest(folder)
        seen.append((found.name if found else None, len(list(folder.glob(".step-*")))))
    found = checkpoints.latest(folder)
    last = replace(settings, steps=5 + (int(found.name.split("-")[1]) if found else 0))
    end(train(package, last, out))
    end(train(package, replace(last, checkpoint_every=0), out.with_name("whole")))
    return seen


def end(pid: int) -> None:
    """Wait for a child that is to end well."""
    _, status = os.waitpid(pid, 0)
    if status:
        sys.exit(f"a child ended with {status}")


if __name__ == "__main__":
    given = json.loads(sys.argv[5])
    made = Settings(**{**given, "hidden": tuple(given["hidden"])})
    kills, seed = map(int, sys.argv[3:5])
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), kills, seed, made)))
