"""Words to hide, for a model that learns to guess them.

    chosen     each position with probability `rate`, but none of those that are set aside
    hidden     of the chosen 80% become the mask, 10% a word drawn from the whole vocabulary, and
               10% stay as they are, so that the model cannot tell which ones it will be asked for
    labels     the word where it was chosen, -100 elsewhere, which cross-entropy leaves out

Devlin et al. 2019, arXiv:1810.04805, section 3.1 and appendix C.2. Each position is chosen by
itself, as Hugging Face's collator does; the authors' code takes round(15%) of each sequence.
"""

from collections.abc import Sequence

import numpy as np

from datasets import check
from datasets.check import Array


def masked_words(
    ids: Array,
    vocabulary: int,
    mask_id: int,
    rng: np.random.Generator,
    *,
    rate: float = 0.15,
    special: Sequence[int] = (),
) -> tuple[Array, Array]:
    """Hide some of the words.

    Args:
        ids: integers of any shape in [0, vocabulary); stays as it is.
        vocabulary: how many words there are to draw from.
        mask_id: id of the mask.
        rng: what all is drawn from, as many numbers whatever the ids.
        rate: probability of choosing a position.
        special: ids whose positions are never chosen: [CLS], [SEP], padding.

    Returns:
        The ids to read and the labels, both int64 of the shape of `ids`.

    Raises:
        TypeError: if `ids` is no integer array, or an argument of another type.
        ValueError: if an id or `rate` is out of range.

    Source:
        Devlin et al. 2019, arXiv:1810.04805, section 3.1.
    """
    name = "masked_words"
    vocabulary = check.size(name, "vocabulary", vocabulary, 1)
    check.size(name, "mask_id", mask_id, 0, vocabulary - 1)
    rate = check.number(name, "rate", rate, 0, 1)
    if not isinstance(ids, np.ndarray) or ids.dtype.kind not in "iu":
        check.refuse(name, "ids to be an integer array", check.describe(ids), TypeError)
    if ids.size and not 0 <= ids.min() <= ids.max() < vocabulary:
        check.refuse(name, f"ids in [0, {vocabulary})", f"{ids.min()} to {ids.max()}")
    if not isinstance(rng, np.random.Generator):
        check.refuse(name, "rng to be a Generator", check.describe(rng), TypeError)
    kept_back = np.isin(ids, np.asarray(special, np.int64))
    chosen = (rng.random(ids.shape) < rate) & ~kept_back
    fate, words = rng.random(ids.shape), rng.integers(0, vocabulary, ids.shape)
    read = np.where(chosen & (fate < 0.8), mask_id, ids)
    read = np.where(chosen & (fate >= 0.9), words, read)
    return read.astype(np.int64), np.where(chosen, ids, -100).astype(np.int64)
