"""Puts a new mouth into a frame and leaves everything outside its mask as it is, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import GenerationError, MediaError
from ..options import Options, option
from ..types import MaskPatch

WHOLE_BOX_LIMIT = 4  # resize the whole box up to this many times the patch's area; beyond, only the patch is sampled
# Numbers mixed at once: a band stays in the processor's cache, and its memory is used again instead of going back to
# the system in between (whole patches cost 1000 page faults a frame, two thirds of the time).
BAND_VALUES = 65_536


@dataclass(frozen=True, slots=True)
class BlendOptions(Options):
    """How new mouths are put back."""

    color_match: bool = option(True, "fit the mouth's colours to the frame, by the crop's untouched upper half")
    mode: Literal["default", "released"] = option(
        "default", "default: in float, low-pass when shrinking; released: 8-bit steps as the released models' paste"
    )


def blend_face(
    frame: np.ndarray,
    mouth: np.ndarray,
    box: Sequence[int] | np.ndarray,
    roll: float,
    mask: MaskPatch,
    strength: float,
    options: BlendOptions,
) -> None:
    """Blend one new crop into one frame, in place.

    `options.color_match` is the caller's to follow (`color.match_color`): it needs the crop of the untouched frame.

    Args:
        frame: (H, W, C >= 3), uint8 or float32 in 0..1; changed only in the first 3 channels and only where the mask
            times `strength` is above 0.
        mouth: (h, w, 3) float32 in 0..1, the new crop at any size; values beyond are clipped.
        box: x1, y1, x2, y2 of the crop in the frame; may reach outside.
        roll: radians by which the crop is turned about the box's centre.
        mask: where the new mouth shows; what of it lies outside the frame, or outside a box that is not turned, is
            left out.
        strength: 0..1, multiplies the mask.
        options: the way of blending.

    Raises:
        GenerationError: the mouth holds NaN or infinite values.
        MediaError: a frame of another type.
    """
    if frame.dtype not in (np.uint8, np.float32) or frame.ndim != 3 or frame.shape[2] < 3:
        raise MediaError(f"Frames of {frame.shape} {frame.dtype} cannot be blended.", "Give uint8 or float32 RGB.")
    low, high = float(mouth.min()), float(mouth.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise GenerationError("A new mouth contains NaN or infinite values.", "Run with --dtype fp32.")
    place = _place(frame, box, roll, mask)
    if place is None or strength <= 0:
        return
    if low < 0 or high > 1:
        mouth = np.clip(mouth, 0, 1)
    if options.mode == "released":
        mouth = np.rint(mouth * 255).astype(np.uint8)
    x1, y1, x2, y2 = place
    new = _mouth_in_patch(mouth, box, roll, place, options)
    scale = (255.0 if frame.dtype == np.uint8 else 1.0) / (255.0 if mouth.dtype == np.uint8 else 1.0)
    alpha = mask.alpha[y1 - mask.y : y2 - mask.y, x1 - mask.x : x2 - mask.x]
    _mix(frame[y1:y2, x1:x2, :3], new, scale, alpha, strength)


def _place(
    frame: np.ndarray, box: Sequence[int] | np.ndarray, roll: float, mask: MaskPatch
) -> tuple[int, int, int, int] | None:
    """The pixels x1, y1, x2, y2 of the frame that may change."""
    height, width = mask.alpha.shape
    x1, y1 = max(mask.x, 0), max(mask.y, 0)
    x2, y2 = min(mask.x + width, frame.shape[1]), min(mask.y + height, frame.shape[0])
    if roll == 0:
        x1, y1, x2, y2 = max(x1, int(box[0])), max(y1, int(box[1])), min(x2, int(box[2])), min(y2, int(box[3]))
    if x1 >= x2 or y1 >= y2 or box[0] >= box[2] or box[1] >= box[3]:
        return None
    return x1, y1, x2, y2


def _mouth_in_patch(
    mouth: np.ndarray,
    box: Sequence[int] | np.ndarray,
    roll: float,
    place: tuple[int, int, int, int],
    options: BlendOptions,
) -> np.ndarray:
    """The new crop as it lies over the pixels `place` of the frame, (h, w, 3) in the mouth's own type."""
    import cv2

    left, top, width, height = int(box[0]), int(box[1]), int(box[2] - box[0]), int(box[3] - box[1])
    x1, y1, x2, y2 = place
    if options.mode == "default" and (width < mouth.shape[1] or height < mouth.shape[0]):
        # OpenCV's area filter is a low-pass only along axes that shrink, so enlarge the others afterwards.
        smaller = (min(width, mouth.shape[1]), min(height, mouth.shape[0]))
        mouth = cv2.resize(mouth, smaller, interpolation=cv2.INTER_AREA)
    if roll == 0 and width * height <= WHOLE_BOX_LIMIT * (x2 - x1) * (y2 - y1):
        if mouth.shape[:2] != (height, width):
            mouth = cv2.resize(mouth, (width, height), interpolation=cv2.INTER_LINEAR)
        return mouth[y1 - top : y2 - top, x1 - left : x2 - left]
    # From a pixel of the patch to a pixel of the mouth: to the box's centre, turn back, scale.
    cos, sin = math.cos(roll), math.sin(roll)
    scale = np.array([mouth.shape[1] / width, mouth.shape[0] / height])
    turn = np.array([[cos, sin], [-sin, cos]]) * scale[:, None]
    first = np.array([x1 + 0.5 - left - width / 2, y1 + 0.5 - top - height / 2])
    shift = turn @ first + np.array([mouth.shape[1], mouth.shape[0]]) / 2 - 0.5
    return np.asarray(
        cv2.warpAffine(
            mouth,
            np.column_stack([turn, shift]),
            (x2 - x1, y2 - y1),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )


def _mix(pixels: np.ndarray, new: np.ndarray, scale: float, alpha: np.ndarray, strength: float) -> None:
    """pixels += alpha * strength * (new * scale - pixels), rounded to nearest for 8 bit; unchanged where alpha is 0."""
    import cv2
    import torch

    rows = max(1, BAND_VALUES // (3 * pixels.shape[1]))
    for start in range(0, len(pixels), rows):
        band = slice(start, start + rows)
        # NumPy converts half precision ten times slower than torch.
        weight = torch.from_numpy(alpha[band]).float().mul_(strength).numpy()
        old = pixels[band].astype(np.float32)
        mixed = new[band] * np.float32(scale)
        mixed -= old
        mixed *= cv2.merge([weight, weight, weight])
        mixed += old
        if pixels.dtype == np.uint8:
            mixed += 0.5  # the cast cuts off; a mix of two values in 0..255 stays inside
        np.copyto(pixels[band], mixed, casting="unsafe")
