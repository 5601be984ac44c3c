"""Training a person's adapter: low-rank matrices on the attention of a U-Net whose own weights stand still.

Needs torch when it is imported.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from ..models.adapter import Adapter
from .building import extra_package

TARGETS = ("to_q", "to_k", "to_v", "to_out.0")  # all matrices of the attention, to the face itself and to the sound
DOWN, UP = ".lora_A.default.weight", ".lora_B.default.weight"  # peft's names


def add_adapter(unet: nn.Module, rank: int) -> None:
    """Freeze a U-Net and put matrices beside its attention, which change nothing before they are trained.

    Raises:
        OptionError: peft is not installed.
    """
    peft = extra_package("peft", "adapters")
    unet.requires_grad_(False)
    config = peft.LoraConfig(r=rank, lora_alpha=rank, target_modules=list(TARGETS), init_lora_weights=True)
    peft.inject_adapter_in_model(config, unet)


def trained_adapter(weights: Mapping[str, Tensor], recipe: str) -> Adapter:
    """The adapter in the trained weights of such a U-Net."""
    names = [name.removesuffix(DOWN) for name in weights if name.endswith(DOWN)]
    return Adapter({name: (weights[name + DOWN], weights[name + UP]) for name in names}, recipe)
