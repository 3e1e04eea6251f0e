"""The twins: one entry for each op, module, model and optimizer."""

from parity_tests.catalog import (
    activation,
    averaging,
    clip,
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
from parity_tests.harness.entry import Entry, Refusal

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
    clip,
    averaging,
    padding,
    pool,
    rearrange,
    resize,
    models,
    models_conv,
)
ENTRIES: list[Entry] = [entry for family in FAMILIES for entry in family.ENTRIES]
REFUSALS: list[Refusal] = [refusal for family in FAMILIES for refusal in family.REFUSALS]
