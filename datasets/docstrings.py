"""What Python's standard library says of itself: short technical texts, each with its package.

    library_docstrings   the docstrings of modules, classes and functions, no text twice
    TOPICS               eight packages with 130 texts and more each, for a classifier to tell apart

They come from the source files of the Python that runs, parsed and never executed, and differ a
little between its versions: some 6,800 texts and 1.5 million characters in Python 3.11.
"""

import ast
import sysconfig
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from datasets import check

TOPICS = (
    *("asyncio", "email", "http", "importlib"),
    *("logging", "multiprocessing", "unittest", "xml"),
)
# Installed packages, tests, and programs that come along.
OUTSIDE = frozenset(
    ("site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "ensurepip")
)
WORDS = 5
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class Docstring(NamedTuple):
    """One text.

    Attributes:
        package: top-level name of what it documents: 'email' for email.header.Header.
        text: its words, one space between them.
    """

    package: str
    text: str


def library_docstrings(packages: Collection[str] | None = None) -> list[Docstring]:
    """The docstrings of the standard library with five words or more.

    Args:
        packages: top-level names; None for all.

    Returns:
        The texts in the order of the files' paths, a class before its methods; one that stands in
        several places is kept in the first.

    Raises:
        TypeError: if `packages` is no collection of names.
        ValueError: naming a package of which there is no text.

    Source: Python Software Foundation, the standard library.
    """
    name = "library_docstrings"
    if packages is not None and (
        isinstance(packages, str)
        or not isinstance(packages, Collection)
        or not all(isinstance(package, str) for package in packages)
    ):
        check.refuse(name, "packages to be names", check.describe(packages), TypeError)
    seen: set[str] = set()
    found = []
    for package, path in _files(Path(sysconfig.get_paths()["stdlib"])):
        if packages is not None and package not in packages:
            continue
        for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
            raw = ast.get_docstring(node) if isinstance(node, DOCUMENTED) else None
            words = (raw or "").split()
            text = " ".join(words)
            if len(words) >= WORDS and text not in seen:
                seen.add(text)
                found.append(Docstring(package, text))
    for package in packages or ():
        if not any(package == other for other, _ in found):
            check.refuse(name, "packages that the library documents", repr(package))
    return found


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    """Top-level name and path of each source file."""
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if not OUTSIDE.intersection(parts):
            yield parts[0].removesuffix(".py"), path
