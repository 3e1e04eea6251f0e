"""Training a task the way a practitioner would, interrupted and resumed.

    trainer = Trainer(resolve("digits", {"ema": 0.99}), "runs/digits")
    outcome = trainer.run()

A step is zero_grad, forward, backward, clip, step, and what follows it: schedule and average.
Nothing in it waits for the device: losses stay there until they are logged.

    batches      batch `step` is a function of (rows, seed, step) alone, whoever loads it
    accumulate   the batches of a step are parts of one larger batch, each with the share of its
                 rows in the mean; batch normalisation sees each by itself
    evaluated    the average where there is one, else the model; after an early stop the best
    generative   the loss is the model's own, evaluated with the same noise each time
    OUT          log.jsonl, checkpoints/, model.safetensors (what was evaluated), samples/,
                 tensorboard/

A run that is killed and resumed ends bit for bit where it would have ended, wherever the device
computes the same twice (`fp32` asks cuDNN for that). `scratch.training` reads the same checkpoints.
Started by torchrun, several ranks share each batch, and the first writes the same: `distributed`.
"""

import inspect
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from datasets import checkpoints
from datasets.log import Best, Clock, Log, Outcome, Record, host, peak_memory_mb, plain
from datasets.pictures import grid, pillow, write_png
from datasets.settings import Settings, differences, load, steps_of_an_epoch
from datasets.split import batch_stream
from torch_ref.training import metrics, state
from torch_ref.training.build import build
from torch_ref.training.checkpoint import check_weights, parse, serialize, write_tensors
from torch_ref.training.distributed import NoLog, Ranks, one_first, spread, whole
from torch_ref.training.generative import OwnLoss, draws, made
from torch_ref.training.loader import load_batches
from torch_ref.training.precision import autocast, set_precision
from torch_ref.training.schedule import make_schedule

Batch = Sequence[tuple[Tensor, Tensor]]  # (x, t) of each part of it
EVALUATED_AT_ONCE = 1024  # rows


class Trainer:
    """A run: model, optimizer and all that goes with them, in memory and in a folder.

    Args:
        settings: what to train, and how.
        out: folder for log, checkpoints and weights.
        resume: go on from the last checkpoint there, if there is one; else the folder must hold
            no run.
        overwrite: remove the run that is there.

    Attributes:
        step_count: how many steps were taken.

    Raises:
        ValueError: if a setting does not fit, a checkpoint is not whole or belongs to another run,
            naming why; what is in the folder stays as it was.
        FileExistsError: if a run is there, and neither `resume` nor `overwrite` is given.
        RuntimeError: if there is no such device.
        ModuleNotFoundError: if there are pictures to write, and Pillow is absent.
    """

    def __init__(
        self,
        settings: Settings,
        out: str | Path,
        *,
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        if settings.samples:
            pillow("Trainer")
        self.settings, self.out = settings, Path(out)
        self._generative = settings.as_task.kind == "generative"
        self.ranks = Ranks()
        self.device = self.ranks.device(settings.device)
        self.ranks.check(settings, self.device)
        self.flags = set_precision(settings.precision)
        with one_first():
            self._data = load(settings)
        self._random: tuple[Tensor, Tensor | None] | None = None
        with self._own_random_numbers():
            self._build()
            self.ranks.seed(settings.seed, 0)
        self.step_count = 0
        self.early_stopping = Best()
        self._best: dict[str, Tensor] | None = None
        self._loss = self._norm = torch.zeros(())
        self._lr = 0.0
        self._log: Log | NoLog | None = None
        self._board: Any = None
        found = self.ranks.of_first(checkpoints.latest(self._folder))
        if found is not None and resume:
            self.load_state(checkpoints.read(found))
        elif found is not None and not overwrite:
            raise FileExistsError(
                f"Trainer: {self.out} holds a run; resume it, overwrite it, or choose another"
            )
        elif overwrite and self.ranks.first:
            shutil.rmtree(self._folder, ignore_errors=True)
            shutil.rmtree(self.out / "samples", ignore_errors=True)
            (self.out / "model.safetensors").unlink(missing_ok=True)
        if self.ranks.first:
            checkpoints.clean(self._folder)

    @property
    def _folder(self) -> Path:
        return self.out / "checkpoints"

    def _build(self) -> None:
        s = self.settings
        self.model = self.ranks.prepare(build(s.as_task, s.model, s.seed, s.dropout), s)
        self.model.to(self.device, self._weights_dtype)
        if s.channels_last:
            self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average: AveragedModel | None = None
        if s.ema is not None:
            ema = get_ema_multi_avg_fn(s.ema)  # type: ignore[no-untyped-call]
            self.average = AveragedModel(self.model, multi_avg_fn=ema)
        trained = OwnLoss(self.model) if self._generative else self.model
        self.shared = self.ranks.wrap(trained, s, None if s.ema is None else self.evaluated)
        self.forward = cast(nn.Module, torch.compile(self.shared) if s.compile else self.shared)
        self.criterion: Callable[[Tensor, Tensor], Tensor] = (
            (lambda output, _: output) if self._generative else getattr(functional, s.as_task.loss)
        )
        self.optimizer = make_optimizer(s, self.model, self.device)
        self.schedule = make_schedule(s, self.optimizer)
        self.autocast = autocast(s.precision, self.device)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=s.precision == "fp16")

    # Steps

    def step(self, batch: Batch) -> int:
        """One step of the optimizer, on the parts (x, t) of one batch, this rank's rows of each.

        Returns:
            How many rows all ranks together had.
        """
        rows = sum([len(t) for _, t in batch]) if self.ranks.size == 1 else self._rows_of_step()
        self.optimizer.zero_grad()
        losses = []
        for i, (x, t) in enumerate(batch, 1):
            with self.ranks.part(self.shared, i == len(batch)):
                with self.autocast:
                    output = self.forward(x)  # of no rows, if there are fewer than ranks
                    loss = self.criterion(output, t) if len(t) else output.sum()
                weight = self.ranks.size * len(t) / rows
                share = loss if weight == 1 else loss * weight
                self.scaler.scale(share).backward()
            losses.append(share.detach())
        if self.settings.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            self._norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self._loss = losses[0] if len(losses) == 1 else torch.stack(losses).sum()
        self._lr = self.optimizer.param_groups[0]["lr"]
        if self.schedule is not None and not isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step()
        if self.average is not None:
            self.average.update_parameters(self.model)
        self.step_count += 1
        return rows

    def _rows_of_step(self) -> int:
        """How many rows all ranks together compute in the step to come."""
        s, n = self.settings, len(self._data.train_x)
        position = self.step_count % steps_of_an_epoch(n, s)
        size = s.batch_size * s.accumulate
        return min(size, n - position * size)

    def rows(self) -> Iterator[list[np.ndarray[Any, Any]]]:
        """This rank's rows of each step that is left, in the parts that are computed one by one."""
        s = self.settings
        size = s.batch_size * s.accumulate
        stream = batch_stream(len(self._data.train_x), size, s.steps, s.seed, start=self.step_count)
        for rows in stream:
            parts = [rows[i : i + s.batch_size] for i in range(0, len(rows), s.batch_size)]
            yield [self.ranks.share(part) for part in parts]

    def batches(self) -> Iterator[Batch]:
        """The batches of the steps that are left, on the device."""
        s = self.settings
        return load_batches(
            self._data.train_x,
            self._data.train_y,
            self.rows(),
            self.device,
            workers=s.workers,
            pin_memory=s.pin_memory,
            channels_last=s.channels_last,
            seed=s.seed,
        )

    def run(
        self,
        report: Callable[[Record], None] | None = None,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> Outcome:
        """Take the steps that are left, evaluate, write.

        Args:
            report: called with each record of the log.
            interrupted: asked after each step; True ends the run with a checkpoint.

        Returns:
            How it ended.

        Raises:
            FloatingPointError: if a logged loss is not finite.
            OSError: if something cannot be written; earlier checkpoints are as they were.
        """
        s, start = self.settings, self.step_count
        first = self.ranks.first
        log = Log(self.out / "log.jsonl", start or None, report) if first else NoLog()
        self._log = log
        log.begin(start, self._machine(), self._what())
        self._board = self._tensorboard() if s.tensorboard and first else None
        clock, status = Clock(), "finished"
        self.model.train()
        try:
            with self._own_random_numbers():
                for batch in () if self._patience_is_over() else self.batches():
                    clock.rows += self.step(batch)
                    step, last = self.step_count, self.step_count == s.steps
                    if step % s.log_every == 0 or last:
                        self._write(self._record(clock))
                    if s.evaluate_every and (step % s.evaluate_every == 0 or last):
                        self._write(self._judge())
                        if self._patience_is_over():
                            break
                    if self.ranks.asked(interrupted()) and not last:
                        status = "interrupted"
                        break
                    if s.checkpoint_every and step % s.checkpoint_every == 0 and not last:
                        self.save()
                self.save()
            if status == "interrupted":
                return Outcome(status, self.step_count, float("nan"), float("nan"), clock.seconds)
            return self._finish(clock)
        finally:
            log.close()
            if self._board is not None:
                self._board.close()

    # Evaluation

    @property
    def evaluated(self) -> nn.Module:
        """The average of the weights where there is one, else the model."""
        return self.model if self.average is None else self.average.module

    def evaluate(self, x: Any, t: Any) -> dict[str, float]:
        """Loss and metric of `evaluated` on rows, in evaluation mode; the ranks share the rows.

        Args:
            x: inputs (n, ...).
            t: targets.

        Returns:
            "loss" and the task's metric.
        """
        model, task = self.evaluated, self.settings.as_task
        model.eval()
        if self._generative:
            loss = self._own_loss(model, x)
            model.train()
            return self.ranks.of_first({"loss": loss})
        with self.ranks.evaluating(model):
            parts = []
            for i in range(0, len(x), EVALUATED_AT_ONCE):
                rows = x[i : i + EVALUATED_AT_ONCE]
                with self.autocast:
                    output = model(torch.as_tensor(self.ranks.share(rows), device=self.device))
                parts.append(self.ranks.gather(output, len(rows)))
            output, target = torch.cat(parts), torch.as_tensor(t, device=self.device)
            output = output.to(self._weights_dtype)
            found: float = getattr(metrics, task.metric)(output, target)
            loss = self.criterion(output, target).item()
        model.train()
        return self.ranks.of_first({"loss": loss, task.metric: found})

    def _own_loss(self, model: nn.Module, x: Any) -> float:
        """The mean over rows of the model's own loss."""
        drawn, total = draws(model, x), torch.zeros((), dtype=torch.float64, device=self.device)
        with self.ranks.evaluating(model):
            for i in range(0, len(x), EVALUATED_AT_ONCE):
                part = slice(i, i + EVALUATED_AT_ONCE)
                own = {k: self.ranks.share(v[part]) for k, v in {"input": x, **drawn}.items()}
                if len(own["input"]):
                    given = {k: torch.as_tensor(v, device=self.device) for k, v in own.items()}
                    with self.autocast:
                        loss = OwnLoss(model)(**given)
                    total += loss * len(own["input"])
        return self.ranks.sum(total).item() / len(x)

    @property
    def _weights_dtype(self) -> torch.dtype:
        dtype: torch.dtype = getattr(torch, self.settings.dtype)
        return dtype

    def _judge(self) -> Record:
        """An evaluation on the validation rows; the best weights are kept where they may be used.

        Returns:
            Its record.
        """
        found = self.evaluate(self._data.validation_x, self._data.validation_y)
        best = self.early_stopping.update(self.step_count, found["loss"])
        if best and self.settings.patience is not None:
            self._best = {k: v.clone() for k, v in self.evaluated.state_dict().items()}
        if isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step(found["loss"])
        self._draw("evaluation", f"step-{self.step_count:08d}")
        return {"event": "evaluation", "step": self.step_count, **found, "best": best}

    def _draw(self, event: str, name: str) -> None:
        """A file of pictures that `evaluated` makes, if the run has any and this is who writes."""
        if not self.settings.samples or not self.ranks.first:
            return
        model, (mean, std) = self.evaluated, self.settings.as_task.scale or (0.0, 1.0)
        model.eval()
        pictures = made(model, (self.settings.samples, *self._data.train_x.shape[1:]))
        model.train()
        page = grid(mean + std * pictures)
        write_png(self.out / "samples" / f"{name}.png", page)
        if self._board is not None:
            layout = "HW" if page.ndim == 2 else "HWC"
            self._board.add_image(f"{event}/samples", page, self.step_count, dataformats=layout)

    def _patience_is_over(self) -> bool:
        patience = self.settings.patience
        return patience is not None and self.early_stopping.bad >= patience

    def _finish(self, clock: Clock) -> Outcome:
        """The best weights back, the test rows, the file of weights."""
        stopped = self._patience_is_over()
        step, best = self.step_count, self.early_stopping
        if stopped:
            record = {"event": "early stop", "step": step, "best_step": best.step}
            self._write({**record, "best_loss": best.best})
        if self._best is not None:
            self.evaluated.load_state_dict(self._best)
        found = self.evaluate(self._data.test_x, self._data.test_y)
        self._draw("end", "end")
        weights = self.ranks.whole(self.evaluated.state_dict())
        if self.ranks.first:
            write_tensors(weights, self.out / "model.safetensors")
        self._write({"event": "end", "step": step, **found, "seconds": round(clock.seconds, 4)})
        metric = found[self.settings.as_task.metric]
        status = "stopped early" if stopped else "finished"
        return Outcome(status, step, found["loss"], metric, clock.seconds)

    # The log

    def _machine(self) -> Record:
        cuda = self.device.type == "cuda"
        return {
            "package": "torch_ref",
            "versions": {**host(), "numpy": np.__version__, "torch": str(torch.__version__)},
            "device": str(self.device),
            "device_name": torch.cuda.get_device_name(self.device) if cuda else "CPU",
            "precision": self.settings.precision,
            "threads": torch.get_num_threads(),
            **({"ranks": self.ranks.size} if self.ranks.size > 1 else {}),
            "flags": self.flags,
        }

    def _what(self) -> Record:
        sizes = (len(self._data.train_x), len(self._data.validation_x), len(self._data.test_x))
        return {
            "settings": self.settings.as_dict(),
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "rows": dict(zip(("train", "validation", "test"), sizes, strict=True)),
        }

    def _record(self, clock: Clock) -> Record:
        """The line of the last step."""
        clipped = self.settings.clip_norm is not None
        per_epoch = steps_of_an_epoch(len(self._data.train_x), self.settings)
        return {
            "event": "step",
            "step": self.step_count,
            "epoch": round(self.step_count / per_epoch, 4),
            "loss": self._finite_loss(),
            "lr": self._lr,
            **({"gradient_norm": whole(self._norm).item()} if clipped else {}),
            **clock.lap(),
            "memory_mb": self._memory(),
        }

    def _memory(self) -> float:
        if self.device.type == "cuda":
            return round(torch.cuda.max_memory_allocated(self.device) / 1e6, 1)
        return peak_memory_mb()

    def _write(self, record: Record) -> None:
        assert self._log is not None
        self._log.write(record)
        if self._board is not None:
            for name, value in record.items():
                if isinstance(value, float):
                    self._board.add_scalar(f"{record['event']}/{name}", value, record["step"])

    def _tensorboard(self) -> Any:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "Trainer: event files need tensorboard; in the project's folder: "
                "pip install '.[train]'",
                name=error.name,
            ) from None
        make: Any = SummaryWriter
        return make(str(self.out / "tensorboard"), purge_step=self.step_count + 1)

    def _finite_loss(self) -> float:
        """The loss of the last step, of all ranks' rows; this waits for the device."""
        loss = self.ranks.sum(self._loss).item() / self.ranks.size
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"Trainer: the loss is {loss} at step {self.step_count}; "
                f"the last checkpoint is {checkpoints.latest(self._folder)}"
            )
        return loss

    # Checkpoints

    def save(self) -> Path:
        """Write a checkpoint; older ones go as `keep` says.

        Returns:
            Its path; the first rank writes it, and all must call.

        Raises:
            FloatingPointError: if the last loss is not finite: such weights are of no use.
            OSError: if it cannot be written; earlier ones are as they were.
        """
        self._finite_loss()
        if self._log is not None:
            self._log.sync()
        files, state = self.state()
        path = checkpoints.path_of(self._folder, self.step_count)
        if self.ranks.first:
            checkpoints.write(self._folder, self.step_count, files, state, self.settings.keep)
        return path

    def state(self) -> tuple[dict[str, bytes], dict[str, Any]]:
        """Everything that the steps to come depend on.

        Returns:
            Contents of safetensors files by name, whole on the first rank; what JSON can hold.
        """
        tensors = {
            "model": self.model.state_dict(),
            "optimizer": state.optimizer_tensors(self.optimizer),
        }
        if self.average is not None:
            tensors["average"] = self.average.state_dict()
        if self._best is not None:
            tensors["best"] = self._best
        files = {name: serialize(self.ranks.whole(held)) for name, held in tensors.items()}
        generators = self.ranks.of_all(self._generators())
        per_epoch = steps_of_an_epoch(len(self._data.train_x), self.settings)
        epoch, position = divmod(self.step_count, per_epoch)
        return files, {
            "package": "torch_ref",
            "settings": self.settings.as_dict(),
            "sampler": {"seed": self.settings.seed, "epoch": epoch, "position": position},
            "param_groups": state.optimizer_groups(self.optimizer),
            "schedule": None if self.schedule is None else plain(self.schedule.state_dict()),
            "scaler": self.scaler.state_dict() or None,
            **generators[0],
            **({"ranks": generators[1:]} if self.ranks.size > 1 else {}),
            "early_stopping": self.early_stopping.state(),
        }

    def _generators(self) -> dict[str, Any]:
        """The states of this rank's generators of random numbers."""
        cuda = self.device.type == "cuda"
        return {
            "generator": state.generator_state(),
            "cuda_generator": state.cuda_generator_state(self.device) if cuda else None,
        }

    def load_state(self, checkpoint: checkpoints.Checkpoint) -> None:
        """Go on from a checkpoint, of this package or of `scratch.training`.

        Args:
            checkpoint: as `datasets.checkpoints.read` gives it.

        Raises:
            ValueError: if it belongs to another run, naming what differs, or its keys, shapes or
                types are not those of this run's model and optimizer.
        """
        name, source, saved = "load_state", str(checkpoint.path), checkpoint.state
        problems = differences(saved["settings"], self.settings)
        if saved["step"] > self.settings.steps:
            problems.append(f"step {saved['step']} beyond the last, {self.settings.steps}")
        wanted = {"model", "optimizer"} | ({"average"} if self.average is not None else set())
        if checkpoint.files.keys() - {"best"} != wanted:
            problems.append(f"files {sorted(checkpoint.files)} for {sorted(wanted)}")
        if problems:
            raise ValueError(
                f"{name}: expected {source} to be of the same run, got {'; '.join(problems)}"
            )
        tensors = {k: parse(name, v, f"{source}/{k}") for k, v in checkpoint.files.items()}
        check_weights(name, self.model, tensors["model"], source)
        if self.average is not None:
            check_weights(name, self.average, tensors["average"], source)
        if "best" in tensors:
            check_weights(name, self.evaluated, tensors["best"], source)
        held = {} if self.schedule is None else self.schedule.state_dict()
        if lacking := sorted((saved["schedule"] or {}).keys() ^ held.keys()):
            raise ValueError(
                f"{name}: expected {source} to hold the state of {self.settings.schedule}, "
                f"got {', '.join(lacking)} in one only"
            )
        state.load_optimizer(self.optimizer, tensors["optimizer"], saved["param_groups"])
        self.model.load_state_dict(spread(self.model.state_dict(), tensors["model"]))
        if self.average is not None:
            self.average.load_state_dict(spread(self.average.state_dict(), tensors["average"]))
        if "best" in tensors:
            best = {k: v.to(self.device) for k, v in tensors["best"].items()}
            self._best = spread(self.evaluated.state_dict(), best)
        if self.schedule is not None:
            self.schedule.load_state_dict(checkpoints.like(held, saved["schedule"]))
        if saved["scaler"]:
            self.scaler.load_state_dict(saved["scaler"])
        self.early_stopping = Best.of(saved["early_stopping"])
        self.step_count = saved["step"]
        generators = [saved, *saved.get("ranks", [])][self.ranks.rank :]
        with self._own_random_numbers():
            if not generators:  # there were fewer ranks
                self.ranks.seed(self.settings.seed, self.step_count)
                return
            state.set_generator_state(generators[0]["generator"])
            if self.device.type == "cuda" and generators[0]["cuda_generator"]:
                state.set_cuda_generator_state(self.device, generators[0]["cuda_generator"])

    @contextmanager
    def _own_random_numbers(self) -> Iterator[None]:
        """torch's default generators are the run's inside and the caller's again outside."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            if self._random is not None:
                torch.set_rng_state(self._random[0])
                if self._random[1] is not None:
                    torch.cuda.set_rng_state(self._random[1], self.device)
            try:
                yield
            finally:
                of_device = torch.cuda.get_rng_state(self.device) if devices else None
                self._random = torch.get_rng_state(), of_device


def make_optimizer(settings: Settings, model: nn.Module, device: torch.device) -> Optimizer:
    """The optimizer of a run, run the way that `engine` says.

    Args:
        settings: optimizer, optimizer_args and engine count.
        model: whose parameters it steps.
        device: where they are.

    Returns:
        The optimizer; fused on a GPU for "auto" if it can be.

    Raises:
        ValueError: if there is no such optimizer, or it cannot be run so.
    """
    make = getattr(torch.optim, settings.optimizer, None)
    if make is None:
        raise ValueError(
            f"make_optimizer: expected a class of torch.optim, got {settings.optimizer!r}"
        )
    engine, known = settings.engine, inspect.signature(make).parameters
    if engine == "auto":
        options = {"fused": True} if device.type == "cuda" and "fused" in known else {}
    elif engine == "for-loop":
        options = {"foreach": False} if "foreach" in known else {}
    elif engine in known:
        options = {engine: True}
    else:
        raise ValueError(
            f"make_optimizer: expected an engine that {settings.optimizer} has, got {engine!r}"
        )
    made: Optimizer = make(model.parameters(), **settings.optimizer_args, **options)
    return made
