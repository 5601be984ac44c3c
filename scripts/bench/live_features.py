"""How far live features are from offline ones, and what they cost.

    python scripts/bench/live_features.py WEIGHTS SOUND [SOUND ...] [--seconds 12] [--every 20]

WEIGHTS is a Whisper encoder (safetensors, transformers' names), each SOUND a file of which the first seconds are heard.
For windows of frames spread over each sound it prints, per hidden state, the distance from the offline features: the
root of the mean square difference over the root of the mean square deviation of the offline features from their mean.
A random moment is 1.41. Methods: `live`, our stream; `window`, the newest 5 s heard afresh for every frame with their
absolute positions; `from-zero`, the same with positions from 0; `prefix`, all sound so far in 30 s, the best that
is possible; each with extra look-ahead.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder as Network

from musetalk_core.audio.encode import STEP_SAMPLES, SpeechOptions
from musetalk_core.audio.read import read_audio
from musetalk_core.audio.stream import AGAIN, GRID, SILENCE_AFTER, SpeechStream
from musetalk_core.audio.windows import window_start
from musetalk_core.models.whisper import WhisperEncoder, normalised
from musetalk_core.placement import SingleDevice

FPS = Fraction(25)
WINDOW = 250  # steps: 5 s
LOOK_AHEAD = (0, 4, 10, 25)  # steps: 0, 80, 200 and 500 ms
LAYERS, WIDTH, HIDDEN, MELS = 4, 384, 1536, 80  # Whisper tiny


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("sounds", type=Path, nargs="+")
    parser.add_argument("--seconds", type=int, default=12)
    parser.add_argument("--every", type=int, default=20, help="measure every n-th frame after the first second")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    args = parser.parse_args()
    encoder = load(args.weights)
    sounds = [read_audio(path).samples[: args.seconds * 16_000] for path in args.sounds]
    print(f"{'method':16}{'look-ahead':>11}   hidden states 0 to 4, mean over {len(sounds)} sounds      last, by sound")
    with torch.inference_mode():
        for name in args.methods:
            for look_ahead in LOOK_AHEAD:
                errors = torch.stack([distance(encoder, s, METHODS[name], look_ahead, args.every) for s in sounds])
                layers = " ".join(f"{value:7.3f}" for value in errors.mean(dim=0).tolist())
                last = " ".join(f"{value:5.2f}" for value in errors[:, -1].tolist())
                print(f"{name:16}{20 * look_ahead:8d} ms {layers}    {last}", flush=True)
    print("\nencoder work for 200 ms of sound, GFLOP (a multiply-add is 2):")
    print(f"  a window of 5 s every 100 ms   {2 * gflop(WINDOW, WINDOW):5.2f}")
    for look_ahead in LOOK_AHEAD:
        heard = GRID + AGAIN + look_ahead + SILENCE_AFTER
        print(f"  live, {20 * look_ahead:3d} ms, after 5 s / 25 s   "
              f"{10 / GRID * gflop(heard, WINDOW):5.2f} / {10 / GRID * gflop(heard, 5 * WINDOW):5.2f}")  # fmt: skip


Method = Callable[[WhisperEncoder, np.ndarray, list[int], int], list[torch.Tensor]]


def distance(encoder: WhisperEncoder, sound: np.ndarray, method: Method, look_ahead: int, every: int) -> torch.Tensor:
    """Distance of each hidden state over the measured windows, (5,)."""
    offline = encoder.encode(sound)[: len(sound) // STEP_SAMPLES]
    last = len(offline) - 35  # every method has the sound it looks ahead to
    starts = [window_start((i + Fraction(1, 2)) / FPS) for i in range(25, last // 2, every)]
    made = torch.stack(method(encoder, sound, starts, look_ahead))
    true = torch.stack([offline[start : start + 10] for start in starts])
    spread = (true - offline.mean(dim=0)).square().sum(dim=(0, 1, 3))
    return ((made - true).square().sum(dim=(0, 1, 3)) / spread).sqrt()


def live(encoder: WhisperEncoder, sound: np.ndarray, starts: list[int], look_ahead: int) -> list[torch.Tensor]:
    """Our stream: every frame is heard, the wanted ones are kept."""
    stream = SpeechStream(encoder, FPS, SpeechOptions(), torch.zeros(50, encoder.width), look_ahead)
    stream.push(sound)
    found = {}
    for frame in range(len(sound) // 640):
        start = window_start((frame + Fraction(1, 2)) / FPS)
        if start > starts[-1]:
            break
        speech = stream.speech(start)
        found[start] = speech.steps[start - speech.first_step :][:10] if start in starts else None
    return [found[start] for start in starts]


def window(encoder: WhisperEncoder, sound: np.ndarray, starts: list[int], look_ahead: int) -> list[torch.Tensor]:
    """The newest 5 s, each at its own position."""
    return windows(encoder, sound, starts, look_ahead, absolute=True)


def from_zero(encoder: WhisperEncoder, sound: np.ndarray, starts: list[int], look_ahead: int) -> list[torch.Tensor]:
    """The newest 5 s as if they were the first."""
    return windows(encoder, sound, starts, look_ahead, absolute=False)


def windows(
    encoder: WhisperEncoder, sound: np.ndarray, starts: list[int], look_ahead: int, *, absolute: bool
) -> list[torch.Tensor]:
    """The newest 5 s of sound, heard afresh for every frame."""
    mel = encoder.log_mel(np.concatenate([sound[200:0:-1], sound, np.zeros(400, np.float32)]))
    found = []
    for start in starts:
        end = start + 10 + look_ahead
        first = max(0, end - WINDOW)
        position = first if absolute else 0
        heard = normalised(mel[:, 2 * first : 2 * end], float(mel[:, : 2 * end].max()))
        steps = encoder.hear(heard, position, encoder.memory(position))
        found.append(steps[start - first : start - first + 10])
    return found


def prefix(encoder: WhisperEncoder, sound: np.ndarray, starts: list[int], look_ahead: int) -> list[torch.Tensor]:
    """All sound so far, as Whisper hears a sound that ends there."""
    ends = [(start + 10 + look_ahead) * STEP_SAMPLES for start in starts]
    return [encoder.encode(sound[:end])[start : start + 10] for start, end in zip(starts, ends, strict=True)]


METHODS: dict[str, Method] = {"live": live, "window": window, "from-zero": from_zero, "prefix": prefix}


def gflop(steps: int, context: int) -> float:
    """Work to hear `steps` that look back at `context` steps in all."""
    convolutions = 3 * WIDTH * (2 * MELS + WIDTH)
    layer = 4 * WIDTH * WIDTH + 2 * WIDTH * HIDDEN + 2 * WIDTH * context
    return 2 * steps * (convolutions + LAYERS * layer) / 1e9


def load(path: Path) -> WhisperEncoder:
    """Whisper tiny from its bare weights, in float32 on the CPU."""
    config = WhisperConfig(
        d_model=WIDTH, encoder_layers=LAYERS, encoder_attention_heads=6, encoder_ffn_dim=HIDDEN, num_mel_bins=MELS
    )
    network = Network(config).eval()
    network.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return WhisperEncoder(network, "whisper-tiny.en", SingleDevice("cpu", "fp32"))


if __name__ == "__main__":
    main()
