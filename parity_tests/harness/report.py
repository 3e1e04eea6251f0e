"""The report of a run: a page to look at and the same numbers as JSON."""

import html
import json
import os
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from parity_tests.harness.compare import Comparison


@dataclass
class Row:
    """One line of the report.

    Attributes:
        family: section of the table.
        kind: op, module, model, optimizer, pitfall or samples.
        name: the entry.
        dtype: 'float64' or 'float32'.
        comparisons: everything that was compared.
        seconds: how long it took.
        source: paper or guide section.
    """

    family: str
    kind: str
    name: str
    dtype: str
    comparisons: list[Comparison] = field(default_factory=list)
    seconds: float = 0.0
    source: str = ""

    @property
    def failed(self) -> list[Comparison]:
        """Comparisons that rounding does not explain."""
        return [c for c in self.comparisons if not c.passed]

    @property
    def worst(self) -> Comparison | None:
        """The comparison that came nearest to its limit, or furthest beyond it."""
        numeric = [c for c in self.comparisons if c.limit > 0]
        return max(numeric, key=lambda c: c.error / c.limit, default=None)


def environment(device: str) -> dict[str, str]:
    """What the numbers depend on."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "machine": platform.machine(),
        "torch device": torch.cuda.get_device_name() if device == "cuda" else device,
        "torch threads": str(torch.get_num_threads()),
    }


def write_atomically(path: Path, text: str) -> None:
    """Write beside the target and rename: an interrupted write leaves the old file whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def by_name(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows of the same twin together, in the order of the run."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.family, row.kind, row.name), []).append(row)
    return list(groups.values())


def write_report(rows: Sequence[Row], folder: Path, device: str) -> Path:
    """Write report.json and report.html into `folder`; returns the page's path."""
    facts = environment(device)
    data: dict[str, Any] = {
        "environment": facts,
        "rows": [
            {
                **asdict(row),
                "failed": len(row.failed),
                "comparisons": [_plain(c) for c in row.comparisons],
            }
            for row in rows
        ],
    }
    write_atomically(folder / "report.json", json.dumps(data, indent=1))
    page = folder / "report.html"
    write_atomically(page, _page(rows, facts))
    return page


def _plain(comparison: Comparison) -> dict[str, Any]:
    """JSON has no infinity."""
    data = asdict(comparison)
    return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in data.items()}


STYLE = """
:root { --ink: #1c2733; --soft: #66727f; --line: #e3e7eb; --good: #2f7d5b; --bad: #b3342d }
body {
  font: 15px/1.5 system-ui, sans-serif; color: var(--ink);
  max-width: 68rem; margin: 2.5rem auto; padding: 0 1rem
}
h1 { font-size: 1.6rem; margin: 0 }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .4rem }
.facts { color: var(--soft); margin: .3rem 0 1.6rem }
.lead { font-size: 1.15rem; margin: .8rem 0 }
.good { color: var(--good) }
.bad { color: var(--bad) }
table {
  border-collapse: collapse; table-layout: fixed; width: 100%;
  font-variant-numeric: tabular-nums
}
th { text-align: left; font-weight: 600; color: var(--soft); font-size: .8rem }
td, th {
  padding: .22rem .6rem; border-bottom: 1px solid var(--line);
  overflow: hidden; text-overflow: ellipsis; white-space: nowrap
}
.n { text-align: right }
.cell { display: flex; align-items: center; gap: .6rem; color: var(--soft) }
.cell span { font-size: .8rem; width: 7.5em }
.bar { flex: 1; height: .55rem; background: #eef1f4; border-radius: .3rem; overflow: hidden }
.bar i { display: block; height: 100% }
i.good { background: var(--good) }
i.bad { background: var(--bad) }
pre { background: #faf3f2; padding: .7rem 1rem; white-space: pre-wrap; font-size: .85rem }
"""


def _page(rows: Sequence[Row], facts: dict[str, str]) -> str:
    compared = sum(len(r.comparisons) for r in rows)
    failed = sum(len(r.failed) for r in rows)
    verdict = (
        f'<span class="good">All {compared:,} comparisons hold.</span>'
        if not failed
        else f'<span class="bad">{failed:,} of {compared:,} comparisons fail.</span>'
    )
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Parity report</title>",
        f"<style>{STYLE}</style><h1>Parity report</h1>",
        f'<p class="facts">{html.escape(" · ".join(f"{k} {v}" for k, v in facts.items()))}</p>',
        f'<p class="lead">{verdict} {len(rows)} rows: NumPy by hand against PyTorch.</p>',
        "<p>An error is the largest difference of a tensor in units of eps times its largest "
        "magnitude; the limit is what rounding allows there. In float32 both sides are measured "
        "against float64, and the limit follows "
        "torch's own error. The bar shows the comparison that came nearest to its limit.</p>",
    ]
    for family in dict.fromkeys(r.family for r in rows):
        members = [r for r in rows if r.family == family]
        table = _mutants if members[0].kind == "pitfall" else _table
        parts.append(f"<h2>{html.escape(family)}</h2>{table(members)}")
        for row in members:
            if row.failed:
                text = "\n".join(str(c) for c in row.failed[:20])
                parts.append(
                    f"<pre>{html.escape(f'{row.name} ({row.dtype})')}\n{html.escape(text)}</pre>"
                )
    return "\n".join(parts) + "\n</html>\n"


def _mutants(rows: Sequence[Row]) -> str:
    head = (
        "<table><colgroup><col style='width:30%'><col style='width:62%'></colgroup>"
        "<tr><th>planted<th>torch's convention; the other<th>caught</tr>"
    )
    lines = [
        f"<tr><td>{html.escape(row.name)}<td style='white-space:normal'>{html.escape(row.source)}"
        f"<td>{_cell(row)}</tr>"
        for row in rows
    ]
    return head + "".join(lines) + "</table>"


def _table(rows: Sequence[Row]) -> str:
    dtypes = list(dict.fromkeys(row.dtype for row in rows))
    width = 44 / len(dtypes)
    head = (
        "<table><colgroup><col style='width:24%'><col style='width:8%'><col style='width:9%'>"
        + f"<col style='width:{width}%'>" * len(dtypes)
        + "<col style='width:15%'></colgroup><tr><th>twin<th>kind<th class=n>compared"
        + "".join(f"<th>{dtype}: worst, of the limit" for dtype in dtypes)
        + "<th>source</tr>"
    )
    lines = []
    for group in by_name(rows):
        first = group[0]
        name, source = html.escape(first.name), html.escape(first.source)
        cells = {row.dtype: _cell(row) for row in group}
        lines.append(
            f'<tr><td title="{name}">{name}<td>{first.kind}'
            f"<td class=n>{sum(len(row.comparisons) for row in group):,}"
            + "".join(f"<td>{cells.get(dtype, '')}" for dtype in dtypes)
            + f'<td title="{source}">{source}</tr>'
        )
    return head + "".join(lines) + "</table>"


def _cell(row: Row) -> str:
    """A bar from nothing to the limit, or a word where there is no number."""
    worst = row.worst
    style = "bad" if row.failed else "good"
    if worst is None:
        return f'<span class="{style}">{"no" if row.failed else "yes"}</span>'
    share = min(1.0, worst.error / worst.limit)
    inside = f'<i class="{style}" style="width:{100 * share:.1f}%"></i>'
    return (
        f'<div class="cell" title="{html.escape(str(worst))}"><div class="bar">{inside}</div>'
        f"<span>{worst.error:.1f} of {worst.limit:.0f} eps</span></div>"
    )
