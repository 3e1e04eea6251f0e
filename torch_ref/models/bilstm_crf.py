"""BiLSTM-CRF: a tag for each word of a sentence.              Huang, Xu & Yu 2015, arXiv:1508.01991

e_t = E[id_t]     h_t = the LSTM's states of both directions, over each sentence's true length
x_t = W drop(h_t) + b      tags by a linear-chain CRF over x, or by softmax at each word alone
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from torch_ref.nn.crf import LinearChainCRF


class BiLSTMCRF(nn.Module):
    """Emission scores of all tags for each word, their loss, and the best tags.

    Args:
        vocabulary: V, number of words.
        num_tags: K.
        embedding_dim: D, features of a word.
        hidden_size: H, of each direction.
        num_layers: layers above each other.
        dropout: probability of dropping an output of a layer.
        crf: whether tags are scored together; False makes the softmax tagger.
        dtype: of the parameters.

    Shape:
        ids (N, T) and lengths (N,) to emissions (N, T, K), 0 behind the ends.
    """

    def __init__(
        self,
        vocabulary: int,
        num_tags: int,
        embedding_dim: int = 100,
        hidden_size: int = 100,
        num_layers: int = 1,
        dropout: float = 0.5,
        crf: bool = True,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding_dim, dtype=dtype)
        self.lstm = nn.LSTM(
            embedding_dim,
            hidden_size,
            num_layers,
            dropout=dropout if num_layers > 1 else 0.0,
            bidirectional=True,
            dtype=dtype,
        )
        self.drop = nn.Dropout(dropout)
        self.out = nn.Linear(2 * hidden_size, num_tags, dtype=dtype)
        self.crf = LinearChainCRF(num_tags).to(dtype=dtype) if crf else None

    def forward(self, input: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Emissions.

        Args:
            input: ids (N, T); those behind a sentence's end are not read.
            lengths: (N,), each in [1, T]; None for T everywhere.

        Returns:
            x (N, T, K), 0 behind the ends.
        """
        mask = _mask(input, lengths)
        ids = pack_padded_sequence(input, mask.sum(1).cpu(), batch_first=True, enforce_sorted=False)
        h, _ = self.lstm(PackedSequence(self.embedding(ids.data), *ids[1:]))
        x = self.out(self.drop(h.data))
        emissions, _ = pad_packed_sequence(
            PackedSequence(x, *ids[1:]), batch_first=True, total_length=input.shape[1]
        )
        return emissions

    def loss(
        self,
        input: Tensor,
        target: Tensor,
        lengths: Tensor | None = None,
        reduction: str = "mean",
    ) -> Tensor:
        """Negative log likelihood of the tags.

        Args:
            input: ids (N, T).
            target: tags (N, T); those behind a sentence's end are not read.
            lengths: (N,), each in [1, T]; None for T everywhere.
            reduction: 'sum', 'mean' (over sentences) or 'token_mean'.

        Returns:
            The loss, ().
        """
        x, mask = self(input, lengths), _mask(input, lengths)
        if self.crf is not None:
            loss: Tensor = self.crf(x, target, mask, reduction)
            return loss
        total = F.cross_entropy(x[mask], target[mask], reduction="sum")
        if reduction == "sum":
            return total
        return total / (len(input) if reduction == "mean" else mask.sum())

    @torch.no_grad()
    def decode(self, input: Tensor, lengths: Tensor | None = None) -> list[list[int]]:
        """The most probable tags: of the whole sentence by Viterbi, or of each word by itself.

        Args:
            input: ids (N, T).
            lengths: (N,), each in [1, T]; None for T everywhere.

        Returns:
            A list of tags for each sentence, as long as that is.
        """
        x, mask = self(input, lengths), _mask(input, lengths)
        if self.crf is not None:
            return self.crf.decode(x, mask)
        rows = zip(x.argmax(2), mask.sum(1), strict=True)
        return [row[:n].tolist() for row, n in rows]

    def marginals(self, input: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The probability of each tag at each word.

        Args:
            input: ids (N, T).
            lengths: (N,), each in [1, T]; None for T everywhere.

        Returns:
            p (N, T, K), 0 behind the ends.
        """
        with torch.no_grad():
            x, mask = self(input, lengths), _mask(input, lengths)
        if self.crf is not None:
            return self.crf.marginals(x, mask)
        p: Tensor = x.softmax(2) * mask[..., None]
        return p


def _mask(input: Tensor, lengths: Tensor | None) -> Tensor:
    """True for the words of each sentence, (N, T)."""
    if lengths is None:
        return torch.ones_like(input, dtype=torch.bool)
    steps = torch.arange(input.shape[1], device=input.device)
    return steps < lengths.to(input.device)[:, None]
