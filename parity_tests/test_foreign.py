"""`parity check`: someone else's function or class in the place of a twin."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import scratch
from parity_tests.catalog import ENTRIES
from parity_tests.cli import app
from parity_tests.harness.entry import Layer, Op, Optim
from parity_tests.harness.foreign import Finding, judge
from parity_tests.pitfalls import PITFALLS

F = torch.nn.functional
BOTH = (np.float64, np.float32)


def entry(name: str) -> Any:
    return next(e for e in ENTRIES if e.name == name and isinstance(e, Op | Layer | Optim))


def found(name: str, theirs: Any, dtypes: Any = BOTH) -> Finding:
    return judge(entry(name), theirs, [p for p in PITFALLS if p.entry == name], dtypes)


def tanh_gelu(x: Any) -> Any:
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi).astype(x.dtype) * (x + 0.044715 * x**3)))


class Doubled(torch.nn.Linear):
    """A linear layer that adds its bias twice."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        y = super().forward(input)
        return y if self.bias is None else y + self.bias


class LateDecay(torch.optim.SGD):
    """Weight decay in the gradient that is left, not in the step."""

    def step(self, closure: Any = None) -> Any:
        result = super().step(closure)
        for group in self.param_groups:
            for p in group["params"]:
                p.data.mul_(1 - 1e-3)
        return result


@pytest.mark.parametrize(
    ("name", "theirs", "kind"),
    [
        ("gelu", F.gelu, "torch"),
        ("relu", lambda x: F.relu(x), "torch"),
        ("relu", scratch.nn.functional.relu, "with a backward"),
        ("relu", lambda values: np.maximum(values, 0), "outputs alone"),
        ("linear", lambda x, w, b=None: x @ w.T if b is None else x @ w.T + b, ""),
        ("Linear", torch.nn.Linear, "class of torch"),
        ("Linear", scratch.nn.Linear, "class of NumPy"),
        ("SGD", torch.optim.SGD, "class of torch"),
    ],
)
def test_what_agrees(name: str, theirs: Any, kind: str) -> None:
    finding = found(name, theirs)
    assert not finding.failed
    assert finding.comparisons and not finding.follows
    assert kind in finding.kind


@pytest.mark.parametrize(
    ("name", "theirs"), [("gelu", tanh_gelu), ("Linear", Doubled), ("SGD", LateDecay)]
)
def test_what_does_not_agree(name: str, theirs: Any) -> None:
    assert found(name, theirs, (np.float64,)).failed


@pytest.mark.parametrize(
    "pitfall", [p for p in PITFALLS if p.entry in ("relu", "gelu", "leaky_relu", "elu")]
)
def test_a_mutant_is_told_by_its_convention(pitfall: Any) -> None:
    """In NumPy with a backward."""
    assert pitfall in found(pitfall.entry, pitfall.mutant, (np.float64,)).follows


def test_conventions_of_one_without_a_backward_and_of_torchs() -> None:
    other = found("gelu", lambda x: F.gelu(x, approximate="tanh"), (np.float64,))
    alone = found("gelu", tanh_gelu, (np.float64,))
    for finding in (other, alone):
        assert any("tanh" in p.difference for p in finding.follows)
        assert any("approximate" in what for _, what in finding.left_out)


def test_loss_of_accuracy_in_float32_shows() -> None:
    """log(1 + e^x) as it is written loses all digits far to the left."""

    def softplus(x: Any) -> Any:
        return np.log(1 + np.exp(x))

    finding = found("softplus", softplus, (np.float32,))
    assert any("output" in c.what for c in finding.failed)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(
        "import numpy as np\n"
        "from beside import zero\n"
        "def relu(x):\n"
        "    return np.maximum(x, zero), lambda dy: dy * (x >= 0)\n"
        "def tidy(x):\n"
        "    return np.maximum(x, zero), lambda dy: dy * ~(x <= 0)\n"
        "number = 3\n"
    )
    (tmp_path / "beside.py").write_text("zero = 0\n")
    return path


def said(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["check", *arguments], env={"COLUMNS": "300"})
    return result.exit_code, " ".join(result.output.split())  # however wide the screen is


def test_the_command(mine: Path) -> None:
    status, text = said("relu", f"{mine}:tidy")
    assert status == 0 and "comparisons hold" in text
    status, text = said("relu", f"{mine}:relu", "--dtype", "float64")
    assert status == 1
    assert "gradient of input" in text and "tutorials that use x >= 0" in text


@pytest.mark.parametrize(
    ("name", "yours", "expected"),
    [
        ("relu", "{}:nothing", "expected a name in"),
        ("relu", "{}", "expected file.py:name"),
        ("relu", "nowhere.py:relu", "expected a Python file"),
        ("relu", "nowhere_at_all:relu", "expected a module"),
        ("relu", "{}:number", "expected relu as a function"),
        ("Linear", "{}:relu", "expected Linear as a subclass"),
        ("rleu", "{}:relu", "did you mean"),
    ],
)
def test_what_is_refused(mine: Path, name: str, yours: str, expected: str) -> None:
    status, text = said(name, yours.format(mine))
    assert status == 2 and expected in text


def test_a_function_that_fails_is_reported() -> None:
    def broken(x: Any) -> Any:
        raise RuntimeError("no luck")

    finding = found("relu", broken, (np.float64,))
    assert finding.failed and all("no luck" in c.note for c in finding.failed)
