"""Every weight file that we know: where it lies, where it comes from, under which licence.

Sizes and sha256 are those that the files' hosts publish; None where we have not seen one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from ..errors import ModelError

FOLDER_VARIABLE = "MUSETALK_MODELS"  # environment variable that names the model folder
EMBEDDED = Path(__file__).parent / "weights"  # the nano model travels inside the package
NANO_FILES = ("unet.safetensors", "vae.safetensors", "audio_encoder.safetensors")


@dataclass(frozen=True, slots=True)
class KnownFile:
    """One file that holds a network, in one of its layouts.

    Args:
        place: path under the model folder, with forward slashes.
        source: where to get it: "owner/repository:path" on the Hugging Face hub, or a URL; None when it is only made
            by converting.
        size: bytes.
        sha256: in hex.
    """

    place: str
    source: str | None = None
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One network.

    Args:
        id: what a user types.
        title: what a user reads.
        role: what it is for.
        licence: of the weights, with what limits their use.
        files: the layouts that are looked for, in this order; the first with a source is the one to get.
        recipes: names of the recipes that need it; empty when it is optional.
    """

    id: str
    title: str
    role: str
    licence: str
    files: tuple[KnownFile, ...]
    recipes: tuple[str, ...] = ()

    @property
    def download(self) -> KnownFile | None:
        """The file to get when none is there."""
        return next((file for file in self.files if file.source), None)


_HUB = "https://huggingface.co"
_OPENAI = "https://openaipublic.azureedge.net/main/whisper/models"
_TINY_SHA = "65147644a518d12f04e32d6f3b26facc3f8dd46e5390956a9424a650c0ce22b9"
_TINY_EN_SHA = "d3dd57d32accea0b295c96e26691aa14d8822fac7d9d27d5dc00b4ca2826dd03"

_ENTRIES = (
    Entry(
        id="musetalk-1.5",
        title="MuseTalk 1.5 U-Net",
        role="unet",
        licence="CreativeML Open RAIL-M (hub page); its makers' README allows any use; code MIT",
        recipes=("1.5",),
        files=(
            KnownFile("musetalkV15/unet.safetensors"),
            KnownFile(
                "musetalkV15/unet.pth",
                "TMElyralab/MuseTalk:musetalkV15/unet.pth",
                3_400_074_924,
                "7ebf6c98c181e20838e4c0054e96e944ac60d5d692cc01db42839fe11b787007",
            ),
        ),
    ),
    Entry(
        id="musetalk-1.0",
        title="MuseTalk 1.0 U-Net",
        role="unet",
        licence="CreativeML Open RAIL-M (hub page); its makers' README allows any use; code MIT",
        recipes=("1.0",),
        files=(
            KnownFile("musetalk/unet.safetensors"),
            KnownFile("musetalk/pytorch_model.bin", "TMElyralab/MuseTalk:musetalk/pytorch_model.bin"),
        ),
    ),
    Entry(
        id="sd-vae-ft-mse",
        title="Stable Diffusion 1 VAE, fine-tuned decoder",
        role="vae",
        licence="MIT",
        recipes=("1.0", "1.5"),
        files=(
            KnownFile(
                "sd-vae/diffusion_pytorch_model.safetensors",
                "stabilityai/sd-vae-ft-mse:diffusion_pytorch_model.safetensors",
                334_643_276,
                "a1d993488569e928462932c8c38a0760b874d166399b14414135bd9c42df5815",
            ),
            KnownFile(
                "sd-vae/diffusion_pytorch_model.bin",
                "stabilityai/sd-vae-ft-mse:diffusion_pytorch_model.bin",
                334_707_217,
                "1b4889b6b1d4ce7ae320a02dedaeff1780ad77d415ea0d744b476155c6377ddc",
            ),
            KnownFile("sd-vae-ft-mse/diffusion_pytorch_model.safetensors"),
            KnownFile("sd-vae-ft-mse/diffusion_pytorch_model.bin"),
            KnownFile(
                "sd-vae/vae-ft-mse-840000-ema-pruned.safetensors",
                "stabilityai/sd-vae-ft-mse-original:vae-ft-mse-840000-ema-pruned.safetensors",
                334_641_190,
                "735e4c3a447a3255760d7f86845f09f937809baa529c17370d83e4c3758f3c75",
            ),
        ),
    ),
    Entry(
        id="whisper-tiny",
        title="Whisper tiny, multilingual",
        role="audio_encoder",
        licence="Apache-2.0 (hub copy; OpenAI's own file: MIT)",
        recipes=("1.0", "1.5"),
        files=(
            KnownFile(
                "whisper/model.safetensors",
                "openai/whisper-tiny:model.safetensors",
                151_061_672,
                "7ebd0e69e78190ffe1438491fa05cc1f5c1aa3a4c4db3bc1723adbb551ea2395",
            ),
            KnownFile(
                "whisper/pytorch_model.bin",
                "openai/whisper-tiny:pytorch_model.bin",
                151_095_027,
                "9607f98a2b22d9e229ae43c52ecea79dcede9e0c5cfae67e8da6eda86d8aac1d",
            ),
            KnownFile("whisper/tiny.pt", f"{_OPENAI}/{_TINY_SHA}/tiny.pt", 75_572_083, _TINY_SHA),
        ),
    ),
    Entry(
        id="whisper-tiny.en",
        title="Whisper tiny, English only (for U-Nets trained as nano is)",
        role="audio_encoder",
        licence="Apache-2.0 (hub copy; OpenAI's own file: MIT)",
        files=(
            KnownFile(
                "whisper-tiny.en/model.safetensors",
                "openai/whisper-tiny.en:model.safetensors",
                151_060_136,
                "db59695928ded6043adaef491a53ef4e12da9611184d77c53baa691a60b958ad",
            ),
            KnownFile("whisper-tiny.en/tiny.en.pt", f"{_OPENAI}/{_TINY_EN_SHA}/tiny.en.pt", None, _TINY_EN_SHA),
        ),
    ),
    Entry(
        id="taesd",
        title="TAESD, a tiny VAE: faster, less exact",
        role="vae",
        licence="MIT",
        files=(
            KnownFile(
                "taesd/diffusion_pytorch_model.safetensors", "madebyollin/taesd:diffusion_pytorch_model.safetensors"
            ),
        ),
    ),
    Entry(
        id="face-parser",
        title="BiSeNet face parser, for the released masks",
        role="face_parser",
        licence="code MIT; trained on CelebAMask-HQ, whose terms are non-commercial",
        files=(
            KnownFile("face-parse-bisent/79999_iter.safetensors"),
            KnownFile(
                "face-parse-bisent/79999_iter.pth",
                "ManyOtherFunctions/face-parse-bisent:79999_iter.pth",
                53_289_463,
                "468e13ca13a9b43cc0881a9f99083a430e9c0a38abd935431d1c28ee94b26567",
            ),
        ),
    ),
    Entry(
        id="syncnet",
        title="LatentSync's SyncNet, for measuring and training",
        role="syncnet",
        licence="see ByteDance/LatentSync",
        files=(KnownFile("syncnet/latentsync_syncnet.pt", "ByteDance/LatentSync:latentsync_syncnet.pt"),),
    ),
    Entry(
        id="dwpose",
        title="DWPose whole-body landmarks, as the released code used them",
        role="landmarks",
        licence="Apache-2.0",
        files=(
            KnownFile(
                "dwpose/dw-ll_ucoco_384.pth",
                "yzd-v/DWPose:dw-ll_ucoco_384.pth",
                406_878_486,
                "0d9408b13cd863c4e95a149dd31232f88f2a12aa6cf8964ed74d7d97748c7a07",
            ),
            KnownFile("dwpose/dw-ll_ucoco_384.onnx", "yzd-v/DWPose:dw-ll_ucoco_384.onnx"),
        ),
    ),
)

REGISTRY: Mapping[str, Entry] = MappingProxyType({entry.id: entry for entry in _ENTRIES})


class Locator(Protocol):
    """Knows where the host keeps its models."""

    def find(self, entry: Entry) -> Path:
        """The file of this network.

        Raises:
            ModelError: it is not there.
        """


def default_folder() -> Path:
    """The model folder: $MUSETALK_MODELS, else .musetalk/models in the user's home."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named).expanduser() if named else Path.home() / ".musetalk" / "models"


class FolderLocator:
    """Models in one folder, laid out as the released ones are.

    Args:
        folder: default: `default_folder()`, looked up at each call.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    @property
    def folder(self) -> Path:
        return self._folder or default_folder()

    def find(self, entry: Entry) -> Path:
        """See `Locator.find`."""
        for file in entry.files:
            path = self.folder / file.place
            if path.is_file():
                return path
        raise missing(entry, self.folder)


def missing(entry: Entry, folder: Path) -> ModelError:
    """What to tell a user who lacks a network: name, place, size, source, command."""
    file = entry.download or entry.files[0]
    size = f", {file.size / 1e6:.0f} MB" if file.size else ""
    source = f", from {page(file.source)}" if file.source else ""
    return ModelError(
        f"{entry.title} is not there: {folder / file.place}{size}{source}.",
        f"Run `musetalk models get {entry.id}`, or put the file there.",
    )


def page(source: str) -> str:
    """Where a person can look at a source: the hub repository's page, or the URL itself."""
    repository, colon, _ = source.partition(":")
    return source if "://" in source or not colon else f"{_HUB}/{repository}"
