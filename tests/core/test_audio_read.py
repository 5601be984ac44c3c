"""Reading sound: any file to mono 16 kHz, in time to the millisecond, or one clear message."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musetalk_core.audio.decode import sound_format
from musetalk_core.audio.read import read_audio
from musetalk_core.audio.resample import resampled, speech_clip, speech_samples
from musetalk_core.errors import MediaError
from musetalk_core.types import SPEECH_RATE

# file, codec, rate, layout, whether the file says exactly where its sound begins and ends
KINDS = [
    ("a.wav", "pcm_s16le", 44100, "stereo", True),
    ("u8.wav", "pcm_u8", 8000, "mono", True),
    ("s24.wav", "pcm_s24le", 48000, "stereo", True),
    ("s32.wav", "pcm_s32le", 16000, "mono", True),
    ("f32.wav", "pcm_f32le", 96000, "5.1", True),
    ("f64.wav", "pcm_f64le", 22050, "mono", True),
    ("a.flac", "flac", 44100, "stereo", True),
    ("a.mp3", "libmp3lame", 44100, "stereo", True),
    ("a.m4a", "aac", 44100, "stereo", True),
    ("a51.mp4", "aac", 48000, "5.1", True),
    ("a.ogg", "libopus", 48000, "stereo", True),
    ("alac.m4a", "alac", 44100, "stereo", True),
    ("a.mka", "flac", 48000, "mono", True),
    ("a.webm", "libopus", 48000, "mono", True),
    ("a.aac", "aac", 48000, "mono", False),  # no place for the codec's delay
    ("a.mp2", "mp2", 44100, "stereo", False),
]


def click(rate: int, seconds: float = 1.5, at: float = 0.5, channels: int = 1) -> np.ndarray:
    """(C, S) float32: silence with one short pulse."""
    samples = np.zeros((channels, round(rate * seconds)), np.float32)
    samples[:, round(rate * at)] = 0.9
    return samples


def write_sound(path: Path, codec: str, rate: int, layout: str, samples: np.ndarray) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        to_encoder = av.AudioResampler(format=stream.format, layout=layout, rate=rate)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        for converted in to_encoder.resample(frame):
            container.mux(stream.encode(converted))
        container.mux(stream.encode(None))
    return path


def write_wav(path: Path, codec: str, rate: int, layout: str, samples: np.ndarray) -> Path:
    """Packets by hand: the samples reach the file as they are, NaN too."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(samples.T.reshape(1, -1).copy(), format="flt", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def channels_of(layout: str) -> int:
    return av.AudioLayout(layout).nb_channels


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind[0])
def test_every_kind_is_read_in_time(kind: tuple[str, str, int, str, bool], tmp_path: Path) -> None:
    name, codec, rate, layout, exact = kind
    if codec not in av.codecs_available:
        pytest.skip(f"{codec} is not in this PyAV")
    path = write_sound(tmp_path / name, codec, rate, layout, click(rate, channels=channels_of(layout)))
    clip = read_audio(path)
    assert clip.rate == SPEECH_RATE
    assert clip.samples.dtype == np.float32
    found = np.abs(clip.samples).argmax() / SPEECH_RATE
    if exact:
        assert abs(found - 0.5) <= 0.001
        assert abs(len(clip.samples) - 1.5 * SPEECH_RATE) <= 1
    else:
        assert abs(found - 0.5) <= 0.03
        assert abs(clip.seconds - Fraction(3, 2)) < Fraction(1, 20)


@given(
    rate=st.sampled_from([8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000]),
    samples=st.integers(1, 60_000),
    piece=st.integers(500, 30_000),
)
@settings(max_examples=60, deadline=None)
def test_pieces_change_nothing_and_the_length_is_kept(rate: int, samples: int, piece: int) -> None:
    wave = np.random.default_rng(samples).uniform(-0.5, 0.5, samples).astype(np.float32)
    whole = np.concatenate(list(resampled([wave], rate, SPEECH_RATE)))
    pieces = (wave[i : i + piece] for i in range(0, samples, piece))
    assert np.array_equal(np.concatenate(list(resampled(pieces, rate, SPEECH_RATE))), whole)
    assert abs(len(whole) - samples * SPEECH_RATE / rate) <= 1


def test_a_tone_keeps_its_pitch_level_and_phase() -> None:
    t = np.arange(44100) / 44100
    clip = speech_clip(np.sin(2 * np.pi * 440 * t)[None] * 0.5, 44100)
    wanted = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / SPEECH_RATE)
    assert np.abs(clip.samples - wanted)[200:-200].max() < 1e-3


def test_channels_are_mixed() -> None:
    left, right = np.full(160, 0.5, np.float32), np.full(160, -0.1, np.float32)
    assert np.allclose(speech_clip(np.stack([left, right]), 16000).samples, 0.2)
    assert np.allclose(speech_clip(left, 16000).samples, 0.5)
    assert np.allclose(speech_clip(np.stack([left] * 3), 16000).samples, 0.5)
    surround = np.zeros((6, 160), np.float32)
    surround[2] = 0.5  # speech in the centre is the loudest part of the mix
    centre = speech_clip(surround, 16000).samples[0]
    surround = surround[[2, 1, 0, 3, 4, 5]]
    assert centre > speech_clip(surround, 16000).samples[0] > 0.05
    rumble = np.zeros((6, 160), np.float32)
    rumble[3] = 0.9
    assert not speech_clip(rumble, 16000).samples.any()
    assert np.abs(speech_clip(np.ones((6, 160), np.float32), 16000).samples - 1).max() < 1e-6


@pytest.mark.parametrize(
    "waveform",
    [
        np.zeros((1, 0), np.float32),
        np.zeros((0, 100), np.float32),
        np.zeros((1, 1, 100), np.float32),
        np.zeros((1, 100), np.int16),
        np.full((1, 100), np.nan, np.float32),
        np.array([[0, np.inf]], np.float32),
    ],
)
def test_waveforms_that_are_no_sound_are_refused(waveform: np.ndarray) -> None:
    with pytest.raises(MediaError):
        speech_clip(waveform, 16000)


def test_a_rate_of_zero_is_refused() -> None:
    with pytest.raises(MediaError, match="rate"):
        speech_clip(np.zeros((1, 10), np.float32), 0)


def test_odd_sound_gives_a_defined_result(tmp_path: Path) -> None:
    short = write_sound(tmp_path / "short.wav", "pcm_s16le", 44100, "mono", np.zeros((1, 882), np.float32))
    assert len(read_audio(short).samples) == 320  # 0.02 s
    silent = write_sound(tmp_path / "zero.wav", "pcm_s16le", 44100, "stereo", np.zeros((2, 44100), np.float32))
    assert not read_audio(silent).samples.any()
    loud = write_wav(tmp_path / "loud.wav", "pcm_f32le", 16000, "mono", np.full((1, 100), 7, np.float32))
    assert read_audio(loud).samples.max() == 1


def test_no_samples_nan_and_no_sound_are_refused_with_a_fix(tmp_path: Path, assets: Path) -> None:
    whole = write_sound(tmp_path / "whole.wav", "pcm_s16le", 8000, "mono", click(8000))
    empty = tmp_path / "empty.wav"
    empty.write_bytes(whole.read_bytes()[:36] + b"data\0\0\0\0")
    nan = write_wav(tmp_path / "nan.wav", "pcm_f32le", 16000, "mono", np.full((1, 2000), np.nan, np.float32))
    text = tmp_path / "text.wav"
    text.write_text("no sound at all\n" * 20)
    cases = [empty, nan, text, tmp_path / "missing.wav", tmp_path, assets / "edge/face_gap.mp4"]
    for path in cases:
        with pytest.raises(MediaError) as caught:
            read_audio(path)
        assert caught.value.fix
        assert path.name in caught.value.what
    with pytest.raises(MediaError, match="no sound track 1"):
        read_audio(whole, stream=1)


@pytest.mark.parametrize("name", ["a.flac", "a.m4a"])
def test_cut_off_sound_is_refused(name: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, (1, 88200)).astype(np.float32)
    whole = write_sound(tmp_path / name, "flac" if name == "a.flac" else "aac", 44100, "mono", noise).read_bytes()
    path = tmp_path / f"cut_{name}"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MediaError, match="cut_a"):
        read_audio(path)


def test_tags_at_the_end_are_no_damage(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, (1, 88200)).astype(np.float32)
    whole = write_sound(tmp_path / "a.mp3", "libmp3lame", 44100, "mono", noise).read_bytes()
    tagged = tmp_path / "tagged.mp3"
    tagged.write_bytes(whole + b"APETAGEX" + bytes(120) + b"TAG" + bytes(125))
    assert abs(read_audio(tagged).seconds - 2) < Fraction(1, 20)


def test_damage_in_the_middle_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, (1, 88200)).astype(np.float32)
    path = write_sound(tmp_path / "a.m4a", "aac", 44100, "mono", noise)
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packet = [p for p in container.demux(audio=0) if p.size][40]
        data[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    path.write_bytes(data)
    with pytest.raises(MediaError, match=r"a\.m4a is damaged 0\.9"):
        read_audio(path)


@pytest.mark.parametrize("offset", [Fraction(0), Fraction(1, 5), Fraction(-1, 5)])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_sound_of_a_video_keeps_its_place_beside_the_picture(offset: Fraction, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"v{suffix}"
    later = max(Fraction(0), -offset)  # the one that starts later, as files have no time before 0
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width = video.height = 32
        video.pix_fmt = "yuv420p"
        sound = container.add_stream("aac", rate=48000, layout="mono")
        for i in range(50):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = i + int(later * 25), Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        pulse = av.AudioFrame.from_ndarray(click(48000), format="fltp", layout="mono")
        pulse.sample_rate, pulse.time_base = 48000, Fraction(1, 48000)
        pulse.pts = int((offset + later) * 48000)
        container.mux(sound.encode(pulse))
        container.mux(sound.encode(None))
    found = np.abs(read_audio(path).samples).argmax() / SPEECH_RATE
    assert abs(found - (0.5 + offset)) <= 0.001


@pytest.mark.parametrize(
    "name",
    [
        "with space.wav",
        "%08d.wav",
        "\u58f0\u97f3 \u97f3.wav",
        "emoji \U0001f600.wav",
        "a:b.wav",
        "a.wav; touch x; .wav",
    ],
)
def test_any_file_name_works(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_sound(tmp_path / "plain.wav", "pcm_s16le", 8000, "mono", click(8000)).rename(tmp_path / name)
    assert len(read_audio(Path(name)).samples) == 24000
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_memory_does_not_grow_with_the_source() -> None:
    """A minute of 5.1 at 96 kHz is 138 MB; only its mono sum at 16 kHz (4 MB) is ever held."""
    pieces = (np.zeros((6, 96000), np.float32) for _ in range(60))
    tracemalloc.start()
    samples = speech_samples(pieces, ("FL", "FR", "FC", "LFE", "BL", "BR"), 96000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(samples) == 60 * SPEECH_RATE
    assert peak < 25e6


def test_real_sound(assets: Path) -> None:
    clip = read_audio(assets / "audio/jfk.flac")
    assert len(clip.samples) == 11 * SPEECH_RATE
    obama = read_audio(assets / "audio/st_Obama_clip1.wav")
    assert len(obama.samples) == 317611
    # The muxed clip's sound is this file without its first 160 ms, as AAC.
    track = read_audio(assets / "video/st_Obama_clip1.mp4").samples[:160_000]
    errors = [np.square(track - obama.samples[k : k + len(track)]).mean() for k in range(2540, 2581, 4)]
    assert 2540 + 4 * int(np.argmin(errors)) == 2560
    late = sound_format(assets / "video/videoretalking_1.mp4")
    assert late.origin == Fraction(507, 15360)
