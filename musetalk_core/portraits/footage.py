"""Footage of drawn people who talk, with ground truth; frames are drawn when they are read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from ..errors import OptionError
from ..timeline import Clock
from .camera import Camera
from .draw import Portrait
from .identity import Identity
from .motion import HeadMotion, MouthCurve, speech_motion
from .points import face_points, mouth_outlines


@dataclass(frozen=True, slots=True, eq=False)
class Actor:
    """A drawn person and what they do over N frames."""

    portrait: Portrait
    mouth: MouthCurve
    motion: HeadMotion


@dataclass(frozen=True, slots=True, eq=False)
class FaceTruth:
    """What is true of one drawn person over N frames.

    Args:
        opening: (N,) distance of the inner lips over the face's height, as given to the drawing.
        width: (N,) distance of the mouth's corners over this person's own at rest.
        landmarks: (N, 68, 2) float32 pixels, the usual 68 points.
        lips: (N, 40, 2) float32 pixels, closed outline around the lips.
        inside: (N, 40, 2) float32 pixels, closed outline of what is open between them.
        pose: (N, 6), eyes: (N, 4), as in `HeadMotion`.
    """

    opening: np.ndarray
    width: np.ndarray
    landmarks: np.ndarray
    lips: np.ndarray
    inside: np.ndarray
    pose: np.ndarray
    eyes: np.ndarray


class PortraitFootage:
    """Drawn people before one background: `types.Footage`.

    Args:
        actors: from the back to the front; the first one's background is shown. All of one size and length.
        fps: frames a second.
        camera: whose faults the frames get.
    """

    def __init__(self, actors: Sequence[Actor], fps: Fraction, camera: Camera) -> None:
        sizes = {(actor.portrait.width, actor.portrait.height, len(actor.mouth), len(actor.motion)) for actor in actors}
        if len(sizes) != 1 or len(actors[0].mouth) != len(actors[0].motion):
            raise OptionError("The drawn people differ in frame size or length.", "Prepare them alike.")
        self.actors = tuple(actors)
        self._camera = camera
        self._clock = Clock.regular(len(actors[0].mouth), fps)

    @property
    def width(self) -> int:
        return self.actors[0].portrait.width

    @property
    def height(self) -> int:
        return self.actors[0].portrait.height

    @property
    def clock(self) -> Clock:
        return self._clock

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """The frames of these indices, (n, H, W, 3) uint8 RGB."""
        frames = np.empty((len(indices), self.height, self.width, 3), np.uint8)
        for slot, index in enumerate(indices):
            frames[slot] = self._frame(int(index))
        return frames

    def digest(self) -> str:
        """sha256, in hex, of all curves and of the first frame as drawn: equal for equal frames."""
        content = hashlib.sha256()
        for actor in self.actors:
            curves = (
                actor.mouth.opening,
                actor.mouth.width,
                actor.mouth.rounding,
                actor.motion.pose,
                actor.motion.eyes,
            )
            for values in curves:
                content.update(np.ascontiguousarray(values, np.float64).tobytes())
            content.update(repr(actor.portrait.person).encode())
        content.update(f"{self.clock.time_base} {self._camera.seed}".encode())
        content.update(self._frame(0).tobytes())
        return content.hexdigest()

    def truth(self, actor: int = 0) -> FaceTruth:
        """Ground truth of one of the people."""
        who = self.actors[actor]
        portrait = who.portrait
        landmarks, lips, inside = [], [], []
        for i in range(len(self.clock)):
            pose, mouth, eyes = who.motion.pose_at(i), who.mouth.at(i), who.motion.eyes_at(i)
            landmarks.append(portrait.project(face_points(portrait, mouth, eyes), pose))
            outer, inner = mouth_outlines(portrait, mouth)
            lips.append(portrait.project(outer, pose))
            inside.append(portrait.project(inner, pose))
        return FaceTruth(
            who.mouth.opening, who.mouth.width, np.array(landmarks, np.float32), np.array(lips, np.float32),
            np.array(inside, np.float32), who.motion.pose, who.motion.eyes,
        )  # fmt: skip

    def _frame(self, index: int) -> np.ndarray:
        frame = self.actors[0].portrait.scene.copy()
        for actor in self.actors:
            actor.portrait.paint(frame, actor.motion.pose_at(index), actor.mouth.at(index), actor.motion.eyes_at(index))
        return self._camera.take(frame, index)


def portrait_footage(
    seed: int, seconds: float, fps: Fraction | int = 25, *, width: int = 512, height: int = 512, people: int = 1,
    mouth: MouthCurve | None = None, amount: float = 1.0, faults: float = 1.0,
) -> PortraitFootage:  # fmt: skip
    """Footage of one or two drawn people who talk.

    Args:
        seed: decides who they are, how they move and what camera sees them.
        seconds: length, at least one frame.
        fps: frames a second.
        width, height: pixels.
        people: 1 or 2; two stand side by side, the first on the picture's left.
        mouth: the first person's mouth; by default random syllables.
        amount: how much heads move, 0..1.5.
        faults: the camera's, 0 none.

    Raises:
        OptionError: another number of people, or a mouth of another length.
    """
    if people not in (1, 2):
        raise OptionError(f"{people} people cannot be drawn.", "Ask for 1 or 2.")
    rate = Fraction(fps)
    frames = max(1, round(seconds * rate))
    if mouth is not None and len(mouth) != frames:
        raise OptionError(
            f"The mouth's curve has {len(mouth)} frames, the footage {frames}.", "Give one value a frame."
        )
    actors: list[Actor] = []
    for i in range(people):
        own = seed if i == 0 else seed + 1_000_003 * i
        tall = 0.47 * min(width, height) if people == 1 else min(0.40 * min(width, height), 0.27 * width)
        centre = (width * (0.5 if people == 1 else (0.27, 0.73)[i]), height * (0.42 if people == 1 else 0.44))
        person = Identity.from_seed(own)
        if actors:  # one room, one light
            first = actors[0].portrait.person
            person = replace(
                person, light_side=first.light_side, light_height=first.light_height,
                light_warmth=first.light_warmth, light_soft=first.light_soft,
            )  # fmt: skip
        portrait = Portrait.prepare(person, width, height, face_height=tall, centre=centre)
        said = mouth if mouth is not None and i == 0 else speech_motion(own, frames, float(rate))
        actors.append(Actor(portrait, said, HeadMotion.from_seed(own, frames, float(rate), amount)))
    return PortraitFootage(actors, rate, Camera.from_seed(seed, width, height, faults))
