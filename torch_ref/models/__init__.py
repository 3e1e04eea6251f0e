"""Networks, one file an architecture; each has its twin of the same name in `scratch.models`."""

from torch_ref.models.mlp import MLP as MLP
from torch_ref.models.neuron import Neuron as Neuron
from torch_ref.models.perceptron import Perceptron as Perceptron
