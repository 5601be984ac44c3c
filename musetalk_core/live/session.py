"""A live session: sound in, frames out, one avatar.

The session is a machine of exact time: what comes out depends on what was pushed, not on when or in which chunks. Who
shows the frames decides when to ask (`pace.Player` does so by a clock): `next_slot` cuts the next frame's sound at
once, `follow` hears it and moves the mouth on, one frame after the other, and `draw` makes the picture by the same
stages that dub files, several at a time if wished.

Sound that comes in is one *utterance* as long as it goes on. When the next frame's sound has not come, `next_slot` puts
silence in its place; after a while of that the utterance is over, and the footage plays on with its own mouth until
sound comes again.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ..audio.encode import SpeechOptions
from ..audio.rest import closed_mouth
from ..audio.stream import SpeechStream
from ..audio.windows import tokens, window_start
from ..errors import MuseTalkError, OptionError
from ..models.load import LoadedModel
from ..models.recipe import require_encoder
from ..options import Options, option
from ..pipeline.avatar import Avatar, FaceTools
from ..pipeline.paint import MouthPainter, timed
from ..render.blend import BlendOptions
from ..timeline import Cycle
from ..types import ENCODER_HZ, SPEECH_RATE, Footage
from .frames import LiveFrame, Slot
from .mouth import Mouth
from .sound import SoundIn, Utterance, checked

if TYPE_CHECKING:
    import torch

STEP_MS = 1000 // ENCODER_HZ
OVER = 1  # second of silence in place of sound after which an utterance ends


class SessionError(MuseTalkError):
    """The session was closed and takes or gives nothing more."""


@dataclass(frozen=True, slots=True)
class LiveOptions(Options):
    """How a live session trades delay for quality."""

    look_ahead: int = option(
        80,
        "how much later, beyond the model's own 120 ms, a frame is made, so that it has heard more of what follows: 0 "
        "answers sooner with coarser mouths, 200 makes better ones, more buys little",
        low=0,
        high=500,
        unit="ms",
    )
    cushion: int = option(
        40,
        "how much sound is waited for, beyond what the first frame needs, before an utterance begins; raise it when "
        "sound arrives unevenly",
        low=0,
        high=1000,
        unit="ms",
    )
    sound_rate: int = option(48_000, "samples a second of the sound that comes out", low=8000, high=192_000, unit="Hz")


class LiveSession:
    """One avatar that speaks what is pushed.

    Every method may be called from any thread: only `follow`, `draw`, `paint`, `pull` and `warm_up` take time.

    Args:
        avatar: the person, prepared (`pipeline.avatar.make_avatar`): what is missing is made when first shown.
        footage: the frames that the avatar was found in; frames in memory (`ArrayFootage`) are fastest.
        model: U-Net, VAE and audio encoder.
        tools: the avatar's.
        options: delay and sound rate.
        speech: silence gate.
        blend: how mouths are put back.
        rest: what closes the mouth (`closed_mouth` of the audio encoder); sessions of one model may share it.

    Raises:
        ModelError: the audio encoder is not the one that the model was trained with.
        OptionError: avatar and footage differ in length.
    """

    def __init__(
        self,
        avatar: Avatar,
        footage: Footage,
        model: LoadedModel,
        tools: FaceTools,
        options: LiveOptions | None = None,
        speech: SpeechOptions | None = None,
        blend: BlendOptions | None = None,
        rest: torch.Tensor | None = None,
    ) -> None:
        require_encoder(model.recipe, model.audio.identity)
        if len(avatar.track) != len(footage.clock):
            raise OptionError(f"An avatar and its footage of {len(footage.clock)} frames differ in length.")
        self.options = options or LiveOptions()
        self.fps = footage.clock.fps
        self.device = model.lips.device
        self.seconds: dict[str, float] = {}  # time spent in each stage, all threads together
        self._avatar = avatar
        self._footage = footage
        self._cycle = Cycle(footage.clock)
        self._painter = MouthPainter(avatar, model.lips, tools, blend or BlendOptions(), 1, self.seconds)
        self._encoder = model.audio
        self._speech = speech or SpeechOptions()
        self._rest = closed_mouth(model.audio) if rest is None else rest
        self._inbox: deque[tuple[np.ndarray, int]] = deque()
        self._lock = threading.Lock()  # of what follows
        self._following = threading.Lock()  # of the utterance's stream: one frame after the other
        self._reading = threading.Lock()  # of the footage
        self._closed = False
        self._number = 0  # of the next slot
        self._utterance: Utterance | None = None
        self._epoch = 0  # interrupts so far
        self._mouth = Mouth()
        self._closing: Mouth | None = None  # where an interrupted mouth stood
        self.warm_up()

    def warm_up(self) -> None:
        """Make the first frame as fast as the hundredth: every network runs in this thread, without a trace."""
        visible = np.flatnonzero(self._avatar.track.strength > 0)
        stream = SpeechStream(self._encoder, self.fps, self._speech, self._rest)
        start = window_start(1 / self.fps)
        stream.push(np.zeros(stream.needed(start), np.float32))
        said = tokens(stream.speech(start), np.array([start]))
        for source in visible[:1].tolist():
            for _ in range(2):
                self._painter.paint(list(self._footage.read([source])), [source], [0.0], said)
        self.seconds.clear()

    def push(self, pcm: np.ndarray, rate: int) -> None:
        """More speech; returns at once.

        Args:
            pcm: (n,) or (C, n), float in -1..1 or integer, any n; NaN and infinite samples become silence.
            rate: samples a second; may change.

        Raises:
            SessionError: after `close`.
            MediaError: another shape, type or rate.
        """
        self._require_open()
        samples = checked(pcm, rate)
        if len(samples):
            self._inbox.append((samples, rate))

    def flush(self) -> None:
        """Tell that no more speech comes for now, so that what was pushed is spoken to its end without waiting."""
        with self._lock:
            self._receive()
            if self._utterance is not None:
                stream = self._utterance.sound.stream
                self._utterance.sound.pad(stream.received + stream.needed(window_start(1 / self.fps)) + self._cushion)

    def pull(self, limit: int | None = None) -> list[LiveFrame]:
        """Every frame that the sound so far decides, `limit` at most."""
        frames: list[LiveFrame] = []
        while limit is None or len(frames) < limit:
            slot = self.slot()
            if slot is None:
                break
            frames.append(self.paint(slot))
        return frames

    def slot(self) -> Slot | None:
        """Cut the next frame's sound, in well under a millisecond; None when it has not all come.

        Raises:
            SessionError: after `close`.
        """
        self._require_open()
        with self._lock:
            self._receive()
            utterance = self._utterance
            if utterance is None or utterance.sound.stream.received < self._needed(utterance):
                return None
            return self._cut(utterance)

    def next_slot(self) -> Slot:
        """The next frame's slot at any price: with silence in place of sound that has not come.

        Raises:
            SessionError: after `close`.
        """
        self._require_open()
        with self._lock:
            self._receive()
            utterance = self._utterance
            if utterance is None:
                return self._cut(None)
            needed = self._needed(utterance)
            if utterance.sound.stream.received < needed:
                # Before its first frame an utterance is waited for, but no longer than that frame's sound lasts.
                if utterance.origin is None and utterance.waited * SPEECH_RATE <= needed * self.fps:
                    utterance.waited += 1
                    return self._cut(None)
                utterance.sound.pad(needed)
            return self._cut(utterance)

    def paint(self, slot: Slot) -> LiveFrame:
        """`follow` and `draw`: for who makes one picture at a time."""
        return self.draw(slot, self.follow(slot))

    def follow(self, slot: Slot) -> Mouth:
        """Hear a slot's sound and move the mouth on to it; slots may be left out, but not go backwards."""
        with self._following:
            with self._lock:
                stood, closing = self._mouth, self._closing
            with timed(self.seconds, "hear"):
                mouth = stood.follow(slot.number, slot.utterance, closing, self._rest, self.fps)
            with self._lock:
                if slot.epoch == self._epoch:
                    self._mouth = mouth
        return mouth

    def draw(self, slot: Slot, mouth: Mouth) -> LiveFrame:
        """Make the picture of a slot; several threads may do so at once.

        Args:
            slot: whose.
            mouth: as `follow` gave it.

        Raises:
            GenerationError: a network gives values that are not finite, or does not fit into memory.
        """
        source = self._cycle.at((slot.number + Fraction(1, 2)) / self.fps)
        with self._reading, timed(self.seconds, "read"):
            picture = self._footage.read([source])[0]
        strength = float(self._avatar.track.strength[source]) * mouth.share
        if strength > 0 and mouth.tokens is not None:
            self._painter.paint([picture], [source], [strength], mouth.tokens)
        return LiveFrame(slot.number, slot.time, slot.sound, picture, mouth)

    def interrupt(self, shown: LiveFrame | None = None) -> None:
        """Forget all sound that was not shown (barge-in); the mouth closes from where it stands.

        Args:
            shown: the last frame that was shown: the session goes on with the one after it. Default: every slot that
                was cut has been shown.
        """
        with self._lock:
            self._inbox.clear()
            self._utterance = None
            self._epoch += 1
            if shown is not None:
                self._number, self._mouth = shown.number + 1, shown.mouth
            self._closing = self._mouth

    def close(self) -> None:
        """End the session and let go of its sound; further calls are refused."""
        self.interrupt()
        self._closed = True

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def _cushion(self) -> int:
        return self.options.cushion * SPEECH_RATE // 1000

    def _require_open(self) -> None:
        if self._closed:
            raise SessionError("The live session is closed.", "Make a new one.")

    def _receive(self) -> None:
        """Take what was pushed; sound that comes too late gets its cushion again, in silence."""
        while self._inbox:
            samples, rate = self._inbox.popleft()
            if self._utterance is None:
                stream = SpeechStream(
                    self._encoder, self.fps, self._speech, self._rest, self.options.look_ahead // STEP_MS
                )
                self._utterance = Utterance(SoundIn(stream, self.options.sound_rate), self.fps)
            sound = self._utterance.sound
            if sound.silence and self._utterance.origin is not None:
                sound.pad(sound.stream.received + self._cushion)
            sound.push(samples, rate)

    def _needed(self, utterance: Utterance) -> int:
        """How much sound must be there for the next frame."""
        needed = utterance.sound.stream.needed(utterance.window(self._number))
        return needed + (self._cushion if utterance.origin is None else 0)

    def _cut(self, utterance: Utterance | None) -> Slot:
        """The next slot, with its part of the sound, or with silence."""
        number, rate = self._number, self.options.sound_rate
        if utterance is None:
            samples = np.zeros(math.floor((number + 1) * rate / self.fps) - math.floor(number * rate / self.fps), "f4")
        else:
            utterance.origin = number if utterance.origin is None else utterance.origin
            samples = utterance.sound.take((number + 1 - utterance.origin) / self.fps)
            if utterance.sound.silence >= OVER * SPEECH_RATE:
                self._utterance = None
        self._number += 1
        return Slot(number, number / self.fps, samples, utterance, self._epoch)
