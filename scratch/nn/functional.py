"""All ops under torch.nn.functional's names: `y, backward = F.op(x, ...)`; each stands in the file of its idea."""

from scratch.nn.bilinear import bilinear as bilinear
from scratch.nn.container import flatten as flatten
from scratch.nn.container import unflatten as unflatten
from scratch.nn.dropout import alpha_dropout as alpha_dropout
from scratch.nn.dropout import dropout as dropout
from scratch.nn.dropout import dropout1d as dropout1d
from scratch.nn.dropout import dropout2d as dropout2d
from scratch.nn.dropout import dropout3d as dropout3d
from scratch.nn.dropout import feature_alpha_dropout as feature_alpha_dropout
from scratch.nn.embedding import embedding as embedding
from scratch.nn.embedding import embedding_bag as embedding_bag
from scratch.nn.linear import linear as linear
