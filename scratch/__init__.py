"""Neural networks in NumPy, every backward pass derived by hand; the twin of `torch_ref`."""

import os

# OpenBLAS reads this when NumPy loads it. Its threads wait for the next product by spinning, 25 ms
# long as built, on cores that elementwise work and torch could use: 2^20 cycles are a third of one.
if "OPENBLAS_THREAD_TIMEOUT" not in os.environ:
    os.environ["OPENBLAS_THREAD_TIMEOUT"] = "20"
    import numpy as numpy

    del os.environ["OPENBLAS_THREAD_TIMEOUT"]  # child processes are as they were

# isort: split
from scratch import models as models
from scratch import nn as nn
from scratch import optim as optim
from scratch import random as random
