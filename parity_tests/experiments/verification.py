"""Is this the same one? Embeddings for pairs of classes that were never seen in training.

    softmax      a linear layer over the embedding, cross entropy; afterwards it is normalised
    ArcFace      cosines to a direction a class, the margin added to the own class's angle
    semi-hard    FaceNet's triplets: of every pair in the batch, a negative just farther away
    batch-hard   of every picture in the batch the farthest of its class and the nearest of others

The guide [6580] names FaceNet and ArcFace and others' accuracy. Here both kinds are trained in both
packages, once on the digits 0 to 6 of scikit-learn, once on drawn faces (`datasets.faces`,
synthetic and stated as such), and asked of two pictures whether they show the same: of unseen
pictures of those digits, of the digits 7 to 9, and of people that nobody has shown them. The raw
pixels' distance is what they have to beat, and Fisher's linear discriminants of the same training
pictures (Belhumeur et al. 1997, "Fisherfaces"). Photographs are not used: scikit-learn's Olivetti
faces are a download.

The accuracy is that of as many pairs of the same as of others, at a threshold that was chosen on
pairs of other pictures.

One start and one recipe for all: what ArcFace and softmax do with few steps of many classes is no
verdict on them.

Which triplets are taken hangs on the embeddings, so that a rounding grows: after hundreds of steps
torch is as far from itself, started one floating-point number higher in each weight (its shadow).

Sources: Schroff et al. 2015, arXiv:1503.03832; Deng et al. 2019, arXiv:1801.07698; Hermans et al.
2017, arXiv:1703.07737.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import sklearn.discriminant_analysis
import torch

import scratch.models
import torch_ref.models
from datasets.faces import class_batches, pairs, synthetic_faces
from datasets.images import digit_images
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, SCRATCH, THIRD, TORCH, figure, mosaic
from parity_tests.experiments.twins import Twins, alike, apart, nudged
from parity_tests.harness.draw import Array
from scratch import nn
from scratch.nn import functional as F
from scratch.training import metrics
from torch_ref.nn import angular_margin, triplet_mining
from torch_ref.training import metrics as torch_metrics

SOFTMAX, ARC, SEMI, HARD = "softmax", "ArcFace", "semi-hard", "batch-hard"
PIXELS, FISHER = "pixels", "Fisher"
SEEN, UNSEEN, PEOPLE = "new pictures of 0 to 6", "digits 7 to 9", "new people"
MARGIN, SCALE, FAR = 0.3, 16.0, 0.01
LOSSES = {
    SEMI: (F.semi_hard_triplet_loss, triplet_mining.semi_hard_triplet_loss),
    HARD: (F.batch_hard_triplet_loss, triplet_mining.batch_hard_triplet_loss),
}


@dataclass(frozen=True, eq=False)
class Task:
    """What is learned from, and by what pairs it is judged.

    Attributes:
        x: pictures (n, 1, S, S), float64.
        y: their classes, from 0 on.
        held: by name, pictures to verify and their classes.
    """

    x: Array
    y: Array
    held: Mapping[str, tuple[Array, Array]]


@dataclass(frozen=True)
class Plan:
    """How the twins are trained.

    Attributes:
        steps: of Adam.
        classes: in a batch.
        rows: of each class in it.
        rate: the largest, of one cycle.
        filters: of the first convolution.
        size: of an embedding.
        seed: of the start and the batches.
    """

    steps: int
    classes: int
    rows: int
    rate: float
    filters: int
    size: int
    seed: int


@dataclass(frozen=True)
class Verified:
    """How well one kind of embedding tells pairs.

    Attributes:
        auc: area under the ROC curve.
        eer: equal error rate.
        tar: true accept rate at a false accept rate of 1%.
        accuracy: of as many pairs of the same as of others, at a threshold of other pictures.
        curve: FAR and TAR.
        distances: of pairs of the same, and of others.
    """

    auc: float
    eer: float
    tar: float
    accuracy: float
    curve: tuple[Array, Array]
    distances: tuple[Array, Array]


@dataclass(frozen=True, eq=False)
class Trained:
    """Twins after training; each pair is scratch's and torch's.

    Attributes:
        losses: of each batch.
        shadow: torch's from the nudged start, or none.
        embeddings: by name of what is held out.
        auc: likewise.
        found: likewise, of scratch's.
    """

    losses: list[tuple[float, float]]
    shadow: list[float]
    embeddings: dict[str, tuple[Array, Array]]
    auc: dict[str, tuple[float, float]]
    found: dict[str, Verified]

    @property
    def drift(self) -> float:
        """How far losses and embeddings are apart, relative to the largest."""
        ours, theirs = zip(*self.losses, strict=True)
        return max(apart(ours, theirs), *(apart(a, b) for a, b in self.embeddings.values()))

    def agreement(self, limit: float = 1e-6) -> tuple[int, int]:
        """Steps until the twins, and until torch and its shadow, are that far apart."""
        ours, theirs = np.array(self.losses).T
        gaps = [np.abs(x - theirs) / np.abs(theirs).max() for x in (ours, np.array(self.shadow))]
        first, second = (int((g > limit).argmax()) if (g > limit).any() else len(g) for g in gaps)
        return first, second

    def worst(self, name: str) -> float:
        """The lower area of both packages."""
        return min(self.auc[name])


def digits_task(seed: int, most: int | None = None) -> Task:
    """Three quarters of 0 to 6 to learn from; the others and 7 to 9, `most` of each, to verify."""
    data = digit_images()
    x, y = data.x.astype(np.float64), data.y
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(y < 7))
    train, rest = np.split(rows, [3 * len(rows) // 4])
    rest, others = rest[:most], np.flatnonzero(y >= 7)[:most]
    held = {SEEN: (x[rest], y[rest]), UNSEEN: (x[others], y[others])}
    return Task(x[train], y[train], held)


def faces_task(people: int, new: int, views: int, size: int, seed: int) -> Task:
    """Some people to learn from, the first of one long row, and others to verify."""
    known = synthetic_faces(people, views, size, 2 * seed)
    others = synthetic_faces(new, views, size, 2 * seed + 1)
    held = {PEOPLE: (others.x.astype(np.float64), others.y)}
    return Task(known.x.astype(np.float64), known.y, held)


def twins(kind: str, task: Task, plan: Plan) -> Twins:
    """A network and, where there are classes to tell, a head, from one start."""
    sizes = (1, task.x.shape[-1], plan.size, plan.filters, kind != SOFTMAX)
    classes = int(task.y.max()) + 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        theirs = {"net": torch_ref.models.EmbeddingNet(*sizes)}
        ours: dict[str, Any] = {"net": scratch.models.EmbeddingNet(*sizes)}
        heads: dict[str, Any] = {}
        if kind == SOFTMAX:
            heads["head"] = torch.nn.Linear(plan.size, classes)
            ours["head"] = nn.Linear(plan.size, classes)
        elif kind == ARC:
            heads["head"] = angular_margin.ArcFace(plan.size, classes, MARGIN, SCALE)
            ours["head"] = nn.ArcFace(plan.size, classes, MARGIN, SCALE)
    return alike(nn.ModuleDict(ours), torch.nn.ModuleDict({**theirs, **heads}))


def losses_of(kind: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """(model, x, t) -> the loss and its backward; the loss."""

    def ours(model: Any, x: Array, t: Array) -> Any:
        e, net_back = model["net"](x)
        if kind in LOSSES:
            loss, loss_back = LOSSES[kind][0](e, t)
            return loss, lambda **options: net_back(loss_back(), **options)
        logits, head_back = model["head"](e, t) if kind == ARC else model["head"](e)
        loss, loss_back = F.cross_entropy(logits, t)
        return loss, lambda **options: net_back(head_back(loss_back()), **options)

    def theirs(model: Any, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        e = model["net"](x)
        if kind in LOSSES:
            return LOSSES[kind][1](e, t)
        logits = model["head"](e, t) if kind == ARC else model["head"](e)
        return torch.nn.functional.cross_entropy(logits, t)

    return ours, theirs


def trained(kind: str, task: Task, plan: Plan, shadow: bool = False) -> Trained:
    """Train both on the same batches, and look at the pictures that neither has seen."""
    pair = twins(kind, task, plan)
    start = nudged(pair.theirs) if shadow else None

    def batches() -> Iterator[tuple[Array, Array]]:
        drawn = class_batches(task.y, plan.classes, plan.rows, plan.steps, plan.seed)
        return ((task.x[rows], task.y[rows]) for rows in drawn)

    def cycle(package: Any, stepper: Any) -> Any:
        return package.OneCycleLR(stepper, plan.rate, plan.steps)

    steps = pair.steps("Adam", {"lr": plan.rate}, losses_of(kind), batches(), schedule=cycle)
    losses = [(float(a[0]), float(b[0])) for a, b in steps]
    strayed = [] if start is None else alone(start, losses_of(kind)[1], batches(), plan)
    ours: Any = pair.ours.eval()
    theirs: Any = pair.theirs.eval()
    embeddings, auc, found = {}, {}, {}
    for name, (x, y) in task.held.items():
        e, _ = F.normalize(ours["net"](x)[0])
        with torch.no_grad():
            other = torch.nn.functional.normalize(theirs["net"](torch.from_numpy(x)))
        embeddings[name] = e, other.numpy()
        found[name] = verified(e, y)
        i, j, same = (torch.from_numpy(a) for a in pairs(y))
        scores = -triplet_mining.squared_distance(other[i], other[j])
        auc[name] = found[name].auc, torch_metrics.roc_auc(scores, same)
    return Trained(losses, strayed, embeddings, auc, found)


def alone(
    model: torch.nn.Module,
    loss: Callable[..., torch.Tensor],
    batches: Iterator[tuple[Array, Array]],
    plan: Plan,
) -> list[float]:
    """The losses of a torch model that takes the same steps."""
    optimizer = torch.optim.Adam(model.parameters(), lr=plan.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, plan.rate, plan.steps)
    losses = []
    for x, t in batches:
        value = loss(model, torch.from_numpy(x), torch.from_numpy(t))
        optimizer.zero_grad()
        torch.autograd.backward(value)
        optimizer.step()
        schedule.step()
        losses.append(value.item())
    return losses


def verified(e: Array, y: Array) -> Verified:
    """How well distances of rows of e tell which pairs are of one class."""
    d, same = distances(e, y)
    far, tar, _ = metrics.roc_curve(-d, same)
    rows = np.random.default_rng(0).permutation(len(e))
    chosen, judged = (balanced(*distances(e[half], y[half])) for half in (rows[::2], rows[1::2]))
    threshold = metrics.best_threshold(-chosen[0], chosen[1])
    return Verified(
        metrics.roc_auc(-d, same),
        metrics.equal_error_rate(-d, same),
        metrics.tar_at_far(-d, same, FAR),
        metrics.accuracy(-judged[0] - threshold, judged[1]),
        (far, tar),
        (d[same], d[~same]),
    )


def distances(e: Array, y: Array) -> tuple[Array, Array]:
    """Squared distance of every two rows, and whether they are of one class."""
    flat = e.reshape(len(e), -1)
    i, j, same = pairs(y)
    squares = (flat * flat).sum(1)
    return np.maximum(squares[i] + squares[j] - 2 * (flat @ flat.T)[i, j], 0), same


def balanced(d: Array, same: Array) -> tuple[Array, Array]:
    """All pairs of the same, and as many others."""
    others = np.random.default_rng(0).choice(np.flatnonzero(~same), int(same.sum()), replace=False)
    rows = np.concatenate([np.flatnonzero(same), others])
    return d[rows], same[rows]


def baselines(task: Task) -> dict[str, dict[str, Verified]]:
    """Pixels as they are, and Fisher's discriminants of the training classes, normalised."""
    fisher = sklearn.discriminant_analysis.LinearDiscriminantAnalysis(solver="svd").fit(
        task.x.reshape(len(task.x), -1), task.y
    )
    found: dict[str, dict[str, Verified]] = {PIXELS: {}, FISHER: {}}
    for name, (x, y) in task.held.items():
        flat = x.reshape(len(x), -1)
        found[PIXELS][name] = verified(flat, y)
        found[FISHER][name] = verified(F.normalize(fisher.transform(flat))[0], y)
    return found


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Train on digits and on faces, and verify.

    Args:
        out: folder for the figures.
        small: fewer ways, people and steps.
        seed: of the split, the people, the starts and the batches.

    Returns:
        AUC, equal error rate, true accept rate and accuracy, with the claims about them.
    """
    outcome = Outcome("verification")
    kinds = (ARC, SEMI) if small else (SOFTMAX, ARC, SEMI, HARD)
    plan = Plan(80, 7, 4, 0.01, 6, 8, seed) if small else Plan(400, 7, 6, 0.005, 12, 16, seed)
    digits = digits_task(seed, 160 if small else None)
    of_digits = {kind: trained(kind, digits, plan, not small) for kind in kinds}
    crowds: tuple[int, ...] = (60,) if small else (10, 50, 250)
    views, new, size = (8, 24, 12) if small else (10, 60, 16)
    plan = Plan(80, 8, 4, 0.01, 6, 8, seed) if small else Plan(500, 10, 5, 0.005, 8, 16, seed)
    tasks = {people: faces_task(people, new, views, size, seed) for people in crowds}
    of_faces = {n: {SEMI: trained(SEMI, task, plan, not small)} for n, task in tasks.items()}
    middle = crowds[len(crowds) // 2]
    others: tuple[str, ...] = () if small else (SOFTMAX, ARC, HARD)
    of_faces[middle] |= {kind: trained(kind, tasks[middle], plan, True) for kind in others}
    plain = {people: baselines(task) for people, task in tasks.items()}
    counted = baselines(digits)
    _agree(
        outcome, [*of_digits.values(), *(t for kinds in of_faces.values() for t in kinds.values())]
    )
    _digits(outcome, of_digits, counted, small)
    _faces(outcome, of_faces, plain, middle)
    _table(outcome, of_digits, counted, of_faces, plain)
    curves = {
        name: {
            **{k: v[name] for k, v in counted.items()},
            **{k: t.found[name] for k, t in of_digits.items()},
        }
        for name in (SEEN, UNSEEN)
    }
    most = crowds[-1]
    curves[PEOPLE] = {
        **{k: v[PEOPLE] for k, v in plain[most].items()},
        SEMI: of_faces[most][SEMI].found[PEOPLE],
    }
    for name, draw in (("", _draw_curves), ("_distances", _draw_distances)):
        path = out / f"verification{name}.png"
        draw(path, curves, most)
        outcome.figures.append(path)
    path = out / "verification_faces.png"
    _draw_faces(path, tasks[most], of_faces, plain)
    outcome.figures.append(path)
    return outcome


def _agree(outcome: Outcome, all_trained: Sequence[Trained]) -> None:
    """Both packages."""
    early = max(apart(*zip(*t.losses[:20], strict=True)) for t in all_trained)
    steps = sorted({len(t.losses) for t in all_trained})
    outcome.numbers["drift"] = [t.drift for t in all_trained]
    outcome.claim(
        "the losses of both packages are the same, in whatever way they are trained",
        f"{len(all_trained)} runs of {steps} steps: {early:.0e} apart over the first 20",
        early < 1e-11,
    )
    if all(t.shadow for t in all_trained):
        both = [t.agreement() for t in all_trained]
        outcome.numbers["steps alike, of the twins and of torch with its shadow"] = both
        outcome.claim(
            "and stay so as long as torch stays with its shadow: steps until 1e-6 apart",
            ", ".join(f"{a} and {b}" for a, b in both),
            all(a > 0.7 * b for a, b in both),
        )


def _digits(
    outcome: Outcome,
    found: dict[str, Trained],
    counted: dict[str, dict[str, Verified]],
    small: bool,
) -> None:
    """Seven classes: good for those classes, and little for others."""
    pixels = counted[PIXELS]
    fisher = counted[FISHER][SEEN]
    seen = {kind: t.found[SEEN] for kind, t in found.items()}
    outcome.claim(
        "on new pictures of the digits they were trained on, all embeddings verify better than "
        "pixels",
        "; ".join(f"{k} AUC {v.auc:.3f}, EER {v.eer:.1%}" for k, v in seen.items())
        + f"; pixels {pixels[SEEN].auc:.3f}, {pixels[SEEN].eer:.1%}; Fisher {fisher.auc:.3f}, "
        f"{fisher.eer:.1%}",
        min(t.worst(SEEN) for t in found.values()) > pixels[SEEN].auc + 0.02,
    )
    if small:
        return
    learned = [kind for kind in found if kind != SOFTMAX]
    outcome.claim(
        "and ArcFace and triplets, whose distances are what is trained, better than softmax",
        f"TAR at {FAR:.0%} FAR: "
        + ", ".join(f"{k} {v.tar:.3f}" for k, v in seen.items())
        + f"; Fisher {fisher.tar:.3f}",
        min(found[k].worst(SEEN) for k in learned) > max(found[SOFTMAX].auc[SEEN]),
    )
    unseen = {kind: t.found[UNSEEN] for kind, t in found.items()}
    outcome.claim(
        "of digits never seen, seven classes teach little: every embedding makes more than ten "
        "times the errors that the best makes on digits it knows",
        "; ".join(f"{k} AUC {v.auc:.3f}, EER {v.eer:.1%}" for k, v in unseen.items())
        + f"; pixels {pixels[UNSEEN].auc:.3f}, {pixels[UNSEEN].eer:.1%}",
        min(v.eer for v in unseen.values()) > 10 * min(v.eer for v in seen.values()),
    )


def _faces(
    outcome: Outcome,
    found: dict[int, dict[str, Trained]],
    plain: dict[int, dict[str, dict[str, Verified]]],
    middle: int,
) -> None:
    """Many classes: good for others, too."""
    areas = {people: ways[SEMI].found[PEOPLE] for people, ways in found.items()}
    most = max(areas)
    pixels = plain[most][PIXELS][PEOPLE]  # whoever was trained on, the pixels are the same
    learned = found[most][SEMI].worst(PEOPLE)
    if len(found) == 1:
        outcome.claim(
            "of people never seen, triplets of others teach more than the pixels know",
            f"{most} people: AUC {learned:.3f}, pixels {pixels.auc:.3f}",
            learned > pixels.auc + 0.05,
        )
        return
    best = max((ways[FISHER][PEOPLE] for ways in plain.values()), key=_area)
    outcome.claim(
        "of people never seen, triplets of many others teach far more than pixels and Fisher's "
        "discriminants know",
        f"{most} people: AUC {areas[most].auc:.3f}, EER {areas[most].eer:.1%}, accuracy "
        f"{areas[most].accuracy:.1%}; Fisher at best {best.auc:.3f}, {best.eer:.1%}, "
        f"{best.accuracy:.1%}; pixels {pixels.auc:.3f}, {pixels.eer:.1%}, {pixels.accuracy:.1%}",
        learned > max(best.auc, pixels.auc) + 0.1,
    )
    both = [found[n][SEMI].auc[PEOPLE] for n in found]
    outcome.claim(
        "and the more people the better",
        "; ".join(f"{n} people AUC {v.auc:.3f}, EER {v.eer:.1%}" for n, v in areas.items()),
        all(max(fewer) < min(more) for fewer, more in pairwise(both)),
    )
    by_kind = {kind: t.found[PEOPLE] for kind, t in found[middle].items()}
    rest = [max(t.auc[PEOPLE]) for kind, t in found[middle].items() if kind != SEMI]
    outcome.claim(
        f"from {middle} people all ways verify new ones better than pixels, semi-hard triplets "
        "best",
        "; ".join(f"{k} AUC {v.auc:.3f}" for k, v in by_kind.items())
        + f"; pixels {pixels.auc:.3f}",
        min(t.worst(PEOPLE) for t in found[middle].values()) > pixels.auc
        and found[middle][SEMI].worst(PEOPLE) > max(rest),
    )


def _area(v: Verified) -> float:
    return v.auc


def _table(
    outcome: Outcome,
    found: dict[str, Trained],
    counted: dict[str, dict[str, Verified]],
    of_faces: dict[int, dict[str, Trained]],
    plain: dict[int, dict[str, dict[str, Verified]]],
) -> None:
    """All numbers."""
    rows: list[tuple[str, str, Verified]] = []
    for name in (SEEN, UNSEEN):
        rows += [(name, kind, ways[name]) for kind, ways in counted.items()]
        rows += [(name, kind, t.found[name]) for kind, t in found.items()]
    for people, kinds in of_faces.items():
        name = f"{PEOPLE}, trained on {people}"
        rows += [(name, kind, ways[PEOPLE]) for kind, ways in plain[people].items()]
        rows += [(name, kind, t.found[PEOPLE]) for kind, t in kinds.items()]
    lines = [f"{'':46}{'AUC':>8}{'EER':>8}{'TAR':>8}{'accuracy':>10}"]
    lines += [
        f"{name + ', ' + kind:46}{v.auc:8.3f}{v.eer:8.3f}{v.tar:8.3f}{v.accuracy:10.3f}"
        for name, kind, v in rows
    ]
    outcome.text = "\n".join(lines)
    outcome.numbers["verified"] = [
        {"pairs": name, "by": kind, "auc": v.auc, "eer": v.eer, "tar": v.tar, "acc": v.accuracy}
        for name, kind, v in rows
    ]


COLORS = {
    PIXELS: "0.55",
    FISHER: "0.3",
    SOFTMAX: CLASSES[2],
    ARC: TORCH,
    SEMI: SCRATCH,
    HARD: THIRD,
}
TITLES = {
    SEEN: "new pictures of digits that were\ntrained on: embeddings beat pixels",
    UNSEEN: "digits never seen:\nseven classes teach little of others",
}


def _title(name: str, people: int) -> str:
    return TITLES.get(name, f"people never seen: {people}\nothers teach what a face is")


def _draw_curves(path: Path, curves: Mapping[str, Mapping[str, Verified]], people: int) -> None:
    """True accept rates against false ones."""
    with figure(path, 1, 3, size=(12, 4.3), sharey=True) as (_, axes):
        for ax, (name, ways) in zip(axes, curves.items(), strict=True):
            for kind, v in ways.items():
                far, tar = v.curve
                style = "--" if kind in (PIXELS, FISHER) else "-"
                label = f"{kind}, EER {v.eer:.1%}"
                ax.plot(np.maximum(far, 1e-5), tar, style, color=COLORS[kind], label=label)
            ax.set_xscale("log")
            ax.minorticks_off()
            ax.set_xlim(1e-4, 1)
            ax.set_ylim(0, 1.02)
            ax.set_xlabel("false accept rate")
            ax.set_title(_title(name, people))
            ax.legend(fontsize=8, loc="upper left" if name != SEEN else "lower right")
        axes[0].set_ylabel("true accept rate")


def _draw_distances(path: Path, curves: Mapping[str, Mapping[str, Verified]], people: int) -> None:
    """How far apart pairs of the same and of others are, in pixels and embedded."""
    with figure(path, 2, 3, size=(12, 5.6)) as (_, axes):
        for column, (name, ways) in zip(axes.T, curves.items(), strict=True):
            for ax, kind in zip(column, (PIXELS, SEMI), strict=True):
                same, different = ways[kind].distances
                top = float(np.quantile(different, 0.999))
                bins = np.linspace(0, top, 50)
                for d, color, label in ((same, SCRATCH, "same"), (different, TORCH, "different")):
                    look: dict[str, Any] = {"color": color, "alpha": 0.6, "label": label}
                    weights = np.full(len(d), 1 / len(d))
                    ax.hist(d, bins, weights=weights, histtype="stepfilled", **look)
                ax.set_yticks([])
                ax.set_title(f"{name}: {kind}", fontsize=9)
            column[1].set_xlabel("squared distance of a pair")
        axes[0, 0].legend()
        axes[0, 0].set_ylabel("share of pairs")
        axes[1, 0].set_ylabel("share of pairs")


def _draw_faces(
    path: Path,
    task: Task,
    found: dict[int, dict[str, Trained]],
    plain: dict[int, dict[str, dict[str, Verified]]],
) -> None:
    """Some of the faces, and what more people teach."""
    x, y = task.held[PEOPLE]
    with figure(path, 1, 2, size=(11, 4.4)) as (_, (left, right)):
        columns = int(np.bincount(y).min())
        mosaic(left, {f"person {k}": 1 - x[y == k] for k in range(6)}, min(columns, 8))
        left.set_title("drawn people, a view a column")
        crowds = list(found)
        areas = [found[n][SEMI].found[PEOPLE].auc for n in crowds]
        right.plot(crowds, areas, "o-", color=SCRATCH, label=SEMI)
        for kind in (PIXELS, FISHER):
            areas = [plain[n][kind][PEOPLE].auc for n in crowds]
            right.plot(crowds, areas, "o--", ms=4, color=COLORS[kind], label=kind)
        for n, ways in found.items():
            for kind, t in ways.items():
                if kind != SEMI:
                    right.plot(n, t.found[PEOPLE].auc, "s", color=COLORS[kind], label=kind)
        right.set_xscale("log")
        right.set_xticks(crowds, [str(n) for n in crowds])
        right.minorticks_off()
        right.set_ylim(0.5, 1)
        right.set_xlabel("people in training")
        right.set_ylabel("AUC, pairs of new people")
        right.legend(loc="upper left", ncols=2, fontsize=8)
        right.set_title("the more people, the better it knows new ones")
