"""Cross entropy of a linear map's outputs.          Liger Kernel, Hsu et al. 2024, arXiv:2410.10989

forward    z = x W^T + b     l = -sum_c q_c w_c log p_c     p = softmax z, q and w as cross_entropy
backward   dz = dl (p sum(q w) - q w)     dx = dz W     dW = dz^T x     db = sum dz
chunks     All rows of z at once are by far the largest array of a model with many classes. With
           `options` z exists for a few rows at a time: the forward keeps their losses alone, and
           the backward computes z and p of each chunk anew, four matrix products in place of
           three. dW and db are summed over the chunks.
shapes     x (in,) or (N, in)   W (C, in) or (C, d1, ..., in)   b (C, d1, ...)
           z (N, C, d1, ...)    t, l (N, d1, ...); a distribution t has z's shape
torch      Chunks single classes (no d1, ...) without smoothing only, warns elsewhere and holds all
           of z; here everything is chunked. For 'mean' and 'sum' it computes the gradients in the
           forward, scales them in place and refuses to run backward twice. Where nothing is left
           that counts, the mean is NaN, and torch's gradients in chunks too: here they are 0, as
           torch's without chunks are.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn.classification_loss import cross_entropy
from scratch.nn.linear import Linear, linear
from scratch.nn.module import Parameter
from scratch.nn.op import Backward, op
from scratch.nn.reduction import Loss, quiet, reduced, resolve
from scratch.random import Generator


@dataclass(frozen=True)
class LinearCrossEntropyOptions:
    """How `linear_cross_entropy` cuts its rows into chunks.

    Args:
        allow_retain_graph: no effect: a backward can always run again.
        batch_chunk_size: rows of a chunk; None leaves it to the method.
        chunking_method: 'aspect_ratio' makes the logits of a chunk about as large as the input,
            'aspect_ratio:2' half as large and so on; 'auto' stands for 'aspect_ratio:2', or for
            `batch_chunk_size` where that is given; None for `batch_chunk_size`, or one chunk.
        acc_policy: 'auto', 'accurate', 'balanced' or 'compact'; no effect, as they differ in half
            precision only.
        acc_dtype: None, or the input's own dtype.

    Raises:
        ValueError: if an option does not exist.
        TypeError: if `batch_chunk_size` is not an integer.
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: type[np.floating[Any]] | np.dtype[Any] | None = None

    def __post_init__(self) -> None:
        name = "LinearCrossEntropyOptions"
        check.option(name, "allow_retain_graph", self.allow_retain_graph, (True, False))
        if self.batch_chunk_size is not None:
            check.size(name, "batch_chunk_size", self.batch_chunk_size, low=1)
        method = self.chunking_method
        if method is not None and not re.fullmatch(
            "auto|aspect_ratio(:0*[1-9][0-9]*)?", str(method), re.ASCII
        ):
            expected = "chunking_method None, 'auto', 'aspect_ratio' or 'aspect_ratio:N' with N > 0"
            check.refuse(name, expected, repr(method))
        policies = ("auto", "accurate", "balanced", "compact")
        check.option(name, "acc_policy", self.acc_policy, policies)
        if self.acc_dtype is not None and self.acc_dtype not in (np.float32, np.float64):
            check.refuse(name, "acc_dtype None, float32 or float64", check.describe(self.acc_dtype))

    def rows(self, n: int, features: int, logits: int) -> int:
        """How many rows a chunk has.

        Args:
            n: number of rows.
            features: size of a row.
            logits: number of logits of a row.

        Returns:
            The number, at least 1.

        Raises:
            ValueError: if `batch_chunk_size` and `chunking_method` contradict each other.
        """
        size, method = self.batch_chunk_size, self.chunking_method
        if method is None or (method == "auto" and size is not None):
            return max(1, min(n if size is None else size, n))
        _, _, divisor = ("aspect_ratio:2" if method == "auto" else method).partition(":")
        times = -(-logits // max(features, 1))  # as large as a row its logits are, rounded up
        power = 1 << (-(-n // times) - 1).bit_length()  # the next power of 2
        rows = max(1, min(power // int(divisor or 1), n))
        if size not in (None, rows):
            expected = f"chunking_method {method!r} or batch_chunk_size {size}, not both"
            check.refuse("LinearCrossEntropyOptions", expected, f"chunks of {rows} by the method")
        return rows


def _options(function: str, options: object) -> LinearCrossEntropyOptions | None:
    if options is not None and not isinstance(options, LinearCrossEntropyOptions):
        expected = "options None or LinearCrossEntropyOptions"
        check.refuse(function, expected, check.describe(options), TypeError)
    return options


@op
@quiet
def linear_cross_entropy(
    input: Array,
    linear_weight: Array,
    target: Array,
    *,
    linear_bias: Array | None = None,
    weight: Array | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: LinearCrossEntropyOptions | None = None,
) -> tuple[Array, Backward]:
    """Cross entropy of classes, or of distributions over classes, whose logits are x W^T + b.

    Args:
        input: x (in,) or (N, in).
        linear_weight: W (C, in); or (C, d1, ..., in) for several predictions of each row.
        target: classes, integers of shape (), (N,) or (N, d1, ...); or probabilities, floating, of
            shape (C,), (N, C) or (N, C, d1, ...).
        linear_bias: b, of W's shape without the last axis.
        weight: (C,), one factor for each class.
        reduction: 'none', 'mean' (over the sum of the weights of the classes, or over the number of
            distributions) or 'sum'.
        ignore_index: the class that does not count; None stands for -100, and is the only choice
            beside probabilities.
        label_smoothing: share of the target that is spread evenly over all classes, in [0, 1].
        options: how to cut the rows into chunks; None computes all at once.

    Returns:
        The loss, and its backward: dy -> dinput, dlinear_weight[, dlinear_bias] for classes;
        dinput, dlinear_weight, dtarget[, dlinear_bias][, dweight] for probabilities.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if a shape does not fit, or a class or an option does not exist.

    Source:
        Hsu et al. 2024, Liger Kernel: efficient Triton kernels for LLM training, arXiv:2410.10989,
        FusedLinearCrossEntropy.
    """
    name = "linear_cross_entropy"
    x = check.floating(name, "input", input)
    w = check.floating(name, "linear_weight", linear_weight, like=x)
    if w.ndim < 2 or len(w) == 0:
        expected = "linear_weight of shape (C, in) or (C, d1, ..., in) with C > 0"
        check.refuse(name, expected, w.shape)
    c, *places, features = w.shape
    if x.shape[-1:] != (features,) or x.ndim > 2 or (places and x.ndim == 1):
        single = "" if places else f"({features},) or "
        check.refuse(name, f"input of shape {single}(N, {features})", x.shape)
    if linear_bias is not None:
        linear_bias = check.floating(name, "linear_bias", linear_bias, like=x)
        check.shape(name, "linear_bias", linear_bias, w.shape[:-1])
    if weight is not None:
        weight = check.floating(name, "weight", weight, like=x)
        check.shape(name, "weight", weight, (c,))
    reduction = resolve(name, reduction)
    smoothing = check.number(name, "label_smoothing", label_smoothing, 0, 1)
    batch = x.shape[:-1]
    t, ignored, total = _target(target, (*batch, c, *places), x, weight, ignore_index)
    n, outputs = math.prod(batch), c * math.prod(places)
    size, options = max(n, 1), _options(name, options)
    if options is not None:
        if options.acc_dtype is not None and options.acc_dtype != x.dtype:
            check.refuse(name, f"acc_dtype None or the input's {x.dtype}", options.acc_dtype)
        size = options.rows(n, features, outputs)

    soft = t.dtype.kind == "f"
    x2, w2 = x.reshape(n, features), w.reshape(outputs, features)
    t2 = t.reshape(n, *t.shape[len(batch) :])
    b2 = None if linear_bias is None else linear_bias.reshape(outputs)

    def chunk(rows: slice) -> tuple[Array, Backward]:
        """Losses of some rows, and the map from their gradient to all the others."""
        z, linear_back = linear(x2[rows], w2, b2)
        shape = z.shape  # not z, which nothing below needs
        loss, loss_back = cross_entropy(
            z.reshape(len(z), c, *places),
            t2[rows],
            weight,
            ignore_index=ignored,
            reduction="none",
            label_smoothing=smoothing,
        )

        def backward(dl: Array) -> tuple[Array, list[Array], list[Array]]:
            dinputs = loss_back(dl)
            dz, *dtarget = dinputs if isinstance(dinputs, tuple) else (dinputs,)
            dx, *dlinear = linear_back(dz.reshape(shape))
            return dx, dlinear, dtarget

        return loss, backward

    losses, kept = np.empty((n, *places), x.dtype), None
    chunks = [slice(start, start + size) for start in range(0, n, size)]
    for rows in chunks:
        losses[rows], kept = chunk(rows)
        if len(chunks) > 1:
            kept = None  # it would hold the chunk's e^z
    y, reduced_back = reduced(losses.reshape((*batch, *places)), reduction, total)

    @quiet
    def backward(dy: Array) -> tuple[Array, ...]:
        dl = reduced_back(dy).reshape(losses.shape)
        dx, dt = np.empty_like(x2), np.empty_like(t2)
        dw, db, dweight = np.zeros_like(w2), np.zeros(outputs, x.dtype), np.zeros(c, x.dtype)
        for rows in chunks:
            dx[rows], dlinear, dtarget = (kept or chunk(rows)[1])(dl[rows])
            dw += dlinear[0]
            if b2 is not None:
                db += dlinear[1]
            if soft:
                dt[rows] = dtarget[0]
            if soft and weight is not None:
                dweight += dtarget[1]
        grads: list[Array] = [dx.reshape(x.shape), dw.reshape(w.shape)]
        if soft:
            grads.append(dt.reshape(t.shape))
        if b2 is not None:
            grads.append(db.reshape(w.shape[:-1]))
        if soft and weight is not None:
            grads.append(dweight)
        return tuple(grads)

    return y, backward


def _target(
    target: Array,
    logits: tuple[int, ...],
    x: Array,
    weight: Array | None,
    ignore_index: int | None,
) -> tuple[Array, int, float | None]:
    """The target, checked; the class that is ignored; what 'mean' divides by, None: the number."""
    name, ignored = "linear_cross_entropy", -100
    if ignore_index is not None:
        ignored = check.size(name, "ignore_index", ignore_index, low=-(2**63))
    if isinstance(target, np.ndarray | np.generic) and target.dtype.kind == "f":
        t = check.floating(name, "target", target, like=x)
        check.shape(name, "target", t, logits)
        if ignore_index is not None:
            check.refuse(name, "no ignore_index beside probabilities", ignore_index)
        return t, ignored, None
    if not isinstance(target, np.ndarray | np.generic) or target.dtype.kind not in "iu":
        expected = "target to be an integer or floating array"
        check.refuse(name, expected, check.describe(target), TypeError)
    t = np.asarray(target)
    batch = x.ndim - 1
    check.shape(name, "target", t, logits[:batch] + logits[batch + 1 :])
    counted = t[t != ignored]
    check.integer(name, "target", counted, 0, logits[batch])
    total = counted.size if weight is None else weight[counted].sum(dtype=np.float64)
    return t, ignored, float(total) or math.nan  # as in cross_entropy


class LinearCrossEntropyLoss(Loss):
    """`linear_cross_entropy` with a learned linear map.

    Args:
        in_features: size of an input.
        num_classes: C.
        out_features: (d1, ...), where each row has several predictions.
        bias: whether to add b.
        reduction: 'none', 'mean' or 'sum'.
        weight: (C,), one factor for each class; a buffer, so it gets no gradient.
        ignore_index: the class that does not count; None stands for -100.
        label_smoothing: share of the target that is spread evenly over all classes, in [0, 1].
        options: how to cut the rows into chunks; None computes all at once.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (in_features,) or (N, in_features), and a target as `linear_cross_entropy` takes it, to a
        number, or to the target's shape for classes and 'none'.
    """

    weight: Array | None

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: Sequence[int] = (),
        bias: bool = False,
        reduction: str = "mean",
        weight: Array | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: LinearCrossEntropyOptions | None = None,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(reduction=reduction)
        name = "LinearCrossEntropyLoss"
        check.size(name, "in_features", in_features)
        self.num_classes = check.size(name, "num_classes", num_classes, low=1)
        if not isinstance(out_features, tuple | list):
            expected = "out_features to be a tuple of integers"
            check.refuse(name, expected, check.describe(out_features), TypeError)
        self.out_features = tuple(check.size(name, "out_features", d) for d in out_features)
        self.hold("weight", weight)
        if self.weight is not None:
            check.shape(name, "weight", self.weight, (self.num_classes,))
        if ignore_index is not None:
            check.size(name, "ignore_index", ignore_index, low=-(2**63))
        self.ignore_index = ignore_index
        self.label_smoothing = check.number(name, "label_smoothing", label_smoothing, 0, 1)
        self.options = _options(name, options)
        outputs = math.prod(self.out_features, start=self.num_classes)
        self.linear = Linear(in_features, outputs, bias, dtype=dtype, generator=generator)

    def forward(self, input: Array, target: Array) -> tuple[Array, Backward]:
        """Cross entropy of x W^T + b, reduced."""
        shape = (self.num_classes, *self.out_features)
        linear_weight, linear_bias = self.linear.weight, self.linear.bias
        loss, loss_back = linear_cross_entropy(
            input,
            linear_weight.data.reshape(*shape, self.linear.in_features),
            target,
            linear_bias=None if linear_bias is None else linear_bias.data.reshape(shape),
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            options=self.options,
        )
        soft = np.asarray(target).dtype.kind == "f"

        def backward(*dy: Array) -> Array | tuple[Array, Array]:
            dinput, dweight, *others = loss_back(*dy)
            dtarget = others.pop(0) if soft else None
            linear_weight.accumulate(dweight.reshape(linear_weight.shape))
            if linear_bias is not None:
                linear_bias.accumulate(others[0].reshape(linear_bias.shape))
            return dinput if dtarget is None else (dinput, dtarget)

        return loss, backward

    def _reads(self) -> list[tuple[str, Parameter]]:
        return [(f"linear.{name}", parameter) for name, parameter in self.linear._own(Parameter)]

    def extra_repr(self) -> str:
        return (
            f"in_features={self.linear.in_features}, num_classes={self.num_classes}, "
            f"out_features={self.out_features}, bias={self.linear.bias is not None}, "
            f"reduction={self.reduction}, ignore_index={self.ignore_index}, "
            f"label_smoothing={self.label_smoothing}, options={self.options}"
        )
