"""Which part of the face each pixel is, by the released parser when the user has its file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import FaceError
from ..models.batching import in_batches
from ..placement import Placement

if TYPE_CHECKING:
    import torch
    from torch import nn

PARSE_SIZE = 512  # pixels a side; the released parser's input
SQUARE_SHARE = 1.5  # side of the parsed square over the longer side of the crop box
PIXEL_MEAN = (0.485, 0.456, 0.406)  # ImageNet, RGB in 0..1
PIXEL_SD = (0.229, 0.224, 0.225)


class FaceParser:
    """Labels the pixels around a face with the 19 classes of CelebAMask-HQ.

    Args:
        network: `models.bisenet.BiSeNet`, or any network from (B, 3, 512, 512) to (B, 19, 512, 512) scores.
        placement: where it runs.
        identity: content name of the weights, for cache keys.
    """

    def __init__(self, network: nn.Module, placement: Placement, identity: str) -> None:
        self.identity = identity
        self._network = network
        self._placement = placement

    @classmethod
    def load(cls, path: Path, placement: Placement) -> FaceParser:
        """Load the released parser, `79999_iter.pth`.

        Raises:
            ModelError: the file is missing, damaged, or of another network.
        """
        import torch

        from ..models.bisenet import BiSeNet
        from ..models.checkpoint import load_strictly, read_checkpoint
        from ..models.layouts import content_name

        tensors = read_checkpoint(path).tensors
        with torch.device("meta"):
            network = BiSeNet()
        load_strictly(network, tensors, path, "face parser (79999_iter.pth of face-parse-bisent)")
        return cls(network, placement, f"bisenet-{content_name(tensors)}")

    def parse(self, frame: np.ndarray, box: Sequence[int] | np.ndarray) -> np.ndarray:
        """Label the square around a crop box.

        Args:
            frame: (H, W, C >= 3) RGB, uint8 or float32 in 0..1.
            box: x1, y1, x2, y2 of the crop, may reach outside the frame.

        Returns:
            (512, 512) uint8 class map of the square `parse_square(box)`.

        Raises:
            FaceError: the box has no area.
            GenerationError: the scores are not finite, or memory is short.

        Source: preprocessing of the released models: black outside the frame, antialiased bilinear resize, ImageNet
        normalisation.
        """
        import torch
        from torch.nn import functional

        square = torch.from_numpy(square_image(frame, box)).permute(2, 0, 1)[None]  # (1, 3, side, side)
        image = functional.interpolate(square, (PARSE_SIZE, PARSE_SIZE), mode="bilinear", antialias=True).float() / 255
        image = (image - torch.tensor(PIXEL_MEAN).view(1, 3, 1, 1)) / torch.tensor(PIXEL_SD).view(1, 3, 1, 1)
        scores = in_batches(self._scores, [image], 1)
        return scores[0].argmax(0).byte().cpu().numpy()

    def _scores(self, image: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        wanted = dtype or self._placement.dtype
        with self._placement.lend(self._network, wanted) as network:
            scores: torch.Tensor = network(image.to(self._placement.device, wanted))
        return scores


def parse_square(box: Sequence[int] | np.ndarray) -> tuple[int, int, int]:
    """The square that is parsed for a crop box: x, y of its top left corner, and its side.

    Source: the released models; integer arithmetic as there.
    """
    x1, y1, x2, y2 = (int(v) for v in box)
    half = int(max(x2 - x1, y2 - y1) // 2 * SQUARE_SHARE)
    return (x1 + x2) // 2 - half, (y1 + y2) // 2 - half, 2 * half


def square_image(frame: np.ndarray, box: Sequence[int] | np.ndarray) -> np.ndarray:
    """Cut the square around a crop box out of a frame.

    Returns:
        (side, side, 3) uint8 RGB, black where the square lies outside the frame.

    Raises:
        FaceError: the box has no area.
    """
    x, y, side = parse_square(box)
    if side <= 0:
        raise FaceError(f"The face box {tuple(int(v) for v in box)} has no area.", "Give a box of at least 2 pixels.")
    height, width = frame.shape[:2]
    square = np.zeros((side, side, 3), np.uint8)
    x1, y1, x2, y2 = max(x, 0), max(y, 0), min(x + side, width), min(y + side, height)
    if x1 < x2 and y1 < y2:
        part = frame[y1:y2, x1:x2, :3]
        if part.dtype != np.uint8:
            part = np.rint(np.clip(part, 0, 1) * 255).astype(np.uint8)
        square[y1 - y : y2 - y, x1 - x : x2 - x] = part
    return square
