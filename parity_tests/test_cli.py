"""The command line as a user meets it."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from typer.testing import CliRunner

import scratch.models
import torch_ref.models
from datasets import images
from datasets.download import File
from datasets.tasks import TASKS
from parity_tests import catalog, cli
from parity_tests.harness import suite
from parity_tests.pitfalls import PITFALLS
from scratch.training import evaluate, load_weights, metrics

Run = Callable[..., Any]
ROOT = Path(cli.__file__).parent.parent


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    yield lambda *arguments: runner.invoke(cli.app, list(map(str, arguments)))


def test_list_names_everything(run: Run) -> None:
    result = run("list")
    assert result.exit_code == 0
    text = "".join(result.output.split())
    assert all(entry.name.replace(" ", "") in text for entry in catalog.ENTRIES)
    assert all(name in text for name in TASKS)


def test_run_writes_a_report_and_counts(run: Run, tmp_path: Path) -> None:
    result = run("run", "-k", "tanhshrink", "--out", "report")
    assert result.exit_code == 0, result.output
    assert "comparisons hold" in result.output and "report.html" in result.output
    data = json.loads((tmp_path / "report" / "report.json").read_text())
    compared = sum(len(row["comparisons"]) for row in data["rows"])
    assert f"{compared:,} of {compared:,} comparisons hold" in result.output
    page = (tmp_path / "report" / "report.html").read_text()
    assert "tanhshrink" in page and f"All {compared:,} comparisons hold" in page


def test_run_fails_where_a_comparison_fails(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant = next(p for p in PITFALLS if p.name == "relu_derivative_at_zero")
    entry = next(e for e in catalog.ENTRIES if e.name == mutant.entry)
    broken = dataclasses.replace(entry, scratch=mutant.mutant)
    job = suite.entry_job("activation", broken, "float64", "cpu")
    monkeypatch.setattr(suite, "plan", lambda device, dtypes: [job])
    result = run("run", "-k", "relu")
    assert result.exit_code == 1
    assert "gradient of input" in result.output and "1 fail" in result.output.replace("2", "1")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("run", "-k", "sigmiod"), "sigmoid"),
        (("run", "--dtype", "float46"), "float64"),
        (("compare", "digts"), "digits"),
        (("compare", "xor", "--model", "MPL"), "MLP"),
        (("compare", "xor", "--optimizer", "Adma"), "Adam"),
        (("compare", "xor", "--dtype", "flot32"), "float32"),
        (("compare", "iris", "--model", "Neuron"), "one output"),
        (("compare", "shapes", "--model", "MLP"), "SimpleCNN"),
        (("compare", "digits", "--model", "LeNet5"), "expected model MLP"),
        (("compare", "shapes", "--hidden", "4"), "learned by SimpleCNN"),
        (("compare", "xor", "--hidden", "4,-1"), "positive widths"),
        (("compare", "digits_vae"), "whose model has its own"),
        (("train", "mons"), "moons"),
        (("train", "xor", "--precision", "tf23"), "tf32"),
        (("train", "xor", "--device", "gpu"), "cuda"),
        (("train", "xor", "--package", "scrach"), "scratch"),
        (("train", "xor", "--schedule", "StepRL"), "StepLR"),
        (("train", "xor", "--optimizer", "Adma"), "Adam"),
        (("train", "iris", "--model", "Neuron"), "one output"),
        (("train", "shapes", "--hidden", "4"), "learned by SimpleCNN"),
        (("train", "xor", "--schedule", "StepLR"), "step_size"),
        (("train", "xor", "--schedule", "OneCycleLR", "--warmup", "3"), "a schedule other than"),
        (("train", "xor", "--samples", "4"), "generative task only"),
        (("train", "xor", "--optimizer-args", "{lr: 1}"), "optimizer_args"),
        (("train", "xor", "--package", "scratch", "--compile"), "compile is no option"),
        (("train", "xor", "--accumulate", "0"), "accumulate >= 1"),
        (("experiment", "gate"), "gates"),
        (("bench", "-k", "geul"), "gelu"),
    ],
)
def test_a_mistyped_name_gets_the_nearest(run: Run, arguments: tuple[str, ...], hint: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("parity: ") and hint in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_is_refused_in_a_sentence_where_there_is_none(run: Run) -> None:
    result = run("train", "xor", "--device", "cuda")
    assert result.exit_code == 2 and "CUDA" in result.stderr


def test_compare_writes_figure_and_numbers(run: Run, tmp_path: Path) -> None:
    result = run("compare", "xor", "--steps", 60, "--out", "out", "--seed", 3)
    assert result.exit_code == 0, result.output
    numbers = json.loads((tmp_path / "out" / "compare-xor-MLP-Adam-float64-3.json").read_text())
    assert len(numbers["loss"]) == len(numbers["reference_loss"]) == 60
    assert max(numbers["loss_drift"]) < 1e-11
    assert (tmp_path / "out" / "compare-xor-MLP-Adam-float64-3.png").stat().st_size > 10_000


def test_compare_refuses_no_steps(run: Run) -> None:
    assert run("compare", "xor", "--steps", 0).exit_code == 2


def test_trained_weights_load_into_numpy(run: Run, tmp_path: Path) -> None:
    result = run("train", "moons", "--steps", 100, "--device", "cpu", "--out", "out")
    assert result.exit_code == 0, result.output
    assert "fp32_precision" in result.output
    weights = load_file(tmp_path / "out" / "model.safetensors")
    task = TASKS["moons"]
    sizes = [task.input_size, *task.hidden, task.output_size]
    ours = scratch.models.MLP(sizes, task.activation)
    ours.load_state_dict(weights)
    theirs = torch_ref.models.MLP(sizes, task.activation)
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()})
    x = task.load(0).test_x.astype(np.float32)
    expected = theirs(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(ours(x)[0], expected, rtol=1e-4, atol=1e-5)


def test_trained_filters_load_into_numpy(run: Run, tmp_path: Path) -> None:
    result = run("train", "shapes", "--steps", 60, "--device", "cpu", "--out", "out")
    assert result.exit_code == 0, result.output
    task = TASKS["shapes"]
    ours = scratch.models.SimpleCNN(**task.model_args)
    load_weights(ours, tmp_path / "out" / "model.safetensors")
    end = json.loads((tmp_path / "out" / "log.jsonl").read_text().splitlines()[-1])
    split = task.load(0)
    found = evaluate(ours, split.test_x, split.test_y, {"accuracy": metrics.accuracy})
    assert found["accuracy"] == pytest.approx(end["accuracy"], abs=0.006)  # one picture of 200


def test_train_goes_on_in_the_other_package(run: Run, tmp_path: Path) -> None:
    common = ("train", "moons", "--device", "cpu", "--log-every", 20, "--out", "out")
    result = run(*common, "--steps", 40, "--ema", 0.9)
    assert result.exit_code == 0 and "finished after step 40" in result.output, result.output
    again = run(*common, "--steps", 60, "--ema", 0.9)
    assert again.exit_code == 2 and "holds a run" in " ".join(again.stderr.split())
    other = run(*common, "--steps", 60, "--resume", "--ema", 0.8)
    assert other.exit_code == 2 and "ema 0.9 for 0.8" in " ".join(other.stderr.split())
    scratch_side = ("--package", "scratch", "--resume", "--ema", 0.9)
    result = run("train", "moons", "--log-every", 20, "--out", "out", "--steps", 60, *scratch_side)
    assert result.exit_code == 0 and "scratch, device cpu" in result.output, result.output
    lines = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").open()]
    events = [(line["event"], line["step"]) for line in lines]
    assert events == [
        ("start", 0),
        ("step", 20),
        ("step", 40),
        ("resume", 40),
        ("step", 60),
        ("end", 60),
    ]
    assert run(*common, "--steps", 20, "--overwrite").exit_code == 0


def test_train_is_interrupted_and_says_how_to_go_on(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow = cli._follow

    def interrupt(bar: Any, line: Any, record: dict[str, Any]) -> None:
        follow(bar, line, record)
        if record["step"] == 20:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(cli, "_follow", interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    command = ("train", "moons", "--log-every", 10, "--out", "out", "--package", "scratch")
    result = run(*command)
    signal.signal(signal.SIGINT, before)
    assert result.exit_code == 130 and "interrupted after step 20" in result.output
    assert "--resume" in result.output
    assert (tmp_path / "out" / "checkpoints" / "step-00000020").is_dir()


def test_compare_a_network_of_convolutions(run: Run, tmp_path: Path) -> None:
    result = run("compare", "shapes", "--steps", 40, "--out", "out")
    assert result.exit_code == 0, result.output
    name = "compare-shapes-SimpleCNN-Adam-float64-0.json"
    numbers = json.loads((tmp_path / "out" / name).read_text())
    assert numbers["setting"]["hidden"] == [] and max(numbers["loss_drift"]) < 1e-11


def test_offline_says_what_to_place_where(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = File("digits.gz", "http://127.0.0.1:9/digits.gz", "0" * 64)
    monkeypatch.setitem(images.FILES, "mnist", (nowhere,))
    monkeypatch.setenv("PARITY_DATA", str(tmp_path / "cache"))
    for command in ("train", "compare"):
        result = run(command, "mnist", "--device", "cpu")
        assert result.exit_code == 2 and "Traceback" not in result.output
        text = " ".join(result.stderr.split())
        assert "could not be downloaded" in text and "place digits.gz in" in text


def test_convert_makes_a_file_that_numpy_loads(run: Run, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = torch_ref.models.MLP([3, 2, 1])
    torch.save({"state_dict": model.state_dict()}, tmp_path / "model.pth")
    result = run("convert", "model.pth", "model.safetensors")
    assert result.exit_code == 0, result.output
    assert "4 tensors, 11 numbers: model.safetensors" in result.output
    ours = scratch.models.MLP([3, 2, 1])
    load_weights(ours, tmp_path / "model.safetensors")
    for name, value in ours.state_dict().items():
        assert np.array_equal(value, model.state_dict()[name].numpy())
    again = run("convert", "model.pth", "model.safetensors")
    assert again.exit_code == 2 and "--force replaces it" in " ".join(again.stderr.split())
    assert run("convert", "model.pth", "model.safetensors", "--force").exit_code == 0


def test_convert_refuses_in_a_sentence(run: Run, tmp_path: Path) -> None:
    torch.save(torch_ref.models.MLP([3, 2]), tmp_path / "whole.pth")
    (tmp_path / "junk.pth").write_bytes(b"junk")
    for name, hint in (
        ("whole.pth", "asks for torch_ref.models.mlp.MLP"),
        ("junk.pth", "cannot read"),
        ("absent.pth", "No such file"),
    ):
        result = run("convert", name, "model.safetensors")
        text = "".join(result.stderr.split())
        assert result.exit_code == 2 and text.startswith("parity:")
        assert hint.replace(" ", "") in text and "Traceback" not in result.output
    assert not (tmp_path / "model.safetensors").exists()


def test_an_experiment_prints_its_claims(run: Run, tmp_path: Path) -> None:
    result = run("experiment", "neuron", "--small", "--out", "out")
    assert result.exit_code == 0 and "holds" in result.output
    assert json.loads((tmp_path / "out" / "neuron.json").read_text())["claims"]


def test_help_of_every_command(run: Run) -> None:
    for command in ("list", "run", "compare", "train", "convert", "experiment", "bench"):
        result = run(command, "--help")
        assert result.exit_code == 0 and len(result.output) > 200


def test_it_runs_as_a_program() -> None:
    command = [sys.executable, "-m", "parity_tests.cli", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "parity run" in done.stdout, done.stderr


def test_the_other_datasets_package_is_named(tmp_path: Path) -> None:
    package = tmp_path / "datasets"
    package.mkdir()
    (package / "__init__.py").write_text("")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    code = "from parity_tests.cli import main; import sys; sys.argv = ['parity', 'list']; main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "another package" in done.stderr and "environment of its own" in done.stderr
