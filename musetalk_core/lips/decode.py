"""Latents back to pictures of faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..models.batching import in_batches
from ..progress import Progress

if TYPE_CHECKING:
    import torch

    from ..models.vae import Autoencoder


def decode_faces(
    latents: torch.Tensor, vae: Autoencoder, batch_size: int, progress: Progress | None = None
) -> np.ndarray:
    """Pictures of the faces that the U-Net made.

    Args:
        latents: (B, 4, h, w) float32, unscaled.
        vae: the autoencoder.
        batch_size: faces a call.
        progress: is told the faces that are done.

    Returns:
        (B, H, W, 3) float32 RGB in 0..1.

    Raises:
        GenerationError: the VAE does not fit into memory, or gives values that are not finite.
    """
    images = in_batches(vae.decode, [latents], batch_size, progress)  # (B, 3, H, W) in -1..1
    pictures = images.add(1).div_(2).permute(0, 2, 3, 1)
    return np.ascontiguousarray(pictures.numpy())
