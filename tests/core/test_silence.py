"""Lips that close when nobody speaks, shown on a model whose opening follows its sound features.

The model is a linear readout of loudness, fitted on real features of real speech; it takes the U-Net's place and gives
lips whose every value is the opening.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from musetalk_core.audio.activity import step_levels
from musetalk_core.audio.encode import SpeechOptions, encode_speech
from musetalk_core.audio.windows import speech_starts, tokens
from musetalk_core.lips.generate import generate_lips
from musetalk_core.models.whisper import WhisperEncoder
from musetalk_core.placement import SingleDevice
from musetalk_core.timeline import Clock
from musetalk_core.types import AudioClip, FaceLatents

RATE = 16_000
FPS = Fraction(25)
CLOSED_IN = 0.12  # seconds
HOLE = 2  # seconds of each silence
RIDGE = 1000.0


class OpeningNet(torch.nn.Module):
    """A linear mouth: lips whose every value is the opening that the tokens ask for."""

    def __init__(self, steps: torch.Tensor, opening: torch.Tensor) -> None:
        super().__init__()
        rows = steps.flatten(1)  # (T, 5, D) -> (T, 5 D)
        self.mean, self.scale, self.middle = rows.mean(0), rows.std(0) + 0.2, opening.mean()
        scaled = (rows - self.mean) / self.scale
        gram = scaled.T @ scaled + RIDGE * torch.eye(scaled.shape[1])
        self.weight = torch.linalg.solve(gram, scaled.T @ (opening - self.middle))

    def forward(
        self, masked: torch.Tensor, reference: torch.Tensor, tokens: torch.Tensor, dtype: torch.dtype | None = None
    ) -> torch.Tensor:
        rows = tokens.reshape(len(tokens), 10, -1)  # (B, 50, D) -> (B, 10, 5 D)
        opening = ((rows - self.mean) / self.scale @ self.weight).mean(1) + self.middle
        return opening[:, None, None, None].expand(-1, *masked.shape[1:])


@dataclass(frozen=True)
class Ear:
    whisper: WhisperEncoder
    mouth: OpeningNet

    def openings(self, clip: AudioClip, options: SpeechOptions) -> np.ndarray:
        """The opening of each frame at 25 fps, (F,)."""
        speech = encode_speech(clip, self.whisper, FPS, options)
        clock = Clock.regular(int(clip.seconds * FPS), FPS)
        latents = FaceLatents(torch.zeros(len(clock), 4, 2, 2), torch.zeros(len(clock), 4, 2, 2))
        lips = generate_lips(self.mouth, latents, tokens(speech, speech_starts(speech, clock)), 64)  # type: ignore[arg-type]
        return lips[:, 0, 0, 0].numpy()


def read_mono(path: Path, seconds: float | None = None) -> np.ndarray:
    import librosa

    return librosa.load(path, sr=RATE, mono=True, duration=seconds)[0]


@pytest.fixture(scope="module")
def ear(assets: Path) -> Ear:
    from safetensors.torch import load_file
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder as Network

    config = WhisperConfig(
        d_model=384, encoder_layers=4, encoder_attention_heads=6, encoder_ffn_dim=1536, num_mel_bins=80
    )
    network = Network(config)
    weights = load_file(assets / "weights/whisper_tiny_en_encoder_fp16.safetensors")
    network.load_state_dict({name: value.float() for name, value in weights.items()})
    whisper = WhisperEncoder(network, "whisper-tiny.en", SingleDevice("cpu", "fp32"))
    teacher = AudioClip(read_mono(assets / "video/grid_s1_train.flac", 60))
    steps = encode_speech(teacher, whisper, FPS, SpeechOptions(close_in_silence=False)).steps
    loudness = np.clip((step_levels(teacher.samples, RATE) + 45) / 30, 0, 1)
    smooth = np.convolve(loudness, np.ones(5) / 5, "same").astype(np.float32)
    return Ear(whisper, OpeningNet(steps, torch.from_numpy(smooth)))


SPEECH = [
    "audio/jfk.flac",
    pytest.param("audio/librispeech_3436-172162-0000.ogg", marks=pytest.mark.slow),
    pytest.param("video/grid_s1_heldout.flac", marks=pytest.mark.slow),
]


def loud_cut(speech: np.ndarray, after: int) -> int:
    """The first frame from `after` on that has 60 ms of loud speech before and after its beginning."""
    level = step_levels(speech, RATE)
    loud = level > np.percentile(level, 50)
    return next(i for i in range(after, len(level) // 2) if loud[2 * i - 3 : 2 * i + 3].all())


@pytest.mark.parametrize("name", SPEECH)
def test_silence_and_room_noise_close_the_mouth(assets: Path, ear: Ear, name: str) -> None:
    speech = read_mono(assets / name, 15)
    first, second = loud_cut(speech, len(speech) // 640 // 3), loud_cut(speech, len(speech) // 640 * 2 // 3)  # frames
    noise = np.random.default_rng(0).standard_normal(HOLE * RATE) * 10 ** (-50 / 20)
    holes = [np.zeros(HOLE * RATE), noise]
    parts = [speech[: first * 640], holes[0], speech[first * 640 : second * 640], holes[1], speech[second * 640 :]]
    clip = AudioClip(np.concatenate(parts).astype(np.float32))
    on, off = ear.openings(clip, SpeechOptions()), ear.openings(clip, SpeechOptions(close_in_silence=False))

    level = step_levels(speech, RATE)
    loud_frames = np.flatnonzero(level[: first * 2].reshape(-1, 2).min(1) > np.percentile(level, 60))
    talking = float(np.median(off[loud_frames]))
    assert np.array_equal(on[loud_frames], off[loud_frames])  # where there is speech nothing is touched

    for kind, start in (("digital silence", first), ("noise at -50 dBFS", second + HOLE * 25)):
        stop = start + HOLE * 25
        centres = (np.arange(HOLE * 25) + 0.5) / 25  # seconds into the silence
        inside = np.flatnonzero((centres >= CLOSED_IN) & (centres <= HOLE - CLOSED_IN)) + start
        held, raw = on[inside], off[inside]
        closed = float(held[len(held) // 2])
        print(  # noqa: T201
            f"{name}, {kind}: talking {talking:.2f}; from 120 ms on, gate on {held.min():.2f} to {held.max():.2f}, "
            f"gate off {raw.min():.2f} to {raw.max():.2f}; around the onset (80 ms before to 80 ms after), gate on "
            f"{np.round(on[stop - 2 : stop + 2], 2)}, gate off {np.round(off[stop - 2 : stop + 2], 2)}"
        )
        assert held.max() - held.min() < 1e-5  # still, not trembling
        assert closed < 0.25 * talking
        assert np.array_equal(on[stop - 1 : stop + 2], off[stop - 1 : stop + 2])  # fully open 40 ms before the speech


def test_off_is_the_raw_model(assets: Path, ear: Ear) -> None:
    clip = AudioClip(read_mono(assets / "audio/jfk.flac", 4))
    raw = torch.cat([torch.zeros(4, 5, 384), ear.whisper.encode(clip.samples)[:200], torch.zeros(12, 5, 384)])
    windows = torch.stack([raw[2 * i : 2 * i + 10].reshape(50, 384) for i in range(100)])
    latents = torch.zeros(100, 4, 2, 2)
    wanted = generate_lips(ear.mouth, FaceLatents(latents, latents), windows, 64)[:, 0, 0, 0].numpy()  # type: ignore[arg-type]
    assert np.array_equal(ear.openings(clip, SpeechOptions(close_in_silence=False)), wanted)


def test_a_mouth_that_only_hears_silence_stays_closed(ear: Ear) -> None:
    quiet = AudioClip(np.zeros(3 * RATE, np.float32))
    on, off = ear.openings(quiet, SpeechOptions()), ear.openings(quiet, SpeechOptions(close_in_silence=False))
    print(f"3 s of digital silence alone: gate on {on.max():.2f}, gate off {off.min():.2f} to {off.max():.2f}")  # noqa: T201
    assert np.ptp(on) < 1e-5
    assert on.max() < 0.2
    assert off.max() > on.max()  # why the closed mouth is not made from silence alone
