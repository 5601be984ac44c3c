"""What frames of a clip hear: the U-Net's tokens, and SyncNet's spectrum."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ..audio.windows import MIDDLE, tokens
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
    steps = torch.from_numpy(file.get_tensor("steps")).float()
    speech = Speech(
        steps=steps,
        activity=np.ones(len(steps), np.float32),
        rest=torch.zeros(1),
        seconds=Fraction(header["seconds"]),
        fps=RATE,
        sync_mode="cut_off",
        encoder=header["encoder"],
        first_step=int(header["first_step"]),
    )
    return tokens(speech, starts)


def clip_mel(file: Any, frame: int, offset: float, rows: int, header: Mapping[str, Any]) -> np.ndarray:
    """The spectrum of a window that begins with a frame, (80, rows); outside the sound it is quiet."""
    mel = file.get_tensor("mel")
    if rows == 0:
        return np.zeros((mel.shape[1], 0), np.float32)
    begin = file.get_tensor("times")[frame] + offset - 0.5 / float(RATE)  # times are the middles of frames
    first = int(np.floor(round(begin * MEL_HZ, 6))) - int(header["first_row"])
    wanted = np.arange(first, first + rows)
    inside = (wanted >= 0) & (wanted < len(mel))
    found = np.full((rows, mel.shape[1]), QUIET_MEL, np.float32)
    found[inside] = mel[wanted[inside]]
    return np.ascontiguousarray(found.T)
