"""Networks, one file an architecture; each has its twin of the same name in `torch_ref.models`."""

from scratch.models.alexnet import AlexNet as AlexNet
from scratch.models.bilstm_crf import BiLSTMCRF as BiLSTMCRF
from scratch.models.char_rnn import CharRNN as CharRNN
from scratch.models.char_rnn import SimpleRNN as SimpleRNN
from scratch.models.deeplabv3 import DeepLabV3 as DeepLabV3
from scratch.models.efficientnet import EfficientNet as EfficientNet
from scratch.models.gru4rec import GRU4Rec as GRU4Rec
from scratch.models.lenet import LeNet5 as LeNet5
from scratch.models.lstm_forecaster import LSTMForecaster as LSTMForecaster
from scratch.models.mlp import MLP as MLP
from scratch.models.mobilenet_v2 import MobileNetV2 as MobileNetV2
from scratch.models.neuron import Neuron as Neuron
from scratch.models.perceptron import Perceptron as Perceptron
from scratch.models.resnet import ResNet as ResNet
from scratch.models.resnet import resnet18 as resnet18
from scratch.models.resnet import resnet34 as resnet34
from scratch.models.resnet import resnet50 as resnet50
from scratch.models.seq2seq import Seq2Seq as Seq2Seq
from scratch.models.simple_cnn import SimpleCNN as SimpleCNN
from scratch.models.t5 import T5 as T5
from scratch.models.t5 import T5Config as T5Config
from scratch.models.tcn import TCN as TCN
from scratch.models.tcn import TemporalConvNet as TemporalConvNet
from scratch.models.transformer import Transformer as Transformer
from scratch.models.unet import UNet as UNet
from scratch.models.vgg import VGG as VGG
