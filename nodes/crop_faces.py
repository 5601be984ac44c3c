"""MuseTalk Crop Faces: the squares that the model sees."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..musetalk_core.models.recipe import FACE_SIZE
from ..musetalk_core.pipeline.faces import crop_faces
from ..musetalk_core.types import FaceTrack
from ._bridge.convert import frames_of, image_of
from ._bridge.host import HostProgress
from ._bridge.types import MUSETALK_FACES


class MuseTalkCropFaces(io.ComfyNode):
    """One face a frame, also for frames that have none."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Frames and faces."""
        return io.Schema(
            node_id="MuseTalkCropFaces",
            display_name="MuseTalk Crop Faces",
            category="MuseTalk",
            description="Cut the face out of every frame, 256 x 256 pixels. A frame without the face gives what lies "
            "in the nearest box, so that there is always one crop for each frame; its mouth is not changed later.",
            search_aliases=["lipsync", "lip sync", "musetalk", "face crop", "talking", "wav2lip"],
            inputs=[
                io.Image.Input("image", tooltip="The frames that the faces were found in."),
                MUSETALK_FACES.Input("faces", tooltip="From MuseTalk Track Faces."),
            ],
            outputs=[
                io.Image.Output(display_name="face_images", tooltip="One for each frame, for MuseTalk Encode Faces.")
            ],
        )

    @classmethod
    def execute(cls, image: Any, faces: FaceTrack) -> io.NodeOutput:
        """Cut out all faces."""
        frames = frames_of(image)
        faces.require_frames(*frames.shape[:3])
        progress = HostProgress()
        progress.start("cropping faces", len(frames))
        return io.NodeOutput(image_of(crop_faces(frames, range(len(frames)), faces, FACE_SIZE, progress)))
