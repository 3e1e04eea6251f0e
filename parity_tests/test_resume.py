"""Runs that are killed, cut short or moved to the other package go on as if nothing had been."""

import errno
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch

from datasets import checkpoints
from datasets.settings import NO_WARMUP, PLATEAU, SCHEDULES, Settings
from parity_tests.harness import killing
from parity_tests.harness.runs import (
    OTHER,
    SIDES,
    TRAINERS,
    arrays,
    copy_run,
    drift,
    everything,
    log,
    losses,
    settings,
    train,
)
from parity_tests.test_trainer import coloured as coloured
from scratch.random import Generator
from torch_ref.training import state

ROOT = Path(__file__).parent.parent
ALL_ON: dict[str, Any] = {
    "dropout": 0.3,
    "accumulate": 2,
    "batch_size": 16,
    "clip_norm": 1.0,
    "ema": 0.9,
    "patience": 5,
    "evaluate_every": 3,
    "schedule": "OneCycleLR",
}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 0.01},
    "SGD momentum": {"lr": 0.01, "momentum": 0.9, "nesterov": True},
    "Adam": {"lr": 1e-3},
    "AdamW": {"lr": 1e-3, "amsgrad": True},
    "NAdam": {"lr": 1e-3},
    "RAdam": {"lr": 1e-3},
    "Adamax": {"lr": 1e-3},
    "RMSprop": {"lr": 1e-3, "momentum": 0.9, "centered": True},
    "Adagrad": {"lr": 1e-2},
    "Adadelta": {"lr": 1.0},
    "Rprop": {"lr": 1e-3},
    "ASGD": {"lr": 1e-2, "t0": 3},
    "Adafactor": {"lr": 1e-2},
}
SCHEDULE_ARGS: dict[str, dict[str, Any]] = {
    "StepLR": {"step_size": 3},
    "MultiStepLR": {"milestones": [2, 7, 7, 9]},
    "ExponentialLR": {"gamma": 0.9},
    "CosineAnnealingWarmRestarts": {"T_0": 4},
    "CyclicLR": {"base_lr": 1e-4, "step_size_up": 4},
    "ConstantLR": {"total_iters": 8},
    "ReduceLROnPlateau": {"factor": 0.5, "patience": 0, "threshold": 0.5},
}

FAST_SCHEDULES = ("MultiStepLR", "OneCycleLR", "CyclicLR", PLATEAU)
LATER = [name for name in SCHEDULES if name not in NO_WARMUP]


def some(names: Iterable[str], fast: Sequence[str]) -> list[Any]:
    """All of the names, those that are not fast among the slow proofs."""
    slow = pytest.mark.slow
    return [name if name in fast else pytest.param(name, marks=slow) for name in names]


def cut_and_whole(first: str, then: str, of: Settings, out: Path, at: int = 6) -> None:
    """out/cut is begun by one package and ended by another, out/whole is the latter's alone."""
    train(then, of, out / "whole")
    train(first, of, out / "cut", until=at)
    train(then, of, out / "cut")


def goes_on_from_either(side: str, of: Settings, out: Path) -> None:
    """A run that was begun by the same package, and one by the other, against the whole one."""
    cut_and_whole(side, side, of, out)
    assert everything(out / "cut") == everything(out / "whole")
    train(OTHER[side], of, out / "moved", until=6)
    train(side, of, out / "moved")
    assert drift(out / "moved", out / "whole") < 1e-12


# The same package: bit for bit


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_run_that_was_cut_ends_bit_for_bit(side: str, dtype: str, tmp_path: Path) -> None:
    of = settings(steps=30, dtype=dtype, **ALL_ON)
    train(side, of, tmp_path / "whole")
    for at in (1, 6, 7, 29):
        train(side, of, tmp_path / "cut", until=at)
    train(side, of, tmp_path / "cut")
    assert everything(tmp_path / "cut") == everything(tmp_path / "whole")
    assert log(tmp_path / "cut") == log(tmp_path / "whole")


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", some(OPTIMIZERS, ("SGD momentum", "AdamW", "NAdam", "Adafactor")))
def test_every_optimizer_goes_on(side: str, name: str, tmp_path: Path) -> None:
    made: dict[str, Any] = {"optimizer": name.split()[0], "optimizer_args": OPTIMIZERS[name]}
    goes_on_from_either(side, settings(dtype="float64", **made), tmp_path)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", some(SCHEDULES, FAST_SCHEDULES))
def test_every_schedule_goes_on(side: str, name: str, tmp_path: Path) -> None:
    made: dict[str, Any] = {"schedule": name, "schedule_args": SCHEDULE_ARGS.get(name, {})}
    if name == PLATEAU:
        made |= {"evaluate_every": 2}
    goes_on_from_either(side, settings(dtype="float64", **made), tmp_path)
    moved, whole = (
        [r["lr"] for r in log(tmp_path / which) if r["event"] == "step"]
        for which in ("moved", "whole")
    )
    np.testing.assert_allclose(moved, whole, rtol=1e-14)
    assert len(set(whole)) > 1
    path = checkpoints.latest(tmp_path / "whole" / "checkpoints")
    assert path is not None  # whose infinities are none of Python's own words
    json.loads((path / "state.json").read_text(), parse_constant=pytest.fail)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("at", [3, 4, 6])
@pytest.mark.parametrize("name", some(LATER, ("MultiStepLR",)))
def test_a_rise_and_what_follows_go_on(side: str, at: int, name: str, tmp_path: Path) -> None:
    """Cut before the schedule takes over, where it does, and after that."""
    made: dict[str, Any] = {"schedule": name, "schedule_args": SCHEDULE_ARGS.get(name, {})}
    of = settings(dtype="float64", warmup=4, steps=9, hidden="4", **made)
    cut_and_whole(side, side, of, tmp_path, at=at)
    assert everything(tmp_path / "cut") == everything(tmp_path / "whole")
    assert log(tmp_path / "cut") == log(tmp_path / "whole")
    train(OTHER[side], of, tmp_path / "moved", until=at)
    train(side, of, tmp_path / "moved")
    assert drift(tmp_path / "moved", tmp_path / "whole") < 1e-12


def test_a_scalar_parameter_and_its_step_are_not_confused() -> None:
    """Both have the shape (): the one is float64, the other float32 whatever the parameter is."""

    def made() -> torch.optim.Optimizer:
        torch.manual_seed(0)
        shapes: list[tuple[int, ...]] = [(), (2, 3)]
        parameters = [torch.nn.Parameter(torch.randn(s, dtype=torch.float64)) for s in shapes]
        return torch.optim.Adam(parameters)

    def step(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
        parameters: list[torch.Tensor] = optimizer.param_groups[0]["params"]
        for p in parameters:
            p.grad = torch.cos(p.detach())
        optimizer.step()
        return parameters

    whole, cut = made(), made()
    step(whole)
    groups = json.loads(json.dumps(state.optimizer_groups(whole)))
    state.load_optimizer(cut, state.optimizer_tensors(whole), groups)
    for p, q in zip(step(cut), whole.param_groups[0]["params"], strict=True):
        assert cut.state[p]["step"].dtype == torch.float32 and cut.state[p]["step"] == 2
        assert cut.state[p]["exp_avg"].dtype == torch.float64 == p.dtype == q.dtype


def test_fp16s_scale_goes_on(tmp_path: Path) -> None:
    of = settings(precision="fp16", optimizer="SGD", optimizer_args={"lr": 0.1})
    train("torch", of, tmp_path / "cut", until=5).scaler.update(4.0)
    cut_and_whole("torch", "torch", of, tmp_path)
    assert everything(tmp_path / "cut") == everything(tmp_path / "whole")
    saved = checkpoints.read(tmp_path / "cut" / "checkpoints" / "step-00000012").state["scaler"]
    assert saved["_growth_tracker"] == 12


def test_what_autocast_began_goes_on_in_numpy(tmp_path: Path) -> None:
    """How exactly a run computes may change, and the log says so."""
    train("torch", settings(precision="fp16"), tmp_path, until=5)
    train("scratch", settings(), tmp_path)
    changes = [r for r in log(tmp_path) if r["event"] in ("start", "resume")]
    assert [(r["package"], r["precision"]) for r in changes] == [
        ("torch_ref", "fp16"),
        ("scratch", "fp32"),
    ]


def test_a_run_on_the_device_goes_on_bit_for_bit(device: str, tmp_path: Path) -> None:
    """With --device cuda its generator too, which draws the dropout there."""
    of = settings(steps=40, **{**ALL_ON, "device": device})
    cut_and_whole("torch", "torch", of, tmp_path, at=17)
    assert everything(tmp_path / "cut") == everything(tmp_path / "whole")
    assert log(tmp_path / "cut") == log(tmp_path / "whole")
    assert log(tmp_path / "cut")[0]["device"].startswith(device)


def test_a_run_on_the_device_goes_on_in_numpy(device: str, tmp_path: Path) -> None:
    given = {**ALL_ON, "patience": 50, "dropout": 0.0, "device": device}
    of = settings(steps=60, dtype="float64", **given)
    cut_and_whole("torch", "scratch", of, tmp_path, at=30)
    np.testing.assert_allclose(losses(tmp_path / "cut"), losses(tmp_path / "whole"), rtol=1e-11)


# The other package: within rounding


@pytest.mark.parametrize("first", SIDES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_other_package_goes_on(first: str, dtype: str, tmp_path: Path) -> None:
    """Optimizer, schedule, average, dropout, early stopping: a hundred steps on either side."""
    of = settings(steps=200, dtype=dtype, **{**ALL_ON, "patience": 50})
    cut_and_whole(first, OTHER[first], of, tmp_path, at=100)
    close = 1e-12 if dtype == "float64" else 1e-4
    for event in ("step", "evaluation"):
        found, expected = (losses(tmp_path / which, event) for which in ("cut", "whole"))
        np.testing.assert_allclose(found, expected, rtol=close)
    assert drift(tmp_path / "cut", tmp_path / "whole") < 10 * close
    assert [r["step"] for r in log(tmp_path / "cut") if r["event"] == "resume"] == [100]


@pytest.mark.parametrize("first", SIDES)
def test_the_other_package_goes_on_with_batch_norm(
    first: str, coloured: str, tmp_path: Path
) -> None:
    of = settings(coloured, dtype="float64", batch_size=20, ema=0.8, steps=10)
    trainer = TRAINERS["torch"](of, tmp_path / "start")
    trainer.save()  # the two starts differ by the rounding of normal draws
    for which in ("cut", "whole"):
        copy_run(tmp_path / "start", tmp_path / which)
    train(first, of, tmp_path / "cut", until=5)
    train(OTHER[first], of, tmp_path / "cut")
    train(OTHER[first], of, tmp_path / "whole")
    assert drift(tmp_path / "cut", tmp_path / "whole") < 1e-9
    found = arrays(tmp_path / "cut")
    assert found["model/bn1.num_batches_tracked"] == 10
    assert np.any(found["model/bn1.running_mean"] != 0)


def test_the_generators_go_on_from_each_other() -> None:
    with torch.random.fork_rng(devices=[]):
        for drawn in (0, 1, 3, 623, 624, 625, 2000):
            torch.manual_seed(11)
            ours = Generator(11)
            torch.rand(drawn), ours.rand(drawn)
            torch.randn(3, dtype=torch.float64), ours.randn(3, dtype=np.float64)
            theirs, mine = state.generator_state(), ours.get_state()
            assert theirs.pop("next_normal") == pytest.approx(mine.pop("next_normal"), rel=1e-14)
            assert theirs == mine
            moved = Generator(0).set_state(state.generator_state())
            expected = torch.rand(50).numpy()
            assert np.array_equal(moved.rand(50), expected)
            torch.manual_seed(0)
            state.set_generator_state(ours.get_state())
            assert np.array_equal(torch.rand(50).numpy(), expected)
            state.set_generator_state(ours.get_state())
            found = torch.randn(1, dtype=torch.float64).item()  # the half of a pair that waited
            assert found == pytest.approx(float(ours.randn(1, dtype=np.float64)[0]), rel=1e-14)


@pytest.mark.parametrize(
    "change",
    [{"key": [1, 2]}, {"position": 625}, {"key": [2**32] * 624}, {"more": 1}, {"position": None}],
)
def test_a_foreign_generator_is_refused(change: dict[str, Any]) -> None:
    before = torch.get_rng_state()
    with pytest.raises(ValueError, match=r"^set_generator_state: expected .*, got "):
        state.set_generator_state({**Generator(1).get_state(), **change})
    assert torch.equal(torch.get_rng_state(), before)


# Kills


ENDLESS = {"steps": 10**6, "patience": 10**6, "schedule": "CosineAnnealingWarmRestarts"}
KILLED = settings(**{**ALL_ON, **ENDLESS}, schedule_args={"T_0": 7}, checkpoint_every=1)


def survived(out: Path) -> None:
    """Whether the run that was killed ended in the same as the one that was left alone."""
    assert everything(out / "cut") == everything(out / "whole")
    cut, whole = log(out / "cut"), log(out / "whole")
    assert cut[0].pop("settings")["steps"] == 10**6 > whole[0].pop("settings")["steps"]
    assert cut == whole
    assert not list((out / "cut" / "checkpoints").glob(".*"))


@pytest.mark.parametrize("side", SIDES)
def test_a_run_that_is_killed_ends_bit_for_bit(side: str, tmp_path: Path) -> None:
    assert len(killing.main(side, tmp_path / "cut", 3, 0, KILLED)) == 3
    survived(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("side", SIDES)
def test_a_run_that_is_killed_twenty_times_ends_bit_for_bit(side: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "parity_tests.harness.killing", side, str(tmp_path / "cut")]
    command += ["20", "1", json.dumps(KILLED.as_dict())]
    threads = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment = {**os.environ, **threads}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    survived(tmp_path)
    seen = json.loads(done.stdout)
    assert len(seen) == 20
    assert sum(unfinished > 0 for _, unfinished in seen) >= 2  # in the middle of a checkpoint
    assert len({step for step, _ in seen}) >= 5


# What is refused


def spoil_truncated(path: Path) -> None:
    file = path / "optimizer.safetensors"
    file.write_bytes(file.read_bytes()[:-3])


def spoil_changed(path: Path) -> None:
    file = path / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def spoil_absent(path: Path) -> None:
    (path / "model.safetensors").unlink()


def spoil_no_state(path: Path) -> None:
    (path / "state.json").unlink()


def spoil_half_state(path: Path) -> None:
    file = path / "state.json"
    file.write_text(file.read_text()[:200])


def spoil_step(path: Path) -> None:
    file = path / "state.json"
    file.write_text(file.read_text().replace('"step": 4,', '"step": 5,', 1))


def spoil_format(path: Path) -> None:
    (path / "state.json").write_text('{"format": "another", "step": 4}')


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """A checkpoint that is whole, and says something else."""
    whole = json.loads((path / "state.json").read_text())
    del whole["sha256"]
    change(whole)
    text = json.dumps(whole, sort_keys=True)
    whole["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (path / "state.json").write_text(json.dumps(whole))


def spoil_version(path: Path) -> None:
    rewrite(path, lambda whole: whole.update(version=2))


def spoil_groups(path: Path) -> None:
    rewrite(path, lambda whole: whole["param_groups"][0].pop("eps"))


def spoil_two_groups(path: Path) -> None:
    rewrite(path, lambda whole: whole["param_groups"].append(whole["param_groups"][0]))


def spoil_schedule(path: Path) -> None:
    rewrite(path, lambda whole: whole["schedule"].pop("T_max"))


def spoil_generator(path: Path) -> None:
    rewrite(path, lambda whole: whole["generator"].update(key=[0, 1]))


def spoil_entries(path: Path) -> None:
    rewrite(path, lambda whole: whole.pop("early_stopping"))


def spoil_outside(path: Path) -> None:
    rewrite(path, lambda whole: whole["files"].update({"../../log.jsonl": {}}))


def spoil_files(path: Path) -> None:
    rewrite(path, lambda whole: whole["files"].pop("optimizer.safetensors"))


def replace_file(path: Path, name: str, content: bytes) -> None:
    (path / name).write_bytes(content)
    sums = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    rewrite(path, lambda whole: whole["files"].update({name: sums}))


def spoil_pickle(path: Path) -> None:
    """Its loading would end the process."""
    replace_file(path, "model.safetensors", b"cos\n_exit\n(I7\ntR.")


def spoil_shape(path: Path) -> None:
    found = safetensors.numpy.load((path / "optimizer.safetensors").read_bytes())
    found["state.0.exp_avg"] = found["state.0.exp_avg"][:3].copy()
    replace_file(path, "optimizer.safetensors", safetensors.numpy.save(found))


def spoil_key(path: Path) -> None:
    found = safetensors.numpy.load((path / "model.safetensors").read_bytes())
    found["layers.9.weight"] = found.pop("layers.0.weight")
    replace_file(path, "model.safetensors", safetensors.numpy.save(found))


def spoil_best(path: Path) -> None:
    found = safetensors.numpy.load((path / "best.safetensors").read_bytes())
    found["layers.9.weight"] = found.pop("layers.0.weight")
    replace_file(path, "best.safetensors", safetensors.numpy.save(found))


SPOILT: dict[Callable[[Path], None], str] = {
    spoil_truncated: "optimizer.safetensors of",
    spoil_changed: "model.safetensors with another sha256",
    spoil_absent: "one without model.safetensors",
    spoil_no_state: "one without state.json",
    spoil_half_state: "state.json that is no JSON",
    spoil_step: "state.json that was changed",
    spoil_format: "state.json of another format",
    spoil_version: "version 1, got 2",
    spoil_groups: "'eps'",
    spoil_two_groups: "expected 1 groups",
    spoil_schedule: "T_max",
    spoil_generator: "624 words",
    spoil_entries: "without early_stopping",
    spoil_outside: "../../log.jsonl",
    spoil_files: "optimizer",
    spoil_pickle: "whole safetensors file",
    spoil_shape: "exp_avg",
    spoil_key: "layers.9.weight",
    spoil_best: "the keys and shapes of the m",
}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
def test_a_spoilt_checkpoint_is_refused(
    side: str, spoil: Callable[[Path], None], tmp_path: Path
) -> None:
    evaluated: dict[str, Any] = {"patience": 9, "evaluate_every": 2}
    of = settings(schedule="CosineAnnealingLR", checkpoint_every=2, **evaluated)
    train(side, of, tmp_path, until=4)
    path = tmp_path / "checkpoints" / "step-00000004"
    spoil(path)
    (tmp_path / "checkpoints" / ".step-00000006.1.new").mkdir()
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(ValueError, match=r": expected .*, got ") as error:
        TRAINERS[side](of, tmp_path, resume=True)
    assert SPOILT[spoil] in str(error.value), str(error.value)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    for file in (*path.iterdir(), path):  # the one before it is still there to go on from
        file.rmdir() if file.is_dir() else file.unlink()
    assert TRAINERS[side](of, tmp_path, resume=True).step_count == 2
    assert not list((tmp_path / "checkpoints").glob(".*"))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, "seed 0 for 1"),
        ({"hidden": "8"}, "hidden [16] for [8]"),
        ({"optimizer": "SGD"}, "optimizer 'AdamW' for 'SGD'"),
        ({"lr": 0.5}, "optimizer_args"),
        ({"dtype": "float64"}, "dtype 'float32' for 'float64'"),
        ({"schedule": "OneCycleLR"}, "schedule None for 'OneCycleLR'"),
        ({"ema": 0.5}, "ema None for 0.5"),
        ({"warmup": 3}, "warmup 0 for 3"),
        ({"accumulate": 2}, "accumulate 1 for 2"),
        ({"batch_size": 5}, "batch_size 64 for 5"),
        ({"patience": 5}, "patience None for 5"),
        ({"steps": 3}, "step 4 beyond the last, 3"),
    ],
)
def test_another_run_is_refused_by_what_differs(
    side: str, change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    train(side, settings(), tmp_path, until=4)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(ValueError, match=r"^load_state: expected .* of the same run, got ") as e:
        TRAINERS[side](settings(**change), tmp_path, resume=True)
    assert words in str(e.value)
    with pytest.raises(FileExistsError, match="holds a run"):
        TRAINERS[side](settings(**change), tmp_path)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    fresh = TRAINERS[side](settings(**change), tmp_path, overwrite=True)
    assert fresh.step_count == 0 and checkpoints.latest(tmp_path / "checkpoints") is None


@pytest.mark.parametrize("side", SIDES)
def test_a_run_may_go_further_than_it_was_meant_to(side: str, tmp_path: Path) -> None:
    train(side, settings(steps=8), tmp_path / "more")
    train(side, settings(steps=12, keep=1, log_every=2), tmp_path / "more")
    train(side, settings(steps=12), tmp_path / "whole")
    assert drift(tmp_path / "more", tmp_path / "whole") == 0
    assert [p.name for p in (tmp_path / "more" / "checkpoints").iterdir()] == ["step-00000012"]


# A full disk


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("call", range(5))
def test_a_full_disk_loses_no_earlier_checkpoint(
    side: str, call: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No space is left at the first, second, ... file of the second checkpoint."""
    of = settings(ema=0.5)
    train(side, of, tmp_path / "whole")
    train(side, of, tmp_path / "cut", until=4)
    trainer, calls, sync = TRAINERS[side](of, tmp_path / "cut", resume=True), [], os.fsync

    def fsync(handle: int) -> None:
        calls.append(handle)
        if len(calls) == call + 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="No space left"):
        trainer.run(interrupted=lambda: trainer.step_count == 8)
    monkeypatch.undo()
    names = [p.name for p in (tmp_path / "cut" / "checkpoints").iterdir()]
    assert names == ["step-00000004"]
    train(side, of, tmp_path / "cut")
    assert everything(tmp_path / "cut") == everything(tmp_path / "whole")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="names of open files from Linux")
def test_all_is_on_the_disk_before_the_earlier_one_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files and their folder, then the name that counts, then the folder of that name."""
    folder = tmp_path / "checkpoints"
    checkpoints.write(folder, 1, {"model": b"one"}, {}, keep=1)
    done: list[str] = []
    sync, rename = os.fsync, Path.rename

    def fsync(handle: int) -> None:
        done.append(f"sync {Path(os.readlink(f'/proc/self/fd/{handle}')).name}")
        sync(handle)

    def renamed(path: Path, target: Path) -> Path:
        done.append(f"rename {path.name} {target.name}")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "rename", renamed)
    checkpoints.write(folder, 2, {"model": b"two"}, {}, keep=1)
    hidden = f".step-00000002.{os.getpid()}.new"
    assert done == [
        "sync model.safetensors",
        "sync state.json",
        f"sync {hidden}",
        f"rename {hidden} step-00000002",
        "sync checkpoints",
        "rename step-00000001 .step-00000001.old",
    ]
    assert [p.name for p in folder.iterdir()] == ["step-00000002"]


def test_a_real_limit_on_files_loses_no_earlier_checkpoint(tmp_path: Path) -> None:
    """A process that may write no file above 20 KB fails at a model of 40 KB, and says so."""
    code = (
        "import json, resource, sys\n"
        "from datasets.settings import Settings\n"
        "from scratch.training import Trainer\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "given = json.loads(sys.argv[2])\n"
        "made = Settings(**{**given, 'hidden': tuple(given['hidden'])})\n"
        "trainer = Trainer(made, sys.argv[1], resume=True)\n"
        "try: trainer.run()\n"
        "except OSError as error: print(trainer.step_count, error.strerror)\n"
    )
    of = settings(hidden="128")
    train("scratch", of, tmp_path, until=4)
    before = everything_but_weights(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), json.dumps(of.as_dict())],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout == "12 File too large\n", done.stderr
    assert everything_but_weights(tmp_path) == before
    train("scratch", of, tmp_path)


def everything_but_weights(out: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(out)): p.read_bytes()
        for p in (out / "checkpoints").rglob("*")
        if p.is_file()
    }


# The folder


def test_as_many_checkpoints_as_asked_for_are_kept(tmp_path: Path) -> None:
    for side in SIDES:
        train(side, settings(checkpoint_every=2, keep=2), tmp_path / side)
        names = sorted(p.name for p in (tmp_path / side / "checkpoints").iterdir())
        assert names == ["step-00000010", "step-00000012"]


@pytest.mark.parametrize("side", SIDES)
def test_overwriting_leaves_nothing_of_the_earlier_run(side: str, tmp_path: Path) -> None:
    train(side, settings(), tmp_path)
    trainer = TRAINERS[side](settings(seed=1, steps=3), tmp_path, overwrite=True)
    assert not (tmp_path / "model.safetensors").exists()
    trainer.run()
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-00000003"]
    assert [r["step"] for r in log(tmp_path)] == [0, 1, 2, 3, 3]


def test_the_log_is_cut_back_to_the_checkpoint(tmp_path: Path) -> None:
    of = settings(evaluate_every=3, validation=0.1)
    train("scratch", of, tmp_path / "whole")
    train("scratch", of, tmp_path / "cut", until=6)
    with (tmp_path / "cut" / "log.jsonl").open("a") as file:
        file.write('{"event": "step", "step": 7, "loss": 1.0}\n{"event": "st')
    train("scratch", of, tmp_path / "cut")
    assert log(tmp_path / "cut") == log(tmp_path / "whole")
    (tmp_path / "cut" / "log.jsonl").unlink()
    train("scratch", of, tmp_path / "cut")  # and where there is none it begins anew
    assert [r["event"] for r in log(tmp_path / "cut")] == ["start", "end"]


def test_checkpoints_say_where_the_run_is(tmp_path: Path) -> None:
    """1437 rows, batches of 16 x 2: 45 steps an epoch."""
    for side in SIDES:
        train(side, settings(batch_size=16, accumulate=2, steps=50), tmp_path / side)
        found = checkpoints.latest(tmp_path / side / "checkpoints")
        assert found is not None
        state = checkpoints.read(found).state
        assert state["sampler"] == {"seed": 0, "epoch": 1, "position": 5}
        assert (state["format"], state["version"], state["step"]) == ("parity checkpoint", 1, 50)
