"""Face crops to what the U-Net is told about a face."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import FaceError
from ..models.batching import in_batches
from ..progress import Progress
from ..types import FaceLatents

if TYPE_CHECKING:
    import torch

    from ..models.vae import Autoencoder


def encode_faces(
    crops: np.ndarray,
    vae: Autoencoder,
    batch_size: int,
    reference: np.ndarray | None = None,
    progress: Progress | None = None,
) -> FaceLatents:
    """Latents of each crop with its lower half black, and of a whole crop; both in one call of the VAE.

    Args:
        crops: (B, 256, 256, 3) RGB, uint8, or float32 in 0..1. Any even height does.
        vae: the autoencoder.
        batch_size: crops a call; the VAE gets twice as many pictures.
        reference: (B, 256, 256, 3) the crops that show what the mouth looks like; default: the crops themselves.
        progress: is told the crops that are done.

    Returns:
        B masked and reference latents.

    Raises:
        FaceError: crops of another shape or kind, or references that do not match them.
        GenerationError: the VAE does not fit into memory, or gives values that are not finite.

    Source: the released models take RGB in -1..1 with rows 128..255 set to -1.
    """
    import torch

    _check_crops(crops)
    whole = crops if reference is None else reference
    if whole.shape != crops.shape or whole.dtype != crops.dtype:
        raise FaceError(f"{_describe(whole)} reference crops do not match {_describe(crops)} crops.")

    def encode(faces: torch.Tensor, references: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        masked = _normalise(faces)
        masked[:, :, masked.shape[2] // 2 :] = -1  # black; any other grey costs the released models their sync
        latents = vae.encode(torch.cat([masked, _normalise(references)]), dtype)  # (2b, 4, h, w)
        return torch.cat(latents.chunk(2), dim=1)  # (b, 8, h, w): masked, reference

    inputs = [torch.tensor(crops), torch.tensor(whole)]
    masked, references = in_batches(encode, inputs, batch_size, progress).chunk(2, dim=1)
    return FaceLatents(masked.contiguous(), references.contiguous())


def _normalise(crops: torch.Tensor) -> torch.Tensor:
    """(b, H, W, 3) uint8, or float32 in 0..1 -> (b, 3, H, W) float32 in -1..1, a new tensor."""
    scale = 1.0 if crops.is_floating_point() else 255.0
    return crops.permute(0, 3, 1, 2).float() / scale * 2 - 1


def _check_crops(crops: np.ndarray) -> None:
    fits = crops.ndim == 4 and crops.shape[0] > 0 and crops.shape[1] % 2 == 0 and crops.shape[3] == 3
    if not fits or crops.dtype not in (np.uint8, np.float32):
        raise FaceError(
            f"{_describe(crops)} is no stack of face crops.", "They are (B, 256, 256, 3), uint8, or float32 in 0..1."
        )


def _describe(crops: np.ndarray) -> str:
    return f"{crops.shape} {crops.dtype}"
