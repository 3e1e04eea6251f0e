"""Threads for elementwise work.

NumPy computes an elementwise function on one thread, but lets go of the interpreter's lock while it
does; so pieces of a large array, or several arrays, can be worked on side by side. Which thread
computes a piece changes nothing in it. Matrix products are BLAS's, which has threads of its own;
but where they are part of a piece, each is computed on that piece's thread alone.
"""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from threading import Lock
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

from scratch import check

T = TypeVar("T")

_number = 0  # 0: not set
_pool: ThreadPoolExecutor | None = None
_inside: ContextVar[bool] = ContextVar("inside", default=False)  # whether this is a piece of work
_lock = Lock()
_shared = 0  # runs on several threads that go on
_before: tuple[float, list[int]] = 0.0, []  # what the first of them found
_blas: list[Any] | None = None


def get_num_threads() -> int:
    """How many threads elementwise work may use; at first OMP_NUM_THREADS, or the cores there are.

    Returns:
        The number, at least 1.
    """
    if _number:
        return _number
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted):
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def set_num_threads(n: int) -> None:
    """Let elementwise work use `n` threads (BLAS has a setting of its own, see threadpoolctl).

    Args:
        n: at least 1.

    Raises:
        TypeError: if it is no integer.
        ValueError: if it is below 1.
    """
    global _number
    _number = check.size("set_num_threads", "n", n, low=1)
    _forget_pool()


def for_each(function: Callable[[T], object], items: Iterable[T]) -> None:
    """Call a function for each item: on as many threads as there are, if they are worth it.

    Args:
        function: must not depend on the order of the calls.
        items: each worth some tens of microseconds at least.

    Raises:
        Whatever the function does first, once all threads are done.
    """
    global _pool
    work = deque(items)
    shares = 1 if _inside.get() else min(get_num_threads(), len(work))

    def share() -> None:
        _inside.set(True)
        while work:
            try:
                item = work.popleft()
            except IndexError:  # another thread took the last one
                return
            function(item)

    if shares < 2:
        copy_context().run(share)
        return
    if _pool is None:
        _pool = ThreadPoolExecutor(get_num_threads(), "scratch")
    with _side_by_side():
        # Each in a copy of this context, which holds NumPy's error state.
        rest = [_pool.submit(copy_context().run, share) for _ in range(shares - 1)]
        try:
            copy_context().run(share)
        finally:
            errors = [future.exception() for future in rest]
    for error in errors:
        if error is not None:
            raise error


@contextmanager
def _side_by_side() -> Iterator[None]:
    """What the interpreter and BLAS need while threads of ours share work; undone by the last run.

    Each thread holds the interpreter's lock for a microsecond between two array operations. Once
    two meet there they would meet after every operation, and one of them fall asleep each time:
    unless they ask for the lock after 0.1 ms instead of Python's 5. And BLAS would let one product
    wait for another's threads.
    """
    global _blas, _before, _shared
    with _lock:
        if _blas is None:  # NumPy has loaded it by now
            _blas = ThreadpoolController().select(user_api="blas").lib_controllers
        if not _shared:
            _before = sys.getswitchinterval(), [blas.get_num_threads() for blas in _blas]
            sys.setswitchinterval(min(_before[0], 1e-4))
            for blas in _blas:
                blas.set_num_threads(1)
        _shared += 1
    try:
        yield
    finally:
        with _lock:
            _shared -= 1
            if not _shared:
                sys.setswitchinterval(_before[0])
                for blas, number in zip(_blas, _before[1], strict=True):
                    blas.set_num_threads(number)


def _forget_pool() -> None:
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):  # a child has none of its parent's threads
    os.register_at_fork(after_in_child=_forget_pool)
