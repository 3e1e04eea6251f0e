"""Elementwise work on several threads: the same numbers, errors that arrive, no thread too many."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import scratch
from scratch import threads
from scratch.nn import Parameter
from scratch.nn import functional as F


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = threads.get_num_threads()
    yield
    threads.set_num_threads(before)


def normal(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def adam() -> list[Any]:
    parameters = [Parameter(normal(i, 100_000)) for i in range(20)]
    optimizer = scratch.optim.Adam(parameters, weight_decay=0.1)
    for step in range(3):
        for i, p in enumerate(parameters):
            p.grad = normal(100 * step + i, 100_000)
        optimizer.step()
    assert [p.version for p in parameters] == [3] * 20
    assert list(optimizer.state) == parameters  # in their order, whichever was done first
    return [p.data for p in parameters]


def of(function: Callable[..., Any], *shape: int) -> list[Any]:
    y, backward = function(normal(0, *shape))
    return [y, backward(normal(1, *shape))]


@pytest.mark.parametrize(
    "work",
    [
        adam,
        lambda: of(F.gelu, 700, 1001),
        lambda: of(lambda x: F.gelu(x, "tanh"), 700, 1001),
        lambda: of(lambda x: F.softmax(x, 1), 700, 1001),
        lambda: of(lambda x: F.log_softmax(x, 1), 30, 100, 200),
    ],
    ids=["Adam", "gelu", "gelu tanh", "softmax", "log_softmax"],
)
def test_numbers_do_not_depend_on_threads(work: Callable[[], list[Any]]) -> None:
    threads.set_num_threads(1)
    alone = work()
    threads.set_num_threads(4)
    for a, b in zip(alone, work(), strict=True):
        assert np.array_equal(a, b)


def test_several_threads_do_the_work() -> None:
    threads.set_num_threads(3)
    names, barrier = set(), threading.Barrier(3, timeout=30)

    def work(item: int) -> None:
        names.add(threading.get_ident())
        if item < 3:
            barrier.wait()  # each of the three waits for the other two

    threads.for_each(work, range(20))
    assert len(names) == 3
    names.clear()
    threads.set_num_threads(1)
    threads.for_each(lambda _: names.add(threading.get_ident()), range(20))
    assert names == {threading.get_ident()}


def test_a_piece_of_work_does_not_wait_for_a_thread() -> None:
    threads.set_num_threads(2)
    done = []
    threads.for_each(lambda i: threads.for_each(lambda j: done.append((i, j)), range(5)), range(5))
    assert sorted(done) == [(i, j) for i in range(5) for j in range(5)]


@pytest.mark.parametrize("number", [1, 2])
def test_errors_and_numpys_error_state_arrive(number: int) -> None:
    threads.set_num_threads(number)
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        threads.for_each(lambda x: np.divide(1.0, x), np.array([1.0, 2.0, 0.0, 3.0]))
    with np.errstate(divide="ignore"):
        threads.for_each(lambda x: np.divide(1.0, x), np.zeros(8))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_has_its_own_threads() -> None:
    code = """
import os, warnings
from scratch import threads
warnings.simplefilter("ignore")
threads.set_num_threads(2)
threads.for_each(lambda i: i, range(9))
child = os.fork()
if child == 0:
    done = []
    threads.for_each(done.append, range(9))
    os._exit(len(done))
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_number_comes_from_the_environment() -> None:
    code = "from scratch import threads; print(threads.get_num_threads())"
    for value, expected in (("3", 3), ("0", None), ("x", None)):
        environment = {**os.environ, "OMP_NUM_THREADS": value}
        command = [sys.executable, "-c", code]
        found = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        assert int(found.stdout) == expected or (expected is None and int(found.stdout) >= 1)


@pytest.mark.parametrize("n", [0, -1, 1.5, "2", None])
def test_refused(n: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=r"^set_num_threads: expected .*, got "):
        threads.set_num_threads(n)
