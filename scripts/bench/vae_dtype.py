"""VAE decode on a CPU: the precision that `--dtype auto` takes, against float32.

    python scripts/bench/vae_dtype.py [--dtype auto] [--batch 8] [--rounds 5] [--threads 2] [--out vae_dtype.json]

Stable Diffusion 1's autoencoder at its official size with seeded random weights, faces of 256 px. Prints ours /
baseline / ratio (medians, interleaved rounds in one process), the relative error of the decoded picture, and the peak
memory. Bar, on a CPU with bf16 matrix units (AMX): ratio >= 3, relative error <= 1e-2. AVX512-BF16 alone is
no such unit: on one such CPU its convolutions ran at 0.55 of float32's rate.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO))  # so that the script runs from a checkout that is not installed

import torch  # noqa: E402

from musetalk_core.models.load import empty_network  # noqa: E402
from musetalk_core.models.vae import OFFICIAL_KL, KLAutoencoder  # noqa: E402
from musetalk_core.placement import DtypeName, SingleDevice  # noqa: E402

BAR_RATIO = 3.0
BAR_ERROR = 1e-2


def random_vae(dtype: DtypeName, seed: int = 0) -> KLAutoencoder:
    """The official autoencoder with random weights that keep signals at unit size, as trained ones do."""
    generator = torch.Generator().manual_seed(seed)
    network = empty_network("AutoencoderKL", OFFICIAL_KL)
    tensors = {}
    for name, value in network.state_dict().items():
        if value.dim() == 1:
            tensors[name] = torch.ones(value.shape) if name.endswith("weight") else torch.zeros(value.shape)
        else:
            tensors[name] = torch.randn(value.shape, generator=generator) * value[0].numel() ** -0.5
    network.load_state_dict(tensors, assign=True)
    return KLAutoencoder(network, "random", SingleDevice("cpu", dtype))


def seconds(function: Callable[[], torch.Tensor]) -> tuple[float, torch.Tensor]:
    """Wall-clock time of one call, and what it gave."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def peak_megabytes() -> float | None:
    """Largest resident memory of the process so far; None where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    return next(int(line.split()[1]) / 1e3 for line in status.splitlines() if line.startswith("VmHWM"))


def measure(dtype: DtypeName, batch: int, rounds: int) -> dict[str, Any]:
    """Interleaved rounds of both precisions on the same latents."""
    ours, baseline = random_vae(dtype), random_vae("fp32")
    latents = torch.randn(batch, 4, 32, 32, generator=torch.Generator().manual_seed(1)) * 5
    ours.decode(latents)  # packs weights, starts threads
    peak = peak_megabytes()
    baseline.decode(latents)
    times: dict[str, list[float]] = {"ours": [], "baseline": []}
    for _ in range(rounds):
        spent, fast = seconds(lambda: ours.decode(latents))
        times["ours"].append(spent)
        spent, exact = seconds(lambda: baseline.decode(latents))
        times["baseline"].append(spent)
    ours_ms, baseline_ms = (statistics.median(spent) / batch * 1e3 for spent in times.values())
    return {
        "what": "VAE decode, 256 px, per frame",
        "batch": batch,
        "threads": torch.get_num_threads(),
        "cpu": platform.processor() or platform.machine(),
        "amx": torch.cpu._is_amx_tile_supported(),
        "avx512_bf16": torch.cpu._is_avx512_bf16_supported(),
        "dtype": str(SingleDevice("cpu", dtype).dtype).removeprefix("torch."),
        "ours_ms": ours_ms,
        "baseline_ms": baseline_ms,
        "ratio": baseline_ms / ours_ms,
        "relative_error": float((fast - exact).norm() / exact.norm()),
        "peak_mb_with_ours_alone": peak,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dtype", choices=("auto", "bf16", "fp16", "fp32"), default="auto")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    figures = measure(args.dtype, args.batch, args.rounds)
    print(json.dumps(figures, indent=1))
    good = figures["ratio"] >= BAR_RATIO and figures["relative_error"] <= BAR_ERROR
    print(
        f"ours {figures['ours_ms']:.0f} ms, baseline {figures['baseline_ms']:.0f} ms, ratio {figures['ratio']:.2f} "
        f"(bar {BAR_RATIO}), relative error {figures['relative_error']:.1e} (bar {BAR_ERROR}): "
        f"{'reached' if good else 'not reached'}"
    )
    if args.out:
        args.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
