"""Which network a file holds, and its keys as diffusers and transformers name them today."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import ModelError
from .checkpoint import Checkpoint, read_checkpoint
from .recipe import NANO_UNET, OFFICIAL_UNET
from .vae import OFFICIAL_KL, OFFICIAL_TINY
from .whisper_layouts import whisper_config, whisper_identity, whisper_tensors

if TYPE_CHECKING:
    import torch

FORMAT = "musetalk-model"  # header["format"] of the files that we write
VERSION = 1

Kind = Literal["UNet2DConditionModel", "AutoencoderKL", "AutoencoderTiny", "SmallAutoencoder", "WhisperEncoder"]
TITLES: Mapping[str, str] = {
    "UNet2DConditionModel": "MuseTalk U-Net",
    "AutoencoderKL": "Stable Diffusion 1 VAE",
    "AutoencoderTiny": "tiny VAE (TAESD)",
    "SmallAutoencoder": "small VAE (nano's)",
    "WhisperEncoder": "Whisper encoder",
}


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """A network's weights in our layout.

    Args:
        kind: class name of the network in diffusers or transformers.
        config: its configuration.
        tensors: name to tensor, named as that class names them.
        path: the file.
        recipe: name of the recipe of a U-Net; None when the file does not say.
        identity: which Whisper it is; None for other networks.
    """

    kind: Kind
    config: Mapping[str, Any]
    tensors: Mapping[str, torch.Tensor]
    path: Path
    recipe: str | None = None
    identity: str | None = None

    def header(self) -> dict[str, Any]:
        """The JSON header under which these weights are saved."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "network": self.kind,
            "config": dict(self.config),
            "recipe": self.recipe,
            "identity": self.identity,
        }


def read_weights(path: Path) -> Weights:
    """The network in a file, whatever layout it was saved in.

    Args:
        path: a U-Net, VAE or Whisper file: ours, diffusers', LDM's, TAESD's (either of its two), Hugging Face's or
            OpenAI's.

    Raises:
        ModelError: the file cannot be read, or holds none of these.
    """
    checkpoint = read_checkpoint(path)
    if checkpoint.header.get("format") == FORMAT:
        return _read_own(checkpoint)
    for recognise in (_read_unet, _read_kl, _read_tiny, _read_whisper):
        found = recognise(checkpoint)
        if found:
            return found
    raise ModelError(
        f"{path} is none of: {', '.join(TITLES.values())} "
        f"({len(checkpoint.tensors)} keys, first: {next(iter(checkpoint.tensors), 'none')}).",
        "Give a file that `musetalk models list` names, in any of its layouts.",
    )


def content_name(tensors: Mapping[str, torch.Tensor]) -> str:
    """A short name of the content: equal for equal keys and numbers, in whatever file and layout they came."""
    import torch

    digest = sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().contiguous()
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def _read_own(checkpoint: Checkpoint) -> Weights:
    header = checkpoint.header
    if header.get("version") != VERSION:
        raise ModelError(
            f"{checkpoint.path} has version {header.get('version')} of our format; this program reads {VERSION}.",
            "Convert the weights again, or update this program.",
        )
    kind: Any = header.get("network")
    if kind not in TITLES or not isinstance(header.get("config"), dict):
        raise ModelError(f"{checkpoint.path} holds an unknown network: {kind!r}.", "Update this program.")
    config = {name: tuple(value) if isinstance(value, list) else value for name, value in header["config"].items()}
    return Weights(kind, config, checkpoint.tensors, checkpoint.path, header.get("recipe"), header.get("identity"))


def _read_unet(checkpoint: Checkpoint) -> Weights | None:
    if "time_embedding.linear_1.weight" not in checkpoint.tensors:
        return None
    # Other programs (ComfyUI's ModelSave) drop our header; nano is known by the width of its first layer.
    nano = len(checkpoint.tensors.get("conv_in.weight", ())) == NANO_UNET["block_out_channels"][0]
    config, recipe = (NANO_UNET, "nano") if nano else (OFFICIAL_UNET, None)
    return Weights("UNet2DConditionModel", config, checkpoint.tensors, checkpoint.path, recipe)


def _read_kl(checkpoint: Checkpoint) -> Weights | None:
    prefix = "first_stage_model." if any(name.startswith("first_stage_model.") for name in checkpoint.tensors) else ""
    tensors = {name[len(prefix) :]: value for name, value in checkpoint.tensors.items() if name.startswith(prefix)}
    if "encoder.conv_in.weight" not in tensors or "decoder.conv_in.weight" not in tensors:
        return None
    training = ("loss.", "model_ema.")  # left in the unpruned files; no part of the autoencoder
    stages = len(OFFICIAL_KL["block_out_channels"])
    renamed = {}
    for name, value in tensors.items():
        if not name.startswith(training):
            new = _kl_name(name, stages)
            # Older files hold the attention's matrices as 1x1 convolutions.
            renamed[new] = value.flatten(1) if ".attentions." in new and value.dim() > 2 else value
    return Weights("AutoencoderKL", OFFICIAL_KL, renamed, checkpoint.path)


# LDM's names, and diffusers' names of before 0.18, in today's. The decoder of LDM counts its stages from the small end.
_KL_NAMES: tuple[tuple[str, str], ...] = (
    (r"^encoder\.down\.(\d+)\.block\.", r"encoder.down_blocks.\1.resnets."),
    (r"^encoder\.down\.(\d+)\.downsample\.", r"encoder.down_blocks.\1.downsamplers.0."),
    (r"\.mid\.block_1\.", ".mid_block.resnets.0."),
    (r"\.mid\.block_2\.", ".mid_block.resnets.1."),
    (r"\.mid\.attn_1\.norm\.", ".mid_block.attentions.0.group_norm."),
    (r"\.mid\.attn_1\.proj_out\.", ".mid_block.attentions.0.to_out.0."),
    (r"\.mid\.attn_1\.([qkv])\.", r".mid_block.attentions.0.to_\1."),
    (r"\.attentions\.0\.query\.", ".attentions.0.to_q."),
    (r"\.attentions\.0\.key\.", ".attentions.0.to_k."),
    (r"\.attentions\.0\.value\.", ".attentions.0.to_v."),
    (r"\.attentions\.0\.proj_attn\.", ".attentions.0.to_out.0."),
    (r"\.nin_shortcut\.", ".conv_shortcut."),
    (r"coder\.norm_out\.", "coder.conv_norm_out."),
)


def _kl_name(name: str, stages: int) -> str:
    up = re.match(r"^decoder\.up\.(\d+)\.(block|upsample)\.(.*)$", name)
    if up:
        part = "resnets" if up[2] == "block" else "upsamplers.0"
        name = f"decoder.up_blocks.{stages - 1 - int(up[1])}.{part}.{up[3]}"
    for pattern, replacement in _KL_NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def _read_tiny(checkpoint: Checkpoint) -> Weights | None:
    tensors = checkpoint.tensors
    if "encoder.layers.0.weight" in tensors and "decoder.layers.0.weight" in tensors:
        return Weights("AutoencoderTiny", OFFICIAL_TINY, tensors, checkpoint.path)
    renamed: dict[str, torch.Tensor] = {}
    for prefix in ("", "taesd_"):
        for part in ("encoder", "decoder"):
            start = f"{prefix}{part}."
            renamed |= _tiny_half(part, {k[len(start) :]: v for k, v in tensors.items() if k.startswith(start)})
    if "1.conv.0.weight" in tensors or "3.conv.0.weight" in tensors:  # one of TAESD's two files
        part, other = ("encoder", "decoder") if "0.weight" in tensors else ("decoder", "encoder")
        partner = read_checkpoint(_tiny_partner(checkpoint.path, part, other))
        renamed = _tiny_half(part, tensors) | _tiny_half(other, partner.tensors)
    if "encoder.layers.0.weight" not in renamed or "decoder.layers.0.weight" not in renamed:
        return None
    return Weights("AutoencoderTiny", OFFICIAL_TINY, renamed, checkpoint.path)


def _tiny_half(part: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """TAESD numbers its layers in order, and counts the decoder's clamp as layer 0, which diffusers does not."""
    shift = 1 if part == "decoder" else 0
    renamed = {}
    for name, value in tensors.items():
        number, _, rest = name.partition(".")
        if number.isdecimal():
            renamed[f"{part}.layers.{int(number) - shift}.{rest}"] = value
    return renamed


def _tiny_partner(path: Path, part: str, other: str) -> Path:
    partner = path.with_name(path.name.replace(part, other))
    if partner == path or not partner.is_file():
        raise ModelError(
            f"{path} is only the {part} of a tiny VAE.", f"Put the {other} beside it, named {partner.name}."
        )
    return partner


def _read_whisper(checkpoint: Checkpoint) -> Weights | None:
    tensors = whisper_tensors(checkpoint.tensors)
    if tensors is None:
        return None
    identity = whisper_identity(checkpoint, tensors)
    return Weights("WhisperEncoder", whisper_config(tensors), tensors, checkpoint.path, identity=identity)
