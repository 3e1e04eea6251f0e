"""The two binary formats in which small picture sets are handed round, read byte by byte.

    IDX          0 0 type ndim | ndim sizes, 4 bytes each | values      all numbers big-endian
    CIFAR-10     label, 1024 red, 1024 green, 1024 blue | the next one  a byte each, 32 x 32 pixels

A file is read if it is exactly what its header says: no byte less, none left over. Either may be
compressed by gzip, which is seen from its first bytes and not from the name.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from datasets import check
from datasets.check import Array

IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
CIFAR_SHAPE = (3, 32, 32)


def read_idx(path: str | Path) -> Array:
    """Read an IDX file, as MNIST's are.

    Args:
        path: of the file, compressed by gzip or not.

    Returns:
        The array, of the shape and type that the file declares, in this machine's byte order.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is no IDX file, is cut short, or goes on after its end.
    """
    data = _contents("read_idx", path)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in IDX_TYPES:
        expected = f"{path} to start with 0, 0 and a type of IDX"
        check.refuse("read_idx", expected, data[:4].hex(" ") or "no bytes")
    kind, ndim = np.dtype(IDX_TYPES[data[2]]), data[3]
    start = 4 + 4 * ndim
    if len(data) < start:
        check.refuse("read_idx", f"{start} bytes of header in {path}", f"{len(data)} bytes")
    sizes = [int(size) for size in np.frombuffer(data[4:start], ">u4")]
    values = math.prod(sizes)
    _length("read_idx", path, data, start + values * kind.itemsize, f"values of shape {sizes}")
    array = np.frombuffer(data, kind, values, start).reshape(sizes)
    return array.astype(kind.newbyteorder("="))


def read_cifar(path: str | Path) -> tuple[Array, Array]:
    """Read one file of CIFAR-10's binary version.

    Args:
        path: of the file, compressed by gzip or not.

    Returns:
        Pictures (n, 3, 32, 32) uint8; classes (n,) uint8, below 10.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is not made of whole records, or a label is not below 10.
    """
    return parse_cifar(_contents("read_cifar", path), path)


def parse_cifar(data: bytes, path: str | Path) -> tuple[Array, Array]:
    """As `read_cifar`, of contents that are read already; `path` names them in a refusal."""
    record = 1 + math.prod(CIFAR_SHAPE)
    if not data or len(data) % record:
        expected = f"{path} to hold one record of {record} bytes or more, and nothing else"
        check.refuse("read_cifar", expected, f"{len(data)} bytes")
    records = np.frombuffer(data, np.uint8).reshape(-1, record)
    labels = records[:, 0].copy()
    if labels.max() > 9:
        check.refuse("read_cifar", f"labels below 10 in {path}", int(labels.max()))
    return records[:, 1:].reshape(-1, *CIFAR_SHAPE), labels


def _contents(function: str, path: str | Path) -> bytes:
    data = Path(path).read_bytes()
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(
            f"{function}: expected {path} to be a whole gzip file, got one that is cut or corrupt"
        ) from error


def _length(function: str, path: str | Path, data: bytes, expected: int, what: str) -> None:
    if len(data) != expected:
        short = "cut short" if len(data) < expected else "with bytes left over"
        got = f"{len(data)} bytes, {short}"
        check.refuse(function, f"{expected} bytes in {path} for {what}", got)
