"""Equal threads for both sides.

NumPy's BLAS and torch each keep a pool of threads that wait by spinning. Where the
two alternate on small arrays they slow each other down several times over, so everything but the
benchmarks runs with one thread on either side.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

from scratch.threads import get_num_threads, set_num_threads


@contextmanager
def equal_threads(n: int) -> Iterator[None]:
    """Give NumPy's BLAS, scratch's elementwise work and torch `n` threads while the block runs."""
    before, ours = torch.get_num_threads(), get_num_threads()
    torch.set_num_threads(n)
    set_num_threads(n)
    try:
        with threadpool_limits(n, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)
        set_num_threads(ours)
