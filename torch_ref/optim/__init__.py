"""Optimizers that torch itself lacks."""

from torch_ref.optim.lamb import LAMB as LAMB
from torch_ref.optim.lars import LARS as LARS
from torch_ref.optim.lion import Lion as Lion
from torch_ref.optim.sgd import SGD as SGD
