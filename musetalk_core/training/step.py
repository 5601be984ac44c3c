"""One batch: latents in, a face out, and everything that judges it.

Needs torch when it is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from ..lips.encode import encode_faces
from ..models.vae import PIXELS_PER_LATENT, Autoencoder, TinyAutoencoder
from .config import TrainConfig
from .discriminators import Critic, PatchDiscriminator
from .features import build_features
from .losses import latent_loss, latent_weights, perceptual_loss, pixel_loss
from .memory import in_chunks
from .networks import TrainableLips, pixel_decoder
from .options import LossOptions
from .pictures import cut_windows, mouth_windows, signed
from .syncnet import REGIONS, ReleasedSyncNet, SmallSyncNet, load_sync_judge, sync_loss

DECODER_REACH = 3  # latents beyond which small decoders hardly look


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What a batch of B samples of T frames tells the network, and what is true; N = B * T rows.

    Args:
        masked, reference: (N, 4, h, w) unscaled latents.
        tokens: (N, 50, D) raw sound tokens.
        true: (N, 3, S, S) target pictures in -1..1.
        true_latents: (N, 4, h, w) unscaled, when the latent loss is on.
        mouths: (N, 4) square windows around the mouth, pixels.
        mel: (B, 80, rows) spectrum.
        frames: T.
        window: (B, W, 3, S, S) true pictures in -1..1 of the SyncNet's window, where it is longer than the T frames.
        first: (B,) place of the T frames in it.
    """

    masked: Tensor
    reference: Tensor
    tokens: Tensor
    true: Tensor
    true_latents: Tensor | None
    mouths: Tensor
    mel: Tensor
    frames: int
    window: Tensor | None = None
    first: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Judges:
    """The networks that losses need; None where a loss is off.

    Args:
        features: for the perceptual loss.
        sync: SyncNet.
        critics: trained discriminators, by name.
    """

    features: nn.Module | None = None
    sync: SmallSyncNet | ReleasedSyncNet | None = None
    critics: Mapping[str, Critic] = field(default_factory=dict)


def build_judges(options: LossOptions, device: torch.device) -> Judges:
    """The judges that the weights ask for.

    Raises:
        ModelError: a file is missing or of another network.
    """
    features = build_features(options, device) if options.perceptual or options.mouth_perceptual else None
    sync = load_sync_judge(Path(options.syncnet)).to(device, torch.float32) if options.sync else None
    sides = [options.critic_side >> k for k in range(options.critic_scales)]
    critics = {
        name: Critic(PatchDiscriminator([options.critic_channels << k for k in range(4)]).to(device), sides)
        for name, weight in (("face", options.face_critic), ("mouth", options.mouth_critic))
        if weight
    }
    return Judges(features, sync, critics)


def make_batch(raw: Mapping[str, Tensor], vae: Autoencoder, latents: bool, device: torch.device) -> Batch:
    """Encode a batch of samples with the functions of inference.

    Args:
        raw: of the DataLoader: `Samples.__getitem__`, stacked. Stored latents in it are taken as they are.
        vae: the autoencoder.
        latents: the targets' latents are needed too.
        device: where training runs.
    """
    targets = raw["targets"].flatten(0, 1)  # (N, S, S, 3)
    true = signed(targets)
    lips = raw["lips"].flatten(0, 1)
    if "latents" in raw:
        masked, reference, whole = raw["latents"].flatten(0, 1).unbind(dim=1)
    else:
        found = encode_faces(targets.numpy(), vae, len(targets), raw["references"].flatten(0, 1).numpy())
        masked, reference = found.masked, found.reference
        whole = vae.encode(true) if latents else masked
    return Batch(
        masked=masked.to(device),
        reference=reference.to(device),
        tokens=raw["tokens"].flatten(0, 1).to(device),
        true=true.to(device),
        true_latents=whole.to(device) if latents else None,
        mouths=mouth_windows(lips, targets.shape[1]).to(device),
        mel=raw["mel"].to(device),
        frames=raw["targets"].shape[1],
        window=signed(raw["window"]).to(device) if "window" in raw else None,
        first=raw["first"].to(device) if "first" in raw else None,
    )


class Step:
    """Computes the losses of batches.

    Args:
        lips: the network in training.
        vae: decodes, frozen.
        judges: of `build_judges`.
        config: weights and chunk size.
    """

    def __init__(self, lips: TrainableLips, vae: Autoencoder, judges: Judges, config: TrainConfig) -> None:
        self._lips, self._judges = lips, judges
        self._decode = pixel_decoder(vae)
        self._loss, self._chunk = config.loss, config.network.decode_chunk
        # Of networks that are convolutions alone, a part can be decoded as it is in the whole.
        self._partly = isinstance(vae, TinyAutoencoder) and not config.loss.whole_faces
        self._sync_region = REGIONS[judges.sync.options.region] if judges.sync is not None else None

    def generate(self, batch: Batch) -> Tensor:
        """Unscaled latents of the batch's faces."""
        made: Tensor = self._lips(batch.masked, batch.reference, batch.tokens)
        return made

    def pictures(self, latents: Tensor, batch: Batch) -> Tensor:
        """Decoded faces in about -1..1; where losses look at a part of them alone, the true faces around that part."""
        if not self._partly:
            return in_chunks(self._decode, latents, size=self._chunk)
        seen = batch.mouths
        if self._sync_region is not None:
            seen = torch.cat([seen, seen.new_tensor([self._sync_region]) * batch.true.shape[-1]])
        left, top, right, bottom = latent_box(seen, latents.shape[-1])
        part = in_chunks(self._decode, latents[..., top:bottom, left:right], size=self._chunk)
        pictures = batch.true.clone()
        k = PIXELS_PER_LATENT
        pictures[..., k * top : k * bottom, k * left : k * right] = part
        return pictures

    def losses(self, batch: Batch, made: Tensor, pictures: Tensor | None, update: int) -> dict[str, Tensor]:
        """Each loss times its weight.

        Args:
            batch: what is true.
            made: latents from `generate`.
            pictures: from `pictures`; None when no loss needs them.
            update: the discriminators count from their start on.
        """
        weights, found = self._loss, {}
        if weights.latent and batch.true_latents is not None:
            size, side = batch.true.shape[-1], made.shape[-1]
            places = latent_weights(batch.mouths, size, side, weights)
            found["latent"] = weights.latent * latent_loss(made, batch.true_latents, places).mean()
        if pictures is None:
            return found
        if weights.pixel or weights.perceptual:
            both = in_chunks(self._by_frame, pictures, batch.true, size=self._chunk).mean(dim=0)
            found["pixel"], found["perceptual"] = weights.pixel * both[0], weights.perceptual * both[1]
        if weights.mouth or weights.mouth_perceptual:
            found |= self._mouth(pictures, batch)
        for name, critic in self._judges.critics.items():
            if update >= weights.critic_start:
                fake, real = critic_views(name, pictures, batch, weights.critic_side)
                found[name] = critic_weight(name, weights) * critic.generator_loss(fake, real, weights.matching)
        if self._judges.sync is not None:
            found["sync"] = weights.sync * self._sync(self._judges.sync, pictures, batch)
        return found

    def critic_losses(self, batch: Batch, pictures: Tensor) -> dict[str, Tensor]:
        """What the discriminators learn from."""
        found = {}
        for name, critic in self._judges.critics.items():
            fake, real = critic_views(name, pictures.detach(), batch, self._loss.critic_side)
            found[f"{name} critic"] = critic.discriminator_loss(fake, real)
        return found

    def _by_frame(self, made: Tensor, true: Tensor) -> Tensor:
        """(n, 2): pixel and perceptual loss of each frame."""
        pixel = pixel_loss(made, true)
        features = self._judges.features
        return torch.stack(
            [pixel, torch.zeros_like(pixel) if features is None else perceptual_loss(made, true, features)], 1
        )

    def _mouth(self, pictures: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The same two losses in the mouth's window."""
        weights, side = self._loss, self._loss.mouth_side
        fake, real = mouth_views(pictures, batch, side)
        found = {"mouth pixel": weights.mouth * pixel_loss(fake, real).mean()}
        if weights.mouth_perceptual and self._judges.features is not None:
            seen = perceptual_loss(fake, real, self._judges.features, (side, side // 2, side // 4))
            found["mouth perceptual"] = weights.mouth_perceptual * seen.mean()
        return found

    def _sync(self, judge: SmallSyncNet | ReleasedSyncNet, pictures: Tensor, batch: Batch) -> Tensor:
        window = sync_window(batch, pictures)[:, : judge.options.frames]
        return sync_loss((judge.see(window) * judge.hear(batch.mel)).sum(dim=1))


def latent_box(windows: Tensor, side: int) -> tuple[int, int, int, int]:
    """The part of latents from which some windows of the pictures are decoded.

    Args:
        windows: (N, 4) in pixels.
        side: of the latents.

    Returns:
        left, top, right, bottom, in latents.
    """
    low = (windows[:, :2].amin(dim=0) / PIXELS_PER_LATENT).floor().int() - DECODER_REACH
    high = (windows[:, 2:].amax(dim=0) / PIXELS_PER_LATENT).ceil().int() + DECODER_REACH
    left, top = low.clamp(0, side - 1).tolist()
    right, bottom = high.clamp(1, side).tolist()
    return left, top, right, bottom


def sync_window(batch: Batch, pictures: Tensor) -> Tensor:
    """What the SyncNet sees: the generated pictures, (N, 3, S, S), among the true ones around them, (B, W, 3, S, S)."""
    made = pictures.reshape(-1, batch.frames, *pictures.shape[1:])  # (B, T, 3, S, S)
    if batch.window is None or batch.first is None:
        return made
    rows = torch.arange(len(made), device=made.device)[:, None]
    places = batch.first[:, None] + torch.arange(batch.frames, device=made.device)
    return batch.window.to(made.dtype).index_put((rows, places), made)


def critic_views(name: str, pictures: Tensor, batch: Batch, side: int) -> tuple[Tensor, Tensor]:
    """What a discriminator sees of made and true faces: all, or the mouth."""
    if name == "face":
        return pictures, batch.true
    return mouth_views(pictures, batch, side)


def mouth_views(pictures: Tensor, batch: Batch, side: int) -> tuple[Tensor, Tensor]:
    """The mouth's window of made and true faces, (N, 3, side, side) each."""
    return cut_windows(pictures, batch.mouths, side), cut_windows(batch.true, batch.mouths, side)


def critic_weight(name: str, options: LossOptions) -> float:
    """A critic's one weight, feature matching included."""
    return options.face_critic if name == "face" else options.mouth_critic
