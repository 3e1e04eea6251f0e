"""torch.optim.lr_scheduler: learning rates are plain numbers, set in an optimizer's groups."""

from scratch.optim.lr_scheduler.compose import ChainedScheduler as ChainedScheduler
from scratch.optim.lr_scheduler.compose import SequentialLR as SequentialLR
from scratch.optim.lr_scheduler.cosine import CosineAnnealingLR as CosineAnnealingLR
from scratch.optim.lr_scheduler.cosine import (
    CosineAnnealingWarmRestarts as CosineAnnealingWarmRestarts,
)
from scratch.optim.lr_scheduler.cycle import CyclicLR as CyclicLR
from scratch.optim.lr_scheduler.decay import ExponentialLR as ExponentialLR
from scratch.optim.lr_scheduler.decay import MultiStepLR as MultiStepLR
from scratch.optim.lr_scheduler.decay import PolynomialLR as PolynomialLR
from scratch.optim.lr_scheduler.decay import StepLR as StepLR
from scratch.optim.lr_scheduler.factor import LambdaLR as LambdaLR
from scratch.optim.lr_scheduler.factor import MultiplicativeLR as MultiplicativeLR
from scratch.optim.lr_scheduler.noam import noam as noam
from scratch.optim.lr_scheduler.one_cycle import OneCycleLR as OneCycleLR
from scratch.optim.lr_scheduler.plateau import ReduceLROnPlateau as ReduceLROnPlateau
from scratch.optim.lr_scheduler.scheduler import LRScheduler as LRScheduler
from scratch.optim.lr_scheduler.warmup import ConstantLR as ConstantLR
from scratch.optim.lr_scheduler.warmup import LinearLR as LinearLR
