"""Networks, one file an architecture; each has its twin of the same name in `scratch.models`."""

from torch_ref.models.alexnet import AlexNet as AlexNet
from torch_ref.models.autoencoder import Autoencoder as Autoencoder
from torch_ref.models.autoencoder import ConvAutoencoder as ConvAutoencoder
from torch_ref.models.autoencoder import DenoisingAutoencoder as DenoisingAutoencoder
from torch_ref.models.autorec import AutoRec as AutoRec
from torch_ref.models.bert import BERT as BERT
from torch_ref.models.bert import BertClassifier as BertClassifier
from torch_ref.models.bert import BertConfig as BertConfig
from torch_ref.models.bert import BertQA as BertQA
from torch_ref.models.bert import BertTagger as BertTagger
from torch_ref.models.bilstm_crf import BiLSTMCRF as BiLSTMCRF
from torch_ref.models.char_rnn import CharRNN as CharRNN
from torch_ref.models.char_rnn import SimpleRNN as SimpleRNN
from torch_ref.models.dcgan import DCGANDiscriminator as DCGANDiscriminator
from torch_ref.models.dcgan import DCGANGenerator as DCGANGenerator
from torch_ref.models.deeplabv3 import DeepLabV3 as DeepLabV3
from torch_ref.models.denoisers import DenoisingMLP as DenoisingMLP
from torch_ref.models.denoisers import DenoisingUNet as DenoisingUNet
from torch_ref.models.denoisers import TimeEmbedding as TimeEmbedding
from torch_ref.models.diffusion import DDPM as DDPM
from torch_ref.models.diffusion import NoiseSchedule as NoiseSchedule
from torch_ref.models.efficientnet import EfficientNet as EfficientNet
from torch_ref.models.embedding_net import EmbeddingNet as EmbeddingNet
from torch_ref.models.gan import ConditionalDiscriminator as ConditionalDiscriminator
from torch_ref.models.gan import ConditionalGenerator as ConditionalGenerator
from torch_ref.models.gan import Discriminator as Discriminator
from torch_ref.models.gan import Generator as Generator
from torch_ref.models.gpt2 import GPT2 as GPT2
from torch_ref.models.gpt2 import GPT2Config as GPT2Config
from torch_ref.models.graph_regressor import GraphRegressor as GraphRegressor
from torch_ref.models.grid_detector import GridDetector as GridDetector
from torch_ref.models.gru4rec import GRU4Rec as GRU4Rec
from torch_ref.models.lenet import LeNet5 as LeNet5
from torch_ref.models.llama import Llama as Llama
from torch_ref.models.llama import LlamaConfig as LlamaConfig
from torch_ref.models.lstm_forecaster import LSTMForecaster as LSTMForecaster
from torch_ref.models.mask_head import MaskHead as MaskHead
from torch_ref.models.matrix_factorization import (
    HybridMatrixFactorization as HybridMatrixFactorization,
)
from torch_ref.models.matrix_factorization import MatrixFactorization as MatrixFactorization
from torch_ref.models.mlp import MLP as MLP
from torch_ref.models.mobilenet_v2 import MobileNetV2 as MobileNetV2
from torch_ref.models.neumf import NeuMF as NeuMF
from torch_ref.models.neuron import Neuron as Neuron
from torch_ref.models.perceptron import Perceptron as Perceptron
from torch_ref.models.resnet import ResNet as ResNet
from torch_ref.models.resnet import resnet18 as resnet18
from torch_ref.models.resnet import resnet34 as resnet34
from torch_ref.models.resnet import resnet50 as resnet50
from torch_ref.models.seq2seq import Seq2Seq as Seq2Seq
from torch_ref.models.simple_cnn import SimpleCNN as SimpleCNN
from torch_ref.models.stylegan import MappingNetwork as MappingNetwork
from torch_ref.models.stylegan import StyleGANGenerator as StyleGANGenerator
from torch_ref.models.stylegan import SynthesisLayer as SynthesisLayer
from torch_ref.models.stylegan import SynthesisNetwork as SynthesisNetwork
from torch_ref.models.stylegan import ToRGBLayer as ToRGBLayer
from torch_ref.models.stylegan_discriminator import (
    StyleGANDiscriminator as StyleGANDiscriminator,
)
from torch_ref.models.t5 import T5 as T5
from torch_ref.models.t5 import T5Config as T5Config
from torch_ref.models.tcn import TCN as TCN
from torch_ref.models.tcn import TemporalConvNet as TemporalConvNet
from torch_ref.models.transformer import Transformer as Transformer
from torch_ref.models.unet import UNet as UNet
from torch_ref.models.vae import VAE as VAE
from torch_ref.models.vae import ConvVAE as ConvVAE
from torch_ref.models.vgg import VGG as VGG
from torch_ref.models.vit import ViT as ViT
from torch_ref.models.vit import ViTConfig as ViTConfig
from torch_ref.models.wgan import ConvCritic as ConvCritic
from torch_ref.models.wgan import Critic as Critic
