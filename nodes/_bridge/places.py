"""Where ComfyUI's users keep weights: the folders of the key "musetalk", ComfyUI's own, and those of older packs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import folder_paths

from ...musetalk_core.errors import ModelError
from ...musetalk_core.models.checkpoint import ENDINGS
from ...musetalk_core.models.load import AUDIO_NAME, UNET_NAMES, VAE_NAME
from ...musetalk_core.models.recipe import RECIPES, Recipe
from ...musetalk_core.models.registry import EMBEDDED, REGISTRY, Entry, missing

KEY = "musetalk"  # of folder_paths, and of extra_model_paths.yaml
HOST_KEYS: Mapping[str, tuple[str, ...]] = {"vae": ("vae", "vae_approx"), "audio_encoder": ("audio_encoders",)}
OLD_FOLDERS = ("MuseTalk", "diffusers/TMElyralab/MuseTalk")  # beside the musetalk folder
# How people call a file once it lies in ComfyUI's own folders.
RENAMED: Mapping[str, tuple[str, ...]] = {
    "sd-vae-ft-mse": (
        "vae-ft-mse-840000-ema-pruned.safetensors",
        "vae-ft-mse-840000-ema-pruned.ckpt",
        "sd-vae-ft-mse.safetensors",
    ),
    "taesd": ("taesd_decoder.safetensors", "taesd_decoder.pth"),
    "whisper-tiny": ("whisper-tiny.safetensors", "whisper_tiny.safetensors"),
    "whisper-tiny.en": ("whisper-tiny.en.safetensors", "whisper_tiny_en.safetensors"),
}
# The words of a loader's menu that stand for no file of the user's; the first is the default.
NAMED: Mapping[str, tuple[str, ...]] = {
    "unet": ("nano", "1.5", "1.0"),
    "vae": ("nano", "sd-vae-ft-mse", "taesd"),
    "audio_encoder": ("whisper-tiny.en", "whisper-tiny"),
    "face_parser": ("face-parser",),
}
EMBEDDED_FILES: Mapping[tuple[str, str], str] = {
    ("unet", "nano"): UNET_NAMES[0],
    ("vae", "nano"): VAE_NAME,
    ("audio_encoder", "whisper-tiny.en"): AUDIO_NAME,
}
OWN_NAMES: Mapping[str, str] = {VAE_NAME: "vae", AUDIO_NAME: "audio_encoder"}


def register_folder() -> None:
    """Tell ComfyUI of the folder models/musetalk; folders that the user named for it stay, and stay first."""
    folder_paths.add_model_folder_path(KEY, str(Path(folder_paths.models_dir, KEY)))


def menu(role: str) -> list[str]:
    """What a loader offers: the known names, then the user's own files that may hold such a network.

    Args:
        role: "unet", "vae", "audio_encoder" or "face_parser".
    """
    files = [name for name in folder_paths.get_filename_list(KEY) if name.lower().endswith(ENDINGS)]
    return [*NAMED[role], *(name for name in files if _role(name) in (role, None))]


def model_names() -> list[str]:
    """What a loader of the U-Net offers."""
    return menu("unet")


def find_file(name: str, role: str) -> Path:
    """The file behind a word of a menu.

    Raises:
        ModelError: it is not there; says where to put it and where to get it.
    """
    embedded = EMBEDDED / EMBEDDED_FILES.get((role, name), "")
    if embedded.is_file():
        return embedded
    identifier = RECIPES[name].unet if role == "unet" and name in RECIPES else name
    if name in NAMED[role] and identifier in REGISTRY:
        return HostLocator().find(REGISTRY[identifier])
    if name in NAMED[role]:
        raise ModelError(f"The embedded {name} is not there: {embedded}.", "Install MuseTalk again, or choose another.")
    path = folder_paths.get_full_path(KEY, name)
    if path is None:
        raise ModelError(f"There is no {name!r} in {_folders(KEY)[0]}.", "Choose another file, or refresh the page.")
    return Path(path)


def partner(unet: Path, name: str, identifier: str, recipe: Recipe) -> Path:
    """The VAE or sound encoder that belongs to a U-Net: beside it, or the one that its recipe names.

    Args:
        unet: its file.
        name: of the partner when it lies beside the U-Net.
        identifier: of the partner in the registry.
        recipe: of the U-Net.

    Raises:
        ModelError: there is none.
    """
    if unet.with_name(name).is_file():
        return unet.with_name(name)
    if identifier not in REGISTRY:
        raise ModelError(f"{recipe.title} needs its own {name}.", f"Put {name} beside {unet}.")
    return HostLocator().find(REGISTRY[identifier])


class HostLocator:
    """Named weights in any folder that ComfyUI or an older MuseTalk pack keeps them in."""

    def find(self, entry: Entry) -> Path:
        """See `Locator.find`."""
        for path in _candidates(entry):
            if path.is_file():
                return path
        raise ModelError(
            missing(entry, _folders(KEY)[0]).what,
            "Put the file there and try again; nano needs no file.",
        )


def _candidates(entry: Entry) -> Iterator[Path]:
    own = _folders(KEY)
    beside = [folder.parent for folder in own]
    host = [folder for key in HOST_KEYS.get(entry.role, ()) for folder in _folders(key)]
    old = [folder / name for folder in beside for name in OLD_FOLDERS]
    for folder in (*own, *beside, *old, *host):
        yield from (folder / file.place for file in entry.files)
    for folder in (*own, *host):
        yield from (folder / name for name in RENAMED.get(entry.id, ()))


def _folders(key: str) -> list[Path]:
    known = key in folder_paths.folder_names_and_paths
    return [Path(folder) for folder in folder_paths.get_folder_paths(key)] if known else []


def _role(name: str) -> str | None:
    """What a file holds, as far as its name and its folder's tell."""
    path = Path(name)
    if path.name in OWN_NAMES:
        return OWN_NAMES[path.name]
    place = path.as_posix()
    for entry in REGISTRY.values():
        if any(place.endswith(file.place) or file.place.endswith(f"/{place}") for file in entry.files):
            return entry.role
    return "unet" if path.name in UNET_NAMES else None
