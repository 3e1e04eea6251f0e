"""Training a task, interrupted and resumed.

    trainer = Trainer(resolve("digits", {"ema": 0.99}), "runs/digits")
    outcome = trainer.run()

A step is forward, loss, backward, clip, step, and what follows it: schedule and average.

    batches      batch `step` is a function of (rows, seed, step) alone
    accumulate   the batches of a step are parts of one larger batch, each with the share of its
                 rows in the mean; batch normalisation sees each by itself
    evaluated    the average where there is one, else the model; after an early stop the best
    generative   the loss is the model's own, evaluated with the same noise each time
    OUT          log.jsonl, checkpoints/, model.safetensors (what was evaluated), samples/

A run that is killed and resumed ends bit for bit where it would have ended. `torch_ref.training`
writes the same log and reads the same checkpoints, the generator's state too: dropout draws the
same masks there wherever torch's CPU does (see `scratch.random`); a GPU draws others.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datasets import checkpoints
from datasets.log import Best, Clock, Log, Outcome, Record, host, peak_memory_mb, plain
from datasets.pictures import grid, pillow, write_png
from datasets.settings import Settings, differences, load, steps_of_an_epoch
from datasets.split import batch_stream
from scratch import check, optim
from scratch.check import Array
from scratch.nn import functional
from scratch.nn.module import Module
from scratch.nn.utils import clip_grad_norm_
from scratch.optim.lr_scheduler import ReduceLROnPlateau
from scratch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from scratch.random import Generator
from scratch.threads import get_num_threads
from scratch.training import metrics, state
from scratch.training.build import build
from scratch.training.checkpoint import copy_weights, parse, save_weights, serialize
from scratch.training.generative import draws, made, own_loss
from scratch.training.schedule import make_schedule

Batch = Sequence[tuple[Array, Array]]  # (x, t) of each part of it
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
        if settings.precision != "fp32":
            check.refuse("Trainer", "precision fp32", settings.precision)
        if settings.samples:
            pillow("Trainer")
        self.settings, self.out = settings, Path(out)
        self._data = load(settings)
        self._build()
        self.step_count = 0
        self.early_stopping = Best()
        self._best: dict[str, Array] | None = None
        self._loss = self._norm = self._lr = 0.0
        self._log: Log | None = None
        found = checkpoints.latest(self._folder)
        if found is not None and resume:
            self.load_state(checkpoints.read(found))
        elif found is not None and not overwrite:
            raise FileExistsError(
                f"Trainer: {self.out} holds a run; resume it, overwrite it, or choose another"
            )
        elif overwrite:
            shutil.rmtree(self._folder, ignore_errors=True)
            shutil.rmtree(self.out / "samples", ignore_errors=True)
            (self.out / "model.safetensors").unlink(missing_ok=True)
        checkpoints.clean(self._folder)

    @property
    def _folder(self) -> Path:
        return self.out / "checkpoints"

    def _build(self) -> None:
        s = self.settings
        self.generator = Generator(s.seed)
        self.model = build(s.as_task, s.model, self.generator, s.dropout).to(np.dtype(s.dtype))
        own = s.as_task.kind == "generative"  # the model's loss
        self.criterion = None if own else getattr(functional, s.as_task.loss)
        make = getattr(optim, s.optimizer, None)
        if make is None:
            check.refuse("Trainer", "an optimizer of scratch.optim", repr(s.optimizer))
        self.optimizer: optim.Optimizer = make(self.model.parameters(), **s.optimizer_args)
        self.schedule = make_schedule(s, self.optimizer)
        self.average: AveragedModel | None = None
        if s.ema is not None:
            self.average = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(s.ema))

    # Steps

    def step(self, batch: Batch) -> int:
        """One step of the optimizer, on the parts (x, t) of one batch.

        Returns:
            How many rows it had.
        """
        rows = sum([len(t) for _, t in batch])
        self.optimizer.zero_grad()
        self._loss = 0.0
        for x, t in batch:
            share = len(t) / rows
            if self.criterion is None:
                loss, loss_back = own_loss(self.model, x)
                loss_back(share, needs_input_grad=False)
            else:
                output, model_back = self.model(x)
                loss, loss_back = self.criterion(output, t)
                gradients = loss_back()  # a floating target has one too
                doutput = gradients[0] if isinstance(gradients, tuple) else gradients
                model_back(doutput if share == 1 else doutput * share, needs_input_grad=False)
            self._loss += float(loss) * share
        if self.settings.clip_norm is not None:
            parameters = self.model.parameters()
            self._norm = float(clip_grad_norm_(parameters, self.settings.clip_norm))
        self.optimizer.step()
        self._lr = self.optimizer.param_groups[0]["lr"]
        if self.schedule is not None and not isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step()
        if self.average is not None:
            self.average.update_parameters(self.model)
        self.step_count += 1
        return rows

    def rows(self) -> Iterator[list[Array]]:
        """The rows of each step that is left, in the parts that are computed one by one."""
        s = self.settings
        size = s.batch_size * s.accumulate
        stream = batch_stream(len(self._data.train_x), size, s.steps, s.seed, start=self.step_count)
        for rows in stream:
            yield [rows[i : i + s.batch_size] for i in range(0, len(rows), s.batch_size)]

    def batches(self) -> Iterator[Batch]:
        """The batches of the steps that are left."""
        x, t = self._data.train_x, self._data.train_y
        return ([(x[rows], t[rows]) for rows in parts] for parts in self.rows())

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
        log = self._log = Log(self.out / "log.jsonl", start or None, report)
        log.begin(start, self._machine(), self._what())
        clock, status = Clock(), "finished"
        self.model.train()
        try:
            for batch in () if self._patience_is_over() else self.batches():
                clock.rows += self.step(batch)
                step, last = self.step_count, self.step_count == s.steps
                if step % s.log_every == 0 or last:
                    log.write(self._record(clock))
                if s.evaluate_every and (step % s.evaluate_every == 0 or last):
                    log.write(self._judge())
                    if self._patience_is_over():
                        break
                if interrupted() and not last:
                    status = "interrupted"
                    break
                if s.checkpoint_every and step % s.checkpoint_every == 0 and not last:
                    self.save()
            self.save()
            if status == "interrupted":
                return Outcome(status, self.step_count, float("nan"), float("nan"), clock.seconds)
            return self._finish(clock, log)
        finally:
            log.close()

    # Evaluation

    @property
    def evaluated(self) -> Module:
        """The average of the weights where there is one, else the model."""
        return self.model if self.average is None else self.average.module

    def evaluate(self, x: Array, t: Array) -> dict[str, float]:
        """Loss and metric of `evaluated` on rows, in evaluation mode.

        Args:
            x: inputs (n, ...).
            t: targets.

        Returns:
            "loss" and the task's metric.
        """
        model, task = self.evaluated, self.settings.as_task
        model.eval()
        starts = range(0, len(x), EVALUATED_AT_ONCE)
        if self.criterion is None:
            drawn, total = draws(model, x), 0.0
            for i in starts:
                part = slice(i, i + EVALUATED_AT_ONCE)
                loss, _ = own_loss(model, x[part], **{k: v[part] for k, v in drawn.items()})
                total += float(loss) * len(x[part])
            model.train()
            return {"loss": total / len(x)}
        output = np.concatenate([model(x[i : i + EVALUATED_AT_ONCE])[0] for i in starts])
        model.train()
        loss, _ = self.criterion(output, t)
        return {"loss": float(loss), task.metric: getattr(metrics, task.metric)(output, t)}

    def _judge(self) -> Record:
        """An evaluation on the validation rows; the best weights are kept where they may be used.

        Returns:
            Its record.
        """
        found = self.evaluate(self._data.validation_x, self._data.validation_y)
        best = self.early_stopping.update(self.step_count, found["loss"])
        if best and self.settings.patience is not None:
            self._best = self.evaluated.state_dict()
        if isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step(found["loss"])
        self._draw(f"step-{self.step_count:08d}")
        return {"event": "evaluation", "step": self.step_count, **found, "best": best}

    def _draw(self, name: str) -> None:
        """A file of pictures that `evaluated` makes, if the run has any."""
        if not self.settings.samples:
            return
        model, (mean, std) = self.evaluated, self.settings.as_task.scale or (0.0, 1.0)
        model.eval()
        pictures = made(model, (self.settings.samples, *self._data.train_x.shape[1:]))
        model.train()
        write_png(self.out / "samples" / f"{name}.png", grid(mean + std * pictures))

    def _patience_is_over(self) -> bool:
        patience = self.settings.patience
        return patience is not None and self.early_stopping.bad >= patience

    def _finish(self, clock: Clock, log: Log) -> Outcome:
        """The best weights back, the test rows, the file of weights."""
        stopped = self._patience_is_over()
        step, best = self.step_count, self.early_stopping
        if stopped:
            record = {"event": "early stop", "step": step, "best_step": best.step}
            log.write({**record, "best_loss": best.best})
        if self._best is not None:
            self.evaluated.load_state_dict(self._best)
        found = self.evaluate(self._data.test_x, self._data.test_y)
        self._draw("end")
        save_weights(self.evaluated, self.out / "model.safetensors")
        log.write({"event": "end", "step": step, **found, "seconds": round(clock.seconds, 4)})
        metric = found[self.settings.as_task.metric]
        status = "stopped early" if stopped else "finished"
        return Outcome(status, step, found["loss"], metric, clock.seconds)

    # The log

    def _machine(self) -> Record:
        return {
            "package": "scratch",
            "versions": {**host(), "numpy": np.__version__},
            "device": "cpu",
            "device_name": "CPU",
            "precision": "fp32",
            "threads": get_num_threads(),
            "flags": {},
        }

    def _what(self) -> Record:
        sizes = (len(self._data.train_x), len(self._data.validation_x), len(self._data.test_x))
        return {
            "settings": self.settings.as_dict(),
            "parameters": sum(p.size for p in self.model.parameters()),
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
            **({"gradient_norm": self._norm} if clipped else {}),
            **clock.lap(),
            "memory_mb": peak_memory_mb(),
        }

    def _finite_loss(self) -> float:
        """The loss of the last step."""
        loss = self._loss
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
            Its path.

        Raises:
            FloatingPointError: if the last loss is not finite: such weights are of no use.
            OSError: if it cannot be written; earlier ones are as they were.
        """
        self._finite_loss()
        if self._log is not None:
            self._log.sync()
        files, state = self.state()
        return checkpoints.write(self._folder, self.step_count, files, state, self.settings.keep)

    def state(self) -> tuple[dict[str, bytes], dict[str, Any]]:
        """Everything that the steps to come depend on.

        Returns:
            Contents of safetensors files by name; what JSON can hold.
        """
        name = "Trainer.state"
        files = {
            "model": serialize(name, self.model.state_dict()),
            "optimizer": serialize(name, state.optimizer_arrays(self.optimizer)),
        }
        if self.average is not None:
            files["average"] = serialize(name, self.average.state_dict())
        if self._best is not None:
            files["best"] = serialize(name, self._best)
        per_epoch = steps_of_an_epoch(len(self._data.train_x), self.settings)
        epoch, position = divmod(self.step_count, per_epoch)
        return files, {
            "package": "scratch",
            "settings": self.settings.as_dict(),
            "sampler": {"seed": self.settings.seed, "epoch": epoch, "position": position},
            "param_groups": state.optimizer_groups(self.optimizer),
            "schedule": None if self.schedule is None else plain(self.schedule.state_dict()),
            "scaler": None,
            "generator": self.generator.get_state(),
            "cuda_generator": None,
            "early_stopping": self.early_stopping.state(),
        }

    def load_state(self, checkpoint: checkpoints.Checkpoint) -> None:
        """Go on from a checkpoint, of this package or of `torch_ref.training`.

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
            check.refuse(name, f"{source} to be of the same run", "; ".join(problems))
        arrays = {k: parse(name, v, f"{source}/{k}") for k, v in checkpoint.files.items()}
        copy_weights(name, self.model, arrays["model"], source)
        if self.average is not None:
            copy_weights(name, self.average, arrays["average"], source)
        state.load_optimizer(self.optimizer, arrays["optimizer"], saved["param_groups"])
        if self.schedule is not None:
            held = self.schedule.state_dict()
            self.schedule.load_state_dict(checkpoints.like(held, saved["schedule"]))
        self._best = arrays.get("best")
        if self._best is not None and _layout(self._best) != _layout(self.evaluated.state_dict()):
            check.refuse(name, f"{source}/best to hold the keys and shapes of the model", "others")
        self.early_stopping = Best.of(saved["early_stopping"])
        self.step_count = saved["step"]
        self.generator.set_state(saved["generator"])


def _layout(arrays: Mapping[str, Array]) -> dict[str, Any]:
    return {name: (array.shape, array.dtype) for name, array in arrays.items()}
