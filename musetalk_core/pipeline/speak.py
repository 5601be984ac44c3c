"""Speak: footage in, the same footage with new mouths out, a batch of frames at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..audio.windows import speech_starts, tokens, window_activity
from ..errors import OptionError
from ..lips.decode import decode_faces
from ..lips.generate import generate_lips
from ..models.recipe import require_encoder
from ..progress import Progress, SilentProgress
from ..render.blend import BlendOptions
from ..timeline import Timeline
from ..types import FaceLatents, Footage, Speech
from .avatar import Avatar, FacePart, FaceTools, crop_faces, make_parts
from .blend import closing_share, put_mouth, shown_strength

if TYPE_CHECKING:
    import torch

    from ..models.unet import LipNet


class Speaker:
    """Puts new mouths on the people of one piece of footage.

    Each source frame is cropped, encoded and masked at most once, and what it gave is kept only while a later output
    frame still shows it.

    Args:
        avatars: the people who speak, all with the same sound; none lets every frame pass.
        footage: the frames that the avatars were found in.
        timeline: which source frame each output frame shows.
        lip_net: the U-Net.
        tools: the VAE, masks and crops of the avatars.
        blend: how mouths are put back.
        batch_size: frames per network call.
        closing: how a mouth closes where nobody speaks: by the model ("features" of silence), or by the footage's own
            mouth on frames where that is closed ("source").

    Raises:
        OptionError: an avatar and the footage differ in length.
    """

    def __init__(
        self,
        avatars: Sequence[Avatar],
        footage: Footage,
        timeline: Timeline,
        lip_net: LipNet,
        tools: FaceTools,
        blend: BlendOptions,
        batch_size: int = 8,
        closing: Literal["features", "source"] = "features",
    ) -> None:
        if any(len(avatar.track) != len(footage.clock) for avatar in avatars):
            raise OptionError(f"An avatar and its footage of {len(footage.clock)} frames differ in length.")
        self._avatars = avatars
        self._footage = footage
        self._timeline = timeline
        self._lip_net = lip_net
        self._tools = tools
        self._blend = blend
        self._batch_size = batch_size
        self._closing = closing
        self._parts: list[dict[int, FacePart]] = [{} for _ in avatars]
        self._last_shown = np.zeros(len(footage.clock), np.int64)
        self._last_shown[timeline.source] = np.arange(len(timeline))  # later output frames overwrite earlier ones
        self.seconds: dict[str, float] = {}
        self.face: np.ndarray | None = None  # (size, size, 3) uint8, the newest mouth, for previews

    def frames(self, speech: Speech, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """Output frames [start, stop), a batch at a time, in order.

        Args:
            speech: features of the sound that cover these frames' windows.
            start, stop: output frames; None goes to the end.

        Yields:
            (n, H, W, C) in the footage's dtype, n <= batch_size.

        Raises:
            ModelError: the speech was made by another encoder than the model was trained with.
        """
        require_encoder(self._lip_net.recipe, speech.encoder)
        end = len(self._timeline) if stop is None else stop
        starts = speech_starts(speech, self._timeline.clock)
        for first in range(start, end, self._batch_size):
            output = np.arange(first, min(end, first + self._batch_size))
            with self._timed("read"):
                frames = self._footage.read(self._timeline.source[output].tolist())
            for avatar, parts in zip(self._avatars, self._parts, strict=True):
                self._speak(frames, output, avatar, parts, speech, starts[output])
            yield frames

    def all_frames(self, speech: Speech, progress: Progress | None = None) -> np.ndarray:
        """All output frames at once, (F, H, W, C) in the footage's dtype: for clips that fit into memory.

        Args:
            speech: features of the whole sound.
            progress: reports frames, with the newest mouth as the picture.
        """
        report = progress or SilentProgress()
        report.start("speaking", len(self._timeline))
        spoken: np.ndarray | None = None
        at = 0
        for frames in self.frames(speech):
            if spoken is None:
                spoken = np.empty((len(self._timeline), *frames.shape[1:]), frames.dtype)
            spoken[at : at + len(frames)] = frames
            at += len(frames)
            report.advance(len(frames), self.face)
        return self._footage.read([]) if spoken is None else spoken

    def _speak(
        self,
        frames: np.ndarray,
        output: np.ndarray,
        avatar: Avatar,
        parts: dict[int, FacePart],
        speech: Speech,
        starts: np.ndarray,
    ) -> None:
        """Write one person's new mouths into a batch of frames."""
        source = self._timeline.source[output]
        strength = shown_strength(avatar.track, self._timeline, output)
        spoken = np.flatnonzero(strength)
        if len(spoken) == 0:
            return
        if self._closing == "source":
            strength *= closing_share(avatar.track.landmarks[source], window_activity(speech, starts))
        numbers = source[spoken].tolist()
        with self._timed("encode"):
            pictures = [frames[at] for at in spoken]  # views: no frame is copied
            crops = crop_faces(pictures, numbers, avatar.track, self._tools.face_size)
            self._make_missing(pictures, crops, numbers, avatar, parts)
        shown = [parts[n] for n in numbers]
        with self._timed("lips"):
            latents = FaceLatents(_stack([p.masked for p in shown]), _stack([p.reference for p in shown]))
            lips = generate_lips(self._lip_net, latents, tokens(speech, starts[spoken]), self._batch_size)
        with self._timed("decode"):
            mouths = decode_faces(lips, self._tools.vae, self._batch_size)
        with self._timed("blend"):
            rows = zip(pictures, numbers, crops, mouths, shown, strength[spoken].tolist(), strict=True)
            for picture, n, crop, mouth, part, share in rows:
                put_mouth(picture, mouth, avatar.track, n, part.mask, share, self._blend, crop)
        for n in set(numbers):
            if self._last_shown[n] <= output[-1]:
                del parts[n]
        self.face = (mouths[-1] * 255).astype(np.uint8)

    def _make_missing(
        self,
        frames: Sequence[np.ndarray],
        crops: np.ndarray,
        numbers: list[int],
        avatar: Avatar,
        parts: dict[int, FacePart],
    ) -> None:
        """Fill `parts` for these source frames: from the avatar if it has them, else by the networks."""
        parts.update({n: avatar.parts[n] for n in numbers if n in avatar.parts})
        fresh = {n: at for at, n in enumerate(numbers) if n not in parts}
        if fresh:
            at = list(fresh.values())
            made = make_parts([frames[i] for i in at], crops[at], list(fresh), avatar.track, self._tools)
            parts.update(zip(fresh, made, strict=True))

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


def _stack(latents: Sequence[torch.Tensor]) -> torch.Tensor:
    """(4, h, w) float16 each -> (B, 4, h, w) float32."""
    import torch

    return torch.stack(list(latents)).float()
