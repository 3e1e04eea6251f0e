"""Synthetic ratings of which the structure, the noise, and so the best possible error are known.

    RatingSource  users and items that do not exist: generated, no real data
    Ratings       what was drawn: who rated what, and how

    rating        r_ui = m_ui + noise e        m_ui = mean + a_u + c_i + p_u . q_i
                  a, c ~ N(0, bias), p_u . q_i of variance `spread`^2 and rank `rank`, e ~ N(0, 1)
    features      x_i ~ N(0, 1). Of c_i and q_i a share `content` of the variance is a linear
                  function of x_i; the rest is the item's own, and nothing that is known before it
                  is rated tells it
    floors        whoever knows m errs by `noise`, and nothing errs by less; whoever knows all but
                  the rest of an unrated item errs by cold_floor()
    which         pairs are drawn uniformly, each once: who rates what says nothing. In real data
                  it does
    clicks        items taken one after the other, none twice, with probability ~ exp(sharpness m)
                  among those that are left: next_click() is the best prediction of the next one

Ratings are real numbers, not stars: rounded and cut at 1 and 5 they would have no low rank, and the
least error no closed form.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from datasets import check
from datasets.check import Array


@dataclass(frozen=True, eq=False)
class Ratings:
    """Ratings, one a row.

    Attributes:
        user: (n,) int64.
        item: (n,) int64.
        rating: (n,) float64.
    """

    user: Array
    item: Array
    rating: Array

    def __len__(self) -> int:
        return len(self.rating)

    def __getitem__(self, rows: Array | slice) -> "Ratings":
        """Some of them, by index, mask or slice."""
        return Ratings(self.user[rows], self.item[rows], self.rating[rows])

    def held_out(self, share: float = 0.2, seed: int = 0) -> tuple["Ratings", "Ratings"]:
        """Part them at random.

        Args:
            share: of the second part, in [0, 1].
            seed: of the draw.

        Returns:
            What to learn from, and what to be tested with, each in the order in which it was drawn.

        Raises:
            ValueError: if an argument is out of range.
            TypeError: if an argument is not a number.
        """
        share = check.number("Ratings.held_out", "share", share, 0, 1)
        rng = np.random.default_rng(check.seed("Ratings.held_out", seed))
        held = np.zeros(len(self), bool)
        held[rng.permutation(len(self))[: round(share * len(self))]] = True
        return self[~held], self[held]

    def cold(self, items: Array) -> tuple["Ratings", "Ratings"]:
        """Part off all ratings of some items, which are new then.

        Args:
            items: integers (k,).

        Returns:
            The ratings of all other items, and theirs.

        Raises:
            TypeError: if `items` holds no integers.
        """
        new = np.isin(self.item, check.ids("Ratings.cold", "items", items))
        return self[~new], self[new]

    def table(self, users: int, items: int) -> tuple[Array, Array]:
        """As a matrix with gaps.

        Args:
            users: number of rows, more than any user's.
            items: number of columns, more than any item's.

        Returns:
            Ratings (users, items), 0 in the gaps, and bool (users, items), where there is one.

        Raises:
            ValueError: if one does not fit.
        """
        low = int(self.user.max(initial=-1)) + 1, int(self.item.max(initial=-1)) + 1
        users = check.size("Ratings.table", "users", users, low[0])
        items = check.size("Ratings.table", "items", items, low[1])
        values, observed = np.zeros((users, items)), np.zeros((users, items), bool)
        values[self.user, self.item] = self.rating
        observed[self.user, self.item] = True
        return values, observed


@dataclass(frozen=True)
class RatingSource:
    """Users and items that do not exist, and what the ones think of the others.

    Args:
        users: number of users.
        items: number of items.
        rank: of p . q, at least 1.
        features: of an item, at least 1.
        content: share of an item that its features tell, in [0, 1].
        mean: of all ratings.
        bias: standard deviation of the users' and of the items' own level, not negative.
        spread: standard deviation of p . q, not negative.
        noise: standard deviation of what nothing explains, not negative.
        seed: of all that is fixed.

    Raises:
        ValueError: if an argument is out of range.
        TypeError: if an argument is not a number.
    """

    users: int = 500
    items: int = 300
    rank: int = 4
    features: int = 8
    content: float = 0.8
    mean: float = 3.5
    bias: float = 0.4
    spread: float = 0.8
    noise: float = 0.5
    seed: int = 0
    user_bias: Array = field(init=False, repr=False, compare=False)  # a (users,)
    item_bias: Array = field(init=False, repr=False, compare=False)  # c (items,)
    user_factors: Array = field(init=False, repr=False, compare=False)  # p (users, rank)
    item_factors: Array = field(init=False, repr=False, compare=False)  # q (items, rank)
    item_features: Array = field(init=False, repr=False, compare=False)  # x (items, features)
    told: Array = field(init=False, repr=False, compare=False)  # (items, 1 + rank): c, q by x

    def __post_init__(self) -> None:
        name = "RatingSource"
        for what in ("users", "items", "rank", "features"):
            check.size(name, what, getattr(self, what), 1)
        check.number(name, "content", self.content, 0, 1)
        check.number(name, "mean", self.mean, -math.inf)
        for what in ("bias", "spread", "noise"):
            check.number(name, what, getattr(self, what), 0)
        rng = np.random.default_rng(check.seed(name, self.seed))
        x = rng.normal(size=(self.items, self.features))
        weights = rng.normal(size=(self.features, 1 + self.rank))
        weights /= np.linalg.norm(weights, axis=0)  # so that each told column has variance 1
        scale = np.array([self.bias] + [1.0] * self.rank)
        told = math.sqrt(self.content) * (x @ weights) * scale
        own = math.sqrt(1 - self.content) * rng.normal(size=told.shape) * scale
        p = rng.normal(size=(self.users, self.rank)) * self.spread / math.sqrt(self.rank)
        values = {
            "user_bias": self.bias * rng.normal(size=self.users),
            "item_bias": (told + own)[:, 0],
            "user_factors": p,
            "item_factors": (told + own)[:, 1:],
            "item_features": x,
            "told": told,
        }
        for attribute, value in values.items():
            object.__setattr__(self, attribute, value)

    def means(self) -> Array:
        """m (users, items): the best prediction there is."""
        return self._means(self.item_bias, self.item_factors)

    def cold_means(self) -> Array:
        """m (users, items) but for each item's own part: the best before an item is rated."""
        return self._means(self.told[:, 0], self.told[:, 1:])

    def cold_floor(self) -> float:
        """Root of the expected squared error of `cold_means`, over these users and any items."""
        own = (1 - self.content) * (self.bias**2 + np.square(self.user_factors).sum(1).mean())
        return math.sqrt(self.noise**2 + float(own))

    def draw(self, n: int, seed: int = 0) -> Ratings:
        """Draw ratings of different pairs, all pairs alike.

        Args:
            n: how many, at most users * items.
            seed: of the draw.

        Returns:
            n ratings.

        Raises:
            ValueError: if an argument is out of range.
            TypeError: if an argument is not an integer.
        """
        pairs = self.users * self.items
        n = check.size("RatingSource.draw", "n", n, 0, pairs)
        rng = np.random.default_rng(check.seed("RatingSource.draw", seed))
        user, item = np.divmod(rng.choice(pairs, n, replace=False), self.items)
        expected = self.means()[user, item]
        return Ratings(user, item, expected + self.noise * rng.normal(size=n))

    def clicks(self, n: int, sharpness: float = 2.0, seed: int = 0) -> Array:
        """Items that each user takes, one after the other.

        Args:
            n: how many of each user, at most `items`.
            sharpness: how much the mean rating decides, not negative.
            seed: of the draw.

        Returns:
            (users, n) int64, in the order in which they were taken; no row has an item twice.

        Raises:
            ValueError: if an argument is out of range.
            TypeError: if an argument is not a number.
        """
        name = "RatingSource.clicks"
        n = check.size(name, "n", n, 0, self.items)
        sharpness = check.number(name, "sharpness", sharpness)
        rng = np.random.default_rng(check.seed(name, seed))
        # The order of x + Gumbel noise is that of draws without replacement by softmax(x).
        keys = sharpness * self.means() + rng.gumbel(size=(self.users, self.items))
        return np.argsort(-keys, axis=1)[:, :n]

    def next_click(self, seen: Array, sharpness: float = 2.0) -> Array:
        """What each user takes next, given what was taken: the best prediction there is.

        Args:
            seen: items (users, n), n < items.
            sharpness: as in `clicks`.

        Returns:
            p(next) (users, items), 0 for what was taken.

        Raises:
            ValueError: if the shape does not fit.
            TypeError: if `seen` holds no integers.
        """
        name = "RatingSource.next_click"
        if not isinstance(seen, np.ndarray) or seen.ndim != 2:
            check.refuse(name, "seen to be an integer array (users, n)", check.describe(seen))
        check.ids(name, "seen", seen.ravel(), self.items)
        if len(seen) != self.users or seen.shape[1] >= self.items:
            expected = f"seen of shape ({self.users}, n), n < {self.items}"
            check.refuse(name, expected, seen.shape)
        x = check.number(name, "sharpness", sharpness) * self.means()
        np.put_along_axis(x, seen, -np.inf, 1)
        p: Array = np.exp(x - x.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        return p

    def _means(self, c: Array, q: Array) -> Array:
        m: Array = self.mean + self.user_bias[:, None] + c + self.user_factors @ q.T
        return m
