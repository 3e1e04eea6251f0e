"""BERT.                                            Devlin et al. 2019, arXiv:1810.04805, section 3

embeddings  h = drop(norm(E[id] + S[type] + P[place]))
layer       a = norm(h + drop(attention(h) W_o^T + b_o))      y = norm(a + drop(g(a W_1^T) W_2^T))
pooler      p = tanh(h_1 W^T + b) of the first token, [CLS]
heads       words norm(g(h W^T + b)) E^T + c        next sentence p W^T + b
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from torch_ref.models.encoder_parts import (
    ACTIVATIONS,
    EncoderConfig,
    Intermediate,
    SelfAttention,
    start,
)
from torch_ref.models.pretrained import Pretrained


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
        ValueError: if one of the last three is another, or as `EncoderConfig`.
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
        found = self.is_decoder, self.add_cross_attention, self.position_embedding_type
        if found != (False, False, "absolute"):
            raise ValueError(
                f"BertConfig: expected an encoder with absolute positions, got is_decoder="
                f"{found[0]}, add_cross_attention={found[1]}, position_embedding_type={found[2]!r}"
            )


class Embeddings(nn.Module):
    """The sum of the embeddings of words, places and segments, normalised."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, size, config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, size)
        self.LayerNorm = nn.LayerNorm(size, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, ids: Tensor, types: Tensor, places: Tensor) -> Tensor:
        """h of ids (B, T); types and places broadcast to them."""
        e = self.word_embeddings(ids) + self.token_type_embeddings(types)
        h: Tensor = self.dropout(self.LayerNorm(e + self.position_embeddings(places)))
        return h


class Output(nn.Module):
    """The end of a sublayer, and the way around it: y = norm(x + drop(h W^T + b))."""

    def __init__(self, features: int, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(features, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, h: Tensor, x: Tensor) -> Tensor:
        """y."""
        y: Tensor = self.LayerNorm(x + self.dropout(self.dense(h)))
        return y


class Attention(nn.Module):
    """The first sublayer."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.self = SelfAttention(config)
        self.output = Output(config.hidden_size, config)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """norm(x + drop(attention(x) W^T + b))."""
        y: Tensor = self.output(self.self(x, mask), x)
        return y


class Layer(nn.Module):
    """Attention, then the feed-forward network."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.intermediate = Intermediate(config)
        self.output = Output(config.intermediate_size, config)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """norm(a + drop(g(a W_1^T + b_1) W_2^T + b_2)), a what the attention gives."""
        a = self.attention(x, mask)
        y: Tensor = self.output(self.intermediate(a), a)
        return y


class Encoder(nn.Module):
    """The layers above each other."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))

    def forward(self, h: Tensor, mask: Tensor | None) -> Tensor:
        """h of the last layer."""
        for layer in self.layer:
            h = layer(h, mask)
        return h


class Pooler(nn.Module):
    """What stands for the whole sequence: tanh(h_1 W^T + b) of its first token."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = nn.Tanh()

    def forward(self, first: Tensor) -> Tensor:
        """(B, D) to (B, D)."""
        p: Tensor = self.activation(self.dense(first))
        return p


class BertModel(nn.Module):
    """All but the heads: `transformers.BertModel`."""

    def __init__(self, config: BertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        self.pooler = Pooler(config) if add_pooling_layer else None

    def forward(
        self,
        ids: Tensor,
        attention_mask: Tensor | None,
        types: Tensor | None,
        places: Tensor | None,
    ) -> tuple[Tensor, Any]:
        """h (B, T, D) and p (B, D), which is None where there is no pooler."""
        steps = torch.arange(ids.shape[1], device=ids.device)[None]
        types = torch.zeros_like(steps) if types is None else types
        mask = None if attention_mask is None else attention_mask.bool()[:, None, None]
        h = self.embeddings(ids, types, steps if places is None else places)
        h = self.encoder(h, mask)
        return h, None if self.pooler is None else self.pooler(h[:, 0])


class _Bert(Pretrained):
    """What the models share: the trunk and the start."""

    config_class = BertConfig
    base_model_prefix = "bert"
    _ignored = r"(^|\.)embeddings\.position_ids$"
    _pools: ClassVar[bool] = True

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config, self._pools)
        self._add_heads(config)
        start(self, config.initializer_range)
        self._tie()  # what is tied has the embedding's start, its padding row too

    def _add_heads(self, config: BertConfig) -> None:
        raise NotImplementedError

    def _tie(self) -> None:
        pass


class Transform(nn.Module):
    """norm(g(h W^T + b)), what the words are read from."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = ACTIVATIONS[config.hidden_act]()
        self.LayerNorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)

    def forward(self, h: Tensor) -> Tensor:
        """(B, T, D) to (B, T, D)."""
        y: Tensor = self.LayerNorm(self.activation(self.dense(h)))
        return y


class Predictions(nn.Module):
    """A score of every word at every place; `bias` is the decoder's, where that is tied."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.transform = Transform(config)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)

    def forward(self, h: Tensor) -> Tensor:
        """(B, T, D) to (B, T, V)."""
        logits: Tensor = self.decoder(self.transform(h))
        return logits


class PreTrainingHeads(nn.Module):
    """The words at every place, and whether the second segment follows the first."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.predictions = Predictions(config)
        self.seq_relationship = nn.Linear(config.hidden_size, 2)

    def forward(self, h: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, V) and (B, 2)."""
        return self.predictions(h), self.seq_relationship(p)


class BERT(_Bert):
    """BERT as it is pretrained, on hidden words and next sentences: `BertForPreTraining`.

    The loss is the mean cross-entropy of the words that were hidden, whose labels are not -100,
    plus that of the second output: 0 where the second segment follows the first, 1 where it is a
    random one.

    Args:
        config: sizes and options.

    Shape:
        (B, T) to (B, T, vocab_size) and (B, 2).
    """

    architecture = "BertForPreTraining"

    def _add_heads(self, config: BertConfig) -> None:
        self.cls = PreTrainingHeads(config)

    def _tie(self) -> None:
        if self.config.tie_word_embeddings:
            self.cls.predictions.decoder.weight = self.bert.embeddings.word_embeddings.weight
            self.cls.predictions.decoder.bias = self.cls.predictions.bias

    def tied(self) -> dict[str, str]:
        """The decoder's tensors."""
        if not self.config.tie_word_embeddings:
            return {}
        return {
            "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
            "cls.predictions.decoder.bias": "cls.predictions.bias",
        }

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Scores of the words at each place, and of the second segment being the next one.

        Args:
            input_ids: (B, T).
            attention_mask: (B, T), 1 where a token is seen, 0 where not; None for all.
            token_type_ids: (B, T), the segment of each token; None for the first.
            position_ids: (B, T) or (1, T); None for 0, 1, ...

        Returns:
            (B, T, vocab_size) and (B, 2).
        """
        h, p = self.bert(input_ids, attention_mask, token_type_ids, position_ids)
        words, follows = self.cls(h, p)
        return words, follows


class BertClassifier(_Bert):
    """A class for each sequence, from the pooled first token: `BertForSequenceClassification`.

    Args:
        config: sizes and options; `num_labels` classes.

    Shape:
        (B, T) to (B, num_labels).
    """

    architecture = "BertForSequenceClassification"

    def _add_heads(self, config: BertConfig) -> None:
        rate = config.classifier_dropout
        self.dropout = nn.Dropout(config.hidden_dropout_prob if rate is None else rate)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> Tensor:
        """Scores of the classes; the arguments are BERT's."""
        h, p = self.bert(input_ids, attention_mask, token_type_ids, position_ids)
        logits: Tensor = self.classifier(self.dropout(p if self._pools else h))
        return logits


class BertTagger(BertClassifier):
    """A class for each token: `BertForTokenClassification`.

    Args:
        config: sizes and options; `num_labels` classes.

    Shape:
        (B, T) to (B, T, num_labels).
    """

    architecture = "BertForTokenClassification"
    _ignored = _Bert._ignored + r"|(^|\.)pooler\."
    _pools = False


class BertQA(_Bert):
    """Where in the text an answer starts and ends: `BertForQuestionAnswering`.

    Args:
        config: sizes and options; `num_labels` is 2.

    Shape:
        (B, T) to (B, T) and (B, T).
    """

    architecture = "BertForQuestionAnswering"
    _ignored = _Bert._ignored + r"|(^|\.)pooler\."
    _pools = False

    def _add_heads(self, config: BertConfig) -> None:
        self.qa_outputs = nn.Linear(config.hidden_size, config.num_labels)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Scores of each token being the first and the last; the arguments are BERT's."""
        h, _ = self.bert(input_ids, attention_mask, token_type_ids, position_ids)
        first, last = self.qa_outputs(h).unbind(-1)
        return first, last
