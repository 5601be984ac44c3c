"""Training a SyncNet of one's own: right pairs of pictures and sound, and wrong ones.

Needs torch when it is imported.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import MediaError, OptionError
from ..progress import Progress, SilentProgress
from .building import single_device
from .config import TrainConfig
from .dataset import Choice, Samples, open_clips
from .framing import FramingOptions, draw_framing
from .log import RunLog
from .pictures import signed
from .schedule import rate_at
from .state import checkpoint_path, load_state, newest, prune, save_state
from .syncnet import SmallSyncNet, mel_rows, pair_loss, save_syncnet

VALIDATION_BATCHES = 8
VALIDATION_SEED = 1


class SyncSamples:
    """Pairs by number: a window of pictures and a sound that is its own or another's.

    Args:
        samples: clips, framing, windows.
        config: how wrong sounds are chosen.
        seed: another seed, other pairs.
    """

    def __init__(self, samples: Samples, config: TrainConfig, seed: int) -> None:
        self._samples, self._config, self._seed = samples, config, seed

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Pair `number`: faces (T, S, S, 3) uint8, mel (80, rows), same () 0 or 1; every other pair is right."""
        random = np.random.default_rng((self._seed, number, 1))
        choice = self._samples.choose(number)
        faces, mel = self._samples.pair(choice)
        same = number % 2 == 0
        if not same:
            mel = self._samples.pair(self._wrong(choice, number, random), pictures=False)[1]
        return {"faces": faces, "mel": mel, "same": torch.tensor(float(same))}

    def _wrong(self, choice: Choice, number: int, random: np.random.Generator) -> Choice:
        """Another moment of the same clip, or of whatever the next sample shows."""
        frames, apart = self._samples.clips[choice.clip].frames, self._config.sync.apart
        first = int(choice.targets[0])
        starts = np.arange(frames - len(choice.targets) + 1)
        far = starts[np.abs(starts - first) >= apart]
        if len(far) == 0 or random.random() < self._config.sync.other:
            return self._samples.choose(number + 1_000_003)
        moved = int(random.choice(far)) + np.arange(len(choice.targets))
        return Choice(choice.clip, moved, moved, draw_framing(FramingOptions(), len(moved), random))


def train_sync(config: TrainConfig, progress: Progress | None = None) -> dict[str, float]:
    """Train a SyncNet; writes `syncnet.safetensors`, a log and checkpoints into `run.folder`, and continues from them.

    Args:
        config: tables data, framing, syncnet, sync and run count.
        progress: is told the updates that are done.

    Returns:
        Loss and share of right answers on held-out people (log 2 and one half are chance), when there are any.

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
    pairs = SyncSamples(_samples(config, "train", run.seed), config, run.seed)
    report.start("training the SyncNet", run.updates)
    report.advance(update)
    scores: dict[str, float] = {}
    while update < run.updates:
        started = time.perf_counter()
        loss, right = _score(network, _batch(pairs, update * run.batch, run.batch, device))
        for group in adam.param_groups:
            group["lr"] = config.sync.rate * rate_at(update, run.updates, config.optimiser.warmup, 0.0, "cosine")
        adam.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        update += 1
        speed = run.batch / (time.perf_counter() - started)
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


def _samples(config: TrainConfig, split: Any, seed: int) -> Samples:
    """Windows of the SyncNet's own length, whatever the generator's samples have."""
    from dataclasses import replace

    clips, _ = open_clips(Path(config.data.folder), split)
    data = replace(config.data, frames=config.syncnet.frames, generated=0)
    return Samples(clips, data, config.framing, config.look, config.sampling, seed, mel_rows(config.syncnet.frames))


def _batch(pairs: SyncSamples, first: int, count: int, device: torch.device) -> dict[str, Tensor]:
    from torch.utils.data import default_collate

    batch: Mapping[str, Tensor] = default_collate([pairs[number] for number in range(first, first + count)])
    return {name: value.to(device) for name, value in batch.items()}


def _score(network: SmallSyncNet, batch: Mapping[str, Tensor]) -> tuple[Tensor, float]:
    """The loss, and the share of pairs that are told rightly."""
    faces = signed(batch["faces"])  # (B, T, 3, S, S)
    seen, heard = network.see(faces), network.hear(batch["mel"])
    told = ((seen * heard).sum(dim=1) > 0) == (batch["same"] > 0)
    return pair_loss(seen, heard, batch["same"]), float(told.float().mean())


def _validate(network: SmallSyncNet, config: TrainConfig, device: torch.device) -> dict[str, float]:
    try:
        samples = _samples(config, "validation", VALIDATION_SEED)
    except MediaError as error:
        raise OptionError(error.what, "Prepare more people, or set run.validate_every = 0.") from error
    pairs = SyncSamples(samples, config, VALIDATION_SEED)
    size = config.run.batch
    with torch.no_grad():
        found = [_score(network, _batch(pairs, k * size, size, device)) for k in range(VALIDATION_BATCHES)]
    return {"loss": float(np.mean([float(a) for a, _ in found])), "right": float(np.mean([b for _, b in found]))}
