"""Pictures: drawn, read from files made here, fetched from a server that runs here, augmented."""

import gzip
import hashlib
import http.server
import io
import math
import os
import struct
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from datasets import TASKS, Standardizer, augment, download, images, readers, shapes, tabular
from datasets.download import File
from parity_tests.harness.entry import unchecked

Array = NDArray[Any]
RNG = np.random.default_rng(0)


# Circles and squares


@pytest.mark.parametrize("style", shapes.STYLES)
def test_shapes(style: str) -> None:
    x, y = shapes.shapes(101, 17, style=style, seed=3)
    assert x.shape == (101, 1, 17, 17) and x.dtype == np.float32 and x.flags.c_contiguous
    assert y.shape == (101,) and y.dtype == np.int64
    assert np.bincount(y).tolist() == [51, 50]
    assert len(set(y[:12].tolist())) == 2  # mixed
    again = shapes.shapes(101, 17, style=style, seed=3)
    assert np.array_equal(again[0], x) and np.array_equal(again[1], y)
    assert not np.array_equal(shapes.shapes(101, 17, style=style, seed=4)[0], x)


def test_a_circle_is_round_and_a_square_is_square() -> None:
    x, y = shapes.shapes(300, 32, noise=0)
    assert set(np.unique(x).tolist()) == {0, 1}
    for drawn, kind in zip(x[:, 0] > 0, y, strict=True):
        rows, columns = np.flatnonzero(drawn.any(1)), np.flatnonzero(drawn.any(0))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert abs(height - width) <= 1
        assert rows[0] > 0 or rows[-1] < 31
        share = drawn.sum() / (height * width)
        assert share == 1 if kind else share == pytest.approx(math.pi / 4, abs=0.12)


def test_size_and_place_do_not_give_a_shape_away() -> None:
    x, y = shapes.shapes(4000, 16, noise=0)
    area, count = x.sum((1, 2, 3)), len(y) / 2
    circles, squares = area[y == 0], area[y == 1]
    assert abs(circles.mean() - squares.mean()) < 4 * area.std() * math.sqrt(2 / count)
    where = np.arange(16) - 7.5
    for moment in (x.sum((1, 2)) @ where / area[:, None], x.sum((1, 3)) @ where / area[:, None]):
        assert abs(moment[y == 0].mean() - moment[y == 1].mean()) < 0.3
        assert moment.std() > 1


def test_outlines_are_hollow() -> None:
    full, y = shapes.shapes(50, 24, noise=0, style="filled", seed=1)
    hollow, also = shapes.shapes(50, 24, noise=0, style="outline", seed=1)
    both, _ = shapes.shapes(50, 24, noise=0, style="both", seed=1)
    assert np.array_equal(y, also)
    assert (hollow <= full).all() and (hollow.sum((1, 2, 3)) < full.sum((1, 2, 3))).all()
    is_hollow = (both == hollow).all((1, 2, 3))
    assert np.array_equal(is_hollow, ~(both == full).all((1, 2, 3))) and is_hollow.sum() == 25


def test_scenes_agree_with_their_masks_and_boxes() -> None:
    scenes = shapes.shape_scenes(40, 32, objects=3, noise=0, seed=2)
    assert scenes.images.shape == (40, 1, 32, 32) and scenes.images.dtype == np.float32
    assert scenes.labels.shape == (40, 32, 32) and set(np.unique(scenes.labels)) == {0, 1, 2}
    assert scenes.masks.shape == (40, 2, 32, 32) and scenes.masks.dtype == np.bool_
    assert np.array_equal(scenes.images[:, 0] > 0, scenes.labels > 0)
    assert np.array_equal(scenes.masks.any(1), scenes.labels > 0)
    assert not scenes.masks.all(1).any()
    for labels, boxes, classes in zip(scenes.labels, scenes.boxes, scenes.classes, strict=True):
        inside = np.zeros((32, 32), bool)
        for left, top, right, bottom in boxes:
            assert 0 <= left < right <= 32 and 0 <= top < bottom <= 32
            inside[top:bottom, left:right] = True
        assert inside[labels > 0].all()
        left, top, right, bottom = boxes[-1]  # nothing is in front of the last one
        seen = labels == 1 + classes[-1]
        middle = labels[(top + bottom) // 2, left:right]
        assert (middle == 1 + classes[-1]).all() and seen[top].any() and seen[bottom - 1].any()
    one = shapes.shape_scenes(5, 32, objects=1, noise=0)
    for labels, (left, top, right, bottom) in zip(one.labels, one.boxes[:, 0], strict=True):
        rows, columns = np.nonzero(labels)
        assert (columns.min(), rows.min()) == (left, top)
        assert (columns.max() + 1, rows.max() + 1) == (right, bottom)


# What comes with scikit-learn


@pytest.mark.parametrize("name", images.PHOTOGRAPHS)
def test_photographs(name: str) -> None:
    from sklearn.datasets import load_sample_image

    picture = images.photograph(name)
    assert picture.shape == (3, 427, 640) and picture.dtype == np.float32
    assert picture.flags.c_contiguous and picture.min() == 0 and picture.max() == 1
    assert np.array_equal(
        np.rint(picture * 255), load_sample_image(f"{name}.jpg").transpose(2, 0, 1)
    )


def test_photographs_without_pillow() -> None:
    code = (
        "import sys; sys.modules['PIL'] = None\n"
        "from datasets import images\n"
        "try: images.photograph('china')\n"
        "except ModuleNotFoundError as error: print(error)\n"
    )
    sentence = "photograph: needs Pillow; in the project's folder: pip install '.[data]'\n"
    assert python(code) == sentence


def test_digit_images() -> None:
    flat, data = tabular.digits(), images.digit_images()
    assert data.x.shape == (1797, 1, 8, 8) and data.x.dtype == np.float32
    assert np.array_equal(data.x.reshape(1797, 64), flat.x) and np.array_equal(data.y, flat.y)
    large = images.digit_images(4)
    assert large.x.shape == (1797, 1, 32, 32)
    assert np.array_equal(large.x[7, 0], np.kron(data.x[7, 0], np.ones((4, 4))))


# Files in IDX and in CIFAR-10's format


# Type by its byte in the header: what `struct` calls it, and what is expected to come back.
KINDS = {0x08: ("B", "u1"), 0x09: ("b", "i1"), 0x0B: ("h", "i2")}
KINDS |= {0x0C: ("i", "i4"), 0x0D: ("f", "f4"), 0x0E: ("d", "f8")}


def idx(array: Array, kind: int = 0x08) -> bytes:
    values = array.ravel().tolist()
    letter, n = KINDS[kind][0], len(values)
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape)
    return header + struct.pack(f">{n}{letter}", *values)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(5,), (3, 4, 2), (0, 4), ()])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gz"])
def test_idx(
    kind: int, shape: tuple[int, ...], pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    whole = RNG.integers(0 if kind == 0x08 else -99, 100, shape)
    expected = (whole / (8 if kind >= 0x0D else 1)).astype(KINDS[kind][1])
    path = tmp_path / "file"
    path.write_bytes(pack(idx(expected, kind)))
    found = readers.read_idx(path)
    assert found.dtype == expected.dtype and found.dtype.isnative
    assert found.shape == shape and np.array_equal(found, expected)
    found += 1  # the caller's own


GOOD = idx(RNG.integers(0, 256, (3, 4, 2)))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "to start with 0, 0 and a type of IDX, got no bytes"),
        (GOOD[:3], "a type of IDX, got 00 00 08"),
        (b"\x01" + GOOD[1:], "got 01 00 08 03"),
        (b"\0\0\x0a\x03" + GOOD[4:], "got 00 00 0a 03"),
        (GOOD[:9], "16 bytes of header in"),
        (GOOD[:-1], "values of shape [3, 4, 2], got 39 bytes, cut short"),
        (GOOD + b"\0", "got 41 bytes, with bytes left over"),
        (struct.pack(">BBBB3I", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1), "cut short"),
        (gzip.compress(GOOD, mtime=0)[:-9], "a whole gzip file, got one that is cut or corrupt"),
        (gzip.compress(GOOD, mtime=0)[:-8] + b"\0" * 8, "a whole gzip file"),
        (gzip.compress(GOOD, mtime=0) + b"rest", "a whole gzip file"),
        (b"<html>not found</html>", "got 3c 68 74 6d"),
    ],
)
def test_idx_refuses(data: bytes, text: str, tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"^read_idx: expected ") as error:
        readers.read_idx(path)
    assert text in str(error.value)


def cifar(n: int, seed: int = 0) -> tuple[bytes, Array, Array]:
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 256, (n, 3, 32, 32)).astype(np.uint8)
    labels = rng.integers(0, 10, n).astype(np.uint8)
    data = b"".join(bytes([label]) + p.tobytes() for label, p in zip(labels, pictures, strict=True))
    return data, pictures, labels


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gz"])
def test_cifar(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    data, pictures, labels = cifar(4)
    (tmp_path / "file").write_bytes(pack(data))
    x, y = readers.read_cifar(tmp_path / "file")
    assert x.dtype == y.dtype == np.uint8
    assert np.array_equal(x, pictures) and np.array_equal(y, labels)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "got 0 bytes"),
        (cifar(2)[0][:-1], "got 6145 bytes"),
        (cifar(2)[0] + b"\0", "got 6147 bytes"),
        (b"\x0a" + bytes(3072), "labels below 10 in"),
    ],
)
def test_cifar_refuses(data: bytes, text: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(ValueError, match=r"^read_cifar: expected ") as error:
        readers.read_cifar(tmp_path / "file")
    assert text in str(error.value)


# Downloads, from a server of our own


class Server:
    """Serves what `files` holds under a path, and counts what it is asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.short: set[str] = set()  # these stop half way
        self.asked: list[str] = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.lstrip("/")
                server.asked.append(name)
                data = server.files.get(name)
                self.send_response(404 if data is None else 200)
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                body = data or b""
                self.wfile.write(body[: len(body) // 2] if name in server.short else body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    monkeypatch.setenv(download.VARIABLE, str(tmp_path / "cache"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    served = Server()
    thread = threading.Thread(target=served.http.serve_forever, daemon=True)
    thread.start()
    yield served
    served.http.shutdown()
    served.http.server_close()
    thread.join()


def offer(server: Server, monkeypatch: pytest.MonkeyPatch, name: str, *contents: bytes) -> None:
    """Put contents behind the names of a set's files, with checksums of their own."""
    files = []
    for file, content in zip(images.FILES[name], contents, strict=True):
        server.files[file.name] = content
        sha256 = hashlib.sha256(content).hexdigest()
        files.append(File(file.name, server.url + file.name, sha256))
    monkeypatch.setitem(images.FILES, name, tuple(files))


def small_idx_set(n: int, m: int, classes: int = 10) -> tuple[list[bytes], Array, Array]:
    x, y = RNG.integers(0, 256, (n + m, 28, 28)), np.arange(n + m) % classes
    contents = (idx(x[:n]), idx(y[:n]), idx(x[n:]), idx(y[n:]))
    return [gzip.compress(content, mtime=0) for content in contents], x, y


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_an_idx_set(name: str, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    contents, x, y = small_idx_set(130, 20)
    offer(server, monkeypatch, name, *contents)
    data = getattr(images, name)()
    assert data.x.shape == (150, 1, 28, 28) and data.x.dtype == np.float32
    assert np.array_equal(np.rint(data.x[:, 0] * 255), x) and data.x.max() <= 1
    assert data.y.dtype == np.int64 and np.array_equal(data.y, y)
    assert data.test_from == 130 and len(data.target_names) == 10
    assert sorted(server.asked) == sorted(file.name for file in images.FILES[name])
    again = getattr(images, name)()  # from the cache
    assert np.array_equal(again.x, data.x) and len(server.asked) == 4
    split = TASKS[name].load(0)
    assert split.train_x.shape == (130, 1, 28, 28) and split.test_x.shape == (20, 1, 28, 28)
    assert split.train_x.dtype == split.test_x.dtype == np.float32
    assert np.array_equal(split.train_y, y[:130]) and np.array_equal(split.test_y, y[130:])
    assert split.train_x.mean() == pytest.approx(0, abs=1e-5)
    assert split.train_x.std() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(split.standardizer.inverse(split.test_x), data.x[130:], atol=1e-6)


def tar(members: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return stream.getvalue()


def cifar_members() -> tuple[dict[str, bytes], Array, Array]:
    parts = [cifar(3, seed) for seed in range(6)]
    names = [f"{images.CIFAR_FOLDER}/{name}" for name in images.CIFAR_FILES]
    members = {name: part[0] for name, part in zip(names, parts, strict=True)}
    x, y = (np.concatenate([part[i] for part in parts]) for i in (1, 2))
    return dict(reversed(members.items())), x, y  # the order of the archive does not matter


def test_cifar10(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    members, x, y = cifar_members()
    strangers = {
        "../outside": b"1",
        str(tmp_path / "absolute"): b"2",
        "cifar-10-batches-bin/x": b"",
    }
    offer(server, monkeypatch, "cifar10", tar({**strangers, **members}))
    data = images.cifar10()
    assert data.x.shape == (18, 3, 32, 32) and data.x.dtype == np.float32
    assert np.array_equal(np.rint(data.x * 255), x) and np.array_equal(data.y, y)
    assert data.test_from == 15
    split = TASKS["cifar10"].load(0)
    assert split.train_x.shape == (15, 3, 32, 32) and split.standardizer.mean.shape == (3, 1, 1)
    np.testing.assert_allclose(split.train_x.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(split.train_x.std((0, 2, 3)), 1, atol=1e-5)
    written = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert written == [Path("cache/cifar10/cifar-10-binary.tar.gz")]  # nothing is unpacked


def test_cifar10_refuses(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    members, _, _ = cifar_members()
    last = f"{images.CIFAR_FOLDER}/test_batch.bin"
    (tmp_path / "secret").write_bytes(cifar(3)[0])
    linked = tar(
        {name: data for name, data in members.items() if name != last},
        {last: str(tmp_path / "secret")},
    )
    for content, text in (
        (tar(dict(list(members.items())[1:])), "test_batch.bin in"),
        (linked, "test_batch.bin in"),
        (tar(members)[:-200], "a whole tar.gz"),
        (b"no archive", "a whole tar.gz"),
    ):
        offer(server, monkeypatch, "cifar10", content)
        with pytest.raises(ValueError, match=f"^cifar10: expected .*{text}"):
            images.cifar10()
    offer(server, monkeypatch, "cifar10", tar({**members, last: b"\0" * 3074}))
    with pytest.raises(ValueError, match=r"^read_cifar: expected test_batch.bin to hold"):
        images.cifar10()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda x, y: (x.reshape(-1, 784), y), "pictures .* and labels"),
        (lambda x, y: (x[1:], y), "pictures .* and labels"),
        (lambda x, y: (x, y.reshape(-1, 1)), "pictures .* and labels"),
        (lambda x, y: (x, y + 1), "labels below 10, got 10"),
    ],
)
def test_idx_sets_refuse_what_does_not_fit(
    change: Callable[[Array, Array], tuple[Array, Array]],
    text: str,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    contents, x, y = small_idx_set(10, 20)
    contents[2:] = map(idx, change(x[10:], y[10:]))
    offer(server, monkeypatch, "mnist", *contents)
    with pytest.raises(ValueError, match=f"^mnist: expected {text}"):
        images.mnist()


def kept(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in tmp_path.rglob("*") if path.is_file())


def test_a_corrupt_download_is_refused_and_not_kept(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    contents, _, _ = small_idx_set(5, 5)
    offer(server, monkeypatch, "mnist", *contents)
    name = images.IDX_FILES[1]
    server.files[name] = contents[1] + b"\0"
    with pytest.raises(ValueError, match=rf"^mnist: expected {server.url}{name} to have SHA-256"):
        images.mnist()
    assert kept(tmp_path) == [images.IDX_FILES[0]]
    server.files[name] = contents[1]
    assert len(images.mnist().x) == 10  # it goes on where it stopped
    assert server.asked.count(images.IDX_FILES[0]) == 1


def test_a_torn_download_is_not_kept(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    contents, _, _ = small_idx_set(5, 5)
    offer(server, monkeypatch, "mnist", *contents)
    server.short = {images.IDX_FILES[0]}
    with pytest.raises(
        (ConnectionError, ValueError), match=r"^mnist: .*train-images-idx3-ubyte.gz"
    ):
        images.mnist()
    assert kept(tmp_path) == []


def test_progress_is_shown(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    offer(server, monkeypatch, "mnist", *small_idx_set(5, 5)[0])
    images.mnist()
    shown = capsys.readouterr()
    assert not shown.out and "100%" in shown.err
    assert all(f"mnist: downloading {file.url} to " in shown.err for file in images.FILES["mnist"])


def test_a_damaged_file_in_the_cache_is_fetched_again(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    contents, _, _ = small_idx_set(5, 5)
    offer(server, monkeypatch, "mnist", *contents)
    first = images.mnist()
    path = tmp_path / "cache" / "mnist" / images.IDX_FILES[0]
    path.write_bytes(path.read_bytes()[:-1])
    assert np.array_equal(images.mnist().x, first.x) and len(server.asked) == 5


def test_offline_says_what_to_place_where(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    contents, _, y = small_idx_set(5, 5)
    offer(server, monkeypatch, "mnist", *contents)
    server.http.server_close()
    folder = tmp_path / "cache" / "mnist"
    sentence = (
        f"mnist: {server.url}{images.IDX_FILES[0]} could not be downloaded (ConnectionError); "
        f"place {', '.join(images.IDX_FILES)} in {folder} (PARITY_DATA moves it)"
    )
    with pytest.raises(ConnectionError) as error:
        images.mnist()
    assert str(error.value) == sentence and "\n" not in sentence
    for name, content in zip(images.IDX_FILES, contents, strict=True):
        (folder / name).write_bytes(content)
    assert np.array_equal(images.mnist().y, y)


def test_not_found_is_no_download(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    offer(server, monkeypatch, "cifar10", b"")
    server.files.clear()
    with pytest.raises(
        ConnectionError, match=r"could not be downloaded \(HTTPError\); place cifar"
    ):
        images.cifar10()
    assert kept(tmp_path) == []


def test_files_placed_by_hand_need_no_library(tmp_path: Path) -> None:
    content = gzip.compress(idx(np.arange(6)))
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "there").write_bytes(content)
    code = (
        "import sys; sys.modules['pooch'] = None\n"
        "from datasets import download\n"
        f"there = download.File('there', '', {hashlib.sha256(content).hexdigest()!r})\n"
        "print(download.fetch('set', [there])[0])\n"
        "try: download.fetch('set', [download.File('absent', '', '0')])\n"
        "except ModuleNotFoundError as error: print(error)\n"
    )
    path, sentence = python(code, PARITY_DATA=str(tmp_path)).splitlines()
    assert path == str(tmp_path / "set" / "there")
    assert sentence == (
        "set: needs pooch to download; in the project's folder: pip install '.[data]', "
        f"or place absent in {tmp_path / 'set'} (PARITY_DATA moves it)"
    )


def test_the_cache_has_a_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(download.VARIABLE, "~/elsewhere")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert download.folder("mnist") == tmp_path / "elsewhere" / "mnist"
    monkeypatch.delenv(download.VARIABLE)
    assert download.folder("mnist") == tmp_path / ".cache" / "parity" / "mnist"
    assert kept(tmp_path) == []


def test_every_file_is_known_by_its_checksum() -> None:
    files = [file for each in images.FILES.values() for file in each]
    assert len({file.sha256 for file in files}) == len(files) == 9
    for file in files:
        assert file.url.endswith("/" + file.name) and len(bytes.fromhex(file.sha256)) == 32
    assert set(images.FILES) == {name for name, task in TASKS.items() if task.downloads}


# Standardising and augmenting


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pictures_are_standardised_by_channel(dtype: type[np.floating[Any]]) -> None:
    x = RNG.normal([[[3.0]], [[-1.0]], [[0.0]]], [[[2.0]], [[0.1]], [[0.0]]], (9, 3, 4, 5))
    x = x.astype(dtype)
    standardizer = Standardizer.fit(x)
    z = standardizer(x)
    assert z.dtype == standardizer.std.dtype == dtype
    assert standardizer.mean.shape == standardizer.std.shape == (3, 1, 1)
    assert standardizer.std[2] == 1  # constant
    np.testing.assert_allclose(z.mean((0, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(z.std((0, 2, 3)), [1, 1, 0], atol=1e-4)
    np.testing.assert_allclose(standardizer.inverse(z), x, atol=1e-5)
    for wrong in (x[:, :2], x[0]):
        with pytest.raises(ValueError, match=r"^Standardizer: expected x of shape"):
            standardizer(wrong)


BATCH = RNG.standard_normal((7, 2, 5, 6)).astype(np.float32)


def frozen(x: Array) -> Array:
    x = x.copy()
    x.flags.writeable = False
    return x


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
@pytest.mark.parametrize(
    ("padding", "size"), [(0, (3, 4)), (2, (5, 6)), (1, 5), (0, (5, 6)), (3, (1, 12))]
)
def test_random_crop(dtype: Any, padding: int, size: Any) -> None:
    x, fill = frozen((BATCH * 40).astype(dtype)), np.array([7, 9], dtype)
    y = augment.random_crop(x, size, np.random.default_rng(1), padding=padding, fill=fill)
    h, w = size if isinstance(size, tuple) else (size, size)
    assert y.shape == (7, 2, h, w) and y.dtype == dtype and y.flags.writeable
    around = ((padding, padding), (padding, padding))
    for before, after in zip(x, y, strict=True):
        padded = np.stack(
            [np.pad(c, around, constant_values=f) for c, f in zip(before, fill, strict=True)]
        )
        windows = np.lib.stride_tricks.sliding_window_view(padded, (h, w), axis=(1, 2))
        assert (windows == after[:, None, None]).all((0, 3, 4)).any()


def test_every_shift_is_as_likely() -> None:
    x = np.zeros((6000, 1, 3, 4), np.float32)
    x[:, :, 1, 1] = 1
    y = augment.random_shift(x, 1, np.random.default_rng(0), fill=-1.0)
    at = y.reshape(6000, 12).argmax(1)
    rows, columns = np.divmod(at, 4)
    counts = np.bincount(3 * rows + columns, minlength=9)
    expected = 6000 / 9
    assert len(counts) == 9 and ((counts - expected) ** 2 / expected).sum() < 26  # chi2_8, 0.1%
    moved = (rows != 1) | (columns != 1)
    assert np.array_equal((y == -1).any((1, 2, 3)), moved)
    assert np.array_equal(augment.random_shift(x, 0, np.random.default_rng(0)), x)


def test_every_window_is_reached() -> None:
    x = np.broadcast_to(np.arange(32.0).reshape(4, 8), (500, 1, 4, 8))
    corners = augment.random_crop(x, (3, 4), np.random.default_rng(0))[:, 0, 0, 0]
    assert set(corners.tolist()) == {8.0 * top + left for top in range(2) for left in range(5)}


def test_random_flip() -> None:
    x = frozen(BATCH)
    y = augment.random_flip(x, np.random.default_rng(3))
    mirrored = (y == x[..., ::-1]).all((1, 2, 3))
    assert np.array_equal(~mirrored, (y == x).all((1, 2, 3))) and 0 < mirrored.sum() < 7
    rng = np.random.default_rng(0)
    assert np.array_equal(augment.random_flip(x, rng, p=1.0), x[..., ::-1])
    assert np.array_equal(augment.random_flip(x, rng, p=0.0), x)
    many = augment.random_flip(np.arange(2.0).reshape(1, 1, 1, 2).repeat(4000, 0), rng, p=0.3)
    assert many[:, 0, 0, 0].mean() == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, rng: augment.random_crop(x, 4, rng, padding=1),
        lambda x, rng: augment.random_shift(x, 2, rng),
        lambda x, rng: augment.random_flip(x, rng),
    ],
)
def test_augmentation_depends_on_the_generator_alone(function: Callable[..., Array]) -> None:
    first, again, other = (function(BATCH, np.random.default_rng(s)) for s in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert not np.shares_memory(first, BATCH)
    assert function(BATCH[:0], np.random.default_rng(0)).shape[0] == 0
    rng = np.random.default_rng(5)
    function(BATCH, rng)
    apart = np.random.default_rng(5)
    function(np.ones((7, 1, 9, 9)), apart)  # what is drawn depends on the number of pictures
    assert rng.bit_generator.state["state"] == apart.bit_generator.state["state"]


# Refusals

rng = np.random.default_rng(0)
refusals: list[tuple[str, Callable[[], Any], type[Exception], str]] = [
    ("shapes", lambda: shapes.shapes(1), ValueError, "n >= 2, got 1"),
    ("shapes", lambda: shapes.shapes(size=11), ValueError, "size >= 12, got 11"),
    ("shapes", lambda: shapes.shapes(noise=-1), ValueError, "noise in [0, inf), got -1"),
    ("shapes", lambda: shapes.shapes(style="round"), ValueError, "one of filled, outline, both"),
    ("shapes", lambda: shapes.shapes(seed=-1), ValueError, "seed in"),
    ("shape_scenes", lambda: shapes.shape_scenes(0), ValueError, "n >= 1, got 0"),
    ("shape_scenes", lambda: shapes.shape_scenes(objects=0), ValueError, "objects >= 1, got 0"),
    ("shape_scenes", lambda: shapes.shape_scenes(size=unchecked(9.0)), TypeError, "an integer"),
    ("photograph", lambda: images.photograph("cat"), ValueError, "one of china, flower"),
    ("digit_images", lambda: images.digit_images(0), ValueError, "scale >= 1, got 0"),
    ("random_crop", lambda: augment.random_crop(BATCH[0], 2, rng), ValueError, "got (2, 5, 6)"),
    ("random_crop", lambda: augment.random_crop(BATCH, 6, rng), ValueError, "height of the window"),
    (
        "random_crop",
        lambda: augment.random_crop(BATCH, (5, 7), rng),
        ValueError,
        "in [1, 6], got 7",
    ),
    ("random_crop", lambda: augment.random_crop(BATCH, 0, rng), ValueError, "in [1, 5], got 0"),
    ("random_crop", lambda: augment.random_crop(BATCH, unchecked((1,)), rng), ValueError, "a pair"),
    ("random_crop", lambda: augment.random_crop(BATCH, 2, rng, padding=-1), ValueError, ">= 0"),
    (
        "random_crop",
        lambda: augment.random_crop(BATCH, 2, rng, fill=np.zeros(3)),
        ValueError,
        "fill to be a number or an array (2,)",
    ),
    ("random_crop", lambda: augment.random_crop(unchecked([1]), 2, rng), TypeError, "x to be an"),
    ("random_crop", lambda: augment.random_crop(BATCH, 2, unchecked(0)), TypeError, "rng to be a"),
    ("random_shift", lambda: augment.random_shift(BATCH, -1, rng), ValueError, "pixels >= 0"),
    (
        "random_shift",
        lambda: augment.random_shift(BATCH, 1, rng, fill=math.nan),
        ValueError,
        "fill in",
    ),
    ("random_flip", lambda: augment.random_flip(BATCH, rng, p=1.5), ValueError, "p in [0, 1]"),
    ("random_flip", lambda: augment.random_flip(BATCH > 0, rng), TypeError, "got bool array"),
]


@pytest.mark.parametrize(
    ("function", "call", "error", "text"), refusals, ids=[f"{r[0]}-{r[3][:30]}" for r in refusals]
)
def test_refuses(function: str, call: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=f"^{function}: expected ") as caught:
        call()
    assert text in str(caught.value) and ", got " in str(caught.value)


def python(code: str, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    ).stdout
