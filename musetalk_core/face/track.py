"""Faces over a whole clip: find, follow, tell apart, choose, and make one `FaceTrack` a person."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import FaceError
from ..progress import Progress
from ..types import FaceTrack, Footage, frame_chunks
from .assemble import Scene, Seen, assemble_track
from .crop import CropOptions
from .find import BoxFinder, Finder, LandmarkFinder, NetworkFinder, Sighting
from .options import TrackOptions
from .people import Linker, Passage, Person, gather_people
from .select import select_people
from .shots import ShotDetector

__all__ = ["TrackOptions", "track_faces", "track_from_landmarks"]

CHUNK_FRAMES = 16  # read at once; 100 MB of 1080p
BRIEF_SECONDS = 0.2  # people seen for less are passers-by or errors, unless nobody is seen longer


def track_faces(
    footage: Footage,
    options: TrackOptions,
    crop: CropOptions,
    progress: Progress,
    *,
    boxes: Sequence[np.ndarray] | None = None,
    search: np.ndarray | None = None,
) -> list[FaceTrack]:
    """Follow the chosen people through a clip, in one pass over its frames.

    Args:
        footage: N frames.
        options: who, and when not.
        crop: how landmarks become boxes.
        progress: reports frames.
        boxes: faces from outside instead of our detector's: for each frame (K, 4) pixels x1, y1, x2, y2; K may be 0.
        search: (H, W) or (N, H, W) in 0..1, any size: only faces whose centre lies where it is 0.5 or more count.

    Returns:
        One track for each chosen person, in the order of the selection.

    Raises:
        FaceError: nobody is found, or not the one asked for; or what came from outside does not fit the footage.
    """
    n, fps = len(footage.clock), float(footage.clock.fps)
    if boxes is not None:
        _require_frames("boxes", len(boxes), n)
    finder = NetworkFinder(fps, options.most_faces) if boxes is None else BoxFinder(boxes)
    return _track(_follow(footage, finder, _Search(search, n), progress), options, crop)


def track_from_landmarks(
    footage: Footage,
    landmarks: Sequence[np.ndarray],
    options: TrackOptions,
    crop: CropOptions,
    progress: Progress,
    *,
    search: np.ndarray | None = None,
) -> list[FaceTrack]:
    """As `track_faces`, with landmarks from outside instead of ours.

    Args:
        footage: N frames; looked at for cuts and to tell people apart.
        landmarks: for each frame (K, 478, 2), (K, 478, 3) or (K, 68, 2) pixels; K may be 0 and people in any order;
            faces with NaN count as absent. The same number of points on all frames.
        options: who, and when not.
        crop: how landmarks become boxes.
        progress: reports frames.
        search: as in `track_faces`.

    Raises:
        FaceError: as in `track_faces`.
    """
    n = len(footage.clock)
    _require_frames("landmarks", len(landmarks), n)
    return _track(_follow(footage, LandmarkFinder(landmarks), _Search(search, n), progress), options, crop)


def _track(followed: tuple[list[Passage], Scene], options: TrackOptions, crop: CropOptions) -> list[FaceTrack]:
    passages, scene = followed
    n, fps = len(scene.clock), float(scene.clock.fps)
    people = _lasting(gather_people(passages, fps, options.likeness), min(n, round(BRIEF_SECONDS * fps)))
    if not people:
        raise FaceError(
            f"No face was found in the {n} frames.",
            "Use footage in which a face is seen from the front, at least about 5 % of the picture's longer side.",
        )
    seen = [person.seen(n) for person in people]
    tracks = []
    for person in select_people(people, options.selection, options.index, (options.point_x, options.point_y)):
        others = np.zeros(n, bool)
        for other, there in zip(people, seen, strict=True):
            others |= there & (other is not person)
        tracks.append(assemble_track(_gather(person, others), scene, options, crop))
    return tracks


def _follow(footage: Footage, finder: Finder, search: _Search, progress: Progress) -> tuple[list[Passage], Scene]:
    """One pass over the frames: passages of faces, and where the shots begin."""
    n = len(footage.clock)
    linker, shots = Linker(), ShotDetector()
    cuts = np.zeros(n, bool)
    index = 0
    progress.start("finding faces", n)
    for frames in frame_chunks(footage, CHUNK_FRAMES):
        for frame in frames:
            cuts[index] = shots.begins_shot(frame)
            faces = finder.find(index, frame, bool(cuts[index]))
            linker.add(index, [face for face in faces if search.allows(index, face, frame)], bool(cuts[index]))
            index += 1
            progress.advance()
    return linker.passages, Scene(footage.clock, cuts, footage.width, footage.height)


def _gather(person: Person, others: np.ndarray) -> Seen:
    """What was seen of a person, frame by frame."""
    n = len(others)
    points = np.zeros((n, *person.passages[0].points[0].shape), np.float32)
    yaw = np.zeros(n)
    for passage in person.passages:
        points[passage.start : passage.stop] = passage.points
        yaw[passage.start : passage.stop] = passage.yaw
    return Seen(points, person.seen(n), yaw, others)


def _lasting(people: list[Person], frames: int) -> list[Person]:
    return [person for person in people if person.frames >= frames] or people


def _require_frames(what: str, count: int, n: int) -> None:
    if count != n:
        raise FaceError(f"There are {what} for {count} frames, but the footage has {n}.", "Give one entry a frame.")


class _Search:
    """Where faces count."""

    def __init__(self, mask: np.ndarray | None, n: int) -> None:
        if mask is not None and mask.ndim == 3:
            if len(mask) not in (1, n):
                _require_frames("search masks", len(mask), n)
            mask = mask[0] if len(mask) == 1 else mask
        if mask is not None and mask.ndim not in (2, 3):
            raise FaceError(f"A search mask of shape {mask.shape} is unknown.", "Give (H, W) or (N, H, W).")
        self._mask = mask

    def allows(self, index: int, face: Sighting, frame: np.ndarray) -> bool:
        if self._mask is None:
            return True
        mask = self._mask if self._mask.ndim == 2 else self._mask[index]
        x, y = (face.box[:2] + face.box[2:]) / 2 / frame.shape[1::-1]
        row = min(max(int(y * mask.shape[0]), 0), mask.shape[0] - 1)
        column = min(max(int(x * mask.shape[1]), 0), mask.shape[1] - 1)
        return bool(mask[row, column] >= 0.5)
