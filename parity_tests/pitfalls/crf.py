"""Conventions of the CRF: sign, layout of the transitions, where a sequence ends, the mean."""

import functools
from typing import Any

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from parity_tests.pitfalls.loss import mutant
from scratch import nn
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn.op import Backward

Parts = tuple[Any, Backward]


@mutant(F.linear_chain_crf)
def log_likelihood(**a: Any) -> Parts:
    loss, loss_back = F.linear_chain_crf(**a)
    return -loss, lambda dy: loss_back(-dy)


@mutant(F.linear_chain_crf)
def from_column_to_row(**a: Any) -> Parts:
    transposed = {**a, "transitions": np.ascontiguousarray(a["transitions"].T)}
    loss, loss_back = F.linear_chain_crf(**transposed)

    def backward(dy: Array) -> tuple[Array, ...]:
        *others, dbetween = loss_back(dy)
        return *others, dbetween.T

    return loss, backward


@mutant(F.linear_chain_crf)
def end_where_the_padding_ends(**a: Any) -> Parts:
    """Padding counts, as tag 0."""
    tags = a["tags"] if a["mask"] is None else np.where(a["mask"], a["tags"], 0)
    return F.linear_chain_crf(**{**a, "tags": tags, "mask": None})


@mutant(F.linear_chain_crf)
def without_ends(**a: Any) -> Parts:
    return F.linear_chain_crf(**{**a, "end_transitions": np.zeros_like(a["end_transitions"])})


@mutant(F.linear_chain_crf)
def mean_over_tokens(**a: Any) -> Parts:
    other = {"mean": "token_mean"}
    return F.linear_chain_crf(**{**a, "reduction": other.get(a["reduction"], a["reduction"])})


@mutant(F.linear_chain_crf)
def mean_over_all_tokens(**a: Any) -> Parts:
    if a["reduction"] != "token_mean":
        return F.linear_chain_crf(**a)
    loss, loss_back = F.linear_chain_crf(**{**a, "reduction": "sum"})
    n = a["tags"].size
    return loss / loss.dtype.type(n), lambda dy: loss_back(dy / n)


class Greedy(nn.LinearChainCRF):
    """The most probable tag of each token."""

    def decode(self, emissions: Array, mask: Array | None = None) -> list[list[int]]:
        tags = self.marginals(emissions, mask).argmax(2)
        on = np.ones(tags.shape, bool) if mask is None else mask
        if not self.batch_first:
            tags, on = tags.T, on.T
        counts = on.sum(1)
        return [row[:n].tolist() for row, n in zip(tags, counts, strict=True)]


class WithoutEnds(nn.LinearChainCRF):
    """Viterbi that stops before the end's score."""

    def decode(self, emissions: Array, mask: Array | None = None) -> list[list[int]]:
        self.end_transitions.data = np.zeros_like(self.end_transitions.data)
        return super().decode(emissions, mask)


class Filtered(nn.LinearChainCRF):
    """Probabilities of the tags given the past alone: the forward pass, normalised."""

    def marginals(self, emissions: Array, mask: Array | None = None) -> Array:
        axis = 1 if self.batch_first else 0
        steps = np.moveaxis(emissions, axis, 0)
        parts = []
        marginals = functools.partial(nn.LinearChainCRF.marginals, self)
        for t in range(1, len(steps) + 1):
            head = np.moveaxis(steps[:t], 0, axis)
            parts.append(np.moveaxis(marginals(head), axis, 0)[-1])
        p = np.stack(parts, axis)
        return p if mask is None else p * mask[..., None]


PITFALLS = [
    Pitfall(
        "crf: forward returns the log likelihood",
        entry="linear_chain_crf",
        difference="here a loss, to be made small; pytorch-crf: the log likelihood",
        mutant=log_likelihood,
    ),
    Pitfall(
        "crf: transitions from column to row",
        entry="linear_chain_crf",
        difference="pytorch-crf: A(i, j) goes from i to j; PyTorch's tutorial (BiLSTM-CRF): from "
        "j to i",
        mutant=from_column_to_row,
    ),
    Pitfall(
        "crf: the end stands behind the padding",
        entry="linear_chain_crf",
        difference="pytorch-crf: the end follows the last token that counts; without a mask the "
        "padding is tagged too",
        mutant=end_where_the_padding_ends,
    ),
    Pitfall(
        "crf: no score for the end",
        entry="linear_chain_crf",
        difference="pytorch-crf: start and end have scores; others leave out the end",
        mutant=without_ends,
    ),
    Pitfall(
        "crf: mean over tokens",
        entry="linear_chain_crf",
        difference="pytorch-crf: 'mean' over sequences, 'token_mean' over tokens",
        mutant=mean_over_tokens,
    ),
    Pitfall(
        "crf: token_mean counts padding",
        entry="linear_chain_crf",
        difference="pytorch-crf: 'token_mean' divides by the tokens that count; others by N T",
        mutant=mean_over_all_tokens,
    ),
    Pitfall(
        "crf: decodes token by token",
        entry="LinearChainCRF.decode",
        difference="Viterbi: the most probable sequence; posterior decoding: each token's best tag",
        mutant=Greedy,
    ),
    Pitfall(
        "crf: decodes without the end",
        entry="LinearChainCRF.decode",
        difference="pytorch-crf: the end's score takes part in the choice of the last tag",
        mutant=WithoutEnds,
    ),
    Pitfall(
        "crf: marginals of the past alone",
        entry="LinearChainCRF.marginals",
        difference="forward-backward: given the whole sequence; filtering: given the tokens so far",
        mutant=Filtered,
    ),
]
