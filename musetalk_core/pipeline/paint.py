"""New mouths on one person's frames: crops, latents, lips, pictures, blending; offline and live."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from ..lips.decode import decode_faces
from ..lips.generate import generate_lips
from ..render.blend import BlendOptions
from ..types import FaceLatents
from .avatar import Avatar, FacePart, FaceTools, make_parts
from .blend import put_mouth
from .faces import crop_faces

if TYPE_CHECKING:
    import torch

    from ..models.unet import LipNet


class MouthPainter:
    """Puts new mouths on one person's frames.

    Each source frame is encoded and masked at most once until it is forgotten. Several threads may paint at once.

    Args:
        avatar: the person.
        lip_net: the U-Net.
        tools: the VAE, masks and crops of the avatar.
        blend: how mouths are put back.
        batch_size: frames per network call.
        seconds: gets the time spent in each stage; one dictionary may serve several painters.
    """

    def __init__(
        self,
        avatar: Avatar,
        lip_net: LipNet,
        tools: FaceTools,
        blend: BlendOptions,
        batch_size: int,
        seconds: dict[str, float],
    ) -> None:
        self.avatar = avatar
        self._lip_net = lip_net
        self._tools = tools
        self._blend = blend
        self._batch_size = batch_size
        self._seconds = seconds
        self._parts: dict[int, FacePart] = {}
        self._making = threading.Lock()

    def paint(
        self, pictures: Sequence[np.ndarray], numbers: Sequence[int], strength: Sequence[float], tokens: torch.Tensor
    ) -> np.ndarray:
        """Write the person's new mouths into some frames.

        Args:
            pictures: n >= 1 of (H, W, C), changed in place.
            numbers: n numbers of these source frames.
            strength: n of 0..1, how much of the new mouth is shown.
            tokens: (n, 50, D) float32, what each mouth says (`audio.windows.tokens`).

        Returns:
            (n, size, size, 3) float32 in 0..1, the new mouths.
        """
        track = self.avatar.track
        with timed(self._seconds, "encode"):
            crops = crop_faces(pictures, numbers, track, self._tools.face_size)
            with self._making:
                self._make_missing(pictures, crops, numbers)
                shown = [self._parts[n] for n in numbers]
        with timed(self._seconds, "lips"):
            latents = FaceLatents(_stack([p.masked for p in shown]), _stack([p.reference for p in shown]))
            lips = generate_lips(self._lip_net, latents, tokens, self._batch_size)
        with timed(self._seconds, "decode"):
            mouths = decode_faces(lips, self._tools.vae, self._batch_size)
        with timed(self._seconds, "blend"):
            for picture, n, crop, mouth, part, share in zip(
                pictures, numbers, crops, mouths, shown, strength, strict=True
            ):
                put_mouth(picture, mouth, track, n, part.mask, share, self._blend, crop)
        return mouths

    def forget(self, number: int) -> None:
        """Let go of what was made of a source frame."""
        del self._parts[number]

    def _make_missing(self, pictures: Sequence[np.ndarray], crops: np.ndarray, numbers: Sequence[int]) -> None:
        """Fill the parts of these source frames: from the avatar if it has them, else by the networks."""
        parts, ready = self._parts, self.avatar.parts
        parts.update({n: ready[n] for n in numbers if n in ready})
        fresh = {n: at for at, n in enumerate(numbers) if n not in parts}
        if fresh:
            at = list(fresh.values())
            made = make_parts([pictures[i] for i in at], crops[at], list(fresh), self.avatar.track, self._tools)
            parts.update(zip(fresh, made, strict=True))


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Add the time of a `with` block to `seconds[stage]`; when threads end theirs at once, one may be lost."""
    start = time.perf_counter()
    yield
    seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - start


def _stack(latents: Sequence[torch.Tensor]) -> torch.Tensor:
    """(4, h, w) float16 each -> (B, 4, h, w) float32."""
    import torch

    return torch.stack(list(latents)).float()
