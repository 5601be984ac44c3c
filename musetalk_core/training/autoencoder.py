"""Training a small VAE of one's own: latents learned from a large one, pictures from the footage.

Needs torch when it is imported.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from ..errors import OptionError
from ..face.look import LookOptions
from ..models.checkpoint import save_safetensors
from ..models.layouts import Weights
from ..models.load import load_network, load_vae
from ..models.recipe import LATENT_SCALE
from ..models.small_vae import NANO_VAE, SmallAutoencoder
from ..models.vae import Autoencoder
from ..placement import SingleDevice
from ..progress import Progress, SilentProgress
from .building import average_into, build_adam, single_device
from .config import TrainConfig
from .dataset import Samples, open_clips
from .features import build_features
from .log import RunLog
from .losses import perceptual_loss, pixel_loss
from .networks import freeze
from .pictures import signed
from .schedule import rate_at
from .state import checkpoint_path, load_state, newest, prune, save_state

VALIDATION_PICTURES = 16
VALIDATION_SEED = 1


@dataclass(frozen=True, slots=True, eq=False)
class Student:
    """The network in training and what it is judged by.

    Args:
        network: the small VAE.
        teacher: whose latents it learns.
        features: for the perceptual loss.
    """

    network: SmallAutoencoder
    teacher: Autoencoder
    features: nn.Module | None


def train_autoencoder(config: TrainConfig, progress: Progress | None = None) -> dict[str, float]:
    """Train a small VAE; writes `vae.safetensors`, a log and checkpoints into `run.folder`, and continues from them.

    Args:
        config: tables data, framing, look, autoencoder, loss, optimiser and run count; `network.vae` is the teacher.
        progress: is told the updates that are done.

    Returns:
        Scores on held-out people: PSNR in dB of pictures that went through it, and through the teacher; mean difference
        of latents at unit variance.

    Raises:
        MuseTalkError: a file is missing or does not fit.
    """
    if not config.run.folder or not config.network.vae:
        raise OptionError("run.folder or network.vae is empty.", "Say where to write, and whose latents are learned.")
    run, report, folder = config.run, progress or SilentProgress(), Path(config.run.folder)
    torch.manual_seed(run.seed)
    student = _build(config)
    averaged = {name: value.detach().clone() for name, value in student.network.state_dict().items()}
    adam = build_adam(student.network, config.optimiser.rate, config)
    parts = {"vae": student.network, "ema": averaged, "adam": adam}
    path = newest(folder / "checkpoints")
    update = 0 if path is None else load_state(path, parts, config.as_dict())
    log = RunLog(folder, update, True)
    samples = _samples(config, "train", run.seed)
    report.start("training the VAE", run.updates)
    report.advance(update)
    scores: dict[str, float] = {}
    while update < run.updates:
        started = time.perf_counter()
        losses = _losses(student, _pictures(samples, config, update * run.batch), config)
        _apply(losses, adam, student.network, averaged, update, config)
        update += 1
        if update % run.log_every == 0:
            speed = run.batch / (time.perf_counter() - started)
            values = {name: float(value.detach()) for name, value in losses.items()}
            log.write("train", update, {**values, "samples_per_second": speed})
        last = update == run.updates
        if update % run.checkpoint_every == 0 or last:
            save_state(checkpoint_path(folder / "checkpoints", update), parts, update, config.as_dict())
            prune(folder / "checkpoints", run.checkpoints_kept)
            save_small_vae(folder / "vae.safetensors", student.network, averaged)
        if run.validate_every and (update % run.validate_every == 0 or last):
            scores = judge(folder / "vae.safetensors", student.teacher, config)
            log.write("validation", update, scores)
        report.advance()
    log.close()
    return scores


def _apply(
    losses: Mapping[str, Tensor], adam: Any, network: nn.Module, averaged: Mapping[str, Tensor], update: int,
    config: TrainConfig,
) -> None:  # fmt: skip
    """Change the weights by the losses, and the averaged weights by the weights."""
    options = config.optimiser
    rate = options.rate * rate_at(update, config.run.updates, options.warmup, options.final, options.schedule)
    for group in adam.param_groups:
        group["lr"] = rate
    adam.zero_grad(set_to_none=True)
    torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
    if options.clip:
        torch.nn.utils.clip_grad_norm_(network.parameters(), options.clip)
    adam.step()
    average_into(averaged, network.state_dict(), options.ema, update)


def save_small_vae(path: Path, network: SmallAutoencoder, tensors: dict[str, Tensor]) -> None:
    """Write a small VAE as `--vae` takes it.

    Args:
        path: its place.
        network: whose sizes are written.
        tensors: its weights.
    """
    weights = Weights("SmallAutoencoder", network.config, tensors, path)
    save_safetensors(path, tensors, weights.header())


def judge(path: Path, teacher: Autoencoder, config: TrainConfig) -> dict[str, float]:
    """What a VAE's file and its teacher make of fixed pictures of held-out people."""
    vae = load_vae(path, SingleDevice("cpu", "fp32"))
    samples = _samples(config, "validation", VALIDATION_SEED)
    faces = torch.stack([samples.faces(samples.choose(k))[0] for k in range(VALIDATION_PICTURES)])
    images = signed(faces)
    own, true = vae.encode(images), teacher.encode(images)
    return {
        "psnr": _psnr(vae.decode(own), images),
        "psnr_of_teachers_latents": _psnr(vae.decode(true), images),
        "psnr_of_teacher": _psnr(teacher.decode(true), images),
        "latents": float((own - true).abs().mean() * LATENT_SCALE),
    }


def _build(config: TrainConfig) -> Student:
    device = single_device(config)
    placement = SingleDevice(str(device), "fp32")
    teacher = load_vae(Path(config.network.vae), placement)
    freeze(teacher, device)
    start: Any = load_network(Path(config.autoencoder.start), "SmallAutoencoder") if config.autoencoder.start else None
    network: SmallAutoencoder = start or SmallAutoencoder(**NANO_VAE)
    network.to(device, torch.float32).requires_grad_(True).train()
    if config.autoencoder.freeze_encoder:
        network.encoder.requires_grad_(False)
    features = build_features(config.loss, device) if config.loss.perceptual else None
    return Student(network, teacher, features)


def _samples(config: TrainConfig, split: Literal["train", "validation"], seed: int) -> Samples:
    clips, _ = open_clips(Path(config.data.folder), split)
    data, look = config.data, config.look
    if split == "validation":  # other people, shown as they are
        data, look = replace(data, shares=""), LookOptions()
    return Samples(clips, data, config.framing, look, config.sampling, seed)


def _pictures(samples: Samples, config: TrainConfig, first: int) -> Tensor:
    """Pictures (B, 3, W, W) in -1..1: windows of faces, some of them black from the middle of the face down."""
    options, size = config.autoencoder, config.data.face_size
    window = min(options.window or size, size)
    found = []
    for number in range(first, first + config.run.batch):
        random = np.random.default_rng((config.run.seed, number, 2))
        face = samples.faces(samples.choose(number))[0]  # (S, S, 3)
        if random.random() < options.masked:
            face = face.clone()
            face[size // 2 :] = 0
        # A window is drawn from a wider range and pushed inside: corners and edges come as often as the middle.
        row, column = np.clip(random.integers(-window // 2, size - window // 2 + 1, 2), 0, size - window)
        found.append(face[row : row + window, column : column + window])
    return signed(default_collate(found))


def _losses(student: Student, images: Tensor, config: TrainConfig) -> dict[str, Tensor]:
    """Each loss times its weight; the first pictures are decoded from the teacher's latents."""
    options, device = config.autoencoder, next(student.network.parameters()).device
    borrowed = round(options.teacher * len(images))
    asked = len(images) if options.latent else borrowed
    images = images.to(device)
    own = student.network.encode(images)[0]
    latents, found = own, {}
    if asked:
        with torch.no_grad():
            true = student.teacher.encode(images[:asked]).to(device) * LATENT_SCALE  # (n, 4, h, w) at unit variance
        latents = torch.cat([true[:borrowed], own[borrowed:]])
        if options.latent:
            found["latent"] = options.latent * (own - true).abs().mean()
    made = student.network.decode(latents)[0]
    found["pixel"] = config.loss.pixel * pixel_loss(made, images).mean()
    if student.features is not None:
        side = images.shape[-1]
        sides = (side, side // 2, side // 4)
        found["perceptual"] = config.loss.perceptual * perceptual_loss(made, images, student.features, sides).mean()
    return found


def _psnr(made: Tensor, true: Tensor) -> float:
    """Mean PSNR in dB of pictures in -1..1."""
    errors = ((made - true) / 2).square().mean(dim=(1, 2, 3)).clamp_min(1e-10)
    return float((-10 * torch.log10(errors)).mean())
