"""One look for all figures."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

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
