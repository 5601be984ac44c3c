"""`musetalk train`: prepare a dataset, train a model on it, train a VAE or a SyncNet for it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..training.cutting import CutOptions
from ..training.prepare import PrepareOptions, describe, prepare_dataset
from .arguments import add_options, read_options
from .console import TerminalProgress, write_line

if TYPE_CHECKING:
    from ..training.config import TrainConfig


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Declare the command, its actions and their flags."""
    parser = commands.add_parser("train", help="prepare a dataset, train a model, train a SyncNet")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    prepare = actions.add_parser("prepare", help="videos to a dataset folder; goes on where it was stopped")
    prepare.add_argument("source", type=Path, nargs="+", metavar="SOURCE", help="videos, or folders with videos")
    prepare.add_argument("--out", type=Path, required=True, metavar="DIR", help="the dataset folder")
    prepare.add_argument("--audio-encoder", type=Path, required=True, metavar="FILE", help="Whisper's file")
    prepare.add_argument("--quiet", action="store_true", help="no progress bar")
    add_options(prepare, "people and refusals", PrepareOptions)
    add_options(prepare, "cutting", CutOptions)
    prepare.set_defaults(run=_prepare)
    for name, text, function in (
        ("run", "train a model; goes on from the newest checkpoint", _run),
        ("vae", "train a small VAE on a large one's latents", _vae),
        ("sync", "train a SyncNet for the sync loss", _sync),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument(
            "config", type=Path, metavar="CONFIG", help="a TOML file, or stage1, stage2, small1, small2"
        )
        action.add_argument(
            "--set", action="append", default=[], metavar="TABLE.NAME=VALUE", help="counts before the file; repeatable"
        )
        action.add_argument("--quiet", action="store_true", help="no progress bar")
        action.set_defaults(run=function)


def _prepare(args: argparse.Namespace) -> int:
    progress = TerminalProgress(args.quiet)
    try:
        index = prepare_dataset(
            args.source,
            args.out,
            args.audio_encoder,
            read_options(args, PrepareOptions),
            read_options(args, CutOptions),
            progress,
        )
    finally:
        progress.close()
    for line in describe(index):
        write_line(line)
    return 0


def _run(args: argparse.Namespace) -> int:
    config = _config(args)
    from ..training.loop import Trainer

    progress = TerminalProgress(args.quiet)
    try:
        Trainer(config, progress).run()
    finally:
        progress.close()
    write_line(f"The model is in {Path(config.run.folder) / 'model'}.")
    return 0


def _sync(args: argparse.Namespace) -> int:
    config = _config(args)
    from ..training.sync import train_sync

    progress = TerminalProgress(args.quiet)
    try:
        scores = train_sync(config, progress)
    finally:
        progress.close()
    write_line(f"The SyncNet is {Path(config.run.folder) / 'syncnet.safetensors'}.")
    for name, value in scores.items():
        write_line(f"held-out people: {name} {value:.3f}")
    return 0


def _vae(args: argparse.Namespace) -> int:
    config = _config(args)
    from ..training.autoencoder import train_autoencoder

    progress = TerminalProgress(args.quiet)
    try:
        scores = train_autoencoder(config, progress)
    finally:
        progress.close()
    write_line(f"The VAE is {Path(config.run.folder) / 'vae.safetensors'}.")
    for name, value in scores.items():
        write_line(f"held-out people: {name} {value:.3f}")
    return 0


def _config(args: argparse.Namespace) -> TrainConfig:
    from ..training.config import load_config  # needs torch

    return load_config(args.config, args.set)
