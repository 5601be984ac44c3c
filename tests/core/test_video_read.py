"""Reading footage: every container and codec, exact times, any order, clear refusals."""

from __future__ import annotations

import hashlib
import random
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musetalk_core.errors import MediaError
from musetalk_core.video.probe import Orientation, probe
from musetalk_core.video.read import ArrayFootage, ImageFootage, VideoFootage, open_footage
from musetalk_core.video.timing import STANDARD_RATES, constant_rate, frame_clock

FRAMES = 40
NTSC = Fraction(30000, 1001)
X265 = {"x265-params": "log-level=none:keyint=12:pools=1"}
AV1 = {"preset": "12", "g": "12"}

# file, encoder, pixel format, encoder options
KINDS: list[tuple[str, str, str, dict[str, str]]] = [
    ("h264.mp4", "libx264", "yuv420p", {"g": "12", "bf": "3"}),
    ("h264.mov", "libx264", "yuv444p", {"g": "12"}),
    ("h264_10.mkv", "libx264", "yuv420p10le", {"g": "12"}),
    ("open_gop.mp4", "libx264", "yuv420p", {"g": "12", "bf": "3", "x264-params": "open-gop=1"}),
    ("one_key.mkv", "libx264", "yuv420p", {"g": "1000", "bf": "8"}),
    ("hevc.mp4", "libx265", "yuv420p", X265),  # open groups of pictures are its default
    ("hevc_10.mkv", "libx265", "yuv420p10le", X265),
    ("vp9.webm", "libvpx-vp9", "yuv420p", {"g": "12", "cpu-used": "8", "lag-in-frames": "10"}),
    ("vp9_alpha.webm", "libvpx-vp9", "yuva420p", {"g": "12", "cpu-used": "8"}),
    ("vp8.webm", "libvpx", "yuv420p", {"g": "12", "cpu-used": "8", "auto-alt-ref": "1", "lag-in-frames": "10"}),
    ("av1.mp4", "libsvtav1", "yuv420p10le", AV1),
    ("av1.webm", "libsvtav1", "yuv420p", AV1),
    ("prores.mov", "prores_ks", "yuv422p10le", {}),
    ("prores_alpha.mov", "prores_ks", "yuva444p10le", {"profile": "4444"}),
    ("mpeg1.mpg", "mpeg1video", "yuv420p", {"g": "12", "bf": "2"}),
    ("mpeg2.mpg", "mpeg2video", "yuv420p", {"g": "12", "bf": "2"}),
    ("mpeg4.avi", "mpeg4", "yuv420p", {"g": "12", "bf": "2"}),
    ("mpeg4.mp4", "mpeg4", "yuv420p", {"g": "12"}),
    ("mjpeg.avi", "mjpeg", "yuvj420p", {}),
    ("mjpeg.mov", "mjpeg", "yuvj422p", {}),
    ("ffv1.mkv", "ffv1", "bgr0", {}),
    ("png_alpha.mov", "png", "rgba", {}),
]


def pictures(n: int = FRAMES, width: int = 64, height: int = 48) -> np.ndarray:
    """Frames that all differ: a moving bar over a gradient and a little noise."""
    rng = np.random.default_rng(0)
    frames = np.empty((n, height, width, 3), np.uint8)
    frames[..., 0] = np.linspace(0, 255, width)[None, None]
    frames[..., 1] = np.linspace(255, 0, height)[None, :, None]
    frames[..., 2] = rng.integers(0, 40, (n, height, width))
    for i, frame in enumerate(frames):
        frame[:, (3 * i) % width] = (255, 5 * i % 256, 0)
    return frames


def write_video(
    path: Path,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    *,
    frames: np.ndarray | None = None,
    rate: Fraction = Fraction(25),
    times: list[int] | None = None,
    time_base: Fraction | None = None,
    tags: tuple[int, int, int, int] | None = None,
    **kwargs: Any,
) -> Path:
    """Encode with PyAV alone; `tags` are primaries, transfer, matrix, range."""
    frames = pictures() if frames is None else frames
    with av.open(str(path), "w", options=kwargs) as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels
        context = stream.codec_context
        context.time_base = time_base or 1 / rate
        if tags is not None:
            context.color_primaries, context.color_trc, context.colorspace, context.color_range = tags
        for i, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = times[i] if times else i
            frame.time_base = context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def decoded(path: Path) -> tuple[list[int], np.ndarray]:
    """Times and pictures by PyAV's own sequential decoding, in its default conversion."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        return [frame.pts for frame in frames], np.stack([frame.to_ndarray(format="rgb24") for frame in frames])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind[0])
def test_every_kind_reads_like_sequential_decoding_in_any_order(kind: tuple[Any, ...], tmp_path: Path) -> None:
    name, codec, pixels, options = kind
    if codec not in av.codecs_available:
        pytest.skip(f"{codec} is not in this PyAV")
    path = write_video(tmp_path / name, codec, pixels, options, rate=NTSC)
    times, wanted = decoded(path)
    info = probe(path)
    assert info.frames == len(times) == FRAMES
    assert info.pts.tolist() == times
    assert info.fps == NTSC
    assert not info.clock.variable
    assert (info.bit_depth > 8) == ("10" in pixels)

    footage = open_footage(path)
    assert (footage.read(range(FRAMES)) == wanted).all()
    backwards = [footage.read([i])[0] for i in range(FRAMES - 1, -1, -1)]
    assert (np.stack(backwards[::-1]) == wanted).all()
    order = random.Random(1).choices(range(FRAMES), k=40)
    assert (footage.read(order) == wanted[order]).all()
    for i in (0, FRAMES - 1, 0, 0, 17, 18, 17):
        assert (footage.read([i])[0] == wanted[i]).all()


def test_backwards_reading_keeps_to_the_byte_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "v.mp4", options={"g": "1000"})
    monkeypatch.setattr("musetalk_core.video.read.STRETCH_BYTES", 64 * 48 * 3 // 2 * 7)
    _, wanted = decoded(path)
    footage = VideoFootage(path)
    bounce = [*range(FRAMES), *range(FRAMES - 2, -1, -1), *range(1, FRAMES)]
    for i in bounce:
        assert (footage.read([i])[0] == wanted[i]).all()
        assert len(footage._kept) <= 7


@pytest.mark.parametrize(
    "rate", [Fraction(24000, 1001), NTSC, Fraction(60000, 1001), Fraction(25), Fraction(2997, 100)]
)
@pytest.mark.parametrize("name", ["v.mp4", "v.mov", "v.mkv", "v.avi"])
def test_the_rate_is_exact(rate: Fraction, name: str, tmp_path: Path) -> None:
    info = probe(write_video(tmp_path / name, options={"preset": "ultrafast"}, rate=rate))
    wanted = NTSC if name == "v.mkv" and rate == Fraction(2997, 100) else rate  # 1 ms cannot tell the two apart
    assert info.fps == wanted
    assert info.frames == FRAMES


def test_a_variable_rate_keeps_its_times(tmp_path: Path) -> None:
    ticks = np.cumsum([0] + [512 * random.Random(3).choice([1, 2, 3]) + 7 * (i % 3) for i in range(FRAMES - 1)])
    path = write_video(
        tmp_path / "v.mp4", options={"bf": "0"}, times=ticks.tolist(), time_base=Fraction(1, 15360), rate=Fraction(30)
    )
    info = probe(path)
    assert info.clock.variable
    assert info.clock.time_base == Fraction(1, 15360)
    assert info.clock.ticks[:-1].tolist() == ticks.tolist()
    assert (open_footage(path).read([5, 3]) == decoded(path)[1][[5, 3]]).all()


@given(
    rate=st.sampled_from([r for r in STANDARD_RATES if r >= 10]),
    base=st.sampled_from([1000, 600, 15360, 90000, 30000, 12800, 1_000_000]),
    frames=st.integers(80, 400),
    down=st.booleans(),
    start=st.integers(0, 10**6),
)
@settings(max_examples=150, deadline=None)
def test_rounding_of_the_time_base_does_not_hide_the_rate(
    rate: Fraction, base: int, frames: int, down: bool, start: int
) -> None:
    exact = [i * base / rate for i in range(frames)]
    pts = np.array([start + (t.__floor__() if down else round(t)) for t in exact], np.int64)
    if (np.diff(pts) > 0).all():
        assert constant_rate(pts, Fraction(1, base), [rate]) == rate


def test_times_rounded_to_ms_and_stored_finer_are_still_regular() -> None:
    pts = np.array([round(i * 1000 / NTSC) for i in range(300)], np.int64)
    assert constant_rate(pts * 16, Fraction(1, 16000), []) == NTSC
    assert constant_rate(pts * 90, Fraction(1, 90000), []) == NTSC


@given(st.lists(st.sampled_from([1, 1, 2]), min_size=20, max_size=60), st.sampled_from([512, 1]))
@settings(max_examples=60, deadline=None)
def test_dropped_frames_make_a_variable_clock(steps: list[int], tick: int) -> None:
    pts = np.cumsum([0, *steps]) * tick
    clock = frame_clock(pts, Fraction(1, 30 * tick), [Fraction(30)], None)
    assert clock.variable == (len(set(steps)) > 1)
    if clock.variable:
        assert clock.ticks[:-1].tolist() == pts.tolist()


def test_one_frame_and_the_last_frames_duration() -> None:
    assert frame_clock(np.array([7]), Fraction(1, 1000), [Fraction(24)], 50).fps == 24
    assert frame_clock(np.array([7]), Fraction(1, 1000), [], 50).fps == 20
    assert frame_clock(np.array([0, 40, 100]), Fraction(1, 1000), [], 33).ticks.tolist() == [0, 40, 100, 133]
    assert frame_clock(np.array([0, 40, 100]), Fraction(1, 1000), [], None).ticks.tolist() == [0, 40, 100, 150]


# Counter-clockwise degrees and the matrix that a phone writes for them: x' = a x + c y, y' = b x + d y, y down.
TURNS = {0: (1, 0, 0, 1), 90: (0, -1, 1, 0), 180: (-1, 0, 0, -1), 270: (0, 1, -1, 0)}


@pytest.mark.parametrize("degrees", TURNS)
def test_rotation_tags_are_applied(degrees: int, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4")
    data = path.read_bytes()
    a, b, c, d = (value << 16 for value in TURNS[degrees])
    upright_matrix = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    where = data.index(upright_matrix, data.index(b"tkhd"))
    path.write_bytes(data[:where] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + data[where + 36 :])
    info = probe(path)
    assert (info.width, info.height) == ((48, 64) if degrees % 180 else (64, 48))
    assert info.rotation == -degrees % 360
    upright = np.rot90(decoded(path)[1], degrees // 90, axes=(1, 2))
    assert (open_footage(path).read([4, 5]) == upright[[4, 5]]).all()


def test_an_orientation_that_mirrors() -> None:
    picture = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    assert (Orientation(flip_x=True).upright(picture) == picture[:, ::-1]).all()
    assert Orientation(turned=True).upright(picture).shape == (3, 2, 3)


@pytest.mark.parametrize(("matrix", "depth"), [(1, "yuv420p"), (6, "yuv420p"), (9, "yuv420p10le"), (2, "yuv420p")])
@pytest.mark.parametrize("colour_range", [1, 2])
def test_colours_follow_the_tags(matrix: int, depth: str, colour_range: int, tmp_path: Path) -> None:
    flat = np.empty((3, 48, 64, 3), np.uint8)
    flat[...] = (200, 60, 30)
    tags = (matrix, matrix if matrix != 9 else 14, matrix, colour_range)
    path = write_video(tmp_path / "v.mp4", pixels=depth, frames=flat, tags=tags, options={"crf": "1"})
    info = probe(path)
    assert info.colours.matrix == matrix
    assert info.colours.range == colour_range or (matrix, info.colours.range) == (2, 0)
    picture = open_footage(path).read([1])[0]
    # By the definition of Y'CbCr, from the planes that were stored.
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    peak = 2 ** (info.bit_depth - 8)
    y, u, v = (np.frombuffer(p, np.uint16 if peak > 1 else np.uint8)[0] / peak for p in frame.planes)
    kr, kb = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593), 2: (0.299, 0.114)}[matrix]
    luma, cb, cr = (
        (y, u - 128, v - 128) if colour_range == 2 else ((y - 16) / 0.859, (u - 128) / 0.878, (v - 128) / 0.878)
    )
    red, blue = luma + 2 * (1 - kr) * cr, luma + 2 * (1 - kb) * cb
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    assert (
        np.abs(picture[20, 20] - np.array([red, green, blue]).clip(0, 255)).max() <= 4
    )  # swscale's; a wrong matrix: 15


def test_alpha_is_dropped_and_odd_sizes_are_kept(tmp_path: Path) -> None:
    frames = pictures(3, 63, 47)
    path = tmp_path / "v.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 63, 47, "rgba"
        for frame in frames:
            rgba = np.concatenate([frame, np.full((47, 63, 1), 128, np.uint8)], axis=2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgba, format="rgba")))
        container.mux(stream.encode(None))
    info = probe(path)
    assert info.alpha
    assert (info.width, info.height) == (63, 47)
    assert (open_footage(path).read(range(3)) == frames).all()


def test_a_rate_replaces_the_times_of_a_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4")
    assert open_footage(path, Fraction(50)).clock.seconds == Fraction(FRAMES, 50)


def test_indices_outside_are_refused(tmp_path: Path) -> None:
    footage = open_footage(write_video(tmp_path / "v.mp4"))
    for index in (-1, FRAMES):
        with pytest.raises(IndexError):
            footage.read([index])


# --- what is no video, or no whole one ---


@pytest.mark.parametrize("name", ["f.mp4", "f.mkv", "f.avi"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.97])
def test_a_truncated_file_is_refused(name: str, share: float, tmp_path: Path) -> None:
    options = {"movflags": "faststart"} if name == "f.mp4" else {}
    whole = write_video(tmp_path / name, "mpeg4" if name == "f.avi" else "libx264", **options).read_bytes()
    path = tmp_path / f"cut_{name}"
    path.write_bytes(whole[: int(len(whole) * share)])
    if name == "f.avi" and share > 0.9:  # an AVI's index stands at its end: what is lost here is not pictures
        assert len(open_footage(path).clock) == FRAMES
        return
    with pytest.raises(MediaError, match="cut_f"):
        open_footage(path).read(range(FRAMES))


def test_damage_names_file_and_frame_and_a_later_read_works(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mov", "mjpeg", "yuvj420p")
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packet = next(p for p in container.demux(video=0) if p.pts and p.pts * p.time_base == Fraction(20, 25))
        data[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    path.write_bytes(data)
    footage = open_footage(path)
    with pytest.raises(MediaError, match=r"v\.mov.*frame \d+") as caught:
        footage.read(range(FRAMES))
    assert caught.value.fix
    assert footage.read([3]).shape == (1, 48, 64, 3)
    assert footage.read([30]).shape == (1, 48, 64, 3)


def test_what_is_no_video_is_refused_with_a_fix(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video at all\n" * 50)
    empty = tmp_path / "empty.mp4"
    empty.write_bytes(b"")
    sound = tmp_path / "sound.wav"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        silence.sample_rate = 8000
        container.mux(stream.encode(silence))
    playlist = tmp_path / "list.mp4"
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    for path in (text, empty, sound, playlist, tmp_path / "missing.mp4"):
        with pytest.raises(MediaError) as caught:
            open_footage(path)
        assert caught.value.fix
        assert path.name in caught.value.what


@pytest.mark.parametrize(
    "name",
    [
        "with space.mp4",
        "%08d.mp4",
        "\u89c6\u9891 \u4e2d\u6587.mp4",
        "emoji \U0001f600.mp4",
        "a:b.mp4",
        "a.mp4; touch x; .mp4",
        "-i.mp4",
        "x?*[1].mkv",
    ],
)
def test_any_file_name_works(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / name
    write_video(tmp_path / "plain.mp4", frames=pictures(3)).rename(path)
    monkeypatch.chdir(tmp_path)
    for spelled in (path, Path(name), str(path)):
        assert open_footage(spelled).read([2]).shape == (1, 48, 64, 3)
    assert sorted(p.name for p in tmp_path.iterdir()) == [name]


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4")
    footage = open_footage(path)
    assert footage.digest() == hashlib.sha256(path.read_bytes()).hexdigest()
    moved = path.rename(tmp_path / "w.mp4")
    assert open_footage(moved).digest() == hashlib.sha256(moved.read_bytes()).hexdigest()


# --- images, folders, arrays ---


def test_an_image_is_one_upright_frame(tmp_path: Path) -> None:
    picture = pictures(1)[0]
    path = tmp_path / "bild \u56fe.png"
    path.write_bytes(cv2.imencode(".png", picture[..., ::-1])[1].tobytes())
    footage = open_footage(path)
    assert len(footage.clock) == 1
    assert (footage.read([0, 0]) == picture).all()

    jpeg = cv2.imencode(".jpg", picture[..., ::-1])[1].tobytes()
    # An EXIF block that says "turn by 90 degrees clockwise" (orientation 6), put behind the JPEG's first marker.
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    turned = tmp_path / "turned.jpg"
    turned.write_bytes(jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:])
    upright = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert (open_footage(turned).read([0])[0] == np.rot90(upright, -1)).all()


def test_an_image_with_alpha_or_16_bit_is_read_as_rgb(tmp_path: Path) -> None:
    picture = pictures(1)[0]
    bgra = np.concatenate([picture[..., ::-1], np.zeros((48, 64, 1), np.uint8)], axis=2)
    for name, stored in (("a.png", bgra), ("b.png", picture[..., ::-1].astype(np.uint16) * 257)):
        (tmp_path / name).write_bytes(cv2.imencode(".png", stored)[1].tobytes())
        assert (open_footage(tmp_path / name).read([0])[0] == picture).all()


def test_a_folder_is_read_in_natural_order(tmp_path: Path) -> None:
    frames = pictures(12)
    for i, frame in enumerate(frames):
        (tmp_path / f"f{i + 1}.png").write_bytes(cv2.imencode(".png", frame[..., ::-1])[1].tobytes())
    (tmp_path / "notes.txt").write_text("not a frame")
    (tmp_path / ".hidden.png").write_bytes(b"junk")
    footage = open_footage(tmp_path, NTSC)
    assert footage.clock.fps == NTSC
    assert (footage.read(range(12)) == frames).all()
    assert (footage.read([11, 2]) == frames[[11, 2]]).all()
    before = footage.digest()
    (tmp_path / "f3.png").write_bytes(cv2.imencode(".png", frames[0])[1].tobytes())
    assert footage.digest() != before


def test_a_folder_with_other_sizes_junk_or_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no images"):
        open_footage(tmp_path)
    (tmp_path / "1.png").write_bytes(cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    (tmp_path / "2.png").write_bytes(cv2.imencode(".png", np.zeros((8, 9, 3), np.uint8))[1].tobytes())
    with pytest.raises(MediaError, match=r"2\.png is 9x8, the first frame 8x8"):
        open_footage(tmp_path).read([0, 1])
    for junk in (b"", b"junk", b"RIFF....WEBPVP8X....ANIM"):
        (tmp_path / "1.png").write_bytes(junk)
        with pytest.raises(MediaError, match=r"1\.png"):
            ImageFootage([tmp_path / "1.png"])


def test_an_array_keeps_its_type_and_is_copied() -> None:
    for dtype in (np.uint8, np.float32):
        frames = np.random.default_rng(0).uniform(0, 1, (5, 4, 6, 4)).astype(dtype)
        footage = ArrayFootage(frames, Fraction(24))
        taken = footage.read([4, 0])
        assert taken.dtype == dtype
        assert (taken == frames[[4, 0], :, :, :3]).all()
        taken[...] = 9
        assert (footage.read([4]) == frames[[4], :, :, :3]).all()
    assert footage.digest() != ArrayFootage(frames[:4], Fraction(24)).digest()
    for wrong in (np.zeros((0, 4, 4, 3), np.uint8), np.zeros((4, 4, 3), np.uint8), np.zeros((1, 4, 4, 3))):
        with pytest.raises(MediaError):
            ArrayFootage(wrong, Fraction(24))


# --- real files ---


def real_clips(assets: Path) -> list[Path]:
    clips = [*assets.glob("edge/*.mp4"), *assets.glob("video/*.mp4"), *assets.glob("video/grid_others/*.mpg")]
    return sorted(path for path in clips if path.stat().st_size < 3_000_000)


def test_real_clips_have_the_frames_that_decoding_gives(assets: Path) -> None:
    for path in [assets / "edge/ntsc_2997.mp4", assets / "edge/face_gap.mp4", *assets.glob("video/grid_others/l*.mpg")]:
        assert probe(path).pts.tolist() == decoded(path)[0], path


def test_real_rates(assets: Path) -> None:
    assert probe(assets / "edge/ntsc_2997.mp4").fps == Fraction(2997, 100)
    variable = probe(assets / "video/videoretalking_1.mp4")
    assert variable.clock.variable
    assert variable.frames == 135
    assert 22.1 < variable.fps < 22.3


@pytest.mark.slow
def test_every_real_clip_in_every_order(assets: Path) -> None:
    for path in real_clips(assets):
        info = probe(path)
        footage = open_footage(path)
        pick = sorted(random.Random(0).sample(range(info.frames), 10))
        truth = {}
        with av.open(str(path)) as container:
            container.streams.video[0].thread_type = "AUTO"
            times = []
            for i, frame in enumerate(container.decode(video=0)):
                times.append(frame.pts)
                if i in pick:
                    truth[i] = info.orientation.upright(frame.to_ndarray(format="rgb24"))
        assert times == info.pts.tolist(), path
        for order in (pick, pick[::-1], random.Random(1).sample(pick, 10)):
            for i in order:
                assert (footage.read([i])[0] == truth[i]).all(), (path, i)
