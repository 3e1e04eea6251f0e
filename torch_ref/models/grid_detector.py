"""A one-stage detector: every cell of a grid says what it sees.          Redmon et al. 2016, 2017

stages   a_k = leaky(norm(conv3x3(maxpool_2(a_{k-1}))))      no pooling before the first
head     y = conv1x1(leaky(norm(conv3x3(a))))                tx, ty, tw, th, to, K logits a prior

arXiv:1506.02640 and 1612.08242.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from torch_ref.detection.boxes import clip_boxes_to_image
from torch_ref.detection.grid import Priors, decode_grid, grid_targets
from torch_ref.detection.nms import batched_nms
from torch_ref.nn.grid_loss import grid_detection_loss


class GridDetector(nn.Module):
    """Boxes and classes of all objects in one pass.

    Args:
        in_channels: of a picture.
        num_classes: K.
        priors: widths and heights, in pixels, that boxes start from.
        widths: channels of each stage; each but the first halves height and width.
        dtype: of the parameters.

    Shape:
        (N, in_channels, H, W), multiples of `stride`, to (N, A, 5 + K, H / stride, W / stride).
    """

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 2,
        priors: Priors = ((8.0, 8.0),),
        widths: Sequence[int] = (16, 32, 64),
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.priors = [(float(w), float(h)) for w, h in priors]
        self.stride = 2 ** (len(widths) - 1)
        layers: list[nn.Module] = []
        for k, width in enumerate(widths):
            if k:
                layers.append(nn.MaxPool2d(2))
            layers += _block(widths[k - 1] if k else in_channels, width, dtype)
        outputs = len(self.priors) * (5 + num_classes)
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(
            *_block(widths[-1], widths[-1], dtype), nn.Conv2d(widths[-1], outputs, 1, dtype=dtype)
        )

    def forward(self, input: Tensor) -> Tensor:
        """What each predictor says."""
        z: Tensor = self.head(self.features(input))
        n, _, height, width = z.shape
        return z.reshape(n, len(self.priors), 5 + self.num_classes, height, width)

    def targets(
        self, targets: Sequence[Mapping[str, Tensor]], size: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
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
        input: Tensor,
        objects: Tensor,
        boxes: Tensor,
        labels: Tensor,
        coord: float = 5.0,
        noobj: float = 0.5,
    ) -> Tensor:
        """`grid_detection_loss` of what is said of pictures.

        Args:
            input: pictures (N, C, H, W).
            objects: as `targets` gives it.
            boxes: likewise.
            labels: likewise.
            coord: weight of the place.
            noobj: weight of what is not responsible for an object.

        Returns:
            The loss, ().
        """
        return grid_detection_loss(self(input), objects, boxes, labels, coord, noobj)

    @torch.no_grad()
    def detect(
        self, input: Tensor, score_threshold: float = 0.05, iou_threshold: float = 0.5
    ) -> list[dict[str, Tensor]]:
        """The objects in pictures, in evaluation mode or not as the model is.

        Args:
            input: pictures (N, C, H, W).
            score_threshold: what must be exceeded.
            iou_threshold: overlap above which the less sure of two boxes of one class goes.

        Returns:
            For each picture boxes (D, 4) of x1, y1, x2, y2 in pixels, scores (D,), falling, and
            labels (D,).
        """
        height, width = input.shape[2:]
        found = []
        for boxes, each in zip(*decode_grid(self(input), self.priors, self.stride), strict=True):
            scores, labels = each.max(1)
            sure = scores > score_threshold
            boxes = clip_boxes_to_image(boxes[sure], (height, width))
            scores, labels = scores[sure], labels[sure]
            kept = batched_nms(boxes, scores, labels, iou_threshold)
            found.append({"boxes": boxes[kept], "scores": scores[kept], "labels": labels[kept]})
        return found


def _block(inputs: int, outputs: int, dtype: torch.dtype | None) -> list[nn.Module]:
    """Convolution, batch norm, which has the bias, and a leaky ReLU."""
    return [
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False, dtype=dtype),
        nn.BatchNorm2d(outputs, dtype=dtype),
        nn.LeakyReLU(0.1),
    ]
