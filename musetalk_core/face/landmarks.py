"""478 landmarks of one face, and what the face looks like at them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .networks import TFLiteNetwork, unit_range
from .points import EYE_CORNERS, STABLE, STABLE_68

INPUT_SIZE = 256  # pixels; what the landmark network sees
REGION_MARGIN = 1.5  # region side over face size; MediaPipe's own
PRESENCE_LIMIT = 0.5  # MediaPipe's own default
DESCRIPTOR_SIZE = 64  # pixels a side; coarse, so that a landmark error of a pixel or two changes little


@dataclass(frozen=True, slots=True)
class Region:
    """A turned square of the frame.

    Args:
        x, y: centre in pixels.
        side: pixels.
        roll: radians, positive when the face's left-to-right axis points down in the picture.
    """

    x: float
    y: float
    side: float
    roll: float

    def matrix(self, size: int) -> np.ndarray:
        """The affine map from the frame to a size x size patch, (2, 3) float64, of pixel centres."""
        scale = size / self.side
        cos, sin = np.cos(self.roll) * scale, np.sin(self.roll) * scale
        half = (size - 1) / 2  # index of the patch's centre; frame coordinates count from the pixel's corner
        x, y = self.x - 0.5, self.y - 0.5
        return np.array([[cos, sin, half - cos * x - sin * y], [-sin, cos, half + sin * x - cos * y]])


def region_of_box(box: np.ndarray, eyes: np.ndarray | None = None) -> Region:
    """The region in which to look for landmarks, from a face box (4,) and, if known, both eyes (2, 2)."""
    roll = 0.0 if eyes is None else float(np.arctan2(*(eyes[1] - eyes[0])[::-1]))
    side = REGION_MARGIN * float(max(box[2] - box[0], box[3] - box[1]))
    return Region(float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2, max(side, 1.0), roll)


def region_of_landmarks(landmarks: np.ndarray) -> Region:
    """The region around known landmarks, (P, 2 or 3)."""
    roll = roll_of(landmarks)
    cos, sin = np.cos(roll), np.sin(roll)
    turn = np.array([[cos, -sin], [sin, cos]])
    upright = landmarks[:, :2] @ turn
    low, high = upright.min(axis=0), upright.max(axis=0)
    x, y = turn @ ((low + high) / 2)
    return Region(float(x), float(y), max(REGION_MARGIN * float((high - low).max()), 1.0), roll)


def roll_of(landmarks: np.ndarray) -> float:
    """Angle of the line through the outer eye corners, radians, of (P, 2 or 3) landmarks."""
    left, right = EYE_CORNERS[len(landmarks)]
    x, y = (landmarks[right] - landmarks[left])[:2]
    return float(np.arctan2(y, x))


def cut_region(frame: np.ndarray, region: Region, size: int = INPUT_SIZE) -> np.ndarray:
    """The region as an upright patch, (size, size, 3) float32 in 0..1; black beyond the frame's edges."""
    import cv2

    matrix = region.matrix(size)
    shrink = int(region.side // size)
    if shrink >= 2:  # a low-pass first, or fine texture would make the landmarks tremble
        reach = region.side * 0.75  # the turned square's corners lie within 0.71 sides of its centre
        height, width = frame.shape[:2]
        x1, y1 = max(0, int(region.x - reach)), max(0, int(region.y - reach))
        x2, y2 = min(width, int(region.x + reach) + 1), min(height, int(region.y + reach) + 1)
        x2, y2 = x2 - (x2 - x1) % shrink, y2 - (y2 - y1) % shrink
        if x2 > x1 and y2 > y1:
            small = ((x2 - x1) // shrink, (y2 - y1) // shrink)
            frame = cv2.resize(frame[y1:y2, x1:x2], small, interpolation=cv2.INTER_AREA)
            # the centre of small pixel i lies at i * shrink + (shrink - 1) / 2 of the frame
            enlarge = np.array([[shrink, 0, x1 + (shrink - 1) / 2], [0, shrink, y1 + (shrink - 1) / 2], [0, 0, 1]])
            matrix = matrix @ enlarge
    return unit_range(cv2.warpAffine(frame, matrix, (size, size), flags=cv2.INTER_LINEAR))


class LandmarkDetector:
    """MediaPipe's 478 face landmarks, version 2.

    Source: Grishchenko et al. 2020, "Attention Mesh"; the released MediaPipe network.
    """

    def __init__(self) -> None:
        self._network = TFLiteNetwork("face_landmarks_detector.tflite", ("Identity", "Identity_1"))

    def locate(self, frame: np.ndarray, region: Region) -> tuple[np.ndarray, float]:
        """Landmarks of the face in a region.

        Args:
            frame: (H, W, 3) RGB, uint8 or float in 0..1.
            region: where to look.

        Returns:
            (478, 3) float32: x, y in pixels of the frame and z in the same unit, growing away from the camera; and the
            probability that a face is there.
        """
        points, presence = self._network(cut_region(frame, region))
        points = points.reshape(478, 3)  # pixels of the patch
        scale = region.side / INPUT_SIZE
        cos, sin = np.cos(region.roll), np.sin(region.roll)
        x, y = (points[:, 0] - INPUT_SIZE / 2) * scale, (points[:, 1] - INPUT_SIZE / 2) * scale
        placed = np.stack([cos * x - sin * y + region.x, sin * x + cos * y + region.y, points[:, 2] * scale], axis=1)
        # In double precision, so that two that are nearly 1 can still be compared.
        return placed.astype(np.float32), float(1 / (1 + np.exp(-np.float64(presence[0]))))


def describe(frame: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """What a face looks like, whatever its pose and its mouth do: the picture's colours at its landmarks.

    Light is taken out as far as one frame allows: its strength, its colour, and its direction by a plane over the
    face. Measured on 19 speakers in 48 clips: the same person in another clip 0.885 and more in 99 %, two people 0.870
    and less in 99 %.

    Args:
        frame: (H, W, 3) RGB, uint8 or float in 0..1.
        landmarks: (P, 2 or 3), P = 478 or 68.

    Returns:
        (D,) float32 of length 1, for `likeness`. D depends on P.
    """
    import cv2

    region = region_of_landmarks(landmarks)
    patch = cut_region(frame, region, DESCRIPTOR_SIZE)
    matrix = region.matrix(DESCRIPTOR_SIZE)
    stable = landmarks[list(STABLE if len(landmarks) > 68 else STABLE_68), :2]
    at = ((stable - 0.5) @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)  # pixel centres are at +0.5
    colors = cv2.remap(patch, at[:, None, 0].copy(), at[:, None, 1].copy(), cv2.INTER_LINEAR)[:, 0]
    plane = np.concatenate([at / DESCRIPTOR_SIZE - 0.5, np.ones((len(at), 1), np.float32)], axis=1)
    luma = colors.mean(axis=1)
    texture = luma - plane @ np.linalg.lstsq(plane, luma, rcond=None)[0]
    texture /= np.linalg.norm(texture) + 1e-3
    chroma = (colors[:, [0, 2]] - luma[:, None]) / (luma.std() + 0.02)
    chroma = (chroma - chroma.mean(axis=0)).reshape(-1) / np.sqrt(len(at))  # the light's own colour taken out
    vector = np.concatenate([texture, chroma])
    return np.asarray(vector / (np.linalg.norm(vector) + 1e-6), np.float32)


def likeness(look: np.ndarray, other: np.ndarray) -> float:
    """How alike two looks (or sums of looks) are, -1..1."""
    return float(look @ other) / float(np.linalg.norm(look) * np.linalg.norm(other) + 1e-9)
