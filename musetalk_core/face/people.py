"""Whose face it is: sightings of consecutive frames become passages, passages of the same person become a person."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .detect import overlap
from .find import LIKE_NEXT_FRAME, Sighting
from .landmarks import likeness

LIKE_NEAR = 0.8  # enough to be the same person again at nearly the same place within a shot
NEAR_SECONDS = 1.0
PLACE_OVERLAP = 0.2
NEAR_BONUS = 0.01  # between two people who are equally like
GLIMPSE = 3  # frames; a shorter passage beside longer ones is mostly a half-hidden face with wrong landmarks
LOOK_MEMORY = 0.9  # share of the past in what a passage remembers of its look


@dataclass(slots=True, eq=False)
class Passage:
    """One face on consecutive frames of one shot.

    Args:
        start: first frame.
        shot: number of its shot.
        points: for each frame (P, 2) float32.
        yaw: for each frame, radians.
        area: sum of the boxes' areas.
        first, last: its boxes on the first and the last frame.
        look: what it looks like lately.
        looks: sum of what it looked like on all frames.
    """

    start: int
    shot: int
    points: list[np.ndarray] = field(default_factory=list)
    yaw: list[float] = field(default_factory=list)
    area: float = 0.0
    first: np.ndarray | None = None
    last: np.ndarray | None = None
    look: np.ndarray | None = None
    looks: np.ndarray | None = None

    @property
    def stop(self) -> int:
        return self.start + len(self.points)

    def append(self, face: Sighting) -> None:
        self.points.append(face.landmarks)
        self.yaw.append(face.yaw)
        self.area += float(np.prod(face.box[2:] - face.box[:2]))
        self.first = face.box if self.first is None else self.first
        self.last = face.box
        self.look = face.look if self.look is None else LOOK_MEMORY * self.look + (1 - LOOK_MEMORY) * face.look
        self.looks = face.look if self.looks is None else self.looks + face.look

    def fit(self, face: Sighting) -> float:
        """How well a face continues this passage, 0 when it cannot."""
        place = float(overlap(face.box, np.asarray(self.last)[None])[0])
        like = likeness(np.asarray(self.look), face.look)
        return place + like if place > PLACE_OVERLAP and like > LIKE_NEXT_FRAME else 0.0


@dataclass(slots=True, eq=False)
class Person:
    """Everything seen of one person.

    Args:
        passages: in order of time, never two at once.
    """

    passages: list[Passage]

    @property
    def frames(self) -> int:
        return sum(len(passage.points) for passage in self.passages)

    @property
    def area(self) -> float:
        return sum(passage.area for passage in self.passages)

    @property
    def first_box(self) -> np.ndarray:
        return np.asarray(self.passages[0].first)

    def seen(self, frames: int) -> np.ndarray:
        """(frames,) bool, where this person was seen."""
        seen = np.zeros(frames, bool)
        for passage in self.passages:
            seen[passage.start : passage.stop] = True
        return seen

    def likeness(self, passage: Passage) -> float:
        """With the whole and with the latest of what was seen before, whichever is higher."""
        looks = [np.asarray(known.looks) for known in self.passages]
        own = np.asarray(passage.looks)
        return max(likeness(np.sum(looks, axis=0), own), likeness(looks[-1], own))


class Linker:
    """Strings the sightings of consecutive frames to passages."""

    def __init__(self) -> None:
        self.passages: list[Passage] = []
        self._open: list[Passage] = []
        self._shot = 0

    def add(self, index: int, faces: list[Sighting], cut: bool) -> None:
        """Take the faces of the next frame; a cut ends every passage."""
        if cut:
            self._shot += 1
            self._open = []
        pairs = [(passage.fit(face), i, j) for i, passage in enumerate(self._open) for j, face in enumerate(faces)]
        passage_of: dict[int, int] = {}  # by face
        for fit, i, j in sorted(pairs, reverse=True):
            if fit > 0 and i not in passage_of.values() and j not in passage_of:
                passage_of[j] = i
        still_open = []
        for j, face in enumerate(faces):
            if j in passage_of:
                passage = self._open[passage_of[j]]
            else:
                passage = Passage(index, self._shot)
                self.passages.append(passage)
            passage.append(face)
            still_open.append(passage)
        self._open = still_open


def gather_people(passages: list[Passage], fps: float, least: float) -> list[Person]:
    """Join passages of the same person, over gaps and cuts.

    Args:
        passages: in order of their first frame.
        fps: frames a second.
        least: how alike two passages must look to be one person when neither place nor time speaks for it.

    Returns:
        People in order of their first frame.
    """
    people: list[Person] = []
    lasting = [passage for passage in passages if len(passage.points) >= GLIMPSE]
    for passage in lasting or passages:
        best, best_score = None, 0.0
        for person in people:
            last = person.passages[-1]
            if last.stop > passage.start:
                continue
            like = person.likeness(passage)
            near = (
                last.shot == passage.shot
                and passage.start - last.stop <= NEAR_SECONDS * fps
                and overlap(np.asarray(last.last), np.asarray(passage.first)[None])[0] > PLACE_OVERLAP
            )
            score = like + NEAR_BONUS * near
            if like > (min(LIKE_NEAR, least) if near else least) and score > best_score:
                best, best_score = person, score
        if best is None:
            people.append(Person([passage]))
        else:
            best.passages.append(passage)
    return people
