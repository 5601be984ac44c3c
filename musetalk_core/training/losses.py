"""What a generated face is judged by, and how much each judgement weighs.

Needs torch when it is imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ..models.recipe import LATENT_SCALE
from ..options import Options, option
from .pictures import pyramid


@dataclass(frozen=True, slots=True)
class LossOptions(Options):
    """Weights of the losses; 0 leaves a loss out, and what it needs is then not computed."""

    latent: float = option(0.0, "mean difference of latents at unit variance", low=0.0, high=1000.0)
    latent_above: float = option(0.25, "weight of the latents above the mask's edge", low=0.0, high=100.0)
    latent_lips: float = option(3.0, "what is added to the weight around the lips", low=0.0, high=100.0)
    pixel: float = option(1.0, "mean difference of pixels in -1..1", low=0.0, high=1000.0)
    perceptual: float = option(0.01, "difference of features at four sizes", low=0.0, high=1000.0)
    features: Literal["random", "vgg19"] = option(
        "random", "whose features: fixed random filters, which need no file, or VGG19"
    )
    vgg19: str = option("", "file of torchvision's VGG19 weights, for features = vgg19")
    face_critic: float = option(0.0, "discriminator of the whole face, feature matching included", low=0.0, high=100.0)
    mouth_critic: float = option(0.0, "discriminator of the mouth, feature matching included", low=0.0, high=100.0)
    matching: float = option(
        1.0, "feature matching beside the discriminator's score; the critic's weight and start count for both", low=0.0
    )
    critic_start: int = option(1000, "first update at which the discriminators count", low=0, unit="updates")
    critic_side: int = option(256, "side of the pictures that discriminators see", low=64, high=1024, unit="px")
    critic_scales: int = option(1, "sizes that discriminators see, each half of the last", low=1, high=3)
    sync: float = option(0.0, "sync loss", low=0.0, high=100.0)
    syncnet: str = option(
        "", "SyncNet file: of `musetalk train sync`, whose window and region then count, or LatentSync's"
    )

    @property
    def pixels(self) -> bool:
        """Whether any loss needs decoded pictures."""
        return any((self.pixel, self.perceptual, self.face_critic, self.mouth_critic, self.sync))


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


def perceptual_loss(made: Tensor, true: Tensor, features: nn.Module) -> Tensor:
    """Difference of features, summed over sizes and layers; one value a frame, (B,).

    Args:
        made, true: (B, 3, H, W) in -1..1.
        features: gives a list of feature maps of such pictures.

    Source: the released loss.
    """
    total = made.new_zeros(len(made))
    for ours, theirs in zip(pyramid(made, PERCEPTUAL_SIDES), pyramid(true, PERCEPTUAL_SIDES), strict=True):
        with torch.no_grad():
            wanted = features(theirs)
        for found, target in zip(features(ours), wanted, strict=True):
            total = total + (found - target).abs().mean(dim=(1, 2, 3))
    return total / FEATURE_MAPS
