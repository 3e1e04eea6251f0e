"""All ops under torch.nn.functional's names, `y, backward = F.op(x, ...)`, gathered here."""

from scratch.nn.adaptive_pool import adaptive_avg_pool1d as adaptive_avg_pool1d
from scratch.nn.adaptive_pool import adaptive_avg_pool2d as adaptive_avg_pool2d
from scratch.nn.adaptive_pool import adaptive_avg_pool3d as adaptive_avg_pool3d
from scratch.nn.adaptive_pool import adaptive_max_pool1d as adaptive_max_pool1d
from scratch.nn.adaptive_pool import adaptive_max_pool2d as adaptive_max_pool2d
from scratch.nn.adaptive_pool import adaptive_max_pool3d as adaptive_max_pool3d
from scratch.nn.additive_attention import additive_attention as additive_attention
from scratch.nn.adversarial_loss import discriminator_loss as discriminator_loss
from scratch.nn.adversarial_loss import feature_matching_loss as feature_matching_loss
from scratch.nn.adversarial_loss import minimax_generator_loss as minimax_generator_loss
from scratch.nn.adversarial_loss import (
    non_saturating_generator_loss as non_saturating_generator_loss,
)
from scratch.nn.adversarial_loss import unit_gradient_loss as unit_gradient_loss
from scratch.nn.adversarial_loss import wasserstein_critic_loss as wasserstein_critic_loss
from scratch.nn.adversarial_loss import wasserstein_generator_loss as wasserstein_generator_loss
from scratch.nn.adversarial_loss import zero_gradient_loss as zero_gradient_loss
from scratch.nn.affine_grid import affine_grid as affine_grid
from scratch.nn.alibi import alibi as alibi
from scratch.nn.angular_margin import arc_face as arc_face
from scratch.nn.angular_margin import cos_face as cos_face
from scratch.nn.avg_pool import avg_pool1d as avg_pool1d
from scratch.nn.avg_pool import avg_pool2d as avg_pool2d
from scratch.nn.avg_pool import avg_pool3d as avg_pool3d
from scratch.nn.batch_norm import batch_norm as batch_norm
from scratch.nn.bias_act import bias_act as bias_act
from scratch.nn.bilinear import bilinear as bilinear
from scratch.nn.box_loss import generalized_box_iou_loss as generalized_box_iou_loss
from scratch.nn.channel_shuffle import channel_shuffle as channel_shuffle
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
from scratch.nn.conv import conv1d as conv1d
from scratch.nn.conv import conv2d as conv2d
from scratch.nn.conv import conv3d as conv3d
from scratch.nn.conv2d_resample import conv2d_resample as conv2d_resample
from scratch.nn.conv_transpose import conv_transpose1d as conv_transpose1d
from scratch.nn.conv_transpose import conv_transpose2d as conv_transpose2d
from scratch.nn.conv_transpose import conv_transpose3d as conv_transpose3d
from scratch.nn.crf import linear_chain_crf as linear_chain_crf
from scratch.nn.ctc_loss import ctc_loss as ctc_loss
from scratch.nn.diagonal_gaussian import gaussian_kl as gaussian_kl
from scratch.nn.diagonal_gaussian import reparameterize as reparameterize
from scratch.nn.dice_loss import dice_loss as dice_loss
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
from scratch.nn.focal_loss import sigmoid_focal_loss as sigmoid_focal_loss
from scratch.nn.fold import fold as fold
from scratch.nn.fold import unfold as unfold
from scratch.nn.fractional_max_pool import fractional_max_pool2d as fractional_max_pool2d
from scratch.nn.fractional_max_pool import fractional_max_pool3d as fractional_max_pool3d
from scratch.nn.gelu import gelu as gelu
from scratch.nn.grid_loss import grid_detection_loss as grid_detection_loss
from scratch.nn.grid_sample import grid_sample as grid_sample
from scratch.nn.group_norm import group_norm as group_norm
from scratch.nn.gumbel_softmax import gumbel_softmax as gumbel_softmax
from scratch.nn.instance_norm import instance_norm as instance_norm
from scratch.nn.interpolate import interpolate as interpolate
from scratch.nn.interpolate import upsample as upsample
from scratch.nn.interpolate import upsample_bilinear as upsample_bilinear
from scratch.nn.interpolate import upsample_nearest as upsample_nearest
from scratch.nn.layer_norm import layer_norm as layer_norm
from scratch.nn.linear import linear as linear
from scratch.nn.linear_cross_entropy import linear_cross_entropy as linear_cross_entropy
from scratch.nn.local_response_norm import local_response_norm as local_response_norm
from scratch.nn.lp_pool import lp_pool1d as lp_pool1d
from scratch.nn.lp_pool import lp_pool2d as lp_pool2d
from scratch.nn.lp_pool import lp_pool3d as lp_pool3d
from scratch.nn.margin_loss import cosine_embedding_loss as cosine_embedding_loss
from scratch.nn.margin_loss import hinge_embedding_loss as hinge_embedding_loss
from scratch.nn.margin_loss import margin_ranking_loss as margin_ranking_loss
from scratch.nn.margin_loss import multi_margin_loss as multi_margin_loss
from scratch.nn.margin_loss import multilabel_margin_loss as multilabel_margin_loss
from scratch.nn.margin_loss import triplet_margin_loss as triplet_margin_loss
from scratch.nn.margin_loss import (
    triplet_margin_with_distance_loss as triplet_margin_with_distance_loss,
)
from scratch.nn.mask_loss import mask_loss as mask_loss
from scratch.nn.max_pool import max_pool1d as max_pool1d
from scratch.nn.max_pool import max_pool2d as max_pool2d
from scratch.nn.max_pool import max_pool3d as max_pool3d
from scratch.nn.max_unpool import max_unpool1d as max_unpool1d
from scratch.nn.max_unpool import max_unpool2d as max_unpool2d
from scratch.nn.max_unpool import max_unpool3d as max_unpool3d
from scratch.nn.memory_efficient_attention import (
    memory_efficient_attention as memory_efficient_attention,
)
from scratch.nn.minibatch_discrimination import minibatch_discrimination as minibatch_discrimination
from scratch.nn.minibatch_std import minibatch_std as minibatch_std
from scratch.nn.modulated_conv2d import modulated_conv2d as modulated_conv2d
from scratch.nn.multihead_attention import (
    multi_head_attention_forward as multi_head_attention_forward,
)
from scratch.nn.multiplicative_attention import (
    multiplicative_attention as multiplicative_attention,
)
from scratch.nn.noise_injection import inject_noise as inject_noise
from scratch.nn.normalize import normalize as normalize
from scratch.nn.one_hot import one_hot as one_hot
from scratch.nn.padding import pad as pad
from scratch.nn.piecewise import hardshrink as hardshrink
from scratch.nn.piecewise import hardsigmoid as hardsigmoid
from scratch.nn.piecewise import hardswish as hardswish
from scratch.nn.piecewise import hardtanh as hardtanh
from scratch.nn.piecewise import relu6 as relu6
from scratch.nn.piecewise import softshrink as softshrink
from scratch.nn.pixel_shuffle import pixel_shuffle as pixel_shuffle
from scratch.nn.pixel_shuffle import pixel_unshuffle as pixel_unshuffle
from scratch.nn.positional_encoding import learned_encoding as learned_encoding
from scratch.nn.positional_encoding import sinusoidal_encoding as sinusoidal_encoding
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
from scratch.nn.relative_position import relative_position_bias as relative_position_bias
from scratch.nn.rms_norm import rms_norm as rms_norm
from scratch.nn.roi_align import roi_align as roi_align
from scratch.nn.rotary import rotary_embedding as rotary_embedding
from scratch.nn.scaled_dot_product_attention import (
    scaled_dot_product_attention as scaled_dot_product_attention,
)
from scratch.nn.segment import segment_max as segment_max
from scratch.nn.segment import segment_mean as segment_mean
from scratch.nn.segment import segment_softmax as segment_softmax
from scratch.nn.segment import segment_sum as segment_sum
from scratch.nn.session_loss import bpr_loss as bpr_loss
from scratch.nn.session_loss import bpr_max_loss as bpr_max_loss
from scratch.nn.session_loss import sampled_cross_entropy as sampled_cross_entropy
from scratch.nn.session_loss import top1_loss as top1_loss
from scratch.nn.session_loss import top1_max_loss as top1_max_loss
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
from scratch.nn.triplet_mining import batch_hard_triplet_loss as batch_hard_triplet_loss
from scratch.nn.triplet_mining import semi_hard_triplet_loss as semi_hard_triplet_loss
from scratch.nn.triplet_mining import squared_distance as squared_distance
from scratch.nn.upfirdn2d import downsample2d as downsample2d
from scratch.nn.upfirdn2d import upfirdn2d as upfirdn2d
from scratch.nn.upfirdn2d import upsample2d as upsample2d
