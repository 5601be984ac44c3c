"""`musetalk models`: what a person sees."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch

from musetalk_core.cli import models
from musetalk_core.errors import ModelError


def musetalk(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    models.add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(["models", *map(str, arguments)])
    return int(args.run(args))


def test_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "sd-vae" / "diffusion_pytorch_model.bin"
    place.parent.mkdir()
    place.write_bytes(b"x" * 2_500_000)
    assert musetalk("--models-dir", tmp_path, "list") == 0
    shown = capsys.readouterr().out
    assert f"found:   {place} (2.5 MB)" in shown
    assert f"missing: {tmp_path / 'musetalkV15' / 'unet.pth'} (3400.1 MB)" in shown
    assert "non-commercial" in shown
    assert "https://huggingface.co/openai/whisper-tiny, sha256 7ebd0e69" in shown


def test_check(nano_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert musetalk("check", *(nano_folder / f"{name}.safetensors" for name in ("unet", "vae", "audio_encoder"))) == 0
    unet, vae, audio = capsys.readouterr().out.splitlines()
    assert unet.endswith("MuseTalk U-Net, 4.23 M numbers in 364 tensors, float16, recipe nano")
    assert "tiny VAE (TAESD)" in vae
    assert audio.endswith("whisper-tiny.en")


def test_check_refuses_what_is_not_finite_or_not_whole(nano_folder: Path, tmp_path: Path) -> None:
    from musetalk_core.models.checkpoint import read_checkpoint, save_safetensors

    checkpoint = read_checkpoint(nano_folder / "vae.safetensors")
    tensors = {name: value.clone() for name, value in checkpoint.tensors.items()}
    tensors["encoder.layers.0.weight"][0] = torch.nan
    save_safetensors(tmp_path / "nan.safetensors", tensors, checkpoint.header)
    with pytest.raises(ModelError, match="NaN or infinite numbers in 1 tensors"):
        musetalk("check", tmp_path / "nan.safetensors")
    del tensors["encoder.layers.0.weight"]
    save_safetensors(tmp_path / "cut.safetensors", tensors, checkpoint.header)
    with pytest.raises(ModelError, match=r"keys are missing \(first: encoder.layers.0.weight\)"):
        musetalk("check", tmp_path / "cut.safetensors")


def test_convert(nano_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "new" / "vae.safetensors"
    assert musetalk("convert", nano_folder / "vae.safetensors", target, "--precision", "fp32") == 0
    assert target.is_file()
    assert "float32" in capsys.readouterr().out


def test_get_names(tmp_path: Path) -> None:
    assert [entry.id for entry in models._entries("1.5")] == ["musetalk-1.5", "sd-vae-ft-mse", "whisper-tiny"]
    assert [entry.id for entry in models._entries("taesd")] == ["taesd"]
    with pytest.raises(ModelError, match="nothing to get"):
        musetalk("get", "nano")
    with pytest.raises(ModelError, match="neither a known model, nor a URL, nor a hub id"):
        musetalk("--models-dir", tmp_path, "get", "nonsense")


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        musetalk("explode")
    assert stop.value.code == 2
    assert "usage" in capsys.readouterr().err
