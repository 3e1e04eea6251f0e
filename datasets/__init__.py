"""The data that both packages train on, and the recipes to learn it by.

    toy        sets in the plane: the 16 gates, xor, circles, moons, blobs, spirals
    tabular    real data, scikit-learn's: iris, wine, breast_cancer, diabetes, digits
    shapes     drawn pictures: circles and squares, scenes with masks and boxes
    images     real pictures: digits, photographs; by download MNIST, Fashion-MNIST, CIFAR-10
    download   one verified copy of each file, in a cache that $PARITY_DATA moves
    readers    the files' formats
    augment    pictures changed at random, a batch at a time: crop, shift, flip
    split      parting, standardising, batching; explicit orders, so that two runs share batches
    tasks      data + loss + metric + recommended hyperparameters under one name

NumPy arrays only, no framework. Gates, spirals, shapes and what is read or augmented need nothing
else; the rest asks for scikit-learn, or to download for pooch, when it is called.
"""

from datasets.augment import random_crop, random_flip, random_shift
from datasets.images import cifar10, digit_images, fashion_mnist, mnist, photograph
from datasets.readers import read_cifar, read_idx
from datasets.shapes import Scenes, shape_scenes
from datasets.split import Standardizer, batch_stream, batches, epoch_order, train_test_split
from datasets.tabular import Dataset, breast_cancer, diabetes, digits, iris, wine
from datasets.tasks import TASKS, Split, Task, get
from datasets.toy import GATES, blobs, circles, gate, moons, spirals, xor

__all__ = [
    "GATES",
    "TASKS",
    "Dataset",
    "Scenes",
    "Split",
    "Standardizer",
    "Task",
    "batch_stream",
    "batches",
    "blobs",
    "breast_cancer",
    "cifar10",
    "circles",
    "diabetes",
    "digit_images",
    "digits",
    "epoch_order",
    "fashion_mnist",
    "gate",
    "get",
    "iris",
    "mnist",
    "moons",
    "photograph",
    "random_crop",
    "random_flip",
    "random_shift",
    "read_cifar",
    "read_idx",
    "shape_scenes",
    "spirals",
    "train_test_split",
    "wine",
    "xor",
]
