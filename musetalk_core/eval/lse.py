"""LSE-D and LSE-C: how near a SyncNet's view of the mouth lies to its view of the sound, and how clearly so."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ..audio.mel import syncnet_mel
from ..progress import Progress
from ..timeline import Clock
from ..types import AudioClip, FaceTrack, Footage
from .align import LATENTSYNC, LATENTSYNC_SHAPE, align_face

if TYPE_CHECKING:
    import torch

    from ..models.syncnet import SyncNet

RATE = Fraction(25)  # frames a second that the network was trained on
ROWS_A_FRAME = Fraction(80, 25)  # mel rows of 12.5 ms
REACH = 15  # frames by which the sound is shifted both ways
BATCH = 8  # windows a call
SIDE = 256


@dataclass(frozen=True, slots=True)
class SyncScores:
    """Comparable only between clips judged by the same SyncNet.

    Args:
        lse_d: mean distance of mouth and sound at the best shift; lower is better.
        lse_c: median over the shifts less that; higher is better.
        offset_ms: the best shift: positive when the sound comes after the mouth.
        windows: windows of 16 frames judged.
    """

    lse_d: float
    lse_c: float
    offset_ms: float
    windows: int


def sync_scores(
    footage: Footage, track: FaceTrack, sound: AudioClip, net: SyncNet, progress: Progress
) -> SyncScores | None:
    """Judge a clip with a SyncNet.

    Every frame begins a window of 16 frames at 25 a second (other rates show the frame of that moment); each is
    compared with the sound at shifts of -15..15 frames.

    Args:
        footage, track: the output and its face.
        sound: begins with the first frame.
        net: the user's SyncNet.
        progress: is told one unit a window.

    Returns:
        None when no window of 16 frames has a face throughout.

    Source: Chung and Zisserman 2016, "Out of Time"; Prajwal et al. 2020 for the names.
    """
    import torch

    from ..models.syncnet import FRAMES

    frames = _at_rate(footage.clock)
    mel = torch.from_numpy(syncnet_mel(sound))
    sums, windows = np.zeros((2, 2 * REACH + 1)), 0
    faces: dict[int, torch.Tensor] = {}
    starts = range(len(frames) - FRAMES + 1)
    progress.start("SyncNet", len(starts))
    for first in range(0, len(starts), BATCH):
        batch = starts[first : first + BATCH]
        needed = range(batch[0], batch[-1] + FRAMES)
        faces = {k: faces[k] if k in faces else _lower_face(footage, track, int(frames[k])) for k in needed}
        good = [k for k in batch if track.found[frames[k : k + FRAMES]].all()]
        if good:
            seen = net.see(torch.stack([torch.cat([faces[k + i] for i in range(FRAMES)]) for k in good]))
            _add_distances(sums, seen, good, mel, net)
            windows += len(good)
        progress.advance(len(batch))
    total, count = sums
    if not count.any():
        return None
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    best = int(np.nanargmin(mean))
    return SyncScores(
        float(mean[best]), float(np.nanmedian(mean) - mean[best]), float((best - REACH) * 1000 / RATE), windows
    )


def _add_distances(sums: np.ndarray, seen: torch.Tensor, starts: list[int], mel: torch.Tensor, net: SyncNet) -> None:
    """Add each window's distance to the sound at every shift that lies within the sound; sums is (total, count)."""
    import torch

    from ..models.syncnet import MEL_ROWS

    heard: dict[int, torch.Tensor] = {}
    moments = [m for m in range(starts[0] - REACH, starts[-1] + REACH + 1) if 0 <= _row(m) <= len(mel) - MEL_ROWS]
    for first in range(0, len(moments), BATCH):
        part = moments[first : first + BATCH]
        vectors = net.hear(torch.stack([mel[_row(m) : _row(m) + MEL_ROWS].T for m in part]))  # (b, 80, 52)
        heard.update(zip(part, vectors, strict=True))
    for vector, start in zip(seen, starts, strict=True):
        for k in range(2 * REACH + 1):
            other = heard.get(start + k - REACH)
            if other is not None:
                sums[:, k] += float(torch.linalg.vector_norm(vector - other)), 1


def _row(frame: int) -> int:
    """First mel row of a window that begins with this frame."""
    return int(frame * ROWS_A_FRAME // 1)


def _at_rate(clock: Clock) -> np.ndarray:
    """The frame that is shown at each moment of 25 a second."""
    count = max(0, int(clock.seconds * RATE))
    moments = np.array([int((k + Fraction(1, 2)) / RATE / clock.time_base) for k in range(count)], dtype=np.int64)
    return np.clip(np.searchsorted(clock.ticks, moments, side="right") - 1, 0, len(clock) - 1)


def _lower_face(footage: Footage, track: FaceTrack, index: int) -> torch.Tensor:
    """Lower half of the aligned face, (3, 128, 256)."""
    import torch

    frame = footage.read([index])[0]
    face = align_face(frame, track.landmarks[index], LATENTSYNC, SIDE, LATENTSYNC_SHAPE)
    return torch.from_numpy(np.ascontiguousarray(face[SIDE // 2 :].transpose(2, 0, 1)))
