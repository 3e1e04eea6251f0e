"""torch.nn.utils: what is done to gradients between a backward and a step."""

from scratch.optim.clip import clip_grad_norm_ as clip_grad_norm_
from scratch.optim.clip import clip_grad_value_ as clip_grad_value_
from scratch.optim.clip import clip_grads_with_norm_ as clip_grads_with_norm_
from scratch.optim.clip import get_total_norm as get_total_norm
