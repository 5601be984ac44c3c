"""What the mouth does, read from the landmarks of a tracked face: opening, width, place; and its window of pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import FaceError
from ..types import FaceTrack

# MediaPipe's 478 points.
FOREHEAD, CHIN = 10, 152  # their distance is the face's height, the unit of everything here
INNER_UPPER, INNER_LOWER = 13, 14
CORNER_RIGHT, CORNER_LEFT = 61, 291  # the person's right and left
LIPS = (61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87)
NOSE = (168, 6, 197, 195, 5, 4)  # the bridge down to the tip: the nearest points that speech does not move
STEADY = (33, 133, 362, 263, *NOSE)  # eye corners and nose: the head's pose without the jaw
ALL_POINTS = 478

WINDOW = 0.5  # side of the mouth window per face height: the lips at their widest, and the skin around them
WHITE_JERK = 20.0  # variance of the third difference of white noise of variance 1: 1 + 9 + 9 + 1


@dataclass(frozen=True, slots=True, eq=False)
class MouthCurves:
    """The mouth over F frames; NaN where no face was found.

    Args:
        opening: (F,) float64, gap of the inner lips per face height; closed is about 0.005, wide open 0.1 and more.
        width: (F,) float64, distance of the mouth's corners per face height.
        lips: (F, 20, 2) float64, lip points relative to the nose, per face height.
        place: (F, 2) float64, centre between the mouth's corners relative to eyes and nose, per face height.
        pose: (F, 2) float64 pixels, centre of eye corners and nose.
        height: (F,) float64 pixels, the face's height.
    """

    opening: np.ndarray
    width: np.ndarray
    lips: np.ndarray
    place: np.ndarray
    pose: np.ndarray
    height: np.ndarray

    def __len__(self) -> int:
        return len(self.opening)

    def take(self, frames: np.ndarray) -> MouthCurves:
        """The curves of these frames, in this order."""
        return MouthCurves(*(getattr(self, name)[frames] for name in self.__slots__))


def mouth_curves(track: FaceTrack) -> MouthCurves:
    """Read the mouth's curves from a tracked face.

    Args:
        track: N frames with 478 points each.

    Raises:
        FaceError: the track has 68 points, which lack the steady reference points that the meters need.
    """
    if track.landmarks.shape[1] != ALL_POINTS:
        raise FaceError(f"The meters need {ALL_POINTS} face points, not {track.landmarks.shape[1]}.")
    points = track.landmarks[..., :2].astype(np.float64)
    points[~track.found] = np.nan
    height = _distance(points, FOREHEAD, CHIN)
    nose = points[:, NOSE].mean(1)
    steady = points[:, STEADY].mean(1)
    corners = points[:, (CORNER_RIGHT, CORNER_LEFT)].mean(1)
    return MouthCurves(
        opening=_distance(points, INNER_UPPER, INNER_LOWER) / height,
        width=_distance(points, CORNER_RIGHT, CORNER_LEFT) / height,
        lips=(points[:, LIPS] - nose[:, None]) / height[:, None, None],
        place=(corners - steady) / height[:, None],
        pose=steady,
        height=height,
    )


def mouth_windows(track: FaceTrack) -> np.ndarray:
    """The square around the mouth in each frame, moved inside the picture.

    Returns:
        (N, 4) int64 x1, y1, x2, y2 (exclusive); of a frame without a face, those of the nearest frame with one.
    """
    points = track.landmarks[..., :2].astype(np.float64)
    # One median size per clip: the window must not breathe with the chin, and all frames weigh the same.
    height = float(np.median(_distance(points, FOREHEAD, CHIN)[track.found])) if track.found.any() else 0.0
    side = max(8, min(round(WINDOW * height), track.width, track.height))
    corner = np.round(points[:, LIPS].mean(1) - side / 2).astype(np.int64)
    corner = np.clip(corner, 0, [track.width - side, track.height - side])
    return np.concatenate([corner, corner + side], 1)


def lip_distance(output: MouthCurves, truth: MouthCurves) -> np.ndarray:
    """Mean distance of the lip points after the noses are laid over each other.

    Returns:
        (F,) percent of the face's height; NaN where either face is missing.
    """
    return np.asarray(100 * np.linalg.norm(output.lips - truth.lips, axis=-1).mean(-1))


def pose_gap(output: MouthCurves, truth: MouthCurves) -> np.ndarray:
    """How far apart the two heads are, (F,) percent of the face's height; NaN where either face is missing."""
    return np.asarray(100 * np.linalg.norm(output.pose - truth.pose, axis=-1) / truth.height)


def box_jerk(curves: MouthCurves) -> float | None:
    """How much the mouth's place on the face trembles.

    The third difference is blind to rest, to steady motion and nearly to speech; it is given as the size of the white
    jitter that would cause it, so a mouth pasted with a jitter of 1 % comes back as 1.

    Returns:
        Percent of the face's height, of one axis; None with fewer than 4 frames in a row.
    """
    jerk = np.diff(curves.place, n=3, axis=0)
    jerk = jerk[np.isfinite(jerk).all(1)]
    if len(jerk) == 0:
        return None
    return float(100 * np.sqrt(np.mean(jerk**2) / WHITE_JERK))


def _distance(points: np.ndarray, first: int, second: int) -> np.ndarray:
    return np.asarray(np.linalg.norm(points[:, first] - points[:, second], axis=-1))
