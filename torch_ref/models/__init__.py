"""Networks, one file an architecture; each has its twin of the same name in `scratch.models`."""

from torch_ref.models.alexnet import AlexNet as AlexNet
from torch_ref.models.bilstm_crf import BiLSTMCRF as BiLSTMCRF
from torch_ref.models.char_rnn import CharRNN as CharRNN
from torch_ref.models.char_rnn import SimpleRNN as SimpleRNN
from torch_ref.models.deeplabv3 import DeepLabV3 as DeepLabV3
from torch_ref.models.efficientnet import EfficientNet as EfficientNet
from torch_ref.models.gru4rec import GRU4Rec as GRU4Rec
from torch_ref.models.lenet import LeNet5 as LeNet5
from torch_ref.models.lstm_forecaster import LSTMForecaster as LSTMForecaster
from torch_ref.models.mlp import MLP as MLP
from torch_ref.models.mobilenet_v2 import MobileNetV2 as MobileNetV2
from torch_ref.models.neuron import Neuron as Neuron
from torch_ref.models.perceptron import Perceptron as Perceptron
from torch_ref.models.resnet import ResNet as ResNet
from torch_ref.models.resnet import resnet18 as resnet18
from torch_ref.models.resnet import resnet34 as resnet34
from torch_ref.models.resnet import resnet50 as resnet50
from torch_ref.models.seq2seq import Seq2Seq as Seq2Seq
from torch_ref.models.simple_cnn import SimpleCNN as SimpleCNN
from torch_ref.models.t5 import T5 as T5
from torch_ref.models.t5 import T5Config as T5Config
from torch_ref.models.tcn import TCN as TCN
from torch_ref.models.tcn import TemporalConvNet as TemporalConvNet
from torch_ref.models.transformer import Transformer as Transformer
from torch_ref.models.unet import UNet as UNet
from torch_ref.models.vgg import VGG as VGG
