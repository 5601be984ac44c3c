"""MuseTalk Speak: an avatar says a sound."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..musetalk_core.audio.encode import SpeechOptions, encode_speech
from ..musetalk_core.pipeline.avatar import Avatar, FaceTools, require_match
from ..musetalk_core.pipeline.dub import DubOptions
from ..musetalk_core.pipeline.speak import Speaker
from ..musetalk_core.render.blend import BlendOptions
from ..musetalk_core.timeline import plan
from ._bridge.convert import clip_of, footage_of, image_of
from ._bridge.host import HostProgress
from ._bridge.inputs import dtype_input, model_inputs, model_sockets
from ._bridge.models import loaded_model
from ._bridge.options import inputs_of, options_of
from ._bridge.types import MUSETALK_AVATAR


class MuseTalkSpeak(io.ComfyNode):
    """Makes the frames of a prepared avatar speak."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Avatar, its frames, sound, model."""
        return io.Schema(
            node_id="MuseTalkSpeak",
            display_name="MuseTalk Speak",
            category="MuseTalk",
            description="Make a prepared avatar say a sound: only the mouths are painted, all else was done before.",
            search_aliases=["lipsync", "lip sync", "musetalk", "talking head", "avatar", "dub", "wav2lip"],
            inputs=[
                MUSETALK_AVATAR.Input("avatar", tooltip="From MuseTalk Prepare Avatar or Load Avatar."),
                io.Audio.Input("audio", tooltip="What the avatar shall say."),
                *model_inputs(),
                *inputs_of(SpeechOptions, advanced=("layout", "silence_level", "noise_margin")),
                *inputs_of(BlendOptions, advanced=("mode",)),
                *inputs_of(DubOptions, "batch_size", "closing"),
                dtype_input(),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="The frames that the avatar was made from; not needed when they are embedded in it.",
                ),
                *model_sockets(),
            ],
            outputs=[io.Image.Output(display_name="images", tooltip="All frames of the output, in order.")],
        )

    @classmethod
    def execute(
        cls,
        avatar: Avatar,
        audio: Any,
        model_name: str,
        image: Any = None,
        model: Any = None,
        vae: Any = None,
        audio_encoder: Any = None,
        dtype: Any = "auto",
        **widgets: Any,
    ) -> io.NodeOutput:
        """Speak the whole sound."""
        clip = clip_of(audio)
        footage = avatar.footage() if image is None else footage_of(image, avatar.clock.fps)
        loaded = loaded_model(model_name, model, vae, audio_encoder, dtype)
        tools = FaceTools(loaded.vae, loaded.recipe)
        wanted = {"vae": loaded.vae.identity, "face_size": tools.face_size}
        require_match(avatar, wanted if image is None else {"source": footage.digest(), **wanted}, "on the socket")
        progress, speech_options = HostProgress(), options_of(SpeechOptions, widgets)
        speech = encode_speech(clip, loaded.audio, footage.clock.fps, speech_options, progress=progress)
        timeline = plan(footage.clock, clip.seconds, speech.sync_mode)
        blend, run = options_of(BlendOptions, widgets), options_of(DubOptions, widgets)
        speaker = Speaker([avatar], footage, timeline, loaded.lips, tools, blend, run.batch_size, run.closing)
        return io.NodeOutput(image_of(speaker.all_frames(speech, progress)))
