"""What travels in the package to try things out with: a drawn person, and six seconds of speech."""

from __future__ import annotations

from pathlib import Path

SAMPLE_SEED = 20300  # a woman drawn by `footage.portrait_footage`; nano was trained on seeds below 10000 alone
SAMPLE_WORDS = "Hello! My mouth is made by a small model. Maybe I pop and mumble a bit, but I open wide."


def sample_speech() -> Path:
    """The sound file of `SAMPLE_WORDS`, said by a synthetic voice: WAV, 6.0 s, 16 kHz, mono."""
    return Path(__file__).with_name("speech.wav")
