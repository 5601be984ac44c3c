"""The faces of each frame, one frame after another: by our networks, or from what somebody else found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ..errors import FaceError
from .detect import Detections, FaceDetector, overlap
from .landmarks import (
    PRESENCE_LIMIT,
    LandmarkDetector,
    Region,
    describe,
    likeness,
    region_of_box,
    region_of_landmarks,
)
from .points import head_yaw

# How often faces are looked for that are not followed already. The whole frame costs 4 ms, all tiles 30 ms.
FRAME_SECONDS = 0.2
TILES_SECONDS = 1.0
TILES_SECONDS_EMPTY = 0.2  # while nobody is there
LOST_SECONDS = 1.0  # how long a lost face is looked for in every frame, where it was
LIKE_NEXT_FRAME = 0.75  # below, it is another face, or none; measured: 0.93 and more from frame to frame in one shot
SAME_PLACE = 0.4  # overlap from which two sightings of one frame are one face
# A face that moves by more than this part of its region between two frames is looked at again where it was found.
FAST = 0.05
FAST_LOOKS = 3
SIZE_JUMP = 1.6  # a face that grows or shrinks more than this from one frame to the next is not followed


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """One face in one frame.

    Args:
        landmarks: (P, 2) float32 pixels.
        box: (4,) float32 around them.
        yaw: radians.
        look: `describe`'s vector.
    """

    landmarks: np.ndarray
    box: np.ndarray
    yaw: float
    look: np.ndarray


class Finder(Protocol):
    """Gives the faces of a frame; called once for every frame, in order."""

    def find(self, index: int, frame: np.ndarray, cut: bool) -> list[Sighting]:
        """Faces in frame `index`; `cut` tells that it begins a new shot."""


class NetworkFinder:
    """Follows faces from frame to frame by their landmarks, and looks for new and lost ones.

    Args:
        fps: frames a second.
        most: how many faces are followed at once; the largest count.
    """

    def __init__(self, fps: float, most: int) -> None:
        self._detector, self._landmarks = FaceDetector(), LandmarkDetector()
        self._fps, self._most = fps, most
        self._last: list[Sighting] = []
        self._lost: list[tuple[int, np.ndarray]] = []
        self._frame_due = self._tiles_due = 0

    def find(self, index: int, frame: np.ndarray, cut: bool) -> list[Sighting]:
        if cut:
            self._last, self._lost, self._tiles_due = [], [], index
        self._lost = [(since, box) for since, box in self._lost if index - since <= LOST_SECONDS * self._fps]
        found: list[Sighting] = []
        # Where one face passes before another, both are followed to the same place: it is whose look stays that counts.
        followed = [(self._follow(frame, known), known) for known in self._last]
        followed.sort(key=lambda pair: 0 if pair[0] is None else -likeness(pair[0].look, pair[1].look))
        for face, known in followed:
            if face is not None and likeness(face.look, known.look) > LIKE_NEXT_FRAME and _is_new(face.box, found):
                found.append(face)
            else:
                self._lost.append((index, known.box))
        for detections in self._detect(index, frame, empty=not found):
            found += self._locate(frame, detections, found)
        self._lost = [(since, box) for since, box in self._lost if _is_new(box, found)]
        found.sort(key=lambda face: -_area(face.box))
        self._last = found[: self._most]
        return self._last

    def _follow(self, frame: np.ndarray, known: Sighting) -> Sighting | None:
        region = region_of_landmarks(known.landmarks)
        for _ in range(FAST_LOOKS):
            landmarks, presence = self._landmarks.locate(frame, region)
            last, region = region, region_of_landmarks(landmarks)
            moved = np.hypot(region.x - last.x, region.y - last.y) + abs(region.side - last.side)
            if moved < FAST * last.side:
                break
        seen = _sight(frame, landmarks)
        if presence < PRESENCE_LIMIT or seen is None:
            return None
        growth = np.sqrt(_area(seen.box) / _area(known.box))
        return seen if 1 / SIZE_JUMP < growth < SIZE_JUMP else None

    def _detect(self, index: int, frame: np.ndarray, empty: bool) -> list[Detections]:
        if index >= self._tiles_due:
            found = self._detector.detect_all(frame)
            pause = TILES_SECONDS if len(found) else TILES_SECONDS_EMPTY
            self._tiles_due = index + max(1, round(pause * self._fps))
            self._frame_due = index + max(1, round(FRAME_SECONDS * self._fps))
            return [found]
        if empty:
            self._tiles_due = min(self._tiles_due, index + round(TILES_SECONDS_EMPTY * self._fps))
        parts = [self._detector.detect_near(frame, box) for _, box in self._lost]
        if index >= self._frame_due or empty or self._lost:
            self._frame_due = index + max(1, round(FRAME_SECONDS * self._fps))
            parts.append(self._detector.detect(frame))
        return parts

    def _locate(self, frame: np.ndarray, detections: Detections, known: Sequence[Sighting]) -> list[Sighting]:
        """The faces among detections that are not known yet."""
        new: list[Sighting] = []
        for box, eyes in zip(detections.boxes, detections.eyes, strict=True):
            centre = (box[:2] + box[2:]) / 2
            if any((face.box[:2] <= centre).all() and (centre <= face.box[2:]).all() for face in [*known, *new]):
                continue
            landmarks = self._look_both_ways(frame, region_of_box(box, eyes))
            seen = None if landmarks is None else _sight(frame, landmarks)
            if seen is not None and _is_new(seen.box, [*known, *new]):
                new.append(seen)
        return new

    def _look_both_ways(self, frame: np.ndarray, region: Region) -> np.ndarray | None:
        """Landmarks in a region or in the same region upside down, whichever is more of a face; None if neither is.

        The detector takes upside-down faces for upright ones, with the mouth on the forehead, and so does the landmark
        network, but with less presence: measured on 53 clips, the higher presence is right on all of 331 upright and
        289 upside-down faces.
        """
        looks = []
        for roll in (region.roll, region.roll + np.pi):
            landmarks, first = self._landmarks.locate(frame, replace(region, roll=roll))
            landmarks, second = self._landmarks.locate(frame, region_of_landmarks(landmarks))
            looks.append((second, first, landmarks))
        presence, _, landmarks = max(looks, key=lambda look: look[0])
        return landmarks if min(presence, max(look[1] for look in looks)) >= PRESENCE_LIMIT else None


class BoxFinder:
    """Our landmarks in boxes from outside.

    Args:
        boxes: for each frame (K, 4) pixels x1, y1, x2, y2.
    """

    def __init__(self, boxes: Sequence[np.ndarray]) -> None:
        self._boxes = boxes
        self._landmarks = LandmarkDetector()

    def find(self, index: int, frame: np.ndarray, cut: bool) -> list[Sighting]:
        found: list[Sighting] = []
        for box in np.asarray(self._boxes[index], np.float32).reshape(-1, 4):
            if not (np.isfinite(box).all() and (box[2:] > box[:2]).all()):
                continue
            landmarks, _ = self._landmarks.locate(frame, region_of_box(box))
            for _ in range(2):  # boxes differ in what they enclose, and know nothing of the head's tilt
                landmarks, presence = self._landmarks.locate(frame, region_of_landmarks(landmarks))
            seen = _sight(frame, landmarks)
            if presence >= PRESENCE_LIMIT and seen is not None and _is_new(seen.box, found):
                found.append(seen)
        return found


class LandmarkFinder:
    """Landmarks from outside.

    Args:
        landmarks: for each frame (K, 478, 2 or 3) or (K, 68, 2) pixels.

    Raises:
        FaceError: landmarks have another number of points.
    """

    def __init__(self, landmarks: Sequence[np.ndarray]) -> None:
        shapes = {np.asarray(faces).shape[1:] for faces in landmarks if len(faces)}
        if len({shape[0] for shape in shapes if len(shape) == 2}) > 1 or any(
            len(shape) != 2 or shape[0] not in (68, 478) or shape[1] not in (2, 3) for shape in shapes
        ):
            raise FaceError(
                f"Landmarks of the shapes {sorted(shapes)} a face are unknown.", "Give 478 or 68 points on all frames."
            )
        self._faces = landmarks

    def find(self, index: int, frame: np.ndarray, cut: bool) -> list[Sighting]:
        found: list[Sighting] = []
        for landmarks in self._faces[index]:
            seen = _sight(frame, np.asarray(landmarks, np.float32))
            if seen is not None and _is_new(seen.box, found):
                found.append(seen)
        return found


def _sight(frame: np.ndarray, landmarks: np.ndarray) -> Sighting | None:
    """A sighting from (P, 2 or 3) landmarks; None when they are not finite or have no area."""
    points = landmarks[:, :2]
    if not np.isfinite(landmarks).all():
        return None
    box = np.concatenate([points.min(axis=0), points.max(axis=0)])
    if (box[2:] - box[:2] < 1).any() or (box[2:] <= 0).any() or (box[:2] >= frame.shape[1::-1]).any():
        return None
    yaw = head_yaw(landmarks if len(landmarks) > 68 else points)
    return Sighting(points.astype(np.float32), box.astype(np.float32), yaw, describe(frame, landmarks))


def _is_new(box: np.ndarray, known: Sequence[Sighting]) -> bool:
    return not known or float(overlap(box, np.stack([face.box for face in known])).max()) < SAME_PLACE


def _area(box: np.ndarray) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))
