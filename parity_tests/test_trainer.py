"""The trainers: both take the same steps and log the same, and each option does what it says."""

import dataclasses
import json
import os
import runpy
import signal
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datasets import settings as runs
from datasets.log import Best, Log, interruptible
from datasets.settings import PLATEAU, Settings, load, resolve
from datasets.tabular import Dataset, digits
from datasets.tasks import TASKS, get
from parity_tests.harness.runs import (
    SIDES,
    TRAINERS,
    arrays,
    drift,
    log,
    losses,
    settings,
    train,
)

EVERYTHING: dict[str, Any] = {
    "dtype": "float64",
    "dropout": 0.2,
    "accumulate": 3,
    "batch_size": 16,
    "clip_norm": 0.5,
    "ema": 0.9,
    "evaluate_every": 7,
    "schedule": "OneCycleLR",
    "schedule_args": {"max_lr": 0.02},
    "optimizer": "SGD",
    "optimizer_args": {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-3},
}


def pictures(seed: int) -> Dataset:
    """A hundred digits in three colours."""
    data = digits()
    x = np.repeat(data.x[:100].reshape(-1, 1, 8, 8), 3, axis=1).astype(np.float32)
    return Dataset(x, data.y[:100], ("r", "g", "b"), data.target_names, "digits")


@pytest.fixture
def coloured(monkeypatch: pytest.MonkeyPatch) -> str:
    """A task that a network with batch normalisation learns."""
    small = {"num_classes": 10, "width": 4, "stem": "3x3"}
    task = dataclasses.replace(get("cifar10"), name="coloured", data=pictures, model_args=small)
    monkeypatch.setitem(TASKS, "coloured", task)
    return "coloured"


# The same run on both sides


def test_both_trainers_take_the_same_200_steps_with_everything_on(tmp_path: Path) -> None:
    of = settings(steps=200, **EVERYTHING)
    for side in SIDES:
        train(side, of, tmp_path / side)
    ours, theirs = log(tmp_path / "scratch"), log(tmp_path / "torch")
    assert [(r["event"], r["step"], r.keys()) for r in ours] == [
        (r["event"], r["step"], r.keys()) for r in theirs
    ]
    assert [r["event"] for r in ours].count("step") == 200
    assert len({r["lr"] for r in ours if r["event"] == "step"}) > 100  # the schedule went on
    assert {r["gradient_norm"] > 0.5 for r in ours if r["event"] == "step"} == {True, False}
    for a, b in zip(ours[1:], theirs[1:], strict=True):
        assert a.keys() == b.keys() and a["step"] == b["step"]
        for name, value in a.items():
            assert value == b[name] or abs(value - b[name]) <= 1e-12 * abs(b[name]), (a, b)
    assert drift(tmp_path / "scratch", tmp_path / "torch") < 1e-11
    assert losses(tmp_path / "torch")[-1] < losses(tmp_path / "torch")[0] / 2


def test_the_first_lines_have_the_same_keys_and_all_flags(tmp_path: Path) -> None:
    of = settings(steps=1)
    first = {}
    for side in SIDES:
        train(side, of, tmp_path / side)
        first[side] = log(tmp_path / side)[0]
    assert first["scratch"].keys() == first["torch"].keys()
    assert first["scratch"]["settings"] == first["torch"]["settings"] == of.as_dict()
    assert first["scratch"]["rows"] == first["torch"]["rows"]
    assert first["scratch"]["parameters"] == first["torch"]["parameters"]
    assert first["torch"]["flags"] == torch_flags("ieee", True)
    assert first["torch"]["versions"]["torch"] == torch.__version__


def torch_flags(value: str, parity: bool) -> dict[str, Any]:
    names = ("cuda.matmul", "cudnn.conv", "cudnn.rnn")
    return {
        **{f"{name}.fp32_precision": value for name in names},
        "cudnn.deterministic": parity,
        "cudnn.benchmark": not parity,
        "deterministic_algorithms": False,
    }


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("accumulate", [2, 4])
def test_accumulated_batches_are_the_whole_batch(
    side: str, accumulate: int, tmp_path: Path
) -> None:
    """48 rows whole and in parts; the last batch of the epoch, 45 of 1437, in uneven parts."""
    common: dict[str, Any] = {"dtype": "float64", "steps": 31, "clip_norm": 1.0}
    train(side, settings(batch_size=48, **common), tmp_path / "whole")
    parts = settings(batch_size=48 // accumulate, accumulate=accumulate, **common)
    train(side, parts, tmp_path / "parts")
    np.testing.assert_allclose(losses(tmp_path / "parts"), losses(tmp_path / "whole"), rtol=1e-12)
    assert drift(tmp_path / "parts", tmp_path / "whole") < 1e-11


@pytest.mark.parametrize("side", SIDES)
def test_what_is_evaluated_is_the_average(side: str, tmp_path: Path) -> None:
    trainer = train(side, settings(ema=0.8, dtype="float64"), tmp_path)
    found = arrays(tmp_path)
    assert float(found["average/n_averaged"]) == 12
    expected: Any = None
    for step in range(1, 13):  # the mean by hand, from the weights after each step
        train(side, settings(dtype="float64", steps=step), tmp_path / f"{step}")
        weight = arrays(tmp_path / f"{step}")["model/layers.0.weight"]
        expected = weight if expected is None else 0.8 * expected + 0.2 * weight
    np.testing.assert_allclose(found["average/module.layers.0.weight"], expected, rtol=1e-12)
    assert not np.array_equal(found["average/module.layers.0.weight"], weight)
    written = arrays_of(tmp_path / "model.safetensors")
    assert np.array_equal(written["layers.0.weight"], found["average/module.layers.0.weight"])
    data = load(trainer.settings)
    again = trainer.evaluate(data.test_x, data.test_y)
    assert log(tmp_path)[-1] == {"event": "end", "step": 12, **again}


def arrays_of(path: Path) -> dict[str, Any]:
    from scratch.training import read_weights

    return read_weights(path)[0]


# Validation and early stopping


def test_validation_rows_are_cut_from_the_training_rows() -> None:
    whole, part = load(settings()), load(settings(validation=0.25, evaluate_every=5))
    assert np.array_equal(whole.test_x, part.test_x) and np.array_equal(whole.test_y, part.test_y)
    assert len(part.validation_x) == 360 and len(part.train_x) + 360 == len(whole.train_x)
    both = np.concatenate([part.train_x, part.validation_x])
    assert sorted(map(tuple, both.tolist())) == sorted(map(tuple, whole.train_x.tolist()))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("ema", [None, 0.5])
def test_early_stopping_restores_the_best(side: str, ema: float | None, tmp_path: Path) -> None:
    """A rate that ends in divergence: the loss falls, then rises."""
    rising: dict[str, Any] = {
        "optimizer": "SGD",
        "schedule": "ExponentialLR",
        "schedule_args": {"gamma": 1.3},
        "lr": 0.05,
    }
    of = settings(steps=200, evaluate_every=2, patience=4, ema=ema, **rising)
    trainer = train(side, of, tmp_path)
    records = log(tmp_path)
    validations = [r for r in records if r["event"] == "evaluation"]
    found = [r["loss"] for r in validations]
    best = int(np.argmin(found))
    assert best > 0 and len(found) == best + 1 + 4 and trainer.step_count < 200
    assert [r["best"] for r in validations][best:] == [True, False, False, False, False]
    stop = records[-2]
    assert stop["event"] == "early stop" and stop["step"] == trainer.step_count
    assert stop["best_step"] == validations[best]["step"] and stop["best_loss"] == found[best]
    data = load(of)
    restored = trainer.evaluate(data.validation_x, data.validation_y)["loss"]
    assert restored == found[best] < found[-1]
    train(side, of, tmp_path)  # once more: it is over
    assert log(tmp_path) == records


def test_early_stopping_by_hand() -> None:
    watch = Best()
    assert watch.state() == {"best": None, "step": 0, "bad": 0}
    seen = [watch.update(step, loss) for step, loss in enumerate([3.0, 2.0, 2.0, float("nan")], 1)]
    assert seen == [True, True, False, False] and (watch.step, watch.bad) == (2, 2)
    assert Best.of(json.loads(json.dumps(watch.state()))) == watch


# Rates


def rates(out: Path) -> list[float]:
    return [r["lr"] for r in log(out) if r["event"] == "step"]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", [None, "CosineAnnealingLR", "CosineAnnealingWarmRestarts"])
def test_the_rate_rises_and_the_schedule_begins(
    side: str, name: str | None, tmp_path: Path
) -> None:
    """k / 5 of it at the first four steps; then what would have been without them."""
    made: dict[str, Any] = {"hidden": "4", "lr": 0.02, "schedule": name}
    if name == "CosineAnnealingWarmRestarts":
        made["schedule_args"] = {"T_0": 3}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(side, settings(warmup=4, steps=11, **made), tmp_path / "risen")
        train(side, settings(steps=7, **made), tmp_path / "alone")
    found = rates(tmp_path / "risen")
    np.testing.assert_allclose(found[:4], [0.02 * k / 5 for k in range(1, 5)], rtol=1e-14)
    np.testing.assert_allclose(found[4:], rates(tmp_path / "alone"), rtol=1e-14)
    assert found[4] == pytest.approx(0.02)


@pytest.mark.parametrize("side", SIDES)
def test_the_rate_falls_where_the_validation_loss_does_not(side: str, tmp_path: Path) -> None:
    """By hand from the log: halved after the evaluation that is the second bad one in a row."""
    waits = {"factor": 0.5, "patience": 1, "threshold": 0.1}
    of = settings(steps=90, evaluate_every=3, schedule=PLATEAU, schedule_args=waits, lr=0.05)
    train(side, of, tmp_path)
    best, bad, rate, fell = float("inf"), 0, 0.05, 0
    for record in log(tmp_path)[1:-1]:
        if record["event"] == "step":
            assert record["lr"] == rate
            continue
        best, bad = (found, 0) if (found := record["loss"]) < best * 0.9 else (best, bad + 1)
        if bad > 1:
            rate, bad, fell = rate / 2, 0, fell + 1
    assert 1 < fell < 14


# torch's side of it


def test_worker_processes_load_the_same_batches(tmp_path: Path) -> None:
    common: dict[str, Any] = {"accumulate": 2, "dropout": 0.3, "steps": 20, "batch_size": 40}
    train("torch", settings(**common), tmp_path / "memory")
    train("torch", settings(workers=2, **common), tmp_path / "workers")
    ours, theirs = (log(tmp_path / name)[1:] for name in ("memory", "workers"))
    assert ours == theirs
    assert drift(tmp_path / "workers", tmp_path / "memory") == 0


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16", "fp16"])
def test_every_precision_learns_on_the_device(
    device: str, precision: str, coloured: str, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"device": device, "precision": precision, "batch_size": 32}
    trainer = train("torch", settings(coloured, channels_last=True, steps=12, **given), tmp_path)
    found = losses(tmp_path)
    assert np.mean(found[-3:]) < np.mean(found[:3]) and trainer.device.type == device
    assert log(tmp_path)[0]["precision"] == precision


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_autocast_rounds_products_and_nothing_else(precision: str, tmp_path: Path) -> None:
    common: dict[str, Any] = {"steps": 40, "optimizer": "SGD", "lr": 0.1, "clip_norm": 5.0}
    train("torch", settings(**common), tmp_path / "fp32")
    trainer = train("torch", settings(precision=precision, **common), tmp_path / precision)
    assert {p.dtype for p in trainer.model.parameters()} == {torch.float32}
    assert all(array.dtype == np.float32 for array in arrays(tmp_path / precision).values())
    exact, rounded = losses(tmp_path / "fp32"), losses(tmp_path / precision)
    eps = 2.0**-8 if precision == "bf16" else 2.0**-11
    assert 0 < np.max(np.abs(rounded - exact) / exact) < 8 * eps
    assert rounded[-1] < 0.7 * rounded[0]
    assert log(tmp_path / precision)[0]["flags"] == torch_flags("tf32", False)
    scaled = trainer.scaler.state_dict()
    assert (scaled["scale"] > 1) if precision == "fp16" else not scaled
    norms = [r["gradient_norm"] for r in log(tmp_path / precision) if r["event"] == "step"]
    plain = [r["gradient_norm"] for r in log(tmp_path / "fp32") if r["event"] == "step"]
    np.testing.assert_allclose(norms, plain, rtol=0.1)  # of the gradient, not of the scaled one


def test_a_step_waits_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU each of these would wait for all that was asked of it before."""
    given: dict[str, Any] = {"optimizer": "SGD", "lr": 0.1, "clip_norm": 1.0, "accumulate": 2}
    trainer = TRAINERS["torch"](settings(schedule="CosineAnnealingLR", **given), tmp_path)
    batches = trainer.batches()
    trainer.step(next(batches))
    with monkeypatch.context() as patched:
        for name in ("item", "tolist", "numpy", "cpu", "__bool__", "__float__", "__int__"):
            patched.setattr(torch.Tensor, name, None)
        for _ in range(3):
            trainer.step(next(batches))
    assert trainer.step_count == 4 and isinstance(trainer._loss, torch.Tensor)


def test_scratch_refuses_autocast(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^Trainer: expected precision fp32, got bf16"):
        TRAINERS["scratch"](settings(precision="bf16"), tmp_path)


@pytest.mark.parametrize("engine", ["foreach", "fused", "for-loop"])
def test_engines_of_the_optimizer_agree(engine: str, tmp_path: Path) -> None:
    train("torch", settings(dtype="float64"), tmp_path / "auto")
    trainer = train("torch", settings(dtype="float64", engine=engine), tmp_path / engine)
    group = trainer.optimizer.param_groups[0]
    assert group["fused"] is (True if engine == "fused" else None) or engine != "fused"
    assert (group["foreach"], group["fused"]) == {
        "foreach": (True, None),
        "fused": (None, True),
        "for-loop": (False, None),
    }[engine]
    np.testing.assert_allclose(losses(tmp_path / engine), losses(tmp_path / "auto"), rtol=1e-12)


def test_channels_last_changes_the_layout_only(coloured: str, tmp_path: Path) -> None:
    common: dict[str, Any] = {"steps": 4, "batch_size": 16}
    train("torch", settings(coloured, **common), tmp_path / "first")
    of = settings(coloured, channels_last=True, **common)
    trainer = train("torch", of, tmp_path / "last", until=2)
    assert trainer.model.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    trainer = train("torch", of, tmp_path / "last")
    weight = trainer.model.layer1[0].conv1.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert trainer.optimizer.state[weight]["momentum_buffer"].stride() == weight.stride()
    np.testing.assert_allclose(losses(tmp_path / "last"), losses(tmp_path / "first"), rtol=1e-4)


def test_compiled_wiring(coloured: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.compile is asked for the forward, and leaves no mark in the names."""
    asked = []

    def compiled(model: Any) -> Any:
        asked.append(model)
        wrapped = torch._dynamo.OptimizedModule(model, torch._dynamo.disable())  # type: ignore
        return wrapped

    monkeypatch.setattr(torch, "compile", compiled)
    of = settings(coloured, steps=3, compile=True, ema=0.5)
    trainer = train("torch", of, tmp_path / "compiled")
    assert asked == [trainer.model] and type(trainer.forward).__name__ == "OptimizedModule"
    train("torch", settings(coloured, steps=3, ema=0.5), tmp_path / "plain")
    assert drift(tmp_path / "compiled", tmp_path / "plain") == 0


@pytest.mark.slow
def test_compiled_for_real(tmp_path: Path) -> None:
    train("torch", settings(dtype="float64", compile=True), tmp_path / "compiled")
    train("torch", settings(dtype="float64"), tmp_path / "plain")
    assert drift(tmp_path / "compiled", tmp_path / "plain") < 1e-11


@pytest.mark.slow
def test_event_files(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    of = settings(tensorboard=True, evaluate_every=4, validation=0.1)
    train("torch", of, tmp_path, until=6)
    train("torch", of, tmp_path)
    found = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert {"step/loss", "step/lr", "evaluation/loss", "end/accuracy"} <= set(
        found.Tags()["scalars"]
    )
    scalars = found.Scalars("step/loss")
    assert [s.step for s in scalars] == list(range(1, 13))
    np.testing.assert_allclose([s.value for s in scalars], losses(tmp_path), rtol=1e-6)


def test_a_run_leaves_the_callers_random_numbers_alone(tmp_path: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    train("torch", settings(dropout=0.5), tmp_path)
    assert torch.equal(torch.rand(3), expected)


# Options


def test_what_is_left_out_is_the_recipe() -> None:
    task = get("digits")
    made = resolve("digits")
    assert (made.model, made.hidden, made.optimizer, made.steps) == (
        task.model,
        task.hidden,
        task.optimizer,
        task.steps,
    )
    assert made.optimizer_args == task.optimizer_args and made.evaluate_every == 0
    assert resolve("digits", {"lr": 0.5}).optimizer_args == {"lr": 0.5, "weight_decay": 0.3}
    assert resolve("digits", {"optimizer": "SGD"}).optimizer_args == {"lr": 0.001}
    # 1437 rows, 1293 without the validation rows: 23 and 21 batches of 64
    assert resolve("digits", {"epochs": 2}).steps == 46
    patient = resolve("digits", {"epochs": 2, "patience": 3})
    assert (patient.steps, patient.evaluate_every, patient.validation) == (42, 21, 0.1)
    cosine = resolve("digits", {"schedule": "CosineAnnealingLR", "steps": 77})
    assert cosine.schedule_args == {"T_max": 77}
    risen = resolve("digits", {"schedule": "CosineAnnealingLR", "steps": 77, "warmup": 7})
    assert risen.schedule_args == {"T_max": 70}
    waiting = resolve("digits", {"schedule": PLATEAU})
    assert (waiting.validation, waiting.evaluate_every) == (0.1, 21)
    assert resolve("digits_vae").samples == 64 and resolve("digits").samples == 0
    with pytest.raises(ValueError, match=r"MLP only, got dropout 0.5 for SimpleCNN"):
        resolve("shapes", {"dropout": 0.5})
    assert resolve("digits", {"evaluate_every": 0}).validation == 0
    assert resolve("shapes").hidden == () and resolve("shapes").model == "SimpleCNN"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"stepps": 3}, "stepps"),
        ({"steps": 0}, "steps >= 1"),
        ({"steps": 3, "epochs": 2}, "steps or epochs"),
        ({"accumulate": 0}, "accumulate >= 1"),
        ({"clip_norm": 0.0}, "clip_norm in"),
        ({"ema": 1.5}, "ema in"),
        ({"dropout": 1.0}, "dropout in"),
        ({"validation": 1.0}, "validation in"),
        ({"patience": 0}, "patience >= 1"),
        ({"dtype": "float16"}, "dtype to be one of"),
        ({"precision": "fp8"}, "precision to be one of"),
        ({"precision": "bf16", "dtype": "float64"}, "float64 at precision fp32"),
        ({"schedule": "LambdaLR"}, "schedule to be one of"),
        ({"schedule_args": {"gamma": 0.1}}, "a schedule where"),
        ({"engine": "turbo"}, "engine to be one of"),
        ({"hidden": "4,-1"}, "positive widths"),
        ({"seed": -1}, "seed"),
        ({"optimizer_args": [1, 2]}, "optimizer_args by name"),
        ({"keep": 0}, "keep >= 1"),
        ({"workers": -1}, "workers >= 0"),
        ({"evaluate_every": 3, "validation": 0.0}, "validation > 0"),
        ({"warmup": -1}, "warmup >= 0"),
        ({"warmup": 7, "steps": 7}, "warmup below the 7 steps"),
        ({"warmup": 3, "schedule": "OneCycleLR"}, "warmup 3 before OneCycleLR"),
        ({"warmup": 3, "schedule": "CyclicLR"}, "warmup 3 before CyclicLR"),
        ({"warmup": 3, "schedule": PLATEAU}, "warmup 3 before ReduceLROnPlateau"),
        ({"schedule": PLATEAU, "validation": 0.0}, "evaluate_every > 0 where ReduceLROnPlateau"),
        ({"schedule": PLATEAU, "schedule_args": {"mode": "max"}}, "sees the loss"),
        ({"samples": 9}, "generative task only"),
    ],
)
def test_resolve_refuses(given: dict[str, Any], words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=r"^(resolve|Settings): expected ") as error:
        resolve("digits", given)
    assert words in str(error.value)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"optimizer": "Adma"}, "Adma"),
        ({"optimizer_args": {"rl": 1}}, "rl"),
        ({"schedule": "StepLR"}, "step_size"),
        ({"model": "LeNet5"}, "LeNet5"),
    ],
)
def test_trainer_refuses(side: str, given: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        TRAINERS[side](settings("moons", **given), tmp_path)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("side", SIDES)
def test_a_loss_that_is_not_finite_ends_the_run(side: str, tmp_path: Path) -> None:
    wild: dict[str, Any] = {"optimizer": "SGD", "lr": 1e30, "steps": 50}
    refused = pytest.raises(FloatingPointError, match=r"the loss is (nan|inf) at step")
    with np.errstate(all="ignore"), refused:
        train(side, settings(**wild), tmp_path / "logged")
    with np.errstate(all="ignore"), refused:  # and no checkpoint of such weights is written
        of = settings(**{**wild, "log_every": 50, "checkpoint_every": 20})
        train(side, of, tmp_path / "saved")
    assert not (tmp_path / "saved" / "checkpoints").exists()


def test_log_is_strict_json(tmp_path: Path) -> None:
    made = Log(tmp_path / "log.jsonl", None)
    made.write({"event": "step", "step": 1, "gradient_norm": float("inf")})
    made.close()
    text = (tmp_path / "log.jsonl").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["gradient_norm"] is None


def test_options_have_the_defaults_that_the_settings_have() -> None:
    fields = {f.name: f.default for f in dataclasses.fields(Settings)}
    for option in runs.OPTIONS:
        if option.default is not None and fields[option.name] is not dataclasses.MISSING:
            assert option.default == fields[option.name], option.name
    offered = {option.name for option in runs.OPTIONS}
    assert fields.keys() - {"task"} <= offered and offered - fields.keys() == {"lr", "epochs"}


# The command lines


@pytest.mark.parametrize("package", ["scratch", "torch_ref"])
def test_packages_run_as_programs(
    package: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["iris", "--steps", "20", "--log-every", "10", "--hidden", "8"]
    options += ["--schedule", "CosineAnnealingLR", "--schedule-args", '{"eta_min": 0.001}']
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["training", *options])
    runpy.run_module(f"{package}.training", run_name="__main__")
    printed = capsys.readouterr().out
    assert "finished after step 20" in printed and "rows per second" in printed
    out = tmp_path / "parity-report" / "train-iris-MLP-0"
    assert [r["step"] for r in log(out)] == [0, 10, 20, 20]
    assert log(out)[0]["settings"]["schedule_args"] == {"T_max": 20, "eta_min": 0.001}
    assert (out / "model.safetensors").exists()
    with pytest.raises(SystemExit, match="holds a run; resume it"):
        runpy.run_module(f"{package}.training", run_name="__main__")
    monkeypatch.setattr(sys, "argv", ["training", "iris", "--steps", "0"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"{package}.training", run_name="__main__")
    assert ended.value.code == 2 and "steps >= 1" in capsys.readouterr().err


def test_scratch_has_no_options_of_torchs(capsys: pytest.CaptureFixture[str]) -> None:
    for package in ("torch", "scratch"):
        text = runs.parser(package).format_help()
        for option in runs.OPTIONS:
            shown = f"--{option.name.replace('_', '-')} " in text.replace("]", " ")
            assert shown == (option.package in (None, package)), option.name


@pytest.fixture
def heard() -> Iterator[None]:
    """Ctrl-C is, though the tests may run in the background, where it is not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("side", SIDES)
def test_interrupt_finishes_the_step_and_writes_a_checkpoint(side: str, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    trainer = TRAINERS[side](settings(steps=30), tmp_path / "cut")

    def report(record: dict[str, Any]) -> None:
        if record["step"] == 17:
            os.kill(os.getpid(), signal.SIGINT)

    with interruptible() as interrupted:
        outcome = trainer.run(report, interrupted)
    assert (outcome.status, outcome.step) == ("interrupted", 17)
    assert signal.getsignal(signal.SIGINT) == before
    train(side, settings(steps=30), tmp_path / "cut")
    train(side, settings(steps=30), tmp_path / "whole")
    assert log(tmp_path / "cut") == log(tmp_path / "whole")


@pytest.mark.usefixtures("heard")
def test_a_second_interrupt_is_the_usual_one() -> None:
    with interruptible() as interrupted:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupted()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
