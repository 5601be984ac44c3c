"""Write a trained U-Net and small VAE in half precision into this package, as the embedded model nano.

    python scripts/embed_nano.py runs/nano2/model

The folder is what `musetalk train run` leaves. NOTICE must hold the sha256 that is printed, and the model card beside
the weights the sizes: tests compare them.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from dataclasses import replace
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
if str(REPO) not in sys.path:
    sys.path.insert(0, str(REPO))  # so that the script runs from a checkout that is not installed

from musetalk_core.models.checkpoint import save_safetensors  # noqa: E402
from musetalk_core.models.layouts import read_weights  # noqa: E402
from musetalk_core.models.registry import EMBEDDED, NANO_FILES  # noqa: E402


def embed(folder: Path, target: Path) -> list[Path]:
    """Write the U-Net and the VAE of a run's model folder in half precision.

    Args:
        folder: of the run's model.
        target: receives the files.

    Returns:
        The files.

    Raises:
        ModelError: a file is missing or holds another network.
    """
    written = []
    for name in NANO_FILES[:2]:
        weights = read_weights(folder / name)
        half = replace(weights, tensors={key: tensor.half() for key, tensor in weights.tensors.items()})
        save_safetensors(target / name, half.tensors, half.header())
        written.append(target / name)
    return written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--target", type=Path, default=EMBEDDED)
    args = parser.parse_args()
    for path in embed(args.folder, args.target):
        content = path.read_bytes()
        numbers = sum(tensor.numel() for tensor in read_weights(path).tensors.values())
        print(f"{path}: {numbers} numbers, {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
