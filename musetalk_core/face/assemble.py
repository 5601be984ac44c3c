"""From what was seen of a person to a `FaceTrack`: gaps, steady boxes, what is skipped and why, fades."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..timeline import Clock
from ..types import FaceTrack, Skip
from .crop import CropOptions, boxes_usable, crop_boxes, crop_edges, round_edges
from .detect import overlap
from .landmarks import roll_of
from .options import TrackOptions
from .points import LIPS_OUTER, LIPS_OUTER_68
from .smooth import MOTION_SECONDS, smooth, smooth_run, steady_runs, true_runs

HELD_OVERLAP = 0.4  # boxes before and after a gap overlap at least so much, or the head went elsewhere
HELD_GROWTH = 1.3
TURN_HYSTERESIS = 5.0  # degrees by which a head turns back before it speaks again, so that it does not flicker
MOUTH_INSIDE = 0.7  # share of the lip points that must lie in the picture


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What was seen of one person.

    Args:
        points: (N, P, 2) float32 landmarks; what stands where not seen does not matter.
        seen: (N,) bool.
        yaw: (N,) radians, where seen.
        others: (N,) bool, another person is seen.
    """

    points: np.ndarray
    seen: np.ndarray
    yaw: np.ndarray
    others: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """The clip that they were seen in.

    Args:
        clock: times of the N frames.
        cuts: (N,) bool, the frame begins a shot.
        width, height: pixels.
    """

    clock: Clock
    cuts: np.ndarray
    width: int
    height: int


def assemble_track(person: Seen, scene: Scene, options: TrackOptions, crop: CropOptions) -> FaceTrack:
    """Make one person's track.

    Args:
        person: what was seen; its points become the track's, and are changed.
        scene: the clip.
        options: gaps, smoothing, limits, fades.
        crop: how landmarks become boxes.
    """
    points, yaw = person.points, person.yaw.copy()
    n, fps = len(points), float(scene.clock.fps)
    found = person.seen & np.isfinite(points).all(axis=(1, 2))
    found[found] = np.isfinite(crop_edges(points[found], crop)).all(axis=1)
    _hold_gaps(points, found, yaw, scene, options.hold_seconds)
    boxes, roll = np.zeros((n, 4), np.int32), np.zeros(n, np.float32)
    for start, stop in steady_runs(points, found, scene.cuts):
        part = slice(start, stop)
        edges, roll[part] = smooth_run(points[part], fps, options.smoothing, crop, options.align_roll)
        boxes[part] = crop_boxes(points[part], crop) if crop.released else round_edges(edges)
        yaw[part] = smooth(yaw[part, None], MOTION_SECONDS * fps * options.smoothing)[:, 0]
    found &= boxes_usable(boxes)
    skip = _skips(dataclasses.replace(person, yaw=yaw), found, boxes, scene, options)
    nearest = _nearest(found)
    return FaceTrack(
        found=found,
        landmarks=points[nearest] if not found.all() else points,
        boxes=boxes[nearest],
        roll=roll[nearest],
        strength=_fade(skip == Skip.NONE, round(options.fade_seconds * fps)),
        skip=skip,
        width=scene.width,
        height=scene.height,
    )


def _hold_gaps(points: np.ndarray, found: np.ndarray, yaw: np.ndarray, scene: Scene, seconds: float) -> None:
    """Fill short gaps inside a shot by points between those of both sides, where both sides fit each other."""
    clock = scene.clock
    longest = Fraction(seconds).limit_denominator(1000)
    for start, stop in true_runs(~found):
        inside = start > 0 and stop < len(found) and not scene.cuts[start : stop + 1].any()
        if not inside or int(clock.ticks[stop] - clock.ticks[start]) * clock.time_base > longest:
            continue
        if not _same_place(points[start - 1], points[stop]):
            continue
        share = np.arange(1, stop - start + 1, dtype=np.float32) / (stop - start + 1)
        before, after = points[start - 1], points[stop]
        points[start:stop] = before + share[:, None, None] * (after - before)
        yaw[start:stop] = yaw[start - 1] + share * (yaw[stop] - yaw[start - 1])
        found[start:stop] = True


def _same_place(before: np.ndarray, after: np.ndarray) -> bool:
    a, b = (np.concatenate([points.min(axis=0), points.max(axis=0)]) for points in (before, after))
    growth = float(np.sqrt(np.prod(b[2:] - b[:2]) / np.prod(a[2:] - a[:2])))
    return float(overlap(a, b[None])[0]) >= HELD_OVERLAP and 1 / HELD_GROWTH < growth < HELD_GROWTH


def _skips(person: Seen, found: np.ndarray, boxes: np.ndarray, scene: Scene, options: TrackOptions) -> np.ndarray:
    """(N,) uint8 `Skip`; of several reasons the one that no setting can mend comes first."""
    points = person.points
    lips = points[:, list(LIPS_OUTER if points.shape[1] > 68 else LIPS_OUTER_68)]
    inside = ((lips >= 0) & (lips < (scene.width, scene.height))).all(axis=2).mean(axis=1)
    skip = np.full(len(found), Skip.NONE, np.uint8)
    skip[_turned(np.degrees(np.abs(person.yaw)), found, options.yaw_limit)] = Skip.TURNED
    if not options.align_roll:
        tilt = np.array([roll_of(face) for face in points])
        skip[_turned(np.degrees(np.abs(tilt)), found, options.roll_limit)] = Skip.TURNED
    skip[boxes[:, 3] - boxes[:, 1] < options.smallest_face] = Skip.TOO_SMALL
    skip[inside < MOUTH_INSIDE] = Skip.OUT_OF_FRAME
    skip[~found] = np.where(person.others, Skip.OTHER_PERSON, Skip.NO_FACE)[~found]
    return skip


def _turned(degrees: np.ndarray, found: np.ndarray, limit: float) -> np.ndarray:
    """Where the head is turned too far: from the limit on, until it is well inside again."""
    turned = np.zeros(len(found), bool)
    for start, stop in true_runs(found & (degrees > limit - TURN_HYSTERESIS)):
        beyond = np.flatnonzero(degrees[start:stop] > limit)
        if len(beyond):
            turned[start + beyond[0] : stop] = True
    return turned


def _fade(shown: np.ndarray, frames: int) -> np.ndarray:
    """(N,) float32: 0 where not shown, rising and falling over `frames` inside each shown run.

    The clip's own ends are no reason to fade, and a cut between two shown frames is none either.
    """
    strength = np.zeros(len(shown), np.float32)
    for start, stop in true_runs(shown):
        steps = np.arange(stop - start)
        rise = np.full(stop - start, 1.0) if start == 0 else (steps + 1) / (frames + 1)
        fall = np.full(stop - start, 1.0) if stop == len(shown) else (steps + 1)[::-1] / (frames + 1)
        strength[start:stop] = np.minimum(1, np.minimum(rise, fall))
    return strength


def _nearest(found: np.ndarray) -> np.ndarray:
    """(N,) index of the nearest found frame; all 0 when nothing is found."""
    at = np.flatnonzero(found)
    if len(at) == 0:
        return np.zeros(len(found), np.int64)
    frames = np.arange(len(found))
    after = np.clip(np.searchsorted(at, frames), 0, len(at) - 1)
    before = np.clip(after - 1, 0, None)
    return np.asarray(np.where(np.abs(frames - at[before]) <= np.abs(at[after] - frames), at[before], at[after]))
