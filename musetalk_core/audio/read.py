"""A sound file, or the sound of a video, as the networks hear it."""

from __future__ import annotations

from pathlib import Path

from ..errors import MediaError
from ..types import AudioClip
from .decode import decode_sound, sound_format
from .resample import speech_samples


def read_audio(path: str | Path, stream: int = 0) -> AudioClip:
    """Read one sound track as mono float32 at 16 kHz.

    Time 0 is the first frame of the video that the sound belongs to, or the first sample that a player sounds: a track
    that begins later than its video is led in by silence, one that begins earlier is cut.

    Args:
        path: any sound file, or a video file.
        stream: which sound track, counted from 0.

    Raises:
        MediaError: missing, no sound in it, damaged, cut off, empty, or NaN samples.
    """
    path = Path(path)
    form = sound_format(path, stream)
    samples = speech_samples(decode_sound(path, stream), form.channels, form.rate)
    if len(samples) == 0:
        raise MediaError(f"The sound of {path} has no samples.", "Give a sound that is longer than 0 seconds.")
    return AudioClip(samples)
