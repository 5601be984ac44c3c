"""Bytes kept for the backward pass of one training frame, at the official sizes.

    python scripts/bench/training_memory.py [--frames 1] [--plain] [--out training_memory.json]

The U-Net of 850 M parameters (its blocks checkpointed) and Stable Diffusion 1's decoder with the pixel loss (chunked,
checkpointed), random weights, fp32, faces of 256 px. Counted are the storages that autograd saves and those that
checkpoints hold as their inputs, each once, without weights. `--plain` adds the same without checkpoints (needs about
8 GB more). Bar: 0.35 GB a frame.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO))  # so that the script runs from a checkout that is not installed

import torch  # noqa: E402
from torch import nn  # noqa: E402

from musetalk_core.models.load import empty_network  # noqa: E402
from musetalk_core.models.recipe import OFFICIAL_UNET  # noqa: E402
from musetalk_core.models.vae import OFFICIAL_KL, KLAutoencoder  # noqa: E402
from musetalk_core.placement import SingleDevice  # noqa: E402
from musetalk_core.training import memory  # noqa: E402
from musetalk_core.training.losses import pixel_loss  # noqa: E402
from musetalk_core.training.networks import TrainableLips, freeze, pixel_decoder  # noqa: E402

BAR = 0.35e9  # bytes a frame


class Kept:
    """Counts storages once, weights excepted."""

    def __init__(self, weights: list[torch.Tensor]) -> None:
        self._skip = {w.untyped_storage().data_ptr() for w in weights}
        self._seen: dict[int, torch.Tensor] = {}  # holds what it counts, so that no address is used twice

    def add(self, tensor: Any) -> Any:
        if isinstance(tensor, torch.Tensor) and tensor.untyped_storage().data_ptr() not in self._skip:
            self._seen[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    @property
    def bytes(self) -> int:
        return sum(t.untyped_storage().nbytes() for t in self._seen.values())

    def counting(self, checkpoint: Callable[..., Any]) -> Callable[..., Any]:
        """`torch.utils.checkpoint.checkpoint`, whose inputs count."""

        def counted(function: Any, *args: Any, **kwargs: Any) -> Any:
            for arg in args:
                self.add(arg)
            kwargs["use_reentrant"] = False
            return checkpoint(function, *args, **kwargs)

        return counted


def random_network(kind: Any, config: Any) -> nn.Module:
    network = empty_network(kind, config).to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, p in network.named_parameters():
            if p.dim() > 1:
                p.normal_(0, (1 / p[0].numel()) ** 0.5, generator=generator)
            else:
                p.fill_(float("norm" in name and name.endswith("weight")))
    return network


def measure(unet: nn.Module, vae: KLAutoencoder, frames: int, checkpointed: bool) -> dict[str, float]:
    """Bytes after the forward pass, U-Net and decoder apart."""
    kept = Kept([*unet.parameters(), *vae.network.parameters()])
    original = memory.checkpoint
    lips = TrainableLips(unet).train()
    if checkpointed:
        unet.enable_gradient_checkpointing(kept.counting(original))  # type: ignore[operator]
        memory.checkpoint = kept.counting(original)  # type: ignore[assignment]
    generator = torch.Generator().manual_seed(1)
    masked, reference = torch.randn(2, frames, 4, 32, 32, generator=generator)
    tokens = torch.randn(frames, 50, 384, generator=generator)
    target = torch.rand(frames, 3, 256, 256, generator=generator)
    chunk = 1 if checkpointed else 0
    started = time.perf_counter()
    with torch.autograd.graph.saved_tensors_hooks(kept.add, lambda tensor: tensor):
        made = lips(masked, reference, tokens)
        by_unet = kept.bytes
        pictures = memory.in_chunks(pixel_decoder(vae), made, size=chunk)
        loss = memory.in_chunks(pixel_loss, pictures, target, size=chunk).mean()
    memory.checkpoint = original
    total = kept.bytes
    seconds = time.perf_counter() - started
    del loss
    if checkpointed:
        unet.disable_gradient_checkpointing()  # type: ignore[operator]
    return {"unet": by_unet / frames, "decoder": (total - by_unet) / frames, "total": total / frames, "s": seconds}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--frames", type=int, default=1)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    vae = KLAutoencoder(random_network("AutoencoderKL", OFFICIAL_KL), "random", SingleDevice("cpu", "fp32"))
    freeze(vae, torch.device("cpu"))
    unet = random_network("UNet2DConditionModel", OFFICIAL_UNET)
    results = {"checkpointed": measure(unet, vae, args.frames, True)}
    if args.plain:
        results["plain"] = measure(unet, vae, args.frames, False)
    for name, found in results.items():
        print(
            f"{name:13s} U-Net {found['unet'] / 1e9:.3f} GB, decoder and loss {found['decoder'] / 1e9:.3f} GB, "
            f"together {found['total'] / 1e9:.3f} GB a frame; forward {found['s']:.1f} s"
        )
    if args.out:
        args.out.write_text(json.dumps(results, indent=1))
    good = results["checkpointed"]["total"] <= BAR
    print(f"bar {BAR / 1e9:.2f} GB: {'met' if good else 'MISSED'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
