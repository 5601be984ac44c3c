"""What losses look at: pictures in several sizes, and the mouth cut out of a face. Everything is differentiable.

Needs torch when it is imported, as every file of the training networks does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

MOUTH_MARGIN = 10.0  # pixels of a 256 px crop left and right of the lips; the released mouth discriminator's
BLUR_REACH = 4.0  # standard deviations that a blur's kernel covers on each side


def signed(pictures: Tensor) -> Tensor:
    """(..., S, S, 3) uint8 to (..., 3, S, S) float32 in -1..1."""
    return pictures.movedim(-1, -3).float() / 127.5 - 1


def as_bytes(pictures: Tensor) -> np.ndarray:
    """(N, 3, S, S) in -1..1 to (N, S, S, 3) uint8: the other way."""
    return np.asarray((pictures.permute(0, 2, 3, 1) * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8).numpy())


def pyramid(images: Tensor, sides: Sequence[int]) -> list[Tensor]:
    """The same pictures in several sizes, without aliasing.

    Args:
        images: (B, C, H, W).
        sides: sides of the results in pixels; the first is the base that the others are made from, and every other is
            smaller by a whole factor.

    Returns:
        One (B, C, side, side) for each side.

    Source: the released loss blurs with a standard deviation of (factor - 1) / 2 before it takes every factor-th pixel.
        It pads with zeros, which are grey here; we mirror.
    """
    base = images
    if images.shape[-2:] != (sides[0], sides[0]):
        base = functional.interpolate(images, (sides[0], sides[0]), mode="bilinear", antialias=True)
    return [base if side == sides[0] else _shrink(base, sides[0] // side) for side in sides]


def _shrink(images: Tensor, factor: int) -> Tensor:
    sigma = (factor - 1) / 2
    reach = round(BLUR_REACH * sigma)
    places = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-(places**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, -1)  # (C, 1, 2 * reach + 1)
    channels = images.shape[1]
    padded = functional.pad(images, (reach,) * 4, mode="reflect")
    rows = functional.conv2d(padded, kernel[..., None], groups=channels)
    blurred = functional.conv2d(rows, kernel[:, :, None], groups=channels)
    return blurred[..., factor // 2 :: factor, factor // 2 :: factor]


def mouth_windows(lips: Tensor, size: int) -> Tensor:
    """The square around the mouth in a crop: as wide as the lips and a margin on both sides.

    Args:
        lips: (B, 20, 2) all lip points in pixels of the crop (`framing.in_crop`).
        size: side of the crop in pixels.

    Returns:
        (B, 4) x1, y1, x2, y2 in pixels of the crop; may reach beyond it.

    Source: the released mouth discriminator takes a window half as high as wide and squeezes it to a square, leaves out
        each group's last point and scales by the wrong side; this one is square from the start.
    """
    low, high = lips.amin(dim=1), lips.amax(dim=1)
    centre = (low + high) / 2
    half = (high[:, :1] - low[:, :1]) / 2 + MOUTH_MARGIN * size / 256
    return torch.cat([centre - half, centre + half], dim=1)


def cut_windows(images: Tensor, windows: Tensor, size: int) -> Tensor:
    """Windows of pictures at one size.

    Args:
        images: (B, C, H, W).
        windows: (B, 4) x1, y1, x2, y2 in pixels; beyond the picture its edge is repeated.
        size: side of the results.

    Returns:
        (B, C, size, size).
    """
    height, width = images.shape[-2:]
    scale = torch.tensor([width, height], dtype=images.dtype, device=images.device)
    low, high = windows[:, :2] / scale * 2 - 1, windows[:, 2:] / scale * 2 - 1
    turn = torch.diag_embed((high - low) / 2)  # (B, 2, 2)
    shift = ((high + low) / 2)[..., None]
    places = functional.affine_grid(
        torch.cat([turn, shift], dim=2), [len(images), images.shape[1], size, size], align_corners=False
    )
    return functional.grid_sample(images, places, padding_mode="border", align_corners=False)
