"""`musetalk train`: prepare a dataset, train a model on it, or a VAE, a SyncNet, one person's adapter."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..placement import SingleDevice
from ..training.cutting import CutOptions
from ..training.prepare import PrepareOptions, describe, prepare_dataset
from . import stages
from .arguments import add_options, read_options
from .console import TerminalProgress, write_line

if TYPE_CHECKING:
    from ..progress import Progress
    from ..training.config import TrainConfig


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Declare the command, its actions and their flags."""
    parser = commands.add_parser("train", help="prepare a dataset, train a model, a VAE, a SyncNet or an adapter")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    prepare = actions.add_parser("prepare", help="videos to a dataset folder; goes on where it was stopped")
    prepare.add_argument("source", type=Path, nargs="+", metavar="SOURCE", help="videos, or folders with videos")
    prepare.add_argument("--out", type=Path, required=True, metavar="DIR", help="the dataset folder")
    prepare.add_argument("--audio-encoder", type=Path, required=True, metavar="FILE", help="Whisper's file")
    prepare.add_argument("--quiet", action="store_true", help="no progress bar")
    add_options(prepare, "people and refusals", PrepareOptions)
    add_options(prepare, "cutting", CutOptions)
    prepare.set_defaults(run=_prepare)
    adapt = actions.add_parser("adapt", help="train one person's adapter from footage; goes on where it was stopped")
    adapt.add_argument("source", type=Path, nargs="+", metavar="SOURCE", help="videos of the person, with their speech")
    adapt.add_argument("--out", type=Path, required=True, metavar="DIR", help="receives adapter.safetensors")
    adapt.add_argument(
        "--config", type=Path, metavar="CONFIG", help="a TOML file [default: adapt, of the released models adapt_full]"
    )
    _add_settings(adapt)
    stages.add_networks(adapt)
    adapt.set_defaults(run=_adapt)
    for name, text, function in (
        ("run", "train a model; goes on from the newest checkpoint", _run),
        ("vae", "train a small VAE on a large one's latents", _vae),
        ("sync", "train a SyncNet for the sync loss", _sync),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument(
            "config",
            type=Path,
            metavar="CONFIG",
            help="a TOML file, or one of ours, such as stage1, small1, nano_vae",
        )
        _add_settings(action)
        action.set_defaults(run=function)


def _add_settings(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--set", action="append", default=[], metavar="TABLE.NAME=VALUE", help="counts before the file; repeatable"
    )
    action.add_argument("--quiet", action="store_true", help="no progress bar")


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
    def work(config: TrainConfig, progress: Progress) -> None:
        from ..training.loop import Trainer

        Trainer(config, progress).run()

    return _train(args, work, "The model is in", "model")


def _adapt(args: argparse.Namespace) -> int:
    from ..training.adapt import train_adapter
    from ..training.config import load_config

    model = stages.read_networks(args, SingleDevice("cpu", "fp32"))
    config = load_config(args.config or Path("adapt" if model.recipe.unet == "nano" else "adapt_full"), args.set)
    progress = TerminalProgress(args.quiet)
    try:
        path = train_adapter(args.source, args.out, model, config, progress)
    finally:
        progress.close()
    write_line(f"The adapter is {path}: musetalk dub ... --adapter {path}")
    return 0


def _sync(args: argparse.Namespace) -> int:
    def work(config: TrainConfig, progress: Progress) -> Mapping[str, float]:
        from ..training.sync import train_sync

        return train_sync(config, progress)

    return _train(args, work, "The SyncNet is", "syncnet.safetensors")


def _vae(args: argparse.Namespace) -> int:
    def work(config: TrainConfig, progress: Progress) -> Mapping[str, float]:
        from ..training.autoencoder import train_autoencoder

        return train_autoencoder(config, progress)

    return _train(args, work, "The VAE is", "vae.safetensors")


def _train(
    args: argparse.Namespace, work: Callable[[TrainConfig, Progress], Mapping[str, float] | None], what: str, name: str
) -> int:
    """Train with a bar; say where the result lies in the run's folder, and what held-out people said of it."""
    from ..training.config import load_config  # needs torch

    config, progress = load_config(args.config, args.set), TerminalProgress(args.quiet)
    try:
        scores = work(config, progress)
    finally:
        progress.close()
    write_line(f"{what} {Path(config.run.folder) / name}.")
    for score, value in (scores or {}).items():
        write_line(f"held-out people: {score} {value:.3f}")
    return 0
