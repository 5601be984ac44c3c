"""New mouths into the frames of a clip: how strongly each shows, and a whole clip at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from ..audio.windows import speech_starts, window_activity
from ..errors import GenerationError
from ..face.crop import crop_face
from ..face.mask import full_mask
from ..face.points import mouth_opening
from ..models.recipe import FACE_SIZE
from ..progress import Progress, SilentProgress
from ..render.blend import BlendOptions, blend_face
from ..render.color import match_color
from ..timeline import Clock, Timeline, plan
from ..types import FaceTrack, MaskPatch, Speech

Closing = Literal["features", "source"]

# Mouth openings (inner lips over face height) up to which a mouth counts as closed, and from which as open: the median
# of a GRID speaker is 0.001 in his pauses and 0.053 in his words.
CLOSED, OPEN = 0.015, 0.035


def shown_strength(track: FaceTrack, timeline: Timeline, output: np.ndarray) -> np.ndarray:
    """How much of a person's new mouth these output frames show, (n,) float32 in 0..1: 0 after the sound."""
    shown = track.strength[timeline.source[output]] * (output < timeline.driven)
    return np.asarray(shown, np.float32)


def closing_share(landmarks: np.ndarray, activity: np.ndarray) -> np.ndarray:
    """How much of the new mouth to show when the source's own closed mouth serves for silence, (n,) in 0..1.

    Args:
        landmarks: (n, P, 2) of the source frames.
        activity: (n,) in 0..1, how much the sound moves the mouth (`audio.windows.window_activity`).
    """
    closed = np.clip((OPEN - mouth_opening(landmarks)) / (OPEN - CLOSED), 0, 1)
    return np.asarray(1 - (1 - activity) * closed, np.float32)


def put_mouth(
    frame: np.ndarray,
    mouth: np.ndarray,
    track: FaceTrack,
    index: int,
    mask: MaskPatch,
    strength: float,
    options: BlendOptions,
    crop: np.ndarray | None = None,
) -> None:
    """Fit one new mouth to the colours of its frame and blend it in, in place.

    Args:
        frame: (H, W, C >= 3), source frame `index`; changed.
        mouth: (h, w, 3) float32 in 0..1, the new crop at any size.
        track: the face.
        index: number of the frame in the track.
        mask: where the mouth shows.
        strength: 0..1, how much of it.
        options: the way of blending.
        crop: the face as it was in the frame (`crop_face`), when it is at hand.
    """
    box, roll = track.boxes[index], float(track.roll[index])
    if options.color_match:
        mouth = match_color(mouth, crop_face(frame[..., :3], box, roll, FACE_SIZE) if crop is None else crop)
    blend_face(frame, mouth, box, roll, mask, strength, options)


def clip_timeline(frames: int, speech: Speech) -> Timeline:
    """Which of N source frames at the speech's own rate each output frame shows."""
    return plan(Clock.regular(frames, speech.fps), speech.seconds, speech.sync_mode)


def blend_frames(
    frames: np.ndarray,
    mouths: np.ndarray,
    track: FaceTrack,
    speech: Speech,
    mask: Callable[[int], MaskPatch],
    options: BlendOptions,
    closing: Closing = "features",
    progress: Progress | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Put the new mouths of a whole clip into its frames.

    Args:
        frames: (N, H, W, C >= 3) uint8, or float32 in 0..1; not changed.
        mouths: (F, h, w, 3) float32 in 0..1, the new crops at any size.
        track: the face in the N frames.
        speech: the whole sound; gives the map from F output frames to N source frames.
        mask: for a source frame's number, where the new mouth may show.
        options: the way of blending.
        closing: as in `speak.Speaker`.
        progress: reports frames.

    Returns:
        (F, H, W, C) frames in their own dtype, and (F, H, W) float32, how much of the new mouth each pixel shows.

    Raises:
        FaceError: the track belongs to other frames.
        GenerationError: another number of mouths than output frames, or mouths that are not finite.
    """
    n, (height, width) = len(frames), frames.shape[1:3]
    track.require_frames(n, height, width)
    timeline = clip_timeline(n, speech)
    if len(mouths) != len(timeline):
        raise GenerationError(
            f"There are {len(mouths)} new faces, but {n} frames and this sound make {len(timeline)} frames.",
            "Give one new face for each output frame.",
        )
    output = np.arange(len(timeline))
    strength = shown_strength(track, timeline, output)
    if closing == "source":
        activity = window_activity(speech, speech_starts(speech, timeline.clock))
        strength *= closing_share(track.landmarks[timeline.source], activity)
    report = progress or SilentProgress()
    report.start("blending", len(timeline))
    blended = np.empty((len(timeline), *frames.shape[1:]), frames.dtype)
    shown = np.zeros((len(timeline), height, width), np.float32)
    for at, (index, share) in enumerate(zip(timeline.source.tolist(), strength.tolist(), strict=True)):
        blended[at] = frames[index]
        if share:
            patch = mask(index)
            put_mouth(blended[at], mouths[at], track, index, patch, share, options)
            shown[at] = full_mask(patch, height, width) * share
        report.advance()
    return blended, shown
