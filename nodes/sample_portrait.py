"""MuseTalk Sample Portrait: a drawn person who talks, to try things out with."""

from __future__ import annotations

from typing import Any

import numpy as np
from comfy_api.latest import InputImpl, Types, io

from ..musetalk_core.audio.read import read_audio
from ..musetalk_core.portraits.footage import portrait_footage
from ..musetalk_core.portraits.sample import sample_speech
from ..musetalk_core.types import all_frames
from ._bridge.convert import audio_of, image_of, rate_of
from ._bridge.host import HostProgress
from ._bridge.inputs import FPS


class MuseTalkSamplePortrait(io.ComfyNode):
    """Footage without anyone's face, and speech without anyone's voice."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Seed, length, people, size."""
        size: dict[str, Any] = {"default": 512, "min": 128, "max": 1024, "step": 8}
        return io.Schema(
            node_id="MuseTalkSamplePortrait",
            display_name="MuseTalk Sample Portrait",
            category="MuseTalk",
            description="Draw one or two people who talk, and give a sentence of synthetic speech: so that every "
            "example runs at once. Nobody's face or voice is in it.",
            search_aliases=["lipsync", "lip sync", "musetalk", "talking", "test video", "demo", "portrait"],
            inputs=[
                io.Int.Input(
                    "seed",
                    default=7,
                    min=0,
                    max=2**32 - 1,
                    control_after_generate=True,
                    tooltip="Another number draws other people.",
                ),
                io.Float.Input(
                    "seconds",
                    default=4.0,
                    min=0.04,
                    max=60.0,
                    step=0.04,
                    tooltip="Length of clip and sound; more takes longer. The sentence lasts 6 s and is repeated.",
                ),
                io.Int.Input("people", default=1, min=1, max=2, tooltip="One person, or two side by side."),
                io.Float.Input(
                    "fps", default=FPS, min=1.0, max=60.0, step=0.001, tooltip="Frames a second. More move smoother."
                ),
                io.Int.Input("width", tooltip="Pixels. Larger frames give a larger face.", **size),
                io.Int.Input("height", tooltip="Pixels. Larger frames give a larger face.", **size),
            ],
            outputs=[
                io.Video.Output(display_name="VIDEO", tooltip="The frames with the sound."),
                io.Image.Output(display_name="IMAGE", tooltip="The frames alone."),
                io.Audio.Output(
                    display_name="AUDIO",
                    tooltip="The sentence; the drawn mouths say something else until they are dubbed.",
                ),
            ],
        )

    @classmethod
    def execute(cls, seed: int, seconds: float, people: int, fps: float, width: int, height: int) -> io.NodeOutput:
        """Draw the clip."""
        rate = rate_of(fps)
        footage = portrait_footage(seed, seconds, rate, width=width, height=height, people=people)
        clip = read_audio(sample_speech())
        said = np.resize(clip.samples, max(1, round(footage.clock.seconds * clip.rate)))
        image, audio = image_of(all_frames(footage, "drawing", HostProgress())), audio_of(said[None], clip.rate)
        video = InputImpl.VideoFromComponents(Types.VideoComponents(images=image, audio=audio, frame_rate=rate))
        return io.NodeOutput(video, image, audio)
