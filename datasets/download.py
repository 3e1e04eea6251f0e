"""Files that are downloaded once and kept, each known by its SHA-256.

    folder    $PARITY_DATA if set, else ~/.cache/parity; one folder in it for each set
    fetch     verify what is there, or download beside it, verify, rename (pooch does)

A file that is torn, corrupt or another one never gets its name in the cache. A file that was placed
by hand is verified in the same way, and then neither pooch nor a network is needed.
"""

import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "PARITY_DATA"


@dataclass(frozen=True)
class File:
    """A file to download.

    Args:
        name: under which it is kept.
        url: where it is.
        sha256: of its bytes, in hexadecimal.
    """

    name: str
    url: str
    sha256: str


def folder(name: str) -> Path:
    """The folder in which the files of a set are kept; it need not exist."""
    root = os.environ.get(VARIABLE) or Path.home() / ".cache" / "parity"
    return Path(root).expanduser().absolute() / name


def fetch(name: str, files: Sequence[File]) -> list[Path]:
    """The paths of verified files, downloaded where they are not there yet.

    Args:
        name: of the set.
        files: of it.

    Returns:
        A path for each file.

    Raises:
        ConnectionError: if one cannot be downloaded; the message says what to place where.
        ValueError: if what was downloaded is another file.
        ModuleNotFoundError: if one must be downloaded and pooch is absent.
        OSError: if the folder cannot be read or written.
    """
    where = folder(name)
    absent = [file for file in files if not _is_there(where / file.name, file)]
    if absent:
        names = ", ".join(file.name for file in absent)
        advice = f"place {names} in {where} ({VARIABLE} moves it)"
        for file in absent:
            _download(name, file, where, advice)
    return [where / file.name for file in files]


def _download(name: str, file: File, where: Path, advice: str) -> None:
    try:
        import pooch
        import requests
        import tqdm  # noqa: F401  pooch draws its bar with it
    except ModuleNotFoundError as error:
        if error.name not in ("pooch", "requests", "tqdm"):
            raise  # it is there, and what it misses is another matter
        raise ModuleNotFoundError(
            f"{name}: needs {error.name} to download; in the project's folder: "
            f"pip install '.[data]', or {advice}",
            name=error.name,
        ) from None
    pooch.get_logger().setLevel("WARNING")  # it says what we say, to stderr as it was at import
    print(f"{name}: downloading {file.url} to {where}", file=sys.stderr)
    plain = {"Accept-Encoding": "identity"}  # the bytes as they are, which the checksum is of
    downloader = pooch.HTTPDownloader(progressbar=True, chunk_size=2**16, headers=plain)
    try:
        pooch.retrieve(file.url, f"sha256:{file.sha256}", file.name, where, downloader=downloader)
    except requests.RequestException as error:
        raise ConnectionError(
            f"{name}: {file.url} could not be downloaded ({type(error).__name__}); {advice}"
        ) from error
    except ValueError as error:
        expected = f"{file.url} to have SHA-256 {file.sha256}"
        raise ValueError(
            f"{name}: expected {expected}, got another file, which was not kept"
        ) from error


def _is_there(path: Path, file: File) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256
