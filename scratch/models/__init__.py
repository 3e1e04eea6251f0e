"""Networks, one file an architecture; each has its twin of the same name in `torch_ref.models`."""

from scratch.models.alexnet import AlexNet as AlexNet
from scratch.models.autoencoder import Autoencoder as Autoencoder
from scratch.models.autoencoder import ConvAutoencoder as ConvAutoencoder
from scratch.models.autoencoder import DenoisingAutoencoder as DenoisingAutoencoder
from scratch.models.autorec import AutoRec as AutoRec
from scratch.models.bert import BERT as BERT
from scratch.models.bert import BertClassifier as BertClassifier
from scratch.models.bert import BertConfig as BertConfig
from scratch.models.bert import BertQA as BertQA
from scratch.models.bert import BertTagger as BertTagger
from scratch.models.bilstm_crf import BiLSTMCRF as BiLSTMCRF
from scratch.models.char_rnn import CharRNN as CharRNN
from scratch.models.char_rnn import SimpleRNN as SimpleRNN
from scratch.models.dcgan import DCGANDiscriminator as DCGANDiscriminator
from scratch.models.dcgan import DCGANGenerator as DCGANGenerator
from scratch.models.deeplabv3 import DeepLabV3 as DeepLabV3
from scratch.models.denoisers import DenoisingMLP as DenoisingMLP
from scratch.models.denoisers import DenoisingUNet as DenoisingUNet
from scratch.models.denoisers import TimeEmbedding as TimeEmbedding
from scratch.models.diffusion import DDPM as DDPM
from scratch.models.diffusion import NoiseSchedule as NoiseSchedule
from scratch.models.efficientnet import EfficientNet as EfficientNet
from scratch.models.embedding_net import EmbeddingNet as EmbeddingNet
from scratch.models.gan import ConditionalDiscriminator as ConditionalDiscriminator
from scratch.models.gan import ConditionalGenerator as ConditionalGenerator
from scratch.models.gan import Discriminator as Discriminator
from scratch.models.gan import Generator as Generator
from scratch.models.gpt2 import GPT2 as GPT2
from scratch.models.gpt2 import GPT2Config as GPT2Config
from scratch.models.graph_regressor import GraphRegressor as GraphRegressor
from scratch.models.grid_detector import GridDetector as GridDetector
from scratch.models.gru4rec import GRU4Rec as GRU4Rec
from scratch.models.lenet import LeNet5 as LeNet5
from scratch.models.llama import Llama as Llama
from scratch.models.llama import LlamaConfig as LlamaConfig
from scratch.models.lstm_forecaster import LSTMForecaster as LSTMForecaster
from scratch.models.mask_head import MaskHead as MaskHead
from scratch.models.matrix_factorization import (
    HybridMatrixFactorization as HybridMatrixFactorization,
)
from scratch.models.matrix_factorization import MatrixFactorization as MatrixFactorization
from scratch.models.mlp import MLP as MLP
from scratch.models.mobilenet_v2 import MobileNetV2 as MobileNetV2
from scratch.models.neumf import NeuMF as NeuMF
from scratch.models.neuron import Neuron as Neuron
from scratch.models.perceptron import Perceptron as Perceptron
from scratch.models.resnet import ResNet as ResNet
from scratch.models.resnet import resnet18 as resnet18
from scratch.models.resnet import resnet34 as resnet34
from scratch.models.resnet import resnet50 as resnet50
from scratch.models.seq2seq import Seq2Seq as Seq2Seq
from scratch.models.simple_cnn import SimpleCNN as SimpleCNN
from scratch.models.stylegan import MappingNetwork as MappingNetwork
from scratch.models.stylegan import StyleGANGenerator as StyleGANGenerator
from scratch.models.stylegan import SynthesisLayer as SynthesisLayer
from scratch.models.stylegan import SynthesisNetwork as SynthesisNetwork
from scratch.models.stylegan import ToRGBLayer as ToRGBLayer
from scratch.models.stylegan_discriminator import (
    StyleGANDiscriminator as StyleGANDiscriminator,
)
from scratch.models.t5 import T5 as T5
from scratch.models.t5 import T5Config as T5Config
from scratch.models.tcn import TCN as TCN
from scratch.models.tcn import TemporalConvNet as TemporalConvNet
from scratch.models.transformer import Transformer as Transformer
from scratch.models.unet import UNet as UNet
from scratch.models.vae import VAE as VAE
from scratch.models.vae import ConvVAE as ConvVAE
from scratch.models.vgg import VGG as VGG
from scratch.models.vit import ViT as ViT
from scratch.models.vit import ViTConfig as ViTConfig
from scratch.models.wgan import ConvCritic as ConvCritic
from scratch.models.wgan import Critic as Critic
