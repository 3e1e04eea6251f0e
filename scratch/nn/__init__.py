"""torch.nn in NumPy, with hand-derived backward passes."""

from scratch.nn import functional as functional
from scratch.nn import init as init
from scratch.nn.bilinear import Bilinear as Bilinear
from scratch.nn.container import Flatten as Flatten
from scratch.nn.container import Identity as Identity
from scratch.nn.container import ModuleDict as ModuleDict
from scratch.nn.container import ModuleList as ModuleList
from scratch.nn.container import Sequential as Sequential
from scratch.nn.container import Unflatten as Unflatten
from scratch.nn.dropout import AlphaDropout as AlphaDropout
from scratch.nn.dropout import Dropout as Dropout
from scratch.nn.dropout import Dropout1d as Dropout1d
from scratch.nn.dropout import Dropout2d as Dropout2d
from scratch.nn.dropout import Dropout3d as Dropout3d
from scratch.nn.dropout import FeatureAlphaDropout as FeatureAlphaDropout
from scratch.nn.embedding import Embedding as Embedding
from scratch.nn.embedding import EmbeddingBag as EmbeddingBag
from scratch.nn.linear import Linear as Linear
from scratch.nn.module import Module as Module
from scratch.nn.module import Parameter as Parameter
from scratch.nn.trace import Trace as Trace
from scratch.nn.trace import trace as trace
