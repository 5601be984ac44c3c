"""Any layout in, our safetensors out: the same numbers under the names of diffusers and transformers, with a header."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import ModelError
from .checkpoint import SAFETENSORS, save_safetensors
from .layouts import Weights, read_weights
from .load import build_network
from .recipe import find_recipe

if TYPE_CHECKING:
    import torch

Precision = Literal["keep", "fp32", "fp16", "bf16"]


def convert(source: Path, target: Path, *, recipe: str | None = None, precision: Precision = "keep") -> Weights:
    """Write a network of any layout as our safetensors.

    Args:
        source: U-Net, VAE or Whisper file; of a whole Whisper only the encoder is kept.
        target: the file to write, .safetensors.
        recipe: name written into the header of a U-Net.
        precision: of the numbers; "keep" leaves every one as it is.

    Returns:
        What was written.

    Raises:
        ModelError: the source is not a whole network, the target is no .safetensors, or is the source itself.
    """
    if target.suffix.lower() != SAFETENSORS:
        raise ModelError(f"{target} must end in {SAFETENSORS}.", "Choose another name.")
    if target.exists() and target.samefile(source):
        raise ModelError(f"{target} is the source itself.", "Choose another name.")
    weights = read_weights(source)
    if recipe is not None:
        if weights.kind != "UNet2DConditionModel":
            raise ModelError(f"{source} is no U-Net: only a U-Net has a recipe.", "Leave the recipe away.")
        weights = dataclasses.replace(weights, recipe=find_recipe(recipe).name)
    build_network(weights)  # refuses what is not whole
    weights = dataclasses.replace(weights, tensors=_in_precision(weights, precision))
    save_safetensors(target, weights.tensors, weights.header())
    return weights


def _in_precision(weights: Weights, precision: Precision) -> dict[str, torch.Tensor]:
    import torch

    if precision == "keep":
        return dict(weights.tensors)
    dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]
    return {name: tensor.to(dtype) for name, tensor in weights.tensors.items()}
