"""Speech features: Whisper's own on 30 s, the same steps however the sound is cut, small steps at the joints."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from musetalk_core.audio.encode import SpeechEncoder, SpeechOptions, encode_speech
from musetalk_core.audio.rest import babble, closed_mouth
from musetalk_core.audio.windows import count_steps, speech_starts, step_range, tokens, window_starts
from musetalk_core.errors import GenerationError, MediaError, OptionError
from musetalk_core.models.whisper import WhisperEncoder
from musetalk_core.placement import SingleDevice
from musetalk_core.timeline import Clock
from musetalk_core.types import AudioClip, Speech

RATE = 16_000
FPS = Fraction(25)
CPU = SingleDevice("cpu", "fp32")
RAW = SpeechOptions(close_in_silence=False)
RELEASED = SpeechOptions(close_in_silence=False, layout="released")


def small_whisper(seed: int = 0) -> WhisperEncoder:
    """A real Whisper of 8 channels with random weights."""
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder as Network

    torch.manual_seed(seed)
    config = WhisperConfig(d_model=8, encoder_layers=4, encoder_attention_heads=1, encoder_ffn_dim=8, num_mel_bins=80)
    return WhisperEncoder(Network(config), "whisper-random", CPU)


@pytest.fixture(scope="module")
def whisper() -> WhisperEncoder:
    return small_whisper()


@pytest.fixture(scope="module")
def real_whisper(assets: Path) -> WhisperEncoder:
    """Whisper tiny.en with its real weights."""
    from safetensors.torch import load_file
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder as Network

    config = WhisperConfig(
        d_model=384, encoder_layers=4, encoder_attention_heads=6, encoder_ffn_dim=1536, num_mel_bins=80
    )
    network = Network(config)
    weights = load_file(assets / "weights/whisper_tiny_en_encoder_fp16.safetensors")
    network.load_state_dict({name: value.float() for name, value in weights.items()})
    return WhisperEncoder(network, "whisper-tiny.en", CPU)


def sound(seconds: float | Fraction, seed: int = 0) -> AudioClip:
    """Noise whose loudness changes, so that every place and every piece's maximum differ."""
    samples = max(1, int(seconds * RATE))
    random = np.random.default_rng(seed)
    seconds_at = np.arange(samples // RATE + 2)
    loudness = np.interp(np.arange(samples) / RATE, seconds_at, random.random(len(seconds_at)))
    return AudioClip((random.standard_normal(samples) * loudness * 0.3).astype(np.float32))


@pytest.fixture(scope="module")
def long() -> AudioClip:
    return sound(61)


@pytest.fixture(scope="module")
def whole(long: AudioClip, whisper: WhisperEncoder) -> Speech:
    return encode_speech(long, whisper, FPS, RAW)


@pytest.mark.parametrize("seconds", [0.02, 0.5, 7.77, 29.99, 30.0])
def test_up_to_30_s_the_steps_are_whispers_own(seconds: float, whisper: WhisperEncoder) -> None:
    clip = sound(seconds)
    wanted = whisper.encode(clip.samples)[: int(clip.seconds * 50)]
    for options in (RAW, RELEASED):
        speech = encode_speech(clip, whisper, FPS, options)
        assert torch.equal(speech.steps, wanted)
        assert (speech.activity == 1).all()


def test_released_lays_30_s_pieces_end_to_end(long: AudioClip, whisper: WhisperEncoder) -> None:
    pieces = [whisper.encode(long.samples[at : at + 480_000]) for at in range(0, len(long.samples), 480_000)]
    speech = encode_speech(long, whisper, FPS, RELEASED)
    assert torch.equal(speech.steps, torch.cat(pieces)[: 61 * 50])
    assert speech.layout == "released"


def test_the_pieces_overlap_and_only_their_middle_is_used(
    long: AudioClip, whole: Speech, whisper: WhisperEncoder
) -> None:
    starts = [0, 20, 40]
    pieces = [whisper.encode(long.samples[s * RATE : (s + 30) * RATE]) for s in starts]
    wanted = [pieces[0][: 25 * 50], pieces[1][5 * 50 : 25 * 50], pieces[2][5 * 50 : 21 * 50]]
    assert torch.equal(whole.steps, torch.cat(wanted))


def test_a_sound_just_over_30_s_is_whole(whisper: WhisperEncoder) -> None:
    clip = sound(30.01)
    speech = encode_speech(clip, whisper, FPS, RAW)
    assert len(speech.steps) == count_steps(clip.seconds) == 1500
    assert torch.equal(speech.steps[:1250], whisper.encode(clip.samples[:480_000])[:1250])


@pytest.fixture(scope="module", params=["centred", "released"])
def job(request: pytest.FixtureRequest, long: AudioClip, whisper: WhisperEncoder) -> tuple[SpeechEncoder, Speech]:
    """An encoder of 61 s, and all that it gives."""
    encoder = SpeechEncoder(long, whisper, FPS, SpeechOptions(layout=request.param))
    return encoder, encoder.encode()


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 3050), st.integers(0, 3050))
def test_any_cut_gives_the_same_steps(job: tuple[SpeechEncoder, Speech], a: int, b: int) -> None:
    encoder, everything = job
    first, last = sorted((a, b))
    part = encoder.encode(first, last)
    assert torch.equal(part.steps, everything.steps[first:last])
    assert (part.activity == everything.activity[first:last]).all()
    assert torch.equal(part.rest, everything.rest)
    assert part.first_step == first
    assert len(everything.steps) == len(everything.activity) == 3050


def test_frames_made_section_by_section_hear_the_same(long: AudioClip, whisper: WhisperEncoder) -> None:
    clock = Clock.regular(int(61 * Fraction(30000, 1001)), Fraction(30000, 1001))
    starts = window_starts(clock)
    job = SpeechEncoder(long, whisper, clock.fps)
    everything = job.encode()
    for a in range(0, len(starts), 700):
        part = job.encode(*step_range(starts[a : a + 700], long.seconds))
        assert torch.equal(tokens(part, starts[a : a + 700]), tokens(everything, starts[a : a + 700]))


class Counting(WhisperEncoder):
    """Counts its calls."""

    calls = 0

    def encode(self, samples: np.ndarray, dtype: torch.dtype | None = None) -> torch.Tensor:
        self.calls += 1
        return super().encode(samples, dtype)


def test_each_piece_is_heard_once_and_only_where_needed(long: AudioClip) -> None:
    small = small_whisper()
    encoder = Counting(small.network, small.identity, CPU)
    job = SpeechEncoder(long, encoder, FPS)
    assert encoder.calls == 1  # the closed mouth
    job.encode(0, 0)
    assert encoder.calls == 1
    job.encode(100, 200)
    assert encoder.calls == 2
    for first in range(0, 3050, 100):
        job.encode(first, first + 100)
    assert encoder.calls == 4


@pytest.mark.parametrize(("first", "last"), [(-1, 10), (20, 10), (3051, None)])
def test_a_range_outside_the_sound_is_refused(
    first: int, last: int | None, long: AudioClip, whisper: WhisperEncoder
) -> None:
    with pytest.raises(MediaError, match="3050"):
        encode_speech(long, whisper, FPS, RAW, first, last)


def test_another_rate_is_refused(whisper: WhisperEncoder) -> None:
    with pytest.raises(MediaError, match="44100"):
        encode_speech(AudioClip(np.zeros(44_100, np.float32), 44_100), whisper, FPS)


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(OptionError, match="sync_mode"):
        SpeechOptions(sync_mode="boomerang")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="silence_level"):
        SpeechOptions(silence_level=3)


def test_the_speech_says_what_made_it(whisper: WhisperEncoder) -> None:
    clip = sound(1)
    speech = encode_speech(clip, whisper, Fraction(24), SpeechOptions(sync_mode="hold"))
    assert (speech.encoder, speech.fps, speech.sync_mode) == ("whisper-random", 24, "hold")
    assert speech.seconds == 1
    assert speech.rest.shape == (50, 8)
    assert speech.steps.dtype == speech.rest.dtype == torch.float32


def test_an_encoder_that_gives_nan_is_an_error(whisper: WhisperEncoder) -> None:
    broken = small_whisper()
    with torch.no_grad():
        broken.network.layer_norm.weight.fill_(float("nan"))
    clip = sound(1)
    with pytest.raises(GenerationError):
        encode_speech(clip, broken, FPS)


def test_silence_on_changes_only_where_nobody_speaks(whisper: WhisperEncoder) -> None:
    clip, clock = sound(6), Clock.regular(150, FPS)
    on = encode_speech(clip, whisper, FPS, voice=lambda heard, rate: np.arange(300) // 100 != 1)  # silent from 2 to 4 s
    off = encode_speech(clip, whisper, FPS, RAW)
    assert torch.equal(on.steps, off.steps)
    with_gate, raw = (tokens(speech, speech_starts(speech, clock)) for speech in (on, off))
    changed = (with_gate != raw).any(dim=2).any(dim=1).numpy()
    assert np.flatnonzero(changed).tolist() == list(range(50, 99))
    assert torch.equal(with_gate[52:97], on.rest.expand(45, -1, -1))  # 2.08 s to 3.88 s


def test_the_babble_is_always_the_same_30_s() -> None:
    assert babble().shape == (480_000,)
    assert np.array_equal(babble(), babble())
    assert 0.3 < np.abs(babble()).max() < 0.5


def joint_error(one: torch.Tensor, other: torch.Tensor, spread: torch.Tensor) -> float:
    """How far two hearings of the same steps differ, in standard deviations of the features (layers 1 to 4)."""
    return float((((one - other) / spread)[:, 1:] ** 2).mean().sqrt())


@pytest.mark.slow
def test_joints_with_real_weights(assets: Path, real_whisper: WhisperEncoder) -> None:
    """Beside a joint, ours differ from another hearing of the same sound less than the released ones do."""
    import librosa

    voices = ("198-209-0000", "3436-172162-0000", "5703-47212-0000")
    parts = [librosa.load(assets / f"audio/librispeech_{name}.ogg", sr=RATE)[0] for name in voices]
    clip = AudioClip(np.concatenate(parts))
    ours = encode_speech(clip, real_whisper, FPS, RAW).steps
    released = encode_speech(clip, real_whisper, FPS, RELEASED).steps
    spread = ours.std(dim=0)
    middle = {at: real_whisper.encode(clip.samples[(at - 15) * RATE : (at + 15) * RATE]) for at in (25, 30)}

    def beside(steps: torch.Tensor, at: int, reach: int) -> float:
        around = slice(at * 50 - reach, at * 50 + reach)
        return joint_error(steps[around], middle[at][750 - reach : 750 + reach], spread)

    natural = joint_error(ours[1:], ours[:-1], spread)
    chance = joint_error(ours[:700], ours[700:1400], spread)
    print(f"one step to the next {natural:.2f}, chance {chance:.2f} (standard deviations)")  # noqa: T201
    for reach in (5, 25):
        mine, theirs = beside(ours, 25, reach), beside(released, 30, reach)
        print(f"+-{reach * 20} ms of a joint: ours {mine:.2f}, released {theirs:.2f}")  # noqa: T201
        assert mine < natural < theirs


def test_the_closed_mouth_with_real_weights_is_finite_and_unlike_speech(
    assets: Path, real_whisper: WhisperEncoder
) -> None:
    rest = closed_mouth(real_whisper)
    assert rest.shape == (50, 384)
    assert torch.isfinite(rest).all()
