"""Any sound to what the networks hear: mono, 16 kHz. One implementation for files, hosts and live sound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import MediaError
from ..types import SPEECH_RATE, AudioClip

CHUNK_SECONDS = 10  # of sound resampled at once: bounds memory, changes nothing else
SQRT_HALF = 0.5**0.5
# How loud a channel is in the mono mix, before the sum is scaled to 1: what ITU-R BS.775 gives when its stereo mix is
# added up. Speech in films is in the centre; the low-frequency channel has none.
MIX_WEIGHTS = {"FL": 1.0, "FR": 1.0, "FC": 2 * SQRT_HALF, "LFE": 0.0, "LFE2": 0.0}
SURROUND_WEIGHT = SQRT_HALF  # of every other channel that has a name
CHANNELS = {
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}  # usual order of so many channels; any other number counts all alike


def speech_clip(waveform: np.ndarray, rate: int) -> AudioClip:
    """A waveform in memory as the networks hear it.

    Args:
        waveform: (C, S) or (S,) float in -1..1.
        rate: samples a second.

    Raises:
        MediaError: no samples, other shape or type, NaN or infinite samples.
    """
    waveform = np.atleast_2d(np.asarray(waveform))
    if waveform.ndim != 2 or waveform.dtype.kind != "f" or len(waveform) == 0:
        raise MediaError(f"Sound of shape {waveform.shape} and type {waveform.dtype} is not (channels, samples) float.")
    if rate <= 0:
        raise MediaError(f"A sample rate of {rate} makes no sound.", "Give samples a second, such as 44100.")
    if not np.isfinite(waveform).all():
        raise MediaError("The sound contains NaN or infinite samples.", "Export it again.")
    size = CHUNK_SECONDS * rate
    pieces = (waveform[:, start : start + size] for start in range(0, waveform.shape[1], size))
    return AudioClip(speech_samples(pieces, CHANNELS.get(len(waveform), ()), rate))


def speech_samples(pieces: Iterable[np.ndarray], channels: Sequence[str], rate: int) -> np.ndarray:
    """Mix pieces of sound down to mono, resample them to 16 kHz as one stream and join them.

    Args:
        pieces: (C, n) float each, finite.
        channels: name of each channel; empty to weigh all alike.
        rate: samples a second of the pieces.

    Returns:
        (S,) float32 in -1..1.
    """
    mono = list(resampled((_mono(piece, channels) for piece in pieces), rate, SPEECH_RATE))
    samples = np.concatenate(mono) if mono else np.zeros(0, np.float32)
    return np.clip(samples, -1, 1)


def resampled(pieces: Iterable[np.ndarray], rate: int, wanted: int) -> Iterator[np.ndarray]:
    """Resample pieces (n,) or (n, C) float32 as one stream, without delay: S samples become S wanted / rate."""
    import soxr

    if rate == wanted:
        yield from pieces
        return
    stream = None
    last = None
    for piece in pieces:
        stream = stream or soxr.ResampleStream(rate, wanted, piece.shape[1] if piece.ndim > 1 else 1, dtype="float32")
        last = piece
        yield stream.resample_chunk(np.ascontiguousarray(piece))
    if stream is not None and last is not None:
        yield stream.resample_chunk(last[:0], last=True)


class StreamResampler:
    """Resamples sound that is still arriving, with 1 to 2 ms of delay and without seams.

    How the sound is cut changes no sample. soxr, which serves whole sounds, keeps 20 to 40 ms back (measured).

    Args:
        rate: samples a second that come in.
        wanted: samples a second that go out.
    """

    def __init__(self, rate: int, wanted: int) -> None:
        from av.audio.resampler import AudioResampler

        self.rate = rate
        self._resampler = None if rate == wanted else AudioResampler(format="fltp", layout="mono", rate=wanted)

    def push(self, samples: np.ndarray) -> np.ndarray:
        """What (n,) float32 samples bring, (m,) float32."""
        import av

        if self._resampler is None or len(samples) == 0:
            return samples
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format="fltp", layout="mono")
        frame.sample_rate = self.rate
        return _joined(self._resampler.resample(frame))

    def finish(self) -> np.ndarray:
        """The samples that were kept back, (m,) float32; the resampler takes no more."""
        return np.zeros(0, np.float32) if self._resampler is None else _joined(self._resampler.resample(None))


def _joined(frames: Sequence[Any]) -> np.ndarray:
    """PyAV's mono frames as one array, (m,) float32."""
    return np.concatenate([np.zeros(0, np.float32), *(frame.to_ndarray()[0] for frame in frames)])


def mono(pcm: np.ndarray) -> np.ndarray:
    """Sound as programs hand it over, (n,) or (C, n), integers or floats, as mono.

    Returns:
        (n,) float32 in -1..1; NaN and infinite samples become silence.

    Raises:
        MediaError: another shape or type.
    """
    if pcm.ndim not in (1, 2) or pcm.dtype.kind not in "if" or 0 in pcm.shape[:-1]:
        raise MediaError(f"Sound of shape {pcm.shape} and type {pcm.dtype} is not (samples,) or (channels, samples).")
    scale = float(np.iinfo(pcm.dtype).max) + 1 if pcm.dtype.kind == "i" else 1.0
    samples = np.nan_to_num(np.atleast_2d(pcm).astype(np.float32) / np.float32(scale), posinf=0, neginf=0)
    return np.asarray(np.clip(_mono(samples, CHANNELS.get(len(samples), ())), -1, 1))


def _mono(piece: np.ndarray, channels: Sequence[str]) -> np.ndarray:
    """(C, n) -> (n,) float32."""
    weights = np.array([MIX_WEIGHTS.get(name, SURROUND_WEIGHT) for name in channels] or [1.0] * len(piece))
    if not weights.any():
        weights = np.ones(len(piece))
    mixed: np.ndarray = (weights / weights.sum()).astype(np.float32) @ piece.astype(np.float32)
    return mixed
