"""The masks of source frames: one, or a whole clip's as pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ModelError
from ..face.mask import PARSED_KINDS, MaskOptions, full_mask, mask_face, mask_from_user
from ..progress import Progress, SilentProgress
from ..types import FaceTrack, MaskPatch

if TYPE_CHECKING:
    from ..face.parse import FaceParser


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
    """
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
    for index in np.flatnonzero(track.strength > 0).tolist():
        patch = frame_mask(None if frames is None else frames[index], index, track, options, parser)
        masks[index] = full_mask(patch, track.height, track.width)
        report.advance()
    return masks
