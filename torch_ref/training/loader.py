"""From rows to batches on the device, in memory or by worker processes: the same either way."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, distributed
from torch.utils.data import DataLoader, Dataset

Array = NDArray[Any]
Pair = tuple[Tensor, Tensor]


class Rows(Dataset[Pair]):
    """Rows of arrays, fetched a batch at a time.

    Args:
        x: inputs (n, ...).
        t: targets (n, ...).
    """

    def __init__(self, x: Array, t: Array) -> None:
        self.x, self.t = torch.from_numpy(x), torch.from_numpy(t)

    def __getitem__(self, rows: Any) -> Pair:
        """The inputs and targets of some rows."""
        index = torch.as_tensor(rows)
        return self.x[index], self.t[index]

    def __getitems__(self, rows: Any) -> Pair:
        """The same, under the name by which a DataLoader asks for a whole batch."""
        return self[rows]

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.x)


def load_batches(
    x: Array,
    t: Array,
    steps: Iterable[list[Array]],
    device: torch.device,
    *,
    workers: int = 0,
    pin_memory: bool = False,
    channels_last: bool = False,
    seed: int = 0,
) -> Iterator[list[Pair]]:
    """The batches of a run.

    Args:
        x: inputs (n, ...).
        t: targets (n, ...).
        steps: for each step the rows of its parts.
        device: where the batches go.
        workers: processes that load ahead; with 0 the data go to the device once and are indexed
            there, which is faster wherever they fit.
        pin_memory: load into page-locked memory, from which a GPU copies while it computes.
        channels_last: the layout of pictures.
        seed: of the workers' own generators.

    Yields:
        For each step the inputs and targets of its parts.
    """
    layout = torch.channels_last if channels_last and x.ndim == 4 else torch.preserve_format
    if not workers:
        inputs, targets = (torch.from_numpy(a).to(device) for a in (x, t))
        for parts in steps:
            index = [torch.from_numpy(rows).to(device, non_blocking=True) for rows in parts]
            batch = [(inputs[rows], targets[rows]) for rows in index]
            if channels_last:
                batch = [(x.to(memory_format=layout), t) for x, t in batch]
            yield batch
        return
    pinned = pin_memory and device.type == "cuda"
    sizes: list[int] = []  # how many parts each step has, in the order in which they come back

    def parts_of_steps() -> Iterator[Array]:
        for parts in steps:
            sizes.append(len(parts))
            yield from parts

    loader = DataLoader(
        Rows(x, t),
        batch_sampler=parts_of_steps(),  # type: ignore[arg-type]  # which is iterated once
        collate_fn=_as_it_is,
        num_workers=workers,
        pin_memory=pinned,
        # A fork beside a process group's threads may copy a lock that one of them holds.
        multiprocessing_context="forkserver" if distributed.is_initialized() else None,
        generator=torch.Generator().manual_seed(seed),
    )
    batch = []
    for inputs, targets in loader:
        moved = inputs.to(device, non_blocking=pinned, memory_format=layout)
        batch.append((moved, targets.to(device, non_blocking=pinned)))
        if len(batch) == sizes[0]:
            yield batch
            sizes.pop(0)
            batch = []


def _as_it_is(batch: Any) -> Any:
    return batch
