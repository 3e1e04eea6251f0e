"""What detectors share: boxes, their overlaps and deltas, non-maximum suppression."""

from torch_ref.detection.boxes import box_area as box_area
from torch_ref.detection.boxes import box_convert as box_convert
from torch_ref.detection.boxes import box_iou as box_iou
from torch_ref.detection.boxes import clip_boxes_to_image as clip_boxes_to_image
from torch_ref.detection.boxes import decode_boxes as decode_boxes
from torch_ref.detection.boxes import encode_boxes as encode_boxes
from torch_ref.detection.boxes import generalized_box_iou as generalized_box_iou
from torch_ref.detection.grid import decode_grid as decode_grid
from torch_ref.detection.grid import grid_targets as grid_targets
from torch_ref.detection.nms import batched_nms as batched_nms
from torch_ref.detection.nms import nms as nms
