"""What outputs are measured against: source, sound and truth, looked at once; and whether an output fits them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import FaceError, MediaError
from ..face.mask import PARSED_KINDS, mask_face, mask_from_user
from ..face.track import track_faces
from ..options import Options, option
from ..pipeline.avatar import FaceOptions
from ..progress import Progress, SilentProgress
from ..timeline import SyncMode, plan
from ..types import AudioClip, FaceTrack, Footage, MaskPatch
from .external import ExternalNets
from .mouth import MouthCurves, mouth_curves, pose_gap

Masks = Callable[[int], MaskPatch]

SAME_RATE = 1e-3  # relative; rates that differ by more are different
SAME_PLACE = 5.0  # percent of the face's height by which two heads may lie apart for their pixels to be compared


@dataclass(frozen=True, slots=True)
class EvalOptions(Options):
    """How an output is measured."""

    sync_mode: SyncMode = option("bounce", "how the output was made: which source frame it shows when it is longer")
    max_lag: int = option(12, "largest lag that is looked for", low=1, high=100, unit="frames")
    outside_tolerance: float = option(
        0.0,
        "change of a pixel outside the mask that is allowed; lossy files need more than 0",
        low=0,
        high=255,
        unit="levels",
    )
    sentence_frames: int | None = option(
        None, "the clip is a row of sentences of this many frames: they are judged one by one", low=16, high=100_000
    )


@dataclass(frozen=True, slots=True, eq=False)
class Filmed:
    """Footage with one person's face and mouth."""

    footage: Footage
    track: FaceTrack
    curves: MouthCurves


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What outputs are measured against; computed once for many outputs.

    Args:
        source: the footage that was dubbed.
        audio: the sound that drove it; None leaves the probe, silence and SyncNet out.
        truth: real footage of that sound; None leaves all comparisons with a truth out.
        reenacted: truth and source are the same footage.
        masks: where frame i of the source may have changed.
        faces: how faces are found.
        nets: networks that the user supplied.
        options: everything else.
    """

    source: Filmed
    audio: AudioClip | None
    truth: Filmed | None
    reenacted: bool
    masks: Masks
    faces: FaceOptions
    nets: ExternalNets
    options: EvalOptions


def prepare(
    source: Footage,
    audio: AudioClip | None = None,
    truth: Footage | None = None,
    options: EvalOptions | None = None,
    *,
    faces: FaceOptions | None = None,
    masks: Masks | None = None,
    user_mask: np.ndarray | None = None,
    nets: ExternalNets | None = None,
    progress: Progress | None = None,
) -> Reference:
    """Look at everything but the output, once for many outputs. Arguments and errors are those of `evaluate`."""
    report = progress or SilentProgress()
    found = faces or FaceOptions()
    if masks is None and user_mask is None and found.mask.kind in PARSED_KINDS:
        raise FaceError(
            f"The meters cannot draw the mask {found.mask.kind!r} without a parser.", "Give `masks`, or another kind."
        )
    own = film(source, found, report)
    reenacted = truth is not None and (truth is source or truth.digest() == source.digest())
    other = None
    if truth is not None:
        other = own if reenacted else film(truth, found, report)
    track, mask = own.track, found.mask
    drawn = masks or (lambda index: mask_face(track, index, mask))
    if user_mask is not None:
        drawn = lambda index: mask_from_user(user_mask, track, index)  # noqa: E731
    return Reference(own, audio, other, reenacted, drawn, found, nets or ExternalNets(), options or EvalOptions())


def film(footage: Footage, faces: FaceOptions, progress: Progress, near: FaceTrack | None = None) -> Filmed:
    """Follow a face and read its mouth.

    Args:
        footage: the video.
        faces: whose face.
        progress: reports and cancels.
        near: of several faces, take the one that lies nearest to this one.
    """
    tracks = track_faces(footage, faces.track, faces.crop, progress)
    track = tracks[0]
    if near is not None:
        place = near.boxes.mean(0)
        track = min(tracks, key=lambda one: float(np.abs(one.boxes.mean(0) - place).sum()))
    return Filmed(footage, track, mouth_curves(track))


def source_frames(reference: Reference, output: Footage) -> tuple[np.ndarray, int]:
    """Which source frame each output frame shows, (F,), and how many frames the sound drives."""
    source, f = reference.source.footage, len(output.clock)
    if (output.width, output.height) != (source.width, source.height):
        raise MediaError(
            f"The output has {output.width} x {output.height} pixels, the source {source.width} x {source.height}.",
            "Compare videos of one size.",
        )
    sound = output.clock.seconds if reference.audio is None else reference.audio.seconds
    timeline = plan(source.clock, sound, reference.options.sync_mode)
    if len(timeline) == f:
        return timeline.source, timeline.driven
    if f <= len(source.clock):
        return np.arange(f), min(f, timeline.driven)
    raise MediaError(
        f"The output has {f} frames; a dub of this source by this sound has {len(timeline)}.",
        f"Give the sound that made it, and its --sync-mode (now {reference.options.sync_mode}).",
    )


def require_rate(reference: Reference, output: Footage) -> None:
    """Refuse an output whose frame rate is not that of the source and the truth (MediaError)."""
    videos = {"source": reference.source.footage}
    if reference.truth is not None:
        videos["truth"] = reference.truth.footage
    for name, video in videos.items():
        if abs(float(video.clock.fps / output.clock.fps) - 1) > SAME_RATE:
            raise MediaError(
                f"The output has {float(output.clock.fps):.3f} frames a second, the {name} "
                f"{float(video.clock.fps):.3f}.",
                "Compare videos of one rate.",
            )


def explain(reference: Reference, made: Filmed, frames: int) -> list[str]:
    """Why something will be missing from a report, or is to be read with care."""
    notes = []
    if reference.audio is None:
        notes.append("no sound given: no sync probe, no silence.")
    if reference.truth is None:
        notes.append("no truth given: no fidelity, no lag, no dub r.")
    elif reference.reenacted:
        notes.append("the truth is the source: leak r says nothing and is left out.")
    missing = int((~made.track.found).sum())
    if missing:
        notes.append(f"{missing} frames of the output show no face and are left out.")
    if reference.truth is not None and frames < len(made.track):
        notes.append(f"only the first {frames} frames have a truth and a sound.")
    return notes


def comparable(made: Filmed, truth: Filmed, frames: int, notes: list[str]) -> bool:
    """Whether output and truth show the head in the same place, so that pixels can be compared."""
    same = (made.footage.width, made.footage.height) == (truth.footage.width, truth.footage.height)
    every = np.arange(frames)
    gaps = pose_gap(made.curves.take(every), truth.curves.take(every))
    gap = float(np.nanmedian(gaps)) if np.isfinite(gaps).any() else np.inf
    if same and gap <= SAME_PLACE:
        return True
    notes.append("the truth shows the head elsewhere: its pixels are not compared, only its mouth's motion.")
    return False
