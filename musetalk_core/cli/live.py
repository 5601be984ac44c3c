"""`musetalk live`: a page on which a person says what is spoken into a microphone, at once."""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..audio.encode import SpeechOptions
from ..audio.rest import closed_mouth
from ..errors import AvatarError, MediaError, OptionError
from ..live.server import LiveServer, ServerOptions, require_extra, serve
from ..live.session import LiveOptions, LiveSession
from ..live.shared import share_model
from ..live.voices import find_voice
from ..pipeline.avatar import Avatar, FaceTools, find_faces, load_avatar, make_avatar, require_match
from ..portraits.footage import portrait_footage
from ..portraits.motion import MouthCurve
from ..portraits.sample import SAMPLE_SEED
from ..render.blend import BlendOptions
from ..types import Footage
from ..video.read import ArrayFootage, open_footage
from . import stages
from .arguments import add_options, read_options
from .console import TerminalProgress, write_line

DRAWN = 50  # frames of the drawn person, shown back and forth
LARGEST_FOOTAGE = 4e9  # bytes; frames stay in memory, since every browser shows them at its own pace
BATCH = 8  # faces encoded at once when an avatar is made


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Declare the command and its flags."""
    parser = commands.add_parser("live", help="a web page on which a person says what you speak, at once")
    parser.add_argument(
        "source",
        nargs="?",
        type=Path,
        metavar="SOURCE",
        help="an avatar file, a video, a photo, or a folder of frames [default: a drawn person]",
    )
    parser.add_argument(
        "--footage", type=Path, help="what an avatar file was made from, when it does not hold its frames"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar, nothing about who comes and goes")
    stages.add_model(parser)
    stages.add_faces(parser)
    stages.add_mask(parser)
    add_options(parser, "server", ServerOptions)
    add_options(parser, "live", LiveOptions, skip=("sound_rate",))
    add_options(parser, "speech", SpeechOptions, skip=("layout",))
    add_options(parser, "blending", BlendOptions, skip=("mode",))
    parser.set_defaults(run=run, fps=None)


def run(args: argparse.Namespace) -> int:
    """Prepare the person, then serve until Ctrl-C."""
    require_extra()
    options, live = read_options(args, ServerOptions), read_options(args, LiveOptions)
    speech, blend = read_options(args, SpeechOptions), read_options(args, BlendOptions)
    if args.face == "all":
        raise OptionError("A live avatar is one person, not all of them.", "Choose one with --face.")
    voice = find_voice(options.voice)
    progress = TerminalProgress(args.quiet)
    try:
        avatar, footage, tools, model = _prepare(args, progress)
    finally:
        progress.close()
    model = share_model(model)
    tools, rest = replace(tools, vae=model.vae), closed_mouth(model.audio)

    def make_session() -> LiveSession:
        return LiveSession(avatar, footage, model, tools, live, speech, blend, rest)

    make_session().close()  # what the first one warms up is warm for all
    server = LiveServer(make_session, options, voice, (lambda line: None) if args.quiet else write_line)
    asyncio.run(serve(server, lambda: write_line(f"{server.address} (Ctrl-C stops)")))
    return 0


def _prepare(args: argparse.Namespace, progress: TerminalProgress) -> tuple[Avatar, Footage, FaceTools, Any]:
    """The person with all their frames in memory, and the model."""
    saved = None
    if args.source is not None and args.source.suffix == ".safetensors":
        saved = load_avatar(args.source)
    footage = _footage(args, saved)
    size = len(footage.clock) * footage.width * footage.height * 3
    if size > LARGEST_FOOTAGE and (saved is None or saved.frames is None):
        seconds = float(footage.clock.seconds) * LARGEST_FOOTAGE / size
        raise MediaError(
            f"{args.source} needs {size / 1e9:.1f} GB of memory.", f"Cut it to {seconds:.0f} s, or make it smaller."
        )
    model, parser = stages.read_model(args)
    tools = stages.read_tools(args, footage, model, parser, saved.key if saved else stages.NOTHING_SAVED)
    if saved is None:
        (found,) = find_faces(footage, tools, progress)
    else:
        embedded = {"source": saved.key["source"]} if saved.frames is not None else {}
        require_match(saved, tools.key(footage) | embedded, str(args.source))
        found = saved
    missing = np.flatnonzero(found.track.strength > 0)
    if saved is None or saved.frames is None or not all(int(i) in found.parts for i in missing):
        found = make_avatar(footage, found, tools, embed_frames=True, batch_size=BATCH, progress=progress)
    return found, found.footage(), tools, model


def _footage(args: argparse.Namespace, saved: Avatar | None) -> Footage:
    """The frames, wherever they are."""
    if args.source is None:
        rest = MouthCurve(np.zeros(DRAWN), np.ones(DRAWN), np.zeros(DRAWN))
        drawn = portrait_footage(SAMPLE_SEED, DRAWN / 25, mouth=rest)
        return ArrayFootage(drawn.read(range(DRAWN)), drawn.clock.fps)  # drawn once, read three times
    if saved is None:
        return open_footage(args.source)
    if saved.frames is not None:
        return saved.footage()
    if args.footage is None:
        raise AvatarError(
            f"{args.source} does not hold its frames.",
            "Name what it was made from with --footage, or make it again with --embed-frames.",
        )
    return open_footage(args.footage)
