"""Training: the loops and their metrics, files of weights, devices and precision."""

from torch_ref.training import metrics as metrics
from torch_ref.training.adversarial import Game as Game
from torch_ref.training.adversarial import Round as Round
from torch_ref.training.adversarial import train_adversarial as train_adversarial
from torch_ref.training.checkpoint import load_weights as load_weights
from torch_ref.training.checkpoint import read_weights as read_weights
from torch_ref.training.checkpoint import save_weights as save_weights
from torch_ref.training.device import resolve_device as resolve_device
from torch_ref.training.early_stopping import EarlyStopping as EarlyStopping
from torch_ref.training.loop import Record as Record
from torch_ref.training.loop import evaluate as evaluate
from torch_ref.training.loop import train as train
from torch_ref.training.precision import precision as precision
from torch_ref.training.precision import set_precision as set_precision
