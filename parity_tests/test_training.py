"""The training loop and its metrics: both packages the same, and as scikit-learn has them."""

from typing import Any

import numpy as np
import pytest
import sklearn.metrics
import torch

import scratch
import scratch.models
import scratch.training
import torch_ref.models
import torch_ref.training
from datasets.split import batch_stream
from datasets.tasks import get
from scratch.random import Generator

Array = np.ndarray[Any, np.dtype[Any]]
RNG = np.random.default_rng(0)
LOGITS, CLASSES = RNG.standard_normal((50, 4)), RNG.integers(0, 4, 50)
SINGLE, BINARY = RNG.standard_normal((50, 1)), RNG.integers(0, 2, (50, 1)).astype(float)
VALUES = RNG.standard_normal((50, 3))
TARGETS = 0.5 * VALUES + RNG.standard_normal((50, 3))
CONSTANT = np.concatenate([np.full((50, 1), 0.5), TARGETS[:, :1], np.ones((50, 1))], axis=1)
GUESSED = np.concatenate([np.full((50, 1), 0.5), VALUES[:, :1], VALUES[:, 1:2]], axis=1)


@pytest.mark.parametrize(
    ("name", "output", "target", "expected"),
    [
        ("accuracy", LOGITS, CLASSES, sklearn.metrics.accuracy_score(CLASSES, LOGITS.argmax(1))),
        ("accuracy", SINGLE, BINARY, sklearn.metrics.accuracy_score(BINARY > 0, SINGLE > 0)),
        ("accuracy", SINGLE[:, 0], BINARY[:, 0], np.mean((SINGLE > 0) == BINARY)),
        ("mse", VALUES, TARGETS, sklearn.metrics.mean_squared_error(TARGETS, VALUES)),
        ("mse", VALUES[:, 0], TARGETS[:, 0], np.mean((VALUES[:, 0] - TARGETS[:, 0]) ** 2)),
        ("r2", VALUES, TARGETS, sklearn.metrics.r2_score(TARGETS, VALUES)),
        ("r2", VALUES[:, 0], TARGETS[:, 0], sklearn.metrics.r2_score(TARGETS[:, 0], VALUES[:, 0])),
        ("r2", GUESSED, CONSTANT, sklearn.metrics.r2_score(CONSTANT, GUESSED)),
    ],
)
def test_metric_is_scikit_learns(name: str, output: Array, target: Array, expected: float) -> None:
    ours = getattr(scratch.training.metrics, name)(output, target)
    theirs = getattr(torch_ref.training.metrics, name)(
        torch.from_numpy(output), torch.from_numpy(target)
    )
    assert type(ours) is float and type(theirs) is float
    np.testing.assert_allclose([ours, theirs], expected, rtol=1e-13)


def test_metrics_of_float32_are_summed_in_float64() -> None:
    y = np.full(100_000, 0.1, np.float32)
    t = np.zeros_like(y)
    assert scratch.training.metrics.mse(y, t) == pytest.approx(float(y[0]) ** 2, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "output", "target"),
    [
        ("accuracy", LOGITS, CLASSES[:-1]),
        ("accuracy", LOGITS, LOGITS),
        ("accuracy", SINGLE, CLASSES),
        ("accuracy", CLASSES, CLASSES),
        ("mse", VALUES, TARGETS[:, :1]),
        ("mse", VALUES, CLASSES),
        ("mse", VALUES[:0], TARGETS[:0]),
        ("r2", VALUES[..., None], TARGETS[..., None]),
        ("r2", VALUES, TARGETS.T),
    ],
)
def test_metric_refuses(name: str, output: Array, target: Array) -> None:
    with pytest.raises((ValueError, TypeError), match=rf"^{name}: expected .*, got "):
        getattr(scratch.training.metrics, name)(output, target)


def pair(task: str, dtype: Any, dropout: float = 0.0) -> tuple[Any, Any, Any]:
    """A task and twins that start alike: from one seed, each by its own generator."""
    recipe = get(task)
    sizes = [recipe.input_size, *recipe.hidden, recipe.output_size]
    generator = Generator(3)
    ours = scratch.models.MLP(sizes, recipe.activation, dropout, generator=generator).to(dtype)
    torch.manual_seed(3)
    theirs = torch_ref.models.MLP(sizes, recipe.activation, dropout)
    theirs.to(torch.float64 if dtype == np.float64 else torch.float32)
    for name, value in theirs.state_dict().items():
        assert np.array_equal(ours.state_dict()[name], value.numpy()), name
    return recipe, ours, theirs


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("task", ["xor", "circles", "iris", "diabetes"])
def test_both_loops_take_the_same_steps(task: str, dropout: float) -> None:
    recipe, ours, theirs = pair(task, np.float64, dropout)
    split, options = recipe.load(0), recipe.optimizer_args
    batches = list(batch_stream(len(split.train_x), recipe.batch_size, 60, seed=0))
    optimizer = getattr(scratch.optim, recipe.optimizer)(ours.parameters(), **options)
    reference = getattr(torch.optim, recipe.optimizer)(theirs.parameters(), **options)
    data = split.train_x, split.train_y, batches
    mine = list(scratch.training.train(ours, optimizer, recipe.loss, *data))
    other = list(torch_ref.training.train(theirs, reference, recipe.loss, *data, device="cpu"))
    assert [step for step, _ in mine] == [step for step, _ in other] == list(range(1, 61))
    losses = np.array([(a.loss, b.loss) for a, b in zip(mine, other, strict=True)])
    np.testing.assert_allclose(losses[:, 0], losses[:, 1], rtol=1e-12)
    assert losses[-1, 0] < losses[0, 0]
    for name, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[name], value.numpy(), rtol=1e-11, atol=1e-13)

    metrics = (getattr(p.training.metrics, recipe.metric) for p in (scratch, torch_ref))
    test = split.test_x, split.test_y
    found = scratch.training.evaluate(ours, *test, {"m": next(metrics)})
    expected = torch_ref.training.evaluate(theirs, *test, {"m": next(metrics)})
    assert found["m"] == pytest.approx(expected["m"], rel=1e-10)


def test_loop_is_lazy_and_modes_are_kept() -> None:
    recipe, ours, _ = pair("circles", np.float32, 0.5)
    split = recipe.load(0)
    x, y = split.train_x.astype(np.float32), split.train_y.astype(np.float32)
    optimizer = scratch.optim.SGD(ours.parameters(), lr=0.1)
    ours.eval()
    start = ours.state_dict()
    rows = batch_stream(len(x), 16, 100, seed=0)
    steps = scratch.training.train(ours, optimizer, "binary_cross_entropy_with_logits", x, y, rows)
    assert all(np.array_equal(v, start[k]) for k, v in ours.state_dict().items())
    assert next(steps).step == 1 and next(steps).step == 2
    assert next(rows) is not None  # 97 batches are left for whoever goes on
    assert ours.training and all(module.training for module in ours.modules())
    next(ours.children()).eval()
    scratch.training.evaluate(ours, x, y, {"accuracy": scratch.training.metrics.accuracy})
    assert ours.training and not next(ours.children()).training


def test_loop_takes_a_function_for_the_loss() -> None:
    recipe, ours, _ = pair("diabetes", np.float64)
    split = recipe.load(0)
    optimizer = scratch.optim.SGD(ours.parameters(), lr=0.01)
    rows = [np.arange(32)] * 2
    loss = scratch.nn.functional.smooth_l1_loss
    first, second = scratch.training.train(
        ours, optimizer, loss, split.train_x, split.train_y, rows
    )
    assert second.loss < first.loss


@pytest.mark.parametrize("change", [{"loss": "cross_entropie"}, {"loss": 3}, {"t": np.ones(3)}])
def test_loop_refuses(change: dict[str, Any]) -> None:
    model: Any = scratch.models.MLP([2, 1], dtype=np.float64)
    call = {"loss": "mse_loss", "x": np.ones((4, 2)), "t": np.ones((4, 1)), "batches": []}
    with pytest.raises((ValueError, TypeError), match=r"^train: expected .*, got "):
        optimizer = scratch.optim.SGD(model.parameters())
        scratch.training.train(model, optimizer, **{**call, **change})


GATES = {"AND": [0, 0, 0, 1], "OR": [0, 1, 1, 1], "NAND": [1, 1, 1, 0], "XOR": [0, 1, 1, 0]}


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("bias", [True, False])
def test_perceptron_rule_is_the_same_on_both_sides(gate: str, bias: bool) -> None:
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float64)
    t = np.array(GATES[gate])
    for seed in range(10):
        torch.manual_seed(seed)
        theirs = torch_ref.models.Perceptron(2, bias, dtype=torch.float64)
        ours = scratch.models.Perceptron(2, bias, dtype=np.float64)
        ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
        mine = ours.learn(x, t, lr=0.1, epochs=50)
        assert mine == theirs.learn(torch.from_numpy(x), torch.from_numpy(t), lr=0.1, epochs=50)
        for name, value in theirs.state_dict().items():
            np.testing.assert_allclose(ours.state_dict()[name], value.numpy(), rtol=0, atol=1e-14)
        solved = np.array_equal(ours(x)[0][:, 0], t)
        assert solved == (mine[-1] == 0) and solved == (gate == "OR" or (bias and gate != "XOR"))
        assert len(mine) == 50 or solved


def test_perceptron_rule_by_hand() -> None:
    """From zero with lr 1: z = 0 answers 0, so the first sample of class 1 is the first mistake."""
    model = scratch.models.Perceptron(2, dtype=np.float64)
    for parameter in model.parameters():
        parameter.data = np.zeros_like(parameter.data)
    version = model.weight.version
    assert model.learn(np.array([[1.0, 2.0], [3.0, 1.0]]), np.array([0, 1]), epochs=1) == [1]
    assert np.array_equal(model.weight.data, [[3.0, 1.0]])
    assert model.weight.version > version
    # (3, 1, 1) . (1, 2, 1) = 6: a mistake, w = (2, -1, 0), and (2, -1, 0) . (3, 1, 1) = 5 is right;
    # then 2 - 2 = 0 answers 0, right, and the second is still right.
    assert model.learn(np.array([[1.0, 2.0], [3.0, 1.0]]), np.array([0, 1])) == [1, 0]
    assert np.array_equal(model.weight.data, [[2.0, -1.0]])


def test_device_by_name() -> None:
    resolve = torch_ref.training.resolve_device
    assert resolve("cpu") == torch.device("cpu") == resolve(torch.device("cpu"))
    assert resolve("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ValueError, match=r"^resolve_device: expected .*, got 'gpu'"):
        resolve("gpu")
    beyond = f"cuda:{torch.cuda.device_count()}" if torch.cuda.is_available() else "cuda"
    with pytest.raises(RuntimeError, match=f"^resolve_device: expected .*'{beyond}', got "):
        resolve(beyond)


def test_precision_flags_are_set_and_told() -> None:
    before = torch_ref.training.precision()
    names = ["cuda.matmul", "cudnn.conv", "cudnn.rnn"]
    try:
        for name in ("tf32", "bf16", "fp16", "fp32"):
            parity, value = name == "fp32", "ieee" if name == "fp32" else "tf32"
            flags = torch_ref.training.set_precision(name)
            assert flags == {
                **{f"{backend}.fp32_precision": value for backend in names},
                "cudnn.deterministic": parity,
                "cudnn.benchmark": not parity,
                "deterministic_algorithms": False,
            }
            assert torch.backends.cuda.matmul.fp32_precision == value
            assert torch.backends.cudnn.deterministic is parity
        with pytest.raises(ValueError, match=r"^set_precision: expected .*, got 'fp8'"):
            torch_ref.training.set_precision("fp8")
    finally:
        torch.backends.cuda.matmul.fp32_precision = before["cuda.matmul.fp32_precision"]
        cudnn: Any = torch.backends.cudnn
        cudnn.conv.fp32_precision = before["cudnn.conv.fp32_precision"]
        cudnn.rnn.fp32_precision = before["cudnn.rnn.fp32_precision"]
        torch._C._set_cudnn_deterministic(bool(before["cudnn.deterministic"]))
        torch._C._set_cudnn_benchmark(bool(before["cudnn.benchmark"]))
