"""Whisper's weights in the layouts that people have, and which Whisper they are.

The encoders of whisper-tiny and whisper-tiny.en have equal shapes and mean different things, so a file must prove which
it is: by our own header, by the size of its vocabulary, or by its content.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelError
from .checkpoint import Checkpoint
from .whisper import HEAD_WIDTH

if TYPE_CHECKING:
    import torch

SIZES = {(384, 4): "tiny", (512, 6): "base", (768, 12): "small", (1024, 24): "medium", (1280, 32): "large"}
# Words that Whisper can write, special tokens included; the English-only models have one less.
VOCABULARIES = {51864: ".en", 51865: "", 51866: "-v3"}
# sha256 of the half-precision bytes of conv1.bias, for encoders that come without their vocabulary.
FINGERPRINTS = {"01b9d0fad84b4dd4": "whisper-tiny.en"}

_OPENAI_NAMES: tuple[tuple[str, str], ...] = (
    (r"^positional_embedding$", "embed_positions.weight"),
    (r"^ln_post\.", "layer_norm."),
    (r"^blocks\.(\d+)\.attn_ln\.", r"layers.\1.self_attn_layer_norm."),
    (r"^blocks\.(\d+)\.attn\.query\.", r"layers.\1.self_attn.q_proj."),
    (r"^blocks\.(\d+)\.attn\.key\.", r"layers.\1.self_attn.k_proj."),
    (r"^blocks\.(\d+)\.attn\.value\.", r"layers.\1.self_attn.v_proj."),
    (r"^blocks\.(\d+)\.attn\.out\.", r"layers.\1.self_attn.out_proj."),
    (r"^blocks\.(\d+)\.mlp\.0\.", r"layers.\1.fc1."),
    (r"^blocks\.(\d+)\.mlp\.2\.", r"layers.\1.fc2."),
    (r"^blocks\.(\d+)\.mlp_ln\.", r"layers.\1.final_layer_norm."),
)


def whisper_tensors(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor] | None:
    """The encoder's tensors under transformers' names; None when this is no Whisper.

    Args:
        tensors: of a whole model or an encoder, Hugging Face's or OpenAI's.
    """
    for prefix in ("model.encoder.", "encoder.", ""):
        part = {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
        if "conv1.weight" in part and ("layers.0.fc1.weight" in part or "blocks.0.mlp.0.weight" in part):
            return {_new_name(name): value for name, value in part.items()}
    return None


def _new_name(name: str) -> str:
    for pattern, replacement in _OPENAI_NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def whisper_config(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """transformers' configuration, read from the shapes of an encoder's tensors."""
    width, mels = tensors["conv1.weight"].shape[:2]
    return {
        "d_model": int(width),
        "num_mel_bins": int(mels),
        "encoder_layers": sum(name.endswith(".fc1.weight") for name in tensors),
        "encoder_attention_heads": max(1, int(width) // HEAD_WIDTH),
        "encoder_ffn_dim": int(tensors["layers.0.fc1.weight"].shape[0]),
        "max_source_positions": int(tensors["embed_positions.weight"].shape[0]),
    }


def whisper_identity(checkpoint: Checkpoint, tensors: Mapping[str, torch.Tensor]) -> str:
    """Which Whisper a foreign file holds.

    Args:
        checkpoint: the file.
        tensors: its encoder, from `whisper_tensors`.

    Returns:
        A name such as "whisper-tiny" (multilingual) or "whisper-tiny.en".

    Raises:
        ModelError: nothing in or beside the file tells.
    """
    known = FINGERPRINTS.get(fingerprint(tensors))
    if known:
        return known
    config = whisper_config(tensors)
    size = SIZES.get((config["d_model"], config["encoder_layers"]))
    vocabulary = _vocabulary(checkpoint)
    if size is None or vocabulary not in VOCABULARIES:
        raise ModelError(
            f"{checkpoint.path} does not tell which Whisper it is: it has only the encoder, and no config.json is "
            "beside it.",
            "Give the whole model (openai/whisper-tiny), or put its config.json beside the file.",
        )
    return f"whisper-{size}{VOCABULARIES[vocabulary]}"


def fingerprint(tensors: Mapping[str, torch.Tensor]) -> str:
    """A name of an encoder's content that single and half precision share."""
    import torch

    bias = tensors["conv1.bias"].detach().to(torch.float16).contiguous()
    return sha256(bias.numpy().tobytes()).hexdigest()[:16]


def _vocabulary(checkpoint: Checkpoint) -> int | None:
    """How many words the whole model can write, from the first that tells: weights, OpenAI's sizes, config.json."""
    for name in ("model.decoder.embed_tokens.weight", "decoder.embed_tokens.weight", "decoder.token_embedding.weight"):
        if name in checkpoint.tensors:
            return int(checkpoint.tensors[name].shape[0])
    sizes = checkpoint.header.get("dims")
    if isinstance(sizes, Mapping) and "n_vocab" in sizes:
        return int(sizes["n_vocab"])
    return _vocabulary_of_config(checkpoint.path.with_name("config.json"))


def _vocabulary_of_config(path: Path) -> int | None:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # no file, or not JSON: then it tells nothing
    if not isinstance(config, dict) or config.get("model_type") != "whisper":
        return None
    size = config.get("vocab_size")
    return size if isinstance(size, int) else None
