"""All ops under torch.nn.functional's names, `y, backward = F.op(x, ...)`, gathered here."""

from scratch.nn.bilinear import bilinear as bilinear
from scratch.nn.classification_loss import binary_cross_entropy as binary_cross_entropy
from scratch.nn.classification_loss import (
    binary_cross_entropy_with_logits as binary_cross_entropy_with_logits,
)
from scratch.nn.classification_loss import cross_entropy as cross_entropy
from scratch.nn.classification_loss import (
    multilabel_soft_margin_loss as multilabel_soft_margin_loss,
)
from scratch.nn.classification_loss import nll_loss as nll_loss
from scratch.nn.classification_loss import soft_margin_loss as soft_margin_loss
from scratch.nn.container import flatten as flatten
from scratch.nn.container import unflatten as unflatten
from scratch.nn.distance import cosine_similarity as cosine_similarity
from scratch.nn.distance import pairwise_distance as pairwise_distance
from scratch.nn.distance import pdist as pdist
from scratch.nn.dropout import alpha_dropout as alpha_dropout
from scratch.nn.dropout import dropout as dropout
from scratch.nn.dropout import dropout1d as dropout1d
from scratch.nn.dropout import dropout2d as dropout2d
from scratch.nn.dropout import dropout3d as dropout3d
from scratch.nn.dropout import feature_alpha_dropout as feature_alpha_dropout
from scratch.nn.embedding import embedding as embedding
from scratch.nn.embedding import embedding_bag as embedding_bag
from scratch.nn.gelu import gelu as gelu
from scratch.nn.linear import linear as linear
from scratch.nn.linear_cross_entropy import linear_cross_entropy as linear_cross_entropy
from scratch.nn.margin_loss import cosine_embedding_loss as cosine_embedding_loss
from scratch.nn.margin_loss import hinge_embedding_loss as hinge_embedding_loss
from scratch.nn.margin_loss import margin_ranking_loss as margin_ranking_loss
from scratch.nn.margin_loss import multi_margin_loss as multi_margin_loss
from scratch.nn.margin_loss import multilabel_margin_loss as multilabel_margin_loss
from scratch.nn.margin_loss import triplet_margin_loss as triplet_margin_loss
from scratch.nn.margin_loss import (
    triplet_margin_with_distance_loss as triplet_margin_with_distance_loss,
)
from scratch.nn.normalize import normalize as normalize
from scratch.nn.piecewise import hardshrink as hardshrink
from scratch.nn.piecewise import hardsigmoid as hardsigmoid
from scratch.nn.piecewise import hardswish as hardswish
from scratch.nn.piecewise import hardtanh as hardtanh
from scratch.nn.piecewise import relu6 as relu6
from scratch.nn.piecewise import softshrink as softshrink
from scratch.nn.rectifier import leaky_relu as leaky_relu
from scratch.nn.rectifier import prelu as prelu
from scratch.nn.rectifier import relu as relu
from scratch.nn.rectifier import rrelu as rrelu
from scratch.nn.rectifier import step as step
from scratch.nn.rectifier import threshold as threshold
from scratch.nn.regression_loss import gaussian_nll_loss as gaussian_nll_loss
from scratch.nn.regression_loss import huber_loss as huber_loss
from scratch.nn.regression_loss import kl_div as kl_div
from scratch.nn.regression_loss import l1_loss as l1_loss
from scratch.nn.regression_loss import mse_loss as mse_loss
from scratch.nn.regression_loss import poisson_nll_loss as poisson_nll_loss
from scratch.nn.regression_loss import smooth_l1_loss as smooth_l1_loss
from scratch.nn.sigmoid import glu as glu
from scratch.nn.sigmoid import logsigmoid as logsigmoid
from scratch.nn.sigmoid import sigmoid as sigmoid
from scratch.nn.sigmoid import silu as silu
from scratch.nn.sigmoid import softplus as softplus
from scratch.nn.smooth import celu as celu
from scratch.nn.smooth import elu as elu
from scratch.nn.smooth import mish as mish
from scratch.nn.smooth import selu as selu
from scratch.nn.smooth import softsign as softsign
from scratch.nn.smooth import tanh as tanh
from scratch.nn.smooth import tanhshrink as tanhshrink
from scratch.nn.softmax import log_softmax as log_softmax
from scratch.nn.softmax import softmax as softmax
from scratch.nn.softmax import softmin as softmin
