"""`musetalk eval`: measure dubbed videos against their source, their sound and the truth, and rank them."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..audio.read import read_audio
from ..eval.batch import compare
from ..eval.external import ExternalNets, onnx_nets
from ..eval.plots import write_plots
from ..eval.reference import EvalOptions, prepare
from ..eval.report import table
from ..pipeline.avatar import FaceOptions
from ..placement import SingleDevice
from ..video.read import open_footage
from . import stages
from .arguments import add_options, read_options
from .console import TerminalProgress, write_line
from .dub import write_json

if TYPE_CHECKING:
    from ..types import Footage


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Declare the command and its flags."""
    parser = commands.add_parser("eval", help="measure dubbed videos, with controls")
    stages.add_source(parser)
    parser.add_argument("output", type=Path, nargs="+", metavar="OUTPUT", help="one dubbed video, or several to rank")
    parser.add_argument("--audio", type=Path, help="the sound that drove the output; a video's sound track counts")
    parser.add_argument(
        "--truth", type=Path, help="real video of that sound: SOURCE itself when it was dubbed with its own sound"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number, frame by frame too")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="write curves, lag curve and worst frames as PNG")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    nets = parser.add_argument_group("networks that you supply (none is part of this project)")
    nets.add_argument(
        "--syncnet", type=Path, metavar="FILE", help="SyncNet as released with LatentSync, for LSE-D, LSE-C"
    )
    nets.add_argument("--identity-net", type=Path, metavar="ONNX", help="ArcFace, 112 px, for CSIM")
    nets.add_argument("--feature-net", type=Path, metavar="ONNX", help="Inception v3 features, 299 px, for FID")
    nets.add_argument("--distance-net", type=Path, metavar="ONNX", help="LPIPS, inputs in0 and in1 of 256 px")
    nets.add_argument("--device", default="auto", help="where SyncNet runs [default: auto]")
    stages.add_faces(parser)
    stages.add_mask(parser)
    add_options(parser, "measuring", EvalOptions)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure one output or several."""
    outputs = _open_outputs(args.output)
    track, crop = stages.read_faces(args)
    source = stages.read_source(args)
    mask, drawn = stages.read_mask(args, source)
    progress = TerminalProgress(args.quiet)
    try:
        reference = prepare(
            source,
            None if args.audio is None else read_audio(args.audio),
            None if args.truth is None else open_footage(args.truth),
            read_options(args, EvalOptions),
            faces=FaceOptions(track, crop, mask),
            user_mask=drawn,
            nets=_nets(args),
            progress=progress,
        )
        result = compare(reference, outputs, progress)
        for name, output in outputs.items() if args.plots is not None else ():
            folder = args.plots if len(outputs) == 1 else args.plots / name
            write_plots(result.reports[name], reference, output, folder)
    finally:
        progress.close()
    write_line(table(result.reports) if len(outputs) == 1 else result.table())
    if args.json is not None:
        content = result.as_dict()
        # One report stands as it is, several with their ranking.
        write_json(args.json, content if len(outputs) > 1 else next(iter(content["reports"].values())))
    return 0


def _open_outputs(paths: list[Path]) -> dict[str, Footage]:
    """Footage by file name; files of one name in several folders are told apart by a number."""
    found: dict[str, Footage] = {}
    for path in paths:
        name, number = path.stem, 2
        while name in found:
            name, number = f"{path.stem}-{number}", number + 1
        found[name] = open_footage(path)
    return found


def _nets(args: argparse.Namespace) -> ExternalNets:
    nets = onnx_nets(args.identity_net, args.feature_net, args.distance_net)
    if args.syncnet is None:
        return nets
    from ..models.syncnet import load_syncnet

    return replace(nets, syncnet=load_syncnet(args.syncnet, SingleDevice(args.device)))
