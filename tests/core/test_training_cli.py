"""`musetalk train`: the commands, and a SyncNet of our own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from musetalk_core.cli import main
from musetalk_core.models.checkpoint import save_safetensors
from musetalk_core.training.config import make_config
from musetalk_core.training.cutting import FORMAT as CLIP_FORMAT
from musetalk_core.training.cutting import write_json
from musetalk_core.training.log import read_log
from musetalk_core.training.prepare import FORMAT
from musetalk_core.training.sync import SyncSamples, _samples, train_sync
from musetalk_core.training.syncnet import load_sync_judge

FRAMES = 60


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """People whose mouth is a bar as high as one band of their spectrum: a SyncNet can learn it within seconds."""
    folder = tmp_path_factory.mktemp("bars")
    rigid = np.random.default_rng(5).uniform(20, 44, (68, 2))
    rigid[29], rigid[8], rigid[27] = (32, 32), (32, 56), (32, 16)
    videos = []
    for seed, split in ((1, "train"), (2, "train"), (3, "validation")):
        random = np.random.default_rng(seed)
        level = random.random(FRAMES)
        faces = np.full((FRAMES, 64, 64, 3), 100, np.uint8)
        for k in range(FRAMES):
            faces[k, 36 : 36 + int(16 * level[k]), 24:40] = 0
        mel = np.full((200, 80), -4.0, np.float32)
        rows = (np.arange(200) / 3.2).astype(int).clip(0, FRAMES - 1)
        mel[:, :40] = (8 * level[rows] - 4)[:, None]
        tensors = {
            "faces": torch.from_numpy(faces),
            "landmarks": torch.from_numpy(np.repeat(rigid[None], FRAMES, axis=0).astype(np.float32)),
            "times": (torch.arange(FRAMES, dtype=torch.float64) + 0.5) / 25,
            "steps": torch.zeros(120, 5, 384).half(),
            "mel": torch.from_numpy(mel),
            "sound": torch.zeros(38400, dtype=torch.int16),
        }
        header = {
            "format": CLIP_FORMAT, "version": 1, "encoder": "whisper-tiny.en", "seconds": "12/5", "first_step": 0,
            "first_row": 0, "first_sample": 0,
        }  # fmt: skip
        save_safetensors(folder / str(seed) / "clip-0000.safetensors", tensors, header)
        videos.append({
            "person": str(seed), "clips": [{"file": "clip-0000.safetensors", "frames": FRAMES}], "refused": None,
            "folder": str(seed), "offset_ms": 0.0, "split": split,
        })  # fmt: skip
    write_json(
        folder / "dataset.json", {"format": FORMAT, "version": 1, "encoder": "whisper-tiny.en", "videos": videos}
    )
    return folder


def _content(data: Path, folder: Path, updates: int) -> dict[str, object]:
    return {
        "data": {"folder": str(data), "face_size": 64},
        "syncnet": {"frames": 5, "channels": 8, "embedding": 32, "height": 16, "width": 32},
        "sync": {"rate": 1e-3, "moments": 4},
        "optimiser": {"warmup": 1},
        "run": {"folder": str(folder), "updates": updates, "batch": 8, "device": "cpu", "validate_every": 50},
    }


def test_a_sample_is_some_moments_of_one_clip_each_with_its_own_sound(data):
    config = make_config(_content(data, Path("unused"), 1) | {"sync": {"moments": 3, "apart": 7}})
    samples = SyncSamples(_samples(config, "train", 0), config)
    found, choice = samples[5], samples._samples.choose(5)
    assert found["faces"].shape == (3, 5, 64, 64, 3)
    assert found["mels"].shape[:2] == (3, 80)
    for k, first in enumerate((0, 7, 14)):
        alone = replace(choice, targets=choice.targets[first : first + 5])
        assert torch.equal(found["faces"][k], samples._samples.faces(alone))
        assert torch.equal(found["mels"][k], samples._samples.mels(alone, [0])[0])
    again = SyncSamples(_samples(config, "train", 0), config)[5]
    assert all(torch.equal(found[name], again[name]) for name in found)


@pytest.mark.slow
def test_a_small_syncnet_learns_on_other_people(data, tmp_path):
    content = _content(data, tmp_path / "whole", 100)
    content["syncnet"]["channels"] = 16  # type: ignore[index]
    scores = train_sync(make_config(content))
    assert scores["right"] > 0.5  # chance is 1 / 4
    assert scores["loss"] < 1.1  # chance is 1.386


def test_a_syncnet_goes_on_where_it_was(data, tmp_path):
    content = _content(data, tmp_path / "run", 4)
    content["run"] |= {"checkpoint_every": 2, "batch": 4, "validate_every": 0}  # type: ignore[operator]
    train_sync(make_config(content))
    first = [line["loss"] for line in read_log(tmp_path / "run" / "log.jsonl")]
    (tmp_path / "run" / "checkpoints" / "update-00000004.safetensors").unlink()
    train_sync(make_config(content))
    second = [line["loss"] for line in read_log(tmp_path / "run" / "log.jsonl")]
    assert len(first) == 4
    assert np.allclose(first, second, atol=1e-6)
    assert load_sync_judge(tmp_path / "run" / "syncnet.safetensors").options.frames == 5


def test_the_command_trains_a_syncnet_from_a_file(data, tmp_path, capsys):
    lines = []
    for table, values in _content(data, tmp_path / "run", 2).items():
        lines.append(f"[{table}]")
        lines += [f"{k} = {str(v).lower() if isinstance(v, bool) else repr(v)}" for k, v in values.items()]  # type: ignore[attr-defined]
    (tmp_path / "sync.toml").write_text("\n".join(lines))
    assert main(["train", "sync", str(tmp_path / "sync.toml"), "--quiet", "--set", "run.updates=1"]) == 0
    assert "syncnet.safetensors" in capsys.readouterr().out
    assert (tmp_path / "run" / "syncnet.safetensors").is_file()


def test_errors_are_one_line(tmp_path, capsys):
    assert main(["train", "run", str(tmp_path / "none.toml"), "--quiet"]) == 1
    assert "cannot be read" in capsys.readouterr().err
    assert main(["train", "run", "small1", "--quiet", "--set", "network.vae="]) == 1
    assert "network.vae" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    arguments = ["--out", str(tmp_path / "out"), "--audio-encoder", "x.safetensors", "--quiet"]
    assert main(["train", "prepare", str(tmp_path / "empty"), *arguments]) == 1
    assert "no video" in capsys.readouterr().err


@pytest.mark.parametrize("action", ["prepare", "run", "sync"])
def test_help_works(action, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["train", action, "--help"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out
