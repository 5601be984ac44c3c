"""Steady boxes and landmarks without lag.

A face's motion is split into the head's (place and size of points that speech does not move), the box relative to the
head, and what the face itself does. Head and box are smoothed by symmetric kernels inside unbroken runs of frames; the
face's own motion, the mouth above all, stays as it was seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from .crop import CropOptions, crop_edges
from .landmarks import roll_of
from .points import RIGID, RIGID_68

# Standard deviations of the kernels at smoothing 1. Measured on two clips: the tremble of the box height (second
# difference) falls to a third, and the landmarks move by 0.1 to 1 px (faces of 150 and 380 px).
MOTION_SECONDS = 0.07
BOX_SECONDS = 0.12
# Fast motion is no tremble: a result keeps within these parts of the head's size (a face is about 3 sizes high).
MOTION_LIMIT = 0.04
BOX_LIMIT = 0.1
KERNEL_REACH = 3  # standard deviations
# A head that jumps further than this part of its height between two frames, and three times as far as on the frames
# around, was cut without a visible cut.
JUMP = 0.08
JUMP_RATIO = 3.0


def smooth(signal: np.ndarray, frames: float, limit: np.ndarray | float = np.inf) -> np.ndarray:
    """Smooth without lag and nearly without flattening slow motion.

    A Gaussian, applied once more to what it took away, so that the kernel keeps parabolas as they are. Both ends are
    continued by point reflection, which keeps the first and last values and their trend.

    Args:
        signal: (n, C).
        frames: standard deviation of the Gaussian; 0 returns the signal.
        limit: furthest distance of the result from the signal, (n, 1) or one number; small distances are kept whole.

    Returns:
        (n, C) float64.
    """
    if frames <= 0:
        return signal.astype(np.float64)
    smoothed = _blur(signal.astype(np.float64), frames)
    change = smoothed + _blur(signal - smoothed, frames) - signal
    return np.asarray(signal + (change if np.isinf(limit).all() else limit * np.tanh(change / limit)))


def _blur(signal: np.ndarray, frames: float) -> np.ndarray:
    if len(signal) < 3:
        return signal
    reach = int(np.ceil(KERNEL_REACH * frames))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / frames) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(signal, ((reach, reach), (0, 0)), mode="reflect", reflect_type="odd")
    return np.stack([np.convolve(column, kernel, "valid") for column in padded.T], axis=1)


def head_motion(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Place (n, 2) and size (n, 1) of the head in pixels, float64, from (n, P, 2) landmarks."""
    rigid = points[:, list(RIGID if points.shape[1] > 68 else RIGID_68)].astype(np.float64)
    place = rigid.mean(axis=1)
    size = np.sqrt(((rigid - place[:, None]) ** 2).sum(axis=2).mean(axis=1))
    return place, np.maximum(size, 1e-3)[:, None]


def steady_runs(points: np.ndarray, found: np.ndarray, cuts: np.ndarray) -> Iterator[tuple[int, int]]:
    """Runs of frames without gap, cut or jump: (first, past the last)."""
    for start, stop in true_runs(found):
        breaks = {start, stop, *(np.flatnonzero(cuts[start:stop]) + start).tolist()}
        breaks |= {start + int(i) for i in _jumps(points[start:stop])}
        edges = sorted(breaks)
        yield from pairwise(edges)


def true_runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Runs of True: (first, past the last)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _jumps(points: np.ndarray) -> np.ndarray:
    """Frames at which the head is suddenly elsewhere."""
    place, size = head_motion(points)
    step = np.linalg.norm(np.diff(place, axis=0), axis=1) / (3 * size[1:, 0])  # a face is about 3 such sizes high
    around = np.maximum(np.append(step[1:], 0), np.insert(step[:-1], 0, 0))
    return np.flatnonzero((step > JUMP) & (step > JUMP_RATIO * around)) + 1


def smooth_run(
    points: np.ndarray, fps: float, strength: float, crop: CropOptions, align_roll: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Steady the landmarks of one run, in place, and give its crop boxes.

    Args:
        points: (n, P, 2) float32, finite; changed.
        fps: frames a second.
        strength: 0 changes nothing; 1 is the usual strength; more is steadier and follows fast motion less.
        crop: how landmarks become boxes.
        align_roll: turn the crop with the head.

    Returns:
        Edges (n, 4) float64 of the upright crop, and its roll (n,) in radians.
    """
    place, size = head_motion(points)
    moved = smooth(np.concatenate([place, size], axis=1), MOTION_SECONDS * fps * strength, MOTION_LIMIT * size)
    if strength > 0:
        growth = moved[:, 2:] / size
        points *= growth[:, :, None].astype(np.float32)
        points += (moved[:, :2] - growth * place)[:, None].astype(np.float32)
    place, size = moved[:, :2], moved[:, 2:]
    roll = np.zeros(len(points))
    upright = points
    if align_roll:
        roll = smooth(np.unwrap([roll_of(face) for face in points])[:, None], MOTION_SECONDS * fps * strength)[:, 0]
        upright = turn(points, place, -roll)
    origin = np.tile(place, 2)
    relative = smooth((crop_edges(upright, crop) - origin) / size, BOX_SECONDS * fps * strength, BOX_LIMIT)
    edges = relative * size + origin
    if align_roll:  # the box lies around its own turned centre
        centre = (edges[:, :2] + edges[:, 2:]) / 2
        edges += np.tile(turn(centre[:, None], place, roll)[:, 0] - centre, 2)
    return edges, roll


def turn(points: np.ndarray, centre: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Turn (n, P, 2) points about (n, 2) centres by (n,) radians."""
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, y = np.moveaxis(points - centre[:, None], 2, 0)
    return np.asarray(np.stack([cos * x - sin * y, sin * x + cos * y], axis=2) + centre[:, None])
