"""`musetalk track`: show which faces are found, where the mask lies, and what would be skipped and why."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import OptionError
from ..face.mask import PARSED_KINDS, MaskOptions, mask_face, mask_from_user
from ..face.preview import contact_sheet, sheet_frames, write_picture
from ..face.track import track_faces
from ..pipeline.report import skipped_ranges
from ..timeline import Timeline
from ..types import FaceTrack, Footage, MaskPatch
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
    options, drawn = stages.read_mask(args, footage)
    if options.kind in PARSED_KINDS:
        raise OptionError(
            f"The mask {options.kind!r} needs a face parser, which is not run here.", "Preview landmarks or mouth."
        )
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
        write_picture(args.preview, contact_sheet(footage, tracks, _masks(footage, tracks, options, drawn)))
        write_line(str(args.preview))
    return 0


def _masks(
    footage: Footage, tracks: list[FaceTrack], options: MaskOptions, drawn: np.ndarray | None
) -> list[dict[int, MaskPatch]]:
    """For each person the masks of the contact sheet's frames on which they speak."""
    frames = sheet_frames(len(footage.clock), tracks)
    return [
        {
            index: mask_face(track, index, options) if drawn is None else mask_from_user(drawn, track, index)
            for index in frames
            if track.strength[index] > 0
        }
        for track in tracks
    ]
