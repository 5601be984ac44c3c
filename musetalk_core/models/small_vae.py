"""A very small autoencoder in Stable Diffusion 1's latent space: a ninth of TAESD's work.

Needs torch when it is imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

FOLD = 2  # pixels of a side that become channels before the first layer: full resolution is where the time goes
LATENT_REACH = 3.0  # scaled latents beyond this are squeezed, as TAESD squeezes them

# The embedded model's: 4 GFLOP to decode a 256 px face, 2 to encode it.
NANO_VAE: Mapping[str, Any] = MappingProxyType(
    {"channels": (32, 64, 64), "encoder_blocks": (0, 2, 3), "decoder_blocks": (1, 3, 4), "latent_channels": 4}
)


class Residual(nn.Module):
    """Two convolutions around which the input is led."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same shape."""
        return nn.functional.relu(self.second(nn.functional.relu(self.first(x), inplace=True)).add_(x), inplace=True)


class SmallAutoencoder(nn.Module):
    """Convolutions without normalisation, so that places and pictures of a batch do not touch each other.

    Called as diffusers' AutoencoderTiny is: pictures in -1..1, latents at unit variance.

    Args:
        channels: at a half, a quarter and an eighth of the picture's size.
        encoder_blocks, decoder_blocks: residual blocks at each of these sizes.
        latent_channels: of the latents.
    """

    def __init__(
        self,
        channels: Sequence[int],
        encoder_blocks: Sequence[int],
        decoder_blocks: Sequence[int],
        latent_channels: int = 4,
    ) -> None:
        super().__init__()
        self.config = {
            "channels": tuple(channels),
            "encoder_blocks": tuple(encoder_blocks),
            "decoder_blocks": tuple(decoder_blocks),
            "latent_channels": latent_channels,
        }
        pixels = 3 * FOLD**2
        down: list[nn.Module] = [nn.PixelUnshuffle(FOLD), nn.Conv2d(pixels, channels[0], 3, padding=1)]
        down.append(nn.ReLU(inplace=True))
        for place, blocks in enumerate(encoder_blocks):
            if place:
                down += [nn.Conv2d(channels[place - 1], channels[place], 3, stride=2, padding=1), nn.ReLU(inplace=True)]
            down += [Residual(channels[place]) for _ in range(blocks)]
        down.append(nn.Conv2d(channels[-1], latent_channels, 3, padding=1))
        up: list[nn.Module] = [nn.Conv2d(latent_channels, channels[-1], 3, padding=1), nn.ReLU(inplace=True)]
        for place in reversed(range(len(channels))):
            up += [Residual(channels[place]) for _ in range(decoder_blocks[place])]
            if place:
                up += [nn.Upsample(scale_factor=2), nn.Conv2d(channels[place], channels[place - 1], 3, padding=1)]
        up += [nn.Conv2d(channels[0], pixels, 3, padding=1), nn.PixelShuffle(FOLD)]
        self.encoder, self.decoder = nn.Sequential(*down), nn.Sequential(*up)

    def encode(self, images: Tensor, return_dict: bool = False) -> tuple[Tensor]:
        """Latents (B, 4, H/8, W/8) at unit variance of images (B, 3, H, W) in -1..1."""
        return (self.encoder(images),)

    def decode(self, latents: Tensor, return_dict: bool = False) -> tuple[Tensor]:
        """Images (B, 3, H, W) in about -1..1 of latents (B, 4, H/8, W/8) at unit variance."""
        return (self.decoder(torch.tanh(latents / LATENT_REACH) * LATENT_REACH),)
