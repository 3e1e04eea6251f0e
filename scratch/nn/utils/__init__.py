"""torch.nn.utils: weights that are computed from others, and what is done to gradients."""

from scratch.nn.utils import parametrizations as parametrizations
from scratch.nn.utils import parametrize as parametrize
from scratch.nn.utils import rnn as rnn
from scratch.nn.utils.spectral_norm import remove_spectral_norm as remove_spectral_norm
from scratch.nn.utils.spectral_norm import spectral_norm as spectral_norm
from scratch.nn.utils.weight_norm import remove_weight_norm as remove_weight_norm
from scratch.nn.utils.weight_norm import weight_norm as weight_norm
from scratch.optim.clip import clip_grad_norm_ as clip_grad_norm_
from scratch.optim.clip import clip_grad_value_ as clip_grad_value_
from scratch.optim.clip import clip_grads_with_norm_ as clip_grads_with_norm_
from scratch.optim.clip import get_total_norm as get_total_norm
