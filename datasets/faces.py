"""Pairs of pictures to verify, batches that hold pairs, and drawn faces of any number of people.

    synthetic_faces   drawn, no photographs: a person is a dozen measures of a face, a picture one
                      view of it
    pairs             every two rows, and whether they are of the same class
    class_batches     a few rows of each of a few classes, in which triplets are found

A face is an ellipse on a dark ground with eyes, brows, nose and mouth, each a Gaussian blob in the
face's own coordinates. Of the person: width, chin, shade of the skin, distance, height and size of
the eyes, height and slant of the brows, length of the nose, height, width and fullness of the
mouth. Of the view: shift, tilt, size, light from one side, contrast, mouth open and brows raised,
noise. Pixels differ more between two views than between two people: which pixels matter is to be
learned from many people.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from datasets import check
from datasets.check import Array
from datasets.tabular import Dataset

PERSON = {
    "width": (0.58, 0.8),
    "chin": (-0.15, 0.25),
    "skin": (0.45, 0.75),
    "eye distance": (0.2, 0.42),
    "eye height": (-0.28, -0.05),
    "eye size": (0.07, 0.15),
    "brow height": (0.13, 0.27),
    "brow slant": (-0.25, 0.25),
    "nose length": (0.12, 0.36),
    "mouth height": (0.38, 0.58),
    "mouth width": (0.14, 0.36),
    "lips": (0.04, 0.11),
}


def synthetic_faces(people: int, views: int, size: int = 16, seed: int = 0) -> Dataset:
    """Drawn faces: `views` pictures of each of `people` people.

    Args:
        people: number of classes.
        views: pictures of each.
        size: height and width in pixels.
        seed: of the people and the views.

    Returns:
        x (people views, 1, size, size) float32 from 0 to 1, person after person; y the people.

    Raises:
        ValueError: if an argument is too small.
        TypeError: if one is not an integer.
    """
    name = "synthetic_faces"
    people = check.size(name, "people", people, 1)
    views = check.size(name, "views", views, 1)
    size = check.size(name, "size", size, 8)
    rng = np.random.default_rng(check.seed(name, seed))
    low, high = np.array(list(PERSON.values())).T
    measures = np.repeat(rng.uniform(low, high, (people, len(PERSON))), views, axis=0)
    x = _drawn(measures, size, rng)
    names = tuple(map(str, range(people)))
    y = np.repeat(np.arange(people), views)
    return Dataset(x[:, None], y, ("grey",), names, "synthetic, drawn by synthetic_faces")


def _drawn(measures: Array, size: int, rng: np.random.Generator) -> Array:
    """One view of each row of measures, (n, size, size)."""
    n = len(measures)
    person = {key: m[:, None, None] for key, m in zip(PERSON, measures.T, strict=True)}

    def view(spread: float) -> Array:
        return rng.normal(0, spread, (n, 1, 1))

    at = (np.arange(size) + 0.5) * 2 / size - 1
    tilt, zoom = view(0.08), 1.12 + view(0.05)
    right, down = at - view(0.09), at[:, None] - view(0.09)
    u = zoom * (np.cos(tilt) * right + np.sin(tilt) * down)  # in the face's coordinates, down is v
    v = zoom * (np.cos(tilt) * down - np.sin(tilt) * right)
    side = np.abs(u)  # faces are symmetric

    def blob(x: Any, y: Any, width: Any, height: Any) -> Array:
        shade: Array = np.exp(-(((side - x) / width) ** 2) - ((v - y) / height) ** 2)
        return shade

    width = person["width"] * (1 - person["chin"] * np.maximum(v, 0))
    face = 1 / (1 + np.exp(8 * ((u / width) ** 2 + (v / 0.98) ** 2 - 1)))
    apart, eyes, large = (person[f"eye {part}"] for part in ("distance", "height", "size"))
    eye = blob(apart, eyes, 1.3 * large, 0.8 * large)
    raised = eyes - person["brow height"] - np.abs(view(0.03))
    brow = blob(apart, raised + person["brow slant"] * (side - apart), 0.17, 0.05)
    nose = blob(0.0, eyes + person["nose length"] + 0.12, 0.12, 0.06)
    lips = person["lips"] + np.abs(view(0.03))
    mouth = blob(0.0, person["mouth height"], person["mouth width"], lips)
    features = 0.9 * eye + 0.6 * brow + 0.45 * nose + 0.7 * mouth
    light = 1 + view(0.25) * u + view(0.12) * v
    picture = 0.12 + face * (person["skin"] + view(0.05)) * light * np.exp(-features)
    picture = picture * (1 + view(0.12)) + rng.normal(0, 0.04, picture.shape)
    pixels: Array = np.clip(picture, 0, 1).astype(np.float32)
    return pixels


def pairs(y: Array) -> tuple[Array, Array, Array]:
    """Every two rows, once.

    Args:
        y: classes (n,).

    Returns:
        The first and the second row of each pair, and whether they are of one class (bool), each
        (n (n - 1) / 2,).

    Raises:
        TypeError, ValueError: if y holds no integers (n,).
    """
    y = check.ids("pairs", "y", y)
    first, second = np.triu_indices(len(y), 1)
    return first, second, y[first] == y[second]


def class_batches(y: Array, classes: int, rows: int, steps: int, seed: int = 0) -> Iterator[Array]:
    """Batches of a few rows of each of a few classes, drawn anew at each step.

    Args:
        y: classes (n,).
        classes: how many are drawn for a batch.
        rows: how many rows of each, different ones.
        steps: number of batches.
        seed: of the draws.

    Returns:
        An iterator of rows (classes rows,), class after class.

    Raises:
        TypeError, ValueError: if there are not as many classes, or not as many rows of each.

    Source: Hermans, Beyer & Leibe 2017, arXiv:1703.07737, section 2 ("PK sampling").
    """
    y = check.ids("class_batches", "y", y)
    classes = check.size("class_batches", "classes", classes, 1)
    rows = check.size("class_batches", "rows", rows, 1)
    steps = check.size("class_batches", "steps", steps)
    rng = np.random.default_rng(check.seed("class_batches", seed))
    kinds, counts = np.unique(y, return_counts=True)
    if len(kinds) < classes or counts.min() < rows:
        got = f"{len(kinds)} of {counts.min(initial=len(y))} or more"
        check.refuse("class_batches", f"{classes} classes of {rows} rows or more", got)
    members = [np.flatnonzero(y == k) for k in kinds]

    def draw() -> Iterator[Array]:
        for _ in range(steps):
            chosen = rng.choice(len(kinds), classes, replace=False)
            yield np.concatenate([rng.choice(members[k], rows, replace=False) for k in chosen])

    return draw()
