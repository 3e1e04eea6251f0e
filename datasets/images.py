"""Real pictures, as float32 from 0 to 1 in the layout (pictures, channels, height, width).

    digit_images     1,797 of 1 x 8 x 8      10 classes   comes with scikit-learn
    mnist            70,000 of 1 x 28 x 28   10 classes   LeCun, Bottou, Bengio & Haffner 1998
    fashion_mnist    70,000 of 1 x 28 x 28   10 classes   Xiao, Rasul & Vollgraf 2017
    cifar10          60,000 of 3 x 32 x 32   10 classes   Krizhevsky 2009
    photograph       3 x 427 x 640           two, which come with scikit-learn

The sets in the middle are downloaded at the first call, from where PyTorch's torchvision gets them,
into `datasets.download.folder`, and are read by `datasets.readers`: of CIFAR-10 the binary version,
which holds nothing to unpickle. Their last 10,000 pictures are the test set that the authors set
apart (`Dataset.test_from`).
"""

import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from datasets import check
from datasets.check import Array
from datasets.download import File, fetch
from datasets.readers import parse_cifar, read_idx
from datasets.tabular import Dataset, digits

PHOTOGRAPHS = ("china", "flower")
CLOTHES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
CIFAR10 = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
CIFAR_URL = "https://www.cs.toronto.edu/~kriz/"
IDX_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
CIFAR_FOLDER = "cifar-10-batches-bin"
CIFAR_FILES = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")


def _files(url: str, names: tuple[str, ...], sums: tuple[str, ...]) -> tuple[File, ...]:
    return tuple(File(name, url + name, sha256) for name, sha256 in zip(names, sums, strict=True))


FILES: dict[str, tuple[File, ...]] = {
    "mnist": _files(
        MNIST_URL,
        IDX_FILES,
        (
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    ),
    "fashion_mnist": _files(
        FASHION_URL,
        IDX_FILES,
        (
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ),
    "cifar10": _files(
        CIFAR_URL,
        ("cifar-10-binary.tar.gz",),
        ("c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",),
    ),
}


def digit_images(scale: int = 1) -> Dataset:
    """The handwritten digits of scikit-learn as pictures.

    Args:
        scale: side of the square of equal pixels that each becomes; 4 makes 32 x 32, which is what
            LeNet-5 was made for.

    Returns:
        x (1797, 1, 8 scale, 8 scale) from 0 (paper) to 1 (ink); y (1797,) with 10 classes.

    Raises:
        ValueError: if `scale` is below 1.
        TypeError: if `scale` is no integer.
        ModuleNotFoundError: if scikit-learn is absent.

    Source: Alpaydin & Kaynak 1998; UCI, test part of the optical recognition set.
    """
    scale = check.size("digit_images", "scale", scale, 1)
    flat = digits()
    x = flat.images[:, None].astype(np.float32).repeat(scale, 2).repeat(scale, 3)
    return Dataset(x, flat.y, ("ink",), flat.target_names, flat.source)


def mnist() -> Dataset:
    """Handwritten digits: 60,000 to train on and 10,000 to test on; downloads 12 MB once.

    Returns:
        x (70000, 1, 28, 28) from 0 (paper) to 1 (ink); y (70000,) with 10 classes.

    Raises:
        ConnectionError: if a file cannot be downloaded; the message says what to place where.
        ValueError: if a file is not what it should be.
        ModuleNotFoundError: if a file must be downloaded and pooch is absent.

    Source: LeCun, Bottou, Bengio & Haffner 1998, Gradient-based learning applied to document
        recognition.
    """
    return _idx_set("mnist", "ink", tuple(map(str, range(10))), "LeCun et al. 1998")


def fashion_mnist() -> Dataset:
    """Ten kinds of clothes in MNIST's format; downloads 31 MB once.

    Returns:
        x (70000, 1, 28, 28) from 0 (background) to 1; y (70000,) with 10 classes.

    Raises:
        ConnectionError, ValueError, ModuleNotFoundError: as `mnist`.

    Source: Xiao, Rasul & Vollgraf 2017, arXiv:1708.07747.
    """
    return _idx_set("fashion_mnist", "grey", CLOTHES, "Xiao, Rasul & Vollgraf 2017")


def cifar10() -> Dataset:
    """Small photographs of ten kinds of things: 50,000 and 10,000; downloads 170 MB once.

    Returns:
        x (60000, 3, 32, 32) from 0 to 1; y (60000,) with 10 classes.

    Raises:
        ConnectionError, ValueError, ModuleNotFoundError: as `mnist`.

    Source: Krizhevsky 2009, Learning multiple layers of features from tiny images.
    """
    (archive,) = fetch("cifar10", FILES["cifar10"])
    contents = _members(archive)
    parts = [parse_cifar(contents[name], name) for name in CIFAR_FILES]
    x = np.concatenate([pictures for pictures, _ in parts])
    y = np.concatenate([labels for _, labels in parts])
    test_from = len(x) - len(parts[-1][0])
    source = "Krizhevsky 2009"
    return Dataset(
        _unit(x), y.astype(np.int64), ("red", "green", "blue"), CIFAR10, source, None, test_from
    )


def photograph(name: str) -> Array:
    """A photograph to look at the work of filters on.

    Args:
        name: "china", a palace, or "flower".

    Returns:
        (3, 427, 640) float32 from 0 to 1; red, green, blue.

    Raises:
        ValueError: if there is none of that name.
        ModuleNotFoundError: if scikit-learn or Pillow is absent.
    """
    if name not in PHOTOGRAPHS:
        expected = f"name to be one of {', '.join(PHOTOGRAPHS)}"
        check.refuse("photograph", expected, check.describe(name))
    load: Callable[[str], Array] = check.sklearn("photograph", "datasets").load_sample_image
    try:
        picture = load(f"{name}.jpg")
    except ImportError as error:  # scikit-learn has its own sentence, without our extra
        raise ModuleNotFoundError(
            "photograph: needs Pillow; in the project's folder: pip install '.[data]'", name="PIL"
        ) from error
    return _unit(np.ascontiguousarray(picture.transpose(2, 0, 1)))


def _idx_set(name: str, channel: str, target_names: tuple[str, ...], source: str) -> Dataset:
    arrays = [read_idx(path) for path in fetch(name, FILES[name])]
    for i in (0, 2):
        images, labels = arrays[i : i + 2]
        fits = images.ndim == 3 and labels.ndim == 1 and len(images) == len(labels)
        if not fits or images.dtype != np.uint8 or labels.dtype != np.uint8:
            got = f"{check.describe(images)} and {check.describe(labels)}"
            check.refuse(name, "pictures (n, height, width) and labels (n,), bytes both", got)
    x, y = np.concatenate(arrays[::2]), np.concatenate(arrays[1::2])
    if y.max(initial=0) >= len(target_names):
        check.refuse(name, f"labels below {len(target_names)}", int(y.max()))
    return Dataset(
        _unit(x[:, None]),
        y.astype(np.int64),
        (channel,),
        target_names,
        source,
        None,
        len(arrays[0]),
    )


def _members(archive: Path) -> dict[str, bytes]:
    """The contents of CIFAR-10's six files; nothing else is read, nothing is unpacked to disk."""
    wanted = {f"{CIFAR_FOLDER}/{name}": name for name in CIFAR_FILES}
    contents = {}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                name = wanted.get(member.name)
                data = tar.extractfile(member) if name and member.isreg() else None
                if name and data is not None:
                    contents[name] = data.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ValueError(
            f"cifar10: expected {archive} to be a whole tar.gz, got {error}"
        ) from error
    missing = [name for name in CIFAR_FILES if name not in contents]
    if missing:
        check.refuse("cifar10", f"{', '.join(missing)} in {archive}", "an archive without")
    return contents


def _unit(pixels: Array) -> Array:
    """Bytes as float32 from 0 to 1."""
    x = pixels.astype(np.float32)
    x /= 255
    return x
