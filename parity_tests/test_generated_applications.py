"""Shapes and options that nobody chose, for what detects, segments, verifies and draws categories.

hypothesis draws sizes and options; the catalog's own comparison with torch does the rest.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parity_tests.catalog import categories, detection, models_faces, segmentation
from parity_tests.harness.check import check_op
from parity_tests.harness.draw import Draw
from parity_tests.harness.entry import Call, Case, Op
from scratch.nn import functional as F

Made = Callable[[Draw], Call]
Drawn = Callable[[Any], Made]  # sizes and options first, the numbers after

FAMILIES = (categories, detection, models_faces, segmentation)
OPS = {
    e.name: e
    for family in FAMILIES
    for e in family.ENTRIES
    if isinstance(e, Op) and hasattr(F, e.name)
}
SIZE = st.integers(1, 5)
FLAG = st.booleans()
REDUCTION = st.sampled_from(["none", "mean", "sum"])


def sizes(draw: Any, low: int, high: int) -> tuple[int, ...]:
    return tuple(draw(SIZE) for _ in range(draw(st.integers(low, high))))


def focal(draw: Any) -> Made:
    options = {
        "alpha": draw(st.sampled_from([-1, 0.25, 0.9])),
        "gamma": draw(st.sampled_from([0, 1.0, 2.0, 3.5])),
        "reduction": draw(REDUCTION),
    }
    return detection.logits(*sizes(draw, 1, 4), **options)


def overlap(draw: Any) -> Made:
    eps = draw(st.sampled_from([1e-7, 0.01]))
    return detection.boxes(draw(SIZE), reduction=draw(REDUCTION), eps=eps)


def regions(draw: Any) -> Made:
    options = {
        "output_size": draw(st.one_of(SIZE, st.tuples(SIZE, SIZE))),
        "spatial_scale": draw(st.sampled_from([0.25, 0.5, 1.0, 1.7])),
        "sampling_ratio": draw(st.sampled_from([-1, 0, 1, 2, 3])),
        "aligned": draw(FLAG),
    }
    return detection.regions(
        draw(SIZE), draw(st.integers(2, 9)), draw(st.integers(2, 9)), **options
    )


def predicted(draw: Any) -> Made:
    shape = (*(draw(SIZE) for _ in range(2)), 5 + draw(SIZE), *(draw(SIZE) for _ in range(2)))
    weights = st.sampled_from([0.1, 0.5, 5.0])
    options = {"coord": draw(weights), "noobj": draw(weights)}
    return lambda d: detection.said(d, *shape, **options)


def dice(draw: Any) -> Made:
    softmax = draw(FLAG)
    options: dict[str, Any] = {
        "squared": draw(FLAG),
        "smooth": draw(st.sampled_from([0.01, 1.0, 5.0])),
        "batch": draw(FLAG),
        "background": draw(FLAG),
        "reduction": draw(REDUCTION),
    }
    shape = (draw(SIZE), draw(st.integers(2, 5)), *sizes(draw, 0, 3))
    return (segmentation.classes if softmax else segmentation.masks)(*shape, **options)


def mask(draw: Any) -> Made:
    shape = (draw(SIZE) for _ in range(4))
    return segmentation.boxes(*shape, reduction=draw(REDUCTION))


def arc(draw: Any) -> Made:
    options = {"scale": draw(st.sampled_from([1.0, 30.0, 64.0])), "easy_margin": draw(FLAG)}
    return models_faces.cosines(-0.9, 0.9, margin=draw(st.sampled_from([0.0, 0.1, 0.5])), **options)


def cos(draw: Any) -> Made:
    options = {
        "margin": draw(st.sampled_from([0.0, 0.2, 0.35])),
        "scale": draw(st.sampled_from([1.0, 30.0, 64.0])),
    }
    return models_faces.cosines(-0.9, 0.9, **options)


def distance(draw: Any) -> Made:
    *rows, size = sizes(draw, 1, 3)
    other = [1 if draw(FLAG) else n for n in rows]
    return lambda d: Call(d.normal(*rows, size), d.normal(*other, size))


def triplets(draw: Any) -> Made:
    labels = draw(st.lists(st.integers(0, 3), min_size=1, max_size=12))
    options = {
        "margin": draw(st.sampled_from([0.2, 1.0])),
        "squared": draw(FLAG),
        "reduction": draw(REDUCTION),
    }
    made: Made = models_faces.batch(labels, draw(st.integers(2, 5)), unit=draw(FLAG), **options)
    return made


def gumbel(draw: Any) -> Made:
    shape = sizes(draw, 1, 4)
    options = {
        "tau": draw(st.sampled_from([0.3, 1.0, 5.0])),
        "hard": draw(FLAG),
        "dim": draw(st.integers(-len(shape), len(shape) - 1)),
    }
    return categories.noisy(*shape, **options)


DRAWN: dict[str, Drawn] = {
    "sigmoid_focal_loss": focal,
    "generalized_box_iou_loss": overlap,
    "roi_align": regions,
    "grid_detection_loss": predicted,
    "dice_loss": dice,
    "mask_loss": mask,
    "arc_face": arc,
    "cos_face": cos,
    "squared_distance": distance,
    "semi_hard_triplet_loss": triplets,
    "batch_hard_triplet_loss": triplets,
    "gumbel_softmax": gumbel,
}
# p (dp - sum p dp) / tau of a single category is 0, or what rounding leaves of it.
CANCELS = {"gumbel_softmax": 10.0}


@pytest.mark.parametrize("name", DRAWN)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_equals_torch(name: str, data: Any) -> None:
    case = Case("drawn", DRAWN[name](data.draw), cancels=CANCELS.get(name, 0.0))
    for comparison in check_op(OPS[name], case, np.dtype(np.float64), "cpu", thorough=False):
        assert comparison.passed, str(comparison)


def test_every_function_is_here() -> None:
    assert DRAWN.keys() == OPS.keys()
