"""The networks of inference, opened for gradients: the same inputs, constants and outputs.

Needs torch when it is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..models.recipe import LATENT_SCALE
from ..models.unet import position_code
from ..models.vae import Autoencoder, KLAutoencoder, TinyAutoencoder, scaled_latents
from .normalise import TokenScale


class TrainableLips(nn.Module):
    """The U-Net with its constants, as `models.unet.LipNet` calls it: the position code is added in training too.

    Args:
        network: diffusers' UNet2DConditionModel, whose weights are for scaled tokens.
        checkpointed: keep only the blocks' inputs for the backward pass.
        scale: of the sound tokens.
    """

    position: Tensor

    def __init__(self, network: nn.Module, checkpointed: bool = False, scale: TokenScale | None = None) -> None:
        super().__init__()
        config: Any = network.config
        self.network = network
        self.scale = scale
        self.register_buffer("position", position_code(int(config.cross_attention_dim)), persistent=False)
        if checkpointed:
            opened: Any = network
            opened.enable_gradient_checkpointing()

    def forward(self, masked: Tensor, reference: Tensor, tokens: Tensor) -> Tensor:
        """Unscaled latents (B, 4, h, w) from unscaled latents and raw sound tokens (B, 50, D)."""
        latents = torch.cat([masked, reference], dim=1) * LATENT_SCALE  # (B, 8, h, w)
        step = torch.zeros((), dtype=torch.long, device=latents.device)
        tokens = tokens + self.position
        if self.scale is not None:
            tokens = self.scale(tokens)
        lips: Tensor = self.network(latents, step, encoder_hidden_states=tokens, return_dict=False)[0]
        return lips.float() / LATENT_SCALE


def pixel_decoder(vae: Autoencoder) -> Callable[[Tensor], Tensor]:
    """The VAE's decoder with gradients and without clamping: unscaled latents to pictures in about -1..1."""
    network: Any = _network(vae)
    tiny = isinstance(vae, TinyAutoencoder)

    def decode(latents: Tensor) -> Tensor:
        pictures: Tensor = network.decode(scaled_latents(latents) if tiny else latents, return_dict=False)[0]
        return pictures.float()

    return decode


def freeze(vae: Autoencoder, device: torch.device) -> None:
    """Put the VAE where training runs, in fp32 as all weights are; they never change."""
    _network(vae).to(device, torch.float32).eval().requires_grad_(False)


def _network(vae: Autoencoder) -> nn.Module:
    if isinstance(vae, KLAutoencoder | TinyAutoencoder):
        return vae.network
    raise TypeError(f"no decoder with gradients is known for {type(vae).__name__}")
