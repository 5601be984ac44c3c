"""The sound beside a written video: starts with frame 0, copied where it can be, cut where it is asked to be."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from musetalk_core.audio.read import read_audio
from musetalk_core.audio.write import Sound
from musetalk_core.errors import MediaError
from musetalk_core.timeline import Clock
from musetalk_core.video.probe import probe
from musetalk_core.video.write import VideoWriter, WriteOptions

FPS = Fraction(25)
AT = 0.5  # s, where the click is
FAST = WriteOptions(preset="ultrafast")
LOSSLESS = WriteOptions(preset="ultrafast", lossless=True)

# file, codec, rate, layout
SOURCES = [
    ("a.wav", "pcm_s16le", 44100, "stereo"),
    ("f32.wav", "pcm_f32le", 96000, "5.1"),
    ("u8.wav", "pcm_u8", 8000, "mono"),
    ("odd.wav", "pcm_s16le", 37800, "mono"),
    ("a.flac", "flac", 44100, "stereo"),
    ("a.m4a", "aac", 44100, "stereo"),
    ("a51.mp4", "aac", 48000, "5.1"),
    ("low.m4a", "aac", 16000, "mono"),
    ("a.mp3", "libmp3lame", 44100, "stereo"),
    ("a.ogg", "libopus", 48000, "stereo"),
    ("a.webm", "libopus", 48000, "mono"),
    ("alac.m4a", "alac", 44100, "stereo"),
]
COPIED = {
    ".mp4": {"aac", "mp3", "opus", "flac", "alac"},
    ".mov": {"aac", "mp3", "alac"},
    ".mkv": {"aac", "mp3", "opus", "flac", "alac", "pcm_s16le", "pcm_f32le", "pcm_u8"},
}


def click(rate: int, channels: int, seconds: float = 1.2) -> np.ndarray:
    samples = np.zeros((channels, round(rate * seconds)), np.float32)
    samples[:, round(rate * AT)] = 0.9
    return samples


def write_source(path: Path, codec: str, rate: int, layout: str) -> Path:
    samples = click(rate, av.AudioLayout(layout).nb_channels)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        to_encoder = av.AudioResampler(format=stream.format, layout=layout, rate=rate)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        for converted in to_encoder.resample(frame):
            container.mux(stream.encode(converted))
        container.mux(stream.encode(None))
    return path


def write(path: Path, sound: Sound, options: WriteOptions = FAST, frames: int = 30) -> Path:
    with VideoWriter(path, 32, 32, Clock.regular(frames, FPS), options, sound=sound) as writer:
        writer.write(np.zeros((frames, 32, 32, 3), np.uint8))
    return path


def codec_of(path: Path) -> str:
    with av.open(str(path)) as container:
        return container.streams.audio[0].codec_context.codec.canonical_name


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source[0])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_uncut_sound_starts_with_the_first_frame(
    suffix: str, source: tuple[str, str, int, str], tmp_path: Path
) -> None:
    name, codec, rate, layout = source
    if codec not in av.codecs_available:
        pytest.skip(f"{codec} is not in this PyAV")
    given = write_source(tmp_path / name, codec, rate, layout)
    path = write(tmp_path / f"v{suffix}", Sound(given))
    info = probe(path)
    assert info.frames == 30
    assert info.fps == FPS
    clip = read_audio(path)
    assert abs(np.abs(clip.samples).argmax() / clip.rate - AT) <= 0.001
    assert abs(float(clip.seconds) - 1.2) <= 0.03
    if codec_of(given) in COPIED[suffix]:
        assert codec_of(path) == codec_of(given)
        assert len(packets(path)) == len(packets(given))
        if codec_of(given) != "pcm_s16le":  # Matroska may join PCM packets otherwise
            assert packets(path) == packets(given)
    else:
        assert codec_of(path) == "aac"
        assert info.sounds[0].rate == min(48000, rate if rate != 37800 else 48000)
        assert info.sounds[0].channels == av.AudioLayout(layout).nb_channels


@pytest.mark.parametrize("source", SOURCES[:9:2], ids=lambda source: source[0])
@pytest.mark.parametrize(("suffix", "options"), [(".mp4", FAST), (".mov", FAST), (".mkv", LOSSLESS)])
def test_a_cut_is_exact(suffix: str, options: WriteOptions, source: tuple[str, str, int, str], tmp_path: Path) -> None:
    given = write_source(tmp_path / source[0], *source[1:])
    path = write(tmp_path / f"v{suffix}", Sound(given, Fraction(7, 10)), options, 10)
    clip = read_audio(path)
    assert abs(np.abs(clip.samples).argmax() / clip.rate - AT) <= 0.001
    assert abs(float(clip.seconds) - 0.7) <= 1 / 8000
    assert codec_of(path) == ("pcm_f32le" if suffix == ".mkv" else "aac")


def test_lossless_sound_keeps_every_sample(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(-(2**15), 2**15, (2, 30000)).astype(np.float32) / 2**15
    path = write(tmp_path / "v.mkv", Sound(waveform=noise, rate=44100, cut=Fraction(1, 2)), LOSSLESS)
    with av.open(str(path)) as container:
        stored = np.concatenate([frame.to_ndarray().reshape(-1, 2) for frame in container.decode(audio=0)])
    assert np.array_equal(stored.T, noise[:, :22050])


def test_a_cut_beyond_the_end_cuts_nothing(tmp_path: Path) -> None:
    given = write_source(tmp_path / "a.m4a", "aac", 44100, "mono")
    assert packets(write(tmp_path / "v.mp4", Sound(given, Fraction(5)))) == packets(given)


@pytest.mark.parametrize("frames", [1, 5, 120])
def test_sound_and_picture_may_differ_in_length(frames: int, tmp_path: Path) -> None:
    path = write(tmp_path / "v.mp4", Sound(waveform=click(44100, 2), rate=44100), FAST, frames)
    assert probe(path).frames == frames
    assert abs(float(read_audio(path).seconds) - 1.2) < 0.001


def test_sound_lies_beside_its_pictures_in_the_file(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 44100 * 12)).astype(np.float32)
    path = tmp_path / "v.mp4"
    with VideoWriter(path, 64, 64, Clock.regular(300, FPS), FAST, sound=Sound(waveform=noise, rate=44100)) as writer:
        for _ in range(30):
            writer.write(np.random.default_rng(0).integers(0, 256, (10, 64, 64, 3), dtype=np.uint8))
    with av.open(str(path)) as container:
        places = sorted((p.pos, p.stream.type, float(p.pts * p.time_base)) for p in container.demux() if p.size)
    ahead = 0.0
    latest = {"video": 0.0, "audio": 0.0}
    for _, kind, seconds in places:
        latest[kind] = seconds
        ahead = max(ahead, abs(latest["video"] - latest["audio"]))
    assert ahead < 1.5


def test_the_sound_of_a_video_keeps_its_offset(tmp_path: Path) -> None:
    first = write(tmp_path / "first.mp4", Sound(write_source(tmp_path / "a.m4a", "aac", 44100, "mono")))
    late = tmp_path / "late.mp4"
    with av.open(str(first)) as given, av.open(str(late), "w") as container:
        streams = {s.index: container.add_stream_from_template(s) for s in given.streams}
        for packet in given.demux():
            if packet.size:
                if packet.stream.type == "audio":
                    packet.pts += 8820  # 0.2 s
                    packet.dts += 8820
                packet.stream = streams[packet.stream.index]
                container.mux(packet)
    for suffix in (".mp4", ".mkv"):
        samples = read_audio(write(tmp_path / f"v{suffix}", Sound(late))).samples
        assert abs(np.abs(samples).argmax() / 16000 - AT - 0.2) <= 0.001
        cut = read_audio(write(tmp_path / f"c{suffix}", Sound(late, Fraction(9, 10)))).samples
        assert abs(np.abs(cut).argmax() / 16000 - AT - 0.2) <= 0.001


def test_what_is_no_sound_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    silent = tmp_path / "silent.mp4"
    with VideoWriter(silent, 32, 32, Clock.regular(2, FPS), FAST) as writer:
        writer.write(np.zeros((2, 32, 32, 3), np.uint8))
    cut = tmp_path / "cut.m4a"
    cut.write_bytes(write_source(tmp_path / "b.m4a", "aac", 44100, "mono").read_bytes()[:-200])
    folder = tmp_path / "out"
    folder.mkdir()
    for given in (silent, tmp_path / "missing.wav", cut):
        with pytest.raises(MediaError, match=given.name):
            write(folder / "v.mp4", Sound(given))
    assert list(folder.iterdir()) == []


def test_a_sound_is_either_a_file_or_a_waveform() -> None:
    with pytest.raises(MediaError):
        Sound()
    with pytest.raises(MediaError):
        Sound(Path("a.wav"), waveform=np.zeros((1, 10), np.float32), rate=8000)
    with pytest.raises(MediaError):
        Sound(waveform=np.zeros((1, 0), np.float32), rate=8000)
    with pytest.raises(MediaError):
        Sound(Path("a.wav"), Fraction(0))
