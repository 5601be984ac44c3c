"""A small change of a U-Net's attention for one person: pairs of low-rank matrices (LoRA).

Files have the layout that ComfyUI's LoRA loaders read, so one file serves here and on a MODEL there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelError
from .checkpoint import read_checkpoint, save_safetensors

if TYPE_CHECKING:
    import torch
    from torch import nn

FORMAT, VERSION = "musetalk-adapter", 1
PREFIX = "diffusion_model."  # under which ComfyUI knows a model's network
DOWN, UP, ALPHA = ".lora_A.weight", ".lora_B.weight", ".alpha"


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """What is added to the matrices of a U-Net: UP @ DOWN.

    Args:
        pairs: by module name: DOWN (r, inputs) and UP (outputs, r).
        recipe: name of the recipe of the U-Net that it was trained with; None when the file does not say.
    """

    pairs: Mapping[str, tuple[torch.Tensor, torch.Tensor]]
    recipe: str | None = None

    def save(self, path: Path) -> None:
        """Write the file.

        Raises:
            ModelError: the place cannot be written.
        """
        tensors: dict[str, torch.Tensor] = {}
        for name, (down, up) in self.pairs.items():
            tensors |= {f"{PREFIX}{name}{DOWN}": down, f"{PREFIX}{name}{UP}": up}
        save_safetensors(path, tensors, {"format": FORMAT, "version": VERSION, "recipe": self.recipe})


def load_adapter(path: Path) -> Adapter:
    """An adapter from its file; a strength that other programs wrote beside the matrices (alpha) is taken in.

    Raises:
        ModelError: the file cannot be read, or holds no such pairs.
    """
    checkpoint = read_checkpoint(path)
    tensors = {name.removeprefix(PREFIX): value.float() for name, value in checkpoint.tensors.items()}
    pairs = {}
    for key in [key for key in tensors if key.endswith(DOWN)]:
        name, down = key.removesuffix(DOWN), tensors.pop(key)
        up = tensors.pop(f"{name}{UP}", None)
        if up is None or up.dim() != 2 or down.dim() != 2 or up.shape[1] != down.shape[0]:
            raise ModelError(f"{path} has no pair of matrices for {name}.", "Train the adapter again.")
        alpha = tensors.pop(f"{name}{ALPHA}", None)
        pairs[name] = down, up if alpha is None else up * (float(alpha) / len(down))
    if not pairs or tensors:
        raise ModelError(
            f"{path} is not an adapter of ours: {next(iter(tensors), 'it is empty')}.",
            "Give a file that `musetalk train adapt` wrote.",
        )
    return Adapter(pairs, checkpoint.header.get("recipe"))


def apply_adapter(network: nn.Module, recipe: str, adapter: Adapter, strength: float = 1.0) -> None:
    """Add an adapter to a U-Net's weights for good.

    Args:
        network: is changed.
        recipe: name of its recipe.
        adapter: of `load_adapter`.
        strength: how much of it; 0 changes nothing, 1 is as trained.

    Raises:
        ModelError: it was trained for another U-Net.
    """
    import torch

    weights = dict(network.named_parameters())
    wrong = [
        name
        for name, (down, up) in adapter.pairs.items()
        if f"{name}.weight" not in weights or weights[f"{name}.weight"].shape != (len(up), down.shape[1])
    ]
    if wrong or (adapter.recipe and adapter.recipe != recipe):
        raise ModelError(
            f"The adapter was trained for {adapter.recipe or 'another U-Net'}, not for {recipe}"
            + (f": {wrong[0]} does not fit." if wrong else "."),
            "Use it with the model that it was trained with.",
        )
    with torch.no_grad():  # in place, and counted: copies that placements made of the network are made again
        for name, (down, up) in adapter.pairs.items():
            weights[f"{name}.weight"].add_((strength * (up @ down)).to(weights[f"{name}.weight"]))
