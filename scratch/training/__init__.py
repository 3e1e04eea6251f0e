"""Training: the loops and their metrics, files of weights."""

from scratch.training import metrics as metrics
from scratch.training.adversarial import Game as Game
from scratch.training.adversarial import Round as Round
from scratch.training.adversarial import train_adversarial as train_adversarial
from scratch.training.checkpoint import load_weights as load_weights
from scratch.training.checkpoint import read_weights as read_weights
from scratch.training.checkpoint import save_weights as save_weights
from scratch.training.early_stopping import EarlyStopping as EarlyStopping
from scratch.training.loop import Record as Record
from scratch.training.loop import evaluate as evaluate
from scratch.training.loop import train as train
