"""One-hot codes: row k of the identity for class k.

forward   y[..., j] = 1 where j = x, else 0
backward  none: what indexes has no derivative
shapes    x (...) integers, y (..., C) int64
torch     counts the classes, C = max x + 1, where num_classes is -1: of another batch there may be
          more or fewer. Its x is int64 only; here any integers.
"""

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.op import Backward


def one_hot(tensor: Array, num_classes: int = -1) -> tuple[Array, Backward]:
    """y[..., j] = 1 where j = x.

    Args:
        tensor: x (...), classes from 0 on.
        num_classes: C; -1 takes one more than the largest class.

    Returns:
        y (..., C) int64, and a backward that has nothing to return: dy -> ().

    Raises:
        TypeError: if `tensor` does not hold integers or `num_classes` is none.
        ValueError: if a class is not in [0, C), or there is none to count.
    """
    top = check.size("one_hot", "num_classes", num_classes, low=-1)
    x = check.integer("one_hot", "tensor", tensor, 0, np.iinfo(np.int64).max if top < 0 else top)
    if top <= 0 and not x.size:
        check.refuse("one_hot", "num_classes above 0 for an empty tensor", num_classes)
    size = int(x.max()) + 1 if top < 0 else top
    y = np.zeros((x.size, size), np.int64)
    y[np.arange(x.size), x.ravel()] = 1
    return y.reshape(*x.shape, size), lambda dy=None: ()
