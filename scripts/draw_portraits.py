"""Draw people who talk: videos with sound to try training with, or to train on.

    python scripts/draw_portraits.py portraits --people 6 --seconds 6
    python scripts/draw_portraits.py portraits --people 500 --seconds 8 --sounds dataset --workers 8

Person K becomes `portrait_000K.mp4`, with its sound in `portrait_000K.flac` beside it. Mouths speak random
syllables in a made-up voice; or, with `--sounds`, they say what the training people of a dataset of `musetalk train
prepare` said, and move as theirs did. A file depends on its number, the length, the size and the dataset alone; those
that are there stay.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

REPO = Path(__file__).resolve().parents[1]
if str(REPO) not in sys.path:
    sys.path.insert(0, str(REPO))  # so that the script runs from a checkout that is not installed

from musetalk_core.errors import MediaError, MuseTalkError  # noqa: E402
from musetalk_core.face.points import mouth_opening  # noqa: E402
from musetalk_core.models.checkpoint import read_checkpoint  # noqa: E402
from musetalk_core.portraits.camera import Camera  # noqa: E402
from musetalk_core.portraits.draw import Portrait  # noqa: E402
from musetalk_core.portraits.footage import Actor, PortraitFootage  # noqa: E402
from musetalk_core.portraits.identity import Identity  # noqa: E402
from musetalk_core.portraits.motion import HeadMotion, MouthCurve, speech_motion  # noqa: E402
from musetalk_core.training.cutting import RATE  # noqa: E402
from musetalk_core.training.dataset import Clip, open_clips  # noqa: E402
from musetalk_core.types import SPEECH_RATE, frame_chunks  # noqa: E402
from musetalk_core.video.write import VideoWriter, WriteOptions  # noqa: E402

FRAME_SAMPLES = SPEECH_RATE // int(RATE)
NAME = "portrait_{:04d}"
SMALLEST, LARGEST = 0.42, 0.62  # of the frame's side: hairline to chin; the trainer's own measure is 0.87 of it
LEAST_MOTION, MOST_MOTION = 0.3, 1.0
QUALITY = WriteOptions(crf=12, preset="fast")
CLICK = 160  # samples, 10 ms, over which a piece begins to sound
JOINT = 5  # frames between two pieces of speech: the mouth goes over, the sound fades out and in
WIDE_OPEN = (0.045, 0.11)  # range to which a speaker's widest openings are brought, of the face's height
WIDEST = 0.98  # quantile that counts as a speaker's widest opening
GAIN = (0.9, 1.15)  # so that two drawn people who say the same do not open their mouths equally
CORNERS, TOP, BOTTOM = (61, 291), 10, 152  # of the face mesh: corners of the mouth, forehead, chin


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """What a mouth does and what is heard: a curve of N frames, and (640 N,) float32 samples at 16 kHz."""

    mouth: MouthCurve
    sound: np.ndarray


def speak_from(clips: Sequence[Clip], frames: int, rng: np.random.Generator) -> Spoken:
    """Speech of one person: a random part of a long clip, or several short ones in random order, until there is enough.

    Args:
        clips: of one person; used again when they are too short together.
        frames: N.
        rng: decides which parts.
    """
    openings, widths, sounds = [], [], []
    left = frames
    while left > 0:
        for place in rng.permutation(len(clips)):
            opening, width, sound = _read(clips[place], left, rng)
            openings += [opening, np.full(JOINT, np.nan)]
            widths += [width, np.full(JOINT, np.nan)]
            sounds.append(sound)
            left -= len(opening) + JOINT
            if left <= 0:
                break
    opening, width = np.concatenate(openings)[:frames], np.concatenate(widths)[:frames]
    wide = float(np.nanquantile(opening, WIDEST))
    wanted = np.clip(wide * rng.uniform(*GAIN), *WIDE_OPEN)
    mouth = MouthCurve.measured(opening * wanted / max(wide, 1e-3), width)
    return Spoken(mouth, np.concatenate(sounds)[: frames * FRAME_SAMPLES])


def _read(clip: Clip, most: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Opening and width in face heights, and the sound with its offset taken out, faded out over the joint after it."""
    checkpoint = read_checkpoint(clip.path)
    first = int(rng.integers(max(1, clip.frames - most + 1)))
    part = slice(first, first + min(most, clip.frames))
    points = checkpoint.tensors["landmarks"][part].numpy().astype(np.float64)[..., :2]
    height = np.linalg.norm(points[:, TOP] - points[:, BOTTOM], axis=-1)
    width = np.linalg.norm(points[:, CORNERS[0]] - points[:, CORNERS[1]], axis=-1) / height
    begin = float(checkpoint.tensors["times"][first]) - 0.5 / float(RATE) + clip.offset
    start = round(begin * SPEECH_RATE) - int(checkpoint.header["first_sample"])
    samples = checkpoint.tensors["sound"].numpy().astype(np.float32) / 32767
    places = start + np.arange((len(points) + JOINT) * FRAME_SAMPLES)
    inside = (places >= 0) & (places < len(samples))
    sound = np.where(inside, samples[places.clip(0, len(samples) - 1)], 0)
    fade = JOINT * FRAME_SAMPLES // 2
    sound[-2 * fade :] *= np.repeat([1.0, 0.0], fade) * np.linspace(1, -1, 2 * fade)
    sound[:CLICK] *= np.linspace(0, 1, CLICK)
    return mouth_opening(points), width, sound.astype(np.float32)


def babble(seed: int, frames: int) -> Spoken:
    """Random syllables in a made-up voice: harmonics under two resonances that follow opening and width."""
    rng = np.random.default_rng([seed, 163])
    mouth = speech_motion(seed, frames, float(RATE))
    time = np.arange(frames * FRAME_SAMPLES) / SPEECH_RATE
    at = time * float(RATE) - 0.5
    opening, width = (np.interp(at, np.arange(frames), values) for values in (mouth.opening, mouth.width))
    pitch = rng.uniform(95, 230) * (1 + 0.08 * np.sin(2 * np.pi * rng.uniform(0.2, 0.5) * time))
    phase = 2 * np.pi * np.cumsum(pitch) / SPEECH_RATE
    low, high = 250 + 5500 * opening, 700 + 1500 * (width - 0.6)
    sound = np.zeros(len(time))
    for harmonic in range(1, 25):
        heard = harmonic * pitch
        loud = np.exp(-(((heard - low) / 180) ** 2)) + 0.6 * np.exp(-(((heard - high) / 250) ** 2)) + 0.02
        sound += loud * np.sin(harmonic * phase)
    sound *= np.clip(opening / 0.06, 0, 1)
    sound += 0.004 * rng.standard_normal(len(time))
    return Spoken(mouth, (0.3 * sound / np.abs(sound).max()).astype(np.float32))


def draw(number: int, folder: Path, seconds: float, side: int, people: Sequence[Sequence[Clip]]) -> None:
    """Write one person's two files, the video last; nothing is done when it is there.

    Args:
        number: of the person.
        folder: receives the files.
        seconds: length.
        side: of the square frame in pixels.
        people: whose speech there is; drawn evenly. Nobody's: made-up speech.
    """
    video = folder / f"{NAME.format(number)}.mp4"
    if video.exists():
        return
    frames = max(1, round(seconds * RATE))
    rng = np.random.default_rng([number, 167])
    if people:
        turn, place = divmod(number, len(people))  # everybody once, then everybody again in another order
        speaker = np.random.default_rng([turn, 173]).permutation(len(people))[place]
        spoken = speak_from(people[speaker], frames, rng)
    else:
        spoken = babble(number, frames)
    _write_sound(video.with_suffix(".flac"), spoken.sound)
    tall = side * float(np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST))))
    centre = (side * float(rng.uniform(0.44, 0.56)), side * float(rng.uniform(0.38, 0.44)))
    portrait = Portrait.prepare(Identity.from_seed(number), side, side, face_height=tall, centre=centre)
    motion = HeadMotion.from_seed(number, frames, float(RATE), float(rng.uniform(LEAST_MOTION, MOST_MOTION)))
    footage = PortraitFootage([Actor(portrait, spoken.mouth, motion)], RATE, Camera.from_seed(number, side, side))
    with VideoWriter(video, side, side, footage.clock, QUALITY) as writer:
        for chunk in frame_chunks(footage, 16):
            writer.write(chunk)


def _write_sound(path: Path, sound: np.ndarray) -> None:
    import soundfile

    part = path.with_suffix(".flac.part")
    soundfile.write(part, sound, SPEECH_RATE, format="FLAC", subtype="PCM_16")
    os.replace(part, path)


def speakers(dataset: Path) -> list[list[Clip]]:
    """The clips of every training person who is not drawn."""
    clips, _ = open_clips(dataset, "train")
    people: dict[str, list[Clip]] = {}
    for clip in clips:
        if not clip.person.startswith("portrait_"):
            people.setdefault(clip.person, []).append(clip)
    if not people:
        raise MediaError(f"{dataset} holds drawn people only.", "Name a dataset of real footage.")
    return [people[name] for name in sorted(people)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--people", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--seed", type=int, default=1, help="the first person's number")
    parser.add_argument("--size", type=int, default=320, help="side of the frames in pixels")
    parser.add_argument("--sounds", type=Path, help="dataset folder whose training people are heard")
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    try:
        people = speakers(args.sounds) if args.sounds else []
    except MuseTalkError as error:
        sys.exit(str(error))
    task = partial(draw, folder=args.folder, seconds=args.seconds, side=args.size, people=people)
    numbers = range(args.seed, args.seed + args.people)
    if args.workers == 1:
        for number in numbers:
            task(number)
    else:
        with ProcessPoolExecutor(args.workers, mp_context=get_context("spawn")) as pool:
            list(pool.map(task, numbers))
    print(f"{args.people} people are in {args.folder}")


if __name__ == "__main__":
    main()
