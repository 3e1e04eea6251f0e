"""BERT.                                            Devlin et al. 2019, arXiv:1810.04805, section 3

embeddings  h = drop(norm(E[id] + S[type] + P[place]))
layer       a = norm(h + drop(attention(h) W_o^T + b_o))      y = norm(a + drop(g(a W_1^T) W_2^T))
            post-norm: the sum is normalised, so that the way around passes through the norm too
backward    of y = norm(x + drop(f)): d = norm'(dy)     dx = d     df = drop'(d)
pooler      p = tanh(h_1 W^T + b) of the first token, [CLS]
heads       words norm(g(h W^T + b)) E^T + c        next sentence p W^T + b
tied        the decoder of the words is E, its bias is `cls.predictions.bias`: dE adds the two uses
shapes      id, type, place (B, T)   h (B, T, D)   p (B, D)   words (B, T, V)   next sentence (B, 2)
mask        attention_mask is 1 where a token is seen and 0 on the padding
start       N(0, 0.02^2), not cut off at two deviations as the paper's code does; biases 0
names       Hugging Face's, which are the published checkpoints'; the norms' epsilon is 1e-12
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.models.causal_lm import check_mask
from scratch.models.encoder_parts import (
    ACTIVATIONS,
    EncoderConfig,
    Intermediate,
    SelfAttention,
    start,
)
from scratch.models.pretrained import Pretrained
from scratch.nn.module import Module, Parameter
from scratch.nn.op import Backward, unbroadcast
from scratch.nn.recurrent import gradient_of
from scratch.random import Generator


@dataclass(frozen=True, kw_only=True)
class BertConfig(EncoderConfig):
    """Configuration of BERT, as `transformers.BertConfig`; the defaults are BERT base's.

    Attributes:
        vocab_size: V.
        max_position_embeddings: the most tokens of a sequence.
        type_vocab_size: kinds of segments.
        pad_token_id: id whose embedding starts at zero and is not learned by reading it; or None.
        classifier_dropout: of what the classifiers read; None for `hidden_dropout_prob`.
        tie_word_embeddings: whether the decoder of the words is their embedding.
        is_decoder: False; a decoder is another model.
        add_cross_attention: False likewise.
        position_embedding_type: 'absolute'.
        others: see `EncoderConfig`.

    Raises:
        TypeError, ValueError: if a field is out of range.
    """

    model_type: ClassVar[str] = "bert"

    vocab_size: int = 30522
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    pad_token_id: int | None = 0
    classifier_dropout: float | None = None
    tie_word_embeddings: bool = True
    is_decoder: bool = False
    add_cross_attention: bool = False
    position_embedding_type: str = "absolute"

    def __post_init__(self) -> None:
        super().__post_init__()
        name = "BertConfig"
        check.size(name, "vocab_size", self.vocab_size, low=1)
        check.size(name, "max_position_embeddings", self.max_position_embeddings, low=1)
        check.size(name, "type_vocab_size", self.type_vocab_size, low=1)
        if self.pad_token_id is not None:
            check.axis(name, "pad_token_id", self.pad_token_id, self.vocab_size)
        if self.classifier_dropout is not None:
            check.number(name, "classifier_dropout", self.classifier_dropout, 0, 1)
        check.option(name, "tie_word_embeddings", self.tie_word_embeddings, (True, False))
        for field in ("is_decoder", "add_cross_attention"):
            if getattr(self, field) is not False:
                expected = f"{field} to be False: this is BERT's encoder alone"
                check.refuse(name, expected, repr(getattr(self, field)))
        check.option(name, "position_embedding_type", self.position_embedding_type, ("absolute",))


class Embeddings(Module):
    """The sum of the embeddings of words, places and segments, normalised."""

    def __init__(self, config: BertConfig, **made: Any) -> None:
        size = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, size, config.pad_token_id, **made)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, size, **made)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, size, **made)
        self.LayerNorm = nn.LayerNorm(size, config.layer_norm_eps, dtype=made["dtype"])
        self.dropout = nn.Dropout(config.hidden_dropout_prob, generator=made["generator"])

    def forward(self, ids: Array, types: Array, places: Array) -> tuple[Array, Backward]:
        """h of ids (B, T); types and places broadcast to them."""
        e, words_back = self.word_embeddings(ids)
        s, types_back = self.token_type_embeddings(types)
        p, places_back = self.position_embeddings(places)
        h, norm_back = self.LayerNorm(e + s + p)
        h, dropout_back = self.dropout(h)

        def backward(dh: Array) -> None:
            d = norm_back(dropout_back(dh))
            places_back(unbroadcast(d, p.shape))
            types_back(unbroadcast(d, s.shape))
            words_back(d)

        return h, backward


class Output(Module):
    """The end of a sublayer, and the way around it: y = norm(x + drop(h W^T + b))."""

    def __init__(self, features: int, config: BertConfig, **made: Any) -> None:
        size = config.hidden_size
        self.dense = nn.Linear(features, size, **made)
        self.LayerNorm = nn.LayerNorm(size, config.layer_norm_eps, dtype=made["dtype"])
        self.dropout = nn.Dropout(config.hidden_dropout_prob, generator=made["generator"])

    def forward(self, h: Array, x: Array) -> tuple[Array, Backward]:
        """y, and its backward: dy -> dh, dx."""
        f, dense_back = self.dense(h)
        f, dropout_back = self.dropout(f)
        y, norm_back = self.LayerNorm(x + f)

        def backward(dy: Array) -> tuple[Array, Array]:
            d = norm_back(dy)
            return dense_back(dropout_back(d)), d

        return y, backward


class Attention(Module):
    """The first sublayer."""

    def __init__(self, config: BertConfig, **made: Any) -> None:
        self.self = SelfAttention(config, **made)
        self.output = Output(config.hidden_size, config, **made)

    def forward(self, x: Array, mask: Array | None) -> tuple[Array, Backward]:
        """norm(x + drop(attention(x) W^T + b))."""
        h, self_back = self.self(x, mask)
        y, output_back = self.output(h, x)

        def backward(dy: Array) -> Array:
            dh, dskip = output_back(dy)
            dx: Array = dskip + self_back(dh)
            return dx

        return y, backward


class Layer(Module):
    """Attention, then the feed-forward network."""

    def __init__(self, config: BertConfig, **made: Any) -> None:
        self.attention = Attention(config, **made)
        self.intermediate = Intermediate(config, **made)
        self.output = Output(config.intermediate_size, config, **made)

    def forward(self, x: Array, mask: Array | None) -> tuple[Array, Backward]:
        """norm(a + drop(g(a W_1^T + b_1) W_2^T + b_2)), a what the attention gives."""
        a, attention_back = self.attention(x, mask)
        h, intermediate_back = self.intermediate(a)
        y, output_back = self.output(h, a)

        def backward(dy: Array) -> Array:
            dh, dskip = output_back(dy)
            dx: Array = attention_back(dskip + intermediate_back(dh))
            return dx

        return y, backward


class Encoder(Module):
    """The layers above each other."""

    def __init__(self, config: BertConfig, **made: Any) -> None:
        self.layer = nn.ModuleList(Layer(config, **made) for _ in range(config.num_hidden_layers))

    def forward(self, h: Array, mask: Array | None) -> tuple[Array, Backward]:
        """h of the last layer."""
        backs = []
        for layer in self.layer:
            h, back = layer(h, mask)
            backs.append(back)

        def backward(dh: Array) -> Array:
            for back in reversed(backs):
                dh = back(dh)
            return dh

        return h, backward


class Pooler(Module):
    """What stands for the whole sequence: tanh(h_1 W^T + b) of its first token."""

    def __init__(self, config: BertConfig, **made: Any) -> None:
        self.dense = nn.Linear(config.hidden_size, config.hidden_size, **made)
        self.activation = nn.Tanh()

    def forward(self, first: Array) -> tuple[Array, Backward]:
        """(B, D) to (B, D)."""
        z, dense_back = self.dense(first)
        p, tanh_back = self.activation(z)
        return p, lambda dp: dense_back(tanh_back(dp))


class BertModel(Module):
    """All but the heads: `transformers.BertModel`."""

    def __init__(self, config: BertConfig, add_pooling_layer: bool = True, **made: Any) -> None:
        self.embeddings = Embeddings(config, **made)
        self.encoder = Encoder(config, **made)
        self.pooler = Pooler(config, **made) if add_pooling_layer else None

    def forward(
        self, ids: Array, mask: Array | None, types: Array, places: Array
    ) -> tuple[tuple[Array, Any], Backward]:
        """h (B, T, D) and p (B, D), which is None where there is no pooler."""
        h, embeddings_back = self.embeddings(ids, types, places)
        h, encoder_back = self.encoder(h, mask)
        p, pooler_back = (None, None) if self.pooler is None else self.pooler(h[:, 0])
        shape, dtype = h.shape, h.dtype

        def backward(dh: Array | None, dp: Array | None) -> None:
            if dh is None or dp is not None:
                dh = np.zeros(shape, dtype) if dh is None else dh.copy()
            if dp is not None and pooler_back is not None:
                dh[:, 0] += pooler_back(dp)
            embeddings_back(encoder_back(dh))

        return (h, p), backward


class _Bert(Pretrained):
    """What the models share: the trunk, the arguments of a call, the start."""

    config_class = BertConfig
    base_model_prefix = "bert"
    _ignored = r"(^|\.)embeddings\.position_ids$"
    _pools: ClassVar[bool] = True

    def __init__(
        self,
        config: BertConfig,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = type(self).__name__
        if not isinstance(config, BertConfig):
            check.refuse(name, "a BertConfig", check.describe(config), TypeError)
        generator = generator or Generator()
        super().__init__(config, dtype=dtype, generator=generator)
        self.bert = BertModel(config, self._pools, dtype=dtype, generator=generator)
        self._add_heads(config, dtype=dtype, generator=generator)
        start(self, config.initializer_range, generator)
        self._tie()  # what is tied has the embedding's start, its padding row too

    def _add_heads(self, config: BertConfig, **made: Any) -> None:
        raise NotImplementedError

    def _tie(self) -> None:
        pass

    def _trunk(
        self, input_ids: Array, mask: Array | None, types: Array | None, places: Array | None
    ) -> tuple[tuple[Array, Any], Backward]:
        """What the trunk makes of the arguments of a forward, once they are checked."""
        name, config = type(self).__name__, self.config
        ids = check.integer(name, "input_ids", input_ids, 0, config.vocab_size)
        check.shape(name, "input_ids", ids, ("B", "T"))
        steps, most = ids.shape[1], config.max_position_embeddings
        if not 1 <= steps <= most:
            check.refuse(name, f"input_ids of 1 to {most} tokens each", ids.shape)
        if types is None:
            types = np.zeros((1, steps), np.int64)
        else:
            types = check.integer(name, "token_type_ids", types, 0, config.type_vocab_size)
            check.shape(name, "token_type_ids", types, ids.shape)
        if places is None:
            places = np.arange(steps)[None]
        else:
            places = check.integer(name, "position_ids", places, 0, most)
            if places.shape != (1, steps):
                check.shape(name, "position_ids", places, ids.shape)
        return self.bert(ids, seen(name, mask, ids.shape), types, places)


def seen(function: str, attention_mask: object, shape: tuple[int, ...]) -> Array | None:
    """Which keys are seen, as (B, 1, 1, T); None where all are."""
    if attention_mask is None:
        return None
    mask = check_mask(function, attention_mask, shape)
    return None if mask.all() else mask[:, None, None]


class Transform(Module):
    """norm(g(h W^T + b)), what the words are read from."""

    def __init__(self, config: BertConfig, **made: Any) -> None:
        size = config.hidden_size
        self.dense = nn.Linear(size, size, **made)
        self.activation = ACTIVATIONS[config.hidden_act]()
        self.LayerNorm = nn.LayerNorm(size, config.layer_norm_eps, dtype=made["dtype"])

    def forward(self, h: Array) -> tuple[Array, Backward]:
        """(B, T, D) to (B, T, D)."""
        z, dense_back = self.dense(h)
        a, activation_back = self.activation(z)
        y, norm_back = self.LayerNorm(a)
        return y, lambda dy: dense_back(activation_back(norm_back(dy)))


class Predictions(Module):
    """A score of every word at every place; `bias` is the decoder's, where that is tied."""

    def __init__(self, config: BertConfig, **made: Any) -> None:
        self.bias = Parameter(np.zeros(config.vocab_size, made["dtype"]))
        self.transform = Transform(config, **made)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size, **made)

    def forward(self, h: Array) -> tuple[Array, Backward]:
        """(B, T, D) to (B, T, V)."""
        a, transform_back = self.transform(h)
        logits, decoder_back = self.decoder(a)
        return logits, lambda dlogits: transform_back(decoder_back(dlogits))


class PreTrainingHeads(Module):
    """The words at every place, and whether the second segment follows the first."""

    def __init__(self, config: BertConfig, **made: Any) -> None:
        self.predictions = Predictions(config, **made)
        self.seq_relationship = nn.Linear(config.hidden_size, 2, **made)

    def forward(self, h: Array, p: Array) -> tuple[tuple[Array, Array], Backward]:
        """(B, T, V) and (B, 2)."""
        words, words_back = self.predictions(h)
        follows, follows_back = self.seq_relationship(p)

        def backward(
            dwords: Array | None, dfollows: Array | None
        ) -> tuple[Array | None, Array | None]:
            dp = None if dfollows is None else follows_back(dfollows)
            return None if dwords is None else words_back(dwords), dp

        return (words, follows), backward


class BERT(_Bert):
    """BERT as it is pretrained, on hidden words and next sentences: `BertForPreTraining`.

    The loss is the mean cross-entropy of the words that were hidden, whose labels are not -100,
    plus that of the second output: 0 where the second segment follows the first, 1 where it is a
    random one.

    Args:
        config: sizes and options.
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        (B, T) to (B, T, vocab_size) and (B, 2).

    Raises:
        TypeError, ValueError: in a forward, if an array does not fit.

    Source: Devlin et al. 2019, section 3.1.
    """

    architecture = "BertForPreTraining"

    def _add_heads(self, config: BertConfig, **made: Any) -> None:
        self.cls = PreTrainingHeads(config, **made)

    def _tie(self) -> None:
        if self.config.tie_word_embeddings:
            self.cls.predictions.decoder.weight = self.bert.embeddings.word_embeddings.weight
            self.cls.predictions.decoder.bias = self.cls.predictions.bias

    def tied(self) -> dict[str, str]:
        """The decoder's arrays."""
        if not self.config.tie_word_embeddings:
            return {}
        return {
            "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
            "cls.predictions.decoder.bias": "cls.predictions.bias",
        }

    def forward(
        self,
        input_ids: Array,
        attention_mask: Array | None = None,
        token_type_ids: Array | None = None,
        position_ids: Array | None = None,
    ) -> tuple[tuple[Array, Array], Backward]:
        """Scores of the words at each place, and of the second segment being the next one.

        Args:
            input_ids: (B, T), integers in [0, vocab_size).
            attention_mask: (B, T), 1 where a token is seen, 0 where not; None for all.
            token_type_ids: (B, T), the segment of each token; None for the first.
            position_ids: (B, T) or (1, T); None for 0, 1, ...

        Returns:
            (B, T, vocab_size) and (B, 2), and their backward, of which one may be None.
        """
        trunk, trunk_back = self._trunk(input_ids, attention_mask, token_type_ids, position_ids)
        scores, cls_back = self.cls(*trunk)
        return scores, lambda dwords, dfollows: trunk_back(*cls_back(dwords, dfollows))


class BertClassifier(_Bert):
    """A class for each sequence, from the pooled first token: `BertForSequenceClassification`.

    Args:
        config: sizes and options; `num_labels` classes.
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        (B, T) to (B, num_labels).

    Raises:
        TypeError, ValueError: in a forward, if an array does not fit.

    Source: Devlin et al. 2019, section 3.2.
    """

    architecture = "BertForSequenceClassification"

    def _add_heads(self, config: BertConfig, **made: Any) -> None:
        rate = config.classifier_dropout
        rate = config.hidden_dropout_prob if rate is None else rate
        self.dropout = nn.Dropout(rate, generator=made["generator"])
        self.classifier = nn.Linear(config.hidden_size, config.num_labels, **made)

    def forward(
        self,
        input_ids: Array,
        attention_mask: Array | None = None,
        token_type_ids: Array | None = None,
        position_ids: Array | None = None,
    ) -> tuple[Array, Backward]:
        """Scores of the classes; the arguments are BERT's."""
        trunk, trunk_back = self._trunk(input_ids, attention_mask, token_type_ids, position_ids)
        h, p = trunk
        read, dropout_back = self.dropout(p if self._pools else h)
        logits, classifier_back = self.classifier(read)

        def backward(dlogits: Array) -> None:
            dread = dropout_back(classifier_back(dlogits))
            trunk_back(*((None, dread) if self._pools else (dread, None)))

        return logits, backward


class BertTagger(BertClassifier):
    """A class for each token: `BertForTokenClassification`.

    Args:
        config: sizes and options; `num_labels` classes.
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        (B, T) to (B, T, num_labels).

    Raises:
        TypeError, ValueError: in a forward, if an array does not fit.

    Source: Devlin et al. 2019, section 5.3.
    """

    architecture = "BertForTokenClassification"
    _ignored = _Bert._ignored + r"|(^|\.)pooler\."
    _pools = False


class BertQA(_Bert):
    """Where in the text an answer starts and ends: `BertForQuestionAnswering`.

    Args:
        config: sizes and options; `num_labels` is 2.
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        (B, T) to (B, T) and (B, T).

    Raises:
        TypeError, ValueError: if there are other than two labels; in a forward, if an array does
            not fit.

    Source: Devlin et al. 2019, section 4.2.
    """

    architecture = "BertForQuestionAnswering"
    _ignored = _Bert._ignored + r"|(^|\.)pooler\."
    _pools = False

    def _add_heads(self, config: BertConfig, **made: Any) -> None:
        if config.num_labels != 2:
            check.refuse("BertQA", "num_labels = 2, the start and the end", config.num_labels)
        self.qa_outputs = nn.Linear(config.hidden_size, 2, **made)

    def forward(
        self,
        input_ids: Array,
        attention_mask: Array | None = None,
        token_type_ids: Array | None = None,
        position_ids: Array | None = None,
    ) -> tuple[tuple[Array, Array], Backward]:
        """Scores of each token being the first and the last; the arguments are BERT's."""
        trunk, trunk_back = self._trunk(input_ids, attention_mask, token_type_ids, position_ids)
        logits, outputs_back = self.qa_outputs(trunk[0])
        shape, dtype = logits.shape[:2], logits.dtype

        def backward(dfirst: Array | None, dlast: Array | None) -> None:
            parts = (gradient_of("BertQA", d, shape, dtype) for d in (dfirst, dlast))
            trunk_back(outputs_back(np.stack(list(parts), axis=-1)), None)

        return (logits[..., 0], logits[..., 1]), backward
