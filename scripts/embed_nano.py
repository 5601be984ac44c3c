"""Write a trained U-Net and small VAE in half precision into this package, as the embedded model nano.

    python scripts/embed_nano.py runs/nano2/model runs/nano1/model

The folders are what `musetalk train run` leaves. Of several the mean is taken: a network half-way between those before
and after the discriminator's part follows the sound better than either. NOTICE must hold the sha256 that is printed,
and the model card beside the weights the sizes: tests compare them.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
if str(REPO) not in sys.path:
    sys.path.insert(0, str(REPO))  # so that the script runs from a checkout that is not installed

from musetalk_core.models.checkpoint import save_safetensors  # noqa: E402
from musetalk_core.models.layouts import read_weights  # noqa: E402
from musetalk_core.models.registry import EMBEDDED, NANO_FILES  # noqa: E402


def embed(folders: Sequence[Path], target: Path) -> list[Path]:
    """Write the U-Net and the VAE in half precision.

    Args:
        folders: of the runs' models.
        target: receives the files.

    Returns:
        The files.

    Raises:
        ModelError: a file is missing or holds another network.
    """
    written = []
    for name in NANO_FILES[:2]:
        runs = [read_weights(folder / name) for folder in folders]
        tensors = {key: sum(run.tensors[key] for run in runs).div(len(runs)).half() for key in runs[0].tensors}
        half = replace(runs[0], tensors=tensors)
        save_safetensors(target / name, half.tensors, half.header())
        written.append(target / name)
    return written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--target", type=Path, default=EMBEDDED)
    args = parser.parse_args()
    for path in embed(args.folders, args.target):
        content = path.read_bytes()
        numbers = sum(tensor.numel() for tensor in read_weights(path).tensors.values())
        print(f"{path}: {numbers} numbers, {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
