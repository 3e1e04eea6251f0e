"""The twins: one entry for each op, module, model and optimizer."""

from parity_tests.catalog import (
    activation,
    averaging,
    clip,
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
from parity_tests.harness.entry import Entry, Refusal

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
    clip,
    averaging,
    models,
)
ENTRIES: list[Entry] = [entry for family in FAMILIES for entry in family.ENTRIES]
REFUSALS: list[Refusal] = [refusal for family in FAMILIES for refusal in family.REFUSALS]
