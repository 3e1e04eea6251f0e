"""Short real texts by topic: what Python's standard library says of its functions and classes.

    standard_library   every docstring, and the module or package that it belongs to; no network
    topic_texts        those of a few packages, to tell apart

They depend on the version of Python that runs: some 6,600 texts, 1.4 million characters, in 3.11.
Nothing is imported: the sources are parsed. A text is kept where it comes first, as some are copied
from class to class, and only if it has five words.
"""

import ast
import functools
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datasets import check
from datasets.check import Array

TOPICS = ("asyncio", "email", "http", "importlib", "logging", "multiprocessing", "unittest", "xml")
LEFT_OUT = {"site-packages", "test", "tests", "idlelib", "lib2to3", "ensurepip"}
WORDS = 5


class Texts(NamedTuple):
    """Texts, and which package each belongs to.

    Attributes:
        texts: one a docstring.
        names: of its module or package, the first part of it.
    """

    texts: list[str]
    names: list[str]


def standard_library() -> Texts:
    """The docstrings of all functions and classes, file after file.

    Returns:
        The same lists of one version of Python each time, but new ones.

    Raises:
        FileNotFoundError: if the library's sources are not there.

    Source: Python Software Foundation, the Python standard library.
    """
    texts, names = _standard_library()
    return Texts(list(texts), list(names))


@functools.cache
def _standard_library() -> tuple[tuple[str, ...], tuple[str, ...]]:
    root = Path(sysconfig.get_path("stdlib"))
    found: dict[str, str] = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if LEFT_OUT & set(parts):
            continue
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):  # some of its files are wrong on purpose
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                text = " ".join((ast.get_docstring(node) or "").split())
                if len(text.split()) >= WORDS:
                    found.setdefault(text, parts[0].removesuffix(".py"))
    if not found:
        raise FileNotFoundError(
            f"standard_library: expected the sources of Python's library in {root}, got none"
        )
    return tuple(found), tuple(found.values())


def topic_texts(topics: Sequence[str] = TOPICS) -> tuple[list[str], Array]:
    """The texts of a few packages.

    Args:
        topics: names of modules or packages.

    Returns:
        Texts, and int64 array (n,): which of the topics each has.

    Raises:
        ValueError: if there are fewer than two topics, one comes twice, or one has no text.
        FileNotFoundError: if the library's sources are not there.
    """
    wanted = list(topics)
    if len(set(wanted)) != len(wanted) or len(wanted) < 2:
        check.refuse("topic_texts", "two topics or more, none twice", wanted)
    texts, names = _standard_library()
    for topic in wanted:
        if topic not in names:
            check.refuse("topic_texts", "names of packages that have docstrings", repr(topic))
    kept = [(text, name) for text, name in zip(texts, names, strict=True) if name in wanted]
    return [text for text, _ in kept], np.array([wanted.index(name) for _, name in kept])
