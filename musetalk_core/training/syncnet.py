"""A small SyncNet of our own, the released one behind the same door, and the loss that both give.

Needs torch when it is imported.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import ModelError
from ..models.checkpoint import load_strictly, read_checkpoint, save_safetensors
from ..models.syncnet import AUDIO_TOWER, VISUAL_TOWER, SyncNetwork, Tower, attended_blocks
from ..models.syncnet import FRAMES as RELEASED_FRAMES
from .options import Region, SyncNetOptions

FORMAT, VERSION = "musetalk-syncnet", 2
MEL_BANDS, MEL_HZ, FRAME_HZ = 80, 80, 25  # the spectrum of `audio.mel.syncnet_mel`, at 25 frames a second
GROUPS = 8
SURE = 1e-6  # keeps the logarithm finite where the cosine is -1
REGIONS = {  # part of the crop, as shares: left, top, right, bottom
    "face": (0.0, 0.0, 1.0, 1.0),
    "lower": (0.0, 0.5, 1.0, 1.0),
    "mouth": (0.2, 0.55, 0.8, 0.95),
}


def mel_rows(frames: int) -> int:
    """Rows of the spectrum that belong to a window: 52 for 16 frames."""
    return -(-frames * MEL_HZ // FRAME_HZ)


def sync_loss(cosine: Tensor) -> Tensor:
    """How surely pictures and sound are not told to belong together; log 2 (0.69) is chance.

    The cosine is not clamped: one half of (1 + cosine) is the probability, so every angle has a gradient. (The released
    trainer clamps to 0..1, harmless only for encoders whose vectors have no negative numbers.)

    Args:
        cosine: (B,) of the angle between the vectors of pictures and sound, -1..1.
    """
    return -torch.log((1 + cosine) / 2 + SURE).mean()


def contrast_loss(seen: Tensor, heard: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of telling which sound of its group belongs to a window of pictures, and the other way round.

    Args:
        seen, heard: (G, M, E) of length 1: M moments of each of G clips.
        temperature: by which cosines are divided.

    Source: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021. The other
        moments are the same clip's: neither person nor voice tells which sound is right.
    """
    fits = (seen @ heard.transpose(1, 2) / temperature).flatten(0, 1)  # (G * M, M)
    own = torch.arange(seen.shape[1], device=seen.device).repeat(len(seen))
    back = (heard @ seen.transpose(1, 2) / temperature).flatten(0, 1)
    return (functional.cross_entropy(fits, own) + functional.cross_entropy(back, own)) / 2


def cut_region(faces: Tensor, region: Region) -> Tensor:
    """The part of crops that a SyncNet sees: (..., H, W) to (..., h, w)."""
    left, top, right, bottom = REGIONS[region]
    height, width = faces.shape[-2:]
    return faces[..., round(top * height) : round(bottom * height), round(left * width) : round(right * width)]


def stack_frames(faces: Tensor) -> Tensor:
    """(B, T, 3, h, w) to (B, T * 3, h, w): RGB of the first frame, then of the second."""
    return faces.flatten(1, 2)


class SmallSyncNet(nn.Module):
    """Two small encoders, for pictures and for sound, that meet in one space.

    Args:
        options: sizes.
    """

    def __init__(self, options: SyncNetOptions) -> None:
        super().__init__()
        self.options = options
        c = options.channels
        self.visual = _encoder(3 * options.frames, c, options.embedding)
        self.audio = _encoder(1, c, options.embedding)

    def see(self, faces: Tensor) -> Tensor:
        """(B, T, 3, H, W) crops in -1..1 to (B, E) vectors of length 1."""
        part = cut_region(faces, self.options.region)
        size = (self.options.height, self.options.width)
        part = functional.interpolate(part.flatten(0, 1), size, mode="bilinear", antialias=True)  # (B * T, 3, h, w)
        stacked = stack_frames(part.reshape(*faces.shape[:3], *size))  # (B, T, 3, h, w)
        return functional.normalize(self.visual(stacked))

    def hear(self, mels: Tensor) -> Tensor:
        """(B, 80, rows) spectra in -4..4 to (B, E) vectors of length 1."""
        return functional.normalize(self.audio(mels[:, None]))


class ReleasedSyncNet(nn.Module):
    """LatentSync's SyncNet as a loss: 16 frames, the lower half of 256 px.

    Args:
        path: `latentsync_syncnet.pt`, which the user supplies.
        audio, visual: the encoders' sizes, other than the released ones for a SyncNet of the same kind.

    Raises:
        ModelError: another file.
    """

    def __init__(self, path: Path, audio: Tower = AUDIO_TOWER, visual: Tower = VISUAL_TOWER) -> None:
        super().__init__()
        tensors = read_checkpoint(path).tensors
        with torch.device("meta"):
            self.network = SyncNetwork(
                attended_blocks(tensors, "audio_encoder"), attended_blocks(tensors, "visual_encoder"), audio, visual
            )
        load_strictly(self.network, tensors, path, "SyncNet of LatentSync for 16 frames")
        self.options = SyncNetOptions(frames=RELEASED_FRAMES, height=128, width=256, embedding=2048)

    def see(self, faces: Tensor) -> Tensor:
        """(B, 16, 3, 256, 256) crops in -1..1 to (B, 2048) vectors of length 1."""
        result: Tensor = self.network.visual_encoder(stack_frames(cut_region(faces, "lower")))
        return result

    def hear(self, mels: Tensor) -> Tensor:
        """(B, 80, 52) spectra in -4..4 to (B, 2048) vectors of length 1."""
        result: Tensor = self.network.audio_encoder(mels[:, None])
        return result


def save_syncnet(path: Path, network: SmallSyncNet) -> None:
    """Write a small SyncNet.

    Raises:
        ModelError: the place cannot be written.
    """
    header = {"format": FORMAT, "version": VERSION, "options": asdict(network.options)}
    save_safetensors(path, network.state_dict(), header)


def load_sync_judge(path: Path) -> SmallSyncNet | ReleasedSyncNet:
    """Our own SyncNet or the released one, frozen.

    Raises:
        ModelError: the file is neither.
    """
    checkpoint = read_checkpoint(path)
    if checkpoint.header.get("format") != FORMAT:
        return ReleasedSyncNet(path).eval().requires_grad_(False)
    if checkpoint.header.get("version") != VERSION:
        raise ModelError(f"{path} has another version of our SyncNet format.", "Update this program.")
    network = SmallSyncNet(SyncNetOptions(**checkpoint.header["options"]))
    load_strictly(network, checkpoint.tensors, path, "SyncNet")
    return network


def _encoder(inputs: int, channels: int, embedding: int) -> nn.Sequential:
    """Four halvings, the mean over places, and a linear layer whose numbers are centred and scaled over the batch.

    Without the last step both encoders give the same vector for everything, and windows of more than one frame hardly
    ever leave that point: 400 updates of 36 windows changed nothing, with it 40 did.
    """
    layers: list[nn.Module] = []
    for outputs in (channels, 2 * channels, 4 * channels, 8 * channels):
        layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.GroupNorm(GROUPS, outputs), nn.SiLU()]
        layers += [nn.Conv2d(outputs, outputs, 3, padding=1), nn.GroupNorm(GROUPS, outputs), nn.SiLU()]
        inputs = outputs
    return nn.Sequential(
        *layers,
        nn.AdaptiveAvgPool2d((2, 2)),
        nn.Flatten(),
        nn.Linear(4 * inputs, embedding),
        nn.BatchNorm1d(embedding, affine=False),
    )
