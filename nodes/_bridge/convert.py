"""ComfyUI's types to the core's and back. What comes in is never written to."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import comfy.model_management
import numpy as np

from ...musetalk_core.audio.resample import speech_clip
from ...musetalk_core.audio.write import Sound
from ...musetalk_core.errors import FaceError, MediaError, ModelError, OptionError
from ...musetalk_core.models.vae import LATENT_CHANNELS
from ...musetalk_core.types import AudioClip, FaceTrack
from ...musetalk_core.video.read import ArrayFootage
from .host import intermediate

if TYPE_CHECKING:
    import torch

FINEST_RATE = 1001  # largest denominator of a frame rate: float(30000 / 1001) becomes 30000/1001 again
TELEVISION = tuple(Fraction(rate, 1001) for rate in (24000, 30000, 60000))  # people say 23.98, 29.97 and 59.94
ROUNDED = 0.005  # frames a second by which these words are off at most


def frames_of(image: torch.Tensor, alpha: bool = False) -> np.ndarray:
    """The frames of an IMAGE.

    Args:
        image: (N, H, W, C), any floating type, any device.
        alpha: keep a fourth channel.

    Returns:
        (N, H, W, 3), or with `alpha` (N, H, W, C), float32; it may share the IMAGE's memory, so it is only read.

    Raises:
        MediaError: no frames, or neither RGB nor RGBA.
    """
    if image.ndim != 4 or image.shape[3] not in (3, 4) or 0 in image.shape:
        raise MediaError(
            f"An IMAGE of shape {tuple(image.shape)} has no RGB frames.", "Give (frames, height, width, 3 or 4)."
        )
    return np.asarray((image if alpha else image[..., :3]).detach().to("cpu").float().numpy())


def image_of(frames: np.ndarray) -> torch.Tensor:
    """(F, H, W, C) uint8, or float32 in 0..1, as an IMAGE where the host wants it."""
    import torch

    tensor = torch.from_numpy(frames)
    return intermediate(tensor if tensor.is_floating_point() else tensor.float().div_(255))


def mask_of(values: np.ndarray) -> torch.Tensor:
    """(F, H, W) float in 0..1 as a MASK where the host wants it."""
    import torch

    return intermediate(torch.from_numpy(values))


def masks_of(mask: torch.Tensor, count: int) -> np.ndarray:
    """A MASK for so many frames.

    Returns:
        (count, H, W) or, when one mask is given for all, (H, W), float32; shares memory as `frames_of` does.

    Raises:
        OptionError: another number of masks.
    """
    values = np.asarray(mask.detach().to("cpu").float().numpy())
    if values.ndim == 3 and len(values) == 1:
        values = values[0]
    if values.ndim != 2 and (values.ndim != 3 or len(values) != count):
        raise OptionError(
            f"The MASK has the shape {tuple(mask.shape)}, but there are {count} frames.",
            "Give one mask for all of them, or one for each.",
        )
    return values


def rate_of(fps: float | Fraction) -> Fraction:
    """The exact rate that a number of frames a second means; a fraction that somebody made of such a number too.

    Raises:
        OptionError: not above 0.
    """
    if not 0 < fps < float("inf"):
        raise OptionError(f"{fps} frames a second cannot be played.", "Give a rate above 0, such as 25.")
    if isinstance(fps, Fraction) and fps.denominator <= FINEST_RATE:
        return fps
    meant = (rate for rate in TELEVISION if abs(float(rate) - fps) < ROUNDED)
    return next(meant, Fraction(fps).limit_denominator(FINEST_RATE))


class ImageFootage(ArrayFootage):
    """Frames in memory; a cancel is heard at each reading."""

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """See `Footage.read`."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        return super().read(indices)


def footage_of(image: torch.Tensor, fps: Fraction) -> ArrayFootage:
    """An IMAGE as footage."""
    return ImageFootage(frames_of(image), fps)


def clip_of(audio: Any) -> AudioClip:
    """An AUDIO as the networks hear it: mono, 16 kHz.

    Raises:
        MediaError: no sound, no samples, more than one sound, or NaN in it.
    """
    clip = speech_clip(_waveform(audio), int(audio["sample_rate"]))
    comfy.model_management.throw_exception_if_processing_interrupted()  # ten minutes take half a second
    return clip


def sound_of(audio: Any) -> Sound:
    """An AUDIO as the sound track of a video.

    Raises:
        MediaError: as `clip_of`.
    """
    return Sound(waveform=_waveform(audio), rate=int(audio["sample_rate"]))


def audio_of(waveform: np.ndarray, rate: int) -> dict[str, Any]:
    """(C, S) float32 at `rate` samples a second as an AUDIO."""
    import torch

    return {"waveform": torch.from_numpy(waveform)[None], "sample_rate": rate}


def latents_of(latent: Any, what: str = "LATENT") -> torch.Tensor:
    """The samples of a LATENT, (B, 4, h, w) float32 on the CPU, unscaled.

    Args:
        latent: the socket's value.
        what: its name, for the message.

    Raises:
        ModelError: latents of another kind of model.
    """
    samples: torch.Tensor = latent["samples"]
    if samples.ndim != 4 or samples.shape[1] != LATENT_CHANNELS or 0 in samples.shape:
        raise ModelError(
            f"The {what} has the shape {tuple(samples.shape)}; MuseTalk takes (faces, 4, height, width).",
            "Encode the faces with an SD 1 VAE (sd-vae-ft-mse), TAESD or nano's.",
        )
    return samples.detach().to("cpu").float()


def latent_of(samples: torch.Tensor) -> dict[str, Any]:
    """(B, 4, h, w) unscaled latents as a LATENT."""
    return {"samples": samples.to(comfy.model_management.intermediate_device())}


def landmarks_of(landmarks: Any, height: int, width: int) -> list[np.ndarray]:
    """FACE_LANDMARKS as ComfyUI's MediaPipe node gives them: for each frame (K, P, 2) pixels.

    Raises:
        FaceError: they were found in frames of another size, or it is no FACE_LANDMARKS.
    """
    if not isinstance(landmarks, dict) or "frames" not in landmarks:
        raise FaceError("The FACE_LANDMARKS holds no frames.", "Connect Detect Face Landmarks (MediaPipe).")
    size = tuple(landmarks.get("image_size", (height, width)))
    if size != (height, width):
        raise FaceError(
            f"The FACE_LANDMARKS were found in frames of {size[1]}x{size[0]} pixels, these are {width}x{height}.",
            "Connect the same IMAGE to both nodes.",
        )
    return [_stack([face["landmarks_xy"] for face in faces], (0, 478, 2)) for faces in landmarks["frames"]]


def boxes_of(boxes: Any, count: int) -> list[np.ndarray]:
    """BOUNDING_BOX for so many frames: for each (K, 4) pixels x1, y1, x2, y2.

    A single box, or one frame's boxes, count for every frame, as ComfyUI's own nodes have it.

    Raises:
        FaceError: another number of frames.
    """
    per_frame = boxes if isinstance(boxes, list) else [[boxes]]
    if per_frame and isinstance(per_frame[0], dict):
        per_frame = [per_frame]
    if len(per_frame) == 1:
        per_frame = per_frame * count
    if len(per_frame) != count:
        raise FaceError(
            f"There are bounding boxes for {len(per_frame)} frames, but the IMAGE has {count}.",
            "Give one list of boxes a frame, or one for all.",
        )
    edges = [[(b["x"], b["y"], b["x"] + b["width"], b["y"] + b["height"]) for b in frame] for frame in per_frame]
    return [_stack(frame, (0, 4)) for frame in edges]


def bounding_boxes_of(track: FaceTrack) -> list[list[dict[str, Any]]]:
    """The crop boxes of a track as a BOUNDING_BOX: one box on frames that have the face, none on others."""
    boxes = [dict(zip(("x", "y", "x2", "y2"), map(int, box), strict=True)) for box in track.boxes]
    return [
        [{"x": b["x"], "y": b["y"], "width": b["x2"] - b["x"], "height": b["y2"] - b["y"], "label": "face"}]
        if found
        else []
        for b, found in zip(boxes, track.found, strict=True)
    ]


def _stack(rows: Sequence[Any], empty: tuple[int, ...]) -> np.ndarray:
    return np.stack([np.asarray(row, np.float32) for row in rows]) if rows else np.zeros(empty, np.float32)


def _waveform(audio: Any) -> np.ndarray:
    """The one sound of an AUDIO, (C, S) float32."""
    if not audio or "waveform" not in audio or "sample_rate" not in audio:
        raise MediaError("There is no sound in the AUDIO.", "Does the video have a sound track?")
    waveform: torch.Tensor = audio["waveform"]
    if waveform.ndim != 3 or len(waveform) != 1:
        raise MediaError(
            f"The AUDIO of shape {tuple(waveform.shape)} is not one sound of (1, channels, samples).",
            "Give one sound at a time.",
        )
    if 0 in waveform.shape:
        raise MediaError("The sound has no samples.", "Give a sound that is longer than 0 seconds.")
    return np.asarray(waveform[0].detach().to("cpu").float().numpy())
