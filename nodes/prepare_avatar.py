"""MuseTalk Prepare Avatar: all of a dub that needs no sound, done once."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..musetalk_core.pipeline.avatar import Avatar, FaceTools, make_avatar
from ..musetalk_core.pipeline.dub import DubOptions
from ..musetalk_core.types import FaceTrack
from ._bridge.convert import footage_of, masks_of, rate_of
from ._bridge.host import HostProgress
from ._bridge.inputs import fps_input
from ._bridge.models import autoencoder_of
from ._bridge.options import inputs_of
from ._bridge.types import MUSETALK_AVATAR, MUSETALK_FACES


class MuseTalkPrepareAvatar(io.ComfyNode):
    """Face, latents and masks of a clip, for many sounds."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Frames, faces, VAE."""
        return io.Schema(
            node_id="MuseTalkPrepareAvatar",
            display_name="MuseTalk Prepare Avatar",
            category="MuseTalk",
            description="Encode and mask the face of every frame once, so that MuseTalk Speak starts at once with any "
            "sound. Save it to use it another day.",
            search_aliases=["lipsync", "lip sync", "musetalk", "avatar", "talking head", "wav2lip"],
            inputs=[
                io.Image.Input("image", tooltip="The frames that the faces were found in; one frame does too."),
                MUSETALK_FACES.Input("faces", tooltip="From MuseTalk Track Faces."),
                io.Vae.Input(
                    "vae",
                    tooltip="The VAE of the model that will speak: sd-vae-ft-mse for 1.0 and 1.5, nano's for nano.",
                ),
                fps_input(),
                *inputs_of(DubOptions, "batch_size"),
                io.Boolean.Input(
                    "embed_frames",
                    default=False,
                    tooltip="Keep the frames in the avatar too, so that MuseTalk Speak needs no image. Makes large "
                    "files: 6 MB for each frame of 1080p.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Where the new mouth may show (MuseTalk Mask Faces): one for each frame, or one for all. "
                    "Without one: the lower face.",
                ),
            ],
            outputs=[MUSETALK_AVATAR.Output(display_name="avatar", tooltip="For MuseTalk Speak and Save Avatar.")],
        )

    @classmethod
    def execute(
        cls, image: Any, faces: FaceTrack, vae: Any, fps: float, batch_size: int, embed_frames: bool, mask: Any = None
    ) -> io.NodeOutput:
        """Encode and mask."""
        footage = footage_of(image, rate_of(fps))
        n, height, width = len(footage.clock), footage.height, footage.width
        faces.require_frames(n, height, width)
        tools = FaceTools(autoencoder_of(vae), user_mask=None if mask is None else masks_of(mask, n))
        avatar = Avatar(faces, tools.key(footage, faces), footage.clock)
        return io.NodeOutput(
            make_avatar(
                footage, avatar, tools, embed_frames=embed_frames, batch_size=batch_size, progress=HostProgress()
            )
        )
