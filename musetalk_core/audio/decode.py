"""Sound files and the sound tracks of videos as float samples, placed in time as a player would place them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import MediaError

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.layout import AudioLayout
    from av.audio.stream import AudioStream
    from av.container import InputContainer

NO_SOUND_FIX = "Give a sound file, or a video that has a sound track."
REPAIR = "Copy it again, or save it again as WAV."
# A file may name others (playlists do): only local ones are ever opened. Given as container options, as PyAV before 18
# crashes on MPEG files when streams are given options.
OPEN_OPTIONS = {"protocol_whitelist": "file"}
JUMP = Fraction(1, 20)  # s; times that differ by more from the samples so far are a gap or an overlap, not rounding
EXACT_LENGTHS = ("mov", "flac", "wav", "aiff")  # containers that say exactly how long a track is
LOST_TAIL = Fraction(1, 10)  # s; a track that ends so much before its exact length was cut off


@dataclass(frozen=True, slots=True)
class SoundFormat:
    """One sound track.

    Args:
        codec: FFmpeg's name.
        rate: samples a second.
        layout: FFmpeg's name of the channels' layout, such as "stereo".
        channels: name of each channel, such as "FL".
        time_base: seconds of one tick of its packets.
        origin: seconds in the file's own time that count as 0: the first frame of the video beside it, else the first
            sample that a player sounds.
        end: seconds after the origin at which it ends, None where the container does not say exactly.
    """

    codec: str
    rate: int
    layout: str
    channels: tuple[str, ...]
    time_base: Fraction
    origin: Fraction
    end: Fraction | None


@contextlib.contextmanager
def naming_errors(path: Path, doing: str, fix: str) -> Iterator[None]:
    """Turn what FFmpeg or the system raises into a `MediaError` that names the file."""
    from av import FFmpegError

    try:
        yield
    except FileNotFoundError as error:
        raise MediaError(f"{path} does not exist.", "Check the path.") from error
    except PermissionError as error:
        raise MediaError(f"{path} {doing}: access denied.", "Check the permissions.") from error
    except (FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MediaError(f"{path} {doing}: {reason}.", fix) from error


@contextlib.contextmanager
def open_track(path: Path, stream: int = 0) -> Iterator[tuple[InputContainer, AudioStream]]:
    """Open a file at one of its sound tracks.

    Raises:
        MediaError: missing, unreadable, no sound file, no such track.
    """
    import av

    with naming_errors(path, "cannot be opened as sound", NO_SOUND_FIX):
        # An absolute path is never taken for a protocol ("a:b.wav") or a pattern.
        container = av.open(os.path.abspath(path), container_options=OPEN_OPTIONS, metadata_errors="replace")
    with container:
        tracks = container.streams.audio
        if stream >= len(tracks):
            what = f"has no sound track {stream}" if tracks else "has no sound"
            raise MediaError(f"{path} {what}.", NO_SOUND_FIX)
        if tracks[stream].codec_context is None:
            raise MediaError(f"{path} uses a sound codec that cannot be decoded here.", REPAIR)
        yield container, tracks[stream]


def sound_format(path: Path, stream: int = 0) -> SoundFormat:
    """Describe a sound track.

    Raises:
        MediaError: there is none.
    """
    with open_track(path, stream) as (container, track):
        context = track.codec_context
        time_base = Fraction(track.time_base or 0)
        start = (track.start_time or 0) * time_base
        origin = _video_start(container)
        if origin is None:
            origin = _first_sample(container, track, path)
        exact = track.duration and container.format.name.split(",")[0] in EXACT_LENGTHS
        return SoundFormat(
            codec=context.codec.canonical_name,
            rate=context.sample_rate,
            layout=context.layout.name,
            channels=_channel_names(context.layout),
            time_base=time_base,
            origin=origin,
            end=start + (track.duration or 0) * time_base - origin if exact else None,
        )


def decode_sound(path: Path, stream: int = 0) -> Iterator[np.ndarray]:
    """The samples of a track from its origin on, in chunks (C, n) float32 at the track's own rate.

    Sound that begins later than the origin is led in by silence, what lies before the origin is cut, gaps are filled
    with silence, and padding of the codec at either end is left out.

    Raises:
        MediaError: no such track, damaged, or cut off; a NaN or infinite sample.
    """
    form = sound_format(path, stream)
    limit = None if form.end is None else max(0, round(form.end * form.rate))
    written = 0
    for position, samples in _placed(path, stream, form):
        gap = position - written
        if written == 0 or abs(gap) > JUMP * form.rate:
            if gap > 0:
                yield np.zeros((len(samples), gap if limit is None else min(gap, limit)), np.float32)
            written += max(0, gap)
            first = max(0, -gap)
        else:
            first = 0
        piece = samples[:, first : None if limit is None else first + max(0, limit - written)]
        if piece.shape[1]:
            written += piece.shape[1]
            yield piece
    if limit is not None and written < limit - LOST_TAIL * form.rate:
        raise MediaError(f"{path} is cut off after {written / form.rate:.2f} s of sound.", REPAIR)


def _placed(path: Path, stream: int, form: SoundFormat) -> Iterator[tuple[int, np.ndarray]]:
    """Decoded pieces (C, n) float32, each with the sample at which it belongs, counted from the origin.

    What cannot be decoded before the first or after the last sound (tags, padding) is passed over; in between it is
    damage.
    """
    from av import FFmpegError

    position = 0
    broken = False
    with open_track(path, stream) as (container, track), naming_errors(path, "cannot be decoded", REPAIR):
        for packet in container.demux(track):
            try:
                frames = packet.decode()
            except FFmpegError:
                broken = position > 0
                continue
            for frame in frames:
                if broken:
                    raise MediaError(f"{path} is damaged {position / form.rate:.2f} s after its start.", REPAIR)
                if frame.pts is not None:
                    position = round((frame.pts * Fraction(frame.time_base or 0) - form.origin) * form.rate)
                samples = _floats(frame, path, form)
                yield position, samples
                position += samples.shape[1]


def _floats(frame: AudioFrame, path: Path, form: SoundFormat) -> np.ndarray:
    """The samples of a decoded frame, (C, n) float32."""
    channels = len(form.channels)
    if frame.sample_rate != form.rate or frame.layout.nb_channels != channels:
        raise MediaError(f"{path} changes its sample rate or channels midway.", REPAIR)
    stored = frame.to_ndarray()
    if not frame.format.is_planar:
        stored = stored.reshape(-1, channels).T  # (1, n * C) -> (C, n)
    if stored.dtype == np.uint8:
        return (stored.astype(np.float32) - 128) / 128
    if stored.dtype.kind == "i":
        return (stored / float(2 ** (8 * stored.itemsize - 1))).astype(np.float32)
    samples = stored.astype(np.float32)
    if not np.isfinite(samples).all():
        raise MediaError(f"{path} contains NaN or infinite samples.", "Export it again.")
    return samples


def _video_start(container: InputContainer) -> Fraction | None:
    """When the first frame of the file's video is shown; None without a video (cover art is none)."""
    from av.stream import Disposition

    for video in container.streams.video:
        if not video.disposition & Disposition.attached_pic:
            return Fraction((video.start_time or 0) * (video.time_base or 0))
    return None


def _first_sample(container: InputContainer, track: AudioStream, path: Path) -> Fraction:
    """When the first decoded sample sounds, after the codec's priming; a track's stated start may count that or not."""
    from av import FFmpegError

    with naming_errors(path, "cannot be decoded", REPAIR):
        for packet in container.demux(track):
            with contextlib.suppress(FFmpegError):  # a tag before the sound; damage is found when it is read
                for frame in packet.decode():
                    return Fraction((frame.pts or 0) * (frame.time_base or 0))
    return Fraction(0)


def _channel_names(layout: AudioLayout) -> tuple[str, ...]:
    """Names of a layout's channels; of a mere number of channels, those of the usual layout of that many."""
    from av import AudioLayout

    usual = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}.get(layout.nb_channels)
    if layout.name.endswith(" channels"):
        if usual is None:
            return tuple(f"{i}" for i in range(layout.nb_channels))
        layout = AudioLayout(usual)
    return tuple(channel.name for channel in layout.channels)
