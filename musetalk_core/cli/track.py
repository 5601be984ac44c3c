"""`musetalk track`: show which faces are found, where the mask lies, and what would be skipped and why."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from ..face.preview import contact_sheet, write_picture
from ..face.track import track_faces
from ..pipeline.report import skipped_ranges
from ..timeline import Timeline
from . import stages
from .console import TerminalProgress, write_line


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Declare the command and its flags."""
    parser = commands.add_parser("track", help="show the faces that would speak, and what would be skipped")
    stages.add_source(parser)
    parser.add_argument(
        "--preview", type=Path, metavar="PNG", help="write a contact sheet of boxes, landmarks and masks"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    stages.add_faces(parser)
    stages.add_mask(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Track one piece of footage."""
    footage = stages.read_source(args)
    progress = TerminalProgress(args.quiet)
    try:
        tracks = track_faces(footage, *stages.read_faces(args), progress)
    finally:
        progress.close()
    timeline = Timeline(np.arange(len(footage.clock)), footage.clock, len(footage.clock))
    for number, track in enumerate(tracks):
        write_line(f"face {number}: can speak on {int(np.count_nonzero(track.strength))} of {len(track)} frames")
        for skipped in skipped_ranges(track, timeline):
            write_line(f"  {skipped.start:.2f}-{skipped.end:.2f} s skipped: {skipped.reason}")
    if args.preview is not None:
        write_picture(args.preview, contact_sheet(footage, tracks))
        write_line(str(args.preview))
    return 0
