"""Pictures to latents and back: Stable Diffusion 1's autoencoder, and small ones that live in the same latent space.

At this border every latent is unscaled, as ComfyUI's LATENT is.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import ModelError
from ..placement import Placement
from .recipe import LATENT_SCALE

if TYPE_CHECKING:
    import torch
    from torch import nn

PIXELS_PER_LATENT = 8  # three halvings
LATENT_CHANNELS = 4
CACHED_ROWS = 2  # pictures that a CPU runs at once: what more of them need falls out of its cache

# Source: sd-vae-ft-mse; 83.65 M parameters in 248 tensors.
OFFICIAL_KL: Mapping[str, Any] = MappingProxyType(
    {
        "in_channels": 3,
        "out_channels": 3,
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "block_out_channels": (128, 256, 512, 512),
        "layers_per_block": 2,
        "act_fn": "silu",
        "latent_channels": LATENT_CHANNELS,
        "norm_num_groups": 32,
        "sample_size": 256,
    }
)

# Source: TAESD; 1.2 M parameters each way.
OFFICIAL_TINY: Mapping[str, Any] = MappingProxyType(
    {
        "encoder_block_out_channels": (64, 64, 64, 64),
        "decoder_block_out_channels": (64, 64, 64, 64),
        "num_encoder_blocks": (1, 3, 3, 3),
        "num_decoder_blocks": (3, 3, 3, 1),
        "latent_channels": LATENT_CHANNELS,
    }
)


class Autoencoder(Protocol):
    """Turns faces into latents and back.

    Attributes:
        identity: a name of its encoder's content, for the keys of cached latents: equal latents, equal name.
    """

    @property
    def identity(self) -> str: ...

    def encode(self, images: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        """Latents (B, 4, H/8, W/8), unscaled, float32 on the CPU, of images (B, 3, H, W) float32 in -1..1."""

    def decode(self, latents: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        """Images (B, 3, H, W) in -1..1, float32 on the CPU, of latents (B, 4, H/8, W/8), unscaled."""


def build_autoencoder(network: str, config: Mapping[str, Any]) -> nn.Module:
    """An autoencoder on the meta device.

    Args:
        network: "AutoencoderKL" or "AutoencoderTiny" of diffusers, or our "SmallAutoencoder".
        config: its configuration.

    Raises:
        ModelError: diffusers does not accept the configuration, or the latents have not 4 channels.
    """
    import torch
    from diffusers import AutoencoderKL, AutoencoderTiny

    from .small_vae import SmallAutoencoder

    if config.get("latent_channels", LATENT_CHANNELS) != LATENT_CHANNELS:
        raise ModelError(
            f"This VAE has {config['latent_channels']} latent channels; MuseTalk needs {LATENT_CHANNELS}.",
            "Use a VAE of Stable Diffusion 1 (sd-vae-ft-mse).",
        )
    kinds: Mapping[str, Any] = {
        "AutoencoderKL": AutoencoderKL, "AutoencoderTiny": AutoencoderTiny, "SmallAutoencoder": SmallAutoencoder,
    }  # fmt: skip
    try:
        with torch.device("meta"):
            built: nn.Module = kinds[network](**config)
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise ModelError(f"The VAE's configuration is not valid: {error}.", "Convert the weights again.") from error
    return built


class KLAutoencoder:
    """Stable Diffusion 1's autoencoder.

    Args:
        network: diffusers' AutoencoderKL with weights.
        identity: a name of its weights.
        placement: where it runs.
        sample_seed: None encodes to the posterior's mode, the same latents each time. A number draws from the posterior
            as the released code does, but with this seed and one draw for all images, so that the latents depend
            neither on the batch nor on the frame's number.
    """

    def __init__(self, network: nn.Module, identity: str, placement: Placement, sample_seed: int | None = None) -> None:
        self.network = network
        self.identity = identity if sample_seed is None else f"{identity}-sample{sample_seed}"
        self._placement = placement
        self._sample_seed = sample_seed

    def encode(self, images: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        """See `Autoencoder.encode`."""
        import torch

        device, precision = self._placement.device, dtype or self._placement.dtype
        network: Any  # diffusers' autoencoders, which carry no types
        with self._placement.lend(self.network, precision) as network:
            posterior = network.encode(images.to(device, precision)).latent_dist
            mean: torch.Tensor = posterior.mean.float().cpu()
            spread: torch.Tensor = posterior.std.float().cpu()
        if self._sample_seed is None:
            return mean.clone()  # an ordinary tensor again: those of inference mode refuse later changes
        generator = torch.Generator().manual_seed(self._sample_seed)
        return mean + spread * torch.randn(mean.shape[1:], generator=generator)

    def decode(self, latents: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        """See `Autoencoder.decode`."""
        device, precision = self._placement.device, dtype or self._placement.dtype
        network: Any  # diffusers' autoencoders, which carry no types
        with self._placement.lend(self.network, precision) as network:
            images: torch.Tensor = network.decode(latents.to(device, precision), return_dict=False)[0].float().cpu()
        return _in_range(images)


class TinyAutoencoder:
    """TAESD, or a smaller network that is called as it is.

    Args:
        network: diffusers' AutoencoderTiny, or a SmallAutoencoder, with weights.
        identity: a name of its weights.
        placement: where it runs.
    """

    def __init__(self, network: nn.Module, identity: str, placement: Placement) -> None:
        self.network = network
        self.identity = identity
        self._placement = placement

    def encode(self, images: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        """See `Autoencoder.encode`."""
        return unscaled_latents(self._run("encode", images, dtype))

    def decode(self, latents: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        """See `Autoencoder.decode`."""
        return _in_range(self._run("decode", scaled_latents(latents), dtype))

    def _run(self, call: str, values: torch.Tensor, dtype: torch.dtype | None) -> torch.Tensor:
        device, precision = self._placement.device, dtype or self._placement.dtype
        with self._placement.lend(self.network, precision) as network:
            return run_tiny(getattr(network, call), values.to(device, precision)).float().cpu()


def run_tiny(call: Any, values: torch.Tensor) -> torch.Tensor:
    """What `encode` or `decode` of a tiny autoencoder gives, in the way that is quickest where the values are."""
    import torch

    # Channels last is quicker for networks this small, in float32 on a CPU too; the large ones lose by it.
    placed = values.contiguous(memory_format=torch.channels_last)
    rows = CACHED_ROWS if placed.device.type == "cpu" else len(placed)
    return torch.cat([call(part, return_dict=False)[0] for part in torch.split(placed, rows)])


def scaled_latents(latents: torch.Tensor) -> torch.Tensor:
    """The latents that tiny autoencoders speak (unit variance) from those of our border."""
    return latents * LATENT_SCALE


def unscaled_latents(latents: torch.Tensor) -> torch.Tensor:
    """The latents of our border from those that tiny autoencoders speak."""
    return latents / LATENT_SCALE


def _in_range(images: torch.Tensor) -> torch.Tensor:
    """Clamped to -1..1; an infinite pixel becomes NaN, not white, so that an overflow is still seen."""
    return images.clamp(-1, 1) + 0 * images
