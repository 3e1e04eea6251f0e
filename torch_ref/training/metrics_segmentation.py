"""Numbers that say how good a segmentation is; targets come as the losses take them.

Every pixel of all images is a row of one confusion matrix, C[t, y] the pixels of class t that were
named y; with TP = C[k, k], FP and FN the others that were named k and that are k:

pixel_accuracy     sum TP / sum C
class_iou          TP / (TP + FP + FN)         of each class: intersection over union
class_dice         2 TP / (2 TP + FP + FN)     which is its F1, and 2 IoU / (1 + IoU)
mean_iou           the mean of class_iou over the classes that are named or there
shapes             output (N, K, ...) logits and target (N, ...) classes; or both of one shape,
                   single logits and 0 or 1, of which K = 2 classes are made: no and yes
ignore_index       pixels of this class do not count

A class that is neither named nor there has no IoU: NaN, and no part in the mean. Others count it 1
or 0, and others again take the quotient of each image and the mean of those.

Source: Everingham et al. 2010, IJCV 88(2), section 4.2 (IoU over all pixels of the test set).
"""

from torch import Tensor


def pixel_accuracy(output: Tensor, target: Tensor, ignore_index: int = -100) -> float:
    """Share of the pixels that were named right.

    Args:
        output: logits (N, K, ...), or single ones of any shape.
        target: classes (N, ...), or 0 and 1 in the shape of single logits.
        ignore_index: a class that does not count.

    Returns:
        A number in [0, 1]; NaN for no pixels.
    """
    counts = _counts(output, target, ignore_index)
    return (counts.trace() / counts.sum()).item()


def class_iou(output: Tensor, target: Tensor, ignore_index: int = -100) -> Tensor:
    """Intersection over union of each class, over the pixels of all images.

    Args:
        output: logits (N, K, ...), or single ones of any shape.
        target: classes (N, ...), or 0 and 1 in the shape of single logits.
        ignore_index: a class that does not count.

    Returns:
        (K,) float64 in [0, 1]; NaN for a class that is neither named nor there.
    """
    counts = _counts(output, target, ignore_index)
    hits = counts.diagonal()
    return hits / (counts.sum(0) + counts.sum(1) - hits)


def class_dice(output: Tensor, target: Tensor, ignore_index: int = -100) -> Tensor:
    """Dice coefficient of each class, over the pixels of all images.

    Args:
        output: logits (N, K, ...), or single ones of any shape.
        target: classes (N, ...), or 0 and 1 in the shape of single logits.
        ignore_index: a class that does not count.

    Returns:
        (K,) float64 in [0, 1]; NaN for a class that is neither named nor there.

    Source: Dice 1945, Ecology 26(3).
    """
    counts = _counts(output, target, ignore_index)
    return 2 * counts.diagonal() / (counts.sum(0) + counts.sum(1))


def mean_iou(output: Tensor, target: Tensor, ignore_index: int = -100) -> float:
    """Mean over classes of the intersection over union.

    Args:
        output: logits (N, K, ...), or single ones of any shape.
        target: classes (N, ...), or 0 and 1 in the shape of single logits.
        ignore_index: a class that does not count.

    Returns:
        A number in [0, 1], the mean over the classes that are named or there; NaN for no pixels.
    """
    return class_iou(output, target, ignore_index).nanmean().item()


def _counts(output: Tensor, target: Tensor, ignore_index: int) -> Tensor:
    """C (K, K) float64, which keeps counts below 2^53: the target's classes down."""
    single = output.shape == target.shape
    k = 2 if single else output.shape[1]
    named = (output > 0).long() if single else output.argmax(1)
    kept = target != ignore_index
    pairs = target[kept].long() * k + named[kept]
    return pairs.bincount(minlength=k * k).view(k, k).double()
