"""The log of a run, JSON lines, and the small parts that both packages' trainers share.

    {"event": "start", "step": 0, "settings": {...}, ...}                 what runs, and where
    {"event": "step", "step": 50, "loss": ..., "lr": ..., ...}
    {"event": "evaluation", "step": 50, "loss": ..., ...}                 on the validation rows
    {"event": "early stop", "step": 90, "best_step": 60, "best_loss": ...}
    {"event": "end", "step": 90, "loss": ..., ...}                        on the test rows
    {"event": "resume", "step": 50, ...}    only where the machine or a version is another one

A run that goes on cuts the log back to its checkpoint first: the log of a run that was interrupted
equals that of one that was not, but for times and memory.
"""

import json
import math
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

Record = dict[str, Any]
KEPT = ("start", "resume", "step", "evaluation")  # what a run that goes on does not write anew


class Log:
    """Lines of a file, each on the disk's way before the next.

    Args:
        path: of the file; its folder is made if need be.
        step: what stands behind this step is cut off; everything where None.
        report: called with each record too.
    """

    def __init__(
        self, path: Path, step: int | None, report: Callable[[Record], None] | None = None
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.records = [] if step is None else _kept(path, step)
        self._report = report
        beside = path.with_name(f".{path.name}.new")
        beside.write_text("".join(map(_line, self.records)), encoding="utf-8")
        beside.replace(path)
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def write(self, record: Record) -> None:
        """One line more."""
        self._file.write(_line(record))
        if self._report is not None:
            self._report(record)

    def begin(self, step: int, machine: Record, run: Record) -> None:
        """The first line, or one that says that the machine is another one now.

        Args:
            step: how many were taken.
            machine: package, versions, device and flags.
            run: settings and sizes.
        """
        seen = [r for r in self.records if r["event"] in ("start", "resume")]
        if not seen:
            self.write({"event": "start", "step": 0, **machine, **run})
        elif any(seen[-1].get(name) != value for name, value in plain(machine).items()):
            self.write({"event": "resume", "step": step, **machine})

    def sync(self) -> None:
        """To the disk, whatever happens next."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """No more lines."""
        self._file.close()


def _kept(path: Path, step: int) -> list[Record]:
    records: list[Record] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            record = json.loads(line)
        except ValueError:  # the half line of a killed process
            break
        if record["event"] in KEPT and record["step"] <= step:
            records.append(record)
    return records


def _line(record: Record) -> str:
    return json.dumps(plain(record), allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """As JSON gives it back; what is no finite number, which JSON lacks, as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass
class Best:
    """The best validation loss so far, and how long ago that was.

    Attributes:
        best: the loss; infinite before the first evaluation.
        step: of the best.
        bad: evaluations since.
    """

    best: float = math.inf
    step: int = 0
    bad: int = 0

    def update(self, step: int, loss: float) -> bool:
        """Take note of an evaluation: whether it is the best so far."""
        if loss < self.best:
            self.best, self.step, self.bad = loss, step, 0
            return True
        self.bad += 1
        return False

    def state(self) -> dict[str, Any]:
        """For JSON, where infinity is null."""
        state: dict[str, Any] = plain(asdict(self))
        return state

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> "Best":
        """What `state` returned."""
        best = math.inf if state["best"] is None else state["best"]
        return cls(best, state["step"], state["bad"])


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        status: "finished", "stopped early" or "interrupted".
        step: how many steps were taken in all.
        loss: on the test rows; NaN if it was interrupted.
        metric: the task's, on the test rows.
        seconds: of this process.
    """

    status: str
    step: int
    loss: float
    metric: float
    seconds: float


class Clock:
    """Rows per second between two looks at it, and seconds since the start."""

    def __init__(self) -> None:
        self._started = self._last = time.perf_counter()
        self.rows = 0

    def lap(self) -> dict[str, float]:
        """For a line of the log."""
        now = time.perf_counter()
        rate = self.rows / max(now - self._last, 1e-9)
        self._last, self.rows = now, 0
        return {"rows_per_second": round(rate, 1), "seconds": round(now - self._started, 4)}

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.perf_counter() - self._started


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Ctrl-C asks to stop after the step, and a second one stops at once.

    Yields:
        Whether it was asked for.
    """
    asked = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()
        signal.signal(number, before)

    before = signal.getsignal(signal.SIGINT)
    alone = threading.current_thread() is threading.main_thread()  # which alone gets signals
    if not alone or before is signal.SIG_IGN:  # as of a process in the background
        yield asked.is_set
        return
    signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def peak_memory_mb() -> float:
    """The most memory that this process has held, in MB; 0 where the system does not tell."""
    try:
        import resource
    except ModuleNotFoundError:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3), 1)


def host() -> dict[str, str]:
    """Where this runs, for the first line."""
    return {"python": platform.python_version(), "machine": platform.machine()}


def say(outcome: Outcome, target: float, metric: str, out: str) -> str:
    """How a run ended, in words."""
    if outcome.status == "interrupted":
        return (
            f"interrupted after step {outcome.step:,}; the checkpoint is written, "
            f"the same command with --resume goes on"
        )
    judged = "" if metric == "loss" else f", test {metric} {outcome.metric:.4f}"
    return (
        f"{outcome.status} after step {outcome.step:,}, {outcome.seconds:.2f} s in this process; "
        f"test loss {outcome.loss:.4g}{judged}, "
        f"the recipe's target is {target:.4f}\nweights: {out}/model.safetensors"
    )


def show(record: Record) -> str:
    """A line of the log as a line for people."""
    names = ("epoch", "loss", "lr", "gradient_norm", "rows_per_second", "memory_mb")
    parts = [f"{name.replace('_', ' ')} {record[name]:.4g}" for name in names if record.get(name)]
    return f"{record['event']} {record['step']:>7}  {'  '.join(parts)}"
