"""`musetalk demo`: a drawn person, whom nano was not trained on, says a sentence; needs nothing but the package."""

from __future__ import annotations

import argparse
import tempfile
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from ..audio.read import read_audio
from ..audio.write import Sound
from ..errors import MediaError, OptionError
from ..face.preview import write_picture
from ..models.load import LoadedModel
from ..models.registry import REGISTRY
from ..pipeline.dub import DubSettings, dub
from ..pipeline.report import DubReport
from ..portraits.footage import portrait_footage
from ..portraits.sample import SAMPLE_SEED, SAMPLE_WORDS, sample_speech
from ..portraits.sheet import mouth_sheet
from ..progress import Progress
from ..types import Footage
from ..video.read import ArrayFootage, VideoFootage
from ..video.write import VideoWriter, WriteOptions, require_target
from . import stages
from .console import TerminalProgress, write_line

VIDEO, SHEET = "demo.mp4", "demo.png"
FULL = "1.5"  # the recipe for whoever wants more
LIMITS = MappingProxyType(  # by recipe; the others' makers state theirs
    {
        "nano": "nano is small and for trying out: it learned from a few people, so mouths are soft, and on faces "
        "unlike theirs they can look wrong."
    }
)


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Declare the command and its flags."""
    parser = commands.add_parser("demo", help="draw a person, make them say a sentence, and show how it looks")
    parser.add_argument(
        "--out", type=Path, default=Path("out"), metavar="DIR", help="folder for the results [default: out]"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=SAMPLE_SEED,
        help=f"who is drawn; nano was trained on people below 10000 [default: {SAMPLE_SEED}]",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    stages.add_model(parser)
    parser.set_defaults(run=run, face=None, mask=None, released=False)  # as `dub` without flags


def run(args: argparse.Namespace) -> int:
    """Draw, dub, show."""
    video, sheet = _places(args.out)
    if args.seed < 0:
        raise OptionError(f"--seed {args.seed} is below 0.", "Give a number from 0 on.")
    model, parser = stages.read_model(args)
    speech = sample_speech()
    portrait = portrait_footage(args.seed, float(read_audio(speech).seconds))
    progress = TerminalProgress(args.quiet)
    try:
        source = _drawn(portrait, progress)
        with tempfile.TemporaryDirectory() as folder:
            exact = Path(folder) / "dubbed.mkv"
            tools = stages.read_tools(args, source, model, parser)
            settings = DubSettings(write=WriteOptions(lossless=True))
            report = dub(source, speech, exact, model, tools, settings, progress=progress)
            with closing(VideoFootage(exact)) as dubbed:
                result = dubbed.read(range(report.frames))
    finally:
        progress.close()
    with VideoWriter(
        video, 2 * source.width, source.height, source.clock, WriteOptions(), sound=Sound(speech)
    ) as writer:
        for pair in zip(source.read(range(report.frames)), result, strict=True):
            writer.write(np.concatenate(pair, axis=1)[None])
    write_picture(sheet, mouth_sheet(result, portrait.truth().lips, source.clock))
    for line in _story(video, sheet, report, model):
        write_line(line)
    return 0


def _places(folder: Path) -> tuple[Path, Path]:
    """The files to write, in a folder that exists then."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(f"The folder {folder} cannot be made: {error}", "Choose another with --out.") from error
    require_target(folder / VIDEO)
    return folder / VIDEO, folder / SHEET


def _drawn(portrait: Footage, progress: Progress) -> ArrayFootage:
    """All frames, drawn once."""
    n = len(portrait.clock)
    frames = np.empty((n, portrait.height, portrait.width, 3), np.uint8)
    progress.start("drawing", n)
    for index in range(n):
        frames[index] = portrait.read([index])[0]
        progress.advance(1, frames[index])
    return ArrayFootage(frames, portrait.clock.fps)


def _story(video: Path, sheet: Path, report: DubReport, model: LoadedModel) -> list[str]:
    """What to tell: where the results are, what made them, what it is good for, how to get more."""
    size = sum(entry.download.size or 0 for entry in REGISTRY.values() if FULL in entry.recipes and entry.download)
    lines = [
        f'{video}: a drawn person; left as drawn, right saying "{SAMPLE_WORDS}"',
        f"{sheet}: frames of the right side, their mouths enlarged",
        f"Model: {report.model}; {sum(report.spoken)} of {report.frames} frames speak.",
        LIMITS.get(model.recipe.name, ""),
        f"The full model ({size / 1e9:.1f} GB; `musetalk models list` has the licences): musetalk models get {FULL}",
        f"Then, with people who agreed to it: musetalk dub VIDEO SOUND -o dubbed.mp4 --model {FULL}",
    ]
    return [line for line in lines if line]
