"""Optimizers that torch itself lacks."""

from torch_ref.optim.sgd import SGD as SGD
