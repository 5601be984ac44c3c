"""From footage of one person to that person's adapter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import ModelError
from ..models.load import LoadedModel
from ..progress import Progress
from .config import TrainConfig
from .cutting import CutOptions
from .prepare import PrepareOptions, prepare_dataset


def train_adapter(
    sources: Sequence[Path], folder: Path, model: LoadedModel, config: TrainConfig, progress: Progress | None = None
) -> Path:
    """Train an adapter; goes on where it was stopped.

    Args:
        sources: videos of one person, or folders of them.
        folder: receives the dataset, checkpoints and the adapter.
        model: which it is for.
        config: of the run; what it says of files and folders is not read.
        progress: is told what is done.

    Returns:
        The adapter's file.

    Raises:
        MuseTalkError: the footage cannot be used, or the run cannot be continued.
    """
    from .loop import ADAPTER_NAME, Trainer

    if model.vae_source is None or model.audio_source is None:
        raise ModelError("Training needs files of the VAE and the sound encoder.", "Load the model with `load_model`.")
    dataset = folder / "dataset"
    everything = PrepareOptions(held_out=0.0, person="()")  # one person, whatever the files are called
    prepare_dataset(sources, dataset, model.audio_source, everything, CutOptions(), progress)
    start, vae, audio_encoder = str(model.source), str(model.vae_source), str(model.audio_source)
    config = replace(
        config,
        data=replace(config.data, folder=str(dataset)),
        network=replace(config.network, start=start, vae=vae, audio_encoder=audio_encoder),
        run=replace(config.run, folder=str(folder)),
    )
    Trainer(config, progress).run()
    return folder / ADAPTER_NAME
