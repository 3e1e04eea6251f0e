"""Synthetic sessions of items, made so that the best possible recommendation is known.

    SessionSource     a made-up shop, no real data: items in categories, sessions that follow routes
    Sessions          what was drawn, session after session
    session_parallel  side by side in slots, as GRU4Rec is trained: a session that ends makes room

An item i has a category and a kind; in its category it has popularity z(i) ~ 1 / rank^zipf.
    first item      category c with probability w(c) ~ 1 / (1 + c)^(zipf / 2), item by z
    next category   route[kind of the session's first item][category now], or with probability
                    `noise` any, by w
    next item       of that category, by z
    length          2, and one more with probability q again and again: 2 + q / (1 - q) in the mean
From one category every kind's route leads to another one. So what comes next depends on an item
any number of steps back: whoever sees the current one alone has to guess among the kinds. (Whoever
sees two in a row can tell the kind from the step between them, unless one strayed.)
    p(next | first, now)  = (1 - noise) [its category is the route's] z + noise w z
    p(next | now)         the same, averaged over p(kind | now), for which the sums over positions
                          have a closed form: no predictor that sees one item can be better
"""

import heapq
from dataclasses import dataclass, field

import numpy as np

from datasets import check
from datasets.check import Array


@dataclass(frozen=True, eq=False)
class Sessions:
    """Sessions one after the other.

    Attributes:
        items: (events,) int64.
        offsets: (sessions + 1,) int64: session s is items[offsets[s] : offsets[s + 1]].
    """

    items: Array
    offsets: Array

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, s: int) -> Array:
        """The items of one session."""
        s = range(len(self))[s]
        return self.items[self.offsets[s] : self.offsets[s + 1]]

    def transitions(self) -> tuple[Array, Array, Array]:
        """First item of the session, item now and item next, of every event that has a next one."""
        lengths = np.diff(self.offsets)
        first = np.repeat(self.items[self.offsets[:-1]], lengths)
        last = np.zeros(len(self.items), bool)
        last[self.offsets[1:] - 1] = True
        now = np.flatnonzero(~last)
        return first[now], self.items[now], self.items[now + 1]


@dataclass(frozen=True)
class SessionSource:
    """A shop that does not exist, and the rules that its visitors follow.

    Args:
        categories: number of categories, at least 2.
        items: items in each.
        kinds: of items, and so of sessions, fewer than categories.
        noise: probability of leaving the route, in [0, 1].
        zipf: exponent of the popularities, not negative.
        mean_length: of a session, at least 2.
        seed: of which items belong where, and of the routes.

    Raises:
        ValueError: if an argument is out of range.
        TypeError: if an argument is not a number.
    """

    categories: int = 8
    items: int = 40
    kinds: int = 4
    noise: float = 0.1
    zipf: float = 1.0
    mean_length: float = 8.0
    seed: int = 0
    category: Array = field(init=False, repr=False, compare=False)  # (V,) of each item
    kind: Array = field(init=False, repr=False, compare=False)  # (V,) of each item
    popularity: Array = field(init=False, repr=False, compare=False)  # (V,) z, in its category
    routes: Array = field(init=False, repr=False, compare=False)  # (kinds, categories)

    def __post_init__(self) -> None:
        name = "SessionSource"
        check.size(name, "categories", self.categories, 2)
        check.size(name, "items", self.items, 1)
        check.size(name, "kinds", self.kinds, 1, self.categories - 1)
        check.number(name, "noise", self.noise, 0, 1)
        check.number(name, "zipf", self.zipf, 0)
        check.number(name, "mean_length", self.mean_length, 2)
        rng = np.random.default_rng(check.seed(name, self.seed))
        place = rng.permutation(self.num_items)  # numbers that tell nothing
        rank = place % self.items
        z = 1 / (1.0 + rank) ** self.zipf
        circle = rng.permutation(self.categories)
        strides = 1 + rng.permutation(self.categories - 1)[: self.kinds]
        at = np.argsort(circle)  # where on the circle a category is
        values = {
            "category": place // self.items,
            "kind": (rank + place // self.items) % self.kinds,
            "popularity": z / np.sum(1 / (1.0 + np.arange(self.items)) ** self.zipf),
            "routes": circle[(at + strides[:, None]) % self.categories],
        }
        for attribute, value in values.items():
            object.__setattr__(self, attribute, value)

    @property
    def num_items(self) -> int:
        """V."""
        return self.categories * self.items

    @property
    def entrance(self) -> Array:
        """w (categories,)."""
        w = (1.0 + np.arange(self.categories)) ** (-self.zipf / 2)
        w /= w.sum()
        return w

    def draw(self, n: int, seed: int = 0) -> Sessions:
        """Draw sessions.

        Args:
            n: how many.
            seed: of the draw.

        Returns:
            n sessions of at least two items.

        Raises:
            ValueError: if an argument is out of range.
            TypeError: if an argument is not an integer.
        """
        n = check.size("SessionSource.draw", "n", n)
        rng = np.random.default_rng(check.seed("SessionSource.draw", seed))
        lengths = 1 + rng.geometric(1 - self._goes_on, n)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        items = np.empty(offsets[-1], np.int64)
        members = [np.flatnonzero(self.category == c) for c in range(self.categories)]

        def pick(categories: Array) -> Array:
            chosen = np.empty(len(categories), np.int64)
            for c, ids in enumerate(members):
                rows = categories == c
                chosen[rows] = rng.choice(ids, int(rows.sum()), p=self.popularity[ids])
            return chosen

        def enter(count: int) -> Array:
            return rng.choice(self.categories, count, p=self.entrance)

        now = pick(enter(n))
        kinds = self.kind[now]
        items[offsets[:-1]] = now
        for t in range(1, int(lengths.max(initial=0))):
            on = np.flatnonzero(lengths > t)
            route = self.routes[kinds[on], self.category[now[on]]]
            strays = rng.random(len(on)) < self.noise
            now[on] = pick(np.where(strays, enter(len(on)), route))
            items[offsets[on] + t] = now[on]
        return Sessions(items, offsets)

    def probabilities(self, first: Array, now: Array) -> Array:
        """What comes next, given all that went before: the best scores there are.

        Args:
            first: first items of the sessions (n,).
            now: current items (n,).

        Returns:
            p(next | first, now), (n, V).

        Raises:
            ValueError: if an item does not exist.
            TypeError: if the items are no integers.
        """
        for name, ids in (("first", first), ("now", now)):
            _items("SessionSource.probabilities", name, ids, self.num_items)
        p: Array = self._next()[self.kind[first], self.category[now]]
        return p

    def order_one(self) -> Array:
        """What comes next, given the current item alone: the best order-1 scores there are.

        Returns:
            p(next | now), (V, V), a row for each current item.
        """
        z, q = self.popularity, self._goes_on
        entered = self.entrance[self.category] * z
        weights = np.empty((self.kinds, self.num_items))  # p(kind, now), of events with a next one
        for k in range(self.kinds):
            first = np.where(self.kind == k, entered, 0.0)
            start = np.bincount(self.category, first, self.categories)
            step = self._steps()[k]
            later = np.linalg.solve((np.eye(self.categories) - q * step).T, q * start @ step)
            weights[k] = first + later[self.category] * z
        weights /= weights.sum(0)
        p: Array = np.einsum("ki,kiv->iv", weights, self._next()[:, self.category])
        return p

    @property
    def _goes_on(self) -> float:
        """q: the mean length is 2 + q / (1 - q)."""
        extra = self.mean_length - 2
        return extra / (1 + extra)

    def _steps(self) -> Array:
        """p(next category | kind, category), (kinds, categories, categories)."""
        on = self.routes[..., None] == np.arange(self.categories)
        p: Array = (1 - self.noise) * on + self.noise * self.entrance
        return p

    def _next(self) -> Array:
        """p(next item | kind, category), (kinds, categories, V)."""
        return self._steps()[..., self.category] * self.popularity


def session_parallel(
    sessions: Sessions, batch_size: int, order: Array
) -> tuple[Array, Array, Array]:
    """An epoch of sessions in slots: what each slot reads at each step, and what comes next.

    Session order[0] begins in slot 0, order[1] in slot 1 and so on. When a slot's session has no
    next item left, the next of `order` takes the slot, and `start` says that the state is to be
    reset. The epoch ends where a slot would stay empty, so that the ends of the sessions that are
    still running then, fewer than `batch_size`, are left out, as in the authors' code.

    Args:
        sessions: of at least two items each.
        batch_size: B, number of slots.
        order: the sessions to run, integers (n,), n >= batch_size.

    Returns:
        input (S, B) and target (S, B), int64 items, and start (S, B), bool.

    Raises:
        ValueError: if there are too few sessions, one is too short or does not exist.
        TypeError: if `order` holds no integers or `batch_size` is none.

    Source: Hidasi et al. 2016, arXiv:1511.06939, section 3.1.1.
    """
    name = "session_parallel"
    size = check.size(name, "batch_size", batch_size, 1)
    _items(name, "order", order, len(sessions))
    if len(order) < size:
        check.refuse(name, f"at least batch_size = {size} sessions", len(order))
    steps = np.diff(sessions.offsets)[order] - 1
    if steps.min() < 1:
        check.refuse(name, "sessions of at least two items", f"one of {steps.min() + 1}")
    free = [(0, slot) for slot in range(size)]  # when each slot is free, the earliest first
    runs = []
    for session, length in zip(order, steps.tolist(), strict=True):
        when, slot = heapq.heappop(free)
        runs.append((when, slot, length, sessions.offsets[session]))
        heapq.heappush(free, (when + length, slot))
    end = free[0][0]
    at = np.empty((end, size), np.int64)  # place of each slot's item among all
    start = np.zeros((end, size), bool)
    for when, slot, length, offset in runs:
        stop = min(when + length, end)
        at[when:stop, slot] = offset + np.arange(stop - when)
        start[when:stop, slot] = np.arange(stop - when) == 0
    return sessions.items[at], sessions.items[at + 1], start


def _items(function: str, name: str, ids: object, count: int) -> None:
    if not isinstance(ids, np.ndarray) or ids.dtype.kind not in "iu" or ids.ndim != 1:
        check.refuse(
            function, f"{name} to be an integer array (n,)", check.describe(ids), TypeError
        )
    if ids.size and (ids.min() < 0 or ids.max() >= count):
        bad = int(ids.max() if ids.max() >= count else ids.min())
        check.refuse(function, f"every entry of {name} in [0, {count})", bad)
