"""MuseTalk Generate Lips: faces and speech to faces that speak."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..musetalk_core.audio.windows import speech_starts, tokens
from ..musetalk_core.errors import OptionError
from ..musetalk_core.lips.generate import generate_lips
from ..musetalk_core.models.recipe import require_encoder
from ..musetalk_core.pipeline.blend import clip_timeline
from ..musetalk_core.pipeline.dub import DubOptions
from ..musetalk_core.types import FaceLatents, Speech
from ._bridge.convert import latent_of, latents_of
from ._bridge.host import HostProgress
from ._bridge.models import lip_net_of
from ._bridge.options import inputs_of
from ._bridge.types import MUSETALK_SPEECH


class MuseTalkGenerateLips(io.ComfyNode):
    """New latents for every output frame, in one step of the U-Net."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Model, two latents, speech."""
        return io.Schema(
            node_id="MuseTalkGenerateLips",
            display_name="MuseTalk Generate Lips",
            category="MuseTalk",
            description="Paint mouths that say the speech. Gives one latent for each frame of the output, which may be "
            "more or fewer than the faces: the speech's fps and sync_mode decide.",
            search_aliases=["lipsync", "lip sync", "musetalk", "talking", "dub", "wav2lip", "sampler"],
            inputs=[
                io.Model.Input("model", tooltip="From MuseTalk Load Model."),
                io.Latent.Input("masked", tooltip="From MuseTalk Encode Faces, one for each frame of the video."),
                io.Latent.Input("reference", tooltip="From MuseTalk Encode Faces; one for all does too."),
                MUSETALK_SPEECH.Input("speech", tooltip="From MuseTalk Encode Audio."),
                *inputs_of(DubOptions, "batch_size"),
            ],
            outputs=[
                io.Latent.Output(
                    display_name="LATENT", tooltip="One for each frame of the output; also for ComfyUI's VAE Decode."
                )
            ],
        )

    @classmethod
    def execute(cls, model: Any, masked: Any, reference: Any, speech: Speech, batch_size: int) -> io.NodeOutput:
        """Paint the frames that the sound drives; the others keep their faces."""
        import torch

        lip_net = lip_net_of(model)
        require_encoder(lip_net.recipe, speech.encoder)
        faces, wholes = latents_of(masked, "masked LATENT"), latents_of(reference, "reference LATENT")
        if len(wholes) not in (1, len(faces)):
            raise OptionError(
                f"There are {len(faces)} masked faces, but {len(wholes)} references.", "Give one, or one for each."
            )
        wholes = wholes.expand(len(faces), -1, -1, -1)
        timeline = clip_timeline(len(faces), speech)
        driven, rest = timeline.source[: timeline.driven], timeline.source[timeline.driven :]
        starts = speech_starts(speech, timeline.clock)[: timeline.driven]
        progress = HostProgress()
        progress.start("painting lips", len(driven))
        latents = FaceLatents(faces[driven], wholes[driven])
        lips = generate_lips(lip_net, latents, tokens(speech, starts), batch_size, progress)
        return io.NodeOutput(latent_of(torch.cat([lips, wholes[rest]])))
