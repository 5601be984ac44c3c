"""How the mouth goes from one frame to the next: the footage's own where nobody speaks, else the new one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ..audio.activity import FADE_OUT
from ..audio.windows import tokens
from ..types import ENCODER_HZ
from .sound import Utterance

if TYPE_CHECKING:
    import torch

APPEAR = Fraction(12, 100)  # seconds in which the new mouth replaces the footage's own; the sound's own fade-in
LINGER = Fraction(40, 100)  # seconds without speech before the footage's own mouth begins to return
VANISH = Fraction(30, 100)  # seconds in which it does
CLOSE = Fraction(FADE_OUT + 1, ENCODER_HZ)  # seconds in which an interrupted mouth closes: as after any speech


@dataclass(frozen=True, slots=True, eq=False)
class Mouth:
    """How a frame's mouth stands, so that the next one goes on from there.

    Args:
        number: of the frame.
        share: how much of the new mouth is shown, 0..1.
        quiet: frames since somebody spoke.
        activity: how much it followed the sound, 0..1.
        tokens: (1, 50, D) what it said; None before anything was generated.
    """

    number: int = -1
    share: float = 0.0
    quiet: int = 0
    activity: float = 0.0
    tokens: torch.Tensor | None = None

    def next(self, activity: float, fps: Fraction) -> Mouth:
        """The next frame's mouth, as far as the sound's activity decides it."""
        quiet = 0 if activity > 0 else self.quiet + 1
        share = self.share
        if quiet == 0:
            share += float(1 / (APPEAR * fps))
        elif quiet > LINGER * fps:
            share -= float(1 / (VANISH * fps))
        return Mouth(self.number + 1, min(1.0, max(0.0, share)), quiet, activity)

    def left(self, number: int, fps: Fraction) -> float:
        """How much a later frame still shows of this mouth, when it was interrupted here, 0..1."""
        return max(0.0, self.activity - float((number - self.number) / (CLOSE * fps)))

    def follow(
        self, number: int, utterance: Utterance | None, closing: Mouth | None, rest: torch.Tensor, fps: Fraction
    ) -> Mouth:
        """How the mouth stands at a later frame, with what it says there.

        Args:
            number: of that frame.
            utterance: the sound that drives it, if any.
            closing: where a mouth stood when it was interrupted, if one was.
            rest: (50, D) what closes it.
            fps: frames a second.
        """
        import torch

        mouth, left = self, 0.0
        while mouth.number < number:
            at, activity = mouth.number + 1, 0.0
            if utterance is not None and utterance.origin is not None and at >= utterance.origin:
                activity = utterance.sound.stream.activity(utterance.window(at))
            left = 0.0 if closing is None else closing.left(at, fps)
            mouth = mouth.next(max(activity, left), fps)
        said = rest[None]
        if utterance is not None:
            start = utterance.window(number)
            said = tokens(utterance.sound.stream.speech(start), np.array([start]))
        if left > 0 and closing is not None and closing.tokens is not None:
            said = torch.lerp(said, closing.tokens, left)
        return replace(mouth, tokens=said)
