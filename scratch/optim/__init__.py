"""torch.optim in NumPy."""

from scratch.optim import lr_scheduler as lr_scheduler
from scratch.optim import swa_utils as swa_utils
from scratch.optim.adadelta import Adadelta as Adadelta
from scratch.optim.adafactor import Adafactor as Adafactor
from scratch.optim.adagrad import Adagrad as Adagrad
from scratch.optim.adam import Adam as Adam
from scratch.optim.adamax import Adamax as Adamax
from scratch.optim.adamw import AdamW as AdamW
from scratch.optim.asgd import ASGD as ASGD
from scratch.optim.lamb import LAMB as LAMB
from scratch.optim.lars import LARS as LARS
from scratch.optim.lbfgs import LBFGS as LBFGS
from scratch.optim.lion import Lion as Lion
from scratch.optim.muon import Muon as Muon
from scratch.optim.nadam import NAdam as NAdam
from scratch.optim.optimizer import Optimizer as Optimizer
from scratch.optim.radam import RAdam as RAdam
from scratch.optim.rmsprop import RMSprop as RMSprop
from scratch.optim.rprop import Rprop as Rprop
from scratch.optim.sgd import SGD as SGD
from scratch.optim.sparse_adam import SparseAdam as SparseAdam
