"""Training a SyncNet of one's own: which of a clip's sounds belongs to which of its pictures?

Needs torch when it is imported.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..errors import MediaError, OptionError
from ..progress import Progress, SilentProgress
from .building import single_device
from .config import TrainConfig
from .dataset import Samples, open_clips
from .log import RunLog
from .pictures import signed
from .schedule import rate_at
from .state import checkpoint_path, load_state, newest, prune, save_state
from .syncnet import SmallSyncNet, contrast_loss, mel_rows, save_syncnet

VALIDATION_BATCHES = 8
VALIDATION_SEED = 1


class SyncSamples:
    """Moments of a clip by number: windows of pictures, and their sounds.

    Args:
        samples: clips, framing; each sample spans all of its moments (`_samples`).
        config: how many moments of which length, and how far apart.
    """

    def __init__(self, samples: Samples, config: TrainConfig) -> None:
        self._samples = samples
        self._frames = config.syncnet.frames
        self._firsts = [k * config.sync.apart for k in range(config.sync.moments)]

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Sample `number`: faces (M, T, S, S, 3) uint8, mels (M, 80, rows)."""
        choice = self._samples.choose(number)
        faces = self._samples.faces(choice)
        windows = torch.stack([faces[first : first + self._frames] for first in self._firsts])
        return {"faces": windows, "mels": self._samples.mels(choice, self._firsts)}


def train_sync(config: TrainConfig, progress: Progress | None = None) -> dict[str, float]:
    """Train a SyncNet; writes `syncnet.safetensors`, a log and checkpoints into `run.folder`, and continues from them.

    Args:
        config: tables data, framing, syncnet, sync and run count.
        progress: is told the updates that are done.

    Returns:
        Loss and share of right answers on held-out people (the logarithm of the number of moments, and one in that
        number, are chance), when there are any.

    Raises:
        MuseTalkError: a file is missing or does not fit.
    """
    if not config.run.folder:
        raise OptionError("run.folder names no folder.", "Say where checkpoints, logs and the SyncNet shall go.")
    run, report, folder = config.run, progress or SilentProgress(), Path(config.run.folder)
    device = single_device(config)
    torch.manual_seed(run.seed)
    network = SmallSyncNet(config.syncnet).to(device)
    adam = torch.optim.Adam(network.parameters(), lr=config.sync.rate)
    parts = {"syncnet": network, "adam": adam}
    path = newest(folder / "checkpoints")
    update = 0 if path is None else load_state(path, parts, config.as_dict())
    log = RunLog(folder, update, True)
    samples = SyncSamples(_samples(config, "train", run.seed), config)
    report.start("training the SyncNet", run.updates)
    report.advance(update)
    scores: dict[str, float] = {}
    while update < run.updates:
        started = time.perf_counter()
        loss, right = _score(network, _batch(samples, update * run.batch, run.batch, device), config)
        for group in adam.param_groups:
            group["lr"] = config.sync.rate * rate_at(update, run.updates, config.optimiser.warmup, 0.0, "cosine")
        adam.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        update += 1
        speed = run.batch * config.sync.moments / (time.perf_counter() - started)
        if update % run.log_every == 0:
            log.write("train", update, {"loss": float(loss.detach()), "right": right, "samples_per_second": speed})
        last = update == run.updates
        if update % run.checkpoint_every == 0 or last:
            save_state(checkpoint_path(folder / "checkpoints", update), parts, update, config.as_dict())
            prune(folder / "checkpoints", run.checkpoints_kept)
            save_syncnet(folder / "syncnet.safetensors", network)
        if run.validate_every and (update % run.validate_every == 0 or last):
            scores = _validate(network, config, device)
            log.write("validation", update, scores)
        report.advance()
    log.close()
    return scores


def _samples(config: TrainConfig, split: Literal["train", "validation"], seed: int) -> Samples:
    """Samples that span all moments, whatever the generator's have."""
    clips, _ = open_clips(Path(config.data.folder), split)
    span = config.syncnet.frames + (config.sync.moments - 1) * config.sync.apart
    shares = config.data.shares if split == "train" else ""  # other people than the training's
    data = replace(config.data, frames=span, generated=0, shares=shares)
    return Samples(clips, data, config.framing, config.look, config.sampling, seed, mel_rows(config.syncnet.frames))


def _batch(samples: SyncSamples, first: int, count: int, device: torch.device) -> dict[str, Tensor]:
    from torch.utils.data import default_collate

    batch: Mapping[str, Tensor] = default_collate([samples[number] for number in range(first, first + count)])
    return {name: value.to(device) for name, value in batch.items()}


def _score(network: SmallSyncNet, batch: Mapping[str, Tensor], config: TrainConfig) -> tuple[Tensor, float]:
    """The loss, and the share of windows that fit their own sound best."""
    clips, moments = batch["mels"].shape[:2]
    seen = network.see(signed(batch["faces"].flatten(0, 1))).reshape(clips, moments, -1)
    heard = network.hear(batch["mels"].flatten(0, 1)).reshape(clips, moments, -1)
    told = (seen @ heard.transpose(1, 2)).argmax(dim=2) == torch.arange(moments, device=seen.device)
    return contrast_loss(seen, heard, config.sync.temperature), float(told.float().mean())


def _validate(network: SmallSyncNet, config: TrainConfig, device: torch.device) -> dict[str, float]:
    try:
        samples = SyncSamples(_samples(config, "validation", VALIDATION_SEED), config)
    except MediaError as error:
        raise OptionError(error.what, "Prepare more people, or set run.validate_every = 0.") from error
    size = config.run.batch
    network.eval()
    with torch.no_grad():
        found = [_score(network, _batch(samples, k * size, size, device), config) for k in range(VALIDATION_BATCHES)]
    network.train()
    return {"loss": float(np.mean([float(a) for a, _ in found])), "right": float(np.mean([b for _, b in found]))}
