"""From videos to a dataset folder: clips, measured offsets, sync confidence, and a split by person.

    folder/dataset.json           what is in it: people, clips, offsets, split, and what was refused and why
    folder/videos/NAME-DIGEST/    video.json, curve.safetensors, clip-0000.safetensors, ...

Every video is prepared by itself and its record is written last, so a stopped run goes on where it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from hashlib import sha256
from math import ceil
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import MediaError, MuseTalkError, OptionError
from ..eval.probe import ProbeResult, Recording, sync_probe
from ..models.checkpoint import read_checkpoint
from ..models.load import load_audio_encoder
from ..options import Options, option
from ..placement import SingleDevice
from ..progress import Progress, SilentProgress
from ..timeline import Clock
from ..types import AudioClip
from .cutting import RATE, CutOptions, cut_video, read_json, video_key, write_json

FORMAT, VERSION = "musetalk-dataset", 1
VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".mpg", ".m4v")
OWN_SECONDS = 20.0  # shorter recordings are measured together with others of the same person


@dataclass(frozen=True, slots=True)
class PrepareOptions(Options):
    """Which videos are taken, and how people are told apart and set aside."""

    person: str = option(
        "",
        "regular expression whose first group, found in the path below SOURCE, names the person; without one the "
        "folder does, or the file itself when it lies in SOURCE directly",
    )
    held_out: float = option(0.1, "share of the people who are kept for validation, one at least", low=0.0, high=0.9)
    held_out_people: str = option(
        "", "regular expression of the people who are kept for validation, in place of a share: 's26|s33'"
    )
    offset_most: float = option(
        200.0, "recordings whose sound is further off are refused; less is taken out", low=0.0, high=250.0, unit="ms"
    )
    offset_least: float = option(
        30.0,
        "smaller measured offsets are taken for noise of the measurement and left in",
        low=0.0,
        high=100.0,
        unit="ms",
    )
    confidence: float = option(
        0.1, "recordings whose sound predicts the mouth with a smaller R2 are refused", low=-1.0, high=1.0
    )
    workers: int = option(1, "videos prepared at the same time, each in its own process", low=1, high=256)


@dataclass(frozen=True, slots=True)
class Job:
    """One video to prepare."""

    source: Path
    folder: Path
    person: str


def prepare_dataset(
    sources: Sequence[Path],
    folder: Path,
    audio_encoder: Path,
    options: PrepareOptions,
    cut: CutOptions,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Make a dataset folder, or bring one up to date.

    Args:
        sources: videos, and folders that are searched for videos.
        folder: receives the dataset.
        audio_encoder: Whisper's file.
        options: people and refusals.
        cut: what becomes a clip.
        progress: is told the videos that are done.

    Returns:
        The content of `dataset.json`.

    Raises:
        MuseTalkError: no video, no usable video, or the place cannot be written.
    """
    jobs = find_jobs(sources, folder, options)
    report = progress or SilentProgress()
    report.start("preparing videos", len(jobs))
    if options.workers == 1:
        for job in jobs:
            run_job(job, audio_encoder, cut, False)
            report.advance()
    else:
        with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
            _wait(pool, [pool.submit(run_job, job, audio_encoder, cut, True) for job in jobs], report)
    return index_dataset(jobs, folder, options, report)


def _wait(pool: Executor, futures: Iterable[Future[None]], report: Progress) -> None:
    try:
        for future in as_completed(futures):
            future.result()
            report.advance()
    except BaseException:  # a cancel too: what has not begun must not begin
        pool.shutdown(cancel_futures=True)
        raise


def find_jobs(sources: Sequence[Path], folder: Path, options: PrepareOptions) -> list[Job]:
    """All videos, each once, in the order of their paths. Every one counts: no list has a header line.

    Raises:
        MediaError: there is no video, or a path does not exist.
        OptionError: the expression for people is not valid.
    """
    pattern = _expression("person", options.person) if options.person else None
    found: dict[Path, str] = {}
    for source in sources:
        if not source.exists():
            raise MediaError(f"{source} does not exist.", "Name videos, or folders with videos.")
        files = sorted(source.rglob("*")) if source.is_dir() else [source]
        for file in files:
            if file.suffix.lower() in VIDEO_SUFFIXES and file.is_file():
                root = source if source.is_dir() else source.parent
                found.setdefault(file.resolve(), _person(file.relative_to(root), pattern))
    if not found:
        raise MediaError("There is no video.", f"Videos end in {', '.join(VIDEO_SUFFIXES)}.")
    return [
        Job(path, folder / "videos" / f"{path.stem}-{sha256(str(path).encode()).hexdigest()[:8]}", person)
        for path, person in sorted(found.items())
    ]


def _expression(name: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise OptionError(f"{name} = {text!r} is no regular expression: {error}.") from error


def _person(path: Path, pattern: re.Pattern[str] | None) -> str:
    if pattern is None:
        return path.parent.as_posix() if path.parent != Path() else path.stem
    match = pattern.search(path.as_posix())
    if match is None or not match.groups():
        raise OptionError(
            f"The expression {pattern.pattern!r} finds no person in {path}.", "Put the part that names it in (...)."
        )
    return match.group(1)


def run_job(job: Job, audio_encoder: Path, cut: CutOptions, alone: bool) -> None:
    """Prepare one video unless that is done; what cannot be used is recorded with its reason.

    Args:
        job: the video.
        audio_encoder: Whisper's file.
        cut: what becomes a clip.
        alone: this process works beside others: it takes one thread.
    """
    import torch

    if alone:
        torch.set_num_threads(1)
    encoder = load_audio_encoder(audio_encoder, SingleDevice("cpu", "fp32"))
    key = video_key(job.source, job.person, encoder.identity, cut)
    record = read_json(job.folder / "video.json")
    if record is not None and all(record.get(name) == value for name, value in key.items()):
        return
    try:
        cut_video(job.source, job.folder, encoder, cut, key)
    except MuseTalkError as error:
        refused = {**key, "source": str(job.source), "seconds": 0.0, "clips": [], "refused": error.what}
        write_json(job.folder / "video.json", refused)


def index_dataset(
    jobs: Sequence[Job], folder: Path, options: PrepareOptions, progress: Progress | None = None
) -> dict[str, Any]:
    """Measure offsets, refuse what is not in sync, split the people, and write `dataset.json`.

    Raises:
        MediaError: nothing is left.
    """
    videos = []
    for job in jobs:
        record = read_json(job.folder / "video.json")
        if record is not None:
            kept = {name: record[name] for name in ("person", "source", "seconds", "clips", "refused", "encoder")}
            videos.append({**kept, "folder": job.folder.relative_to(folder).as_posix()})
    measure_offsets(videos, folder, options, progress or SilentProgress())
    good = [video for video in videos if video["refused"] is None]
    if not good:
        reasons = "; ".join(sorted({str(video["refused"]) for video in videos})[:3])
        raise MediaError(f"None of the {len(videos)} videos can be used: {reasons}", "See dataset.json.")
    held = held_out_people({str(video["person"]) for video in good}, options)
    for video in videos:
        video["split"] = "validation" if video["person"] in held else "train"
    index = {"format": FORMAT, "version": VERSION, "encoder": good[0]["encoder"], "videos": videos}
    write_json(folder / "dataset.json", index)
    return index


def held_out_people(people: set[str], options: PrepareOptions) -> set[str]:
    """Who is kept for validation: always the same for the same people, whatever order they come in."""
    share = options.held_out
    if options.held_out_people:
        named = _expression("held_out_people", options.held_out_people)
        return {person for person in people if named.fullmatch(person)}
    if share == 0 or len(people) < 2:
        return set()
    ranked = sorted(people, key=lambda person: sha256(person.encode()).hexdigest())
    return set(ranked[: min(len(people) - 1, ceil(share * len(people)))])


def measure_offsets(
    videos: Sequence[dict[str, Any]], folder: Path, options: PrepareOptions, progress: Progress
) -> None:
    """Give every video its `offset_ms` (to be taken out) and `confidence`, or the reason why it is refused.

    A recording of 20 s is measured by itself. Shorter ones are measured together with the same person's, and those of
    people who have less than 20 s with one another: measured on 8 s alone, six of ten true offsets of 0 came out beyond
    30 ms; on 20 s, one of sixteen.
    """
    left = [video for video in videos if video["refused"] is None]
    recordings = {str(video["folder"]): _recording(folder / str(video["folder"])) for video in left}
    alone = [[video] for video in left if video["seconds"] >= OWN_SECONDS]
    short = [video for video in left if video["seconds"] < OWN_SECONDS]
    people = [[v for v in short if v["person"] == p] for p in sorted({str(v["person"]) for v in short})]
    progress.start("measuring offsets", len(left))
    unknown = []
    for group in [*alone, *people]:
        if sum(float(video["seconds"]) for video in group) < OWN_SECONDS:
            unknown += group
            continue
        _judge(group, sync_probe([recordings[str(video["folder"])] for video in group]), options)
        progress.advance(len(group))
    if unknown:
        _judge(unknown, sync_probe([recordings[str(video["folder"])] for video in unknown]), options)
        progress.advance(len(unknown))


def _recording(folder: Path) -> Recording:
    tensors = read_checkpoint(folder / "curve.safetensors").tensors
    opening = tensors["opening"].numpy()
    sound = AudioClip(tensors["sound"].numpy().astype(np.float32) / 32767)
    return Recording(opening, Clock.regular(len(opening), RATE), sound)


def _judge(videos: Sequence[dict[str, Any]], result: ProbeResult | None, options: PrepareOptions) -> None:
    for video in videos:
        measured = None if result is None else result.peak_ms
        video["measured_ms"] = measured
        video["offset_ms"] = 0.0 if measured is None or abs(measured) < options.offset_least else measured
        video["confidence"] = None if result is None else result.peak_r2
        video["refused"] = _reason(result, options)


def _reason(result: ProbeResult | None, options: PrepareOptions) -> str | None:
    if result is None:
        return "Too short to tell whether sound and mouth belong together."
    if result.peak_r2 < options.confidence or result.peak_ms is None:
        return f"The sound does not predict the mouth (R2 {result.peak_r2:.2f}, at least {options.confidence:g})."
    if abs(result.peak_ms) > options.offset_most:
        return f"The sound is {result.peak_ms:.0f} ms off, more than {options.offset_most:g} ms."
    return None


def describe(index: Mapping[str, Any]) -> list[str]:
    """A dataset in words, for the user."""
    lines = []
    for split in ("train", "validation"):
        videos = [v for v in index["videos"] if v["refused"] is None and v["split"] == split]
        frames = sum(clip["frames"] for video in videos for clip in video["clips"])
        people = len({video["person"] for video in videos})
        clips = sum(len(video["clips"]) for video in videos)
        lines.append(f"{split}: {people} people, {clips} clips, {frames / float(RATE):.0f} s")
    lines += [f"refused: {v['source']}: {v['refused']}" for v in index["videos"] if v["refused"] is not None]
    return lines
