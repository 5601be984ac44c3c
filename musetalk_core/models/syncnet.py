"""SyncNet as released with LatentSync: do 16 mouths and their sound belong together? A user supplies the file.

Module names and channel counts follow the released files, so that their keys load strictly; whether a file has
attention blocks is read from its keys. Network classes need torch when they are defined: import this file only where
a SyncNet is used.

Source: Li et al., "LatentSync: Taming Audio-Conditioned Latent Diffusion Models for Lip Sync with SyncNet Supervision"
(arXiv 2412.09262), and the configurations syncnet_16_pixel and syncnet_16_pixel_attn of its release.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers.models.attention import FeedForward
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn
from torch.nn import functional

from ..errors import ModelError
from ..placement import Placement
from .checkpoint import load_strictly, read_checkpoint

FRAMES = 16  # frames of one window, stacked on the channels
IMAGE_HEIGHT, IMAGE_WIDTH = 128, 256  # lower half of a 256 x 256 aligned face
MEL_ROWS, MEL_BANDS = 52, 80  # 16 frames at 25 fps, in rows of 12.5 ms: ceil(16 / 5 * 16)
GROUPS = 32
EPSILON = 1e-6
HEADS = 8


@dataclass(frozen=True, slots=True)
class Tower:
    """One encoder: its input channels, each block's channels, and by how much each block shrinks (rows, columns)."""

    inputs: int
    channels: Sequence[int]
    strides: Sequence[tuple[int, int]]


AUDIO_TOWER = Tower(1, (32, 64, 128, 256, 512, 1024, 2048), ((2, 1), (2, 2), (2, 2), (1, 1), (2, 2), (2, 2), (2, 3)))
VISUAL_TOWER = Tower(3 * FRAMES, (64, 128, 256, 256, 512, 1024, 2048, 2048), ((1, 2), *((2, 2),) * 7))


class Block(nn.Module):
    """A residual block of two convolutions, then a strided convolution that shrinks."""

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, inputs, EPSILON)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = nn.GroupNorm(GROUPS, outputs, EPSILON)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None
        self.downsample_conv = None if stride == (1, 1) else nn.Conv2d(outputs, outputs, 3, stride)
        # A side that is halved is padded behind only; the side that is kept is padded on both.
        before = tuple(int(step == 1) for step in stride)
        self._pad = (before[1], 1, before[0], 1)  # left, right, top, bottom

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv1(functional.silu(self.norm1(x)))
        y = self.conv2(functional.silu(self.norm2(y)))
        y = y + (x if self.conv_shortcut is None else self.conv_shortcut(x))
        if self.downsample_conv is not None:
            y = self.downsample_conv(functional.pad(y, self._pad))
        return y


class AttentionBlock(nn.Module):
    """Self-attention over all places, then a feed-forward layer; both residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, channels, EPSILON)
        self.norm2 = nn.LayerNorm(channels)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels, activation_fn="geglu")
        self.conv_in = nn.Conv2d(channels, channels, 1)
        self.conv_out = nn.Conv2d(channels, channels, 1)
        self.attn = Attention(channels, heads=HEADS, dim_head=channels // HEADS, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[-2:]
        y = self.conv_in(self.norm1(x)).flatten(2).transpose(1, 2)  # (B, C, h, w) -> (B, h * w, C)
        y = self.attn(self.norm2(y)) + y
        y = self.ff(self.norm3(y)) + y
        change: Tensor = self.conv_out(y.transpose(1, 2).unflatten(2, (h, w)).contiguous())
        return x + change


class Encoder(nn.Module):
    """Shrinks a picture to one vector."""

    def __init__(self, tower: Tower, attended: Collection[int]) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(tower.inputs, tower.channels[0], 3, padding=1)
        blocks: list[nn.Module] = []
        inputs = tower.channels[0]
        for outputs, stride in zip(tower.channels, tower.strides, strict=True):
            blocks.append(Block(inputs, outputs, stride))
            if len(blocks) in attended:
                blocks.append(AttentionBlock(outputs))
            inputs = outputs
        self.down_blocks = nn.ModuleList(blocks)
        self.norm_out = nn.GroupNorm(GROUPS, inputs, EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for block in self.down_blocks:
            x = block(x)
        return functional.normalize(functional.relu(self.norm_out(x)).flatten(1))  # (B, C, 1, 1) -> (B, C), length 1


class SyncNetwork(nn.Module):
    """Both encoders.

    Args:
        audio_attended, visual_attended: places in the list of blocks that hold attention.
        audio, visual: the encoders' sizes.
    """

    def __init__(
        self,
        audio_attended: Collection[int] = (),
        visual_attended: Collection[int] = (),
        audio: Tower = AUDIO_TOWER,
        visual: Tower = VISUAL_TOWER,
    ) -> None:
        super().__init__()
        self.audio_encoder = Encoder(audio, audio_attended)
        self.visual_encoder = Encoder(visual, visual_attended)


class SyncNet:
    """A loaded SyncNet.

    Args:
        network: both encoders.
        placement: where it runs.
    """

    def __init__(self, network: SyncNetwork, placement: Placement) -> None:
        self._network = network
        self._placement = placement

    def hear(self, mels: Tensor) -> Tensor:
        """(B, 80, 52) spectra in -4..4 to (B, 2048) float32 vectors of length 1, on the CPU."""
        return self._embed("audio_encoder", mels[:, None])

    def see(self, faces: Tensor) -> Tensor:
        """(B, 48, 128, 256) lower halves of 16 faces, RGB after RGB, in -1..1, to (B, 2048) float32, on the CPU."""
        return self._embed("visual_encoder", faces)

    def _embed(self, encoder: str, inputs: Tensor) -> Tensor:
        with self._placement.lend(self._network, torch.float32) as network:
            result: Tensor = getattr(network, encoder)(inputs.to(self._placement.device, torch.float32))
            return result.cpu()


def load_syncnet(path: Path, placement: Placement, audio: Tower = AUDIO_TOWER, visual: Tower = VISUAL_TOWER) -> SyncNet:
    """Read a SyncNet in the layout released with LatentSync (`latentsync_syncnet.pt`, `stable_syncnet.pt`).

    Args:
        path: the file; a pickled one is read with torch's restricted reader, nothing in it is run.
        placement: where it shall run.
        audio, visual: the encoders' sizes; other than the released ones for a SyncNet of one's own.

    Raises:
        ModelError: the file is missing, damaged or another network, such as one for latents or for 25 frames.
    """
    checkpoint = read_checkpoint(path)
    hearing, seeing = (attended_blocks(checkpoint.tensors, name) for name in ("audio_encoder", "visual_encoder"))
    try:
        with torch.device("meta"):
            network = SyncNetwork(hearing, seeing, audio, visual)
    except ValueError as error:
        raise ModelError(f"{path} is not a SyncNet: {error}", "Give latentsync_syncnet.pt.") from error
    load_strictly(network, checkpoint.tensors, path, "SyncNet of LatentSync for 16 frames")
    return SyncNet(network, placement)


def attended_blocks(keys: Collection[str], encoder: str) -> frozenset[int]:
    """Which places of an encoder's list of blocks hold attention."""
    prefix = f"{encoder}.down_blocks."
    places = {key.removeprefix(prefix).split(".")[0] for key in keys if key.startswith(prefix) and ".attn." in key}
    return frozenset(int(place) for place in places if place.isdigit())
