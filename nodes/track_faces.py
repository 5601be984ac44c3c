"""MuseTalk Track Faces: where the speaking face is in every frame."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..musetalk_core.errors import OptionError
from ..musetalk_core.face.crop import CropOptions
from ..musetalk_core.face.options import TrackOptions
from ..musetalk_core.face.preview import contact_sheet
from ..musetalk_core.face.track import track_faces, track_from_landmarks
from ._bridge.convert import bounding_boxes_of, boxes_of, footage_of, image_of, landmarks_of, masks_of, rate_of
from ._bridge.host import HostProgress
from ._bridge.inputs import fps_input
from ._bridge.options import inputs_of, options_of
from ._bridge.types import FACE_LANDMARKS, MUSETALK_FACES

SHOWN = ("selection", "index", "point_x", "point_y")


class MuseTalkTrackFaces(io.ComfyNode):
    """Finds one person's face in every frame and says where it can speak."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Frames, who, and optional faces from outside."""
        one_person = {
            "options": ["largest", "index", "coordinates"],
            "tooltip": "Whose face is followed: the largest over the clip, a number counted from left to right "
            "(index), or the one at a place in the picture (coordinates).",
        }
        return io.Schema(
            node_id="MuseTalkTrackFaces",
            display_name="MuseTalk Track Faces",
            category="MuseTalk",
            description="Follow one person's face through a clip, over cuts and short gaps. Frames without the face, "
            "or with the head turned too far, are marked and keep their own mouth.",
            search_aliases=["lipsync", "lip sync", "musetalk", "face detection", "face tracking", "talking", "wav2lip"],
            inputs=[
                io.Image.Input("image", tooltip="All frames of the clip, in order; one frame does too."),
                fps_input(),
                *inputs_of(TrackOptions, *SHOWN, selection=one_person),
                *inputs_of(
                    TrackOptions,
                    "smoothing", "hold_seconds", "fade_seconds", "yaw_limit", "roll_limit", "smallest_face", "likeness",
                    "most_faces", "align_roll",
                    advanced=("hold_seconds", "fade_seconds", "roll_limit", "likeness", "most_faces", "align_roll"),
                ),
                *inputs_of(CropOptions, "bbox_shift", "chin_margin"),
                FACE_LANDMARKS.Input(
                    "face_landmarks",
                    optional=True,
                    tooltip="From ComfyUI's Detect Face Landmarks (MediaPipe), in place of our own tracker.",
                ),
                io.BoundingBox.Input(
                    "bboxes",
                    optional=True,
                    force_input=True,
                    tooltip="Boxes around faces, one list a frame or one for all, in place of our own detector.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Only faces whose centre lies where this is white count: one mask for all frames, or one "
                    "for each.",
                ),
            ],
            outputs=[
                MUSETALK_FACES.Output(display_name="faces", tooltip="For the other MuseTalk nodes of this clip."),
                io.Image.Output(
                    display_name="preview", tooltip="Frames of the clip with box and landmarks; red ones do not speak."
                ),
                io.BoundingBox.Output(
                    display_name="bboxes", tooltip="The crop box of every frame; none where the face is not there."
                ),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, image: Any, fps: float, face_landmarks: Any = None, bboxes: Any = None, mask: Any = None, **widgets: Any
    ) -> io.NodeOutput:
        """Track one person."""
        if face_landmarks is not None and bboxes is not None:
            raise OptionError("Both face_landmarks and bboxes are connected.", "Connect one of them.")
        footage = footage_of(image, rate_of(fps))
        n, height, width = len(footage.clock), footage.height, footage.width
        options, crop = options_of(TrackOptions, widgets), options_of(CropOptions, widgets)
        search = None if mask is None else masks_of(mask, n)
        if face_landmarks is not None:
            found = landmarks_of(face_landmarks, height, width)
            tracks = track_from_landmarks(footage, found, options, crop, HostProgress(), search=search)
        else:
            boxes = None if bboxes is None else boxes_of(bboxes, n)
            tracks = track_faces(footage, options, crop, HostProgress(), boxes=boxes, search=search)
        preview = contact_sheet(footage, tracks)
        return io.NodeOutput(tracks[0], image_of(preview[None]), bounding_boxes_of(tracks[0]))
