"""MuseTalk Blend Faces: new mouths into the frames."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..musetalk_core.pipeline.blend import blend_frames
from ..musetalk_core.pipeline.dub import DubOptions
from ..musetalk_core.pipeline.faces import mask_source
from ..musetalk_core.render.blend import BlendOptions
from ..musetalk_core.types import FaceTrack, Speech
from ._bridge.convert import frames_of, image_of, mask_of, masks_of
from ._bridge.host import HostProgress
from ._bridge.options import inputs_of, options_of
from ._bridge.types import MUSETALK_FACES, MUSETALK_SPEECH


class MuseTalkBlendFaces(io.ComfyNode):
    """Puts new faces back; outside the mask no pixel changes."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Frames, new faces, where they belong, and the sound that decides which is shown when."""
        return io.Schema(
            node_id="MuseTalkBlendFaces",
            display_name="MuseTalk Blend Faces",
            category="MuseTalk",
            description="Blend the new faces into the frames, with their colours fitted. Outside the mask nothing "
            "changes. The new faces may have any size, so restorers and upscalers can stand before this node.",
            search_aliases=["lipsync", "lip sync", "musetalk", "paste face", "uncrop", "talking", "wav2lip"],
            inputs=[
                io.Image.Input("image", tooltip="The frames that the faces were found in."),
                io.Image.Input(
                    "face_images", tooltip="The new faces: one for each frame of the output, at any size, uncropped."
                ),
                MUSETALK_FACES.Input("faces", tooltip="From MuseTalk Track Faces."),
                MUSETALK_SPEECH.Input(
                    "speech", tooltip="The same as for MuseTalk Generate Lips: it says which frame is shown when."
                ),
                *inputs_of(BlendOptions, advanced=("mode",)),
                *inputs_of(DubOptions, "closing"),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Where the new mouth may show: one for each frame, or one for all. More white repaints "
                    "more; beyond the face's crop nothing is repainted. Without one: the lower face.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="All frames of the output, in order."),
                io.Mask.Output(display_name="mask", tooltip="How much of the new mouth each of these frames shows."),
            ],
        )

    @classmethod
    def execute(
        cls,
        image: Any,
        face_images: Any,
        faces: FaceTrack,
        speech: Speech,
        closing: Any = "features",
        mask: Any = None,
        **widgets: Any,
    ) -> io.NodeOutput:
        """Blend the whole clip."""
        frames = frames_of(image, alpha=True)
        drawn = None if mask is None else masks_of(mask, len(frames))
        options = options_of(BlendOptions, widgets)
        blended, shown = blend_frames(
            frames, frames_of(face_images), faces, speech, mask_source(faces, drawn), options, closing, HostProgress()
        )
        return io.NodeOutput(image_of(blended), mask_of(shown))
