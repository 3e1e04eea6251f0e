"""Conventions in which implementations differ, each with the mutant that the suite must catch."""

from parity_tests.pitfalls import (
    activation,
    conv,
    dropout,
    embedding,
    linear,
    linear_cross_entropy,
    loss,
    models,
    models_conv,
    norm,
    optim,
    optim_elementwise,
    optim_matrix,
    padding,
    parametrize,
    pool,
    rearrange,
    resize,
    schedules,
)
from parity_tests.pitfalls.entry import Pitfall

FAMILIES = (
    linear,
    conv,
    embedding,
    activation,
    dropout,
    loss,
    linear_cross_entropy,
    norm,
    parametrize,
    optim,
    optim_elementwise,
    optim_matrix,
    schedules,
    padding,
    pool,
    rearrange,
    resize,
    models,
    models_conv,
)
PITFALLS: list[Pitfall] = [pitfall for family in FAMILIES for pitfall in family.PITFALLS]
