"""Conventions of BERT and of the Vision Transformer."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import scratch.models
from parity_tests.catalog.models_bert import built
from parity_tests.pitfalls.entry import Pitfall
from scratch import nn
from scratch.check import Array
from scratch.models import BERT, BertClassifier, ViT, bert, vit
from scratch.nn import functional as F
from scratch.nn.module import Module
from scratch.nn.op import Backward

Change = Callable[[Any], None]


def changed(kind: Callable[..., Any], config: str, change: Change) -> Callable[..., Any]:
    """A model into which the other convention is put once it is built."""

    def make(**options: Any) -> Any:
        model = built(scratch.models, kind, config, **options)
        change(model)
        return model

    return make


def every(model: Module, kind: type[Module], other: type[Module]) -> None:
    """Let all modules of a class be of another, of the same name."""
    other.__name__ = kind.__name__
    for module in model.modules():
        if type(module) is kind:
            module.__class__ = other


def swapped(kind: type[Module], other: type[Module]) -> Change:
    """`every` as a change."""
    return lambda model: every(model, kind, other)


def small_epsilon(model: Any) -> None:
    """torch's 1e-5 in every norm."""
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.__class__ = TorchsEpsilon


class TorchsEpsilon(nn.LayerNorm):
    """Says one epsilon and takes another."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y with eps 1e-5."""
        kept, self.eps = self.eps, 1e-5
        found = super().forward(input)
        self.eps = kept
        return found


TorchsEpsilon.__name__ = "LayerNorm"


class PreNormLayer(bert.Layer):
    """x + attention(norm x), as later models have it."""

    def forward(self, x: Array, mask: Array | None) -> tuple[Array, Backward]:
        """The same parts in the other order."""
        first, last = self.attention.output, self.output
        n, first_back = first.LayerNorm(x)
        h, self_back = self.attention.self(n, mask)
        f, attention_back = first.dense(h)
        a = x + f
        n, last_back = last.LayerNorm(a)
        z, intermediate_back = self.intermediate(n)
        f, output_back = last.dense(z)

        def backward(dy: Array) -> Array:
            da = dy + last_back(intermediate_back(output_back(dy)))
            dx: Array = da + first_back(self_back(attention_back(da)))
            return dx

        return a + f, backward


class PostNormLayer(vit.Layer):
    """norm(h + attention h), as BERT has it."""

    def forward(self, h: Array) -> tuple[Array, Backward]:
        """The same parts in the other order."""
        f, attention_back = self.attention(h)
        a, before_back = self.layernorm_before(h + f)
        z, intermediate_back = self.intermediate(a)
        f, output_back = self.output(z)
        y, after_back = self.layernorm_after(a + f)

        def backward(dy: Array) -> Array:
            da = after_back(dy)
            d = before_back(da + intermediate_back(output_back(da)))
            dh: Array = d + attention_back(d)
            return dh

        return y, backward


class MasksWhatCounts(BERT):
    """1 where a token is padding, as torch's key_padding_mask has it."""

    def _trunk(self, input_ids: Array, mask: Array | None, *rest: Any) -> Any:
        return super()._trunk(input_ids, None if mask is None else (~mask.astype(bool)), *rest)


class NoSegments(BERT):
    """The segments are left out."""

    def _trunk(self, input_ids: Array, mask: Array | None, types: Any, places: Any) -> Any:
        return super()._trunk(input_ids, mask, None, places)


class PlacesOfWhatIsSeen(BERT):
    """RoBERTa's places: counted from 2, over what is no padding."""

    def _trunk(self, input_ids: Array, mask: Array | None, types: Any, places: Any) -> Any:
        if places is None:
            places = np.minimum(np.arange(input_ids.shape[1])[None] + 2, 7)
        return super()._trunk(input_ids, mask, types, places)


class NoTanh(bert.Pooler):
    """A pooler without its tanh."""

    def forward(self, first: Array) -> tuple[Array, Backward]:
        """h_1 W^T + b."""
        return self.dense(first)


class LastToken(bert.BertModel):
    """The pooler reads the last token, as a decoder's would."""

    def forward(
        self, ids: Array, mask: Array | None, types: Array, places: Array
    ) -> tuple[tuple[Array, Any], Backward]:
        """h and the pooled last one."""
        (h, _), trunk_back = super().forward(ids, mask, types, places)
        assert self.pooler is not None
        p, pooler_back = self.pooler(h[:, -1])

        def backward(dh: Array | None, dp: Array | None) -> None:
            dh = np.zeros_like(h) if dh is None else dh.copy()
            if dp is not None:
                dh[:, -1] += pooler_back(dp)
            trunk_back(dh, None)

        return (h, p), backward


def decoder_of(kind: type[nn.Linear]) -> Change:
    """The decoder is of another class."""
    kind.__name__ = "Linear"

    def change(model: Any) -> None:
        model.cls.predictions.decoder.__class__ = kind

    return change


class OwnBias(nn.Linear):
    """The bias that a file has under its other name is not found, and stays 0."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """x E^T."""
        y, back = F.linear(input, self.weight.data)

        def backward(dy: Array) -> Any:
            dx, dweight = back(dy)
            self.weight.accumulate(dweight)
            return dx

        return y, backward


class OwnWeight(nn.Linear):
    """The embedding learns from what is read alone."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """x E^T + c."""
        assert self.bias is not None
        bias = self.bias
        y, back = F.linear(input, self.weight.data, bias.data)

        def backward(dy: Array) -> Any:
            dx, _, dbias = back(dy)
            bias.accumulate(dbias)
            return dx

        return y, backward


class TanhGELU(nn.GELU):
    """GPT-2's approximation."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """x (1 + tanh u) / 2."""
        return F.gelu(input, "tanh")


def learns_padding(model: Any) -> None:
    """The padding row's gradient is that of any other."""
    table = model.bert.embeddings.word_embeddings
    table.__class__ = LearnsPadding


class LearnsPadding(nn.Embedding):
    """An embedding that keeps `padding_idx` for its repr alone."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """W[id]."""
        y, back = F.embedding(input, self.weight.data)
        return y, lambda dy: self.weight.accumulate(back(dy))


LearnsPadding.__name__ = "Embedding"


class TokenLast(vit.Embeddings):
    """The class token behind the patches, and read there."""

    def forward(self, pixel_values: Array) -> tuple[Array, Backward]:
        """[x_1, ..., x_N, cls] + E, turned so that cls is read first."""
        patches, patches_back = self.patch_embeddings(pixel_values)
        cls = np.repeat(self.cls_token.data, len(patches), 0)
        h = np.concatenate([patches, cls], 1) + self.position_embeddings.data

        def backward(dh: Array, needs_input_grad: bool = True) -> Any:
            d = np.roll(dh, -1, axis=1)
            self.position_embeddings.accumulate(d.sum(0, keepdims=True))
            self.cls_token.accumulate(d[:, -1:].sum(0, keepdims=True))
            return patches_back(d[:, :-1], needs_input_grad=needs_input_grad)

        return np.roll(h, 1, axis=1), backward


class TokenWithoutPlace(vit.Embeddings):
    """E has no part in the class token."""

    def _places(self, size: tuple[int, ...]) -> tuple[Array, Backward]:
        e, back = super()._places(size)
        kept = np.ones_like(e)
        kept[:, 0] = 0
        return e * kept, lambda de: back(de * kept)


class ChannelsLast(vit.PatchEmbeddings):
    """A patch is read pixel by pixel, each through its channels."""

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """The weight's rows in another order than the patch's."""
        w = self.projection.weight
        o, c, p, q = w.shape
        order = np.arange(c * p * q).reshape(c, p, q).transpose(1, 2, 0).reshape(c, p, q)
        kept, w.data = w.data, w.data.reshape(o, -1)[:, order.ravel()].reshape(w.shape)
        w.version -= 1
        y, back = super().forward(x)
        w.data = kept
        w.version -= 1
        return y, back


class ColumnByColumn(vit.PatchEmbeddings):
    """The patches of a column come before those of the next one."""

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """(B, S R, D)."""
        y, back = super().forward(x)
        rows, columns = x.shape[2] // self.patch[0], x.shape[3] // self.patch[1]
        order = np.arange(rows * columns).reshape(rows, columns).T.ravel()

        def backward(dy: Array, needs_input_grad: bool = True) -> Any:
            return back(dy[:, np.argsort(order)], needs_input_grad)

        return y[:, order], backward


class MeanOfPatches(vit.ViTModel):
    """The head reads the mean over the patches, not the class token."""

    def forward(self, pixel_values: Array) -> tuple[Array, Backward]:
        """norm h, averaged."""
        h, embeddings_back = self.embeddings(pixel_values)
        h, encoder_back = self.encoder(h)
        n, norm_back = self.layernorm(h)

        def backward(dy: Array, needs_input_grad: bool = True) -> Any:
            dn = np.zeros_like(n)
            dn[:, 1:] = dy[:, None] / (n.shape[1] - 1)
            return embeddings_back(encoder_back(norm_back(dn)), needs_input_grad=needs_input_grad)

        return n[:, 1:].mean(1), backward


def of_bert(kind: Callable[..., Any], change: Change = lambda model: None) -> Callable[..., Any]:
    """A changed BERT."""
    return changed(kind, "BertConfig", change)


of_vit = partial(changed, ViT, "ViTConfig")
for other, own in ((MasksWhatCounts, BERT), (NoSegments, BERT), (PlacesOfWhatIsSeen, BERT)):
    other.__name__ = own.__name__

PITFALLS = [
    Pitfall(
        "bert: epsilon of the norms",
        entry="BERT",
        difference="the paper's code: 1e-12; torch's default: 1e-5",
        mutant=of_bert(BERT, small_epsilon),
    ),
    Pitfall(
        "bert: where the norm stands",
        entry="BERT",
        difference="the paper: behind the sum (post-norm); GPT-2, ViT: before the sublayer",
        mutant=of_bert(BERT, swapped(bert.Layer, PreNormLayer)),
    ),
    Pitfall(
        "bert: attention mask",
        entry="BERT",
        difference="Hugging Face: 1 is seen; torch's key_padding_mask: True is not seen",
        mutant=of_bert(MasksWhatCounts),
    ),
    Pitfall(
        "bert: segments",
        entry="BERT",
        difference="BERT: an embedding of the segment is added; RoBERTa: there is but one",
        mutant=of_bert(NoSegments),
    ),
    Pitfall(
        "bert: first place",
        entry="BERT",
        difference="BERT: 0; RoBERTa: 2, behind the padding index",
        mutant=of_bert(PlacesOfWhatIsSeen),
    ),
    Pitfall(
        "bert: pooler's tanh",
        entry="BertClassifier",
        difference="BERT: a dense layer and tanh; others: the first token as it is",
        mutant=of_bert(BertClassifier, swapped(bert.Pooler, NoTanh)),
    ),
    Pitfall(
        "bert: which token is pooled",
        entry="BertClassifier",
        difference="BERT: the first; decoders: the last",
        mutant=of_bert(BertClassifier, swapped(bert.BertModel, LastToken)),
    ),
    Pitfall(
        "bert: decoder's bias",
        entry="BERT",
        difference="Hugging Face: one array under two names; apart, one of them never learns",
        mutant=of_bert(BERT, decoder_of(OwnBias)),
    ),
    Pitfall(
        "bert: decoder's weight",
        entry="BERT",
        difference="the paper: the embedding itself, which gets both gradients",
        mutant=of_bert(BERT, decoder_of(OwnWeight)),
    ),
    Pitfall(
        "bert: GELU",
        entry="BERT",
        difference="Hugging Face: with erf; Google's first code and GPT-2: with tanh",
        mutant=of_bert(BERT, swapped(nn.GELU, TanhGELU)),
    ),
    Pitfall(
        "bert: padding row",
        entry="BertClassifier",
        difference="torch's padding_idx: gradient 0; others: learned like any row",
        mutant=of_bert(BertClassifier, learns_padding),
    ),
    Pitfall(
        "vit: where the class token stands",
        entry="ViT",
        difference="the paper: before the patches; others: behind them",
        mutant=of_vit(swapped(vit.Embeddings, TokenLast)),
    ),
    Pitfall(
        "vit: the class token's place",
        entry="ViT",
        difference="the paper: E has a row for it; others (timm's no_embed_class): none is added",
        mutant=of_vit(swapped(vit.Embeddings, TokenWithoutPlace)),
    ),
    Pitfall(
        "vit: order within a patch",
        entry="ViT",
        difference="a convolution's weight: channel by channel; JAX's, and reshaping NHWC: last",
        mutant=of_vit(swapped(vit.PatchEmbeddings, ChannelsLast)),
    ),
    Pitfall(
        "vit: order of the patches",
        entry="ViT",
        difference="row by row; others: column by column",
        mutant=of_vit(swapped(vit.PatchEmbeddings, ColumnByColumn)),
    ),
    Pitfall(
        "vit: what the head reads",
        entry="ViT",
        difference="the paper: the class token; others: the mean of the patches",
        mutant=of_vit(swapped(vit.ViTModel, MeanOfPatches)),
    ),
    Pitfall(
        "vit: where the norm stands",
        entry="ViT",
        difference="the paper: before the sublayer; the original Transformer and BERT: behind it",
        mutant=of_vit(swapped(vit.Layer, PostNormLayer)),
    ),
]
