"""Dub: a video or photo and a sound in, a video file out, in chunks, with memory that does not depend on length."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..audio.encode import SpeechEncoder, SpeechOptions
from ..audio.windows import frame_starts, step_range
from ..audio.write import Sound
from ..errors import FaceError
from ..models.load import LoadedModel
from ..options import Options, option
from ..progress import Progress, SilentProgress
from ..render.blend import BlendOptions
from ..timeline import Clock, Timeline, frames_within, plan
from ..types import AudioClip, Footage, Skip
from ..video.read import FootagePart, VideoFootage
from ..video.write import VideoWriter, WriteOptions, require_target
from .avatar import Avatar, FaceTools, find_faces
from .report import REASONS, DubReport, skipped_ranges, spoken_frames
from .speak import Speaker

if TYPE_CHECKING:
    from collections.abc import Iterator

SECTION_SECONDS = 60  # how much sound is held as features at once: 23 MB


@dataclass(frozen=True, slots=True)
class DubOptions(Options):
    """How a dub runs."""

    batch_size: int = option(
        8, "Frames per network call; more is faster on a GPU and takes more memory.", low=1, high=256
    )
    closing: Literal["features", "source"] = option(
        "features",
        "where nobody speaks: let the model close the mouth (features), or show the source's own mouth where it is "
        "closed (source)",
    )
    no_face: Literal["refuse", "pass"] = option(
        "refuse",
        "when no frame has a face that can speak: stop with a message (refuse), or copy the footage with the new sound "
        "(pass)",
    )


@dataclass(frozen=True, slots=True)
class DubSettings:
    """Every option of a dub that does not belong to the faces (those are in `FaceTools`)."""

    run: DubOptions = field(default_factory=DubOptions)
    speech: SpeechOptions = field(default_factory=SpeechOptions)
    blend: BlendOptions = field(default_factory=BlendOptions)
    write: WriteOptions = field(default_factory=WriteOptions)


def dub(
    footage: Footage,
    sound: Path | Sound,
    output: Path,
    model: LoadedModel,
    tools: FaceTools,
    settings: DubSettings,
    *,
    avatars: Sequence[Avatar] | None = None,
    progress: Progress | None = None,
) -> DubReport:
    """Make the people in some footage say what a sound says.

    Args:
        footage: what `open_footage` gives.
        sound: a sound file, a video whose sound track drives the mouths, or samples; it becomes the output's sound.
        output: the video to write; appears when it is whole.
        model: U-Net, VAE and audio encoder.
        tools: how faces are found, cropped and masked.
        settings: everything else.
        avatars: people prepared earlier from this footage; None finds them now.
        progress: reports and cancels.

    Raises:
        MuseTalkError: of any stage; nothing is left under `output` then.
    """
    report = progress or SilentProgress()
    timings: dict[str, float] = {}
    require_target(output)
    heard = sound if isinstance(sound, Sound) else Sound(sound)
    clip = heard.clip()
    started = time.perf_counter()
    people = _find(footage, tools, settings.run, report) if avatars is None else avatars
    timings["track"] = time.perf_counter() - started
    timeline = plan(footage.clock, clip.seconds, settings.speech.sync_mode)
    run = settings.run
    speaker = Speaker(
        people, footage, timeline, model.lips, tools, settings.blend, batch_size=run.batch_size, closing=run.closing
    )
    length = timeline.clock.seconds
    track = dataclasses.replace(heard, cut=length) if clip.seconds > length else heard
    with _writer(footage, output, timeline.clock, settings.write, track) as writer:
        report.start("speaking", len(timeline))
        for frames in _speak(speaker, clip, model, settings.speech, timeline, timings):
            started = time.perf_counter()
            writer.write(frames)
            timings["write"] = timings.get("write", 0.0) + time.perf_counter() - started
            report.advance(len(frames), speaker.face)
    timings.update(speaker.seconds)
    options = {"faces": tools.options, **{f.name: getattr(settings, f.name) for f in dataclasses.fields(settings)}}
    return DubReport(
        output=str(output),
        frames=len(timeline),
        source_frames=len(footage.clock),
        fps=str(timeline.clock.fps),
        seconds=float(length),
        spoken=[int(spoken_frames(person.track, timeline).sum()) for person in people],
        skipped=[skipped_ranges(person.track, timeline) for person in people],
        timings={stage: round(seconds, 3) for stage, seconds in timings.items()},
        model=model.recipe.title,
        options={name: dataclasses.asdict(value) for name, value in options.items()},
    )


def _writer(footage: Footage, output: Path, clock: Clock, options: WriteOptions, sound: Sound) -> VideoWriter:
    """A writer that keeps the colour tags and pixel shape of footage that is a video."""
    size = footage.width, footage.height
    source = footage.whole if isinstance(footage, FootagePart) else footage
    if isinstance(source, VideoFootage):
        info = source.info
        return VideoWriter(output, *size, clock, options, info.colours, sound, info.pixel_aspect)
    return VideoWriter(output, *size, clock, options, sound=sound)


def _find(footage: Footage, tools: FaceTools, options: DubOptions, progress: Progress) -> list[Avatar]:
    try:
        people = find_faces(footage, tools, progress)
    except FaceError:
        if options.no_face == "pass":
            return []
        raise
    if options.no_face == "refuse" and not any(person.track.strength.any() for person in people):
        skips = np.concatenate([person.track.skip for person in people])
        reason = REASONS[Skip(int(np.bincount(skips).argmax()))]
        raise FaceError(
            f"A face was found, but it can speak on no frame: {reason}.",
            "Use other footage, or widen the limits: yaw_limit, roll_limit, smallest_face.",
        )
    return people


def _speak(
    speaker: Speaker,
    clip: AudioClip,
    model: LoadedModel,
    options: SpeechOptions,
    timeline: Timeline,
    timings: dict[str, float],
) -> Iterator[np.ndarray]:
    """All output frames; the sound is encoded a section at a time."""
    starts = frame_starts(timeline.clock, options.layout)
    encoder = SpeechEncoder(clip, model.audio, timeline.clock.fps, options)
    start = 0
    while start < len(timeline):
        until = int(timeline.clock.ticks[start]) * timeline.clock.time_base + SECTION_SECONDS
        stop = max(start + 1, min(len(timeline), frames_within(timeline.clock, until)))
        started = time.perf_counter()
        speech = encoder.encode(*step_range(starts[start:stop], clip.seconds))
        timings["hear"] = timings.get("hear", 0.0) + time.perf_counter() - started
        yield from speaker.frames(speech, start, stop)
        start = stop
