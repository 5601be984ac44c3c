"""What a generated face is judged by, and how much each judgement weighs.

Needs torch when it is imported.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..models.recipe import LATENT_SCALE
from .options import LossOptions
from .pictures import pyramid

PERCEPTUAL_SIDES = (224, 112, 56, 28)  # the released loss's
FEATURE_MAPS = 5  # by which the released loss divides


def latent_weights(lips: Tensor, size: int, side: int, options: LossOptions) -> Tensor:
    """How much each place of the latents counts.

    Args:
        lips: (B, 4) windows around the lips in pixels of the crop.
        size: side of the crop in pixels.
        side: side of the latents.
        options: weights above the mask's edge (the middle) and around the lips; below it is 1.

    Returns:
        (B, 1, side, side).
    """
    centres = (torch.arange(side, device=lips.device, dtype=lips.dtype) + 0.5) * (size / side)
    across = (centres >= lips[:, 0:1]) & (centres < lips[:, 2:3])  # (B, side)
    down = (centres >= lips[:, 1:2]) & (centres < lips[:, 3:4])
    weight = torch.ones(len(lips), 1, side, side, device=lips.device, dtype=lips.dtype)
    weight[:, :, : side // 2] = options.latent_above
    return weight + options.latent_lips * (down[:, None, :, None] & across[:, None, None, :])


def latent_loss(made: Tensor, true: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean difference of unscaled latents (B, 4, h, w), counted at unit variance; one value a frame, (B,)."""
    return (weights * (made - true).abs() * LATENT_SCALE).mean(dim=(1, 2, 3))


def pixel_loss(made: Tensor, true: Tensor) -> Tensor:
    """Mean difference of pixels (B, 3, H, W) in -1..1; one value a frame, (B,)."""
    return (made - true).abs().mean(dim=(1, 2, 3))


def perceptual_loss(made: Tensor, true: Tensor, features: nn.Module, sides: Sequence[int] = PERCEPTUAL_SIDES) -> Tensor:
    """Difference of features, summed over sizes and layers; one value a frame, (B,).

    Args:
        made, true: (B, 3, H, W) in -1..1.
        features: gives a list of feature maps of such pictures.
        sides: of the pictures that it is shown, in pixels, the largest first.

    Source: the released loss.
    """
    total = made.new_zeros(len(made))
    for ours, theirs in zip(pyramid(made, sides), pyramid(true, sides), strict=True):
        with torch.no_grad():
            wanted = features(theirs)
        for found, target in zip(features(ours), wanted, strict=True):
            total = total + (found - target).abs().mean(dim=(1, 2, 3))
    return total / FEATURE_MAPS
