"""The network that paints the mouth: one pass, no noise, no scheduler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ModelError
from ..placement import Placement
from .recipe import TOKENS, Recipe

if TYPE_CHECKING:
    import torch
    from torch import nn

POSITION_BASE = 10_000.0  # wavelengths of the position code grow from 2 pi to 2 pi times this


def build_unet(config: Mapping[str, Any], device: str = "meta") -> nn.Module:
    """diffusers' conditional U-Net of this configuration.

    Args:
        config: as `recipe.OFFICIAL_UNET`.
        device: "meta" takes no memory until weights are loaded; any other gives random weights to train from.

    Raises:
        ModelError: diffusers does not accept the configuration.
    """
    import torch
    from diffusers import UNet2DConditionModel

    try:
        with torch.device(device):
            network: nn.Module = UNet2DConditionModel(**config)
    except (TypeError, ValueError, KeyError) as error:
        raise ModelError(f"The U-Net's configuration is not valid: {error}.", "Convert the weights again.") from error
    return network


def position_code(width: int, count: int = TOKENS) -> torch.Tensor:
    """What tells the audio tokens apart: sines on even, cosines on odd channels.

    Source: the released models add it to the sound features, silence included, just before the U-Net.

    Args:
        width: channels D, even.
        count: tokens.

    Returns:
        (count, D) float32.
    """
    import torch

    index = torch.arange(count, dtype=torch.float64)[:, None]
    rates = POSITION_BASE ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)[None, :]
    waves = torch.stack([torch.sin(index * rates), torch.cos(index * rates)], dim=-1)  # (count, D/2, 2)
    return waves.reshape(count, width).float()  # interleaved: even channels sine, odd cosine


class LipNet:
    """The U-Net with all that is constant about it: latent scale, time step 0, position code.

    Args:
        network: diffusers' UNet2DConditionModel with weights.
        recipe: what it was trained with.
        placement: where it runs.
    """

    def __init__(self, network: nn.Module, recipe: Recipe, placement: Placement) -> None:
        config: Any = network.config
        self.network = network
        self.recipe = recipe
        self.width = int(config.cross_attention_dim)
        self._placement = placement
        self._position = position_code(self.width)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._placement.device

    def __call__(
        self, masked: torch.Tensor, reference: torch.Tensor, tokens: torch.Tensor, dtype: torch.dtype | None = None
    ) -> torch.Tensor:
        """Latents of faces that say the tokens.

        Args:
            masked: (B, 4, h, w) float32, unscaled latents of crops whose lower half is black.
            reference: (B, 4, h, w) float32, unscaled latents of whole crops.
            tokens: (B, 50, D) float32, sound features without position code.
            dtype: precision of this call; default: the placement's.

        Returns:
            (B, 4, h, w) float32 on the CPU, unscaled.

        Raises:
            ModelError: the tokens are of another width than the network's.
        """
        import torch

        if tokens.shape[1:] != self._position.shape:
            raise ModelError(
                f"{self.recipe.title} takes {TOKENS} sound tokens of {self.width} features, "
                f"not {tuple(tokens.shape[1:])}.",
                f"Encode the sound with {self.recipe.audio_encoder}.",
            )
        device, precision = self._placement.device, dtype or self._placement.dtype
        latents = torch.cat([masked, reference], dim=1) * self.recipe.latent_scale  # (B, 8, h, w)
        with self._placement.lend(self.network, precision) as network:
            lips: torch.Tensor = (
                network(
                    latents.to(device, precision),
                    torch.zeros((), dtype=torch.long, device=device),
                    encoder_hidden_states=(tokens + self._position).to(device, precision),
                    return_dict=False,
                )[0]
                .float()
                .cpu()
            )
        return lips / self.recipe.latent_scale
