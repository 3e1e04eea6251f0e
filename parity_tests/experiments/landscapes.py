"""Functions of two numbers to go down, with hand-made gradients and for autograd.

    Rosenbrock   (1 - x)^2 + 100 (y - x^2)^2                            lowest at (1, 1)
    Beale        (1.5 - x + x y)^2 + (2.25 - x + x y^2)^2
                 + (2.625 - x + x y^3)^2                                lowest at (3, 1/2)
    saddle       x^2 / 2 - y^2 / 2 + y^4 / 4                            lowest at (0, +-1)
    ravine       (u - 2)^2 / 2 + 100 (v - 1/2)^2 / 2                    (u, v) is (x, y) turned

Rosenbrock 1960, An automatic method for finding the greatest or least value of a function; Beale
1958, On an iterative method for finding a local minimum of a function of more than one variable.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from parity_tests.harness.draw import Array

Value = tuple[Array, Callable[[], Array]]


def rosenbrock(p: Array) -> Value:
    """A curved valley whose floor hardly falls."""
    x, y = p
    a, b = 1 - x, y - x * x

    def backward() -> Array:
        return np.array([-2 * a - 400 * x * b, 200 * b])

    return a * a + 100 * b * b, backward


def torch_rosenbrock(p: torch.Tensor) -> torch.Tensor:
    """The same in torch."""
    x, y = p
    value: torch.Tensor = (1 - x) ** 2 + 100 * (y - x**2) ** 2
    return value


POWERS, TARGETS = np.array([1.0, 2.0, 3.0]), np.array([1.5, 2.25, 2.625])


def beale(p: Array) -> Value:
    """Steep walls around plains."""
    x, y = p
    r = TARGETS - x + x * y**POWERS

    def backward() -> Array:
        return np.array([2 * r @ (y**POWERS - 1), 2 * r @ (x * POWERS * y ** (POWERS - 1))])

    return r @ r, backward


def torch_beale(p: torch.Tensor) -> torch.Tensor:
    """The same in torch."""
    x, y = p
    a, b, c = 1.5 - x + x * y, 2.25 - x + x * y**2, 2.625 - x + x * y**3
    value: torch.Tensor = a**2 + b**2 + c**2
    return value


def saddle(p: Array) -> Value:
    """Down to a saddle at 0 along x, from there to a minimum on either side along y."""
    x, y = p

    def backward() -> Array:
        return np.array([x, y**3 - y])

    return x * x / 2 - y * y / 2 + y**4 / 4, backward


def torch_saddle(p: torch.Tensor) -> torch.Tensor:
    """The same in torch."""
    x, y = p
    value: torch.Tensor = x**2 / 2 - y**2 / 2 + y**4 / 4
    return value


STEEPNESS, CENTRE, TOP = np.array([1.0, 100.0]), np.array([2.0, 0.5]), np.array([-1.0, 1.0])


def turn(degrees: float) -> Array:
    """The rotation by so much."""
    a = math.radians(degrees)
    return np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])


@dataclass(frozen=True)
class Landscape:
    """A function of two numbers.

    Attributes:
        name: title of its panels.
        ours: p -> value, backward.
        theirs: the same in torch.
        start: where everybody starts.
        minima: (m, 2).
        window: what is drawn of it: left, right, bottom, top.
    """

    name: str
    ours: Callable[[Array], Value]
    theirs: Callable[[torch.Tensor], torch.Tensor]
    start: Array
    minima: Array
    window: tuple[float, float, float, float]

    def above(self, points: Array) -> Array:
        """How much higher the points (n, 2) lie than a minimum."""
        lowest = self.ours(self.minima[0])[0]
        return np.array([self.ours(p)[0] for p in points]) - lowest

    def distance(self, points: Array) -> Array:
        """From each point (n, 2) to the nearest minimum."""
        away = np.linalg.norm(points[:, None] - self.minima, axis=2)
        nearest: Array = away.min(1)
        return nearest


def ravine(degrees: float) -> Landscape:
    """A hundred times as steep across as along, turned about the origin."""
    rotation = turn(degrees)
    torch_rotation = torch.from_numpy(rotation)

    def ours(p: Array) -> Value:
        d = p @ rotation - CENTRE

        def backward() -> Array:
            gradient: Array = rotation @ (STEEPNESS * d)
            return gradient

        return STEEPNESS @ d**2 / 2, backward

    def theirs(p: torch.Tensor) -> torch.Tensor:
        d = p @ torch_rotation - torch.from_numpy(CENTRE)
        return torch.from_numpy(STEEPNESS) @ d**2 / 2

    window = (-2.3, 3.0, -0.7, 2.4)
    return Landscape("ravine", ours, theirs, rotation @ TOP, (rotation @ CENTRE)[None], window)


LANDSCAPES = (
    Landscape(
        "Rosenbrock",
        rosenbrock,
        torch_rosenbrock,
        np.array([-1.2, 1.0]),
        np.array([[1.0, 1.0]]),
        (-1.8, 1.8, -0.7, 2.1),
    ),
    Landscape(
        "Beale",
        beale,
        torch_beale,
        np.array([1.0, 1.5]),
        np.array([[3.0, 0.5]]),
        (-0.3, 4.2, -1.3, 2.0),
    ),
    Landscape(
        "saddle",
        saddle,
        torch_saddle,
        np.array([-0.9, 1e-4]),
        np.array([[0.0, 1.0], [0.0, -1.0]]),
        (-1.4, 1.4, -1.4, 1.6),
    ),
    ravine(30),
)
