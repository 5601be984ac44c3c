"""What the released models and ours differ in, as data: no code asks for a version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from ..errors import ModelError

LATENT_SCALE = 0.18215  # Stable Diffusion 1: brings the VAE's latents to unit variance
WINDOW_STEPS = 10  # audio steps of 20 ms that drive one frame
HIDDEN_STATES = 5  # of a tiny Whisper encoder: before its layers, and after each of four
FACE_SIZE = 256  # pixels a side of the crop that the released models and nano see
TOKENS = WINDOW_STEPS * HIDDEN_STATES  # audio tokens of one frame; token = step * 5 + layer

# Source: the released checkpoints (Stable Diffusion 1.4's U-Net with 8 channels in and sound of 384 in place of text);
# 849.95 M parameters in 686 tensors. "attention_head_dim" is diffusers' name, and means 8 heads at every level.
OFFICIAL_UNET: Mapping[str, Any] = MappingProxyType(
    {
        "sample_size": 64,
        "in_channels": 8,
        "out_channels": 4,
        "center_input_sample": False,
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        "block_out_channels": (320, 640, 1280, 1280),
        "layers_per_block": 2,
        "downsample_padding": 1,
        "mid_block_scale_factor": 1,
        "act_fn": "silu",
        "norm_num_groups": 32,
        "norm_eps": 1e-5,
        "cross_attention_dim": 384,
        "attention_head_dim": 8,
    }
)

# 4.23 M parameters; attends to sound at 16x16 and below, where 2 heads are as good as 8 and twice as fast on a CPU.
NANO_UNET: Mapping[str, Any] = MappingProxyType(
    {
        **OFFICIAL_UNET,
        "sample_size": 32,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "block_out_channels": (48, 64, 96, 96),
        "layers_per_block": 1,
        "norm_num_groups": 16,
        "attention_head_dim": 2,
    }
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one family of weights wants to be fed and shown.

    Args:
        name: what a user types.
        title: what a user reads.
        audio_encoder: identity of the sound encoder that it was trained with.
        unet, vae: ids of its weight files in the registry; `audio_encoder` is an id too.
        unet_config: diffusers' configuration of the U-Net, when the file does not bring its own.
        bbox_shift: the user may shift the mask's upper edge (pixels of the source).
        chin_margin: by how much the crop's lower edge is lowered, as a part of the height of the face's box.
        mask: the mask that needs no other weights: the default.
        released_mask: the mask of the released code, for which a face parser must be given.
        cheek_width: half width in pixels of 512 of the part that the released `jaw` mask leaves uneroded.
        layout: how sound windows lie on frames, unless the user asks for the released one.
        face_size: side of the crop in pixels; latents have an eighth of it.
        latent_scale: factor between the VAE's latents and the U-Net's.
    """

    name: str
    title: str
    audio_encoder: str
    unet: str
    vae: str
    unet_config: Mapping[str, Any] = field(repr=False)
    bbox_shift: bool = False
    chin_margin: float = 0.0
    mask: Literal["landmarks"] = "landmarks"
    released_mask: Literal["raw", "jaw"] | None = None
    cheek_width: int = 90
    layout: Literal["centred", "released"] = "centred"
    face_size: int = FACE_SIZE
    latent_scale: float = LATENT_SCALE


# The released 1.5 lowers the box by 10 px of the source; its training crops are 256 px high with that margin, so the
# face's own box is 246 px there. A part of the height is the same at that size and right at every other.
CHIN_MARGIN = 10 / 246

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        recipe.name: recipe
        for recipe in (
            Recipe(
                name="nano",
                title="MuseTalk nano (embedded)",
                audio_encoder="whisper-tiny.en",
                unet="nano",
                vae="nano",
                unet_config=NANO_UNET,
                chin_margin=CHIN_MARGIN,
            ),
            Recipe(
                name="1.0",
                title="MuseTalk 1.0",
                audio_encoder="whisper-tiny",
                unet="musetalk-1.0",
                vae="sd-vae-ft-mse",
                unet_config=OFFICIAL_UNET,
                bbox_shift=True,
                released_mask="raw",
            ),
            Recipe(
                name="1.5",
                title="MuseTalk 1.5",
                audio_encoder="whisper-tiny",
                unet="musetalk-1.5",
                vae="sd-vae-ft-mse",
                unet_config=OFFICIAL_UNET,
                chin_margin=CHIN_MARGIN,
                released_mask="jaw",
            ),
        )
    }
)


def find_recipe(name: str) -> Recipe:
    """The recipe of this name.

    Raises:
        ModelError: there is none.
    """
    if name not in RECIPES:
        raise ModelError(f"There is no recipe {name!r}.", f"Use one of: {', '.join(RECIPES)}.")
    return RECIPES[name]


def require_encoder(recipe: Recipe, identity: str) -> None:
    """Refuse sound features of an encoder that the U-Net does not know: the shapes may be equal, the meaning is not.

    Args:
        recipe: of the U-Net.
        identity: `WhisperEncoder.identity`, or `Speech.encoder`.

    Raises:
        ModelError: it is another encoder than the recipe names.
    """
    if identity != recipe.audio_encoder:
        raise ModelError(
            f"{recipe.title} was trained on the sound features of {recipe.audio_encoder}, not of {identity}.",
            f"Encode the sound with {recipe.audio_encoder}.",
        )
