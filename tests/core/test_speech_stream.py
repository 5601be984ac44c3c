"""Features of sound that is still arriving: Whisper's own where all is heard, the same for any chunks, for hours."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from musetalk_core.audio.activity import going_on
from musetalk_core.audio.encode import SpeechOptions
from musetalk_core.audio.resample import StreamResampler
from musetalk_core.audio.stream import SampleQueue, SpeechStream
from musetalk_core.audio.windows import tokens, window_start, window_starts
from musetalk_core.models.whisper import WhisperEncoder, normalised
from musetalk_core.placement import SingleDevice
from musetalk_core.timeline import Clock, Cycle, plan
from musetalk_core.types import Speech

RATE = 16_000
FPS = Fraction(25)
REST = torch.full((50, 8), 7.0)


@pytest.fixture(scope="module")
def whisper() -> WhisperEncoder:
    """A real Whisper of 8 channels with random weights."""
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder as Network

    torch.manual_seed(0)
    config = WhisperConfig(d_model=8, encoder_layers=4, encoder_attention_heads=2, encoder_ffn_dim=8, num_mel_bins=80)
    return WhisperEncoder(Network(config), "whisper-random", SingleDevice("cpu", "fp32"))


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    """Loud and soft noise by turns."""
    count = int(seconds * RATE)
    loudness = np.repeat(np.random.default_rng(seed + 1).random(count // 4000 + 1) ** 3, 4000)[:count]
    return (np.random.default_rng(seed).standard_normal(count) * loudness * 0.3).astype(np.float32)


def stream_of(whisper: WhisperEncoder, look_ahead: int = 0, fps: Fraction = FPS, gate: bool = False) -> SpeechStream:
    return SpeechStream(whisper, fps, SpeechOptions(close_in_silence=gate), REST, look_ahead)


def start_of(frame: int, fps: Fraction = FPS) -> int:
    return window_start((frame + Fraction(1, 2)) / fps)


def windows(stream: SpeechStream, sound: np.ndarray, sizes: list[int], fps: Fraction = FPS) -> list[torch.Tensor]:
    """Tokens of every frame, read as soon as its sound is there."""
    found: list[torch.Tensor] = []
    at = 0
    while at < len(sound):
        size = sizes[len(found) % len(sizes)] if len(sizes) > 1 else sizes[0]
        stream.push(sound[at : at + size])
        at += size
        while stream.needed(start := start_of(len(found), fps)) <= stream.received:
            found.append(tokens(stream.speech(start), np.array([start]))[0])
    return found


@pytest.mark.parametrize("seconds", [1, 30])
def test_a_piece_heard_whole_is_what_encode_gives(seconds: int, whisper: WhisperEncoder) -> None:
    sound = noise(seconds)
    mel = torch.from_numpy(whisper._log_mel(sound, sampling_rate=RATE, return_tensors="np").input_features[0])
    heard = whisper.hear(mel, 0, whisper.memory())
    assert torch.allclose(heard, whisper.encode(sound), atol=1e-5)


def test_a_piece_heard_in_parts_remembers(whisper: WhisperEncoder) -> None:
    """Steps heard later see the earlier ones: the second half differs from the same steps without a past."""
    mel = normalised(whisper.log_mel(np.concatenate([noise(0.0125)[:200], noise(4)])), 0.0)[:, :400]
    memory = whisper.memory()
    whisper.hear(mel[:, :200], 0, memory)
    with_past = whisper.hear(mel[:, 196:], 100, memory, 2)
    alone = whisper.hear(mel[:, 196:], 100, whisper.memory(100), 2)
    assert with_past.shape == alone.shape == (100, 5, 8)
    assert torch.allclose(with_past[:, 0], alone[:, 0], atol=1e-5)
    assert not torch.allclose(with_past[:, 4], alone[:, 4], atol=1e-3)


def test_spectra_are_whispers_own(whisper: WhisperEncoder) -> None:
    sound = noise(2)
    stream = stream_of(whisper)
    stream.push(sound)
    stream.speech(start_of(40))
    mel = torch.cat(list(stream._mel), dim=1)
    wanted = whisper._log_mel(sound, sampling_rate=RATE, return_tensors="np").input_features[0]
    whole = normalised(mel, float(whisper.log_mel(np.concatenate([sound[200:0:-1], sound])).max()))
    assert np.allclose(whole.numpy(), wanted[:, : mel.shape[1]], atol=1e-4)


@settings(max_examples=5)
@given(st.lists(st.integers(1, 9000), min_size=2, max_size=9), st.sampled_from([0, 4, 25]))
def test_any_chunks_give_the_same_tokens(whisper: WhisperEncoder, sizes: list[int], look_ahead: int) -> None:
    sound = noise(2, 5)
    wanted = windows(stream_of(whisper, look_ahead, gate=True), sound, [10**6])
    found = windows(stream_of(whisper, look_ahead, gate=True), sound, sizes)
    assert len(found) > 15
    assert torch.equal(torch.stack(found), torch.stack(wanted))


@pytest.mark.parametrize("fps", [FPS, Fraction(30000, 1001), Fraction(60), Fraction(12)])
def test_any_rate_reads_its_own_windows(fps: Fraction, whisper: WhisperEncoder) -> None:
    starts = window_starts(Clock.regular(50, fps))
    assert [start_of(i, fps) for i in range(50)] == starts.tolist()
    stream = stream_of(whisper, fps=fps)
    stream.push(noise(5))
    for i in range(50):
        speech = stream.speech(start_of(i, fps))
        assert speech.first_step <= max(0, start_of(i, fps))
        assert tokens(speech, starts[i : i + 1]).shape == (1, 50, 8)


def test_live_ends_up_near_offline_with_look_ahead(whisper: WhisperEncoder) -> None:
    """More look-ahead, nearer to what the whole sound gives; the first state is exact once its neighbours are heard."""
    sound = noise(6)
    offline = whisper.encode(sound)
    errors = []
    for look_ahead in (0, 4, 25):
        made = windows(stream_of(whisper, look_ahead), sound, [10**6])[60:100]
        true = torch.stack([offline[start_of(i) : start_of(i) + 10] for i in range(60, 60 + len(made))])
        errors.append((torch.stack(made).reshape(true.shape) - true).square().mean(dim=(0, 1, 3)).sqrt())
    assert errors[1][0] < errors[0][0]
    assert errors[1][0] < 0.05


def test_the_mouth_rests_in_silence_and_moves_without_jumps(whisper: WhisperEncoder) -> None:
    sound = np.concatenate([np.zeros(RATE), noise(0.8, 3) + 0.1 * np.sin(np.arange(12800) / 5), np.zeros(RATE)])
    stream = stream_of(whisper, 4, gate=True)
    stream.push(sound.astype(np.float32))
    activity = [stream.activity(start_of(i)) for i in range(60)]
    assert max(activity[:20]) == 0
    assert max(activity) == 1
    assert activity[27:43] == [1] * 16
    assert max(activity[55:]) == 0
    assert max(np.abs(np.diff(activity))) <= 0.51
    speech = stream.speech(start_of(10))
    assert torch.equal(tokens(speech, np.array([start_of(10)]))[0], REST)


def test_what_may_become_speech_counts() -> None:
    quiet, loud = [False] * 12, [True] * 6
    assert going_on(np.array(quiet + loud + [False] * 5))[-5:].all()
    assert not going_on(np.array(quiet + loud + [False] * 12))[-12:].any()
    assert going_on(np.array([*quiet, True, True]))[-2:].all()
    assert not going_on(np.array([*quiet, True])).any()
    assert not going_on(np.array(quiet)).any()


@pytest.mark.parametrize("seconds", [70, pytest.param(3600, marks=pytest.mark.slow)])
def test_for_hours_features_stay_exact_and_memory_flat(seconds: int, whisper: WhisperEncoder) -> None:
    """Late in the stream a frame hears what it would hear in a stream whose piece of 20 s began the same."""
    period = noise(20, 9)
    stream = stream_of(whisper)
    kept: dict[int, Speech] = {}
    peaks = []
    tracemalloc.start()
    for second in range(seconds):
        at = second % 20 * RATE
        stream.push(period[at : at + RATE])
        for frame in range(25 * second - 10 if second else 0, 25 * second + 15):
            start = start_of(frame)
            speech = stream.speech(start)
            if frame % 500 == 400:
                kept[frame] = speech
                peaks.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert stream.received == seconds * RATE
    frames = sorted(kept)[1:]
    assert len(frames) >= 2
    first = tokens(kept[frames[0]], np.array([start_of(frames[0])]))
    for frame in frames:
        assert torch.equal(tokens(kept[frame], np.array([start_of(frame)])), first)
    assert max(peaks[1:]) < min(peaks[1:]) + 300_000


def test_a_queue_gives_back_what_it_got() -> None:
    queue, random = SampleQueue(), np.random.default_rng(0)
    sound = noise(0.5)
    for piece in np.array_split(sound, np.sort(random.integers(0, len(sound), 30))):
        queue.put(piece)
    parts = [queue.take(size) for size in (0, 1, 500, 3000, len(sound) - 3501)]
    assert np.array_equal(np.concatenate(parts), sound)
    assert queue.received == queue.taken == len(sound)


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100, 48_000])
def test_resampling_has_no_seams_and_no_delay(rate: int) -> None:
    time = np.arange(rate) / rate
    sound = np.sin(2 * np.pi * 440 * time).astype(np.float32)
    outputs = []
    for size in (rate // 100, rate // 30, rate):
        resampler = StreamResampler(rate, RATE)
        parts, behind = [], 0.0
        for at in range(0, rate, size):
            parts.append(resampler.push(sound[at : at + size]))
            behind = max(behind, min(at + size, rate) / rate - sum(map(len, parts)) / RATE)
        assert behind < 0.0025
        outputs.append(np.concatenate([*parts, resampler.finish()]))
    assert all(np.array_equal(output, outputs[0]) for output in outputs)
    assert len(outputs[0]) == RATE
    wanted = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    assert np.abs(outputs[0] - wanted)[200:-200].max() < 1e-3


@settings(max_examples=20)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=9), st.sampled_from(["bounce", "loop"]))
def test_the_cycle_goes_on_as_the_plan_does(durations: list[int], mode: str) -> None:
    clock = Clock(np.concatenate([[0], np.cumsum(durations)]), Fraction(1, 25))
    timeline = plan(clock, 4 * clock.seconds, mode)  # type: ignore[arg-type]
    cycle = Cycle(clock, mode)  # type: ignore[arg-type]
    assert [cycle.at(timeline.clock.centre(i)) for i in range(len(timeline))] == timeline.source.tolist()
