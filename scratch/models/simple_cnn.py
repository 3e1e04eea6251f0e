"""The guide's SimpleCNN: convolution, ReLU, pooling, dense.       after LeCun et al. 1989

forward    a = relu(W * x + b)      p = maxpool_2(a)      y = flatten(p) V^T + c
backward   dy reaches V and c, then through flatten, pool and ReLU also W and b: all are trained
shapes     x (N, 1, S, S)   W (F, 1, k, k)   a (N, F, S-k+1, S-k+1)   p half of that   y (N, 1)
start      W from N(0, 0.1^2), V from N(0, 0.01^2), b = 0, c = 0
"""

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn import init
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.random import Generator


class SimpleCNN(Module):
    """One convolution and one dense layer that tell two kinds of grey images apart.

    Args:
        img_size: height and width of an image.
        num_filters: number of filters.
        filter_size: height and width of a filter, less than that of an image.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, 1, img_size, img_size) to logits (N, 1): their sigmoid is the probability of class 1.

    Raises:
        TypeError, ValueError: if a size is not a positive integer or nothing is left to pool.
    """

    _skips_input_grad = True

    def __init__(
        self,
        img_size: int = 16,
        num_filters: int = 8,
        filter_size: int = 3,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        check.size("SimpleCNN", "num_filters", num_filters, low=1)
        check.size("SimpleCNN", "filter_size", filter_size, low=1)
        check.size("SimpleCNN", "img_size", img_size, low=filter_size + 1)
        generator = generator or Generator()
        pooled = (img_size - filter_size + 1) // 2
        inputs = num_filters * pooled**2
        self.conv = nn.Conv2d(1, num_filters, filter_size, dtype=dtype, generator=generator)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(inputs, 1, dtype=dtype, generator=generator)
        init.normal_(self.conv.weight, std=0.1, generator=generator)
        init.normal_(self.fc.weight, std=0.01, generator=generator)
        for layer in (self.conv, self.fc):
            assert layer.bias is not None
            init.zeros_(layer.bias)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """Logits of class 1."""
        z, conv_back = self.conv(input)
        a, relu_back = self.relu(z)
        p, pool_back = self.pool(a)
        flat, flatten_back = F.flatten(p, 1)
        y, fc_back = self.fc(flat)

        def backward(dy: Array, needs_input_grad: bool = True) -> Array | None:
            dp = flatten_back(fc_back(dy))
            da = pool_back(dp)
            dz = relu_back(da)
            dx: Array | None = conv_back(dz, needs_input_grad=needs_input_grad)
            return dx

        return y, backward
