"""Frames of a video file in any order, exact by presentation time, with memory that does not grow with the clip."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import MediaError
from ..timeline import Clock
from ..types import Footage
from .container import REPAIR, naming_errors, open_container, video_stream
from .probe import VideoInfo, probe
from .sources import IMAGE_SUFFIXES, ArrayFootage, FootagePart, ImageFootage, folder_images

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["ArrayFootage", "FootagePart", "ImageFootage", "VideoFootage", "open_footage"]

STRETCH_BYTES = 192 * 2**20  # decoded frames kept while footage runs backwards: 64 at 1080p, 8 bit 4:2:0
DIGEST_BLOCK = 2**20  # bytes read at a time
WORTH_SEEKING = 8  # frames ahead; nearer ones are decoded on the way, as threads hold them already
KNOWN_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}  # H.273 code point -> swscale's coefficients
BT709, BT601 = 1, 5  # swscale's coefficients
UNSPECIFIED = 2  # of a matrix, H.273
RGB = 0  # of a matrix, H.273


def open_footage(path: str | Path, fps: Fraction | None = None) -> Footage:
    """Open a video file, a still image or a folder of frames.

    Args:
        path: a folder is read as frames in natural order of their names; a file is an image by its suffix, else video.
        fps: frames a second of an image (it has one frame) or a folder, 25 when None. A video keeps its own times when
            None; with a rate its frames are played at that constant rate instead.

    Raises:
        MediaError: nothing readable there.
    """
    path = Path(path)
    if path.is_dir():
        return ImageFootage(folder_images(path), fps)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageFootage([path], fps)
    return VideoFootage(path, fps)


class VideoFootage:
    """A video file as footage: 8-bit RGB frames, upright, alpha dropped.

    Colours are PyAV's default conversion to rgb24, by the file's own matrix and range; an untagged file counts as
    BT.601, as FFmpeg has it. Reading forwards decodes on, skipping frames that nobody asks for; any other order seeks
    to the key frame before and decodes up to the wanted time. Reading backwards decodes a whole stretch at once, up to
    `STRETCH_BYTES`, and serves from it.

    Args:
        path: the file.
        fps: constant rate at which to play the frames instead of at their own times.
    """

    def __init__(self, path: str | Path, fps: Fraction | None = None) -> None:
        self.info: VideoInfo = probe(path)
        self._clock = Clock.regular(self.info.frames, fps) if fps else self.info.clock
        self._decoder: Iterator[VideoFrame] | None = None
        self._opened: tuple[InputContainer, VideoStream] | None = None
        self._ahead: VideoFrame | None = None  # decoded, not yet passed
        self._next = 0  # index of the frame that `_take` gives
        self._asked = -1  # index that was asked for last
        self._kept: dict[int, VideoFrame] = {}
        self._to_rgb = _RgbConverter(self.info)

    @property
    def width(self) -> int:
        return self.info.width

    @property
    def height(self) -> int:
        return self.info.height

    @property
    def clock(self) -> Clock:
        return self._clock

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """The frames of these indices, (n, H, W, 3) uint8 RGB; the caller owns the array.

        Raises:
            MediaError: the file is damaged at a frame on the way.
            IndexError: there is no such frame.
        """
        pictures = np.empty((len(indices), self.height, self.width, 3), np.uint8)
        for picture, index in zip(pictures, indices, strict=True):
            if not 0 <= index < self.info.frames:
                raise IndexError(f"Frame {index} of {self.info.frames}.")
            self._to_rgb(self._frame(int(index)), picture, index)
        return pictures

    def digest(self) -> str:
        """sha256 of the file's bytes, in hex."""
        whole = hashlib.sha256()
        with naming_errors(self.info.path, "cannot be read", REPAIR), self.info.path.open("rb") as file:
            while block := file.read(DIGEST_BLOCK):
                whole.update(block)
        return whole.hexdigest()

    def frames_between(self, start: float, seconds: float | None = None) -> tuple[int, int]:
        """The frames [first, stop) that are first shown from `start` on, for `seconds` (None: to the end).

        Times are the file's own, as players and editors count them; a moment between two ticks counts as the earlier.
        """
        info = self.info
        end = None if seconds is None else Fraction(start + seconds)
        first, stop = (
            info.frames if time is None else int(np.searchsorted(info.pts, math.floor(time / info.time_base)))
            for time in (Fraction(start), end)
        )
        return first, stop

    def close(self) -> None:
        """Let go of the file; the next read opens it again."""
        self._decoder = self._ahead = None
        self._kept = {}
        if self._opened is not None:
            self._opened[0].close()
            self._opened = None

    def _frame(self, index: int) -> VideoFrame:
        backwards = index == self._asked - 1
        self._asked = index
        if index not in self._kept:
            try:
                self._kept = self._stretch_to(index) if backwards else {index: self._decode_to(index)}
            except BaseException:
                self.close()  # a decoder that stopped half-way is of no further use
                raise
        return self._kept[index]

    def _stretch_to(self, index: int) -> dict[int, VideoFrame]:
        """As many frames up to `index` as the byte budget holds."""
        self._kept = {}
        start = max(0, index - self._stretch_frames() + 1)
        kept = {start: self._decode_to(start)}
        for later in range(start + 1, index + 1):
            kept[later] = self._take()
        return kept

    def _stretch_frames(self) -> int:
        stored = self.info.width * self.info.height * (2 if self.info.bit_depth > 8 else 1)
        return max(1, STRETCH_BYTES // (stored * 3 // 2))

    def _decode_to(self, index: int) -> VideoFrame:
        """Frame `index`, decoding on from where the decoder stands or from a key frame before it."""
        if self._decoder is not None and self._next <= index:
            reached = self.info.pts[min(self._next + WORTH_SEEKING, self.info.frames - 1)]
            key = self._key_before(index)
            if key is None or key <= reached:
                return self._skip_to(index)
        for attempt in (0, 1):
            key = self._key_before(index, attempt)
            if key is None:
                break
            try:
                self._seek(key)
                if self._next <= index:
                    return self._skip_to(index)
            except MediaError:
                continue  # the container's index misled us: from further back, at last from the start
        self._restart()
        return self._skip_to(index)

    def _key_before(self, index: int, back: int = 0) -> int | None:
        """Time of the key frame at or before a frame, or of one `back` further; None for the file's start."""
        position = int(np.searchsorted(self.info.keys, self.info.pts[index], side="right")) - 1 - back
        return int(self.info.keys[position]) if position > 0 else None

    def _skip_to(self, index: int) -> VideoFrame:
        while True:
            frame = self._take()
            if self._next > index:
                return frame

    def _take(self) -> VideoFrame:
        """The next frame, which must be number `_next`."""
        frame = self._ahead or self._decoded()
        self._ahead = None
        if frame is None:
            raise MediaError(f"{self.info.path} ends at frame {self._next} of {self.info.frames}.", REPAIR)
        if frame.pts != self.info.pts[self._next] or frame.is_corrupt:
            raise MediaError(f"{self.info.path} is damaged at frame {self._next}.", REPAIR)
        self._next += 1
        return frame

    def _decoded(self) -> VideoFrame | None:
        """The decoder's next frame that counts; None at the end."""
        if self._decoder is None:
            return None
        with naming_errors(self.info.path, f"is damaged near frame {self._next}", REPAIR):
            for frame in self._decoder:
                if frame.pts is not None and frame.pts >= self.info.pts[0]:
                    return frame
        return None

    def _seek(self, key: int) -> None:
        """Stand at the first frame that decodes from the key frame of time `key` on, or from an earlier one."""
        container, stream = self._opened or self._restart()
        with naming_errors(self.info.path, "cannot be searched", REPAIR):
            container.seek(key, stream=stream)
        self._decoder = _decode(container, stream, after_key=True)
        self._ahead = None
        self._ahead = frame = self._decoded()
        if frame is not None and frame.pts is not None:
            self._next = int(np.searchsorted(self.info.pts, frame.pts))

    def _restart(self) -> tuple[InputContainer, VideoStream]:
        """Open the file anew and stand at its first frame."""
        self.close()
        container = open_container(self.info.path)
        stream = video_stream(container, self.info.path)
        stream.thread_type = "AUTO"
        self._opened = (container, stream)
        self._decoder = _decode(container, stream, after_key=False)
        self._next = 0
        return self._opened


def _decode(container: InputContainer, stream: VideoStream, after_key: bool) -> Iterator[VideoFrame]:
    """Frames from where the container stands; after a seek from a key frame on, as others lack their references."""
    for packet in container.demux(stream):
        if after_key and packet.size and not packet.is_keyframe:
            continue
        after_key = False
        yield from packet.decode()


class _RgbConverter:
    """Pictures of one video as upright RGB, with the matrix and the range that each frame names."""

    def __init__(self, info: VideoInfo) -> None:
        from av.video.reformatter import VideoReformatter

        self._info = info
        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame, picture: np.ndarray, index: int) -> None:
        """Write a frame into `picture` (H, W, 3) uint8."""
        matrix = int(frame.colorspace)
        if not frame.format.is_rgb and matrix != UNSPECIFIED and matrix not in KNOWN_MATRICES:
            raise MediaError(
                f"{self._info.path} has colours of an unknown kind (matrix {matrix}).", "Convert it to BT.709."
            )
        # Given explicitly, as PyAV before 17 ignores what the frame says; and it ignores a source's matrix if it equals
        # the target's, which means nothing for RGB.
        known = KNOWN_MATRICES.get(matrix)
        rgb = self._reformatter.reformat(
            frame,
            format="rgb24",
            src_colorspace=known,
            dst_colorspace=None if known is None else BT709 if known == BT601 else BT601,
            src_color_range=int(frame.color_range) or None,
        )
        upright = self._info.orientation.upright(rgb.to_ndarray())
        if upright.shape != picture.shape:
            raise MediaError(f"{self._info.path} changes its size at frame {index}.", "Re-encode it at one size.")
        picture[...] = upright
