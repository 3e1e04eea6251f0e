"""Networks, one file an architecture; each has its twin of the same name in `torch_ref.models`."""

from scratch.models.mlp import MLP as MLP
from scratch.models.neuron import Neuron as Neuron
from scratch.models.perceptron import Perceptron as Perceptron
