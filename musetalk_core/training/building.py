"""What a run is built of: its U-Net, its optimisers, and the files that it needs.

Needs torch when it is imported.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import ModelError, OptionError
from ..models.load import empty_network, load_unet
from ..models.recipe import RECIPES, Recipe
from ..placement import SingleDevice
from .config import TrainConfig
from .syncnet import load_sync_judge, mel_rows

RECIPE_OF_SIZE = {"nano": "nano", "official": "1.5"}


def build_unet_for_training(config: TrainConfig, placement: SingleDevice) -> tuple[nn.Module, Recipe]:
    """The U-Net: from a file, or with random weights of its size.

    Raises:
        ModelError: the file is missing or no U-Net.
    """
    options = config.network
    if options.start:
        loaded = load_unet(Path(options.start), placement)
        return loaded.network, loaded.recipe
    recipe = RECIPES[RECIPE_OF_SIZE[options.size]]
    return empty_network("UNet2DConditionModel", recipe.unet_config, "cpu"), recipe


def extra_package(package: str, what: str) -> Any:
    """A package that only training needs.

    Raises:
        OptionError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise OptionError(f"The package {package} is needed for {what}.", f"pip install {package}") from error


def build_adam(network: nn.Module, rate: float, config: TrainConfig) -> torch.optim.Optimizer:
    """The optimiser that the config asks for."""
    options = config.optimiser
    kind: Any = torch.optim.AdamW
    if options.kind == "adamw8bit":
        kind = extra_package("bitsandbytes", "optimiser.kind adamw8bit").optim.AdamW8bit
    parameters = [p for p in network.parameters() if p.requires_grad]
    made: torch.optim.Optimizer = kind(
        parameters, lr=rate, betas=(options.beta1, options.beta2), weight_decay=options.decay
    )
    return made


def single_device(config: TrainConfig) -> torch.device:
    """Where a network that one process trains runs."""
    return torch.device("cuda" if config.run.device == "auto" and torch.cuda.is_available() else "cpu")


def average_into(
    averaged: Mapping[str, torch.Tensor], weights: Mapping[str, torch.Tensor], ema: float, update: int
) -> None:
    """Let averaged weights follow the weights.

    Args:
        averaged: changed in place.
        weights: after this update, by the same names.
        ema: memory in the long run; short at first: the random weights of the beginning are not to be averaged in for
            long.
        update: number of this update, from 0.
    """
    memory = min(ema, (1 + update) / (10 + update))
    with torch.no_grad():
        for name, value in weights.items():
            averaged[name].lerp_(value.detach(), 1 - memory)


def sync_rows(config: TrainConfig) -> int:
    """Rows of the spectrum that the SyncNet of a run hears; 0 without one.

    Raises:
        OptionError: samples are shorter than its window, or, where only a part is generated, longer.
    """
    if not config.loss.sync:
        return 0
    frames = load_sync_judge(Path(config.loss.syncnet)).options.frames
    if config.data.frames < frames or (config.data.generated and config.data.frames > frames):
        raise OptionError(
            f"data.frames is {config.data.frames}, but the SyncNet sees {frames} frames.", f"Set it to {frames}."
        )
    return mel_rows(frames)


def require_files(config: TrainConfig) -> None:
    """Refuse a config that names no folder or VAE, or files that are not there, before anything is built.

    Raises:
        OptionError: a name is missing.
        ModelError: a file is missing.
    """
    if not config.run.folder:
        raise OptionError("run.folder names no folder.", "Say where checkpoints, logs and the model shall go.")
    if not config.network.vae:
        raise OptionError("network.vae names no file.", "Name the VAE: `musetalk models list` says what is there.")
    if config.network.adapter and not config.network.start:
        raise OptionError("An adapter needs a trained U-Net.", "Name it with network.start.")
    if config.network.start and not Path(config.network.start).is_file():
        raise ModelError(
            f"network.start names {config.network.start}, which does not exist.",
            "Finish the stage before, or name its model/unet.safetensors.",
        )
