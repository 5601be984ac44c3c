"""What a dub did, for people and for machines."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ..timeline import Timeline
from ..types import FaceTrack, Skip

REASONS = {
    Skip.NO_FACE: "no face found",
    Skip.OUT_OF_FRAME: "the mouth is outside the picture",
    Skip.TURNED: "the head is turned too far",
    Skip.TOO_SMALL: "the face is too small",
    Skip.OTHER_PERSON: "only another person's face is there",
}
AFTER_SOUND = "the sound has ended"


@dataclass(frozen=True, slots=True)
class SkippedRange:
    """Output frames first .. last (inclusive) that keep the source's own mouth, and why.

    Args:
        first, last: output frames.
        start, end: seconds of the output.
        reason: in words.
    """

    first: int
    last: int
    start: float
    end: float
    reason: str


@dataclass(frozen=True, slots=True)
class DubReport:
    """One finished dub.

    Args:
        output: the file that was written.
        frames: output frames F.
        source_frames: frames N of the footage.
        fps: exact rate as "num/den"; the average of a variable one.
        seconds: length of the output.
        spoken: for each person, the output frames with a new mouth.
        skipped: for each person, the ranges without one.
        timings: seconds spent per stage.
        model: title of the model's recipe.
        options: every option of the run.
    """

    output: str
    frames: int
    source_frames: int
    fps: str
    seconds: float
    spoken: Sequence[int]
    skipped: Sequence[Sequence[SkippedRange]]
    timings: Mapping[str, float]
    model: str
    options: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Plain lists, dicts, numbers and words, ready for JSON."""
        return dataclasses.asdict(self)


def summary(report: DubReport) -> str:
    """What was done, in a few lines."""
    lines = [f"{report.frames} frames, {report.seconds:.2f} s, {report.model}"]
    if not report.spoken:
        lines.append("  nobody speaks: no face was found")
    for number, (spoken, skipped) in enumerate(zip(report.spoken, report.skipped, strict=True)):
        lines.append(
            f"  face {number}: {spoken} frames speak" if len(report.spoken) > 1 else f"  {spoken} frames speak"
        )
        lines += [f"    {r.start:.2f}-{r.end:.2f} s keep their own mouth: {r.reason}" for r in skipped]
    return "\n".join(lines)


def spoken_frames(track: FaceTrack, timeline: Timeline) -> np.ndarray:
    """(F,) bool, the output frames on which this person gets a new mouth."""
    shown: np.ndarray = track.strength[timeline.source] > 0
    shown[timeline.driven :] = False
    return shown


def skipped_ranges(track: FaceTrack, timeline: Timeline) -> list[SkippedRange]:
    """The runs of output frames that keep their own mouth, split where the reason changes."""
    spoken = spoken_frames(track, timeline)
    reasons = np.where(spoken, 0, track.skip[timeline.source].astype(np.int64))
    after_sound = len(Skip)
    reasons[timeline.driven :] = after_sound
    edges = np.flatnonzero(np.diff(reasons, prepend=-1, append=-1))
    ranges = []
    for first, stop in pairwise(edges):
        code = int(reasons[first])
        if code == Skip.NONE:
            continue
        start, end = (float(int(timeline.clock.ticks[i]) * timeline.clock.time_base) for i in (first, stop))
        words = AFTER_SOUND if code == after_sound else REASONS[Skip(code)]
        ranges.append(SkippedRange(int(first), int(stop) - 1, start, end, words))
    return ranges
