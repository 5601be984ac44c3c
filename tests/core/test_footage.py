"""Dubs of real clips through the command line; the mouths are noise, everything around them is real.

Most of it needs the footage beside the checkout and minutes of time: `pytest --slow`.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import soundfile

from musetalk_core.cli import main
from musetalk_core.portraits.footage import portrait_footage
from musetalk_core.timeline import Clock
from musetalk_core.video.probe import probe
from musetalk_core.video.read import open_footage
from musetalk_core.video.write import VideoWriter, WriteOptions

FPS = Fraction(25)


@dataclass(frozen=True)
class Dub:
    """A finished dub, decoded."""

    before: np.ndarray
    after: np.ndarray
    report: dict[str, Any]

    def changed(self) -> np.ndarray:
        """(F, H, W) bool, the pixels that differ; for outputs that show the source's frames in order."""
        return np.stack([(a != b).any(axis=2) for a, b in zip(self.before, self.after, strict=False)])

    def skipped(self, person: int = 0) -> list[tuple[int, int, str]]:
        return [(part["first"], part["last"], part["reason"]) for part in self.report["skipped"][person]]


def frames_of(path: Path) -> np.ndarray:
    footage = open_footage(path)
    return footage.read(range(len(footage.clock)))


def first_frames(path: Path, count: int) -> np.ndarray:
    return open_footage(path).read(range(count))


def dub(source: Path, sound: Path, output: Path, model: Path, *flags: object) -> Dub:
    report = output.with_suffix(".json")
    arguments = ("dub", source, sound, "-o", output, "--model", model, "--lossless", "--quiet", "--json", report)
    assert main([str(argument) for argument in (*arguments, *flags)]) == 0
    return Dub(frames_of(source), frames_of(output), json.loads(report.read_text(encoding="utf-8")))


def speech(assets: Path, path: Path, seconds: float, name: str = "librispeech_198-209-0000.ogg") -> Path:
    """The first seconds of somebody who reads aloud."""
    samples, rate = soundfile.read(assets / "audio" / name, start=8000, frames=round(seconds * 16_000))
    soundfile.write(path, samples, rate)
    return path


def buzz(path: Path, seconds: float) -> Path:
    at = np.arange(round(seconds * 16_000)) / 16_000
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * 150 * at) * (1 + 0.5 * np.sin(2 * np.pi * 4 * at)), 16_000)
    return path


def write_frames(path: Path, frames: np.ndarray, fps: Fraction = FPS) -> Path:
    clock = Clock.regular(len(frames), fps)
    with VideoWriter(path, frames.shape[2], frames.shape[1], clock, WriteOptions(lossless=True)) as writer:
        writer.write(frames)
    return path


def turn_tag(path: Path, degrees: int) -> None:
    """Make players turn an mp4 counter-clockwise, as phones do: x' = a x + c y, y' = b x + d y, y down."""
    a, b, c, d = {90: (0, -1, 1, 0), 180: (-1, 0, 0, -1), 270: (0, 1, -1, 0)}[degrees]
    data = path.read_bytes()
    upright = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    at = data.index(upright, data.index(b"tkhd"))
    turned = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(data[:at] + turned + data[at + len(turned) :])


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """A drawn person, (5, 256, 200, 3) uint8: not square, so that a wrong turn shows."""
    return portrait_footage(3, 0.2, width=200, height=256).read(range(5))


def require_mouth_only(before: np.ndarray, after: np.ndarray) -> None:
    """The lower face is new on every frame; the upper third of the picture is the source's, bit by bit."""
    assert after.shape == before.shape
    third = before.shape[1] // 3
    assert (after[:, :third] == before[:, :third]).all()
    share = (after != before).any(axis=3).mean(axis=(1, 2))
    assert (share > 0.02).all()
    assert (share < 0.4).all()


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_turned_phone_clips_come_out_upright(
    portrait: np.ndarray, nano_folder: Path, tmp_path: Path, degrees: int
) -> None:
    """The turn is baked into the output's pixels, which carries no tag."""
    stored = np.ascontiguousarray(np.rot90(portrait, -degrees // 90, axes=(1, 2)))
    clip = write_frames(tmp_path / "phone.mp4", stored)
    turn_tag(clip, degrees)
    result = dub(clip, buzz(tmp_path / "a.wav", 0.2), tmp_path / "out.mp4", nano_folder)
    assert (result.before == portrait).all()
    require_mouth_only(portrait, result.after)
    assert probe(tmp_path / "out.mp4").rotation == 0
    assert result.report["spoken"] == [5]


def test_a_photo_speaks(portrait: np.ndarray, nano_folder: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "photo.png"), portrait[0, ..., ::-1])
    sound = buzz(tmp_path / "a.wav", 0.3)
    result = dub(tmp_path / "photo.png", sound, tmp_path / "out.mkv", nano_folder, "--fps", "30000/1001")
    assert (result.report["frames"], result.report["fps"]) == (9, "30000/1001")
    require_mouth_only(np.repeat(portrait[:1], 9, axis=0), result.after)
    assert (result.after[0] != result.after[4]).any()  # it moves


def test_a_folder_of_frames_speaks(portrait: np.ndarray, nano_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, frame in enumerate(portrait, start=8):  # 8, 9, 10: by number, not by letter
        cv2.imwrite(str(folder / f"frame{number}.png"), frame[..., ::-1])
    result = dub(folder, buzz(tmp_path / "a.wav", 0.4), tmp_path / "out.mkv", nano_folder, "--fps", "12.5")
    assert (result.before == portrait).all()
    assert result.report["fps"] == "25/2"
    require_mouth_only(portrait, result.after)


def test_a_clip_without_a_face_is_refused(
    assets: Path, nano_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = assets / "edge" / "no_face_testsrc.mp4", tmp_path / "out.mkv"
    sound = buzz(tmp_path / "a.wav", 0.4)
    assert main(["dub", str(source), str(sound), "-o", str(out), "--model", str(nano_folder), "--quiet"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "musetalk: No face was found in the 50 frames. Use footage in which a face is seen from the front, at least "
        "about 5 % of the picture's longer side."
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("clip", "seconds", "flags", "frames"),
    [
        ("video/grid_s1_heldout.mp4", 3.2, ["--sync-mode", "cut_off"], 80),
        ("video/videoretalking_2.mp4", 3.2, [], 125),
        ("video/latentsync_demo2.mp4", 3.2, ["--sync-mode", "cut_off"], 80),  # HEVC, 1080x1920
        ("video/liveportrait_d12.mp4", 3.2, [], 183),
        ("edge/three_quarter_view.mp4", 3.0, ["--sync-mode", "cut_off"], 90),
        ("edge/drawn_face.mp4", 3.2, ["--sync-mode", "cut_off"], 77),
        ("edge/sit_musev.mp4", 3.2, ["--sync-mode", "cut_off"], 77),
        ("edge/small_face_fullbody.mp4", 3.2, [], 103),
    ],
)
def test_real_faces_speak_and_nothing_else_changes(
    assets: Path, nano_folder: Path, tmp_path: Path, clip: str, seconds: float, flags: list[str], frames: int
) -> None:
    sound = speech(assets, tmp_path / "a.wav", seconds)
    result = dub(assets / clip, sound, tmp_path / "out.mkv", nano_folder, *flags)
    assert len(result.after) == result.report["frames"] == frames
    changed = result.changed()
    driven = min(frames, -(-round(seconds * 1000) * len(result.before) // round(result.report["seconds"] * 1000)))
    spoken = changed.any(axis=(1, 2))
    assert spoken[: min(driven, 75)].all()
    rows, columns = np.flatnonzero(changed.any(axis=(0, 2))), np.flatnonzero(changed.any(axis=(0, 1)))
    height, width = changed.shape[1:]
    assert (np.ptp(rows) < 0.7 * height, np.ptp(columns) < 0.7 * width) == (True, True)
    for first, last, _ in result.skipped():
        assert not changed[first : last + 1].any()


@pytest.mark.slow
def test_frames_without_a_face_stay_bit_identical(assets: Path, nano_folder: Path, tmp_path: Path) -> None:
    sound = speech(assets, tmp_path / "a.wav", 4)
    result = dub(assets / "edge" / "face_gap.mp4", sound, tmp_path / "out.mkv", nano_folder)
    assert len(result.after) == 125
    assert result.skipped() == [(50, 74, "no face found"), (100, 124, "the sound has ended")]
    spoken = result.changed().any(axis=(1, 2))
    assert np.flatnonzero(spoken).tolist() == [*range(50), *range(75, 100)]


@pytest.mark.slow
def test_an_odd_rate_is_kept(assets: Path, nano_folder: Path, tmp_path: Path) -> None:
    source = assets / "edge" / "ntsc_2997.mp4"
    sound = speech(assets, tmp_path / "a.wav", 1)
    result = dub(source, sound, tmp_path / "out.mp4", nano_folder)
    clock = open_footage(tmp_path / "out.mp4").clock
    assert (len(clock), clock.fps) == (len(result.before), Fraction(2997, 100))
    assert clock.seconds == open_footage(source).clock.seconds
    assert result.report["fps"] == "2997/100"


@pytest.mark.slow
def test_two_people_with_two_sounds(assets: Path, nano_folder: Path, tmp_path: Path) -> None:
    """Two dubs in a chain: each changes one half of the picture, and leaves the other as it found it."""
    source, half = write_frames(tmp_path / "in.mkv", first_frames(assets / "edge" / "two_faces.mp4", 40)), 720
    sound = speech(assets, tmp_path / "a.wav", 1.6)
    left = dub(source, sound, tmp_path / "left.mkv", nano_folder, "--face", "0")
    assert len(left.after) == len(left.before)
    assert (left.after[:, :, half:] == left.before[:, :, half:]).all()
    assert left.changed()[:, :, :half].any(axis=(1, 2)).all()
    other = speech(assets, tmp_path / "b.wav", 1.6, "librispeech_3436-172162-0000.ogg")
    both = dub(tmp_path / "left.mkv", other, tmp_path / "both.mkv", nano_folder, "--face", "1")
    assert (both.after[:, :, :half] == left.after[:, :, :half]).all()
    assert both.changed()[:, :, half:].any(axis=(1, 2)).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("who", "speaking"), [("0", [0]), ("1", [1]), ("2", [2]), ("1350,220", [2]), ("all", [0, 1, 2])]
)
def test_three_people(assets: Path, nano_folder: Path, tmp_path: Path, who: str, speaking: list[int]) -> None:
    frames = first_frames(assets / "edge" / "three_faces_side_by_side.mp4", 12)
    source = write_frames(tmp_path / "in.mkv", frames, Fraction(30))
    result = dub(source, speech(assets, tmp_path / "a.wav", 0.4), tmp_path / "out.mkv", nano_folder, "--face", who)
    changed = result.changed().reshape(12, 432, 3, 540).any(axis=(1, 3))  # frames, third of the picture
    assert [third for third in range(3) if changed[:, third].any()] == speaking
    assert changed[:, speaking].all()
    assert result.report["spoken"] == [12] * len(speaking)


def test_an_upside_down_clip_is_refused(
    assets: Path, nano_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its tag is the wrong way round, as every reader agrees; the mouth is not painted on the forehead."""
    source, out = assets / "edge" / "rotation_metadata_90.mp4", tmp_path / "out.mkv"
    sound = buzz(tmp_path / "a.wav", 0.4)
    assert main(["dub", str(source), str(sound), "-o", str(out), "--model", str(nano_folder), "--quiet"]) == 1
    assert "can speak on no frame: the head is turned too far" in capsys.readouterr().err
    assert not out.exists()


def test_an_upside_down_face_speaks_when_the_crop_turns_with_it(
    portrait: np.ndarray, nano_folder: Path, tmp_path: Path
) -> None:
    source = write_frames(tmp_path / "in.mkv", np.ascontiguousarray(portrait[:, ::-1, ::-1]))
    result = dub(source, buzz(tmp_path / "a.wav", 0.2), tmp_path / "out.mkv", nano_folder, "--align-roll")
    assert result.report["spoken"][0] >= 4
    assert (result.after[:, -85:] == result.before[:, -85:]).all()  # the forehead, which lies below
    assert (result.after[1:] != result.before[1:]).any(axis=(1, 2, 3)).all()
