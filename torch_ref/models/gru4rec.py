"""GRU4Rec: what comes next in a session.        Hidasi et al. 2016, arXiv:1511.06939, section 3.1

e_t = drop(E[id_t]), or one-hot     h_t = GRU(e_t, h_{t-1}), h_{t-1} = 0 where a session starts
o_t = drop(h_t)                     x_tj = o_t . W[j] + b_j for each candidate j
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GRU4Rec(nn.Module):
    """Scores of all items, or of a few candidates, after each event of a session.

    Args:
        num_items: V.
        embedding_dim: size of the items' embeddings; None feeds one-hot vectors, as the paper does.
        hidden_size: H, of the state.
        num_layers: L, layers above each other.
        tied: whether embeddings and output weights are one; needs embedding_dim = hidden_size.
        dropout_embedding: probability of dropping an embedding's entry.
        dropout_hidden: probability of dropping an output of each layer, but not of the state.
        dtype: of the parameters.

    Shape:
        ids (T, B) to scores (T, B, V), or (T, B, C) of C candidates, and the state (L, B, H).
    """

    def __init__(
        self,
        num_items: int,
        embedding_dim: int | None = None,
        hidden_size: int = 100,
        num_layers: int = 1,
        tied: bool = False,
        dropout_embedding: float = 0.0,
        dropout_hidden: float = 0.0,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.num_items = num_items
        self.embedding = None
        if embedding_dim is not None:
            self.embedding = nn.Embedding(num_items, embedding_dim, dtype=dtype)
            nn.init.xavier_uniform_(self.embedding.weight)
        self.drop_embedding = nn.Dropout(dropout_embedding)
        between = dropout_hidden if num_layers > 1 else 0.0
        inputs = num_items if embedding_dim is None else embedding_dim
        self.gru = nn.GRU(inputs, hidden_size, num_layers, dropout=between, dtype=dtype)
        self.drop_hidden = nn.Dropout(dropout_hidden)
        self.out = nn.Linear(hidden_size, num_items, dtype=dtype)
        nn.init.xavier_uniform_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        if tied and self.embedding is not None:
            self.out.weight = self.embedding.weight

    def forward(
        self,
        input: Tensor,
        hx: Tensor | None = None,
        start: Tensor | None = None,
        candidates: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Scores of the candidates after each event, and the state to carry on.

        Args:
            input: ids (T, B).
            hx: state (L, B, H) that the slots come with; None stands for zeros.
            start: bool (T, B), True where a session starts, whose state is 0; None for nowhere.
            candidates: ids (C,), or (T, C) of each step; None stands for all items.

        Returns:
            x (T, B, C) and h_n (L, B, H).
        """
        if self.embedding is None:
            e = F.one_hot(input, self.num_items).to(self.out.weight.dtype)
        else:
            e = self.drop_embedding(self.embedding(input))
        h = hx
        if h is None:
            h = e.new_zeros(self.gru.num_layers, input.shape[1], self.gru.hidden_size)
        if start is None:
            o, h = self.gru(e, h)
        else:
            outputs = []
            for steps, starts in zip(segments(e, start), segments(start, start), strict=True):
                output, h = self.gru(steps, h.masked_fill(starts[0, :, None], 0))
                outputs.append(output)
            o = torch.cat(outputs)
        o = self.drop_hidden(o)
        if candidates is None:
            return self.out(o), h
        rows = F.embedding(candidates, self.out.weight)
        return o @ rows.mT + self.out.bias[candidates].unsqueeze(-2), h


def segments(x: Tensor, start: Tensor) -> tuple[Tensor, ...]:
    """x (T, B, ...) in runs of steps at whose first step alone sessions start."""
    cuts: list[int] = (start[1:].any(1).nonzero()[:, 0] + 1).tolist()
    return x.tensor_split(cuts)
