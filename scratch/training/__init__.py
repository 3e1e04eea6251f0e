"""Training: trainer, loops and metrics, when to stop, diagnostics, files of weights."""

from scratch.training import metrics as metrics
from scratch.training.adversarial import Game as Game
from scratch.training.adversarial import Round as Round
from scratch.training.adversarial import train_adversarial as train_adversarial
from scratch.training.checkpoint import load_weights as load_weights
from scratch.training.checkpoint import read_weights as read_weights
from scratch.training.checkpoint import save_weights as save_weights
from scratch.training.diagnostics import activation_statistics as activation_statistics
from scratch.training.diagnostics import dead_units as dead_units
from scratch.training.diagnostics import gradient_norms as gradient_norms
from scratch.training.diagnostics import gradient_statistics as gradient_statistics
from scratch.training.diagnostics import update_ratios as update_ratios
from scratch.training.early_stopping import EarlyStopping as EarlyStopping
from scratch.training.loop import Record as Record
from scratch.training.loop import evaluate as evaluate
from scratch.training.loop import train as train
from scratch.training.lr_range_test import lr_range_test as lr_range_test
from scratch.training.nan_origin import nan_origin as nan_origin
from scratch.training.overfit import overfit_one_batch as overfit_one_batch
from scratch.training.trainer import Trainer as Trainer
from scratch.training.verdict import diagnose_curves as diagnose_curves
from scratch.training.verdict import diagnose_gradients as diagnose_gradients
