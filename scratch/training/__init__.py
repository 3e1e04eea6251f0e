"""Training: the loop and its metrics."""

from scratch.training import metrics as metrics
from scratch.training.loop import Record as Record
from scratch.training.loop import evaluate as evaluate
from scratch.training.loop import train as train
