"""MuseTalk Mask Faces: where the new mouth may show."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..musetalk_core.face.mask import MaskOptions
from ..musetalk_core.face.parse import FaceParser
from ..musetalk_core.pipeline.faces import mask_frames
from ..musetalk_core.types import FaceTrack
from ._bridge.convert import frames_of, mask_of
from ._bridge.host import HostProgress
from ._bridge.options import inputs_of, options_of
from ._bridge.types import MUSETALK_FACES, MUSETALK_PARSER


class MuseTalkMaskFaces(io.ComfyNode):
    """Masks of the whole frame, to look at, to edit and to blend by."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Faces, and how much of them is repainted."""
        return io.Schema(
            node_id="MuseTalkMaskFaces",
            display_name="MuseTalk Mask Faces",
            category="MuseTalk",
            description="Say where the new mouth may show, as masks of the whole frame that ComfyUI's own mask nodes "
            "can edit. Black on frames on which the face does not speak.",
            search_aliases=["lipsync", "lip sync", "musetalk", "face mask", "talking", "wav2lip"],
            inputs=[
                MUSETALK_FACES.Input("faces", tooltip="From MuseTalk Track Faces."),
                *inputs_of(MaskOptions, advanced=("expand", "left_cheek_width", "right_cheek_width")),
                io.Image.Input(
                    "image", optional=True, tooltip="The frames that the faces were found in, for jaw, raw and neck."
                ),
                MUSETALK_PARSER.Input(
                    "face_parser", optional=True, tooltip="From MuseTalk Load Face Parser, for jaw, raw and neck."
                ),
            ],
            outputs=[io.Mask.Output(display_name="masks", tooltip="One for each frame, for MuseTalk Blend Faces.")],
        )

    @classmethod
    def execute(
        cls, faces: FaceTrack, image: Any = None, face_parser: FaceParser | None = None, **widgets: Any
    ) -> io.NodeOutput:
        """Draw all masks."""
        frames = None if image is None else frames_of(image)
        if frames is not None:
            faces.require_frames(*frames.shape[:3])
        options = options_of(MaskOptions, widgets)
        return io.NodeOutput(mask_of(mask_frames(faces, options, frames, face_parser, HostProgress())))
