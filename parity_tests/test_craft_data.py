"""Scaling, imputing, folding, augmenting: as scikit-learn and SciPy have them, or by hand."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import cumulative_trapezoid
from scipy.interpolate import CubicSpline
from scipy.ndimage import affine_transform
from sklearn import impute, model_selection, preprocessing

import datasets
from datasets.augment_pixels import rotated
from datasets.augment_series import spline_basis
from parity_tests.harness.draw import Array
from parity_tests.harness.entry import unchecked

RNG = np.random.default_rng(5)
ROWS = RNG.standard_normal((40, 4)) * [1, 10, 0.01, 0] + [0, 100, 1, 0.3]  # the last is constant
GAPS = np.where(RNG.random(ROWS.shape) < 0.3, np.nan, np.round(ROWS, 1))
PICTURES = RNG.random((6, 3, 7, 9))
SERIES = RNG.standard_normal((5, 30, 2))
CLASSES = np.array([2, 0, 0, 1, 1, 2, 0, 1, 2, 2, 0, 2, 5, 5, 5])
WORDS = ["the", "cat", "sat", "on", "the", "mat"]
SYNONYMS = {"cat": ("tom", "kitty"), "mat": ["rug"], "on": []}
both = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# Scaling


@both
@pytest.mark.parametrize(
    ("scaler", "theirs"),
    [
        (datasets.MinMaxScaler.fit, preprocessing.MinMaxScaler()),
        (datasets.RobustScaler.fit, preprocessing.RobustScaler()),
        (
            lambda x: datasets.RobustScaler.fit(x, (0.1, 0.7)),
            preprocessing.RobustScaler(quantile_range=(10, 70)),
        ),
    ],
)
def test_scaler_is_scikit_learns(scaler: Any, theirs: Any, dtype: Any) -> None:
    x, other = ROWS[:30].astype(dtype), ROWS[30:].astype(dtype)
    ours = scaler(x)
    assert ours(x).dtype == ours.inverse(x).dtype == dtype
    close = 64 * np.finfo(dtype).eps * 1e4  # 0.01 is cut out of 1, 100 times the eps, 3 of them
    np.testing.assert_allclose(ours(x), theirs.fit_transform(x), rtol=close, atol=close)
    np.testing.assert_allclose(ours(other), theirs.transform(other), rtol=close, atol=close)
    np.testing.assert_allclose(ours.inverse(ours(other)), other, rtol=close)


def test_deviation_and_median_are_numpys_and_not_torchs() -> None:
    """torch.std divides by n - 1, torch.median takes the lower of two middle values; here, as in
    NumPy and scikit-learn, they are over n and the mean of both."""
    x = np.array([[1.0], [2.0], [4.0], [9.0]])
    tensor = torch.from_numpy(x)
    std = datasets.Standardizer.fit(x).std
    np.testing.assert_allclose(std, tensor.std(0, correction=0), rtol=1e-15)
    np.testing.assert_allclose(std * np.sqrt(4 / 3), tensor.std(0), rtol=1e-15)
    for median in (
        datasets.RobustScaler.fit(x).center,
        datasets.SimpleImputer.fit(x, "median").fill,
    ):
        assert median == [3.0] and tensor.median(0).values == 2.0
        np.testing.assert_array_equal(median, tensor.quantile(0.5, 0))


def test_min_max_fills_the_unit_interval() -> None:
    z = datasets.MinMaxScaler.fit(ROWS)(ROWS)
    assert np.array_equal(z.min(0), [0, 0, 0, 0]) and np.array_equal(z.max(0), [1, 1, 1, 0])
    pictures = datasets.MinMaxScaler.fit(PICTURES * 9)(PICTURES * 9)
    assert np.array_equal(pictures.min((0, 2, 3)), np.zeros(3))
    assert np.array_equal(pictures.max((0, 2, 3)), np.ones(3))


def test_robust_scaler_is_unmoved_by_one_far_row() -> None:
    far = ROWS.copy()
    far[far[:, 0].argmax(), 0] *= 1e6
    a, b = datasets.RobustScaler.fit(ROWS), datasets.RobustScaler.fit(far)
    assert np.array_equal(a.center, b.center) and np.array_equal(a.scale, b.scale)


# Imputing


@both
@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent"])
def test_simple_imputer_is_scikit_learns(strategy: str, dtype: Any) -> None:
    x, other = GAPS[:30].astype(dtype), GAPS[30:].astype(dtype)
    ours = datasets.SimpleImputer.fit(x, strategy)
    theirs = impute.SimpleImputer(strategy=strategy).fit(x)
    assert ours(other).dtype == dtype
    np.testing.assert_allclose(ours(other), theirs.transform(other), rtol=8 * np.finfo(dtype).eps)


@both
@pytest.mark.parametrize("k", [1, 3, 100])
def test_knn_imputer_is_scikit_learns(k: int, dtype: Any) -> None:
    """On rows without ties, of which each takes its own choice.

    Theirs is given float64: its distances are a^2 + b^2 - 2 ab, which in float32 loses the nearest.
    """
    holes = np.isnan(GAPS)
    holes[35] = [False, True, True, True]  # and one training row has nothing in common with it
    holes[3] = [True, False, False, False]
    x = np.where(holes, np.nan, ROWS + 0.01 * RNG.standard_normal(ROWS.shape)).astype(dtype)
    ours = datasets.KNNImputer.fit(x[:30], k)
    theirs = impute.KNNImputer(n_neighbors=k).fit(x[:30].astype(float))
    for rows in (x[:30], x[30:]):
        assert ours(rows).dtype == dtype
        np.testing.assert_allclose(
            ours(rows), theirs.transform(rows.astype(float)), rtol=8 * np.finfo(dtype).eps
        )


def test_knn_imputer_without_a_neighbour_takes_the_mean() -> None:
    x = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, 4.0], [np.nan, 6.0]])
    expected = [[1, 5], [3, 5], [2, 4], [2, 6]]
    np.testing.assert_array_equal(datasets.KNNImputer.fit(x, 2)(x), expected)
    np.testing.assert_array_equal(impute.KNNImputer(n_neighbors=2).fit_transform(x), expected)


def test_missing_indicator_is_scikit_learns() -> None:
    theirs = impute.MissingIndicator().fit(GAPS[:3])
    ours = datasets.missing_indicator(GAPS, theirs.features_)
    assert ours.dtype == GAPS.dtype and 0 < theirs.features_.size < 4
    np.testing.assert_array_equal(ours[:3], theirs.transform(GAPS[:3]))
    np.testing.assert_array_equal(datasets.missing_indicator(GAPS), np.isnan(GAPS))


def test_fills_of_a_series() -> None:
    nan = np.nan
    x = np.array([[nan, 1], [2, nan], [nan, nan], [5, 4], [nan, nan]])
    forward = [[nan, 1], [2, 1], [2, 1], [5, 4], [5, 4]]
    backward = [[2, 1], [2, 4], [5, 4], [5, 4], [nan, nan]]
    np.testing.assert_array_equal(datasets.forward_fill(x), forward)
    np.testing.assert_array_equal(datasets.backward_fill(x), backward)


# Folds


@pytest.mark.parametrize(("n", "k"), [(10, 5), (11, 3), (4, 4), (7, 2)])
def test_k_fold_is_scikit_learns(n: int, k: int) -> None:
    ours = list(datasets.k_fold(n, k))
    theirs = list(model_selection.KFold(k).split(np.zeros(n)))
    for (a, b), (c, d) in zip(ours, theirs, strict=True):
        assert np.array_equal(a, c) and np.array_equal(b, d)


@pytest.mark.parametrize("k", [2, 3])
def test_stratified_k_fold_is_scikit_learns(k: int) -> None:
    for y in (CLASSES, RNG.integers(0, 4, 97), np.sort(CLASSES)[::-1].copy()):
        ours = list(datasets.stratified_k_fold(y, k))
        theirs = list(model_selection.StratifiedKFold(k).split(y, y))
        for (a, b), (c, d) in zip(ours, theirs, strict=True):
            assert np.array_equal(a, c) and np.array_equal(b, d)


@given(
    counts=st.lists(st.integers(4, 12), min_size=1, max_size=4),
    k=st.integers(2, 4),
    seed=st.none() | st.integers(0, 99),
)
def test_folds_part_the_rows(counts: list[int], k: int, seed: int | None) -> None:
    y = np.repeat(np.arange(len(counts)), counts)
    y = rng(1).permutation(y)
    for folds in (datasets.k_fold(len(y), k, seed), datasets.stratified_k_fold(y, k, seed)):
        parts = list(folds)
        tests = np.concatenate([test for _, test in parts])
        assert np.array_equal(np.sort(tests), np.arange(len(y))) and len(parts) == k
        sizes = [len(test) for _, test in parts]
        assert max(sizes) - min(sizes) <= 1
        for train, test in parts:
            assert np.array_equal(np.union1d(train, test), np.arange(len(y)))
            assert not np.intersect1d(train, test).size
    shares = np.array([np.bincount(y[test], minlength=len(counts)) for _, test in parts])
    assert (np.ptp(shares, axis=0) <= 1).all()


def test_folds_follow_the_seed() -> None:
    folds: list[Callable[[int], Any]] = [
        lambda s: datasets.k_fold(40, 4, s),
        lambda s: datasets.stratified_k_fold(np.arange(40) % 3, 4, s),
    ]
    for fold in folds:
        a, b, c = (np.concatenate([test for _, test in fold(s)]) for s in (1, 1, 2))
        assert np.array_equal(a, b) and not np.array_equal(a, c)


# Augmenting: the same generator in the same state, the same result; dtype kept; x as it was

TARGET = np.eye(4)[[0, 1, 2, 3, 0, 1]]
AUGMENTATIONS: dict[str, tuple[Array, Callable[[Array, np.random.Generator], Any]]] = {
    "random_rotation": (PICTURES, lambda x, r: datasets.random_rotation(x, 30, r)),
    "random_brightness_contrast": (PICTURES, datasets.random_brightness_contrast),
    "random_noise": (PICTURES, lambda x, r: datasets.random_noise(x, 0.1, r)),
    "random_erasing": (PICTURES, datasets.random_erasing),
    "mixup": (PICTURES, lambda x, r: datasets.mixup(x, TARGET.astype(x.dtype), r)[0]),
    "cutmix": (PICTURES, lambda x, r: datasets.cutmix(x, TARGET.astype(x.dtype), r)[0]),
    "jitter": (SERIES, datasets.jitter),
    "scaling": (SERIES, datasets.scaling),
    "magnitude_warp": (SERIES, datasets.magnitude_warp),
    "time_warp": (SERIES, datasets.time_warp),
    "window_slice": (SERIES, lambda x, r: datasets.window_slice(x, 12, r)),
}


@both
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmentation(name: str, dtype: Any) -> None:
    given_x, function = AUGMENTATIONS[name]
    x = given_x.astype(dtype)
    x.flags.writeable = False
    first, again, other = (function(x, rng(seed)) for seed in (1, 1, 2))
    assert first.dtype == dtype and not np.shares_memory(first, x)
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert first.shape == (x.shape if name != "window_slice" else (5, 12, 2))
    assert not np.array_equal(first, x)
    rows = function(x[:0], rng()) if name not in ("mixup", "cutmix") else x[:0]
    assert len(rows) == 0


@pytest.mark.parametrize("degrees", [0.0, 17.0, -90.0, 180.0, 133.0])
def test_rotation_is_scipys(degrees: float) -> None:
    angle = np.deg2rad(degrees)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middle = (np.array(PICTURES.shape[2:]) - 1) / 2
    options = {"offset": middle - matrix @ middle, "order": 1, "mode": "grid-constant"}
    border = np.array([0.2, -1.0, 7.0]).reshape(3, 1, 1)
    ours = rotated(PICTURES, np.full(6, degrees), border)
    for picture, turned in zip(PICTURES, ours, strict=True):
        for channel, y, fill in zip(picture, turned, border.ravel(), strict=True):
            theirs = affine_transform(channel, matrix, cval=fill, **options)
            np.testing.assert_allclose(y, theirs, rtol=0, atol=1e-12)


def test_a_quarter_turn_is_counter_clockwise() -> None:
    square = PICTURES[..., :7]
    turned = rotated(square, np.full(6, 90.0), np.zeros(()))
    np.testing.assert_allclose(turned, np.rot90(square, axes=(2, 3)), rtol=0, atol=1e-14)


def test_brightness_and_contrast() -> None:
    y = datasets.random_brightness_contrast(PICTURES, rng(), brightness=0.3, contrast=0.5)
    mean = PICTURES.mean((1, 2, 3), keepdims=True)
    shift = y.mean((1, 2, 3), keepdims=True) - mean
    factor = (y - mean - shift) / (PICTURES - mean)
    assert np.abs(shift).max() <= 0.3 and len(np.unique(shift)) == 6
    np.testing.assert_allclose(factor, factor[:, :1, :1, :1] * np.ones_like(y), rtol=1e-11)
    assert 0.5 <= factor.min() < factor.max() <= 1.5


def test_noise_has_its_spread() -> None:
    noise = datasets.random_noise(np.ones((50, 1, 20, 20)), 0.3, rng()) - 1
    assert abs(noise.std() / 0.3 - 1) < 0.02 and abs(noise.mean()) < 0.01


def test_erasing_hides_one_rectangle() -> None:
    x = np.ones((500, 2, 16, 12))
    y = datasets.random_erasing(x, rng(), p=0.6, area=(0.05, 0.3), fill=np.array([0.0, -1.0]))
    hidden = y[:, 0] == 0
    assert np.array_equal(hidden, y[:, 1] == -1) and np.array_equal(~hidden, y[:, 0] == 1)
    touched = hidden.any((1, 2))
    assert 0.53 < touched.mean() < 0.67
    h, w = hidden.any(2).sum(1), hidden.any(1).sum(1)
    assert np.array_equal(hidden.sum((1, 2)), h * w)  # a rectangle
    share = (h * w)[touched] / (16 * 12)
    assert 0.03 < share.min() < 0.08 and 0.25 < share.max() < 0.36
    assert ((h / np.maximum(w, 1))[touched] < 4.5).all()
    assert hidden[:, 0].any() and hidden[:, -1].any() and hidden[..., 0].any()  # anywhere
    squares = datasets.random_erasing(x, rng(), p=1.0, ratio=1.0)[:, 0] == 0
    assert (np.abs(squares.any(2).sum(1) - squares.any(1).sum(1)) == 0).all()


def test_mixup_blends_rows_and_targets_alike() -> None:
    rows = np.arange(6.0)[:, None] * np.ones(3)
    y, t = datasets.mixup(rows, np.eye(6), rng(3), alpha=0.7)
    np.testing.assert_allclose(y[:, 0], t @ np.arange(6.0), rtol=1e-14)
    np.testing.assert_allclose(t.sum(1), 1, rtol=1e-15)
    assert (np.diag(t) < 1).any() and ((t > 0).sum(1) <= 2).all()


def test_cutmix_goes_by_the_pixels_left() -> None:
    rows = np.arange(50.0).reshape(-1, 1, 1, 1) * np.ones((1, 2, 10, 8))
    y, t = datasets.cutmix(rows, np.eye(50), rng(3))
    for i, (picture, target) in enumerate(zip(y, t, strict=True)):
        shares = np.bincount(picture[0].astype(int).ravel(), minlength=50) / 80
        np.testing.assert_allclose(shares, target, atol=1e-15)
        assert np.array_equal(picture[0], picture[1]) and target[i] == shares[i]
        pasted = picture[0] != i
        assert pasted.sum() == pasted.any(1).sum() * pasted.any(0).sum()
    assert 0.05 < (1 - np.diag(t)).mean() < 0.6


@pytest.mark.parametrize(("length", "knots"), [(30, 2), (30, 3), (31, 6), (5, 9)])
def test_spline_is_scipys_natural_one(length: int, knots: int) -> None:
    values = RNG.standard_normal((knots, 3))
    theirs = CubicSpline(np.arange(knots), values, bc_type="natural" if knots > 2 else "not-a-knot")
    t = np.linspace(0, knots - 1, length)
    np.testing.assert_allclose(spline_basis(length, knots) @ values, theirs(t), atol=1e-13)


def test_series_by_their_formulas() -> None:
    scaled = datasets.scaling(SERIES, rng(), std=0.3) / SERIES
    np.testing.assert_allclose(scaled, scaled[:, :1] * np.ones((1, 30, 1)), rtol=1e-14)
    assert len(np.unique(scaled[:, 0])) == 10
    warped = datasets.magnitude_warp(SERIES, rng(), std=0.3, knots=2) / SERIES - 1
    values = 0.3 * rng().standard_normal((5, 4, 2))
    theirs = CubicSpline(np.arange(4), values.swapaxes(0, 1), bc_type="natural")
    np.testing.assert_allclose(warped, theirs(np.linspace(0, 3, 30)).swapaxes(0, 1), atol=1e-12)
    noise = datasets.jitter(np.zeros((99, 100)), rng(), std=0.2)
    assert abs(noise.std() / 0.2 - 1) < 0.03


def test_time_never_runs_back() -> None:
    time = np.arange(40.0) * np.ones((200, 1))
    y = datasets.time_warp(time, rng(), std=0.8)
    assert (np.diff(y) > 0).all() and np.array_equal(y[:, 0], np.zeros(200))
    np.testing.assert_allclose(y[:, -1], 39, rtol=1e-14)
    assert np.abs(y - time).max() > 5
    np.testing.assert_allclose(datasets.time_warp(SERIES, rng(), std=0.0), SERIES, atol=1e-12)
    values = rng(4).standard_normal((200, 6))
    curve = CubicSpline(np.arange(6), values.T, bc_type="natural")(np.linspace(0, 5, 40)).T
    speed = np.exp(0.2 * curve)
    travelled = cumulative_trapezoid(speed, initial=0)
    expected = 39 * travelled / travelled[:, -1:]
    np.testing.assert_allclose(datasets.time_warp(time, rng(4)), expected, atol=1e-12)
    x = np.sin(time / 3)
    positions = datasets.time_warp(time, rng(4))
    expected = np.array([np.interp(p, time[0], s) for p, s in zip(positions, x, strict=True)])
    np.testing.assert_allclose(datasets.time_warp(x, rng(4)), expected, atol=1e-12)
    assert datasets.time_warp(time[:, :1], rng()).shape == (200, 1)


def test_windows_start_anywhere() -> None:
    x = np.arange(6.0) * np.ones((300, 1))
    y = datasets.window_slice(x, 4, rng())
    assert np.array_equal(y - y[:, :1], np.arange(4.0) * np.ones((300, 1)))
    assert set(y[:, 0]) == {0, 1, 2}
    assert np.array_equal(datasets.window_slice(x, 6, rng()), x)


# Text


@given(words=st.lists(st.sampled_from("abcde"), max_size=8), seed=st.integers(0, 999))
def test_words(words: list[str], seed: int) -> None:
    held = list(words)
    table = {"a": ["x", "y"], "b": ["z"], "c": []}
    deleted = datasets.random_deletion(words, 0.5, rng(seed))
    rest = iter(words)
    assert all(word in rest for word in deleted)  # in order
    assert bool(deleted) == bool(words)
    assert sorted(datasets.random_swap(words, 3, rng(seed))) == sorted(words)
    replaced = datasets.synonym_replacement(words, 2, table, rng(seed))
    changes = [(a, b) for a, b in zip(words, replaced, strict=True) if a != b]
    assert len(changes) == min(2, sum(word in "ab" for word in words))
    assert all(b in table[a] for a, b in changes)
    inserted = datasets.random_insertion(words, 2, table, rng(seed))
    has = any(word in "ab" for word in words)
    assert len(inserted) == len(words) + (2 if has else 0)
    assert [word for word in inserted if word not in "xyz"] == words
    assert words == held


def test_words_change_at_the_rate_asked_for() -> None:
    many = ["word"] * 5000
    assert abs(len(datasets.random_deletion(many, 0.3, rng())) / 5000 - 0.7) < 0.03
    assert datasets.random_deletion(WORDS, 0.0, rng()) == WORDS
    assert len(datasets.random_deletion(WORDS, 1.0, rng())) == 1
    assert datasets.random_swap(["a", "b"], 1, rng()) == ["b", "a"]
    assert datasets.random_swap(["a"], 4, rng()) == ["a"]


def test_typing_errors() -> None:
    text = "a" * 20_000
    assert datasets.character_noise(text, 0.0, rng()) == text
    assert datasets.character_noise("", 1.0, rng()) == ""
    noisy = datasets.character_noise(text, 0.2, rng(), alphabet="z")
    lost_and_added = 20_000 - noisy.count("a"), noisy.count("z")
    # a quarter each: lost and mistaken lose an a, inserted and mistaken bring a z
    assert all(abs(count / 2000 - 1) < 0.1 for count in lost_and_added)
    swapped = datasets.character_noise("ab" * 5000, 0.1, rng(), alphabet="z")
    assert len(re.findall("bb|aa", swapped)) > 100
    assert datasets.character_noise("abc", 1.0, rng(5)) == datasets.character_noise(
        "abc", 1.0, rng(5)
    )


# Refusals

R = rng()
refusals: list[tuple[str, Callable[[], Any], str]] = [
    ("MinMaxScaler.fit", lambda: datasets.MinMaxScaler.fit(GAPS), "x to be finite"),
    ("MinMaxScaler", lambda: datasets.MinMaxScaler.fit(ROWS)(ROWS[:, :2]), "(n, 4), got (40, 2)"),
    (
        "MinMaxScaler.inverse",
        lambda: datasets.MinMaxScaler.fit(PICTURES).inverse(ROWS),
        "z of shape (n, 3, height, width)",
    ),
    ("RobustScaler.fit", lambda: datasets.RobustScaler.fit(unchecked([1])), "float32 or float64"),
    ("RobustScaler.fit", lambda: datasets.RobustScaler.fit(ROWS, unchecked(1)), "a pair"),
    ("RobustScaler.fit", lambda: datasets.RobustScaler.fit(ROWS, (0.5, 0.5)), "(0.5, 1]"),
    ("SimpleImputer.fit", lambda: datasets.SimpleImputer.fit(GAPS, "mode"), "got 'mode'"),
    ("SimpleImputer.fit", lambda: datasets.SimpleImputer.fit(GAPS * np.nan), "none in column 0"),
    ("SimpleImputer", lambda: datasets.SimpleImputer.fit(GAPS)(GAPS[:, 1:]), "1, 4), got (40, 3)"),
    ("KNNImputer.fit", lambda: datasets.KNNImputer.fit(GAPS, 0), "k >= 1, got 0"),
    ("KNNImputer.fit", lambda: datasets.KNNImputer.fit(GAPS[:0]), "got (0, 4)"),
    ("KNNImputer", lambda: datasets.KNNImputer.fit(GAPS)(GAPS + np.inf), "got infinity"),
    (
        "missing_indicator",
        lambda: datasets.missing_indicator(GAPS, np.array([4])),
        "columns in [0, 4), got 4",
    ),
    ("forward_fill", lambda: datasets.forward_fill(GAPS[0]), "got (4,)"),
    ("backward_fill", lambda: datasets.backward_fill(CLASSES[:, None]), "got int64 array"),
    ("k_fold", lambda: datasets.k_fold(3, 4), "k in [2, 3], got 4"),
    ("k_fold", lambda: datasets.k_fold(1, 2), "n >= 2, got 1"),
    ("k_fold", lambda: datasets.k_fold(5, 2, -1), "got -1"),
    ("stratified_k_fold", lambda: datasets.stratified_k_fold(CLASSES, 4), "4 rows of each class"),
    ("stratified_k_fold", lambda: datasets.stratified_k_fold(ROWS[:, 0], 2), "array of integers"),
    ("stratified_k_fold", lambda: datasets.stratified_k_fold(CLASSES, 2, -1), "got -1"),
    ("random_rotation", lambda: datasets.random_rotation(PICTURES, 181, R), "[0, 180], got 181"),
    ("random_rotation", lambda: datasets.random_rotation(ROWS, 1, R), "got (40, 4)"),
    (
        "random_rotation",
        lambda: datasets.random_rotation(PICTURES, 1, R, fill=np.ones(2)),
        "an array (3,)",
    ),
    (
        "random_brightness_contrast",
        lambda: datasets.random_brightness_contrast(PICTURES, R, contrast=2),
        "contrast in [0, 1], got 2",
    ),
    (
        "random_brightness_contrast",
        lambda: datasets.random_brightness_contrast(PICTURES, R, brightness=-1),
        "got -1",
    ),
    ("random_noise", lambda: datasets.random_noise(PICTURES, -1, R), "std in [0, inf), got -1"),
    ("random_noise", lambda: datasets.random_noise(PICTURES, 1, unchecked(0)), "a numpy.random.G"),
    ("random_erasing", lambda: datasets.random_erasing(PICTURES, R, p=2), "p in [0, 1], got 2"),
    (
        "random_erasing",
        lambda: datasets.random_erasing(PICTURES, R, area=(0.5, 0.4)),
        "the largest area in [0.5, 1], got 0.4",
    ),
    ("random_erasing", lambda: datasets.random_erasing(PICTURES, R, area=unchecked(1)), "a pair"),
    ("random_erasing", lambda: datasets.random_erasing(PICTURES, R, ratio=0.5), "got 0.5"),
    ("mixup", lambda: datasets.mixup(PICTURES, TARGET[:2], R), "got 2 and 6"),
    ("mixup", lambda: datasets.mixup(PICTURES, TARGET, R, alpha=0), "alpha in (0, inf), got 0"),
    ("cutmix", lambda: datasets.cutmix(ROWS, ROWS, R), "got (40, 4)"),
    ("cutmix", lambda: datasets.cutmix(PICTURES, CLASSES[:6], R), "target to be a float32"),
    ("jitter", lambda: datasets.jitter(SERIES[0, 0], R), "got (2,)"),
    ("scaling", lambda: datasets.scaling(SERIES, R, std=-1), "got -1"),
    ("magnitude_warp", lambda: datasets.magnitude_warp(SERIES, R, knots=-1), "knots >= 0, got -1"),
    ("time_warp", lambda: datasets.time_warp(SERIES, unchecked(None)), "got None"),
    ("window_slice", lambda: datasets.window_slice(SERIES, 31, R), "[1, 30], got 31"),
    ("random_deletion", lambda: datasets.random_deletion(WORDS, 1.5, R), "p in [0, 1], got 1.5"),
    ("random_deletion", lambda: datasets.random_deletion("a b", 0.5, R), "a list of words"),
    ("random_swap", lambda: datasets.random_swap(WORDS, -1, R), "n >= 0, got -1"),
    (
        "synonym_replacement",
        lambda: datasets.synonym_replacement(WORDS, 1, unchecked({"cat": "tom"}), R),
        "lists of words by word",
    ),
    ("random_insertion", lambda: datasets.random_insertion(WORDS, unchecked(0.5), {}, R), "0.5"),
    ("character_noise", lambda: datasets.character_noise("a", 0.5, R, alphabet=""), "got none"),
    ("character_noise", lambda: datasets.character_noise(unchecked(WORDS), 0.5, R), "a string"),
]


@pytest.mark.parametrize(
    ("function", "call", "text"), refusals, ids=[f"{r[0]}-{r[2][:30]}" for r in refusals]
)
def test_refuses(function: str, call: Callable[[], Any], text: str) -> None:
    with pytest.raises(
        (ValueError, TypeError), match=rf"^{re.escape(function)}: expected .*{re.escape(text)}"
    ):
        call()
