"""Footage that is no video file: still images, folders of frames, arrays."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..errors import MediaError
from ..timeline import Clock
from ..types import Footage
from .container import naming_errors

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
IMAGE_FPS = Fraction(25)  # of images when the user names no rate
ANIMATED = (b"ANIM", b"acTL")  # marks of a WebP and a PNG that move, in the file's head


class ImageFootage:
    """Image files as footage, turned upright by their EXIF tag, 8 bit, alpha dropped.

    Args:
        paths: one file a frame, N >= 1, all of one size.
        fps: frames a second, 25 when None.

    Raises:
        MediaError: the first image cannot be read.
    """

    def __init__(self, paths: Sequence[Path], fps: Fraction | None = None) -> None:
        self.paths = tuple(paths)
        self._clock = Clock.regular(len(self.paths), fps or IMAGE_FPS)
        self.height, self.width = _read_image(self.paths[0]).shape[:2]

    @property
    def clock(self) -> Clock:
        return self._clock

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """The frames of these indices, (n, H, W, 3) uint8 RGB; the caller owns the array.

        Raises:
            MediaError: an image cannot be read, or differs in size from the first.
        """
        pictures = np.empty((len(indices), self.height, self.width, 3), np.uint8)
        for picture, index in zip(pictures, indices, strict=True):
            image = _read_image(self.paths[index])
            if image.shape != picture.shape:
                size, first = f"{image.shape[1]}x{image.shape[0]}", f"{self.width}x{self.height}"
                raise MediaError(
                    f"{self.paths[index]} is {size}, the first frame {first}.", "Give frames of one size only."
                )
            picture[...] = image
        return pictures

    def digest(self) -> str:
        """sha256 over the sha256 of each file's bytes, in order, in hex."""
        whole = hashlib.sha256()
        for path in self.paths:
            whole.update(hashlib.sha256(_file_bytes(path)).digest())
        return whole.hexdigest()


class ArrayFootage:
    """Frames in memory as footage.

    Args:
        frames: (N, H, W, C) uint8, or float32 in 0..1; N >= 1, C 3 or 4 (alpha is dropped). Not copied.
        fps: frames a second.

    Raises:
        MediaError: other shape or type.
    """

    def __init__(self, frames: np.ndarray, fps: Fraction) -> None:
        if frames.ndim != 4 or frames.shape[3] not in (3, 4) or 0 in frames.shape:
            raise MediaError(f"Frames of shape {frames.shape} are not (N, H, W, 3).", "Give at least one RGB frame.")
        if frames.dtype not in (np.uint8, np.float32):
            raise MediaError(f"Frames of type {frames.dtype} are neither uint8 nor float32.")
        self._frames = frames[..., :3]
        self._clock = Clock.regular(len(frames), Fraction(fps))

    @property
    def width(self) -> int:
        return int(self._frames.shape[2])

    @property
    def height(self) -> int:
        return int(self._frames.shape[1])

    @property
    def clock(self) -> Clock:
        return self._clock

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """A copy of the frames of these indices, (n, H, W, 3) in the array's own type."""
        return self._frames[np.asarray(indices, np.int64)]

    def digest(self) -> str:
        """sha256 of type, shape and values, in hex."""
        whole = hashlib.sha256(f"{self._frames.dtype} {self._frames.shape}".encode())
        for index in range(len(self._frames)):
            whole.update(np.ascontiguousarray(self.read([index])).data)
        return whole.hexdigest()


class FootagePart:
    """Some frames of other footage, one after another, as footage of their own.

    Args:
        whole: the other footage.
        first, stop: frames [first, stop) of it.

    Raises:
        MediaError: there are no such frames.
    """

    def __init__(self, whole: Footage, first: int, stop: int) -> None:
        if not 0 <= first < stop <= len(whole.clock):
            raise MediaError(
                f"The cut leaves no frames: {first} to {stop} of {len(whole.clock)}.", "Cut less from the footage."
            )
        self.whole = whole
        self._first = first
        ticks = whole.clock.ticks[first : stop + 1]
        self._clock = Clock(ticks - ticks[0], whole.clock.time_base)

    @property
    def width(self) -> int:
        return self.whole.width

    @property
    def height(self) -> int:
        return self.whole.height

    @property
    def clock(self) -> Clock:
        return self._clock

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """The frames of these indices, counted from the part's first."""
        n = len(self._clock)
        if any(not 0 <= index < n for index in indices):
            raise IndexError(f"Frames {list(indices)} of {n}.")
        return self.whole.read([self._first + index for index in indices])

    def digest(self) -> str:
        """sha256 of the whole's own and of the part's place, in hex."""
        place = f"{self.whole.digest()} {self._first} {len(self._clock)}"
        return hashlib.sha256(place.encode()).hexdigest()


def folder_images(folder: Path) -> list[Path]:
    """The image files of a folder in natural order ("f2" before "f10"); hidden files and subfolders do not count.

    Raises:
        MediaError: there are none.
    """
    with naming_errors(folder, "cannot be listed", "Check the folder."):
        files = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
    images = [path for path in files if not path.name.startswith(".") and path.is_file()]
    if not images:
        raise MediaError(f"The folder {folder} holds no images.", f"Put frames in it: {', '.join(IMAGE_SUFFIXES)}.")
    return sorted(images, key=lambda path: _natural(path.name))


def _natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """Sort key in which runs of digits count as numbers; the name itself decides between "01" and "1"."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], name


def _file_bytes(path: Path) -> bytes:
    with naming_errors(path, "cannot be read", "Check the file."):
        return path.read_bytes()


def _read_image(path: Path) -> np.ndarray:
    """An image as (H, W, 3) uint8 RGB, upright."""
    import cv2

    data = _file_bytes(path)
    if any(mark in data[:64] for mark in ANIMATED):
        raise MediaError(f"{path} is animated.", "Convert it to mp4.")
    try:
        # Decoded from memory, as OpenCV cannot open every path on Windows.
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error as error:
        raise MediaError(f"{path} cannot be read as an image: {error}", "Save it again as PNG or JPEG.") from error
    if image is None:
        raise MediaError(f"{path} is not an image that can be read.", "Save it again as PNG or JPEG.")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
