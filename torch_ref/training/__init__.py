"""Training: trainer, loops, metrics, when to stop, diagnostics, weights, devices, precision."""

from torch_ref.training import metrics as metrics
from torch_ref.training.adversarial import Game as Game
from torch_ref.training.adversarial import Round as Round
from torch_ref.training.adversarial import train_adversarial as train_adversarial
from torch_ref.training.checkpoint import load_weights as load_weights
from torch_ref.training.checkpoint import read_weights as read_weights
from torch_ref.training.checkpoint import save_weights as save_weights
from torch_ref.training.device import resolve_device as resolve_device
from torch_ref.training.diagnostics import activation_statistics as activation_statistics
from torch_ref.training.diagnostics import dead_units as dead_units
from torch_ref.training.diagnostics import gradient_norms as gradient_norms
from torch_ref.training.diagnostics import gradient_statistics as gradient_statistics
from torch_ref.training.diagnostics import update_ratios as update_ratios
from torch_ref.training.early_stopping import EarlyStopping as EarlyStopping
from torch_ref.training.loop import Record as Record
from torch_ref.training.loop import evaluate as evaluate
from torch_ref.training.loop import train as train
from torch_ref.training.lr_range_test import lr_range_test as lr_range_test
from torch_ref.training.nan_origin import nan_origin as nan_origin
from torch_ref.training.overfit import overfit_one_batch as overfit_one_batch
from torch_ref.training.precision import precision as precision
from torch_ref.training.precision import set_precision as set_precision
from torch_ref.training.trainer import Trainer as Trainer
from torch_ref.training.verdict import diagnose_curves as diagnose_curves
from torch_ref.training.verdict import diagnose_gradients as diagnose_gradients
