"""Where the new mouth shows: from landmarks, from a class map of the face, or from the user.

A mask never reaches outside the crop box, beyond which there are no new pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import FaceError, OptionError
from ..options import Options, option
from ..types import FaceTrack, MaskPatch
from .parse import PARSE_SIZE, parse_square
from .points import CHIN_68, EYE_LEFT_68, EYE_RIGHT_68, JAW_68, LIPS_OUTER_68, points68

PARSED_KINDS = ("jaw", "raw", "neck")

SKIN, NOSE, LIPS, NECK = 1, 10, (11, 12, 13), 14  # classes of CelebAMask-HQ; inner mouth, upper and lower lip

# Shares of the longer side of the crop box.
CHIN_DROP = 0.06  # a jaw that opens further than the source's is covered down to here
LIP_DROP = 0.1  # the same for the lower lip
JAW_MARGIN = 0.015  # the landmarks' contour lies a little inside the face
LIP_MARGIN = 0.06  # lips and the skin that moves with them
EDGE = 0.04  # the mask fades to 0 over this much inside the crop's edge

SUBPIXEL_BITS = 4  # outlines are drawn at 1/16 pixel, so that they do not jump from frame to frame


@dataclass(frozen=True, slots=True)
class MaskOptions(Options):
    """How much of the face is repainted, and how softly it ends."""

    kind: Literal["landmarks", "mouth", "jaw", "raw", "neck"] = option(
        "landmarks",
        "what is repainted: the lower face with the chin (landmarks), lips and what is around them (mouth), or the "
        "released models' areas, which need a face parser (jaw, raw, neck)",
    )
    feather: float = option(
        0.1,
        "width of the mask's soft edge, as a share of the crop box: raising it hides seams better, and shows less of "
        "the new mouth at the edge; for jaw, raw and neck the blur as the released models count it, where their "
        "offline paste has 0.05 and their real-time paste 0.1",
        low=0.0,
        high=0.3,
    )
    expand: float = option(
        0.0,
        "grow (or shrink, below 0) the masks landmarks and mouth, as a share of the crop box: raising it repaints more "
        "of the face",
        low=-0.1,
        high=0.5,
    )
    left_cheek_width: int = option(
        90,
        "jaw mask: pixels of 512 left of the middle that keep the wide chin; raising it repaints more cheek",
        low=0,
        high=256,
        unit="px",
    )
    right_cheek_width: int = option(
        90,
        "jaw mask: pixels of 512 right of the middle that keep the wide chin; raising it repaints more cheek",
        low=0,
        high=256,
        unit="px",
    )


def mask_face(track: FaceTrack, index: int, options: MaskOptions, parse_map: np.ndarray | None = None) -> MaskPatch:
    """Say where the new mouth shows in one frame.

    Args:
        track: one person's face.
        index: frame of the track.
        options: kind and softness.
        parse_map: (512, 512) uint8 classes of the square around the box (`FaceParser.parse`), for the parsed kinds.

    Returns:
        A mask inside the frame and inside the crop box; 0 by 0 where they do not meet.

    Raises:
        FaceError: the landmarks are not finite.
        OptionError: a parsed kind without a class map, or with one of another size.
    """
    if options.kind in PARSED_KINDS:
        if parse_map is None:
            raise OptionError(
                f"The mask {options.kind!r} needs a face parser.", "Give 79999_iter.pth, or take the mask 'landmarks'."
            )
        return _parsed_mask(track, index, options, parse_map)
    return _landmark_mask(track, index, options)


def mask_from_user(mask: np.ndarray, track: FaceTrack, index: int) -> MaskPatch:
    """Take a mask that somebody made or edited for the whole frame, inside the crop box of one frame.

    Args:
        mask: (H, W) float in 0..1, of the frame's size; values beyond are clipped.
        track: one person's face.
        index: frame of the track.

    Returns:
        The mask where the crop box lies. One that goes on beyond the box fades to 0 at the box's edge; one that ends
        inside, as ours do, is taken as it is.

    Raises:
        OptionError: another size, or values that are not numbers.
    """
    if mask.shape != (track.height, track.width):
        raise OptionError(
            f"The mask has the shape {mask.shape}, the frames are {track.width} x {track.height} pixels.",
            "Give one mask of the frames' size.",
        )
    left, top, right, bottom = _bounds(track, index)
    x1, y1, x2, y2 = _meet((left - 1, top - 1, right + 1, bottom + 1), track)  # with what touches the box from outside
    part = np.clip(mask[y1:y2, x1:x2].astype(np.float32), 0, 1)
    if not np.isfinite(part).all():
        raise OptionError("The mask contains NaN.", "Give values from 0 to 1.")
    shown = _inside_box(track, index, x1, y1, part.shape)
    if part[shown == 0].any():
        part = np.minimum(part, shown)
    return _patch(x1, y1, part)


def full_mask(patch: MaskPatch, height: int, width: int) -> np.ndarray:
    """A mask as a picture of the whole frame, (H, W) float32 in 0..1; `mask_from_user` gives the mask back."""
    mask = np.zeros((height, width), np.float32)
    rows, columns = patch.alpha.shape
    mask[patch.y : patch.y + rows, patch.x : patch.x + columns] = patch.alpha
    return mask


def _landmark_mask(track: FaceTrack, index: int, options: MaskOptions) -> MaskPatch:
    import cv2

    box = track.boxes[index]
    size = float(max(box[2] - box[0], box[3] - box[1]))
    blur = 2 * round(options.feather * size / 4) + 1  # two means over this many pixels make an edge of twice the width
    outlines = _outlines(points68(track.landmarks[index]).astype(np.float64), size, options)
    if not all(np.isfinite(outline).all() for outline in outlines):
        raise FaceError(f"Frame {index} has landmarks that are not numbers.", "Track the face again.")
    drawn = np.concatenate(outlines)
    low, high = np.floor(drawn.min(axis=0)) - blur, np.ceil(drawn.max(axis=0)) + blur
    reach = np.clip([*low, *high], -(2**30), 2**30).astype(np.int64)
    bounds = _bounds(track, index)
    x1, y1, x2, y2 = _meet((*np.maximum(reach[:2], bounds[:2]), *np.minimum(reach[2:], bounds[2:])), track)
    if x1 >= x2 or y1 >= y2:
        return _patch(x1, y1, np.zeros((0, 0), np.float32))
    # The blur needs its own reach around the patch.
    canvas = np.zeros((y2 - y1 + 2 * blur, x2 - x1 + 2 * blur), np.uint8)
    corner = np.array([x1 - blur + 0.5, y1 - blur + 0.5])  # OpenCV counts from the centre of the first pixel
    for outline in outlines:
        fixed = np.rint((outline - corner) * 2**SUBPIXEL_BITS)
        fixed = np.clip(fixed, -(2**30), 2**30).astype(np.int32)
        cv2.fillPoly(canvas, [fixed], 255, lineType=cv2.LINE_AA, shift=SUBPIXEL_BITS)
    soft = cv2.boxFilter(canvas, cv2.CV_32F, (blur, blur))
    alpha = cv2.blur(soft, (blur, blur))[blur:-blur, blur:-blur] / np.float32(255)
    return _patch(x1, y1, alpha * _inside_box(track, index, x1, y1, alpha.shape))


def _outlines(points: np.ndarray, size: float, options: MaskOptions) -> list[np.ndarray]:
    """Closed outlines (P, 2) in pixels of the frame whose union is repainted, before it is made soft."""
    across = points[list(EYE_RIGHT_68)].mean(axis=0) - points[list(EYE_LEFT_68)].mean(axis=0)
    down = np.array([-across[1], across[0]]) / max(float(np.hypot(*across)), 1e-6)
    lips = _grow(points[list(LIPS_OUTER_68)], (LIP_MARGIN + options.expand) * size)
    found = [_hull(np.concatenate([lips, lips + LIP_DROP * size * down]))]
    if options.kind == "landmarks":
        jaw = points[list(JAW_68[2:15])]
        jaw = _grow(jaw, (JAW_MARGIN + options.expand) * size, centre=points[list(LIPS_OUTER_68)].mean(axis=0))
        # From one side of the face to the other below the nose: 31 and 35 are the wings, 33 the middle.
        below = points[[35, 33, 31]] + (points[[53, 51, 49]] - points[[35, 33, 31]]) * np.array([[0.1], [0.2], [0.1]])
        face = np.concatenate([jaw, below])
        # Every point drops as far as it lies towards the chin: the ears stay, the chin goes all the way.
        depth = (face - points[33]) @ down / max(float((points[CHIN_68] - points[33]) @ down), 1e-6)
        dropped = face + np.clip(depth, 0, 1)[:, None] * CHIN_DROP * size * down
        found += [face, dropped]
    return found


def _grow(points: np.ndarray, margin: float, centre: np.ndarray | None = None) -> np.ndarray:
    """Move points (P, 2) away from their centre by `margin` pixels."""
    offset = points - (points.mean(axis=0) if centre is None else centre)
    length = np.maximum(np.hypot(offset[:, :1], offset[:, 1:]), 1e-6)
    return np.asarray(points + offset / length * np.maximum(margin, -length))


def _hull(points: np.ndarray) -> np.ndarray:
    import cv2

    return np.asarray(cv2.convexHull(points.astype(np.float32))[:, 0], np.float64)


def _parsed_mask(track: FaceTrack, index: int, options: MaskOptions, parse_map: np.ndarray) -> MaskPatch:
    """The released mask: class set, resized to the square, lower half of the box only, then blurred.

    Its blur leaks past the box; there the released paste puts original pixels back, so only the box matters.
    """
    import cv2
    import torch
    from torch.nn import functional

    if parse_map.shape != (PARSE_SIZE, PARSE_SIZE):
        raise OptionError(f"The class map has the shape {parse_map.shape}.", f"It must be {PARSE_SIZE} x {PARSE_SIZE}.")
    left, top, side = parse_square(track.boxes[index])
    if side <= 0:
        return _patch(0, 0, np.zeros((0, 0), np.float32))
    area = torch.from_numpy(class_mask(parse_map, options))[None, None]  # (1, 1, 512, 512)
    square = functional.interpolate(area, (side, side), mode="bicubic", antialias=True)[0, 0].numpy()
    box = np.clip(track.boxes[index] - (left, top, left, top), 0, side)
    blur = int(options.feather * side // 2 * 2) + 1
    half = max(box[1], side // 2)
    kept = np.zeros((box[3] - box[1] + 2 * blur, box[2] - box[0] + 2 * blur), np.uint8)
    kept[half - box[1] + blur : -blur, blur:-blur] = square[half : box[3], box[0] : box[2]]
    # In 8 bits, as released: OpenCV's 8-bit kernel is rounded, and with that differs from the true one by over 1/255.
    soft = cv2.GaussianBlur(kept, (blur, blur), 0)
    corner = np.array([left + box[0], top + box[1]])
    x1, y1, x2, y2 = _meet((*corner, *(corner + box[2:] - box[:2])), track)
    x, y = corner - blur
    alpha = soft[y1 - y : y2 - y, x1 - x : x2 - x].astype(np.float32) / 255
    if track.roll[index]:  # unknown to the released models; their box is upright, the crop is not
        alpha = alpha * _inside_box(track, index, x1, y1, alpha.shape)
    return _patch(x1, y1, alpha)


def class_mask(parse_map: np.ndarray, options: MaskOptions) -> np.ndarray:
    """The pixels of a class map that a parsed mask kind takes.

    Args:
        parse_map: (512, 512) uint8 classes.
        options: kind "jaw", "raw" or "neck", cheek widths.

    Returns:
        (512, 512) uint8, 0 or 255.

    Source: the released models' class sets; "jaw" widens the skin downwards and narrows it on the cheeks.
    """
    import cv2

    if options.kind != "jaw":
        classes = (SKIN, *LIPS) if options.kind == "raw" else (SKIN, *LIPS, NECK)
        return np.isin(parse_map, classes).astype(np.uint8) * 255
    skin = (parse_map == SKIN).astype(np.uint8) * 255
    wide = cv2.dilate(skin, _jaw_kernel())
    flat = cv2.erode(wide, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (35, 3)), iterations=2)
    columns = np.arange(PARSE_SIZE) - PARSE_SIZE // 2
    cheeks = (columns <= -options.left_cheek_width) | (columns >= options.right_cheek_width)
    area = np.where(cheeks, flat, wide)
    area[parse_map == NOSE] = 0
    area[np.isin(parse_map, LIPS)] = 255
    return np.asarray(area, np.uint8)


def _jaw_kernel() -> np.ndarray:
    """33 x 33: empty rows 0-9, a cone of 1 to 21 columns in rows 10-20, 21 columns below."""
    rows, columns = np.mgrid[:33, :33]
    return np.asarray((rows >= 10) & (np.abs(columns - 16) <= np.minimum(rows - 10, 10)), np.uint8)


def _bounds(track: FaceTrack, index: int) -> tuple[int, int, int, int]:
    """The upright box x1, y1, x2, y2 around the turned crop box."""
    x1, y1, x2, y2 = (int(v) for v in track.boxes[index])
    roll = float(track.roll[index])
    if roll == 0:
        return x1, y1, x2, y2
    cos, sin = abs(math.cos(roll)), abs(math.sin(roll))
    half_x, half_y = ((x2 - x1) * cos + (y2 - y1) * sin) / 2, ((x2 - x1) * sin + (y2 - y1) * cos) / 2
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    return math.floor(x - half_x), math.floor(y - half_y), math.ceil(x + half_x), math.ceil(y + half_y)


def _meet(bounds: Sequence[int] | np.ndarray, track: FaceTrack) -> tuple[int, int, int, int]:
    """The part of a box that lies inside the frame; may be empty, never negative."""
    x1, y1, x2, y2 = (int(v) for v in bounds)
    x1, y1 = min(max(x1, 0), track.width), min(max(y1, 0), track.height)
    return x1, y1, max(min(x2, track.width), x1), max(min(y2, track.height), y1)


def _inside_box(track: FaceTrack, index: int, x: int, y: int, shape: tuple[int, ...]) -> np.ndarray:
    """1 inside the crop box, falling smoothly to 0 at its edge; broadcasts to the (h, w) of a patch at x, y."""
    x1, y1, x2, y2 = (float(v) for v in track.boxes[index])
    roll = float(track.roll[index])
    # Pixel centres, relative to the box's centre, turned back into the crop.
    across = (np.arange(shape[1], dtype=np.float32) + (x + 0.5 - (x1 + x2) / 2))[None]
    along = (np.arange(shape[0], dtype=np.float32) + (y + 0.5 - (y1 + y2) / 2))[:, None]
    u, v = across, along
    if roll:
        u = math.cos(roll) * across + math.sin(roll) * along
        v = math.cos(roll) * along - math.sin(roll) * across
    edge = max(EDGE * max(x2 - x1, y2 - y1), 1e-6)
    return np.asarray(_ramp(((x2 - x1) / 2 - np.abs(u)) / edge) * _ramp(((y2 - y1) / 2 - np.abs(v)) / edge))


def _ramp(depth: np.ndarray) -> np.ndarray:
    """From 0 at 0 to 1 at 1, level at both ends."""
    depth = np.clip(depth, 0, 1)
    return np.asarray(depth * depth * (3 - 2 * depth), np.float32)


def _patch(x: int, y: int, alpha: np.ndarray) -> MaskPatch:
    """Cut away the empty border of a mask."""
    import torch

    if alpha.size == 0 or not alpha.max():
        return MaskPatch(0, 0, np.zeros((0, 0), np.float16))
    rows, columns = np.flatnonzero(alpha.max(axis=1)), np.flatnonzero(alpha.max(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    half = torch.from_numpy(alpha[top:bottom, left:right]).half()  # NumPy converts to half precision ten times slower
    return MaskPatch(x + int(left), y + int(top), half.numpy())
