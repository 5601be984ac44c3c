"""Writing video: exact pixels and times, honest colours, whole files or none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musetalk_core.errors import MediaError, OptionError
from musetalk_core.timeline import Clock
from musetalk_core.video.probe import ColourTags, probe
from musetalk_core.video.read import open_footage
from musetalk_core.video.write import VideoWriter, WriteOptions

NTSC = Fraction(30000, 1001)
FAST = WriteOptions(preset="ultrafast")
LOSSLESS = WriteOptions(preset="ultrafast", lossless=True)
BT709 = ColourTags(1, 1, 1, 1)
VARIABLE = Clock(np.array([0, 500, 1100, 1500, 2900, 3300, 4950, 7000]), Fraction(1, 1536))
SUFFIXES = (".mp4", ".mov", ".mkv")


def noise(n: int = 7, width: int = 64, height: int = 48) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, height, width, 3), dtype=np.uint8)


def smooth(n: int = 7, width: int = 64, height: int = 48) -> np.ndarray:
    """Frames that lossy coding keeps nearly as they are."""
    frames = np.empty((n, height, width, 3), np.uint8)
    frames[..., 0] = np.linspace(20, 230, width)[None, None]
    frames[..., 1] = np.linspace(200, 60, height)[None, :, None]
    frames[..., 2] = 90 + 4 * np.arange(n)[:, None, None]
    return frames


def write(
    path: Path, frames: np.ndarray, clock: Clock | None = None, options: WriteOptions = FAST, **rest: object
) -> Path:
    height, width = frames.shape[1:3]
    with VideoWriter(path, width, height, clock or Clock.regular(len(frames), NTSC), options, **rest) as writer:
        for start in range(0, len(frames), 3):
            writer.write(frames[start : start + 3])
    return path


def decoded(path: Path) -> np.ndarray:
    """By PyAV alone, in its default conversion: what "bit-identical" means."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


@pytest.mark.parametrize("colours", [None, BT709, ColourTags(), ColourTags(5, 6, 5, 2)])
@pytest.mark.parametrize("size", [(64, 48), (63, 47), (3, 2), (17, 64)])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_lossless_is_bit_identical(suffix: str, size: tuple[int, int], colours: ColourTags, tmp_path: Path) -> None:
    frames = noise(5, *size)
    path = write(tmp_path / f"v{suffix}", frames, None, LOSSLESS, colours=colours)
    assert (decoded(path) == frames).all()
    assert (open_footage(path).read(range(5)) == frames).all()


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize(
    "rate", [Fraction(24000, 1001), Fraction(25), NTSC, Fraction(60000, 1001), Fraction(2997, 100)]
)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_constant_rate_is_exact(suffix: str, rate: Fraction, lossless: bool, tmp_path: Path) -> None:
    options = LOSSLESS if lossless else WriteOptions(preset="veryfast")
    info = probe(write(tmp_path / f"v{suffix}", smooth(90), Clock.regular(90, rate), options))
    assert info.frames == 90
    assert info.start == 0
    assert info.fps == rate or (suffix == ".mkv" and rate == Fraction(2997, 100) and info.fps == NTSC)


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_variable_clock_comes_back(suffix: str, lossless: bool, tmp_path: Path) -> None:
    path = write(tmp_path / f"v{suffix}", smooth(7), VARIABLE, LOSSLESS if lossless else WriteOptions(preset="medium"))
    clock = probe(path).clock
    wanted = VARIABLE.ticks * float(VARIABLE.time_base)
    rounding = 0.0011 if suffix == ".mkv" else 0
    assert np.abs(clock.ticks * float(clock.time_base) - wanted).max() <= rounding  # the last frame's end too
    assert clock.time_base == Fraction(1, 1000) or clock.seconds == VARIABLE.seconds


@given(st.lists(st.integers(1, 4000), min_size=1, max_size=12), st.sampled_from([600, 1536, 15360, 90000]))
@settings(max_examples=15, deadline=None)
def test_any_variable_clock_keeps_its_times(durations: list[int], base: int) -> None:
    import tempfile

    ticks = np.concatenate([[0], np.cumsum([200 + d for d in durations])])
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "v.mp4", smooth(len(durations), 16, 16), Clock(ticks, Fraction(1, base)))
        clock = probe(path).clock
    if clock.variable:
        assert (clock.ticks * clock.time_base == ticks * Fraction(1, base)).all()
    else:  # regular up to a tick; of the last frame's own duration nothing depends then
        assert np.abs((clock.ticks * clock.time_base * base - ticks)[:-1]).max() <= 1


@pytest.mark.parametrize(
    ("colours", "size", "kept"),
    [
        (BT709, (64, 48), BT709),
        (ColourTags(6, 6, 6, 1), (64, 48), ColourTags(6, 6, 6, 1)),
        (ColourTags(9, 16, 9, 1), (64, 48), ColourTags(9, 16, 9, 1)),
        (ColourTags(1, 1, 1, 2), (64, 48), ColourTags(1, 1, 1, 2)),
        (ColourTags(), (64, 48), ColourTags()),
        (None, (64, 48), ColourTags(6, 6, 6, 1)),
        (None, (1280, 720), BT709),
        (ColourTags(1, 13, 0, 2), (1280, 720), BT709),  # the source was RGB
    ],
)
def test_tags_are_kept_and_the_pixels_follow_them(
    colours: ColourTags | None, size: tuple[int, int], kept: ColourTags, tmp_path: Path
) -> None:
    frames = smooth(3, *size)
    frames[:, :16, :16] = (255, 0, 0)
    path = write(tmp_path / "v.mp4", frames, None, WriteOptions(preset="ultrafast", crf=1), colours=colours)
    assert probe(path).colours == kept
    back = open_footage(path).read([1])[0].astype(int)
    assert np.abs(back - frames[1]).mean() < 2.5
    assert np.abs(back[4:12, 4:12] - (255, 0, 0)).max() <= 5  # pure red stays red


def test_odd_sizes_are_kept(tmp_path: Path) -> None:
    info = probe(write(tmp_path / "v.mp4", smooth(3, 63, 47)))
    assert (info.width, info.height, info.pixel_format) == (63, 47, "yuv444p")
    assert probe(write(tmp_path / "e.mp4", smooth(3))).pixel_format == "yuv420p"


def test_the_pixel_shape_is_kept(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        path = write(tmp_path / f"v{suffix}", smooth(3), pixel_aspect=Fraction(16, 11))
        assert probe(path).pixel_aspect == Fraction(16, 11)


def test_crf_and_preset_count(tmp_path: Path) -> None:
    sizes = [
        write(tmp_path / f"{crf}.mp4", noise(10), None, WriteOptions(crf=crf, preset="ultrafast")).stat().st_size
        for crf in (10, 40)
    ]
    assert sizes[0] > 2 * sizes[1]
    with pytest.raises(OptionError):
        WriteOptions(crf=52)
    with pytest.raises(OptionError):
        WriteOptions(preset="warp")  # type: ignore[arg-type]


# --- whole files or none ---


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class HostCancel(BaseException):
    """As ComfyUI's interrupt since 0.20."""


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, HostCancel, GeneratorExit])
@pytest.mark.parametrize("after", [0, 1, 60])
def test_an_exception_leaves_nothing_and_what_was_there_stays(
    error: type[BaseException], after: int, tmp_path: Path
) -> None:
    path = tmp_path / "v.mp4"
    path.write_bytes(b"what was there before")
    threads = threading.active_count()
    started = time.monotonic()
    with pytest.raises(error), VideoWriter(path, 64, 48, Clock.regular(100, NTSC), FAST) as writer:  # noqa: PT012
        writer.write(smooth(after))
        assert not path.name.startswith(".")
        raise error
    assert time.monotonic() - started < 5
    assert files(tmp_path) == ["v.mp4"]
    assert path.read_bytes() == b"what was there before"
    assert threading.active_count() == threads


def test_nothing_stands_under_the_name_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    with VideoWriter(path, 64, 48, Clock.regular(4, NTSC), FAST) as writer:
        writer.write(smooth(4))
        assert not path.exists()
        assert all(name.startswith(".") for name in files(tmp_path))
    assert files(tmp_path) == ["v.mp4"]


@pytest.mark.parametrize("count", [0, 3, 5, 8])
def test_another_number_of_frames_than_the_clock_has_is_refused(count: int, tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "v.mp4", 64, 48, Clock.regular(4, NTSC), FAST)
    with pytest.raises(MediaError, match="4"), writer:  # noqa: PT012
        for frame in smooth(8)[:count]:
            writer.write(frame[None])
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    "frames", [np.zeros((1, 48, 63, 3), np.uint8), np.zeros((1, 48, 64, 3)), np.zeros((1, 48, 64, 4), np.uint8)]
)
def test_frames_that_do_not_fit_are_refused(frames: np.ndarray, tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "v.mp4", 64, 48, Clock.regular(1, NTSC), FAST)
    with pytest.raises(MediaError, match="64x48"), writer:
        writer.write(frames)
    assert files(tmp_path) == []


def test_two_runs_at_once_do_not_collide(tmp_path: Path) -> None:
    path = tmp_path / "v.mkv"
    one, two = noise(6), noise(6)[::-1].copy()
    clock = Clock.regular(6, NTSC)
    with VideoWriter(path, 64, 48, clock, LOSSLESS) as first:
        first.write(one[:3])
        with VideoWriter(path, 64, 48, clock, LOSSLESS) as second:
            second.write(two)
        assert (decoded(path) == two).all()
        first.write(one[3:])
    assert (decoded(path) == one).all()
    assert files(tmp_path) == ["v.mkv"]


def test_a_video_may_be_written_over_its_own_source(tmp_path: Path) -> None:
    path = write(tmp_path / "v.mkv", noise(6), None, LOSSLESS)
    footage = open_footage(path)
    with VideoWriter(path, 64, 48, footage.clock, LOSSLESS) as writer:
        for i in range(6):
            writer.write(255 - footage.read([i]))
    assert (decoded(path) == 255 - noise(6)).all()


@pytest.mark.parametrize(
    "name",
    [
        "with space.mp4",
        "%08d.mp4",
        "\u89c6\u9891 \u4e2d\u6587.mp4",
        "emoji \U0001f600.mkv",
        "a:b.mp4",
        "a.mp4; touch x; .mp4",
        "-y.mov",
        "n" * 240 + ".mp4",
    ],
)
def test_any_file_name_works(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path(name), smooth(3))
    assert files(tmp_path) == [name]
    assert probe(name).frames == 3


def test_where_nothing_can_be_written_is_refused(tmp_path: Path) -> None:
    clock = Clock.regular(1, NTSC)
    for path in (tmp_path / "no" / "v.mp4", tmp_path / "v.webm", tmp_path / "v", tmp_path / "v.mp4"):
        if path.name == "v.mp4" and path.parent == tmp_path:
            path.mkdir()
        with pytest.raises(MediaError) as caught:
            VideoWriter(path, 64, 48, clock, FAST)
        assert caught.value.fix
    assert files(tmp_path) == ["v.mp4"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(MediaError, match="access denied"):
            write(tmp_path / "v.mp4", smooth(1))
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = VideoWriter(tmp_path / "v.mkv", 320, 240, Clock.regular(40, NTSC), LOSSLESS)
    monkeypatch.setattr(writer, "_part", tmp_path / ".part.mkv")
    (tmp_path / ".part.mkv").symlink_to("/dev/full")
    with pytest.raises(MediaError, match=r"v\.mkv cannot be written"), writer:
        writer.write(noise(40, 320, 240))
    assert files(tmp_path) == []


KILLED = """
import sys
from fractions import Fraction
import numpy as np
from musetalk_core.timeline import Clock
from musetalk_core.video.write import VideoWriter, WriteOptions
frames = np.random.default_rng(0).integers(0, 256, (20, 240, 320, 3), dtype=np.uint8)
with VideoWriter(sys.argv[1], 320, 240, Clock.regular(10**6, Fraction(25)), WriteOptions(preset="ultrafast")) as writer:
    while True:
        writer.write(frames)
        print("alive", flush=True)
"""


def test_a_killed_run_leaves_nothing_under_the_name_and_the_next_one_works(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, cwd=root)
    assert process.stdout is not None
    for _ in range(3):
        assert process.stdout.readline() == b"alive\n"
    process.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    process.wait(10)
    process.stdout.close()
    assert not path.exists()
    write(path, smooth(3))
    assert probe(path).frames == 3
