"""Runs on two processes: the loss curve is the single process's at the same global batch."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from datasets import checkpoints
from datasets.settings import load
from parity_tests.harness.ranks import torchrun
from parity_tests.harness.runs import arrays, copy_run, drift, everything, log, settings, train
from torch_ref.training import Trainer, load_weights, read_weights
from torch_ref.training.distributed import Ranks

ROUNDING = 1000 * np.finfo(np.float64).eps
pytestmark = pytest.mark.xdist_group("ranks")  # their runs are made once, for all
STRATEGIES = ("ddp", "fsdp")
DOUBLE: dict[str, Any] = {"dtype": "float64"}
# By name what stresses the sharing of a batch; each is trained in either way and by one process.
RUNS: dict[str, dict[str, Any]] = {
    # Parts of 21 rows: 11 and 10. The last step of an epoch has two of 21 and one of 9.
    "everything": {
        "steps": 50,
        "batch_size": 21,
        "accumulate": 3,
        "clip_norm": 0.5,
        "ema": 0.9,
        "evaluate_every": 20,
        "schedule": "OneCycleLR",
        "schedule_args": {"max_lr": 0.01},
    },
    # 133 rows in batches of 33: the last has one row, and the second rank none.
    "a rank without rows": {"task": "wine", "batch_size": 33, "steps": 25, "workers": 1},
    # Parameters outside of any list of modules, an average that is evaluated and averaged on.
    "pictures": {"task": "shapes", "batch_size": 31, "ema": 0.8, "evaluate_every": 4},
    # The best is behind them when they stop.
    "patience": {
        "task": "iris",
        "optimizer": "SGD",
        "optimizer_args": {"lr": 3.0},
        "evaluate_every": 2,
        "patience": 3,
        "steps": 60,
        "ema": 0.5,
    },
}
# One half on two ranks, the other on one; then the other way round. The best is in the first half.
CROSSING: dict[str, Any] = {
    **RUNS["everything"],
    "steps": 20,
    "optimizer": "SGD",
    "optimizer_args": {"lr": 1.0, "momentum": 0.9},
    "schedule_args": {"max_lr": 1.0},
    "clip_norm": 5.0,
    "ema": 0.5,
    "evaluate_every": 3,
    "patience": 5,
}
DROPOUT: dict[str, Any] = {"dropout": 0.3, "steps": 800, "checkpoint_every": 100, "log_every": 100}
# 1293 rows in batches of 323: the last has one row, and the second rank none.
MADE: dict[str, Any] = {"task": "digits_vae", "steps": 8, "batch_size": 323, "samples": 4}
NORMED: dict[str, Any] = {"task": "normed", "steps": 3, "batch_size": 15, "evaluate_every": 3}


def worst(ours: Path, theirs: Path) -> float:
    """The largest relative difference between the numbers in two logs with the same lines.

    But for those that say that a run went on elsewhere.
    """
    a, b = ([r for r in log(out) if r["event"] != "resume"] for out in (ours, theirs))
    assert [(r["event"], r["step"]) for r in a] == [(r["event"], r["step"]) for r in b]
    found = 0.0
    for one, other in zip(a[1:], b[1:], strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            if isinstance(value, float):
                found = max(found, abs(value - other[name]) / abs(other[name]))
            else:
                assert value == other[name]
    return found


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """Through torchrun, with everything that averages, accumulates or evaluates."""
    of = settings(**RUNS["everything"], **DOUBLE)
    given = {**RUNS["everything"], "dtype": "float64", "hidden": "16", "device": "cpu"}
    options = [
        f"--{name.replace('_', '-')}={json.dumps(value) if isinstance(value, dict) else value}"
        for name, value in {**given, "log_every": 1}.items()
    ]
    two, one = tmp_path / "two", tmp_path / "one"
    with torchrun("-m", "torch_ref.training", "digits", *options, f"--out={two}") as process:
        train("torch", of, one)
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert said.count("finished after step 50") == 1  # one rank speaks
    assert worst(two, one) < ROUNDING
    assert drift(two, one) < ROUNDING
    assert log(two)[0]["ranks"] == 2 and "ranks" not in log(one)[0]
    assert arrays(two)["average/n_averaged"] == 50  # once a step, however many parts it has
    norms = {r["gradient_norm"] > 0.5 for r in log(one) if r["event"] == "step"}
    assert norms == {True, False}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all runs on two ranks, of which the others are trained by one process."""
    out = tmp_path_factory.mktemp("ranks")
    jobs: dict[str, Any] = {}
    for strategy in STRATEGIES:
        way = {"strategy": strategy, **DOUBLE}
        for name, given in RUNS.items():
            jobs[f"{name} {strategy}"] = {**given, **way}, None
        for name, until in (("half", 10), ("onward", None)):
            jobs[f"{name} {strategy}"] = {**CROSSING, **way}, until
        train("torch", settings(**CROSSING, **way), out / f"onward {strategy}" / "rank0", until=10)
        jobs[f"normed {strategy}"] = {**NORMED, **way}, None
    jobs["whole"] = DROPOUT, None
    jobs["made"] = {**MADE, "evaluate_every": 4, **DOUBLE}, None
    with torchrun("-m", "parity_tests.harness.ranks", str(out), json.dumps(jobs)) as process:
        for name, given in (*RUNS.items(), ("crossing", CROSSING)):
            train("torch", settings(**given, **DOUBLE), out / name)
        said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said
    return out


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", RUNS)
def test_ranks_share_every_batch(name: str, strategy: str, trained: Path) -> None:
    ours = trained / f"{name} {strategy}" / "rank0"
    assert worst(ours, trained / name) < ROUNDING
    assert drift(ours, trained / name) < ROUNDING
    written, one = (read_weights(out / "model.safetensors")[0] for out in (ours, trained / name))
    assert written.keys() == one.keys()  # the model's own names
    for key, value in one.items():
        limit = ROUNDING * float(value.abs().max())
        torch.testing.assert_close(written[key], value, rtol=0, atol=limit)


@pytest.mark.slow
def test_the_first_rank_alone_writes(trained: Path) -> None:
    runs = [path for path in trained.iterdir() if (path / "rank0").exists()]
    assert len(runs) == 2 * (len(RUNS) + 3) + 2
    assert not [path for path in runs if (path / "rank1").exists()]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_checkpoint_of_two_ranks_goes_on_in_one_process(
    strategy: str, trained: Path, tmp_path: Path
) -> None:
    half = copy_run(trained / f"half {strategy}" / "rank0", tmp_path / "half")
    assert log(half)[-1]["step"] == 10  # where the second rank was asked to stop
    train("torch", settings(**CROSSING, **DOUBLE), half)
    assert worst(half, trained / "crossing") < ROUNDING
    assert drift(half, trained / "crossing") < ROUNDING
    assert [r["ranks"] for r in log(half) if "ranks" in r] == [2]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_checkpoint_of_one_process_goes_on_in_two_ranks(strategy: str, trained: Path) -> None:
    onward = trained / f"onward {strategy}" / "rank0"
    assert worst(onward, trained / "crossing") < ROUNDING
    assert drift(onward, trained / "crossing") < ROUNDING
    assert [r["event"] for r in log(onward) if "ranks" in r] == ["resume"]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_statistics_that_are_evaluated_are_those_that_are_written(
    strategy: str, trained: Path, tmp_path: Path
) -> None:
    """Each rank has its own; those of the first are used for all rows, and kept."""
    ours = trained / f"normed {strategy}" / "rank0"
    trainer = Trainer(settings(**NORMED, **DOUBLE), tmp_path)
    load_weights(trainer.model, ours / "model.safetensors")
    data = load(trainer.settings)
    found = trainer.evaluate(data.test_x, data.test_y)
    end = log(ours)[-1]
    assert abs(found["loss"] - end["loss"]) <= ROUNDING * end["loss"]
    assert found["accuracy"] == end["accuracy"]
    assert worst(ours, trained / "normed ddp" / "rank0") < ROUNDING


@pytest.mark.slow
def test_a_model_with_its_own_loss_is_trained_by_ranks(trained: Path, tmp_path: Path) -> None:
    """Each draws its own noise for its rows; what is evaluated and drawn is as in one process."""
    ours = trained / "made" / "rank0"
    of = settings(**MADE, evaluate_every=4, **DOUBLE)
    assert log(ours)[0]["rows"]["train"] % MADE["batch_size"] == 1
    found = [r["loss"] for r in log(ours) if r["event"] == "step"]
    assert found[-2] < found[0] - 1  # of a whole batch
    trainer = Trainer(of, tmp_path)
    load_weights(trainer.model, ours / "model.safetensors")
    data = load(of)
    once = trainer.evaluate(data.test_x, data.test_y)["loss"]
    assert abs(once - log(ours)[-1]["loss"]) <= ROUNDING * once
    names = {p.name for p in (ours / "samples").iterdir()}
    assert names == {"step-00000004.png", "step-00000008.png", "end.png"}


@pytest.mark.slow
def test_what_the_ranks_see_of_each_other(trained: Path) -> None:
    seen = [json.loads((trained / f"rank{rank}.json").read_text()) for rank in (0, 1)]
    assert [s.pop("share") for s in seen] == [[0, 1, 2, 3], [4, 5, 6]]
    first, second = (s.pop("warned") for s in seen)
    assert len(first) == 1 and "each of 2 ranks normalises by its own rows" in first[0]
    assert second == []
    assert seen[0] == {
        "gathered": list(range(7)),
        "none": [0],
        "sum": 3,
        "of_first": 0,
        "of_all": [0, 1],
        "asked": [False, False, True, False],
        "buffer": [0, 0],
        "scale": [2, True],  # both have noticed, and halve it
    }
    assert seen[1] == seen[0]


def workers(process: int) -> list[int]:
    """The ids of the processes that torchrun started."""
    found = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for path in found for child in path.read_text().split()]


@pytest.mark.slow
def test_runs_that_are_stopped_end_bit_for_bit_where_they_would_have(
    trained: Path, tmp_path: Path
) -> None:
    """One rank is killed, which ends all; the next time Ctrl-C does; dropout draws on."""
    out, last = tmp_path / "stopped", 0
    given = {**DROPOUT, "hidden": 16, "device": "cpu"}
    options = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    start = ("-m", "torch_ref.training", "digits", *options, f"--out={out}", "--resume")
    for killed in (True, False):
        with torchrun(*start) as process:
            while (step := last_step(out)) <= last:
                assert process.poll() is None
                time.sleep(0.002)
            last, ranks = step, workers(process.pid)
            assert len(ranks) == 2
            if killed:
                os.kill(ranks[1], signal.SIGKILL)
            else:
                process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=60)
        assert process.returncode and not (out / "model.safetensors").exists()
        assert not [rank for rank in ranks if Path(f"/proc/{rank}").exists()]
    stopped = last_step(out)
    assert f"interrupted after step {stopped:,}; the checkpoint is written" in said
    with torchrun(*start) as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert everything(out) == everything(trained / "whole" / "rank0")
    assert log(out) == log(trained / "whole" / "rank0")


def last_step(out: Path) -> int:
    """Of the last checkpoint."""
    found = checkpoints.latest(out / "checkpoints")
    return 0 if found is None else int(found.name.removeprefix("step-"))


# Without torchrun


def of_two() -> Ranks:
    """As the first of two, without the other."""
    ranks = Ranks()
    assert (ranks.rank, ranks.size, ranks.first) == (0, 1, True)
    ranks.size = 2
    return ranks


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"sync_batch_norm": True}, r"a GPU for each rank where sync_batch_norm is.*, got cpu"),
        ({"batch_size": 1}, "a row of each batch for each of 2 ranks, got 1"),
        ({"strategy": "fsdp", "channels_last": True}, "fsdp without channels_last, got both"),
        (
            {"task": "digits_vae", "strategy": "fsdp"},
            "ddp where the loss is the model's own, got fsdp",
        ),
        (
            {"strategy": "fsdp", "optimizer": "Rprop"},
            "an optimizer that can step shards, got Rprop",
        ),
    ],
)
def test_what_several_ranks_cannot_do_is_refused(given: dict[str, Any], expected: str) -> None:
    of, cpu = settings(**given), torch.device("cpu")
    with pytest.raises(ValueError, match=f"^Trainer: expected {expected}$"):
        of_two().check(of, cpu)
    Ranks().check(of, cpu)  # one process can


def test_a_gpu_for_several_ranks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match=r"^Trainer: expected a device of each rank.*'cuda:1'"):
        of_two().device("cuda:1")
    assert Ranks().device("cuda:1") == torch.device("cuda:1")


def test_sync_batch_norm_replaces_each_batch_norm_under_the_same_names() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    names = set(model.state_dict())
    assert Ranks().prepare(model, settings(sync_batch_norm=True)) is model
    assert type(model[1]) is nn.BatchNorm2d  # one process has nothing to do
    converted = of_two().prepare(model, settings(sync_batch_norm=True))
    assert [type(module) for module in converted.children()] == [nn.Conv2d, nn.SyncBatchNorm]
    assert set(converted.state_dict()) == names


def test_shares_cover_the_batch() -> None:
    ranks = of_two()
    ranks.size = 4
    for n in range(9):
        shares = []
        for ranks.rank in range(4):
            shares.append(ranks.share(np.arange(n)))
        assert np.concatenate(shares).tolist() == list(range(n))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
