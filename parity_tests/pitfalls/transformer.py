"""Conventions of the Transformer's layers."""

from typing import Any

import numpy as np

from parity_tests.catalog.transformer import stacked
from parity_tests.harness.entry import unchecked
from parity_tests.pitfalls.entry import Pitfall
from scratch import nn
from scratch.check import Array
from scratch.nn.op import Backward

Parts = tuple[Any, Backward]


class OtherOrder(nn.TransformerEncoderLayer):
    """Norms in front for behind, and behind for in front."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.norm_first = not self.norm_first


class OtherDecoderOrder(nn.TransformerDecoderLayer):
    """The decoder's likewise."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.norm_first = not self.norm_first


class AlwaysGelu(nn.TransformerEncoderLayer):
    """BERT's and GPT's activation."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "activation": "gelu"})


class NoInnerDropout(nn.TransformerEncoderLayer):
    """Dropout on the branches alone."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dropout.p = 0.0


class DropoutBehindTheSum(nn.TransformerEncoderLayer):
    """The residual is dropped too."""

    def _norm_last(self, x: Array, *masks: Any) -> Parts:
        outer, self.dropout2 = self.dropout2, nn.Dropout(0.0)
        try:
            y, back = super()._norm_last(x, *masks)
        finally:
            self.dropout2 = outer
        y, dropout_back = outer(y)
        return y, lambda dy: back(dropout_back(dy))


class NoFeedForwardBias(nn.TransformerEncoderLayer):
    """b_2 is left out."""

    def _feed_forward(self, x: Array, dropout: nn.Dropout) -> Parts:
        y, back = super()._feed_forward(x, dropout)
        return (y if self.linear2.bias is None else y - self.linear2.bias.data), back


class FixedEps(nn.TransformerEncoderLayer):
    """1e-5 whatever is asked for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.norm1.eps = self.norm2.eps = 1e-5


class ZeroPadding(nn.TransformerEncoderLayer):
    """What torch's fused code gives where the sequence is padding."""

    def forward(self, src: Array, *args: Any, **masks: Any) -> Parts:
        """Zeros there, in evaluation mode."""
        y, back = super().forward(src, *args, **masks)
        padding = masks.get("src_key_padding_mask")
        if padding is None or self.training:
            return y, back
        kept = ~padding.T[..., None]
        return y * kept, lambda dy: back(dy * kept)


class LooksAtItself(nn.TransformerDecoderLayer):
    """The second attention reads the target."""

    def _attend(self, attention: Any, dropout: Any, x: Array, memory: Array, *masks: Any) -> Parts:
        if attention is self.self_attn or masks[0] is not None or masks[1] is not None:
            return super()._attend(attention, dropout, x, memory, *masks)
        y, back = super()._attend(attention, dropout, x, x, *masks)

        def backward(dy: Array) -> tuple[Array, Array]:
            dx, dself = back(dy)
            return dx + dself, np.zeros_like(memory)

        return y, backward


class OneNormFewer(nn.TransformerDecoderLayer):
    """The memory is asked by what has no norm of its own, where norms are in front."""

    def _norm_first(self, x: Array, m: Array, own: Any, theirs: Any) -> Parts:
        norm, self.norm2 = self.norm2, unchecked(nn.Identity())
        try:
            return super()._norm_first(x, m, own, theirs)
        finally:
            self.norm2 = norm


def without_final_norm(number: int, normed: bool, *args: Any, **kwargs: Any) -> Any:
    """The encoder as the paper draws it."""
    encoder = stacked(nn, "Encoder")(number, normed, *args, **kwargs)
    encoder.__class__ = NoFinalNorm
    return encoder


class NoFinalNorm(nn.TransformerEncoder):
    """A norm that is held and not used."""

    def forward(self, *args: Any, **kwargs: Any) -> Parts:
        """Without it."""
        norm, self.norm = self.norm, None
        try:
            return super().forward(*args, **kwargs)
        finally:
            self.norm = norm


class MemoryOfTheLastLayer(nn.TransformerDecoder):
    """Backward keeps only what the first layer sends to the memory, and forgets to add."""

    def forward(self, *args: Any, **kwargs: Any) -> Parts:
        """Half of it, of two layers."""
        y, back = super().forward(*args, **kwargs)

        def backward(dy: Array) -> tuple[Array, Array]:
            dtgt, dmemory = back(dy)
            return dtgt, dmemory / max(self.num_layers, 1)

        return y, backward


def overwritten_memory(number: int, normed: bool, *args: Any, **kwargs: Any) -> Any:
    """A decoder whose gradient of the memory is not summed."""
    decoder = stacked(nn, "Decoder")(number, normed, *args, **kwargs)
    decoder.__class__ = MemoryOfTheLastLayer
    return decoder


PITFALLS = [
    Pitfall(
        "transformer: norm first",
        entry="TransformerEncoderLayer",
        difference="the paper, torch: norm(x + A(x)); GPT-2, ViT: x + A(norm x), norm_first=True",
        mutant=OtherOrder,
    ),
    Pitfall(
        "transformer: decoder's norm first",
        entry="TransformerDecoderLayer",
        difference="the paper, torch: norm(x + A(x)); later tensor2tensor: x + A(norm x)",
        mutant=OtherDecoderOrder,
    ),
    Pitfall(
        "transformer: gelu",
        entry="TransformerEncoderLayer",
        difference="the paper, torch: relu; BERT, GPT, ViT: gelu",
        mutant=AlwaysGelu,
    ),
    Pitfall(
        "transformer: no dropout within the feed-forward",
        entry="TransformerEncoderLayer",
        difference="torch: also behind the activation; the paper: behind the branches",
        mutant=NoInnerDropout,
    ),
    Pitfall(
        "transformer: dropout behind the sum",
        entry="TransformerEncoderLayer",
        difference="the branch is dropped before it is added; others drop the sum",
        mutant=DropoutBehindTheSum,
    ),
    Pitfall(
        "transformer: no feed-forward bias",
        entry="TransformerEncoderLayer",
        difference="the paper's equation 2, torch: b_1 and b_2; T5, Llama: none (bias=False)",
        mutant=NoFeedForwardBias,
    ),
    Pitfall(
        "transformer: eps of the norms",
        entry="TransformerEncoderLayer",
        difference="layer_norm_eps=1e-5; BERT 1e-12, the Annotated Transformer 1e-6",
        mutant=FixedEps,
    ),
    Pitfall(
        "transformer: padded positions are zero",
        entry="TransformerEncoderLayer",
        difference="in training ordinary values that nobody should read; torch's fused code in "
        "evaluation without gradients (torch.backends.mha.set_fastpath_enabled) gives zeros",
        mutant=ZeroPadding,
    ),
    Pitfall(
        "transformer: the decoder looks at itself twice",
        entry="TransformerDecoderLayer",
        difference="keys and values of the second attention are the encoder's output",
        mutant=LooksAtItself,
    ),
    Pitfall(
        "transformer: two norms in the decoder",
        entry="TransformerDecoderLayer",
        difference="each of the three branches has its own norm",
        mutant=OneNormFewer,
    ),
    Pitfall(
        "transformer: no final norm",
        entry="TransformerEncoder",
        difference="torch's Transformer, and whoever puts norms first: a norm behind the last "
        "layer; the paper: none",
        mutant=without_final_norm,
    ),
    Pitfall(
        "transformer: gradient of the memory",
        entry="TransformerDecoder",
        difference="every layer of the decoder reads the memory: what they send back adds up",
        mutant=overwritten_memory,
    ),
]
