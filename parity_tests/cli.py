"""The command line: `parity list | run | check | compare | train | experiment | ...`."""

import dataclasses
import difflib
import inspect
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, NoReturn

MISSING = "parity: this command needs {name}; in the project's folder: pip install '.[parity]'"
OTHER = (  # a well-known package has the import name `datasets` too
    "parity: `datasets` here is another package ({path}); "
    "install parity in an environment of its own"
)
try:
    import numpy as np
    import typer
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Table

    import datasets
except ModuleNotFoundError as error:
    print(MISSING.format(name=error.name), file=sys.stderr)
    sys.exit(2)
if Path(datasets.__file__ or "").parent.parent != Path(__file__).parent.parent:
    print(OTHER.format(path=datasets.__file__), file=sys.stderr)
    sys.exit(2)
from datasets import settings as runs  # noqa: E402  # not before it is known to be ours

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Neural networks twice, by hand in NumPy and in PyTorch, and proof that they agree.\n\n"
    "Start with `parity run`: it feeds both sides the same numbers and says by how many roundings "
    "they differ. "
    "Then `parity compare digits` trains both from the same weights on the same batches.",
)
console = Console()


Out = Annotated[Path, typer.Option(help="Folder for what is written.")]
TaskName = Annotated[str, typer.Argument(help="A task's name; `parity list` shows them.")]
ModelName = Annotated[
    str | None,
    typer.Option(help="The recipe's if left out; Neuron for two classes, by columns."),
]
Hidden = Annotated[str | None, typer.Option(help="Widths of the hidden layers, such as 64,32.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Steps; the recipe's if left out.")]
Seed = Annotated[int, typer.Option(min=0, help="Of data, start and batches.")]
OptimizerName = Annotated[str | None, typer.Option(help="A class that both packages have.")]
LearningRate = Annotated[float | None, typer.Option(help="Instead of the recipe's.")]
Device = Annotated[str, typer.Option(help="Where torch runs: auto, cpu or cuda.")]
# Choose other kernels than OpenBLAS would, read when NumPy is imported.
SLOW_BLAS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
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


def resolve(device: str, *, parity: bool = True) -> str:
    """'auto' to what there is; cuda where there is none is refused. Parity means no TF32."""
    from torch_ref.training.device import resolve_device
    from torch_ref.training.precision import set_precision

    try:
        chosen = str(resolve_device(device))
    except (ValueError, RuntimeError) as error:
        fail(str(error))
    if parity and chosen != "cpu":
        flags = set_precision("fp32")
        console.print(", ".join(f"{k} {v}" for k, v in flags.items()), highlight=False)
    return chosen


@app.command("list")
def list_() -> None:
    """List every twin, pitfall, task and experiment by name."""
    from datasets.tasks import TASKS
    from parity_tests.catalog import FAMILIES
    from parity_tests.experiments import EXPERIMENTS
    from parity_tests.pitfalls import PITFALLS

    pitfalls: dict[str, list[str]] = {}
    for pitfall in PITFALLS:
        pitfalls.setdefault(pitfall.entry, []).append(pitfall.name.replace("_", " "))
    table = Table("family", "twins", box=None, pad_edge=False)
    for family in FAMILIES:
        names = dict.fromkeys(entry.name for entry in family.ENTRIES)
        table.add_row(family.__name__.split(".")[-1], ", ".join(names))
    table.add_section()
    table.add_row("[bold]twin", "[bold]pitfalls")
    for entry, each in pitfalls.items():
        table.add_row(entry, "; ".join(each))
    table.add_section()
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

    Each row says how many tensors were compared and how close the worst of them came to what
    rounding allows. Exit status 1 if any comparison fails. The full report is a page and a JSON
    file in `--out`.
    """
    from parity_tests.harness.report import write_report
    from parity_tests.harness.suite import plan
    from parity_tests.harness.threads import equal_threads

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
    with equal_threads(1), progress() as bar:
        task = bar.add_task("", total=len(jobs))
        for job in jobs:
            bar.update(task, description=f"{job.kind} {job.name}"[:40].ljust(40))
            rows.append(job.run())
            bar.advance(task)
    console.print(_results(rows, collapse=not k))
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


def _results(rows: list[Any], collapse: bool) -> Table:
    """A line for each twin; mutants and database samples in one line each if `collapse`."""
    from parity_tests.harness.report import by_name

    dtypes = list(dict.fromkeys(row.dtype for row in rows))
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("twin", min_width=30, max_width=34, overflow="fold")
    table.add_column("kind", no_wrap=True)
    table.add_column("compared", justify="right", no_wrap=True)
    for dtype in dtypes:
        table.add_column(f"{dtype}, eps\nof the limit", justify="right", no_wrap=True)
    table.add_column("", justify="right")
    for family in dict.fromkeys(row.family for row in rows):
        members = [row for row in rows if row.family == family]
        table.add_section()
        table.add_row(f"[bold cyan]{family}[/]")
        groups = by_name(members)
        if collapse and members[0].kind in ("pitfall", "samples"):
            groups = [members]
        for group in groups:
            names = len({row.name for row in group})
            name = group[0].name if len(groups) > 1 or names == 1 else f"all {names}"
            failed = sum(len(row.failed) for row in group)
            table.add_row(
                name,
                group[0].kind,
                f"{sum(len(row.comparisons) for row in group):,}",
                *(_worst([row for row in group if row.dtype == dtype]) for dtype in dtypes),
                f"[red]{failed} fail[/]" if failed else "[green]ok[/]",
            )
    return table


def _worst(rows: list[Any]) -> str:
    worst = [row.worst for row in rows if row.worst is not None]
    return f"{worst[0].error:.1f} of {worst[0].limit:.0f}" if len(worst) == 1 else ""


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
    if "samples" in kinds:
        console.print(
            f"of PyTorch's module database {len(database.present_modules())} classes are here, "
            f"{len(absent)} still absent: "
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


@app.command("check")
def check_(
    name: Annotated[str, typer.Argument(help="A twin's name; `parity list` shows them.")],
    yours: Annotated[str, typer.Argument(help="file.py:name or package.module:name.")],
    dtype: Annotated[str, typer.Option(help="float64, float32 or both.")] = "both",
) -> None:
    """Hold YOURS, a function or class of your own, against torch where the twin NAME is held.

    A function takes arrays and returns its value, or (value, backward) as in `scratch`, or takes
    tensors and leaves gradients to autograd. A class is a torch.nn.Module or an optimizer of torch,
    or one of scratch, with the twin's arguments and names. The file is run. Where numbers differ,
    the known conventions are tried in torch's place. Exit status 1 if any number differs.
    """
    from parity_tests.catalog import ENTRIES
    from parity_tests.harness.entry import Layer, Op, Optim
    from parity_tests.harness.foreign import judge, load
    from parity_tests.harness.threads import equal_threads
    from parity_tests.pitfalls import PITFALLS

    if dtype not in (*DTYPES, "both"):
        nearest("dtype", dtype, (*DTYPES, "both"))
    twins = [e for e in ENTRIES if isinstance(e, Op | Layer | Optim)]
    chosen = [e for e in twins if e.name == name]
    if not chosen:
        nearest("twin", name, (e.name for e in twins))
    pitfalls = [p for p in PITFALLS if p.entry == name]
    dtypes = list(DTYPES.values()) if dtype == "both" else [DTYPES[dtype]]
    try:
        theirs = load(yours)
        with equal_threads(1):
            findings = [judge(entry, theirs, pitfalls, dtypes) for entry in chosen]
    except (ValueError, TypeError, OSError, SyntaxError, ImportError) as error:
        fail(str(error))
    failed = [c for finding in findings for c in finding.failed]
    left_out: dict[str, list[str]] = {}
    for case, what in (each for finding in findings for each in finding.left_out):
        left_out.setdefault(what, []).append(case)
    for what, cases in left_out.items():
        text = f"left out, for it does not take {what}: {'; '.join(cases)}"
        console.print(text, style="yellow", markup=False, highlight=False)
    for comparison in failed[:12]:
        console.print(str(comparison), style="red", markup=False, highlight=False)
    if len(failed) > 12:
        console.print(f"and {len(failed) - 12:,} more", style="red", highlight=False)
    for finding in findings:
        for pitfall in finding.follows:
            text = f"in {finding.where} these are the numbers of: {pitfall.difference}"
            console.print(text, style="bold yellow", markup=False, highlight=False)
    total = sum(len(finding.comparisons) for finding in findings)
    kinds = ", ".join(dict.fromkeys(finding.kind for finding in findings if finding.kind))
    console.print(
        f"{name}, {kinds or 'no case that it takes'}: "
        f"{total - len(failed):,} of {total:,} comparisons hold",
        style="bold red" if failed or not total else "bold green",
        markup=False,
        highlight=False,
    )
    if failed or not total:
        raise typer.Exit(1)


@app.command()
def compare(
    task: TaskName,
    model: ModelName = None,
    hidden: Hidden = None,
    steps: Steps = None,
    seed: Seed = 0,
    optimizer: OptimizerName = None,
    lr: LearningRate = None,
    dtype: Annotated[str, typer.Option(help="float64 or float32.")] = "float64",
    device: Device = "cpu",
    out: Out = Path("parity-report"),
) -> None:
    """Train both twins on TASK from the same weights on the same batches, and watch them drift.

    Prints losses, metrics, the largest difference so far and times; writes a figure and all numbers
    as JSON.
    """
    from parity_tests.harness.report import write_atomically
    from parity_tests.harness.threads import equal_threads
    from parity_tests.harness.trajectory import MODELS, Trajectory
    from parity_tests.harness.trajectory import compare as run_both
    from parity_tests.harness.trajectory_figure import draw

    chosen = _task(task, hidden)
    model = model or chosen.model
    if model not in MODELS:
        nearest("model", model, MODELS)
    if dtype not in DTYPES:
        nearest("dtype", dtype, DTYPES)
    _known_optimizer(optimizer)
    arguments = _optimizer_args(chosen, optimizer, lr)
    total = steps or chosen.steps
    device = resolve(device)
    _download(chosen)
    with equal_threads(1), progress() as bar:
        line = bar.add_task("", total=total)

        def show(step: int, so_far: Trajectory) -> None:
            if step % 50 == 0 or step == total:
                text = f"loss {so_far.loss[-1]:.3e}  drift {so_far.worst_loss_drift(step):.0e}"
                bar.update(line, completed=step, description=text)

        try:
            result = run_both(
                chosen,
                model=model,
                steps=steps,
                seed=seed,
                optimizer=optimizer,
                optimizer_args=arguments,
                dtype=DTYPES[dtype],
                device=device,
                progress=show,
            )
        except ValueError as error:
            fail(str(error))
    decades = {b * 10**k for k in range(9) for b in (1, 2, 5)} | {total}
    table = Table(box=None, pad_edge=False, header_style="bold")
    metric = result.setting["metric"]
    for heading in ("step", "loss\nscratch", "\ntorch", "drift of\nthe loss", "of the\nweights"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in (f"{metric}\nscratch", "\ntorch"):
        table.add_column(heading, justify="right", no_wrap=True)
    for i, step in enumerate(result.watched):
        if step in decades:
            table.add_row(
                f"{step:,}",
                f"{result.loss[step - 1]:.8f}",
                f"{result.reference_loss[step - 1]:.8f}",
                f"{result.worst_loss_drift(step):.1e}",
                f"{result.parameter_drift[i]:.1e}",
                f"{result.metric[i]:.4f}",
                f"{result.reference_metric[i]:.4f}",
            )
    console.print(table)
    reached = min(result.metric[-1], result.reference_metric[-1])
    console.print(
        f"time in steps, one thread each: scratch {result.seconds:.2f} s, "
        f"torch {result.reference_seconds:.2f} s; test {metric} {reached:.4f}, "
        f"the recipe's target is {chosen.target:.4f}",
        highlight=False,
    )
    stem = f"compare-{task}-{result.setting['model']}-{result.setting['optimizer']}-{dtype}-{seed}"
    write_atomically(out / f"{stem}.json", json.dumps(result.as_dict(), indent=1))
    picture = draw(result, out / f"{stem}.png")
    console.print(
        f"figure: {picture}\nnumbers: {out / f'{stem}.json'}", highlight=False, soft_wrap=True
    )


def _train(task: str, package: str, out: str, resume: bool, overwrite: bool, **given: Any) -> None:
    """Train the network of TASK: in PyTorch, on a GPU if there is one, or with --package scratch.

    Writes into `--out`: log.jsonl, checkpoints that either side goes on with under `--resume`, and
    at the end model.safetensors, the weights, which both sides load by the same names. A generative
    task draws pictures into samples/ too. Ctrl-C finishes the step and writes a checkpoint.
    """
    import importlib

    from datasets.log import interruptible, say

    if package not in PACKAGES:
        nearest("package", package, PACKAGES)
    _known(task, given, package)
    _download(_task(task, given["hidden"]))
    foreign = [o for o in runs.OPTIONS if o.package not in (None, package)]
    if named := [o.name for o in foreign if given[o.name] not in (None, o.default)]:
        fail(f"{', '.join(named)} is no option of --package {package}")
    for option in runs.OPTIONS:
        if option.kind is dict and given[option.name] is not None:
            given[option.name] = _arguments(option.name, given[option.name])
    trainers = importlib.import_module(f"{PACKAGES[package]}.training")
    try:
        settings = runs.resolve(task, given)
        folder = out or runs.default_out(settings)
        trainer = trainers.Trainer(settings, folder, resume=resume, overwrite=overwrite)
        with progress() as bar, interruptible() as interrupted:
            line = bar.add_task("", total=settings.steps, completed=trainer.step_count)
            outcome = trainer.run(lambda record: _follow(bar, line, record), interrupted)
    except (ValueError, TypeError, OSError, RuntimeError, ArithmeticError, ImportError) as error:
        fail(str(error))
    chosen = settings.as_task
    text = say(outcome, chosen.target, chosen.metric, folder)
    console.print(text, highlight=False, markup=False, soft_wrap=True)
    if outcome.status == "interrupted":
        raise typer.Exit(130)


def _arguments(name: str, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        fail(f"{name} are given as JSON such as '{{\"lr\": 0.1}}', not {text!r}")
    return found


def _follow(bar: Progress, line: Any, record: dict[str, Any]) -> None:
    """A record of the log on the screen: steps in the bar, the rest as lines."""
    if record["event"] in ("start", "resume"):
        flags = ", ".join(f"{name} {value}" for name, value in record["flags"].items())
        text = f"{record['package']}, device {record['device']}{'; ' if flags else ''}{flags}"
        console.print(text, highlight=False)
    elif record["event"] == "step":
        text = (
            f"loss {record['loss']:.4e}  {record['rows_per_second']:,.0f} rows/s  "
            f"{record['memory_mb']:,.0f} MB"
        )
        bar.update(line, completed=record["step"], description=text)
    elif record["event"] == "evaluation":
        numbers = [f"{k} {v:.4f}" for k, v in record.items() if isinstance(v, float)]
        best = ", the best so far" if record["best"] else ""
        text = f"step {record['step']:,}: validation {', '.join(numbers)}{best}"
        console.print(text, highlight=False)


def _known(task: str, given: dict[str, Any], package: str) -> None:
    """Refuse mistyped names with the nearest ones."""
    from parity_tests.harness.trajectory import MODELS

    _task(task, given["hidden"])
    if given["model"] is not None and given["model"] not in MODELS:
        nearest("model", given["model"], MODELS)
    _known_optimizer(given["optimizer"])
    for option in runs.OPTIONS:
        value = given[option.name]
        if option.choices and value is not None and value not in option.choices:
            nearest(option.name, value, option.choices)


def _with_options(function: Any) -> Any:
    """A command with the options of `datasets.settings`, which is where they are defined."""
    named = inspect.Parameter.KEYWORD_ONLY
    made = [inspect.Parameter("task", named, annotation=TaskName)]
    for option in runs.OPTIONS:
        kind: Any = str if option.kind is dict else option.kind
        choices = f" One of {', '.join(option.choices)}." if option.choices else ""
        note = typer.Option(f"--{option.name.replace('_', '-')}", help=option.help + choices)
        kind = kind if option.default is not None else kind | None
        made.append(_parameter(option.name, kind, option.default, note))
    for name, kind, default, text in (
        ("package", str, "torch", "torch or scratch."),
        ("out", str, "", "parity-report/train-TASK-MODEL-SEED if left out."),
        ("resume", bool, False, "Go on from the last checkpoint there."),
        ("overwrite", bool, False, "Remove the run that is there."),
    ):
        made.append(_parameter(name, kind, default, typer.Option(f"--{name}", help=text)))
    function.__signature__ = inspect.Signature(made)
    function.__annotations__ = {p.name: p.annotation for p in made}
    return function


def _parameter(name: str, kind: Any, default: Any, note: Any) -> inspect.Parameter:
    form: Any = Annotated  # of values, where type checkers want names
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=form[kind, note]
    )


PACKAGES = {"torch": "torch_ref", "scratch": "scratch"}
app.command("train")(_with_options(_train))


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="A .pth file, a saved state_dict.")],
    target: Annotated[Path, typer.Argument(help="The .safetensors file to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Turn SOURCE, weights that PyTorch saved, into TARGET, which the NumPy models load.

    Nothing but tensors is unpickled: a file that asks for more is refused before any of it runs.
    """
    from torch_ref.training.checkpoint import read_weights
    from torch_ref.training.convert import convert as to_safetensors

    try:
        written = to_safetensors(source, target, force=force)
    except (ValueError, OSError) as error:
        fail(str(error))
    tensors, _ = read_weights(written)
    numbers = sum(tensor.numel() for tensor in tensors.values())
    console.print(
        f"{len(tensors):,} tensors, {numbers:,} numbers: {written}", highlight=False, soft_wrap=True
    )


def _task(name: str, hidden: str | None) -> Any:
    from datasets.tasks import TASKS

    if name not in TASKS:
        nearest("task", name, TASKS)
    if hidden is None:
        return TASKS[name]
    if TASKS[name].model != "MLP":
        fail(f"--hidden is of an MLP, and {name} is learned by {TASKS[name].model}")
    widths = [width.strip() for width in hidden.split(",")]
    if not all(width.isdigit() and int(width) > 0 for width in widths):
        fail(f"--hidden takes positive widths such as 64,32, not {hidden!r}")
    return dataclasses.replace(TASKS[name], hidden=tuple(map(int, widths)))


def _download(task: Any) -> None:
    """Fetch what the task needs, before another bar takes the screen."""
    from datasets.download import fetch
    from datasets.images import FILES

    if task.downloads:
        try:
            fetch(task.name, FILES[task.name])
        except (ValueError, OSError, ModuleNotFoundError) as error:
            fail(str(error))


def _known_optimizer(name: str | None) -> None:
    import torch

    import scratch

    # Those want a closure, sparse gradients, or matrices only.
    other = {"Optimizer", "LBFGS", "SparseAdam", "Muon"}
    known = {n for n in vars(scratch.optim) if hasattr(torch.optim, n) and n[0].isupper()}
    if name is not None and name not in known - other:
        nearest("optimizer", name, known - other)


def _optimizer_args(task: Any, optimizer: str | None, lr: float | None) -> dict[str, Any] | None:
    """The recipe's arguments; another optimizer takes its learning rate only, or `lr`."""
    if optimizer in (None, task.optimizer):
        return {**task.optimizer_args, **({} if lr is None else {"lr": lr})}
    return {"lr": task.optimizer_args.get("lr", 1e-3) if lr is None else lr}


@app.command()
def experiment(
    name: Annotated[str, typer.Argument(help="Its name, or `all`; `parity list` shows them.")],
    seed: Seed = 0,
    small: Annotated[bool, typer.Option("--small", help="The size that the tests run.")] = False,
    out: Out = Path("parity-report"),
) -> None:
    """Run an experiment of the guide: both twins trained, its claims checked, its figures drawn.

    Exit status 1 if a claim does not hold.
    """
    from parity_tests.experiments import EXPERIMENTS
    from parity_tests.harness.threads import equal_threads

    if name != "all" and name not in EXPERIMENTS:
        nearest("experiment", name, [*EXPERIMENTS, "all"])
    held = True
    for each in EXPERIMENTS if name == "all" else [name]:
        with equal_threads(1), console.status(f"{each} ..."):
            outcome = EXPERIMENTS[each](out, small=small, seed=seed)
        if outcome.text:
            console.print(outcome.text, markup=False, highlight=False, soft_wrap=True)
        table = Table(each, "measured", "", box=None, pad_edge=False, header_style="bold")
        for claim in outcome.claims:
            table.add_row(
                claim.text, claim.measured, "[green]holds[/]" if claim.holds else "[red]fails[/]"
            )
        console.print(table)
        for path in (*outcome.figures, outcome.save(out)):
            console.print(str(path), markup=False, highlight=False, soft_wrap=True)
        console.print()
        held = held and not outcome.failed
    if not held:
        raise typer.Exit(1)


@app.command()
def bench(
    k: Annotated[str, typer.Option("-k", help="Only benchmarks whose name contains this.")] = "",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of BLAS and of torch; all cores if left out.")
    ] = None,
    out: Out = Path("parity-report"),
) -> None:
    """Time scratch against torch, interleaved in one run at equal threads, with peak memory.

    Let nothing else run meanwhile. Ratios are medians of pairs; below 1 NumPy is the faster one.
    """
    from parity_tests.benchmarks import BENCHMARKS
    from parity_tests.harness.report import environment, write_atomically
    from parity_tests.harness.threads import equal_threads

    chosen = {name: make for name, make in BENCHMARKS.items() if k.lower() in name.lower()}
    if not chosen:
        nearest("benchmark", k, BENCHMARKS)
    slow = [name for name in SLOW_BLAS if name in os.environ]
    if slow:
        console.print(
            f"without {' and '.join(slow)}, which hold NumPy's BLAS back", highlight=False
        )
        clean = {name: value for name, value in os.environ.items() if name not in slow}
        command = [sys.executable, "-m", "parity_tests.cli", *sys.argv[1:]]
        raise typer.Exit(subprocess.run(command, env=clean, check=False).returncode)
    results = []
    threads = threads or os.cpu_count() or 1
    with equal_threads(threads), progress() as bar:
        line = bar.add_task("", total=len(chosen))
        for name, make in chosen.items():
            bar.update(line, description=name[:40].ljust(40))
            results.append(make())
            bar.advance(line)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("forward and backward\nunless said", min_width=34)
    for heading in ("scratch\nms", "torch\nms", "\nratio", "at\nmost", "scratch\nMB", "torch\nMB"):
        table.add_column(heading, justify="right", no_wrap=True)
    for r in results:
        style = "green" if r.ratio <= r.target else "red"
        table.add_row(
            r.name,
            f"{r.ours_ms:.2f}",
            f"{r.theirs_ms:.2f}",
            f"[{style}]{r.ratio:.2f}[/]",
            f"{r.target:.2f}",
            f"{r.ours_mb:.1f}",
            f"{r.theirs_mb:.1f}",
        )
    console.print(table)
    if ratios := [r.ratio for r in results if r.twins]:
        mean = float(np.exp(np.mean(np.log(ratios))))
        console.print(
            f"geometric mean of the ratios {mean:.2f}, {threads} threads each", highlight=False
        )
    data = {
        "environment": environment("cpu"),
        "threads": threads,
        "results": [vars(r) for r in results],
    }
    write_atomically(out / "bench.json", json.dumps(data, indent=1))
    console.print(f"numbers: {out / 'bench.json'}", highlight=False, soft_wrap=True)


def main() -> None:
    """Entry point of the `parity` command."""
    app()


if __name__ == "__main__":
    main()
