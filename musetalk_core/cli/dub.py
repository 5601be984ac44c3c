"""`musetalk dub`: a video or photo and a sound in, the same face speaking that sound out."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ..audio.decode import sound_format
from ..audio.encode import SpeechOptions
from ..errors import MediaError
from ..pipeline.avatar import load_avatar, require_match
from ..pipeline.dub import DubOptions, DubSettings, dub
from ..pipeline.report import summary
from ..render.blend import BlendOptions
from ..video.write import WriteOptions, require_target
from . import stages
from .arguments import add_options, read_options
from .console import TerminalProgress, write_line


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Declare the command and its flags."""
    parser = commands.add_parser("dub", help="make a face in a video or photo speak a sound")
    stages.add_source(parser)
    parser.add_argument("sound", type=Path, metavar="AUDIO", help="a sound file, or a video whose sound is taken")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the video to write (.mp4, .mov, .mkv)")
    parser.add_argument(
        "--avatar",
        type=Path,
        help="prepared by `musetalk avatar make` from this source; its options stand where flags are left out",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write a report of the run")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    stages.add_model(parser)
    stages.add_faces(parser)
    stages.add_mask(parser)
    add_options(parser, "speech", SpeechOptions, skip=("layout",))
    add_options(parser, "blending", BlendOptions, skip=("mode",))
    add_options(parser, "writing", WriteOptions)
    add_options(parser, "running", DubOptions)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Dub one video."""
    released = args.released
    settings = DubSettings(
        read_options(args, DubOptions),
        read_options(args, SpeechOptions, {"layout": "released"} if released else None),
        read_options(args, BlendOptions, {"mode": "released", "color_match": False} if released else None),
        read_options(args, WriteOptions),
    )
    _require_places(args)
    sound_format(args.sound)  # a wrong sound is told before the models are loaded
    footage = stages.read_source(args)
    avatars = None if args.avatar is None else [load_avatar(args.avatar)]
    model, parser = stages.read_model(args)
    tools = stages.read_tools(args, footage, model, parser, avatars[0].key if avatars else stages.NOTHING_SAVED)
    if avatars:
        require_match(avatars[0], tools.key(footage), str(args.avatar))
    progress = TerminalProgress(args.quiet)
    try:
        report = dub(footage, args.sound, args.output, model, tools, settings, avatars=avatars, progress=progress)
    finally:
        progress.close()
    if args.json is not None:
        write_json(args.json, report.as_dict())
    write_line(f"{report.output}: {summary(report)}")
    return 0


def _require_places(args: argparse.Namespace) -> None:
    """Refuse, before any work, places that cannot be written to, and outputs that would replace an input."""
    require_target(args.output)
    if args.json is not None and not args.json.parent.is_dir():
        raise MediaError(f"The folder {args.json.parent} does not exist.", "Choose another place with --json.")
    for path in (args.source, args.sound):
        if path.exists() and args.output.exists() and path.samefile(args.output):
            raise MediaError(f"{args.output} is read and cannot be written too.", "Choose another output.")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a report file.

    Raises:
        MediaError: the file cannot be written.
    """
    try:
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise MediaError(
            f"The report {path} cannot be written: {error}", "Choose another place with --json."
        ) from error
