"""The data that both packages train on, and the recipes to learn it by.

    toy        sets in the plane: the 16 gates, xor, circles, moons, blobs, spirals
    tabular    real data, scikit-learn's: iris, wine, breast_cancer, diabetes, digits
    split      parting, standardising, batching; explicit orders, so that two runs share batches
    tasks      data + loss + metric + recommended hyperparameters under one name

NumPy arrays only, no framework. Gates and spirals need nothing else, the rest asks for scikit-learn
when it is called.
"""

from datasets.split import Standardizer, batch_stream, batches, epoch_order, train_test_split
from datasets.tabular import Dataset, breast_cancer, diabetes, digits, iris, wine
from datasets.tasks import TASKS, Split, Task, get
from datasets.toy import GATES, blobs, circles, gate, moons, spirals, xor

__all__ = [
    "GATES",
    "TASKS",
    "Dataset",
    "Split",
    "Standardizer",
    "Task",
    "batch_stream",
    "batches",
    "blobs",
    "breast_cancer",
    "circles",
    "diabetes",
    "digits",
    "epoch_order",
    "gate",
    "get",
    "iris",
    "moons",
    "spirals",
    "train_test_split",
    "wine",
    "xor",
]
