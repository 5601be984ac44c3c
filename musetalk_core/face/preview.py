"""Contact sheets: what was found, where the mask lies, what is skipped and why."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..errors import MediaError
from ..types import FaceTrack, Footage, MaskPatch, Skip
from .networks import unit_range
from .points import points68

Masks = Sequence[Mapping[int, MaskPatch]]  # for each track: source frame -> mask

SKIP_WORDS = {
    Skip.NO_FACE: "no face",
    Skip.OUT_OF_FRAME: "mouth out of frame",
    Skip.TURNED: "turned away",
    Skip.TOO_SMALL: "too small",
    Skip.OTHER_PERSON: "other person",
}
BOX_COLORS = ((80, 220, 80), (90, 160, 255), (255, 170, 60), (230, 100, 230), (240, 230, 80), (80, 220, 220))
SKIPPED_COLOR = (255, 60, 60)
MASK_COLOR = (255, 255, 255)
LABEL_HEIGHT = 18  # pixels
GAP = 4  # pixels between tiles


def sheet_frames(n: int, tracks: Sequence[FaceTrack], columns: int = 4) -> list[int]:
    """The frames of a contact sheet: evenly spaced ones, and the middle one of every reason that they do not show.

    Args:
        n: frames of the footage.
        tracks: people in it.
        columns: tiles a row; there are three rows of evenly spaced frames.
    """
    count = 3 * columns
    chosen = {round(i * (n - 1) / max(1, count - 1)) for i in range(min(n, count))}
    for track in tracks:
        shown = {int(track.skip[index]) for index in chosen}
        for reason in sorted({int(reason) for reason in track.skip} - shown):
            frames = np.flatnonzero(track.skip == reason)
            chosen.add(int(frames[len(frames) // 2]))
    return sorted(chosen)


def contact_sheet(
    footage: Footage, tracks: Sequence[FaceTrack], masks: Masks | None = None, columns: int = 4, tile_width: int = 320
) -> np.ndarray:
    """A picture of a clip's frames with boxes, landmarks, mask outlines, frame numbers and reasons of skipping.

    Args:
        footage: N frames.
        tracks: people in it, of N frames each.
        masks: for each track its masks by frame; outlines are drawn where there is one.
        columns: tiles a row; there are three rows of evenly spaced frames, and one more tile for each reason of
            skipping that those do not show.
        tile_width: pixels.

    Returns:
        (H, W, 3) uint8.
    """
    tiles, labels = [], []
    for index in sheet_frames(len(footage.clock), tracks, columns):
        patches = [None if masks is None else part.get(index) for part in masks or [{}] * len(tracks)]
        tiles.append(draw_tracks(footage.read([index])[0], index, tracks, patches, tile_width))
        words = [f"{i}: {_word(track, index)}" for i, track in enumerate(tracks)]
        labels.append(f"#{index}  " + "  ".join(words))
    return tile_images(tiles, columns, labels)


def draw_tracks(
    frame: np.ndarray,
    index: int,
    tracks: Sequence[FaceTrack],
    patches: Sequence[MaskPatch | None],
    width: int,
) -> np.ndarray:
    """One frame, shrunk or enlarged to `width`, with what is known of it drawn in.

    Args:
        frame: (H, W, 3), uint8 or float in 0..1.
        index: its number.
        tracks: people.
        patches: for each track its mask or None.
        width: pixels.

    Returns:
        (h, width, 3) uint8.
    """
    import cv2

    scale = width / frame.shape[1]
    size = (width, max(1, round(frame.shape[0] * scale)))
    shrink = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    picture = _as_bytes(cv2.resize(frame, size, interpolation=shrink))
    for number, (track, patch) in enumerate(zip(tracks, patches, strict=True)):
        if not track.found[index]:
            continue
        color = BOX_COLORS[number % len(BOX_COLORS)] if track.strength[index] > 0 else SKIPPED_COLOR
        corners = _corners(track.boxes[index], float(track.roll[index])) * scale
        cv2.polylines(picture, [np.rint(corners).astype(np.int32)], True, color, 1, cv2.LINE_AA)
        for x, y in points68(track.landmarks[index]) * scale:
            cv2.circle(picture, (round(float(x)), round(float(y))), 1, color, -1, cv2.LINE_AA)
        if patch is not None and patch.alpha.size:
            inside = (patch.alpha >= 0.5).astype(np.uint8)
            for outline in cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]:
                placed = (outline + np.array([patch.x, patch.y])) * scale
                cv2.polylines(picture, [np.rint(placed).astype(np.int32)], True, MASK_COLOR, 1, cv2.LINE_AA)
    return picture


def tile_images(images: Sequence[np.ndarray], columns: int, labels: Sequence[str]) -> np.ndarray:
    """Pictures side by side with a line of text under each.

    Args:
        images: (h, w, 3) uint8; smaller ones are centred on black.
        columns: pictures a row.
        labels: one for each picture.

    Returns:
        (H, W, 3) uint8.
    """
    import cv2

    height, width = max(image.shape[0] for image in images), max(image.shape[1] for image in images)
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    sheet = np.zeros((rows * (height + LABEL_HEIGHT + GAP), columns * (width + GAP), 3), np.uint8)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        row, column = divmod(number, columns)
        top, left = row * (height + LABEL_HEIGHT + GAP), column * (width + GAP)
        y, x = top + (height - image.shape[0]) // 2, left + (width - image.shape[1]) // 2
        sheet[y : y + image.shape[0], x : x + image.shape[1]] = image
        line = np.zeros((LABEL_HEIGHT, width, 3), np.uint8)  # on its own, so that long text ends with its tile
        cv2.putText(line, label, (2, LABEL_HEIGHT - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255,) * 3, 1, cv2.LINE_AA)
        sheet[top + height : top + height + LABEL_HEIGHT, left : left + width] = line
    return sheet


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write (H, W, 3) uint8 RGB as PNG or JPEG, by the file name's ending.

    Raises:
        MediaError: the ending is unknown or the file cannot be written.
    """
    import cv2

    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise MediaError(f"{path.name} is no picture's name.", "Let it end in .png or .jpg.")
    _, content = cv2.imencode(path.suffix.lower(), np.ascontiguousarray(picture[..., ::-1]))
    part = path.with_name(path.name + ".part")
    try:  # OpenCV itself cannot write to non-ASCII paths on Windows
        part.write_bytes(content.tobytes())
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise MediaError(f"{path} cannot be written: {error}", "Choose another place.") from error


def _as_bytes(picture: np.ndarray) -> np.ndarray:
    return np.asarray(np.rint(np.clip(unit_range(picture), 0, 1) * 255), np.uint8)


def _word(track: FaceTrack, index: int) -> str:
    strength = float(track.strength[index])
    if strength == 0:
        return SKIP_WORDS.get(Skip(int(track.skip[index])), "skipped")
    return "speaks" if strength == 1 else f"fades {strength:.0%}"


def _corners(box: np.ndarray, roll: float) -> np.ndarray:
    """(4, 2) corners of a turned box."""
    x1, y1, x2, y2 = (float(edge) for edge in box)
    centre, half = np.array([x1 + x2, y1 + y2]) / 2, np.array([x2 - x1, y2 - y1]) / 2
    cos, sin = np.cos(roll), np.sin(roll)
    offsets = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    return np.asarray(offsets @ np.array([[cos, sin], [-sin, cos]]) + centre)
