"""New lips: one step of the U-Net."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import GenerationError
from ..models.batching import in_batches
from ..progress import Progress
from ..types import FaceLatents

if TYPE_CHECKING:
    import torch

    from ..models.unet import LipNet


def generate_lips(
    lip_net: LipNet, latents: FaceLatents, tokens: torch.Tensor, batch_size: int, progress: Progress | None = None
) -> torch.Tensor:
    """Latents of faces whose mouths say the tokens.

    Args:
        lip_net: the U-Net.
        latents: of B faces.
        tokens: (B, 50, D) float32 audio tokens (`audio.windows.tokens`).
        batch_size: faces a call.
        progress: is told the faces that are done.

    Returns:
        (B, 4, h, w) float32 on the CPU, unscaled.

    Raises:
        GenerationError: the numbers of faces and tokens differ, the U-Net does not fit into memory, or it gives values
            that are not finite.
    """
    if not len(latents.masked) == len(latents.reference) == len(tokens):
        raise GenerationError(
            f"{len(latents.masked)} masked faces, {len(latents.reference)} references and {len(tokens)} audio windows "
            "do not belong together.",
            "Give one of each for every frame.",
        )
    return in_batches(lip_net, [latents.masked, latents.reference, tokens], batch_size, progress)
