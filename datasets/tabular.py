"""Real data that comes with scikit-learn, so that nothing is downloaded.

    iris            (150, 4)    3 classes    Fisher 1936
    wine            (178, 13)   3 classes    Forina et al. 1988
    breast_cancer   (569, 30)   2 classes    Wolberg, Street & Mangasarian 1993
    diabetes        (442, 10)   regression   Efron, Hastie, Johnstone & Tibshirani 2004
    digits          (1797, 64)  10 classes   Alpaydin & Kaynak 1998

x is (n, features) float64 as measured; y is (n,) int64 for classes and (n, 1) float64 for values.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from datasets import check
from datasets.check import Array


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs, targets and what they mean.

    Args:
        x: inputs (n, features), float64, C-contiguous, as measured (not standardised); pictures
            (n, channels, height, width), float32.
        y: classes (n,) int64, or of pixels (n, height, width); or values (n, 1) float64.
        feature_names: one for each column of x, or channel of the pictures.
        target_names: one for each class, or for each column of y.
        source: where the data comes from.
        image_shape: shape of one row of x as an image, where it is one.
        test_from: first row of the test set that the authors set apart, at the end, if they did.
    """

    x: Array
    y: Array
    feature_names: tuple[str, ...]
    target_names: tuple[str, ...]
    source: str
    image_shape: tuple[int, ...] | None = None
    test_from: int | None = None

    @property
    def images(self) -> Array:
        """The rows of x as images (n, height, width): a view, not a copy."""
        if self.image_shape is None:
            check.refuse("images", "a dataset of images", f"the one from {self.source}")
        return self.x.reshape(-1, *self.image_shape)


def iris() -> Dataset:
    """Iris: sepals and petals of 150 flowers in cm, three species.

    Returns:
        x (150, 4); y (150,) with 3 classes.

    Source: Fisher 1936, The use of multiple measurements in taxonomic problems.
    """
    return _classes("iris", "Fisher 1936 (UCI, scikit-learn)")


def wine() -> Dataset:
    """Wine: chemical analysis of 178 wines from three growers.

    Returns:
        x (178, 13); y (178,) with 3 classes.

    Source: Forina et al. 1988, PARVUS; UCI.
    """
    return _classes("wine", "Forina et al. 1988 (UCI, scikit-learn)")


def breast_cancer() -> Dataset:
    """Breast cancer Wisconsin: shapes of cell nuclei of 569 tumours; 0 malignant, 1 benign.

    Returns:
        x (569, 30); y (569,) with 2 classes.

    Source: Wolberg, Street & Mangasarian 1993; UCI.
    """
    return _classes("breast_cancer", "Wolberg, Street & Mangasarian 1993 (UCI, scikit-learn)")


def digits() -> Dataset:
    """Handwritten digits: 1797 images of 8 x 8 pixels from 0 (paper) to 1 (ink).

    Returns:
        x (1797, 64), the 17 grey levels scaled by 1/16; y (1797,) with 10 classes;
        `images` (1797, 8, 8).

    Source: Alpaydin & Kaynak 1998; UCI, test part of the optical recognition set.
    """
    raw = _load("digits")
    return Dataset(
        np.ascontiguousarray(raw.data, np.float64) / 16,
        raw.target.astype(np.int64),
        tuple(raw.feature_names),
        tuple(map(str, raw.target_names)),
        "Alpaydin & Kaynak 1998 (UCI, scikit-learn)",
        image_shape=(8, 8),
    )


def diabetes() -> Dataset:
    """Diabetes: ten measurements of 442 patients and how far the disease went within a year.

    The measurements are the raw ones: scikit-learn's default scales them with statistics of all
    patients, the later test set among them.

    Returns:
        x (442, 10); y (442, 1) float64, from 25 to 346.

    Source: Efron, Hastie, Johnstone & Tibshirani 2004, Least angle regression.
    """
    raw = _load("diabetes", scaled=False)
    return Dataset(
        np.ascontiguousarray(raw.data, np.float64),
        raw.target.astype(np.float64).reshape(-1, 1),
        tuple(raw.feature_names),
        ("progression",),
        "Efron, Hastie, Johnstone & Tibshirani 2004 (scikit-learn)",
    )


def _load(name: str, **options: Any) -> Any:
    return getattr(check.sklearn(name, "datasets"), f"load_{name}")(**options)


def _classes(name: str, source: str) -> Dataset:
    raw = _load(name)
    return Dataset(
        np.ascontiguousarray(raw.data, np.float64),
        raw.target.astype(np.int64),
        tuple(map(str, raw.feature_names)),
        tuple(map(str, raw.target_names)),
        source,
    )
