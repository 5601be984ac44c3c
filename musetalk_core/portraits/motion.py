"""What moves: mouths that speak, heads that turn, eyes that blink and look; made from seeds or given as curves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import OptionError

MAX_YAW, MAX_PITCH, MAX_ROLL = 0.35, 0.24, 0.30  # radians; the range in which our detector finds every drawn face
MAX_OPENING = 0.14  # of the face's height; people who speak stay below 0.12
BLINK_SECONDS = 0.24
# Opening (of the face's height), width (of the resting mouth), rounding of phoneme-like targets.
VOWELS = (
    (0.095, 1.00, 0.0),
    (0.070, 1.09, 0.0),
    (0.038, 1.13, 0.0),
    (0.070, 0.85, 0.7),
    (0.032, 0.78, 1.0),
    (0.055, 1.0, 0.1),
)
CONSONANTS = (
    (0.0, 1.0, 0.0),
    (0.0, 1.0, 0.0),
    (0.010, 1.02, 0.0),
    (0.018, 1.05, 0.0),
    (0.020, 1.03, 0.0),
    (0.016, 0.86, 0.6),
)


@dataclass(frozen=True, slots=True)
class Pose:
    """Where the head is.

    Args:
        yaw: radians, positive turns the nose to the picture's right.
        pitch: radians, positive turns it down.
        roll: radians, positive turns the head clockwise in the picture.
        x, y: shift in face heights, right and down.
        scale: size over the usual.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        if abs(self.yaw) > MAX_YAW or abs(self.pitch) > MAX_PITCH or abs(self.roll) > MAX_ROLL:
            raise OptionError(
                f"A drawn head cannot turn by yaw {self.yaw:.2f}, pitch {self.pitch:.2f}, roll {self.roll:.2f}.",
                f"Stay within {MAX_YAW}, {MAX_PITCH} and {MAX_ROLL} radians.",
            )


@dataclass(frozen=True, slots=True)
class EyeShape:
    """What eyes and brows do.

    Args:
        opening: 0 shut, 1 as usual, up to 1.15.
        gaze_x, gaze_y: -1..1, right and down.
        brow: -1..1, brows down or up.
    """

    opening: float = 1.0
    gaze_x: float = 0.0
    gaze_y: float = 0.0
    brow: float = 0.0


@dataclass(frozen=True, slots=True)
class MouthShape:
    """What the mouth does.

    Args:
        opening: distance of the inner lips (points 13 and 14) over the face's height (10 to 152), 0..0.14.
        width: distance of the corners over this person's own at rest, 0.7..1.25.
        rounding: 0..1, lips pushed forward.
    """

    opening: float = 0.0
    width: float = 1.0
    rounding: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.opening <= MAX_OPENING and 0.7 <= self.width <= 1.25 and 0 <= self.rounding <= 1):
            raise OptionError(
                f"A drawn mouth cannot have opening {self.opening}, width {self.width}, rounding {self.rounding}.",
                f"Stay within 0..{MAX_OPENING}, 0.7..1.25 and 0..1.",
            )


@dataclass(frozen=True, slots=True, eq=False)
class MouthCurve:
    """A mouth over N frames.

    Args:
        opening, width, rounding: (N,) float64 each, as in `MouthShape`.
    """

    opening: np.ndarray
    width: np.ndarray
    rounding: np.ndarray

    def __len__(self) -> int:
        return len(self.opening)

    def at(self, frame: int) -> MouthShape:
        """The mouth of one frame."""
        return MouthShape(float(self.opening[frame]), float(self.width[frame]), float(self.rounding[frame]))

    @classmethod
    def measured(cls, opening: np.ndarray, width: np.ndarray | None = None) -> MouthCurve:
        """From curves measured on a real speaker, both in face heights; gaps (NaN) are bridged.

        Args:
            opening: (N,) distance of points 13 and 14.
            width: (N,) distance of points 61 and 291; its median over closed frames is taken as rest.
        """
        opening = np.clip(_bridged(opening), 0, MAX_OPENING)
        if width is None:
            wide = np.ones(len(opening))
        else:
            width = _bridged(width)
            still = opening <= np.quantile(opening, 0.3)
            wide = np.clip(width / np.median(width[still]), 0.7, 1.25)
        return cls(opening, wide, np.clip((0.97 - wide) * 5, 0, 1))


@dataclass(frozen=True, slots=True, eq=False)
class HeadMotion:
    """A head over N frames.

    Args:
        pose: (N, 6) yaw, pitch, roll, x, y, scale as in `Pose`.
        eyes: (N, 4) opening, gaze_x, gaze_y, brow as in `EyeShape`.
    """

    pose: np.ndarray
    eyes: np.ndarray

    def __len__(self) -> int:
        return len(self.pose)

    def pose_at(self, frame: int) -> Pose:
        """The pose of one frame."""
        return Pose(*self.pose[frame].tolist())

    def eyes_at(self, frame: int) -> EyeShape:
        """The eyes of one frame."""
        return EyeShape(*self.eyes[frame].tolist())

    @classmethod
    def from_seed(cls, seed: int, frames: int, fps: float, amount: float = 1.0) -> HeadMotion:
        """A person who listens to their own words: slow turns, small nods, blinks, looks to the side.

        Args:
            seed: source of chance.
            frames: N.
            fps: frames a second.
            amount: 0 still (blinks stay) to 1.5 lively.
        """
        rng = np.random.default_rng([seed, 131])
        time = np.arange(frames) / fps
        size = np.array([0.10, 0.055, 0.035, 0.022, 0.014, 0.010]) * amount
        base = np.array([0.07, 0.03, 0.03, 0.02, 0.01, 0.01]) * rng.normal(0, 1, 6).clip(-1.5, 1.5) * amount
        pose = base + size * _wander(rng, time, 6, 0.28)
        pose[:, 1] += 0.016 * amount * _wander(rng, time, 1, 1.1)[:, 0]
        limit = np.array([MAX_YAW, MAX_PITCH, MAX_ROLL, 0.12, 0.08, 0.05]) * 0.98
        pose = limit * np.tanh(pose / limit)
        pose[:, 5] += 1
        eyes = np.stack(
            [np.ones(frames), *(0.35 * _wander(rng, time, 2, 0.35)).T, 0.35 * _wander(rng, time, 1, 0.5)[:, 0]], 1
        )
        eyes[:, 1] -= 1.6 * pose[:, 0]  # eyes stay with the viewer while the head turns
        eyes[:, 2] -= 1.4 * pose[:, 1]
        eyes = np.clip(eyes, -1, 1.15)
        at = float(rng.uniform(0.4, 2.5))
        while at < frames / fps:
            phase = np.abs(time - at) / (BLINK_SECONDS / 2)
            eyes[:, 0] = np.minimum(eyes[:, 0], np.clip(phase * 1.5 - 0.45, 0, 1))
            at += float(rng.gamma(4.0, 0.9)) + 0.5
        return cls(pose, eyes)


def speech_motion(seed: int, frames: int, fps: float, loudness: float = 1.0) -> MouthCurve:
    """A mouth that speaks random syllables: lips close on some consonants, phrases end in pauses.

    Args:
        seed: source of chance.
        frames: N.
        fps: frames a second.
        loudness: how far vowels open, 0.5..1.4.
    """
    rng = np.random.default_rng([seed, 137])
    times, targets = [0.0], [(0.0, 1.0, 0.0)]
    now = float(rng.uniform(0.1, 0.4))
    end = frames / fps + 1
    while now < end:
        times.append(now)
        targets.append((0.0, 1.0, 0.0))
        for _ in range(int(rng.integers(4, 13))):
            consonant, vowel = CONSONANTS[rng.integers(6)], VOWELS[rng.integers(6)]
            stress = float(rng.uniform(0.7, 1.25)) * loudness
            now += float(rng.uniform(0.055, 0.10))
            times.append(now)
            targets.append(consonant)
            if consonant[0] == 0.0:  # the lips stay together for a moment
                now += 0.045
                times.append(now)
                targets.append(consonant)
            now += float(rng.uniform(0.07, 0.14))
            times.append(now)
            targets.append((min(vowel[0] * stress, MAX_OPENING), 1 + (vowel[1] - 1) * stress, vowel[2]))
        now += 0.12
        times.append(now)
        targets.append((0.0, 1.0, 0.0))
        now += float(rng.uniform(0.15, 0.6))
    at = np.arange(frames) / fps
    knots, values = np.array(times), np.array(targets)
    low = np.clip(np.searchsorted(knots, at, side="right") - 1, 0, len(knots) - 2)
    share = np.clip((at - knots[low]) / (knots[low + 1] - knots[low]), 0, 1)[:, None]
    share = share * share * (3 - 2 * share)
    curves = values[low] * (1 - share) + values[low + 1] * share
    return MouthCurve(curves[:, 0], np.clip(curves[:, 1], 0.7, 1.25), curves[:, 2])


def _bridged(values: np.ndarray) -> np.ndarray:
    """NaN replaced by a straight line between what is known."""
    values = np.asarray(values, np.float64)
    known = np.isfinite(values)
    if not known.any():
        raise OptionError("The mouth's curve holds no number.", "Measure it on footage with a face.")
    return np.asarray(np.interp(np.arange(len(values)), np.flatnonzero(known), values[known]))


def _wander(rng: np.random.Generator, time: np.ndarray, count: int, hertz: float) -> np.ndarray:
    """Slow smooth chance, deviation about 1, (N, count): a few sines that never meet."""
    rate = hertz * rng.uniform(0.35, 1.9, (5, count))
    phase = rng.uniform(0, 2 * np.pi, (5, count))
    waves = np.sin(2 * np.pi * rate * time[:, None, None] + phase)
    return np.asarray(waves.sum(axis=1) * np.sqrt(2 / 5))
