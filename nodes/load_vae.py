"""MuseTalk Load VAE: nano's own VAE, or those that ComfyUI's loader does not find."""

from __future__ import annotations

from comfy_api.latest import io

from ._bridge.models import load_host_vae
from ._bridge.places import find_file, menu


class MuseTalkLoadVAE(io.ComfyNode):
    """A VAE of Stable Diffusion 1's latents, as a VAE of ComfyUI's own."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Menu."""
        return io.Schema(
            node_id="MuseTalkLoadVAE",
            display_name="MuseTalk Load VAE",
            category="MuseTalk",
            description="Load the VAE that turns faces into latents and back. ComfyUI's Load VAE with sd-vae-ft-mse or "
            "taesd does as well.",
            search_aliases=["lipsync", "lip sync", "musetalk", "vae", "sd-vae-ft-mse", "taesd"],
            inputs=[
                io.Combo.Input(
                    "vae",
                    options=menu("vae"),
                    tooltip="nano: very fast, in this pack. sd-vae-ft-mse: the most exact, for MuseTalk 1.5 and 1.0. "
                    "taesd: in between. Any of them fits any MuseTalk model.",
                )
            ],
            outputs=[io.Vae.Output(display_name="VAE", tooltip="For MuseTalk Encode Faces, Decode Faces and others.")],
        )

    @classmethod
    def execute(cls, vae: str) -> io.NodeOutput:
        """Load the file behind the name."""
        return io.NodeOutput(load_host_vae(find_file(vae, "vae")))
