"""What frames of a clip hear: the U-Net's tokens, and SyncNet's spectrum."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ..audio.windows import MIDDLE, WINDOW_STEPS, tokens
from ..types import ENCODER_HZ, Speech
from .cutting import MEL_HZ, RATE

if TYPE_CHECKING:
    import torch

QUIET_MEL = -4.0  # SyncNet's spectrum of silence


def clip_tokens(file: Any, frames: np.ndarray, offset: float, header: Mapping[str, Any]) -> torch.Tensor:
    """What each frame hears, by the time of the whole recording: the windows of inference, moved by the offset."""
    import torch

    times = file.get_tensor("times")[frames] + offset
    starts = np.floor(np.round(times * ENCODER_HZ, 6) + 0.5).astype(np.int64) - MIDDLE
    stored, origin = file.get_slice("steps"), int(header["first_step"])
    count = stored.get_shape()[0]
    first = int(np.clip(starts.min() - origin, 0, count - 1))
    stop = int(np.clip(starts.max() + WINDOW_STEPS - origin, first + 1, count))
    steps = torch.from_numpy(stored[first:stop]).float()  # what these windows read, not the whole clip's
    speech = Speech(
        steps=steps,
        activity=np.ones(len(steps), np.float32),
        rest=torch.zeros(1),
        seconds=Fraction(header["seconds"]),
        fps=RATE,
        sync_mode="cut_off",
        encoder=header["encoder"],
        first_step=origin + first,
    )
    return tokens(speech, starts)


def clip_mel(file: Any, frame: int, offset: float, rows: int, header: Mapping[str, Any]) -> np.ndarray:
    """The spectrum of a window that begins with a frame, (80, rows); outside the sound it is quiet."""
    if rows == 0:
        return np.zeros((file.get_slice("mel").get_shape()[1], 0), np.float32)
    mel = file.get_tensor("mel")
    begin = file.get_tensor("times")[frame] + offset - 0.5 / float(RATE)  # times are the middles of frames
    first = int(np.floor(round(begin * MEL_HZ, 6))) - int(header["first_row"])
    wanted = np.arange(first, first + rows)
    inside = (wanted >= 0) & (wanted < len(mel))
    found = np.full((rows, mel.shape[1]), QUIET_MEL, np.float32)
    found[inside] = mel[wanted[inside]]
    return np.ascontiguousarray(found.T)
