"""Write a model of nano's size whose weights are random but seeded: everything around the mouth can be tried with it.

    python scripts/make_random_model.py /tmp/random_nano
    musetalk dub video.mp4 speech.wav -o out.mp4 --model /tmp/random_nano

The mouths it paints are noise. It is used by the tests too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[1]
if str(REPO) not in sys.path:
    sys.path.insert(0, str(REPO))  # so that the script runs from a checkout that is not installed

from musetalk_core.models.checkpoint import save_safetensors  # noqa: E402
from musetalk_core.models.layouts import Kind, Weights  # noqa: E402
from musetalk_core.models.load import empty_network  # noqa: E402
from musetalk_core.models.recipe import NANO_UNET, OFFICIAL_UNET  # noqa: E402
from musetalk_core.models.vae import OFFICIAL_KL  # noqa: E402

# A sixteenth of TAESD's work: a test run spends its time elsewhere.
SMALL_TINY: Mapping[str, Any] = {
    "encoder_block_out_channels": (16, 16, 16, 16),
    "decoder_block_out_channels": (16, 16, 16, 16),
    "num_encoder_blocks": (1, 1, 1, 1),
    "num_decoder_blocks": (1, 1, 1, 1),
    "latent_channels": 4,
}
WHISPER_TINY: Mapping[str, Any] = {
    "d_model": 384,
    "num_mel_bins": 80,
    "encoder_layers": 4,
    "encoder_attention_heads": 6,
    "encoder_ffn_dim": 1536,
    "max_source_positions": 1500,
}
PARTS: tuple[tuple[str, Kind, Mapping[str, Any]], ...] = (
    ("unet", "UNet2DConditionModel", NANO_UNET),
    ("vae", "AutoencoderTiny", SMALL_TINY),
    ("audio_encoder", "WhisperEncoder", WHISPER_TINY),
)


def write_random_model(folder: Path, seed: int = 0) -> Path:
    """Write `unet`, `vae` and `audio_encoder` .safetensors of nano's sizes (the VAE's is smaller) in half precision.

    Args:
        folder: receives the files.
        seed: equal seeds, equal files.

    Returns:
        `folder`.
    """
    for name, kind, config in PARTS:
        path = folder / f"{name}.safetensors"
        tensors = random_tensors(kind, config, seed)
        recipe = "nano" if kind == "UNet2DConditionModel" else None
        identity = "whisper-tiny.en" if kind == "WhisperEncoder" else None
        weights = Weights(kind, config, tensors, path, recipe, identity)
        save_safetensors(path, tensors, weights.header())
    return folder


def write_random_released(models: Path, seed: int = 0) -> tuple[Path, Path, Path]:
    """Write a model of the released 1.5's sizes and layouts, 2 GB, into ComfyUI's folder of models.

    Args:
        models: receives `musetalk/musetalkV15/unet.pth`, `vae/sd-vae-ft-mse.safetensors` and a sound encoder.
        seed: equal seeds, equal files.

    Returns:
        U-Net, VAE, sound encoder.
    """
    import torch

    unet = models / "musetalk" / "musetalkV15" / "unet.pth"
    vae = models / "vae" / "sd-vae-ft-mse.safetensors"
    sound = models / "musetalk" / "multilingual" / "audio_encoder.safetensors"
    for path in (unet, vae, sound):
        path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(random_tensors("UNet2DConditionModel", OFFICIAL_UNET, seed), unet)
    save_safetensors(vae, random_tensors("AutoencoderKL", OFFICIAL_KL, seed), {})
    heard = random_tensors("WhisperEncoder", WHISPER_TINY, seed)
    save_safetensors(sound, heard, Weights("WhisperEncoder", WHISPER_TINY, heard, sound, None, "whisper-tiny").header())
    return unet, vae, sound


def random_tensors(kind: Kind, config: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Half-precision weights that keep signals at about unit size through the layers.

    Args:
        kind, config: the network.
        seed: equal seeds, equal numbers.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, tensor in empty_network(kind, config).state_dict().items():
        if tensor.dim() == 1:  # biases, and the scales of normalisations
            value = (
                torch.ones(tensor.shape) if "norm" in name and name.endswith("weight") else torch.zeros(tensor.shape)
            )
        else:
            gain = (2 / tensor[0].numel()) ** 0.5 if tensor.dim() == 4 else tensor[0].numel() ** -0.5
            value = torch.randn(tensor.shape, generator=generator) * gain
        tensors[name] = value.half()
    if kind == "AutoencoderTiny":
        last = max(_layer(name) for name in tensors if name.startswith("decoder"))
        tensors[f"decoder.layers.{last}.weight"] *= 0.1
        tensors[f"decoder.layers.{last}.bias"] += 0.5  # it paints in 0..1: grey noise
    return tensors


def _layer(name: str) -> int:
    return int(name.split(".")[2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print(write_random_model(args.folder, args.seed))


if __name__ == "__main__":
    main()
