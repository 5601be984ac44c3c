"""Writing a video: exact times, honest colours, and nothing under the final name until the file is whole."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

import numpy as np

from ..errors import MediaError
from ..options import Options, option
from ..timeline import Clock
from .container import naming_errors
from .probe import ColourTags

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

SUFFIXES = (".mp4", ".mov", ".mkv")

# H.273 code points, see `ColourTags`. Untagged video is BT.709 to players when it is high definition, else BT.601.
BT709 = ColourTags(1, 1, 1, 1)
BT601 = ColourTags(6, 6, 6, 1)
SRGB = ColourTags(1, 13, 0, 2)
SLOWEST_RATE = Fraction(1, 1001)  # frames a second that a file is declared to have, where its times say it all anyway
SMALLEST_SLICED = 16  # pixels of a side; FFV1 refuses to cut 1 pixel into 4 slices
HD_WIDTH, HD_HEIGHT = 1280, 577  # pixels, from which on players assume BT.709
UNSPECIFIED, RGB, FULL_RANGE = 2, 0, 2
MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}  # matrix tag -> swscale's coefficients; others are not written
UNTAGGED_MATRIX = 5  # BT.601, as which untagged video is read


@dataclass(frozen=True, slots=True)
class WriteOptions(Options):
    """How the result is encoded."""

    lossless: bool = option(
        False, "Keep every pixel exactly: RGB in FFV1 (.mkv) or RGB H.264 (.mp4, .mov). Makes large files."
    )
    crf: int = option(17, "Quality of H.264: 0 is best, 17 looks like the source, 28 is small.", low=0, high=51)
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"] = (
        option("medium", "Speed of H.264: a slower one makes a smaller file of the same quality.")
    )


class SoundTrack(Protocol):
    """A sound track that is being written."""

    def write_until(self, seconds: Fraction | None) -> None:
        """Write what begins before a time; all that is left when None."""

    def close(self) -> None:
        """Let go of the sound's file."""


class SoundSource(Protocol):
    """A sound that can be written beside a video (`audio.write.Sound`)."""

    def begin(self, container: OutputContainer, suffix: str, lossless: bool) -> SoundTrack:
        """Add a track to a container before anything is written to it."""


def require_target(path: Path) -> None:
    """Refuse a name under which no video can be written, before any work is done for it.

    Raises:
        MediaError: another suffix, no such folder, a folder that may not be written to.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise MediaError(f"{path} is no kind of video that is written.", f"Use one of: {', '.join(SUFFIXES)}.")
    if not path.parent.is_dir():
        raise MediaError(f"The folder {path.parent} does not exist.", "Create it, or choose another.")
    if path.is_dir():
        raise MediaError(f"{path} is a folder.", "Name a file in it.")
    if not os.access(path.parent, os.W_OK):
        raise MediaError(f"The folder {path.parent} may not be written to.", "Choose another, or change its rights.")


class VideoWriter:
    """Writes frames to a video file. A context manager: the file appears when the block ends without an exception.

    Frames go to a hidden file beside the target, with a name of its own in every run. An exception of any kind,
    a cancel too, removes it and leaves what stands under the final name alone.

    Args:
        path: .mp4, .mov or .mkv.
        width, height: pixels; odd sizes are kept (H.264 is 4:4:4 then, which fewer players show).
        clock: times of all frames to come. A regular clock gives an exact rational rate, any other its own times
            (Matroska rounds them to ms) and no B-frames, as containers state exact durations only without.
        options: encoding.
        colours: tags of the video that the frames were read from: they are kept, and the conversion follows them; an
            untagged one stays untagged, so that every player shows the result as it shows the source. None for frames
            that never were video: tagged as players assume by size.
        sound: goes beside it.
        pixel_aspect: width of a pixel over its height.

    Raises:
        MediaError: another suffix, no such folder, not writable, no sound in the sound's file.
    """

    def __init__(
        self,
        path: str | Path,
        width: int,
        height: int,
        clock: Clock,
        options: WriteOptions,
        colours: ColourTags | None = None,
        sound: SoundSource | None = None,
        pixel_aspect: Fraction = Fraction(1),
    ) -> None:
        self._path = Path(path)
        self._size = (height, width)
        self._clock = clock
        self._options = options
        self._colours = _written_colours(colours, width, height, options.lossless)
        self._sound = sound
        self._pixel_aspect = pixel_aspect
        require_target(self._path)
        self._suffix = self._path.suffix.lower()
        # A name of our own: no pattern, no protocol, no length limit can meet what the user chose.
        self._part = self._path.parent / f".{uuid.uuid4().hex}{self._suffix}"
        self._count = 0
        self._container: OutputContainer | None = None
        self._track: SoundTrack | None = None

    def __enter__(self) -> VideoWriter:
        try:
            with self._naming_errors():
                self._open()
        except BaseException:
            self._discard()
            raise
        return self

    def write(self, frames: np.ndarray) -> None:
        """Append frames.

        Args:
            frames: (n, H, W, 3) RGB, uint8, or float32 in 0..1, which is rounded.

        Raises:
            MediaError: other size or type, more frames than the clock has, or the disk is full.
        """
        if frames.dtype == np.float32:
            frames = np.rint(np.clip(frames, 0, 1) * 255).astype(np.uint8)
        if frames.shape[1:] != (*self._size, 3) or frames.dtype != np.uint8:
            size = f"{self._size[1]}x{self._size[0]}"
            raise MediaError(f"Frames of shape {frames.shape} {frames.dtype} cannot go into a video of {size} RGB.")
        if self._count + len(frames) > len(self._clock):
            raise MediaError(f"More frames come than the {len(self._clock)} that {self._path} is to have.")
        with self._naming_errors():
            for frame in frames:
                self._mux(self._stream.encode(self._picture(frame)))
                self._count += 1
                if self._track is not None:
                    self._track.write_until(int(self._clock.ticks[self._count]) * self._clock.time_base)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._discard()

    def _open(self) -> None:
        import av
        from av.video.reformatter import Interpolation, VideoReformatter

        options = {} if self._suffix == ".mkv" else {"movflags": "+faststart"}
        self._container = container = av.open(os.path.abspath(self._part), "w", options=options)
        self._stream = self._add_video(container)
        self._reformatter = VideoReformatter()
        self._interpolation = Interpolation.AREA  # nearest to undoing FFmpeg's 4:2:0 -> RGB, of all that it has
        if self._sound is not None:
            self._track = self._sound.begin(container, self._suffix, self._options.lossless)
        container.start_encoding()

    def _add_video(self, container: OutputContainer) -> VideoStream:
        codec, pixel_format, options = self._encoding()
        if self._clock.variable:
            rate, time_base = max(self._clock.fps.limit_denominator(1001), SLOWEST_RATE), self._clock.time_base
        else:
            rate, time_base = self._clock.fps, 1 / self._clock.fps
        stream = cast("VideoStream", container.add_stream(codec, rate=rate, options=options))
        stream.height, stream.width = self._size
        stream.pix_fmt = pixel_format
        context = stream.codec_context
        context.time_base = time_base
        context.color_primaries = self._colours.primaries
        context.color_trc = self._colours.transfer
        context.colorspace = self._colours.matrix
        context.color_range = self._colours.range
        if self._pixel_aspect != 1:
            context.sample_aspect_ratio = self._pixel_aspect
        return stream

    def _encoding(self) -> tuple[str, str, dict[str, str]]:
        """Codec, pixel format and options."""
        if self._options.lossless and self._suffix == ".mkv":
            # Version 3 cuts frames into slices, so that all threads work; tiny frames cannot be cut.
            slices = "4" if min(self._size) >= SMALLEST_SLICED else "1"
            return "ffv1", "bgr0", {"level": "3", "slices": slices, "slicecrc": "1", "g": "1"}
        options = {"preset": self._options.preset, "crf": str(self._options.crf)}
        if self._clock.variable:
            options["bf"] = "0"
        if self._options.lossless:
            return "libx264rgb", "bgr24", {**options, "crf": "0"}
        even = self._size[0] % 2 == 0 and self._size[1] % 2 == 0
        return "libx264", "yuv420p" if even else "yuv444p", options

    def _picture(self, frame: np.ndarray) -> VideoFrame:
        import av

        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        matrix = MATRICES.get(self._colours.matrix, UNTAGGED_MATRIX)
        rgb.colorspace = matrix  # PyAV 17.0 takes BT.2020 from here only
        conversion: dict[str, Any] = {}
        if not self._options.lossless:
            conversion = {
                # Of RGB it means nothing, but PyAV before 17 converts by the target's matrix only if the two differ.
                "src_colorspace": 1 if matrix == UNTAGGED_MATRIX else UNTAGGED_MATRIX,
                "dst_colorspace": matrix,
                "src_color_range": FULL_RANGE,
                "dst_color_range": self._colours.range or 1,
                "interpolation": self._interpolation,
            }
        picture = self._reformatter.reformat(rgb, format=self._stream.pix_fmt, **conversion)
        ticks = self._clock.ticks[self._count] if self._clock.variable else self._count
        picture.pts = int(ticks)
        picture.time_base = self._stream.codec_context.time_base
        return picture

    def _mux(self, packets: list[Packet[Any]]) -> None:
        if self._container is None:
            return
        for packet in packets:
            if self._clock.variable:
                index = int(np.searchsorted(self._clock.ticks, packet.pts or 0))
                packet.duration = int(self._clock.ticks[index + 1] - self._clock.ticks[index])
            else:
                packet.duration = 1
            self._container.mux(packet)

    def _finish(self) -> None:
        if self._count != len(self._clock):
            raise MediaError(f"{self._path} was to have {len(self._clock)} frames, but {self._count} came.")
        with self._naming_errors():
            self._mux(self._stream.encode(None))
            if self._track is not None:
                self._track.write_until(None)
            if self._container is not None:
                self._container.close()
                self._container = None
            os.replace(self._part, self._path)

    def _discard(self) -> None:
        """Close everything and remove the hidden file, whatever state they are in."""
        from av import FFmpegError

        if self._track is not None:
            self._track.close()
        if self._container is not None:
            # It is about to be removed: that its end cannot be written does not matter.
            with contextlib.suppress(FFmpegError, OSError, ValueError):
                self._container.close()
            self._container = None
        with contextlib.suppress(OSError):
            self._part.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _naming_errors(self) -> Iterator[None]:
        fix = "Check that the disk has room and that no other program has the file open."
        with naming_errors(self._path, "cannot be written", fix):
            yield


def _written_colours(source: ColourTags | None, width: int, height: int, lossless: bool) -> ColourTags:
    """The tags of the file to be written."""
    if lossless:
        known = source or SRGB
        return ColourTags(known.primaries, known.transfer, RGB, FULL_RANGE)
    if source is not None and (source.matrix in MATRICES or source.matrix == UNSPECIFIED):
        return source
    return BT709 if width >= HD_WIDTH or height >= HD_HEIGHT else BT601
