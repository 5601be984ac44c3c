"""The script that draws people for training: what they say is what was said, in sync."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from musetalk_core.audio.read import read_audio
from musetalk_core.errors import MediaError
from musetalk_core.eval.probe import Recording, sync_probe
from musetalk_core.models.checkpoint import save_safetensors
from musetalk_core.timeline import Clock
from musetalk_core.training.balance import Clip
from musetalk_core.training.cutting import sound_of, write_json
from musetalk_core.training.prepare import FORMAT
from musetalk_core.types import AudioClip
from musetalk_core.video.probe import probe

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_portraits", REPO / "scripts" / "draw_portraits.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def _clip(path: Path, frames: int, begin: float, offset: float) -> Clip:
    """A clip whose mouth opens for one frame in ten; its sound clicks at the same moments, `offset` s later."""
    landmarks = np.zeros((frames, 478, 2), np.float32)
    landmarks[:, 152, 1], landmarks[:, 291, 0] = 100, 35
    landmarks[5::10, 14, 1] = 8
    first = round((begin - 0.5) * 16000)
    sound = np.zeros(round((frames / 25 + 1.5) * 16000), np.int16)
    clicks = [round((begin + (k + 0.5) / 25 + offset) * 16000) - first for k in range(5, frames, 10)]
    sound[clicks] = 30000
    times = begin + (torch.arange(frames, dtype=torch.float64) + 0.5) / 25
    tensors = {"landmarks": torch.from_numpy(landmarks), "times": times, "sound": torch.from_numpy(sound)}
    save_safetensors(path, tensors, {"first_sample": first})
    return Clip(path, frames, "x", offset)


@pytest.mark.parametrize("offset", [0.0, 0.1])
@pytest.mark.parametrize("lengths", [(400,), (60, 45, 30)])
def test_what_is_heard_belongs_to_what_the_mouth_does(script, tmp_path, offset, lengths):
    clips = [_clip(tmp_path / f"{k}.safetensors", n, 3.0 + k, offset) for k, n in enumerate(lengths)]
    spoken = script.speak_from(clips, 200, np.random.default_rng(0))
    assert len(spoken.mouth) == 200
    assert spoken.sound.shape == (200 * 640,)
    opened = np.flatnonzero(spoken.mouth.opening > 0.04)
    clicks = np.flatnonzero(spoken.sound > 0.5)
    assert len(opened) >= 15
    assert clicks.tolist() == [round((frame + 0.5) * 640) for frame in opened]


def test_openings_are_brought_into_the_natural_range(script, tmp_path):
    clip = _clip(tmp_path / "clip.safetensors", 300, 3.0, 0.0)
    for seed in range(5):
        opening = script.speak_from([clip], 200, np.random.default_rng(seed)).mouth.opening
        assert 0.045 <= opening.max() <= 0.11 + 1e-9


def test_the_made_up_voice_predicts_the_mouth_without_a_lag(script):
    spoken = script.babble(3, 500)
    sound = AudioClip(spoken.sound)
    result = sync_probe([Recording(spoken.mouth.opening, Clock.regular(500, 25), sound)])
    assert result is not None
    assert result.peak_r2 > 0.6
    assert result.peak_ms == pytest.approx(0, abs=15)


def test_files_are_written_once_and_prepare_finds_their_sound(script, tmp_path):
    script.draw(7, tmp_path, 0.24, 128, [])
    video = tmp_path / "portrait_0007.mp4"
    info = probe(video)
    assert (info.frames, info.width, info.height) == (6, 128, 128)
    assert sound_of(video) == tmp_path / "portrait_0007.flac"
    assert len(read_audio(tmp_path / "portrait_0007.flac").samples) == 6 * 640
    before = video.stat().st_mtime_ns
    script.draw(7, tmp_path, 9.0, 128, [])
    assert video.stat().st_mtime_ns == before
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".flac", ".mp4"]


def test_only_real_training_people_are_heard(script, tmp_path):
    def video(person: str, split: str, refused: str | None = None) -> dict[str, object]:
        clips = [{"file": "clip.safetensors", "frames": 50}]
        return {
            "person": person, "folder": person, "clips": clips, "refused": refused, "split": split, "offset_ms": 0.0
        }  # fmt: skip

    videos = [
        video("a", "train"),
        video("b", "validation"),
        video("c", "train", "off"),
        video("portrait_0001", "train"),
    ]
    index = {"format": FORMAT, "version": 1, "encoder": "whisper-tiny.en", "videos": videos}
    write_json(tmp_path / "dataset.json", index)
    assert [[clip.person for clip in clips] for clips in script.speakers(tmp_path)] == [["a"]]
    index["videos"] = videos[3:]
    write_json(tmp_path / "dataset.json", index)
    with pytest.raises(MediaError, match="drawn"):
        script.speakers(tmp_path)
