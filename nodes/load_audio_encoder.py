"""MuseTalk Load Audio Encoder: the Whisper that the models hear with."""

from __future__ import annotations

from comfy_api.latest import io

from ._bridge.models import load_host_audio_encoder
from ._bridge.places import find_file, menu


class MuseTalkLoadAudioEncoder(io.ComfyNode):
    """Whisper tiny as an AUDIO_ENCODER."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Menu."""
        return io.Schema(
            node_id="MuseTalkLoadAudioEncoder",
            display_name="MuseTalk Load Audio Encoder",
            category="MuseTalk",
            description="Load the Whisper encoder that hears the speech. Sounds of any length are encoded, also by "
            "ComfyUI's own Audio Encoder Encode.",
            search_aliases=["lipsync", "lip sync", "musetalk", "whisper", "speech", "talking", "dub"],
            inputs=[
                io.Combo.Input(
                    "audio_encoder",
                    options=menu("audio_encoder"),
                    tooltip="whisper-tiny.en: for nano, in this pack; it follows every language. whisper-tiny: for "
                    "MuseTalk 1.5 and 1.0. A model refuses the sound of an encoder that it was not trained with.",
                )
            ],
            outputs=[io.AudioEncoder.Output(display_name="AUDIO_ENCODER", tooltip="For MuseTalk Encode Audio.")],
        )

    @classmethod
    def execute(cls, audio_encoder: str) -> io.NodeOutput:
        """Load the file behind the name."""
        return io.NodeOutput(load_host_audio_encoder(find_file(audio_encoder, "audio_encoder")))
