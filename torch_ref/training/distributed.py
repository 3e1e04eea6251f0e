"""One run on several processes, each of which computes its share of every batch.

    torchrun --nproc-per-node 4 -m torch_ref.training digits --strategy fsdp

    share       of a batch of n rows, split as evenly as can be: n_r on rank r, 0 where n < ranks
    gradient    mean over ranks of ranks (n_r / n) d(mean loss of the share)
                = d(mean loss of the batch), whatever the n_r are
    ddp         weights and optimizer on every rank, gradients averaged while they are computed
    fsdp        each rank holds its rows of every weight, gradient and optimizer state; weights are
                gathered where a block computes
    batch norm  each rank normalises by its share, unless SyncBatchNorm does by the batch; the
                running statistics that are evaluated and kept are those of the first rank
    random      each rank draws its own dropout

The first rank alone writes, and what it writes is what one process would: whole tensors under the
names of the model. All ranks must see the folder of a run that goes on. Without torchrun, or with
one process, nothing here does anything.

Source: Li et al. 2020, "PyTorch Distributed"; Zhao et al. 2023, "PyTorch FSDP", of which
`fully_shard` is the successor.
"""

import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from datasets.log import Record
from datasets.settings import Settings
from torch_ref.training.device import resolve_device

T = TypeVar("T")
# What torchrun sets, and other launchers too.
LAUNCHED = frozenset({"RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"})
# They step whole tensors only: torch 2.13 has no sharded form of some of their operations.
UNSHARDED = frozenset({"Adafactor", "Rprop"})
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@contextmanager
def process_group() -> Iterator[None]:
    """The processes that torchrun started, joined inside; none leaves before all are done.

    A process that fails leaves at once, whereupon torchrun ends the others.
    """
    if not os.environ.keys() >= LAUNCHED:
        yield
        return
    # Both, as flags and what JSON holds stay on the CPU; torch's own choice would be NCCL alone.
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    yield
    _barrier()
    dist.destroy_process_group()


def leave(status: int = 0) -> None:
    """End this process, if it was one of several, without Python's shutdown.

    DTensor's caches outlive the group and keep gloo's threads, of which torch 2.13 now and then
    aborts the process on its way out ("terminate called without an active exception").
    """
    if os.environ.keys() >= LAUNCHED:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


@contextmanager
def one_first() -> Iterator[None]:
    """One process of each machine goes first, then the others: where data are downloaded."""
    first = not dist.is_initialized() or os.environ.get("LOCAL_RANK", "0") == "0"
    if not first:
        _barrier()
    try:
        yield
    finally:  # what fails here fails on all
        if first:
            _barrier()


def _barrier() -> None:
    """By a tensor on the CPU: NCCL's would need to know the device of each rank."""
    if dist.is_initialized():
        dist.all_reduce(torch.zeros(1))


class Ranks:
    """The processes of a run, this one among them.

    Attributes:
        rank: this one's number, from 0.
        size: how many there are.
        first: whether this is the one that writes.
    """

    def __init__(self) -> None:
        joined = dist.is_initialized()
        self.rank = dist.get_rank() if joined else 0
        self.size = dist.get_world_size() if joined else 1
        self.first = self.rank == 0
        self._asked: tuple[dist.Work | None, Tensor] | None = None

    # Where, and how

    def device(self, name: str) -> torch.device:
        """This rank's device: its own GPU, or the CPU that all share.

        Args:
            name: as for `resolve_device`.

        Returns:
            The device, which is made CUDA's current one if it is a GPU.

        Raises:
            ValueError: if one GPU is named for several ranks.
            RuntimeError: if there is no such device.
        """
        device = resolve_device(name)
        if self.size == 1 or device.type != "cuda":
            return device
        if ":" in name:
            raise ValueError(
                f"Trainer: expected a device of each rank, auto, cpu or cuda, got {name!r} for "
                f"{self.size} ranks"
            )
        device = resolve_device(f"cuda:{os.environ['LOCAL_RANK']}")
        torch.cuda.set_device(device)
        return device

    def check(self, settings: Settings, device: torch.device) -> None:
        """Whether several ranks can train so.

        Args:
            settings: of the run.
            device: of this rank.

        Raises:
            ValueError: if they cannot.
        """
        if self.size == 1:
            return
        sharded = settings.strategy == "fsdp"
        name, rows = settings.optimizer, settings.batch_size
        for possible, expected, got in (
            (rows >= self.size, f"a row of each batch for each of {self.size} ranks", str(rows)),
            (
                device.type == "cuda" or not settings.sync_batch_norm,
                "a GPU for each rank where sync_batch_norm is, as torch's has no other kernels",
                str(device),
            ),
            (not (sharded and settings.channels_last), "fsdp without channels_last", "both"),
            (
                not (sharded and settings.as_task.kind == "generative"),
                "ddp where the loss is the model's own",
                "fsdp",
            ),
            (not (sharded and name in UNSHARDED), "an optimizer that can step shards", name),
        ):
            if not possible:
                raise ValueError(f"Trainer: expected {expected}, got {got}")

    def prepare(self, model: nn.Module, settings: Settings) -> nn.Module:
        """Batch normalisation as the settings say, before anything is copied from the model.

        Args:
            model: of the run.
            settings: sync_batch_norm counts.

        Returns:
            The model, the same object unless it is itself a batch normalisation.
        """
        if self.size == 1:
            return model
        if settings.sync_batch_norm:
            convert: Any = nn.SyncBatchNorm.convert_sync_batchnorm
            converted: nn.Module = convert(model)
            return converted
        if self.first and any(isinstance(module, BATCH_NORMS) for module in model.modules()):
            warnings.warn(
                f"each of {self.size} ranks normalises by its own rows, which one process would "
                "not; --sync-batch-norm, on GPUs, normalises by all",
                stacklevel=3,
            )
        return model

    def wrap(
        self, model: nn.Module, settings: Settings, average: nn.Module | None = None
    ) -> nn.Module:
        """Let the ranks share a model, and its average too where it is sharded.

        Args:
            model: on its device, the same on all ranks; its parameters are replaced if sharded, so
                an optimizer comes after.
            settings: strategy counts.
            average: a copy of the model, if there is one.

        Returns:
            What is called in training, over the same parameters.
        """
        if self.size == 1:
            return model
        device = next(model.parameters()).device
        if settings.strategy == "ddp":
            ids = [device.index] if device.type == "cuda" else None
            return DistributedDataParallel(model, device_ids=ids, forward_sync_buffers=False)
        mesh = init_device_mesh(device.type, (self.size,))
        for module in (model, *([] if average is None else [average])):
            for block in _blocks(module):
                fully_shard(block, mesh=mesh)
            fully_shard(module, mesh=mesh)
        return model

    def seed(self, seed: int, step: int) -> None:
        """Let each rank but the first draw numbers of its own, in `step` or after it."""
        if not self.first:
            words = np.random.SeedSequence((seed, self.rank, step)).generate_state(1)
            torch.manual_seed(int(words[0]))

    # Training

    def share(self, rows: NDArray[Any]) -> NDArray[Any]:
        """This rank's part of rows (n, ...): n / size of them, rounded up on the first ranks."""
        return rows if self.size == 1 else np.array_split(rows, self.size)[self.rank]

    def part(self, module: nn.Module, last: bool) -> AbstractContextManager[None]:
        """Around forward and backward of a part of a step, whose last averages all gradients.

        Args:
            module: as `wrap` returned it.
            last: whether it is the last part.

        Returns:
            A context.
        """
        if self.size == 1:
            return nullcontext()
        if isinstance(module, FSDPModule):
            module.set_requires_gradient_sync(last)
        if isinstance(module, DistributedDataParallel) and not last:
            context: AbstractContextManager[None] = module.no_sync()
            return context
        return nullcontext()

    def sum(self, value: Tensor) -> Tensor:
        """Of a tensor that each rank has one of."""
        if self.size == 1:
            return value
        total = value.clone()
        dist.all_reduce(total)
        return total

    def asked(self, now: bool) -> bool:
        """Whether any rank was asked to stop by its last call; asked once a step by all of them.

        Nobody waits: what is asked now is known to all one step later.
        """
        if self.size == 1:
            return now
        before, flag = self._asked, torch.tensor([float(now)])
        self._asked = dist.all_reduce(flag, async_op=True), flag
        if before is None:
            return False
        work, flag = before
        if work is not None:
            work.wait()
        return bool(flag.item())

    # Evaluation

    @contextmanager
    def evaluating(self, module: nn.Module) -> Iterator[None]:
        """Around forwards without gradients: buffers are the first rank's."""
        sharded = [m for m in module.modules() if isinstance(m, FSDPModule)]
        if self.size > 1:
            for buffer in module.buffers():
                dist.broadcast(buffer, 0)
        # What is gathered stays in use after the evaluation, so it may be no inference tensor.
        with torch.no_grad() if sharded else torch.inference_mode():
            yield
        for part in sharded:
            part.reshard()  # the outermost stays gathered otherwise, and would not be averaged

    def gather(self, rows: Tensor, total: int) -> Tensor:
        """The rows of all ranks, in order.

        Args:
            rows: of this rank's share (n_r, ...).
            total: n.

        Returns:
            (n, ...), on every rank.
        """
        if self.size == 1:
            return rows
        sizes = [len(part) for part in np.array_split(np.empty(total), self.size)]
        padded = rows.new_zeros(sizes[0], *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    def of_first(self, value: T) -> T:
        """The first rank's value, on all of them, so that all decide alike."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, 0)
        return box[0]

    def of_all(self, value: T) -> list[T]:
        """The value of each rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    # Tensors by name

    def whole(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Sharded tensors put together, one after the other.

        Args:
            tensors: by name, the same names on all ranks.

        Returns:
            By name, on the first rank; empty on the others.
        """
        found = {}
        for name in sorted(tensors):  # files give them in any order, and all ranks must agree
            full = whole(tensor := tensors[name])
            if self.first:
                found[name] = full.cpu() if full is not tensor else full
        return found


class NoLog:
    """What the ranks that write nothing have in place of `datasets.log.Log`."""

    def begin(self, step: int, machine: Record, run: Record) -> None:
        """Nothing."""

    def write(self, record: Record) -> None:
        """Nothing."""

    def sync(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def whole(tensor: Tensor) -> Tensor:
    """A sharded tensor put together, for which all ranks are needed; another as it is."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def shard_like(held: Tensor, tensor: Tensor) -> Tensor:
    """A tensor that all ranks have, sharded as `held` is; as it is where that is not sharded."""
    if not isinstance(held, DTensor):
        return tensor
    placed = tensor.to(held.device)
    return distribute_tensor(placed, held.device_mesh, held.placements, src_data_rank=None)


def spread(held: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`shard_like` by name, of all tensors."""
    return {name: shard_like(held[name], tensor) for name, tensor in tensors.items()}


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """What stands in the outermost lists of modules, with parameters: layers, or stages."""
    for child in module.children():
        if isinstance(child, nn.Sequential | nn.ModuleList):
            yield from (block for block in child if next(block.parameters(), None) is not None)
        else:
            yield from _blocks(child)
