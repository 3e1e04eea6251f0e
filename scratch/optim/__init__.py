"""torch.optim in NumPy."""

from scratch.optim.adam import Adam as Adam
from scratch.optim.adamw import AdamW as AdamW
from scratch.optim.optimizer import Optimizer as Optimizer
from scratch.optim.sgd import SGD as SGD
