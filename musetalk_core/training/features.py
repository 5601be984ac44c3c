"""Networks that tell how alike two pictures look: VGG19 when the user has its weights, and fixed random filters.

Needs torch when it is imported.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ..models.checkpoint import load_strictly, read_checkpoint
from .options import LossOptions

VGG_CHANNELS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512)  # 0 halves the picture
VGG_TAKEN = (1, 6, 11, 20, 29)  # places in torchvision's `features` of relu1_1, 2_1, 3_1, 4_1, 5_1
IMAGENET_MEAN, IMAGENET_SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of RGB in 0..1
SMALL_CHANNELS = (24, 48, 64, 64)
SMALL_SEED = 2410  # the random filters are part of the method: the same on every machine


class VGG19Features(nn.Module):
    """VGG19 up to relu5_1; gives five maps of features.

    Args:
        path: torchvision's file (`vgg19-dcbb9e9d.pth`), or the same keys as safetensors.

    Raises:
        ModelError: the file is not a VGG19.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, path: Path) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for outputs in VGG_CHANNELS:
            if outputs:
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
                inputs = outputs
            else:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        wanted = self.state_dict()
        tensors = read_checkpoint(path).tensors
        load_strictly(self, {name: t for name, t in tensors.items() if name in wanted}, path, "VGG19 of torchvision")
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("spread", torch.tensor(IMAGENET_SPREAD)[:, None, None], persistent=False)

    def normalise(self, images: Tensor) -> Tensor:
        """What VGG19 was trained on, from RGB in -1..1."""
        return ((images + 1) / 2 - self.mean) / self.spread

    def forward(self, images: Tensor) -> list[Tensor]:
        """Features of (B, 3, H, W) RGB in -1..1."""
        found = []
        x = self.normalise(images)
        for place, layer in enumerate(self.features):
            x = layer(x)
            if place in VGG_TAKEN:
                found.append(x)
        return found


class RandomFeatures(nn.Module):
    """Four layers of fixed random filters: they see edges and texture where single pixels do not line up.

    They stand in for VGG19 without any weight file. What they lack is any knowledge of objects.
    """

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(SMALL_SEED)
        layers = []
        inputs = 3
        for outputs in SMALL_CHANNELS:
            layer = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
            with torch.no_grad():
                layer.weight.normal_(0, (2 / (9 * inputs)) ** 0.5, generator=generator)
                layer.weight -= layer.weight.mean(dim=(1, 2, 3), keepdim=True)  # blind to mere brightness
            layers.append(layer)
            inputs = outputs
        self.layers = nn.ModuleList(layers)
        self.requires_grad_(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Features of (B, 3, H, W) RGB in -1..1."""
        found = []
        x = images
        for layer in self.layers:
            x = nn.functional.relu(layer(x))
            found.append(x)
            x = nn.functional.avg_pool2d(x, 2)
        return found


def build_features(options: LossOptions, device: torch.device) -> nn.Module:
    """The features that the options name.

    Raises:
        ModelError: the file of VGG19 is missing or another network's.
    """
    network: nn.Module = VGG19Features(Path(options.vgg19)) if options.features == "vgg19" else RandomFeatures()
    return network.to(device, torch.float32).eval()
