"""One look for all figures."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from parity_tests.harness.draw import Array

if TYPE_CHECKING:  # not in every release
    from matplotlib.typing import RcKeyType

SCRATCH, TORCH, THIRD = "#c8553d", "#28536b", "#6b9080"
CLASSES = ("#28536b", "#c8553d", "#e0a458", "#6b9080", "#7b5e7b")
RC: dict["RcKeyType", float] = {
    "figure.dpi": 130,
    "font.size": 10,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


@contextmanager
def figure(
    path: Path, rows: int = 1, columns: int = 1, size: tuple[float, float] = (10, 4), **kwargs: Any
) -> Iterator[tuple[Figure, Any]]:
    """Subplots that are saved to `path` and closed when the block ends without an error."""
    with plt.rc_context(RC):
        fig, axes = plt.subplots(rows, columns, figsize=size, **kwargs)
        try:
            yield fig, axes
            path.parent.mkdir(parents=True, exist_ok=True)
            fig.savefig(path)
        finally:
            plt.close(fig)


def mosaic(ax: Any, rows: Mapping[str, Array], columns: int, named: bool = True) -> None:
    """Draw rows of grey pictures from 0 to 1, each with its name at the left.

    Args:
        ax: where.
        rows: by name, square pictures, flat or not (n, ...), n >= columns.
        columns: how many of each row.
        named: whether the names are written.
    """
    lines = []
    for pictures in rows.values():
        side = round((pictures[0].size) ** 0.5)
        framed = np.full((columns, side + 2, side + 2), np.nan)
        framed[:, 1:-1, 1:-1] = pictures[:columns].reshape(columns, side, side)
        lines.append(np.concatenate(list(framed), axis=1))
    ax.imshow(np.concatenate(lines), cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
    ax.grid(False)
    ax.set_xticks([])
    middles = (np.arange(len(rows)) + 0.5) * len(lines[0]) - 0.5
    ax.set_yticks(middles if named else [], list(rows) if named else [], fontsize=8)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
