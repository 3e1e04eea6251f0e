"""Linear-chain conditional random field, Lafferty et al. 2001, differentiated by autograd.

l = log sum_z e^score(z) - score(tags), with
score(z) = start(z_1) + sum_t x_t(z_t) + sum_t>1 A(z_t-1, z_t) + end(z_T).
"""

import torch
from torch import Tensor, nn


def log_partition(
    emissions: Tensor, start: Tensor, end: Tensor, transitions: Tensor, mask: Tensor
) -> Tensor:
    """log sum_z e^score(z) of each sequence, emissions (T, N, K) and mask (T, N)."""
    alpha = start + emissions[0]
    for x, on in zip(emissions[1:], mask[1:], strict=True):
        step = x + torch.logsumexp(alpha[:, :, None] + transitions, 1)
        alpha = torch.where(on[:, None], step, alpha)
    return torch.logsumexp(alpha + end, 1)


def path_score(
    emissions: Tensor, tags: Tensor, start: Tensor, end: Tensor, transitions: Tensor, mask: Tensor
) -> Tensor:
    """score(tags) of each sequence, emissions (T, N, K), tags and mask (T, N)."""
    tags = tags.masked_fill(~mask, 0)
    unary = emissions.gather(2, tags[:, :, None])[:, :, 0]
    binary = transitions[tags[:-1], tags[1:]]
    last = tags.gather(0, mask.sum(0, keepdim=True) - 1)[0]
    inner = unary.where(mask, 0).sum(0) + binary.where(mask[1:], 0).sum(0)
    return start[tags[0]] + inner + end[last]


def linear_chain_crf(
    emissions: Tensor,
    tags: Tensor,
    start_transitions: Tensor,
    end_transitions: Tensor,
    transitions: Tensor,
    mask: Tensor | None = None,
    reduction: str = "sum",
    batch_first: bool = True,
) -> Tensor:
    """Negative log likelihood of tag sequences.

    Args:
        emissions: (N, T, K), the score of each tag at each token.
        tags: (N, T) integers.
        start_transitions: (K,), the score to start with a tag.
        end_transitions: (K,), the score to end with it.
        transitions: (K, K), the score to go from the row's tag to the column's.
        mask: bool (N, T), True for the first tokens of each sequence; None for all.
        reduction: 'none', 'sum', 'mean' (over sequences) or 'token_mean'.
        batch_first: False if the first two axes are T, N.

    Returns:
        The loss, () or (N,).
    """
    mask = torch.ones_like(tags, dtype=torch.bool) if mask is None else mask
    if batch_first:
        emissions, tags, mask = emissions.transpose(0, 1), tags.T, mask.T
    emissions = emissions.masked_fill(~mask[:, :, None], 0)  # NaN in padding would reach the scores
    scores = start_transitions, end_transitions, transitions
    loss = log_partition(emissions, *scores, mask) - path_score(emissions, tags, *scores, mask)
    if reduction == "none":
        return loss
    if reduction == "token_mean":
        return loss.sum() / mask.sum()
    return loss.mean() if reduction == "mean" else loss.sum()


class LinearChainCRF(nn.Module):
    """`linear_chain_crf` with learned transitions.

    Args:
        num_tags: K.
        batch_first: whether emissions are (N, T, K) rather than (T, N, K); tags and mask likewise.
    """

    def __init__(self, num_tags: int, batch_first: bool = True) -> None:
        super().__init__()
        self.num_tags = num_tags
        self.batch_first = batch_first
        self.start_transitions = nn.Parameter(torch.empty(num_tags))
        self.end_transitions = nn.Parameter(torch.empty(num_tags))
        self.transitions = nn.Parameter(torch.empty(num_tags, num_tags))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the start from U(-0.1, 0.1)."""
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)

    def forward(
        self, emissions: Tensor, tags: Tensor, mask: Tensor | None = None, reduction: str = "sum"
    ) -> Tensor:
        """Negative log likelihood of the tags."""
        scores = self.start_transitions, self.end_transitions, self.transitions
        return linear_chain_crf(emissions, tags, *scores, mask, reduction, self.batch_first)

    def marginals(self, emissions: Tensor, mask: Tensor | None = None) -> Tensor:
        """The probability of each tag at each token: the gradient of the log partition."""
        x = emissions.detach().requires_grad_()
        scores = self.start_transitions, self.end_transitions, self.transitions
        with torch.enable_grad():  # whatever holds where it is called
            steps, on = self._time_first(x, mask)
            total = log_partition(steps, *scores, on).sum()
        return torch.autograd.grad(total, x)[0]

    @torch.no_grad()
    def decode(self, emissions: Tensor, mask: Tensor | None = None) -> list[list[int]]:
        """The most probable tags of each sequence, by Viterbi's algorithm."""
        x, on = self._time_first(emissions, mask)
        best = self.start_transitions + x[0]
        stay = torch.arange(self.num_tags, device=x.device)
        origins = []
        for step, kept in zip(x[1:], on[1:, :, None], strict=True):
            score, origin = (best[:, :, None] + self.transitions).max(1)
            best = torch.where(kept, step + score, best)
            origins.append(torch.where(kept, origin, stay))
        path = [(best + self.end_transitions).argmax(1)]
        for origin in reversed(origins):
            path.append(origin.gather(1, path[-1][:, None])[:, 0])
        tags = torch.stack(path[::-1], 1)
        return [row[:n].tolist() for row, n in zip(tags, on.sum(0).tolist(), strict=True)]

    def _time_first(self, emissions: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        on = torch.ones(emissions.shape[:2], dtype=torch.bool, device=emissions.device)
        on = on if mask is None else mask
        return (emissions.transpose(0, 1), on.T) if self.batch_first else (emissions, on)

    def extra_repr(self) -> str:
        return f"num_tags={self.num_tags}, batch_first={self.batch_first}"
