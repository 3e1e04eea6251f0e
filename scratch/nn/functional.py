"""All ops under torch.nn.functional's names: `y, backward = F.op(x, ...)`; each stands in the file of its idea."""

from scratch.nn.container import flatten as flatten
from scratch.nn.container import unflatten as unflatten
from scratch.nn.linear import linear as linear
