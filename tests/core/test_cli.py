"""The command line as a person meets it: exit codes, one clear line for every mistake, reports, and what is left."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile

from musetalk_core.cli import main
from musetalk_core.pipeline.avatar import load_avatar
from musetalk_core.portraits.footage import portrait_footage
from musetalk_core.timeline import Clock
from musetalk_core.video.read import open_footage
from musetalk_core.video.write import VideoWriter, WriteOptions

REPO = Path(__file__).resolve().parents[2]
COMMANDS = ["", "dub", "track", "avatar", "avatar make", "avatar show", "models", "models list", "models check"]
FRAMES = 6


@dataclass(frozen=True)
class Answer:
    """What one call gave."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Place:
    """A folder with what a user has: a clip of a face, one of a wall, a second of speech, a model."""

    folder: Path
    face: Path
    wall: Path
    speech: Path
    model: Path


def buzz(seconds: float, rate: int = 16_000, channels: int = 1) -> np.ndarray:
    """Loud enough to count as speech: (samples, channels) float32."""
    at = np.arange(round(seconds * rate)) / rate
    loud = 0.3 * np.sin(2 * np.pi * 150 * at) * (1 + 0.5 * np.sin(2 * np.pi * 4 * at))
    return np.repeat(loud.astype(np.float32)[:, None], channels, axis=1)


def write_frames(path: Path, frames: np.ndarray) -> Path:
    clock = Clock.regular(len(frames), Fraction(25))
    with VideoWriter(path, frames.shape[2], frames.shape[1], clock, WriteOptions(lossless=True)) as writer:
        writer.write(frames)
    return path


def frames_of(path: Path) -> np.ndarray:
    footage = open_footage(path)
    return footage.read(range(len(footage.clock)))


@pytest.fixture(scope="module")
def place(nano_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("a user's folder")
    face = portrait_footage(3, FRAMES / 25, width=224, height=224).read(range(FRAMES))
    wall = np.full((FRAMES, 48, 64, 3), 90, np.uint8)
    soundfile.write(folder / "speech.wav", buzz(FRAMES / 25), 16_000)
    return Place(
        folder,
        write_frames(folder / "face.mkv", face),
        write_frames(folder / "wall.mkv", wall),
        folder / "speech.wav",
        nano_folder,
    )


@pytest.fixture
def musetalk(capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """Calls the program in this process."""

    def call(*arguments: object) -> Answer:
        capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        shown = capsys.readouterr()
        return Answer(code, shown.out, shown.err)

    return call


def require_one_line(answer: Answer, *words: str) -> None:
    """Exit code 1, one line that says `words`, nothing else."""
    assert answer.code == 1, answer
    lines = answer.err.splitlines()
    assert len(lines) == 1, answer.err
    assert lines[0].startswith("musetalk: ")
    assert lines[0].endswith((".", "?", "!"))
    for word in words:
        assert word in lines[0]
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("command", COMMANDS)
def test_help(musetalk, command: str) -> None:  # type: ignore[no-untyped-def]
    answer = musetalk(*command.split(), "--help")
    assert answer.code == 0
    assert answer.out.startswith(f"usage: musetalk {command}".rstrip())
    assert not re.search(r"\d\.\d{5}", answer.out), "a default of many digits"
    assert "None" not in answer.out
    assert "==SUPPRESS==" not in answer.out


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "musetalk_core", "--help"],
        check=False,
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: musetalk")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["speak"],
        ["dub"],
        ["dub", "a.mp4", "b.wav"],
        ["dub", "a.mp4", "b.wav", "-o", "c.mp4", "--sync-mode", "forwards"],
        ["dub", "a.mp4", "b.wav", "-o", "c.mp4", "--crf", "good"],
        ["dub", "a.mp4", "b.wav", "-o", "c.mp4", "--fps", "0"],
        ["dub", "a.mp4", "b.wav", "-o", "c.mp4", "--dtype", "fp8"],
        ["dub", "a.mp4", "b.wav", "-o", "c.mp4", "--no-such-flag"],
        ["avatar"],
        ["avatar", "make", "a.mp4"],
        ["models", "convert", "a.pth"],
    ],
)
def test_wrong_usage(musetalk, arguments: list[str]) -> None:  # type: ignore[no-untyped-def]
    answer = musetalk(*arguments)
    assert answer.code == 2
    assert answer.err.startswith("usage: musetalk")
    assert answer.out == ""


def test_one_dub_and_its_report(musetalk, place: Place, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out, report_file = tmp_path / "out.mkv", tmp_path / "report.json"
    answer = musetalk(
        *("dub", place.face, place.speech, "-o", out, "--model", place.model),
        *("--lossless", "--json", report_file, "--feather", "0.05"),
    )
    assert answer.code == 0, answer
    assert answer.out.splitlines() == [f"{out}: {FRAMES} frames, 0.24 s, MuseTalk nano (embedded)", "  6 frames speak"]
    assert "finding faces" in answer.err  # progress, with rate and time left
    assert "speaking" in answer.err
    assert "frame/s" in answer.err
    before, after = frames_of(place.face), frames_of(out)
    assert before.shape == after.shape
    assert (before != after).any(axis=(1, 2, 3)).all()
    assert (before[:, :90] == after[:, :90]).all()  # eyes and forehead
    report = json.loads(report_file.read_text(encoding="utf-8"))
    assert set(report) == {
        *("output", "frames", "source_frames", "fps", "seconds", "spoken", "skipped", "timings", "model", "options")
    }
    assert (report["frames"], report["source_frames"], report["fps"]) == (FRAMES, FRAMES, "25")
    assert (report["spoken"], report["skipped"]) == ([FRAMES], [[]])
    assert {"track", "hear", "read", "encode", "lips", "decode", "blend", "write"} <= set(report["timings"])
    assert set(report["options"]) == {"faces", "run", "speech", "blend", "write"}
    assert report["options"]["faces"]["mask"]["feather"] == 0.05
    assert report["options"]["write"]["lossless"] is True


def test_an_avatar_is_made_shown_and_used_with_its_own_options(  # type: ignore[no-untyped-def]
    musetalk, place: Place, tmp_path: Path
) -> None:
    avatar = tmp_path / "face.safetensors"
    made = musetalk(
        *("avatar", "make", place.face, "-o", avatar, "--model", place.model, "--quiet"),
        *("--mask", "mouth", "--face", "0", "--chin-margin", "0.1"),
    )
    assert (made.code, made.err) == (0, "")
    assert made.out == f"{avatar}: 6 of 6 frames can speak\n"
    shown = musetalk("avatar", "show", avatar)
    assert shown.code == 0
    assert "6 of 224x224, 25.000 a second" in shown.out
    assert load_avatar(avatar).key["source"] in shown.out
    dub = ("dub", place.face, place.speech, "--model", place.model, "--quiet", "--avatar", avatar)
    used = musetalk(*dub, "-o", tmp_path / "out.mkv", "--json", tmp_path / "r.json")  # no flag is said again
    assert (used.code, used.err) == (0, "")
    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert report["options"]["faces"]["mask"]["kind"] == "mouth"
    assert report["options"]["faces"]["crop"]["chin_margin"] == 0.1
    assert report["timings"]["track"] < 0.1
    require_one_line(musetalk(*dub, "-o", tmp_path / "b.mkv", "--mask", "landmarks"), "another mask")
    other = ("dub", place.wall, *dub[2:])
    require_one_line(musetalk(*other, "-o", tmp_path / "b.mkv"), "another source", str(avatar))
    assert not (tmp_path / "b.mkv").exists()


def test_track_says_who_and_draws_masks(musetalk, place: Place, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    sheets = []
    for mask in ("landmarks", "mouth"):
        sheet = tmp_path / f"{mask}.png"
        answer = musetalk("track", place.face, "--preview", sheet, "--mask", mask, "--quiet")
        assert (answer.code, answer.err) == (0, "")
        assert answer.out.splitlines() == ["face 0: can speak on 6 of 6 frames", str(sheet)]
        sheets.append(cv2.imread(str(sheet)))
    assert (sheets[0] != sheets[1]).any()  # the outlines differ
    require_one_line(musetalk("track", place.face, "--mask", "jaw", "--quiet"), "'jaw'", "parser")
    require_one_line(musetalk("track", place.wall, "--quiet"), "No face")


def test_a_released_run_needs_no_other_flags(musetalk, place: Place, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    arguments = ("dub", place.face, place.speech, "-o", tmp_path / "out.mkv", "--model", place.model, "--quiet")
    assert musetalk(*arguments, "--released").code == 0


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("nowhere.mp4", ("nowhere.mp4", "does not exist")),
        ("notes.mp4", ("notes.mp4", "video")),
        ("speech.wav", ("speech.wav", "no video track")),
        ("empty.mp4", ("empty.mp4",)),
        ("broken.png", ("broken.png", "image")),
        ("no frames", ("no frames", "holds no images")),
    ],
)
def test_what_is_no_footage(musetalk, place: Place, source: str, words: tuple[str, ...]) -> None:  # type: ignore[no-untyped-def]
    (place.folder / "notes.mp4").write_text("Dear diary", encoding="utf-8")
    (place.folder / "empty.mp4").touch()
    (place.folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nand no more")
    (place.folder / "no frames").mkdir(exist_ok=True)
    out = place.folder / "out.mp4"
    require_one_line(musetalk("dub", place.folder / source, place.speech, "-o", out, "--model", place.model), *words)
    assert not out.exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--crf", "99"], ("crf", "from 0 to 51")),
        (["--feather", "nan"], ("feather",)),
        (["--batch-size", "0"], ("batch_size",)),
        (["--face", "the tall one"], ("--face", "largest, all")),
        (["--face", "-1"], ("--face", "largest, all")),
        (["--face", "3"], ("no face number 3", "shows 1")),
        (["--mask", "small.png"], ("64x48", "224x224")),
        (["--mask", "beard"], ("--mask beard", "landmarks, mouth")),
        (["--mask", "jaw"], ("'jaw'", "--parser")),
        (["--parser", "nowhere.pth"], ("nowhere.pth",)),
        (["--device", "abacus"], ("'abacus'", "--device cpu")),
        (["--bbox-shift", "5"], ("bbox_shift",)),
        (["--avatar", "nowhere.safetensors"], ("nowhere.safetensors",)),
        (["--avatar", "speech.wav"], ("speech.wav",)),
        (["--json", "nowhere/report.json"], ("nowhere", "--json")),
    ],
)
def test_options_that_cannot_be(  # type: ignore[no-untyped-def]
    musetalk, place: Place, monkeypatch: pytest.MonkeyPatch, more: list[str], words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(place.folder)
    cv2.imwrite("small.png", np.zeros((48, 64, 3), np.uint8))
    arguments = ("dub", place.face, place.speech, "-o", "out.mkv", "--model", place.model, "--quiet", *more)
    require_one_line(musetalk(*arguments), *words)
    assert not Path("out.mkv").exists()


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("nowhere/out.mp4", ("nowhere", "does not exist")),
        ("speech.wav/out.mp4", ("speech.wav", "does not exist")),
        ("out.gif", ("out.gif", ".mp4, .mov, .mkv")),
        ("out", (".mp4, .mov, .mkv",)),
        ("a folder.mp4", ("is a folder",)),
        ("face.mkv", ("face.mkv", "another output")),
    ],
)
def test_outputs_that_cannot_be(  # type: ignore[no-untyped-def]
    musetalk, place: Place, output: str, words: tuple[str, ...]
) -> None:
    (place.folder / "a folder.mp4").mkdir(exist_ok=True)
    before = place.face.read_bytes()
    # The model does not exist either: places are looked at before anything slow is done.
    answer = musetalk("dub", place.face, place.speech, "-o", place.folder / output, "--model", "nowhere")
    require_one_line(answer, *words)
    assert place.face.read_bytes() == before


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_a_folder_without_rights(musetalk, place: Place, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    tmp_path.chmod(0o500)
    try:
        answer = musetalk("dub", place.face, place.speech, "-o", tmp_path / "out.mp4", "--model", place.model)
    finally:
        tmp_path.chmod(0o700)
    require_one_line(answer, "may not be written to")


def test_models_that_cannot_be(musetalk, place: Place, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    def dub(model: object, *more: object) -> Answer:
        return musetalk("dub", place.face, place.speech, "-o", tmp_path / "out.mkv", "--quiet", "--model", model, *more)

    require_one_line(dub(tmp_path / "nowhere"), "There is no model", "nano, 1.0, 1.5")
    require_one_line(dub(tmp_path), "holds no U-Net", "unet.safetensors")
    require_one_line(dub("1.5", "--models-dir", tmp_path), "musetalkV15", "models get")
    require_one_line(dub(place.model / "vae.safetensors"), "vae.safetensors is a tiny VAE", "not a MuseTalk U-Net")
    require_one_line(dub(place.model, "--vae", place.model / "unet.safetensors"), "is a MuseTalk U-Net, not a")
    require_one_line(dub(place.model, "--recipe", "1.5"), "recipe nano, not 1.5")
    for name in ("unet.safetensors", "vae.safetensors", "audio_encoder.safetensors"):
        shutil.copy(place.model / name, tmp_path / name)
    whole = (tmp_path / "unet.safetensors").read_bytes()
    (tmp_path / "unet.safetensors").write_bytes(whole[: len(whole) // 2])
    require_one_line(dub(tmp_path), "unet.safetensors")
    (tmp_path / "unet.safetensors").write_text("no weights at all", encoding="utf-8")
    require_one_line(dub(tmp_path), "unet.safetensors")
    assert not (tmp_path / "out.mkv").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere.wav", ("nowhere.wav", "does not exist")),
        ("wall.mkv", ("wall.mkv", "has no sound")),
        ("zero.wav", ("zero.wav", "no samples")),
        ("nan.wav", ("nan.wav", "NaN")),
        ("notes.txt", ("notes.txt",)),
    ],
)
def test_sounds_that_cannot_be(musetalk, place: Place, name: str, words: tuple[str, ...]) -> None:  # type: ignore[no-untyped-def]
    spoiled = buzz(0.2)
    spoiled[1000] = np.nan
    soundfile.write(place.folder / "nan.wav", spoiled, 16_000, subtype="FLOAT")
    soundfile.write(place.folder / "zero.wav", spoiled[:0], 16_000)
    (place.folder / "notes.txt").write_text("la la la", encoding="utf-8")
    out = place.folder / "out.mkv"
    arguments = ("dub", place.face, place.folder / name, "-o", out, "--model", place.model, "--quiet")
    require_one_line(musetalk(*arguments), *words)
    assert not out.exists()


@pytest.mark.parametrize(
    ("rate", "channels", "seconds", "loud", "frames"),
    [
        (16_000, 1, 0.02, 1, 1),  # shorter than one frame: one frame
        (16_000, 1, 0.2, 0, 5),
        (44_100, 2, 0.2, 1, 5),
        (96_000, 6, 0.2, 1, 5),
        (8_000, 1, 0.2, 1, 5),
    ],
)
def test_odd_sounds_have_a_result(  # type: ignore[no-untyped-def]
    musetalk, place: Place, tmp_path: Path, rate: int, channels: int, seconds: float, loud: int, frames: int
) -> None:
    soundfile.write(tmp_path / "a.wav", buzz(seconds, rate, channels) * loud, rate)
    out = tmp_path / "out.mkv"
    answer = musetalk(
        *("dub", place.face, tmp_path / "a.wav", "-o", out, "--model", place.model),
        *("--sync-mode", "cut_off", "--lossless", "--quiet"),
    )
    assert (answer.code, answer.err) == (0, "")
    before, after = frames_of(place.face), frames_of(out)
    assert len(after) == frames
    assert (before[:frames] != after).any(axis=(1, 2, 3)).all()


def test_no_face_is_refused_or_passes(musetalk, place: Place, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    arguments = ("dub", place.wall, place.speech, "-o", tmp_path / "out.mkv", "--model", place.model, "--quiet")
    require_one_line(musetalk(*arguments), "No face")
    assert list(tmp_path.iterdir()) == []
    assert musetalk(*arguments, "--no-face", "pass", "--lossless").code == 0
    assert (frames_of(tmp_path / "out.mkv") == frames_of(place.wall)).all()


def start(arguments: Sequence[object], folder: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "musetalk_core", *map(str, arguments)]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_kill_in_the_middle_leaves_no_part_under_the_final_name(  # type: ignore[no-untyped-def]
    musetalk, place: Place, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "long.wav", buzz(12), 16_000)
    out = tmp_path / "out.mkv"
    dub = ("dub", place.face, tmp_path / "long.wav", "-o", out, "--model", place.model, "--quiet")
    process = start(dub, tmp_path)
    deadline = time.monotonic() + 120
    while not any(path.name.startswith(".") for path in tmp_path.iterdir()):
        assert process.poll() is None, "it ended before it wrote anything"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
    left = [path.name for path in tmp_path.iterdir() if path.name != "long.wav"]
    assert len(left) == 1, left
    assert left[0].startswith("."), left  # hidden, under a name of its own
    again = ("dub", place.face, place.speech, *dub[3:])
    assert musetalk(*again).code == 0
    assert len(frames_of(out)) == FRAMES
