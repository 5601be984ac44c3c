"""What a video file is: size, exact frame times, colour, sound; from its packets, without decoding where possible."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import MediaError
from ..timeline import Clock
from .container import REPAIR, naming_errors, open_container, video_stream
from .matroska import segment_end
from .timing import frame_clock

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

INDEXED_FORMATS = ("mov", "matroska")  # their packets say exactly which frames there are
HIDDEN_FRAME_CODECS = ("vp8",)  # some of their packets show nothing
LOST_TAIL = Fraction(1, 4)  # s; a Matroska track that ends so much before its stated end has lost frames


@dataclass(frozen=True, slots=True)
class ColourTags:
    """How a file says its colours are meant: code points of ITU-T H.273 as FFmpeg numbers them.

    Args:
        primaries, transfer, matrix: 2 is "unspecified", 1 is BT.709; matrix 0 is RGB.
        range: 0 unspecified, 1 limited (16..235), 2 full.
    """

    primaries: int = 2
    transfer: int = 2
    matrix: int = 2
    range: int = 0


@dataclass(frozen=True, slots=True)
class SoundStream:
    """One sound track: codec, samples a second, channels."""

    codec: str
    rate: int
    channels: int


@dataclass(frozen=True, slots=True)
class Orientation:
    """How a stored picture is brought upright: transposed if `turned`, then mirrored along x and y."""

    turned: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def rotation(self) -> int:
        """Degrees clockwise by which the stored picture is turned for showing (a mirrored one: without the mirror)."""
        if self.turned:
            return 270 if self.flip_y else 90
        return 180 if self.flip_y else 0

    def upright(self, picture: np.ndarray) -> np.ndarray:
        """The picture (H, W, 3) as it is to be shown; a view where possible."""
        if self.turned:
            picture = picture.transpose(1, 0, 2)
        return picture[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]


@dataclass(frozen=True, slots=True, eq=False)
class VideoInfo:
    """A video file, as its container and its first frame describe it.

    Args:
        path: the file.
        container, codec: FFmpeg's names.
        width, height: pixels, upright.
        orientation: how the stored pictures become upright.
        clock: times of the N frames, from 0.
        start: seconds in the file's own time at which the first frame is shown; its sound tracks count from there.
        pts: (N,) int64 presentation times in ticks of `time_base`, as decoding gives them.
        keys: (K,) int64 presentation times of the key frames, increasing.
        time_base: seconds of one tick of `pts`.
        colours: colour tags.
        pixel_aspect: width of a pixel over its height, upright; 1 unless the file is anamorphic.
        pixel_format: FFmpeg's name of the stored pixels.
        bit_depth: bits of one colour component.
        alpha: whether pixels have an alpha component (it is dropped on reading).
        sounds: the sound tracks.
    """

    path: Path
    container: str
    codec: str
    width: int
    height: int
    orientation: Orientation
    clock: Clock
    start: Fraction
    pts: np.ndarray
    keys: np.ndarray
    time_base: Fraction
    colours: ColourTags
    pixel_aspect: Fraction
    pixel_format: str
    bit_depth: int
    alpha: bool
    sounds: tuple[SoundStream, ...]

    @property
    def frames(self) -> int:
        return len(self.clock)

    @property
    def fps(self) -> Fraction:
        """Frames per second, exact; the average of a variable rate."""
        return self.clock.fps

    @property
    def seconds(self) -> Fraction:
        return self.clock.seconds

    @property
    def rotation(self) -> int:
        """Degrees clockwise by which the stored picture is turned for showing."""
        return self.orientation.rotation


@dataclass(frozen=True, slots=True, eq=False)
class _Times:
    pts: np.ndarray  # (N,) int64, increasing
    keys: np.ndarray  # (K,) int64, increasing
    last: int | None  # ticks that the last frame lasts


def probe(path: str | Path) -> VideoInfo:
    """Describe a video file.

    Frame count and times come from the packets of mp4, mov, mkv and webm files; other containers, and streams whose
    packets do not tell, are decoded once. A file that is cut off or damaged so that frames are lost is refused: a
    broken last frame counts as lost.

    Raises:
        MediaError: missing, no video, no frames, cut off, or frames without times.
    """
    path = Path(path)
    with open_container(path) as container:
        stream = video_stream(container, path)
        first = _first_frame(container, stream, path)
        times = _frame_times(path, first)
        declared = [rate for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate) if rate]
        aspect = stream.sample_aspect_ratio or Fraction(1)
        time_base = Fraction(stream.time_base or 0)
        orientation = _orientation(first)
        turned = orientation.turned
        components = first.format.components
        return VideoInfo(
            path=path,
            container=container.format.name,
            codec=stream.codec_context.name,
            width=first.height if turned else first.width,
            height=first.width if turned else first.height,
            orientation=orientation,
            clock=frame_clock(times.pts, time_base, declared, times.last),
            start=int(times.pts[0]) * time_base,
            pts=times.pts,
            keys=times.keys,
            time_base=time_base,
            colours=_colours(stream, first),
            pixel_aspect=1 / aspect if turned else aspect,
            pixel_format=first.format.name,
            bit_depth=components[0].bits,
            alpha=any(component.is_alpha for component in components),
            sounds=tuple(_sound_stream(sound) for sound in container.streams.audio),
        )


def _first_frame(container: InputContainer, stream: VideoStream, path: Path) -> VideoFrame:
    with naming_errors(path, "cannot be decoded at frame 0", REPAIR):
        for frame in container.decode(stream):
            return frame
    raise MediaError(f"{path} has a video track without frames.", REPAIR)


def _sound_stream(sound: object) -> SoundStream:
    context = getattr(sound, "codec_context", None)
    if context is None:
        return SoundStream("unknown", 0, 0)
    return SoundStream(context.name, context.sample_rate, context.layout.nb_channels)


def _colours(stream: VideoStream, first: VideoFrame) -> ColourTags:
    """Tags of the stream; matrix and range as the decoded frame has them."""
    context = stream.codec_context
    return ColourTags(
        context.color_primaries, context.color_trc, int(first.colorspace), int(first.color_range or context.color_range)
    )


def _orientation(first: VideoFrame) -> Orientation:
    """The display matrix maps a stored point (x, y) to (a x + c y, b x + d y), y pointing down."""
    from av.sidedata.sidedata import Type

    matrix = first.side_data.get(Type.DISPLAYMATRIX)  # type: ignore[call-overload]
    if matrix is None:
        return Orientation()
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
    if abs(b) > abs(a):
        return Orientation(turned=True, flip_x=c < 0, flip_y=b < 0)
    return Orientation(flip_x=a < 0, flip_y=d < 0)


def _frame_times(path: Path, first: VideoFrame) -> _Times:
    with open_container(path) as container:
        stream = video_stream(container, path)
        indexed = container.format.name.split(",")[0] in INDEXED_FORMATS
        if indexed and stream.codec_context.name not in HIDDEN_FRAME_CODECS and not first.interlaced_frame:
            with naming_errors(path, "is damaged", REPAIR):
                times = _packet_times(container, stream, path, first.pts)
            if times is not None:
                return times
    return _decoded_times(path)


def _packet_times(container: InputContainer, stream: VideoStream, path: Path, first: int | None) -> _Times | None:
    """Times from packets; None when they do not tell.

    Packets that the container marks as not shown (edit lists) and those before the first frame that decodes (a start
    in the middle of a group of pictures) give no frame.
    """
    shown: list[tuple[int, int, bool]] = []
    for packet in container.demux(stream):
        if packet.size == 0 or packet.is_discard:
            continue
        if packet.is_corrupt:
            raise MediaError(f"{path} is cut off or damaged at frame {len(shown)}.", REPAIR)
        if packet.pts is None or first is None:
            return None
        if packet.pts >= first:
            shown.append((packet.pts, packet.duration or 0, packet.is_keyframe))
    shown.sort()
    pts = np.array([pts for pts, _, _ in shown], np.int64)
    if len(pts) == 0 or pts[0] != first or (np.diff(pts) <= 0).any():
        return None
    last = shown[-1][1] or None
    if container.format.name.startswith("matroska"):
        last = _matroska_last(stream, path, pts, last)
    return _Times(pts, np.array([pts for pts, _, key in shown if key], np.int64), last)


def _matroska_last(stream: VideoStream, path: Path, pts: np.ndarray, last: int | None) -> int | None:
    """How long the last frame lasts by the track's stated end, which Matroska writers put into a tag.

    Matroska has no list of frames: that the end is missing shows only here and in the size of the file's segment.
    """
    if segment_end(path) > path.stat().st_size:
        raise MediaError(f"{path} is cut off after frame {len(pts) - 1}.", REPAIR)
    stated = stream.metadata.get("DURATION", "").rstrip("\0").split(":")
    try:
        hours, minutes, seconds = int(stated[0]), int(stated[1]), Fraction(stated[2])
    except (ValueError, IndexError):
        return last
    time_base = Fraction(stream.time_base or 0)
    end = (3600 * hours + 60 * minutes + seconds) / time_base
    missing = (end - int(pts[-1]) - (last or 0)) * time_base
    if missing > LOST_TAIL:
        raise MediaError(f"{path} has lost frames after frame {len(pts) - 1}.", REPAIR)
    return round(end) - int(pts[-1]) if end > pts[-1] else last


def _decoded_times(path: Path) -> _Times:
    """Times from decoding the whole file once."""
    pts: list[int] = []
    keys: list[int] = []
    with open_container(path) as container:
        stream = video_stream(container, path)
        stream.thread_type = "AUTO"
        frames = container.decode(stream)
        while True:
            with naming_errors(path, f"cannot be decoded near frame {len(pts)}", REPAIR):
                frame = next(frames, None)
            if frame is None:
                break
            if frame.is_corrupt:
                raise MediaError(f"{path} is damaged at frame {len(pts)}.", REPAIR)
            if frame.pts is None or (pts and frame.pts <= pts[-1]):
                raise MediaError(f"{path} has no usable time at frame {len(pts)}.", "Re-encode it as mp4.")
            pts.append(frame.pts)
            if frame.key_frame:
                keys.append(frame.pts)
    return _Times(np.array(pts, np.int64), np.array(keys, np.int64), None)
