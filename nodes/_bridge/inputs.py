"""Inputs that several nodes share."""

from __future__ import annotations

from typing import get_args

from comfy_api.latest import io

from ...musetalk_core.placement import DtypeName
from .places import model_names

FPS = 25.0  # frames a second, when nobody says


def fps_input() -> io.Input:
    """The frame rate of an IMAGE, which does not know its own."""
    return io.Float.Input(
        "fps",
        default=FPS,
        min=1.0,
        max=240.0,
        step=0.001,
        tooltip="Frames a second of the IMAGE: connect that of Get Video Components. 29.97 and 23.976 stand for "
        "30000/1001 and 24000/1001.",
    )


def model_inputs() -> list[io.Input]:
    """The menu of whole models, and sockets that replace a part of what it names."""
    return [
        io.Combo.Input(
            "model_name",
            options=model_names(),
            tooltip="nano: small and fast, in this pack. 1.5: the best picture (3.4 GB file). 1.0: the first release. "
            "Below them: your own files in models/musetalk. VAE and audio encoder come with it.",
        )
    ]


def model_sockets() -> list[io.Input]:
    """Sockets that replace what the menu of `model_inputs` names, and its precision."""
    return [
        io.Model.Input("model", optional=True, tooltip="From MuseTalk Load Model, in place of model_name."),
        io.Vae.Input("vae", optional=True, tooltip="Another VAE than the model's own: sd-vae-ft-mse, TAESD or nano's."),
        io.AudioEncoder.Input(
            "audio_encoder", optional=True, tooltip="From MuseTalk Load Audio Encoder, in place of the model's own."
        ),
    ]


def dtype_input() -> io.Input:
    """The precision of what the menu of `model_inputs` names."""
    return io.Combo.Input(
        "dtype",
        options=list(get_args(DtypeName)),
        default="auto",
        tooltip="Precision. auto is what ComfyUI takes for its own models; fp16 and bf16 are faster on a GPU and halve "
        "the memory; fp32 is the most exact.",
        advanced=True,
    )
