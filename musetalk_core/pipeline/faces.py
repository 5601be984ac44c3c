"""The face in source frames: its crops, and the masks of where a new mouth may show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ModelError, OptionError
from ..face.crop import crop_face
from ..face.mask import PARSED_KINDS, MaskOptions, full_mask, mask_face, mask_from_user
from ..progress import Progress, SilentProgress
from ..types import FaceTrack, MaskPatch

if TYPE_CHECKING:
    from ..face.parse import FaceParser


def crop_faces(
    frames: Sequence[np.ndarray] | np.ndarray,
    indices: Sequence[int],
    track: FaceTrack,
    size: int,
    progress: Progress | None = None,
) -> np.ndarray:
    """Cut the face out of some source frames.

    Args:
        frames: n of (H, W, 3).
        indices: n numbers of these frames in the track.
        track: the face.
        size: pixels a side.
        progress: is told the frames that are done.

    Returns:
        (n, size, size, 3) in the frames' dtype.
    """
    report = progress or SilentProgress()
    crops = []
    for frame, index in zip(frames, indices, strict=True):
        crops.append(crop_face(frame, track.boxes[index], float(track.roll[index]), size))
        report.advance()
    return np.stack(crops)


def require_masks(drawn: np.ndarray | None, n: int, height: int, width: int) -> None:
    """Refuse masks that somebody made for other frames.

    Raises:
        OptionError: neither (H, W) nor (N, H, W).
    """
    if drawn is not None and drawn.shape not in ((height, width), (n, height, width)):
        raise OptionError(
            f"The mask has the shape {drawn.shape}, the {n} frames are {width} x {height} pixels.",
            "Give one mask of the frames' size, or one for each frame.",
        )


def frame_mask(
    frame: np.ndarray | None, index: int, track: FaceTrack, options: MaskOptions, parser: FaceParser | None = None
) -> MaskPatch:
    """Where the new mouth shows in one source frame.

    Args:
        frame: (H, W, 3), needed for the masks of the face parser.
        index: its number in the track.
        track: the face.
        options: which mask.
        parser: for the masks "jaw", "raw" and "neck".
    """
    if frame is None or parser is None or options.kind not in PARSED_KINDS:
        return mask_face(track, index, options)
    return mask_face(track, index, options, parser.parse(frame, track.boxes[index]))


def mask_source(track: FaceTrack, drawn: np.ndarray | None = None) -> Callable[[int], MaskPatch]:
    """The mask of any source frame, for `blend.blend_frames`.

    Args:
        track: the face.
        drawn: (H, W), or (N, H, W) with one for each frame, float in 0..1; None for our own.

    Raises:
        OptionError: they are for other frames.
    """
    require_masks(drawn, len(track), track.height, track.width)
    if drawn is None:
        return lambda index: mask_face(track, index, MaskOptions())
    return lambda index: mask_from_user(drawn if drawn.ndim == 2 else drawn[index], track, index)


def mask_frames(
    track: FaceTrack,
    options: MaskOptions,
    frames: np.ndarray | None = None,
    parser: FaceParser | None = None,
    progress: Progress | None = None,
) -> np.ndarray:
    """Where the new mouth may show in each source frame.

    Args:
        track: the face, N frames.
        options: which mask.
        frames: (N, H, W, 3), needed for the masks of the face parser.
        parser: for the masks "jaw", "raw" and "neck".
        progress: reports frames.

    Returns:
        (N, H, W) float32 in 0..1; 0 on frames on which this face does not speak.

    Raises:
        ModelError: the mask needs a face parser and the frames.
    """
    if options.kind in PARSED_KINDS and (parser is None or frames is None):
        raise ModelError(
            f"The mask {options.kind!r} needs the face parser and the frames.", "Give both, or take 'landmarks'."
        )
    report = progress or SilentProgress()
    report.start("masking", len(track))
    masks = np.zeros((len(track), track.height, track.width), np.float32)
    for index in range(len(track)):
        if track.strength[index] > 0:
            patch = frame_mask(None if frames is None else frames[index], index, track, options, parser)
            masks[index] = full_mask(patch, track.height, track.width)
        report.advance()
    return masks
