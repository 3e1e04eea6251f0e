"""What the README shows runs as it stands."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import torch_ref.models
from parity_tests.cli import app

README = Path(__file__).parent.parent / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)


def test_own_script_prints_rounding(capsys: pytest.CaptureFixture[str]) -> None:
    script = next(block for block in blocks("python") if "torch_model" in block)
    exec(compile(script, "README.md", "exec"), {})
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [name for name, _ in printed] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert all(float(value) < 1e-15 for _, value in printed)
    assert len(script.strip().splitlines()) <= 13


def test_the_added_twin_passes_and_a_wrong_one_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    op, entry, use = (block for block in blocks("python") if "bump" in block or "compare(" in block)
    scope: dict[str, Any] = {}  # whatever the blocks define
    for block in (op, entry, use):
        exec(compile(block, "README.md", "exec"), scope)
    printed = capsys.readouterr().out
    assert "gradient of input" in printed and "Error" not in printed
    check = scope["compare"]
    entries = scope["ENTRIES"]
    assert all(c.passed for c in check(entries[0]))
    assert all(c.passed for c in check(entries[0], np.float32))
    exec(compile(op.replace("-2 * a", "-a") + entry, "README.md", "exec"), scope)
    entries = scope["ENTRIES"]
    assert not all(c.passed for c in check(entries[0]))


def test_the_check_says_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(next(block for block in blocks("python") if "mine.py" in block))
    command, shown = next(b for b in blocks("text") if "parity check" in b).split("\n", 1)
    result = CliRunner().invoke(app, command.split()[2:], env={"COLUMNS": "200"})
    assert result.output.split() == shown.split()


def test_the_training_step_runs() -> None:
    import scratch

    step = next(block for block in blocks("python") if "optimizer.step()" in block)
    model = scratch.models.MLP([4, 8, 3])
    scope = {
        "model": model,
        "optimizer": scratch.optim.Adam(model.parameters()),
        "x": np.ones((5, 4), np.float32),
        "target": np.arange(5) % 3,
    }
    before = [p.version for p in model.parameters()]
    exec(compile(step, "README.md", "exec"), scope)
    assert [p.version for p in model.parameters()] == [version + 1 for version in before]


def test_commands_are_one_line_each() -> None:
    commands = [
        line for line in README.read_text().splitlines() if line.startswith("python3 -m venv")
    ]
    assert [line.split("/")[-1] for line in commands] == ["parity run", "pytest"]


def test_a_checkpoint_of_torchs_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands as they stand, on random weights under the published file's name."""
    monkeypatch.chdir(tmp_path)
    command = next(b for b in blocks("sh") if b.startswith("parity convert")).split()
    theirs = torch_ref.models.resnet18().eval()
    torch.save(theirs.state_dict(), command[2])
    assert CliRunner().invoke(app, command[1:]).exit_code == 0
    images = np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(np.float32)
    scope: dict[str, Any] = {"images": images}
    script = next(block for block in blocks("python") if "load_weights" in block)
    exec(compile(script, "README.md", "exec"), scope)
    with torch.no_grad():
        expected = theirs(torch.from_numpy(images)).numpy()
    assert np.max(np.abs(scope["logits"] - expected)) < 1e-4 * np.max(np.abs(expected))


def test_a_checkpoint_directory_goes_on_from_a_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script as it stands, on random weights in the published folder's layout."""
    from transformers import GPT2Config, GPT2LMHeadModel

    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "vocab_size": 50,
        "n_positions": 60,
        "n_embd": 16,
        "n_layer": 2,
        "n_head": 2,
    }
    theirs: Any = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=None))
    theirs.eval()
    theirs.save_pretrained("gpt2")
    scope: dict[str, Any] = {"prompt": np.array([[3, 1, 4]])}
    script = next(block for block in blocks("python") if "from_pretrained" in block)
    exec(compile(script, "README.md", "exec"), scope)
    prompt = torch.from_numpy(scope["prompt"])
    options: dict[str, Any] = {"max_new_tokens": 50, "do_sample": False, "pad_token_id": 0}
    expected: Any = theirs.generate(
        inputs=prompt, attention_mask=torch.ones_like(prompt), **options
    )
    assert np.array_equal(scope["ids"], expected.numpy())
