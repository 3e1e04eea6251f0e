"""A variational autoencoder of scikit-learn's digits: both terms, samples, what beta does.

    network     64 - 128 - latent - 128 - 64, GELU; Gaussian decoder, one learned variance, which
                starts as the pixels' mean variance
    bound       R + K in nats, not below the mean of -log p(x), a density
    samples     what the decoder expects of codes from the prior, judged by a classifier
    sure        nine of the ten nearest training digits, or all, are of one kind

Guide: variational autoencoders [3905-4220]. It derives the loss, and generates from weights as they
were drawn: nothing is trained, and there is no backward. Its example adds a mean over pixels to a
sum over the code; its class has sums, as here. Its decoder is Bernoulli, though pixels are grey:
that stands beside the Gaussian one.

The bound is that of digits not trained on, the mean of ten draws of the noise. Beside it stands
probabilistic PCA of equal width, which is the best linear Gaussian VAE and has no gap to log p(x)
(Tipping & Bishop 1999; Lucas et al. 2019, arXiv:1911.02469). A sample is good if it looks like a
digit and others look like other digits, so the classifier says how many it is sure of and how
evenly these are spread; it also sees real digits not trained on, samples of a network trained
without KL (beta = 0), and pictures of independent pixels. What it says does not follow the bound:
where K is large, codes of digits fill the prior less evenly, and more of it stands for nothing.

AdamW without decay over one cycle of the rate up to 0.01, batches of 64; width, rate and steps were
chosen on a held-out part of the training digits. Both twins get the same noise.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier

import scratch.models
import torch_ref.models
from datasets.split import batch_stream, train_test_split
from datasets.tabular import digits
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, figure, mosaic
from parity_tests.experiments.twins import Twins, alike, apart
from parity_tests.harness import twin
from parity_tests.harness.draw import Array
from scratch.nn import functional as F

OPTIONS = {"lr": 0.01, "weight_decay": 0.0}
BATCH, DRAWS, SAMPLES, SURE = 64, 10, 1000, 0.9
BETAS = (0.0, 1.0, 4.0)
LATENT, FLAT = 8, 2
GAUSSIAN, BERNOULLI = "gaussian", "bernoulli"
COLOURS = dict(zip(BETAS, CLASSES, strict=False))


@dataclass
class Run:
    """One network from one start.

    Attributes:
        twins: trained.
        terms: L, R, K of each batch, (steps, twins, 3).
        bound: R and K of the test digits, (twins, 2).
        used: K of each feature of the code, of the test digits, ours.
        codes: from the prior (SAMPLES, latent).
        samples: of these codes, ours.
        apart: of the twins' terms, bounds and samples.
    """

    twins: Twins
    terms: Array
    bound: Array
    used: Array
    codes: Array
    samples: Array
    apart: float = 0.0


@dataclass
class Data:
    """Digits as rows, split as for the tasks, and who judges them."""

    train: Array
    test: Array
    labels: Array
    judge: Any = field(repr=False)
    right: float = 0.0

    def sure(self, pictures: Array) -> tuple[float, float]:
        """Share of pictures that are some digit for sure, and how even these are, from 0 to 1."""
        p = self.judge.predict_proba(pictures)
        named = p.argmax(1)[p.max(1) >= SURE]
        share = np.bincount(named, minlength=10) / max(len(named), 1)
        entropy = -float(np.sum(share[share > 0] * np.log(share[share > 0])))
        return len(named) / len(pictures), entropy / float(np.log(10))


def load() -> Data:
    """Digits and a classifier of them."""
    data = digits()
    train, test, train_y, test_y = train_test_split(data.x, data.y, 0.2, 0)
    judge = KNeighborsClassifier(10).fit(train, train_y)
    return Data(train, test, test_y, judge, float(judge.score(test, test_y)))


def learn(
    data: Data, latent: int, beta: float, steps: int, seed: int, likelihood: str = GAUSSIAN
) -> Run:
    """Train both twins on the same batches and noise; bound the test digits, draw samples."""
    args: Any = (64, 128, latent), "GELU", likelihood, None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        theirs = torch_ref.models.VAE(*args)
    if theirs.log_variance is not None:
        with torch.no_grad():
            theirs.log_variance.fill_(float(np.log(data.train.var(0).mean())))
    pair = alike(scratch.models.VAE(*args), theirs)
    rng = np.random.default_rng(seed)
    stream = (
        (data.train[rows], rng.normal(size=(len(rows), latent)), beta)
        for rows in batch_stream(len(data.train), BATCH, steps, seed)
    )
    terms = np.array(list(pair.descend("AdamW", OPTIONS, stream, steps)))
    models: tuple[Any, Any] = pair.ours.eval(), pair.theirs.eval()
    noise = rng.normal(size=(DRAWS, len(data.test), latent))
    codes = rng.normal(size=(SAMPLES, latent))
    x = torch.from_numpy(data.test)
    with torch.no_grad():
        ours = np.mean([models[0].loss(data.test, e)[0][1:] for e in noise], axis=0)
        others = [[float(t) for t in models[1].loss(x, torch.from_numpy(e))[1:]] for e in noise]
        theirs_bound = np.mean(others, axis=0)
        samples = models[0].sample(SAMPLES, codes)
        same = twin.numpy(models[1].sample(SAMPLES, torch.from_numpy(codes)))
    (m, r), _ = models[0].encode(data.test)
    each = [F.gaussian_kl(m[:, i : i + 1], r[:, i : i + 1])[0] for i in range(latent)]
    drift = max(
        *(apart(terms[:, 0, i], terms[:, 1, i]) for i in range(3)),
        apart(ours, theirs_bound),
        apart(samples, same),
    )
    bound = np.stack([ours, theirs_bound])
    return Run(pair, terms, bound, np.array(each), codes, samples, drift)


def halfway(data: Data, run: Run, seed: int) -> tuple[Array, Array]:
    """Between pairs of test digits of different kinds: halfway in the code, and in pixels."""
    model: Any = run.twins.ours
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, len(data.test), (2, 2000))
    apart_ = data.labels[a] != data.labels[b]
    a, b = a[apart_], b[apart_]
    (m, _), _ = model.encode(data.test)
    return model.expected((m[a] + m[b]) / 2), (data.test[a] + data.test[b]) / 2


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Train with three weights of the KL, with a code that can be drawn, with Bernoulli pixels.

    Args:
        out: folder for the figures.
        small: one start, fewer steps.
        seed: of the first start.

    Returns:
        Both terms, bounds and what the classifier says, with the claims about them.
    """
    outcome = Outcome("vae_digits")
    data = load()
    steps = 250 if small else 1000
    starts = range(seed, seed + (1 if small else 3))
    runs = {beta: [learn(data, LATENT, beta, steps, s) for s in starts] for beta in BETAS}
    flat = [learn(data, FLAT, 1.0, steps, s) for s in starts]
    grey = [learn(data, LATENT, 1.0, steps, s, BERNOULLI) for s in starts]
    _table(outcome, data, runs, flat, grey)
    _claims(outcome, data, runs, flat, grey, small)
    paths = [out / f"vae_digits_{name}.png" for name in ("terms", "pictures", "map")]
    _draw_terms(paths[0], runs)
    _draw_pictures(paths[1], data, runs, grey)
    _draw_map(paths[2], data, flat[0])
    outcome.figures += paths
    return outcome


def of_pixels(data: Data) -> Array:
    """Pictures whose pixels are drawn independently from those of the training digits."""
    rng = np.random.default_rng(0)
    pixels = data.train.shape[1]
    rows = rng.integers(0, len(data.train), (SAMPLES, pixels))
    return data.train[rows, np.arange(pixels)]


def linear(data: Data, latent: int) -> float:
    """-log p(x) of probabilistic PCA, mean of the test digits."""
    return -float(PCA(latent, svd_solver="full").fit(data.train).score(data.test))


def _table(
    outcome: Outcome,
    data: Data,
    runs: dict[float, list[Run]],
    flat: list[Run],
    grey: list[Run],
) -> None:
    lines = [
        f"{'test digits':24}{'R':>8}{'K':>8}{'R + K':>8}   each start{'':14}features in use"
        f"{'samples sure':>14}{'even':>6}"
    ]
    named = {f"beta {beta:g}": done for beta, done in runs.items()}
    named |= {f"beta 1, {FLAT} numbers": flat, "beta 1, Bernoulli": grey}
    for name, done in named.items():
        terms = np.mean([r.bound[0] for r in done], axis=0)
        each = " ".join(f"{r.bound[0].sum():.2f}" for r in done)
        used = [int((r.used > 0.01).sum()) for r in done]
        judged = np.mean([data.sure(r.samples) for r in done], axis=0)
        lines.append(
            f"{name:24}{terms[0]:8.2f}{terms[1]:8.2f}{terms.sum():8.2f}   {each:24}"
            f"{' '.join(map(str, used)):>15}{judged[0]:14.1%}{judged[1]:6.2f}"
        )
        outcome.numbers[name] = {
            "R, K of the test digits, each start and twin": [r.bound.tolist() for r in done],
            "features in use": used,
            "samples sure, evenness": [data.sure(r.samples) for r in done],
        }
    references = {"real test digits": data.test, "independent pixels": of_pixels(data)}
    for name, pictures in references.items():
        share, even = data.sure(pictures)
        lines.append(f"{name:80}{share:26.1%}{even:6.2f}")
        outcome.numbers[name] = {"sure": share, "evenness": even}
    for latent in (LATENT, FLAT):
        name, value = f"probabilistic PCA, {latent} numbers", linear(data, latent)
        lines.append(f"{name:40}{value:8.2f}")
        outcome.numbers[name] = value
    between = [[data.sure(pictures)[0] for pictures in halfway(data, r, 0)] for r in grey]
    code, pixels = np.mean(between, axis=0)
    outcome.numbers["sure of halfway, Bernoulli code and pixels"] = between
    lines.append(
        f"halfway between two different digits it is sure of {code:.1%} in the Bernoulli network's "
        f"code, of {pixels:.1%} in pixels"
    )
    lines.append(f"the classifier knows {data.right:.1%} of the test digits")
    outcome.text = "\n".join(lines)


def _claims(
    outcome: Outcome,
    data: Data,
    runs: dict[float, list[Run]],
    flat: list[Run],
    grey: list[Run],
    small: bool,
) -> None:
    every = [r for done in (*runs.values(), flat, grey) for r in done]
    worst = max(r.apart for r in every)
    outcome.numbers["twins apart"] = worst
    outcome.claim(
        f"both twins learn the same from the same noise in all {len(every)} runs",
        f"terms, bounds and samples {worst:.0e} apart at most",
        worst < 1e-9,
    )
    bounds = {beta: np.array([r.bound for r in done]) for beta, done in runs.items()}
    totals = {beta: b.sum(-1) for beta, b in bounds.items()}  # (starts, twins)
    two = np.array([r.bound.sum(-1) for r in flat])
    rival, margin = (FLAT, 5) if small else (LATENT, 8)
    best = linear(data, rival)
    outcome.claim(
        f"test digits: R + K is {margin} nats or more below -log p of probabilistic PCA with "
        f"{rival} numbers, and lower than with a code of {FLAT}, from each start",
        f"{_range(totals[1.0])}, PCA {best:.2f}, code of {FLAT} {_range(two)}",
        bool(totals[1.0].max() < best - margin and (totals[1.0] < two).all()),
    )
    outcome.claim(
        "beta shifts weight from one term to the other: with each higher beta K is smaller and R "
        "larger, and R + K is smallest for beta = 1",
        "; ".join(
            f"beta {beta:g}: R {_range(b[..., 0])}, K {_range(b[..., 1])}"
            for beta, b in bounds.items()
        ),
        all(
            (bounds[low][..., 1] > bounds[high][..., 1]).all()
            and (bounds[low][..., 0] < bounds[high][..., 0]).all()
            for low, high in ((0.0, 1.0), (1.0, 4.0))
        )
        and all((totals[1.0] < totals[beta]).all() for beta in (0.0, 4.0)),
    )
    judged = {beta: np.array([data.sure(r.samples) for r in done]) for beta, done in runs.items()}
    real, pixels = data.sure(data.test)[0], data.sure(of_pixels(data))[0]
    least = 0.3
    bernoulli = np.array([data.sure(r.samples) for r in grey])
    lowest = {beta: values[:, 0].min() for beta, values in judged.items()}
    highest = {beta: values[:, 0].max() for beta, values in judged.items()}
    outcome.claim(
        f"the classifier is sure of {least:.0%} of the samples or more, and of more than with "
        "beta = 0 or with independent pixels",
        f"{_percent(judged[1.0][:, 0])}; beta 0 {_percent(judged[0.0][:, 0])}, pixels "
        f"{pixels:.1%}, real test digits {real:.1%}",
        bool(lowest[1.0] >= least and lowest[1.0] > max(pixels, highest[0.0])),
    )
    outcome.claim(
        "a better bound does not mean better samples: it is surer of those of a Bernoulli decoder"
        + ("" if small else " and of beta = 4"),
        f"Bernoulli {_percent(bernoulli[:, 0])}, beta 4 {_percent(judged[4.0][:, 0])}",
        bool(min(bernoulli[:, 0].min(), 1.0 if small else lowest[4.0]) > highest[1.0]),
    )
    carried = [np.array([r.bound[..., 1] for r in done]) for done in (grey, runs[1.0])]
    outcome.claim(
        "grey pixels are no coins: of a digit the Bernoulli decoder is told less than half as "
        "much, in K",
        f"{_range(carried[0])} nats, Gaussian {_range(carried[1])}; ten equal kinds are 2.30",
        bool(carried[0].max() < carried[1].min() / 2),
    )
    outcome.claim(
        "and they are spread over the ten digits",
        f"entropy of their kinds {judged[1.0][:, 1].min():.2f} of the most there can be, or more",
        bool(judged[1.0][:, 1].min() > 0.8),
    )
    if not small:
        used = {beta: [int((r.used > 0.01).sum()) for r in done] for beta, done in runs.items()}
        outcome.claim(
            "beta = 4 uses fewer features of the code than beta = 1",
            f"{used[4.0]} and {used[1.0]} of {LATENT} with K over 0.01",
            max(used[4.0]) < min(used[1.0]),
        )


def _range(values: Array) -> str:
    low, high = f"{values.min():.2f}", f"{values.max():.2f}"
    return low if low == high else f"{low} to {high}"


def _percent(values: Array) -> str:
    low, high = f"{values.min():.1%}", f"{values.max():.1%}"
    return low if low == high else f"{low} to {high}"


def _smooth(values: Array, over: int = 25) -> Array:
    """Running mean."""
    mean: Array = np.convolve(values, np.ones(over) / over, "valid")
    return mean


NAMES = "R, reconstruction", "K, KL divergence"


def _draw_terms(path: Path, runs: dict[float, list[Run]]) -> None:
    with figure(path, 1, 2, (11, 4.2)) as (_, axes):
        for ax, term, name in zip(
            axes, (1, 2), ("R, reconstruction", "K, divergence"), strict=True
        ):
            for beta, (first, *_) in runs.items():
                ours, theirs = (_smooth(first.terms[:, i, term]) for i in range(2))
                steps = np.arange(len(ours))
                test = first.bound[0, term - 1]
                label = f"beta {beta:g}, test {test:.1f}"
                ax.plot(steps, ours, color=COLOURS[beta], lw=1.3, label=label)
                every = max(len(steps) // 12, 1)
                ax.plot(steps[::every], theirs[::every], "o", mfc="none", mec=COLOURS[beta], ms=4)
            ax.set_title(f"{name}, in nats")
            ax.set_xlabel("step (circles: torch)")
            ax.set_yscale("linear" if term == 1 else "log")
            ax.legend(fontsize=8)


def _draw_pictures(path: Path, data: Data, runs: dict[float, list[Run]], grey: list[Run]) -> None:
    model: Any = grey[0].twins.ours
    named = {f"beta {beta:g}": done[0] for beta, done in runs.items()} | {"Bernoulli": grey[0]}
    some = data.test[:14]
    back = {"test digit": some}
    drawn: dict[str, Array] = {}
    for name, r in named.items():
        ours: Any = r.twins.ours
        back[name] = ours.reconstruct(some)
        share, _ = data.sure(r.samples)
        drawn[f"{name}\n{share:.0%} sure"] = r.samples[:14]
    first = [int(np.flatnonzero(data.labels == k)[0]) for k in range(10)]
    (m, _), _ = model.encode(data.test[first])
    t = np.linspace(0, 1, 14)[:, None]
    pairs: Sequence[tuple[int, int]] = ((1, 7), (3, 8), (0, 6), (4, 9))
    lines = {f"{a} to {b}": model.expected((1 - t) * m[a] + t * m[b]) for a, b in pairs}
    with figure(path, 3, 1, (8.5, 9)) as (_, axes):
        titles = ("reconstructed", "drawn from the prior", "from digit to digit, Bernoulli")
        for ax, rows, title in zip(axes, (back, drawn, lines), titles, strict=True):
            mosaic(ax, rows, 14)
            ax.set_title(title)


def _draw_map(path: Path, data: Data, first: Run) -> None:
    model: Any = first.twins.ours
    (m, _), _ = model.encode(data.test)
    quantiles = [statistics.NormalDist().inv_cdf((i + 0.5) / 16) for i in range(16)]
    rows = {
        str(i): model.expected(np.array([[x, y] for x in quantiles]))
        for i, y in enumerate(reversed(quantiles))
    }
    with figure(path, 1, 2, (12, 5.6)) as (_, (cloud, grid)):
        drawn = cloud.scatter(*m.T, c=data.labels, cmap="tab10", s=14)
        cloud.legend(*drawn.legend_elements(), fontsize=8, loc="upper right", title="digit")
        cloud.set_title("test digits: means of their codes")
        cloud.set_xlabel("first number")
        cloud.set_ylabel("second number")
        mosaic(grid, rows, 16, named=False)
        grid.set_title("what the decoder makes of codes, even in the prior's quantiles")
