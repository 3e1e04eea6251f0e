"""The data both packages train on: shapes, determinism, no leakage, refusals, working recipes."""

import dataclasses
import inspect
import itertools
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import jaccard_score, r2_score

import datasets
from datasets import TASKS, Dataset, Standardizer, Task
from parity_tests.harness.entry import unchecked
from parity_tests.test_craft_data import refusals as of_craft
from parity_tests.test_craft_search import refusals as of_search
from parity_tests.test_images import refusals as of_pictures
from parity_tests.test_memory import refusals as of_memory
from parity_tests.test_series import refusals as of_series
from torch_ref.training import metrics
from torch_ref.training.build import build
from torch_ref.training.generative import OwnLoss, draws

PLANE: dict[str, tuple[Callable[..., Any], int]] = {
    "circles": (datasets.circles, 2),
    "moons": (datasets.moons, 2),
    "blobs": (datasets.blobs, 4),
    "spirals": (datasets.spirals, 3),
}
TABLES: dict[str, tuple[Callable[[], Dataset], tuple[int, int], int]] = {
    "iris": (datasets.iris, (150, 4), 3),
    "wine": (datasets.wine, (178, 13), 3),
    "breast_cancer": (datasets.breast_cancer, (569, 30), 2),
    "diabetes": (datasets.diabetes, (442, 10), 0),
    "digits": (datasets.digits, (1797, 64), 10),
}
# Those that are downloaded are loaded in test_images, from files made there.
HERE = {name: task for name, task in TASKS.items() if not task.downloads}
every_task = pytest.mark.parametrize("task", HERE.values(), ids=HERE)


# The plane


def test_gates_are_the_16_boolean_functions() -> None:
    functions: dict[str, Callable[[int, int], int]] = {
        "FALSE": lambda a, b: 0,
        "NOR": lambda a, b: 1 - (a | b),
        "NOT A AND B": lambda a, b: (1 - a) & b,
        "NOT A": lambda a, b: 1 - a,
        "A AND NOT B": lambda a, b: a & (1 - b),
        "NOT B": lambda a, b: 1 - b,
        "XOR": lambda a, b: a ^ b,
        "NAND": lambda a, b: 1 - (a & b),
        "AND": lambda a, b: a & b,
        "XNOR": lambda a, b: 1 - (a ^ b),
        "B": lambda a, b: b,
        "A IMPLIES B": lambda a, b: (1 - a) | b,
        "A": lambda a, b: a,
        "B IMPLIES A": lambda a, b: a | (1 - b),
        "OR": lambda a, b: a | b,
        "TRUE": lambda a, b: 1,
    }
    assert tuple(functions) == datasets.GATES
    tables = set()
    for index, (name, function) in enumerate(functions.items()):
        x, y = datasets.gate(index)
        assert x.dtype == np.float64 and y.dtype == np.int64
        assert x.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
        assert y.tolist() == [function(int(a), int(b)) for a, b in x], name
        assert np.array_equal(datasets.gate(name)[1], y)
        tables.add(tuple(y.tolist()))
    assert len(tables) == 16


def test_xor() -> None:
    x, y = datasets.xor()
    assert x.shape == (4, 2) and y.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("name", PLANE)
def test_plane_sets(name: str) -> None:
    make, classes = PLANE[name]
    for n in (classes, 101):
        x, y = make(n=n, seed=3)
        assert x.shape == (n, 2) and x.dtype == np.float64 and x.flags.c_contiguous
        assert y.shape == (n,) and y.dtype == np.int64
        counts = np.bincount(y, minlength=classes)
        assert len(counts) == classes and counts.max() - counts.min() <= 1
    # the order is mixed: a run that takes rows from the front meets every class
    assert len(set(y[:30].tolist())) == classes


@pytest.mark.parametrize("name", PLANE)
def test_plane_sets_depend_on_the_seed_alone(name: str) -> None:
    make, _ = PLANE[name]
    first = make(n=50, seed=7)
    np.random.seed(1)  # noqa: NPY002  the global state is what must not matter
    before = np.random.get_state(legacy=False)["state"]["key"].copy()  # noqa: NPY002
    again, other = make(n=50, seed=7), make(n=50, seed=8)
    after = np.random.get_state(legacy=False)["state"]["key"]  # noqa: NPY002
    assert np.array_equal(after, before)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_geometry_without_noise() -> None:
    x, y = datasets.circles(n=60, noise=0, factor=0.4)
    np.testing.assert_allclose(np.hypot(*x.T), np.where(y == 0, 1, 0.4), rtol=1e-14)
    x, y = datasets.spirals(n=90, classes=3, noise=0, turns=1.5, seed=2)
    t = np.hypot(*x.T)
    assert t.max() <= 1
    turns = np.arctan2(x[:, 1], x[:, 0]) / (2 * np.pi) - 1.5 * t - y / 3
    np.testing.assert_allclose(turns, np.round(turns), atol=1e-13)
    x, y = datasets.blobs(n=40, classes=5, noise=0)
    np.testing.assert_allclose(np.exp(2j * np.pi * y / 5), x @ [1, 1j], atol=1e-15)


# Real data


@pytest.mark.parametrize("name", TABLES)
def test_tables(name: str) -> None:
    make, shape, classes = TABLES[name]
    data = make()
    assert data.x.shape == shape and data.x.dtype == np.float64 and data.x.flags.c_contiguous
    assert np.isfinite(data.x).all() and np.isfinite(data.y).all()
    assert len(data.feature_names) == shape[1] and all(map(str.strip, data.feature_names))
    assert data.source
    if classes:
        assert data.y.shape == shape[:1] and data.y.dtype == np.int64
        assert np.unique(data.y).tolist() == list(range(classes))
        assert len(data.target_names) == classes
    else:
        assert data.y.shape == (shape[0], 1) and data.y.dtype == np.float64
        assert len(data.target_names) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        unchecked(data).x = data.x
    data.x[:] = 0  # the caller's own copy
    assert make().x.any()


def test_digits_are_images_between_0_and_1() -> None:
    data = datasets.digits()
    assert data.images.shape == (1797, 8, 8) and np.shares_memory(data.images, data.x)
    assert data.x.min() == 0 and data.x.max() == 1
    assert np.array_equal(data.x * 16, np.round(data.x * 16))


def test_diabetes_is_not_scaled_with_all_rows() -> None:
    assert datasets.diabetes().x.mean(0).min() > 1  # scikit-learn's default has means of 0


# Parting and standardising


@pytest.mark.parametrize("name", [name for name in TABLES if name != "diabetes"])
def test_split_is_stratified(name: str) -> None:
    y = TABLES[name][0]().y
    rows = np.arange(len(y))
    train, test, y_train, y_test = datasets.train_test_split(rows, y, 0.3, seed=5)
    assert np.array_equal(np.sort(np.concatenate([train, test])), rows)
    assert np.array_equal(y[train], y_train) and np.array_equal(y[test], y_test)
    assert len(test) == np.ceil(0.3 * len(y))
    share = np.bincount(y) / len(y)
    assert np.abs(np.bincount(y_test) - share * len(y_test)).max() <= 1
    _, loose, _, y_loose = datasets.train_test_split(rows, y, 0.3, seed=5, stratify=False)
    assert not np.array_equal(loose, test) and np.array_equal(y[loose], y_loose)


def test_split_depends_on_the_seed_alone() -> None:
    x, y = datasets.iris().x, datasets.iris().y
    first, again = (datasets.train_test_split(x, y, seed=1) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], datasets.train_test_split(x, y, seed=2)[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_standardizer(dtype: type[np.floating[Any]]) -> None:
    x = np.random.default_rng(0).normal(3, [1e-3, 1, 1e4], (50, 3)).astype(dtype)
    standardizer = Standardizer.fit(x)
    z = standardizer(x)
    eps = float(np.finfo(dtype).eps)
    assert z.dtype == standardizer.mean.dtype == standardizer.std.dtype == dtype
    np.testing.assert_allclose(z.mean(0), 0, atol=3e3 * 8 * eps)  # mean / std of the first is 3e3
    np.testing.assert_allclose(z.std(0), 1, rtol=64 * eps)
    np.testing.assert_allclose(standardizer.inverse(z), x, rtol=8 * eps)


def test_constant_features_keep_their_scale() -> None:
    x = np.full((7, 2), 0.1)
    x[:, 1] = np.arange(7)
    assert x[:, 0].std() > 0  # rounding alone: dividing by it would blow noise up
    standardizer = Standardizer.fit(x)
    assert standardizer.std.tolist() == [1, 2]
    np.testing.assert_allclose(standardizer(x + np.array([1, 0]))[:, 0], 1)


@every_task
def test_standardised_with_training_rows_alone(task: Task) -> None:
    seed = 4
    data, split = task.data(seed), task.load(seed)
    rows = np.arange(len(data.x))
    if task.test_size:
        train, test, _, _ = datasets.train_test_split(rows, data.y, task.test_size, seed)
    else:
        train = test = rows
    standardizer, x = split.standardizer, data.x[train]
    if task.scale is not None:  # the same units whatever the rows
        mean, std = task.scale
        assert np.all(standardizer.mean == mean) and np.all(standardizer.std == std)
        assert np.allclose(split.train_x, (x - mean) / std, rtol=0, atol=1e-6)
        return
    if x.ndim == 2:
        assert np.array_equal(standardizer.mean, x.mean(0))
        assert np.array_equal(standardizer.std, np.where(np.ptp(x, 0) == 0, 1, x.std(0)))
    else:
        axes, eps = (0, 2, 3), float(np.finfo(np.float32).eps)
        mean, std = x.mean(axes, np.float64), x.std(axes, np.float64)
        np.testing.assert_allclose(standardizer.mean.ravel(), mean, rtol=eps)
        np.testing.assert_allclose(standardizer.std.ravel(), std, rtol=eps)
    atol = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 1e-6}[x.dtype]
    np.testing.assert_allclose(standardizer.inverse(split.train_x), x, atol=atol)
    np.testing.assert_allclose(standardizer.inverse(split.test_x), data.x[test], atol=atol)
    if split.target_standardizer is not None:
        assert np.array_equal(split.target_standardizer.mean, data.y[train].mean(0))
        assert np.array_equal(split.target_standardizer.std, data.y[train].std(0))
    if not task.test_size:
        return

    def spoilt(seed: int) -> Dataset:
        x = data.x.copy()
        x[test] = 1e6
        return dataclasses.replace(data, x=x)

    assert np.array_equal(dataclasses.replace(task, data=spoilt).load(seed).train_x, split.train_x)


# Batches


@given(n=st.integers(0, 60), batch_size=st.integers(1, 70), drop_last=st.booleans())
def test_batches_cover_every_row_once(n: int, batch_size: int, drop_last: bool) -> None:
    order = datasets.epoch_order(n, seed=1, epoch=2)
    cut = list(datasets.batches(order, batch_size, drop_last))
    flat = np.concatenate([np.empty(0, np.int64), *cut])
    kept = n - n % batch_size if drop_last else n
    assert np.array_equal(flat, order[:kept])
    assert np.array_equal(np.sort(order), np.arange(n))
    assert all(len(batch) == batch_size for batch in cut[:-1])
    assert all(0 < len(batch) <= batch_size for batch in cut)


def test_epoch_orders() -> None:
    orders = {
        (seed, epoch): tuple(datasets.epoch_order(20, seed, epoch).tolist())
        for seed, epoch in itertools.product(range(5), range(5))
    }
    assert len(set(orders.values())) == 25
    assert all(
        tuple(datasets.epoch_order(20, *key).tolist()) == order for key, order in orders.items()
    )
    # recorded numbers depend on it: NumPy may change a Generator's stream, and then this says so
    assert datasets.epoch_order(8, 0, 0).tolist() == [2, 4, 3, 6, 5, 0, 1, 7]


@given(
    n=st.integers(1, 30),
    batch_size=st.integers(1, 12),
    steps=st.integers(0, 40),
    drop_last=st.booleans(),
)
def test_batch_stream_is_epoch_after_epoch(
    n: int, batch_size: int, steps: int, drop_last: bool
) -> None:
    if drop_last and n < batch_size:
        return
    stream = list(datasets.batch_stream(n, batch_size, steps, 3, drop_last))
    epochs = (
        datasets.batches(datasets.epoch_order(n, 3, epoch), batch_size, drop_last)
        for epoch in itertools.count()
    )
    expected = list(itertools.islice(itertools.chain.from_iterable(epochs), steps))
    assert len(stream) == steps
    assert all(np.array_equal(a, b) for a, b in zip(stream, expected, strict=True))
    for start in {0, steps // 3, steps}:
        rest = list(datasets.batch_stream(n, batch_size, steps, 3, drop_last, start))
        assert all(np.array_equal(a, b) for a, b in zip(rest, stream[start:], strict=True))


# Tasks


@every_task
def test_task_loads_as_declared(task: Task) -> None:
    split = task.load(1)
    rows, tests = len(split.train_x), len(split.test_x)
    assert rows >= task.batch_size and tests > 0
    for x, y in ((split.train_x, split.train_y), (split.test_x, split.test_y)):
        assert x.dtype == (np.float64 if task.model == "MLP" else np.float32)
        assert x.flags.c_contiguous and np.isfinite(x).all() and np.isfinite(y).all()
        assert x.ndim == (2 if task.model == "MLP" else 4) and x.shape[1] == task.input_size
        if task.kind in ("multiclass", "generative"):
            assert y.shape == (len(x),) and y.dtype == np.int64
        if task.kind == "segmentation":
            assert y.shape == (len(x), *x.shape[2:]) and y.dtype == np.int64
        if task.kind == "generative":
            pixels = split.standardizer.inverse(x)
            assert task.scale is not None and (pixels.min(), pixels.max()) == (0, 1)
        elif task.kind in ("multiclass", "segmentation"):
            assert np.unique(y).tolist() == list(range(task.output_size))
        else:
            assert y.shape == (len(x), 1) and y.dtype == np.float64 and task.output_size == 1
        if task.kind == "binary":
            assert np.unique(y).tolist() == [0, 1]
    assert len(split.feature_names) == task.input_size
    names = {"binary": 2, "regression": 1, "generative": 10}
    assert len(split.target_names) == names.get(task.kind, task.output_size)
    assert (split.target_standardizer is not None) == (task.kind == "regression")
    assert split.source and task.description and task.section
    again = task.load(1)
    for name in ("train_x", "train_y", "test_x", "test_y"):
        assert np.array_equal(getattr(split, name), getattr(again, name))
        assert not np.shares_memory(getattr(split, name), getattr(again, name))
    if task.name != "xor":  # its four points are all there is
        assert not np.array_equal(split.train_x, task.load(2).train_x)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_recipe_is_in_torch_s_terms(task: Task) -> None:
    assert TASKS[task.name] is task is datasets.get(task.name)
    model = build(task, task.model, 0)
    generative = task.kind == "generative"
    assert callable(getattr(model if generative else torch.nn.functional, task.loss))
    assert isinstance(getattr(torch.nn, task.activation)(), torch.nn.Module)
    accepted = inspect.signature(getattr(torch.optim, task.optimizer)).parameters
    assert set(task.optimizer_args) <= set(accepted)
    assert task.model == "MLP" or not task.hidden
    assert task.target > 0 and 0 < task.steps <= 2000
    assert generative == (task.metric == "loss")
    assert generative or callable(getattr(metrics, task.metric))
    assert generative or task.target <= 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        unchecked(task).steps = 1
    assert hash(task) == hash(pickle.loads(pickle.dumps(task)))
    assert pickle.loads(pickle.dumps(task)) == task


def outcome(task: Task, seed: int, dtype: torch.dtype = torch.float32) -> float:
    """The metric on the test set after the recipe, with torch from its default start.

    Of a loss, which is to be small, the negative.
    """
    split = task.load(seed)
    real = dtype if task.kind in ("binary", "regression") else torch.int64
    x, test_x = (torch.tensor(a, dtype=dtype) for a in (split.train_x, split.test_x))
    y = torch.tensor(split.train_y, dtype=real)
    model = build(task, task.model, seed).to(dtype)
    optimizer = getattr(torch.optim, task.optimizer)(model.parameters(), **task.optimizer_args)
    if generative := task.kind == "generative":
        own = OwnLoss(model)
        drawn = {k: torch.from_numpy(v) for k, v in draws(model, test_x.numpy()).items()}
    else:
        loss = getattr(torch.nn.functional, task.loss)
    for batch in datasets.batch_stream(len(x), task.batch_size, task.steps, seed):
        optimizer.zero_grad()
        (own(x[batch]) if generative else loss(model(x[batch]), y[batch])).backward()
        optimizer.step()
    with torch.no_grad():
        if generative:
            return -float(own.eval()(test_x, **drawn))
        out = model.eval()(test_x).numpy()
    if task.kind == "regression":
        return float(r2_score(split.test_y, out))
    if task.kind == "segmentation":
        named = out.argmax(1).ravel()
        return float(jaccard_score(split.test_y.ravel(), named, average="macro"))
    guess = out > 0 if task.kind == "binary" else out.argmax(1)
    return float((guess == split.test_y).mean())


def target(task: Task) -> float:
    return -task.target if task.metric == "loss" else task.target


@pytest.mark.parametrize("name", [n for n, t in HERE.items() if t.kind != "generative"])
def test_recipe_reaches_its_target(name: str) -> None:
    assert outcome(HERE[name], seed=0) >= target(HERE[name])


RUNS = [
    (task, dtype)
    for task in HERE.values()
    for dtype in (torch.float32, torch.float64)
    # in float64 those are learned alike by test_generative
    if task.model != "DDPM" and (task.kind != "generative" or dtype == torch.float32)
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "dtype"), RUNS, ids=[f"{task.name}-{dtype}" for task, dtype in RUNS]
)
def test_recipe_reaches_its_target_from_every_seed(task: Task, dtype: torch.dtype) -> None:
    """Of 30 seeds all did when that was tried once; of digits_ddpm, 40 s a run, three did."""
    few = 1 if task.kind == "generative" else 2  # such a run takes seconds, that of an MLP less
    seeds = range(5 if task.model == "MLP" else few)
    reached = {seed: outcome(task, seed, dtype) for seed in seeds}
    assert all(value >= target(task) for value in reached.values()), reached


@pytest.mark.slow
def test_xor_is_solved_from_40_seeds() -> None:
    """The experiment tries a hundred."""
    unsolved = [seed for seed in range(40) if outcome(datasets.get("xor"), seed) < 1]
    assert len(unsolved) <= 1, unsolved


# Refusals

x64, labels = np.zeros((10, 2)), np.arange(10) % 2
nan = np.array([[np.nan, 1.0]])
rng = np.random.default_rng(0)
refusals: list[tuple[str, Callable[[], Any], type[Exception], str]] = [
    ("gate", lambda: datasets.gate(16), ValueError, "index in [0, 15], got 16"),
    ("gate", lambda: datasets.gate(-1), ValueError, "index in [0, 15], got -1"),
    ("gate", lambda: datasets.gate("XAND"), ValueError, "got 'XAND'"),
    ("gate", lambda: datasets.gate(unchecked(1.0)), TypeError, "integer, got 1.0 (float)"),
    ("gate", lambda: datasets.gate(True), TypeError, "integer, got True (bool)"),
    ("circles", lambda: datasets.circles(n=1), ValueError, "n >= 2, got 1"),
    ("circles", lambda: datasets.circles(noise=-0.1), ValueError, "noise in [0, inf), got -0.1"),
    ("circles", lambda: datasets.circles(noise=np.inf), ValueError, "noise in [0, inf), got inf"),
    ("circles", lambda: datasets.circles(factor=1.0), ValueError, "factor in [0, 1), got 1.0"),
    ("circles", lambda: datasets.circles(seed=-1), ValueError, "seed in [0, 4294967295], got -1"),
    ("circles", lambda: datasets.circles(seed=unchecked(None)), TypeError, "seed to be an integer"),
    ("moons", lambda: datasets.moons(n=unchecked(2.5)), TypeError, "n to be an integer"),
    ("moons", lambda: datasets.moons(noise=unchecked("a")), TypeError, "noise to be a number"),
    ("blobs", lambda: datasets.blobs(classes=1), ValueError, "classes >= 2, got 1"),
    ("blobs", lambda: datasets.blobs(n=3, classes=4), ValueError, "n >= 4, got 3"),
    ("blobs", lambda: datasets.blobs(noise=float("nan")), ValueError, "got nan"),
    ("spirals", lambda: datasets.spirals(n=2), ValueError, "n >= 3, got 2"),
    ("spirals", lambda: datasets.spirals(turns=-1), ValueError, "turns in [0, inf), got -1"),
    ("spirals", lambda: datasets.spirals(noise=True), TypeError, "noise to be a number"),
    ("spirals", lambda: datasets.spirals(seed=2**32), ValueError, "got 4294967296"),
    ("manifold", lambda: datasets.manifold(0), ValueError, "n >= 1, got 0"),
    ("manifold", lambda: datasets.manifold(features=2), ValueError, "dims in [1, 2], got 3"),
    ("manifold", lambda: datasets.manifold(noise=-1.0), ValueError, "noise in [0, inf), got -1.0"),
    ("manifold", lambda: datasets.manifold(seed=unchecked(0.5)), TypeError, "seed to be an"),
    ("patterns", lambda: datasets.patterns(0), ValueError, "n >= 1, got 0"),
    ("patterns", lambda: datasets.patterns(size=7), ValueError, "size >= 8, got 7"),
    ("patterns", lambda: datasets.patterns(seed=-1), ValueError, "got -1"),
    (
        "images",
        lambda: datasets.iris().images,
        ValueError,
        "a dataset of images, got the one from Fisher 1936",
    ),
    (
        "train_test_split",
        lambda: datasets.train_test_split(unchecked([1]), labels),
        TypeError,
        "x to be an array with rows",
    ),
    (
        "train_test_split",
        lambda: datasets.train_test_split(x64, labels[:9]),
        ValueError,
        "as many rows in y as in x, got 9 and 10",
    ),
    *(
        (
            "train_test_split",
            lambda size=size: datasets.train_test_split(x64, labels, test_size=size),
            ValueError,
            f"test_size in (0, 1), got {size}",
        )
        for size in (0.0, 1.0, 20)
    ),
    (
        "train_test_split",
        lambda: datasets.train_test_split(x64, labels, 0.95),
        ValueError,
        "rows for both parts",
    ),
    (
        "train_test_split",
        lambda: datasets.train_test_split(x64, labels, 0.1),
        ValueError,
        "a row for each in both parts",
    ),
    (
        "train_test_split",
        lambda: datasets.train_test_split(x64, np.arange(10)),
        ValueError,
        "2 rows of each class",
    ),
    (
        "train_test_split",
        lambda: datasets.train_test_split(x64, x64[:, 0], stratify=True),
        TypeError,
        "integer classes (n,)",
    ),
    (
        "train_test_split",
        lambda: datasets.train_test_split(x64, labels, stratify=unchecked("yes")),
        TypeError,
        "stratify to be True, False or None, got 'yes'",
    ),
    (
        "train_test_split",
        lambda: datasets.train_test_split(x64, labels, seed=unchecked(1.0)),
        TypeError,
        "seed to be an integer",
    ),
    ("Standardizer.fit", lambda: Standardizer.fit(labels), TypeError, "float32 or float64 array"),
    ("Standardizer.fit", lambda: Standardizer.fit(x64[0]), ValueError, "got (2,)"),
    ("Standardizer.fit", lambda: Standardizer.fit(x64[:0]), ValueError, "got (0, 2)"),
    ("Standardizer.fit", lambda: Standardizer.fit(nan), ValueError, "x to be finite"),
    ("Standardizer", lambda: Standardizer.fit(x64)(x64[:, :1]), ValueError, "(n, 2), got (10, 1)"),
    (
        "Standardizer",
        lambda: Standardizer.fit(x64)(unchecked([1.0])),
        TypeError,
        "got [1.0] (list)",
    ),
    (
        "Standardizer.inverse",
        lambda: Standardizer.fit(x64).inverse(x64.T),
        ValueError,
        "z of shape (n, 2), got (2, 10)",
    ),
    ("epoch_order", lambda: datasets.epoch_order(-1, 0, 0), ValueError, "n >= 0, got -1"),
    ("epoch_order", lambda: datasets.epoch_order(5, -1, 0), ValueError, "got -1"),
    ("epoch_order", lambda: datasets.epoch_order(5, 0, -2), ValueError, "epoch >= 0, got -2"),
    (
        "epoch_order",
        lambda: datasets.epoch_order(5, 0, unchecked(0.5)),
        TypeError,
        "epoch to be an integer",
    ),
    ("batches", lambda: datasets.batches(labels, 0), ValueError, "batch_size >= 1, got 0"),
    ("batches", lambda: datasets.batches(x64[0], 1), TypeError, "order to be an integer array"),
    ("batches", lambda: datasets.batches(labels[None], 1), ValueError, "(n,), got (1, 10)"),
    ("batches", lambda: datasets.batches(unchecked([0, 1]), 1), TypeError, "got [0, 1] (list)"),
    ("batch_stream", lambda: datasets.batch_stream(0, 1, 1, 0), ValueError, "n >= 1, got 0"),
    ("batch_stream", lambda: datasets.batch_stream(3, 0, 1, 0), ValueError, "batch_size >= 1"),
    ("batch_stream", lambda: datasets.batch_stream(3, 2, -1, 0), ValueError, "steps >= 0, got -1"),
    ("batch_stream", lambda: datasets.batch_stream(3, 4, 1, 0, True), ValueError, "got 4 > 3"),
    (
        "batch_stream",
        lambda: datasets.batch_stream(3, 2, 5, 0, start=6),
        ValueError,
        "start in [0, 5], got 6",
    ),
    (
        "get",
        lambda: datasets.get("digit"),
        ValueError,
        "got 'digit'; did you mean digits or digits_vae or digits_ddpm?",
    ),
    ("get", lambda: datasets.get("Moons"), ValueError, "got 'Moons'; did you mean moons or mnist?"),
    ("get", lambda: datasets.get("?"), ValueError, "one of xor, circles,"),
    ("get", lambda: datasets.get(unchecked(3)), TypeError, "the name of a task, got 3 (int)"),
    ("masked_words", lambda: datasets.masked_words(x64, 9, 1, rng), TypeError, "an integer array"),
    ("masked_words", lambda: datasets.masked_words(labels, 1, 0, rng), ValueError, "got 0 to 1"),
    ("masked_words", lambda: datasets.masked_words(labels, 2, 2, rng), ValueError, "mask_id in"),
    (
        "masked_words",
        lambda: datasets.masked_words(labels, 2, 1, rng, rate=1.5),
        ValueError,
        "rate in [0, 1], got 1.5",
    ),
    (
        "masked_words",
        lambda: datasets.masked_words(labels, 2, 1, unchecked(0)),
        TypeError,
        "rng to be a Generator, got 0 (int)",
    ),
    ("tagged_sentences", lambda: datasets.tagged_sentences(-1), ValueError, "n >= 0, got -1"),
    (
        "tagged_sentences",
        lambda: datasets.tagged_sentences(unchecked(2.5)),
        TypeError,
        "n to be an integer",
    ),
    ("tagged_sentences", lambda: datasets.tagged_sentences(2, -1), ValueError, "got -1"),
    (
        "tagged_sentences",
        lambda: datasets.tagged_sentences(2, unseen=1.5),
        ValueError,
        "unseen in [0, 1], got 1.5",
    ),
    (
        "tagged_sentences",
        lambda: datasets.tagged_sentences(2, unseen=unchecked("all")),
        TypeError,
        "unseen to be a number",
    ),
    (
        "Lexicon.of",
        lambda: datasets.Lexicon.of(datasets.tagged_sentences(2), 0),
        ValueError,
        "min_count >= 1, got 0",
    ),
    (
        "Lexicon.of",
        lambda: datasets.Lexicon.of(unchecked(["a"])),
        TypeError,
        "TaggedSentences, got ['a'] (list)",
    ),
    (
        "tagging_arrays",
        lambda: datasets.tagging_arrays(datasets.tagged_sentences(0), datasets.Lexicon(())),
        ValueError,
        "at least one sentence, got 0",
    ),
    (
        "tagging_arrays",
        lambda: datasets.tagging_arrays(unchecked([["a"]]), datasets.Lexicon(())),
        TypeError,
        "TaggedSentences, got [['a']] (list)",
    ),
    (
        "tagging_arrays",
        lambda: datasets.tagging_arrays(datasets.tagged_sentences(1), unchecked({})),
        TypeError,
        "a Lexicon, got {} (dict)",
    ),
    (
        "library_docstrings",
        lambda: datasets.library_docstrings("email"),
        TypeError,
        "packages to be names, got 'email' (str)",
    ),
    (
        "library_docstrings",
        lambda: datasets.library_docstrings(["json", "jason"]),
        ValueError,
        "got 'jason'",
    ),
    ("Task.load", lambda: datasets.get("xor").load(-1), ValueError, "got -1"),
    ("Task.load", lambda: datasets.get("xor").load(unchecked("0")), TypeError, "got '0' (str)"),
]


@pytest.mark.parametrize(
    ("function", "call", "error", "text"), refusals, ids=[f"{r[0]}-{r[3][:30]}" for r in refusals]
)
def test_refuses(function: str, call: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=rf"^{re.escape(function)}: expected .*{re.escape(text)}"):
        call()


def test_every_function_with_arguments_is_in_the_table() -> None:
    functions = {
        name
        for name in datasets.__all__
        if inspect.isfunction(getattr(datasets, name))
        and inspect.signature(getattr(datasets, name)).parameters
    }
    # With tables of their own.
    apart = {"read_cifar", "read_idx", "python_reference", "dates", "reversal", "session_parallel"}
    apart |= {"alkane", "graph_batch", "wiener_terms", "synthetic_faces", "pairs", "class_batches"}
    elsewhere = *of_memory, *of_pictures, *of_series, *of_craft, *of_search
    assert functions - apart <= {row[0] for row in (*refusals, *elsewhere)}


# Imports


def python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_imports_neither_package_nor_framework() -> None:
    loaded = python(
        "import datasets, sys\n"
        "for task in datasets.TASKS.values(): task.downloads or task.load(0)\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    ).split()
    assert not {"scratch", "torch_ref", "parity_tests", "torch"} & set(loaded)


def test_without_scikit_learn() -> None:
    out = python(
        "import sys; sys.modules['sklearn'] = None\n"
        "import datasets\n"
        "datasets.get('xor').load(0), datasets.spirals()\n"
        "for call in (datasets.iris, datasets.moons, datasets.get('spirals').load):\n"
        "    try: call()\n"
        "    except ModuleNotFoundError as error: print(error)\n"
    )
    sentence = "needs scikit-learn; in the project's folder: pip install '.[data]'"
    assert out.splitlines() == [
        f"{name}: {sentence}" for name in ("iris", "moons", "train_test_split")
    ]
