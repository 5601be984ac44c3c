"""Weights are found where ComfyUI's users have them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FILES = (
    "pytorch_model.bin",
    "musetalk.json",
    "mine.pth",
    "x/unet.safetensors",
    "x/vae.safetensors",
    "x/audio_encoder.safetensors",
    "whisper/tiny.pt",
    "face-parse-bisent/79999_iter.pth",
    "note.txt",
)


@pytest.fixture
def folders(pack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """folder_paths of an empty host."""
    import folder_paths

    models = tmp_path / "models"
    monkeypatch.setattr(folder_paths, "models_dir", str(models))
    known = {key: ([str(models / key)], set()) for key in ("vae", "vae_approx", "audio_encoders")}
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", known)
    return folder_paths


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ("musetalk-1.5", "musetalk/musetalkV15/unet.pth"),
        ("musetalk-1.5", "musetalkV15/unet.pth"),
        ("musetalk-1.5", "MuseTalk/musetalkV15/unet.pth"),
        ("musetalk-1.0", "musetalk/pytorch_model.bin"),
        ("musetalk-1.0", "musetalk/musetalk/pytorch_model.bin"),
        ("whisper-tiny", "whisper/tiny.pt"),
        ("whisper-tiny", "musetalk/whisper/pytorch_model.bin"),
        ("whisper-tiny", "audio_encoders/whisper-tiny.safetensors"),
        ("sd-vae-ft-mse", "vae/vae-ft-mse-840000-ema-pruned.safetensors"),
        ("sd-vae-ft-mse", "vae/sd-vae-ft-mse/diffusion_pytorch_model.bin"),
        ("sd-vae-ft-mse", "sd-vae-ft-mse/diffusion_pytorch_model.safetensors"),
        ("taesd", "vae_approx/taesd_decoder.pth"),
        ("face-parser", "face-parse-bisent/79999_iter.pth"),
    ],
)
def test_named_files(pack: Any, folders: Any, entry: str, place: str) -> None:
    places = pack.bridge("places")
    places.register_folder()
    locator, known = places.HostLocator(), pack.core("models.registry").REGISTRY[entry]
    with pytest.raises(pack.core("errors").ModelError, match="is not there"):
        locator.find(known)
    path = put(Path(folders.models_dir, place))
    assert locator.find(known) == path


def test_extra_model_paths_stay_and_come_first(pack: Any, folders: Any, tmp_path: Path) -> None:
    places = pack.bridge("places")
    folders.add_model_folder_path("musetalk", str(tmp_path / "big disk" / "lips"))
    places.register_folder()
    places.register_folder()
    mine, standard = tmp_path / "big disk" / "lips", Path(folders.models_dir, "musetalk")
    assert folders.get_folder_paths("musetalk") == [str(mine), str(standard)]
    entry = pack.core("models.registry").REGISTRY["musetalk-1.5"]
    put(standard / "musetalkV15" / "unet.pth")
    path = put(mine / "musetalkV15" / "unet.pth")
    assert places.HostLocator().find(entry) == path
    path.unlink()
    beside = put(tmp_path / "big disk" / "musetalkV15" / "unet.safetensors")  # the folder that holds the named one
    put(standard / "musetalkV15" / "unet.pth").unlink()
    assert places.HostLocator().find(entry) == beside


def test_menus(pack: Any, folders: Any) -> None:
    places = pack.bridge("places")
    places.register_folder()
    assert places.menu("unet") == ["nano", "1.5", "1.0"]
    root = Path(folders.models_dir, "musetalk")
    for name in FILES:
        put(root / name)
    own = {role: places.menu(role)[len(places.NAMED[role]) :] for role in places.NAMED}
    assert own["unet"] == [str(Path(name)) for name in ("mine.pth", "pytorch_model.bin", "x/unet.safetensors")]
    assert own["vae"] == ["mine.pth", str(Path("x/vae.safetensors"))]
    heard = ("mine.pth", "whisper/tiny.pt", "x/audio_encoder.safetensors")
    assert own["audio_encoder"] == [str(Path(name)) for name in heard]
    assert own["face_parser"] == [str(Path("face-parse-bisent/79999_iter.pth")), "mine.pth"]
