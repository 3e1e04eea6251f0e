"""Overlap: as a loss, as a metric, and of one class's mask; in few digits and in many.

The Dice loss is held against the paper's quotient in long double and against sets, the metrics
against scikit-learn, the mask loss against a loop over boxes.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
import torch

import scratch
import scratch.training
import torch_ref.models
import torch_ref.training
import torch_ref.training.metrics
from datasets.settings import resolve
from datasets.tasks import get
from parity_tests.harness.check import strict_warnings
from parity_tests.harness.draw import Array
from parity_tests.harness.trajectory import compare
from scratch.models import MaskHead
from scratch.nn import functional as F
from scratch.random import Generator
from scratch.training import metrics

# Dice loss


def in_more_digits(x: Array, t: Array, squared: bool, smooth: float) -> Array:
    """The paper's quotient of each image and class, (N, K)."""
    x = x.astype(np.longdouble)
    e = np.exp(x - x.max(1, keepdims=True))
    p, g = e / e.sum(1, keepdims=True), np.moveaxis(np.eye(x.shape[1])[t], -1, 1)
    below = ((p**2 if squared else p) + g).sum(2) + smooth
    loss: Array = 1 - (2 * (p * g).sum(2) + smooth) / below
    return loss


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 20.0])
def test_dice_against_more_digits(scale: float, squared: bool, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    x = (scale * rng.normal(size=(3, 4, 50))).astype(dtype)
    t = rng.integers(0, 4, (3, 50))
    loss, _ = F.dice_loss(x, t, squared=squared, smooth=0.5, reduction="none")
    assert loss.dtype == dtype
    truth = in_more_digits(x, t, squared, 0.5)
    np.testing.assert_allclose(loss, truth, rtol=16 * np.finfo(dtype).eps * max(scale, 1))


def test_a_small_loss_keeps_its_digits() -> None:
    """1 - (quotient near 1) would leave float32 none of them."""
    t = np.arange(60).reshape(2, 30) % 3
    x = np.float32(9) * np.moveaxis(np.eye(3, dtype=np.float32)[t], -1, 1)
    loss, _ = F.dice_loss(x, t, reduction="none")
    assert loss.max() < 1e-6
    np.testing.assert_allclose(loss, in_more_digits(x, t, True, 1.0), rtol=1e-3)


@pytest.mark.parametrize("squared", [True, False])
def test_dice_of_sets(squared: bool) -> None:
    """Where probabilities are 0 and 1 both forms are 1 - 2 |A & B| / (|A| + |B|)."""
    rng = np.random.default_rng(1)
    a, b = rng.random((2, 3, 40)) < 0.5, rng.random((2, 3, 40)) < 0.4
    loss, _ = F.dice_loss(800.0 * a - 400, b, "sigmoid", squared, 0.0, reduction="none")
    expected = 1 - 2 * (a & b).sum(2) / (a.sum(2) + b.sum(2))
    np.testing.assert_allclose(loss, expected, rtol=1e-14)
    assert F.dice_loss(800.0 * a - 400, a, "sigmoid", squared)[0] < 1e-150


def test_an_absent_class_learns_by_smoothing_only() -> None:
    """Without it the loss is 1 whatever is predicted; with it, fewer pixels are better."""
    x, t = np.random.default_rng(2).normal(size=(1, 1, 9)), np.zeros((1, 1, 9), bool)
    loss, backward = F.dice_loss(x, t, "sigmoid", smooth=0.0)
    assert loss == 1
    assert not backward().any()
    loss, backward = F.dice_loss(x, t, "sigmoid")
    assert 0 < loss < 1
    assert (backward() > 0).all()
    assert F.dice_loss(x - 1, t, "sigmoid")[0] < loss
    assert F.dice_loss(0 * x - 800, t, "sigmoid")[0] == 0
    assert np.isnan(F.dice_loss(0 * x - 800, t, "sigmoid", smooth=0.0)[0])


def test_dice_does_not_see_how_large_the_background_is() -> None:
    """Ten times as many pixels that are surely background: the class's loss stays, its mean falls.

    The reason that the paper gives: no weights are needed where few pixels are of the class.
    """
    rng = np.random.default_rng(3)
    x, t = rng.normal(size=(1, 2, 40)), rng.integers(0, 2, (1, 40))
    more = np.concatenate([x, np.tile([[[60.0], [-60.0]]], (1, 1, 400))], 2)
    t_more = np.concatenate([t, np.zeros((1, 400), int)], 1)
    few, _ = F.dice_loss(x, t, background=False)
    many, _ = F.dice_loss(more, t_more, background=False)
    assert abs(few - many) < 1e-14
    assert F.cross_entropy(more, t_more)[0] < 0.2 * F.cross_entropy(x, t)[0]


# Metrics

RNG = np.random.default_rng(4)
Y, T = RNG.normal(size=(3, 5, 6, 7)), RNG.integers(0, 4, (3, 6, 7))
Y[:, 2] = -9  # never named; class 4 is never there
SINGLE, BINARY = RNG.normal(size=(4, 1, 5, 5)), RNG.integers(0, 2, (4, 1, 5, 5))
NAMES = ("pixel_accuracy", "class_iou", "class_dice", "mean_iou")


def both(name: str, y: Array, t: Array, **options: Any) -> Any:
    """Scratch's number, once torch's is equal."""
    ours = getattr(metrics, name)(y, t, **options)
    made = torch.from_numpy(np.array(y)), torch.from_numpy(np.array(t))
    theirs = getattr(torch_ref.training.metrics, name)(*made, **options)
    assert isinstance(ours, np.ndarray) if "class" in name else type(ours) is type(theirs) is float
    np.testing.assert_allclose(ours, np.asarray(theirs), rtol=1e-15)
    return ours


@strict_warnings()
@pytest.mark.parametrize("ignore", [-100, 1])
def test_metrics_are_scikit_learns(ignore: int) -> None:
    kept = np.not_equal(T, ignore)
    t, y = T[kept], Y.argmax(1)[kept]
    options: Any = {"labels": range(5), "average": None, "zero_division": np.nan}
    iou = sklearn.metrics.jaccard_score(t, y, labels=range(5), average=None, zero_division=0)
    found = both("class_iou", Y, T, ignore_index=ignore)
    there = np.union1d(t, y)
    np.testing.assert_allclose(found[there], iou[there], rtol=1e-14)
    assert both("mean_iou", Y, T, ignore_index=ignore) == pytest.approx(
        iou[there].mean(), rel=1e-14
    )
    dice = sklearn.metrics.f1_score(t, y, **options)
    np.testing.assert_allclose(both("class_dice", Y, T, ignore_index=ignore), dice, rtol=1e-14)
    accuracy = sklearn.metrics.accuracy_score(t, y)
    assert both("pixel_accuracy", Y, T, ignore_index=ignore) == pytest.approx(accuracy, rel=1e-14)


def test_dice_and_iou_are_one_another() -> None:
    iou, dice = both("class_iou", Y, T), both("class_dice", Y, T)
    np.testing.assert_allclose(dice, 2 * iou / (1 + iou), rtol=1e-14)


@strict_warnings()
def test_absent_classes_and_no_pixels() -> None:
    y, t = np.zeros((1, 4, 3)), np.array([[0, 0, 1]])
    y[0, 0] = 1  # all named 0; classes 2 and 3 are nowhere
    np.testing.assert_array_equal(both("class_iou", y, t), [2 / 3, 0, np.nan, np.nan])
    assert both("mean_iou", y, t) == pytest.approx(1 / 3, rel=1e-15)
    empty = y[:0], t[:0]
    assert all(np.isnan(both(name, *empty)).all() for name in NAMES)
    assert math.isnan(both("mean_iou", y, np.full_like(t, 7), ignore_index=7))


def test_single_logits_are_two_classes() -> None:
    two = np.concatenate([0 * SINGLE, SINGLE], 1)
    for name in NAMES:
        expected = both(name, two, BINARY[:, 0])
        np.testing.assert_array_equal(both(name, SINGLE, BINARY), expected)
        np.testing.assert_array_equal(getattr(metrics, name)(SINGLE, BINARY > 0), expected)
        np.testing.assert_array_equal(both(name, SINGLE, BINARY.astype(float)), expected)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "arguments",
    [
        (Y, T + 2),
        (Y, T - 1),
        (Y, T[:2]),
        (Y, T.astype(float)),
        (Y, T[:, None]),
        (Y[:, :0], T),
        (SINGLE, BINARY + 1),
        (T, T),
        (Y, T, 0.5),
    ],
)
def test_metrics_refuse(name: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises((ValueError, TypeError), match=rf"^{name}: expected .*, got "):
        getattr(metrics, name)(*arguments)


# Mask head


def test_mask_loss_box_by_box() -> None:
    rng = np.random.default_rng(5)
    x, c, t = rng.normal(size=(5, 3, 4, 2)), rng.integers(0, 3, 5), rng.random((5, 4, 2))
    loss, backward = F.mask_loss(x, c, t)
    each = [F.binary_cross_entropy_with_logits(x[r, c[r]], t[r])[0] for r in range(5)]
    assert loss == pytest.approx(np.mean(each), rel=1e-14)
    dx = backward()
    others = np.arange(3) != c[:, None]
    assert not dx[others].any()
    assert dx[~others].all()
    rest = np.where(others[:, :, None, None], rng.normal(size=x.shape), x)
    assert F.mask_loss(rest, c, t)[0] == loss  # nor do they change the loss


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_mask_loss_far_out(dtype: Any) -> None:
    x = np.array([[[[-1e4, 1e4, -1e4, 1e4]]]], dtype)
    loss, backward = F.mask_loss(x, np.array([0]), np.array([[[0, 1, 1, 0]]]), reduction="none")
    np.testing.assert_array_equal(loss, [[[0, 0, 1e4, 1e4]]])
    np.testing.assert_array_equal(backward(np.ones_like(loss)), [[[[0, 0, -1, 1]]]])


def test_mask_head_has_torchvisions_names() -> None:
    """As torchvision 0.13 and later save them below roi_heads; and its start."""
    model = MaskHead(generator=Generator(0))
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    layers = {f"mask_head.{i}.0.{p}" for i in range(4) for p in ("weight", "bias")}
    ends = ("conv5_mask", "mask_fcn_logits")
    assert set(shapes) == layers | {
        f"mask_predictor.{name}.{p}" for name in ends for p in ("weight", "bias")
    }
    assert shapes["mask_head.3.0.weight"] == (256, 256, 3, 3)
    assert shapes["mask_predictor.conv5_mask.weight"] == (256, 256, 2, 2)
    assert shapes["mask_predictor.mask_fcn_logits.weight"] == (91, 256, 1, 1)
    torch.manual_seed(0)
    theirs = torch_ref.models.MaskHead()
    for name, value in theirs.state_dict().items():
        found = model.state_dict()[name]
        np.testing.assert_allclose(found, value.numpy(), rtol=1e-6, err_msg=name)
    spread = model.state_dict()["mask_head.0.0.weight"].std()
    assert spread == pytest.approx(math.sqrt(2 / (9 * 256)), rel=0.01)
    y, _ = MaskHead(3, 5, (4,), dim_reduced=4)(np.zeros((2, 3, 14, 14), np.float32))
    assert y.shape == (2, 5, 28, 28)


# Scenes, the task


def test_scenes_are_learned_alike() -> None:
    """U-Net with batch norm: losses, parameters and mean IoU agree to rounding."""
    run = compare(get("scenes"), steps=15)
    assert max(run.loss_drift) < 1e-11
    assert max(run.parameter_drift) < 1e-11
    assert run.metric == pytest.approx(run.reference_metric, abs=1e-14)
    assert run.loss[-1] < run.loss[0]


def test_both_trainers_report_the_same_iou(tmp_path: Path) -> None:
    """As `parity train scenes` has it; the starts are a rounding of float32 apart."""
    of = resolve("scenes", {"steps": 6, "validation": 0.2, "evaluate_every": 3, "dtype": "float64"})
    ends = []
    for package in (scratch, torch_ref):
        made: Any = package
        found = made.training.Trainer(of, tmp_path / made.__name__).run()
        ends.append((found.loss, found.metric))
        log = (tmp_path / made.__name__ / "log.jsonl").read_text()
        assert log.count('"mean_iou"') == 3
    assert ends[0] == pytest.approx(ends[1], rel=1e-6)
    assert 0 < ends[0][1] < 1
