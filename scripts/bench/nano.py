"""How well a small model dubs: people it knows, people it does not, a drawn face, other footage; and its speed.

    python scripts/bench/nano.py --assets DIR --out DIR [--model nano] [--only a,b,c,d,e] [--sentences 20] [--gpu]

DIR holds video/grid_s1_heldout.{mp4,flac} (a row of sentences of 3 s), video/multi/grid_SPEAKER_SENTENCE.{mp4,flac}
and the footage of part d. Prints a table and the bars of each part, and writes contact sheets, of real people too, into
--out: keep them out of the repository. Every person is dubbed with the own sound, and with each sentence's next one
(people with one clip: another person's). "ceiling" is the truth through the VAE, pasted back by the same pipeline. The
own sound flatters: the picture shows the network the true mouth and chin. Another's cannot: they are the wrong ones.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO))  # so that the script runs from a checkout that is not installed

from nano_scores import FPS, SENTENCE, Dub, Row, markdown, rows_of  # noqa: E402

from musetalk_core.audio.encode import encode_speech  # noqa: E402
from musetalk_core.audio.read import read_audio  # noqa: E402
from musetalk_core.cli import stages  # noqa: E402
from musetalk_core.eval.evaluate import judge  # noqa: E402
from musetalk_core.eval.fidelity import FidelityMeter  # noqa: E402
from musetalk_core.eval.mouth import LIPS  # noqa: E402
from musetalk_core.eval.reference import Reference, prepare  # noqa: E402
from musetalk_core.eval.report import show  # noqa: E402
from musetalk_core.face.options import TrackOptions  # noqa: E402
from musetalk_core.face.preview import tile_images, write_picture  # noqa: E402
from musetalk_core.face.track import track_faces  # noqa: E402
from musetalk_core.lips.decode import decode_faces  # noqa: E402
from musetalk_core.lips.encode import encode_faces  # noqa: E402
from musetalk_core.lips.generate import generate_lips  # noqa: E402
from musetalk_core.models.load import load_vae  # noqa: E402
from musetalk_core.models.recipe import Recipe  # noqa: E402
from musetalk_core.models.vae import Autoencoder  # noqa: E402
from musetalk_core.pipeline.avatar import Avatar, FaceTools, crop_faces, make_avatar  # noqa: E402
from musetalk_core.pipeline.blend import clip_timeline  # noqa: E402
from musetalk_core.pipeline.speak import Speaker  # noqa: E402
from musetalk_core.placement import SingleDevice  # noqa: E402
from musetalk_core.portraits.footage import portrait_footage  # noqa: E402
from musetalk_core.portraits.sample import SAMPLE_SEED  # noqa: E402
from musetalk_core.portraits.sheet import mouth_sheet  # noqa: E402
from musetalk_core.progress import SilentProgress  # noqa: E402
from musetalk_core.render.blend import BlendOptions  # noqa: E402
from musetalk_core.timeline import Clock  # noqa: E402
from musetalk_core.types import SPEECH_RATE, AudioClip, Footage  # noqa: E402
from musetalk_core.video.read import ArrayFootage, open_footage  # noqa: E402

SAMPLES = SENTENCE * SPEECH_RATE // int(FPS)
TRAINED = ("s2", "s3", "s4", "s5", "s30", "s11")  # beside s1; their clips were trained on
KEPT_OUT = ("s26", "s33")
SINGLES = ("s6", "s7", "s8", "s9", "s20", "u1", "u2", "u3")  # kept out too
DRAWN_MOST, ELSEWHERE_MOST = 10, 4  # sentences that the drawn face and those from elsewhere say
ELSEWHERE = ("liveportrait_d12", "videoretalking_2", "st_Obama_clip1")
ELSEWHERE_FRAMES = 100
CROPS, PICTURES, BATCH, ROUNDS = 40, 64, 8, 5  # of part e


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """Some sentences of one person, (F, H, W, 3), their sound, the lips (F, 20, 2), and opening and width (2, F)."""

    name: str
    frames: np.ndarray
    sound: AudioClip
    reference: Reference
    avatar: Avatar
    lips: np.ndarray
    mouth: np.ndarray


class TruePainter:
    """Stands for a U-Net that knows the answer: the reference is the frame itself."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def __call__(self, masked: Any, reference: Any, tokens: Any, dtype: Any = None) -> Any:
        """The reference latents."""
        return reference


class Bench:
    """The parts; each prints its table and its bars."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.video: Path = args.assets / "video"
        self.model, self.parser = stages.read_model(args)

    def tools(self, footage: Footage) -> FaceTools:
        """As `musetalk dub` has them without flags."""
        return stages.read_tools(self.args, footage, self.model, self.parser)

    def person(self, name: str, frames: np.ndarray, sound: AudioClip, speaks: bool = True) -> Person:
        """Track a face once for all dubs of it; `speaks`: its own mouth is the truth of its own sound."""
        footage = ArrayFootage(frames, FPS)
        reference = prepare(footage, None, footage if speaks else None, faces=self.tools(footage).options)
        track, curves = reference.source.track, reference.source.curves
        mouth, lips = np.stack([curves.opening, curves.width]), track.landmarks[:, LIPS, :2]
        return Person(name, frames, sound, reference, Avatar(track, {}, footage.clock), lips, mouth)

    def speaker(self, name: str, most: int) -> Person:
        """Clips of one speaker of video/multi."""
        clips = sorted((self.video / "multi").glob(f"grid_{name}[._]*mp4"))[: min(most, self.args.sentences)]
        footage = [open_footage(clip) for clip in clips]
        frames = [one.read(np.minimum(np.arange(SENTENCE), len(one.clock) - 1).tolist()) for one in footage]
        sound = [np.resize(read_audio(clip.with_suffix(".flac")).samples, SAMPLES) for clip in clips]
        return self.person(name, np.concatenate(frames), AudioClip(np.concatenate(sound)))

    @cached_property
    def heldout(self) -> Person:
        """The held-out sentences of s1."""
        footage = open_footage(self.video / "grid_s1_heldout.mp4")
        n = min(self.args.sentences, len(footage.clock) // SENTENCE)
        sound = read_audio(self.video / "grid_s1_heldout.flac").samples[: n * SAMPLES]
        return self.person("s1", footage.read(range(n * SENTENCE)), AudioClip(sound))

    def dub(self, person: Person, sound: AudioClip, truth: np.ndarray, ceiling: bool = False) -> Dub:
        """Dub and measure one person, with a sound whose true mouth is known."""
        footage = ArrayFootage(person.frames, FPS)
        speech = encode_speech(sound, self.model.audio, FPS)
        timeline = clip_timeline(len(person.frames), speech)
        lips: Any = TruePainter(self.model.recipe) if ceiling else self.model.lips
        speaker = Speaker([person.avatar], footage, timeline, lips, self.tools(footage), BlendOptions(), BATCH)
        made = speaker.all_frames(speech)
        return Dub(made, person.lips[timeline.source], judge(person.reference, ArrayFootage(made, FPS)), sound, truth)

    def three(self, people: Sequence[Person], part: str) -> dict[str, list[Dub]]:
        """Everybody with the own sound, with another's, and the ceiling; sheets of the first sentences."""
        dubs: dict[str, list[Dub]] = {"own": [], "another's": [], "ceiling": []}
        for k, unencoded in enumerate(people):
            footage = ArrayFootage(unencoded.frames, FPS)
            person = replace(unencoded, avatar=make_avatar(footage, unencoded.avatar, self.tools(footage)))
            alone = len(person.frames) == SENTENCE  # then the next person's sound
            other = people[(k + 1) % len(people)] if alone else person
            wrong, mouth = AudioClip(np.roll(other.sound.samples, -SAMPLES)), np.roll(other.mouth, -SENTENCE, axis=1)
            dubs["own"].append(self.dub(person, person.sound, person.mouth))
            dubs["another's"].append(self.dub(person, wrong, mouth))
            dubs["ceiling"].append(self.dub(person, person.sound, person.mouth, ceiling=True))
            own, another = (sheet(dubs[key][-1]) for key in ("own", "another's"))
            true = sheet(other, 0 if alone else SENTENCE)
            shown = {"source": sheet(person), "own sound": own, "true mouth of another's": true, "another's": another}
            self.write(f"{part}_{person.name}", shown)
        return dubs

    def write(self, name: str, sheets: Mapping[str, np.ndarray]) -> None:
        """Contact sheets, two a row."""
        picture = tile_images(list(sheets.values()), 2, [f"{name}: {word}" for word in sheets])
        write_picture(self.args.out / f"{name}.png", picture)

    def bar(self, name: str, value: float, low: float, high: float = np.inf, gpu: float = np.nan) -> None:
        """One line: does a figure lie where it should? `gpu`: the least value for a model trained on a GPU."""
        least = gpu if self.args.gpu and np.isfinite(gpu) else low
        verdict = "PASS" if least <= value <= high else "MISS"
        wanted = f">= {least:g}" if np.isinf(high) else f"{least:g} to {high:g}"
        print(f"{verdict}  {name}: {show(value)} ({wanted})")

    def a(self) -> None:
        """People it was trained on: new sentences of s1, known ones of the others."""
        rows = rows_of("s1, held out", self.three([self.heldout], "a"))
        for name in TRAINED:
            rows += rows_of(f"{name}, trained on", self.three([self.speaker(name, self.args.others)], "a"))
        print(markdown(rows))
        own, other = rows[0], rows[1]
        for row in (own, other):
            which = f"s1, {row['sound']} sound"
            self.bar(f"{which}: dub r", row["r"], 0.88, gpu=0.92)
            self.bar(f"{which}: dub r - chance", row["r"] - row["chance"], 0.25)
            self.bar(f"{which}: width r", row["width r"], 0.65, gpu=0.75)
            self.bar(f"{which}: opening deviation / truth", row["std / truth"], 0.75, 1.2)
            self.bar(f"{which}: sync probe peak, ms", row["peak ms"], -40, 40)
            self.bar(f"{which}: sync probe R2 / truth", row["R2 / truth"], 0.7)
        self.bar("s1: chance - leak", other["chance"] - other["leak"], -0.05)
        self.bar("s1: mouth PSNR", own["PSNR"], 30.5, gpu=32)
        self.bar("s1: mouth PSNR - wrong sound's", own["PSNR"] - other["PSNR"], 1.2)

    def b(self) -> None:
        """People it has never seen."""
        groups = [[self.speaker(name, SENTENCE)] for name in KEPT_OUT] + [[self.speaker(name, 1) for name in SINGLES]]
        parts = [self.three(people, "b") for people in groups]
        pooled = rows_of("all", {sound: [dub for dubs in parts for dub in dubs[sound]] for sound in parts[0]})
        named = zip((*KEPT_OUT, "one clip each"), parts, strict=True)
        print(markdown([row for name, dubs in named for row in rows_of(name, dubs)] + pooled))
        for row in pooled[:2]:
            self.bar(f"kept out, {row['sound']} sound: median opening r", row["median r"], 0.6, gpu=0.7)

    def c(self) -> None:
        """A drawn person says held-out sentences of s1."""
        drawn = portrait_footage(SAMPLE_SEED, 3, FPS)
        rows = self.strangers("c", {"drawn": drawn.read(range(len(drawn.clock)))}, DRAWN_MOST)
        self.bar("drawn: opening r", rows[0]["r"], 0.85)

    def d(self) -> None:
        """A photo and footage from elsewhere say held-out sentences of s1; no bar."""
        faces = {}
        if self.args.photo is not None:
            faces["photo"] = open_footage(self.args.photo).read([0])
        elif importlib.util.find_spec("skimage") is not None:
            faces["astronaut"] = importlib.import_module("skimage.data").astronaut()[None]
        else:
            print("No photo: install scikit-image, which has the astronaut's, or give --photo.\n")
        for name in ELSEWHERE:
            faces[name] = open_footage(self.video / f"{name}.mp4").read(range(ELSEWHERE_FRAMES))
        self.strangers("d", faces, ELSEWHERE_MOST)

    def strangers(self, part: str, faces: Mapping[str, np.ndarray], most: int) -> list[Row]:
        """Faces whose own mouth says something else, by what s1's did while he said it."""
        n = min(most, self.args.sentences)
        sound = AudioClip(self.heldout.sound.samples[: n * SAMPLES])
        rows: list[Row] = []
        for name, frames in faces.items():
            dub = self.dub(self.person(name, frames, sound, False), sound, self.heldout.mouth[:, : n * SENTENCE])
            rows += rows_of(name, {"s1's": [dub]})
            self.write(f"{part}_{name}", {"s1 says it": sheet(self.heldout), "dubbed": sheet(dub)})
        print(markdown(rows))
        return rows

    def e(self) -> None:
        """Speed of U-Net and decoder on all cores, and the VAE's round trip."""
        import torch

        torch.set_num_threads(os.cpu_count() or 1)
        footage = open_footage(self.video / "grid_s1_heldout.mp4")
        frames = footage.read(np.linspace(0, len(footage.clock) - 1, CROPS).round().astype(int).tolist())
        few, far = ArrayFootage(frames, FPS), TrackOptions(smoothing=0)  # these frames lie far apart in time
        track = track_faces(few, far, self.tools(few).options.crop, SilentProgress())[0]
        crops = crop_faces(frames, range(CROPS), track, self.model.recipe.face_size)
        self.bar("VAE: PSNR", psnr(self.model.vae, crops), 28.5, gpu=29.6)  # TAESD: 29.6
        if self.args.teacher is not None:
            teacher = load_vae(self.args.teacher, SingleDevice(self.args.device, self.args.dtype))
            print(f"      teacher: PSNR: {show(psnr(teacher, crops))}")
        faces = encode_faces(np.resize(crops, (PICTURES, *crops.shape[1:])), self.model.vae, BATCH)
        tokens = torch.zeros(PICTURES, 50, self.model.lips.width)
        spent = []
        for _ in range(1 + ROUNDS):
            started = time.perf_counter()
            decode_faces(generate_lips(self.model.lips, faces, tokens, BATCH), self.model.vae, BATCH)
            spent.append(time.perf_counter() - started)
        self.bar("U-Net and decoder, frames/s", PICTURES / statistics.median(spent[1:]), 40)


def psnr(vae: Autoencoder, crops: np.ndarray) -> float:
    """Of what comes back from the latents, in dB."""
    meter = FidelityMeter(len(crops))
    for k, back in enumerate(decode_faces(encode_faces(crops, vae, BATCH).reference, vae, BATCH)):
        meter.add(k, back, crops[k])
    result = meter.result()
    return result.psnr if result else np.nan


def sheet(shown: Person | Dub, start: int = 0) -> np.ndarray:
    """Frames and mouths of one sentence."""
    part = slice(start, start + SENTENCE)
    return mouth_sheet(shown.frames[part], shown.lips[part], Clock.regular(SENTENCE, FPS))


def main() -> None:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default="a,b,c,d,e", help="parts, by comma")
    parser.add_argument("--sentences", type=int, default=20, help="most clips of each person, at least 2")
    parser.add_argument("--others", type=int, default=5, help="part a: most clips of each speaker but s1, at least 2")
    parser.add_argument("--photo", type=Path, help="a portrait for part d instead of scikit-image's astronaut")
    parser.add_argument("--teacher", type=Path, help="part e: a file of TAESD, to compare the VAE with")
    parser.add_argument("--gpu", action="store_true", help="the bars of a model that was trained on a GPU")
    stages.add_model(parser)
    parser.set_defaults(face=None, mask=None, released=False)  # as `dub` without flags
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    bench = Bench(args)
    for part in args.only.split(","):
        run = {"a": bench.a, "b": bench.b, "c": bench.c, "d": bench.d, "e": bench.e}[part.strip()]
        print(f"\n## ({part}) {run.__doc__}\n", flush=True)
        started, worked = time.perf_counter(), time.process_time()
        run()
        spent = time.perf_counter() - started
        print(f"\n{spent:.0f} s, of one core's time {time.process_time() - worked:.0f} s", flush=True)


if __name__ == "__main__":
    main()
