"""`musetalk demo`: what it writes and says, and one clear line for what cannot be."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile

from musetalk_core.audio.read import read_audio
from musetalk_core.cli import demo, main
from musetalk_core.portraits.footage import PortraitFootage, portrait_footage
from musetalk_core.portraits.sample import SAMPLE_SEED, SAMPLE_WORDS, sample_speech
from musetalk_core.portraits.sheet import COLUMNS, MOUTH_HEIGHT, ROWS, TILE, mouth_sheet
from musetalk_core.timeline import Clock
from musetalk_core.video.read import open_footage

FRAMES = 3


@pytest.fixture
def short_speech(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The demo, but with the first `FRAMES` frames of its speech."""
    path = tmp_path / "speech.wav"
    soundfile.write(path, read_audio(sample_speech()).samples[: FRAMES * 640], 16_000)
    monkeypatch.setattr(demo, "sample_speech", lambda: path)
    return path


def require_demo(folder: Path, frames: int, said: str) -> None:
    """What `musetalk demo` wrote and said is whole."""
    assert sorted(path.name for path in folder.iterdir()) == ["demo.mp4", "demo.png"]
    footage = open_footage(folder / "demo.mp4")
    assert (footage.width, footage.height, len(footage.clock), footage.clock.fps) == (1024, 512, frames, 25)
    assert abs(float(read_audio(folder / "demo.mp4").seconds) - frames / 25) < 0.1
    drawn = portrait_footage(SAMPLE_SEED, frames / 25).read([1])[0].astype(int)
    left, right = np.split(footage.read([1])[0].astype(int), 2, axis=1)
    assert np.abs(left - drawn).mean() < 2  # but for the video's compression
    changed = np.argwhere(np.abs(right - left).max(axis=2) > 40)
    assert len(changed) > 1000  # this random model paints noise
    assert changed[:, 0].min() > 200  # below the eyes
    sheet = cv2.imread(str(folder / "demo.png"))
    assert sheet.shape[1] > min(frames, COLUMNS) * TILE
    lines = said.splitlines()
    assert lines[0].startswith(f"{folder / 'demo.mp4'}: ")
    assert SAMPLE_WORDS in lines[0]
    assert lines[1].startswith(f"{folder / 'demo.png'}: ")
    assert f"MuseTalk nano (embedded); {frames} of {frames} frames speak" in lines[2]
    assert "small and for trying out" in lines[3]
    assert "musetalk models get 1.5" in lines[4]
    assert "3.9 GB" in lines[4]


def test_the_demo_writes_a_video_and_a_sheet(
    nano_folder: Path, short_speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new" / "folder"
    assert main(["demo", "--out", str(folder), "--model", str(nano_folder), "--quiet"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    require_demo(folder, FRAMES, shown.out)


@pytest.mark.slow
def test_the_whole_demo(nano_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--out", str(tmp_path), "--model", str(nano_folder)]) == 0
    shown = capsys.readouterr()
    assert "drawing" in shown.err
    assert "speaking" in shown.err
    require_demo(tmp_path, 150, shown.out)


def test_another_seed_is_another_person(
    nano_folder: Path, short_speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ("--model", str(nano_folder), "--quiet")
    assert main(["demo", "--out", str(tmp_path), *model, "--seed", str(SAMPLE_SEED + 5)]) == 0
    drawn = portrait_footage(SAMPLE_SEED + 5, FRAMES / 25).read([1])[0].astype(int)
    left = open_footage(tmp_path / "demo.mp4").read([1])[0][:, :512].astype(int)
    assert np.abs(left - drawn).mean() < 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed", "-1"], ("--seed -1",)),
        (["--out", "a file"], ("a file", "--out")),
        (["--out", "a file/below"], ("a file", "--out")),
        (["--model", "nowhere"], ("There is no model 'nowhere'",)),
        (["--model", "1.5", "--models-dir", "nowhere"], ("musetalkV15", "models get")),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a file").touch()
    assert main(["demo", *arguments]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert all(word in shown.err for word in words), shown.err
    assert not list(tmp_path.rglob("demo.*"))


def test_help_says_who_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["demo", "--help"])
    assert f"[default: {SAMPLE_SEED}]" in capsys.readouterr().out
    assert SAMPLE_SEED >= 10_000  # nobody trained on


def test_the_sheet_shows_mouths_in_the_middle_of_their_tiles(portrait_clip: PortraitFootage) -> None:
    frames = np.zeros((50, 320, 320, 3), np.uint8)
    lips = portrait_clip.truth().lips
    for frame, outline in zip(frames, lips, strict=True):
        cv2.fillPoly(frame, [np.rint(outline).astype(np.int32)], (255, 0, 0))
    sheet = mouth_sheet(frames, lips, portrait_clip.clock)
    step = sheet.shape[0] // ROWS
    assert sheet.shape[1] // COLUMNS >= TILE
    for row in range(ROWS):
        mouth = sheet[row * step + TILE : row * step + TILE + MOUTH_HEIGHT, :TILE, 0] > 128
        y, x = np.argwhere(mouth).mean(axis=0)
        assert abs(x - TILE / 2) < 6
        assert abs(y - MOUTH_HEIGHT / 2) < 12
        assert 0.5 < np.ptp(np.flatnonzero(mouth.any(axis=0))) / TILE < 0.75


def test_a_sheet_of_one_frame(portrait_clip: PortraitFootage) -> None:
    frames = portrait_clip.read([0])
    sheet = mouth_sheet(frames, portrait_clip.truth().lips[:1], Clock.regular(1, Fraction(25)))
    assert (sheet.shape[1], sheet.dtype) == (TILE + 4, np.uint8)
