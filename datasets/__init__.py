"""The data that both packages train on, and the recipes to learn it by.

    toy        sets in the plane: the 16 gates, xor, circles, moons, blobs, spirals
    plane      distributions to draw from: a ring, Gaussians on a circle
    tabular    real data, scikit-learn's: iris, wine, breast_cancer, diabetes, digits
    shapes     drawn pictures: circles and squares, scenes with masks and boxes
    patterns   drawn pictures: stripes, checkerboards, ramps
    manifold   synthetic rows near a flat or bent surface of few dimensions
    faces      drawn faces of any number of people, pairs to verify, batches of classes
    images     real pictures: digits, photographs; by download MNIST, Fashion-MNIST, CIFAR-10
    series     real series in small files here: sunspots, co2, airline
    forecast   windows of a series to learn from, and baselines
    translation  dates to ISO 8601, strings to be read backwards: made up, pairs of padded ids
    text       a sentence, the Python reference; by download Shakespeare; characters as numbers
    markov     text by counting, the baseline of a language model
    alkanes    real boiling points in a small file here, and carbon skeletons made of the names
    sessions   synthetic sessions of items, of which the best possible recommendation is known
    ratings    synthetic ratings of known structure, of which the least possible error is known
    tagging    synthetic sentences from a small grammar, entities tagged in IOB2
    download   one verified copy of each file, in a cache that $PARITY_DATA moves
    readers    the files' formats
    docstrings what Python's standard library says of itself, each text with its package
    masking    words hidden, for a model that learns to guess them
    memory     sequences that ask for it: adding problem, copy memory
    augment    pictures changed at random, a batch at a time: crop, shift, flip
    augment_pixels  the same: rotation, brightness and contrast, noise, erasing
    mix        two pictures and their targets made one: mixup, cutmix
    augment_text    deletion, swap, synonyms, typing errors
    augment_series  jitter, scaling, warps of magnitude and time, windows
    split      parting, standardising, batching; explicit orders, so that two runs share batches
    folds      k-fold and stratified k-fold validation
    scale      scalers: min-max, robust
    impute     missing values: mean, median, most frequent, k nearest neighbours; indicators
    search     hyperparameters by grid, at random, Bayesian
    tasks      data + loss + metric + recommended hyperparameters under one name
    settings   of a training run: the recipe and what is given in its place, one list of options
    checkpoints, log   what a run of either package leaves in its folder

NumPy arrays only, no framework. Gates, spirals, shapes, patterns, manifold, memory, series, text
and what is read or augmented need nothing else; the rest asks for scikit-learn, or to download for
pooch, when it is called.
"""

from datasets.alkanes import Alkane, GraphBatch, alkane, alkanes, graph_batch, wiener_terms
from datasets.augment import random_crop, random_flip, random_shift
from datasets.augment_pixels import (
    random_brightness_contrast,
    random_erasing,
    random_noise,
    random_rotation,
)
from datasets.augment_series import jitter, magnitude_warp, scaling, time_warp, window_slice
from datasets.augment_text import (
    character_noise,
    random_deletion,
    random_insertion,
    random_swap,
    synonym_replacement,
)
from datasets.docstrings import Docstring, library_docstrings
from datasets.faces import class_batches, pairs, synthetic_faces
from datasets.folds import k_fold, stratified_k_fold
from datasets.forecast import Forecasting, baselines, forecasting, windows
from datasets.images import cifar10, digit_images, fashion_mnist, mnist, photograph
from datasets.impute import (
    KNNImputer,
    SimpleImputer,
    backward_fill,
    forward_fill,
    missing_indicator,
)
from datasets.manifold import manifold
from datasets.markov import Markov
from datasets.masking import masked_words
from datasets.memory import adding_problem, copy_memory, copy_memory_baseline
from datasets.mix import cutmix, mixup
from datasets.patterns import patterns
from datasets.ratings import Ratings, RatingSource
from datasets.readers import read_cifar, read_idx
from datasets.scale import MinMaxScaler, RobustScaler
from datasets.search import Range, Search, Trial, bayesian_search, grid_search, random_search
from datasets.series import Series, airline, co2, sunspots
from datasets.sessions import Sessions, SessionSource, session_parallel
from datasets.shapes import Scenes, shape_scenes
from datasets.split import Standardizer, batch_stream, batches, epoch_order, train_test_split
from datasets.tabular import Dataset, breast_cancer, diabetes, digits, iris, wine
from datasets.tagging import Lexicon, TaggedSentences, tagged_sentences, tagging_arrays
from datasets.tasks import TASKS, Split, Task, get
from datasets.text import python_reference, tiny_shakespeare
from datasets.toy import GATES, blobs, circles, gate, moons, spirals, xor
from datasets.translation import Pairs, Vocabulary, dates, reversal

__all__ = [
    "GATES",
    "TASKS",
    "Alkane",
    "Dataset",
    "Docstring",
    "Forecasting",
    "GraphBatch",
    "KNNImputer",
    "Lexicon",
    "Markov",
    "MinMaxScaler",
    "Pairs",
    "Range",
    "RatingSource",
    "Ratings",
    "RobustScaler",
    "Scenes",
    "Search",
    "Series",
    "SessionSource",
    "Sessions",
    "SimpleImputer",
    "Split",
    "Standardizer",
    "TaggedSentences",
    "Task",
    "Trial",
    "Vocabulary",
    "adding_problem",
    "airline",
    "alkane",
    "alkanes",
    "backward_fill",
    "baselines",
    "batch_stream",
    "batches",
    "bayesian_search",
    "blobs",
    "breast_cancer",
    "character_noise",
    "cifar10",
    "circles",
    "class_batches",
    "co2",
    "copy_memory",
    "copy_memory_baseline",
    "cutmix",
    "dates",
    "diabetes",
    "digit_images",
    "digits",
    "epoch_order",
    "fashion_mnist",
    "forecasting",
    "forward_fill",
    "gate",
    "get",
    "graph_batch",
    "grid_search",
    "iris",
    "jitter",
    "k_fold",
    "library_docstrings",
    "magnitude_warp",
    "manifold",
    "masked_words",
    "missing_indicator",
    "mixup",
    "mnist",
    "moons",
    "pairs",
    "patterns",
    "photograph",
    "python_reference",
    "random_brightness_contrast",
    "random_crop",
    "random_deletion",
    "random_erasing",
    "random_flip",
    "random_insertion",
    "random_noise",
    "random_rotation",
    "random_search",
    "random_shift",
    "random_swap",
    "read_cifar",
    "read_idx",
    "reversal",
    "scaling",
    "session_parallel",
    "shape_scenes",
    "spirals",
    "stratified_k_fold",
    "sunspots",
    "synonym_replacement",
    "synthetic_faces",
    "tagged_sentences",
    "tagging_arrays",
    "time_warp",
    "tiny_shakespeare",
    "train_test_split",
    "wiener_terms",
    "window_slice",
    "windows",
    "wine",
    "xor",
]
