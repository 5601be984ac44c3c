"""The sound that goes beside a video: copied as it is where possible, else encoded, always starting at frame 0."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import MediaError
from ..types import AudioClip
from .decode import SoundFormat, decode_sound, naming_errors, open_track, sound_format
from .read import read_audio
from .resample import CHANNELS, resampled, speech_clip

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet

# Codecs that players take in a container; Matroska holds every codec that FFmpeg can put there.
COPIED = {
    ".mp4": ("aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"),
    ".mov": ("aac", "mp3", "ac3", "eac3", "alac"),
}
AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # Hz, those up to 48 kHz
AAC_BITS = 96_000  # a second and channel; transparent
AAC_BITS_PER_SAMPLE = 6  # the format's limit: 6144 bits for 1024 samples of a channel
FRAME = 1024  # samples given to an encoder at once; AAC's own frame
EARLIEST_COPY = Fraction(-1, 10)  # s; a copied track may begin so much before the video (codec priming does)


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """A sound for a video: a track of a file, or samples in memory.

    Args:
        path: a sound file or a video with sound; None when `waveform` is given.
        cut: seconds after which it ends; None for all of it.
        waveform: (C, S) float in -1..1.
        rate: samples a second of `waveform`.
        stream: which sound track of the file, counted from 0.
    """

    path: Path | None = None
    cut: Fraction | None = None
    waveform: np.ndarray | None = None
    rate: int = 0
    stream: int = 0

    def __post_init__(self) -> None:
        if (self.path is None) == (self.waveform is None):
            raise MediaError("A sound is either a file or a waveform.", "Give one of them.")
        if self.cut is not None and self.cut <= 0:
            raise MediaError(f"A sound cannot be cut at {self.cut} s.", "Cut it after 0.")
        if self.waveform is not None and (self.waveform.ndim != 2 or self.waveform.size == 0 or self.rate <= 0):
            raise MediaError(f"Sound of shape {self.waveform.shape} at {self.rate} Hz is not (channels, samples).")

    def clip(self) -> AudioClip:
        """The sound as the networks hear it, all of it.

        Raises:
            MediaError: as `read_audio` and `speech_clip`.
        """
        if self.waveform is not None:
            return speech_clip(self.waveform, self.rate)
        return read_audio(Path(self.path or ""), self.stream)

    def begin(self, container: OutputContainer, suffix: str, lossless: bool) -> SoundTrack:
        """Add a track to a container that is about to be written.

        The packets of a file are copied when nothing is cut from it and the container's players take its codec; else
        it becomes AAC at its own rate, at most 48 kHz, or with `lossless` in Matroska PCM.

        Args:
            container: open for writing, no packet written yet.
            suffix: of the file being written, such as ".mp4".
            lossless: whether re-encoding may lose nothing, where the container allows.

        Raises:
            MediaError: there is no sound in the file, or it cannot be read.
        """
        if self.path is None:
            return self._encoded(container, self._waveform_format(), suffix, lossless)
        form = sound_format(Path(self.path), self.stream)
        if self.cut is not None and form.end is not None and form.end <= self.cut:
            return replace(self, cut=None).begin(container, suffix, lossless)
        if self.cut is None and form.codec in COPIED.get(suffix, (form.codec,)):
            copied = self._copied(container, form, Path(self.path))
            if copied is not None:
                return copied
        return self._encoded(container, form, suffix, lossless)

    def _waveform_format(self) -> SoundFormat:
        samples = np.zeros((0, 0)) if self.waveform is None else self.waveform
        count = len(samples)
        names = CHANNELS.get(count, tuple(f"{i}" for i in range(count)))
        layout = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}.get(count, f"{count} channels")
        end = Fraction(samples.shape[1], self.rate)
        return SoundFormat("pcm", self.rate, layout, names, Fraction(1, self.rate), Fraction(0), end)

    def _copied(self, container: OutputContainer, form: SoundFormat, path: Path) -> SoundTrack | None:
        """A track with the file's own packets; None where the container cannot hold them as they are."""
        with open_track(path, self.stream) as (_, track):
            if (track.start_time or 0) * form.time_base - form.origin < EARLIEST_COPY:
                return None
            try:
                added = container.add_stream_from_template(track)
            except ValueError:  # the container does not hold this codec
                return None
        return SoundTrack(container, _copied_packets(path, self.stream, form, added))

    def _encoded(self, container: OutputContainer, form: SoundFormat, suffix: str, lossless: bool) -> SoundTrack:
        if lossless and suffix == ".mkv":
            rate = form.rate
            track = container.add_stream("pcm_f32le", rate=rate, layout=_layout(form))
        else:
            rate = form.rate if form.rate in AAC_RATES else AAC_RATES[-1]
            track = container.add_stream("aac", rate=rate, layout=_layout(form))
            channels = track.codec_context.layout.nb_channels
            track.codec_context.bit_rate = channels * min(AAC_BITS, AAC_BITS_PER_SAMPLE * rate)
        return SoundTrack(container, _encoded_packets(self._pieces(form, rate), rate, form, track))

    def _pieces(self, form: SoundFormat, rate: int) -> Iterator[np.ndarray]:
        """Samples (C, n) float32 at `rate`, up to the cut."""
        if self.waveform is None:
            pieces = decode_sound(Path(self.path or ""), self.stream)
        else:
            pieces = iter([np.clip(self.waveform, -1, 1).astype(np.float32)])
        left = None if self.cut is None else round(self.cut * rate)
        for piece in resampled((piece.T for piece in pieces), form.rate, rate):  # (n, C), as soxr has it
            samples = piece.T if left is None else piece.T[:, :left]
            yield samples
            if left is not None:
                left -= samples.shape[1]
                if left <= 0:
                    return


class SoundTrack:
    """A sound track being written, packet by packet as the video goes on.

    Args:
        container: the file being written.
        packets: each with the seconds at which it sounds.
    """

    def __init__(self, container: OutputContainer, packets: Iterator[tuple[Fraction, Packet[Any]]]) -> None:
        self._container = container
        self._packets = packets
        self._waiting: tuple[Fraction, Packet[Any]] | None = None

    def write_until(self, seconds: Fraction | None) -> None:
        """Write all packets that begin before a time; all that are left when None."""
        while True:
            self._waiting = self._waiting or next(self._packets, None)
            if self._waiting is None or (seconds is not None and self._waiting[0] >= seconds):
                return
            self._container.mux(self._waiting[1])
            self._waiting = None

    def close(self) -> None:
        """Let go of the sound's file."""
        close = getattr(self._packets, "close", None)
        if close is not None:
            close()


def _copied_packets(
    path: Path, stream: int, form: SoundFormat, added: AudioStream
) -> Iterator[tuple[Fraction, Packet[Any]]]:
    shift = round(form.origin / form.time_base)
    with open_track(path, stream) as (container, track), naming_errors(path, "cannot be read", "Copy it again."):
        for packet in container.demux(track):
            if packet.size == 0 or packet.pts is None:
                continue
            if packet.is_corrupt:
                raise MediaError(f"{path} is cut off or damaged.", "Copy it again, or save it again as WAV.")
            packet.pts -= shift
            packet.dts = packet.pts
            packet.stream = added
            yield packet.pts * form.time_base, packet


def _encoded_packets(
    pieces: Iterator[np.ndarray], rate: int, form: SoundFormat, track: AudioStream
) -> Iterator[tuple[Fraction, Packet[Any]]]:
    from av import AudioFrame, AudioResampler

    context = track.codec_context
    to_encoder = AudioResampler(format=context.format, layout=context.layout, rate=rate)
    at = 0
    for piece in _frames(pieces):
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(piece), format="fltp", layout=_layout(form))
        frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
        at += piece.shape[1]
        for converted in to_encoder.resample(frame):
            for packet in track.encode(converted):
                yield _time(packet), packet
    for packet in track.encode(None):
        yield _time(packet), packet


def _time(packet: Packet[Any]) -> Fraction:
    """Seconds at which an encoded packet sounds."""
    return Fraction((packet.pts or 0) * (packet.time_base or 0))


def _frames(pieces: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The same samples in pieces of `FRAME`, the last one shorter."""
    left = None
    for piece in pieces:
        left = piece if left is None else np.concatenate([left, piece], axis=1)
        whole = left.shape[1] // FRAME * FRAME
        for start in range(0, whole, FRAME):
            yield left[:, start : start + FRAME]
        left = left[:, whole:]
    if left is not None and left.shape[1]:
        yield left


def _layout(form: SoundFormat) -> str:
    """The name of a layout that FFmpeg knows for these channels."""
    if not form.layout.endswith(" channels"):
        return form.layout
    layout = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}.get(
        len(form.channels)
    )
    if layout is None:
        raise MediaError(f"Sound of {len(form.channels)} channels cannot be written.", "Mix it down to stereo.")
    return layout
