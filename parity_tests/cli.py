"""The command line: `parity list | run | compare | train | experiment | bench`."""

import difflib
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, NoReturn

MISSING = "parity: this command needs {name}; install the extras with: pip install 'parity[parity]'"
try:
    import numpy as np
    import typer
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Table
except ModuleNotFoundError as error:
    sys.exit(MISSING.format(name=error.name))

import datasets

if Path(datasets.__file__ or "").parent.parent != Path(__file__).parent.parent:
    sys.exit(
        f"parity: `datasets` here is another package ({datasets.__file__}); "
        "install parity in an environment of its own."
    )

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Neural networks twice, by hand in NumPy and in PyTorch, and the proof that they agree.\n\n"
    "Start with `parity run`: it feeds both sides the same numbers and says by how many roundings they differ. "
    "Then `parity compare digits` trains both from the same weights on the same batches.",
)
console = Console()

Out = Annotated[Path, typer.Option(help="Folder for what is written.")]
Device = Annotated[str, typer.Option(help="Where torch runs: auto, cpu or cuda.")]
DTYPES = {"float64": np.float64, "float32": np.float32}


def fail(message: str) -> NoReturn:
    """One sentence on stderr, exit status 2."""
    Console(stderr=True).print(f"parity: {message}", style="red", markup=False, highlight=False)
    raise typer.Exit(2)


def nearest(what: str, name: str, known: Iterable[str]) -> NoReturn:
    """Refuse a mistyped name with the nearest ones."""
    known = sorted(set(known))
    lower = {k.lower(): k for k in known}
    close = [lower[k] for k in difflib.get_close_matches(name.lower(), lower, n=4, cutoff=0.4)]
    hint = f"did you mean {', '.join(close)}?" if close else f"known: {', '.join(known)}"
    fail(f"there is no {what} {name!r}; {hint}")


def progress() -> Progress:
    """A bar that leaves nothing behind."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, transient=True)


def resolve(device: str) -> str:
    """'auto' to what there is; cuda where there is none is refused."""
    from torch_ref.training.device import resolve_device

    try:
        return str(resolve_device(device))
    except (ValueError, RuntimeError) as error:
        fail(str(error))


@app.command("list")
def list_() -> None:
    """List every twin, pitfall, task and experiment by name."""
    from datasets.tasks import TASKS

    from parity_tests.catalog import FAMILIES
    from parity_tests.experiments import EXPERIMENTS
    from parity_tests.pitfalls import PITFALLS

    table = Table("family", "twins", box=None, pad_edge=False)
    for family in FAMILIES:
        names = dict.fromkeys(entry.name for entry in family.ENTRIES)
        table.add_row(family.__name__.split(".")[-1], ", ".join(names))
    table.add_section()
    table.add_row("pitfalls", ", ".join(p.name for p in PITFALLS))
    table.add_row("tasks", ", ".join(TASKS))
    table.add_row("experiments", ", ".join(EXPERIMENTS))
    console.print(table)


@app.command()
def run(
    k: Annotated[str, typer.Option("-k", help="Only entries whose name contains this.")] = "",
    dtype: Annotated[str, typer.Option(help="float64, float32 or both.")] = "both",
    device: Device = "cpu",
    out: Out = Path("parity-report"),
) -> None:
    """Run the parity suite: every twin, every pitfall's mutant, and PyTorch's own test samples.

    Each row says how many tensors were compared and how close the worst of them came to what rounding allows.
    Exit status 1 if any comparison fails. The full report is a page and a JSON file in `--out`.
    """
    from parity_tests.harness.report import write_report
    from parity_tests.harness.suite import plan

    if dtype not in (*DTYPES, "both"):
        nearest("dtype", dtype, (*DTYPES, "both"))
    device = resolve(device)
    jobs = [
        job
        for job in plan(device, list(DTYPES) if dtype == "both" else [dtype])
        if k.lower() in job.name.lower()
    ]
    if not jobs:
        nearest("entry", k, (job.name for job in plan(device, ["float64"])))
    rows = []
    started = time.perf_counter()
    with progress() as bar:
        task = bar.add_task("", total=len(jobs))
        for job in jobs:
            bar.update(task, description=f"{job.kind} {job.name}"[:40].ljust(40))
            rows.append(job.run())
            bar.advance(task)
    table = Table("twin", "kind", "dtype", box=None, pad_edge=False, header_style="bold")
    for heading in ("compared", "worst", "allowed", ""):
        table.add_column(heading, justify="right")
    family = ""
    for row in rows:
        if row.family != family:
            family = row.family
            table.add_section()
            table.add_row(f"[bold cyan]{family}[/]")
        worst = row.worst
        numbers = (f"{worst.error:.1f} eps", f"{worst.limit:.0f} eps") if worst else ("", "")
        verdict = f"[red]{len(row.failed)} fail[/]" if row.failed else "[green]ok[/]"
        table.add_row(row.name, row.kind, row.dtype, f"{len(row.comparisons):,}", *numbers, verdict)
    console.print(table)
    failed = [(row, comparison) for row in rows for comparison in row.failed]
    for row, comparison in failed[:20]:
        console.print(
            f"{row.name} ({row.dtype}) {comparison}", style="red", markup=False, highlight=False
        )
    page = write_report(rows, out, device)
    _counts(rows, time.perf_counter() - started)
    console.print(f"report: {page}", markup=False, highlight=False, soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def _counts(rows: list[Any], seconds: float) -> None:
    from parity_tests.harness import database

    kinds = dict.fromkeys(row.kind for row in rows)
    console.print()
    for kind in kinds:
        members = [row for row in rows if row.kind == kind]
        names = len({row.name for row in members})
        compared = sum(len(row.comparisons) for row in members)
        failed = sum(len(row.failed) for row in members)
        console.print(
            f"{kind:>12}  {names:4} names  {compared:7,} compared  {failed:4} failed",
            highlight=False,
        )
    absent = database.absent_modules()
    if "database" in kinds:
        console.print(
            f"of PyTorch's module database {len(database.present_modules())} classes are here, {len(absent)} still absent: "
            f"{', '.join(name.removeprefix('nn.') for name in absent)}",
            highlight=False,
        )
    total = sum(len(row.comparisons) for row in rows)
    bad = sum(len(row.failed) for row in rows)
    style = "bold red" if bad else "bold green"
    console.print(
        f"{total - bad:,} of {total:,} comparisons hold, {seconds:.0f} s",
        style=style,
        highlight=False,
    )


def main() -> None:
    """Entry point of the `parity` command."""
    app()


if __name__ == "__main__":
    main()
