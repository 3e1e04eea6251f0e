"""Threads for elementwise work.

NumPy computes an elementwise function on one thread, but lets go of the interpreter's lock while it
does; so pieces of a large array, or several arrays, can be worked on side by side. Which thread
computes a piece changes nothing in it. Matrix products are BLAS's, which has threads of its own.
"""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from threading import Lock
from typing import TypeVar

from scratch import check

T = TypeVar("T")

_number = 0  # 0: not set
_pool: ThreadPoolExecutor | None = None
_inside: ContextVar[bool] = ContextVar("inside", default=False)  # whether this is a piece of work
_eager, _interval, _lock = 0, 0.0, Lock()  # runs going on, and what they found


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
    with _short_waits():
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
def _short_waits() -> Iterator[None]:
    """Let threads ask for the interpreter's lock after 0.1 ms instead of Python's 5.

    Each holds it for a microsecond between two array operations. Once they meet there, they would
    meet after every operation, and each time one of them falls asleep.
    """
    global _eager, _interval
    with _lock:
        if not _eager:
            _interval = sys.getswitchinterval()
            sys.setswitchinterval(min(_interval, 1e-4))
        _eager += 1
    try:
        yield
    finally:
        with _lock:
            _eager -= 1
            if not _eager:
                sys.setswitchinterval(_interval)


def _forget_pool() -> None:
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):  # a child has none of its parent's threads
    os.register_at_fork(after_in_child=_forget_pool)
