"""Which frame shows the network what the mouth looks like: the paper's first study.

A reference must look from where the target looks, so that it helps, and must not show the target's mouth, so that it
does not give the answer away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import FaceError
from ..face.points import EYE_LEFT_68, EYE_RIGHT_68, JAW_68, LIPS_INNER_68, NOSE_BASE_68, NOSE_BRIDGE_68, points68
from ..options import Options, option
from .framing import UPPER_JAW_68, Framing, in_crop

STEADY_68 = (*EYE_LEFT_68, *EYE_RIGHT_68, *NOSE_BRIDGE_68, *NOSE_BASE_68, *UPPER_JAW_68)
NORMAL_SIZE = 256  # crop pixels in which distances are measured
FALLBACK_SHARE = 0.1  # of the frames that are far enough away, when no candidate is


@dataclass(frozen=True, slots=True)
class SamplingOptions(Options):
    """How references are drawn."""

    method: Literal["random", "pose", "mouth", "intersection"] = option(
        "intersection",
        "any frame; the most alike in pose; the most unlike in the mouth; or those that are both (the paper's)",
    )
    ratio: float = option(
        0.51,
        "share of the segment's frames that count as alike in pose, and as unlike in the mouth; above one half the two "
        "always meet",
        low=0.01,
        high=1.0,
    )
    pose: Literal["steady", "contour"] = option(
        "steady",
        "what pose is told from: eyes, nose and upper jaw, or the paper's whole jaw, which moves with the mouth too",
    )
    apart: int = option(5, "least distance between target and reference", low=1, high=1000, unit="frames")


@dataclass(frozen=True, slots=True, eq=False)
class Shapes:
    """The faces of a segment as far as references depend on them, in pixels of a 256 px crop.

    Args:
        pose: (N, K, 2) points that tell the pose.
        mouth: (N, 8, 2) inner lips.
    """

    pose: np.ndarray
    mouth: np.ndarray

    def __len__(self) -> int:
        return len(self.pose)


def segment_shapes(landmarks: np.ndarray, framing: Framing, pose: Literal["steady", "contour"]) -> Shapes:
    """What references are chosen by.

    Args:
        landmarks: (N, P, 2), P = 478 or 68, pixels.
        framing: of the same frames.
        pose: see `SamplingOptions.pose`.

    Source: the paper normalises by the box of all points; that box follows the jaw, ours does not.
    """
    points = points68(landmarks)[..., :2].astype(np.float64)
    free = framing.edges(np.arange(len(points)), 0.0, 1.0)
    box = np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1) if pose == "contour" else free
    chosen = JAW_68 if pose == "contour" else STEADY_68
    return Shapes(in_crop(points[:, chosen], box, NORMAL_SIZE), in_crop(points[:, LIPS_INNER_68], box, NORMAL_SIZE))


def reference_candidates(shapes: Shapes, target: int, options: SamplingOptions) -> np.ndarray:
    """The frames among which a target's reference is drawn.

    On short segments the two sets can meet only close to the target. Then the tenth of all frames that are far enough
    away with the best sum of both ranks is taken; and when no frame is, the farthest there is. It is never the target.

    Args:
        shapes: of the segment's N frames.
        target: 0 <= target < N.
        options: method, ratio, least distance.

    Returns:
        (C,) int64, ascending, C >= 1.

    Raises:
        FaceError: the segment has a single frame.
    """
    count = len(shapes)
    if count < 2:
        raise FaceError("A segment of one frame has no other frame for reference.", "Leave it out.")
    gap = np.abs(np.arange(count) - target)
    far = gap >= options.apart
    if not far.any():
        return np.flatnonzero(gap == gap.max())
    unlike_pose = _distances(shapes.pose, target)
    unlike_mouth = _distances(shapes.mouth, target)
    k = max(1, int(options.ratio * count))
    chosen = np.arange(count) != target
    if options.method in ("pose", "intersection"):
        chosen &= _among(np.where(gap == 0, np.inf, unlike_pose), k)
    if options.method in ("mouth", "intersection"):
        chosen &= _among(-unlike_mouth, k)
    candidates = np.flatnonzero(chosen & far)
    return candidates if len(candidates) else _fallback(unlike_pose, unlike_mouth, np.flatnonzero(far), options.method)


def draw_run(window: np.ndarray, length: int, random: np.random.Generator) -> np.ndarray:
    """The frames of a window that are generated: a random run.

    Args:
        window: (W,) frames in a row.
        length: of the run; 0, and W or more, take the whole window and draw nothing.
        random: the sample's own generator.
    """
    if length == 0 or length >= len(window):
        return window
    first = int(random.integers(len(window) - length + 1))
    return window[first : first + length]


def draw_references(
    shapes: Shapes, targets: np.ndarray, options: SamplingOptions, random: np.random.Generator
) -> np.ndarray:
    """One reference for each target, each drawn by itself, evenly among its candidates.

    Args:
        shapes: of the segment's N frames.
        targets: (T,) indices.
        options: how candidates are chosen.
        random: the sample's own generator.

    Returns:
        (T,) int64.

    Source: the paper's selective information sampling. Its release clamps draws to the clip, so that at the ends the
        reference can be the target; here what is too near or outside is no candidate in the first place.
    """
    return np.array([random.choice(reference_candidates(shapes, int(t), options)) for t in targets], dtype=np.int64)


def _distances(points: np.ndarray, target: int) -> np.ndarray:
    """Mean distance of the points to the target's, (N,)."""
    return np.asarray(np.linalg.norm(points - points[target], axis=-1).mean(axis=-1))


def _among(values: np.ndarray, k: int) -> np.ndarray:
    """Which are the k smallest, (N,) bool; equal values count by their place."""
    chosen = np.zeros(len(values), bool)
    chosen[np.argsort(values, kind="stable")[:k]] = True
    return chosen


def _fallback(pose: np.ndarray, mouth: np.ndarray, far: np.ndarray, method: str) -> np.ndarray:
    badness = np.zeros(len(far))
    if method != "mouth":
        badness += np.argsort(np.argsort(pose[far], kind="stable"))
    if method != "pose":
        badness += np.argsort(np.argsort(-mouth[far], kind="stable"))
    keep = max(1, round(FALLBACK_SHARE * len(far)))
    return np.sort(far[np.argsort(badness, kind="stable")[:keep]])
