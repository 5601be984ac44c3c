"""Measure a dubbed video: against its source, its sound, and, where there is one, the true video of that sound."""

from __future__ import annotations

import numpy as np

from ..pipeline.avatar import FaceOptions
from ..progress import Progress, SilentProgress
from ..timeline import Clock
from ..types import AudioClip, Footage
from .curves import DubScores, chance_level, correlation, deviation_ratio, dub_scores, find_lag, spread
from .external import ExternalMeter, ExternalNets
from .fidelity import FidelityMeter
from .lse import sync_scores
from .mouth import MouthCurves, box_jerk, lip_distance, mouth_windows
from .probe import Recording, sync_probe
from .reference import (
    EvalOptions,
    Filmed,
    Masks,
    Reference,
    comparable,
    explain,
    film,
    prepare,
    require_rate,
    source_frames,
)
from .region import RegionMeter
from .report import Motion, Report, Traces
from .silence import judge_silence, silent_frames

CHUNK_FRAMES = 8  # frames read at once: 50 MB of 1080p from each of three videos


def evaluate(
    source: Footage,
    output: Footage,
    audio: AudioClip | None = None,
    truth: Footage | None = None,
    options: EvalOptions | None = None,
    *,
    faces: FaceOptions | None = None,
    masks: Masks | None = None,
    user_mask: np.ndarray | None = None,
    nets: ExternalNets | None = None,
    progress: Progress | None = None,
) -> Report:
    """Measure one output.

    Args:
        source: the footage that was dubbed.
        output: the result, of the same size and rate.
        audio: the sound that drove it.
        truth: real footage of what that sound looks like: the source itself (self-reenactment), or another take.
        options: how to measure.
        faces: how the dub found and masked the face; the defaults of `dub` when None.
        masks: the mask of each source frame when the dub had another; replaces `faces.mask`.
        user_mask: (H, W) in 0..1, one drawn mask for every frame; replaces `faces.mask` too.
        nets: networks for CSIM, FID, LPIPS, LSE.
        progress: reports and cancels.

    Raises:
        MediaError: sizes, rates or lengths do not fit each other.
        FaceError: one of the videos shows no face.
    """
    report = progress or SilentProgress()
    reference = prepare(
        source, audio, truth, options, faces=faces, masks=masks, user_mask=user_mask, nets=nets, progress=report
    )
    return judge(reference, output, report)


def judge(reference: Reference, output: Footage, progress: Progress | None = None) -> Report:
    """Measure one output against a prepared reference; errors are those of `evaluate`."""
    report = progress or SilentProgress()
    source_of, driven = source_frames(reference, output)
    require_rate(reference, output)
    made = film(output, reference.faces, report, reference.source.track)
    truth = reference.truth
    frames = driven if truth is None else min(driven, len(truth.footage.clock))
    notes = list(explain(reference, made, frames))
    pixels = truth is not None and comparable(made, truth, frames, notes)
    region, fidelity, external = _look(reference, made, source_of, driven, frames * pixels, progress=report)
    source_curves = reference.source.curves.take(source_of)
    motion, lips = _motion(reference, made, frames)
    silent = None if reference.audio is None else silent_frames(reference.audio, output.clock)
    results = external.result()
    if reference.nets.syncnet is not None and reference.audio is not None:
        scores = sync_scores(output, made.track, reference.audio, reference.nets.syncnet, report)
        results |= {} if scores is None else {"lse_d": scores.lse_d, "lse_c": scores.lse_c}
    probe = None
    if reference.audio is not None:
        clock = Clock(output.clock.ticks[: driven + 1], output.clock.time_base)
        probe = sync_probe([Recording(made.curves.opening[:driven], clock, reference.audio)])
    truth_opening = None if truth is None else _extended(truth.curves.opening, len(output.clock))
    truth_silence = None if silent is None or truth_opening is None else judge_silence(truth_opening, silent)
    return Report(
        frames=len(output.clock),
        fps=float(output.clock.fps),
        found=float(made.track.found.mean()),
        fidelity=fidelity.result(),
        motion=motion,
        dub=_dub(reference, made, source_curves, frames),
        probe=probe,
        silence=None if silent is None else judge_silence(made.curves.opening, silent),
        silence_truth=truth_silence,
        region=region.result(),
        external=results,
        notes=notes,
        traces=Traces(
            opening=made.curves.opening,
            width=made.curves.width,
            truth_opening=truth_opening,
            source_opening=source_curves.opening,
            silent=silent,
            lip_distance=lips,
            l1=fidelity.l1 if pixels else None,
            seam=region.seam,
            flicker=region.flicker,
        ),
    )


def _look(
    reference: Reference, made: Filmed, source_of: np.ndarray, driven: int, pixels: int, *, progress: Progress
) -> tuple[RegionMeter, FidelityMeter, ExternalMeter]:
    """The one pass over the pixels, a few frames at a time."""
    output, source, truth = made.footage, reference.source, reference.truth
    f = len(output.clock)
    region = RegionMeter(f, reference.options.outside_tolerance)
    fidelity, external = FidelityMeter(f), ExternalMeter(reference.nets)
    windows = mouth_windows(source.track)
    true_windows = windows if truth is None else mouth_windows(truth.track)
    progress.start("comparing", f)
    for start in range(0, f, CHUNK_FRAMES):
        indices = range(start, min(f, start + CHUNK_FRAMES))
        shown = source_of[indices.start : indices.stop]
        outputs, sources = output.read(indices), source.footage.read(shown.tolist())
        reals = None
        if truth is not None and start < pixels:
            reals = (
                sources
                if _same_frames(truth, source, shown, indices)
                else truth.footage.read(range(start, min(pixels, indices.stop)))
            )
        for i, n in zip(indices, shown, strict=True):
            one, own = outputs[i - start], sources[i - start]
            edited = i < driven and source.track.strength[n] > 0
            region.add(i, own, one, reference.masks(int(n)) if edited else None, windows[n])
            both = bool(made.track.found[i] and source.track.found[n])
            if both and not external.idle:
                external.add(one, made.track.landmarks[i], own, source.track.landmarks[n])
            if reals is not None and truth is not None and i < pixels and made.track.found[i] and truth.track.found[i]:
                x1, y1, x2, y2 = true_windows[i]
                fidelity.add(i, one[y1:y2, x1:x2], reals[i - start][y1:y2, x1:x2])
                external.add_true(one, reals[i - start], truth.track.landmarks[i])
        progress.advance(len(indices))
    return region, fidelity, external


def _same_frames(truth: Filmed, source: Filmed, shown: np.ndarray, indices: range) -> bool:
    """Whether the truth's frames are those just read from the source."""
    return truth is source and bool((shown == np.arange(indices.start, indices.stop)).all())


def _motion(reference: Reference, made: Filmed, frames: int) -> tuple[Motion, np.ndarray | None]:
    """The curves' statistics, and the lip distance of every frame."""
    known = made.curves.opening[np.isfinite(made.curves.opening)]
    deviation = float(100 * known.std()) if len(known) else None
    jerk, control = box_jerk(made.curves), box_jerk(reference.source.curves)
    if reference.truth is None:
        return Motion(None, None, None, None, None, None, None, deviation, jerk, control), None
    every = np.arange(frames)
    ours, real = made.curves.take(every), reference.truth.curves.take(every)
    lag = find_lag(ours.opening, real.opening, min(reference.options.max_lag, max(1, frames // 4)))
    lips = lip_distance(ours, real)
    motion = Motion(
        opening_r=correlation(ours.opening, real.opening),
        width_r=correlation(ours.width, real.width),
        lag_frames=None if lag is None else lag.frames,
        lag_ms=None if lag is None else lag.frames * 1000 / float(made.footage.clock.fps),
        lag_r=None if lag is None else lag.r,
        std_ratio=deviation_ratio(ours.opening, real.opening),
        lip_distance=float(np.nanmean(lips)) if np.isfinite(lips).any() else None,
        opening_std=deviation,
        jerk=jerk,
        jerk_source=control,
    )
    return motion, _extended(lips, len(made.curves))


def _dub(reference: Reference, made: Filmed, source: MouthCurves, frames: int) -> DubScores | None:
    """Dub r, chance and leak: over sentences where there are several, else over the whole clip."""
    ours, old = made.curves.opening[:frames], None if reference.reenacted else source.opening[:frames]
    leak = None if old is None else spread([correlation(ours, old)])
    if reference.truth is None:
        return DubScores(None, None, leak)
    real = reference.truth.curves.opening[:frames]
    size = reference.options.sentence_frames
    if size is not None and frames >= 2 * size:
        cuts = np.arange(size, frames - size + 1, size)
        parts = [np.split(curve, cuts) for curve in (ours, real)]
        return dub_scores(parts[0], parts[1], None if old is None else np.split(old, cuts))
    chance = chance_level(ours, real, float(made.footage.clock.fps))
    return DubScores(spread([correlation(ours, real)]), chance, leak)


def _extended(values: np.ndarray, frames: int) -> np.ndarray:
    """Values cut or continued with NaN to this many frames."""
    result = np.full(frames, np.nan)
    result[: min(frames, len(values))] = values[:frames]
    return result
