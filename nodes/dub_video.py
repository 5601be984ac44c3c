"""MuseTalk Dub Video: a video and a sound in, the same video speaking that sound out."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..musetalk_core.audio.encode import SpeechOptions
from ..musetalk_core.face.crop import CropOptions
from ..musetalk_core.face.mask import MaskOptions
from ..musetalk_core.face.options import TrackOptions
from ..musetalk_core.pipeline.avatar import FaceOptions, FaceTools
from ..musetalk_core.pipeline.dub import DubOptions, DubSettings, dub
from ..musetalk_core.pipeline.report import summary
from ..musetalk_core.render.blend import BlendOptions
from ..musetalk_core.video.write import WriteOptions
from ._bridge.convert import masks_of, sound_of
from ._bridge.host import HostProgress
from ._bridge.inputs import dtype_input, model_inputs, model_sockets
from ._bridge.models import loaded_model
from ._bridge.options import MODEL_MARGIN, crop_options_of, inputs_of, options_of
from ._bridge.types import MUSETALK_PARSER
from ._bridge.video import footage_of_video, new_video_path, video_of

CHOICE = ("selection", "index", "point_x", "point_y")
STEADY = ("smoothing", "hold_seconds", "fade_seconds", "yaw_limit", "roll_limit", "smallest_face", "likeness",
          "most_faces", "align_roll")  # fmt: skip


class MuseTalkDubVideo(io.ComfyNode):
    """The whole way in one node, in chunks: memory does not grow with the video."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Video, sound, model, and everything that can be set."""
        own = {
            "default": MODEL_MARGIN,
            "min": MODEL_MARGIN,
            "tooltip": "How far the crop reaches below the chin, in pixels of a face 246 pixels high; raising it shows "
            "the model more of the neck. -1 is the model's own: 10 for MuseTalk 1.5 and nano, 0 for MuseTalk 1.0.",
        }
        return io.Schema(
            node_id="MuseTalkDubVideo",
            display_name="MuseTalk Dub Video",
            category="MuseTalk",
            description="Make a face in a video say another sound, in one node. Works through the video in chunks, so "
            "its length does not matter, and changes nothing but the mouth.",
            search_aliases=["lipsync", "lip sync", "musetalk", "talking", "dub", "wav2lip", "video dubbing"],
            inputs=[
                io.Video.Input("video", tooltip="From Load Video or Create Video; a trim window is kept to."),
                io.Audio.Input("audio", tooltip="What the face shall say; it becomes the video's sound."),
                *model_inputs(),
                *inputs_of(TrackOptions, *CHOICE, advanced=CHOICE[1:]),
                *inputs_of(SpeechOptions, "sync_mode", "close_in_silence"),
                *inputs_of(MaskOptions, "kind", "feather"),
                *inputs_of(DubOptions, "batch_size"),
                *inputs_of(CropOptions, "bbox_shift", "chin_margin", advanced=("bbox_shift", "chin_margin"),
                           chin_margin=own),
                *inputs_of(MaskOptions, "expand", "left_cheek_width", "right_cheek_width",
                           advanced=("expand", "left_cheek_width", "right_cheek_width")),
                *inputs_of(TrackOptions, *STEADY, advanced=STEADY),
                *inputs_of(SpeechOptions, "silence_level", "noise_margin", advanced=("silence_level", "noise_margin")),
                *inputs_of(BlendOptions, "color_match", advanced=("color_match",)),
                *inputs_of(DubOptions, "closing", "no_face", advanced=("closing", "no_face")),
                *inputs_of(WriteOptions, "crf", "preset", "lossless", advanced=("crf", "preset", "lossless")),
                dtype_input(),
                *model_sockets(),
                MUSETALK_PARSER.Input(
                    "face_parser", optional=True, tooltip="From MuseTalk Load Face Parser, for jaw, raw and neck."
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="One mask for all frames, of the video's size, in place of parsing_mode: white where the "
                    "mouth may change.",
                ),
            ],
            outputs=[
                io.Video.Output(display_name="VIDEO", tooltip="A temporary file: connect Save Video to keep it."),
                io.String.Output(
                    display_name="report", tooltip="How many frames speak; which do not, from when to when, and why."
                ),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls,
        video: Any,
        audio: Any,
        model_name: str,
        model: Any = None,
        vae: Any = None,
        audio_encoder: Any = None,
        dtype: Any = "auto",
        face_parser: Any = None,
        mask: Any = None,
        **widgets: Any,
    ) -> io.NodeOutput:
        """Dub the whole video."""
        sound, footage = sound_of(audio), footage_of_video(video)
        drawn = None if mask is None else masks_of(mask, 1)
        loaded = loaded_model(model_name, model, vae, audio_encoder, dtype)
        faces = FaceOptions(
            options_of(TrackOptions, widgets),
            crop_options_of(widgets, loaded.recipe),
            options_of(MaskOptions, widgets),
        )
        settings = DubSettings(
            options_of(DubOptions, widgets),
            options_of(SpeechOptions, widgets),
            options_of(BlendOptions, widgets),
            options_of(WriteOptions, widgets),
        )
        tools = FaceTools(loaded.vae, loaded.recipe, faces, face_parser, drawn)
        output = new_video_path()
        report = dub(footage, sound, output, loaded, tools, settings, progress=HostProgress())
        return io.NodeOutput(video_of(output), summary(report))
