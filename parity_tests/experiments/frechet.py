"""How far made pictures are from real ones, in the features of a classifier of real ones.

    judge     an MLP that learned the digits; its last hidden layer's 64 values are the features
    distance  of two Gaussians with the features' means m and covariances C:
              |m_1 - m_2|^2 + tr(C_1 + C_2 - 2 (C_1 C_2)^(1/2))
    root      tr (C_1 C_2)^(1/2) = the sum of the roots of the eigenvalues of B C_2 B, B B = C_1

Heusel et al. 2017, arXiv:1706.08500, with features of an Inception network trained on ImageNet;
here as there the number depends on the classifier and on how many samples there are, so real
held-out digits, as many, are the reference.
"""

import numpy as np

from datasets.split import batch_stream
from datasets.tasks import get
from parity_tests.harness.draw import Array
from scratch.models import MLP
from scratch.optim import Adam
from scratch.random import Generator
from scratch.training import train


def digits() -> tuple[Array, Array, Array, Array]:
    """Training digits (n, 64) with pixels in [-1, 1], their classes; the same of held-out ones."""
    split = get("digits").load(0)
    real, test = (2 * split.standardizer.inverse(x) - 1 for x in (split.train_x, split.test_x))
    return real, split.train_y, test, split.test_y


def judge(x: Array, t: Array, steps: int) -> MLP:
    """A classifier of real digits with pixels in [-1, 1], (n, 64) float64."""
    model = MLP([64, 64, 10], dtype=np.float64, generator=Generator(0))
    optimizer = Adam(model.parameters(), lr=2e-3)
    for _ in train(model, optimizer, "cross_entropy", x, t, batch_stream(len(x), 64, steps, 0)):
        pass
    return model


def features(knows: MLP, x: Array) -> Array:
    """What the last layer is told of pictures (n, ...): (n, 64)."""
    h = np.reshape(x, (len(x), -1)).astype(np.float64)
    for layer in list(knows.eval().layers)[:-1]:
        h, _ = layer(h)
    return h


class Yardstick:
    """The distance of pictures to the training digits, and what it is of others, as many.

    Args:
        real: training digits (n, 64), pixels in [-1, 1].
        labels: theirs.
        test: held-out digits.
        count: how many pictures are judged.
        steps: of the judge's training.
        seed: of the Gaussian's samples.

    Attributes:
        reference: the distances of held-out digits, and of samples of a Gaussian with the moments
            of the training pixels.
    """

    def __init__(
        self, real: Array, labels: Array, test: Array, count: int, steps: int, seed: int
    ) -> None:
        self.judge = judge(real, labels, steps)
        self.known = features(self.judge, real)
        rng = np.random.default_rng(seed)
        gaussian = rng.multivariate_normal(real.mean(0), np.cov(real, rowvar=False), count)
        self.reference = {"held-out digits": self(test[:count]), "a Gaussian's": self(gaussian)}

    def sure(self, x: Array) -> float:
        """The judge's mean probability of the class that it sees in each picture."""
        logits, _ = self.judge.eval()(np.clip(np.reshape(x, (len(x), -1)), -1, 1))
        odds = np.exp(logits - logits.max(1, keepdims=True))
        return float((1 / odds.sum(1)).mean())

    def __call__(self, x: Array) -> float:
        """The distance of pictures (count, ...), clipped to the pixels' range."""
        return frechet(features(self.judge, np.clip(x, -1, 1)), self.known)


def frechet(a: Array, b: Array) -> float:
    """The distance of the Gaussians with the moments of two sets of rows (n, d), (m, d)."""
    means = a.mean(0), b.mean(0)
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values, vectors = np.linalg.eigh(np.atleast_2d(first))
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    product = np.linalg.eigvalsh(root @ np.atleast_2d(second) @ root)
    shared = np.sqrt(np.maximum(product, 0)).sum()
    apart = np.sum((means[0] - means[1]) ** 2)
    return float(apart + np.trace(np.atleast_2d(first + second)) - 2 * shared)
