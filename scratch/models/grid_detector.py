"""A one-stage detector: every cell of a grid says what it sees.          Redmon et al. 2016, 2017

forward    stages   a_k = leaky(norm(conv3x3(maxpool_2(a_{k-1}))))      no pooling before the first
           head     y = conv1x1(leaky(norm(conv3x3(a))))
           y's channels are tx, ty, tw, th, to and K logits for each of A priors
backward   through the head, then stage by stage; pooling hands each maximum its gradient
loss       `functional.grid_detection_loss`
detection  `decode_grid`, the likeliest class of each predictor, what is surer than a threshold,
           the picture's part of the box, suppression among those of one class
shapes     x (N, C, H, W) to y (N, A, 5 + K, H / stride, W / stride), stride 2^(stages - 1)
paper      As YOLOv2 it is convolutional, normalised, leaky by 0.1 and has priors; its network is a
           few layers here, trained from the start, and there is no pass through layer.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.detection.boxes import clip_boxes_to_image
from scratch.detection.grid import Priors, decode_grid, grid_targets, priors_of
from scratch.detection.nms import batched_nms
from scratch.nn import functional as F
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.random import Generator


class GridDetector(Module):
    """Boxes and classes of all objects in one pass.

    Args:
        in_channels: of a picture.
        num_classes: K.
        priors: widths and heights, in pixels, that boxes start from.
        widths: channels of each stage; each but the first halves height and width.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, in_channels, H, W), multiples of `stride`, to (N, A, 5 + K, H / stride, W / stride).

    Raises:
        TypeError, ValueError: if a size is not a positive integer or a prior not positive; in a
            forward, if the picture is no multiple of the stride.

    Source: Redmon et al. 2016, arXiv:1506.02640; Redmon & Farhadi 2017, arXiv:1612.08242.
    """

    _skips_input_grad = True

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 2,
        priors: Priors = ((8.0, 8.0),),
        widths: Sequence[int] = (16, 32, 64),
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = "GridDetector"
        check.size(name, "in_channels", in_channels, low=1)
        self.num_classes = check.size(name, "num_classes", num_classes, low=1)
        self.priors = [(float(w), float(h)) for w, h in priors_of(name, priors)]
        if not isinstance(widths, tuple | list) or not widths:
            expected = "widths to be a list of sizes"
            check.refuse(name, expected, check.describe(widths), TypeError)
        for width in widths:
            check.size(name, "widths", width, low=1)
        self.stride = 2 ** (len(widths) - 1)
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or Generator()}
        layers: list[Module] = []
        for k, width in enumerate(widths):
            if k:
                layers.append(nn.MaxPool2d(2))
            layers += _block(widths[k - 1] if k else in_channels, width, options)
        outputs = len(self.priors) * (5 + num_classes)
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(
            *_block(widths[-1], widths[-1], options), nn.Conv2d(widths[-1], outputs, 1, **options)
        )

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """What each predictor says."""
        if np.ndim(input) == 4 and any(side % self.stride for side in np.shape(input)[2:]):
            expected = f"height and width in multiples of {self.stride}"
            check.refuse("GridDetector", expected, np.shape(input)[2:])
        a, features_back = self.features(input)
        z, head_back = self.head(a)
        y, unflatten_back = F.unflatten(z, 1, (len(self.priors), 5 + self.num_classes))

        def backward(dy: Array, needs_input_grad: bool = True) -> Array | None:
            da = head_back(unflatten_back(dy))
            dx: Array | None = features_back(da, needs_input_grad=needs_input_grad)
            return dx

        return y, backward

    def targets(
        self, targets: Sequence[Mapping[str, Array]], size: tuple[int, int]
    ) -> tuple[Array, Array, Array]:
        """What the predictors should say of true boxes, as `grid_targets` has it.

        Args:
            targets: for each picture its boxes (G, 4) and labels (G,).
            size: height and width of the pictures.

        Returns:
            objects, boxes and labels, as `loss` takes them.
        """
        cells = size[0] // self.stride, size[1] // self.stride
        return grid_targets(targets, cells, self.priors, self.stride)

    def loss(
        self,
        input: Array,
        objects: Array,
        boxes: Array,
        labels: Array,
        coord: float = 5.0,
        noobj: float = 0.5,
    ) -> tuple[Array, Backward]:
        """`grid_detection_loss` of what is said of pictures.

        Args:
            input: pictures (N, C, H, W).
            objects: as `targets` gives it.
            boxes: likewise.
            labels: likewise.
            coord: weight of the place.
            noobj: weight of what is not responsible for an object.

        Returns:
            The loss, (), and its backward: dy -> dinput.
        """
        y, model_back = self(input)
        loss, loss_back = F.grid_detection_loss(y, objects, boxes, labels, coord, noobj)

        def backward(dy: Any = 1.0, needs_input_grad: bool = True) -> Array | None:
            dx: Array | None = model_back(loss_back(dy), needs_input_grad=needs_input_grad)
            return dx

        return loss, backward

    def detect(
        self, input: Array, score_threshold: float = 0.05, iou_threshold: float = 0.5
    ) -> list[dict[str, Array]]:
        """The objects in pictures, in evaluation mode or not as the model is.

        Args:
            input: pictures (N, C, H, W).
            score_threshold: what must be exceeded.
            iou_threshold: overlap above which the less sure of two boxes of one class goes.

        Returns:
            For each picture boxes (D, 4) of x1, y1, x2, y2 in pixels, scores (D,), falling, and
            labels (D,).
        """
        name = "GridDetector.detect"
        least = check.number(name, "score_threshold", score_threshold, 0, 1)
        y, _ = self(input)
        every, each = decode_grid(y, self.priors, self.stride)
        sure = each.max(2) > least
        picture, _ = np.nonzero(sure)
        labels, scores = each.argmax(2)[sure], each.max(2)[sure]
        boxes = clip_boxes_to_image(every[sure], input.shape[2:])
        kept = batched_nms(boxes, scores, picture * self.num_classes + labels, iou_threshold)
        kept = kept[np.argsort(picture[kept], kind="stable")]
        ends = np.cumsum(np.bincount(picture[kept], minlength=len(input)))[:-1]
        parts = (np.split(values[kept], ends) for values in (boxes, scores, labels))
        return [{"boxes": b, "scores": s, "labels": k} for b, s, k in zip(*parts, strict=True)]


def _block(inputs: int, outputs: int, options: dict[str, Any]) -> list[Module]:
    """Convolution, batch norm, which has the bias, and a leaky ReLU."""
    return [
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False, **options),
        nn.BatchNorm2d(outputs, dtype=options["dtype"]),
        nn.LeakyReLU(0.1),
    ]
