"""BiLSTM-CRF: a tag for each word of a sentence.              Huang, Xu & Yu 2015, arXiv:1508.01991

forward    e_t = E[id_t]          h_t = LSTM forwards and, from each sentence's true end, backwards
           x_t = W drop(h_t) + b  tags by a linear-chain CRF over x, or by softmax at each word
loss       l = log sum_z e^score(z) - score(tags), of the CRF     (scratch.nn.crf)
           l = sum_t log sum_k e^x_t(k) - x_t(tag_t), of softmax: a CRF with scores of 0
backward   dx of the loss     do_t = W^T dx_t     dE[k] = sum of de_t over t with id_t = k
packed     The words of all sentences stand in one array from embedding to emissions, without
           padding: what stands behind an end is neither read nor computed.
shapes     id, tags (N, T)   lengths (N,)   e (words, D)   h (words, 2H)   x (N, T, K)
differs    Huang et al. add hand-made features to the words; Lample et al. 2016 a second LSTM over
           the letters and a tanh layer before x. Dropout stands before the LSTM there, here behind
           it. There tags at the ends are extra states, here scores of their own.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.nn.reduction import resolve
from scratch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from scratch.random import Generator

REDUCTIONS = ("sum", "mean", "token_mean")


class BiLSTMCRF(Module):
    """Emission scores of all tags for each word, their loss, and the best tags.

    Args:
        vocabulary: V, number of words.
        num_tags: K.
        embedding_dim: D, features of a word.
        hidden_size: H, of each direction.
        num_layers: layers above each other.
        dropout: probability of dropping an output of a layer.
        crf: whether tags are scored together; False makes the softmax tagger.
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        ids (N, T) and lengths (N,) to emissions (N, T, K), 0 behind the ends.

    Raises:
        TypeError, ValueError: if a size is not a positive integer or the dropout no probability; in
            a forward, if an array does not fit.

    Source: Huang, Xu & Yu 2015; sizes and dropout: Lample et al. 2016, arXiv:1603.01360.
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
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = "BiLSTMCRF"
        self.vocabulary = check.size(name, "vocabulary", vocabulary, low=1)
        self.num_tags = check.size(name, "num_tags", num_tags, low=1)
        check.size(name, "embedding_dim", embedding_dim, low=1)
        check.size(name, "hidden_size", hidden_size, low=1)
        check.size(name, "num_layers", num_layers, low=1)
        check.number(name, "dropout", dropout, 0, 1)
        check.option(name, "crf", crf, (True, False))
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or Generator()}
        self.embedding = nn.Embedding(vocabulary, embedding_dim, **options)
        between = dropout if num_layers > 1 else 0.0
        self.lstm = nn.LSTM(
            embedding_dim, hidden_size, num_layers, dropout=between, bidirectional=True, **options
        )
        self.drop = nn.Dropout(dropout, generator=options["generator"])
        self.out = nn.Linear(2 * hidden_size, num_tags, **options)
        self.crf = nn.LinearChainCRF(num_tags, **options) if crf else None

    def forward(self, input: Array, lengths: Array | None = None) -> tuple[Array, Backward]:
        """Emissions.

        Args:
            input: ids (N, T), integers; those behind a sentence's end are not read.
            lengths: (N,), each in [1, T]; None for T everywhere.

        Returns:
            x (N, T, K), 0 behind the ends, and its backward: dx -> None.
        """
        mask = self._mask("BiLSTMCRF", input, lengths)
        ids, _ = pack_padded_sequence(input, mask.sum(1), batch_first=True, enforce_sorted=False)
        check.integer("BiLSTMCRF", "input", ids.data, 0, self.vocabulary)
        e, embedding_back = self.embedding(ids.data)  # (words, D)
        (h, _), lstm_back = self.lstm(replace(ids, data=e))
        o, drop_back = self.drop(h.data)  # (words, 2H)
        x, out_back = self.out(o)
        (emissions, _), pad_back = pad_packed_sequence(
            replace(ids, data=x), batch_first=True, total_length=input.shape[1]
        )

        def backward(demissions: Array) -> None:
            dx = check.floating("BiLSTMCRF backward", "dx", demissions)
            do = out_back(pad_back(dx, None))
            embedding_back(lstm_back(drop_back(do), None))

        return emissions, backward

    def loss(
        self,
        input: Array,
        target: Array,
        lengths: Array | None = None,
        reduction: str = "mean",
    ) -> tuple[Array, Backward]:
        """Negative log likelihood of the tags.

        Args:
            input: ids (N, T).
            target: tags (N, T), integers in [0, K); those behind a sentence's end are not read.
            lengths: (N,), each in [1, T]; None for T everywhere.
            reduction: 'sum', 'mean' (over sentences) or 'token_mean'.

        Returns:
            The loss, (), and its backward: dy -> None.

        Raises:
            TypeError: if an array has the wrong dtype.
            ValueError: if a shape, a length or a tag does not fit, or the reduction is unknown.
        """
        name = "BiLSTMCRF.loss"
        reduction = resolve(name, reduction, choices=REDUCTIONS)
        mask = self._mask(name, input, lengths)
        if not isinstance(target, np.ndarray) or target.dtype.kind not in "iu":
            expected = "target to be an integer array"
            check.refuse(name, expected, check.describe(target), TypeError)
        check.shape(name, "target", target, input.shape)
        check.integer(name, "target", target[mask], 0, self.num_tags)
        x, model_back = self(input, lengths)
        if self.crf is not None:
            y, loss_back = self.crf(x, target, mask, reduction)
            return y, lambda dy=1.0: model_back(loss_back(dy))
        total, total_back = F.cross_entropy(x[mask], target[mask], reduction="sum")
        count = {"sum": 1, "mean": len(input), "token_mean": int(mask.sum())}[reduction]

        def backward(dy: Array | float = 1.0) -> None:
            dx = np.zeros_like(x)
            dx[mask] = total_back(dy) / count
            model_back(dx)

        return np.asarray(total / count), backward

    def decode(self, input: Array, lengths: Array | None = None) -> list[list[int]]:
        """The most probable tags: of the whole sentence by Viterbi, or of each word by itself.

        Args:
            input: ids (N, T).
            lengths: (N,), each in [1, T]; None for T everywhere.

        Returns:
            A list of tags for each sentence, as long as that is.

        Raises:
            TypeError, ValueError: if an array does not fit.
        """
        mask = self._mask("BiLSTMCRF.decode", input, lengths)
        x, _ = self(input, lengths)
        if self.crf is not None:
            return self.crf.decode(x, mask)
        rows = zip(x.argmax(2), mask.sum(1), strict=True)
        return [row[:n].tolist() for row, n in rows]

    def marginals(self, input: Array, lengths: Array | None = None) -> Array:
        """The probability of each tag at each word.

        Args:
            input: ids (N, T).
            lengths: (N,), each in [1, T]; None for T everywhere.

        Returns:
            p (N, T, K), 0 behind the ends.

        Raises:
            TypeError, ValueError: if an array does not fit.
        """
        mask = self._mask("BiLSTMCRF.marginals", input, lengths)
        x, _ = self(input, lengths)
        if self.crf is not None:
            return self.crf.marginals(x, mask)
        p, _ = F.softmax(x, 2)
        return p * mask[..., None]

    def _mask(self, name: str, input: Array, lengths: Array | None) -> Array:
        """True for the words of each sentence, (N, T)."""
        if not isinstance(input, np.ndarray) or input.dtype.kind not in "iu":
            check.refuse(name, "input to be an integer array", check.describe(input), TypeError)
        check.shape(name, "input", input, ("N", "T"))
        if not input.size:
            check.refuse(name, "at least one word", input.shape)
        if lengths is None:
            return np.ones(input.shape, bool)
        steps = input.shape[1]
        check.shape(name, "lengths", np.asarray(lengths), input.shape[:1])
        lengths = check.integer(name, "lengths", lengths, 1, steps + 1)
        mask: Array = np.arange(steps) < lengths[:, None]
        return mask
