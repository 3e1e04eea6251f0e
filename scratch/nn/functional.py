"""All ops under torch.nn.functional's names: `y, backward = F.op(x, ...)`; each stands in the file of its idea."""

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
from scratch.nn.linear import linear as linear
from scratch.nn.margin_loss import cosine_embedding_loss as cosine_embedding_loss
from scratch.nn.margin_loss import hinge_embedding_loss as hinge_embedding_loss
from scratch.nn.margin_loss import margin_ranking_loss as margin_ranking_loss
from scratch.nn.margin_loss import multi_margin_loss as multi_margin_loss
from scratch.nn.margin_loss import multilabel_margin_loss as multilabel_margin_loss
from scratch.nn.margin_loss import triplet_margin_loss as triplet_margin_loss
from scratch.nn.margin_loss import (
    triplet_margin_with_distance_loss as triplet_margin_with_distance_loss,
)
from scratch.nn.regression_loss import gaussian_nll_loss as gaussian_nll_loss
from scratch.nn.regression_loss import huber_loss as huber_loss
from scratch.nn.regression_loss import kl_div as kl_div
from scratch.nn.regression_loss import l1_loss as l1_loss
from scratch.nn.regression_loss import mse_loss as mse_loss
from scratch.nn.regression_loss import poisson_nll_loss as poisson_nll_loss
from scratch.nn.regression_loss import smooth_l1_loss as smooth_l1_loss
