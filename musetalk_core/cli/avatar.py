"""`musetalk avatar`: prepare footage once, dub it many times."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import OptionError
from ..pipeline.avatar import find_faces, load_avatar, make_avatar, save_avatar
from . import stages
from .console import TerminalProgress, write_line


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Declare the command and its flags."""
    parser = commands.add_parser("avatar", help="prepare footage once, so that later dubs start at once")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    make = actions.add_parser("make", help="track, encode and mask a face, and save it")
    stages.add_source(make)
    make.add_argument("-o", "--output", type=Path, required=True, help="the avatar file to write (.safetensors)")
    make.add_argument("--embed-frames", action="store_true", help="keep the frames too, uncompressed")
    make.add_argument("--batch-size", type=int, default=8, help="frames per network call [default: 8]")
    make.add_argument("--quiet", action="store_true", help="no progress bar")
    stages.add_model(make)
    stages.add_faces(make)
    stages.add_mask(make)
    make.set_defaults(run=run_make)
    show = actions.add_parser("show", help="say what an avatar file holds")
    show.add_argument("avatar", type=Path, metavar="AVATAR")
    show.set_defaults(run=run_show)


def run_make(args: argparse.Namespace) -> int:
    """Prepare one person and save the avatar."""
    if args.face == "all":
        raise OptionError(
            "An avatar holds one person, not all of them.", "Choose one with --face, and make one for each."
        )
    footage = stages.read_source(args)
    model, parser = stages.read_model(args)
    tools = stages.read_tools(args, footage, model, parser)
    progress = TerminalProgress(args.quiet)
    try:
        (found,) = find_faces(footage, tools, progress)
        avatar = make_avatar(
            footage, found, tools, embed_frames=args.embed_frames, batch_size=args.batch_size, progress=progress
        )
    finally:
        progress.close()
    save_avatar(avatar, args.output)
    write_line(f"{args.output}: {len(avatar.parts)} of {len(avatar.track)} frames can speak")
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Print what an avatar file holds."""
    avatar = load_avatar(args.avatar)
    track, clock = avatar.track, avatar.clock
    write_line(f"frames     {len(track)} of {track.width}x{track.height}, {float(clock.fps):.3f} a second")
    write_line(f"face       found on {int(track.found.sum())}, can speak on {int(np.count_nonzero(track.strength))}")
    write_line(
        f"prepared   {len(avatar.parts)} frames, footage {'embedded' if avatar.frames is not None else 'not embedded'}"
    )
    for name, value in avatar.key.items():
        options = value.items() if isinstance(value, Mapping) else ()
        shown = ", ".join(f"{option} {setting}" for option, setting in options) or value or "none"
        write_line(f"{name:<10} {shown}")
    return 0
