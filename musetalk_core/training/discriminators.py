"""The critic that wants generated faces to look real: least squares on patches, and its inner features.

Needs torch when it is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from .pictures import pyramid

CHANNELS = (64, 128, 256, 512)
SLOPE = 0.2  # of the leaky ReLU below 0


class PatchDiscriminator(nn.Module):
    """Four convolutions of 4x4 without padding; the score of every patch.

    Source: the released discriminators. They have no batch normalisation, so samples do not touch each other.

    Args:
        channels: of the four blocks.
    """

    def __init__(self, channels: Sequence[int] = CHANNELS) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList()
        self.norms = nn.ModuleList()
        inputs = 3
        for place, outputs in enumerate(channels):
            self.convolutions.append(spectral_norm(nn.Conv2d(inputs, outputs, 4)))
            self.norms.append(nn.InstanceNorm2d(outputs, affine=True) if place else nn.Identity())
            inputs = outputs
        self.score = spectral_norm(nn.Conv2d(inputs, 1, 1))

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Features of every block, and scores (B, 1, h, w), of (B, 3, H, W) RGB in -1..1; sides of 64 px or more."""
        features = []
        x = images
        for place, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            x = nn.functional.leaky_relu(norm(convolution(x)), SLOPE)
            if place < len(self.convolutions) - 1:
                x = nn.functional.avg_pool2d(x, 2)
            features.append(x)
        return features, self.score(x)


@dataclass(frozen=True, slots=True, eq=False)
class Critic:
    """A discriminator and the sizes of pictures that it is shown, by its own training and by the generator's alike.

    Args:
        network: the discriminator.
        sides: of the pyramid, in pixels.
    """

    network: nn.Module
    sides: Sequence[int]

    def judge(self, images: Tensor) -> list[tuple[list[Tensor], Tensor]]:
        """Features and scores at every size."""
        return [self.network(picture) for picture in pyramid(images, self.sides)]

    def generator_loss(self, fake: Tensor, real: Tensor, matching: float) -> Tensor:
        """How far generated pictures are from being taken for real, plus how far the critic's features differ.

        Both are one term: whoever weights or delays the first weights and delays the second.

        Args:
            fake, real: (B, 3, H, W) in -1..1; gradients flow into `fake`, never into the discriminator.
            matching: weight of the features beside the scores.
        """
        total = fake.new_zeros(())
        with torch.no_grad():
            wanted = self.judge(real)
        frozen = [p for p in self.network.parameters() if p.requires_grad]
        self.network.requires_grad_(False)
        try:
            found = self.judge(fake)
        finally:
            for parameter in frozen:
                parameter.requires_grad_(True)
        for (features, score), (real_features, _) in zip(found, wanted, strict=True):
            total = total + ((1 - score) ** 2).mean()
            for ours, theirs in zip(features, real_features, strict=True):
                total = total + matching * (ours - theirs).abs().mean()
        return total

    def discriminator_loss(self, fake: Tensor, real: Tensor) -> Tensor:
        """How badly the discriminator tells both apart; gradients flow into it alone."""
        total = fake.new_zeros(())
        for (_, made), (_, true) in zip(self.judge(fake.detach()), self.judge(real), strict=True):
            total = total + ((1 - true) ** 2).mean() + (made**2).mean()
        return total
