"""Options of the losses and of SyncNet, apart from them, so that reading a config loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..options import Options, option

Region = Literal["face", "lower", "mouth"]


@dataclass(frozen=True, slots=True)
class LossOptions(Options):
    """Weights of the losses; 0 leaves a loss out, and what it needs is then not computed."""

    latent: float = option(0.0, "mean difference of latents at unit variance", low=0.0, high=1000.0)
    latent_above: float = option(0.25, "weight of the latents above the mask's edge", low=0.0, high=100.0)
    latent_lips: float = option(3.0, "what is added to the weight around the lips", low=0.0, high=100.0)
    pixel: float = option(1.0, "mean difference of pixels in -1..1", low=0.0, high=1000.0)
    perceptual: float = option(0.01, "difference of features at four sizes", low=0.0, high=1000.0)
    mouth: float = option(0.0, "mean difference of pixels in the mouth's window", low=0.0, high=1000.0)
    mouth_perceptual: float = option(0.0, "difference of features in the mouth's window", low=0.0, high=1000.0)
    mouth_side: int = option(96, "side at which these two see the mouth, a multiple of 4", low=32, high=512, unit="px")
    features: Literal["random", "vgg19"] = option(
        "random", "whose features: fixed random filters, which need no file, or VGG19"
    )
    vgg19: str = option("", "file of torchvision's VGG19 weights, for features = vgg19")
    face_critic: float = option(0.0, "discriminator of the whole face, feature matching included", low=0.0, high=100.0)
    mouth_critic: float = option(0.0, "discriminator of the mouth, feature matching included", low=0.0, high=100.0)
    matching: float = option(
        1.0, "feature matching beside the discriminator's score; the critic's weight and start count for both", low=0.0
    )
    critic_start: int = option(1000, "first update at which the discriminators count", low=0, unit="updates")
    critic_side: int = option(256, "side of the pictures that discriminators see", low=64, high=1024, unit="px")
    critic_channels: int = option(64, "of the discriminators' first layer; doubled three times", low=4, high=256)
    critic_scales: int = option(1, "sizes that discriminators see, each half of the last", low=1, high=3)
    sync: float = option(0.0, "sync loss", low=0.0, high=100.0)
    syncnet: str = option(
        "", "SyncNet file: of `musetalk train sync`, whose window and region then count, or LatentSync's"
    )

    @property
    def pixels(self) -> bool:
        """Whether any loss needs decoded pictures."""
        return self.whole_faces or any((self.mouth, self.mouth_perceptual, self.mouth_critic, self.sync))

    @property
    def whole_faces(self) -> bool:
        """Whether a loss looks at whole decoded pictures; the others look at the mouth, or where their SyncNet does."""
        return any((self.pixel, self.perceptual, self.face_critic))


@dataclass(frozen=True, slots=True)
class SyncNetOptions(Options):
    """How much a SyncNet sees, and how large it is: the paper's "information volume"."""

    frames: int = option(16, "length of the window; more carries more, and converges later", low=1, high=50)
    region: Region = option("lower", "part of the crop that it sees: all, the lower half, or the mouth alone")
    height: int = option(48, "rows to which the region is resized", low=16, high=256, unit="px")
    width: int = option(96, "columns to which the region is resized", low=16, high=256, unit="px")
    channels: int = option(32, "of the first layer; doubled three times", low=8, high=256)
    embedding: int = option(256, "numbers by which a window is described", low=16, high=4096)
