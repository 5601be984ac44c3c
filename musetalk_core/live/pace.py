"""Shows a session's frames by a clock: sound always in time, pictures as the machine can."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, NoReturn, Protocol, TypeVar

import numpy as np

from .frames import LiveFrame, Slot
from .session import LiveSession

if TYPE_CHECKING:
    import av

T = TypeVar("T")


class PaceClock(Protocol):
    """Time as a player lives in it; tests put a virtual one in its place."""

    def now(self) -> float:
        """Seconds since some moment."""

    async def sleep_until(self, moment: float) -> None:
        """Return at `moment`, or at once when it has passed."""

    async def run(self, work: Callable[[], T]) -> T:
        """Do something long beside the event loop."""


class RealClock:
    """The machine's own time; long work runs in one thread of its own."""

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="musetalk-live")

    def now(self) -> float:
        """Seconds of the monotonic clock."""
        return time.perf_counter()

    async def sleep_until(self, moment: float) -> None:
        """See `PaceClock`."""
        await asyncio.sleep(max(0.0, moment - self.now()))

    async def run(self, work: Callable[[], T]) -> T:
        """See `PaceClock`."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    def close(self) -> None:
        """Let the thread end after what it is doing."""
        self._worker.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True, slots=True)
class Counters:
    """What a player has shown.

    Args:
        shown: slots, each with its sound.
        late: new pictures that were shown in a later slot than their own.
        dropped: pictures that were never begun, because the machine was still busy.
        repeated: slots that showed the picture of the slot before.
    """

    shown: int = 0
    late: int = 0
    dropped: int = 0
    repeated: int = 0


class Player:
    """Frames of a session at their times, for ever: an async iterator.

    A frame's picture is begun one frame before its time. When it is not ready then, its sound comes with the newest
    picture there is, and pictures that the machine has no time for are left out; sound never is.

    Args:
        session: what is shown; the player alone takes its slots.
        clock: default: the machine's.
    """

    def __init__(self, session: LiveSession, clock: PaceClock | None = None) -> None:
        self._session = session
        self._clock: PaceClock = clock or RealClock()
        self._start: float | None = None
        self._wanted: Slot | None = None  # to be painted next
        self._worker: asyncio.Task[None] | None = None
        self._newest: LiveFrame | None = None  # picture
        self._shown: LiveFrame | None = None
        self._epoch = 0
        self.counters = Counters()
        self.fps = session.fps
        self.sound_rate = session.options.sound_rate

    def __aiter__(self) -> AsyncIterator[LiveFrame]:
        return self

    async def __anext__(self) -> LiveFrame:
        session, clock = self._session, self._clock
        if session.closed:
            await self._end()
        epoch, slot = self._epoch, session.next_slot()
        if self._newest is None or self._start is None:
            self._newest = await clock.run(lambda: session.paint(slot))
            self._start = clock.now() - float(slot.time)
        else:
            self._request(slot)
        await clock.sleep_until(self._start + float(slot.time))
        if self._worker is not None and self._worker.done():
            self._worker.result()  # raises what painting raised
        if self._session.closed:
            await self._end()
        if self._epoch > epoch:  # interrupted while waiting: this slot's sound is forgotten
            slot = session.next_slot()
            self._request(slot)
        return self._show(slot, self._newest)

    def interrupt(self) -> None:
        """Barge-in: forget all that was not shown."""
        self._session.interrupt(self._shown)
        self._epoch += 1
        self._wanted = None
        self._newest = self._shown or self._newest

    async def close(self) -> None:
        """Close the session, and let what is being painted end."""
        self._session.close()
        self._wanted = None
        if self._worker is not None:
            await asyncio.gather(self._worker, return_exceptions=True)
        if isinstance(self._clock, RealClock):
            self._clock.close()

    async def _end(self) -> NoReturn:
        await self.close()
        raise StopAsyncIteration

    def _request(self, slot: Slot) -> None:
        if self._wanted is not None:
            self._count(dropped=1)
        self._wanted = slot
        if self._worker is None or self._worker.done():
            self._worker = asyncio.get_running_loop().create_task(self._paint())

    async def _paint(self) -> None:
        """Paint the newest slot as long as there is one."""
        while self._wanted is not None:
            slot, self._wanted, epoch = self._wanted, None, self._epoch
            frame = await self._clock.run(lambda slot=slot: self._session.paint(slot))  # type: ignore[misc]
            if epoch == self._epoch:
                self._newest = frame

    def _show(self, slot: Slot, newest: LiveFrame) -> LiveFrame:
        last = self._shown
        repeated = last is not None and newest.picture is last.picture
        self._count(shown=1, repeated=repeated, late=not repeated and newest.number < slot.number)
        self._shown = replace(newest, number=slot.number, time=slot.time, sound=slot.sound)
        return self._shown

    def _count(self, shown: int = 0, late: bool = False, dropped: int = 0, repeated: bool = False) -> None:
        c = self.counters
        self.counters = Counters(c.shown + shown, c.late + late, c.dropped + dropped, c.repeated + repeated)


async def av_frames(player: Player) -> AsyncIterator[tuple[av.VideoFrame, av.AudioFrame]]:
    """A player's frames as PyAV's, with exact times: what agent frameworks and WebRTC take.

    Args:
        player: shows the session.

    Yields:
        a picture (rgb24) and its sound (s16, mono), both with pts and time base.
    """
    import av

    samples, rate = 0, player.sound_rate
    async for frame in player:
        picture = av.VideoFrame.from_ndarray(frame.picture, format="rgb24")
        picture.pts, picture.time_base = frame.number, 1 / player.fps
        pcm = np.rint(frame.sound * 32767).astype(np.int16)
        sound = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        sound.sample_rate, sound.pts, sound.time_base = rate, samples, Fraction(1, rate)
        samples += len(pcm)
        yield picture, sound
