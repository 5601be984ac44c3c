"""Speak: footage in, the same footage with new mouths out, a batch of frames at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..audio.windows import speech_starts, tokens, window_activity
from ..errors import OptionError
from ..models.recipe import require_encoder
from ..progress import Progress, SilentProgress
from ..render.blend import BlendOptions
from ..timeline import Timeline
from ..types import Footage, Speech
from .avatar import Avatar, FaceTools
from .blend import closing_share, shown_strength
from .paint import MouthPainter, timed

if TYPE_CHECKING:
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
        self.seconds: dict[str, float] = {}
        self._painters = [MouthPainter(avatar, lip_net, tools, blend, batch_size, self.seconds) for avatar in avatars]
        self._footage = footage
        self._timeline = timeline
        self._lip_net = lip_net
        self._batch_size = batch_size
        self._closing = closing
        self._last_shown = np.zeros(len(footage.clock), np.int64)
        self._last_shown[timeline.source] = np.arange(len(timeline))  # later output frames overwrite earlier ones
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
            with timed(self.seconds, "read"):
                frames = self._footage.read(self._timeline.source[output].tolist())
            for painter in self._painters:
                self._speak(frames, output, painter, speech, starts[output])
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
        self, frames: np.ndarray, output: np.ndarray, painter: MouthPainter, speech: Speech, starts: np.ndarray
    ) -> None:
        """Write one person's new mouths into a batch of frames."""
        track = painter.avatar.track
        source = self._timeline.source[output]
        strength = shown_strength(track, self._timeline, output)
        spoken = np.flatnonzero(strength)
        if len(spoken) == 0:
            return
        if self._closing == "source":
            strength *= closing_share(track.landmarks[source], window_activity(speech, starts))
        numbers = source[spoken].tolist()
        pictures = [frames[at] for at in spoken]  # views: no frame is copied
        mouths = painter.paint(pictures, numbers, strength[spoken].tolist(), tokens(speech, starts[spoken]))
        for n in set(numbers):
            if self._last_shown[n] <= output[-1]:
                painter.forget(n)
        self.face = (mouths[-1] * 255).astype(np.uint8)
