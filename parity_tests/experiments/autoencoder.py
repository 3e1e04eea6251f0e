"""Autoencoders beside principal components: what a bend in the data is worth.

    flat       20 coordinates, on a plane of 3 dimensions     synthetic: datasets.manifold
    curved     20 coordinates, on a bent surface of 3         likewise
    digits     64 pixels                                      scikit-learn's

Guide: autoencoders [1856-1915, 3465-3745]. Its data are flat, and it takes the falling loss for a
discovery of the three dimensions. On such data principal components are the best linear code there
is, and a linear autoencoder can do no more than find them (Baldi & Hornik 1989, Neural Networks 2).
So each network stands beside the PCA of equal width, on rows that neither has seen, and a deep one
has its chance on data that bend. (The guide descends the gradient of a sum over features while it
prints their mean: its rate is 20 times what it says. Its code is rectified: the bias can lift it
off the kink, and then it is a linear one; or a unit dies, and a dimension is lost.)

All are trained by AdamW without decay, over one cycle of the rate up to 0.01; widths, rate and
number of steps were chosen on held-out parts of the training rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsRegressor

import scratch.models
import torch_ref.models
from datasets.manifold import manifold
from datasets.split import Standardizer, batch_stream, train_test_split
from datasets.tabular import digits
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, figure, mosaic
from parity_tests.experiments.twins import Twins, alike, apart
from parity_tests.harness.draw import Array

OPTIONS = {"lr": 0.01, "weight_decay": 0.0}
CODE, ROWS, SPLIT = 3, 1000, 0
LINEAR, RECTIFIED, DEEP = "linear autoencoder", "rectified code", "deep autoencoder"
NETWORKS: dict[str, tuple[Sequence[int], str, str]] = {
    LINEAR: ((20, CODE), "Identity", "Identity"),
    RECTIFIED: ((20, CODE), "Identity", "ReLU"),
    DEEP: ((20, 64, 64, CODE), "GELU", "Identity"),
}
COLOURS = {"PCA": "0.4", LINEAR: CLASSES[2], RECTIFIED: CLASSES[3], DEEP: CLASSES[1]}


@dataclass
class Found:
    """One way to code, on one set of rows.

    Attributes:
        train: mean squared error of the training rows, ours and torch's.
        test: of the others.
        codes: of the others (m, width).
        rows: their reconstructions by ours.
        apart: the twins' losses and reconstructions.
    """

    train: tuple[float, float]
    test: tuple[float, float]
    codes: Array
    rows: Array
    apart: float = 0.0


def error(rows: Array, x: Array) -> float:
    """Mean squared error."""
    return float(np.mean((rows - x) ** 2))


def principal(width: int, train: Array, test: Array) -> Found:
    """PCA by scikit-learn."""
    pca = PCA(width, svd_solver="full").fit(train)
    codes = [pca.transform(x) for x in (train, test)]
    rows = [pca.inverse_transform(z) for z in codes]
    errors = error(rows[0], train), error(rows[1], test)
    return Found((errors[0],) * 2, (errors[1],) * 2, codes[1], rows[1])


def learn(
    network: tuple[Sequence[int], str, str],
    train: Array,
    test: Array,
    steps: int,
    batch: int,
    seed: int,
) -> Found:
    """Train both twins on the same batches."""
    pair = made(network, seed)
    stream = ((train[rows],) for rows in batch_stream(len(train), batch, steps, seed))
    losses = np.array(list(pair.descend("AdamW", OPTIONS, stream, steps)))[..., 0]
    fitted, rows = pair(train), pair(test)
    models: Any = pair.ours
    codes, _ = models.encode(test)
    return Found(
        (error(fitted[0], train), error(fitted[1], train)),
        (error(rows[0], test), error(rows[1], test)),
        codes,
        rows[0],
        max(apart(losses[:, 0], losses[:, 1]), apart(*rows)),
    )


def made(network: tuple[Sequence[int], str, str], seed: int) -> Twins:
    """The twins with torch's start."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        theirs = torch_ref.models.Autoencoder(*network)
    return alike(scratch.models.Autoencoder(*network), theirs)


def surface(curved: bool, seed: int) -> tuple[Array, Array, Array, Array]:
    """Training and test rows, standardised, and the coordinates on the surface."""
    x, u = manifold(ROWS + 500, 20, CODE, curved, seed=seed)
    scale = Standardizer.fit(x[:ROWS])
    return scale(x[:ROWS]), scale(x[ROWS:]), u[:ROWS], u[ROWS:]


def told(codes: Array, u: Array) -> float:
    """Share of the variance of u that a row's neighbours among half of the codes tell."""
    half = len(codes) // 2
    scaled = codes / codes.std(0)
    neighbours = KNeighborsRegressor(5).fit(scaled[:half], u[:half])
    return float(neighbours.score(scaled[half:], u[half:]))


Results = dict[str, list[dict[str, Found]]]


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Code three sets of rows by PCA and by autoencoders, and compare what comes back.

    Args:
        out: folder for the figures.
        small: one start, fewer steps, one width for the digits.
        seed: of the first start and surface.

    Returns:
        Errors, with the claims about them.
    """
    outcome = Outcome("autoencoder")
    starts = range(seed, seed + (1 if small else 3))
    results: Results = {}
    truth: dict[str, tuple[Array, Array]] = {}
    for curved in (False, True):
        name = "curved" if curved else "flat"
        for s in starts:
            train, test, _, u = surface(curved, s)
            truth.setdefault(name, (test, u))
            of = {"PCA": principal(CODE, train, test)}
            for kind, network in NETWORKS.items():
                steps = (250 if small else 1000) if kind == DEEP else (350 if small else 3000)
                of[kind] = learn(network, train, test, steps, 32, s)
            results.setdefault(name, []).append(of)
            outcome.numbers.setdefault("coordinates told by neighbours in the code", {})[
                f"{name}, start {s}"
            ] = {kind: told(of[kind].codes, u) for kind in ("PCA", DEEP)}
    data = digits()
    for width in (CODE,) if small else (CODE, 8):
        name = f"digits, {width}"
        for s in starts:
            train, test, _, _ = train_test_split(data.x, data.y, 0.2, SPLIT)
            truth.setdefault(name, (test, test))
            network = ((64, 128, 64, width), "GELU", "Identity")
            results.setdefault(name, []).append(
                {
                    "PCA": principal(width, train, test),
                    DEEP: learn(network, train, test, 200 if small else 1500, 64, s),
                }
            )
    _table(outcome, results)
    _claims(outcome, results, small)
    names = ("errors", "codes", "digits")
    paths = [out / f"autoencoder_{name}.png" for name in names]
    _draw_errors(paths[0], results, truth)
    _draw_codes(paths[1], results, truth["curved"][1])
    _draw_digits(paths[2], results, truth)
    outcome.figures += paths
    return outcome


def tests(results: Results, name: str, kind: str) -> Array:
    """Test errors (starts, twins)."""
    return np.array([of[kind].test for of in results[name]])


def trains(results: Results, name: str, kind: str) -> Array:
    """Training errors (starts, twins)."""
    return np.array([of[kind].train for of in results[name]])


def _table(outcome: Outcome, results: Results) -> None:
    lines = [f"{'mean squared error':22}{'':22}{'training':>10}{'test':>10}   test, each start"]
    for name, done in results.items():
        for kind in done[0]:
            test, train = tests(results, name, kind), trains(results, name, kind)
            each = " ".join(f"{v:.4f}" for v in test[:, 0])
            lines.append(f"{name:22}{kind:22}{train.mean():10.4f}{test.mean():10.4f}   {each}")
            outcome.numbers.setdefault(name, {})[kind] = {
                "training": train.tolist(),
                "test": test.tolist(),
                "dead units of the code": [int((of[kind].codes.std(0) == 0).sum()) for of in done],
            }
    outcome.text = "\n".join(lines)


def _claims(outcome: Outcome, results: Results, small: bool) -> None:
    runs = [found for done in results.values() for of in done for found in of.values()]
    learned = [found for found in runs if found.apart]
    worst = max(found.apart for found in learned)
    outcome.numbers["twins apart"] = worst
    outcome.claim(
        f"both twins learn the same in all {len(learned)} runs",
        f"losses and reconstructions {worst:.0e} apart at most",
        worst < 1e-9,
    )
    above = 0.2 if small else 0.05
    for name in ("flat", "curved"):
        ratios = trains(results, name, LINEAR) / trains(results, name, "PCA")
        outcome.claim(
            f"{name}: the linear autoencoder comes to PCA's error on the training rows from above, "
            f"within {above:.0%}",
            f"{ratios.min():.4f} to {ratios.max():.4f} of PCA's",
            bool(ratios.min() >= 1 and ratios.max() < 1 + above),
        )
    ratios = tests(results, "flat", DEEP) / tests(results, "flat", "PCA")
    outcome.claim(
        "flat: the deep one is no better than PCA on rows it has not seen",
        f"{ratios.min():.3f} to {ratios.max():.3f} of PCA's error",
        bool(ratios.min() >= 1 and ratios.max() < 1.3),
    )
    ratios = tests(results, "curved", DEEP) / tests(results, "curved", "PCA")
    bent = tests(results, "curved", RECTIFIED) / tests(results, "curved", "PCA")
    limit = 0.25 if small else 0.2
    outcome.claim(
        f"curved: the deep one has less than {limit:g} of PCA's error on rows it has not seen; a "
        "rectified code without hidden layers has not",
        f"{ratios.min():.3f} to {ratios.max():.3f}; {bent.min():.3f} to {bent.max():.3f}",
        bool(ratios.max() < limit and bent.min() > 0.9),
    )
    neighbours = outcome.numbers["coordinates told by neighbours in the code"]
    pairs = [(v["PCA"], v[DEEP]) for name, v in neighbours.items() if name.startswith("curved")]
    outcome.claim(
        "curved: who is near in the deep code is near on the surface, more than in PCA's",
        "variance of the coordinates that neighbours tell: "
        + ", ".join(f"{deep:.2f} against {pca:.2f}" for pca, deep in pairs),
        all(deep > pca for pca, deep in pairs),
    )
    for name in results:
        if name.startswith("digits"):
            ratios = tests(results, name, DEEP) / tests(results, name, "PCA")
            limit = 0.9 if small else 0.65
            outcome.claim(
                f"{name} numbers: the deep one has less than {limit:g} of PCA's error on digits it "
                "has not seen",
                f"{ratios.min():.3f} to {ratios.max():.3f}",
                bool(ratios.max() < limit),
            )


def _draw_errors(path: Path, results: Results, truth: dict[str, tuple[Array, Array]]) -> None:
    with figure(path, 2, 2, (12, 7.5)) as (_, axes):
        for (lines, bars), name in zip(axes, ("flat", "curved"), strict=True):
            x, of = truth[name][0], results[name][0]
            for i in range(3):
                lines.plot(x[i] + 4 * i, color="0.15", lw=1.5, label=None if i else "row")
                for kind in ("PCA", DEEP):
                    label = None if i else kind
                    style = "--" if kind == "PCA" else "-"
                    lines.plot(
                        of[kind].rows[i] + 4 * i, style, color=COLOURS[kind], lw=1.2, label=label
                    )
            lines.set_title(f"{name}: three test rows and what comes back of 3 numbers")
            lines.set_xlabel("coordinate")
            lines.legend(fontsize=8, ncols=3)
            edges = np.geomspace(1e-3, 3, 50)
            for kind, found in of.items():
                errors = ((found.rows - x) ** 2).mean(1)
                label = f"{kind}, mean {errors.mean():.4f}"
                bars.hist(errors, edges, histtype="step", lw=1.6, color=COLOURS[kind], label=label)
            bars.set_xscale("log")
            bars.set_xlabel("squared error of a row, mean over coordinates")
            bars.set_title(f"{name}: {len(x)} test rows")
            bars.legend(fontsize=8, loc="upper right")


def _draw_codes(path: Path, results: Results, u: Array) -> None:
    of = results["curved"][0]
    clouds = {
        "where the rows lie on the surface": u,
        "PCA": of["PCA"].codes,
        DEEP: of[DEEP].codes,
    }
    with figure(path, 1, 3, (13, 4.6), subplot_kw={"projection": "3d"}) as (_, axes):
        for ax, (name, z) in zip(axes, clouds.items(), strict=True):
            ax.scatter(*z.T, c=u[:, 0], cmap="viridis", s=8)
            share = "" if z is u else f": {told(z, u):.0%} told by neighbours"
            ax.set_title(f"{name}{share}")
            ax.set_xticklabels([])
            ax.set_yticklabels([])
            ax.set_zticklabels([])


def _draw_digits(path: Path, results: Results, truth: dict[str, tuple[Array, Array]]) -> None:
    names = [name for name in results if name.startswith("digits")]
    rows = {"digit": truth[names[0]][0]}
    for name in names:
        for kind in ("PCA", DEEP):
            rows[f"{kind}\n{name.removeprefix('digits, ')} numbers"] = results[name][0][kind].rows
    with figure(path, 1, 1, (11, len(rows))) as (_, ax):
        mosaic(ax, rows, 12)
