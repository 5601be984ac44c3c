"""MuseTalk Encode Faces: crops of faces as the latents that the models take."""

from __future__ import annotations

from typing import Any

import comfy.utils
import numpy as np
from comfy_api.latest import io

from ..musetalk_core.lips.encode import encode_faces
from ..musetalk_core.models.recipe import FACE_SIZE
from ..musetalk_core.pipeline.dub import DubOptions
from ._bridge.convert import frames_of, latent_of
from ._bridge.host import HostProgress
from ._bridge.models import autoencoder_of
from ._bridge.options import inputs_of


class MuseTalkEncodeFaces(io.ComfyNode):
    """Two latents of each face: with its lower half hidden, and whole."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Crops and VAE."""
        return io.Schema(
            node_id="MuseTalkEncodeFaces",
            display_name="MuseTalk Encode Faces",
            category="MuseTalk",
            description="Encode face crops twice: with the lower half black, which the model fills, and whole, from "
            "which it knows the person's mouth and teeth.",
            search_aliases=["lipsync", "lip sync", "musetalk", "vae encode", "talking", "dub"],
            inputs=[
                io.Image.Input(
                    "face_images",
                    tooltip=f"Crops of MuseTalk Crop Faces. Other sizes are resized to {FACE_SIZE} pixels.",
                ),
                io.Vae.Input("vae", tooltip="nano's (MuseTalk Load VAE), sd-vae-ft-mse or TAESD."),
                io.Image.Input(
                    "reference",
                    optional=True,
                    tooltip="Crops that show what the mouth looks like, one for all or one each. Without them each "
                    "face is its own reference.",
                ),
                *inputs_of(DubOptions, "batch_size"),
            ],
            outputs=[
                io.Latent.Output(display_name="masked", tooltip="Faces with their lower half black."),
                io.Latent.Output(display_name="reference", tooltip="Whole faces."),
            ],
        )

    @classmethod
    def execute(cls, face_images: Any, vae: Any, batch_size: int, reference: Any = None) -> io.NodeOutput:
        """Encode the crops."""
        crops = _crops(face_images)
        shown = None if reference is None else _crops(reference)
        if shown is not None and len(shown) == 1:
            shown = np.repeat(shown, len(crops), axis=0)
        progress = HostProgress()
        progress.start("encoding faces", len(crops))
        latents = encode_faces(crops, autoencoder_of(vae), batch_size, shown, progress)
        return io.NodeOutput(latent_of(latents.masked), latent_of(latents.reference))


def _crops(image: Any) -> np.ndarray:
    """Faces as the models take them, (B, 256, 256, 3) float32."""
    frames = frames_of(image)
    if frames.shape[1:3] == (FACE_SIZE, FACE_SIZE):
        return frames
    import torch

    pictures = torch.from_numpy(frames).movedim(-1, 1)
    resized = comfy.utils.common_upscale(pictures, FACE_SIZE, FACE_SIZE, "area", "disabled")
    return np.ascontiguousarray(resized.movedim(1, -1).numpy())
