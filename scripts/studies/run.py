"""The paper's two studies at small scale: how references are drawn, and how much a lip-sync loss sees.

    python scripts/studies/run.py controls --data DATASET --start UNET --vae VAE --out DIR
    python scripts/studies/run.py reference (the same) [--seeds 0 1] [--only CELL ...]
    python scripts/studies/run.py sync      (the same)

A cell is a training run of the nano-size U-Net that goes on from START, the same number of updates for all, and is
judged on the dataset's held-out people. Cells that are done are not run again, and a cell that was cut goes on where it
stopped: give the same command again. Several commands may share DIR if their --seeds or --only differ; the SyncNets are
trained by the first cell that needs them, so wait with a second `sync` until they are there. `scripts/studies/report.py
DIR` draws tables and plots.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch
from torch import Tensor

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO))  # so that the script runs from a checkout that is not installed

from cells import REFERENCE, SYNC, Changes, syncnet_name  # noqa: E402
from held_out import HeldOut  # noqa: E402

from musetalk_core.face.preview import write_picture  # noqa: E402
from musetalk_core.models.load import load_unet, load_vae  # noqa: E402
from musetalk_core.models.registry import EMBEDDED  # noqa: E402
from musetalk_core.placement import SingleDevice  # noqa: E402
from musetalk_core.training.config import TrainConfig, load_config  # noqa: E402
from musetalk_core.training.loop import Trainer  # noqa: E402
from musetalk_core.training.sync import train_sync  # noqa: E402

FACES = 16  # that are generated for one update
SYNC_WEIGHT = 0.3  # its gradient is then about as long as that of the mouth's pixels
SYNCNET: Changes = {
    "run.updates": 300,
    "run.batch": 6,
    "run.validate_every": 100,
    "run.log_every": 10,
    "sync.rate": 1e-3,
    "optimiser.warmup": 20,
    "data.views": 0,
    "data.face_size": 128,
    "data.most_seconds": 240,
    "data.shares": "s1=0.4, portrait_*=0.1",
    "framing.scale_jitter": 0.0,  # what varies is learned too late for so few updates
    "framing.margin_spread": 0.0,
    "look.strength": 0.0,
}


def main() -> None:
    """Run the cells that are not done yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=("controls", "reference", "sync"))
    parser.add_argument("--data", required=True, help="dataset of `musetalk train prepare`")
    parser.add_argument("--start", required=True, help="U-Net that all cells go on from")
    parser.add_argument("--vae", required=True, help="VAE of START and of the dataset's latents")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--only", nargs="+", help="cells")
    parser.add_argument("--updates", type=int, help="of a cell; of 16 faces")
    args = parser.parse_args()
    torch.set_num_threads(1)
    held_out = HeldOut(Path(args.data), load_vae(Path(args.vae), SingleDevice("cpu", "fp32")))
    if args.study == "controls":
        controls(held_out, args)
        return
    cells = REFERENCE if args.study == "reference" else SYNC
    for seed in args.seeds:
        for name in args.only or cells:
            folder = args.out / args.study / f"{name}-{seed}"
            if not (folder / "scores.json").exists():
                print(f"{args.study} {name}, seed {seed}", flush=True)
                make = reference_cell if args.study == "reference" else sync_cell
                judge(train(*make(name, args), folder, seed, args), folder, held_out)


def reference_cell(name: str, args: argparse.Namespace) -> tuple[str, Changes]:
    """Latents alone; only the choice of references differs."""
    return "nano1", {"run.updates": args.updates or 320, "optimiser.rate": 1e-3, **REFERENCE[name]}


def sync_cell(name: str, args: argparse.Namespace) -> tuple[str, Changes]:
    """The mouth's pixels, and a SyncNet that sees more or less of the face; its window is drawn whole from one clip."""
    frames, made, region = SYNC[name]
    changes: Changes = {
        "run.updates": args.updates or 100,
        "run.batch": FACES // made,
        "optimiser.rate": 5e-4,
        "data.frames": frames,
        "data.generated": made if made < frames else 0,
        "loss.mouth_critic": 0.0,
    }
    if region:
        changes |= {"loss.sync": SYNC_WEIGHT, "loss.syncnet": str(syncnet(frames, region, args))}
    return "nano2", changes


def train(base: str, changes: Changes, folder: Path, seed: int, args: argparse.Namespace) -> Path:
    """Train a cell, or what is left of it; its U-Net."""
    common: Changes = {
        "data.folder": args.data,
        "network.vae": args.vae,
        "network.start": args.start,
        "optimiser.warmup": 20,
        "optimiser.ema": 0.98,
        "run.folder": folder,
        "run.seed": seed,
    }
    Trainer(configured(base, common | changes)).run()
    return folder / "model" / "unet.safetensors"


def configured(base: str, changes: Changes) -> TrainConfig:
    """One of the package's configurations, changed, on the CPU and without validation of its own."""
    fixed: Changes = {
        "network.audio_encoder": EMBEDDED / "audio_encoder.safetensors",
        "run.device": "cpu",
        "run.checkpoint_every": 40,
        "run.checkpoints_kept": 1,
        "run.validate_every": 0,
    }
    return load_config(Path(base), [f"{name}={value}" for name, value in (fixed | changes).items()])


def syncnet(frames: int, region: str, args: argparse.Namespace) -> Path:
    """A SyncNet of this window and region: all are trained on the same number of windows."""
    folder = args.out / "syncnets" / syncnet_name(frames, region)
    path = folder / "syncnet.safetensors"
    if not (folder / "scores.json").exists():
        changes: Changes = {
            "data.folder": args.data,
            "syncnet.frames": frames,
            "syncnet.region": region,
            "run.folder": folder,
            **SYNCNET,
        }
        scores = train_sync(configured("small1", changes))
        (folder / "scores.json").write_text(json.dumps(scores), encoding="utf-8")
    return path


def controls(held_out: HeldOut, args: argparse.Namespace) -> None:
    """What the figures of any cell lie between."""
    lips = load_unet(Path(args.start), SingleDevice("cpu", "fp32"))
    scores = {
        "the truth": held_out.truth(),
        "the reference, copied": held_out.judge(copy_reference),
        "where all begin": held_out.judge(lips),
        "where all begin, shuffled sound": held_out.judge(lips, shuffle=True),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "controls.json").write_text(json.dumps(scores, indent=1), encoding="utf-8")


def copy_reference(masked: Tensor, reference: Tensor, tokens: Tensor) -> Tensor:
    """Stands for a network that has learned nothing but to copy."""
    return reference


def judge(unet: Path, folder: Path, held_out: HeldOut) -> None:
    """Score a trained cell; its scores are written last."""
    lips = load_unet(unet, SingleDevice("cpu", "fp32"))
    write_picture(folder / "sheet.png", held_out.sheet(lips))
    (folder / "scores.json").write_text(json.dumps(held_out.judge(lips), indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
