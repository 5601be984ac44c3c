"""MuseTalk Decode Faces: latents back to pictures."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..musetalk_core.lips.decode import decode_faces
from ..musetalk_core.pipeline.dub import DubOptions
from ._bridge.convert import image_of, latents_of
from ._bridge.host import HostProgress
from ._bridge.models import autoencoder_of
from ._bridge.options import inputs_of


class MuseTalkDecodeFaces(io.ComfyNode):
    """Faces of latents, a batch at a time."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Latents and VAE."""
        return io.Schema(
            node_id="MuseTalkDecodeFaces",
            display_name="MuseTalk Decode Faces",
            category="MuseTalk",
            description="Decode the painted faces. ComfyUI's VAE Decode does the same; this one can be cancelled "
            "between batches and shows how far it is.",
            search_aliases=["lipsync", "lip sync", "musetalk", "vae decode", "talking", "dub"],
            inputs=[
                io.Latent.Input("latent", tooltip="From MuseTalk Generate Lips."),
                io.Vae.Input("vae", tooltip="The VAE that encoded the faces, or another of the same latents."),
                *inputs_of(DubOptions, "batch_size"),
            ],
            outputs=[
                io.Image.Output(
                    display_name="face_images",
                    tooltip="One face for each frame of the output. Upscalers and restorers may stand between this and "
                    "MuseTalk Blend Faces.",
                )
            ],
        )

    @classmethod
    def execute(cls, latent: Any, vae: Any, batch_size: int) -> io.NodeOutput:
        """Decode the latents."""
        samples = latents_of(latent)
        progress = HostProgress()
        progress.start("decoding faces", len(samples))
        return io.NodeOutput(image_of(decode_faces(samples, autoencoder_of(vae), batch_size, progress)))
