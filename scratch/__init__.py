"""Neural networks in NumPy, every backward pass derived by hand; the twin of `torch_ref`."""

from scratch import models as models
from scratch import nn as nn
from scratch import optim as optim
from scratch import random as random
