"""torch.nn in NumPy, with hand-derived backward passes."""

from scratch.nn import functional as functional
from scratch.nn import init as init
from scratch.nn.container import Flatten as Flatten
from scratch.nn.container import Identity as Identity
from scratch.nn.container import ModuleDict as ModuleDict
from scratch.nn.container import ModuleList as ModuleList
from scratch.nn.container import Sequential as Sequential
from scratch.nn.container import Unflatten as Unflatten
from scratch.nn.linear import Linear as Linear
from scratch.nn.module import Module as Module
from scratch.nn.module import Parameter as Parameter
from scratch.nn.trace import Trace as Trace
from scratch.nn.trace import trace as trace
