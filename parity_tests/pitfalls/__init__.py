"""Conventions in which implementations differ, each with the mutant that the suite must catch."""

from parity_tests.pitfalls import (
    activation,
    dropout,
    embedding,
    linear,
    linear_cross_entropy,
    loss,
    models,
    optim,
    optim_elementwise,
    optim_matrix,
    schedules,
)
from parity_tests.pitfalls.entry import Pitfall

FAMILIES = (
    linear,
    embedding,
    activation,
    dropout,
    loss,
    linear_cross_entropy,
    optim,
    optim_elementwise,
    optim_matrix,
    schedules,
    models,
)
PITFALLS: list[Pitfall] = [pitfall for family in FAMILIES for pitfall in family.PITFALLS]
