"""MuseTalk Encode Audio: what is said, as the models hear it."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..musetalk_core.audio.encode import SpeechOptions, encode_speech
from ..musetalk_core.errors import OptionError
from ._bridge.convert import clip_of, rate_of
from ._bridge.host import HostProgress
from ._bridge.inputs import fps_input
from ._bridge.models import heard_in, whisper_of
from ._bridge.options import inputs_of, options_of
from ._bridge.types import MUSETALK_SPEECH


class MuseTalkEncodeAudio(io.ComfyNode):
    """A sound as speech features, with all that decides how it drives the mouth."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Sound, rate, and how the sound drives the mouth."""
        return io.Schema(
            node_id="MuseTalkEncodeAudio",
            display_name="MuseTalk Encode Audio",
            category="MuseTalk",
            description="Hear a sound of any length. Connect AUDIO and AUDIO_ENCODER, or the output of ComfyUI's Audio "
            "Encoder Encode that was made with a MuseTalk audio encoder.",
            search_aliases=["lipsync", "lip sync", "musetalk", "speech", "talking", "dub", "wav2lip"],
            inputs=[
                io.Audio.Input("audio", optional=True, tooltip="What the mouth shall say."),
                io.AudioEncoder.Input("audio_encoder", optional=True, tooltip="From MuseTalk Load Audio Encoder."),
                io.AudioEncoderOutput.Input(
                    "audio_encoder_output", optional=True, tooltip="In place of audio and audio_encoder."
                ),
                fps_input(),
                *inputs_of(SpeechOptions, advanced=("layout", "silence_level", "noise_margin")),
            ],
            outputs=[
                MUSETALK_SPEECH.Output(
                    display_name="speech", tooltip="For MuseTalk Generate Lips and Blend Faces: give both the same."
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        fps: float,
        audio: Any = None,
        audio_encoder: Any = None,
        audio_encoder_output: Any = None,
        **widgets: Any,
    ) -> io.NodeOutput:
        """Encode the sound."""
        if audio_encoder_output is not None:
            encoder, clip = heard_in(audio_encoder_output)
        elif audio is not None and audio_encoder is not None:
            encoder, clip = whisper_of(audio_encoder), clip_of(audio)
        else:
            raise OptionError("There is no sound to encode.", "Connect audio and audio_encoder.")
        options = options_of(SpeechOptions, widgets)
        return io.NodeOutput(encode_speech(clip, encoder, rate_of(fps), options, progress=HostProgress()))
