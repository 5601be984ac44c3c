"""How far live features are from offline ones, and what they cost.

    python scripts/bench/live_features.py SOUND [SOUND ...] [--seconds 12] [--every 24] [--weights FILE]

Each SOUND is a file of which the first seconds are heard, by nano's Whisper tiny.en unless WEIGHTS names another
encoder of that size (as `musetalk models convert` writes it). For windows of frames spread over each sound, the same
ones for every method, it prints a table: per hidden state the distance from the offline features, which is the root of
the mean square difference over the root of the mean square deviation of the offline features from their mean. A random
moment is 1.41. Every method is measured with extra look-ahead.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from musetalk_core.audio.encode import STEP_SAMPLES, SpeechOptions
from musetalk_core.audio.read import read_audio
from musetalk_core.audio.stream import AGAIN, GRID, SILENCE_AFTER, SpeechStream
from musetalk_core.audio.windows import window_start
from musetalk_core.models.load import load_audio_encoder
from musetalk_core.models.registry import EMBEDDED
from musetalk_core.models.whisper import WhisperEncoder, normalised
from musetalk_core.placement import SingleDevice

FPS = Fraction(25)
WINDOW = 250  # steps: 5 s
LOOK_AHEAD = (0, 4, 10, 25)  # steps: 0, 80, 200 and 500 ms
LAYERS, WIDTH, HIDDEN, MELS = 4, 384, 1536, 80  # Whisper tiny


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sounds", type=Path, nargs="+")
    parser.add_argument("--weights", type=Path, default=EMBEDDED / "audio_encoder.safetensors")
    parser.add_argument("--seconds", type=int, default=12)
    parser.add_argument("--every", type=int, default=24, help="measure every n-th frame after the first second")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    args = parser.parse_args()
    encoder = load_audio_encoder(args.weights, SingleDevice("cpu", "fp32"))
    with torch.inference_mode():
        sounds = [Sound(encoder, read_audio(path).samples[: args.seconds * 16_000], args.every) for path in args.sounds]
        print(
            f"{sum(len(sound.starts) for sound in sounds)} moments in {len(sounds)} sounds, the same for all methods\n"
        )
        print("| method | look-ahead | state 0 | 1 | 2 | 3 | 4 | 4, by sound |\n" + "| --- " * 8 + "|")
        for name in args.methods:
            for look_ahead in LOOK_AHEAD:
                errors = torch.stack([distance(encoder, sound, METHODS[name], look_ahead) for sound in sounds])
                layers = " | ".join(f"{value:.2f}" for value in errors.mean(dim=0).tolist())
                last = ", ".join(f"{value:.2f}" for value in errors[:, -1].tolist())
                print(f"| {name} | {20 * look_ahead} ms | {layers} | {last} |", flush=True)
    print("\nencoder work for 200 ms of sound, GFLOP (a multiply-add is 2):")
    print(f"  all in 30 s, each frame        {5 * gflop(6 * WINDOW, 6 * WINDOW):6.2f}")
    for seconds in (5, 2):
        print(f"  newest {seconds} s, each 100 ms        {2 * gflop(50 * seconds, 50 * seconds):6.2f}")
    for look_ahead in LOOK_AHEAD:
        heard = GRID + AGAIN + look_ahead + SILENCE_AFTER
        print(f"  live, {20 * look_ahead:3d} ms, after 5 s / 25 s  "
              f"{10 / GRID * gflop(heard, WINDOW):6.2f} / {10 / GRID * gflop(heard, 5 * WINDOW):5.2f}")  # fmt: skip
    print(f"  live, where a piece of 20 s begins, once {gflop(WINDOW, WINDOW):.2f}")


class Sound:
    """A sound with its offline features and the windows that are measured.

    Args:
        encoder: Whisper.
        samples: (S,) at 16 kHz.
        every: frames from one measured window to the next.
    """

    def __init__(self, encoder: WhisperEncoder, samples: np.ndarray, every: int) -> None:
        self.samples = samples
        self.offline = encoder.encode(samples)[: len(samples) // STEP_SAMPLES]
        last = len(self.offline) - 35  # every method has the sound it looks ahead to
        self.starts = [window_start((i + Fraction(1, 2)) / FPS) for i in range(25, last // 2, every)]


Method = Callable[[WhisperEncoder, np.ndarray, list[int], int], list[torch.Tensor]]


def distance(encoder: WhisperEncoder, sound: Sound, method: Method, look_ahead: int) -> torch.Tensor:
    """Distance of each hidden state over the measured windows, (5,)."""
    made = torch.stack(method(encoder, sound.samples, sound.starts, look_ahead))
    true = torch.stack([sound.offline[start : start + 10] for start in sound.starts])
    spread = (true - sound.offline.mean(dim=0)).square().sum(dim=(0, 1, 3))
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


def newest(seconds: int, absolute: bool = True) -> Method:
    """The newest seconds of sound, heard afresh for every frame, each step at its own position or from 0 on."""

    def method(encoder: WhisperEncoder, sound: np.ndarray, starts: list[int], look_ahead: int) -> list[torch.Tensor]:
        mel = encoder.log_mel(np.concatenate([sound[200:0:-1], sound, np.zeros(400, np.float32)]))
        found = []
        for start in starts:
            end = start + 10 + look_ahead
            first = max(0, end - 50 * seconds)
            position = first if absolute else 0
            heard = normalised(mel[:, 2 * first : 2 * end], float(mel[:, : 2 * end].max()))
            steps = encoder.hear(heard, position, encoder.memory(position))
            found.append(steps[start - first : start - first + 10])
        return found

    return method


def prefix(encoder: WhisperEncoder, sound: np.ndarray, starts: list[int], look_ahead: int) -> list[torch.Tensor]:
    """All sound so far, as Whisper hears a sound that ends there."""
    ends = [(start + 10 + look_ahead) * STEP_SAMPLES for start in starts]
    return [encoder.encode(sound[:end])[start : start + 10] for start, end in zip(starts, ends, strict=True)]


METHODS: dict[str, Method] = {
    "live": live,
    "all so far, in 30 s": prefix,
    "newest 5 s": newest(5),
    "newest 2 s": newest(2),
    "newest 5 s, positions from 0": newest(5, absolute=False),
}


def gflop(steps: int, context: int) -> float:
    """Work to hear `steps` that look back at `context` steps in all."""
    convolutions = 3 * WIDTH * (2 * MELS + WIDTH)
    layer = 4 * WIDTH * WIDTH + 2 * WIDTH * HIDDEN + 2 * WIDTH * context
    return 2 * steps * (convolutions + LAYERS * layer) / 1e9


if __name__ == "__main__":
    main()
