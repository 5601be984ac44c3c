"""From one video to training clips: unbroken runs of one face, in windows of constant scale, with their sound."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..audio.encode import SpeechEncoder, SpeechOptions
from ..audio.mel import syncnet_mel
from ..audio.read import read_audio
from ..audio.windows import count_steps
from ..errors import FaceError
from ..face.crop import CropOptions, crop_edges, crop_face
from ..face.options import TrackOptions
from ..face.points import mouth_opening
from ..face.shots import ShotDetector
from ..face.track import track_faces
from ..models.checkpoint import save_safetensors, whole_file
from ..options import Options, option
from ..progress import SilentProgress
from ..timeline import Clock
from ..types import ENCODER_HZ, AudioClip, FaceTrack, Footage, frame_chunks
from ..video.read import open_footage
from .framing import FramingOptions, frame_segment, in_crop

if TYPE_CHECKING:
    from ..models.whisper import WhisperEncoder

FORMAT, VERSION = "musetalk-clip", 1
RATE = Fraction(25)  # frames a second of every clip; the released models' training rate
MEL_HZ = 80
CONTEXT = 0.5  # seconds of sound kept on both sides of a clip: windows and measured offsets reach beyond it
CHUNK = 16  # frames read at once
SOUND_SUFFIXES = (".wav", ".flac")  # a file of the video's name with one of these replaces the video's own track


@dataclass(frozen=True, slots=True)
class CutOptions(Options):
    """Which parts of a video become clips."""

    smallest_face: int = option(
        96, "height of the face in the source below which a frame is left out", low=16, high=4096, unit="px"
    )
    window: int = option(
        320, "side of the stored pictures at most; smaller faces are stored as large as they are", low=64, high=2048
    )
    shortest: float = option(1.0, "clips below this length are left out", low=0.2, high=600.0, unit="s")
    longest: float = option(30.0, "longer runs are cut", low=1.0, high=600.0, unit="s")


@dataclass(frozen=True, slots=True)
class Run:
    """Frames [start, stop) of the 25 Hz sequence that become one clip."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """A video at 25 frames a second.

    Args:
        frames: (N,) the source frame that is shown at each moment.
        times: (N,) seconds at which that frame is half over.
        track: of the source frames.
        usable: (N,) bool, a large enough face of the person is there.
        cut: (N,) bool, a new shot begins.
    """

    frames: np.ndarray
    times: np.ndarray
    track: FaceTrack
    usable: np.ndarray
    cut: np.ndarray


def cut_video(
    source: Path, folder: Path, encoder: WhisperEncoder, options: CutOptions, key: Mapping[str, Any]
) -> dict[str, Any]:
    """Make the clips of one video; its record `video.json` is written last and says that all is done.

    Args:
        source: the video.
        folder: receives `clip-*.safetensors`, `curve.safetensors` and `video.json`.
        encoder: hears the sound.
        options: what becomes a clip.
        key: what the result depends on, kept in the record.

    Returns:
        The record.

    Raises:
        MuseTalkError: nothing readable, no face, no sound, or no run that is long enough.
    """
    footage = open_footage(source)
    sound = read_audio(sound_of(source))
    watched = watch(footage, options)
    runs = find_runs(watched, options)
    if not runs:
        raise FaceError(
            f"{source} has no run of {options.shortest:g} s with a face of {options.smallest_face} px.",
            "Lower --smallest-face or --shortest, or leave it out.",
        )
    speech = SpeechEncoder(sound, encoder, RATE, SpeechOptions(close_in_silence=False))
    mel = syncnet_mel(sound)
    clips = []
    for number, run in enumerate(runs):
        header: dict[str, Any] = {}
        tensors = _pictures(footage, watched, run, options)
        tensors |= _sounds(sound, speech, mel, watched.times[run.start : run.stop], header)
        header |= {"format": FORMAT, "version": VERSION, "encoder": encoder.identity, "seconds": str(sound.seconds)}
        name = f"clip-{number:04d}.safetensors"
        save_safetensors(folder / name, tensors, header)
        clips.append({"file": name, "frames": run.stop - run.start})
    _save_curve(folder, watched, sound)
    record = {**key, "source": str(source), "seconds": float(sound.seconds), "clips": clips, "refused": None}
    write_json(folder / "video.json", record)
    return record


def sound_of(source: Path) -> Path:
    """The sound that belongs to a video: a sound file of its name beside it, or its own track."""
    beside = [source.with_suffix(suffix) for suffix in SOUND_SUFFIXES]
    return next((path for path in beside if path.is_file()), source)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a record that is there whole or not at all."""
    with whole_file(path) as part:
        part.write_text(json.dumps(content, indent=1), encoding="utf-8")


def watch(footage: Footage, options: CutOptions) -> Watched:
    """Follow the largest face, find the cuts, and lay the frames on 25 a second.

    The face's size is taken in the source, before anything is resized.
    """
    track = track_faces(footage, TrackOptions(), CropOptions(), SilentProgress())[0]
    shots = ShotDetector()
    cuts = np.array([shots.begins_shot(frame) for chunk in frame_chunks(footage, CHUNK) for frame in chunk])
    edges = crop_edges(track.landmarks, CropOptions(chin_margin=0.0))
    height = np.nan_to_num(edges[:, 3] - edges[:, 1])
    good = track.found & (track.strength > 0) & (height >= options.smallest_face)
    frames, times = at_rate(footage.clock)
    number = np.cumsum(cuts)[frames]  # of the shot
    cut = np.concatenate([[False], number[1:] != number[:-1]])
    return Watched(frames, times, track, good[frames], cut)


def at_rate(clock: Clock) -> tuple[np.ndarray, np.ndarray]:
    """The frames shown at the moments of 25 a second, and when each of them is half over, in seconds."""
    count = max(1, int(clock.seconds * RATE))
    moments = [int((k + Fraction(1, 2)) / RATE / clock.time_base) for k in range(count)]
    frames = np.clip(np.searchsorted(clock.ticks, moments, side="right") - 1, 0, len(clock) - 1)
    halves = (clock.ticks[:-1] + clock.ticks[1:]) / 2 * float(clock.time_base)
    return frames, halves[frames]


def find_runs(watched: Watched, options: CutOptions) -> list[Run]:
    """Unbroken runs within one shot, not shorter and not longer than wanted."""
    most, least = int(options.longest * RATE), int(np.ceil(options.shortest * float(RATE)))
    runs, start = [], None
    for i, usable in enumerate([*watched.usable, False]):
        broken = not usable or watched.cut[i]
        if start is not None and (broken or i - start >= most):
            if i - start >= least:
                runs.append(Run(start, i))
            start = None
        if usable and start is None:
            start = i
    return runs


def _pictures(footage: Footage, watched: Watched, run: Run, options: CutOptions) -> dict[str, Any]:
    """Square windows around the face, wide enough for every margin and jitter, all of one scale."""
    import torch

    frames = watched.frames[run.start : run.stop]
    landmarks = watched.track.landmarks[frames].astype(np.float64)
    framing, widest = frame_segment(landmarks), FramingOptions()
    grown = 1 + widest.scale_jitter
    half = np.ceil(max((framing.reach * grown * (1 + 2 * widest.margin_most)).max(), (framing.width * grown).max())) + 1
    centre = np.rint(np.stack([framing.centre, framing.half], axis=1))
    boxes = np.concatenate([centre - half, centre + half], axis=1).astype(np.int64)
    side = int(min(options.window, 2 * half))
    faces = np.empty((len(frames), side, side, 3), np.uint8)
    for k in range(0, len(frames), CHUNK):
        for i, frame in enumerate(footage.read(frames[k : k + CHUNK].tolist()), start=k):
            faces[i] = crop_face(_bytes(frame), boxes[i], 0.0, side)
    points = in_crop(landmarks, boxes.astype(np.float64), side)
    return {"faces": torch.from_numpy(faces), "landmarks": torch.from_numpy(points.astype(np.float32))}


def _bytes(frame: np.ndarray) -> np.ndarray:
    return frame if frame.dtype == np.uint8 else np.asarray(np.rint(frame * 255), np.uint8)


def _sounds(
    sound: AudioClip, speech: SpeechEncoder, mel: np.ndarray, times: np.ndarray, header: dict[str, Any]
) -> dict[str, Any]:
    """Features, spectrum and samples of a clip, all by the time of the whole recording."""
    import torch

    low, high = float(times[0]) - CONTEXT, float(times[-1]) + CONTEXT
    total = count_steps(sound.seconds)
    first, last = (int(np.clip(moment * ENCODER_HZ, 0, total)) for moment in (low, high))
    row, last_row = (int(np.clip(moment * MEL_HZ, 0, len(mel))) for moment in (low, high))
    sample, last_sample = (int(np.clip(moment * sound.rate, 0, len(sound.samples))) for moment in (low, high))
    header |= {"first_step": first, "first_row": row, "first_sample": sample}
    return {
        "times": torch.from_numpy(times.astype(np.float64)),
        "steps": speech.encode(first, last).steps.half(),
        "mel": torch.from_numpy(mel[row:last_row].astype(np.float32)),
        "sound": torch.from_numpy(to_int16(sound.samples[sample:last_sample])),
    }


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Samples in -1..1 as whole numbers of 16 bits."""
    return np.asarray(np.rint(np.clip(samples, -1, 1) * 32767), np.int16)


def _save_curve(folder: Path, watched: Watched, sound: AudioClip) -> None:
    """The mouth's opening and the whole sound, from which the offset between them is measured."""
    import torch

    opening = mouth_opening(watched.track.landmarks.astype(np.float64))[watched.frames]
    opening[~watched.usable] = np.nan
    tensors = {"opening": torch.from_numpy(opening), "sound": torch.from_numpy(to_int16(sound.samples))}
    save_safetensors(folder / "curve.safetensors", tensors, {"format": "musetalk-curve", "version": VERSION})


def video_key(source: Path, person: str, encoder: str, options: CutOptions) -> dict[str, Any]:
    """What the clips of a video depend on: equal keys, equal clips."""
    stamp = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in _files(source)]
    return {"version": VERSION, "person": person, "stamp": stamp, "encoder": encoder, "options": asdict(options)}


def _files(source: Path) -> Sequence[Path]:
    return [source] if sound_of(source) == source else [source, sound_of(source)]


def read_json(path: Path) -> dict[str, Any] | None:
    """A record, or None when there is none or it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
