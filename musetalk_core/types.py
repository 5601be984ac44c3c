"""The data that flows between the stages. Frozen, checked once, with shape, unit and range.

Names: N source frames, F output frames, B batch, S samples, T audio steps (50 a second), D feature size, H W pixels,
h w latents. Pixel coordinates have their origin at the top left corner of the top left pixel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from .errors import FaceError, MediaError
from .progress import Progress
from .timeline import Clock, SyncMode

if TYPE_CHECKING:
    import torch

SPEECH_RATE = 16_000  # Hz; what Whisper hears
SHOWN_FRAMES = 8  # frames read between two reports
ENCODER_HZ = 50  # audio steps a second; Whisper: 16 kHz / hop 160 / stride 2


class Footage(Protocol):
    """Frames that can be read in any order: a video file, an image, a folder, an array.

    Attributes:
        width, height: pixels, upright.
        clock: times of the N frames.
    """

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...

    @property
    def clock(self) -> Clock: ...

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """The frames of these indices, (n, H, W, 3) RGB; uint8, or float32 in 0..1. The caller owns the array.

        Cheap when `indices` runs forwards by ones from the last read, still good when it runs backwards.
        """

    def digest(self) -> str:
        """sha256 of the content, in hex: equal for equal frames, whatever the file's name."""


def frame_chunks(footage: Footage, size: int) -> Iterator[np.ndarray]:
    """All frames in order, `size` at a time."""
    n = len(footage.clock)
    for start in range(0, n, size):
        yield footage.read(range(start, min(n, start + size)))


def all_frames(footage: Footage, stage: str, progress: Progress) -> np.ndarray:
    """All frames at once, (N, H, W, 3), of footage that fits into memory.

    Args:
        footage: N frames.
        stage: what this is called in the progress.
        progress: reports frames, and shows the newest.
    """
    progress.start(stage, len(footage.clock))
    frames: np.ndarray | None = None
    at = 0
    for chunk in frame_chunks(footage, SHOWN_FRAMES):
        frames = np.empty((len(footage.clock), *chunk.shape[1:]), chunk.dtype) if frames is None else frames
        frames[at : at + len(chunk)] = chunk
        at += len(chunk)
        progress.advance(len(chunk), chunk[-1] if chunk.dtype == np.uint8 else None)
    return footage.read([]) if frames is None else frames


@dataclass(frozen=True, slots=True, eq=False)
class AudioClip:
    """Mono sound as the networks hear it.

    Args:
        samples: (S,) float32 in -1..1, finite, S >= 1.
        rate: samples a second.
    """

    samples: np.ndarray
    rate: int = SPEECH_RATE

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.dtype != np.float32:
            raise MediaError(f"Mono float32 sound is needed, not {self.samples.shape} {self.samples.dtype}.")
        if len(self.samples) == 0:
            raise MediaError("The sound has no samples.", "Give a sound that is longer than 0 seconds.")
        if not np.isfinite(self.samples).all():
            raise MediaError("The sound contains NaN or infinite samples.", "Export it again.")

    @property
    def seconds(self) -> Fraction:
        return Fraction(len(self.samples), self.rate)


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """What is said and when: features of a sound on the encoder's grid of 50 steps a second.

    Frames of any rate look up their window of 10 steps around their true time (`audio.windows`).

    Args:
        steps: (T, 5, D) float32 on the CPU, the five hidden states of the encoder; step 0 is at 0 seconds.
        activity: (T,) float32 in 0..1, how much the mouth follows the sound (1) or rests closed (0).
        rest: (50, D) float32, the window that closes the mouth.
        seconds: length of the sound.
        fps: frames a second that the user asked for (a variable rate's average).
        sync_mode: what happens when sound and footage differ in length (`timeline.plan`).
        encoder: identity of the network that made the steps, as `Recipe.audio_encoder` names it.
        layout: "centred" puts each window around its frame's centre at any rate; "released" repeats the released
            windows, which are right at 25 fps only.
        first_step: number of steps[0], when only a part of the sound was encoded.
    """

    steps: torch.Tensor
    activity: np.ndarray
    rest: torch.Tensor
    seconds: Fraction
    fps: Fraction
    sync_mode: SyncMode
    encoder: str
    layout: Literal["centred", "released"] = "centred"
    first_step: int = 0


class Skip(IntEnum):
    """Why a frame keeps its own mouth."""

    NONE = 0
    NO_FACE = 1  # nothing found, and the gap is too long to hold
    OUT_OF_FRAME = 2  # the mouth lies outside the picture
    TURNED = 3  # head turned further than the yaw limit
    TOO_SMALL = 4  # fewer pixels than the smallest usable face
    OTHER_PERSON = 5  # a face is there, but not the chosen person's


@dataclass(frozen=True, slots=True, eq=False)
class FaceTrack:
    """One person's face over N frames; one entry per frame, always.

    Args:
        found: (N,) bool, the face is there (seen, or held over a short gap).
        landmarks: (N, 478, 2) float32 pixels, MediaPipe's points; (N, 68, 2) when they came from outside as 68. Where
            not found: those of the nearest found frame.
        boxes: (N, 4) int32 crop boxes x1, y1, x2, y2 (exclusive), not clipped to the picture. Where not found: that of
            the nearest found frame.
        roll: (N,) float32 radians by which the crop is turned about its centre; 0 unless roll alignment is on.
        strength: (N,) float32 in 0..1, how much of the new mouth is shown: 0 where skipped, fades on found frames.
        skip: (N,) uint8, a `Skip` for each frame whose strength is 0.
        width, height: pixels of the frames.
    """

    found: np.ndarray
    landmarks: np.ndarray
    boxes: np.ndarray
    roll: np.ndarray
    strength: np.ndarray
    skip: np.ndarray
    width: int
    height: int

    def __len__(self) -> int:
        return len(self.found)

    def require_frames(self, n: int, height: int, width: int) -> None:
        """Refuse frames that the face was not found in.

        Raises:
            FaceError: another number of frames, or another size.
        """
        if (n, height, width) != (len(self), self.height, self.width):
            raise FaceError(
                f"The face was found in {len(self)} frames of {self.width}x{self.height} pixels, "
                f"these are {n} of {width}x{height}.",
                "Give the frames that it was found in.",
            )


@dataclass(frozen=True, slots=True, eq=False)
class MaskPatch:
    """Where the new mouth shows in one frame: everything outside the patch is 0.

    Args:
        x, y: pixel of the frame at the patch's top left; the patch lies inside the frame.
        alpha: (h, w) float16 in 0..1; may be 0 by 0.
    """

    x: int
    y: int
    alpha: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class FaceLatents:
    """What the U-Net is told about the face: unscaled VAE latents of B crops, on the CPU, float32.

    Args:
        masked: (B, 4, h, w), of the crop with its lower half black.
        reference: (B, 4, h, w), of the whole crop.
    """

    masked: torch.Tensor
    reference: torch.Tensor
